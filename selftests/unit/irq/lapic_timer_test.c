// SPDX-License-Identifier: GPL-2.0-only
/* The LAPIC timer: modes, counts, the backend's timer and the hrtimer behind it. */
#include "world.h"

#define VECTOR	0xec
#define TSC_DEADLINE_MODE	(2 << 17)
#define PERIODIC_MODE		(1 << 17)

static struct vcpu *v;

static void start(u32 mode)
{
	world_start(IRQCHIP_KERNEL, 1);
	v = world_vcpu(0);
	world_reg_write(0, APIC_SPIV, 0x1ff);
	world_reg_write(0, APIC_LVTT, mode | VECTOR);
	world_reg_write(0, APIC_TDCR, 0xb);
	v->requests = 0;
}

/* Did the timer interrupt arrive; forgets it. */
static bool fired(void)
{
	u32 bits;

	world_serve(v);
	bits = lapic_reg(world_lapic(0), APIC_IRR + 0x70);
	lapic_reg_set(world_lapic(0), APIC_IRR + 0x70, 0);
	return bits & BIT(VECTOR & 31);
}

static void divisors(void)
{
	static const u32 table[][2] = {
		{ 0, 2 }, { 1, 4 }, { 2, 8 }, { 3, 16 }, { 8, 32 }, { 9, 64 }, { 10, 128 },
		{ 11, 1 },
	};
	unsigned int i;

	start(0);
	for (i = 0; i < ARRAY_SIZE(table); i++) {
		world_reg_write(0, APIC_TDCR, table[i][0] | 0xf4);
		EXPECT_EQ(world_reg(0, APIC_TDCR), table[i][0]);
		world_reg_write(0, APIC_TMICT, 1000);
		world_advance(100 * table[i][1]);
		EXPECT_EQ(world_reg(0, APIC_TMCCT), 900);
	}
	world_end();
}

static void oneshot(void)
{
	start(0);
	world_reg_write(0, APIC_TDCR, 3);
	world_reg_write(0, APIC_TMICT, 1000);
	EXPECT_EQ(world_reg(0, APIC_TMCCT), 1000);
	world_advance(8000);
	EXPECT_EQ(world_reg(0, APIC_TMCCT), 500);
	EXPECT(!fired());
	world_advance(8000);
	EXPECT_EQ(world_reg(0, APIC_TMCCT), 0);
	EXPECT(fired());
	world_advance(100000);
	EXPECT(!fired());
	world_reg_write(0, APIC_TMICT, 1000);
	world_reg_write(0, APIC_TMICT, 0);	/* stops it */
	world_advance(100000);
	EXPECT(!fired());
	world_end();
}

static void masked_timer_counts(void)
{
	start(APIC_LVT_MASKED);
	world_reg_write(0, APIC_TMICT, 1000);
	world_advance(500);
	EXPECT_EQ(world_reg(0, APIC_TMCCT), 500);
	world_advance(500);
	EXPECT(!fired());
	world_end();
}

static void periodic(void)
{
	int i;

	start(PERIODIC_MODE);
	world_reg_write(0, APIC_TMICT, 1000000);
	for (i = 0; i < 5; i++) {
		world_advance(999999);
		EXPECT(!fired());
		world_advance(1);
		EXPECT(fired());
	}
	world_advance(3500000);		/* missed periods are one interrupt, the phase stays */
	EXPECT_EQ(world_reg(0, APIC_TMCCT), 500000);
	EXPECT(fired());
	EXPECT(!fired());
	world_advance(499999);
	EXPECT(!fired());
	world_advance(1);
	EXPECT(fired());
	world_reg_write(0, APIC_TMICT, 10);	/* a flood is slowed down */
	world_advance(199999);
	EXPECT(!fired());
	world_advance(1);
	EXPECT(fired());
	world_end();
}

static void deadline(void)
{
	start(TSC_DEADLINE_MODE);
	lapic_deadline_set(v, world.tsc + 5000);
	EXPECT_EQ(lapic_deadline_get(v), world.tsc + 5000);
	world_reg_write(0, APIC_TMICT, 77);	/* ignored */
	EXPECT_EQ(world_reg(0, APIC_TMICT), 0);
	EXPECT_EQ(world_reg(0, APIC_TMCCT), 0);
	world_advance(4999);
	EXPECT(!fired());
	world_advance(1);
	EXPECT(fired());
	EXPECT_EQ(lapic_deadline_get(v), 0);
	lapic_deadline_set(v, world.tsc - 1);	/* in the past */
	EXPECT(fired());
	lapic_deadline_set(v, world.tsc + 5000);
	lapic_deadline_set(v, 0);
	world_advance(10000);
	EXPECT(!fired());
	lapic_deadline_set(v, ~0ull);		/* further than the kernel's clock */
	world_advance(10000);
	EXPECT(!fired());
	world_end();
}

static void mode_changes(void)
{
	start(0);
	lapic_deadline_set(v, world.tsc + 10);	/* not in that mode: ignored */
	EXPECT_EQ(lapic_deadline_get(v), 0);
	world_reg_write(0, APIC_TMICT, 300000);
	world_advance(100000);
	world_reg_write(0, APIC_LVTT, PERIODIC_MODE | VECTOR);
	EXPECT_EQ(world_reg(0, APIC_TMCCT), 200000);	/* goes on */
	world_advance(200000);
	EXPECT(fired());
	world_advance(300000);
	EXPECT(fired());
	world_reg_write(0, APIC_LVTT, TSC_DEADLINE_MODE | VECTOR);
	EXPECT_EQ(world_reg(0, APIC_TMICT), 0);
	world_advance(1000000);
	EXPECT(!fired());
	lapic_deadline_set(v, world.tsc + 100);
	world_reg_write(0, APIC_LVTT, VECTOR);
	EXPECT_EQ(lapic_deadline_get(v), 0);
	world_advance(1000);
	EXPECT(!fired());
	world_reg_write(0, APIC_LVTT, TSC_DEADLINE_MODE | VECTOR);
	EXPECT_EQ(lapic_deadline_get(v), 0);	/* it does not come back */
	lapic_deadline_set(v, world.tsc + 100);
	lapic_reset(v, false);
	world_reg_write(0, APIC_SPIV, 0x1ff);
	world_reg_write(0, APIC_LVTT, TSC_DEADLINE_MODE | VECTOR);
	EXPECT_EQ(lapic_deadline_get(v), 0);
	world_end();
}

static void divide_change_while_counting(void)
{
	start(0);
	world_reg_write(0, APIC_TMICT, 1000);
	world_advance(500);
	world_reg_write(0, APIC_TDCR, 0);		/* half the speed from here */
	EXPECT_EQ(world_reg(0, APIC_TMCCT), 500);
	world_advance(999);
	EXPECT(!fired());
	world_advance(1);
	EXPECT(fired());
	world_end();
}

/* The guest sets the timer again after it expired, before its thread saw that. */
static void expiry_survives_rearming(void)
{
	start(TSC_DEADLINE_MODE);
	lapic_deadline_set(v, world.tsc + 100);
	world_advance(100);
	EXPECT(lapic_timer_pending(v));
	lapic_deadline_set(v, world.tsc + 1000);
	EXPECT(!lapic_timer_pending(v));
	EXPECT(fired());
	world_advance(1000);
	EXPECT(fired());
	world_end();
}

static void backend_timer(void)
{
	start(TSC_DEADLINE_MODE);
	caps.timer = true;
	v->cpu = 0;
	lapic_deadline_set(v, world.tsc + 5000);
	EXPECT_EQ(world.hw_timer, world.tsc + 5000);
	EXPECT(!world_lapic(0)->timer.hrtimer.active);
	lapic_timer_block(v);			/* it stands still while the guest does not run */
	EXPECT(world_lapic(0)->timer.hrtimer.active);
	lapic_timer_unblock(v);
	EXPECT(!world_lapic(0)->timer.hrtimer.active);
	EXPECT_EQ(world.hw_timer, world.tsc + 5000);
	EXPECT_EQ(world.hw_sets, 1);		/* and goes on */
	world_advance(5000);
	lapic_timer_serve(v);
	EXPECT_EQ(world.hw_timer, ~0ull);
	EXPECT(fired());
	lapic_deadline_set(v, world.tsc + 100);
	v->requests = 0;
	lapic_timer_serve(v);			/* early exit: nothing due */
	EXPECT_EQ(v->requests, 0);
	EXPECT(!fired());
	lapic_timer_block(v);
	world_advance(100);			/* expires in the halt */
	lapic_timer_unblock(v);
	EXPECT(!world_lapic(0)->timer.in_hw);
	EXPECT_EQ(world.hw_timer, ~0ull);
	EXPECT(fired());
	lapic_deadline_set(v, world.tsc + 5000);
	lapic_timer_block(v);
	lapic_timer_reset(world_lapic(0));	/* neither is left behind */
	EXPECT(!world_lapic(0)->timer.hrtimer.active);
	EXPECT_EQ(world.hw_timer, ~0ull);
	world_end();
}

/* A deadline in the place of one that an hrtimer has. */
static void hrtimer_replaced(void)
{
	start(TSC_DEADLINE_MODE);
	lapic_deadline_set(v, world.tsc + 5000);
	lapic_deadline_set(v, world.tsc + 100);		/* earlier */
	world_advance(100);
	EXPECT(fired());
	lapic_deadline_set(v, world.tsc + 100);
	lapic_deadline_set(v, world.tsc + 300);		/* later */
	world_advance(299);
	EXPECT(!fired());
	world_advance(1);
	EXPECT(fired());
	lapic_deadline_set(v, world.tsc + 100);
	world_advance(100);				/* fired, and not served yet */
	lapic_deadline_set(v, world.tsc + 5000);
	EXPECT(fired());
	world_advance(5000);
	EXPECT(fired());
	lapic_deadline_set(v, world.tsc + 5000);
	lapic_deadline_set(v, world.tsc);		/* at once */
	EXPECT(!world_lapic(0)->timer.hrtimer.active);
	EXPECT(fired());
	/* It fires while it is replaced, on another CPU. */
	lapic_deadline_set(v, world.tsc + 5000);
	atomic_set(&world_lapic(0)->timer.fired, 1);
	world_lapic(0)->timer.hrtimer.active = false;
	vcpu_request(v, REQ_TIMER);
	EXPECT(!fired());
	EXPECT(world_lapic(0)->timer.hrtimer.active);
	world_end();
}

/* A deadline in the place of one that the hardware has; and one that it must not keep. */
static void backend_timer_replaced(void)
{
	start(TSC_DEADLINE_MODE);
	caps.timer = true;
	v->cpu = 0;
	lapic_deadline_set(v, world.tsc + 5000);
	lapic_deadline_set(v, world.tsc + 100);		/* earlier */
	EXPECT_EQ(world.hw_timer, world.tsc + 100);
	EXPECT_EQ(lapic_deadline_get(v), world.tsc + 100);
	lapic_deadline_set(v, world.tsc + 300);		/* later */
	world_advance(299);
	lapic_timer_serve(v);
	EXPECT(!fired());
	world_advance(1);
	lapic_timer_serve(v);
	EXPECT(fired());
	lapic_deadline_set(v, world.tsc + 5000);
	lapic_deadline_set(v, world.tsc - 1);		/* in the past */
	EXPECT(fired());
	EXPECT_EQ(world.hw_timer, ~0ull);
	lapic_deadline_set(v, world.tsc + 5000);
	lapic_deadline_set(v, ~1ull);			/* as good as never, and not past */
	EXPECT(!world_lapic(0)->timer.in_hw);
	EXPECT(world_lapic(0)->timer.hrtimer.active);
	lapic_deadline_set(v, 1ull << 63);
	EXPECT(!world_lapic(0)->timer.in_hw);
	lapic_deadline_set(v, world.tsc + 5000);
	EXPECT(world_lapic(0)->timer.in_hw);
	lapic_deadline_set(v, 0);			/* none */
	EXPECT_EQ(world.hw_timer, ~0ull);
	world_advance(10000);
	lapic_timer_serve(v);
	EXPECT(!fired());
	world_end();
}

static void tsc_jump(void)
{
	start(TSC_DEADLINE_MODE);
	lapic_deadline_set(v, world.tsc + 5000);
	world.tsc += 4000;
	lapic_timer_tsc_changed(v);
	world_advance(1000);
	EXPECT(fired());
	world_end();
}

static void restored(void)
{
	struct kvm_lapic_state state;

	start(PERIODIC_MODE);
	world_reg_write(0, APIC_TMICT, 1000000);
	world_advance(300000);
	EXPECT_EQ(lapic_to_user(v, &state), 0);
	EXPECT_EQ(*(u32 *)(state.regs + APIC_TMCCT), 700000);
	world_advance(10000000);
	lapic_reset(v, false);
	EXPECT_EQ(lapic_from_user(v, &state), 0);
	world_advance(699999);
	EXPECT(!fired());
	world_advance(1);
	EXPECT(fired());
	world_advance(1000000);
	EXPECT(fired());
	lapic_reset(v, true);
	world_advance(10000000);
	EXPECT(!fired());
	world_end();
}

static const struct ktap_case cases[] = {
	{ "divisors", divisors },
	{ "one-shot", oneshot },
	{ "a masked timer counts", masked_timer_counts },
	{ "periodic, missed periods, floods", periodic },
	{ "TSC deadline", deadline },
	{ "mode changes", mode_changes },
	{ "divisor changed while counting", divide_change_while_counting },
	{ "an expiry survives re-arming", expiry_survives_rearming },
	{ "backend's timer, hrtimer around a halt", backend_timer },
	{ "a deadline replaces one of an hrtimer", hrtimer_replaced },
	{ "a deadline replaced in the backend's timer", backend_timer_replaced },
	{ "the guest's TSC jumps", tsc_jump },
	{ "saved, reset, restored", restored },
};

int main(void)
{
	return ktap_run(cases, ARRAY_SIZE(cases));
}
