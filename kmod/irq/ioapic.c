// SPDX-License-Identifier: GPL-2.0-only
/*
 * The I/O APIC: an index and a data register over a redirection table. Interrupts leave it as
 * messages, the same way MSIs do. Polarity is ignored: a line is asserted when its level is 1.
 */
#include <linux/bitmap.h>
#include <linux/build_bug.h>
#include <linux/slab.h>
#include "vm.h"
#include "irq/ioapic.h"
#include "irq/lapic.h"
#include "irq/route.h"

#define REG_SELECT	0x00		/* MMIO offsets */
#define REG_WINDOW	0x10

#define INDEX_ID	0x00		/* what REG_SELECT chooses */
#define INDEX_VERSION	0x01
#define INDEX_ARB	0x02
#define INDEX_TABLE	0x10

#define VERSION		(0x11 | (IOAPIC_NR_PINS - 1) << 16)
#define MMIO_LEN	0x100
#define ENTRY_MASKED	0x10000ull
#define ENTRY_BITS	0xff0000000001ffffull
#define TABLE_READ_ONLY	0x5000ull	/* delivery status, remote IRR */
#define TABLE_ROUTING	0xff00000000008fffull	/* which vector goes to whom, edge or level */

/* A redirection table entry. The uapi header gives it no name. */
typedef typeof(((struct kvm_ioapic_state *)0)->redirtbl[0]) ioapic_entry;

static_assert(sizeof(ioapic_entry) == 8);

static struct lapic_irq entry_irq(const ioapic_entry *e)
{
	struct lapic_irq irq = lapic_irq_decode(e->bits);

	irq.dest_id = e->fields.dest_id;
	irq.dest_mode = e->fields.dest_mode;
	irq.msi_redir_hint = e->fields.delivery_mode == LAPIC_LOWEST;
	return irq;
}

/* Send what a pin asks for. Under ioapic->lock. */
static int service(struct ioapic *ioapic, unsigned int pin)
{
	ioapic_entry *e = &ioapic->state.redirtbl[pin];
	struct lapic_irq irq = entry_irq(e);
	int ret;

	if (e->fields.mask || (e->fields.trig_mode && e->fields.remote_irr))
		return -1;
	ret = lapic_deliver(ioapic->vm, &irq);
	if (e->fields.trig_mode && ret > 0)
		e->fields.remote_irr = 1;
	return ret;
}

/* An edge that was sent is not owed any more; a level is, until the line falls. */
static int send_latched(struct ioapic *ioapic, unsigned int pin)
{
	ioapic_entry *e = &ioapic->state.redirtbl[pin];
	int ret = service(ioapic, pin);

	if (!e->fields.trig_mode && !e->fields.mask)
		ioapic->state.irr &= ~BIT(pin);
	return ret;
}

static int line_changed(struct ioapic *ioapic, unsigned int pin, bool was, bool is)
{
	ioapic_entry *e = &ioapic->state.redirtbl[pin];

	if (!is) {
		ioapic->state.irr &= ~BIT(pin);
		return 1;
	}
	if (was && !e->fields.trig_mode)
		return 0;		/* no edge */
	ioapic->state.irr |= BIT(pin);
	if (e->fields.mask)
		return -1;
	if (e->fields.trig_mode && e->fields.remote_irr)
		return 0;		/* joins the one in service */
	return send_latched(ioapic, pin);
}

int ioapic_set_irq(struct vm *vm, unsigned int pin, int source, int level)
{
	struct ioapic *ioapic = vm->irq.ioapic;
	unsigned long flags;
	bool was;
	int ret;

	if (!ioapic || pin >= IOAPIC_NR_PINS)
		return -1;
	spin_lock_irqsave(&ioapic->lock, flags);
	was = ioapic->lines[pin];
	line_drive(&ioapic->lines[pin], source, level);
	ret = line_changed(ioapic, pin, was, ioapic->lines[pin]);
	spin_unlock_irqrestore(&ioapic->lock, flags);
	return ret;
}

/*
 * Level pins of this vector whose interrupt is over; edge pins only matter to those who count
 * ticks.
 */
static unsigned long ended_pins(struct ioapic *ioapic, u8 vector, bool level)
{
	unsigned long ended = 0;
	int pin;

	for (pin = 0; pin < IOAPIC_NR_PINS; pin++) {
		ioapic_entry *e = &ioapic->state.redirtbl[pin];

		if (e->fields.vector != vector)
			continue;
		if (e->fields.trig_mode && !(level && e->fields.remote_irr))
			continue;
		e->fields.remote_irr = 0;
		ended |= BIT(pin);
	}
	return ended;
}

void ioapic_eoi(struct vcpu *vcpu, u8 vector, bool level)
{
	struct ioapic *ioapic = vcpu->vm->irq.ioapic;
	unsigned long flags, ended;
	int pin;

	spin_lock_irqsave(&ioapic->lock, flags);
	ended = ended_pins(ioapic, vector, level);
	spin_unlock_irqrestore(&ioapic->lock, flags);
	/* Without the lock: whoever hears of it may lower or raise the pin at once. */
	for_each_set_bit(pin, &ended, IOAPIC_NR_PINS)
		route_acked(vcpu->vm, KVM_IRQCHIP_IOAPIC, pin);
	if (!ended)
		return;
	spin_lock_irqsave(&ioapic->lock, flags);
	ended &= ioapic->state.irr;
	for_each_set_bit(pin, &ended, IOAPIC_NR_PINS)
		if (ioapic->state.redirtbl[pin].fields.trig_mode)
			service(ioapic, pin);
	spin_unlock_irqrestore(&ioapic->lock, flags);
}

void ioapic_eoi_vectors(struct vcpu *vcpu, u64 bitmap[4])
{
	struct ioapic *ioapic = vcpu->vm->irq.ioapic;
	ioapic_entry table[IOAPIC_NR_PINS];
	struct lapic_irq irq;
	unsigned long flags;
	int pin;

	spin_lock_irqsave(&ioapic->lock, flags);
	memcpy(table, ioapic->state.redirtbl, sizeof(table));
	spin_unlock_irqrestore(&ioapic->lock, flags);
	for (pin = 0; pin < IOAPIC_NR_PINS; pin++) {
		if (!table[pin].fields.trig_mode && !route_has_ack(vcpu->vm, KVM_IRQCHIP_IOAPIC, pin))
			continue;
		irq = entry_irq(&table[pin]);
		if (lapic_matches(vcpu->irq.lapic, &irq))
			__set_bit(irq.vector, (unsigned long *)bitmap);
	}
}

/* Registers */

/* The entry that REG_SELECT chooses, or NULL: another register, or none. */
static ioapic_entry *selected(struct ioapic *ioapic)
{
	unsigned int pin = (ioapic->state.ioregsel - INDEX_TABLE) >> 1;

	if (ioapic->state.ioregsel < INDEX_TABLE || pin >= IOAPIC_NR_PINS)
		return NULL;
	return &ioapic->state.redirtbl[pin];
}

static u32 index_read(struct ioapic *ioapic)
{
	const ioapic_entry *e = selected(ioapic);

	switch (ioapic->state.ioregsel) {
	case INDEX_ID:
	case INDEX_ARB:
		return ioapic->state.id << 24;
	case INDEX_VERSION:
		return VERSION;
	default:
		return !e ? 0 : ioapic->state.ioregsel & 1 ? e->bits >> 32 : e->bits;
	}
}

static void entry_write(struct ioapic *ioapic, ioapic_entry *e, u32 val)
{
	unsigned int pin = e - ioapic->state.redirtbl;
	u64 old = e->bits;

	if (ioapic->state.ioregsel & 1)
		e->bits = (u64)val << 32 | (u32)old;
	else
		e->bits = (old & (TABLE_READ_ONLY | ~0ull << 32)) | (val & ~TABLE_READ_ONLY);
	e->bits &= ENTRY_BITS;
	if ((e->bits ^ old) & TABLE_ROUTING)
		irq_eoi_bitmap_request(ioapic->vm);
	if (!e->fields.trig_mode)
		e->fields.remote_irr = 0; /* how software without an EOI register ends a level interrupt */
	if (e->fields.trig_mode && (ioapic->state.irr & BIT(pin)))
		service(ioapic, pin);
}

/* Return: pin that this write unmasked, or -1. */
static int index_write(struct ioapic *ioapic, u32 val)
{
	ioapic_entry *e = selected(ioapic);
	bool masked;

	if (ioapic->state.ioregsel == INDEX_ID)
		ioapic->state.id = val >> 24 & 0xf;
	if (!e)
		return -1;
	masked = e->fields.mask;
	entry_write(ioapic, e, val);
	return masked && !e->fields.mask ? e - ioapic->state.redirtbl : -1;
}

static int ioapic_mmio_read(struct vcpu *vcpu, struct bus_dev *dev, u64 addr, int len, void *val)
{
	struct ioapic *ioapic = container_of(dev, struct ioapic, dev);
	unsigned int offset = addr & 0xf0;
	unsigned long flags;
	u64 reg = 0;

	spin_lock_irqsave(&ioapic->lock, flags);
	if (offset == REG_SELECT)
		reg = ioapic->state.ioregsel;
	else if (offset == REG_WINDOW)
		reg = index_read(ioapic);
	spin_unlock_irqrestore(&ioapic->lock, flags);
	memcpy(val, &reg, min_t(int, len, sizeof(reg)));
	return 0;
}

static int ioapic_mmio_write(struct vcpu *vcpu, struct bus_dev *dev, u64 addr, int len,
			     const void *val)
{
	struct ioapic *ioapic = container_of(dev, struct ioapic, dev);
	unsigned int offset = addr & 0xf0;
	unsigned long flags;
	int unmasked = -1;
	u32 reg = 0;

	memcpy(&reg, val, min_t(int, len, sizeof(reg)));
	spin_lock_irqsave(&ioapic->lock, flags);
	if (offset == REG_SELECT)
		ioapic->state.ioregsel = reg;
	else if (offset == REG_WINDOW)
		unmasked = index_write(ioapic, reg);
	spin_unlock_irqrestore(&ioapic->lock, flags);
	if (unmasked >= 0)
		route_unmasked(vcpu->vm, KVM_IRQCHIP_IOAPIC, unmasked);
	return 0;
}

static const struct bus_dev_ops ioapic_ops = {
	.read = ioapic_mmio_read,
	.write = ioapic_mmio_write,
};

int ioapic_create(struct vm *vm)
{
	struct ioapic *ioapic = kzalloc(sizeof(*ioapic), GFP_KERNEL_ACCOUNT);
	int pin;

	if (!ioapic)
		return -ENOMEM;
	ioapic->vm = vm;
	spin_lock_init(&ioapic->lock);
	ioapic->state.base_address = IOAPIC_BASE;
	for (pin = 0; pin < IOAPIC_NR_PINS; pin++)
		ioapic->state.redirtbl[pin].bits = ENTRY_MASKED;
	ioapic->dev = (struct bus_dev){ &ioapic_ops, IOAPIC_BASE, MMIO_LEN };
	vm->irq.ioapic = ioapic;
	return bus_attach(vm, BUS_MMIO, &ioapic->dev);
}

void ioapic_destroy(struct vm *vm)
{
	struct ioapic *ioapic = vm->irq.ioapic;

	if (!ioapic)
		return;
	vm->irq.ioapic = NULL;
	bus_detach(vm, BUS_MMIO, &ioapic->dev);
	kfree(ioapic);
}

void ioapic_to_user(struct vm *vm, struct kvm_ioapic_state *state)
{
	struct ioapic *ioapic = vm->irq.ioapic;
	unsigned long flags;

	spin_lock_irqsave(&ioapic->lock, flags);
	*state = ioapic->state;
	spin_unlock_irqrestore(&ioapic->lock, flags);
}

void ioapic_from_user(struct vm *vm, const struct kvm_ioapic_state *state)
{
	struct ioapic *ioapic = vm->irq.ioapic;
	unsigned long flags, irr = state->irr;
	int pin;

	spin_lock_irqsave(&ioapic->lock, flags);
	ioapic->state.ioregsel = state->ioregsel;
	ioapic->state.id = state->id & 0xf;
	ioapic->state.irr = 0;
	for (pin = 0; pin < IOAPIC_NR_PINS; pin++)
		ioapic->state.redirtbl[pin].bits = state->redirtbl[pin].bits & ENTRY_BITS;
	/*
	 * An edge that came while its pin was masked is sent now; a level is sent again if it is
	 * still owed.
	 */
	for_each_set_bit(pin, &irr, IOAPIC_NR_PINS) {
		ioapic->state.irr |= BIT(pin);
		send_latched(ioapic, pin);
	}
	spin_unlock_irqrestore(&ioapic->lock, flags);
	irq_eoi_bitmap_request(vm);
}
