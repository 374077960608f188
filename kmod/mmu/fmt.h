/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What an entry of a second-level page table looks like: data only. Bits common to EPT and the
 * x86-64 format that NPT has: address in 51:12, large page in 7; 11 and 62:52 are free for
 * software.
 */
#ifndef CORBEL_FMT_H
#define CORBEL_FMT_H

#include <linux/mm.h>
#include <linux/mem_encrypt.h>
#include "types.h"

#define ENTRY_ADDR	GENMASK_ULL(51, 12)
#define ENTRY_LARGE	BIT_ULL(7)
#define ENTRY_PRESENT	BIT_ULL(11)	/* software: ours, not empty and no MMIO marker */
#define ENTRY_WRITABLE	BIT_ULL(52)	/* software: only the dirty log keeps it read-only */
#define ENTRY_PAGE	BIT_ULL(53)	/* software: a page to tell about dirty and accessed */
#define ENTRY_GEN_LOW	GENMASK_ULL(10, 3)
#define ENTRY_GEN_HIGH	GENMASK_ULL(61, 54)
#define ENTRY_GEN_MASK	0xffffULL

#define ENTRIES		512

struct fmt {
	u64 base;		/* set in every present entry */
	u64 table;		/* set in an entry that points to a table */
	u64 write;
	u64 exec;		/* set if executable */
	u64 noexec;		/* set if not */
	u64 accessed, dirty;	/* 0: the hardware has none */
	u64 ram, mmio_type;	/* memory type */
	u64 ignore_pat;		/* in .ram: whatever the guest's PAT says; 0: no such bit */
	u64 marker;		/* MMIO marker without its generation; 0: none possible */
};

extern const struct fmt fmt_ept, fmt_npt;

static inline bool entry_present(u64 entry)
{
	return entry & ENTRY_PRESENT;
}

static inline bool entry_is_leaf(u64 entry, int level)
{
	return entry_present(entry) && (level == 1 || (entry & ENTRY_LARGE));
}

static inline bool entry_is_table(u64 entry, int level)
{
	return entry_present(entry) && level > 1 && !(entry & ENTRY_LARGE);
}

static inline hpa_t entry_addr(u64 entry)
{
	return __sme_clr(entry & ENTRY_ADDR);
}

static inline u64 *entry_table(u64 entry)
{
	return __va(entry_addr(entry));
}

/** fmt_marker_by_address() - @marker with an address bit that the CPU lacks; 0: it has them all */
u64 fmt_marker_by_address(u64 marker);

static inline u64 entry_marker(u64 marker, u64 generation)
{
	generation &= ENTRY_GEN_MASK;
	return marker | (generation & 0xff) << 3 | (generation >> 8) << 54;
}

static inline bool entry_is_marker(u64 entry)
{
	return entry && !entry_present(entry);
}

static inline u64 level_pages(int level)
{
	return 1ULL << ((level - 1) * 9);
}

#endif
