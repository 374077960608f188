/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Pages of a small arena with physical addresses of their own; shim.c. A freed page is poisoned for ASan and
 * handed to shim_page_freed, where a test looks who could still use it.
 */
#ifndef SHIM_MM_H
#define SHIM_MM_H

#include <linux/list.h>
#include <linux/slab.h>

#define PAGE_SHIFT	12
#define PAGE_SIZE	4096ul
#define PAGE_MASK	(~(PAGE_SIZE - 1))
#define PAGE_ALIGNED(x)	(!((x) & (PAGE_SIZE - 1)))
#define offset_in_page(p)	((unsigned long)(p) & (PAGE_SIZE - 1))

struct mm_struct { int unused; };
struct page {
	struct list_head lru;
	struct rcu_head rcu_head;
};

extern void (*shim_page_freed)(u64 phys);

unsigned long __get_free_page(gfp_t flags);
void free_page(unsigned long addr);
/* Aligned to their size; freed all at once. */
unsigned long __get_free_pages(gfp_t flags, unsigned int order);
void free_pages(unsigned long addr, unsigned int order);
#define get_zeroed_page(flags)	__get_free_page((flags) | __GFP_ZERO)
void *__va(u64 phys);
u64 __pa(const void *addr);
struct page *virt_to_page(const void *addr);
void *page_address(const struct page *page);
long shim_pages_used(void);

#define untagged_addr(a)	(a)

#endif
