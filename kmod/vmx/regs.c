// SPDX-License-Identifier: GPL-2.0-only
/* Between the register cache and the guest-state area of the VMCS. */
#include <asm/msr.h>
#include <asm/processor-flags.h>
#include "backend.h"
#include "cpu/regs.h"
#include "mmu/shadow.h"
#include "vm.h"
#include "vmx/vmcs.h"
#include "vmx/vmx.h"

static const struct {
	u16 selector, base, limit, ar;
} seg_fields[NR_SEGS] = {
#define SEG_FIELDS(name) [SEG_##name] = {						\
	GUEST_##name##_SELECTOR, GUEST_##name##_BASE, GUEST_##name##_LIMIT, GUEST_##name##_AR_BYTES }
	SEG_FIELDS(ES), SEG_FIELDS(CS), SEG_FIELDS(SS), SEG_FIELDS(DS),
	SEG_FIELDS(FS), SEG_FIELDS(GS), SEG_FIELDS(TR), SEG_FIELDS(LDTR),
};

/* Caching attributes of guest memory follow PAT and EPT, never CR0. */
#define CR0_NEVER	(X86_CR0_CD | X86_CR0_NW)

/* Not for the identity map: its entries are of 4 bytes, and every user may use it. */
#define CR4_OTHER_PAGING	(X86_CR4_PAE | X86_CR4_LA57 | X86_CR4_SMEP | X86_CR4_SMAP | \
				 X86_CR4_PKE)

u64 vmx_cr4_guest_owned(struct vcpu *vcpu)
{
	u64 global = vcpu->vm->mmu.shadow ? 0 : X86_CR4_PGE;	/* a change flushes */

	return (global | X86_CR4_TSD | X86_CR4_DE | X86_CR4_PCE | X86_CR4_OSFXSR |
		X86_CR4_OSXMMEXCPT | X86_CR4_FSGSBASE) & ~vcpu->arch.cr4_reserved;
}

static void seg_fetch(struct kvm_segment *seg, enum seg nr)
{
	u32 ar = vmcs_read32(seg_fields[nr].ar);

	*seg = (struct kvm_segment) {
		.base = vmcs_readl(seg_fields[nr].base),
		.limit = vmcs_read32(seg_fields[nr].limit),
		.selector = vmcs_read16(seg_fields[nr].selector),
		.unusable = (ar >> 16) & 1,
		.type = ar & 15,
		.s = (ar >> 4) & 1,
		.dpl = (ar >> 5) & 3,
		.present = !((ar >> 16) & 1),
		.avl = (ar >> 12) & 1,
		.l = (ar >> 13) & 1,
		.db = (ar >> 14) & 1,
		.g = (ar >> 15) & 1,
	};
}

static u32 seg_ar(const struct kvm_segment *seg, enum seg nr)
{
	u32 type = seg->type;

	if (seg->unusable || !seg->present)
		return VMX_AR_UNUSABLE_MASK;
	/* An entry wants the accessed bit that loading the register would have set, and a busy TSS. */
	if (nr != SEG_LDTR)
		type |= 1;
	if (nr == SEG_TR)
		type |= 2;
	return type | seg->s << 4 | seg->dpl << 5 | BIT(7) | seg->avl << 12 | seg->l << 13 |
	       seg->db << 14 | seg->g << 15;
}

static void seg_flush(const struct kvm_segment *seg, enum seg nr)
{
	vmcs_write16(seg_fields[nr].selector, seg->selector);
	vmcs_writel(seg_fields[nr].base, seg->base);
	vmcs_write32(seg_fields[nr].limit, seg->limit);
	vmcs_write32(seg_fields[nr].ar, seg_ar(seg, nr));
}

static void pdptr_fetch(struct vcpu_regs *regs)
{
	regs->pdptr[0] = vmcs_read64(GUEST_PDPTR0);
	regs->pdptr[1] = vmcs_read64(GUEST_PDPTR1);
	regs->pdptr[2] = vmcs_read64(GUEST_PDPTR2);
	regs->pdptr[3] = vmcs_read64(GUEST_PDPTR3);
}

static void pdptr_flush(const struct vcpu_regs *regs)
{
	vmcs_write64(GUEST_PDPTR0, regs->pdptr[0]);
	vmcs_write64(GUEST_PDPTR1, regs->pdptr[1]);
	vmcs_write64(GUEST_PDPTR2, regs->pdptr[2]);
	vmcs_write64(GUEST_PDPTR3, regs->pdptr[3]);
}

/* What takes more than to read one field, or comes seldom. */
static noinline void fetch_more(struct vcpu *vcpu, enum reg reg)
{
	struct vcpu_regs *regs = &vcpu->regs;
	u64 owned;

	switch (reg) {
	case REG_CR0:
		regs->cr0 = (regs->cr0 & ~VMX_CR0_GUEST_OWNED) |
			    (vmcs_readl(GUEST_CR0) & VMX_CR0_GUEST_OWNED);
		break;
	case REG_CR3:
		if (!vmx_of(vcpu)->identity && !vcpu->vm->mmu.shadow)
			regs->cr3 = vmcs_readl(GUEST_CR3);
		break;
	case REG_CR4:
		owned = vmx_cr4_guest_owned(vcpu);
		regs->cr4 = (regs->cr4 & ~owned) | (vmcs_readl(GUEST_CR4) & owned);
		break;
	case REG_PDPTR:
		if (!vcpu->vm->mmu.shadow)
			pdptr_fetch(regs);
		break;
	case REG_ES ... REG_LDTR:
		seg_fetch(&regs->segs[reg - REG_ES], reg - REG_ES);
		break;
	case REG_GDTR:
		regs->gdtr.base = vmcs_readl(GUEST_GDTR_BASE);
		regs->gdtr.limit = vmcs_read32(GUEST_GDTR_LIMIT);
		break;
	case REG_IDTR:
		regs->idtr.base = vmcs_readl(GUEST_IDTR_BASE);
		regs->idtr.limit = vmcs_read32(GUEST_IDTR_LIMIT);
		break;
	default:	/* general registers, EFER and DR7 are always in the cache */
		break;
	}
}

/* Registers that are one field as it is. */
#define PLAIN(reg, name, encoding) [reg] = { encoding, offsetof(struct vcpu_regs, name) }
static const struct {
	u16 field, offset;
} plain_fields[NR_REGS] = {
	PLAIN(GPR_RSP, gpr[GPR_RSP], GUEST_RSP),
	PLAIN(REG_RIP, rip, GUEST_RIP),
	PLAIN(REG_RFLAGS, rflags, GUEST_RFLAGS),
	PLAIN(REG_SHADOW, shadow, GUEST_INTERRUPTIBILITY_INFO),
};

void vmx_reg_fetch(struct vcpu *vcpu, enum reg reg)
{
	struct vcpu_regs *regs = &vcpu->regs;

	regs->avail |= BIT_ULL(reg);
	if (likely(plain_fields[reg].field))
		*(u64 *)((u8 *)regs + plain_fields[reg].offset) = vmcs_readl(plain_fields[reg].field);
	else if (reg == REG_CPL)
		regs->cpl = VMX_AR_DPL(vmcs_read32(GUEST_SS_AR_BYTES));
	else if (reg == REG_CODE64)
		regs->code64 = vmcs_read32(GUEST_CS_AR_BYTES) & VMX_AR_L_MASK;
	else
		fetch_more(vcpu, reg);
}

static void cr3_flush(struct vcpu *vcpu)
{
	u64 cr3 = vcpu->regs.cr3;

	if (vcpu->vm->mmu.shadow)
		return;			/* the root is prepare()'s */
	if (unlikely(vmx_of(vcpu)->identity))
		cr3 = vcpu->vm->mmu.identity_gfn << PAGE_SHIFT;
	vmcs_writel(GUEST_CR3, cr3);
}

static void cr4_flush(struct vcpu *vcpu)
{
	u64 cr4 = vcpu->regs.cr4, real = cr4 | vmx_caps.cr4_fixed0;

	if (unlikely(vmx_of(vcpu)->identity))
		real = (real & ~CR4_OTHER_PAGING) | X86_CR4_PSE;
	if (vcpu->vm->mmu.shadow)
		real = shadow_cr4(vcpu, real);
	vmcs_writel(CR4_GUEST_HOST_MASK, ~vmx_cr4_guest_owned(vcpu));
	vmcs_writel(CR4_READ_SHADOW, cr4);
	vmcs_writel(GUEST_CR4, real);
}

/* The entry itself makes LMA and LME what they must be; NX is the shadow tables' own. */
static void efer_by_hand(struct vmx_vcpu *vmx, u64 efer)
{
	u64 real;

	rdmsrl(MSR_EFER, real);
	vmx_user_msr_set(vmx, USER_MSR_EFER, (real & ~(u64)EFER_SCE) | (efer & EFER_SCE));
}

static void efer_flush(struct vcpu *vcpu)
{
	struct vmx_vcpu *vmx = vmx_of(vcpu);
	u64 efer = vcpu->regs.efer;
	u32 entry = vmx->entry & ~VM_ENTRY_IA32E_MODE;
	bool syscalls;

	if (unlikely(vmx->identity))
		efer &= ~(u64)EFER_LME;		/* an entry with paging wants LME and LMA the same */
	if (vcpu->vm->mmu.shadow)
		efer = shadow_efer(efer);
	if (vmx_caps.load_efer)
		vmcs_write64(GUEST_IA32_EFER, efer);
	else
		efer_by_hand(vmx, efer);
	syscalls = !(~efer & (EFER_LMA | EFER_SCE));
	if (syscalls != vmx->syscalls) {
		vmx->syscalls = syscalls;
		vmx_user_msrs_update(vmx);
	}
	if (efer & EFER_LMA)
		entry |= VM_ENTRY_IA32E_MODE;
	if (entry != vmx->entry) {
		vmx->entry = entry;
		vmcs_write32(VM_ENTRY_CONTROLS, entry);
	}
}

/* Context: hardware has what the guest had before its CR0 changed. */
static void identity_switch(struct vcpu *vcpu, bool on)
{
	struct vmx_vcpu *vmx = vmx_of(vcpu);

	cr3_get(vcpu);
	cr4_get(vcpu);
	vmx->identity = on;
	vmx->exec = (vmx->exec & ~VMX_CR3_EXITS) | (on ? VMX_CR3_EXITS : 0);
	vmcs_write32(CPU_BASED_VM_EXEC_CONTROL, vmx->exec);
	cr3_flush(vcpu);
	cr4_flush(vcpu);
	efer_flush(vcpu);
}

/* Without unrestricted guest PE and PG are 1; what PE as 0 would mean, the CPU never sees. */
static void cr0_flush(struct vcpu *vcpu)
{
	u64 cr0 = vcpu->regs.cr0, real = (cr0 & ~CR0_NEVER) | caps.cr0_fixed1;

	if (vcpu->vm->mmu.shadow) {
		real |= X86_CR0_PE | X86_CR0_PG | X86_CR0_WP;
		cr4_get(vcpu);
		cr4_flush(vcpu);
	} else if (unlikely(!caps.any_mode)) {
		real |= X86_CR0_PE | X86_CR0_PG;
		if (vmx_of(vcpu)->identity != !(cr0 & X86_CR0_PG))
			identity_switch(vcpu, !(cr0 & X86_CR0_PG));
	}
	vmcs_writel(CR0_READ_SHADOW, cr0);
	vmcs_writel(GUEST_CR0, real);
}

#define PENDING_BS	BIT(14)		/* single step, in the pending debug exceptions */

/*
 * SDM, "Checks on Guest Non-Register State": blocking by STI needs IF, and a single-step trap must
 * be pending behind a shadow if and only if TF is set.
 */
static void shadow_flush(struct vcpu *vcpu)
{
	u32 shadow = vcpu->regs.shadow;
	u64 rflags = rflags_get(vcpu), pending;

	if ((shadow & SHADOW_STI) && !(rflags & X86_EFLAGS_IF))
		shadow &= ~SHADOW_STI;
	vmcs_write32(GUEST_INTERRUPTIBILITY_INFO, shadow);
	if (!(shadow & (SHADOW_STI | SHADOW_MOV_SS)))
		return;
	pending = vmcs_readl(GUEST_PENDING_DBG_EXCEPTIONS) & ~PENDING_BS;
	if ((rflags & X86_EFLAGS_TF) && !(vmcs_read64(GUEST_IA32_DEBUGCTL) & DEBUGCTLMSR_BTF))
		pending |= PENDING_BS;
	vmcs_writel(GUEST_PENDING_DBG_EXCEPTIONS, pending);
}

static noinline void reg_flush(struct vcpu *vcpu, enum reg reg)
{
	struct vcpu_regs *regs = &vcpu->regs;

	switch (reg) {
	case GPR_RSP:
		vmcs_writel(GUEST_RSP, regs->gpr[GPR_RSP]);
		break;
	case REG_CR0:
		cr0_flush(vcpu);
		break;
	case REG_CR3:
		cr3_flush(vcpu);
		break;
	case REG_CR4:
		cr4_flush(vcpu);
		break;
	case REG_EFER:
		efer_flush(vcpu);
		break;
	case REG_PDPTR:
		if (!vcpu->vm->mmu.shadow)
			pdptr_flush(regs);
		break;
	case REG_DR7:
		vmcs_writel(GUEST_DR7, regs->dr7);
		break;
	case REG_ES ... REG_LDTR:
		seg_flush(&regs->segs[reg - REG_ES], reg - REG_ES);
		break;
	case REG_GDTR:
		vmcs_writel(GUEST_GDTR_BASE, regs->gdtr.base);
		vmcs_write32(GUEST_GDTR_LIMIT, regs->gdtr.limit);
		break;
	case REG_IDTR:
		vmcs_writel(GUEST_IDTR_BASE, regs->idtr.base);
		vmcs_write32(GUEST_IDTR_LIMIT, regs->idtr.limit);
		break;
	case REG_SHADOW:
		shadow_flush(vcpu);
		break;
	default:
		break;
	}
}

/* A MOV to a device, which faulted, changes both of these: RFLAGS.RF. */
void vmx_regs_flush(struct vcpu *vcpu, u64 dirty)
{
	if (dirty & BIT_ULL(REG_RIP))
		vmcs_writel(GUEST_RIP, vcpu->regs.rip);
	if (dirty & BIT_ULL(REG_RFLAGS))
		vmcs_writel(GUEST_RFLAGS, vcpu->regs.rflags | X86_EFLAGS_FIXED);
	for (dirty &= ~(BIT_ULL(REG_RIP) | BIT_ULL(REG_RFLAGS)); dirty; dirty &= dirty - 1)
		reg_flush(vcpu, __ffs64(dirty));
}

/* The reset values themselves are in the cache; here what has no place there. Context: loaded. */
void vmx_regs_reset(struct vcpu *vcpu)
{
	vmcs_write32(GUEST_ACTIVITY_STATE, GUEST_ACTIVITY_ACTIVE);
	vmcs_writel(GUEST_PENDING_DBG_EXCEPTIONS, 0);
	vmcs_write32(VM_ENTRY_INTR_INFO_FIELD, 0);
	vmcs_write32(GUEST_SYSENTER_CS, 0);
	vmcs_writel(GUEST_SYSENTER_ESP, 0);
	vmcs_writel(GUEST_SYSENTER_EIP, 0);
	vmcs_write64(GUEST_IA32_DEBUGCTL, 0);
	if (vmx_of(vcpu)->vpid)
		vmx_tlb_flush(vcpu, TLB_GUEST, 0);
}
