/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A guest's memory with a memory of its own, and what x86 lets a CPU make of the page tables in it.
 *
 * Each word that was ever written keeps its values, with the time from when each was there. A CPU
 * may use a translation if one walk could have found it since the CPU last flushed that address:
 * the entries read one after the other, from the top down, none before the flush, all between the
 * same two flushes of the paging-structure caches. SDM, "Caching Translation Information".
 */
#ifndef GUEST_H
#define GUEST_H

#include "host.h"

enum { ACCESS_READ = 0, ACCESS_WRITE = 1, ACCESS_EXEC = 2 };

struct access {
	unsigned int type;	/* ACCESS_* */
	bool user;		/* by CPL 3 */
	bool implicit;		/* at CPL 3, but with the rights of a supervisor: descriptor tables */
};

#define MAXPHYADDR	40

/* Host pages that slots may have; behind them nothing is written. */
#define GUEST_PAGES	2304ul

void guest_reset(void);

/* By host page: what has the guest there, and where the page is in its slot. */
void *guest_page(unsigned long index);
/* The host page behind an address. @read_only may be NULL. Return: is there a slot? */
bool guest_find(gpa_t gpa, unsigned long *index, bool *read_only);
u64 guest_read_word(gpa_t gpa, unsigned int size);
/* Bytes have changed. */
void guest_note(unsigned long index, unsigned int offset, unsigned int len);
/* Has every word that changed been noted? */
void guest_check(void);

/* When a CPU flushes. */
void guest_flushed(int cpu);
void guest_flushed_addr(int cpu, gva_t gva);
void guest_faulted(int cpu, gva_t gva);

struct guest_step {
	gpa_t gpa;
	unsigned int size;
	u64 old, new;		/* @new: with accessed and dirty bits as the access sets them */
};

struct guest_walk {
	bool fault;
	u32 error;
	gpa_t gpa;
	unsigned int nr;	/* entries read */
	unsigned int shift;	/* of the page that the leaf maps */
	bool leaf;
	bool w;			/* writable for users */
	struct guest_step step[4];
};

/* What the CPU makes of the tables as they are. */
void guest_walk(int cpu, gva_t gva, struct access access, struct guest_walk *w);
/* May it have @gfn for @gva, by the tables as they are or have been? */
bool guest_may(int cpu, gva_t gva, struct access access, gfn_t gfn);
/* For who looks into a failure. */
void guest_explain(int cpu, gva_t gva, struct access access);

#endif
