/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Host virtual address to host frame. No reference is kept: the MMU notifier says when a frame
 * goes.
 */
#ifndef CORBEL_PFN_H
#define CORBEL_PFN_H

#include "types.h"

struct mm_struct;

#define PFN_MORE	7u	/* most that pfn_resolve_more() gives */

struct pfn {
	hfn_t hfn;
	bool writable;		/* the host lets us write it */
	bool page;		/* a reference-counted page: dirty and accessed are told to it */
	bool mmio;		/* device memory: uncached */
};

/**
 * pfn_resolve() - the frame behind a host address, faulting it in if need be
 * @write: it must be writable
 * @want_write: if it happens to be writable, say so
 * Context: current->mm is the owner's; sleeps. The result means nothing before notifier_retry() has
 * said no.
 * Return: 0, -EFAULT, -EHWPOISON, -EINTR (a signal came first)
 */
int pfn_resolve(hva_t hva, bool write, bool want_write, struct pfn *pfn);

/** pfn_resolve_fast() - the same if it can be had without sleeping. Context: any, current->mm the owner's */
bool pfn_resolve_fast(hva_t hva, bool write, bool want_write, struct pfn *pfn);

/**
 * pfn_resolve_more() - writable pages behind @hva that are there already
 * Return: how many, from @hva on, at most @n. Context: as pfn_resolve(), but does not sleep
 */
unsigned int pfn_resolve_more(hva_t hva, unsigned int n, hfn_t *hfns);

/** pfn_host_level() - how large a page the host maps there: 1, 2 (2M), 3 (1G). Context: any. */
int pfn_host_level(struct mm_struct *mm, hva_t hva);

/**
 * pfn_set_accessed(), pfn_set_dirty() - only for frames that pfn_resolve() called pages. Context:
 * atomic.
 */
void pfn_set_accessed(hfn_t hfn);
void pfn_set_dirty(hfn_t hfn);

#endif
