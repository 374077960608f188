// SPDX-License-Identifier: GPL-2.0-only
/*
 * The one registry of port and memory-mapped I/O ranges. Every exit looks into it and hardly anything changes it, so
 * readers take no lock: they look again if the sequence has moved meanwhile. A table that became too small is kept
 * for those who may still be reading it; as each is twice as large as the one before, that is no more than the last.
 */
#include <errno.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>

#include "bus.h"

struct bus_table {
	struct bus_table *older;
	unsigned int nr, room;
	struct bus_range ranges[];	/* sorted by base */
};

#define FIRST_ROOM	16

static struct bus_table nothing;

/* What another thread may be writing, or reading, at the same time. */
#define LOAD(x)		__atomic_load_n(&(x), __ATOMIC_RELAXED)
#define STORE(x, v)	__atomic_store_n(&(x), (v), __ATOMIC_RELAXED)

static void range_copy(struct bus_range *to, const struct bus_range *from)
{
	STORE(to->base, LOAD(from->base));
	STORE(to->size, LOAD(from->size));
	STORE(to->fn, LOAD(from->fn));
	STORE(to->dev, LOAD(from->dev));
}

void bus_init(struct bus *bus)
{
	pthread_mutex_init(&bus->lock, NULL);
	bus->sequence = 0;
	bus->hint = 0;
	bus->table = &nothing;
}

void bus_free(struct bus *bus)
{
	struct bus_table *table = bus->table, *older;

	for (; table != &nothing; table = older) {
		older = table->older;
		free(table);
	}
	pthread_mutex_destroy(&bus->lock);
}

static void change_begin(struct bus *bus)
{
	pthread_mutex_lock(&bus->lock);
	STORE(bus->sequence, bus->sequence + 1);
	__atomic_thread_fence(__ATOMIC_RELEASE);
}

static void change_end(struct bus *bus)
{
	__atomic_store_n(&bus->sequence, bus->sequence + 1, __ATOMIC_RELEASE);
	pthread_mutex_unlock(&bus->lock);
}

/* Index of the first range that ends above @addr. */
static unsigned int find_above(const struct bus_table *table, uint64_t addr)
{
	unsigned int lo = 0, hi = LOAD(table->nr);

	while (lo < hi) {
		unsigned int mid = (lo + hi) / 2;
		const struct bus_range *r = &table->ranges[mid];

		if (LOAD(r->base) + (LOAD(r->size) - 1) < addr)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

/* The table with room for one more, or NULL. */
static struct bus_table *roomy(struct bus *bus)
{
	struct bus_table *old = bus->table, *table;
	unsigned int room = old->room ? old->room * 2 : FIRST_ROOM;

	if (old->nr < old->room)
		return old;
	table = calloc(1, sizeof(*table) + room * sizeof(table->ranges[0]));
	if (!table)
		return NULL;
	memcpy(table->ranges, old->ranges, old->nr * sizeof(table->ranges[0]));
	table->nr = old->nr;
	table->room = room;
	table->older = old;
	__atomic_store_n(&bus->table, table, __ATOMIC_RELEASE);
	return table;
}

static int insert(struct bus *bus, const struct bus_range *range)
{
	struct bus_table *table = bus->table;
	unsigned int at = find_above(table, range->base);

	if (at < table->nr && table->ranges[at].base <= range->base + (range->size - 1))
		return -EEXIST;
	table = roomy(bus);
	if (!table)
		return -ENOMEM;
	for (unsigned int i = table->nr; i > at; i--)
		range_copy(&table->ranges[i], &table->ranges[i - 1]);
	range_copy(&table->ranges[at], range);
	STORE(table->nr, table->nr + 1);
	return 0;
}

/* Returns: 0, -EINVAL for an empty or wrapping range, -EEXIST where another device already is. */
int bus_add(struct bus *bus, uint64_t base, uint64_t size, bus_fn fn, void *dev)
{
	struct bus_range range = { base, size, fn, dev };
	int ret;

	if (!size || base + (size - 1) < base)
		return -EINVAL;
	change_begin(bus);
	ret = insert(bus, &range);
	change_end(bus);
	return ret;
}

void bus_remove(struct bus *bus, uint64_t base, void *dev)
{
	struct bus_table *table;
	unsigned int at;

	change_begin(bus);
	table = bus->table;
	at = find_above(table, base);
	if (at < table->nr && table->ranges[at].base == base && table->ranges[at].dev == dev) {
		STORE(table->nr, table->nr - 1);
		for (; at < table->nr; at++)
			range_copy(&table->ranges[at], &table->ranges[at + 1]);
	}
	change_end(bus);
}

static bool has(const struct bus_table *table, unsigned int at, uint64_t addr, unsigned int len,
		struct bus_range *range)
{
	if (at >= LOAD(table->nr))
		return false;
	range_copy(range, &table->ranges[at]);
	return range->base <= addr && addr - range->base < range->size && len <= range->size - (addr - range->base);
}

/* Copied out, so that a register write may itself add and remove ranges (a BAR that moves). */
static bool lookup(struct bus *bus, uint64_t addr, unsigned int len, struct bus_range *range)
{
	const struct bus_table *table = __atomic_load_n(&bus->table, __ATOMIC_ACQUIRE);
	unsigned int at = LOAD(bus->hint);

	if (has(table, at, addr, len, range))	/* who was asked last is asked again */
		return true;
	at = find_above(table, addr);
	STORE(bus->hint, at);
	return has(table, at, addr, len, range);
}

static bool lookup_settled(struct bus *bus, uint64_t addr, unsigned int len, struct bus_range *range)
{
	unsigned int sequence;
	bool found;

	for (;;) {
		sequence = __atomic_load_n(&bus->sequence, __ATOMIC_ACQUIRE);
		found = lookup(bus, addr, len, range);
		__atomic_thread_fence(__ATOMIC_ACQUIRE);
		if (!(sequence & 1) && LOAD(bus->sequence) == sequence)
			return found;
		sched_yield();
	}
}

/* Where nobody answers, a write is lost and a read gives all ones, as on the real bus. */
void bus_access(struct bus *bus, uint64_t addr, void *data, unsigned int len, bool write)
{
	struct bus_range range;

	if (lookup_settled(bus, addr, len, &range))
		range.fn(range.dev, addr - range.base, data, len, write);
	else if (!write)
		memset(data, 0xff, len);
}
