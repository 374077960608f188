/* SPDX-License-Identifier: GPL-2.0-only */
/* What was measured, and its line on stdout: NAME MEDIAN-OR-MEAN MINIMUM. */
#ifndef BENCH_SAMPLES_H
#define BENCH_SAMPLES_H

#include <stdio.h>
#include <stdlib.h>
#include "test.h"

#define MAX_SAMPLES	1000

static u64 samples[MAX_SAMPLES];

static inline int compare_samples(const void *a, const void *b)
{
	u64 x = *(const u64 *)a, y = *(const u64 *)b;

	return x < y ? -1 : x > y;
}

static inline void report_line(const char *name, u64 value, u64 least)
{
	printf("%s %llu %llu\n", name, (unsigned long long)value, (unsigned long long)least);
	fflush(stdout);
}

/* Where one event serves several samples, as a fault that maps its neighbours, the mean is fair. */
static inline void report_mean(const char *name, u64 n)
{
	u64 i, sum = 0, least = samples[0];

	for (i = 0; i < n; i++) {
		sum += samples[i];
		least = samples[i] < least ? samples[i] : least;
	}
	report_line(name, sum / n, least);
}

/* Where the events differ by what they ask for; but for the dearest twentieth, which the host's timer came into. */
static inline void report_mixed(const char *name, u64 n)
{
	qsort(samples, n, sizeof(samples[0]), compare_samples);
	report_mean(name, n - n / 20);
}

static inline void report(const char *name, u64 n)
{
	qsort(samples, n, sizeof(samples[0]), compare_samples);
	report_line(name, samples[n / 2], samples[0]);
}

#endif
