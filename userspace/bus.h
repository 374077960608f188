/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef BUS_H
#define BUS_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

/*
 * bus_fn - a device's register access
 * @off: offset from the start of the device's range
 * @data: @len bytes to store (@write) or to fill in
 * Context: a vCPU thread, no bus lock held; several vCPUs may call at the same time.
 */
typedef void (*bus_fn)(void *dev, uint64_t off, void *data, unsigned int len, bool write);

struct bus_range {
	uint64_t base;
	uint64_t size;
	bus_fn fn;
	void *dev;
};

struct bus_table;

/* One address space: port I/O or memory-mapped I/O. */
struct bus {
	pthread_mutex_t lock;		/* of those who change it */
	unsigned int sequence;		/* odd: it is being changed */
	unsigned int hint;		/* place of the range that was asked last */
	struct bus_table *table;
};

void bus_init(struct bus *bus);
void bus_free(struct bus *bus);
int bus_add(struct bus *bus, uint64_t base, uint64_t size, bus_fn fn, void *dev);
void bus_remove(struct bus *bus, uint64_t base, void *dev);
void bus_access(struct bus *bus, uint64_t addr, void *data, unsigned int len, bool write);

#endif
