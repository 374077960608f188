/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The TLB model, and a host around it.
 *
 * A model CPU remembers every translation that the tables ever offered it, and every table page on
 * the way, until a flush reaches it; on each access the oldest remembered translation that permits
 * it is used, as hardware may. The model stops the test when a CPU reaches a frame the host has
 * taken back, writes one that is read-only or shared, writes a page without the dirty log hearing
 * of it, or when a table page is freed that a CPU still remembers.
 */
#ifndef MODEL_H
#define MODEL_H

#include "vm.h"
#include "backend.h"

#define MODEL_CPUS	3
#define MODEL_HVA	0x100000000000ul	/* nothing is there: only numbers */
#define MODEL_PAGES	8192ul			/* of host memory that slots may use */

enum model_kind { MODEL_EPT, MODEL_EPT_PML, MODEL_EPT_NO_AD, MODEL_EPT_NX, MODEL_NPT, NR_MODELS };

struct host_page {
	hfn_t hfn;		/* 0: not present */
	bool writable;		/* in the host's page tables */
	bool prot_read;		/* the area is read-only for the process */
	bool dirty, accessed;	/* what the MMU told about the frame */
};

extern struct host_page host[MODEL_PAGES];
extern bool host_huge[MODEL_PAGES / 512];	/* mapped by a 2 MiB entry */
extern struct vm vm;
extern struct vcpu vcpus[MODEL_CPUS];

/*
 * Called once in the middle of a fault, after the frame was found and before mmu_lock is taken, in
 * a thread of its own: if it waits for vm.srcu, the fault goes on and it ends afterwards. Only one
 * of the two ever runs.
 */
extern void (*model_in_fault)(struct vcpu *vcpu);
extern unsigned long model_mmio_exits, model_faults, model_flushes, model_poison_signals;
extern bool model_in_more;	/* model_in_fault: only after neighbours were looked up, too */
extern bool model_poisoned;	/* every frame looked up is poisoned */

void model_start(enum model_kind kind);
void model_end(void);		/* destroys the VM and checks that nothing is left */
const char *model_name(enum model_kind kind);

enum { ACCESS_READ = 0, ACCESS_WRITE = 1, ACCESS_EXEC = 2 };
/* Return: true memory, false MMIO. Runs faults until the access is done. */
bool model_access(int cpu, gpa_t gpa, unsigned int access);
/* What hardware may do at any time: fill a CPU's caches from the tables. */
void model_speculate(int cpu, gfn_t gfn);

/* The host changes its page tables, with the notifier around. @index of host page */
void host_invalidate(unsigned long first, unsigned long n, void (*change)(unsigned long index));
void host_populate(unsigned long index);
void host_unmap(unsigned long index);
void host_cow(unsigned long index);		/* share it: read-only until a write copies it */
bool host_collapse(unsigned long index);	/* its 2 MiB into a huge page */
void host_start(unsigned long first, unsigned long n);
void host_end(unsigned long first, unsigned long n);

int model_slot(u32 id, gpa_t gpa, u64 pages, hva_t hva, u32 flags);
hva_t model_hva(unsigned long index);
int model_get_dirty(u32 id, unsigned long *bitmap);
void model_truth_reset(void);
/* by gfn: written since the last look at the log */
extern unsigned char model_truth[MODEL_PAGES * 4];

#endif
