/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef SHIM_IRQ_REMAPPING_H
#define SHIM_IRQ_REMAPPING_H

#include <linux/types.h>

enum irq_remap_cap { IRQ_POSTING_CAP };

struct vcpu_data {
	u64 pi_desc_addr;
	u32 vector;
};

bool irq_remapping_cap(enum irq_remap_cap cap);

#endif
