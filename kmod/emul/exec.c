// SPDX-License-Identifier: GPL-2.0-only
/* The way of one instruction: load operands, run the row's handler, store, commit. */
#include "insn.h"

/* AH, CH, DH, BH: byte registers 4 to 7 when there is no REX prefix. */
static unsigned int exec_reg_at(const struct emul *e, unsigned int reg, unsigned int bytes)
{
	bool high = bytes == 1 && !e->d.rex && reg >= 4 && reg < 8;

	return high ? (reg - 4) * sizeof(u64) + 1 : reg * sizeof(u64);
}

u64 exec_reg_read(const struct emul *e, unsigned int reg, unsigned int bytes)
{
	u64 val = 0;

	memcpy(&val, (u8 *)e->state.regs.gpr + exec_reg_at(e, reg, bytes), bytes);
	return val;
}

void exec_reg_write(struct emul *e, unsigned int reg, unsigned int bytes, u64 val)
{
	if (bytes == 4)
		e->state.regs.gpr[reg] = (u32)val;
	else
		memcpy((u8 *)e->state.regs.gpr + exec_reg_at(e, reg, bytes), &val, bytes);
}

/* Advance an address or count register. */
void exec_reg_add(struct emul *e, unsigned int reg, unsigned int bytes, u64 add)
{
	exec_reg_write(e, reg, bytes, e->state.regs.gpr[reg] + add);
}

/* The condition in an opcode's low four bits; the lowest one negates it. */
bool exec_cond(const struct emul *e)
{
	static const u16 any_of[8] = {
		X86_EFLAGS_OF, X86_EFLAGS_CF, X86_EFLAGS_ZF, X86_EFLAGS_CF | X86_EFLAGS_ZF,
		X86_EFLAGS_SF, X86_EFLAGS_PF, 0, X86_EFLAGS_ZF,
	};
	unsigned int cc = e->d.opcode >> 1 & 7;
	u64 f = e->state.regs.rflags;
	bool less = !(f & X86_EFLAGS_SF) != !(f & X86_EFLAGS_OF);
	bool result = (f & any_of[cc]) || (cc >= 6 && less);

	return result != (e->d.opcode & 1);
}

void exec_mov(struct emul *e)
{
	e->dst.val = e->src.val;
}

void exec_nop(struct emul *e)
{
	(void)e;
}

/* RIP already points behind the instruction, as RIP-relative addressing wants. */
static u64 exec_effective_address(const struct emul *e)
{
	const struct emul_decoded *d = &e->d;
	const struct emul_regs *regs = &e->state.regs;
	u64 ea = d->disp;

	if (d->base == EMUL_NR_GPRS)
		ea += regs->rip;
	else if (d->base >= 0)
		ea += regs->gpr[d->base];
	if (d->index >= 0)
		ea += regs->gpr[d->index] << d->scale;
	return ea & emul_mask(d->ad_bytes);
}

static unsigned int exec_bytes(const struct emul_decoded *d, unsigned int kind)
{
	switch (kind) {
	case K_RM8:
		return 1;
	case K_RM16:
		return 2;
	case K_RM32:
		return 4;
	case K_RMV16:
		return d->mod == 3 ? d->op_bytes : 2;
	default:
		return d->op_bytes;
	}
}

/* The register that an operand kind means, or -1. */
static int exec_register(const struct emul_decoded *d, unsigned int kind)
{
	switch (kind) {
	case K_REG:
		return d->reg;
	case K_OPREG:
		return (d->opcode & 7) | (d->rex << 3 & 8);
	case K_ACC:
		return EMUL_RAX;
	case K_RM ... K_RMV16:
		return d->mod == 3 ? d->rm : -1;
	default:
		return -1;
	}
}

static u64 exec_value(struct emul *e, unsigned int kind)
{
	const struct emul_decoded *d = &e->d;

	switch (kind) {
	case K_IMM:
		return d->imm;
	case K_REL:
		return e->state.regs.rip + d->imm;
	case K_ONE:
		return 1;
	case K_CL:
		return e->state.regs.gpr[EMUL_RCX] & 0xff;
	case K_SREG:
		return e->state.seg[d->reg & 7].selector;
	case K_OPSREG:
		return e->state.seg[d->opcode >> 3 & 7].selector;
	case K_POP:
		return mem_pop(e, d->op_bytes);
	default:
		return 0;
	}
}

static u64 exec_offset(const struct emul *e, unsigned int kind, unsigned int bytes)
{
	u64 offset = kind == K_MOFFS ? e->d.imm : exec_effective_address(e);

	/* The source, a bit offset, has been loaded already. */
	if (e->d.insn->flags & F_BITS)
		offset += ((s64)emul_sext(e->src.val, bytes) >> 3) & -(u64)bytes;
	return offset & emul_mask(e->d.ad_bytes);
}

/* Turns a table row's operand kind into a register, a memory address or a value. */
static void exec_locate(struct emul *e, struct emul_operand *op, unsigned int kind)
{
	int reg = exec_register(&e->d, kind);

	op->kind = kind;
	op->bytes = exec_bytes(&e->d, kind);
	op->val = 0;
	if (reg >= 0) {
		op->kind = K_REG;
		op->reg = reg;
	} else if ((kind >= K_RM && kind <= K_RMV16) || kind == K_MOFFS || kind == K_ADDR) {
		op->kind = kind == K_ADDR ? K_ADDR : K_RM;
		op->seg = e->d.seg;
		op->offset = exec_offset(e, kind, op->bytes);
		op->val = kind == K_ADDR ? op->offset : 0;
	} else if (kind) {
		op->kind = K_IMM;
		op->val = exec_value(e, kind) & emul_mask(op->bytes);
	}
}

static void exec_load(struct emul *e, struct emul_operand *op, unsigned int kind, bool read,
		      bool write)
{
	exec_locate(e, op, kind);
	if (op->kind == K_REG && read)
		op->val = exec_reg_read(e, op->reg, op->bytes);
	if (op->kind != K_RM)
		return;
	op->linear = mem_linear(e, op->seg, op->offset, op->bytes, write);
	if (read)
		mem_load(e, op->linear, &op->val, op->bytes, write ? EMUL_ACC_WRITE : 0);
	op->orig = op->val;
}

/* One instruction or one iteration; the caller undoes register changes if it fails. */
static void exec_one(struct emul *e)
{
	const struct emul_insn *insn = e->d.insn;
	bool write = !(insn->flags & F_NOWRITE);
	struct emul_operand *dst = &e->dst;

	exec_load(e, &e->src, insn->src, true, false);
	exec_load(e, dst, insn->dst, !(insn->flags & F_NOREAD), write);
	if (e->result)
		return;
	insn->exec(e);
	if (write && dst->kind == K_REG)
		exec_reg_write(e, dst->reg, dst->bytes, dst->val);
	if (write && dst->kind == K_RM)
		mem_replace(e, dst->linear, &dst->orig, &dst->val, dst->bytes);
}

static void exec_commit(struct emul *e)
{
	e->committed = true;
	if (e->ops->commit)
		e->ops->commit(e);
}

static void exec_single(struct emul *e, u64 next_rip)
{
	struct emul_regs saved = e->state.regs;

	e->state.regs.rip = next_rip;
	e->state.regs.rflags &= ~X86_EFLAGS_RF;
	exec_one(e);
	if (!e->result) {
		exec_commit(e);
		return;
	}
	e->state.regs = saved;
	/* A software interrupt is delivered from behind the instruction. */
	if (e->result == EMUL_FAULT && e->exception.soft)
		e->state.regs.rip = next_rip;
}

#define REP_LIMIT_DEFAULT	256

/* RCX is 0; or REPE and REPNE end CMPS and SCAS on the flag. */
static bool exec_rep_ends(const struct emul *e)
{
	bool zf = e->state.regs.rflags & X86_EFLAGS_ZF;

	if (!exec_reg_read(e, EMUL_RCX, e->d.ad_bytes))
		return true;
	return e->committed && (e->d.insn->flags & F_REPCC) && zf != (e->d.rep == 0xf3);
}

static void exec_rep(struct emul *e, u64 next_rip)
{
	u32 left = e->rep_limit ? e->rep_limit : REP_LIMIT_DEFAULT;
	struct emul_regs saved;

	while (!exec_rep_ends(e) && left && !e->stop && !(e->single_step && e->committed)) {
		saved = e->state.regs;
		e->rep_count = exec_reg_read(e, EMUL_RCX, e->d.ad_bytes);
		if (e->rep_count > left)
			e->rep_count = left;
		exec_one(e);
		if (e->result) {
			e->state.regs = saved;
			return;
		}
		left -= e->rep_count;
		exec_reg_add(e, EMUL_RCX, e->d.ad_bytes, -(u64)e->rep_count);
		exec_commit(e);
	}
	e->rep_again = !exec_rep_ends(e);
	emul_set_flag(e, X86_EFLAGS_RF, e->rep_again);
	if (!e->rep_again)
		e->state.regs.rip = next_rip;
	if (!e->committed)
		exec_commit(e);
}

bool emul_privileged(const struct emul *e)
{
	return e->d.insn->flags & F_CPL0;
}

/* Faults that come before any operand is looked at. */
static void exec_check(struct emul *e)
{
	u32 flags = e->d.insn->flags;

	if (emul_privileged(e) && (e->state.cpl || e->state.mode == EMUL_MODE_VM86))
		mem_gp(e, 0);
	/* INS and OUTS ask for their port even when RCX is 0. */
	if ((flags & F_STRING) && (flags & F_PIO))
		sys_check_pio(e, (u16)e->state.regs.gpr[EMUL_RDX], e->d.op_bytes);
	if (flags & F_SIMD)
		simd_check(e);
}

int emul_exec(struct emul *e)
{
	u64 next_rip = e->state.regs.rip + e->d.len;

	if (!e->d.insn)
		return EMUL_UNHANDLEABLE;
	e->result = EMUL_CONTINUE;
	e->exception = (struct emul_exception) { 0 };
	e->rep_again = false;
	e->committed = false;
	e->iret = false;
	e->stop = false;
	e->shadow = EMUL_SHADOW_NONE;
	e->single_step = e->state.regs.rflags & X86_EFLAGS_TF;
	e->rep_count = 1;
	if (!emul_is_64(e))
		next_rip = (u32)next_rip;
	exec_check(e);
	if (e->result)
		return e->result;
	if ((e->d.insn->flags & F_STRING) && e->d.rep)
		exec_rep(e, next_rip);
	else
		exec_single(e, next_rip);
	return e->result;
}
