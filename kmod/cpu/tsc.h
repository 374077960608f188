/* SPDX-License-Identifier: GPL-2.0-only */
/* The guest's time-stamp counter: (host TSC * ratio >> frac_bits) + offset. */
#ifndef CORBEL_TSC_H
#define CORBEL_TSC_H

#include <asm/msr.h>
#include "vcpu.h"

u64 tsc_scale(u64 tsc, u64 ratio);

static inline u64 tsc_guest_at(struct vcpu *vcpu, u64 host_tsc)
{
	if (unlikely(vcpu->arch.tsc_scaled))
		host_tsc = tsc_scale(host_tsc, vcpu->arch.tsc_ratio);
	return host_tsc + vcpu->arch.tsc_offset;
}

static inline u64 tsc_guest_now(struct vcpu *vcpu)
{
	return tsc_guest_at(vcpu, rdtsc());
}

u64 tsc_to_ns(struct vcpu *vcpu, u64 guest_ticks);	/* a duration; saturates */
u64 tsc_from_ns(struct vcpu *vcpu, u64 ns);

void tsc_vm_init(struct vm *vm);
void tsc_suspend(void);
void tsc_vm_resume(struct vm *vm);
void tsc_vcpu_init(struct vcpu *vcpu);

/** tsc_write() - MSR_IA32_TSC; a host's write on several vCPUs within a second synchronises them */
void tsc_write(struct vcpu *vcpu, u64 val, bool host);
void tsc_adjust_write(struct vcpu *vcpu, u64 val, bool host);
void tsc_offset_set(struct vcpu *vcpu, u64 offset);	/* KVM_VCPU_TSC_OFFSET */

/* KVM_SET_TSC_KHZ. 0 means the host's. Return: 0 or -EINVAL (no scaling, out of range) */
int tsc_khz_set(struct vcpu *vcpu, u32 khz);
int tsc_vm_khz_set(struct vm *vm, u32 khz);

#endif
