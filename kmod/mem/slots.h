/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Memory slots. A snapshot is immutable and lists all slots twice, by gfn and by hva. Writers build
 * a new one under slots_lock; readers hold vm->srcu. Whoever installs a translation checks, under
 * mmu_lock, that the snapshot it used is still the current one: then a writer that publishes first
 * and zaps afterwards leaves nothing stale behind.
 */
#ifndef CORBEL_SLOTS_H
#define CORBEL_SLOTS_H

#include <linux/mm.h>
#include <linux/rcupdate.h>
#include <linux/srcu.h>
#include "types.h"
#include "mem/mem.h"

#define SLOT_FLAGS	(KVM_MEM_LOG_DIRTY_PAGES | KVM_MEM_READONLY)
#define SLOT_MAX_PAGES	((1ULL << 31) - 1)
#define SLOTS_MAX_RETIRED	16	/* snapshots that additions leave behind before they wait */

struct slot {
	u32 id;
	u32 flags;
	gfn_t gfn;
	u64 npages;
	hva_t hva;
	unsigned long *dirty;	/* bitmap of a log, then scratch of the same size; or NULL */
};

struct slot_by_hva {
	struct slot *slot;
	hva_t max_end;	/* highest end of this slot and all before it: they may overlap */
};

struct slots {
	u64 generation;			/* of MMIO markers in page tables */
	unsigned int nr;
	struct slots *retired;		/* the next that was replaced and is not freed; slots_lock */
	struct slot_by_hva *by_hva;	/* nr entries, behind by_gfn[] */
	struct slot *by_gfn[];
};

/* Kept in a bitmap, or in the rings. */
static inline bool slot_logged(const struct slot *slot)
{
	return slot->flags & KVM_MEM_LOG_DIRTY_PAGES;
}

static inline bool slot_has_gfn(const struct slot *slot, gfn_t gfn)
{
	return gfn - slot->gfn < slot->npages;
}

static inline hva_t slot_hva(const struct slot *slot, gfn_t gfn)
{
	return slot->hva + ((gfn - slot->gfn) << PAGE_SHIFT);
}

int slots_vm_init(struct vm *vm);
void slots_vm_destroy(struct vm *vm);

/** slots_current() - the snapshot. Context: vm->srcu or slots_lock held. */
struct slots *slots_current(struct vm *vm);

/** slots_find() - binary search by gfn; NULL if there is none */
struct slot *slots_find(const struct slots *slots, gfn_t gfn);

/** slots_find_cached() - the same, trying this vCPU's last hit first */
struct slot *slots_find_cached(struct vcpu *vcpu, const struct slots *slots, gfn_t gfn);

/**
 * slots_log_dirty() - mark a page in its slot's log, if it has one, or in the vCPU's ring
 * Context: the vCPU's own thread, vm->srcu held.
 */
void slots_log_dirty(struct vcpu *vcpu, const struct slot *slot, gfn_t gfn);

/*
 * Call @body with each slot's part of a host address range, as [start, end) of gfns.
 * Usage: struct slot_range r; slots_for_each_hva(slots, hva_start, hva_end, &r) { r.start, r.end,
 * r.slot }
 */
struct slot_range {
	struct slot *slot;
	gfn_t start, end;
	unsigned int next;
};

void slots_hva_first(const struct slots *slots, hva_t end, struct slot_range *range);
bool slots_hva_next(const struct slots *slots, hva_t start, hva_t end, struct slot_range *range);

#define slots_for_each_hva(slots, hva_start, hva_end, range)			\
	for (slots_hva_first(slots, hva_end, range);				\
	     slots_hva_next(slots, hva_start, hva_end, range);)

#endif
