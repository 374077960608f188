// SPDX-License-Identifier: GPL-2.0-only
/* What no user-mode instruction can show: restarts, batches, faults, modes, privileged forms. */
#include "bed.h"

static const struct test *const suites[] = { restart_tests, fault_tests, system_tests };

#define NR_SUITES	(sizeof(suites) / sizeof(suites[0]))

static unsigned int count(void)
{
	unsigned int i, n = 0;
	const struct test *t;

	for (i = 0; i < NR_SUITES; i++)
		for (t = suites[i]; t->run; t++)
			n++;
	return n;
}

int main(void)
{
	static struct bed bed;
	unsigned int i, n = 0, failed = 0;
	const struct test *t;

	printf("TAP version 13\n1..%u\n", count());
	for (i = 0; i < NR_SUITES; i++) {
		for (t = suites[i]; t->run; t++) {
			ktap_failed = false;
			t->run(&bed);
			printf("%s %u %s\n", ktap_failed ? "not ok" : "ok", ++n, t->name);
			failed += ktap_failed;
		}
	}
	return failed ? 1 : 0;
}
