// SPDX-License-Identifier: GPL-2.0-only
/* The register file: reset state, userspace's views of it, and stepping over an instruction. */
#include <uapi/asm/debugreg.h>
#include "vm.h"
#include "cpu/regs.h"
#include "cpu/cpuid.h"
#include "cpu/cr.h"
#include "cpu/debug.h"
#include "cpu/dr.h"
#include "irq/lapic.h"
#include "mmu/mmu.h"

#define SEGMENT_RESET(sel, addr, what, code_or_data)				\
	{ .base = (addr), .limit = 0xffff, .selector = (sel), .type = (what),	\
	  .present = 1, .s = (code_or_data) }

/* SDM, "Processor State After Reset". INIT differs in CR0.CD and CR0.NW alone. */
static const struct vcpu_regs reset_state = {
	.rip = 0xfff0,
	.rflags = X86_EFLAGS_FIXED,
	.cr0 = X86_CR0_CD | X86_CR0_NW | X86_CR0_ET,
	.dr6 = DR6_RESERVED,
	.dr7 = DR7_RESET,
	.segs = {
		[SEG_ES] = SEGMENT_RESET(0, 0, 3, 1),
		[SEG_CS] = SEGMENT_RESET(0xf000, 0xffff0000, 0xb, 1),
		[SEG_SS] = SEGMENT_RESET(0, 0, 3, 1),
		[SEG_DS] = SEGMENT_RESET(0, 0, 3, 1),
		[SEG_FS] = SEGMENT_RESET(0, 0, 3, 1),
		[SEG_GS] = SEGMENT_RESET(0, 0, 3, 1),
		[SEG_TR] = SEGMENT_RESET(0, 0, 0xb, 0),
		[SEG_LDTR] = SEGMENT_RESET(0, 0, 2, 0),
	},
	.gdtr = { .limit = 0xffff },
	.idtr = { .limit = 0xffff },
};

static u32 reset_rdx(struct vcpu *vcpu)
{
	u32 eax = 1, ebx, ecx = 0, edx;

	cpuid_query(vcpu, &eax, &ebx, &ecx, &edx);
	return eax ? eax : 0x600;
}

void regs_reset(struct vcpu *vcpu, bool init)
{
	u64 kept = init ? cr0_get(vcpu) & (X86_CR0_CD | X86_CR0_NW) : X86_CR0_CD | X86_CR0_NW;

	vcpu->regs = reset_state;
	vcpu->regs.avail = vcpu->regs.dirty = BIT_ULL(NR_REGS) - 1;
	vcpu->regs.gpr[GPR_RDX] = reset_rdx(vcpu);
	dr_reset(vcpu);
	efer_apply(vcpu, 0);
	cr4_apply(vcpu, 0);
	cr0_apply(vcpu, kept | X86_CR0_ET);
}

/* kvm_regs begins with these, in an order of its own; R8 to R15 follow. */
static const u8 user_gprs[8] = {
#define USER_GPR(REG, field)	[offsetof(struct kvm_regs, field) / sizeof(u64)] = GPR_##REG
	USER_GPR(RAX, rax), USER_GPR(RBX, rbx), USER_GPR(RCX, rcx), USER_GPR(RDX, rdx),
	USER_GPR(RSI, rsi), USER_GPR(RDI, rdi), USER_GPR(RSP, rsp), USER_GPR(RBP, rbp),
};
static_assert(offsetof(struct kvm_regs, r8) == sizeof(u64) * 8);
static_assert(offsetof(struct kvm_regs, rip) == sizeof(u64) * 16);

void regs_to_user(struct vcpu *vcpu, struct kvm_regs *out)
{
	u64 *to = (u64 *)out;
	int i;

	reg_need(vcpu, GPR_RSP);
	for (i = 0; i < 8; i++)
		to[i] = vcpu->regs.gpr[user_gprs[i]];
	memcpy(to + 8, &vcpu->regs.gpr[GPR_R8], 8 * sizeof(u64));
	out->rip = rip_get(vcpu);
	out->rflags = rflags_get(vcpu);
	if (vcpu->guest_debug & KVM_GUESTDBG_SINGLESTEP)
		out->rflags &= ~(u64)X86_EFLAGS_TF;	/* the debugger's, not the guest's */
}

void regs_from_user(struct vcpu *vcpu, const struct kvm_regs *in)
{
	const u64 *from = (const u64 *)in;
	int i;

	pio_hold(vcpu);
	for (i = 0; i < 8; i++)
		gpr_set(vcpu, user_gprs[i], from[i]);
	memcpy(&vcpu->regs.gpr[GPR_R8], from + 8, 8 * sizeof(u64));
	rip_set(vcpu, in->rip);
	rflags_set(vcpu, in->rflags | X86_EFLAGS_FIXED);
	events_clear_exception(vcpu);
	vcpu_request(vcpu, REQ_EVENT);
}

/* What kvm_sregs and kvm_sregs2 have in common: everything before interrupt_bitmap and flags. */
static_assert(offsetof(struct kvm_sregs, interrupt_bitmap) == offsetof(struct kvm_sregs2, flags));

static const u16 user_segs[NR_SEGS] = {
	[SEG_ES] = offsetof(struct kvm_sregs, es), [SEG_CS] = offsetof(struct kvm_sregs, cs),
	[SEG_SS] = offsetof(struct kvm_sregs, ss), [SEG_DS] = offsetof(struct kvm_sregs, ds),
	[SEG_FS] = offsetof(struct kvm_sregs, fs), [SEG_GS] = offsetof(struct kvm_sregs, gs),
	[SEG_TR] = offsetof(struct kvm_sregs, tr), [SEG_LDTR] = offsetof(struct kvm_sregs, ldt),
};

static void sregs_common_to_user(struct vcpu *vcpu, struct kvm_sregs *out)
{
	enum seg seg;

	for (seg = 0; seg < NR_SEGS; seg++)
		*(struct kvm_segment *)((char *)out + user_segs[seg]) = *seg_get(vcpu, seg);
	reg_need(vcpu, REG_GDTR);
	reg_need(vcpu, REG_IDTR);
	out->gdt = vcpu->regs.gdtr;
	out->idt = vcpu->regs.idtr;
	out->cr0 = cr0_get(vcpu);
	out->cr2 = vcpu->regs.cr2;
	out->cr3 = cr3_get(vcpu);
	out->cr4 = cr4_get(vcpu);
	out->cr8 = cr8_read(vcpu);
	out->efer = efer_get(vcpu);
	out->apic_base = lapic_base_get(vcpu);
}

void sregs_to_user(struct vcpu *vcpu, struct kvm_sregs *out)
{
	int vector = inject_irq_vector(vcpu);

	sregs_common_to_user(vcpu, out);
	memset(out->interrupt_bitmap, 0, sizeof(out->interrupt_bitmap));
	if (vector >= 0)
		out->interrupt_bitmap[vector / 64] |= BIT_ULL(vector % 64);
}

void sregs2_to_user(struct vcpu *vcpu, struct kvm_sregs2 *out)
{
	sregs_common_to_user(vcpu, (struct kvm_sregs *)out);
	out->flags = 0;
	memset(out->pdptrs, 0, sizeof(out->pdptrs));
	if (!cr_pae_paging(out->cr0, out->cr4, out->efer))
		return;
	reg_need(vcpu, REG_PDPTR);
	memcpy(out->pdptrs, vcpu->regs.pdptr, sizeof(out->pdptrs));
	out->flags = KVM_SREGS2_FLAGS_PDPTRS_VALID;
}

static bool sregs_valid(struct vcpu *vcpu, const struct kvm_sregs *in)
{
	if (!cr0_valid(in->cr0) || !cr4_valid(vcpu, in->cr4) || (in->efer & ~cpuid_host.efer))
		return false;
	if ((in->efer & EFER_LME) && (in->cr0 & X86_CR0_PG))
		return (in->cr4 & X86_CR4_PAE) && (in->efer & EFER_LMA) &&
		       !(in->cr3 & vcpu->arch.cr3_reserved);
	return !(in->efer & EFER_LMA) && !in->cs.l;
}

static void sregs_set_segments(struct vcpu *vcpu, const struct kvm_sregs *in)
{
	enum seg seg;

	for (seg = 0; seg < NR_SEGS; seg++)
		seg_set(vcpu, seg, (const void *)in + user_segs[seg]);
	vcpu->regs.gdtr = in->gdt;
	vcpu->regs.idtr = in->idt;
	reg_touch(vcpu, REG_GDTR);
	reg_touch(vcpu, REG_IDTR);
}

/* Everything after the last check that can fail. */
static void sregs_apply(struct vcpu *vcpu, const struct kvm_sregs *in)
{
	sregs_set_segments(vcpu, in);
	vcpu->regs.cr2 = in->cr2;
	cr3_set(vcpu, in->cr3);
	cr8_write(vcpu, in->cr8);
	efer_apply(vcpu, in->efer);
	cr4_apply(vcpu, in->cr4);
	cr0_apply(vcpu, in->cr0);
	mmu_paging_changed(vcpu);
	vcpu_request(vcpu, REQ_TLB_FLUSH_GUEST);
	/* Userspace that resets a BSP through its registers alone expects it to run. */
	if (vcpu->id == vcpu->vm->bsp_id && rip_get(vcpu) == 0xfff0 &&
	    in->cs.selector == 0xf000 && !(in->cr0 & X86_CR0_PE))
		vcpu->irq.mp_state = KVM_MP_STATE_RUNNABLE;
	vcpu_request(vcpu, REQ_EVENT);
}

/* @pdptrs: NULL, they are in memory */
static int sregs_set_common(struct vcpu *vcpu, const struct kvm_sregs *in, const u64 *pdptrs)
{
	pio_hold(vcpu);
	if (!sregs_valid(vcpu, in) || lapic_base_set(vcpu, in->apic_base, true))
		return -EINVAL;
	sregs_apply(vcpu, in);
	if (pdptrs) {
		memcpy(vcpu->regs.pdptr, pdptrs, sizeof(vcpu->regs.pdptr));
		reg_touch(vcpu, REG_PDPTR);
	} else if (cr_pae_paging(in->cr0, in->cr4, in->efer)) {
		cr_load_pdptrs(vcpu, in->cr3);
	}
	return 0;
}

int sregs_from_user(struct vcpu *vcpu, const struct kvm_sregs *in)
{
	unsigned int word;

	if (sregs_set_common(vcpu, in, NULL))
		return -EINVAL;
	for (word = 0; word < ARRAY_SIZE(in->interrupt_bitmap); word++) {
		if (!in->interrupt_bitmap[word])
			continue;
		inject_irq_requeue(vcpu, word * 64 + __ffs64(in->interrupt_bitmap[word]));
		break;
	}
	return 0;
}

int sregs2_from_user(struct vcpu *vcpu, const struct kvm_sregs2 *in)
{
	const u64 *pdptrs = in->flags & KVM_SREGS2_FLAGS_PDPTRS_VALID ? in->pdptrs : NULL;

	if (in->flags & ~(u64)KVM_SREGS2_FLAGS_PDPTRS_VALID)
		return -EINVAL;
	if (pdptrs && !cr_pae_paging(in->cr0, in->cr4, in->efer))
		return -EINVAL;
	return sregs_set_common(vcpu, (const struct kvm_sregs *)in, pdptrs);
}

void translate_to_user(struct vcpu *vcpu, struct kvm_translation *tr)
{
	struct guest_fault fault;
	gpa_t gpa = INVALID_GPA;
	gva_t gva = tr->linear_address;

	if (gwalk_translate(vcpu, gva, FAULT_READ | GWALK_SYSTEM, &gpa, &fault) &&
	    gwalk_translate(vcpu, gva, FAULT_READ | GWALK_USER, &gpa, &fault))
		gpa = INVALID_GPA;
	tr->physical_address = gpa;
	tr->valid = gpa != INVALID_GPA;
	tr->writeable = 1;
	tr->usermode = 0;
}

gva_t regs_linear_rip(struct vcpu *vcpu)
{
	if (regs_64bit(vcpu))
		return rip_get(vcpu);
	return (u32)(seg_get(vcpu, SEG_CS)->base + rip_get(vcpu));
}

/* Outside 64-bit code RIP wraps at 4 GiB; only then is CS worth reading. */
static u64 rip_after(struct vcpu *vcpu, unsigned int len)
{
	u64 rip = rip_get(vcpu), next = rip + len;

	if (unlikely((rip ^ next) >> 31 == 3) && !regs_64bit(vcpu))
		next = (u32)next;
	return next;
}

int vcpu_skip_insn(struct vcpu *vcpu)
{
	unsigned int len = vcpu->exit.insn_len;

	if (unlikely(!len)) {
		len = emulate_insn_len(vcpu);
		if (!len)
			return inject_ud(vcpu);
	}
	rip_set(vcpu, rip_after(vcpu, len));
	shadow_lift(vcpu);
	if (unlikely(rflags_get(vcpu) & X86_EFLAGS_TF))
		return debug_step_done(vcpu);
	return RESUME;
}
