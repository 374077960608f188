// SPDX-License-Identifier: GPL-2.0-only
/*
 * The 8259 pair: initialization, priorities and rotation, every EOI command, modes, cascade,
 * ELCR.
 */
#include "world.h"

#define CMD	0x20
#define DATA	0x21
#define SCMD	0xa0
#define SDATA	0xa1

static void init(u8 icw4)
{
	port_out(CMD, 0x11);
	port_out(DATA, 0x20);
	port_out(DATA, 0x04);
	port_out(DATA, 0x01 | icw4);
	port_out(SCMD, 0x11);
	port_out(SDATA, 0x28);
	port_out(SDATA, 0x02);
	port_out(SDATA, 0x01);
	port_out(DATA, 0);
	port_out(SDATA, 0);
}

static void start(void)
{
	world_start(IRQCHIP_KERNEL, 2);
	init(0);
}

static int set(unsigned int pin, int level)
{
	return pic_set_irq(&world.vm, pin, IRQ_SOURCE_USER, level);
}

static void pulse(unsigned int pin)
{
	set(pin, 1);
	set(pin, 0);
}

/* What the CPU would read, -1 when INTR is low. */
static int inta(void)
{
	return pic_output(world.vm.irq.pic) ? pic_ack(&world.vm) : -1;
}

static u8 isr(u16 port)
{
	port_out(port, 0x0b);
	return port_in(port);
}

static u8 irr(u16 port)
{
	port_out(port, 0x0a);
	return port_in(port);
}

static void edge_and_masks(void)
{
	start();
	EXPECT_EQ(inta(), -1);
	EXPECT_EQ(set(3, 1), 1);
	EXPECT_EQ(set(3, 1), 0);
	EXPECT(world.kicked & 1);		/* the boot processor, whose LINT0 is ExtINT */
	EXPECT(!(world.kicked & 2));
	EXPECT(irq_pending(world_vcpu(0)));
	EXPECT(!irq_pending(world_vcpu(1)));
	EXPECT_EQ(irr(CMD), 0x08);
	EXPECT_EQ(irq_ack(world_vcpu(0)), 0x23);
	EXPECT_EQ(irr(CMD), 0);
	EXPECT_EQ(isr(CMD), 0x08);
	port_out(CMD, 0x20);
	EXPECT_EQ(isr(CMD), 0);
	EXPECT_EQ(set(3, 1), 0);		/* the line is still up: no edge */
	EXPECT_EQ(inta(), -1);
	set(3, 0);
	port_out(DATA, 0x08);
	EXPECT_EQ(port_in(DATA), 0x08);
	EXPECT_EQ(set(3, 1), -1);
	EXPECT_EQ(inta(), -1);
	world.unmasked[0] = 0;
	port_out(DATA, 0);
	EXPECT_EQ(world.unmasked[0], 0x08);
	EXPECT_EQ(inta(), 0x23);
	EXPECT_EQ(pic_set_irq(&world.vm, 16, 0, 1), -1);
	world_end();
}

static void priorities_nest(void)
{
	start();
	pulse(5);
	EXPECT_EQ(inta(), 0x25);
	pulse(6);
	EXPECT_EQ(inta(), -1);			/* lower than what is in service */
	pulse(1);
	EXPECT_EQ(inta(), 0x21);
	EXPECT_EQ(isr(CMD), 0x22);
	port_out(CMD, 0x20);			/* ends the higher one */
	EXPECT_EQ(isr(CMD), 0x20);
	EXPECT_EQ(world.acked[0], 0x02);
	EXPECT_EQ(inta(), -1);
	port_out(CMD, 0x60 | 5);		/* specific */
	EXPECT_EQ(inta(), 0x26);
	world_end();
}

static void rotation(void)
{
	start();
	pulse(3);
	EXPECT_EQ(inta(), 0x23);
	port_out(CMD, 0xa0);			/* rotate on non-specific EOI: 3 is lowest now */
	pulse(3);
	pulse(4);
	EXPECT_EQ(inta(), 0x24);
	port_out(CMD, 0xe0 | 4);		/* rotate on specific EOI */
	pulse(4);
	EXPECT_EQ(inta(), 0x23);
	port_out(CMD, 0x20);
	EXPECT_EQ(inta(), 0x24);
	port_out(CMD, 0x20);
	port_out(CMD, 0xc0 | 6);		/* set priority: 7 is highest */
	pulse(0);
	pulse(7);
	EXPECT_EQ(inta(), 0x27);
	world_end();
}

static void automatic_eoi(void)
{
	start();
	init(0x02);
	pulse(4);
	EXPECT_EQ(inta(), 0x24);
	EXPECT_EQ(isr(CMD), 0);
	EXPECT_EQ(world.acked[0], 0x10);
	port_out(CMD, 0x80);			/* rotate in automatic EOI mode */
	pulse(4);
	EXPECT_EQ(inta(), 0x24);
	pulse(4);
	pulse(5);
	EXPECT_EQ(inta(), 0x25);
	port_out(CMD, 0x00);
	EXPECT_EQ(inta(), 0x24);
	world_end();
}

static void special_mask_mode(void)
{
	start();
	pulse(2 + 1);
	EXPECT_EQ(inta(), 0x23);
	port_out(DATA, 0x08);
	pulse(6);
	EXPECT_EQ(inta(), -1);
	port_out(CMD, 0x68);	/* special mask: a masked level in service blocks nobody */
	EXPECT_EQ(inta(), 0x26);
	port_out(CMD, 0x20);			/* and is not what a non-specific EOI ends */
	EXPECT_EQ(isr(CMD), 0x08);
	port_out(CMD, 0x48);
	pulse(6);
	EXPECT_EQ(inta(), -1);
	world_end();
}

static void cascade(void)
{
	start();
	pulse(12);
	EXPECT_EQ(irr(SCMD), 0x10);
	EXPECT_EQ(irr(CMD), 0x04);
	EXPECT_EQ(inta(), 0x2c);
	EXPECT_EQ(isr(CMD), 0x04);
	EXPECT_EQ(isr(SCMD), 0x10);
	EXPECT_EQ(irr(CMD), 0);
	pulse(9);
	EXPECT_EQ(inta(), -1);			/* the master's pin 2 is in service */
	pulse(1);
	EXPECT_EQ(inta(), 0x21);
	port_out(CMD, 0x20);
	port_out(SCMD, 0x20);
	EXPECT_EQ(world.acked[1], 0x10);
	port_out(CMD, 0x20);
	EXPECT_EQ(inta(), 0x29);
	port_out(CMD, 0x20);
	port_out(SCMD, 0x20);
	init(0x10);	/* special fully nested: a higher slave pin gets through */
	pulse(12);
	EXPECT_EQ(inta(), 0x2c);
	pulse(9);
	EXPECT_EQ(inta(), 0x29);
	world_end();
}

static void spurious(void)
{
	start();
	EXPECT_EQ(pic_ack(&world.vm), 0x27);
	EXPECT_EQ(isr(CMD), 0);			/* nothing to end */
	port_out(0x4d1, 0x02);
	set(9, 1);
	set(9, 0);	/* a level that went away takes the cascade with it */
	EXPECT_EQ(inta(), -1);
	world_end();
}

static void level_pins(void)
{
	start();
	port_out(0x4d0, 0xff);
	port_out(0x4d1, 0xff);
	EXPECT_EQ(port_in(0x4d0), 0xf8);
	EXPECT_EQ(port_in(0x4d1), 0xde);
	set(5, 1);
	EXPECT_EQ(inta(), 0x25);
	EXPECT_EQ(irr(CMD), 0x20);		/* stays requested while the line is up */
	port_out(CMD, 0x20);
	EXPECT_EQ(inta(), 0x25);
	pic_set_irq(&world.vm, 5, IRQ_SOURCE_RESAMPLE, 1);
	set(5, 0);
	port_out(CMD, 0x20);
	EXPECT_EQ(inta(), 0x25);
	pic_set_irq(&world.vm, 5, IRQ_SOURCE_RESAMPLE, 0);
	port_out(CMD, 0x20);
	EXPECT_EQ(inta(), -1);
	world_end();
}

static void polling(void)
{
	start();
	port_out(CMD, 0x0c);
	EXPECT_EQ(port_in(CMD), 0);
	pulse(4);
	port_out(CMD, 0x0c);
	EXPECT_EQ(port_in(CMD), 0x84);
	EXPECT_EQ(isr(CMD), 0x10);		/* it stood for an INTA */
	EXPECT_EQ(inta(), -1);
	port_out(CMD, 0x20);
	pulse(10);
	port_out(SCMD, 0x0c);
	EXPECT_EQ(port_in(SCMD), 0x82);
	EXPECT_EQ(inta(), -1);
	world_end();
}

static void initialization_clears(void)
{
	start();
	pulse(3);
	EXPECT_EQ(inta(), 0x23);
	pulse(4);
	port_out(DATA, 0x40);
	port_out(CMD, 0xc0 | 5);
	port_out(CMD, 0x10);			/* ICW1 without ICW4 */
	EXPECT_EQ(irr(CMD), 0);
	EXPECT_EQ(isr(CMD), 0);
	EXPECT_EQ(port_in(DATA), 0);
	port_out(DATA, 0x47);
	port_out(DATA, 0x04);
	port_out(DATA, 0x80);			/* OCW1 already */
	EXPECT_EQ(port_in(DATA), 0x80);
	pulse(0);
	pulse(6);
	EXPECT_EQ(inta(), 0x40);	/* low vector bits are the pin; priorities are reset */
	world_end();
}

static void raise_on_ack(unsigned int chip, unsigned int pin)
{
	world.on_ack = NULL;
	set(pin, 1);				/* takes the lock: it must be free */
	set(pin, 0);
}

static void acknowledged_without_the_lock(void)
{
	start();
	world.on_ack = raise_on_ack;
	pulse(0);
	EXPECT_EQ(inta(), 0x20);
	port_out(CMD, 0x20);
	EXPECT_EQ(inta(), 0x20);
	world_end();
}

static void user_state(void)
{
	struct kvm_irqchip chip = { .chip_id = KVM_IRQCHIP_PIC_MASTER };

	start();
	port_out(0x4d0, 0x20);
	pulse(3);
	EXPECT_EQ(inta(), 0x23);
	pulse(1);
	EXPECT_EQ(irqchip_to_user(&world.vm, &chip), 0);
	EXPECT_EQ(chip.chip.pic.irr, 0x02);
	EXPECT_EQ(chip.chip.pic.isr, 0x08);
	EXPECT_EQ(chip.chip.pic.irq_base, 0x20);
	EXPECT_EQ(chip.chip.pic.elcr, 0x20);
	EXPECT_EQ(chip.chip.pic.elcr_mask, 0xf8);
	world_end();
	world_start(IRQCHIP_KERNEL, 1);
	chip.chip.pic.elcr = 0xff;
	chip.chip.pic.elcr_mask = 0xff;
	chip.chip.pic.priority_add = 0xf8;	/* out of range: hostile or garbled */
	chip.chip.pic.irq_base = 0x27;
	chip.chip.pic.init_state = 0xfc;
	EXPECT_EQ(irqchip_from_user(&world.vm, &chip), 0);
	EXPECT_EQ(inta(), 0x21);
	EXPECT_EQ(port_in(0x4d0), 0xf8);
	port_out(DATA, 0xff);
	EXPECT_EQ(port_in(DATA), 0xff);
	EXPECT_EQ(irqchip_to_user(&world.vm, &chip), 0);
	EXPECT(chip.chip.pic.init_state < 4);
	EXPECT(chip.chip.pic.priority_add < 8);
	EXPECT_EQ(chip.chip.pic.irq_base, 0x20);
	world_end();
}

static const struct ktap_case cases[] = {
	{ "edges, masks, who hears them", edge_and_masks },
	{ "priorities nest", priorities_nest },
	{ "rotation", rotation },
	{ "automatic EOI", automatic_eoi },
	{ "special mask mode", special_mask_mode },
	{ "cascade and special fully nested mode", cascade },
	{ "spurious interrupts", spurious },
	{ "level pins and their sources", level_pins },
	{ "poll", polling },
	{ "initialization", initialization_clears },
	{ "acknowledged without the lock", acknowledged_without_the_lock },
	{ "KVM_GET_IRQCHIP, KVM_SET_IRQCHIP", user_state },
};

int main(void)
{
	return ktap_run(cases, ARRAY_SIZE(cases));
}
