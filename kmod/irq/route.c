// SPDX-License-Identifier: GPL-2.0-only
/*
 * GSI routing. The table is immutable: entries grouped by GSI, with an index, so that userspace can
 * replace it often (each change of a userspace IOAPIC does) and interrupts find their entries fast.
 */
#include <linux/nospec.h>
#include <linux/rculist.h>
#include <linux/slab.h>
#include "vm.h"
#include "ioapic.h"
#include "lapic.h"
#include "pic.h"
#include "pit.h"
#include "route.h"
#include "trace.h"

#define ROUTE_PIC_PINS		8	/* of one PIC */
#define ROUTE_IOAPIC_PINS	24
#define ROUTE_NR_CHIPS		3
#define ROUTE_NO_GSI		0xffff

struct irq_routing {
	struct rcu_head rcu;
	u16 pin_gsi[ROUTE_NR_CHIPS][ROUTE_IOAPIC_PINS];	/* which GSI an acked pin belongs to */
	u32 nr_gsis;
	u32 *first;			/* nr_gsis + 1: where a GSI's entries begin */
	struct route_entry entries[];
};

/* vm->srcu held for reading, or irq_lock. */
static struct irq_routing *route_table(struct vm *vm)
{
	return srcu_dereference_check(vm->irq.routing, &vm->srcu,
				      lockdep_is_held(&vm->irq_lock) || !kref_read(&vm->users));
}

/* Entries of @gsi: their number, the first in *@entries. */
static unsigned int route_lookup(struct irq_routing *table, u32 gsi, struct route_entry **entries)
{
	if (!table || gsi >= table->nr_gsis)
		return 0;
	gsi = array_index_nospec(gsi, table->nr_gsis);
	*entries = &table->entries[table->first[gsi]];
	return table->first[gsi + 1] - table->first[gsi];
}

/* With 32-bit APIC ids the low byte of the upper address half is reserved. */
static bool route_msi_valid(struct vm *vm, u32 address_hi)
{
	return !vm->irq.x2apic_32bit_ids || !(address_hi & 0xff);
}

int route_entry_msi(struct vm *vm, const struct route_entry *entry)
{
	struct lapic_irq irq;

	lapic_irq_from_msi(vm, entry->msi.address_lo, entry->msi.address_hi, entry->msi.data, &irq);
	trace_corbel_msi(entry->msi.address_hi, entry->msi.address_lo, entry->msi.data);
	return lapic_deliver(vm, &irq);
}

int route_msi(struct vm *vm, const struct kvm_msi *msi)
{
	struct route_entry entry = {
		.msi = { msi->address_lo, msi->address_hi, msi->data },
	};

	if (vm->irq.mode == IRQCHIP_NONE || msi->flags || !route_msi_valid(vm, msi->address_hi))
		return -EINVAL;
	return route_entry_msi(vm, &entry);
}

static int route_drive(struct vm *vm, const struct route_entry *entry, int source, int level)
{
	if (entry->type == KVM_IRQ_ROUTING_MSI)
		return level ? route_entry_msi(vm, entry) : -1;
	if (entry->chip == KVM_IRQCHIP_IOAPIC)
		return ioapic_set_irq(vm, entry->pin, source, level);
	return pic_set_irq(vm, entry->chip * ROUTE_PIC_PINS + entry->pin, source, level);
}

int irq_set_gsi(struct vm *vm, int source, u32 gsi, int level)
{
	struct route_entry *entries;
	unsigned int i, nr;
	int srcu, status = -1;

	srcu = srcu_read_lock(&vm->srcu);
	nr = route_lookup(route_table(vm), gsi, &entries);
	for (i = 0; i < nr; i++) {
		int reached = route_drive(vm, &entries[i], source, level);

		if (reached >= 0)
			status = reached + max(status, 0);
	}
	srcu_read_unlock(&vm->srcu, srcu);
	trace_corbel_irq_set(gsi, source, level, status);
	return status;
}

bool route_lookup_msi(struct vm *vm, u32 gsi, struct route_entry *entry)
{
	struct route_entry *entries;

	if (route_lookup(route_table(vm), gsi, &entries) != 1 ||
	    entries->type != KVM_IRQ_ROUTING_MSI)
		return false;
	*entry = *entries;
	return true;
}

/* Acknowledgement: from the pin back to the GSI. */

static u32 route_pin_gsi(struct vm *vm, unsigned int chip, unsigned int pin)
{
	struct irq_routing *table = route_table(vm);

	if (!table || chip >= ROUTE_NR_CHIPS || pin >= ROUTE_IOAPIC_PINS)
		return ROUTE_NO_GSI;
	return table->pin_gsi[chip][array_index_nospec(pin, ROUTE_IOAPIC_PINS)];
}

bool route_has_ack(struct vm *vm, unsigned int chip, unsigned int pin)
{
	struct route_ack *ack;
	bool found = false;
	int srcu;
	u32 gsi;

	srcu = srcu_read_lock(&vm->srcu);
	gsi = route_pin_gsi(vm, chip, pin);
	hlist_for_each_entry_srcu(ack, &vm->irq.route_acks, link, srcu_read_lock_held(&vm->srcu))
		found |= gsi != ROUTE_NO_GSI && ack->gsi == gsi;
	srcu_read_unlock(&vm->srcu, srcu);
	return found;
}

void route_acked(struct vm *vm, unsigned int chip, unsigned int pin)
{
	struct route_ack *ack;
	int srcu;
	u32 gsi;

	srcu = srcu_read_lock(&vm->srcu);
	gsi = route_pin_gsi(vm, chip, pin);
	hlist_for_each_entry_srcu(ack, &vm->irq.route_acks, link, srcu_read_lock_held(&vm->srcu)) {
		if (gsi != ROUTE_NO_GSI && ack->gsi == gsi)
			ack->acked(ack);
	}
	srcu_read_unlock(&vm->srcu, srcu);
}

void route_unmasked(struct vm *vm, unsigned int chip, unsigned int pin)
{
	int srcu = srcu_read_lock(&vm->srcu);

	if (route_pin_gsi(vm, chip, pin) == 0)
		pit_unmasked(vm);
	srcu_read_unlock(&vm->srcu, srcu);
}

void route_ack_register(struct vm *vm, struct route_ack *ack)
{
	lockdep_assert_held(&vm->irq_lock);
	hlist_add_head_rcu(&ack->link, &vm->irq.route_acks);
	irq_eoi_bitmap_request(vm);	/* the EOI of an edge matters now */
}

void route_ack_unregister(struct vm *vm, struct route_ack *ack)
{
	lockdep_assert_held(&vm->irq_lock);
	hlist_del_rcu(&ack->link);
	if (!kref_read(&vm->users))
		return;			/* nobody is left to read */
	synchronize_srcu_expedited(&vm->srcu);
	irq_eoi_bitmap_request(vm);
}

void route_for_each_level_msi(struct vm *vm, u32 max_gsi,
			      void (*fn)(struct lapic_irq *irq, void *arg), void *arg)
{
	int srcu = srcu_read_lock(&vm->srcu);
	struct irq_routing *table = route_table(vm);
	u32 i, end = table ? table->first[min(max_gsi, table->nr_gsis)] : 0;

	for (i = 0; i < end; i++) {
		const struct route_entry *entry = &table->entries[i];
		struct lapic_irq irq;

		if (entry->type != KVM_IRQ_ROUTING_MSI)
			continue;
		lapic_irq_from_msi(vm, entry->msi.address_lo, entry->msi.address_hi,
				   entry->msi.data, &irq);
		if (irq.trig_mode)
			fn(&irq, arg);
	}
	srcu_read_unlock(&vm->srcu, srcu);
}

/* Replacing the table */

static bool route_irqchip_valid(struct vm *vm, u32 chip, u32 pin)
{
	if (vm->irq.mode == IRQCHIP_SPLIT)
		return false;
	if (chip == KVM_IRQCHIP_IOAPIC)
		return pin < ROUTE_IOAPIC_PINS;
	return chip <= KVM_IRQCHIP_PIC_SLAVE && pin < ROUTE_PIC_PINS;
}

static int route_parse(struct vm *vm, const struct kvm_irq_routing_entry *in,
		       struct route_entry *out)
{
	if (in->gsi >= ROUTE_NR_GSIS)
		return -EINVAL;
	out->gsi = in->gsi;
	out->type = in->type;
	switch (in->type) {
	case KVM_IRQ_ROUTING_IRQCHIP:
		if (in->flags || !route_irqchip_valid(vm, in->u.irqchip.irqchip, in->u.irqchip.pin))
			return -EINVAL;
		out->chip = in->u.irqchip.irqchip;
		out->pin = in->u.irqchip.pin;
		return 0;
	case KVM_IRQ_ROUTING_MSI:
		if (in->flags & ~KVM_MSI_VALID_DEVID || !route_msi_valid(vm, in->u.msi.address_hi))
			return -EINVAL;
		out->msi.address_lo = in->u.msi.address_lo;
		out->msi.address_hi = in->u.msi.address_hi;
		out->msi.data = in->u.msi.data;
		return 0;
	default:
		return -EINVAL;
	}
}

/* One GSI may lead to pins of different chips, or to one message; nothing else. */
static bool route_entries_conflict(const struct route_entry *a, const struct route_entry *b)
{
	return a->type != KVM_IRQ_ROUTING_IRQCHIP || b->type != KVM_IRQ_ROUTING_IRQCHIP ||
	       a->chip == b->chip;
}

static int route_insert(struct irq_routing *table, u32 *fill, const struct route_entry *entry)
{
	u32 i, pos = table->first[entry->gsi] + fill[entry->gsi];

	for (i = table->first[entry->gsi]; i < pos; i++) {
		if (route_entries_conflict(&table->entries[i], entry))
			return -EINVAL;
	}
	table->entries[pos] = *entry;
	fill[entry->gsi]++;
	if (entry->type == KVM_IRQ_ROUTING_IRQCHIP)
		table->pin_gsi[entry->chip][entry->pin] = entry->gsi;
	return 0;
}

static u32 route_count_gsis(const struct kvm_irq_routing_entry *entries, unsigned int nr)
{
	u32 i, nr_gsis = 0;

	for (i = 0; i < nr; i++)
		nr_gsis = max(nr_gsis, entries[i].gsi < ROUTE_NR_GSIS ? entries[i].gsi + 1 : 0);
	return nr_gsis;
}

static struct irq_routing *route_alloc(unsigned int nr, u32 nr_gsis)
{
	struct irq_routing *table;
	size_t size = struct_size(table, entries, nr);

	table = kvzalloc(size + (nr_gsis + 1) * sizeof(u32), GFP_KERNEL_ACCOUNT);
	if (!table)
		return NULL;
	table->nr_gsis = nr_gsis;
	table->first = (void *)table + size;
	memset(table->pin_gsi, 0xff, sizeof(table->pin_gsi));	/* ROUTE_NO_GSI */
	return table;
}

static void route_index(struct irq_routing *table, const struct kvm_irq_routing_entry *entries,
			unsigned int nr)
{
	u32 i;

	for (i = 0; i < nr; i++) {
		if (entries[i].gsi < table->nr_gsis)
			table->first[entries[i].gsi + 1]++;
	}
	for (i = 0; i < table->nr_gsis; i++)
		table->first[i + 1] += table->first[i];
}

static struct irq_routing *route_build(struct vm *vm, const struct kvm_irq_routing_entry *entries,
				       unsigned int nr)
{
	u32 nr_gsis = route_count_gsis(entries, nr);
	struct irq_routing *table = route_alloc(nr, nr_gsis);
	u32 *fill = kvcalloc(nr_gsis + 1, sizeof(*fill), GFP_KERNEL);
	unsigned int i;
	int err = table && fill ? 0 : -ENOMEM;

	if (!err)
		route_index(table, entries, nr);
	for (i = 0; !err && i < nr; i++) {
		struct route_entry entry = {};

		err = route_parse(vm, &entries[i], &entry);
		if (!err)
			err = route_insert(table, fill, &entry);
	}
	kvfree(fill);
	if (!err)
		return table;
	kvfree(table);
	return ERR_PTR(err);
}

static void route_free_rcu(struct rcu_head *rcu)
{
	kvfree(container_of(rcu, struct irq_routing, rcu));
}

int route_set(struct vm *vm, const struct kvm_irq_routing_entry *entries, unsigned int nr)
{
	struct irq_routing *table = route_build(vm, entries, nr), *old;

	if (IS_ERR(table))
		return PTR_ERR(table);
	mutex_lock(&vm->irq_lock);
	old = route_table(vm);
	rcu_assign_pointer(vm->irq.routing, table);
	irqfd_routing_changed(vm);
	mutex_unlock(&vm->irq_lock);
	if (old)
		call_srcu(&vm->srcu, &old->rcu, route_free_rcu);
	if (vm->irq.mode == IRQCHIP_SPLIT)
		irq_eoi_bitmap_request(vm);
	return 0;
}

int route_set_default(struct vm *vm)
{
	struct kvm_irq_routing_entry *entries;
	int gsi, nr = 0, err;

	entries = kcalloc(ROUTE_IOAPIC_PINS + 2 * ROUTE_PIC_PINS, sizeof(*entries), GFP_KERNEL);
	if (!entries)
		return -ENOMEM;
	for (gsi = 0; gsi < ROUTE_IOAPIC_PINS; gsi++) {
		entries[nr].gsi = gsi;
		entries[nr].type = KVM_IRQ_ROUTING_IRQCHIP;
		entries[nr].u.irqchip.irqchip = KVM_IRQCHIP_IOAPIC;
		entries[nr++].u.irqchip.pin = gsi;
		if (gsi >= 2 * ROUTE_PIC_PINS)
			continue;
		entries[nr].gsi = gsi;
		entries[nr].type = KVM_IRQ_ROUTING_IRQCHIP;
		entries[nr].u.irqchip.irqchip = gsi / ROUTE_PIC_PINS;
		entries[nr++].u.irqchip.pin = gsi % ROUTE_PIC_PINS;
	}
	err = route_set(vm, entries, nr);
	kfree(entries);
	return err;
}

int route_set_empty(struct vm *vm)
{
	return route_set(vm, NULL, 0);
}

void route_vm_destroy(struct vm *vm)
{
	kvfree(rcu_dereference_protected(vm->irq.routing, 1));
	RCU_INIT_POINTER(vm->irq.routing, NULL);
}
