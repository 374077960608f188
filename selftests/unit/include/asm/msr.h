/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef SHIM_MSR_H
#define SHIM_MSR_H

#include <linux/types.h>

u64 rdtsc(void);	/* the world's */

#endif
