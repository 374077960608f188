// SPDX-License-Identifier: GPL-2.0-only
/*
 * change_pte (6.1) is left out on purpose: its caller has announced the range before, so nothing of
 * the page is mapped any more, and the next access finds the new one.
 */
#include <linux/rculist.h>
#include <linux/slab.h>
#include <linux/srcu.h>
#include <linux/wait_bit.h>
#include "vm.h"
#include "mem/notifier.h"
#include "mem/slots.h"
#include "mmu/mmu.h"

static struct mem_notifier *to_mem(struct mmu_notifier *mn)
{
	return container_of(mn, struct mem_notifier, mn);
}

static struct mmu_notifier *alloc_notifier(struct mm_struct *mm)
{
	struct mem_notifier *n = kzalloc(sizeof(*n), GFP_KERNEL_ACCOUNT);

	if (!n)
		return ERR_PTR(-ENOMEM);
	spin_lock_init(&n->lock);
	INIT_LIST_HEAD(&n->vms);
	return &n->mn;
}

static void free_notifier(struct mmu_notifier *mn)
{
	kfree(to_mem(mn));
}

/*
 * Callbacks that walk the list of VMs are counted, so that a VM that goes waits for those in
 * flight and not for a grace period of all notifiers in the system; unless new ones come all the
 * time and the count does not fall to zero.
 */
#define WALKERS_PATIENCE	(HZ / 50)

static void walk_begin(struct mem_notifier *n)
{
	spin_lock(&n->lock);
	n->walkers++;
	spin_unlock(&n->lock);
}

static void walk_end(struct mem_notifier *n)
{
	spin_lock(&n->lock);
	if (!--n->walkers)
		wake_up_var(&n->walkers);
	spin_unlock(&n->lock);
}

static void zap_vm(struct vm *vm, hva_t start, hva_t end, bool may_yield)
{
	struct slot_range range;
	int idx = srcu_read_lock(&vm->srcu);

	/* in_progress before the slots: a fault that saw newer slots will see it too */
	smp_mb();
	slots_for_each_hva(slots_current(vm), start, end, &range) {
		vm->stats.mmu_invalidations++;
		mmu_zap(vm, range.start, range.end, may_yield);
	}
	srcu_read_unlock(&vm->srcu, idx);
}

static int invalidate_start(struct mmu_notifier *mn, const struct mmu_notifier_range *r)
{
	struct mem_notifier *n = to_mem(mn);
	struct vm *vm;

	spin_lock(&n->lock);
	if (n->in_progress) {
		WRITE_ONCE(n->start, min(n->start, r->start));
		WRITE_ONCE(n->end, max(n->end, r->end));
	} else {
		WRITE_ONCE(n->start, r->start);
		WRITE_ONCE(n->end, r->end);
	}
	smp_store_release(&n->in_progress, n->in_progress + 1);
	n->walkers++;
	spin_unlock(&n->lock);
	list_for_each_entry_rcu(vm, &n->vms, mem.attached, true)
		zap_vm(vm, r->start, r->end, mmu_notifier_range_blockable(r));
	walk_end(n);
	return 0;
}

static void invalidate_end(struct mmu_notifier *mn, const struct mmu_notifier_range *r)
{
	struct mem_notifier *n = to_mem(mn);

	spin_lock(&n->lock);
	WRITE_ONCE(n->seq, n->seq + 1);
	smp_wmb();	/* seq before in_progress; pairs with notifier_retry() */
	WRITE_ONCE(n->in_progress, n->in_progress - 1);
	spin_unlock(&n->lock);
}

static int age(struct mem_notifier *n, hva_t start, hva_t end, bool clear, bool flush)
{
	struct slot_range range;
	struct vm *vm;
	bool young = false;
	int idx;

	walk_begin(n);
	list_for_each_entry_rcu(vm, &n->vms, mem.attached, true) {
		idx = srcu_read_lock(&vm->srcu);
		slots_for_each_hva(slots_current(vm), start, end, &range)
			young |= mmu_age(vm, range.start, range.end, clear, flush);
		srcu_read_unlock(&vm->srcu, idx);
	}
	walk_end(n);
	return young;
}

static int clear_flush_young(struct mmu_notifier *mn, struct mm_struct *mm,
			     unsigned long start, unsigned long end)
{
	return age(to_mem(mn), start, end, true, true);
}

/*
 * For page-idle tracking: a stale accessed bit in a TLB costs precision, a flush would cost more.
 */
static int clear_young(struct mmu_notifier *mn, struct mm_struct *mm,
		       unsigned long start, unsigned long end)
{
	return age(to_mem(mn), start, end, true, false);
}

static int test_young(struct mmu_notifier *mn, struct mm_struct *mm, unsigned long addr)
{
	return age(to_mem(mn), addr, addr + 1, false, false);
}

static void release(struct mmu_notifier *mn, struct mm_struct *mm)
{
	struct mem_notifier *n = to_mem(mn);
	struct vm *vm;

	walk_begin(n);
	list_for_each_entry_rcu(vm, &n->vms, mem.attached, true) {
		vm_kill(vm);
		mmu_zap_all(vm);
	}
	walk_end(n);
}

static const struct mmu_notifier_ops notifier_ops = {
	.release		= release,
	.invalidate_range_start	= invalidate_start,
	.invalidate_range_end	= invalidate_end,
	.clear_flush_young	= clear_flush_young,
	.clear_young		= clear_young,
	.test_young		= test_young,
	.alloc_notifier		= alloc_notifier,
	.free_notifier		= free_notifier,
};

int notifier_attach(struct vm *vm)
{
	struct mmu_notifier *mn = mmu_notifier_get(&notifier_ops, vm->mm);
	struct mem_notifier *n;

	if (IS_ERR(mn))
		return PTR_ERR(mn);
	n = to_mem(mn);
	vm->mem.notifier = n;
	stats_live(LIVE_MMS, 1);
	spin_lock(&n->lock);
	list_add_rcu(&vm->mem.attached, &n->vms);
	spin_unlock(&n->lock);
	return 0;
}

void notifier_detach(struct vm *vm)
{
	struct mem_notifier *n = vm->mem.notifier;

	if (!n)
		return;
	spin_lock(&n->lock);
	list_del_rcu(&vm->mem.attached);
	spin_unlock(&n->lock);
	vm->mem.notifier = NULL;
	if (!wait_var_event_timeout(&n->walkers, !READ_ONCE(n->walkers), WALKERS_PATIENCE))
		mmu_notifier_synchronize();
	spin_lock(&n->lock);	/* the last walker's wake-up, which still looks at n, is over */
	spin_unlock(&n->lock);
	mmu_notifier_put(&n->mn);
	stats_live(LIVE_MMS, -1);
}
