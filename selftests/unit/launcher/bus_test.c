// SPDX-License-Identifier: GPL-2.0-only
/* Catches: an access that reaches the wrong device, part of one, or one that has moved. */
#include <errno.h>
#include <string.h>

#include "bus.h"
#include "check.h"
#include "world.h"

static struct { void *dev; uint64_t off; unsigned int len; bool write; unsigned int calls; } last;

static void record(void *dev, uint64_t off, void *data, unsigned int len, bool write)
{
	last.dev = dev;
	last.off = off;
	last.len = len;
	last.write = write;
	last.calls++;
	if (!write)
		memset(data, 0x5a, len);
}

static struct bus bus;
static char a, b;

static void setup(void)
{
	memset(&last, 0, sizeof(last));
	bus_init(&bus);
	bus_add(&bus, 0x1000, 0x10, record, &a);
	bus_add(&bus, 0x1010, 0x10, record, &b);
}

static void neighbours(void)
{
	uint32_t value = 0;

	setup();
	bus_access(&bus, 0x100c, &value, 4, false);
	CHECK(last.dev == &a && last.off == 12 && last.len == 4 && !last.write);
	CHECK_EQ(value, 0x5a5a5a5a);
	bus_access(&bus, 0x1010, &value, 4, true);
	CHECK(last.dev == &b && last.off == 0 && last.write);
	bus_free(&bus);
}

static void nobody(void)
{
	static const uint64_t addrs[] = { 0, 0xfff, 0x100e, 0x1020, ~0ULL - 3, ~0ULL };
	uint32_t value;

	setup();
	for (unsigned int i = 0; i < sizeof(addrs) / sizeof(addrs[0]); i++) {
		value = 0;
		bus_access(&bus, addrs[i], &value, 4, false);
		CHECK_EQ(value, 0xffffffff);
	}
	CHECK_EQ(last.calls, 0);
	bus_free(&bus);
}

static void overlaps(void)
{
	setup();
	CHECK_EQ(bus_add(&bus, 0x0fff, 2, record, &b), -EEXIST);
	CHECK_EQ(bus_add(&bus, 0x1008, 1, record, &b), -EEXIST);
	CHECK_EQ(bus_add(&bus, 0x101f, 1, record, &b), -EEXIST);
	CHECK_EQ(bus_add(&bus, 0, 0x10000, record, &b), -EEXIST);
	CHECK_EQ(bus_add(&bus, 0x2000, 0, record, &b), -EINVAL);
	CHECK_EQ(bus_add(&bus, ~0ULL, 2, record, &b), -EINVAL);
	CHECK_EQ(bus_add(&bus, ~0ULL, 1, record, &b), 0);
	CHECK_EQ(bus_add(&bus, 0x0fff, 1, record, &b), 0);
	bus_free(&bus);
}

static void removal(void)
{
	uint8_t value = 0;

	setup();
	bus_remove(&bus, 0x1000, &b);	/* not its range */
	bus_access(&bus, 0x1000, &value, 1, false);
	CHECK_EQ(value, 0x5a);
	bus_remove(&bus, 0x1000, &a);
	bus_access(&bus, 0x1000, &value, 1, false);
	CHECK_EQ(value, 0xff);
	bus_access(&bus, 0x1010, &value, 1, false);
	CHECK_EQ(value, 0x5a);
	bus_free(&bus);
}

/* More ranges than the first table holds, added from both ends; each is found, and no other. */
static void many(void)
{
	static char devs[100];
	uint8_t value;

	setup();
	for (unsigned int i = 0; i < 100; i++)
		CHECK_EQ(bus_add(&bus, i & 1 ? 0x100000 - 0x20 * i : 0x2000 + 0x20 * i, 0x10, record, &devs[i]), 0);
	for (unsigned int i = 0; i < 100; i++) {
		uint64_t base = i & 1 ? 0x100000 - 0x20 * i : 0x2000 + 0x20 * i;

		bus_access(&bus, base + 3, &value, 1, false);
		CHECK(last.dev == &devs[i] && last.off == 3);
		value = 0;
		bus_access(&bus, base + 0x10, &value, 1, false);
		CHECK_EQ(value, 0xff);
	}
	for (unsigned int i = 0; i < 100; i++)
		bus_remove(&bus, i & 1 ? 0x100000 - 0x20 * i : 0x2000 + 0x20 * i, &devs[i]);
	last.calls = 0;
	for (uint64_t addr = 0x1ff0; addr < 0x101000; addr += 0x10)
		bus_access(&bus, addr, &value, 1, true);
	CHECK_EQ(last.calls, 0);
	bus_access(&bus, 0x1000, &value, 1, true);
	CHECK_EQ(last.calls, 1);
	bus_free(&bus);
}

#define MOVER		0x5000
#define MOVES		20000

static bool moves_done;

static void never(void *dev, uint64_t off, void *data, unsigned int len, bool write)
{
	(void)off;
	(void)len;
	(void)write;
	*(uint8_t *)data = dev == &b ? 1 : 2;
}

/* A range that moves past others, which must not be lost, or taken for another, meanwhile. */
static void *mover(void *arg)
{
	(void)arg;
	for (unsigned int i = 0; i < MOVES; i++) {
		bus_add(&bus, i & 1 ? MOVER : 0x800, 0x10, record, &moves_done);
		bus_remove(&bus, i & 1 ? MOVER : 0x800, &moves_done);
	}
	__atomic_store_n(&moves_done, true, __ATOMIC_RELEASE);
	return NULL;
}

static void read_while_moved(void)
{
	unsigned int wrong = 0, i = 0;
	pthread_t thread;
	uint8_t value;

	bus_init(&bus);
	for (i = 0; i < 8; i++)
		bus_add(&bus, 0x1000 + 0x20 * i, 0x10, never, i & 1 ? &b : &a);
	moves_done = false;
	CHECK(!pthread_create(&thread, NULL, mover, NULL));
	for (i = 0; !__atomic_load_n(&moves_done, __ATOMIC_ACQUIRE); i++) {
		value = 0;
		bus_access(&bus, 0x1000 + 0x20 * (i & 7) + 0xf, &value, 1, false);
		wrong += value != (i & 1 ? 1 : 2);
		bus_access(&bus, 0x1000 + 0x20 * (i & 7) + 0x10, &value, 1, false);
		wrong += value != 0xff;
	}
	pthread_join(thread, NULL);
	CHECK_EQ(wrong, 0);
	bus_free(&bus);
}

static void bar_moves(void)
{
	struct world w;
	uint64_t start;

	world_init(&w);
	w.config.rng = true;
	world_add_devices(&w);
	start = world_cfg_read(&w, 1, 0x10, 4) & ~15u;
	CHECK(start >= PCI_WINDOW);
	CHECK_EQ(w.m.pci.slots[1]->bars[0].mapped, 0);
	world_cfg_write(&w, 1, 4, 2, 2);
	CHECK_EQ(w.m.pci.slots[1]->bars[0].mapped, start);
	world_cfg_write(&w, 1, 0x10, 4, ~0u);
	CHECK_EQ(world_cfg_read(&w, 1, 0x10, 4), 0xffff8000);
	world_cfg_write(&w, 1, 0x10, 4, 0xd0000000);
	CHECK_EQ(w.m.pci.slots[1]->bars[0].mapped, 0xd0000000);
	/* Over memory, over ECAM, over the APICs: refused. */
	world_cfg_write(&w, 1, 0x10, 4, 0x00100000);
	CHECK_EQ(w.m.pci.slots[1]->bars[0].mapped, 0);
	world_cfg_write(&w, 1, 0x10, 4, PCI_ECAM_BASE);
	CHECK_EQ(w.m.pci.slots[1]->bars[0].mapped, 0);
	world_cfg_write(&w, 1, 0x10, 4, 0xfee00000);
	CHECK_EQ(w.m.pci.slots[1]->bars[0].mapped, 0);
	world_free(&w);
}

/* The address register must not swallow the reset register in its middle, nor the other way. */
static void reset_register(void)
{
	uint32_t address = 0x80000000, back = 0;
	struct world w;
	uint8_t value;

	world_init(&w);
	bus_access(&w.m.pio, 0xcf8, &address, 4, true);
	bus_access(&w.m.pio, 0xcf8, &back, 4, false);
	CHECK_EQ(back, address);
	bus_access(&w.m.pio, 0xcfc, &back, 4, false);
	CHECK_EQ(back, 0x0d578086);
	value = 2;
	bus_access(&w.m.pio, 0xcf9, &value, 1, true);
	CHECK_EQ(w.m.end, END_NONE);
	value = 6;
	bus_access(&w.m.pio, 0xcf9, &value, 1, true);
	CHECK_EQ(w.m.end, END_RESET);
	world_free(&w);
}

static const struct check_case cases[] = {
	{ "neighbouring ranges", neighbours },
	{ "where nobody answers", nobody },
	{ "overlapping ranges are refused", overlaps },
	{ "removal", removal },
	{ "many ranges", many },
	{ "read while ranges move", read_while_moved },
	{ "a BAR moves, and never over memory", bar_moves },
	{ "the reset register inside CF8", reset_register },
};

CHECK_MAIN(cases)
