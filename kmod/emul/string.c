// SPDX-License-Identifier: GPL-2.0-only
/* One iteration of each string instruction; exec.c repeats them, and undoes failed ones. */
#include "insn.h"

static void string_advance(struct emul *e, unsigned int reg)
{
	u64 step = (u64)e->rep_count * e->d.op_bytes;

	exec_reg_add(e, reg, e->d.ad_bytes, e->state.regs.rflags & X86_EFLAGS_DF ? -step : step);
}

/* Where the unit at DS:RSI is, whose segment can be overridden, or at ES:RDI, where it can not. */
static u64 string_linear(struct emul *e, unsigned int reg, bool write)
{
	unsigned int seg = reg == EMUL_RSI ? e->d.seg : EMUL_ES;

	return mem_linear(e, seg, exec_reg_read(e, reg, e->d.ad_bytes), e->d.op_bytes, write);
}

static u64 string_read(struct emul *e, unsigned int reg)
{
	u64 val = 0;

	e->rep_count = 1;
	mem_load(e, string_linear(e, reg, false), &val, e->d.op_bytes, 0);
	string_advance(e, reg);
	return val;
}

static void string_write(struct emul *e, u64 val)
{
	e->rep_count = 1;
	mem_store(e, string_linear(e, EMUL_RDI, true), &val, e->d.op_bytes, 0);
	string_advance(e, EMUL_RDI);
}

void string_movs(struct emul *e)
{
	string_write(e, string_read(e, EMUL_RSI));
}

void string_stos(struct emul *e)
{
	string_write(e, e->state.regs.gpr[EMUL_RAX]);
}

void string_cmps(struct emul *e)
{
	u64 b = string_read(e, EMUL_RDI), a = string_read(e, EMUL_RSI);

	alu_compare(e, e->d.op_bytes, a, b);
}

void string_scas(struct emul *e)
{
	u64 acc = exec_reg_read(e, EMUL_RAX, e->d.op_bytes);

	alu_compare(e, e->d.op_bytes, acc, string_read(e, EMUL_RDI));
}

void string_lods(struct emul *e)
{
	exec_reg_write(e, EMUL_RAX, e->d.op_bytes, string_read(e, EMUL_RSI));
}

/* How many units INS or OUTS moves at once: within page, buffer, segment and what RCX has left. */
static unsigned int string_pio_units(const struct emul *e, unsigned int reg, u64 linear)
{
	unsigned int size = e->d.op_bytes, room = 4096 - (unsigned int)(linear & 4095);
	u64 offset = exec_reg_read(e, reg, e->d.ad_bytes), wrap = emul_mask(e->d.ad_bytes) - offset;

	if (e->state.regs.rflags & X86_EFLAGS_DF)
		return 1;
	if (room > sizeof(e->io_buf))
		room = sizeof(e->io_buf);
	if (room > wrap)
		room = (unsigned int)wrap;
	room /= size;
	if (room > e->rep_count)
		room = e->rep_count;
	if (!room || !mem_in_limit(e, reg == EMUL_RSI ? e->d.seg : EMUL_ES, offset, room * size))
		return 1;
	return room;
}

static u64 string_pio_linear(struct emul *e, unsigned int reg, bool write)
{
	u64 linear = string_linear(e, reg, write);

	e->rep_count = string_pio_units(e, reg, linear);
	return linear;
}

/* The target is probed first: data taken from a port can not be put back. */
void string_ins(struct emul *e)
{
	u16 port = (u16)e->state.regs.gpr[EMUL_RDX];
	u64 linear = string_pio_linear(e, EMUL_RDI, true);
	unsigned int len = e->rep_count * e->d.op_bytes;

	mem_load(e, linear, e->io_buf, len, EMUL_ACC_WRITE | EMUL_ACC_PROBE);
	if (!e->result)
		e->result = e->ops->pio_in(e, port, e->d.op_bytes, e->io_buf, e->rep_count);
	mem_store(e, linear, e->io_buf, len, 0);
	string_advance(e, EMUL_RDI);
}

void string_outs(struct emul *e)
{
	u16 port = (u16)e->state.regs.gpr[EMUL_RDX];
	u64 linear = string_pio_linear(e, EMUL_RSI, false);

	mem_load(e, linear, e->io_buf, e->rep_count * e->d.op_bytes, 0);
	if (!e->result)
		e->result = e->ops->pio_out(e, port, e->d.op_bytes, e->io_buf, e->rep_count);
	string_advance(e, EMUL_RSI);
}

void string_xlat(struct emul *e)
{
	u64 offset = e->state.regs.gpr[EMUL_RBX] + exec_reg_read(e, EMUL_RAX, 1);

	e->dst.val = mem_read(e, e->d.seg, offset & emul_mask(e->d.ad_bytes), 1);
}
