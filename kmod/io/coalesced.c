// SPDX-License-Identifier: GPL-2.0-only
/*
 * Writes that need no answer are collected in a ring, which userspace drains at its next exit. The
 * ring is in memory that userspace can write at any time: each index is read once and checked.
 */
#include <linux/mm.h>
#include <linux/nospec.h>
#include <linux/slab.h>
#include "vm.h"

#define COALESCED_ENTRIES \
	((PAGE_SIZE - sizeof(struct kvm_coalesced_mmio_ring)) / sizeof(struct kvm_coalesced_mmio))

struct coalesced_zone {
	struct bus_dev dev;
	struct list_head link;		/* vm->io.coalesced_zones, irq_lock */
	struct vm *vm;
	enum bus_space space;
};

static_assert(COALESCED_ENTRIES == 170);	/* clients compute it from the page size */

static int coalesced_write(struct vcpu *vcpu, struct bus_dev *dev, u64 addr, int len,
			   const void *val)
{
	struct coalesced_zone *zone = container_of(dev, struct coalesced_zone, dev);
	struct kvm_coalesced_mmio_ring *ring = zone->vm->io.ring;
	struct kvm_coalesced_mmio *entry;
	int err = -EOPNOTSUPP;
	u32 last, next;

	if (!dev->len || len > sizeof(entry->data))
		return err;
	spin_lock(&zone->vm->io.ring_lock);
	last = READ_ONCE(ring->last);
	next = (last + 1) % COALESCED_ENTRIES;
	if (last >= COALESCED_ENTRIES || next == smp_load_acquire(&ring->first))
		goto out;
	entry = &ring->coalesced_mmio[array_index_nospec(last, COALESCED_ENTRIES)];
	entry->phys_addr = addr;
	entry->len = len;
	entry->pio = zone->space == BUS_PIO;
	memcpy(entry->data, val, len);
	smp_store_release(&ring->last, next);	/* after the entry, for the process that reads it */
	err = 0;
out:
	spin_unlock(&zone->vm->io.ring_lock);
	return err;
}

static void coalesced_release(struct bus_dev *dev)
{
	struct coalesced_zone *zone = container_of(dev, struct coalesced_zone, dev);

	list_del(&zone->link);
	kfree(zone);
}

static const struct bus_dev_ops coalesced_ops = {
	.write = coalesced_write,
	.release = coalesced_release,
};

int coalesced_register(struct vm *vm, const struct kvm_coalesced_mmio_zone *args)
{
	struct coalesced_zone *zone;
	int err;

	if (args->pio > 1)
		return -EINVAL;
	zone = kzalloc(sizeof(*zone), GFP_KERNEL_ACCOUNT);
	if (!zone)
		return -ENOMEM;
	zone->dev = (struct bus_dev){ .ops = &coalesced_ops, .base = args->addr, .len = args->size };
	zone->vm = vm;
	zone->space = args->pio ? BUS_PIO : BUS_MMIO;
	mutex_lock(&vm->irq_lock);
	err = bus_attach(vm, zone->space, &zone->dev);
	if (!err)
		list_add_tail(&zone->link, &vm->io.coalesced_zones);
	mutex_unlock(&vm->irq_lock);
	if (err)
		kfree(zone);
	return err;
}

int coalesced_unregister(struct vm *vm, const struct kvm_coalesced_mmio_zone *args)
{
	enum bus_space space = args->pio ? BUS_PIO : BUS_MMIO;
	struct coalesced_zone *zone, *next;

	if (args->pio > 1)
		return -EINVAL;
	mutex_lock(&vm->irq_lock);
	list_for_each_entry_safe(zone, next, &vm->io.coalesced_zones, link) {
		u64 offset = args->addr - zone->dev.base;

		if (zone->space == space && offset <= zone->dev.len &&
		    zone->dev.len - offset >= args->size)
			bus_detach(vm, space, &zone->dev);
	}
	mutex_unlock(&vm->irq_lock);
	return 0;
}

int coalesced_vm_init(struct vm *vm)
{
	INIT_LIST_HEAD(&vm->io.coalesced_zones);
	spin_lock_init(&vm->io.ring_lock);
	vm->io.ring = (void *)get_zeroed_page(GFP_KERNEL_ACCOUNT);
	if (!vm->io.ring)
		return -ENOMEM;
	stats_live(LIVE_PAGES, 1);
	return 0;
}

void coalesced_vm_destroy(struct vm *vm)
{
	free_page((unsigned long)vm->io.ring);
	stats_live(LIVE_PAGES, -1);
}
