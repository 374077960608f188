/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * One MMU notifier for each address space that owns VMs.
 *
 * Fault: notifier_seq(), resolve the frame (may sleep), take mmu_lock, notifier_retry(), install.
 * Invalidation: in_progress++ and the range, then each VM's mmu_lock: zap, flush; at the end seq++,
 * in_progress--. A fault that checked before in_progress++ was seen holds mmu_lock, so the zap
 * finds what it installs.
 */
#ifndef CORBEL_NOTIFIER_H
#define CORBEL_NOTIFIER_H

#include <linux/mmu_notifier.h>
#include <linux/spinlock.h>
#include "types.h"

struct mem_notifier {
	struct mmu_notifier mn;
	spinlock_t lock;		/* the fields below, and list writers */
	unsigned long seq;		/* invalidations finished */
	unsigned int in_progress;
	hva_t start, end;		/* union of the ranges in progress */
	unsigned int walkers;		/* callbacks walking vms */
	struct list_head vms;	/* vm->mem.attached; callbacks read it under the notifiers' SRCU */
};

static inline unsigned long notifier_seq(const struct mem_notifier *n)
{
	unsigned long seq = READ_ONCE(n->seq);

	smp_rmb();	/* before the frame is looked up; pairs with the end of an invalidation */
	return seq;
}

/** notifier_retry() - is a frame of [@hva, @end) looked up since @seq perhaps gone? Context: mmu_lock held. */
static inline bool notifier_retry(const struct mem_notifier *n, unsigned long seq, hva_t hva,
				  hva_t end)
{
	if (smp_load_acquire(&n->in_progress) &&
	    end > READ_ONCE(n->start) && hva < READ_ONCE(n->end))
		return true;
	smp_rmb();	/* in_progress before seq; pairs with the smp_wmb() at the end */
	return READ_ONCE(n->seq) != seq;
}

/** notifier_attach() - let @vm hear about changes of current->mm. Return: 0, -ENOMEM, -EINTR */
int notifier_attach(struct vm *vm);

/** notifier_detach() - waits for callbacks in flight */
void notifier_detach(struct vm *vm);

#endif
