/* SPDX-License-Identifier: GPL-2.0-only */
/* Allocations; shim_fail_after counts down to one that fails, for tests of error paths. -1: never */
#ifndef SHIM_SLAB_H
#define SHIM_SLAB_H

#include <linux/kernel.h>

#define GFP_KERNEL	0
#define GFP_ATOMIC	0
#define GFP_KERNEL_ACCOUNT	0
#define __GFP_ZERO	1
#define __GFP_NOWARN	0
#define GFP_DMA32	0

extern int shim_fail_after;

static inline bool shim_alloc_fails(void)
{
	return shim_fail_after >= 0 && !shim_fail_after--;
}

static inline void *kzalloc(size_t size, gfp_t flags)
{
	(void)flags;
	return shim_alloc_fails() ? NULL : calloc(1, size);
}

#define kmalloc		kzalloc
#define kvzalloc	kzalloc
#define kvmalloc	kzalloc
#define kcalloc(n, size, flags)	kzalloc((n) * (size), flags)
#define kvcalloc	kcalloc
#define kmalloc_array	kcalloc
#define kfree(p)	free((void *)(p))
#define kvfree		kfree

#endif
