/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef STATS_H
#define STATS_H

struct machine;

void stats_print(struct machine *m);

#endif
