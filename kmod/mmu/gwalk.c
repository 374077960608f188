// SPDX-License-Identifier: GPL-2.0-only
/*
 * Walk the guest's own page tables as its hardware would: every paging mode, permissions, accessed
 * and dirty bits, exact #PF error codes.
 */
#include <linux/mm.h>
#include <asm/processor-flags.h>
#include <asm/trapnr.h>
#include "vm.h"
#include "cpu/cpuid.h"
#include "cpu/regs.h"

#define PTE_P		BIT_ULL(0)
#define PTE_W		BIT_ULL(1)
#define PTE_U		BIT_ULL(2)
#define PTE_A		BIT_ULL(5)
#define PTE_D		BIT_ULL(6)
#define PTE_PS		BIT_ULL(7)
#define PTE_NX		BIT_ULL(63)
#define PTE_ADDR	GENMASK_ULL(51, 12)
#define PSE36_HIGH	GENMASK_ULL(20, 13)	/* of a 4 MiB page's entry: address bits 39:32 */

#define ERR_P		BIT(0)
#define ERR_W		BIT(1)
#define ERR_U		BIT(2)
#define ERR_RSVD	BIT(3)
#define ERR_I		BIT(4)
#define ERR_PK		BIT(5)

#define MAX_LEVEL	5
#define MAX_TRIES	16

struct walk {
	struct vcpu *vcpu;
	gva_t gva;
	bool write, fetch, user, implicit;
	u64 cr0, cr4, efer;
	u8 top, bits, size;		/* levels to read, index bits, bytes in an entry */
	u8 level;			/* of the leaf */
	gpa_t table;
	struct {
		gpa_t gpa;
		u64 entry;
	} path[MAX_LEVEL + 1];
	u64 rights;			/* PTE_W, PTE_U, PTE_A: and of all levels; PTE_NX: or */
	u64 rsvd;			/* reserved in every entry; none in those of 4 bytes */
};

static bool long_mode(const struct walk *w)
{
	return w->efer & EFER_LMA;
}

static u64 always_reserved(const struct walk *w)
{
	u64 rsvd = PTE_ADDR & ~GENMASK_ULL(w->vcpu->arch.maxphyaddr - 1, 0);

	if (!long_mode(w))
		rsvd |= GENMASK_ULL(62, 52);
	if (!(w->efer & EFER_NX))
		rsvd |= PTE_NX;
	return rsvd;
}

/* Paging mode and first table. False: the PDPTE of PAE paging is not present. */
static bool walk_begin(struct walk *w)
{
	struct vcpu *vcpu = w->vcpu;
	u64 cr3 = cr3_get(vcpu);

	w->rights = PTE_W | PTE_U | PTE_A;
	w->rsvd = always_reserved(w);
	w->bits = 9;
	w->size = 8;
	if (long_mode(w)) {
		w->top = w->cr4 & X86_CR4_LA57 ? 5 : 4;
		w->table = cr3 & PTE_ADDR;
	} else if (w->cr4 & X86_CR4_PAE) {
		reg_need(vcpu, REG_PDPTR);
		w->top = 2;
		w->table = vcpu->regs.pdptr[(w->gva >> 30) & 3];
		if (!(w->table & PTE_P))
			return false;
		w->table &= PTE_ADDR;
	} else {
		w->top = 2;
		w->bits = 10;
		w->size = 4;
		w->table = (u32)cr3 & PAGE_MASK;
	}
	return true;
}

static unsigned int level_shift(const struct walk *w, int level)
{
	return PAGE_SHIFT + (level - 1) * w->bits;
}

static bool may_be_large(const struct walk *w, int level)
{
	if (w->size == 4)
		return level == 2 && w->cr4 & X86_CR4_PSE;
	return level == 2 || (level == 3 && long_mode(w));
}

static bool is_large(const struct walk *w, int level, u64 entry)
{
	return entry & PTE_PS && may_be_large(w, level);
}

static bool has_reserved(const struct walk *w, int level, u64 entry)
{
	if (entry & w->rsvd)
		return true;
	if (!(entry & PTE_PS) || level == 1)
		return false;
	if (w->size == 4)
		return may_be_large(w, level) && entry & BIT_ULL(21);
	return !may_be_large(w, level) || entry & GENMASK_ULL(level_shift(w, level) - 1, 13);
}

/*
 * Read the entries down to the leaf. Return: error code bits of the fault, or 0 with w->level set
 */
static u32 walk_tables(struct walk *w, bool *present)
{
	unsigned int shift = level_shift(w, w->top);
	int level;

	*present = false;
	for (level = w->top; ; level--, shift -= w->bits) {
		u64 index = (w->gva >> shift) & (BIT(w->bits) - 1), entry = 0;
		gpa_t gpa = w->table + index * w->size;

		if (guest_read_entry(w->vcpu, gpa, &entry, w->size) || !(entry & PTE_P))
			return 0;
		w->path[level].gpa = gpa;
		w->path[level].entry = entry;
		if (has_reserved(w, level, entry))
			return ERR_P | ERR_RSVD;
		w->rights = (w->rights & (entry | PTE_NX)) | (entry & PTE_NX);
		if (level == 1 || is_large(w, level, entry))
			break;
		w->table = entry & PTE_ADDR;
	}
	w->level = level;
	*present = true;
	return 0;
}

static bool key_denies(const struct walk *w)
{
	u64 entry = w->path[w->level].entry;
	u32 key_bits;

	if (!(w->cr4 & X86_CR4_PKE) || !long_mode(w) || w->fetch || !(w->rights & PTE_U))
		return false;
	key_bits = w->vcpu->arch.pkru >> (((entry >> 59) & 15) * 2) & 3;
	return key_bits & 1 || (w->write && key_bits & 2 && (w->user || w->cr0 & X86_CR0_WP));
}

static bool supervisor_denied(const struct walk *w)
{
	bool user_page = w->rights & PTE_U;

	if (w->fetch)
		return user_page && w->cr4 & X86_CR4_SMEP;
	if (user_page && w->cr4 & X86_CR4_SMAP &&
	    (w->implicit || !(rflags_get(w->vcpu) & X86_EFLAGS_AC)))
		return true;
	return w->write && !(w->rights & PTE_W) && w->cr0 & X86_CR0_WP;
}

/* Return: error code bits, 0 if the access may go ahead */
static u32 check_rights(const struct walk *w)
{
	if (w->fetch && w->rights & PTE_NX)
		return ERR_P;
	if (w->user ? !(w->rights & PTE_U) || (w->write && !(w->rights & PTE_W))
		    : supervisor_denied(w))
		return ERR_P;
	return key_denies(w) ? ERR_P | ERR_PK : 0;
}

/*
 * Return: 0, or 1 if an entry has changed meanwhile. Tables in read-only memory stay as they are.
 */
static int set_accessed_dirty(struct walk *w)
{
	int level;

	if (w->rights & PTE_A && (!w->write || w->path[w->level].entry & PTE_D))
		return 0;

	for (level = w->top; level >= w->level; level--) {
		u64 old = w->path[level].entry, new = old | PTE_A;

		if (level == w->level && w->write)
			new |= PTE_D;
		if (new != old &&
		    guest_cmpxchg(w->vcpu, w->path[level].gpa, &old, new, w->size) == 1)
			return 1;
	}
	return 0;
}

static gpa_t leaf_gpa(const struct walk *w)
{
	u64 entry = w->path[w->level].entry, offset = BIT_ULL(level_shift(w, w->level)) - 1;
	gpa_t base = entry & PTE_ADDR;

	if (w->size == 4 && w->level == 2)
		base |= (entry & PSE36_HIGH) << 19;
	return (base & ~offset) | (w->gva & offset);
}

static int page_fault(const struct walk *w, u32 error, struct guest_fault *fault)
{
	if (w->write)
		error |= ERR_W;
	if (w->user)
		error |= ERR_U;
	if (w->fetch && ((w->efer & EFER_NX && w->cr4 & X86_CR4_PAE) || w->cr4 & X86_CR4_SMEP))
		error |= ERR_I;
	*fault = (struct guest_fault){ .vector = X86_TRAP_PF, .error = error, .addr = w->gva };
	return 1;
}

/* Field by field: the path is large and need not be cleared. */
static void walk_init(struct walk *w, struct vcpu *vcpu, gva_t gva, u32 access)
{
	w->vcpu = vcpu;
	w->write = access & FAULT_WRITE;
	w->fetch = access & FAULT_FETCH;
	w->implicit = access & GWALK_SYSTEM;
	w->user = access & GWALK_USER || (!w->implicit && regs_cpl(vcpu) == 3);
	w->cr0 = cr0_get(vcpu);
	w->cr4 = cr4_get(vcpu);
	w->efer = efer_get(vcpu);
	w->gva = long_mode(w) ? gva : (u32)gva;
}

/* Others may change an entry whenever it was read: hardware would take interrupts in between. */
int gwalk_translate(struct vcpu *vcpu, gva_t gva, u32 access, gpa_t *gpa, struct guest_fault *fault)
{
	unsigned int tries = 0;
	struct walk w;
	bool present;
	u32 error;

	walk_init(&w, vcpu, gva, access);
	*gpa = w.gva;
	if (!(w.cr0 & X86_CR0_PG))
		return 0;
	do {
		if (tries++ == MAX_TRIES)
			return -EAGAIN;
		if (!walk_begin(&w))
			return page_fault(&w, 0, fault);
		error = walk_tables(&w, &present);
		if (!error && present)
			error = check_rights(&w);
		if (error || !present)
			return page_fault(&w, error, fault);
	} while (set_accessed_dirty(&w));
	*gpa = leaf_gpa(&w);
	return 0;
}

static unsigned int in_page(gva_t gva, unsigned int len)
{
	return min_t(unsigned int, len, PAGE_SIZE - offset_in_page(gva));
}

/*
 * A write has its second page translated before the first byte goes out: a fault leaves nothing
 * half done.
 */
static int gva_copy(struct vcpu *vcpu, gva_t gva, void *buf, unsigned int len, u32 access,
		    struct guest_fault *fault)
{
	bool write = access & FAULT_WRITE;

	while (len) {
		unsigned int n = in_page(gva, len);
		gpa_t gpa, ahead;
		int ret = gwalk_translate(vcpu, gva, access, &gpa, fault);

		if (!ret && write && n < len)
			ret = gwalk_translate(vcpu, gva + n, access, &ahead, fault);
		if (!ret)
			ret = write ? guest_write(vcpu, gpa, buf, n) :
				      guest_read(vcpu->vm, gpa, buf, n);
		if (ret)
			return ret;
		gva += n;
		buf += n;
		len -= n;
	}
	return 0;
}

int gva_read(struct vcpu *vcpu, gva_t gva, void *buf, unsigned int len, u32 access,
	     struct guest_fault *fault)
{
	return gva_copy(vcpu, gva, buf, len, access | FAULT_READ, fault);
}

int gva_write(struct vcpu *vcpu, gva_t gva, const void *buf, unsigned int len, u32 access,
	      struct guest_fault *fault)
{
	return gva_copy(vcpu, gva, (void *)buf, len, access | FAULT_WRITE, fault);
}
