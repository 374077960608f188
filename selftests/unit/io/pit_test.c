// SPDX-License-Identifier: GPL-2.0-only
/*
 * The 8254. Catches: counters that run at the wrong rate or read torn, ticks lost or doubled by reinjection, state that
 * does not survive KVM_GET_PIT2 and KVM_SET_PIT2.
 */
#include <linux/workqueue.h>
#include "world.h"

#define TICK_NS		(1000000000ull / 1193182)

static void start(u32 flags)
{
	struct kvm_pit_config config = { .flags = flags };

	world_start(IRQCHIP_KERNEL);
	EXPECT_EQ(route_set_default(&world.vm), 0);
	mutex_lock(&world.vm.lock);
	EXPECT_EQ(pit_create(&world.vm, &config), 0);
	mutex_unlock(&world.vm.lock);
}

static void end(void)
{
	world_end();
	shim_hrtimer = NULL;
}

static void load(unsigned int channel, unsigned int mode, u16 count)
{
	EXPECT_EQ(port_out(0x43, 1, channel << 6 | 3 << 4 | mode << 1), 0);
	EXPECT_EQ(port_out(0x40 + channel, 1, count & 0xff), 0);
	EXPECT_EQ(port_out(0x40 + channel, 1, count >> 8), 0);
}

static u16 counter(unsigned int channel)
{
	u16 low;

	port_out(0x43, 1, channel << 6);
	low = port_in(0x40 + channel, 1);
	return low | port_in(0x40 + channel, 1) << 8;
}

static void ack(void)
{
	route_acked(&world.vm, KVM_IRQCHIP_PIC_MASTER, 0);
	while (shim_work_run())
		;
}

static void creation(void)
{
	struct kvm_pit_config config = { .flags = 2 };
	struct kvm_pit_state2 state;

	world_start(IRQCHIP_SPLIT);
	EXPECT_EQ(pit_to_user(&world.vm, &state), -ENXIO);
	EXPECT_EQ(pit_create(&world.vm, &config), -EINVAL);
	config.flags = 0;
	EXPECT_EQ(pit_create(&world.vm, &config), -ENOENT);
	world.vm.irq.pic = (void *)&world;
	shim_fail_after = 0;
	EXPECT_EQ(pit_create(&world.vm, &config), -ENOMEM);
	shim_fail_after = 1;
	EXPECT_EQ(pit_create(&world.vm, &config), -ENOMEM);
	shim_fail_after = -1;
	EXPECT_EQ(port_in(0x40, 1), ~0u);
	EXPECT_EQ(pit_create(&world.vm, &config), 0);
	EXPECT_EQ(pit_create(&world.vm, &config), -EEXIST);
	EXPECT_EQ(port_in(0x61, 1), ~0u);	/* the speaker only on request */
	world_end();
}

static void reset_state(void)
{
	struct kvm_pit_state2 state;

	start(0);
	EXPECT_EQ(pit_to_user(&world.vm, &state), 0);
	EXPECT_EQ(state.channels[0].count, 0x10000);
	EXPECT_EQ(state.channels[0].gate, 1);
	EXPECT_EQ(state.channels[2].gate, 0);
	world_advance(1000000000);
	EXPECT_EQ(world.pic_raised, 0);
	end();
}

static void counts_down(void)
{
	u16 value;

	start(0);
	load(2, 0, 0x8000);
	world_advance(1000 * TICK_NS + 1000);
	value = counter(2);
	EXPECT(value <= 0x8000 - 998 && value >= 0x8000 - 1002);
	load(2, 2, 1000);
	world_advance(10500 * TICK_NS);
	value = counter(2);
	EXPECT(value > 480 && value < 530);
	load(2, 3, 1000);			/* by two */
	world_advance(10250 * TICK_NS);
	value = counter(2);
	EXPECT(value > 470 && value < 560);
	end();
}

/* A latched count stays until it is read; a second latch command does not replace it. */
static void latches(void)
{
	u16 value;

	start(0);
	load(2, 0, 0xffff);
	world_advance(300 * TICK_NS);
	port_out(0x43, 1, 0x80);
	value = port_in(0x42, 1);
	world_advance(10000 * TICK_NS);
	port_out(0x43, 1, 0x80);
	value |= port_in(0x42, 1) << 8;
	EXPECT(value > 0xffff - 310 && value < 0xffff - 290);
	EXPECT(counter(2) < 0xffff - 10200);
	port_out(0x43, 1, 0xe8);		/* read back: status of channel 2 */
	EXPECT_EQ(port_in(0x42, 1), 0x30);	/* output low, both bytes, mode 0 */
	world_advance(70000 * TICK_NS);
	port_out(0x43, 1, 0xe8);
	EXPECT_EQ(port_in(0x42, 1), 0xb0);
	EXPECT_EQ(port_in(0x43, 1), 0);
	end();
}

static void single_bytes(void)
{
	start(0);
	port_out(0x43, 1, 0x90);		/* low byte only, mode 0 */
	port_out(0x42, 1, 0x80);
	EXPECT_EQ(port_in(0x42, 1), 0x80);
	port_out(0x43, 1, 0xa0);		/* high byte only */
	port_out(0x42, 1, 0x12);
	EXPECT_EQ(port_in(0x42, 1), 0x12);
	end();
}

static void one_shot(void)
{
	start(0);
	load(0, 0, 1000);
	world_advance(999 * TICK_NS);
	EXPECT_EQ(world.pic_raised, 0);
	world_advance(3 * TICK_NS);
	EXPECT_EQ(world.pic_raised, 1);
	EXPECT_EQ(world.pic_level & 1, 0);	/* an edge: down again */
	ack();
	world_advance(1000000000);
	EXPECT_EQ(world.pic_raised, 1);
	end();
}

static void periodic_acked(void)
{
	int i;

	start(0);
	load(0, 2, 11932);			/* 100 Hz */
	for (i = 0; i < 100; i++) {
		world_advance(10000000);
		ack();
	}
	EXPECT(world.pic_raised >= 99 && world.pic_raised <= 100);
	end();
}

/* A guest that is late gets every tick, one acknowledgement after the other. */
static void periodic_late(void)
{
	int i;

	start(0);
	load(0, 2, 11932);
	world_advance(105000000);		/* ten ticks */
	EXPECT_EQ(world.pic_raised, 1);
	for (i = 0; i < 20; i++)
		ack();
	EXPECT_EQ(world.pic_raised, 10);
	world_advance(105000000);
	EXPECT_EQ(world.pic_raised, 11);
	route_unmasked(&world.vm, KVM_IRQCHIP_IOAPIC, 0);	/* forgets the rest */
	world_advance(10000000);
	EXPECT_EQ(world.pic_raised, 12);
	ack();
	EXPECT_EQ(world.pic_raised, 12);
	end();
}

static void without_reinjection(void)
{
	struct kvm_reinject_control off = {}, on = { .pit_reinject = 1 };

	start(0);
	EXPECT_EQ(pit_reinject(&world.vm, &off), 0);
	EXPECT_EQ(pit_reinject(&world.vm, &off), 0);
	EXPECT(!route_has_ack(&world.vm, KVM_IRQCHIP_IOAPIC, 0));
	load(0, 2, 11932);
	world_advance(105000000);
	EXPECT_EQ(world.pic_raised, 10);
	EXPECT_EQ(pit_reinject(&world.vm, &on), 0);
	EXPECT(route_has_ack(&world.vm, KVM_IRQCHIP_IOAPIC, 0));
	end();
}

static void no_flood(void)
{
	struct kvm_reinject_control off = {};

	start(0);
	EXPECT_EQ(pit_reinject(&world.vm, &off), 0);
	load(0, 2, 2);
	world_advance(10000000);
	EXPECT(world.pic_raised <= 51);
	end();
}

static void speaker(void)
{
	u32 a, b;

	start(KVM_PIT_SPEAKER_DUMMY);
	EXPECT_EQ(port_in(0x61, 1) & 0x23, 0);
	port_out(0x61, 1, 3);
	load(2, 3, 1000);
	EXPECT_EQ(port_in(0x61, 1) & 0x23, 0x23);
	world_advance(600 * TICK_NS);
	EXPECT_EQ(port_in(0x61, 1) & 0x23, 0x03);
	a = port_in(0x61, 1) & 0x10;
	world_advance(16384);
	b = port_in(0x61, 1) & 0x10;
	EXPECT(a != b);
	port_out(0x61, 1, 0);
	EXPECT_EQ(port_in(0x61, 1) & 3, 0);
	end();
}

static void save_and_restore(void)
{
	struct kvm_pit_state2 state;

	start(KVM_PIT_SPEAKER_DUMMY);
	load(0, 2, 11932);
	load(2, 3, 500);
	port_out(0x61, 1, 3);
	port_out(0x43, 1, 0x80);
	EXPECT_EQ(pit_to_user(&world.vm, &state), 0);
	end();
	start(KVM_PIT_SPEAKER_DUMMY);
	EXPECT_EQ(pit_from_user(&world.vm, &state), 0);
	EXPECT_EQ(port_in(0x61, 1) & 3, 3);
	world_advance(10500000);
	EXPECT_EQ(world.pic_raised, 1);
	EXPECT_EQ(counter(2), state.channels[2].latched_count);
	state.flags = KVM_PIT_FLAGS_HPET_LEGACY;
	EXPECT_EQ(pit_from_user(&world.vm, &state), 0);
	world.pic_raised = 0;
	world_advance(1000000000);
	EXPECT_EQ(world.pic_raised, 0);
	state.flags = 8;
	EXPECT_EQ(pit_from_user(&world.vm, &state), -EINVAL);
	end();
}

/* Whatever userspace puts into the state, nothing divides by zero or reads out of bounds. */
static void hostile_state(void)
{
	struct kvm_pit_state2 state;
	u32 seed = 1;
	int i, j;

	start(KVM_PIT_SPEAKER_DUMMY);
	for (i = 0; i < 2000; i++) {
		for (j = 0; j < sizeof(state); j++)
			((u8 *)&state)[j] = (seed = seed * 1664525 + 1013904223) >> 24;
		state.flags &= 3;
		if (i & 1)
			state.channels[i % 3].count = 0;
		EXPECT_EQ(pit_from_user(&world.vm, &state), 0);
		for (j = 0; j < 8; j++)
			port_in(0x40 + j % 3, 1);
		port_out(0x43, 1, seed >> 16 & 0xff);
		port_out(0x43, 1, 0xce);
		port_in(0x61, 1);
		world_advance(seed >> 12);
	}
	end();
}

static const struct ktap_case cases[] = {
	{ "KVM_CREATE_PIT2", creation },
	{ "state after reset", reset_state },
	{ "counters run at 1.193182 MHz", counts_down },
	{ "latched count and status", latches },
	{ "single-byte access", single_bytes },
	{ "one shot", one_shot },
	{ "periodic, acknowledged in time", periodic_acked },
	{ "periodic, acknowledged late", periodic_late },
	{ "KVM_REINJECT_CONTROL off", without_reinjection },
	{ "a short period does not flood", no_flood },
	{ "speaker port", speaker },
	{ "save and restore", save_and_restore },
	{ "hostile state", hostile_state },
};

int main(void)
{
	return ktap_run(cases, ARRAY_SIZE(cases));
}
