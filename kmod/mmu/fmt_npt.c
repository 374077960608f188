// SPDX-License-Identifier: GPL-2.0-only
/* APM volume 2, "Nested Paging": the long-mode format, every access a user access. */
#include <linux/build_bug.h>
#include "mmu/fmt.h"

#define NPT_PRESENT	BIT_ULL(0)
#define NPT_WRITE	BIT_ULL(1)
#define NPT_USER	BIT_ULL(2)
#define NPT_ACCESSED	BIT_ULL(5)
#define NPT_DIRTY	BIT_ULL(6)
#define NPT_NX		BIT_ULL(63)

const struct fmt fmt_npt = {
	.base		= ENTRY_PRESENT | NPT_PRESENT | NPT_USER,
	.table		= ENTRY_PRESENT | NPT_PRESENT | NPT_USER | NPT_WRITE | NPT_ACCESSED,
	.write		= NPT_WRITE,
	.noexec		= NPT_NX,
	.accessed	= NPT_ACCESSED,
	.dirty		= NPT_DIRTY,
	/* tdp.c adds a reserved address bit, or drops the marker where the CPU has none. */
	.marker		= NPT_PRESENT | NPT_WRITE | NPT_USER,
};

static_assert(!((ENTRY_WRITABLE | ENTRY_PAGE) & NPT_NX));
