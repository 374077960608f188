/* SPDX-License-Identifier: GPL-2.0-only */
/* What a CPU without unrestricted guest cannot run is interpreted, until it can. */
#ifndef CORBEL_INTERPRET_H
#define CORBEL_INTERPRET_H

#include "vcpu.h"

/** interpret_wanted() - hardware cannot run the vCPU as it is. Only asked when !vm->mmu.any_mode. */
bool interpret_wanted(struct vcpu *vcpu);

/**
 * interpret() - deliver what is to be delivered, then run instructions until somebody wants
 * something
 *
 * Leaves REQ_EVENT set, so that the next round comes back here, and no entry is made meanwhile.
 * Context: vCPU loaded, vm->srcu held; may sleep. Return: enum vcpu_next or a negative errno.
 */
int interpret(struct vcpu *vcpu);

#endif
