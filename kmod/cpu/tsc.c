// SPDX-License-Identifier: GPL-2.0-only
#include <linux/math64.h>
#include <linux/ktime.h>
#include <asm/msr.h>
#include <asm/tsc.h>
#include "vm.h"
#include "cpu/clock.h"
#include "cpu/regs.h"
#include "cpu/tsc.h"
#include "irq/lapic_timer.h"

#define TSC_TOLERANCE_PPM	250	/* closer than this is the same frequency */

static u64 ratio_one(void)
{
	return caps.tsc_scaling ? BIT_ULL(caps.tsc_frac_bits) : 0;
}

u64 tsc_scale(u64 tsc, u64 ratio)
{
	if (ratio == ratio_one())
		return tsc;
	return mul_u64_u64_shr(tsc, ratio, caps.tsc_frac_bits);
}

u64 tsc_to_ns(struct vcpu *vcpu, u64 guest_ticks)
{
	u32 khz = vcpu->arch.tsc_khz;

	if (guest_ticks > U64_MAX / USEC_PER_SEC) {
		guest_ticks = div_u64(guest_ticks, khz);
		return guest_ticks > U64_MAX / USEC_PER_SEC ? U64_MAX : guest_ticks * USEC_PER_SEC;
	}
	return div_u64(guest_ticks * USEC_PER_SEC, khz);
}

u64 tsc_from_ns(struct vcpu *vcpu, u64 ns)
{
	return mul_u64_u32_div(ns, vcpu->arch.tsc_khz, USEC_PER_SEC);
}

static void changed(struct vcpu *vcpu)
{
	backend.controls_changed(vcpu);
	if (vcpu->irq.lapic)
		lapic_timer_tsc_changed(vcpu);
	clock_resync(vcpu->vm);
}

void tsc_offset_set(struct vcpu *vcpu, u64 offset)
{
	vcpu->arch.tsc_offset = offset;
	changed(vcpu);
}

/*
 * Clients set each vCPU's counter in turn, to 0 or to a saved value, and mean "the same on all". A
 * value within a second of where the last one written has got to by now is taken as that.
 */
static bool synchronises(struct vcpu *vcpu, u64 val, u64 ns)
{
	struct vm_cpu *vm = &vcpu->vm->arch;
	u64 second = (u64)vcpu->arch.tsc_khz * 1000, expected;

	if (!vm->tsc_last_khz || vm->tsc_last_khz != vcpu->arch.tsc_khz)
		return false;
	if (!val)
		return true;
	expected = vm->tsc_last_write + tsc_from_ns(vcpu, ns - vm->tsc_last_ns);
	return val < expected + second && val + second > expected;
}

static u64 host_write_offset(struct vcpu *vcpu, u64 val)
{
	struct vm_cpu *vm = &vcpu->vm->arch;
	unsigned long flags;
	u64 offset, ns;

	raw_spin_lock_irqsave(&vm->tsc_lock, flags);
	ns = ktime_get_raw_ns();
	offset = val - tsc_scale(rdtsc(), vcpu->arch.tsc_ratio);
	if (synchronises(vcpu, val, ns) && !check_tsc_unstable())
		offset = vm->tsc_last_offset;
	vm->tsc_last_ns = ns;
	vm->tsc_last_write = val;
	vm->tsc_last_offset = offset;
	vm->tsc_last_khz = vcpu->arch.tsc_khz;
	raw_spin_unlock_irqrestore(&vm->tsc_lock, flags);
	return offset;
}

void tsc_write(struct vcpu *vcpu, u64 val, bool host)
{
	u64 offset;

	if (host) {
		tsc_offset_set(vcpu, host_write_offset(vcpu, val));
		return;
	}
	offset = val - tsc_scale(rdtsc(), vcpu->arch.tsc_ratio);
	vcpu->arch.tsc_adjust += offset - vcpu->arch.tsc_offset;
	tsc_offset_set(vcpu, offset);
}

void tsc_adjust_write(struct vcpu *vcpu, u64 val, bool host)
{
	u64 delta = val - vcpu->arch.tsc_adjust;

	vcpu->arch.tsc_adjust = val;
	if (!host && delta)
		tsc_offset_set(vcpu, vcpu->arch.tsc_offset + delta);
}

/* The multiplier for a frequency; 0 means the host's. Return: 0, or -EINVAL: it cannot be had */
static int khz_ratio(u32 *khz, u64 *ratio)
{
	u64 slack = div_u64((u64)tsc_khz * TSC_TOLERANCE_PPM, 1000000);

	if (!*khz)
		*khz = tsc_khz;
	*ratio = ratio_one();
	if (*khz >= tsc_khz - slack && *khz <= tsc_khz + slack)
		return 0;
	*ratio = mul_u64_u32_div(ratio_one(), *khz, tsc_khz);
	return *ratio && *ratio <= caps.tsc_max_ratio ? 0 : -EINVAL;
}

static void ratio_set(struct vcpu *vcpu, u64 ratio)
{
	vcpu->arch.tsc_ratio = ratio;
	vcpu->arch.tsc_scaled = ratio != ratio_one();
}

int tsc_khz_set(struct vcpu *vcpu, u32 khz)
{
	u64 ratio;

	if (khz_ratio(&khz, &ratio))
		return -EINVAL;
	vcpu->arch.tsc_khz = khz;
	ratio_set(vcpu, ratio);
	changed(vcpu);
	return 0;
}

int tsc_vm_khz_set(struct vm *vm, u32 khz)
{
	u64 ratio;

	if (khz_ratio(&khz, &ratio))
		return -EINVAL;
	WRITE_ONCE(vm->arch.tsc_khz, khz);
	return 0;
}

static u64 suspended_at;	/* host TSC */

void tsc_suspend(void)
{
	suspended_at = rdtsc_ordered();
}

/* The counter may have started anew: guests must not see theirs go back. Nothing else runs here. */
void tsc_vm_resume(struct vm *vm)
{
	u64 now = rdtsc_ordered(), lost;
	struct vcpu *vcpu;
	unsigned long i;

	if (now >= suspended_at)
		return;
	lost = suspended_at - now;
	vm_for_each_vcpu(i, vcpu, vm) {
		vcpu->arch.tsc_offset += tsc_scale(lost, vcpu->arch.tsc_ratio);
		vcpu_request(vcpu, REQ_CONTROLS);
	}
	vm->arch.tsc_last_offset += lost;
}

void tsc_vm_init(struct vm *vm)
{
	raw_spin_lock_init(&vm->arch.tsc_lock);
	vm->arch.tsc_khz = tsc_khz;
}

/* A new vCPU's counter starts at 0, or with the others'. */
void tsc_vcpu_init(struct vcpu *vcpu)
{
	u64 ratio;

	vcpu->arch.tsc_khz = READ_ONCE(vcpu->vm->arch.tsc_khz);
	khz_ratio(&vcpu->arch.tsc_khz, &ratio);
	ratio_set(vcpu, ratio);
	vcpu->arch.tsc_offset = host_write_offset(vcpu, 0);
}
