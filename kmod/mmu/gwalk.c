// SPDX-License-Identifier: GPL-2.0-only
/*
 * Walk the guest's own page tables as its hardware would: every paging mode, permissions, accessed
 * and dirty bits, exact #PF error codes.
 */
#include <linux/mm.h>
#include <linux/uaccess.h>
#include <asm/processor-flags.h>
#include <asm/trapnr.h>
#include "vm.h"
#include "cpu/cpuid.h"
#include "cpu/regs.h"
#include "mem/slots.h"
#include "mmu/gwalk.h"

#define PSE36_HIGH	GENMASK_ULL(20, 13)	/* of a 4 MiB page's entry: address bits 39:32 */

#define ERR_P		BIT(0)
#define ERR_W		BIT(1)
#define ERR_U		BIT(2)
#define ERR_RSVD	BIT(3)
#define ERR_I		BIT(4)
#define ERR_PK		BIT(5)

#define MAX_TRIES	16

static bool long_mode(const struct gwalk *w)
{
	return w->efer & EFER_LMA;
}

static u64 always_reserved(const struct gwalk *w)
{
	u64 rsvd = GPTE_ADDR & ~GENMASK_ULL(w->vcpu->arch.maxphyaddr - 1, 0);

	if (!long_mode(w))
		rsvd |= GENMASK_ULL(62, 52);
	if (!(w->efer & EFER_NX))
		rsvd |= GPTE_NX;
	return rsvd;
}

/* Paging mode and first table. False: the PDPTE of PAE paging is not present. */
static bool walk_begin(struct gwalk *w)
{
	struct vcpu *vcpu = w->vcpu;
	u64 cr3 = cr3_get(vcpu);

	w->rights = GPTE_W | GPTE_U | GPTE_A;
	w->rsvd = always_reserved(w);
	w->bits = 9;
	w->size = 8;
	if (long_mode(w)) {
		w->top = w->cr4 & X86_CR4_LA57 ? 5 : 4;
		w->table = cr3 & GPTE_ADDR;
	} else if (w->cr4 & X86_CR4_PAE) {
		reg_need(vcpu, REG_PDPTR);
		w->top = 2;
		w->table = vcpu->regs.pdptr[(w->gva >> 30) & 3];
		if (!(w->table & GPTE_P))
			return false;
		w->table &= GPTE_ADDR;
	} else {
		w->top = 2;
		w->bits = 10;
		w->size = 4;
		w->table = (u32)cr3 & PAGE_MASK;
	}
	return true;
}

static unsigned int level_shift(const struct gwalk *w, int level)
{
	return PAGE_SHIFT + (level - 1) * w->bits;
}

static bool may_be_large(const struct gwalk *w, int level)
{
	if (w->size == 4)
		return level == 2 && w->cr4 & X86_CR4_PSE;
	return level == 2 || (level == 3 && long_mode(w) && boot_cpu_has(X86_FEATURE_GBPAGES));
}

bool gwalk_is_large(const struct gwalk *w, int level, u64 entry)
{
	return entry & GPTE_PS && may_be_large(w, level);
}

/* Of an entry above the lowest level whose PS is set. */
static bool large_has_reserved(const struct gwalk *w, int level, u64 entry)
{
	if (w->size == 4)
		return may_be_large(w, level) && entry & BIT_ULL(21);
	return !may_be_large(w, level) || entry & GENMASK_ULL(level_shift(w, level) - 1, 13);
}

bool gwalk_has_reserved(const struct gwalk *w, int level, u64 entry)
{
	return entry & w->rsvd || (level > 1 && entry & GPTE_PS && large_has_reserved(w, level, entry));
}

/* walk_tables() for entries of @size bytes, of which a table has 2^@bits: written out for each kind. */
static __always_inline u32 walk_kind(struct gwalk *w, bool *present, const unsigned int bits, const unsigned int size)
{
	unsigned int shift = PAGE_SHIFT + (w->top - 1) * bits;
	u64 rights = w->rights, nx = 0, entry;
	gpa_t gpa, table = w->table;
	int level;

	*present = false;
	for (level = w->top; ; level--, shift -= bits) {
		gpa = table + ((w->gva >> shift) & (BIT(bits) - 1)) * size;
		if (guest_read_entry(w->vcpu, gpa, &entry, size)) {
			w->unread = true;
			return 0;
		}
		if (!(entry & GPTE_P))
			return 0;
		w->path[level].gpa = gpa;
		w->path[level].entry = entry;
		if (gwalk_has_reserved(w, level, entry))
			return ERR_P | ERR_RSVD;
		rights &= entry;
		nx |= entry & GPTE_NX;
		if (level == 1 || gwalk_is_large(w, level, entry))
			break;
		table = entry & GPTE_ADDR;
	}
	w->level = level;
	w->rights = rights | nx;
	*present = true;
	return 0;
}

/*
 * Read the entries down to the leaf. Return: error code bits of the fault, or 0 with w->level set
 */
static u32 walk_tables(struct gwalk *w, bool *present)
{
	return w->size == 8 ? walk_kind(w, present, 9, 8) : walk_kind(w, present, 10, 4);
}

static bool key_denies(const struct gwalk *w)
{
	u64 entry = w->path[w->level].entry;
	u32 key_bits;

	if (!(w->cr4 & X86_CR4_PKE) || !long_mode(w) || w->fetch || !(w->rights & GPTE_U))
		return false;
	key_bits = w->vcpu->arch.pkru >> (((entry >> 59) & 15) * 2) & 3;
	return key_bits & 1 || (w->write && key_bits & 2 && (w->user || w->cr0 & X86_CR0_WP));
}

static bool supervisor_denied(const struct gwalk *w)
{
	bool user_page = w->rights & GPTE_U;

	if (w->fetch)
		return user_page && w->cr4 & X86_CR4_SMEP;
	if (user_page && w->cr4 & X86_CR4_SMAP &&
	    (w->implicit || !(rflags_get(w->vcpu) & X86_EFLAGS_AC)))
		return true;
	return w->write && !(w->rights & GPTE_W) && w->cr0 & X86_CR0_WP;
}

/* Return: error code bits, 0 if the access may go ahead */
static u32 check_rights(const struct gwalk *w)
{
	if (w->fetch && w->rights & GPTE_NX)
		return ERR_P;
	if (w->user ? !(w->rights & GPTE_U) || (w->write && !(w->rights & GPTE_W))
		    : supervisor_denied(w))
		return ERR_P;
	return key_denies(w) ? ERR_P | ERR_PK : 0;
}

/*
 * Return: 0, or 1 if an entry has changed meanwhile. Tables in read-only memory stay as they are.
 */
static int set_accessed_dirty(struct gwalk *w)
{
	int level;

	if (w->rights & GPTE_A && (!w->write || w->path[w->level].entry & GPTE_D))
		return 0;

	for (level = w->top; level >= w->level; level--) {
		u64 old = w->path[level].entry, new = old | GPTE_A;

		if (level == w->level && w->write)
			new |= GPTE_D;
		if (new == old)
			continue;
		switch (guest_cmpxchg(w->vcpu, w->path[level].gpa, &old, new, w->size)) {
		case 1:
			return 1;
		case 0:
			w->path[level].entry = new;
		}
	}
	return 0;
}

gpa_t gwalk_leaf_base(const struct gwalk *w, int level, u64 entry)
{
	gpa_t base = entry & GPTE_ADDR;

	if (w->size == 4 && level == 2)
		base |= (entry & PSE36_HIGH) << 19;
	return base & ~(BIT_ULL(level_shift(w, level)) - 1);
}

static gpa_t leaf_gpa(const struct gwalk *w)
{
	u64 offset = BIT_ULL(level_shift(w, w->level)) - 1;

	return gwalk_leaf_base(w, w->level, w->path[w->level].entry) | (w->gva & offset);
}

static int page_fault(const struct gwalk *w, u32 error, struct guest_fault *fault)
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
static void walk_init(struct gwalk *w, struct vcpu *vcpu, gva_t gva, u32 access)
{
	w->vcpu = vcpu;
	w->write = access & FAULT_WRITE;
	w->fetch = access & FAULT_FETCH;
	w->implicit = access & GWALK_SYSTEM;
	w->user = access & GWALK_USER || (!w->implicit && regs_cpl(vcpu) == 3);
	w->cr0 = cr0_modes(vcpu);
	w->cr4 = cr4_modes(vcpu);
	w->efer = efer_get(vcpu);
	w->gva = long_mode(w) ? gva : (u32)gva;
	w->gpa = w->gva;
	w->unread = false;
}

void gwalk_mode(struct gwalk *w, struct vcpu *vcpu)
{
	walk_init(w, vcpu, 0, GWALK_SYSTEM);
	walk_begin(w);
}

/* Others may change an entry whenever it was read: hardware would take interrupts in between. */
int gwalk(struct vcpu *vcpu, gva_t gva, u32 access, struct gwalk *w, struct guest_fault *fault)
{
	unsigned int tries = 0;
	bool present;
	u32 error;

	walk_init(w, vcpu, gva, access);
	if (!(w->cr0 & X86_CR0_PG))
		return 0;
	do {
		if (tries++ == MAX_TRIES)
			return -EAGAIN;
		if (!walk_begin(w))
			return page_fault(w, 0, fault);
		error = walk_tables(w, &present);
		if (!error && present)
			error = check_rights(w);
		if (error || !present)
			return page_fault(w, error, fault);
	} while (set_accessed_dirty(w));
	w->gpa = leaf_gpa(w);
	return 0;
}

int gwalk_translate(struct vcpu *vcpu, gva_t gva, u32 access, gpa_t *gpa, struct guest_fault *fault)
{
	struct gwalk w;
	int ret = gwalk(vcpu, gva, access, &w, fault);

	*gpa = w.gpa;
	return ret;
}

void gwalk_code_note(struct gwalk_code *code, const struct gwalk *w)
{
	struct vm *vm = w->vcpu->vm;
	int level;

	code->page = GWALK_NO_PAGE;
	if (!(w->cr0 & X86_CR0_PG) || !long_mode(w))
		return;
	for (level = w->top; level >= w->level; level--) {
		code->path[level].hva = slots_hva(vm, w->path[level].gpa, false);
		code->path[level].entry = w->path[level].entry;
		if (!code->path[level].hva)
			return;
	}
	code->hva = slots_hva(vm, w->gpa & PAGE_MASK, false);
	code->cr0 = w->cr0;
	code->cr3 = cr3_get(w->vcpu);
	code->cr4 = w->cr4;
	code->efer = w->efer;
	code->generation = slots_current(vm)->generation;
	code->user = w->user;
	code->top = w->top;
	code->level = w->level;
	if (code->hva)
		code->page = w->gva & PAGE_MASK;
}

static bool same_begin(const struct gwalk_code *code, struct vcpu *vcpu, gva_t rip)
{
	return code->page == (rip & PAGE_MASK) && code->cr3 == cr3_get(vcpu) && code->cr0 == cr0_modes(vcpu) &&
	       code->cr4 == cr4_modes(vcpu) && code->efer == efer_get(vcpu) && code->user == (regs_cpl(vcpu) == 3) &&
	       code->generation == slots_current(vcpu->vm)->generation;
}

bool gwalk_code_again(const struct gwalk_code *code, struct vcpu *vcpu, gva_t rip, u8 bytes[GWALK_CODE_BYTES])
{
	u64 __user *from = (u64 __user *)(code->hva + offset_in_page(rip));
	u64 entry, first, second;
	int level;

	if (!same_begin(code, vcpu, rip) || !user_read_access_begin(from, GWALK_CODE_BYTES))
		return false;
	for (level = code->top; level >= code->level; level--) {
		unsafe_get_user(entry, (u64 __user *)code->path[level].hva, elsewhere);
		if (entry != code->path[level].entry)
			goto elsewhere;
	}
	unsafe_get_user(first, from, elsewhere);
	unsafe_get_user(second, from + 1, elsewhere);
	user_read_access_end();
	memcpy(bytes, &first, sizeof(first));
	memcpy(bytes + sizeof(first), &second, sizeof(second));
	return true;
elsewhere:
	user_read_access_end();
	return false;
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
