/* SPDX-License-Identifier: GPL-2.0-only */
/* L1 data cache flush before VM entry. */
#ifndef CORBEL_L1D_H
#define CORBEL_L1D_H

#include <linux/jump_label.h>
#include "vcpu.h"

DECLARE_STATIC_KEY_FALSE(l1d_wanted);
DECLARE_STATIC_KEY_FALSE(l1d_every_entry);

void l1d_setup(void);
void l1d_teardown(void);
void l1d_flush_if_due(struct vcpu *vcpu);

/**
 * l1d_flush() - call when l1d_wanted, right before an entry
 * @again: interrupts have been off since the last one
 */
static __always_inline void l1d_flush(struct vcpu *vcpu, bool again)
{
	if (!again || unlikely(vcpu->cache_tainted) || static_branch_unlikely(&l1d_every_entry))
		l1d_flush_if_due(vcpu);
}

#endif
