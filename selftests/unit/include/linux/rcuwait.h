/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef SHIM_RCUWAIT_H
#define SHIM_RCUWAIT_H

#include <linux/rcupdate.h>

struct rcuwait { int unused; };

#define TASK_INTERRUPTIBLE	1

void shim_sleep(void);		/* the test's: makes something happen, or fails when nothing can */

#define rcuwait_wait_event(w, cond, state)					\
	do { (void)(w); while (!(cond)) shim_sleep(); } while (0)

#endif
