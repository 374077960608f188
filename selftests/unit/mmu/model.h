/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The TLB model.
 *
 * A model CPU remembers every translation that the tables ever offered it, and every table page on
 * the way, until a flush reaches it; on each access the oldest remembered translation that permits
 * it is used, as hardware may. The model stops the test when a CPU reaches a frame the host has
 * taken back, writes one that is read-only or shared, writes a page without the dirty log hearing
 * of it, or when a table page is freed that a CPU still remembers.
 */
#ifndef MODEL_H
#define MODEL_H

#include "backend.h"
#include "host.h"

enum model_kind { MODEL_EPT, MODEL_EPT_PML, MODEL_EPT_NO_AD, MODEL_EPT_NX, MODEL_NPT, NR_MODELS };

extern unsigned long model_mmio_exits, model_faults, model_flushes;

void model_start(enum model_kind kind);
void model_end(void);		/* destroys the VM and checks that nothing is left */
const char *model_name(enum model_kind kind);

enum { ACCESS_READ = 0, ACCESS_WRITE = 1, ACCESS_EXEC = 2 };
/* Return: true memory, false MMIO. Runs faults until the access is done. */
bool model_access(int cpu, gpa_t gpa, unsigned int access);
/* What hardware may do at any time: fill a CPU's caches from the tables. */
void model_speculate(int cpu, gfn_t gfn);

void model_truth_reset(void);
/* by gfn: written since the last look at the log */
extern unsigned char model_truth[MODEL_PAGES * 4];

#endif
