/* SPDX-License-Identifier: GPL-2.0-only */
/* Multiprocessor state: waiting for INIT and SIPI, running, halted. */
#ifndef CORBEL_MP_STATE_H
#define CORBEL_MP_STATE_H

#include "vcpu.h"

/*
 * KVM_GET_MP_STATE, KVM_SET_MP_STATE. Context: vCPU loaded; get acts on a pending INIT or SIPI
 * first. Return: 0, -EINVAL (unknown state, or not RUNNABLE without a LAPIC), or -errno of
 * irq_accept_init_sipi()
 */
int mp_state_get(struct vcpu *vcpu, struct kvm_mp_state *state);
int mp_state_set(struct vcpu *vcpu, const struct kvm_mp_state *state);

/* The INIT and SIPI signals. Context: any. */
void mp_state_init_signal(struct vcpu *vcpu);
void mp_state_sipi_signal(struct vcpu *vcpu, u8 vector);

#endif
