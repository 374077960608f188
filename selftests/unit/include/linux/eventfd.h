/* SPDX-License-Identifier: GPL-2.0-only */
/* Event counters; the test says which number is which. */
#ifndef SHIM_EVENTFD_H
#define SHIM_EVENTFD_H

#include <linux/kernel.h>

struct eventfd_ctx { int refs; u64 count; };

struct eventfd_ctx *eventfd_ctx_fdget(int fd);

static inline void eventfd_ctx_put(struct eventfd_ctx *ctx)
{
	ctx->refs--;
}

#endif
