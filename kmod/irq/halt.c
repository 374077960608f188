// SPDX-License-Identifier: GPL-2.0-only
/*
 * A vCPU that has nothing to do. It polls for a bounded time first, because being scheduled out
 * and in again costs more than most waits last; how long adapts to how long the last waits were.
 */
#include <linux/ktime.h>
#include <linux/rcuwait.h>
#include <linux/sched/signal.h>
#include <linux/sched/stat.h>
#include "compat.h"
#include "trace.h"
#include "vm.h"
#include "cpu/pv.h"
#include "cpu/regs.h"
#include "irq/halt.h"
#include "irq/lapic.h"
#include "irq/lapic_timer.h"

#define POLL_NS_START	10000
#define POLL_NS_MAX	200000

int hlt_exit(struct vcpu *vcpu, struct vcpu_exit *exit)
{
	int ret = vcpu_skip_insn(vcpu);

	vcpu->stats.halt_exits++;
	if (!vcpu->irq.lapic) {
		vcpu->run->exit_reason = KVM_EXIT_HLT;
		return TO_USER;
	}
	lapic_sync_exit(vcpu);
	WRITE_ONCE(vcpu->irq.mp_state, KVM_MP_STATE_HALTED);
	return ret;
}

/* One that would be polled for anyway, for no more than what APICv delivers. */
static bool may_wait_in_stay(struct vcpu *vcpu)
{
	u64 flags = rflags_get(vcpu) & (X86_EFLAGS_IF | X86_EFLAGS_TF);

	return vcpu->irq.apicv && vcpu->irq.poll_ns && flags == X86_EFLAGS_IF && !READ_ONCE(vcpu->arch.pv_unhalted) &&
	       single_task_running() && !trace_corbel_halt_enabled();
}

bool hlt_fast(struct vcpu *vcpu)
{
	u64 rip = rip_get(vcpu);

	if (!may_wait_in_stay(vcpu))
		return false;
	/* Now, when nobody waits for us. That it ends the shadow of STI is right wherever the wait ends. */
	skip_fast(vcpu);
	if (!backend_call(apicv_wait)(vcpu)) {
		rip_set(vcpu, rip);
		return false;
	}
	vcpu->stats.halt_exits++;
	vcpu->stats.halt_poll_success++;
	vcpu->stats.halt_wakeups++;
	return true;
}

/* Requests that end HLT. */
#define WAKING	(BIT(REQ_UNHALT) | BIT(REQ_TRIPLE_FAULT))

static bool events_wake(struct vcpu *vcpu)
{
	struct vcpu_events *ev = &vcpu->events;

	if (ev->exception.pending || ev->entry.type != EVENT_NONE)
		return true;
	if ((ev->nmi_pending || atomic_read(&ev->nmi_queued)) && inject_nmi_allowed(vcpu))
		return true;
	return irq_pending(vcpu) && inject_irq_allowed(vcpu);
}

bool halt_runnable(struct vcpu *vcpu)
{
	unsigned long init_sipi = READ_ONCE(vcpu->irq.init_sipi);

	if (test_bit(REQ_DEAD, &vcpu->requests))
		return true;
	if (vcpu->irq.mp_state != KVM_MP_STATE_HALTED)
		return init_sipi || vcpu->irq.mp_state == KVM_MP_STATE_RUNNABLE;
	if (init_sipi & BIT(IRQ_INIT_PENDING))	/* a SIPI does not end HLT */
		return true;
	if (lapic_timer_pending(vcpu))
		lapic_timer_serve(vcpu);
	return READ_ONCE(vcpu->arch.pv_unhalted) || (READ_ONCE(vcpu->requests) & WAKING) ||
	       events_wake(vcpu);
}

bool halt_wakes(struct vcpu *vcpu)
{
	return READ_ONCE(vcpu->irq.init_sipi) || READ_ONCE(vcpu->arch.pv_unhalted) ||
	       READ_ONCE(vcpu->requests) || atomic_read(&vcpu->events.nmi_queued);
}

/* Notes in *@runnable why, so that nobody has to ask twice. */
static bool must_stop(struct vcpu *vcpu, bool *runnable)
{
	*runnable = halt_runnable(vcpu);
	return *runnable || signal_pending(current) || compat_immediate_exit(vcpu->run);
}

/* Whoever cannot poll does not look at all: who goes to sleep looks before. */
static bool poll(struct vcpu *vcpu, ktime_t start, bool *runnable)
{
	ktime_t end = start + vcpu->irq.poll_ns;

	if (!vcpu->irq.poll_ns || vcpu->irq.mp_state != KVM_MP_STATE_HALTED)
		return false;
	do {
		if (need_resched() || !single_task_running())
			return false;
		if (must_stop(vcpu, runnable))
			return true;
		cpu_relax();
	} while (ktime_get() < end);
	return false;
}

/*
 * A wait shorter than the limit was worth polling for; a long one says that the next is long too.
 */
static void adapt(struct vcpu *vcpu, s64 waited_ns)
{
	unsigned int poll_ns = vcpu->irq.poll_ns;

	if (!(vcpu->arch.poll_control & 1) || waited_ns > POLL_NS_MAX)
		poll_ns = 0;
	else if (waited_ns > poll_ns)
		poll_ns = clamp_t(unsigned int, poll_ns * 2, POLL_NS_START, POLL_NS_MAX);
	vcpu->irq.poll_ns = poll_ns;
}

/*
 * Nothing waits but what the next entry gives to the guest by itself, so that no one has to look at
 * events. Whatever else it is that waits has asked for that look, too; but it may have had it.
 */
static bool only_hardware_delivers(struct vcpu *vcpu)
{
	struct vcpu_events *ev = &vcpu->events;

	return vcpu->irq.apicv && !READ_ONCE(vcpu->irq.init_sipi) && !ev->exception.pending &&
	       ev->entry.type == EVENT_NONE && !ev->nmi_pending && !atomic_read(&ev->nmi_queued) &&
	       !irq_injectable(vcpu);
}

int halt_wait(struct vcpu *vcpu)
{
	ktime_t start = ktime_get();
	bool polled, runnable;
	s64 waited;

	lapic_timer_block(vcpu);
	polled = poll(vcpu, start, &runnable);
	if (polled)
		vcpu->stats.halt_poll_success++;
	else
		rcuwait_wait_event(&vcpu->wait, must_stop(vcpu, &runnable), TASK_INTERRUPTIBLE);
	waited = ktime_get() - start;
	trace_corbel_halt(vcpu->id, waited, polled);
	if (vcpu->irq.mp_state == KVM_MP_STATE_HALTED)
		adapt(vcpu, waited);
	if (test_bit(REQ_DEAD, &vcpu->requests))
		return -EIO;
	if (!runnable) {
		lapic_timer_unblock(vcpu);
		return -EINTR;
	}
	vcpu->stats.halt_wakeups++;
	if (vcpu->irq.mp_state == KVM_MP_STATE_HALTED) {
		pv_take_unhalt(vcpu);
		WRITE_ONCE(vcpu->irq.mp_state, KVM_MP_STATE_RUNNABLE);
	}
	lapic_timer_unblock(vcpu);
	if (!only_hardware_delivers(vcpu))
		vcpu_request(vcpu, REQ_EVENT);
	return RESUME;
}
