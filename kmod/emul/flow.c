// SPDX-License-Identifier: GPL-2.0-only
/* Control flow and the stack: branches, calls, returns, interrupts, PUSH and its relatives. */
#include "insn.h"

static void flow_branch(struct emul *e, u64 target)
{
	target &= emul_mask(e->d.op_bytes);
	if (emul_is_64(e))
		mem_linear(e, EMUL_CS, target, 1, false);
	else if (target > e->state.seg[EMUL_CS].limit)
		mem_gp(e, 0);
	e->state.regs.rip = target;
}

void flow_jmp(struct emul *e)
{
	flow_branch(e, e->src.val);
}

void flow_jcc(struct emul *e)
{
	if (exec_cond(e))
		flow_jmp(e);
}

/* A bad stack is reported before a bad target; neither leaves a return address behind. */
void flow_call(struct emul *e)
{
	u64 ret = e->state.regs.rip;

	mem_push_probe(e, e->d.op_bytes);
	flow_jmp(e);
	mem_push(e, ret, e->d.op_bytes);
}

/* SP moves by whole stack-address width: RET imm16, ENTER. */
static void flow_add_sp(struct emul *e, u64 add)
{
	mem_set_sp(e, e->state.regs.gpr[EMUL_RSP] + add);
}

void flow_ret(struct emul *e)
{
	flow_branch(e, mem_pop(e, e->d.op_bytes));
	flow_add_sp(e, e->d.imm);
}

/* LOOPNE E0, LOOPE E1, LOOP E2, JCXZ E3. */
void flow_loop(struct emul *e)
{
	bool zf = e->state.regs.rflags & X86_EFLAGS_ZF, taken;

	if (e->d.opcode != 0xe3)
		exec_reg_add(e, EMUL_RCX, e->d.ad_bytes, -1ull);
	taken = exec_reg_read(e, EMUL_RCX, e->d.ad_bytes);
	if (e->d.opcode == 0xe3)
		taken = !taken;
	else if (e->d.opcode < 0xe2)
		taken = taken && zf == (e->d.opcode & 1);
	if (taken)
		flow_jmp(e);
}

void flow_push(struct emul *e)
{
	mem_push(e, e->src.val, e->d.op_bytes);
}

void flow_pusha(struct emul *e)
{
	struct emul_regs old = e->state.regs;
	unsigned int reg;

	for (reg = EMUL_RAX; reg <= EMUL_RDI; reg++)
		mem_push(e, old.gpr[reg], e->d.op_bytes);
}

void flow_popa(struct emul *e)
{
	int reg;
	u64 val;

	for (reg = EMUL_RDI; reg >= EMUL_RAX; reg--) {
		val = mem_pop(e, e->d.op_bytes);
		if (reg != EMUL_RSP)
			exec_reg_write(e, reg, e->d.op_bytes, val);
	}
}

/* What virtual-8086 mode with IOPL below 3 does to PUSHF, POPF, INT and IRET. */
static void flow_check_vm86(struct emul *e)
{
	if (e->state.mode != EMUL_MODE_VM86 || emul_iopl(e) == 3)
		return;
	if (e->state.cr4 & X86_CR4_VME)
		mem_result(e, EMUL_UNHANDLEABLE);
	mem_gp(e, 0);
}

void flow_pushf(struct emul *e)
{
	u64 hidden = X86_EFLAGS_RF | X86_EFLAGS_VM;

	flow_check_vm86(e);
	mem_push(e, e->state.regs.rflags & ~hidden, e->d.op_bytes);
}

#define POPF_FLAGS	(X86_EFLAGS_CF | X86_EFLAGS_PF | X86_EFLAGS_AF | X86_EFLAGS_ZF | \
			 X86_EFLAGS_SF | X86_EFLAGS_TF | X86_EFLAGS_DF | X86_EFLAGS_OF | \
			 X86_EFLAGS_NT | X86_EFLAGS_AC | X86_EFLAGS_ID)

static void flow_set_flags(struct emul *e, u64 val, u64 change)
{
	u64 *f = &e->state.regs.rflags;

	if (e->state.cpl <= emul_iopl(e) || e->state.mode == EMUL_MODE_REAL)
		change |= X86_EFLAGS_IF;
	if (e->state.mode == EMUL_MODE_REAL || !e->state.cpl)
		change |= X86_EFLAGS_IOPL;
	change &= emul_mask(e->d.op_bytes);
	*f = (*f & ~change) | (val & change);
}

void flow_popf(struct emul *e)
{
	flow_check_vm86(e);
	flow_set_flags(e, mem_pop(e, e->d.op_bytes), POPF_FLAGS);
}

void flow_enter(struct emul *e)
{
	unsigned int level = e->d.imm2 & 31, bytes = e->d.op_bytes;
	u64 bp = e->state.regs.gpr[EMUL_RBP], frame;

	mem_push(e, bp, bytes);
	frame = e->state.regs.gpr[EMUL_RSP];
	/* The outer frame pointers of the nesting level, then the new one. */
	for (; level > 1; level--) {
		bp -= bytes;
		mem_push(e, mem_read(e, EMUL_SS, bp & mem_stack_mask(e), bytes), bytes);
	}
	if (level)
		mem_push(e, frame, bytes);
	flow_add_sp(e, bytes - e->d.imm);
	/* The new top of the stack must be writable, though nothing is written. */
	mem_push_probe(e, bytes);
	flow_add_sp(e, -(u64)bytes);
	exec_reg_write(e, EMUL_RBP, bytes, frame);
}

void flow_leave(struct emul *e)
{
	mem_set_sp(e, e->state.regs.gpr[EMUL_RBP]);
	exec_reg_write(e, EMUL_RBP, e->d.op_bytes, mem_pop(e, e->d.op_bytes));
}

/* Selector and offset of a direct (immediate) or indirect (memory) far transfer. */
static u64 flow_far_target(struct emul *e, struct kvm_segment *cs)
{
	u16 selector = (u16)e->d.imm2;
	u64 ip = e->d.imm & emul_mask(e->d.op_bytes);

	if (e->d.opcode == 0xff)
		ip = mem_read_far(e, &e->dst, &selector);
	seg_check_cs(e, selector, ip, false, cs);
	return ip;
}

void flow_jmp_far(struct emul *e)
{
	struct kvm_segment cs;
	u64 ip = flow_far_target(e, &cs);

	seg_set_cs(e, &cs, ip);
}

void flow_call_far(struct emul *e)
{
	struct kvm_segment cs;
	u64 ip = flow_far_target(e, &cs);

	mem_push(e, e->state.seg[EMUL_CS].selector, e->d.op_bytes);
	mem_push(e, e->state.regs.rip, e->d.op_bytes);
	seg_set_cs(e, &cs, ip);
}

void flow_ret_far(struct emul *e)
{
	u64 ip = mem_pop(e, e->d.op_bytes), selector = mem_pop(e, e->d.op_bytes);
	struct kvm_segment cs;

	seg_check_cs(e, (u16)selector, ip, true, &cs);
	flow_add_sp(e, e->d.imm);
	seg_set_cs(e, &cs, ip);
}

/* To the same privilege level; IRETQ, nested tasks and other levels are not emulated. */
void flow_iret(struct emul *e)
{
	bool prot = e->state.mode == EMUL_MODE_PROT;
	unsigned int bytes = e->d.op_bytes;
	struct kvm_segment cs;
	u64 ip, selector, flags;

	if (emul_is_64(e) || (prot && (e->state.regs.rflags & X86_EFLAGS_NT)))
		mem_result(e, EMUL_UNHANDLEABLE);
	flow_check_vm86(e);
	ip = mem_pop(e, bytes);
	selector = mem_pop(e, bytes);
	flags = mem_pop(e, bytes);
	if (prot && !e->state.cpl && bytes == 4 && (flags & X86_EFLAGS_VM))
		mem_result(e, EMUL_UNHANDLEABLE);
	seg_check_cs(e, (u16)selector, ip, true, &cs);
	flow_set_flags(e, flags, POPF_FLAGS | X86_EFLAGS_RF);
	seg_set_cs(e, &cs, ip);
	e->iret = true;
}

static void flow_interrupt_real(struct emul *e, u8 vector, u16 ip)
{
	struct kvm_segment cs;
	u16 entry[2];

	if (vector * 4u + 3 > e->state.idt.limit)
		mem_gp(e, vector * 8u + 2);
	mem_load(e, (u32)e->state.idt.base + vector * 4u, entry, 4, EMUL_ACC_SYSTEM);
	seg_check_cs(e, entry[1], entry[0], false, &cs);
	mem_push(e, e->state.regs.rflags, 2);
	mem_push(e, e->state.seg[EMUL_CS].selector, 2);
	mem_push(e, ip, 2);
	emul_set_flag(e, X86_EFLAGS_IF | X86_EFLAGS_TF | X86_EFLAGS_AC | X86_EFLAGS_RF, false);
	seg_set_cs(e, &cs, entry[0]);
}

int emul_interrupt_real(struct emul *e, u8 vector, u16 ip)
{
	struct emul_regs saved = e->state.regs;

	e->result = EMUL_CONTINUE;
	e->single_step = e->iret = false;
	e->shadow = EMUL_SHADOW_NONE;
	flow_interrupt_real(e, vector, ip);
	if (e->result)
		e->state.regs = saved;
	return e->result;
}

/* INT3 CC, INT n CD, INTO CE. Outside real mode the caller delivers. */
void flow_int(struct emul *e)
{
	u8 vector = e->d.opcode == 0xcc ? EMUL_BP : (u8)e->d.imm;

	if (e->d.opcode == 0xce) {
		vector = EMUL_OF_TRAP;
		if (!(e->state.regs.rflags & X86_EFLAGS_OF))
			return;
	}
	if (e->state.mode == EMUL_MODE_REAL) {
		flow_interrupt_real(e, vector, (u16)e->state.regs.rip);
		return;
	}
	if (e->d.opcode == 0xcd)
		flow_check_vm86(e);
	if (e->result)
		return;
	mem_fault(e, vector, 0);
	e->exception.soft = true;
	e->exception.has_error = false;
}
