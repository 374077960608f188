/* SPDX-License-Identifier: GPL-2.0-only */
/* What code that is tested here needs of the differences between kernels. */
#ifndef SHIM_COMPAT_H
#define SHIM_COMPAT_H

#include <linux/shrinker.h>

struct shrinker *compat_shrinker_register(unsigned long (*count)(struct shrinker *, struct shrink_control *),
					  unsigned long (*scan)(struct shrinker *, struct shrink_control *),
					  long batch, const char *name);
void compat_shrinker_unregister(struct shrinker *shrinker);

#endif
