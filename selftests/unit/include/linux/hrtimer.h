/* SPDX-License-Identifier: GPL-2.0-only */
/* Timers that fire when a test moves shim_now and calls shim_hrtimers_run(); the test defines that. */
#ifndef SHIM_HRTIMER_H
#define SHIM_HRTIMER_H

#include <linux/kernel.h>
#include <linux/ktime.h>
#include <time.h>

enum hrtimer_restart { HRTIMER_NORESTART, HRTIMER_RESTART };
enum hrtimer_mode { HRTIMER_MODE_ABS, HRTIMER_MODE_ABS_HARD };

struct hrtimer {
	enum hrtimer_restart (*function)(struct hrtimer *timer);
	ktime_t expires;
	bool active;
};

static inline void hrtimer_init(struct hrtimer *timer, int clock, enum hrtimer_mode mode)
{
	(void)clock;
	(void)mode;
	timer->active = false;
}

extern struct hrtimer *shim_hrtimer;	/* the one started last */

static inline void hrtimer_start(struct hrtimer *timer, ktime_t expires, enum hrtimer_mode mode)
{
	(void)mode;
	shim_hrtimer = timer;
	timer->expires = expires;
	timer->active = true;
}

static inline void hrtimer_add_expires_ns(struct hrtimer *timer, u64 ns)
{
	timer->expires += ns;
}

static inline int hrtimer_cancel(struct hrtimer *timer)
{
	bool was = timer->active;

	timer->active = false;
	return was;
}

#endif
