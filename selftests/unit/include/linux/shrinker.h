/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef SHIM_SHRINKER_H
#define SHIM_SHRINKER_H

#define SHRINK_STOP	(~0ul)
#define SHRINK_EMPTY	(~0ul - 1)

struct shrink_control {
	unsigned long nr_to_scan;
};

struct shrinker {
	unsigned long (*count_objects)(struct shrinker *shrinker, struct shrink_control *control);
	unsigned long (*scan_objects)(struct shrinker *shrinker, struct shrink_control *control);
};

extern struct shrinker shim_shrinker;	/* the last one registered */

#endif
