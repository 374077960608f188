/* SPDX-License-Identifier: GPL-2.0-only */
#include <linux/kernel.h>
#define DECLARE_PER_CPU(type, name)	extern __typeof__(type) name
#define DEFINE_PER_CPU(type, name)	__typeof__(type) name
#define this_cpu_add(var, n)	((var) += (n))
