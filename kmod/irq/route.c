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
#define ROUTE_MAX_RETIRED	16	/* tables that wait for readers; one more waits itself */

struct irq_routing {
	struct rcu_head rcu;
	struct vm *vm;
	u16 pin_gsi[ROUTE_NR_CHIPS][ROUTE_IOAPIC_PINS];	/* which GSI an acked pin belongs to */
	u32 nr_gsis;
	u32 *first;			/* where a GSI's entries begin; those of the next end them */
	struct kvm_irq_routing_entry entries[];
};

/* vm->srcu held for reading, or irq_lock. */
static struct irq_routing *route_table(struct vm *vm)
{
	return srcu_dereference_check(vm->irq.routing, &vm->srcu,
				      lockdep_is_held(&vm->irq_lock) || !kref_read(&vm->users));
}

/* Entries of @gsi: their number, the first in *@entries. */
static unsigned int route_lookup(struct vm *vm, u32 gsi,
				 const struct kvm_irq_routing_entry **entries)
{
	struct irq_routing *table = route_table(vm);

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

static int route_send(struct vm *vm, const struct kvm_irq_routing_msi *msi)
{
	struct lapic_irq irq;

	lapic_irq_from_msi(vm, msi->address_lo, msi->address_hi, msi->data, &irq);
	trace_corbel_msi(msi->address_hi, msi->address_lo, msi->data);
	return lapic_deliver(vm, &irq);
}

int route_msi(struct vm *vm, const struct kvm_msi *msi)
{
	struct kvm_irq_routing_msi routed = {
		.address_lo = msi->address_lo,
		.address_hi = msi->address_hi,
		.data = msi->data,
	};

	if (vm->irq.mode == IRQCHIP_NONE || msi->flags || !route_msi_valid(vm, msi->address_hi))
		return -EINVAL;
	return route_send(vm, &routed);
}

static int route_drive(struct vm *vm, const struct kvm_irq_routing_entry *entry, int source,
		       int level)
{
	unsigned int chip = entry->u.irqchip.irqchip, pin = entry->u.irqchip.pin;

	if (entry->type == KVM_IRQ_ROUTING_MSI)
		return level ? route_send(vm, &entry->u.msi) : -1;
	if (chip == KVM_IRQCHIP_IOAPIC)
		return ioapic_set_irq(vm, pin, source, level);
	return pic_set_irq(vm, chip * ROUTE_PIC_PINS + pin, source, level);
}

int irq_set_gsi(struct vm *vm, int source, u32 gsi, int level)
{
	const struct kvm_irq_routing_entry *entry;
	int srcu, reached, status = -1;
	unsigned int nr;

	srcu = srcu_read_lock(&vm->srcu);
	for (nr = route_lookup(vm, gsi, &entry); nr; nr--, entry++) {
		reached = route_drive(vm, entry, source, level);
		if (reached >= 0)
			status = reached + max(status, 0);
	}
	srcu_read_unlock(&vm->srcu, srcu);
	trace_corbel_irq_set(gsi, source, level, status);
	return status;
}

bool route_send_gsi(struct vm *vm, u32 gsi)
{
	int srcu = srcu_read_lock(&vm->srcu);
	const struct kvm_irq_routing_entry *entry;
	bool is_msi = route_lookup(vm, gsi, &entry) && entry->type == KVM_IRQ_ROUTING_MSI;

	if (is_msi)
		route_send(vm, &entry->u.msi);
	srcu_read_unlock(&vm->srcu, srcu);
	return is_msi;
}

bool route_message(struct vm *vm, u32 gsi, struct lapic_irq *irq)
{
	const struct kvm_irq_routing_entry *entry;
	const struct kvm_irq_routing_msi *msi;

	if (!route_lookup(vm, gsi, &entry) || entry->type != KVM_IRQ_ROUTING_MSI)
		return false;
	msi = &entry->u.msi;
	lapic_irq_from_msi(vm, msi->address_lo, msi->address_hi, msi->data, irq);
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

/* Does anyone listen to a GSI? @resample: anyone whose line it is to lower. */
static bool route_is_heard(struct vm *vm, u32 gsi, bool resample)
{
	struct route_ack *ack;

	hlist_for_each_entry_srcu(ack, &vm->irq.route_acks, link,
				  srcu_read_lock_held(&vm->srcu) || lockdep_is_held(&vm->irq_lock))
		if (gsi != ROUTE_NO_GSI && ack->gsi == gsi && (ack->resample || !resample))
			return true;
	return false;
}

bool route_has_ack(struct vm *vm, unsigned int chip, unsigned int pin)
{
	int srcu = srcu_read_lock(&vm->srcu);
	bool heard = route_is_heard(vm, route_pin_gsi(vm, chip, pin), false);

	srcu_read_unlock(&vm->srcu, srcu);
	return heard;
}

/* The line falls before anyone is told: who hears of it may raise it again at once. */
void route_acked(struct vm *vm, unsigned int chip, unsigned int pin)
{
	int srcu = srcu_read_lock(&vm->srcu);
	u32 gsi = route_pin_gsi(vm, chip, pin);
	struct route_ack *ack;

	if (route_is_heard(vm, gsi, true))
		irq_set_gsi(vm, IRQ_SOURCE_RESAMPLE, gsi, 0);
	hlist_for_each_entry_srcu(ack, &vm->irq.route_acks, link, srcu_read_lock_held(&vm->srcu))
		if (gsi != ROUTE_NO_GSI && ack->gsi == gsi)
			ack->acked(ack);
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
	if (kref_read(&vm->users)) {		/* else nobody is left to read */
		synchronize_srcu_expedited(&vm->srcu);
		irq_eoi_bitmap_request(vm);
	}
	if (ack->resample && !route_is_heard(vm, ack->gsi, true))
		irq_set_gsi(vm, IRQ_SOURCE_RESAMPLE, ack->gsi, 0);
}

void route_eoi_vectors(struct vcpu *vcpu, u64 bitmap[4])
{
	int srcu = srcu_read_lock(&vcpu->vm->srcu);
	struct irq_routing *table = route_table(vcpu->vm);
	u32 i, end = table ? table->first[min(vcpu->vm->irq.split_pins, table->nr_gsis)] : 0;

	for (i = 0; i < end; i++) {
		const struct kvm_irq_routing_msi *msi = &table->entries[i].u.msi;
		struct lapic_irq irq;

		if (table->entries[i].type != KVM_IRQ_ROUTING_MSI)
			continue;
		lapic_irq_from_msi(vcpu->vm, msi->address_lo, msi->address_hi, msi->data, &irq);
		if (irq.trig_mode && lapic_matches(vcpu->irq.lapic, &irq))
			__set_bit(irq.vector, (unsigned long *)bitmap);
	}
	srcu_read_unlock(&vcpu->vm->srcu, srcu);
}

/* Replacing the table */

static bool route_pin_valid(struct vm *vm, u32 chip, u32 pin)
{
	if (vm->irq.mode == IRQCHIP_SPLIT)
		return false;
	if (chip == KVM_IRQCHIP_IOAPIC)
		return pin < ROUTE_IOAPIC_PINS;
	return chip <= KVM_IRQCHIP_PIC_SLAVE && pin < ROUTE_PIC_PINS;
}

static bool route_valid(struct vm *vm, const struct kvm_irq_routing_entry *entry)
{
	if (entry->gsi >= ROUTE_NR_GSIS)
		return false;
	switch (entry->type) {
	case KVM_IRQ_ROUTING_IRQCHIP:
		return !entry->flags &&
		       route_pin_valid(vm, entry->u.irqchip.irqchip, entry->u.irqchip.pin);
	case KVM_IRQ_ROUTING_MSI:
		return !(entry->flags & ~KVM_MSI_VALID_DEVID) &&
		       route_msi_valid(vm, entry->u.msi.address_hi);
	default:
		return false;
	}
}

/* One GSI may lead to pins of different chips, or to one message; nothing else. */
static bool route_conflict(const struct kvm_irq_routing_entry *a,
			   const struct kvm_irq_routing_entry *b)
{
	return a->type != KVM_IRQ_ROUTING_IRQCHIP || b->type != KVM_IRQ_ROUTING_IRQCHIP ||
	       a->u.irqchip.irqchip == b->u.irqchip.irqchip;
}

/* Behind those of the same GSI. first[gsi + 1] counts up from where they begin to their end. */
static int route_insert(struct irq_routing *table, const struct kvm_irq_routing_entry *entry)
{
	u32 i, pos = table->first[entry->gsi + 1]++;

	for (i = pos; i && table->entries[i - 1].gsi == entry->gsi; i--)
		if (route_conflict(&table->entries[i - 1], entry))
			return -EINVAL;
	table->entries[pos] = *entry;
	if (entry->type == KVM_IRQ_ROUTING_IRQCHIP)
		table->pin_gsi[entry->u.irqchip.irqchip][entry->u.irqchip.pin] = entry->gsi;
	return 0;
}

static struct irq_routing *route_alloc(struct vm *vm, unsigned int nr, u32 nr_gsis)
{
	struct irq_routing *table;
	size_t size = struct_size(table, entries, nr);

	table = kvzalloc(size + (nr_gsis + 2) * sizeof(u32), GFP_KERNEL_ACCOUNT);
	if (!table)
		return NULL;
	table->vm = vm;
	table->nr_gsis = nr_gsis;
	table->first = (void *)table + size;
	memset(table->pin_gsi, 0xff, sizeof(table->pin_gsi));	/* ROUTE_NO_GSI */
	return table;
}

/* A counting sort by GSI. */
static int route_fill(struct irq_routing *table, const struct kvm_irq_routing_entry *entries,
		      unsigned int nr)
{
	int err = 0;
	u32 i;

	for (i = 0; i < nr; i++)
		table->first[entries[i].gsi + 2]++;
	for (i = 2; i < table->nr_gsis + 2; i++)
		table->first[i] += table->first[i - 1];
	for (i = 0; !err && i < nr; i++)
		err = route_insert(table, &entries[i]);
	return err;
}

static struct irq_routing *route_build(struct vm *vm, const struct kvm_irq_routing_entry *entries,
				       unsigned int nr)
{
	struct irq_routing *table;
	u32 i, nr_gsis = 0;

	for (i = 0; i < nr; i++) {
		if (!route_valid(vm, &entries[i]))
			return ERR_PTR(-EINVAL);
		nr_gsis = max(nr_gsis, entries[i].gsi + 1);
	}
	table = route_alloc(vm, nr, nr_gsis);
	if (!table)
		return ERR_PTR(-ENOMEM);
	if (!route_fill(table, entries, nr))
		return table;
	kvfree(table);
	return ERR_PTR(-EINVAL);
}

static void route_free_rcu(struct rcu_head *rcu)
{
	struct irq_routing *table = container_of(rcu, struct irq_routing, rcu);

	atomic_dec(&table->vm->irq.routes_retired);
	kvfree(table);
}

/*
 * A burst of changes need not wait, but a reader may stay for as long as userspace likes (behind
 * userfaultfd, say), and must not be able to keep ever more tables.
 */
static void route_retire(struct vm *vm, struct irq_routing *old)
{
	if (atomic_inc_return(&vm->irq.routes_retired) <= ROUTE_MAX_RETIRED) {
		call_srcu(&vm->srcu, &old->rcu, route_free_rcu);
		return;
	}
	synchronize_srcu_expedited(&vm->srcu);
	route_free_rcu(&old->rcu);
}

int route_set(struct vm *vm, const struct kvm_irq_routing_entry *entries, unsigned int nr)
{
	struct irq_routing *table = route_build(vm, entries, nr), *old;

	if (IS_ERR(table))
		return PTR_ERR(table);
	mutex_lock(&vm->irq_lock);
	old = route_table(vm);
	rcu_assign_pointer(vm->irq.routing, table);
	ir_update(vm);
	mutex_unlock(&vm->irq_lock);
	if (old)
		route_retire(vm, old);
	if (vm->irq.mode == IRQCHIP_SPLIT)
		irq_eoi_bitmap_request(vm);
	return 0;
}

int route_set_default(struct vm *vm)
{
	const unsigned int nr = ROUTE_IOAPIC_PINS + 2 * ROUTE_PIC_PINS;
	struct kvm_irq_routing_entry *entries = kcalloc(nr, sizeof(*entries), GFP_KERNEL);
	int i, err;

	if (!entries)
		return -ENOMEM;
	for (i = 0; i < nr; i++) {
		bool ioapic = i < ROUTE_IOAPIC_PINS;
		u32 pin = ioapic ? i : i - ROUTE_IOAPIC_PINS;

		entries[i].gsi = pin;
		entries[i].type = KVM_IRQ_ROUTING_IRQCHIP;
		entries[i].u.irqchip.irqchip = ioapic ? KVM_IRQCHIP_IOAPIC : pin / ROUTE_PIC_PINS;
		entries[i].u.irqchip.pin = ioapic ? pin : pin % ROUTE_PIC_PINS;
	}
	err = route_set(vm, entries, nr);
	kfree(entries);
	return err;
}

void route_vm_destroy(struct vm *vm)
{
	kvfree(rcu_dereference_protected(vm->irq.routing, 1));
	RCU_INIT_POINTER(vm->irq.routing, NULL);
}
