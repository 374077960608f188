// SPDX-License-Identifier: GPL-2.0-only
/* INIT, SIPI, HLT and what ends it. */
#include <linux/sched/signal.h>
#include "world.h"

static struct vcpu *v;

static void start(void)
{
	world_start(IRQCHIP_KERNEL, 2);
	v = world_vcpu(1);
	v->regs.rflags = X86_EFLAGS_IF | 2;
	v->irq.poll_ns = 0;
	world_reg_write(1, APIC_SPIV, 0x1ff);
}

static u32 state(void)
{
	struct kvm_mp_state mp = { .mp_state = 99 };

	EXPECT_EQ(mp_state_get(v, &mp), 0);
	return mp.mp_state;
}

static int set_state(u32 s)
{
	struct kvm_mp_state mp = { .mp_state = s };

	return mp_state_set(v, &mp);
}

static void init_and_sipi(void)
{
	start();
	EXPECT_EQ(world_vcpu(0)->irq.mp_state, KVM_MP_STATE_RUNNABLE);
	EXPECT_EQ(state(), KVM_MP_STATE_UNINITIALIZED);
	mp_state_sipi_signal(v, 0x9a);			/* before INIT: dropped */
	EXPECT(halt_runnable(v));
	EXPECT_EQ(irq_accept_init_sipi(v), RESUME);
	EXPECT_EQ(state(), KVM_MP_STATE_UNINITIALIZED);
	mp_state_init_signal(v);
	EXPECT(halt_runnable(v));
	EXPECT_EQ(irq_accept_init_sipi(v), RESUME);
	EXPECT_EQ(world.resets, 1);
	EXPECT_EQ(v->irq.mp_state, KVM_MP_STATE_INIT_RECEIVED);
	EXPECT(!halt_runnable(v));
	mp_state_sipi_signal(v, 0x9a);
	EXPECT_EQ(irq_accept_init_sipi(v), RESUME);
	EXPECT_EQ(v->irq.mp_state, KVM_MP_STATE_RUNNABLE);
	EXPECT_EQ(v->regs.segs[SEG_CS].selector, 0x9a00);
	EXPECT_EQ(v->regs.segs[SEG_CS].base, 0x9a000);
	EXPECT_EQ(v->regs.rip, 0);
	mp_state_sipi_signal(v, 0x12);			/* running: dropped */
	EXPECT_EQ(irq_accept_init_sipi(v), RESUME);
	EXPECT_EQ(v->regs.segs[SEG_CS].selector, 0x9a00);
	/* both at once, as fast senders do */
	mp_state_init_signal(v);
	mp_state_sipi_signal(v, 0x34);
	EXPECT_EQ(state(), KVM_MP_STATE_RUNNABLE);
	EXPECT_EQ(v->regs.segs[SEG_CS].selector, 0x3400);
	v = world_vcpu(0);				/* the boot processor starts by itself */
	mp_state_init_signal(v);
	EXPECT_EQ(state(), KVM_MP_STATE_RUNNABLE);
	EXPECT_EQ(world.resets, 3);
	world_end();
}

static void user_rules(void)
{
	static const struct {
		u32 state;
		int with, without;
	} table[] = {
		{ KVM_MP_STATE_RUNNABLE, 0, 0 }, { KVM_MP_STATE_UNINITIALIZED, 0, -EINVAL },
		{ KVM_MP_STATE_INIT_RECEIVED, 0, -EINVAL }, { KVM_MP_STATE_HALTED, 0, -EINVAL },
		{ KVM_MP_STATE_SIPI_RECEIVED, 0, -EINVAL },
		{ KVM_MP_STATE_AP_RESET_HOLD, 0, -EINVAL },
		{ KVM_MP_STATE_STOPPED, -EINVAL, -EINVAL }, { 10, -EINVAL, -EINVAL },
		{ ~0u, -EINVAL, -EINVAL },
	};
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(table); i++) {
		start();
		EXPECT_EQ(set_state(table[i].state), table[i].with);
		world_end();
		world_start(IRQCHIP_NONE, 1);
		v = world_vcpu(0);
		EXPECT_EQ(state(), KVM_MP_STATE_RUNNABLE);
		EXPECT_EQ(set_state(table[i].state), table[i].without);
		world_end();
	}
	start();
	v->irq.sipi_vector = 0x20;
	EXPECT_EQ(set_state(KVM_MP_STATE_SIPI_RECEIVED), 0);
	EXPECT_EQ(state(), KVM_MP_STATE_RUNNABLE);
	EXPECT_EQ(v->regs.segs[SEG_CS].base, 0x20000);
	EXPECT_EQ(set_state(KVM_MP_STATE_HALTED), 0);
	EXPECT_EQ(state(), KVM_MP_STATE_HALTED);
	v->arch.pv_unhalted = true;
	EXPECT_EQ(state(), KVM_MP_STATE_RUNNABLE);
	world_end();
}

static void halt(void)
{
	struct vcpu_exit exit = { .kind = EXIT_HLT };

	v->irq.mp_state = KVM_MP_STATE_RUNNABLE;
	EXPECT_EQ(hlt_exit(v, &exit), RESUME);
	EXPECT_EQ(v->irq.mp_state, KVM_MP_STATE_HALTED);
	v->requests = 0;
}

static void hlt_without_lapic(void)
{
	struct vcpu_exit exit = { .kind = EXIT_HLT };

	world_start(IRQCHIP_NONE, 1);
	v = world_vcpu(0);
	v->regs.rip = 10;
	EXPECT_EQ(hlt_exit(v, &exit), TO_USER);
	EXPECT_EQ(v->run->exit_reason, KVM_EXIT_HLT);
	EXPECT_EQ(v->regs.rip, 11);
	EXPECT_EQ(v->irq.mp_state, KVM_MP_STATE_RUNNABLE);
	world_end();
}

static void what_ends_a_halt(void)
{
	start();
	halt();
	EXPECT(!halt_runnable(v));
	lapic_post(v->irq.lapic, 0x41, false);
	EXPECT(halt_runnable(v));
	v->regs.rflags = 2;
	EXPECT(!halt_runnable(v));
	inject_nmi(v);
	EXPECT(halt_runnable(v));
	v->regs.shadow = SHADOW_NMI;
	EXPECT(!halt_runnable(v));
	v->arch.pv_unhalted = true;
	EXPECT(halt_runnable(v));
	v->arch.pv_unhalted = false;
	mp_state_sipi_signal(v, 1);
	EXPECT(!halt_runnable(v));		/* SIPI does not, INIT does */
	mp_state_init_signal(v);
	EXPECT(halt_runnable(v));
	v->irq.init_sipi = 0;
	EXPECT(!halt_runnable(v));
	vcpu_request(v, REQ_TRIPLE_FAULT);
	EXPECT(halt_runnable(v));
	v->requests = 0;
	EXPECT(!halt_runnable(v));
	vcpu_request(v, REQ_UNHALT);
	EXPECT(halt_runnable(v));
	world_end();
}

static void post_interrupt(void)
{
	world_advance(1000);
	lapic_post(v->irq.lapic, 0x41, false);
}

static void wait_wakes(void)
{
	start();
	halt();
	world.on_sleep = post_interrupt;
	EXPECT_EQ(halt_wait(v), RESUME);
	EXPECT_EQ(v->irq.mp_state, KVM_MP_STATE_RUNNABLE);
	EXPECT(test_bit(REQ_EVENT, &v->requests));
	EXPECT_EQ(v->stats.halt_wakeups, 1);
	EXPECT(v->irq.poll_ns > 0);		/* a short wait: poll for the next one */
	world_end();
}

static void post_nmi(void)
{
	inject_nmi(v);
}

static void post_extint(void)
{
	post_interrupt();
	v->irq.user_irq = 0x77;
}

static void post_init(void)
{
	mp_state_init_signal(v);
	v->requests = 0;
}

static bool woken_looks_for_events(void (*waker)(void))
{
	bool looks;

	start();
	caps.apicv = true;
	v->irq.apicv = true;
	world_reg_write(1, APIC_LVT0, LAPIC_EXTINT << 8);
	halt();
	world.on_sleep = waker;
	EXPECT_EQ(halt_wait(v), RESUME);
	looks = test_bit(REQ_EVENT, &v->requests);
	world_end();
	return looks;
}

/* What the hardware delivers by itself needs no look at events, everything else does. */
static void apicv_wakes_without_a_look(void)
{
	EXPECT(!woken_looks_for_events(post_interrupt));
	EXPECT(woken_looks_for_events(post_nmi));
	EXPECT(woken_looks_for_events(post_extint));
	EXPECT(woken_looks_for_events(post_init));
}

static void pass_time(void)
{
	world_advance(1000000);
}

static void wait_for_timer(void)
{
	start();
	world_reg_write(1, APIC_LVTT, 2 << 17 | 0xec);
	caps.timer = true;
	v->cpu = 0;
	v->irq.mp_state = KVM_MP_STATE_RUNNABLE;
	lapic_deadline_set(v, world.tsc + 10000000);
	EXPECT(v->irq.lapic->timer.in_hw);
	halt();
	world.on_sleep = pass_time;
	EXPECT_EQ(halt_wait(v), RESUME);
	EXPECT_EQ(lapic_ack(v->irq.lapic), 0xec);
	EXPECT_EQ(v->irq.poll_ns, 0);		/* a long wait: no polling */
	world_end();
}

/* The alarm rings on time, but the thread runs 30 us later. */
static void sleep_late(void)
{
	struct hrtimer *alarm = &v->irq.lapic->timer.hrtimer;

	if (alarm->expires > shim_now)
		world_advance(alarm->expires - shim_now);
	shim_now += 30000;
	world.tsc += 30000;
}

static void late_wakeups_are_made_up_for(void)
{
	u64 deadline, late = 0;
	int i;

	start();
	world_reg_write(1, APIC_LVTT, 2 << 17 | 0xec);
	world.on_sleep = sleep_late;
	for (i = 0; i < 30; i++) {
		v->irq.mp_state = KVM_MP_STATE_RUNNABLE;
		deadline = world.tsc + 1000000;
		lapic_deadline_set(v, deadline);
		halt();
		EXPECT_EQ(halt_wait(v), RESUME);
		EXPECT(world.tsc >= deadline);		/* never too early */
		late = world.tsc - deadline;
		EXPECT(i || late > 20000);
		EXPECT_EQ(lapic_ack(v->irq.lapic), 0xec);
		lapic_eoi(v->irq.lapic);
	}
	EXPECT(late < 2000);
	world_end();
}

/* Woken early by something else, with the timer still to come; and a TSC set back in the sleep. */
static void early_alarm_is_not_an_early_timer(void)
{
	u64 deadline;

	start();
	world_reg_write(1, APIC_LVTT, 2 << 17 | 0xec);
	v->irq.lapic->timer.advance_ns = 50000;
	v->irq.mp_state = KVM_MP_STATE_RUNNABLE;
	deadline = world.tsc + 1000000;
	lapic_deadline_set(v, deadline);
	halt();
	world.on_sleep = post_interrupt;
	EXPECT_EQ(halt_wait(v), RESUME);
	EXPECT(world.tsc < deadline);
	world_advance(deadline - world.tsc - 1);
	EXPECT(!lapic_timer_pending(v));
	world_advance(1);
	EXPECT(lapic_timer_pending(v));
	world_serve(v);
	lapic_deadline_set(v, world.tsc + 1000000);
	halt();
	lapic_timer_block(v);
	world_advance(960000);
	EXPECT(lapic_timer_pending(v));
	world.tsc -= 500000;
	lapic_timer_serve(v);
	EXPECT(v->irq.lapic->timer.hrtimer.active);	/* set again */
	EXPECT(lapic_deadline_get(v));
	world_end();
}

static void wait_gives_up(void)
{
	start();
	halt();
	EXPECT_EQ(halt_wait(v), -EINTR);	/* a signal */
	EXPECT_EQ(v->irq.mp_state, KVM_MP_STATE_HALTED);
	shim_signal = false;
	v->run->immediate_exit = 1;
	EXPECT_EQ(halt_wait(v), -EINTR);
	v->run->immediate_exit = 0;
	vcpu_request(v, REQ_DEAD);
	EXPECT_EQ(halt_wait(v), -EIO);
	v->requests = 0;
	v->irq.mp_state = KVM_MP_STATE_INIT_RECEIVED;
	mp_state_sipi_signal(v, 0x10);
	EXPECT_EQ(halt_wait(v), RESUME);
	EXPECT_EQ(v->irq.mp_state, KVM_MP_STATE_INIT_RECEIVED);	/* REQ_EVENT accepts it */
	EXPECT(test_bit(REQ_EVENT, &v->requests));
	world_end();
}

static const struct ktap_case cases[] = {
	{ "INIT and SIPI", init_and_sipi },
	{ "KVM_GET_MP_STATE, KVM_SET_MP_STATE", user_rules },
	{ "HLT without a LAPIC", hlt_without_lapic },
	{ "what ends a halt", what_ends_a_halt },
	{ "waiting and waking", wait_wakes },
	{ "APICv: an interrupt ends a halt by itself", apicv_wakes_without_a_look },
	{ "waiting for the timer", wait_for_timer },
	{ "late wake-ups are made up for", late_wakeups_are_made_up_for },
	{ "an early alarm is not an early timer", early_alarm_is_not_an_early_timer },
	{ "signals, immediate_exit, death", wait_gives_up },
};

int main(void)
{
	return ktap_run(cases, ARRAY_SIZE(cases));
}
