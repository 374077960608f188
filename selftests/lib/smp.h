/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * APs that the guest itself starts by INIT and SIPI: a real-mode trampoline at SMP_PAGE into long
 * mode.
 */
#ifndef SELFTESTS_SMP_H
#define SELFTESTS_SMP_H

#include "vcpu.h"

#define SMP_PAGE	8	/* the SIPI vector */
#define SMP_MAX		8

/*
 * Host: put the trampoline for @nr CPUs into the low slot; @entry runs on each AP with its
 * number, from 1.
 */
void smp_prepare(struct vm *vm, unsigned int nr, void (*entry)(u64 cpu));

/* Host: VM with @nr vCPUs, the first in @bsp, the rest waiting for SIPI; runs all to their end. */
void smp_run(unsigned int vm_flags, unsigned int nr, void *bsp, void (*entry)(u64 cpu));

#endif
