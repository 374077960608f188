/* SPDX-License-Identifier: GPL-2.0-only */
/* L1 data cache flush before VM entry. */
#ifndef CORBEL_L1D_H
#define CORBEL_L1D_H

#include <linux/jump_label.h>

struct vcpu;

DECLARE_STATIC_KEY_FALSE(l1d_wanted);

void l1d_setup(void);
void l1d_teardown(void);

/** l1d_flush() - call when l1d_wanted, right before an entry */
void l1d_flush(struct vcpu *vcpu);

#endif
