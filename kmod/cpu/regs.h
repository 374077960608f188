/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The register cache. A register is `avail` when the cache holds the guest's value and `dirty` when
 * hardware does not have it yet: backend reg_fetch() fills, backend enter() writes what is dirty.
 * After every exit `avail` is what the exit itself saved.
 */
#ifndef CORBEL_REGS_H
#define CORBEL_REGS_H

#include "vcpu.h"
#include "backend.h"

static inline void reg_need(struct vcpu *vcpu, enum reg reg)
{
	if (!(vcpu->regs.avail & BIT_ULL(reg)))
		backend_call(reg_fetch)(vcpu, reg);
}

static inline void reg_touch(struct vcpu *vcpu, enum reg reg)
{
	vcpu->regs.avail |= BIT_ULL(reg);
	vcpu->regs.dirty |= BIT_ULL(reg);
}

/** gpr_get() - one of the sixteen general registers; RSP may live in hardware */
static inline unsigned long gpr_get(struct vcpu *vcpu, unsigned int gpr)
{
	if (gpr == GPR_RSP)
		reg_need(vcpu, GPR_RSP);
	return vcpu->regs.gpr[gpr];
}

static inline void gpr_set(struct vcpu *vcpu, unsigned int gpr, unsigned long val)
{
	vcpu->regs.gpr[gpr] = val;
	if (gpr == GPR_RSP)
		reg_touch(vcpu, GPR_RSP);
}

#define CORBEL_REG_ACCESSORS(name, REG)						\
static inline u64 name##_get(struct vcpu *vcpu)					\
{										\
	reg_need(vcpu, REG);							\
	return vcpu->regs.name;							\
}										\
static inline void name##_set(struct vcpu *vcpu, u64 val)			\
{										\
	vcpu->regs.name = val;							\
	reg_touch(vcpu, REG);							\
}

/*
 * Raw: they check nothing and have no side effect beyond the register. Guest-visible writes to a
 * control register go through cpu/cr.c.
 */
CORBEL_REG_ACCESSORS(rip, REG_RIP)
CORBEL_REG_ACCESSORS(rflags, REG_RFLAGS)
CORBEL_REG_ACCESSORS(cr0, REG_CR0)
CORBEL_REG_ACCESSORS(cr3, REG_CR3)
CORBEL_REG_ACCESSORS(cr4, REG_CR4)
CORBEL_REG_ACCESSORS(efer, REG_EFER)
CORBEL_REG_ACCESSORS(dr7, REG_DR7)
CORBEL_REG_ACCESSORS(shadow, REG_SHADOW)

static inline const struct kvm_segment *seg_get(struct vcpu *vcpu, enum seg seg)
{
	reg_need(vcpu, REG_ES + seg);
	return &vcpu->regs.segs[seg];
}

static inline void seg_set(struct vcpu *vcpu, enum seg seg, const struct kvm_segment *val)
{
	vcpu->regs.segs[seg] = *val;
	reg_touch(vcpu, REG_ES + seg);
}

/*
 * EFER, and what modes and paging depend on in CR0 and CR4, never changes without an exit: the cache
 * is right in that even where the register as a whole would have to be fetched.
 */

/** cr0_modes() - CR0, but TS, and MP where a guest may change it, may be old */
static inline u64 cr0_modes(struct vcpu *vcpu)
{
	return vcpu->regs.cr0;
}

/** cr4_modes() - CR4, of which bits that neither a mode nor paging looks at may be old */
static inline u64 cr4_modes(struct vcpu *vcpu)
{
	return vcpu->regs.cr4;
}

/** regs_cpl() - current privilege level: DPL of SS, 0 in real mode, 3 in virtual-8086 mode */
static inline unsigned int regs_cpl(struct vcpu *vcpu)
{
	if (!(vcpu->regs.cr0 & X86_CR0_PE))
		return 0;
	if (rflags_get(vcpu) & X86_EFLAGS_VM)
		return 3;
	if (vcpu->regs.avail & BIT_ULL(REG_SS))
		return vcpu->regs.segs[SEG_SS].dpl;
	reg_need(vcpu, REG_CPL);
	return vcpu->regs.cpl;
}

static inline bool regs_long_mode(struct vcpu *vcpu)
{
	return vcpu->regs.efer & EFER_LMA;
}

/** regs_64bit() - is the current code segment 64-bit */
static inline bool regs_64bit(struct vcpu *vcpu)
{
	if (!regs_long_mode(vcpu))
		return false;
	if (vcpu->regs.avail & BIT_ULL(REG_CS))
		return vcpu->regs.segs[SEG_CS].l;
	reg_need(vcpu, REG_CODE64);
	return vcpu->regs.code64;
}

static inline bool regs_paging(struct vcpu *vcpu)
{
	return vcpu->regs.cr0 & X86_CR0_PG;
}

/** shadow_lift() - an instruction is done, and with it what STI or MOV SS before it had put off */
static inline void shadow_lift(struct vcpu *vcpu)
{
	u64 shadow = shadow_get(vcpu);

	if (unlikely(shadow & (SHADOW_STI | SHADOW_MOV_SS)))
		shadow_set(vcpu, shadow & ~(u64)(SHADOW_STI | SHADOW_MOV_SS));
}

/**
 * vcpu_skip_insn() - advance RIP past the instruction that exited
 *
 * Also ends an STI or MOV SS shadow and raises the single-step trap if TF asks for one.
 * Return: RESUME, or TO_USER when the debugger in userspace wants the trap.
 */
int vcpu_skip_insn(struct vcpu *vcpu);

/**
 * skip_fast() - the same in the stay (stay.h), for an exit by an instruction whose length is known
 *
 * RIP, RFLAGS and SHADOW are in the cache then (exit.h). RIP that leaves its 4 GiB is looked at by the other one.
 * Return: true if the guest can go on.
 */
static __always_inline bool skip_fast(struct vcpu *vcpu)
{
	struct vcpu_regs *regs = &vcpu->regs;
	u64 next = regs->rip + vcpu->exit.insn_len;

	if (unlikely((regs->rip ^ next) >> 32) || unlikely(regs->shadow & (SHADOW_STI | SHADOW_MOV_SS)) ||
	    unlikely(regs->rflags & X86_EFLAGS_TF))
		return vcpu_skip_insn(vcpu) == RESUME;
	regs->rip = next;
	regs->dirty |= BIT_ULL(REG_RIP);
	return true;
}

/* cpu/regs.c */
void regs_reset(struct vcpu *vcpu, bool init);
void regs_to_user(struct vcpu *vcpu, struct kvm_regs *out);
void regs_from_user(struct vcpu *vcpu, const struct kvm_regs *in);
void sregs_to_user(struct vcpu *vcpu, struct kvm_sregs *out);
int sregs_from_user(struct vcpu *vcpu, const struct kvm_sregs *in);
void sregs2_to_user(struct vcpu *vcpu, struct kvm_sregs2 *out);
int sregs2_from_user(struct vcpu *vcpu, const struct kvm_sregs2 *in);
void translate_to_user(struct vcpu *vcpu, struct kvm_translation *tr);	/* vm->srcu held */
gva_t regs_linear_rip(struct vcpu *vcpu);

#endif
