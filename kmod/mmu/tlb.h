/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Table pages and what keeps them alive: a page is given back after it was unlinked, the TLBs and
 * paging-structure caches of all CPUs were flushed, and an RCU grace period let the lock-free
 * walkers pass.
 */
#ifndef CORBEL_TLB_H
#define CORBEL_TLB_H

#include <linux/list.h>
#include "types.h"

struct tlb_gather {
	struct vm *vm;
	bool flush;
	struct list_head tables;	/* unlinked pages, by page->lru */
};

u64 *tlb_table_alloc(void);		/* zeroed; may sleep; NULL without memory */
void tlb_table_free(u64 *table);	/* one that was never linked, or of a VM without vCPUs */

void tlb_gather_start(struct tlb_gather *gather, struct vm *vm);
void tlb_gather_table(struct tlb_gather *gather, u64 *table);
/** tlb_gather_finish() - flush if needed, then let the tables go. Before mmu_lock is dropped. */
void tlb_gather_finish(struct tlb_gather *gather);

/** tlb_flush_vm() - return when no CPU uses an old translation of @vm. Context: interrupts on. */
void tlb_flush_vm(struct vm *vm);

#endif
