/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef SHIM_XARRAY_H
#define SHIM_XARRAY_H

#include <linux/kernel.h>

#define SHIM_XA_SLOTS	64

struct xarray { void *slot[SHIM_XA_SLOTS]; };

#define xa_init(xa)	memset(xa, 0, sizeof(*(xa)))
#define xa_load(xa, i)	((unsigned long)(i) < SHIM_XA_SLOTS ? (xa)->slot[i] : NULL)
#define xa_store(xa, i, p, flags)	((xa)->slot[i] = (p))

#endif
