/* SPDX-License-Identifier: GPL-2.0-only */
/* A walk of the guest's page tables and what it found, for those who want more than the address. */
#ifndef CORBEL_GWALK_H
#define CORBEL_GWALK_H

#include <linux/bits.h>
#include "types.h"

struct guest_fault;

#define GPTE_P		BIT_ULL(0)
#define GPTE_W		BIT_ULL(1)
#define GPTE_U		BIT_ULL(2)
#define GPTE_A		BIT_ULL(5)
#define GPTE_D		BIT_ULL(6)
#define GPTE_PS		BIT_ULL(7)
#define GPTE_NX		BIT_ULL(63)
#define GPTE_ADDR	GENMASK_ULL(51, 12)

#define GWALK_MAX_LEVEL	5

struct gwalk {
	struct vcpu *vcpu;
	gva_t gva;
	gpa_t gpa;			/* the translation */
	bool write, fetch, user, implicit;
	bool unread;			/* a table could not be read: swapped out, if faults are off */
	u64 cr0, cr4, efer;
	u8 top, bits, size;		/* levels to read, index bits, bytes in an entry */
	u8 level;			/* of the leaf */
	gpa_t table;
	struct {
		gpa_t gpa;
		u64 entry;		/* accessed and dirty bits as the walk left them */
	} path[GWALK_MAX_LEVEL + 1];
	u64 rights;			/* GPTE_W, _U, _A: and of all levels; GPTE_NX: or */
	u64 rsvd;			/* reserved in every entry; none in those of 4 bytes */
};

#define GWALK_CODE_BYTES	16	/* no instruction is longer */
#define GWALK_NO_PAGE		1	/* none begins there */

/*
 * The way to a page of code, to be known again: a walk is decided by the mode, CR3 and the entries that it reads, so
 * while these are what they were it leads where it led. Where slots are is part of it.
 */
struct gwalk_code {
	gva_t page;			/* GWALK_NO_PAGE: nothing is noted */
	hva_t hva;			/* of the page */
	u64 cr0, cr3, cr4, efer;
	u64 generation;			/* of the slots */
	bool user;
	u8 top, level;
	struct {
		hva_t hva;
		u64 entry;
	} path[GWALK_MAX_LEVEL + 1];
};

/**
 * gwalk_code_again() - read the bytes at @rip, all in one page, if the way there is the one that was noted
 * Return: false, and gwalk() is to be asked. Context: vm->srcu; page faults may be disabled
 */
bool gwalk_code_again(const struct gwalk_code *code, struct vcpu *vcpu, gva_t rip, u8 bytes[GWALK_CODE_BYTES]);

/** gwalk_code_note() - @w is a walk for a fetch that found its page. Context: vm->srcu, as it was at that walk */
void gwalk_code_note(struct gwalk_code *code, const struct gwalk *w);

/**
 * gwalk() - gwalk_translate() that tells the way. Without paging only @w->gva and @w->gpa are set.
 */
int gwalk(struct vcpu *vcpu, gva_t gva, u32 access, struct gwalk *w, struct guest_fault *fault);

/** gwalk_mode() - fill in what the vCPU's paging mode says of entries, for the functions below */
void gwalk_mode(struct gwalk *w, struct vcpu *vcpu);
bool gwalk_is_large(const struct gwalk *w, int level, u64 entry);
bool gwalk_has_reserved(const struct gwalk *w, int level, u64 entry);
/** gwalk_leaf_base() - first address of the page that a leaf entry maps */
gpa_t gwalk_leaf_base(const struct gwalk *w, int level, u64 entry);

#endif
