// SPDX-License-Identifier: GPL-2.0-only
/* Between the register cache and the state-save area of the VMCB. */
#include <asm/msr-index.h>
#include <asm/processor-flags.h>
#include <asm/tlbflush.h>
#include "cpu/cr.h"
#include "cpu/regs.h"
#include "mmu/shadow.h"
#include "svm/svm.h"
#include "vm.h"

static const u16 seg_offsets[NR_SEGS] = {
#define SEG_OFFSET(NAME, field) [SEG_##NAME] = offsetof(struct vmcb_save_area, field)
	SEG_OFFSET(ES, es), SEG_OFFSET(CS, cs), SEG_OFFSET(SS, ss), SEG_OFFSET(DS, ds),
	SEG_OFFSET(FS, fs), SEG_OFFSET(GS, gs), SEG_OFFSET(TR, tr), SEG_OFFSET(LDTR, ldtr),
};

/* Caching attributes of guest memory follow PAT and the nested tables, never CR0. */
#define CR0_NEVER	(X86_CR0_CD | X86_CR0_NW)
/* With shadow tables the processor pages always, in real mode too, and minds their write protection. */
#define CR0_SHADOW	(X86_CR0_PG | X86_CR0_WP)

static struct vmcb_seg *seg_of(struct vmcb *vmcb, enum seg nr)
{
	return (void *)&vmcb->save + seg_offsets[nr];
}

static void seg_fetch(struct kvm_segment *seg, const struct vmcb_seg *from)
{
	u16 attrib = from->attrib;

	*seg = (struct kvm_segment) {
		.base = from->base,
		.limit = from->limit,
		.selector = from->selector,
		.unusable = !(attrib & SVM_SELECTOR_P_MASK),
		.type = attrib & SVM_SELECTOR_TYPE_MASK,
		.s = !!(attrib & SVM_SELECTOR_S_MASK),
		.dpl = (attrib & SVM_SELECTOR_DPL_MASK) >> SVM_SELECTOR_DPL_SHIFT,
		.present = !!(attrib & SVM_SELECTOR_P_MASK),
		.avl = !!(attrib & SVM_SELECTOR_AVL_MASK),
		.l = !!(attrib & SVM_SELECTOR_L_MASK),
		.db = !!(attrib & SVM_SELECTOR_DB_MASK),
		.g = !!(attrib & SVM_SELECTOR_G_MASK),
	};
}

/*
 * APM volume 2, "Saving and Restoring State": the CPU keeps less of some segments than there is.
 * What it leaves out is put back as VT-x, and so userspace, wants to see it.
 */
static void seg_complete(struct kvm_segment *seg, enum seg nr, u8 cpl)
{
	if (nr == SEG_TR)
		seg->type |= 2;			/* busy */
	else if (nr != SEG_LDTR && !seg->unusable)
		seg->type |= 1;			/* accessed */
	if (nr != SEG_SS)
		return;
	seg->dpl = cpl;
	if (seg->unusable)
		seg->db = 0;
}

static void seg_flush(struct vmcb *vmcb, const struct kvm_segment *seg, enum seg nr)
{
	struct vmcb_seg *to = seg_of(vmcb, nr);

	to->base = seg->base;
	to->limit = seg->limit;
	to->selector = seg->selector;
	to->attrib = seg->type | seg->s << SVM_SELECTOR_S_SHIFT | seg->dpl << SVM_SELECTOR_DPL_SHIFT |
		     (seg->present && !seg->unusable) << SVM_SELECTOR_P_SHIFT |
		     seg->avl << SVM_SELECTOR_AVL_SHIFT | seg->l << SVM_SELECTOR_L_SHIFT |
		     seg->db << SVM_SELECTOR_DB_SHIFT | seg->g << SVM_SELECTOR_G_SHIFT;
	if (nr == SEG_SS)
		vmcb->save.cpl = seg->dpl;
}

static void dtable_fetch(struct kvm_dtable *table, const struct vmcb_seg *from)
{
	table->base = from->base;
	table->limit = from->limit;
}

static void dtable_flush(struct vmcb_seg *to, const struct kvm_dtable *table)
{
	to->base = table->base;
	to->limit = table->limit;
}

void svm_reg_fetch(struct vcpu *vcpu, enum reg reg)
{
	struct svm_vcpu *svm = svm_of(vcpu);
	struct vmcb_save_area *save = &svm->vmcb->save;
	struct vcpu_regs *regs = &vcpu->regs;

	switch (reg) {
	case GPR_RSP:
		regs->gpr[GPR_RSP] = save->rsp;
		break;
	case REG_CR0:
		regs->cr0 = (regs->cr0 & ~(u64)SVM_CR0_GUEST_OWNED) |
			    (save->cr0 & SVM_CR0_GUEST_OWNED);
		break;
	case REG_CR3:
		if (!vcpu->vm->mmu.shadow)
			regs->cr3 = save->cr3;
		break;
	case REG_PDPTR:
		if (!vcpu->vm->mmu.shadow)
			cr_load_pdptrs(vcpu, save->cr3);	/* the CPU reads them when it needs them */
		break;
	case REG_ES ... REG_LDTR:
		seg_fetch(&regs->segs[reg - REG_ES], seg_of(svm->vmcb, reg - REG_ES));
		seg_complete(&regs->segs[reg - REG_ES], reg - REG_ES, save->cpl);
		break;
	case REG_GDTR:
		dtable_fetch(&regs->gdtr, &save->gdtr);
		break;
	case REG_IDTR:
		dtable_fetch(&regs->idtr, &save->idtr);
		break;
	case REG_CPL:
		regs->cpl = save->cpl;
		break;
	case REG_CODE64:
		regs->code64 = save->cs.attrib & SVM_SELECTOR_L_MASK;
		break;
	default:	/* what svm_run_enter() always takes over, or no guest changes without an exit */
		break;
	}
	regs->avail |= BIT_ULL(reg);
}

/* With MCE clear a machine check would shut the guest down instead of reaching the host. */
static void cr4_flush(struct svm_vcpu *svm, u64 cr4)
{
	u64 real = cr4 | (cr4_read_shadow() & X86_CR4_MCE);

	if (svm->vcpu->vm->mmu.shadow)
		real = shadow_cr4(svm->vcpu, real);
	svm->vmcb->save.cr4 = real;
	svm_intercept(svm, INTERCEPT_CR4_READ, real != cr4);
}

/* A guest that shows CD or NW must not see them gone. */
static void cr0_flush(struct svm_vcpu *svm, u64 cr0)
{
	bool shadow = svm->vcpu->vm->mmu.shadow;
	u64 real = (cr0 & ~(u64)CR0_NEVER) | (shadow ? CR0_SHADOW : 0);

	svm->vmcb->save.cr0 = real;
	svm_intercept(svm, INTERCEPT_CR0_READ, cr0 != real);
	svm_intercept(svm, INTERCEPT_CR0_WRITE, cr0 != real);
	if (shadow)
		cr4_flush(svm, svm->vcpu->regs.cr4);
}

/* VMRUN demands SVME, which the guest never sees. */
static void efer_flush(struct vcpu *vcpu)
{
	u64 efer = vcpu->regs.efer | EFER_SVME;

	if (vcpu->vm->mmu.shadow)
		efer = shadow_efer(efer);
	svm_of(vcpu)->vmcb->save.efer = efer;
}

void svm_nmi_mask(struct svm_vcpu *svm, bool masked)
{
	svm->nmi_masked = masked;
	svm->iret_pending = false;
	svm_intercept(svm, INTERCEPT_IRET, masked);
}

static void shadow_flush(struct svm_vcpu *svm, u64 shadow)
{
	svm->vmcb->control.int_state = shadow & (SHADOW_STI | SHADOW_MOV_SS) ?
				       SVM_INTERRUPT_SHADOW_MASK : 0;
	if (svm->nmi_masked != !!(shadow & SHADOW_NMI))
		svm_nmi_mask(svm, shadow & SHADOW_NMI);
}

static void reg_flush(struct vcpu *vcpu, enum reg reg)
{
	struct svm_vcpu *svm = svm_of(vcpu);
	struct vmcb_save_area *save = &svm->vmcb->save;
	struct vcpu_regs *regs = &vcpu->regs;

	switch (reg) {
	case GPR_RSP:
		save->rsp = regs->gpr[GPR_RSP];
		break;
	case REG_RIP:
		save->rip = regs->rip;
		break;
	case REG_RFLAGS:
		save->rflags = regs->rflags | X86_EFLAGS_FIXED;
		break;
	case REG_CR0:
		cr0_flush(svm, regs->cr0);
		break;
	case REG_CR3:
		if (!vcpu->vm->mmu.shadow)
			save->cr3 = regs->cr3;
		break;
	case REG_CR4:
		cr4_flush(svm, regs->cr4);
		break;
	case REG_EFER:
		efer_flush(vcpu);
		break;
	case REG_DR7:
		save->dr7 = regs->dr7;
		break;
	case REG_ES ... REG_LDTR:
		seg_flush(svm->vmcb, &regs->segs[reg - REG_ES], reg - REG_ES);
		break;
	case REG_GDTR:
		dtable_flush(&save->gdtr, &regs->gdtr);
		break;
	case REG_IDTR:
		dtable_flush(&save->idtr, &regs->idtr);
		break;
	case REG_SHADOW:
		shadow_flush(svm, regs->shadow);
		break;
	default:
		break;
	}
}

void svm_regs_flush(struct vcpu *vcpu, u64 dirty)
{
	for (; dirty; dirty &= dirty - 1)
		reg_flush(vcpu, __ffs64(dirty));
}
