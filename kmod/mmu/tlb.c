// SPDX-License-Identifier: GPL-2.0-only
#include <linux/gfp.h>
#include <linux/mm.h>
#include <linux/rcupdate.h>
#include "vm.h"
#include "mmu/tlb.h"

u64 *tlb_table_alloc(void)
{
	u64 *table = (u64 *)__get_free_page(GFP_KERNEL_ACCOUNT | __GFP_ZERO);

	if (table)
		stats_live(LIVE_PAGES, 1);
	return table;
}

void tlb_table_free(u64 *table)
{
	stats_live(LIVE_PAGES, -1);
	free_page((unsigned long)table);
}

static void table_free_rcu(struct rcu_head *rcu)
{
	struct page *page = container_of(rcu, struct page, rcu_head);

	tlb_table_free(page_address(page));
}

void tlb_gather_start(struct tlb_gather *gather, struct vm *vm)
{
	gather->vm = vm;
	gather->flush = false;
	INIT_LIST_HEAD(&gather->tables);
}

void tlb_gather_table(struct tlb_gather *gather, u64 *table)
{
	/* Not threaded through the table itself: hardware may still read it. */
	list_add(&virt_to_page(table)->lru, &gather->tables);
	gather->flush = true;
}

void tlb_gather_finish(struct tlb_gather *gather)
{
	struct page *page, *next;

	if (gather->flush)
		tlb_flush_vm(gather->vm);
	gather->flush = false;
	list_for_each_entry_safe(page, next, &gather->tables, lru) {
		list_del(&page->lru);
		call_rcu(&page->rcu_head, table_free_rcu);
	}
}

void tlb_flush_vm(struct vm *vm)
{
	atomic64_inc((atomic64_t *)&vm->stats.remote_tlb_flushes);
	vm_request_all(vm, REQ_TLB_FLUSH, true);
}
