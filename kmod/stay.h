/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A stay in the guest: entries and exits with interrupts off, for as long as what ended the last one can be served
 * on the spot. The loop itself is the backend's, so that nothing in it is called through a pointer; what both
 * backends' loops ask between two entries is here, inlined because every exit comes this way.
 */
#ifndef CORBEL_STAY_H
#define CORBEL_STAY_H

#include <linux/entry-kvm.h>
#include <asm/trapnr.h>
#include "cpu/cpuid.h"
#include "cpu/cr.h"
#include "cpu/hypercall.h"
#include "cpu/msr.h"
#include "cpu/regs.h"
#include "exit.h"
#include "io/io.h"
#include "irq/halt.h"
#include "irq/lapic_timer.h"
#include "mmu/mmu.h"
#include "mmu/shadow.h"
#include "trace.h"
#include "vm.h"

/*
 * Somebody wants this thread, or this vCPU, out of the guest. Interrupts off. Who kicks a vCPU that
 * its own thread is serving sends no interrupt, so that the mode is all that tells.
 */
static __always_inline bool stay_unwanted(struct vcpu *vcpu)
{
	barrier();	/* read them now; no READ_ONCE(), which the compiler does not fold into the comparison */
	return data_race(vcpu->requests) || data_race(vcpu->mode) != VCPU_IN_GUEST || xfer_to_guest_mode_work_pending();
}

enum stay {
	STAY_OVER,
	STAY_ON,
	STAY_EVENT,		/* go on, and events.entry or the TPR is to be written first */
};

/*
 * Handle a hot exit. True: it was served; else nothing was done. What is called must not sleep, fault or take a
 * sleeping lock.
 */
static __always_inline bool stay_serve(struct vcpu *vcpu, struct vcpu_exit *exit)
{
	switch (exit->kind) {
	case EXIT_HLT:
		return hlt_fast(vcpu);
	case EXIT_CPUID:
		return cpuid_fast(vcpu, exit);
	case EXIT_HYPERCALL:
		return hypercall_fast(vcpu, exit);
	case EXIT_MSR_READ:
		return msr_read_fast(vcpu, exit);
	case EXIT_MSR_WRITE:
		return msr_write_fast(vcpu, exit);
	case EXIT_IO:
		return pio_fast(vcpu, exit);
	case EXIT_TIMER:
		lapic_timer_serve(vcpu);
		return true;
	case EXIT_PAGE_FAULT:
	case EXIT_MISCONFIG:
		return fault_fast(vcpu, exit);
	case EXIT_INVLPG:
		return invlpg_fast(vcpu, exit);
	case EXIT_CR:
		return cr3_fast(vcpu, exit);
	default:
		return false;
	}
}

/** stay_entry() - before each entry */
static __always_inline void stay_entry(struct vcpu *vcpu)
{
	if (trace_corbel_entry_enabled())
		trace_corbel_entry(vcpu->id, rip_get(vcpu));
}

/*
 * Of all that could be wanted it is a look at events, and that finds an interrupt or nothing. As before any entry
 * the mode is published before the requests are looked at: whoever kicked has left it at VCPU_EXITING.
 */
static __always_inline bool stay_for_event(struct vcpu *vcpu)
{
	if (vcpu->requests != BIT(REQ_EVENT) || xfer_to_guest_mode_work_pending())
		return false;
	if (vcpu->mode != VCPU_IN_GUEST)
		smp_store_mb(vcpu->mode, VCPU_IN_GUEST);
	return inject_lapic_fast(vcpu) && !stay_unwanted(vcpu);
}

/* The one hot exit that may leave an event: the guest's own page fault, which it is given. */
static __always_inline enum stay stay_exception(struct vcpu *vcpu, struct vcpu_exit *exit, bool *handle)
{
	if (unlikely(vcpu->guest_debug) || exit->exception.vector != X86_TRAP_PF || !shadow_fault_fast(vcpu, exit)) {
		*handle = true;
		return STAY_OVER;
	}
	if (unlikely(stay_unwanted(vcpu)))
		return STAY_OVER;
	return vcpu->events.entry.type == EVENT_NONE ? STAY_ON : STAY_EVENT;
}

/**
 * stay_exit() - after each exit, which the backend has decoded into vcpu->exit
 * @handle: set if the stay ends because exit_handle() must have that exit
 */
static __always_inline enum stay stay_exit(struct vcpu *vcpu, bool *handle)
{
	struct vcpu_exit *exit = &vcpu->exit;

	vcpu->stats.exits++;
	vcpu->stats.exits_by_kind[exit->kind]++;
	if (trace_corbel_exit_enabled())
		trace_corbel_exit(vcpu->id, rip_get(vcpu), exit->kind, exit->hw_reason);
	if (exit->kind == EXIT_EXCEPTION)
		return stay_exception(vcpu, exit, handle);
	if (unlikely(vcpu->guest_debug) || !stay_serve(vcpu, exit)) {
		*handle = true;
		return STAY_OVER;
	}
	if (likely(!stay_unwanted(vcpu)))
		return STAY_ON;
	return stay_for_event(vcpu) ? STAY_EVENT : STAY_OVER;
}

#endif
