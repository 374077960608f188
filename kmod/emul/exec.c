// SPDX-License-Identifier: GPL-2.0-only
/* The way of one instruction: load operands, run the row's handler, store, commit. */
#include "insn.h"

/* AH, CH, DH, BH: byte registers 4 to 7 when there is no REX prefix. */
static bool exec_high_byte(const struct emul *e, unsigned int reg, unsigned int bytes)
{
	return bytes == 1 && !e->d.rex && reg >= 4 && reg < 8;
}

u64 exec_reg_read(const struct emul *e, unsigned int reg, unsigned int bytes)
{
	if (exec_high_byte(e, reg, bytes))
		return e->state.regs.gpr[reg - 4] >> 8 & 0xff;
	return e->state.regs.gpr[reg] & emul_mask(bytes);
}

void exec_reg_write(struct emul *e, unsigned int reg, unsigned int bytes, u64 val)
{
	u64 *gpr = e->state.regs.gpr;

	if (exec_high_byte(e, reg, bytes))
		gpr[reg - 4] = (gpr[reg - 4] & ~0xff00ull) | (val & 0xff) << 8;
	else if (bytes >= 4)
		gpr[reg] = val & emul_mask(bytes);
	else
		gpr[reg] = (gpr[reg] & ~emul_mask(bytes)) | (val & emul_mask(bytes));
}

/* Advance an address or count register. */
void exec_reg_add(struct emul *e, unsigned int reg, unsigned int bytes, u64 add)
{
	exec_reg_write(e, reg, bytes, e->state.regs.gpr[reg] + add);
}

bool exec_cond(const struct emul *e, unsigned int cc)
{
	u64 f = e->state.regs.rflags;
	bool less = !(f & EMUL_SF) != !(f & EMUL_OF);
	bool result;

	switch (cc >> 1 & 7) {
	case 0: result = f & EMUL_OF; break;
	case 1: result = f & EMUL_CF; break;
	case 2: result = f & EMUL_ZF; break;
	case 3: result = f & (EMUL_CF | EMUL_ZF); break;
	case 4: result = f & EMUL_SF; break;
	case 5: result = f & EMUL_PF; break;
	case 6: result = less; break;
	default: result = less || (f & EMUL_ZF); break;
	}
	return result != (cc & 1);
}

int exec_mov(struct emul *e)
{
	e->dst.val = e->src.val;
	return EMUL_CONTINUE;
}

int exec_nop(struct emul *e)
{
	(void)e;
	return EMUL_CONTINUE;
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

static void exec_locate_rm(struct emul *e, struct emul_operand *op)
{
	if (e->d.mod == 3) {
		op->kind = K_REG;
		op->reg = e->d.rm;
		return;
	}
	op->kind = K_RM;
	op->seg = e->d.seg;
	op->offset = exec_effective_address(e);
	/* The source, a bit offset, has been loaded already. */
	if (e->d.insn->flags & F_BITS)
		op->offset += ((s64)emul_sext(e->src.val, op->bytes) >> 3) & -(u64)op->bytes;
	op->offset &= emul_mask(e->d.ad_bytes);
}

static void exec_locate_reg(struct emul_operand *op, unsigned int reg)
{
	op->kind = K_REG;
	op->reg = reg;
}

static void exec_locate_val(struct emul_operand *op, u64 val)
{
	op->kind = K_IMM;
	op->val = val & emul_mask(op->bytes);
}

/* Turns a table row's operand kind into a register, a memory address or a value. */
static int exec_locate(struct emul *e, struct emul_operand *op, unsigned int kind)
{
	const struct emul_decoded *d = &e->d;

	*op = (struct emul_operand) { .kind = kind, .bytes = d->op_bytes };
	switch (kind) {
	case K_REG:
		exec_locate_reg(op, d->reg);
		break;
	case K_OPREG:
		exec_locate_reg(op, (d->opcode & 7) | (d->rex << 3 & 8));
		break;
	case K_ACC:
		exec_locate_reg(op, EMUL_RAX);
		break;
	case K_RM8:
		op->bytes = 1;
		break;
	case K_RM16:
		op->bytes = 2;
		break;
	case K_RM32:
		op->bytes = 4;
		break;
	case K_RMV16:
		op->bytes = d->mod == 3 ? d->op_bytes : 2;
		break;
	case K_ADDR:
		op->seg = d->seg;
		op->offset = exec_effective_address(e);
		op->val = op->offset;
		break;
	case K_MOFFS:
		op->kind = K_RM;
		op->seg = d->seg;
		op->offset = d->imm;
		break;
	case K_IMM:
		exec_locate_val(op, d->imm);
		break;
	case K_ONE:
		exec_locate_val(op, 1);
		break;
	case K_CL:
		exec_locate_val(op, e->state.regs.gpr[EMUL_RCX] & 0xff);
		break;
	case K_SREG:
		exec_locate_val(op, e->state.seg[d->reg & 7].selector);
		break;
	case K_OPSREG:
		exec_locate_val(op, e->state.seg[d->opcode >> 3 & 7].selector);
		break;
	case K_POP:
		op->kind = K_IMM;
		return mem_pop(e, &op->val, op->bytes);
	}
	if (kind >= K_RM && kind <= K_RMV16)
		exec_locate_rm(e, op);
	return EMUL_CONTINUE;
}

static int exec_load_mem(struct emul *e, struct emul_operand *op, bool read, bool write)
{
	int r = mem_linear(e, op->seg, op->offset, op->bytes, write, &op->linear);

	if (!r && read)
		r = e->ops->read(e, op->linear, &op->val, op->bytes, write ? EMUL_ACC_WRITE : 0);
	op->orig = op->val;
	return r;
}

static int exec_load(struct emul *e, struct emul_operand *op, unsigned int kind, bool read,
		     bool write)
{
	int r = exec_locate(e, op, kind);

	if (r)
		return r;
	if (op->kind == K_RM)
		return exec_load_mem(e, op, read, write);
	if (op->kind == K_REG && read)
		op->val = exec_reg_read(e, op->reg, op->bytes);
	return EMUL_CONTINUE;
}

static int exec_store(struct emul *e)
{
	struct emul_operand *op = &e->dst;

	if (op->kind == K_REG)
		exec_reg_write(e, op->reg, op->bytes, op->val);
	if (op->kind != K_RM)
		return EMUL_CONTINUE;
	if (e->d.lock || (e->d.insn->flags & F_XLOCK))
		return e->ops->cmpxchg(e, op->linear, &op->orig, &op->val, op->bytes);
	return e->ops->write(e, op->linear, &op->val, op->bytes, 0);
}

/* One instruction or one iteration; the caller undoes register changes if it fails. */
static int exec_one(struct emul *e)
{
	const struct emul_insn *insn = e->d.insn;
	bool write = !(insn->flags & F_NOWRITE);
	int r = exec_load(e, &e->src, insn->src, true, false);

	if (!r)
		r = exec_load(e, &e->dst, insn->dst, !(insn->flags & F_NOREAD), write);
	if (!r)
		r = insn->exec(e);
	if (!r && write)
		r = exec_store(e);
	return r;
}

static void exec_commit(struct emul *e)
{
	e->committed = true;
	if (e->ops->commit)
		e->ops->commit(e);
}

static int exec_single(struct emul *e, u64 next_rip)
{
	struct emul_regs saved = e->state.regs;
	int r;

	e->state.regs.rip = next_rip;
	e->state.regs.rflags &= ~EMUL_RF;
	r = exec_one(e);
	if (r) {
		/* A software interrupt is delivered from behind the instruction. */
		e->state.regs = saved;
		if (r == EMUL_FAULT && e->exception.soft)
			e->state.regs.rip = next_rip;
		return r;
	}
	exec_commit(e);
	return r;
}

#define REP_LIMIT_DEFAULT	256

/* REPE and REPNE end CMPS and SCAS on the flag as well. */
static bool exec_rep_ends(const struct emul *e)
{
	bool zf = e->state.regs.rflags & EMUL_ZF;

	return (e->d.insn->flags & F_REPCC) && zf != (e->d.rep == 0xf3);
}

static int exec_rep(struct emul *e, u64 next_rip)
{
	u32 left = e->rep_limit ? e->rep_limit : REP_LIMIT_DEFAULT;
	unsigned int bytes = e->d.ad_bytes;
	struct emul_regs saved;
	bool done = !exec_reg_read(e, EMUL_RCX, bytes);
	int r;

	while (!done && left && !e->stop && !(e->single_step && e->committed)) {
		saved = e->state.regs;
		e->rep_count = exec_reg_read(e, EMUL_RCX, bytes);
		if (e->rep_count > left)
			e->rep_count = left;
		r = exec_one(e);
		if (r) {
			e->state.regs = saved;
			return r;
		}
		left -= e->rep_count;
		exec_reg_add(e, EMUL_RCX, bytes, -(u64)e->rep_count);
		exec_commit(e);
		done = !exec_reg_read(e, EMUL_RCX, bytes) || exec_rep_ends(e);
	}
	e->rep_again = !done;
	e->state.regs.rflags &= ~EMUL_RF;
	if (done)
		e->state.regs.rip = next_rip;
	else
		e->state.regs.rflags |= EMUL_RF;
	if (!e->committed)
		exec_commit(e);
	return EMUL_CONTINUE;
}

/* Faults that come before any operand is looked at. */
static int exec_check(struct emul *e)
{
	u32 flags = e->d.insn->flags;

	if ((flags & F_CPL0) && (e->state.cpl || e->state.mode == EMUL_MODE_VM86))
		return mem_gp(e, 0);
	/* INS and OUTS ask for their port even when RCX is 0. */
	if ((flags & F_STRING) && (flags & F_PIO))
		return sys_pio_check(e, (u16)e->state.regs.gpr[EMUL_RDX], e->d.op_bytes);
	return flags & F_SIMD ? simd_check(e) : EMUL_CONTINUE;
}

int emul_exec(struct emul *e)
{
	u64 next_rip = e->state.regs.rip + e->d.len;
	int r;

	if (!e->d.insn)
		return EMUL_UNHANDLEABLE;
	e->exception = (struct emul_exception) { 0 };
	e->rep_again = false;
	e->committed = false;
	e->iret = false;
	e->stop = false;
	e->shadow = EMUL_SHADOW_NONE;
	e->single_step = e->state.regs.rflags & EMUL_TF;
	if (!emul_is_64(e))
		next_rip = (u32)next_rip;
	r = exec_check(e);
	if (r)
		return r;
	e->rep_count = 1;
	if ((e->d.insn->flags & F_STRING) && e->d.rep)
		return exec_rep(e, next_rip);
	return exec_single(e, next_rip);
}
