/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef SHIM_PROCESSOR_H
#define SHIM_PROCESSOR_H

#include <linux/types.h>
#include <asm/cpufeature.h>

void cpuid_count(u32 function, u32 index, u32 *eax, u32 *ebx, u32 *ecx, u32 *edx);

static inline u32 cpuid_eax(u32 function)
{
	u32 eax, ebx, ecx, edx;

	cpuid_count(function, 0, &eax, &ebx, &ecx, &edx);
	return eax;
}

#endif
