/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef SHIM_PREEMPT_H
#define SHIM_PREEMPT_H

#include <linux/kernel.h>
#include <asm/processor-flags.h>	/* as the kernel's own header does, in the end */

struct preempt_notifier { int unused; };

#endif
