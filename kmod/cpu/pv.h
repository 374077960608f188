/* SPDX-License-Identifier: GPL-2.0-only */
/* Paravirtual services of a vCPU: PV EOI, steal time, kicks. */
#ifndef CORBEL_PV_H
#define CORBEL_PV_H

#include <asm/kvm_para.h>
#include "vcpu.h"

/*
 * PV EOI, for lapic.c: before entry with an ISR bit set that needs no EOI exit, set; after an
 * exit, take.
 * Context: may sleep, vm->srcu held.
 */
static inline bool pv_eoi_enabled(struct vcpu *vcpu)
{
	return vcpu->arch.pv_eoi_msr & KVM_MSR_ENABLED;
}
bool pv_eoi_set(struct vcpu *vcpu);		/* false: page gone, do it the usual way */
bool pv_eoi_take(struct vcpu *vcpu);		/* true: the guest has ended its interrupt */
void pv_eoi_clear(struct vcpu *vcpu);		/* withdraw the offer */
static inline bool pv_eoi_pending(struct vcpu *vcpu)
{
	return vcpu->arch.pv_eoi_pending;
}
int pv_eoi_msr_set(struct vcpu *vcpu, u64 val);

/** pv_kick_vcpu() - KVM_HC_KICK_CPU: let a halted vCPU run once. Context: any. */
void pv_kick_vcpu(struct vcpu *vcpu);

/** pv_take_unhalt() - was it kicked; for halt_runnable() and halt_wait(), which end the halt */
static inline bool pv_take_unhalt(struct vcpu *vcpu)
{
	if (!READ_ONCE(vcpu->arch.pv_unhalted))
		return false;
	WRITE_ONCE(vcpu->arch.pv_unhalted, false);
	return true;
}

int pv_steal_msr_set(struct vcpu *vcpu, u64 val);
/**
 * steal_time_record() - REQ_STEAL_TIME: write the page, serve the TLB flush it asks for. May
 * sleep.
 */
void steal_time_record(struct vcpu *vcpu);
/** steal_time_due() - is there something to record. Context: any, on the vCPU's thread. */
bool steal_time_due(struct vcpu *vcpu);
/** steal_time_preempted() - tell the guest that this vCPU is not running. Context: atomic. */
void steal_time_preempted(struct vcpu *vcpu);

void pv_reset(struct vcpu *vcpu);

#endif
