/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef SHIM_CPUFEATURE_H
#define SHIM_CPUFEATURE_H

struct shim_cpu { unsigned int x86_phys_bits; };
extern struct shim_cpu boot_cpu_data;

#define X86_BUG_ITLB_MULTIHIT	1
#define X86_FEATURE_AVX		2
#define boot_cpu_has_bug(bug)	false
#define boot_cpu_has(feature)	false

#endif
