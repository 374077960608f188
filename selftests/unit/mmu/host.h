/* SPDX-License-Identifier: GPL-2.0-only */
/* The host's memory, and the threads that change it. */
#ifndef HOST_H
#define HOST_H

#include <linux/mm.h>
#include "vm.h"

#define MODEL_HVA	0x200000000000ul	/* nothing is there, unless the test puts something */
#define MODEL_PAGES	8192ul			/* of host memory that slots may use */
#define MODEL_CPUS	3

#define MODEL(c, ...)								\
do {										\
	if (!(c)) {								\
		fflush(stdout);							\
		fprintf(stderr, "model: " __VA_ARGS__);				\
		fprintf(stderr, "\n");						\
		abort();							\
	}									\
} while (0)

struct host_page {
	hfn_t hfn;		/* 0: not present */
	bool writable;		/* in the host's page tables */
	bool prot_read;		/* the area is read-only for the process */
	bool dirty, accessed;	/* what the MMU told about the frame */
	bool written;		/* by a model CPU; the test's */
};

extern struct host_page host[MODEL_PAGES];
extern bool host_huge[MODEL_PAGES / 512];	/* mapped by a 2 MiB entry */
extern struct mm_struct host_mm;
extern struct vm vm;			/* the test's */
extern struct vcpu vcpus[MODEL_CPUS];

/*
 * Called once in the middle of a fault, after the frame was found and before mmu_lock is taken, in
 * a thread of its own: if it waits for vm.srcu, the fault goes on and it ends afterwards. Only one
 * of the two ever runs.
 */
extern void (*model_in_fault)(struct vcpu *vcpu);
extern unsigned int model_lets_pass;	/* it could be called so often before it is */
extern unsigned long model_poison_signals;
extern bool model_in_more;	/* model_in_fault: only after neighbours were looked up, too */
extern bool host_backed;	/* the test has mapped memory at MODEL_HVA */
extern bool model_poisoned;	/* every frame looked up is poisoned */

void host_reset(void);
void host_exit(void);			/* the process gives up all its memory */
void host_before_lock(rwlock_t *l);	/* model_in_fault also before mmu_lock is taken: shim_before_lock */
void host_fault_done(void);		/* vm.srcu was dropped: what waits for it goes on */
hva_t model_hva(unsigned long index);
/* Which page it belongs to. Ends the test if the host has taken it back. */
unsigned long host_index(hfn_t hfn);

/* The host changes its page tables, with the notifier around. @index of host page */
void host_invalidate(unsigned long first, unsigned long n, void (*change)(unsigned long index));
void host_populate(unsigned long index);
void host_unmap(unsigned long index);
void host_cow(unsigned long index);		/* share it: read-only until a write copies it */
bool host_collapse(unsigned long index);	/* its 2 MiB into a huge page */
void host_start(unsigned long first, unsigned long n);
void host_end(unsigned long first, unsigned long n);

int model_slot(u32 id, gpa_t gpa, u64 pages, hva_t hva, u32 flags);
int model_get_dirty(u32 id, unsigned long *bitmap);

#endif
