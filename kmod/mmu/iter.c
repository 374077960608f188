// SPDX-License-Identifier: GPL-2.0-only
#include "mmu/iter.h"

static void read_entry(struct iter *it)
{
	unsigned int shift = (it->level - 1) * 9;

	it->gfn = it->want & ~(level_pages(it->level) - 1);
	it->ptr = it->tables[it->level] + ((it->want >> shift) & (ENTRIES - 1));
	it->entry = READ_ONCE(*it->ptr);
}

void iter_start(struct iter *it, u64 *root, int root_level, gfn_t start, gfn_t end, int min_level)
{
	it->root_level = root_level;
	it->min_level = min_level;
	it->tables[root_level] = root;
	it->want = start;
	it->end = min_t(gfn_t, end, level_pages(root_level + 1));
	it->level = 0;
}

void iter_restart(struct iter *it)
{
	it->level = 0;
}

bool iter_next(struct iter *it)
{
	if (!it->level) {
		it->level = it->root_level;
	} else if (it->level > it->min_level && entry_is_table(it->entry, it->level)) {
		it->tables[it->level - 1] = entry_table(it->entry);
		it->level--;
	} else {
		it->want = it->gfn + level_pages(it->level);
		while (it->level < it->root_level && !(it->want & (level_pages(it->level + 1) - 1)))
			it->level++;
	}
	if (it->want >= it->end)
		return false;
	read_entry(it);
	return true;
}
