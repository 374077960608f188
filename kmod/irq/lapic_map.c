// SPDX-License-Identifier: GPL-2.0-only
/*
 * From a destination to the LAPICs it names, without asking every vCPU. Rebuilt whenever an id, a
 * mode or a logical id changes; where the guest mixes modes or gives two LAPICs one logical id,
 * the map says that it cannot tell and the sender asks all.
 */
#include <linux/bitops.h>
#include <linux/nospec.h>
#include <linux/rcupdate.h>
#include <linux/slab.h>
#include <asm/apicdef.h>
#include "vm.h"
#include "irq/lapic.h"

enum logical_model { MODEL_NONE, MODEL_FLAT, MODEL_CLUSTER, MODEL_X2APIC, MODEL_MIXED };

struct lapic_map {
	struct rcu_head rcu;
	enum logical_model model;
	u32 nr_ids;
	struct lapic *logical[16][8];	/* xAPIC: [0][bit] flat, [cluster][bit] else */
	struct lapic *phys[];		/* by APIC id; x2APIC logical ids follow from it */
};

static u32 physical_id(struct lapic *lapic)
{
	return lapic_mode(lapic->vcpu) == LAPIC_X2APIC ? lapic->vcpu->id : (u8)lapic->vcpu->id;
}

static enum logical_model logical_model(struct lapic *lapic)
{
	if (lapic_mode(lapic->vcpu) == LAPIC_X2APIC)
		return MODEL_X2APIC;
	return lapic_reg(lapic, APIC_DFR) == APIC_DFR_FLAT ? MODEL_FLAT : MODEL_CLUSTER;
}

/*
 * A LAPIC with an odd logical id, or in another model than the others, spoils logical lookups
 * only.
 */
static void add_logical(struct lapic_map *map, struct lapic *lapic)
{
	enum logical_model model = logical_model(lapic);
	u32 ldr = GET_APIC_LOGICAL_ID(lapic_reg(lapic, APIC_LDR));
	u32 cluster = 0, bits = ldr;

	if (model != MODEL_X2APIC && !ldr)
		return;			/* not addressable yet */
	if (map->model != MODEL_NONE && map->model != model)
		model = MODEL_MIXED;
	map->model = model;
	if (model == MODEL_CLUSTER) {
		cluster = ldr >> 4;
		bits = ldr & 0xf;
	}
	if (model != MODEL_FLAT && model != MODEL_CLUSTER)
		return;
	if (hweight32(bits) != 1 || map->logical[cluster][__ffs(bits)]) {
		map->model = MODEL_MIXED;
		return;
	}
	map->logical[cluster][__ffs(bits)] = lapic;
}

static struct lapic_map *map_build(struct vm *vm)
{
	struct lapic_map *map;
	struct vcpu *vcpu;
	u32 nr_ids = 1;
	int i;

	vm_for_each_vcpu(i, vcpu, vm)
		nr_ids = max(nr_ids, vcpu->id + 1);
	map = kzalloc(struct_size(map, phys, nr_ids), GFP_ATOMIC | __GFP_NOWARN);
	if (!map)
		return NULL;
	map->nr_ids = nr_ids;
	vm_for_each_vcpu(i, vcpu, vm) {
		struct lapic *lapic = vcpu->irq.lapic;

		if (!lapic || lapic_mode(vcpu) == LAPIC_DISABLED)
			continue;
		if (map->phys[physical_id(lapic)]) {	/* xAPIC ids are only 8 bits wide */
			kfree(map);
			return NULL;
		}
		map->phys[physical_id(lapic)] = lapic;
		add_logical(map, lapic);
	}
	return map;
}

void lapic_map_update(struct vm *vm)
{
	struct lapic_map *old;
	unsigned long flags;

	spin_lock_irqsave(&vm->irq.map_lock, flags);
	old = rcu_dereference_protected(vm->irq.map, lockdep_is_held(&vm->irq.map_lock));
	rcu_assign_pointer(vm->irq.map, map_build(vm));
	spin_unlock_irqrestore(&vm->irq.map_lock, flags);
	if (old)
		kfree_rcu(old, rcu);
	ir_update(vm);
}

void lapic_map_destroy(struct vm *vm)
{
	kfree(rcu_dereference_protected(vm->irq.map, true));
	RCU_INIT_POINTER(vm->irq.map, NULL);
}

static int find_bits(struct lapic **from, u32 nr, u32 bits, struct lapic **found)
{
	int n = 0;
	u32 i;

	for (i = 0; i < nr && bits >> i; i++)
		if ((bits & BIT(i)) && from[i])
			found[n++] = from[i];
	return n;
}

static int find_logical(struct lapic_map *map, u32 dest, struct lapic **found)
{
	u32 first, cluster;

	switch (map->model) {
	case MODEL_NONE:
		return 0;
	case MODEL_FLAT:
		return dest > 0xff ? 0 : find_bits(map->logical[0], 8, dest, found);
	case MODEL_CLUSTER:
		cluster = array_index_nospec(dest >> 4, ARRAY_SIZE(map->logical));
		return dest > 0xff ? 0 : find_bits(map->logical[cluster], 4, dest & 0xf, found);
	case MODEL_X2APIC:
		first = (dest >> 16) << 4;
		if (first >= map->nr_ids)
			return 0;
		first = array_index_nospec(first, map->nr_ids);
		return find_bits(&map->phys[first], min(map->nr_ids - first, 16u), dest & 0xffff,
				 found);
	default:
		return -1;
	}
}

/* Without a call to note that we read. */
struct lapic *lapic_map_one(struct vm *vm, u32 dest_id)
{
	struct lapic *found = NULL;
	struct lapic_map *map;

	preempt_disable();
	map = rcu_dereference_sched(vm->irq.map);
	if (map && dest_id < map->nr_ids && dest_id != 0xff)
		found = map->phys[array_index_nospec(dest_id, map->nr_ids)];
	preempt_enable();
	return found;
}

int lapic_map_find(struct vm *vm, const struct lapic_irq *irq, struct lapic **found)
{
	struct lapic_map *map = rcu_dereference(vm->irq.map);

	/* 0xff may be a broadcast or an x2APIC id: only the receiver knows. */
	if (!map || irq->dest_id == 0xff || irq->dest_id == ~0u)
		return -1;
	if (irq->dest_mode)
		return find_logical(map, irq->dest_id, found);
	if (irq->dest_id >= map->nr_ids)
		return 0;
	found[0] = map->phys[array_index_nospec(irq->dest_id, map->nr_ids)];
	return !!found[0];
}
