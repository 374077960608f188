/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef SHIM_PERCPU_H
#define SHIM_PERCPU_H

/* Two CPUs; which of them we are is the test's choice. */
#include <linux/kernel.h>

extern int shim_cpu;

#define DECLARE_PER_CPU(type, name)	extern __typeof__(type) name
#define DEFINE_PER_CPU(type, name)	__typeof__(type) name[2]
#define this_cpu_add(var, n)	((var) += (n))
#define per_cpu(name, cpu)	((name)[cpu])
#define per_cpu_ptr(p, cpu)	(&(*(p))[cpu])
#define this_cpu_ptr(p)		per_cpu_ptr(p, shim_cpu)
#define for_each_possible_cpu(cpu)	for ((cpu) = 0; (cpu) < 2; (cpu)++)

#endif
