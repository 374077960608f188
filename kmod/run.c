// SPDX-License-Identifier: GPL-2.0-only
/*
 * The loop. KVM_RUN comes in with the vCPU locked and loaded and the guest is entered, again and
 * again, until somebody in userspace is wanted: Documentation/run-loop.rst.
 */
#include <linux/entry-kvm.h>
#include <linux/pid.h>
#include <linux/sched/signal.h>
#include <linux/vtime.h>
#include "backend.h"
#include "compat.h"
#include "cpu/clock.h"
#include "cpu/dr.h"
#include "cpu/msr.h"
#include "cpu/pv.h"
#include "cpu/regs.h"
#include "exit.h"
#include "guest_state.h"
#include "interpret.h"
#include "irq/halt.h"
#include "irq/lapic.h"
#include "irq/lapic_timer.h"
#include "main.h"
#include "stay.h"
#include "vm.h"

DEFINE_PER_CPU(unsigned long, guest_state_told);

/*
 * Readers of slots, buses and routes: never in the guest or in a halt, where writers would wait
 * for ever.
 */
static void srcu_enter(struct vcpu *vcpu) __acquires(&vcpu->vm->srcu)
{
	vcpu->srcu_idx = srcu_read_lock(&vcpu->vm->srcu);
}

static void srcu_leave(struct vcpu *vcpu) __releases(&vcpu->vm->srcu)
{
	srcu_read_unlock(&vcpu->vm->srcu, vcpu->srcu_idx);
}

static int serve_dead(struct vcpu *vcpu)
{
	return -EIO;
}

static int serve_triple_fault(struct vcpu *vcpu)
{
	vcpu->run->exit_reason = KVM_EXIT_SHUTDOWN;
	return TO_USER;
}

static void serve_tlb(struct vcpu *vcpu)
{
	backend_call(tlb_flush)(vcpu, TLB_ALL, 0);
}

static void serve_controls(struct vcpu *vcpu)
{
	backend.controls_changed(vcpu);
}

/*
 * The order is a contract: Documentation/run-loop.rst. REQ_EVENT comes after all of them, in
 * run_once().
 */
static const struct {
	enum vcpu_req req;
	void (*call)(struct vcpu *vcpu);	/* this, then go on */
	int (*serve)(struct vcpu *vcpu);	/* or this, which may say otherwise */
} request_order[] = {
	{ REQ_DEAD, .serve = serve_dead },
	{ REQ_RING_FULL, .serve = ring_serve },
	{ REQ_TIMER, lapic_timer_serve },
	{ REQ_CLOCK, clock_update },
	{ REQ_MMU_RELOAD, .serve = mmu_load_root },
	{ REQ_TLB_FLUSH, serve_tlb },
	{ REQ_TLB_FLUSH_GUEST, mmu_flush_guest },
	{ REQ_TPR_REPORT, .serve = irq_tpr_report_to_user },
	{ REQ_TRIPLE_FAULT, .serve = serve_triple_fault },
	{ REQ_IOAPIC_EOI, .serve = irq_ioapic_eoi_to_user },
	{ REQ_STEAL_TIME, steal_time_record },
	{ REQ_NMI, inject_nmi_collect },
	{ REQ_EOI_BITMAP, irq_eoi_bitmap_update },
	{ REQ_APICV, irq_apicv_refresh },
	{ REQ_MSR_FILTER, msr_intercepts },
	{ REQ_CONTROLS, serve_controls },
};

static int serve_requests(struct vcpu *vcpu)
{
	int i, next;

	if (!READ_ONCE(vcpu->requests))
		return RESUME;
	for (i = 0; i < ARRAY_SIZE(request_order); i++) {
		if (!vcpu_take_request(vcpu, request_order[i].req))
			continue;
		if (request_order[i].call) {
			request_order[i].call(vcpu);
			continue;
		}
		next = request_order[i].serve(vcpu);
		if (next != RESUME) {
			vcpu->stats.request_exits++;
			return next;
		}
	}
	vcpu_take_request(vcpu, REQ_UNHALT);
	vcpu_take_request(vcpu, REQ_PML_DRAIN);
	return RESUME;
}

static int serve_events(struct vcpu *vcpu)
{
	int next;

	if (!test_bit(REQ_EVENT, &vcpu->requests) && !vcpu->run->request_interrupt_window)
		return RESUME;
	lapic_sync_exit(vcpu);	/* an EOI found there asks for the look that follows */
	vcpu_take_request(vcpu, REQ_EVENT);
	next = irq_accept_init_sipi(vcpu);
	if (next != RESUME || halt_wanted(vcpu))
		return next;
	if (unlikely(!vcpu->vm->mmu.any_mode) && interpret_wanted(vcpu)) {
		srcu_leave(vcpu);	/* a guest that stays there must not keep writers waiting */
		srcu_enter(vcpu);
		return interpret(vcpu);
	}
	return inject_events(vcpu);
}

/*
 * Interrupts off. Publish that we are about to enter, then look once more whether anybody wants
 * something: who sets a request after this look sees IN_GUEST and interrupts this CPU.
 */
static bool enter_begin(struct vcpu *vcpu)
{
	smp_store_mb(vcpu->mode, VCPU_IN_GUEST);
	if (vcpu->irq.apicv || unlikely(READ_ONCE(vcpu->vm->irq.ir.posts)))
		backend_call(apicv_sync)(vcpu);
	return !stay_unwanted(vcpu) && !compat_immediate_exit(vcpu->run);
}

/* Return: there is an exit to handle, which needs more than interrupts-off code can do. */
static bool enter_guest(struct vcpu *vcpu)
{
	u64 exits = vcpu->stats.exits;
	bool handle;

	vtime_account_guest_enter();
	xstate_enter(vcpu);
	dr_enter(vcpu);
	handle = backend_call(enter)(vcpu);
	vcpu->stats.fast_exits += vcpu->stats.exits - exits - handle;
	compat_guest_ran();
	dr_exit_guest(vcpu);
	xstate_exit(vcpu);
	backend_call(host_events)(vcpu);
	vtime_account_guest_exit();
	return handle;
}

/* Requests, events, one stay in the guest, the exit that ended it. */
static int run_once(struct vcpu *vcpu)
{
	bool handle = false;
	int next = serve_requests(vcpu);

	if (next == RESUME)
		next = serve_events(vcpu);
	if (next != RESUME || halt_wanted(vcpu))
		return next;

	preempt_disable();
	if (unlikely(!this_cpu_read(virt_on))) {
		preempt_enable();
		return -EIO;	/* this CPU could not be switched on, or the machine is going down */
	}
	local_irq_disable();
	if (enter_begin(vcpu)) {
		srcu_leave(vcpu);
		handle = enter_guest(vcpu);
		srcu_enter(vcpu);
	}
	smp_store_release(&vcpu->mode, VCPU_OUTSIDE);
	local_irq_enable();
	preempt_enable();
	return handle ? exit_handle(vcpu, &vcpu->exit) : RESUME;
}

static int interrupted(struct vcpu *vcpu)
{
	vcpu->run->exit_reason = KVM_EXIT_INTR;
	vcpu->stats.signal_exits++;
	return -EINTR;
}

/* Signals, rescheduling, rseq: the thread's own business. May sleep. */
static int thread_work(struct vcpu *vcpu)
{
	int ret = 0;

	if (__xfer_to_guest_mode_work_pending()) {
		srcu_leave(vcpu);
		ret = compat_handle_guest_work();
		srcu_enter(vcpu);
	}
	if (ret || compat_immediate_exit(vcpu->run))
		return interrupted(vcpu);
	return RESUME;
}

static int stay_halted(struct vcpu *vcpu)
{
	int next;

	srcu_leave(vcpu);
	next = halt_wait(vcpu);
	srcu_enter(vcpu);
	if (next == -EINTR)
		return interrupted(vcpu);
	if (next == RESUME && vcpu_take_request(vcpu, REQ_EVENT)) {
		next = irq_accept_init_sipi(vcpu);
		vcpu_request(vcpu, REQ_EVENT);
	}
	return next;
}

static int run_loop(struct vcpu *vcpu)
{
	int next;

	for (;;) {
		next = halt_wanted(vcpu) ? stay_halted(vcpu) : run_once(vcpu);
		if (next != RESUME)
			return next;
		if (irq_window_exit_wanted(vcpu)) {
			vcpu->run->exit_reason = KVM_EXIT_IRQ_WINDOW_OPEN;
			return TO_USER;
		}
		next = thread_work(vcpu);
		if (next != RESUME)
			return next;
	}
}

static int complete_last_exit(struct vcpu *vcpu)
{
	int (*complete)(struct vcpu *vcpu) = vcpu->complete;

	vcpu->complete = NULL;
	return complete ? complete(vcpu) : RESUME;
}

static int run_with_fpu(struct vcpu *vcpu)
{
	int next;

	/* Never started: wait here for INIT and SIPI; the thread is then told to call again. */
	if (vcpu->irq.mp_state == KVM_MP_STATE_UNINITIALIZED) {
		next = stay_halted(vcpu);
		return next == RESUME ? -EAGAIN : next;
	}
	next = complete_last_exit(vcpu);
	if (next != RESUME)
		return next;
	if (compat_immediate_exit(vcpu->run))
		return -EINTR;
	return run_loop(vcpu);
}

static int run_locked(struct vcpu *vcpu)
{
	int next = irq_run_begin(vcpu);

	if (next)
		return next;
	if (compat_immediate_exit(vcpu->run) && !vcpu->complete)
		return -EINTR;
	xstate_load_guest(vcpu);
	vcpu->in_run = true;
	next = run_with_fpu(vcpu);
	vcpu->in_run = false;
	xstate_put_guest(vcpu);
	return next;
}

static void remember_thread(struct vcpu *vcpu)
{
	struct pid *old = rcu_dereference_protected(vcpu->pid, lockdep_is_held(&vcpu->lock));
	struct pid *new = task_pid(current);

	if (likely(old == new))
		return;
	rcu_assign_pointer(vcpu->pid, get_pid(new));
	if (old) {
		synchronize_rcu();
		put_pid(old);
	}
}

int run_vcpu(struct vcpu *vcpu)
{
	int next;

	if (READ_ONCE(vcpu->vm->dead))
		return -EIO;
	remember_thread(vcpu);
	vcpu->arch.has_run = true;
	srcu_enter(vcpu);

	next = run_locked(vcpu);

	irq_run_end(vcpu);
	srcu_leave(vcpu);
	vcpu->stats.user_exits++;
	return next == TO_USER ? 0 : next;
}
