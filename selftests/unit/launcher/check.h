/* SPDX-License-Identifier: GPL-2.0-only */
/* Cases in a table, KTAP out. A failed check ends its case only. */
#ifndef CHECK_H
#define CHECK_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

struct check_case {
	const char *name;
	void (*run)(void);
};

extern unsigned int check_failures;

#define CHECK(cond)								\
do {										\
	if (!(cond)) {								\
		check_failures++;						\
		printf("# %s:%d: '%s' is false\n", __FILE__, __LINE__, #cond);	\
		return;								\
	}									\
} while (0)

#define CHECK_EQ(a, b)								\
do {										\
	long long check_a = (long long)(a), check_b = (long long)(b);		\
										\
	if (check_a != check_b) {						\
		check_failures++;						\
		printf("# %s:%d: '%s' is %#llx, not %#llx\n", __FILE__,		\
		       __LINE__, #a, check_a, check_b);				\
		return;								\
	}									\
} while (0)

int check_run(const struct check_case *cases, unsigned int nr);

#define CHECK_MAIN(cases)							\
int main(void)									\
{										\
	return check_run(cases, sizeof(cases) / sizeof((cases)[0]));		\
}

#endif
