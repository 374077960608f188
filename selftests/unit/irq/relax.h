/* SPDX-License-Identifier: GPL-2.0-only */
/* Included before everything: a loop that waits lets time pass. */
#ifndef UNIT_RELAX_H
#define UNIT_RELAX_H

void world_relax(void);

#define cpu_relax()	world_relax()

#endif
