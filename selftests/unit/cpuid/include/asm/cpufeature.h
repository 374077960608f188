/* SPDX-License-Identifier: GPL-2.0-only */
/* The kernel's view of the host CPU, which a test fills in. */
#ifndef SHIM_CPUFEATURE_H
#define SHIM_CPUFEATURE_H

#include <stdbool.h>
#include <linux/types.h>
#include <asm/cpufeatures.h>

enum cpuid_leafs {
	CPUID_1_EDX = 0, CPUID_8000_0001_EDX = 1, CPUID_1_ECX = 4, CPUID_8000_0001_ECX = 6,
	CPUID_7_0_EBX = 9, CPUID_D_1_EAX = 10, CPUID_7_1_EAX = 12, CPUID_8000_0008_EBX = 13,
	CPUID_7_ECX = 16, CPUID_7_EDX = 18,
};

struct shim_cpu {
	unsigned int x86_phys_bits;
	unsigned int x86_capability[NCAPINTS];
};
extern struct shim_cpu boot_cpu_data;

#define boot_cpu_has_bug(bug)	false
#define boot_cpu_has(feature)							\
	(!!(boot_cpu_data.x86_capability[(feature) / 32] & (1u << ((feature) % 32))))
#define cpu_feature_enabled	boot_cpu_has

#endif
