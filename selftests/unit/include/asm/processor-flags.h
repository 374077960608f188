/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef SHIM_PROCESSOR_FLAGS_H
#define SHIM_PROCESSOR_FLAGS_H

#include_next <asm/processor-flags.h>
#include <linux/bits.h>
#include <asm/msr-index.h>
#include <asm/cpufeature.h>

#endif
