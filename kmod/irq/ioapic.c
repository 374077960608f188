// SPDX-License-Identifier: GPL-2.0-only
/*
 * The I/O APIC: an index and a data register over a redirection table. Interrupts leave it as
 * messages, the same way MSIs do. Polarity is ignored: a line is asserted when its level is 1.
 */
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
#define MASKED_ENTRY	0x10000ull
#define TABLE_READ_ONLY	0x5000ull	/* delivery status, remote IRR */
#define TABLE_ROUTING	0xff00000000008fffull	/* which vector goes to whom, edge or level */

static_assert(sizeof(union ioapic_entry) == 8);

static void entry_to_irq(const union ioapic_entry *e, struct lapic_irq *irq)
{
	*irq = (struct lapic_irq){
		.dest_id = e->dest_id,
		.dest_mode = e->dest_mode,
		.vector = e->vector,
		.delivery_mode = e->delivery_mode,
		.level = 1,
		.trig_mode = e->trig_mode,
		.msi_redir_hint = e->delivery_mode == LAPIC_LOWEST,
	};
}

/* Send what a pin asks for. Under ioapic->lock. */
static int service(struct ioapic *ioapic, unsigned int pin)
{
	union ioapic_entry *e = &ioapic->table[pin];
	struct lapic_irq irq;
	int ret;

	if (e->mask || (e->trig_mode && e->remote_irr))
		return -1;
	entry_to_irq(e, &irq);
	ret = lapic_deliver(ioapic->vm, &irq);
	if (e->trig_mode && ret > 0)
		e->remote_irr = 1;
	return ret;
}

/* An edge that was sent is not owed any more; a level is, until the line falls. */
static int send_latched(struct ioapic *ioapic, unsigned int pin)
{
	union ioapic_entry *e = &ioapic->table[pin];
	int ret = service(ioapic, pin);

	if (!e->trig_mode && !e->mask)
		ioapic->irr &= ~BIT(pin);
	return ret;
}

static int line_changed(struct ioapic *ioapic, unsigned int pin, bool was, bool is)
{
	union ioapic_entry *e = &ioapic->table[pin];

	if (!is) {
		ioapic->irr &= ~BIT(pin);
		return 1;
	}
	if (was && !e->trig_mode)
		return 0;		/* no edge */
	ioapic->irr |= BIT(pin);
	if (e->mask)
		return -1;
	if (e->trig_mode && e->remote_irr)
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
	if (level)
		ioapic->lines[pin] |= BIT(source);
	else
		ioapic->lines[pin] &= ~BIT(source);
	ret = line_changed(ioapic, pin, was, ioapic->lines[pin]);
	spin_unlock_irqrestore(&ioapic->lock, flags);
	return ret;
}

/*
 * Level pins of this vector whose interrupt is over; edge pins only matter to those who count
 * ticks.
 */
static u32 ended_pins(struct ioapic *ioapic, u8 vector, bool level)
{
	u32 ended = 0;
	int pin;

	for (pin = 0; pin < IOAPIC_NR_PINS; pin++) {
		union ioapic_entry *e = &ioapic->table[pin];

		if (e->vector != vector)
			continue;
		if (e->trig_mode && !(level && e->remote_irr))
			continue;
		e->remote_irr = 0;
		ended |= BIT(pin);
	}
	return ended;
}

static void service_pins(struct ioapic *ioapic, u32 pins)
{
	int pin;

	for (pin = 0; pin < IOAPIC_NR_PINS; pin++)
		if ((pins & BIT(pin)) && ioapic->table[pin].trig_mode && (ioapic->irr & BIT(pin)))
			service(ioapic, pin);
}

void ioapic_eoi(struct vcpu *vcpu, u8 vector, bool level)
{
	struct ioapic *ioapic = vcpu->vm->irq.ioapic;
	unsigned long flags;
	u32 ended;
	int pin;

	spin_lock_irqsave(&ioapic->lock, flags);
	ended = ended_pins(ioapic, vector, level);
	spin_unlock_irqrestore(&ioapic->lock, flags);
	if (!ended)
		return;
	/* Without the lock: whoever hears of it may lower or raise the pin at once. */
	for (pin = 0; pin < IOAPIC_NR_PINS; pin++)
		if (ended & BIT(pin))
			route_acked(vcpu->vm, KVM_IRQCHIP_IOAPIC, pin);
	spin_lock_irqsave(&ioapic->lock, flags);
	service_pins(ioapic, ended);
	spin_unlock_irqrestore(&ioapic->lock, flags);
}

void ioapic_eoi_vectors(struct vcpu *vcpu, u64 bitmap[4])
{
	struct ioapic *ioapic = vcpu->vm->irq.ioapic;
	union ioapic_entry table[IOAPIC_NR_PINS];
	struct lapic_irq irq;
	unsigned long flags;
	int pin;

	spin_lock_irqsave(&ioapic->lock, flags);
	memcpy(table, ioapic->table, sizeof(table));
	spin_unlock_irqrestore(&ioapic->lock, flags);
	for (pin = 0; pin < IOAPIC_NR_PINS; pin++) {
		if (!table[pin].trig_mode && !route_has_ack(vcpu->vm, KVM_IRQCHIP_IOAPIC, pin))
			continue;
		entry_to_irq(&table[pin], &irq);
		if (lapic_matches(vcpu->irq.lapic, &irq))
			__set_bit(irq.vector, (unsigned long *)bitmap);
	}
}

/* Registers */

static u32 index_read(struct ioapic *ioapic)
{
	unsigned int pin = (ioapic->select - INDEX_TABLE) >> 1;

	switch (ioapic->select) {
	case INDEX_ID:
	case INDEX_ARB:
		return ioapic->id;
	case INDEX_VERSION:
		return VERSION;
	}
	if (ioapic->select < INDEX_TABLE || pin >= IOAPIC_NR_PINS)
		return 0;
	return ioapic->table[pin].bits >> (ioapic->select & 1 ? 32 : 0);
}

static void entry_write(struct ioapic *ioapic, unsigned int pin, bool high, u32 val)
{
	union ioapic_entry *e = &ioapic->table[pin], old = *e;
	u64 bits = high ? (u64)val << 32 | (u32)e->bits :
			  (e->bits & ~0xffffffffull) | (val & ~TABLE_READ_ONLY) |
			  (e->bits & TABLE_READ_ONLY);

	e->bits = bits & 0xff0000000001ffffull;
	if ((e->bits ^ old.bits) & TABLE_ROUTING)
		irq_eoi_bitmap_request(ioapic->vm);
	if (!e->trig_mode)
		e->remote_irr = 0; /* how software without an EOI register ends a level interrupt */
	if (e->trig_mode && (ioapic->irr & BIT(pin)))
		service(ioapic, pin);
}

/* Return: pin that this write unmasked, or -1. */
static int index_write(struct ioapic *ioapic, u32 val)
{
	unsigned int pin = (ioapic->select - INDEX_TABLE) >> 1;
	bool masked;

	if (ioapic->select == INDEX_ID)
		ioapic->id = val & 0x0f000000;
	if (ioapic->select < INDEX_TABLE || pin >= IOAPIC_NR_PINS)
		return -1;
	masked = ioapic->table[pin].mask;
	entry_write(ioapic, pin, ioapic->select & 1, val);
	return masked && !ioapic->table[pin].mask ? pin : -1;
}

static int ioapic_mmio_read(struct vcpu *vcpu, struct bus_dev *dev, u64 addr, int len, void *val)
{
	struct ioapic *ioapic = container_of(dev, struct ioapic, dev);
	unsigned int offset = addr & 0xf0;
	unsigned long flags;
	u64 reg = 0;

	spin_lock_irqsave(&ioapic->lock, flags);
	if (offset == REG_SELECT)
		reg = ioapic->select;
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
		ioapic->select = reg;
	else if (offset == REG_WINDOW)
		unmasked = index_write(ioapic, reg);
	spin_unlock_irqrestore(&ioapic->lock, flags);
	if (unmasked >= 0)
		route_unmasked(vcpu->vm, KVM_IRQCHIP_IOAPIC, unmasked);
	return 0;
}

static void ioapic_release(struct bus_dev *dev)
{
	kfree(container_of(dev, struct ioapic, dev));
}

static const struct bus_dev_ops ioapic_ops = {
	.read = ioapic_mmio_read,
	.write = ioapic_mmio_write,
	.release = ioapic_release,
};

int ioapic_create(struct vm *vm)
{
	struct ioapic *ioapic = kzalloc(sizeof(*ioapic), GFP_KERNEL_ACCOUNT);
	int pin, ret;

	if (!ioapic)
		return -ENOMEM;
	ioapic->vm = vm;
	spin_lock_init(&ioapic->lock);
	for (pin = 0; pin < IOAPIC_NR_PINS; pin++)
		ioapic->table[pin].bits = MASKED_ENTRY;
	ioapic->dev = (struct bus_dev){ &ioapic_ops, IOAPIC_BASE, MMIO_LEN };
	ret = bus_attach(vm, BUS_MMIO, &ioapic->dev);
	if (ret) {
		kfree(ioapic);
		return ret;
	}
	vm->irq.ioapic = ioapic;
	return 0;
}

void ioapic_destroy(struct vm *vm)
{
	struct ioapic *ioapic = vm->irq.ioapic;

	if (!ioapic)
		return;
	vm->irq.ioapic = NULL;
	bus_detach(vm, BUS_MMIO, &ioapic->dev);
}

void ioapic_to_user(struct vm *vm, struct kvm_ioapic_state *state)
{
	struct ioapic *ioapic = vm->irq.ioapic;
	unsigned long flags;
	int pin;

	memset(state, 0, sizeof(*state));
	spin_lock_irqsave(&ioapic->lock, flags);
	state->base_address = IOAPIC_BASE;
	state->ioregsel = ioapic->select;
	state->id = ioapic->id >> 24;
	state->irr = ioapic->irr;
	for (pin = 0; pin < IOAPIC_NR_PINS; pin++)
		state->redirtbl[pin].bits = ioapic->table[pin].bits;
	spin_unlock_irqrestore(&ioapic->lock, flags);
}

void ioapic_from_user(struct vm *vm, const struct kvm_ioapic_state *state)
{
	struct ioapic *ioapic = vm->irq.ioapic;
	unsigned long flags;
	int pin;

	spin_lock_irqsave(&ioapic->lock, flags);
	ioapic->select = state->ioregsel;
	ioapic->id = (state->id & 0xf) << 24;
	ioapic->irr = 0;
	for (pin = 0; pin < IOAPIC_NR_PINS; pin++)
		ioapic->table[pin].bits = state->redirtbl[pin].bits & 0xff0000000001ffffull;
	/*
	 * An edge that came while its pin was masked is sent now; a level is sent again if it is
	 * still owed.
	 */
	for (pin = 0; pin < IOAPIC_NR_PINS; pin++) {
		if (!(state->irr & BIT(pin)))
			continue;
		ioapic->irr |= BIT(pin);
		send_latched(ioapic, pin);
	}
	spin_unlock_irqrestore(&ioapic->lock, flags);
	irq_eoi_bitmap_request(vm);
}
