// SPDX-License-Identifier: GPL-2.0-only
/* The I/O APIC: registers, edge and level delivery, remote IRR, EOI, sources, userspace's view. */
#include "world.h"

#define SELECT	IOAPIC_BASE
#define WINDOW	(IOAPIC_BASE + 0x10)
#define LEVEL	(1 << 15)
#define MASKED	(1 << 16)
#define REMOTE_IRR	(1 << 14)

static u32 reg(u8 index)
{
	mmio_write32(SELECT, index);
	return mmio_read32(WINDOW);
}

static void reg_write(u8 index, u32 val)
{
	mmio_write32(SELECT, index);
	mmio_write32(WINDOW, val);
}

static void route(unsigned int pin, u32 low, u8 dest)
{
	reg_write(0x11 + 2 * pin, (u32)dest << 24);
	reg_write(0x10 + 2 * pin, low);
	world_serve(world_vcpu(0));
	world_serve(world_vcpu(1));
}

static u32 low(unsigned int pin)
{
	return reg(0x10 + 2 * pin);
}

static int set(unsigned int pin, int level)
{
	return ioapic_set_irq(&world.vm, pin, IRQ_SOURCE_USER, level);
}

static void start(void)
{
	world_start(IRQCHIP_KERNEL, 2);
	world_reg_write(0, APIC_SPIV, 0x1ff);
	world_reg_write(1, APIC_SPIV, 0x1ff);
}

/* The vCPU takes what is highest and ends it. */
static int take(int index)
{
	int vector = lapic_ack(world_lapic(index));

	world_serve(world_vcpu(index));
	if (vector >= 0)
		world_reg_write(index, APIC_EOI, 0);
	return vector;
}

static void registers(void)
{
	start();
	EXPECT_EQ(reg(1), 0x00170011);
	EXPECT_EQ(reg(0), 0);
	reg_write(0, 0xffffffff);
	EXPECT_EQ(reg(0), 0x0f000000);
	EXPECT_EQ(reg(2), 0x0f000000);
	EXPECT_EQ(low(0), MASKED);
	EXPECT_EQ(low(23), MASKED);
	EXPECT_EQ(reg(0x40), 0);
	EXPECT_EQ(reg(0x0f), 0);
	reg_write(0x40, ~0u);
	reg_write(1, ~0u);
	EXPECT_EQ(reg(1), 0x00170011);
	reg_write(0x10, ~0u);
	EXPECT_EQ(low(0), 0x1afff);		/* delivery status and remote IRR are read-only */
	reg_write(0x11, ~0u);
	EXPECT_EQ(reg(0x11), 0xff000000);
	EXPECT_EQ(mmio_read32(IOAPIC_BASE + 0x20), 0);
	world_end();
}

static void edge(void)
{
	start();
	route(4, 0x41, 1);
	EXPECT_EQ(set(4, 1), 1);
	EXPECT_EQ(set(4, 1), 0);		/* no second edge */
	EXPECT_EQ(take(1), 0x41);
	EXPECT_EQ(take(1), -1);
	EXPECT_EQ(set(4, 0), 1);
	EXPECT_EQ(set(4, 1), 1);
	EXPECT_EQ(set(4, 0), 1);
	EXPECT_EQ(set(4, 1), 0);		/* coalesced with the pending one */
	EXPECT_EQ(low(4), 0x41);
	EXPECT_EQ(ioapic_set_irq(&world.vm, 24, 0, 1), -1);
	world_end();
}

static void level(void)
{
	start();
	route(10, LEVEL | 0x51, 0);
	EXPECT_EQ(set(10, 1), 1);
	EXPECT_EQ(low(10), LEVEL | REMOTE_IRR | 0x51);
	EXPECT_EQ(set(10, 1), 0);
	EXPECT_EQ(take(0), 0x51);		/* the line is still up: comes again */
	EXPECT_EQ(low(10), LEVEL | REMOTE_IRR | 0x51);
	EXPECT_EQ(world.acked[KVM_IRQCHIP_IOAPIC], BIT(10));
	EXPECT_EQ(set(10, 0), 1);
	EXPECT_EQ(take(0), 0x51);
	EXPECT_EQ(low(10), LEVEL | 0x51);
	EXPECT_EQ(take(0), -1);
	world_end();
}

static void masks(void)
{
	start();
	EXPECT_EQ(set(10, 1), -1);
	route(10, LEVEL | 0x51, 0);
	EXPECT_EQ(world.unmasked[KVM_IRQCHIP_IOAPIC], BIT(10));
	EXPECT_EQ(lapic_highest_irr(world_lapic(0)), 0x51); /* unmasking sends a waiting level */
	EXPECT_EQ(set(11, 1), -1);
	route(11, 0x61, 0);			/* a masked edge is gone */
	EXPECT_EQ(lapic_highest_irr(world_lapic(0)), 0x51);
	world.unmasked[KVM_IRQCHIP_IOAPIC] = 0;
	reg_write(0x10 + 20, LEVEL | 0x51);	/* open already */
	reg_write(0x10 + 20, LEVEL | MASKED | 0x51);
	EXPECT_EQ(world.unmasked[KVM_IRQCHIP_IOAPIC], 0);
	world_end();
}

/* Guests mask and unmask all the time; only a new route concerns the vCPUs. */
static void masking_disturbs_nobody(void)
{
	static const u32 low[] = { LEVEL | 0x52, MASKED | 0x52, MASKED | 0x152, MASKED | 0x952 };
	unsigned long *requests;
	unsigned int i;

	start();
	requests = &world_vcpu(1)->requests;
	route(10, LEVEL | 0x51, 0);
	*requests = 0;
	reg_write(0x10 + 20, LEVEL | MASKED | 0x51);
	reg_write(0x10 + 20, LEVEL | 0x51);
	EXPECT(!test_bit(REQ_EOI_BITMAP, requests));
	for (i = 0; i < ARRAY_SIZE(low); i++) {
		*requests = 0;
		reg_write(0x10 + 20, low[i]);
		EXPECT(test_bit(REQ_EOI_BITMAP, requests));
	}
	*requests = 0;
	reg_write(0x11 + 20, 1 << 24);
	EXPECT(test_bit(REQ_EOI_BITMAP, requests));
	world_end();
}

/* Software without an EOI register ends a level interrupt by making the pin edge for a moment. */
static void trigger_mode_clears_remote_irr(void)
{
	start();
	route(10, LEVEL | 0x51, 0);
	set(10, 1);
	set(10, 0);
	EXPECT(low(10) & REMOTE_IRR);
	reg_write(0x11 + 20, 1 << 24);		/* another destination does not */
	EXPECT(low(10) & REMOTE_IRR);
	route(10, MASKED | 0x51, 0);
	EXPECT(!(low(10) & REMOTE_IRR));
	route(10, LEVEL | 0x51, 0);
	EXPECT_EQ(low(10), LEVEL | 0x51);
	EXPECT_EQ(set(10, 1), 1);
	world_end();
}

static void sources_are_ored(void)
{
	start();
	route(10, LEVEL | 0x51, 0);
	EXPECT_EQ(ioapic_set_irq(&world.vm, 10, IRQ_SOURCE_USER, 1), 1);
	EXPECT_EQ(ioapic_set_irq(&world.vm, 10, IRQ_SOURCE_RESAMPLE, 1), 0);
	ioapic_set_irq(&world.vm, 10, IRQ_SOURCE_USER, 0);
	EXPECT_EQ(take(0), 0x51);
	EXPECT(low(10) & REMOTE_IRR);		/* the other source holds it up */
	ioapic_set_irq(&world.vm, 10, IRQ_SOURCE_RESAMPLE, 0);
	EXPECT_EQ(take(0), 0x51);
	EXPECT(!(low(10) & REMOTE_IRR));
	world_end();
}

static void lower_on_ack(unsigned int chip, unsigned int pin)
{
	EXPECT_EQ(chip, KVM_IRQCHIP_IOAPIC);
	/* takes the lock: it must be free */
	ioapic_set_irq(&world.vm, pin, IRQ_SOURCE_RESAMPLE, 0);
}

static void resample(void)
{
	start();
	world.on_ack = lower_on_ack;
	route(10, LEVEL | 0x51, 0);
	ioapic_set_irq(&world.vm, 10, IRQ_SOURCE_RESAMPLE, 1);
	EXPECT_EQ(take(0), 0x51);
	EXPECT_EQ(low(10), LEVEL | 0x51);
	EXPECT_EQ(take(0), -1);
	world_end();
}

/* Two pins, one vector: an EOI ends both, and only they. */
static void shared_vector(void)
{
	start();
	route(10, LEVEL | 0x51, 0);
	route(11, LEVEL | 0x51, 0);
	route(12, LEVEL | 0x61, 1);
	set(10, 1);
	set(11, 1);
	set(12, 1);
	set(10, 0);
	set(11, 0);
	EXPECT_EQ(take(0), 0x51);
	EXPECT(!(low(10) & REMOTE_IRR));
	EXPECT(!(low(11) & REMOTE_IRR));
	EXPECT(low(12) & REMOTE_IRR);
	EXPECT_EQ(world.acked[KVM_IRQCHIP_IOAPIC], BIT(10) | BIT(11));
	world_end();
}

static void eoi_vectors(void)
{
	struct vcpu *vcpu;

	start();
	vcpu = world_vcpu(0);
	world.has_ack = BIT(2);
	route(2, 0x30, 0);			/* edge, but somebody counts its acknowledgements */
	route(3, 0x31, 0);
	route(10, LEVEL | 0x51, 0);
	route(11, LEVEL | 0x61, 1);
	EXPECT_EQ(vcpu->irq.eoi_exit[0], BIT_ULL(0x30));
	EXPECT_EQ(vcpu->irq.eoi_exit[1], BIT_ULL(0x11));
	EXPECT_EQ(world_vcpu(1)->irq.eoi_exit[1], BIT_ULL(0x21));
	set(2, 1);
	EXPECT_EQ(take(0), 0x30);
	EXPECT_EQ(world.acked[KVM_IRQCHIP_IOAPIC], BIT(2));
	/* aimed elsewhere while in service: the EOI must still be heard */
	set(10, 1);
	EXPECT_EQ(lapic_ack(world_lapic(0)), 0x51);
	route(10, LEVEL | 0x51, 1);
	EXPECT_EQ(vcpu->irq.eoi_exit[1], BIT_ULL(0x11));
	set(10, 0);
	world_reg_write(0, APIC_EOI, 0);
	EXPECT(!(low(10) & REMOTE_IRR));
	world_end();
}

static void user_state(void)
{
	struct kvm_irqchip chip = { .chip_id = KVM_IRQCHIP_IOAPIC }, back = chip;

	start();
	route(4, 0x41, 1);
	route(10, LEVEL | 0x51, 0);
	set(4, 1);				/* sent: must not be sent again by a restore */
	set(10, 1);
	set(12, 1);				/* masked edge, still waiting */
	reg_write(0, 3 << 24);
	EXPECT_EQ(irqchip_to_user(&world.vm, &chip), 0);
	EXPECT_EQ(chip.chip.ioapic.base_address, 0xfec00000);
	EXPECT_EQ(chip.chip.ioapic.id, 3);
	EXPECT_EQ(chip.chip.ioapic.irr, BIT(10) | BIT(12));
	world_end();
	start();
	chip.chip.ioapic.ioregsel = 0x12;
	set(20, 1);				/* forgotten by the restore */
	EXPECT_EQ(irqchip_from_user(&world.vm, &chip), 0);
	EXPECT_EQ(irqchip_to_user(&world.vm, &back), 0);
	EXPECT(!memcmp(&chip, &back, sizeof(chip)));
	EXPECT_EQ(lapic_highest_irr(world_lapic(0)), -1);	/* in service already */
	EXPECT_EQ(lapic_highest_irr(world_lapic(1)), -1);
	chip.chip_id = 3;
	EXPECT_EQ(irqchip_from_user(&world.vm, &chip), -EINVAL);
	EXPECT_EQ(irqchip_to_user(&world.vm, &chip), -EINVAL);
	world_end();
	world_start(IRQCHIP_SPLIT, 1);
	EXPECT_EQ(irqchip_to_user(&world.vm, &chip), -ENXIO);
	EXPECT_EQ(irqchip_from_user(&world.vm, &chip), -ENXIO);
	world_end();
}

static void split_eoi_exits(void)
{
	struct lapic_irq irq = { .dest_id = 0, .vector = 0x71, .level = 1, .trig_mode = 1 };
	struct vcpu *vcpu;

	world_start(IRQCHIP_SPLIT, 1);
	vcpu = world_vcpu(0);
	world_reg_write(0, APIC_SPIV, 0x1ff);
	world.level_msi[0] = irq;
	world.nr_level_msi = 1;
	irq_eoi_bitmap_update(vcpu);
	lapic_deliver(&world.vm, &irq);
	EXPECT_EQ(take(0), 0x71);
	EXPECT(vcpu_take_request(vcpu, REQ_IOAPIC_EOI));
	EXPECT_EQ(irq_ioapic_eoi_to_user(vcpu), TO_USER);
	EXPECT_EQ(vcpu->run->exit_reason, KVM_EXIT_IOAPIC_EOI);
	EXPECT_EQ(vcpu->run->eoi.vector, 0x71);
	world_reg_write(0, APIC_SPIV, 0x1ff | APIC_SPIV_DIRECTED_EOI);
	lapic_deliver(&world.vm, &irq);
	EXPECT_EQ(take(0), 0x71);
	EXPECT(!test_bit(REQ_IOAPIC_EOI, &vcpu->requests)); /* the guest tells the IOAPIC itself */
	world_end();
}

static void creation_rules(void)
{
	world_start(IRQCHIP_KERNEL, 0);
	EXPECT_EQ(irqchip_create(&world.vm), -EEXIST);
	EXPECT_EQ(irqchip_create_split(&world.vm, 24), -EEXIST);
	world_end();
	world_start(IRQCHIP_NONE, 1);
	EXPECT_EQ(irqchip_create(&world.vm), -EINVAL);
	EXPECT_EQ(irqchip_create_split(&world.vm, 24), -EINVAL);
	world_end();
	world_start(IRQCHIP_NONE, 0);
	EXPECT_EQ(irqchip_create_split(&world.vm, 4097), -EINVAL);
	shim_fail_after = 1;			/* the PIC is there, the IOAPIC is not */
	EXPECT_EQ(irqchip_create(&world.vm), -ENOMEM);
	EXPECT(!world.vm.irq.pic);
	shim_fail_after = -1;
	world.nr_dev = 0;
	EXPECT_EQ(irqchip_create(&world.vm), 0);
	world_end();
}

static const struct ktap_case cases[] = {
	{ "registers", registers },
	{ "edge", edge },
	{ "level and remote IRR", level },
	{ "masking", masks },
	{ "masking disturbs nobody", masking_disturbs_nobody },
	{ "changing the trigger mode ends a level interrupt", trigger_mode_clears_remote_irr },
	{ "sources of one line", sources_are_ored },
	{ "acknowledged without the lock", resample },
	{ "two pins with one vector", shared_vector },
	{ "which EOIs matter", eoi_vectors },
	{ "KVM_GET_IRQCHIP, KVM_SET_IRQCHIP", user_state },
	{ "split irqchip: EOI exits", split_eoi_exits },
	{ "creation", creation_rules },
};

int main(void)
{
	return ktap_run(cases, ARRAY_SIZE(cases));
}
