/* SPDX-License-Identifier: GPL-2.0-only */
/* HLT: when a vCPU stops, what wakes it, how long it polls before it sleeps. */
#ifndef CORBEL_HALT_H
#define CORBEL_HALT_H

#include "vcpu.h"

/** hlt_exit() - EXIT_HLT: KVM_EXIT_HLT without a LAPIC in the kernel, else mp_state HALTED */
int hlt_exit(struct vcpu *vcpu, struct vcpu_exit *exit);

/**
 * hlt_fast() - the same in the stay (stay.h): true if HLT has ended already
 *
 * A first part of the polling, for who is answered at once; it looks only at what APICv delivers.
 */
bool hlt_fast(struct vcpu *vcpu);

/** halt_wanted() - mp_state says: do not enter the guest; run.c calls halt_wait() */
static inline bool halt_wanted(struct vcpu *vcpu)
{
	return READ_ONCE(vcpu->irq.mp_state) != KVM_MP_STATE_RUNNABLE;
}

/**
 * halt_runnable() - is there a reason to leave the halt (or wait-for-SIPI) state
 * Context: vCPU loaded, its own thread; does not sleep.
 */
bool halt_runnable(struct vcpu *vcpu);

/**
 * halt_wait() - poll, then sleep, until halt_runnable(), a signal or userspace's immediate_exit
 *
 * On return with RESUME mp_state is RUNNABLE unless INIT or SIPI must still be accepted
 * (REQ_EVENT is set then).
 * Context: vCPU loaded, interrupts on, vm->srcu not held.
 * Return: RESUME, -EINTR, -EIO (killed)
 */
int halt_wait(struct vcpu *vcpu);

/**
 * halt_wakes() - could this vCPU, preempted or asleep, run now
 * Context: any thread (directed yield).
 */
bool halt_wakes(struct vcpu *vcpu);

#endif
