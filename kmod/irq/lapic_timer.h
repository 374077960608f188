/* SPDX-License-Identifier: GPL-2.0-only */
/* The LAPIC timer: one-shot, periodic, TSC-deadline; on the backend's timer or an hrtimer. */
#ifndef CORBEL_LAPIC_TIMER_H
#define CORBEL_LAPIC_TIMER_H

#include "lapic.h"

void lapic_timer_init(struct lapic *lapic);
void lapic_timer_destroy(struct lapic *lapic);
void lapic_timer_reset(struct lapic *lapic);

/*
 * MSR_IA32_TSC_DEADLINE: 0 and ignored unless LVTT is in TSC-deadline mode. Context: interrupts
 * may be off.
 */
u64 lapic_deadline_get(struct vcpu *vcpu);
void lapic_deadline_set(struct vcpu *vcpu, u64 guest_tsc);

/** lapic_timer_serve() - REQ_TIMER, EXIT_TIMER: turn expiries into interrupts. vCPU's thread. */
void lapic_timer_serve(struct vcpu *vcpu);

/**
 * lapic_timer_tsc_changed() - the guest's TSC jumped or its scale changed: arm again
 * Context: vCPU loaded.
 */
void lapic_timer_tsc_changed(struct vcpu *vcpu);

/* Around a halt: the backend's timer only counts in the guest, so an hrtimer takes over. */
void lapic_timer_block(struct vcpu *vcpu);
void lapic_timer_unblock(struct vcpu *vcpu);

/** lapic_timer_pending() - expired, interrupt not made yet; for halt_runnable() */
static inline bool lapic_timer_pending(struct vcpu *vcpu)
{
	struct lapic *lapic = vcpu->irq.lapic;

	return lapic && atomic_read(&lapic->timer.fired);
}

/* For lapic.c */
void lapic_timer_lvt_write(struct lapic *lapic);			/* LVTT, already stored */
void lapic_timer_count_write(struct lapic *lapic, u32 val);		/* TMICT */
void lapic_timer_divide_write(struct lapic *lapic, u32 val);		/* TDCR */
void lapic_timer_restore(struct lapic *lapic, u32 current_count);	/* KVM_SET_LAPIC */
u32 lapic_timer_count(struct lapic *lapic);				/* TMCCT */

#endif
