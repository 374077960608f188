/* SPDX-License-Identifier: GPL-2.0-only */
/* Instead of the module's: the one kernel that is stood in for. */
#ifndef UNIT_COMPAT_H
#define UNIT_COMPAT_H

#include <linux/eventfd.h>

static inline void compat_eventfd_signal(struct eventfd_ctx *ctx)
{
	ctx->count++;
}

#endif
