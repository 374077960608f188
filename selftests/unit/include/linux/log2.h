/* SPDX-License-Identifier: GPL-2.0-only */
#include <linux/kernel.h>
#define is_power_of_2(n)	((n) && !((n) & ((n) - 1)))
#define ilog2(n)	(63 - __builtin_clzll(n))
