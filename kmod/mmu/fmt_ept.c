// SPDX-License-Identifier: GPL-2.0-only
/* SDM, "The Extended Page Table Mechanism (EPT)". */
#include <linux/build_bug.h>
#include "mmu/fmt.h"

#define EPT_READ	BIT_ULL(0)
#define EPT_WRITE	BIT_ULL(1)
#define EPT_EXEC	BIT_ULL(2)
#define EPT_TYPE_UC	(0ULL << 3)
#define EPT_TYPE_WB	(6ULL << 3)
#define EPT_IGNORE_PAT	BIT_ULL(6)
#define EPT_ACCESSED	BIT_ULL(8)
#define EPT_DIRTY	BIT_ULL(9)

const struct fmt fmt_ept = {
	.base		= ENTRY_PRESENT | EPT_READ,
	.table		= ENTRY_PRESENT | EPT_READ | EPT_WRITE | EPT_EXEC,
	.write		= EPT_WRITE,
	.exec		= EPT_EXEC,
	.accessed	= EPT_ACCESSED,
	.dirty		= EPT_DIRTY,
	.ram		= EPT_TYPE_WB | EPT_IGNORE_PAT,
	.mmio_type	= EPT_TYPE_UC,
	.ignore_pat	= EPT_IGNORE_PAT,
	/*
	 * Writable but not readable is a misconfiguration on every CPU. The address is one that no
	 * memory has, so that L1TF finds nothing behind it.
	 */
	.marker		= EPT_WRITE | EPT_EXEC | ENTRY_ADDR,
};

static_assert(ENTRY_GEN_MASK == 0xffff);
static_assert(!((ENTRY_GEN_LOW | ENTRY_GEN_HIGH) & (ENTRY_PRESENT | ENTRY_ADDR | 7)));
static_assert(!((EPT_ACCESSED | EPT_DIRTY | EPT_IGNORE_PAT) & ENTRY_PRESENT));
