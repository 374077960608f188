// SPDX-License-Identifier: GPL-2.0-only
/*
 * GSI routing. Catches: an entry that reaches the wrong pin, a table accepted that KVM refuses, a status that misleads
 * the timer's reinjection, an acknowledgement that reaches the wrong GSI.
 */
#include "world.h"

static struct kvm_irq_routing_entry pin(u32 gsi, u32 chip, u32 number)
{
	struct kvm_irq_routing_entry entry = { .gsi = gsi, .type = KVM_IRQ_ROUTING_IRQCHIP };

	entry.u.irqchip.irqchip = chip;
	entry.u.irqchip.pin = number;
	return entry;
}

static struct kvm_irq_routing_entry msi(u32 gsi, u32 address, u32 data)
{
	struct kvm_irq_routing_entry entry = { .gsi = gsi, .type = KVM_IRQ_ROUTING_MSI };

	entry.u.msi.address_lo = address;
	entry.u.msi.data = data;
	return entry;
}

static int set1(struct kvm_irq_routing_entry a)
{
	return route_set(&world.vm, &a, 1);
}

static int set2(struct kvm_irq_routing_entry a, struct kvm_irq_routing_entry b)
{
	struct kvm_irq_routing_entry both[] = { a, b };

	return route_set(&world.vm, both, 2);
}

static int line(u32 gsi, int level)
{
	return irq_set_gsi(&world.vm, IRQ_SOURCE_USER, gsi, level);
}

static void default_table(void)
{
	int gsi;

	world_start(IRQCHIP_KERNEL);
	EXPECT_EQ(line(1, 1), -1);		/* no table yet */
	EXPECT_EQ(route_set_default(&world.vm), 0);
	for (gsi = 0; gsi < 24; gsi++) {
		world.pic_level = world.ioapic_level = 0;
		line(gsi, 1);
		EXPECT_EQ(world.ioapic_level, BIT(gsi));
		EXPECT_EQ(world.pic_level, gsi < 16 ? BIT(gsi) : 0);
	}
	world.ioapic_calls = world.pic_calls = 0;
	EXPECT_EQ(line(24, 1), -1);
	EXPECT_EQ(line(~0u, 1), -1);
	EXPECT_EQ(world.ioapic_calls + world.pic_calls, 0);
	world_end();
}

/* Sum over the chips that delivered; -1 only if none did. */
static void status(void)
{
	static const struct { int pic, ioapic, sum; } table[] = {
		{ 1, -1, 1 }, { -1, 1, 1 }, { 1, 1, 2 }, { 0, 0, 0 }, { -1, -1, -1 }, { 0, -1, 0 },
	};
	int i;

	world_start(IRQCHIP_KERNEL);
	EXPECT_EQ(route_set_default(&world.vm), 0);
	for (i = 0; i < ARRAY_SIZE(table); i++) {
		world.pic_status = table[i].pic;
		world.ioapic_status = table[i].ioapic;
		EXPECT_EQ(line(4, 1), table[i].sum);
	}
	world_end();
}

static void refuses(void)
{
	struct kvm_irq_routing_entry bad = pin(1, 2, 1);

	world_start(IRQCHIP_KERNEL);
	EXPECT_EQ(route_set_default(&world.vm), 0);
	EXPECT_EQ(set1(pin(1, 3, 0)), -EINVAL);
	EXPECT_EQ(set1(pin(1, 2, 24)), -EINVAL);
	EXPECT_EQ(set1(pin(1, 0, 8)), -EINVAL);
	EXPECT_EQ(set1(pin(1, ~0u, 1)), -EINVAL);
	EXPECT_EQ(set1(pin(4096, 2, 1)), -EINVAL);
	EXPECT_EQ(set1(pin(~0u, 2, 1)), -EINVAL);
	bad.flags = 1;
	EXPECT_EQ(set1(bad), -EINVAL);
	bad = msi(1, 0, 0);
	bad.flags = 2;
	EXPECT_EQ(set1(bad), -EINVAL);
	bad.flags = KVM_MSI_VALID_DEVID;
	EXPECT_EQ(set1(bad), 0);
	bad.type = 4;
	EXPECT_EQ(set1(bad), -EINVAL);
	EXPECT_EQ(set2(pin(1, 2, 1), pin(1, 2, 2)), -EINVAL);
	EXPECT_EQ(set2(pin(1, 2, 1), msi(1, 0, 0)), -EINVAL);
	EXPECT_EQ(set2(msi(1, 0, 0), msi(1, 0, 0)), -EINVAL);
	EXPECT_EQ(set2(pin(1, 2, 1), pin(1, 1, 1)), 0);
	EXPECT_EQ(set1(pin(4095, 2, 1)), 0);
	world.vm.irq.x2apic_32bit_ids = true;
	bad = msi(1, 0, 0);
	bad.u.msi.address_hi = 0x101;
	EXPECT_EQ(set1(bad), -EINVAL);
	bad.u.msi.address_hi = 0x100;
	EXPECT_EQ(set1(bad), 0);
	world.vm.irq.mode = IRQCHIP_SPLIT;
	EXPECT_EQ(set1(pin(1, 2, 1)), -EINVAL);
	world_end();
}

/* A refused table, or one that finds no memory, leaves the old one. */
static void all_or_nothing(void)
{
	world_start(IRQCHIP_KERNEL);
	EXPECT_EQ(set1(pin(7, 2, 5)), 0);
	shim_fail_after = 0;
	EXPECT_EQ(set1(pin(8, 2, 6)), -ENOMEM);
	shim_fail_after = -1;
	EXPECT_EQ(set2(pin(8, 2, 6), pin(8, 2, 7)), -EINVAL);
	line(7, 1);
	EXPECT_EQ(world.ioapic_level, BIT(5));
	EXPECT_EQ(line(8, 1), -1);
	EXPECT_EQ(route_set(&world.vm, NULL, 0), 0);
	EXPECT_EQ(line(7, 1), -1);
	world_end();
}

static void messages(void)
{
	struct kvm_msi direct = { .address_lo = 0xfee05000, .data = 0x55 };

	world_start(IRQCHIP_SPLIT);
	EXPECT_EQ(set2(msi(30, 0xfee03000, 0x41), msi(31, 0xfee04000, 0x42)), 0);
	EXPECT_EQ(world.eoi_requests, 1);
	EXPECT_EQ(line(30, 0), -1);
	EXPECT_EQ(world.messages, 0);
	EXPECT_EQ(line(30, 1), 1);
	EXPECT_EQ(world.irq.vector, 0x41);
	EXPECT_EQ(world.irq.dest_id, 3);
	EXPECT(route_send_gsi(&world.vm, 31));
	EXPECT_EQ(world.irq.vector, 0x42);
	EXPECT(!route_send_gsi(&world.vm, 29));
	EXPECT(!route_send_gsi(&world.vm, 32));
	EXPECT_EQ(world.messages, 2);
	EXPECT_EQ(route_msi(&world.vm, &direct), 1);
	EXPECT_EQ(world.irq.vector, 0x55);
	direct.flags = KVM_MSI_VALID_DEVID;
	EXPECT_EQ(route_msi(&world.vm, &direct), -EINVAL);
	direct.flags = 0;
	world.vm.irq.mode = IRQCHIP_NONE;
	EXPECT_EQ(route_msi(&world.vm, &direct), -EINVAL);
	world_end();
}

struct counted_ack {
	struct route_ack ack;
	int count;
	u32 found;			/* which IOAPIC lines were up when it was called */
};

static void count_ack(struct route_ack *ack)
{
	container_of(ack, struct counted_ack, ack)->count++;
}

/* Like a device whose line is still up: raises it again. */
static void raise_again(struct route_ack *ack)
{
	container_of(ack, struct counted_ack, ack)->found = world.ioapic_level;
	irq_set_gsi(&world.vm, IRQ_SOURCE_RESAMPLE, ack->gsi, 1);
	count_ack(ack);
}

static void acknowledgements(void)
{
	struct counted_ack a = { .ack = { .gsi = 5, .acked = count_ack } };

	world_start(IRQCHIP_KERNEL);
	EXPECT_EQ(set2(pin(5, 2, 9), pin(5, 1, 2)), 0);
	EXPECT(!route_send_gsi(&world.vm, 5));
	EXPECT_EQ(world.ioapic_calls + world.pic_calls, 0);
	mutex_lock(&world.vm.irq_lock);
	route_ack_register(&world.vm, &a.ack);
	mutex_unlock(&world.vm.irq_lock);
	EXPECT(route_has_ack(&world.vm, 2, 9));
	EXPECT(route_has_ack(&world.vm, 1, 2));
	EXPECT(!route_has_ack(&world.vm, 2, 5));
	route_acked(&world.vm, 2, 9);
	route_acked(&world.vm, 1, 2);
	route_acked(&world.vm, 2, 5);
	route_acked(&world.vm, 7, 5);
	route_acked(&world.vm, 2, 24);
	EXPECT_EQ(a.count, 2);
	mutex_lock(&world.vm.irq_lock);
	route_ack_unregister(&world.vm, &a.ack);
	mutex_unlock(&world.vm.irq_lock);
	route_acked(&world.vm, 2, 9);
	EXPECT_EQ(a.count, 2);
	EXPECT(!route_has_ack(&world.vm, 2, 9));
	world_end();
}

/* Whoever resamples finds its line low; a line is not lowered under the others of its GSI. */
static void resampling(void)
{
	struct counted_ack a = { .ack = { .gsi = 5, .acked = raise_again, .resample = true } };
	struct counted_ack b = a, timer = { .ack = { .gsi = 5, .acked = count_ack } };

	world_start(IRQCHIP_KERNEL);
	EXPECT_EQ(set2(pin(5, 2, 9), pin(6, 2, 10)), 0);
	mutex_lock(&world.vm.irq_lock);
	route_ack_register(&world.vm, &timer.ack);
	world.ioapic_level = BIT(9);
	route_acked(&world.vm, 2, 9);
	EXPECT_EQ(world.ioapic_level, BIT(9));	/* nobody resamples */
	route_ack_register(&world.vm, &a.ack);
	route_ack_register(&world.vm, &b.ack);
	route_acked(&world.vm, 2, 10);
	EXPECT_EQ(world.ioapic_level, BIT(9));	/* not theirs */
	route_acked(&world.vm, 2, 9);
	EXPECT_EQ(a.found + b.found, BIT(9));	/* the first found it low; the second, raised */
	EXPECT_EQ(world.ioapic_level, BIT(9));
	EXPECT_EQ(a.count + b.count, 2);
	route_ack_unregister(&world.vm, &a.ack);
	EXPECT_EQ(world.ioapic_level, BIT(9));
	route_ack_unregister(&world.vm, &b.ack);
	EXPECT_EQ(world.ioapic_level, 0);
	EXPECT_EQ(timer.count, 2);
	world.ioapic_level = BIT(9);
	route_ack_unregister(&world.vm, &timer.ack);
	EXPECT_EQ(world.ioapic_level, BIT(9));
	mutex_unlock(&world.vm.irq_lock);
	world_end();
}

static u64 level_vectors(u32 pins)
{
	u64 bitmap[4] = {};

	world.vm.irq.split_pins = pins;
	route_eoi_vectors(&world.vcpu, bitmap);
	EXPECT_EQ(bitmap[1] | bitmap[2] | bitmap[3], 0);
	return bitmap[0];
}

static void level_messages(void)
{
	struct kvm_irq_routing_entry table[] = {
		msi(30, 0, 0x8003), msi(2, 0, 0x8001), msi(1, 0, 0x0000), msi(23, 0, 0x8002),
		msi(3, 1 << 12, 0x8004),	/* to another vCPU */
	};

	world_start(IRQCHIP_SPLIT);
	EXPECT_EQ(level_vectors(24), 0);
	EXPECT_EQ(route_set(&world.vm, table, ARRAY_SIZE(table)), 0);
	EXPECT_EQ(level_vectors(24), BIT(1) | BIT(2));
	EXPECT_EQ(level_vectors(0), 0);
	EXPECT_EQ(level_vectors(~0u), BIT(1) | BIT(2) | BIT(3));
	world_end();
}

static void largest_table(void)
{
	static struct kvm_irq_routing_entry table[ROUTE_NR_GSIS];
	int i;

	world_start(IRQCHIP_SPLIT);
	for (i = 0; i < ROUTE_NR_GSIS; i++)
		table[i] = msi(ROUTE_NR_GSIS - 1 - i, i << 12, i & 0xff);
	EXPECT_EQ(route_set(&world.vm, table, ROUTE_NR_GSIS), 0);
	for (i = 0; i < ROUTE_NR_GSIS; i += 97) {
		EXPECT_EQ(line(i, 1), 1);
		EXPECT_EQ(world.irq.vector, (ROUTE_NR_GSIS - 1 - i) & 0xff);
	}
	world_end();
}

/* The reader of the first tables goes on only when somebody waits for it. */
static int waits;

static void reader_goes(struct srcu_struct *srcu)
{
	srcu->readers = 0;
	waits++;
}

static int tables_waiting(void)
{
	struct rcu_head *head;
	int n = 0;

	for (head = shim_rcu_list; head; head = head->next)
		n++;
	return n;
}

/* A reader that stays must not keep ever more tables; a few changes must not wait for it. */
static void stuck_reader(void)
{
	int i, most = 0;

	world_start(IRQCHIP_SPLIT);
	shim_srcu_wait = reader_goes;
	waits = 0;
	for (i = 0; i < 1000; i++) {
		if (!world.vm.srcu.readers)
			srcu_read_lock(&world.vm.srcu);
		EXPECT_EQ(set1(msi(1, 0, i & 0xff)), 0);
		most = max(most, tables_waiting());
		if (i == 10)
			EXPECT_EQ(waits, 0);
	}
	EXPECT(most <= 64);
	EXPECT(waits >= 10);
	shim_srcu_wait = NULL;
	world.vm.srcu.readers = 0;
	shim_grace_period();
	EXPECT_EQ(atomic_read(&world.vm.irq.routes_retired), 0);
	EXPECT_EQ(line(1, 1), 1);
	EXPECT_EQ(world.irq.vector, 999 & 0xff);
	world_end();
}

static const struct ktap_case cases[] = {
	{ "default table", default_table },
	{ "status of KVM_IRQ_LINE_STATUS", status },
	{ "KVM_SET_GSI_ROUTING refuses", refuses },
	{ "a table that fails changes nothing", all_or_nothing },
	{ "messages", messages },
	{ "acknowledgements find their GSI", acknowledgements },
	{ "resampling lowers the line once", resampling },
	{ "level-triggered messages of a split irqchip", level_messages },
	{ "the largest table", largest_table },
	{ "a stuck reader keeps a few tables only", stuck_reader },
};

int main(void)
{
	return ktap_run(cases, ARRAY_SIZE(cases));
}
