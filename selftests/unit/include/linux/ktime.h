/* SPDX-License-Identifier: GPL-2.0-only */
/* Time stands still until a test moves it. */
#ifndef SHIM_KTIME_H
#define SHIM_KTIME_H

#include <linux/types.h>

#define KTIME_MAX	((ktime_t)~(1ull << 63))

#define NSEC_PER_USEC	1000ull
#define NSEC_PER_SEC	1000000000ull

extern ktime_t shim_now;

#define ktime_get()	shim_now
#define ktime_get_ns()	((u64)shim_now)
#define ktime_add_ns(t, ns)	((ktime_t)((t) + (ns)))

#endif
