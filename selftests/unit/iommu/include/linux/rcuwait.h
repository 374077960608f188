/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef SHIM_RCUWAIT_H
#define SHIM_RCUWAIT_H

#include <linux/types.h>

struct rcuwait { bool active; int woken; };

#define TASK_INTERRUPTIBLE	1

static inline bool rcuwait_active(struct rcuwait *wait)
{
	return wait->active;
}

static inline int rcuwait_wake_up(struct rcuwait *wait)
{
	return ++wait->woken;
}

#endif
