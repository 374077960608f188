// SPDX-License-Identifier: GPL-2.0-only
/*
 * kvmclock: host nanoseconds since boot plus an offset per VM. Where the host keeps time by a
 * stable TSC and all vCPUs have the same offset, one (TSC, ns) pair serves them all ("master
 * clock") and guests may read it without comparing CPUs.
 */
#include <linux/clocksource.h>
#include <linux/irq_work.h>
#include <linux/ktime.h>
#include <linux/math64.h>
#include <linux/pvclock_gtod.h>
#include <linux/timekeeper_internal.h>
#include <asm/kvm_para.h>
#include <asm/pvclock.h>
#include <asm/tsc.h>
#include "vm.h"
#include "cpu/clock.h"
#include "cpu/regs.h"
#include "cpu/tsc.h"

static bool host_by_tsc;	/* the host's clocksource is the TSC */
static s64 host_boot_offset;	/* CLOCK_BOOTTIME - CLOCK_MONOTONIC: suspended time */
static LIST_HEAD(clock_vms);
static DEFINE_MUTEX(clock_vms_lock);

struct host_time {
	u64 tsc, ns, real;
};

/* The three of one moment if the TSC is the clocksource; else the TSC is read a little later. */
static void host_read(struct host_time *time)
{
	struct system_time_snapshot snap;

	ktime_get_snapshot(&snap);
	time->tsc = READ_ONCE(host_by_tsc) ? snap.cycles : rdtsc_ordered();
	time->ns = ktime_to_ns(snap.raw) + READ_ONCE(host_boot_offset);
	time->real = ktime_to_ns(snap.real);
}

/* ns = ((ticks << shift) * mul) >> 32, shift may be negative; mul has its top bit set. */
static void time_scale(u32 khz, u32 *mul, s8 *shift)
{
	u64 num = NSEC_PER_SEC, den = (u64)khz * 1000;

	*shift = 0;
	while (num >= den) {
		den <<= 1;
		++*shift;
	}
	while (num * 2 < den) {
		num <<= 1;
		--*shift;
	}
	*mul = mul_u64_u64_div_u64(num, BIT_ULL(32), den);
}

static bool vcpus_agree(struct vm *vm)
{
	struct vcpu *vcpu, *first = NULL;
	unsigned long i;

	vm_for_each_vcpu(i, vcpu, vm) {
		if (!first)
			first = vcpu;
		if (READ_ONCE(vcpu->arch.tsc_offset) != READ_ONCE(first->arch.tsc_offset) ||
		    READ_ONCE(vcpu->arch.tsc_ratio) != READ_ONCE(first->arch.tsc_ratio))
			return false;
	}
	return true;
}

/* A pair in use is kept: a new one could make the guest's clock step. */
void clock_resync(struct vm *vm)
{
	struct vm_cpu *arch = &vm->arch;
	struct host_time now;
	unsigned long flags;
	bool master;

	raw_spin_lock_irqsave(&arch->tsc_lock, flags);
	master = READ_ONCE(host_by_tsc) && vcpus_agree(vm);
	if (master && !arch->clock_master) {
		host_read(&now);
		arch->clock_tsc = now.tsc;
		arch->clock_ns = now.ns;
	}
	arch->clock_master = master;
	raw_spin_unlock_irqrestore(&arch->tsc_lock, flags);
	vm_request_all(vm, REQ_CLOCK, false);
}

/* Guest nanoseconds of a host moment. tsc_lock held. */
static u64 clock_at(struct vm *vm, const struct host_time *now)
{
	struct vm_cpu *arch = &vm->arch;
	s8 shift;
	u32 mul;

	if (!arch->clock_master)
		return now->ns + arch->clock_offset;
	time_scale(tsc_khz, &mul, &shift);
	return arch->clock_ns + arch->clock_offset +
	       pvclock_scale_delta(now->tsc - arch->clock_tsc, mul, shift);
}

void clock_to_user(struct vm *vm, struct kvm_clock_data *out)
{
	struct host_time now;
	unsigned long flags;

	memset(out, 0, sizeof(*out));
	raw_spin_lock_irqsave(&vm->arch.tsc_lock, flags);
	host_read(&now);
	out->clock = clock_at(vm, &now);
	if (vm->arch.clock_master) {
		out->flags = KVM_CLOCK_TSC_STABLE | KVM_CLOCK_REALTIME | KVM_CLOCK_HOST_TSC;
		out->realtime = now.real;
		out->host_tsc = now.tsc;
	}
	raw_spin_unlock_irqrestore(&vm->arch.tsc_lock, flags);
}

int clock_from_user(struct vm *vm, const struct kvm_clock_data *in)
{
	u64 want = in->clock;
	struct host_time now;
	unsigned long flags;

	if (in->flags & ~(u32)(KVM_CLOCK_TSC_STABLE | KVM_CLOCK_REALTIME | KVM_CLOCK_HOST_TSC))
		return -EINVAL;
	/* What is read back is of one moment with the host's clocks even before the guest uses its own. */
	clock_resync(vm);
	raw_spin_lock_irqsave(&vm->arch.tsc_lock, flags);
	host_read(&now);
	/* Time that passed since the clock was read on the other side; never backwards. */
	if ((in->flags & KVM_CLOCK_REALTIME) && now.real > in->realtime)
		want += now.real - in->realtime;
	vm->arch.clock_offset += want - clock_at(vm, &now);
	raw_spin_unlock_irqrestore(&vm->arch.tsc_lock, flags);
	vm_request_all(vm, REQ_CLOCK, false);
	return 0;
}

int clock_guest_stopped(struct vcpu *vcpu)
{
	if (!(vcpu->arch.system_time_msr & KVM_MSR_ENABLED))
		return -EINVAL;
	vcpu->arch.clock_stopped = true;
	vcpu_request(vcpu, REQ_CLOCK);
	return 0;
}

static void fill(struct vcpu *vcpu, struct pvclock_vcpu_time_info *info)
{
	struct vm_cpu *vm = &vcpu->vm->arch;
	struct host_time now;
	unsigned long flags;

	raw_spin_lock_irqsave(&vm->tsc_lock, flags);
	if (vm->clock_master)
		now = (struct host_time){ .tsc = vm->clock_tsc, .ns = vm->clock_ns };
	else
		host_read(&now);
	info->tsc_timestamp = tsc_guest_at(vcpu, now.tsc);
	info->system_time = now.ns + vm->clock_offset;
	info->flags = vm->clock_master ? PVCLOCK_TSC_STABLE_BIT : 0;
	raw_spin_unlock_irqrestore(&vm->tsc_lock, flags);
	time_scale(vcpu->arch.tsc_khz, &info->tsc_to_system_mul, &info->tsc_shift);
}

static gpa_t system_time_gpa(struct vcpu *vcpu)
{
	return vcpu->arch.system_time_msr & ~(u64)KVM_MSR_ENABLED;
}

/*
 * Both of the guest's structures begin with a version: the guest retries while it is odd or has
 * changed.
 */
static_assert(!offsetof(struct pvclock_vcpu_time_info, version) &&
	      !offsetof(struct pvclock_wall_clock, version));

static void publish(struct vcpu *vcpu, gpa_t gpa, void *info, size_t size)
{
	u32 *version = info;

	*version |= 1;
	if (guest_write(vcpu, gpa, version, sizeof(*version)))
		return;
	smp_wmb();
	if (guest_write(vcpu, gpa, info, size))
		return;
	smp_wmb();
	++*version;
	guest_write(vcpu, gpa, version, sizeof(*version));
}

void clock_update(struct vcpu *vcpu)
{
	struct pvclock_vcpu_time_info old, info = { 0 };

	if (!(vcpu->arch.system_time_msr & KVM_MSR_ENABLED))
		return;
	if (guest_read(vcpu->vm, system_time_gpa(vcpu), &old, sizeof(old)))
		return;
	fill(vcpu, &info);
	info.version = old.version + 1;
	info.flags |= old.flags & PVCLOCK_GUEST_STOPPED;
	if (vcpu->arch.clock_stopped)
		info.flags |= PVCLOCK_GUEST_STOPPED;
	vcpu->arch.clock_stopped = false;
	publish(vcpu, system_time_gpa(vcpu), &info, sizeof(info));
}

void clock_system_time_set(struct vcpu *vcpu, u64 msr)
{
	vcpu->arch.system_time_msr = msr;
	if (msr & KVM_MSR_ENABLED)
		clock_resync(vcpu->vm);
}

/* The wall-clock time at which the guest's clock was zero. */
void clock_wall_set(struct vcpu *vcpu, u64 msr)
{
	struct vm *vm = vcpu->vm;
	struct pvclock_wall_clock wall;
	struct kvm_clock_data now;

	vm->arch.wall_clock_msr = msr;
	if (!msr || guest_read(vm, msr, &wall.version, sizeof(wall.version)))
		return;
	clock_to_user(vm, &now);
	wall.sec = div_u64_rem(ktime_get_real_ns() - now.clock, NSEC_PER_SEC, &wall.nsec);
	publish(vcpu, msr, &wall, sizeof(wall));
}

int clock_pairing(struct vcpu *vcpu, struct kvm_clock_pairing *out)
{
	struct host_time now;
	u32 nsec;

	if (!READ_ONCE(vcpu->vm->arch.clock_master))
		return -EOPNOTSUPP;
	memset(out, 0, sizeof(*out));
	host_read(&now);
	out->sec = div_u64_rem(now.real, NSEC_PER_SEC, &nsec);
	out->nsec = nsec;
	out->tsc = tsc_guest_at(vcpu, now.tsc);
	return 0;
}

static void clocksource_changed(struct work_struct *work)
{
	struct vm_cpu *arch;

	mutex_lock(&clock_vms_lock);
	list_for_each_entry(arch, &clock_vms, clock_node)
		clock_resync(arch->clock_vm);
	mutex_unlock(&clock_vms_lock);
}

static DECLARE_WORK(clocksource_work, clocksource_changed);

/* Queueing work takes locks that may read a clock: not under the timekeeper's lock. */
static void clocksource_irq(struct irq_work *work)
{
	queue_work(system_long_wq, &clocksource_work);
}

static DEFINE_IRQ_WORK(clocksource_irq_work, clocksource_irq);

/* The pair of a master clock is of before: take a new one. */
void clock_resume(void)
{
	struct vm_cpu *arch;

	list_for_each_entry(arch, &clock_vms, clock_node) {
		tsc_vm_resume(arch->clock_vm);
		arch->clock_master = false;
	}
	queue_work(system_long_wq, &clocksource_work);
}

/* Every tick, with the timekeeper's lock held: no clock may be read here. */
static int gtod_notify(struct notifier_block *nb, unsigned long stepped, void *data)
{
	const struct timekeeper *tk = data;
	bool by_tsc = tk->tkr_mono.clock->vdso_clock_mode == VDSO_CLOCKMODE_TSC;

	WRITE_ONCE(host_boot_offset, ktime_to_ns(tk->offs_boot));
	if (by_tsc != host_by_tsc) {
		WRITE_ONCE(host_by_tsc, by_tsc);
		irq_work_queue(&clocksource_irq_work);
	}
	return 0;
}

static struct notifier_block gtod_notifier = { .notifier_call = gtod_notify };

int clock_module_init(void)
{
	return pvclock_gtod_register_notifier(&gtod_notifier);
}

void clock_module_exit(void)
{
	pvclock_gtod_unregister_notifier(&gtod_notifier);
	irq_work_sync(&clocksource_irq_work);
	cancel_work_sync(&clocksource_work);
}

void clock_vm_init(struct vm *vm)
{
	struct host_time now;

	host_read(&now);
	vm->arch.clock_offset = -now.ns;
	vm->arch.clock_vm = vm;
	mutex_lock(&clock_vms_lock);
	list_add(&vm->arch.clock_node, &clock_vms);
	mutex_unlock(&clock_vms_lock);
}

void clock_vm_destroy(struct vm *vm)
{
	mutex_lock(&clock_vms_lock);
	list_del(&vm->arch.clock_node);
	mutex_unlock(&clock_vms_lock);
}
