/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * CPUs that run a guest on shadow tables, with TLBs that forget nothing before they must.
 *
 * A model CPU walks the tables at vcpu->mmu.root as hardware would, remembers each translation and
 * each table on the way, and prefers what is oldest. What it does not find is a fault for
 * shadow_fault(). The model stops the test when an access gets what no CPU could have got from the
 * guest's tables (guest.h), when a frame is reached that the host has taken back or protected, when
 * a followed table is written unnoticed, when accessed and dirty bits or error codes are not those
 * of hardware, and when a shadow page is freed that a CPU may still walk.
 */
#ifndef SHADOW_MODEL_H
#define SHADOW_MODEL_H

#include "guest.h"

enum result { MEMORY, MMIO, FAULT };

struct model_stats {
	unsigned long faults, injected, emulated, mmio, flushes, addr_flushes, host_flushes, freed;
	unsigned long fast, switches;	/* faults and roots, with interrupts off */
	unsigned long updates;		/* entries by hypercall */
	unsigned long large;		/* accesses through a large shadow entry */
	unsigned int most_pages;
};

extern struct model_stats model_stats;
extern bool model_lazy;
extern bool model_forgets;		/* CPUs use what they remember, but not always */
extern unsigned long model_seed;
/* By host page: written since the last look at the log. */
extern unsigned char model_truth[GUEST_PAGES];
extern unsigned long model_last[8];	/* host pages reached last */
/* The next faults of this CPU come in the middle of an event's delivery. */
extern bool model_event[MODEL_CPUS];

unsigned long rnd(unsigned long n);

void shadow_start(bool lazy);
void shadow_end(void);

/* Runs faults until the access is done. A write leaves @len bytes of @data, within a page. */
enum result model_access(int cpu, gva_t gva, struct access access, const void *data,
			 unsigned int len);
/*
 * Called once, with the CPU that is busy, in the middle of what it does next: of a fault, after its walk;
 * of an update by hypercall; of a switch of roots; of a flush. See model_in_fault.
 */
extern void (*model_meanwhile)(struct vcpu *vcpu);
void model_others(int cpu);		/* in the middle of what comes now */
void model_others_done(void);
/* The walk of the fault that the CPU has. */
const struct guest_walk *model_walk(int cpu);
bool model_is_table(gfn_t gfn);		/* are there shadow pages made from it? */
/* What hardware may do at any time. */
void model_speculate(int cpu, gva_t gva);

/* The guest, as the exits' handlers would do it. */
void model_cr3(int cpu, u64 cr3);
void model_mode(int cpu, u64 cr0, u64 cr4, u64 efer, u64 cr3);
void model_invlpg(int cpu, gva_t gva);
void model_flush(int cpu);
void model_enter(int cpu);		/* serve what is requested */

/* Is every entry of every shadow page one that the guest's tables and the host's allow? */
void model_check(void);

#endif
