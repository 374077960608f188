// SPDX-License-Identifier: GPL-2.0-only
/*
 * Where interrupt messages go: addressing modes, the map against the slow search, what each mode
 * does.
 */
#include "world.h"

#define XAPIC	(APIC_DEFAULT_PHYS_BASE | MSR_IA32_APICBASE_ENABLE)
#define X2APIC	(XAPIC | X2APIC_ENABLE)

static void enable_all(void)
{
	int i;

	for (i = 0; i < world.vm.nr_vcpus; i++)
		world_reg_write(i, APIC_SPIV, 0x1ff);
}

static void all_x2apic(void)
{
	int i;

	enable_all();
	for (i = 0; i < world.vm.nr_vcpus; i++)
		EXPECT_EQ(lapic_base_set(world_vcpu(i), X2APIC, true), 0);
}

/* Who has the vector requested, by index; forgets it. */
static u64 take(u8 vector)
{
	u64 who = 0;
	int i;

	for (i = 0; i < world.vm.nr_vcpus; i++) {
		unsigned int offset = APIC_IRR + (vector >> 5) * 16;
		u32 bits = lapic_reg(world_lapic(i), offset);

		if (bits & BIT(vector & 31))
			who |= BIT_ULL(i);
		lapic_reg_set(world_lapic(i), offset, bits & ~BIT(vector & 31));
	}
	return who;
}

static u64 send(struct lapic_irq irq, int *ret)
{
	irq.vector = irq.vector ?: 0x40;
	irq.level = 1;
	*ret = lapic_deliver(&world.vm, &irq);
	return take(irq.vector);
}

static void physical(void)
{
	int ret;

	world_start(IRQCHIP_KERNEL, 4);
	enable_all();
	EXPECT_EQ(send((struct lapic_irq){ .dest_id = 2 }, &ret), 0x4);
	EXPECT_EQ(ret, 1);
	EXPECT_EQ(send((struct lapic_irq){ .dest_id = 9 }, &ret), 0);
	EXPECT_EQ(ret, -1);
	EXPECT_EQ(send((struct lapic_irq){ .dest_id = 0xff }, &ret), 0xf);
	EXPECT_EQ(ret, 4);
	world_reg_write(1, APIC_SPIV, 0xff);		/* software-disabled */
	EXPECT_EQ(send((struct lapic_irq){ .dest_id = 1 }, &ret), 0);
	EXPECT_EQ(ret, 0);
	EXPECT_EQ(lapic_base_set(world_vcpu(2), 0xfee00000, true), 0);
	EXPECT_EQ(send((struct lapic_irq){ .dest_id = 2 }, &ret), 0);
	EXPECT_EQ(ret, -1);
	world_end();
}

static void logical_flat_and_cluster(void)
{
	int i, ret;

	world_start(IRQCHIP_KERNEL, 8);
	enable_all();
	for (i = 0; i < 8; i++)
		world_reg_write(i, APIC_LDR, 1u << (24 + i));
	EXPECT_EQ(send((struct lapic_irq){ .dest_id = 0xa5, .dest_mode = 1 }, &ret), 0xa5);
	EXPECT_EQ(ret, 4);
	EXPECT_EQ(send((struct lapic_irq){ .dest_id = 0xff, .dest_mode = 1 }, &ret), 0xff);
	for (i = 0; i < 8; i++) {
		world_reg_write(i, APIC_DFR, 0x0fffffff);
		world_reg_write(i, APIC_LDR, (u32)(i / 4) << 28 | 1u << (24 + i % 4));
	}
	EXPECT_EQ(send((struct lapic_irq){ .dest_id = 0x13, .dest_mode = 1 }, &ret), 0x30);
	EXPECT_EQ(send((struct lapic_irq){ .dest_id = 0x08, .dest_mode = 1 }, &ret), 0x08);
	EXPECT_EQ(send((struct lapic_irq){ .dest_id = 0x2f, .dest_mode = 1 }, &ret), 0);
	EXPECT_EQ(ret, -1);
	world_end();
}

static void logical_x2apic(void)
{
	int ret;

	world_start(IRQCHIP_KERNEL, 40);
	all_x2apic();
	EXPECT_EQ(send((struct lapic_irq){ .dest_id = 0x10005, .dest_mode = 1 }, &ret), 0x50000);
	EXPECT_EQ(ret, 2);
	EXPECT_EQ(send((struct lapic_irq){ .dest_id = 0x2ff00, .dest_mode = 1 }, &ret), 0);
	EXPECT_EQ(send((struct lapic_irq){ .dest_id = 0x200ff, .dest_mode = 1 }, &ret),
		  0xff00000000);
	EXPECT_EQ(send((struct lapic_irq){ .dest_id = ~0u }, &ret), 0xffffffffff);
	/* a device's 0xff is a broadcast unless userspace uses 32-bit ids; an IPI's is an id */
	EXPECT_EQ(send((struct lapic_irq){ .dest_id = 0xff }, &ret), 0xffffffffff);
	EXPECT_EQ(send((struct lapic_irq){ .dest_id = 0xff, .src = world_vcpu(0) }, &ret), 0);
	world.vm.irq.x2apic_no_broadcast_quirk = true;
	EXPECT_EQ(send((struct lapic_irq){ .dest_id = 0xff }, &ret), 0);
	EXPECT_EQ(ret, -1);
	world_end();
}

static void shorthands(void)
{
	world_start(IRQCHIP_KERNEL, 4);
	enable_all();
	world_reg_write(1, APIC_ICR, 0x44000 | 0x41);
	EXPECT_EQ(take(0x41), 0x2);
	world_reg_write(1, APIC_ICR, 0x84000 | 0x41);
	EXPECT_EQ(take(0x41), 0xf);
	world_reg_write(1, APIC_ICR, 0xc4000 | 0x41);
	EXPECT_EQ(take(0x41), 0xd);
	world_reg_write(1, APIC_ICR2, 3 << 24);
	world_reg_write(1, APIC_ICR, 0x4000 | 0x41);
	EXPECT_EQ(take(0x41), 0x8);
	world_end();
}

static void lowest_priority(void)
{
	u64 who, all = 0;
	int i, ret;

	world_start(IRQCHIP_KERNEL, 8);
	enable_all();
	for (i = 0; i < 8; i++)
		world_reg_write(i, APIC_LDR, 1u << (24 + i));
	world_reg_write(3, APIC_SPIV, 0xff);
	for (i = 0x20; i < 0x80; i++) {
		who = send((struct lapic_irq){ .dest_id = 0x0f, .dest_mode = 1, .vector = i,
					       .delivery_mode = LAPIC_LOWEST }, &ret);
		EXPECT_EQ(hweight64(who), 1);
		EXPECT_EQ(ret, 1);
		all |= who;
		who = send((struct lapic_irq){ .dest_id = 0xff, .dest_mode = 1, .vector = i,
					       .msi_redir_hint = true }, &ret);
		EXPECT_EQ(hweight64(who), 1);
		EXPECT_EQ(who & 0x8, 0);
	}
	EXPECT_EQ(all, 0x07);			/* spread, but not onto the disabled one */
	world_end();
}

static void delivery_modes(void)
{
	struct lapic_irq irq = { .dest_id = 1, .delivery_mode = LAPIC_NMI, .level = 1 };
	struct vcpu *vcpu;

	world_start(IRQCHIP_KERNEL, 2);
	vcpu = world_vcpu(1);		/* software-disabled: hears these all the same */
	vcpu->requests = 0;
	EXPECT_EQ(lapic_deliver(&world.vm, &irq), 1);
	EXPECT_EQ(atomic_read(&vcpu->events.nmi_queued), 1);
	EXPECT(test_bit(REQ_NMI, &vcpu->requests));
	irq.delivery_mode = LAPIC_INIT;
	irq.trig_mode = 1;
	irq.level = 0;
	EXPECT_EQ(lapic_deliver(&world.vm, &irq), 0);	/* INIT level de-assert */
	EXPECT_EQ(vcpu->irq.init_sipi, 0);
	irq.level = 1;
	EXPECT_EQ(lapic_deliver(&world.vm, &irq), 1);
	EXPECT_EQ(vcpu->irq.init_sipi, BIT(IRQ_INIT_PENDING));
	irq.delivery_mode = LAPIC_SIPI;
	irq.vector = 0x9a;
	EXPECT_EQ(lapic_deliver(&world.vm, &irq), 1);
	EXPECT_EQ(vcpu->irq.init_sipi, BIT(IRQ_INIT_PENDING) | BIT(IRQ_SIPI_PENDING));
	EXPECT_EQ(vcpu->irq.sipi_vector, 0x9a);
	irq.delivery_mode = LAPIC_INIT;
	lapic_deliver(&world.vm, &irq);
	EXPECT_EQ(vcpu->irq.init_sipi, BIT(IRQ_INIT_PENDING));
	irq.delivery_mode = LAPIC_SMI;
	EXPECT_EQ(lapic_deliver(&world.vm, &irq), 0);
	EXPECT(world.kicked & 2);
	world_end();
}

static void edge_and_level(void)
{
	struct lapic_irq irq = { .dest_id = 0, .vector = 0x61, .level = 1, .trig_mode = 1 };

	world_start(IRQCHIP_KERNEL, 1);
	enable_all();
	EXPECT_EQ(lapic_deliver(&world.vm, &irq), 1);
	EXPECT_EQ(lapic_deliver(&world.vm, &irq), 1);	/* pending already: still owes an EOI */
	EXPECT_EQ(lapic_reg(world_lapic(0), APIC_TMR + 3 * 16), BIT(1));
	EXPECT_EQ(take(0x61), 1);
	irq.level = 0;
	EXPECT_EQ(lapic_deliver(&world.vm, &irq), 0);
	irq.trig_mode = 0;
	irq.level = 1;
	EXPECT_EQ(lapic_deliver(&world.vm, &irq), 1);
	EXPECT_EQ(lapic_deliver(&world.vm, &irq), 0);	/* coalesced */
	EXPECT_EQ(lapic_reg(world_lapic(0), APIC_TMR + 3 * 16), 0);
	world_end();
}

static void msi(void)
{
	struct lapic_irq irq;

	world_start(IRQCHIP_KERNEL, 1);
	lapic_irq_from_msi(&world.vm, 0xfee1200c, 0x00000300, 0x8151, &irq);
	EXPECT_EQ(irq.dest_id, 0x12);
	EXPECT_EQ(irq.dest_mode, 1);
	EXPECT(irq.msi_redir_hint);
	EXPECT_EQ(irq.vector, 0x51);
	EXPECT_EQ(irq.delivery_mode, LAPIC_LOWEST);
	EXPECT_EQ(irq.trig_mode, 1);
	world.vm.irq.x2apic_32bit_ids = true;
	lapic_irq_from_msi(&world.vm, 0xfee12000, 0x00000300, 0x51, &irq);
	EXPECT_EQ(irq.dest_id, 0x312);
	EXPECT_EQ(irq.dest_mode, 0);
	world_end();
}

static void random_ids(int nr)
{
	u32 style = world_random() % 6;
	int i;

	for (i = 0; i < nr; i++) {
		u32 ldr = style == 0 ? 1u << i % 8 : style == 1 ? (i / 4) << 4 | 1u << i % 4 :
			  world_random() & 0xff;

		lapic_base_set(world_vcpu(i), XAPIC, true);
		world_reg_write(i, APIC_DFR, style == 1 || (style > 2 && world_random() % 2) ?
				0x0fffffff : 0xffffffff);
		world_reg_write(i, APIC_LDR, ldr << 24);
		if (style == 2 || (style == 5 && world_random() % 3 == 0))
			lapic_base_set(world_vcpu(i), X2APIC, true);
		if (world_random() % 16 == 0)
			lapic_base_set(world_vcpu(i), 0xfee00000, true);
	}
}

/* The map may say that it does not know; when it answers it must agree with asking everybody. */
static void map_agrees_with_search(void)
{
	struct lapic_irq irq = { .vector = 0x40, .level = 1 };
	struct lapic *found[LAPIC_MAP_FOUND];
	int i, k, n, answered = 0;
	u64 slow, fast;

	world_start(IRQCHIP_KERNEL, 24);
	enable_all();
	for (k = 0; k < 20000 && !ktap_failed; k++) {
		if (k % 20 == 0)
			random_ids(24);
		irq.dest_mode = world_random() % 2;
		irq.dest_id = world_random() % 4 ? world_random() & 0xff :
			      (world_random() % 3) << 16 | (world_random() & 0xffff);
		irq.src = world_random() % 2 ? world_vcpu(0) : NULL;
		slow = fast = 0;
		for (i = 0; i < 24; i++)
			if (lapic_matches(world_lapic(i), &irq))
				slow |= BIT_ULL(i);
		n = lapic_map_find(&world.vm, &irq, found);
		for (i = 0; i < n; i++)
			fast |= BIT_ULL(found[i]->vcpu->index);
		if (n >= 0)
			EXPECT_EQ(fast, slow);
		answered += n >= 0;
	}
	EXPECT(answered > 10000);
	world_end();
}

static void map_out_of_memory(void)
{
	int ret;

	world_start(IRQCHIP_KERNEL, 4);
	enable_all();
	shim_fail_after = 0;
	lapic_map_update(&world.vm);
	EXPECT_EQ(world.vm.irq.map == NULL, true);
	EXPECT_EQ(send((struct lapic_irq){ .dest_id = 2 }, &ret), 0x4);
	lapic_map_update(&world.vm);
	EXPECT(world.vm.irq.map);
	EXPECT_EQ(send((struct lapic_irq){ .dest_id = 2 }, &ret), 0x4);
	world_end();
}

static void wide_ids(void)
{
	int ret;

	world_start(IRQCHIP_KERNEL, 1);
	world_add_vcpu(255);
	world_add_vcpu(256);		/* its xAPIC id is 0, like the first one's */
	world_add_vcpu(4095);
	enable_all();
	EXPECT_EQ(send((struct lapic_irq){ .dest_id = 0 }, &ret), 0x5);
	all_x2apic();
	EXPECT_EQ(send((struct lapic_irq){ .dest_id = 256 }, &ret), 0x4);
	EXPECT_EQ(send((struct lapic_irq){ .dest_id = 4095 }, &ret), 0x8);
	EXPECT_EQ(send((struct lapic_irq){ .dest_id = 0xff, .src = world_vcpu(0) }, &ret), 0x2);
	EXPECT_EQ(send((struct lapic_irq){ .dest_id = 0xff8000, .dest_mode = 1 }, &ret), 0x8);
	world_end();
}

static const struct ktap_case cases[] = {
	{ "physical destinations", physical },
	{ "logical destinations, flat and cluster", logical_flat_and_cluster },
	{ "x2APIC logical destinations and broadcasts", logical_x2apic },
	{ "ICR shorthands", shorthands },
	{ "lowest priority reaches one", lowest_priority },
	{ "NMI, INIT, SIPI, SMI", delivery_modes },
	{ "edge and level", edge_and_level },
	{ "MSI addresses", msi },
	{ "map against search, 20,000 random messages", map_agrees_with_search },
	{ "without memory for the map", map_out_of_memory },
	{ "ids beyond 8 bits", wide_ids },
};

int main(void)
{
	return ktap_run(cases, ARRAY_SIZE(cases));
}
