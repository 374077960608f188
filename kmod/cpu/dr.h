/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Debug registers. MOV DR and #DB always exit, so DR6 never needs loading and DR0-DR3 only while a
 * breakpoint is enabled. regs.dr7 is what hardware gets (the debugger's breakpoints win over the
 * guest's); arch.dr7 is the guest's own.
 */
#ifndef CORBEL_DR_H
#define CORBEL_DR_H

#include "vcpu.h"

#define DR7_RESET	0x400ull

/** dr7_effective() - the debugger's breakpoints win over the guest's */
static inline u64 dr7_effective(struct vcpu *vcpu)
{
	return vcpu->guest_debug & KVM_GUESTDBG_USE_HW_BP ? vcpu->debug_dr7 : vcpu->arch.dr7;
}

/** dr_deliver() - apply the DR6 bits of a #DB that is being delivered; clears DR7.GD */
void dr_deliver(struct vcpu *vcpu, u64 dr6_bits);

/** dr_update() - choose what hardware gets after the guest's or the debugger's DR7 changed */
void dr_update(struct vcpu *vcpu);
void dr_reset(struct vcpu *vcpu);

/* Around backend enter; interrupts off. */
void dr_enter(struct vcpu *vcpu);
void dr_exit_guest(struct vcpu *vcpu);

/** dr_step() - have the debugger's next single-step trap come behind the next instruction */
void dr_step(struct vcpu *vcpu);

void debugregs_to_user(struct vcpu *vcpu, struct kvm_debugregs *out);
int debugregs_from_user(struct vcpu *vcpu, const struct kvm_debugregs *in);

int dr_exit(struct vcpu *vcpu, struct vcpu_exit *exit);	/* EXIT_DR */

#endif
