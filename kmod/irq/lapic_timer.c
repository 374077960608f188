// SPDX-License-Identifier: GPL-2.0-only
/*
 * The LAPIC timer. Its counter runs at 1 GHz divided by TDCR; in TSC-deadline mode it compares
 * the guest's TSC. The backend's timer costs nothing while the guest runs but stands still
 * otherwise, so a halted vCPU always waits on an hrtimer; the backend keeps what it has.
 */
#include <linux/hrtimer.h>
#include <linux/math64.h>
#include "vm.h"
#include "backend.h"
#include "cpu/tsc.h"
#include "irq/lapic_timer.h"

#define MIN_PERIOD_NS	200000		/* a guest must not flood the host with timer interrupts */
#define ADVANCE_NS	1000		/* at first */
#define ADVANCE_MAX_NS	100000

static u32 tdcr_divisor(u32 tdcr)
{
	return 1u << ((((tdcr & 3) | (tdcr & 8) >> 1) + 1) & 7);
}

static u64 count_to_ns(const struct lapic *lapic, u32 count)
{
	return (u64)count * lapic->timer.divisor;
}

static void hw_off(struct lapic *lapic)
{
	if (lapic->timer.in_hw)
		backend_call(timer_set)(lapic->vcpu, ~0ull);
	lapic->timer.in_hw = false;
}

/* Returns whether it has expired and no interrupt was made of that yet. */
static bool disarm(struct lapic *lapic)
{
	if (lapic->timer.armed && (!lapic->timer.in_hw || lapic->timer.early))
		hrtimer_cancel(&lapic->timer.hrtimer);
	hw_off(lapic);
	lapic->timer.armed = false;
	return atomic_read(&lapic->timer.fired) && atomic_xchg(&lapic->timer.fired, 0);
}

/* Such an expiry is not forgotten when the timer is set again. */
static void stop(struct lapic *lapic)
{
	if (disarm(lapic))
		lapic_local(lapic, APIC_LVTT);
}

/* How long ago it expired; negative: not yet. */
static s64 late_ns(const struct lapic *lapic)
{
	u64 now, deadline = lapic->timer.deadline;

	if (lapic->timer.mode != LAPIC_DEADLINE)
		return ktime_get() - lapic->timer.target;
	now = tsc_guest_now(lapic->vcpu);
	if (now >= deadline)
		return tsc_to_ns(lapic->vcpu, now - deadline);
	return -(s64)min_t(u64, tsc_to_ns(lapic->vcpu, deadline - now), KTIME_MAX);
}

static bool expired(const struct lapic *lapic)
{
	if (lapic->timer.mode == LAPIC_DEADLINE)
		return tsc_guest_now(lapic->vcpu) >= lapic->timer.deadline;
	return ktime_get() >= lapic->timer.target;
}

static ktime_t expiry_time(const struct lapic *lapic)
{
	ktime_t now;

	if (lapic->timer.mode != LAPIC_DEADLINE)
		return lapic->timer.target;
	now = ktime_get();
	return now + clamp_t(s64, -late_ns(lapic), 0, KTIME_MAX - now);
}

static u64 expiry_tsc(const struct lapic *lapic)
{
	u64 left_ns;

	if (lapic->timer.mode == LAPIC_DEADLINE)
		return lapic->timer.deadline;
	left_ns = max_t(s64, -late_ns(lapic), 0);
	return tsc_guest_now(lapic->vcpu) + tsc_from_ns(lapic->vcpu, left_ns);
}

static bool hw_usable(const struct lapic *lapic)
{
	return caps.timer && lapic->vcpu->cpu >= 0 && lapic->vcpu->irq.mp_state == KVM_MP_STATE_RUNNABLE;
}

/* Of a deadline in the upper half of the counter's range a difference does not tell if it is past. */
static bool hw_set(const struct lapic *lapic, u64 guest_tsc)
{
	return (s64)guest_tsc > 0 && backend_call(timer_set)(lapic->vcpu, guest_tsc);
}

static void start(struct lapic *lapic)
{
	struct lapic_timer *t = &lapic->timer;

	t->armed = true;
	t->in_hw = hw_usable(lapic) && hw_set(lapic, expiry_tsc(lapic));
	if (!t->in_hw)
		hrtimer_start(&t->hrtimer, expiry_time(lapic), HRTIMER_MODE_ABS_HARD);
}

static enum hrtimer_restart hrtimer_fired(struct hrtimer *hrtimer)
{
	struct lapic *lapic = container_of(hrtimer, struct lapic, timer.hrtimer);

	atomic_inc(&lapic->timer.fired);
	vcpu_request_kick(lapic->vcpu, REQ_TIMER);
	return HRTIMER_NORESTART;	/* the vCPU's thread starts the next period */
}

/*
 * The period that ends next; periods missed while the vCPU did not run are one interrupt
 * together.
 */
static void next_period(struct lapic_timer *t)
{
	ktime_t now = ktime_get();

	if (t->target <= now)
		t->target += t->period_ns * (div64_u64(now - t->target, t->period_ns) + 1);
}

static void fire(struct lapic *lapic)
{
	struct lapic_timer *t = &lapic->timer;

	hw_off(lapic);
	t->armed = false;
	if (t->mode == LAPIC_DEADLINE) {
		t->deadline = 0;
	} else if (t->mode == LAPIC_PERIODIC && t->period_ns) {
		next_period(t);
		start(lapic);
	}
	lapic_local(lapic, APIC_LVTT);
}

/*
 * A halted vCPU's hrtimer is set as much too early as the last wake-ups came too late. What is left
 * of that time passes here.
 */
static void await(struct lapic *lapic)
{
	s64 late = late_ns(lapic);
	s64 advance = lapic->timer.advance_ns + late / 4;

	if (late < ADVANCE_MAX_NS && late > -ADVANCE_MAX_NS)
		lapic->timer.advance_ns = clamp_t(s64, advance, 0, ADVANCE_MAX_NS);
	while (late < 0 && late > -ADVANCE_MAX_NS) {
		cpu_relax();
		late = late_ns(lapic);
	}
}

static noinline void serve_hrtimer(struct lapic *lapic)
{
	atomic_set(&lapic->timer.fired, 0);
	if (lapic->timer.early)
		await(lapic);
	if (late_ns(lapic) > -ADVANCE_NS) {
		fire(lapic);
		return;
	}
	hw_off(lapic);
	start(lapic);	/* the guest's TSC was set back meanwhile, or another deadline set */
}

void lapic_timer_serve(struct vcpu *vcpu)
{
	struct lapic *lapic = vcpu->irq.lapic;

	if (!lapic)
		return;
	if (atomic_read(&lapic->timer.fired))
		serve_hrtimer(lapic);
	else if (lapic->timer.in_hw && expired(lapic))
		fire(lapic);
}

int lapic_timer_exit(struct vcpu *vcpu, struct vcpu_exit *exit)
{
	lapic_timer_serve(vcpu);
	return RESUME;
}

u64 lapic_deadline_get(struct vcpu *vcpu)
{
	struct lapic *lapic = vcpu->irq.lapic;

	return lapic && lapic->timer.mode == LAPIC_DEADLINE ? lapic->timer.deadline : 0;
}

/*
 * Most deadlines are the hardware's, which had the last one, or none is armed: no hrtimer is involved, and without
 * scaling the hardware does not refuse. Whoever sets one has the vCPU loaded.
 */
static __always_inline bool is_for_hw(const struct lapic *lapic, u64 guest_tsc)
{
	const struct lapic_timer *t = &lapic->timer;

	return (t->in_hw || (!t->armed && caps.timer)) && !lapic->vcpu->arch.tsc_scaled &&
	       lapic->vcpu->irq.mp_state == KVM_MP_STATE_RUNNABLE && !atomic_read(&t->fired) && (s64)guest_tsc > 0;
}

static __always_inline void hw_deadline_set(struct lapic *lapic, u64 guest_tsc)
{
	if (tsc_guest_now(lapic->vcpu) >= guest_tsc) {
		fire(lapic);
		return;
	}
	lapic->timer.deadline = guest_tsc;
	lapic->timer.armed = true;
	lapic->timer.in_hw = true;
	backend_call(timer_set)(lapic->vcpu, guest_tsc);
}

static bool waits_on_hrtimer(const struct lapic *lapic)
{
	return lapic->timer.armed && !lapic->timer.in_hw && !hw_usable(lapic) &&
	       !atomic_read(&lapic->timer.fired);
}

/*
 * An hrtimer is given another time without being stopped. Should it fire meanwhile, it is found too
 * early and started again.
 */
static noinline void deadline_set(struct lapic *lapic, u64 guest_tsc)
{
	bool past = tsc_guest_now(lapic->vcpu) >= guest_tsc;

	if (past || !waits_on_hrtimer(lapic))
		stop(lapic);
	lapic->timer.deadline = guest_tsc;
	if (!guest_tsc)
		return;
	if (past)
		fire(lapic);
	else
		start(lapic);
}

void lapic_deadline_set(struct vcpu *vcpu, u64 guest_tsc)
{
	struct lapic *lapic = vcpu->irq.lapic;

	if (!lapic || lapic->timer.mode != LAPIC_DEADLINE)
		return;
	if (likely(is_for_hw(lapic, guest_tsc)))
		hw_deadline_set(lapic, guest_tsc);
	else
		deadline_set(lapic, guest_tsc);
}

static void start_count(struct lapic *lapic, u32 first)
{
	struct lapic_timer *t = &lapic->timer;
	u64 first_ns = count_to_ns(lapic, first);

	t->period_ns = count_to_ns(lapic, lapic_reg(lapic, APIC_TMICT));
	if (t->mode == LAPIC_DEADLINE || !t->period_ns)
		return;
	if (t->mode == LAPIC_PERIODIC && t->period_ns < MIN_PERIOD_NS)
		t->period_ns = first_ns = MIN_PERIOD_NS;
	t->target = ktime_get() + first_ns;
	start(lapic);
}

void lapic_timer_count_write(struct lapic *lapic, u32 val)
{
	bool deadline = lapic->timer.mode == LAPIC_DEADLINE;

	lapic_reg_set(lapic, APIC_TMICT, deadline ? 0 : val);
	if (deadline)
		return;
	stop(lapic);
	start_count(lapic, val);
}

u32 lapic_timer_count(struct lapic *lapic)
{
	struct lapic_timer *t = &lapic->timer;
	u64 late;
	s64 left;

	if (!t->armed || t->mode == LAPIC_DEADLINE)
		return 0;
	left = t->target - ktime_get();
	if (left <= 0) {
		if (t->mode != LAPIC_PERIODIC)
			return 0;
		div64_u64_rem(-left, t->period_ns, &late);
		left = t->period_ns - late;
	}
	return div_u64(left, t->divisor);
}

void lapic_timer_divide_write(struct lapic *lapic, u32 val)
{
	u32 left = lapic_timer_count(lapic);
	bool armed = lapic->timer.armed && lapic->timer.mode != LAPIC_DEADLINE;

	lapic_reg_set(lapic, APIC_TDCR, val & 0xb);
	lapic->timer.divisor = tdcr_divisor(val);
	if (!armed)
		return;
	stop(lapic);
	start_count(lapic, left);	/* the counter keeps its value and changes its speed */
}

static enum lapic_timer_mode lvtt_mode(const struct lapic *lapic)
{
	return min_t(u32, lapic_reg(lapic, APIC_LVTT) >> 17 & 3, LAPIC_DEADLINE);
}

void lapic_timer_lvt_write(struct lapic *lapic)
{
	enum lapic_timer_mode mode = lvtt_mode(lapic), old = lapic->timer.mode;

	if (mode == old)
		return;
	/*
	 * Between one-shot and periodic the count goes on; into or out of TSC-deadline mode it is
	 * lost.
	 */
	if (mode == LAPIC_DEADLINE || old == LAPIC_DEADLINE) {
		stop(lapic);
		lapic->timer.deadline = 0;
		lapic->timer.period_ns = 0;
		lapic_reg_set(lapic, APIC_TMICT, 0);
	} else if (lapic->timer.period_ns) {
		lapic->timer.period_ns = max_t(u64, lapic->timer.period_ns, MIN_PERIOD_NS);
	}
	lapic->timer.mode = mode;
}

void lapic_timer_restore(struct lapic *lapic, u32 current_count)
{
	u32 initial = lapic_reg(lapic, APIC_TMICT);

	lapic->timer.mode = lvtt_mode(lapic);
	lapic->timer.divisor = tdcr_divisor(lapic_reg(lapic, APIC_TDCR));
	start_count(lapic, current_count && current_count < initial ? current_count : initial);
}

void lapic_timer_tsc_changed(struct vcpu *vcpu)
{
	struct lapic *lapic = vcpu->irq.lapic;

	if (!lapic || !lapic->timer.armed)
		return;
	hw_off(lapic);
	hrtimer_cancel(&lapic->timer.hrtimer);
	start(lapic);
}

void lapic_timer_block(struct vcpu *vcpu)
{
	struct lapic *lapic = vcpu->irq.lapic;
	ktime_t expiry;

	if (!lapic || !lapic->timer.armed || atomic_read(&lapic->timer.fired))
		return;
	expiry = expiry_time(lapic);
	lapic->timer.early = true;
	if (expiry != KTIME_MAX)
		expiry -= lapic->timer.advance_ns;
	hrtimer_start(&lapic->timer.hrtimer, expiry, HRTIMER_MODE_ABS_HARD);
}

void lapic_timer_unblock(struct vcpu *vcpu)
{
	struct lapic *lapic = vcpu->irq.lapic;

	if (!lapic || !lapic->timer.early)
		return;
	hrtimer_cancel(&lapic->timer.hrtimer);
	lapic_timer_serve(vcpu);	/* if it fired, then early */
	lapic->timer.early = false;
	if (lapic->timer.armed && !lapic->timer.in_hw)
		start(lapic);
}

void lapic_timer_reset(struct lapic *lapic)
{
	disarm(lapic);
	lapic->timer.mode = LAPIC_ONESHOT;
	lapic->timer.divisor = tdcr_divisor(0);
	lapic->timer.deadline = 0;
	lapic->timer.period_ns = 0;
}

void lapic_timer_init(struct lapic *lapic)
{
	hrtimer_init(&lapic->timer.hrtimer, CLOCK_MONOTONIC, HRTIMER_MODE_ABS_HARD);
	lapic->timer.hrtimer.function = hrtimer_fired;
	atomic_set(&lapic->timer.fired, 0);
	lapic->timer.advance_ns = ADVANCE_NS;
}

void lapic_timer_destroy(struct lapic *lapic)
{
	hrtimer_cancel(&lapic->timer.hrtimer);
}
