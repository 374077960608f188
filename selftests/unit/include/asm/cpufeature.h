/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef SHIM_CPUFEATURE_H
#define SHIM_CPUFEATURE_H

struct shim_cpu { unsigned int x86_phys_bits; };
extern struct shim_cpu boot_cpu_data;

/* Where the CPU has its encryption bit, 0: nowhere. */
extern unsigned int shim_c_bit;

static inline unsigned int cpuid_eax(unsigned int leaf)
{
	return leaf == 0x80000000 ? 0x8000001f : 0;
}

static inline unsigned int cpuid_ebx(unsigned int leaf)
{
	return leaf == 0x8000001f ? shim_c_bit : 0;
}

#define X86_BUG_ITLB_MULTIHIT	1
#define X86_FEATURE_AVX		2
#define boot_cpu_has_bug(bug)	false
/* By name: a CPU with large pages of all sizes, and nothing else. */
#define boot_cpu_has(feature)	(!__builtin_strcmp(#feature, "X86_FEATURE_GBPAGES"))

#endif
