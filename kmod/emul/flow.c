// SPDX-License-Identifier: GPL-2.0-only
/* Control flow and the stack: branches, calls, returns, interrupts, PUSH and its relatives. */
#include "insn.h"

#define CR4_VME		0x1ull

static unsigned int flow_iopl(const struct emul *e)
{
	return (e->state.regs.rflags & EMUL_IOPL) >> 12;
}

static int flow_branch(struct emul *e, u64 target)
{
	u64 linear;

	target &= emul_mask(e->d.op_bytes);
	if (!emul_is_64(e) && target > e->state.seg[EMUL_CS].limit)
		return mem_gp(e, 0);
	if (emul_is_64(e) && mem_linear(e, EMUL_CS, target, 1, false, &linear))
		return EMUL_FAULT;
	e->state.regs.rip = target;
	return EMUL_CONTINUE;
}

static int flow_branch_relative(struct emul *e)
{
	return flow_branch(e, e->state.regs.rip + e->d.imm);
}

int flow_jcc(struct emul *e)
{
	return exec_cond(e, e->d.opcode) ? flow_branch_relative(e) : EMUL_CONTINUE;
}

int flow_jmp(struct emul *e)
{
	return flow_branch_relative(e);
}

/* A bad stack is reported before a bad target; neither leaves a return address behind. */
static int flow_call_to(struct emul *e, u64 target)
{
	u64 ret = e->state.regs.rip;
	int r = mem_push_probe(e, e->d.op_bytes);

	if (!r)
		r = flow_branch(e, target);
	return r ? r : mem_push(e, ret, e->d.op_bytes);
}

int flow_call(struct emul *e)
{
	return flow_call_to(e, e->state.regs.rip + e->d.imm);
}

int flow_jmp_indirect(struct emul *e)
{
	return flow_branch(e, e->src.val);
}

int flow_call_indirect(struct emul *e)
{
	return flow_call_to(e, e->src.val);
}

/* SP moves by whole stack-address width: RET imm16, ENTER. */
static void flow_add_sp(struct emul *e, u64 add)
{
	u64 mask = mem_stack_mask(e), *rsp = &e->state.regs.gpr[EMUL_RSP];

	*rsp = (*rsp & ~mask) | ((*rsp + add) & mask);
}

int flow_ret(struct emul *e)
{
	u64 target;
	int r = mem_pop(e, &target, e->d.op_bytes);

	if (!r)
		r = flow_branch(e, target);
	flow_add_sp(e, e->d.imm);
	return r;
}

/* LOOPNE E0, LOOPE E1, LOOP E2, JCXZ E3. */
int flow_loop(struct emul *e)
{
	bool zf = e->state.regs.rflags & EMUL_ZF, taken;

	if (e->d.opcode != 0xe3)
		exec_reg_add(e, EMUL_RCX, e->d.ad_bytes, -1ull);
	taken = exec_reg_read(e, EMUL_RCX, e->d.ad_bytes);
	if (e->d.opcode == 0xe3)
		taken = !taken;
	else if (e->d.opcode < 0xe2)
		taken = taken && zf == (e->d.opcode & 1);
	return taken ? flow_branch_relative(e) : EMUL_CONTINUE;
}

int flow_push(struct emul *e)
{
	return mem_push(e, e->src.val, e->d.op_bytes);
}

int flow_pusha(struct emul *e)
{
	u64 sp = e->state.regs.gpr[EMUL_RSP];
	unsigned int reg;
	int r = EMUL_CONTINUE;

	for (reg = EMUL_RAX; !r && reg <= EMUL_RDI; reg++)
		r = mem_push(e, reg == EMUL_RSP ? sp : e->state.regs.gpr[reg], e->d.op_bytes);
	return r;
}

int flow_popa(struct emul *e)
{
	int r = EMUL_CONTINUE, reg;
	u64 val;

	for (reg = EMUL_RDI; !r && reg >= EMUL_RAX; reg--) {
		r = mem_pop(e, &val, e->d.op_bytes);
		if (!r && reg != EMUL_RSP)
			exec_reg_write(e, reg, e->d.op_bytes, val);
	}
	return r;
}

/* What virtual-8086 mode with IOPL below 3 does to PUSHF, POPF, INT and IRET. */
static int flow_check_vm86(struct emul *e)
{
	if (e->state.mode != EMUL_MODE_VM86 || flow_iopl(e) == 3)
		return EMUL_CONTINUE;
	return e->state.cr4 & CR4_VME ? EMUL_UNHANDLEABLE : mem_gp(e, 0);
}

int flow_pushf(struct emul *e)
{
	int r = flow_check_vm86(e);

	return r ? r : mem_push(e, e->state.regs.rflags & ~(EMUL_RF | EMUL_VM), e->d.op_bytes);
}

#define POPF_FLAGS	(EMUL_CF | EMUL_PF | EMUL_AF | EMUL_ZF | EMUL_SF | EMUL_TF | EMUL_DF | \
			 EMUL_OF | EMUL_NT | EMUL_AC | EMUL_ID)

static void flow_set_flags(struct emul *e, u64 val, u64 change)
{
	u64 *f = &e->state.regs.rflags;

	if (e->state.cpl <= flow_iopl(e) || e->state.mode == EMUL_MODE_REAL)
		change |= EMUL_IF;
	if (e->state.mode == EMUL_MODE_REAL || !e->state.cpl)
		change |= EMUL_IOPL;
	change &= emul_mask(e->d.op_bytes);
	*f = (*f & ~change) | (val & change);
}

int flow_popf(struct emul *e)
{
	u64 val;
	int r = flow_check_vm86(e);

	if (!r)
		r = mem_pop(e, &val, e->d.op_bytes);
	if (!r)
		flow_set_flags(e, val, POPF_FLAGS);
	return r;
}

/* Copy the outer frame pointers of ENTER's nesting level. */
static int flow_enter_display(struct emul *e, unsigned int level, u64 frame)
{
	u64 bp = e->state.regs.gpr[EMUL_RBP], val;
	unsigned int bytes = e->d.op_bytes;
	int r = EMUL_CONTINUE;

	for (; !r && level > 1; level--) {
		bp -= bytes;
		val = 0;
		r = mem_read(e, EMUL_SS, bp & mem_stack_mask(e), &val, bytes);
		if (!r)
			r = mem_push(e, val, bytes);
	}
	return r ? r : mem_push(e, frame, bytes);
}

int flow_enter(struct emul *e)
{
	unsigned int level = e->d.imm2 & 31;
	u64 frame;
	int r = mem_push(e, e->state.regs.gpr[EMUL_RBP], e->d.op_bytes);

	if (r)
		return r;
	frame = e->state.regs.gpr[EMUL_RSP];
	if (level)
		r = flow_enter_display(e, level, frame);
	if (r)
		return r;
	flow_add_sp(e, e->d.op_bytes - e->d.imm);
	/* The new top of the stack must be writable, though nothing is written. */
	r = mem_push_probe(e, e->d.op_bytes);
	flow_add_sp(e, -(u64)e->d.op_bytes);
	exec_reg_write(e, EMUL_RBP, e->d.op_bytes, frame);
	return r;
}

int flow_leave(struct emul *e)
{
	u64 mask = mem_stack_mask(e), *gpr = e->state.regs.gpr, val;
	int r;

	gpr[EMUL_RSP] = (gpr[EMUL_RSP] & ~mask) | (gpr[EMUL_RBP] & mask);
	r = mem_pop(e, &val, e->d.op_bytes);
	if (!r)
		exec_reg_write(e, EMUL_RBP, e->d.op_bytes, val);
	return r;
}

/* Selector and offset of a direct (immediate) or indirect (memory) far transfer. */
static int flow_far_target(struct emul *e, u16 *selector, u64 *ip)
{
	if (e->d.opcode == 0xff)
		return mem_read_far(e, &e->dst, ip, selector);
	*ip = e->d.imm & emul_mask(e->d.op_bytes);
	*selector = (u16)e->d.imm2;
	return EMUL_CONTINUE;
}

int flow_jmp_far(struct emul *e)
{
	struct emul_segment cs;
	u16 selector;
	u64 ip;
	int r = flow_far_target(e, &selector, &ip);

	if (!r)
		r = seg_check_cs(e, selector, ip, false, &cs);
	if (!r)
		seg_set_cs(e, &cs, ip);
	return r;
}

int flow_call_far(struct emul *e)
{
	struct emul_segment cs;
	u16 selector;
	u64 ip;
	int r = flow_far_target(e, &selector, &ip);

	if (!r)
		r = seg_check_cs(e, selector, ip, false, &cs);
	if (!r)
		r = mem_push(e, e->state.seg[EMUL_CS].selector, e->d.op_bytes);
	if (!r)
		r = mem_push(e, e->state.regs.rip, e->d.op_bytes);
	if (!r)
		seg_set_cs(e, &cs, ip);
	return r;
}

int flow_ret_far(struct emul *e)
{
	struct emul_segment cs;
	u64 ip, selector;
	int r = mem_pop(e, &ip, e->d.op_bytes);

	if (!r)
		r = mem_pop(e, &selector, e->d.op_bytes);
	if (!r)
		r = seg_check_cs(e, (u16)selector, ip, true, &cs);
	if (r)
		return r;
	flow_add_sp(e, e->d.imm);
	seg_set_cs(e, &cs, ip);
	return EMUL_CONTINUE;
}

/* To the same privilege level; IRETQ, nested tasks and other levels are not emulated. */
int flow_iret(struct emul *e)
{
	struct emul_segment cs;
	u64 ip, selector, flags;
	int r = flow_check_vm86(e);

	if (emul_is_64(e) || (e->state.mode == EMUL_MODE_PROT &&
			      (e->state.regs.rflags & EMUL_NT)))
		return EMUL_UNHANDLEABLE;
	if (!r)
		r = mem_pop(e, &ip, e->d.op_bytes);
	if (!r)
		r = mem_pop(e, &selector, e->d.op_bytes);
	if (!r)
		r = mem_pop(e, &flags, e->d.op_bytes);
	if (r)
		return r;
	if (e->state.mode == EMUL_MODE_PROT && !e->state.cpl && e->d.op_bytes == 4 &&
	    (flags & EMUL_VM))
		return EMUL_UNHANDLEABLE;
	r = seg_check_cs(e, (u16)selector, ip, true, &cs);
	if (r)
		return r;
	flow_set_flags(e, flags, POPF_FLAGS | EMUL_RF);
	seg_set_cs(e, &cs, ip);
	e->iret = true;
	return EMUL_CONTINUE;
}

static int flow_interrupt_real(struct emul *e, u8 vector, u16 ip)
{
	struct emul_segment cs;
	u16 entry[2];
	int r;

	if (vector * 4u + 3 > e->state.idt.limit)
		return mem_gp(e, vector * 8u + 2);
	r = e->ops->read(e, (u32)e->state.idt.base + vector * 4u, entry, 4, EMUL_ACC_SYSTEM);
	if (!r)
		r = seg_check_cs(e, entry[1], entry[0], false, &cs);
	if (!r)
		r = mem_push(e, e->state.regs.rflags, 2);
	if (!r)
		r = mem_push(e, e->state.seg[EMUL_CS].selector, 2);
	if (!r)
		r = mem_push(e, ip, 2);
	if (r)
		return r;
	e->state.regs.rflags &= ~(EMUL_IF | EMUL_TF | EMUL_AC | EMUL_RF);
	seg_set_cs(e, &cs, entry[0]);
	return EMUL_CONTINUE;
}

int emul_interrupt_real(struct emul *e, u8 vector, u16 ip)
{
	struct emul_regs saved = e->state.regs;
	int r = flow_interrupt_real(e, vector, ip);

	if (r)
		e->state.regs = saved;
	return r;
}

/* INT3 CC, INT n CD, INTO CE. Outside real mode the caller delivers. */
int flow_int(struct emul *e)
{
	u8 vector = e->d.opcode == 0xcc ? EMUL_BP : (u8)e->d.imm;
	int r;

	if (e->d.opcode == 0xce) {
		vector = EMUL_OF_TRAP;
		if (!(e->state.regs.rflags & EMUL_OF))
			return EMUL_CONTINUE;
	}
	if (e->state.mode == EMUL_MODE_REAL)
		return flow_interrupt_real(e, vector, (u16)e->state.regs.rip);
	r = e->d.opcode == 0xcd ? flow_check_vm86(e) : EMUL_CONTINUE;
	if (r)
		return r;
	r = mem_fault(e, vector, 0);
	e->exception.soft = true;
	e->exception.has_error = false;
	return r;
}
