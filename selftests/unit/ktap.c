// SPDX-License-Identifier: GPL-2.0-only
#include "ktap.h"

bool ktap_failed;

int ktap_run(const struct ktap_case *cases, int nr)
{
	int i, failed = 0;

	printf("KTAP version 1\n1..%d\n", nr);
	for (i = 0; i < nr; i++) {
		ktap_failed = false;
		cases[i].run();
		printf("%sok %d %s\n", ktap_failed ? "not " : "", i + 1, cases[i].name);
		fflush(stdout);
		failed += ktap_failed;
	}
	return failed ? 1 : 0;
}
