// SPDX-License-Identifier: GPL-2.0-only
/*
 * The range registry. An array sorted by base holds each space; registering replaces it, and
 * unregistering leaves a hole in place, so that it needs no memory and cannot fail.
 */
#include <linux/overflow.h>
#include <linux/slab.h>
#include "irq/lapic.h"
#include "vm.h"

struct bus_range {
	u64 base;
	u32 len;
	struct bus_dev *dev;	/* NULL: a hole */
};

struct bus {
	struct rcu_head rcu;
	int nr;
	u32 max_len;		/* of any range: how far below an address its device may begin */
	struct bus_range ranges[];
};

static struct bus *bus_deref(struct vm *vm, enum bus_space space)
{
	return srcu_dereference_check(vm->io.bus[space], &vm->srcu,
				      lockdep_is_held(&vm->irq_lock) || !kref_read(&vm->users));
}

/* Index of the first range whose base is above @addr. */
static int bus_upper_bound(const struct bus *bus, u64 addr)
{
	int low = 0, high = bus->nr;

	while (low < high) {
		int mid = (low + high) / 2;

		if (bus->ranges[mid].base <= addr)
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

static bool bus_covers(const struct bus_range *range, u64 addr, int len)
{
	if (!range->len)
		return addr == range->base;
	return addr - range->base < range->len && range->len - (addr - range->base) >= len;
}

/*
 * The device for an access, searching downwards from *@index; several may claim the same range.
 * A device further down than the longest range cannot reach the address.
 */
static struct bus_dev *bus_next(struct bus *bus, int *index, u64 addr, int len)
{
	while (--*index >= 0) {
		struct bus_range *range = &bus->ranges[*index];
		struct bus_dev *dev;

		if (addr - range->base >= max(bus->max_len, 1u))
			break;
		dev = READ_ONCE(range->dev);
		if (dev && bus_covers(range, addr, len))
			return dev;
	}
	return NULL;
}

int bus_read(struct vcpu *vcpu, enum bus_space space, u64 addr, int len, void *val)
{
	struct bus *bus = bus_deref(vcpu->vm, space);
	struct bus_dev *dev;
	int index;

	if (space == BUS_MMIO && !lapic_mmio_read(vcpu, addr, len, val))
		return 0;	/* one page per vCPU: not on the bus of the VM */
	if (!bus)
		return -EOPNOTSUPP;
	index = bus_upper_bound(bus, addr);
	while ((dev = bus_next(bus, &index, addr, len))) {
		if (dev->ops->read && !dev->ops->read(vcpu, dev, addr, len, val))
			return 0;
	}
	return -EOPNOTSUPP;
}

int bus_write(struct vcpu *vcpu, enum bus_space space, u64 addr, int len, const void *val)
{
	struct bus *bus = bus_deref(vcpu->vm, space);
	struct bus_dev *dev;
	int index;

	if (space == BUS_MMIO && !lapic_mmio_write(vcpu, addr, len, val))
		return 0;
	if (!bus)
		return -EOPNOTSUPP;
	index = bus_upper_bound(bus, addr);
	while ((dev = bus_next(bus, &index, addr, len))) {
		if (dev->ops->write && !dev->ops->write(vcpu, dev, addr, len, val))
			return 0;
	}
	return -EOPNOTSUPP;
}

static void bus_free_rcu(struct rcu_head *rcu)
{
	kfree(container_of(rcu, struct bus, rcu));
}

static void bus_add_range(struct bus *bus, u64 base, u32 len, struct bus_dev *dev)
{
	bus->ranges[bus->nr++] = (struct bus_range){ .base = base, .len = len, .dev = dev };
	bus->max_len = max(bus->max_len, len);
}

/* Copy without the holes, @dev behind all ranges that begin no higher. */
static void bus_copy(struct bus *new, const struct bus *old, struct bus_dev *dev)
{
	int i = 0;

	for (; old && i < old->nr && old->ranges[i].base <= dev->base; i++) {
		if (old->ranges[i].dev)
			bus_add_range(new, old->ranges[i].base, old->ranges[i].len,
				      old->ranges[i].dev);
	}
	bus_add_range(new, dev->base, dev->len, dev);
	for (; old && i < old->nr; i++) {
		if (old->ranges[i].dev)
			bus_add_range(new, old->ranges[i].base, old->ranges[i].len,
				      old->ranges[i].dev);
	}
}

static int bus_count(const struct bus *bus)
{
	int i, nr = 0;

	for (i = 0; bus && i < bus->nr; i++)
		nr += !!bus->ranges[i].dev;
	return nr;
}

int bus_attach(struct vm *vm, enum bus_space space, struct bus_dev *dev)
{
	struct bus *old = bus_deref(vm, space), *new;
	int nr = bus_count(old) + 1;

	lockdep_assert_held(&vm->irq_lock);
	if (nr > BUS_MAX_DEVS)
		return -ENOSPC;
	new = kzalloc(struct_size(new, ranges, nr), GFP_KERNEL_ACCOUNT);
	if (!new)
		return -ENOMEM;
	bus_copy(new, old, dev);
	rcu_assign_pointer(vm->io.bus[space], new);
	smp_mb();	/* a vCPU that is not counted yet finds the new array */
	if (!READ_ONCE(vm->nr_vcpus))
		kfree(old);
	else if (old)
		call_srcu(&vm->srcu, &old->rcu, bus_free_rcu);
	return 0;
}

void bus_detach(struct vm *vm, enum bus_space space, struct bus_dev *dev)
{
	struct bus *bus = bus_deref(vm, space);
	int i;

	lockdep_assert_held(&vm->irq_lock);
	for (i = 0; bus && i < bus->nr; i++) {
		if (bus->ranges[i].dev != dev)
			continue;
		WRITE_ONCE(bus->ranges[i].dev, NULL);
		if (kref_read(&vm->users))	/* else nobody is left to read */
			synchronize_srcu_expedited(&vm->srcu);
		if (dev->ops->release)
			dev->ops->release(dev);
		return;
	}
}

static void bus_destroy(struct vm *vm, enum bus_space space)
{
	struct bus *bus = bus_deref(vm, space);
	int i;

	RCU_INIT_POINTER(vm->io.bus[space], NULL);
	for (i = 0; bus && i < bus->nr; i++) {
		struct bus_dev *dev = bus->ranges[i].dev;

		if (dev && dev->ops->release)
			dev->ops->release(dev);
	}
	kfree(bus);
}

int io_vm_init(struct vm *vm)
{
	INIT_LIST_HEAD(&vm->io.ioeventfds);
	return coalesced_vm_init(vm);
}

void io_vm_destroy(struct vm *vm)
{
	enum bus_space space;

	for (space = 0; space < NR_BUS_SPACES; space++)
		bus_destroy(vm, space);
	/* Whatever still waits for a grace period, in other rooms too, does so for microseconds only. */
	synchronize_srcu_expedited(&vm->srcu);
	srcu_barrier(&vm->srcu);
	coalesced_vm_destroy(vm);
}
