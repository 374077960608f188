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

#define BUS_HINTS	64	/* a power of two */

struct bus {
	struct rcu_head rcu;
	int nr;
	u32 reach;		/* the longest range: how far below an address its device may begin */
	u16 hints[BUS_HINTS];	/* what was found last for an address; several CPUs may write it at once */
	struct bus_range ranges[];	/* nr, and one behind them that no address reaches */
};

/* Readers hold vm->srcu or, in a stay, have interrupts off, which is as good as rcu_read_lock(): writers wait for both. */
static struct bus *bus_deref(struct vm *vm, enum bus_space space)
{
	return srcu_dereference_check(vm->io.bus[space], &vm->srcu,
				      irqs_disabled() || lockdep_is_held(&vm->irq_lock) || !kref_read(&vm->users));
}

static u16 *bus_hint(struct bus *bus, u64 addr)
{
	return &bus->hints[(addr ^ addr >> 6 ^ addr >> 12) % BUS_HINTS];
}

static struct bus_range *bus_hinted(struct bus *bus, u64 addr)
{
	return bus->ranges + READ_ONCE(*bus_hint(bus, addr));
}

/* Is this the last range that begins at @addr or below it? */
static bool bus_is_last(const struct bus_range *range, u64 addr)
{
	return range[0].base <= addr && range[1].base > addr;
}

/* That range, for which a hint is left; the place before the first one if none begins so low. */
static noinline struct bus_range *bus_search(struct bus *bus, u64 addr)
{
	int low = 0, high = bus->nr;

	while (low < high) {
		int mid = (low + high) / 2;

		if (bus->ranges[mid].base <= addr)
			low = mid + 1;
		else
			high = mid;
	}
	if (low)
		WRITE_ONCE(*bus_hint(bus, addr), low - 1);
	return bus->ranges + low - 1;
}

static struct bus_range *bus_last(struct bus *bus, u64 addr)
{
	struct bus_range *range = bus_hinted(bus, addr);

	return likely(bus_is_last(range, addr)) ? range : bus_search(bus, addr);
}

static bool bus_covers(const struct bus_range *range, u64 addr, int len)
{
	if (!range->len)
		return addr == range->base;
	return addr - range->base < range->len && range->len - (addr - range->base) >= len;
}

/*
 * The device for an access, searching downwards from *@from; several may claim the same range.
 * A device further down than the longest range cannot reach the address.
 */
static __always_inline struct bus_dev *bus_next(struct bus *bus, struct bus_range **from, u64 addr, int len)
{
	struct bus_range *range;
	struct bus_dev *dev;

	for (range = *from; range >= bus->ranges && addr - range->base < bus->reach; range--) {
		dev = READ_ONCE(range->dev);
		if (dev && bus_covers(range, addr, len)) {
			*from = range - 1;
			return dev;
		}
	}
	return NULL;
}

static noinline struct bus_dev *bus_find_slow(struct bus *bus, u64 addr, int len)
{
	struct bus_range *range = bus_search(bus, addr);

	return bus_next(bus, &range, addr, len);
}

struct bus_dev *bus_find(struct vm *vm, enum bus_space space, u64 addr, int len)
{
	struct bus *bus = bus_deref(vm, space);
	struct bus_range *range;

	if (unlikely(!bus))
		return NULL;
	range = bus_hinted(bus, addr);
	if (unlikely(!bus_is_last(range, addr)))
		return bus_find_slow(bus, addr, len);
	return bus_next(bus, &range, addr, len);
}

int bus_read(struct vcpu *vcpu, enum bus_space space, u64 addr, int len, void *val)
{
	struct bus *bus = bus_deref(vcpu->vm, space);
	struct bus_range *range;
	struct bus_dev *dev;

	if (space == BUS_MMIO && lapic_at(vcpu, addr) && !lapic_mmio_read(vcpu, addr, len, val))
		return 0;	/* one page per vCPU: not on the bus of the VM */
	if (unlikely(!bus))
		return -EOPNOTSUPP;
	range = bus_last(bus, addr);
	while ((dev = bus_next(bus, &range, addr, len)))
		if (!bus_dev_read(vcpu, dev, addr, len, val))
			return 0;
	return -EOPNOTSUPP;
}

int bus_write(struct vcpu *vcpu, enum bus_space space, u64 addr, int len, const void *val)
{
	struct bus *bus = bus_deref(vcpu->vm, space);
	struct bus_range *range;
	struct bus_dev *dev;

	if (space == BUS_MMIO && lapic_at(vcpu, addr) && !lapic_mmio_write(vcpu, addr, len, val))
		return 0;
	if (unlikely(!bus))
		return -EOPNOTSUPP;
	range = bus_last(bus, addr);
	while ((dev = bus_next(bus, &range, addr, len)))
		if (!bus_dev_write(vcpu, dev, addr, len, val))
			return 0;
	return -EOPNOTSUPP;
}

static void bus_free(struct rcu_head *rcu)
{
	struct bus *bus = container_of(rcu, struct bus, rcu);

	kfree_rcu(bus, rcu);
}

static void bus_add(struct bus *bus, const struct bus_range *range)
{
	if (!range->dev)
		return;
	bus->ranges[bus->nr++] = *range;
	bus->reach = max(bus->reach, max(range->len, 1u));
}

/* Copy without the holes, @dev behind all ranges that begin no higher. */
static void bus_fill(struct bus *new, const struct bus *old, struct bus_dev *dev)
{
	int i = 0, nr = old ? old->nr : 0;

	for (; i < nr && old->ranges[i].base <= dev->base; i++)
		bus_add(new, &old->ranges[i]);
	bus_add(new, &(struct bus_range){ .base = dev->base, .len = dev->len, .dev = dev });
	for (; i < nr; i++)
		bus_add(new, &old->ranges[i]);
	new->ranges[new->nr].base = ~0ull;
}

int bus_attach(struct vm *vm, enum bus_space space, struct bus_dev *dev)
{
	struct bus *old = bus_deref(vm, space), *new;

	lockdep_assert_held(&vm->irq_lock);
	new = kzalloc(struct_size(new, ranges, (old ? old->nr : 0) + 2), GFP_KERNEL_ACCOUNT);
	if (!new)
		return -ENOMEM;
	bus_fill(new, old, dev);
	if (new->nr > BUS_MAX_DEVS) {
		kfree(new);
		return -ENOSPC;
	}
	rcu_assign_pointer(vm->io.bus[space], new);
	smp_mb();	/* a vCPU that is not counted yet finds the new array */
	if (!READ_ONCE(vm->nr_vcpus))
		kfree(old);
	else if (old)
		call_srcu(&vm->srcu, &old->rcu, bus_free);
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
		if (kref_read(&vm->users)) {	/* else nobody is left to read */
			synchronize_srcu_expedited(&vm->srcu);
			synchronize_rcu_expedited();
		}
		if (dev->ops->release)
			dev->ops->release(dev);
		return;
	}
}

static void bus_destroy(struct vm *vm, enum bus_space space)
{
	struct bus *bus = bus_deref(vm, space);
	int i;

	for (i = 0; bus && i < bus->nr; i++) {
		struct bus_dev *dev = bus->ranges[i].dev;

		if (dev && dev->ops->release)
			dev->ops->release(dev);
	}
	RCU_INIT_POINTER(vm->io.bus[space], NULL);
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
