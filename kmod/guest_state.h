/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Telling the kernel that this CPU goes into a guest and comes back: RCU, context tracking,
 * lockdep. Between enter and exit only noinstr code may run. (linux/kvm_host.h has the like, but
 * cannot be included beside our own names.)
 */
#ifndef CORBEL_GUEST_STATE_H
#define CORBEL_GUEST_STATE_H

#include <linux/context_tracking.h>
#include <linux/instrumentation.h>
#include <linux/irqflags.h>
#include <linux/jiffies.h>
#include <linux/percpu.h>
#include <linux/rcupdate.h>
#include <linux/vtime.h>
#include "compat.h"

DECLARE_PER_CPU(unsigned long, guest_state_told);	/* run.c: jiffies, when RCU was told last */

/*
 * RCU may take the guest for a quiescent state. It hears of it once in a tick, as for user mode: whether a grace
 * period waits for this CPU is looked at in the tick, which ends a stay in the guest.
 */
static __always_inline void guest_state_tell_rcu(void)
{
	unsigned long now = jiffies;

	if (this_cpu_read(guest_state_told) == now)
		return;
	this_cpu_write(guest_state_told, now);
	compat_rcu_virt_note_context_switch();
}

/**
 * guest_state_enter() - the last thing before entering the guest
 * @again: RCU has been told since interrupts went off
 */
static __always_inline void guest_state_enter(bool again)
{
	instrumentation_begin();
	trace_hardirqs_on_prepare();
	lockdep_hardirqs_on_prepare();
	instrumentation_end();
	if (!context_tracking_guest_enter() && !again) {
		instrumentation_begin();
		guest_state_tell_rcu();
		instrumentation_end();
	}
	lockdep_hardirqs_on(CALLER_ADDR0);
}

/** guest_state_exit() - the first thing after leaving it */
static __always_inline void guest_state_exit(void)
{
	lockdep_hardirqs_off(CALLER_ADDR0);
	context_tracking_guest_exit();
	instrumentation_begin();
	trace_hardirqs_off_finish();
	instrumentation_end();
}

#endif
