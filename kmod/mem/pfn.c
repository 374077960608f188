// SPDX-License-Identifier: GPL-2.0-only
#include <linux/mm.h>
#include <linux/page-flags.h>
#include <linux/pagemap.h>
#include <linux/sched/mm.h>
#include <linux/sched/signal.h>
#include <linux/swap.h>
#include <asm/e820/api.h>
#include <asm/memtype.h>
#include "compat.h"
#include "mem/pfn.h"

static bool is_mmio(hfn_t hfn)
{
	hpa_t hpa = hfn << PAGE_SHIFT;

	if (!pfn_valid(hfn))
		return !e820__mapped_raw_any(hpa, hpa + PAGE_SIZE - 1, E820_TYPE_RAM);
	/* Reserved pages with a cached mapping are memory too, such as persistent memory. */
	return !is_zero_pfn(hfn) && PageReserved(pfn_to_page(hfn)) &&
	       (!pat_enabled() || pat_pfn_immune_to_uc_mtrr(hfn));
}

static void take_page(struct page *page, bool writable, struct pfn *pfn)
{
	pfn->hfn = page_to_pfn(page);
	pfn->writable = writable;
	pfn->mmio = is_mmio(pfn->hfn);
	pfn->page = !pfn->mmio && !PageReserved(page);
	put_page(page);
}

bool pfn_resolve_fast(hva_t hva, bool write, bool want_write, struct pfn *pfn)
{
	struct page *page;

	if ((write || want_write) && get_user_page_fast_only(hva, FOLL_WRITE, &page)) {
		take_page(page, true, pfn);
		return true;
	}
	if (write || !get_user_page_fast_only(hva, 0, &page))
		return false;
	take_page(page, false, pfn);
	return true;
}

/* Frames without a page behind them, mapped by a driver: VM_PFNMAP, VM_IO. */
static int resolve_pfnmap(hva_t hva, bool write, struct pfn *pfn)
{
	struct mm_struct *mm = current->mm;
	struct vm_area_struct *vma;
	unsigned long frame;
	bool unlocked = false;
	int ret = -EFAULT;

	mmap_read_lock(mm);
	vma = vma_lookup(mm, hva);
	if (!vma || !(vma->vm_flags & (VM_IO | VM_PFNMAP)) ||
	    (write && !(vma->vm_flags & VM_WRITE)))
		goto out;
	ret = compat_follow_pfnmap(vma, hva, &frame, &pfn->writable);
	if (ret || (write && !pfn->writable)) {
		ret = fixup_user_fault(mm, hva, write ? FAULT_FLAG_WRITE : 0, &unlocked);
		if (!ret)
			ret = unlocked ? -EAGAIN :
			      compat_follow_pfnmap(vma, hva, &frame, &pfn->writable);
		if (!ret && write && !pfn->writable)
			ret = -EFAULT;
	}
	pfn->hfn = frame;
out:
	mmap_read_unlock(mm);
	if (ret == -EAGAIN)
		return ret;
	if (ret)
		return -EFAULT;
	pfn->page = false;
	pfn->mmio = is_mmio(pfn->hfn);
	return 0;
}

static int resolve_slow(hva_t hva, bool write, struct pfn *pfn)
{
	unsigned int flags = FOLL_HWPOISON | COMPAT_FOLL_INTERRUPTIBLE | (write ? FOLL_WRITE : 0);
	struct page *page;
	long n = get_user_pages_unlocked(hva, 1, &page, flags);

	if (n == 1) {
		take_page(page, write, pfn);
		return 0;
	}
	if (n == -EHWPOISON)
		return n;
	if (n == -EINTR || n == -EAGAIN || signal_pending(current))
		return -EINTR;
	do {
		n = resolve_pfnmap(hva, write, pfn);
	} while (n == -EAGAIN && !signal_pending(current));
	return n == -EAGAIN ? -EINTR : n;
}

int pfn_resolve(hva_t hva, bool write, bool want_write, struct pfn *pfn)
{
	int ret;

	if (pfn_resolve_fast(hva, write, want_write, pfn))
		return 0;
	ret = resolve_slow(hva, write, pfn);
	/* Just faulted in for reading: perhaps writable already, which saves the next fault. */
	if (!ret && pfn->page && !write && want_write)
		pfn_resolve_fast(hva, false, true, pfn);
	return ret;
}

unsigned int pfn_resolve_more(hva_t hva, unsigned int n, hfn_t *hfns)
{
	struct page *pages[PFN_MORE];
	int i, got = get_user_pages_fast_only(hva, min(n, PFN_MORE), FOLL_WRITE, pages);
	unsigned int good = 0;

	for (i = 0; i < got; i++) {
		struct pfn pfn;

		take_page(pages[i], true, &pfn);
		if (pfn.page && good == i)
			hfns[good++] = pfn.hfn;
	}
	return good;
}

/*
 * The tables stay while interrupts are off: freeing them waits for this CPU, as for
 * get_user_pages_fast().
 */
static int walk_host(struct mm_struct *mm, hva_t hva)
{
	pgd_t pgd = READ_ONCE(*pgd_offset(mm, hva));
	p4d_t p4d;
	pud_t pud;
	pmd_t pmd;

	if (pgd_none(pgd))
		return 1;
	p4d = READ_ONCE(*p4d_offset(&pgd, hva));
	if (p4d_none(p4d) || !p4d_present(p4d))
		return 1;
	pud = READ_ONCE(*pud_offset(&p4d, hva));
	if (pud_none(pud) || !pud_present(pud))
		return 1;
	if (pud_leaf(pud))
		return 3;
	pmd = READ_ONCE(*pmd_offset(&pud, hva));
	return pmd_present(pmd) && pmd_leaf(pmd) ? 2 : 1;
}

int pfn_host_level(struct mm_struct *mm, hva_t hva)
{
	unsigned long flags;
	int level;

	local_irq_save(flags);
	level = walk_host(mm, hva);
	local_irq_restore(flags);
	return level;
}

/*
 * The frame is still mapped by the owner's tables whenever an entry for it is taken away: the
 * notifier calls before they change.
 */
void pfn_set_accessed(hfn_t hfn)
{
	mark_page_accessed(pfn_to_page(hfn));
}

void pfn_set_dirty(hfn_t hfn)
{
	SetPageDirty(pfn_to_page(hfn));
}
