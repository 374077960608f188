/* SPDX-License-Identifier: GPL-2.0-only */
/* One address space per test; mmu_notifier_get() finds its notifier again. */
#ifndef SHIM_MMU_NOTIFIER_H
#define SHIM_MMU_NOTIFIER_H

#include <linux/mm.h>
#include <linux/rculist.h>

struct mmu_notifier_range { unsigned long start, end; bool blockable; };

struct mmu_notifier {
	const struct mmu_notifier_ops *ops;
	struct mm_struct *mm;
	unsigned int users;
};

struct mmu_notifier_ops {
	void (*release)(struct mmu_notifier *mn, struct mm_struct *mm);
	int (*clear_flush_young)(struct mmu_notifier *mn, struct mm_struct *mm,
				 unsigned long start, unsigned long end);
	int (*clear_young)(struct mmu_notifier *mn, struct mm_struct *mm,
			   unsigned long start, unsigned long end);
	int (*test_young)(struct mmu_notifier *mn, struct mm_struct *mm, unsigned long addr);
	int (*invalidate_range_start)(struct mmu_notifier *mn, const struct mmu_notifier_range *r);
	void (*invalidate_range_end)(struct mmu_notifier *mn, const struct mmu_notifier_range *r);
	struct mmu_notifier *(*alloc_notifier)(struct mm_struct *mm);
	void (*free_notifier)(struct mmu_notifier *mn);
};

extern struct mmu_notifier *shim_notifier;
extern unsigned int shim_notifier_syncs;

#define mmu_notifier_range_blockable(r)	((r)->blockable)

static inline struct mmu_notifier *mmu_notifier_get(const struct mmu_notifier_ops *ops,
						    struct mm_struct *mm)
{
	if (!shim_notifier) {
		shim_notifier = ops->alloc_notifier(mm);
		if (IS_ERR(shim_notifier)) {
			struct mmu_notifier *err = shim_notifier;

			shim_notifier = NULL;
			return err;
		}
		shim_notifier->ops = ops;
		shim_notifier->mm = mm;
	}
	shim_notifier->users++;
	return shim_notifier;
}

static inline void mmu_notifier_put(struct mmu_notifier *mn)
{
	if (--mn->users)
		return;
	shim_notifier = NULL;
	mn->ops->free_notifier(mn);
}

#define mmu_notifier_synchronize()	((void)shim_notifier_syncs++)

#endif
