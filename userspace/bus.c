// SPDX-License-Identifier: GPL-2.0-only
/* The one registry of port and memory-mapped I/O ranges. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "bus.h"

void bus_init(struct bus *bus)
{
	pthread_rwlock_init(&bus->lock, NULL);
	bus->ranges = NULL;
	bus->nr = 0;
}

void bus_free(struct bus *bus)
{
	free(bus->ranges);
	pthread_rwlock_destroy(&bus->lock);
}

/* Index of the first range that ends above @addr. */
static unsigned int find_above(const struct bus *bus, uint64_t addr)
{
	unsigned int lo = 0, hi = bus->nr;

	while (lo < hi) {
		unsigned int mid = (lo + hi) / 2;
		const struct bus_range *r = &bus->ranges[mid];

		if (r->base + (r->size - 1) < addr)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

static int insert(struct bus *bus, const struct bus_range *range)
{
	unsigned int at = find_above(bus, range->base);
	struct bus_range *grown;

	if (at < bus->nr && bus->ranges[at].base <= range->base + (range->size - 1))
		return -EEXIST;
	grown = realloc(bus->ranges, (bus->nr + 1) * sizeof(*grown));
	if (!grown)
		return -ENOMEM;
	bus->ranges = grown;
	memmove(&grown[at + 1], &grown[at], (bus->nr - at) * sizeof(*grown));
	grown[at] = *range;
	bus->nr++;
	return 0;
}

/* Returns: 0, -EINVAL for an empty or wrapping range, -EEXIST where another device already is. */
int bus_add(struct bus *bus, uint64_t base, uint64_t size, bus_fn fn, void *dev)
{
	struct bus_range range = { base, size, fn, dev };
	int ret;

	if (!size || base + (size - 1) < base)
		return -EINVAL;
	pthread_rwlock_wrlock(&bus->lock);
	ret = insert(bus, &range);
	pthread_rwlock_unlock(&bus->lock);
	return ret;
}

void bus_remove(struct bus *bus, uint64_t base, void *dev)
{
	unsigned int at;

	pthread_rwlock_wrlock(&bus->lock);
	at = find_above(bus, base);
	if (at < bus->nr && bus->ranges[at].base == base && bus->ranges[at].dev == dev) {
		bus->nr--;
		memmove(&bus->ranges[at], &bus->ranges[at + 1],
			(bus->nr - at) * sizeof(*bus->ranges));
	}
	pthread_rwlock_unlock(&bus->lock);
}

/* Copied out, so that a register write may itself add and remove ranges (a BAR that moves). */
static bool lookup(struct bus *bus, uint64_t addr, unsigned int len, struct bus_range *range)
{
	unsigned int at;
	bool found;

	pthread_rwlock_rdlock(&bus->lock);
	at = find_above(bus, addr);
	found = at < bus->nr && bus->ranges[at].base <= addr &&
		len <= bus->ranges[at].size - (addr - bus->ranges[at].base);
	if (found)
		*range = bus->ranges[at];
	pthread_rwlock_unlock(&bus->lock);
	return found;
}

/* Where nobody answers, a write is lost and a read gives all ones, as on the real bus. */
void bus_access(struct bus *bus, uint64_t addr, void *data, unsigned int len, bool write)
{
	struct bus_range range;

	if (lookup(bus, addr, len, &range))
		range.fn(range.dev, addr - range.base, data, len, write);
	else if (!write)
		memset(data, 0xff, len);
}
