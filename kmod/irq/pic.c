// SPDX-License-Identifier: GPL-2.0-only
/*
 * Two 8259s, the slave's output on the master's pin 2. Edge requests stay latched until
 * acknowledged; which pins are level-triggered is up to the ELCR registers of the chipset around
 * them.
 */
#include <linux/bitmap.h>
#include <linux/bitops.h>
#include <linux/slab.h>
#include "vm.h"
#include "irq/lapic.h"
#include "irq/pic.h"
#include "irq/route.h"

#define CASCADE_PIN	2
#define NO_PRIORITY	8

#define PORT_MASTER	0x20
#define PORT_SLAVE	0xa0
#define PORT_ELCR	0x4d0

#define ICW1		BIT(4)		/* in a command */
#define ICW1_ICW4	BIT(0)
#define ICW4_AEOI	BIT(1)
#define ICW4_SFNM	BIT(4)
#define OCW3		BIT(3)
#define OCW3_RIS	BIT(0)
#define OCW3_RR		BIT(1)
#define OCW3_POLL	BIT(2)
#define OCW3_SMM	BIT(5)
#define OCW3_ESMM	BIT(6)

enum ocw2 {			/* bits 7:5 of a command */
	ROTATE_AEOI_CLEAR, EOI, NOP, EOI_SPECIFIC, ROTATE_AEOI_SET, ROTATE_EOI, SET_PRIORITY,
	ROTATE_EOI_SPECIFIC
};

enum { ICW_NONE, ICW2_NEXT, ICW3_NEXT, ICW4_NEXT };	/* kvm_pic_state.init_state */

static const u8 elcr_mask[2] = { 0xf8, 0xde };		/* pins 0, 1, 2, 8 and 13 are always edge */

static unsigned int chip_index(struct pic *pic, struct kvm_pic_state *s)
{
	return s - pic->chip;
}

static unsigned int highest_priority(const struct kvm_pic_state *s, u8 pins)
{
	return pins ? __ffs(ror8(pins, s->priority_add)) : NO_PRIORITY;
}

static unsigned int priority_to_pin(const struct kvm_pic_state *s, unsigned int priority)
{
	return (priority + s->priority_add) & 7;
}

static noinline int highest_request(struct pic *pic, struct kvm_pic_state *s)
{
	unsigned int wanted = highest_priority(s, s->irr & ~s->imr);
	u8 in_service = s->isr;

	if (s->special_mask)
		in_service &= ~s->imr;
	if (s->special_fully_nested_mode && s == &pic->chip[0])
		in_service &= ~BIT(CASCADE_PIN);
	return wanted < highest_priority(s, in_service) ? (int)priority_to_pin(s, wanted) : -1;
}

/* The pin a chip would present now, -1 none, as nearly always: few guests use these chips. */
static int chip_request(struct pic *pic, struct kvm_pic_state *s)
{
	return s->irr & ~s->imr ? highest_request(pic, s) : -1;
}

static void update_output(struct pic *pic)
{
	struct kvm_pic_state *master = &pic->chip[0];
	bool output;

	master->irr &= ~BIT(CASCADE_PIN);
	if (chip_request(pic, &pic->chip[1]) >= 0)
		master->irr |= BIT(CASCADE_PIN);
	output = chip_request(pic, master) >= 0;
	pic->raised |= output && !pic->output;
	WRITE_ONCE(pic->output, output);
}

/* Returns 1 requested, 0 coalesced, -1 masked. */
static int set_pin(struct kvm_pic_state *s, unsigned int pin, bool level)
{
	u8 bit = BIT(pin);
	bool request = level && (s->elcr & bit || !(s->last_irr & bit));
	bool coalesced = level && (!request || s->irr & bit);

	s->last_irr = level ? s->last_irr | bit : s->last_irr & ~bit;
	if (request)
		s->irr |= bit;
	else if (!level && s->elcr & bit)
		s->irr &= ~bit;
	return s->imr & bit ? -1 : !coalesced;
}

/* The vCPU that the output is wired to, through its LINT0. */
static void raise_output(struct vm *vm)
{
	struct vcpu *vcpu;
	int i;

	vm_for_each_vcpu(i, vcpu, vm) {
		if (lapic_accepts_extint(vcpu)) {
			vcpu_request_kick(vcpu, REQ_EVENT);
			return;
		}
	}
}

static void tell_pins(struct vm *vm, unsigned long pins,
		      void (*tell)(struct vm *vm, unsigned int chip, unsigned int pin))
{
	unsigned int pin;

	for_each_set_bit(pin, &pins, PIC_NR_PINS)
		tell(vm, pin < 8 ? KVM_IRQCHIP_PIC_MASTER : KVM_IRQCHIP_PIC_SLAVE, pin & 7);
}

/* Whoever hears of an acknowledgement may drive the pin again, so tell without the lock. */
static void pic_unlock(struct pic *pic, unsigned long flags)
	__releases(&pic->lock)
{
	u16 acked = pic->acked, unmasked = pic->unmasked;
	bool raised = pic->raised;

	pic->acked = 0;
	pic->unmasked = 0;
	pic->raised = false;
	spin_unlock_irqrestore(&pic->lock, flags);
	if (raised)
		raise_output(pic->vm);
	if (acked)
		tell_pins(pic->vm, acked, route_acked);
	if (unmasked)
		tell_pins(pic->vm, unmasked, route_unmasked);
}

int pic_set_irq(struct vm *vm, unsigned int pin, int source, int level)
{
	struct pic *pic = vm->irq.pic;
	struct kvm_pic_state *s;
	unsigned long flags;
	int ret;
	u8 irr;

	if (!pic || pin >= PIC_NR_PINS)
		return -1;
	s = &pic->chip[pin >> 3];
	spin_lock_irqsave(&pic->lock, flags);
	irr = s->irr;
	line_drive(&pic->lines[pin], source, level);
	ret = set_pin(s, pin & 7, pic->lines[pin]);
	if (s->irr != irr)
		update_output(pic);
	pic_unlock(pic, flags);
	return ret;
}

static void end_service(struct pic *pic, struct kvm_pic_state *s, unsigned int pin)
{
	s->isr &= ~BIT(pin);
	pic->acked |= BIT(pin + 8 * chip_index(pic, s));
}

static void chip_ack(struct pic *pic, struct kvm_pic_state *s, unsigned int pin)
{
	if (!(s->elcr & BIT(pin)))
		s->irr &= ~BIT(pin);
	if (!s->auto_eoi) {
		s->isr |= BIT(pin);
		return;
	}
	if (s->rotate_on_auto_eoi)
		s->priority_add = (pin + 1) & 7;
	end_service(pic, s, pin);
}

/* One INTA cycle of a chip; -1: the request went away in the meantime. */
static int chip_inta(struct pic *pic, struct kvm_pic_state *s)
{
	int pin = chip_request(pic, s);

	if (pin >= 0)
		chip_ack(pic, s, pin);
	return pin;
}

int pic_ack(struct vm *vm)
{
	struct pic *pic = vm->irq.pic;
	struct kvm_pic_state *s = &pic->chip[0];
	unsigned long flags;
	int pin, vector;

	spin_lock_irqsave(&pic->lock, flags);
	pin = chip_inta(pic, s);
	if (pin == CASCADE_PIN) {
		s = &pic->chip[1];
		pin = chip_inta(pic, s);
	}
	vector = s->irq_base + (pin < 0 ? 7 : pin);	/* spurious: pin 7 */
	update_output(pic);
	pic_unlock(pic, flags);
	return vector;
}

/* ICW1. Edge detection starts afresh; requests of level pins stay. */
static void chip_init(struct kvm_pic_state *s, u8 val)
{
	bool icw4 = val & ICW1_ICW4;

	*s = (struct kvm_pic_state){
		.irr = s->irr & s->elcr,
		.irq_base = s->irq_base,
		.elcr = s->elcr,
		.elcr_mask = s->elcr_mask,
		.init4 = icw4,
		.auto_eoi = icw4 && s->auto_eoi,
		.special_fully_nested_mode = icw4 && s->special_fully_nested_mode,
		.init_state = ICW2_NEXT,
	};
}

static void write_ocw2(struct pic *pic, struct kvm_pic_state *s, u8 val)
{
	unsigned int pin = val & 7;
	unsigned int priority;
	enum ocw2 op = val >> 5;

	if (op == EOI || op == ROTATE_EOI) {
		priority = highest_priority(s, s->isr & ~(s->special_mask ? s->imr : 0));
		if (priority == NO_PRIORITY)
			return;
		pin = priority_to_pin(s, priority);
	}
	if (op == ROTATE_AEOI_CLEAR || op == ROTATE_AEOI_SET)
		s->rotate_on_auto_eoi = op == ROTATE_AEOI_SET;
	if (op == ROTATE_EOI || op == ROTATE_EOI_SPECIFIC || op == SET_PRIORITY)
		s->priority_add = (pin + 1) & 7;
	if (op == EOI || op == ROTATE_EOI || op == EOI_SPECIFIC || op == ROTATE_EOI_SPECIFIC)
		end_service(pic, s, pin);
}

static void write_ocw3(struct kvm_pic_state *s, u8 val)
{
	if (val & OCW3_POLL)
		s->poll = 1;
	if (val & OCW3_RR)
		s->read_reg_select = val & OCW3_RIS;
	if (val & OCW3_ESMM)
		s->special_mask = !!(val & OCW3_SMM);
}

static void write_command(struct pic *pic, struct kvm_pic_state *s, u8 val)
{
	if (val & ICW1)
		chip_init(s, val);
	else if (val & OCW3)
		write_ocw3(s, val);
	else
		write_ocw2(pic, s, val);
}

static void write_data(struct pic *pic, struct kvm_pic_state *s, u8 val)
{
	switch (s->init_state) {
	case ICW2_NEXT:
		s->irq_base = val & 0xf8;
		s->init_state = ICW3_NEXT;
		break;
	case ICW3_NEXT:		/* the cascade is wired and needs no telling */
		s->init_state = s->init4 ? ICW4_NEXT : ICW_NONE;
		break;
	case ICW4_NEXT:
		s->special_fully_nested_mode = !!(val & ICW4_SFNM);
		s->auto_eoi = !!(val & ICW4_AEOI);
		s->init_state = ICW_NONE;
		break;
	default:
		pic->unmasked |= (s->imr & ~val) << (8 * chip_index(pic, s));
		s->imr = val;
	}
}

/* After a poll command the read stands for an INTA cycle. */
static noinline u8 chip_poll(struct pic *pic, struct kvm_pic_state *s)
{
	unsigned long flags;
	int pin = -1;

	spin_lock_irqsave(&pic->lock, flags);
	if (s->poll) {
		pin = chip_inta(pic, s);
		s->poll = 0;
		update_output(pic);
	}
	pic_unlock(pic, flags);
	return pin < 0 ? 0 : 0x80 | pin;
}

/* A register is a byte, which needs no lock to be read. */
static u8 chip_read(struct pic *pic, struct kvm_pic_state *s, unsigned int reg)
{
	if (unlikely(READ_ONCE(s->poll)))
		return chip_poll(pic, s);
	if (reg)
		return READ_ONCE(s->imr);
	return READ_ONCE(s->read_reg_select) ? READ_ONCE(s->isr) : READ_ONCE(s->irr);
}

static int pic_read(struct vcpu *vcpu, struct bus_dev *dev, u64 addr, int len, void *val)
{
	struct pic *pic = vcpu->vm->irq.pic;

	if (len != 1)
		memset(val, 0, len);
	else if (dev->base == PORT_ELCR)
		*(u8 *)val = READ_ONCE(pic->chip[addr & 1].elcr);
	else
		*(u8 *)val = chip_read(pic, &pic->chip[dev->base == PORT_SLAVE], addr & 1);
	return 0;
}

static int pic_write(struct vcpu *vcpu, struct bus_dev *dev, u64 addr, int len, const void *val)
{
	struct pic *pic = vcpu->vm->irq.pic;
	struct kvm_pic_state *s = &pic->chip[dev->base == PORT_SLAVE];
	u8 byte = *(const u8 *)val;
	unsigned long flags;

	if (len != 1)
		return 0;
	spin_lock_irqsave(&pic->lock, flags);
	if (dev->base == PORT_ELCR)
		pic->chip[addr & 1].elcr = byte & elcr_mask[addr & 1];
	else if (addr & 1)
		write_data(pic, s, byte);
	else
		write_command(pic, s, byte);
	update_output(pic);
	pic_unlock(pic, flags);
	return 0;
}

static const struct bus_dev_ops pic_ops = { .read = pic_read, .write = pic_write };

int pic_create(struct vm *vm)
{
	static const u16 ports[] = { PORT_MASTER, PORT_SLAVE, PORT_ELCR };
	struct pic *pic = kzalloc(sizeof(*pic), GFP_KERNEL_ACCOUNT);
	int i, ret = 0;

	if (!pic)
		return -ENOMEM;
	pic->vm = vm;
	spin_lock_init(&pic->lock);
	pic->chip[0].elcr_mask = elcr_mask[0];
	pic->chip[1].elcr_mask = elcr_mask[1];
	vm->irq.pic = pic;	/* before the ports answer */
	for (i = 0; !ret && i < ARRAY_SIZE(ports); i++) {
		pic->dev[i] = (struct bus_dev){ &pic_ops, ports[i], 2 };
		ret = bus_attach(vm, BUS_PIO, &pic->dev[i]);
	}
	return ret;
}

void pic_destroy(struct vm *vm)
{
	struct pic *pic = vm->irq.pic;
	int i;

	if (!pic)
		return;
	for (i = 0; i < ARRAY_SIZE(pic->dev); i++)
		bus_detach(vm, BUS_PIO, &pic->dev[i]);
	vm->irq.pic = NULL;
	kfree(pic);
}

void pic_to_user(struct vm *vm, unsigned int chip, struct kvm_pic_state *state)
{
	struct pic *pic = vm->irq.pic;
	unsigned long flags;

	spin_lock_irqsave(&pic->lock, flags);
	*state = pic->chip[chip];
	pic_unlock(pic, flags);
}

void pic_from_user(struct vm *vm, unsigned int chip, const struct kvm_pic_state *state)
{
	struct pic *pic = vm->irq.pic;
	struct kvm_pic_state *s = &pic->chip[chip];
	unsigned long flags;

	spin_lock_irqsave(&pic->lock, flags);
	*s = *state;
	s->elcr_mask = elcr_mask[chip];
	s->elcr &= s->elcr_mask;
	s->irq_base &= 0xf8;
	s->priority_add &= 7;
	s->init_state &= 3;
	update_output(pic);
	pic_unlock(pic, flags);
}
