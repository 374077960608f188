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


/* As MOV DR does; nr 0-3, 6, 7. false: #GP(0). */
bool dr_write(struct vcpu *vcpu, unsigned int nr, u64 val);
u64 dr_read(struct vcpu *vcpu, unsigned int nr);

/**
 * dr_require() - may MOV DR touch this register now
 * Return: true; false: #UD, #GP or #DB (general detect) was raised, or KVM_EXIT_DEBUG filled in
 * (then *next is TO_USER)
 */
bool dr_require(struct vcpu *vcpu, unsigned int nr, int *next);

/** dr_deliver() - apply the DR6 bits of a #DB that is being delivered; clears DR7.GD */
void dr_deliver(struct vcpu *vcpu, u64 dr6_bits);

/** dr_update() - choose what hardware gets after the guest's or the debugger's DR7 changed */
void dr_update(struct vcpu *vcpu);
void dr_reset(struct vcpu *vcpu);

/* Around backend enter; interrupts off. */
void dr_enter(struct vcpu *vcpu);
void dr_exit_guest(struct vcpu *vcpu);

void debugregs_to_user(struct vcpu *vcpu, struct kvm_debugregs *out);
int debugregs_from_user(struct vcpu *vcpu, const struct kvm_debugregs *in);

int dr_exit(struct vcpu *vcpu, struct vcpu_exit *exit);	/* EXIT_DR */

#endif
