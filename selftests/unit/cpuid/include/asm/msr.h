/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef SHIM_MSR_H
#define SHIM_MSR_H

#include <linux/types.h>
#include <asm/msr-index.h>

u64 rdtsc(void);
int rdmsrl_safe(u32 msr, u64 *val);
void wrmsrl(u32 msr, u64 val);

#endif
