// SPDX-License-Identifier: GPL-2.0-only
/*
 * Control registers. Every rule is the SDM's or APM's description of MOV to control register and of
 * WRMSR to IA32_EFER; a refused write changes nothing.
 */
#include "vm.h"
#include "cpu/cpuid.h"
#include "cpu/cr.h"
#include "cpu/regs.h"
#include "cpu/xstate.h"
#include "irq/lapic.h"
#include "mmu/emulate.h"
#include "mmu/shadow.h"

#define CR0_DEFINED	(X86_CR0_PE | X86_CR0_MP | X86_CR0_EM | X86_CR0_TS | X86_CR0_ET | \
			 X86_CR0_NE | X86_CR0_WP | X86_CR0_AM | X86_CR0_NW | X86_CR0_CD | \
			 X86_CR0_PG)
#define CR0_PAGING	(X86_CR0_PG | X86_CR0_WP)
/* A change of these loads the PDPTEs. */
#define CR0_PDPTR	(X86_CR0_CD | X86_CR0_NW | X86_CR0_PG)
#define CR4_PAGING	(X86_CR4_PSE | X86_CR4_PAE | X86_CR4_PGE | X86_CR4_PCIDE | X86_CR4_LA57 | \
			 X86_CR4_SMEP | X86_CR4_SMAP | X86_CR4_PKE)
#define CR4_PDPTR	(X86_CR4_PAE | X86_CR4_PSE | X86_CR4_PGE | X86_CR4_SMEP)
#define CR3_PCID	0xfffull
#define CR3_NOFLUSH	BIT_ULL(63)

bool cr0_valid(u64 cr0)
{
	if (cr0 >> 32)
		return false;
	if ((cr0 & X86_CR0_NW) && !(cr0 & X86_CR0_CD))
		return false;
	return !(cr0 & X86_CR0_PG) || (cr0 & X86_CR0_PE);
}

bool cr4_valid(struct vcpu *vcpu, u64 cr4)
{
	return !(cr4 & vcpu->arch.cr4_reserved);
}

static u64 pdpte_reserved(struct vcpu *vcpu)
{
	return vcpu->arch.cr3_reserved | GENMASK_ULL(8, 5) | GENMASK_ULL(2, 1);
}

bool cr_load_pdptrs(struct vcpu *vcpu, u64 cr3)
{
	u64 pdptr[4];
	int i;

	if (guest_read(vcpu->vm, cr3 & 0xffffffe0, pdptr, sizeof(pdptr)))
		return false;
	for (i = 0; i < 4; i++)
		if ((pdptr[i] & 1) && (pdptr[i] & pdpte_reserved(vcpu)))
			return false;
	memcpy(vcpu->regs.pdptr, pdptr, sizeof(pdptr));
	reg_touch(vcpu, REG_PDPTR);
	return true;
}

void efer_apply(struct vcpu *vcpu, u64 val)
{
	u64 old = vcpu->regs.efer;

	efer_set(vcpu, val);
	if ((old ^ val) & (EFER_NX | EFER_LMA))
		mmu_paging_changed(vcpu);
}

static void lma_update(struct vcpu *vcpu, u64 cr0)
{
	u64 efer = vcpu->regs.efer & ~(u64)EFER_LMA;

	if ((efer & EFER_LME) && (cr0 & X86_CR0_PG))
		efer |= EFER_LMA;
	if (efer != vcpu->regs.efer)
		efer_apply(vcpu, efer);
}

void cr0_apply(struct vcpu *vcpu, u64 val)
{
	u64 old = cr0_get(vcpu);

	val = (val & CR0_DEFINED) | X86_CR0_ET;
	cr0_set(vcpu, val);
	lma_update(vcpu, val);
	if ((old ^ val) & X86_CR0_PE)
		vcpu_request(vcpu, REQ_EVENT);	/* who runs it may change */
	if ((old ^ val) & CR0_PAGING) {
		mmu_paging_changed(vcpu);
		vcpu_request(vcpu, REQ_TLB_FLUSH_GUEST);
	}
}

void cr4_apply(struct vcpu *vcpu, u64 val)
{
	u64 changed = cr4_get(vcpu) ^ val;

	cr4_set(vcpu, val);
	if (changed & CR4_PAGING) {
		mmu_paging_changed(vcpu);
		vcpu_request(vcpu, REQ_TLB_FLUSH_GUEST);
	}
	if (changed & (X86_CR4_OSXSAVE | X86_CR4_PKE)) {
		xstate_update(vcpu);
		cpuid_refresh(vcpu);
	}
}

/* Setting PG with EFER.LME enters long mode. */
static bool enters_long_mode(struct vcpu *vcpu)
{
	return (cr4_get(vcpu) & X86_CR4_PAE) && !seg_get(vcpu, SEG_CS)->l;
}

bool cr0_write(struct vcpu *vcpu, u64 val)
{
	u64 old = cr0_get(vcpu), changed = old ^ val, cr4 = cr4_get(vcpu);

	if (!cr0_valid(val))
		return false;
	if ((changed & val & X86_CR0_PG) && (vcpu->regs.efer & EFER_LME)) {
		if (!enters_long_mode(vcpu))
			return false;
	} else if ((changed & CR0_PDPTR) && cr_pae_paging(val, cr4, vcpu->regs.efer)) {
		if (!cr_load_pdptrs(vcpu, cr3_get(vcpu)))
			return false;
	}
	if ((changed & old & X86_CR0_PG) &&
	    ((cr4 & X86_CR4_PCIDE) || regs_64bit(vcpu)))
		return false;
	cr0_apply(vcpu, val);
	return true;
}

static bool cr4_mode_allows(struct vcpu *vcpu, u64 old, u64 val)
{
	u64 changed = old ^ val;

	if (regs_long_mode(vcpu))
		return (val & X86_CR4_PAE) && !(changed & X86_CR4_LA57);
	return !(changed & val & X86_CR4_PCIDE);
}

bool cr4_write(struct vcpu *vcpu, u64 val)
{
	u64 old = cr4_get(vcpu), changed = old ^ val;

	if (!cr4_valid(vcpu, val) || !cr4_mode_allows(vcpu, old, val))
		return false;
	if ((changed & val & X86_CR4_PCIDE) && (cr3_get(vcpu) & CR3_PCID))
		return false;
	if ((changed & CR4_PDPTR) && cr_pae_paging(cr0_get(vcpu), val, vcpu->regs.efer) &&
	    !cr_load_pdptrs(vcpu, cr3_get(vcpu)))
		return false;
	cr4_apply(vcpu, val);
	return true;
}

bool cr3_write(struct vcpu *vcpu, u64 val)
{
	bool pcid = cr4_get(vcpu) & X86_CR4_PCIDE, flush = true;

	if (pcid) {
		flush = !(val & CR3_NOFLUSH);
		val &= ~CR3_NOFLUSH;
	}
	if (regs_long_mode(vcpu)) {
		if (val & vcpu->arch.cr3_reserved)
			return false;
	} else if (cr_pae_paging(cr0_get(vcpu), cr4_get(vcpu), vcpu->regs.efer)) {
		if (!cr_load_pdptrs(vcpu, val))
			return false;
	}
	cr3_set(vcpu, val);
	mmu_paging_changed(vcpu);
	if (flush)
		vcpu_request(vcpu, REQ_TLB_FLUSH_GUEST);
	return true;
}

static bool cr3_write_fast(struct vcpu *vcpu, u64 val)
{
	hpa_t root = vcpu->mmu.root;
	bool flush = true;

	if (vcpu->regs.cr4 & X86_CR4_PCIDE) {	/* the cache is right: writes of this bit always exit */
		flush = !(val & CR3_NOFLUSH);
		val &= ~CR3_NOFLUSH;
	}
	if (val & vcpu->arch.cr3_reserved || !shadow_switch_root(vcpu, val, flush))
		return false;
	vcpu->regs.cr3 = val;		/* nothing to flush: what hardware has is the root's address */
	vcpu->regs.avail |= BIT_ULL(REG_CR3);
	emulate_forget(vcpu);
	if (vcpu->mmu.root == root)		/* the backend flushes when it loads another */
		backend_call(tlb_flush)(vcpu, TLB_GUEST, 0);
	return true;
}

/* A kernel that isolates page tables reads and writes CR3 at each crossing. */
bool cr3_fast(struct vcpu *vcpu, struct vcpu_exit *exit)
{
	if (exit->cr.cr != 3 || !vcpu->vm->mmu.shadow || !exit->insn_len || !regs_64bit(vcpu))
		return false;
	if (exit->cr.op == CR_READ)
		gpr_set(vcpu, exit->cr.gpr, cr3_get(vcpu));
	else if (exit->cr.op != CR_WRITE || !cr3_write_fast(vcpu, gpr_get(vcpu, exit->cr.gpr)))
		return false;
	return vcpu_skip_insn(vcpu) == RESUME;
}

u64 cr8_read(struct vcpu *vcpu)
{
	return vcpu->irq.lapic ? lapic_cr8_get(vcpu) : vcpu->regs.cr8;
}

bool cr8_write(struct vcpu *vcpu, u64 val)
{
	if (val & ~15ull)
		return false;
	if (vcpu->irq.lapic)
		lapic_cr8_set(vcpu, val);
	else
		vcpu->regs.cr8 = val;
	return true;
}

/* LMA mirrors paging: what a write says about it is ignored. */
bool efer_write(struct vcpu *vcpu, u64 val, bool host)
{
	u64 old = efer_get(vcpu), allowed = host ? cpuid_host.efer : vcpu->arch.efer_allowed;

	if (val & ~allowed & ~(u64)EFER_LMA)
		return false;
	if (!host && regs_paging(vcpu) && ((old ^ val) & EFER_LME))
		return false;
	efer_apply(vcpu, (val & ~(u64)EFER_LMA) | (old & EFER_LMA));
	return true;
}

/* Without a LAPIC in the kernel userspace must hear when CR8 goes down: it holds the interrupts. */
static int cr8_exit_write(struct vcpu *vcpu, u64 val)
{
	u64 old = cr8_read(vcpu);
	int next;

	if (!cr8_write(vcpu, val))
		return inject_gp(vcpu);
	next = vcpu_skip_insn(vcpu);
	if (next != RESUME || vcpu->irq.lapic || old <= val)
		return next;
	vcpu->run->exit_reason = KVM_EXIT_SET_TPR;
	return TO_USER;
}

static bool cr_write(struct vcpu *vcpu, u8 cr, u64 val)
{
	switch (cr) {
	case 0:
		return cr0_write(vcpu, val);
	case 3:
		return cr3_write(vcpu, val);
	case 4:
		return cr4_write(vcpu, val);
	}
	return false;
}

static u64 cr_read(struct vcpu *vcpu, u8 cr)
{
	switch (cr) {
	case 0:
		return cr0_get(vcpu);
	case 3:
		return cr3_get(vcpu);
	case 4:
		return cr4_get(vcpu);
	case 8:
		return cr8_read(vcpu);
	}
	return 0;
}

/* LMSW sets MP, EM, TS and PE; it cannot clear PE. */
static u64 lmsw_value(u64 cr0, u16 msw)
{
	return (cr0 & ~0xeull) | (msw & 0xf);
}

int cr_exit(struct vcpu *vcpu, struct vcpu_exit *exit)
{
	u8 cr = exit->cr.cr;
	u64 val;

	switch (exit->cr.op) {
	case CR_READ:
		val = cr_read(vcpu, cr);
		gpr_set(vcpu, exit->cr.gpr, regs_64bit(vcpu) ? val : (u32)val);
		return vcpu_skip_insn(vcpu);
	case CR_CLTS:
		val = cr0_get(vcpu) & ~(u64)X86_CR0_TS;
		cr = 0;
		break;
	case CR_LMSW:
		val = lmsw_value(cr0_get(vcpu), exit->cr.lmsw);
		cr = 0;
		break;
	default:
		val = gpr_get(vcpu, exit->cr.gpr);
		if (!regs_64bit(vcpu))
			val = (u32)val;
	}
	if (cr == 8)
		return cr8_exit_write(vcpu, val);
	if (!cr_write(vcpu, cr, val))
		return inject_gp(vcpu);
	return vcpu_skip_insn(vcpu);
}

int xsetbv_exit(struct vcpu *vcpu, struct vcpu_exit *exit)
{
	u64 val = (u32)gpr_get(vcpu, GPR_RAX) | (u64)gpr_get(vcpu, GPR_RDX) << 32;

	if (regs_cpl(vcpu) || (u32)gpr_get(vcpu, GPR_RCX) || !xcr0_write(vcpu, val))
		return inject_gp(vcpu);
	return vcpu_skip_insn(vcpu);
}
