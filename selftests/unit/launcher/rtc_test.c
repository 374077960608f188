// SPDX-License-Identifier: GPL-2.0-only
/* Catches: a clock whose registers are not the time of the host, in each of its two notations, or stand still. */
#include <time.h>

#include "check.h"
#include "world.h"

#define INDEX	0x70
#define DATA	0x71
#define REG_B	11
#define B_12H	0x00
#define B_24H	0x02
#define B_BINARY 0x04

static struct world w;
static time_t fake;

/* The C library's is not asked. */
time_t time(time_t *t)
{
	if (t)
		*t = fake;
	return fake;
}

static void index_set(uint8_t reg)
{
	bus_access(&w.m.pio, INDEX, &reg, 1, true);
}

static unsigned int reg_read(uint8_t reg)
{
	uint8_t value = 0;

	index_set(reg);
	bus_access(&w.m.pio, DATA, &value, 1, false);
	return value;
}

static void reg_write(uint8_t reg, uint8_t value)
{
	index_set(reg);
	bus_access(&w.m.pio, DATA, &value, 1, true);
}

static void expect(time_t at, unsigned int century, unsigned int year, unsigned int month, unsigned int day,
		   unsigned int weekday, unsigned int hour, unsigned int minute, unsigned int second)
{
	fake = at;
	CHECK_EQ(reg_read(0), second);
	CHECK_EQ(reg_read(2), minute);
	CHECK_EQ(reg_read(4), hour);
	CHECK_EQ(reg_read(6), weekday);
	CHECK_EQ(reg_read(7), day);
	CHECK_EQ(reg_read(8), month);
	CHECK_EQ(reg_read(9), year);
	CHECK_EQ(reg_read(50), century);
}

#define LEAP_DAY_ENDS	1709251199	/* Thursday, 29 February 2024, 23:59:59 */

static void goes_on(void)
{
	world_init(&w);
	world_add_devices(&w);
	expect(LEAP_DAY_ENDS, 0x20, 0x24, 2, 0x29, 5, 0x23, 0x59, 0x59);
	expect(LEAP_DAY_ENDS, 0x20, 0x24, 2, 0x29, 5, 0x23, 0x59, 0x59);
	expect(LEAP_DAY_ENDS + 1, 0x20, 0x24, 3, 1, 6, 0, 0, 0);
	expect(LEAP_DAY_ENDS, 0x20, 0x24, 2, 0x29, 5, 0x23, 0x59, 0x59);	/* the host's was set back */
	expect(0, 0x19, 0x70, 1, 1, 5, 0, 0, 0);
	world_free(&w);
}

static void notations(void)
{
	world_init(&w);
	world_add_devices(&w);
	reg_write(REG_B, B_24H | B_BINARY);
	expect(LEAP_DAY_ENDS, 20, 24, 2, 29, 5, 23, 59, 59);
	reg_write(REG_B, B_12H | B_BINARY);
	expect(LEAP_DAY_ENDS, 20, 24, 2, 29, 5, 0x80 | 11, 59, 59);
	reg_write(REG_B, B_12H);
	expect(LEAP_DAY_ENDS + 1, 0x20, 0x24, 3, 1, 6, 0x12, 0, 0);
	world_free(&w);
}

static const struct check_case cases[] = {
	{ "goes_on", goes_on },
	{ "notations", notations },
};

CHECK_MAIN(cases)
