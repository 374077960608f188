/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The one walker of second-level tables. It visits, in order of gfn, each entry of level @min_level
 * or above that covers part of [gfn, end): a table's entry first, then what is in it, unless the
 * loop body made the entry something else than a table.
 */
#ifndef CORBEL_ITER_H
#define CORBEL_ITER_H

#include "mmu/fmt.h"

#define ITER_MAX_LEVEL	5

struct iter {
	u64 *tables[ITER_MAX_LEVEL + 1];	/* by level */
	gfn_t gfn;				/* first one that this entry maps */
	gfn_t want;				/* first one not yet visited */
	gfn_t end;
	u64 *ptr;
	u64 entry;				/* as read; the body refreshes it after a change */
	int level, min_level, root_level;
};

void iter_start(struct iter *it, u64 *root, int root_level, gfn_t start, gfn_t end, int min_level);
bool iter_next(struct iter *it);
/** iter_restart() - begin again at the first gfn not yet done; after mmu_lock was dropped */
void iter_restart(struct iter *it);

/**
 * iter_rest() - take the last-level entries behind this one along, as far as they are in its table
 * Return: how many there are from @it->ptr on, this one included. The walk goes on behind them.
 */
static inline unsigned int iter_rest(struct iter *it)
{
	unsigned int nr = min_t(gfn_t, it->end - it->gfn, ENTRIES - (it->gfn & (ENTRIES - 1)));

	it->want = it->gfn + nr;
	it->gfn += nr - 1;
	return nr;
}

#define for_each_entry(it, root, root_level, start, end, min_level)		\
	for (iter_start(it, root, root_level, start, end, min_level); iter_next(it);)

#endif
