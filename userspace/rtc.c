// SPDX-License-Identifier: GPL-2.0-only
/* The CMOS clock: the time of day in UTC, and the RAM behind it. No alarm, no interrupts. */
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "error.h"
#include "machine.h"

#define RTC_PORT	0x70
#define REG_A		10
#define REG_B		11
#define REG_C		12
#define REG_D		13
#define REG_CENTURY	50
#define A_DIVIDER	0x26	/* 32,768 Hz time base, no update in progress */
#define B_24H		0x02
#define B_BINARY	0x04
#define B_INTERRUPTS	0x70
#define D_VALID		0x80

struct rtc {
	struct device device;
	pthread_mutex_t lock;
	uint8_t index;
	uint8_t ram[128];
	time_t now;
	struct tm tm;			/* of @now */
};

static uint8_t encode(const struct rtc *rtc, int value)
{
	if (rtc->ram[REG_B] & B_BINARY)
		return value;
	return (value / 10) << 4 | value % 10;
}

static uint8_t encode_hour(const struct rtc *rtc, int hour)
{
	if (rtc->ram[REG_B] & B_24H)
		return encode(rtc, hour);
	return encode(rtc, hour % 12 ? hour % 12 : 12) | (hour >= 12 ? 0x80 : 0);
}

/* Guests read the clock until its second changes. */
static const struct tm *rtc_now(struct rtc *rtc)
{
	time_t now = time(NULL);

	if (now != rtc->now)
		gmtime_r(&now, &rtc->tm);
	rtc->now = now;
	return &rtc->tm;
}

static uint8_t rtc_read(struct rtc *rtc)
{
	switch (rtc->index) {
	case 0:
		return encode(rtc, rtc_now(rtc)->tm_sec);
	case 2:
		return encode(rtc, rtc_now(rtc)->tm_min);
	case 4:
		return encode_hour(rtc, rtc_now(rtc)->tm_hour);
	case 6:
		return encode(rtc, rtc_now(rtc)->tm_wday + 1);
	case 7:
		return encode(rtc, rtc_now(rtc)->tm_mday);
	case 8:
		return encode(rtc, rtc_now(rtc)->tm_mon + 1);
	case 9:
		return encode(rtc, rtc_now(rtc)->tm_year % 100);
	case REG_CENTURY:
		return encode(rtc, rtc_now(rtc)->tm_year / 100 + 19);
	case REG_A:
		return A_DIVIDER;
	case REG_C:
		return 0;
	case REG_D:
		return D_VALID;
	default:
		return rtc->ram[rtc->index];
	}
}

/* The host owns the time, so writes to it are lost; interrupts that never come stay disabled. */
static void rtc_write(struct rtc *rtc, uint8_t value)
{
	if (rtc->index == REG_B)
		value &= ~B_INTERRUPTS;
	rtc->ram[rtc->index] = value;
}

static void rtc_access(void *dev, uint64_t off, void *data, unsigned int len, bool write)
{
	struct rtc *rtc = dev;
	uint8_t *p = data;

	pthread_mutex_lock(&rtc->lock);
	for (unsigned int i = 0; i < len; i++) {
		bool is_index = !((off + i) & 1);

		if (write && is_index)
			rtc->index = p[i] & 0x7f;
		else if (write)
			rtc_write(rtc, p[i]);
		else
			p[i] = is_index ? 0xff : rtc_read(rtc);
	}
	pthread_mutex_unlock(&rtc->lock);
}

static void rtc_free(struct device *dev)
{
	struct rtc *rtc = (struct rtc *)dev;

	pthread_mutex_destroy(&rtc->lock);
	free(rtc);
}

static void rtc_create(struct machine *m)
{
	struct rtc *rtc = calloc(1, sizeof(*rtc));

	if (!rtc)
		error_die(EXIT_ERROR, "out of memory");
	pthread_mutex_init(&rtc->lock, NULL);
	rtc->ram[REG_B] = B_24H;
	rtc->now = -1;			/* never */
	bus_add(&m->pio, RTC_PORT, 2, rtc_access, rtc);
	machine_add_device(m, &rtc->device, rtc_free);
}

DEVICE_TYPE(rtc);
