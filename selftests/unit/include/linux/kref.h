/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef SHIM_KREF_H
#define SHIM_KREF_H

#include <linux/atomic.h>

struct kref { atomic_t count; };
#define kref_read(k)	atomic_read(&(k)->count)
#define kref_get(k)	atomic_inc(&(k)->count)

#endif
