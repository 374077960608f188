/* SPDX-License-Identifier: GPL-2.0-only */
/* The guest: where its memory is, and how its kernel gets at all tables. */
#ifndef SHADOW_TABLES_H
#define SHADOW_TABLES_H

#include "cpu/regs.h"
#include "shadow_model.h"

/* Bits of the guest's entries. */
#define P	0x1ull
#define W	0x2ull
#define U	0x4ull
#define A	0x20ull
#define D	0x40ull
#define PS	0x80ull
#define NX	(1ull << 63)
#define TABLE	(P | W | U | A)
#define PAGE	(TABLE | D)

#define M2	512ul		/* pages of 2 MiB */
#define LOG	KVM_MEM_LOG_DIRTY_PAGES
#define CR4_PAE	X86_CR4_PAE
#define LONG	(EFER_LME | EFER_LMA | EFER_NX)

extern const struct access reads, writes, fetches, user_reads, user_writes;

/*
 * Memory: slot 0 holds tables and data, slot 1 may move and is where large pages are, slot 2 is
 * read-only, slot 3 lies high and out of step.
 */
struct region {
	gfn_t gfn;
	unsigned long npages, index;
	u32 flags;
	bool live;
};

extern struct region regions[4];

int region_set(unsigned int id);		/* what regions[id] says now */
void start(bool lazy);

/* Before anything runs, or by a device. */
void put(gpa_t gpa, u64 val, unsigned int size);
void set(gfn_t table, unsigned int i, u64 entry);
void set4(gfn_t table, unsigned int i, u32 entry);
u64 get(gfn_t table, unsigned int i);

/*
 * Tables of the kernel, which everything has: all of slot 0 with large pages and with small ones.
 * What each page that may be a root has at its end leads there, whatever the mode.
 */
enum { K3 = 8, K2, K1, K1_HIGH, K1_32, PDPTS };

/*
 * The list of updates is put there and nobody told, so it must be no table. Where random histories mix
 * halves of entries, tables may be on any of the first 16 pages.
 */
#define UPDATES		1022

#define PAE_KERNEL	508	/* first index */
#define LONG_KERNEL	510

void kernel_tables(void);
u64 kernel_word(unsigned int i);		/* from PAE_KERNEL on */
void kernel_part(gfn_t root);

static inline bool paging(int cpu)
{
	return vcpus[cpu].regs.cr0 & X86_CR0_PG;
}

static inline bool wide(int cpu)
{
	return vcpus[cpu].regs.cr4 & CR4_PAE;
}

static inline bool long_mode(int cpu)
{
	return vcpus[cpu].regs.efer & EFER_LMA;
}

/* Where the kernel has a page of slot 0. */
gva_t kernel_gva(int cpu, gfn_t gfn, bool large);
/* The guest's own store. */
void guest_store(int cpu, gpa_t gpa, const void *data, unsigned int len, bool large);
void store8(int cpu, gfn_t table, unsigned int i, u64 entry);
void store4(int cpu, gfn_t table, unsigned int i, u32 entry);

extern void (*in_update)(gpa_t gpa, u64 value);	/* something happens behind an entry that was written */

struct corbel_mmu_update;
/* By hypercall. @updates: none that can fail */
void guest_update(int cpu, const struct corbel_mmu_update *updates, unsigned int n, u64 flags,
		  gva_t gva);

/* shadow_random.c */
void random_histories(bool lazy, unsigned long seed, unsigned long steps);

#endif
