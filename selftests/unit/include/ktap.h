/* SPDX-License-Identifier: GPL-2.0-only */
/* KTAP output of a unit test: a table of named functions, each of which checks and says what failed. */
#ifndef UNIT_KTAP_H
#define UNIT_KTAP_H

#include <stdbool.h>
#include <stdio.h>

struct ktap_case {
	const char *name;
	void (*run)(void);
};

extern bool ktap_failed;

#define EXPECT(c)								\
do {										\
	if (!(c)) {								\
		printf("# %s:%d: expected %s\n", __FILE__, __LINE__, #c);	\
		ktap_failed = true;						\
	}									\
} while (0)

#define EXPECT_EQ(a, b)								\
do {										\
	long long va = (long long)(a), vb = (long long)(b);			\
	if (va != vb) {								\
		printf("# %s:%d: %s is %#llx, expected %s = %#llx\n", __FILE__, __LINE__,	\
		       #a, va, #b, vb);						\
		ktap_failed = true;						\
	}									\
} while (0)

int ktap_run(const struct ktap_case *cases, int nr);	/* exit status */

#endif
