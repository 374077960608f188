/* SPDX-License-Identifier: GPL-2.0-only */
/* A debugger in userspace, and the exceptions that exit. */
#ifndef CORBEL_DEBUG_H
#define CORBEL_DEBUG_H

#include "vcpu.h"

/* KVM_CAP_SET_GUEST_DEBUG2: the control bits that KVM_SET_GUEST_DEBUG accepts */
#define DEBUG_CONTROLS	(KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_SINGLESTEP | KVM_GUESTDBG_USE_SW_BP | \
			 KVM_GUESTDBG_USE_HW_BP | KVM_GUESTDBG_INJECT_DB | \
			 KVM_GUESTDBG_INJECT_BP | KVM_GUESTDBG_BLOCKIRQ)

/** debug_set() - KVM_SET_GUEST_DEBUG. Return: 0, -EINVAL, -EBUSY (an exception is pending) */
int debug_set(struct vcpu *vcpu, const struct kvm_guest_debug *dbg);

/** debug_to_user() - fill in KVM_EXIT_DEBUG. Return: TO_USER */
int debug_to_user(struct vcpu *vcpu, u8 vector, u64 dr6_bits);

/**
 * debug_step_done() - an instruction with RFLAGS.TF set was completed in software. RESUME or
 * TO_USER
 */
int debug_step_done(struct vcpu *vcpu);

/** debug_blocks_irq() - single-stepping with interrupts held back: for irq/inject.c */
static inline bool debug_blocks_irq(struct vcpu *vcpu)
{
	return vcpu->guest_debug & KVM_GUESTDBG_BLOCKIRQ;
}

int exception_exit(struct vcpu *vcpu, struct vcpu_exit *exit);
int triple_fault_exit(struct vcpu *vcpu, struct vcpu_exit *exit);

#endif
