/* SPDX-License-Identifier: GPL-2.0-only */
/* What the module counts of its own objects that live. Real KVM has no such counts. */
#ifndef SELFTESTS_LIVE_H
#define SELFTESTS_LIVE_H

#include "test.h"

#define LIVE_COUNTS	5

struct live {
	s64 count[LIVE_COUNTS];
};

struct live live_now(void);

/*
 * Destruction may end in a worker: these give it two seconds. live_check() wants nothing alive,
 * live_check_same() what was alive @before.
 */
void live_check(void);
void live_check_same(const struct live *before, const char *what);

#endif
