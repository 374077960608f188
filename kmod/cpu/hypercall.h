/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef CORBEL_HYPERCALL_H
#define CORBEL_HYPERCALL_H

#include "vcpu.h"

/**
 * hypercall_fix() - #UD at the other vendor's hypercall instruction: put this CPU's in its place
 * Return: true: done, run it again. Context: may sleep, vm->srcu held.
 */
bool hypercall_fix(struct vcpu *vcpu);

/**
 * hypercall_fast() - those that need no sleeping. Context: interrupts off. True: done, RIP
 * moved.
 */
bool hypercall_fast(struct vcpu *vcpu, struct vcpu_exit *exit);
int hypercall_exit(struct vcpu *vcpu, struct vcpu_exit *exit);

#endif
