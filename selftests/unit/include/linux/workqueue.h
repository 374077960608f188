/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef SHIM_WORKQUEUE_H
#define SHIM_WORKQUEUE_H

#include <linux/list.h>

struct work_struct { void (*func)(struct work_struct *work); };
#define INIT_WORK(work, f)	((work)->func = (f))

#endif
