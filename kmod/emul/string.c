// SPDX-License-Identifier: GPL-2.0-only
/* One iteration of each string instruction; exec.c repeats them, and undoes failed ones. */
#include "insn.h"

static void string_advance(struct emul *e, unsigned int reg, unsigned int units)
{
	u64 step = (u64)units * e->d.op_bytes;

	if (e->state.regs.rflags & EMUL_DF)
		step = -step;
	exec_reg_add(e, reg, e->d.ad_bytes, step);
}

/* The units at DS:RSI, whose segment can be overridden, and ES:RDI, whose segment can not. */
static int string_read(struct emul *e, unsigned int reg, u64 *val)
{
	unsigned int seg = reg == EMUL_RSI ? e->d.seg : EMUL_ES;
	int r;

	*val = 0;
	r = mem_read(e, seg, exec_reg_read(e, reg, e->d.ad_bytes), val, e->d.op_bytes);
	string_advance(e, reg, 1);
	return r;
}

static int string_write(struct emul *e, u64 val)
{
	u64 offset = exec_reg_read(e, EMUL_RDI, e->d.ad_bytes);

	e->rep_count = 1;
	string_advance(e, EMUL_RDI, 1);
	return mem_write(e, EMUL_ES, offset, &val, e->d.op_bytes);
}

int string_movs(struct emul *e)
{
	u64 val;
	int r = string_read(e, EMUL_RSI, &val);

	return r ? r : string_write(e, val);
}

int string_stos(struct emul *e)
{
	return string_write(e, e->state.regs.gpr[EMUL_RAX]);
}

int string_cmps(struct emul *e)
{
	u64 a, b;
	int r = string_read(e, EMUL_RDI, &b);

	e->rep_count = 1;
	if (!r)
		r = string_read(e, EMUL_RSI, &a);
	if (!r)
		alu_sub(&e->state.regs.rflags, e->d.op_bytes, a, b, false);
	return r;
}

int string_scas(struct emul *e)
{
	u64 val, acc = exec_reg_read(e, EMUL_RAX, e->d.op_bytes);
	int r = string_read(e, EMUL_RDI, &val);

	e->rep_count = 1;
	if (!r)
		alu_sub(&e->state.regs.rflags, e->d.op_bytes, acc, val, false);
	return r;
}

int string_lods(struct emul *e)
{
	u64 val;
	int r = string_read(e, EMUL_RSI, &val);

	e->rep_count = 1;
	exec_reg_write(e, EMUL_RAX, e->d.op_bytes, val);
	return r;
}

/* How many units INS or OUTS moves at once: within the page, the buffer and the offset. */
static unsigned int string_pio_units(const struct emul *e, u64 offset, u64 linear)
{
	unsigned int size = e->d.op_bytes, room = 4096 - (unsigned int)(linear & 4095);
	u64 wrap = emul_mask(e->d.ad_bytes) - offset;

	if (e->state.regs.rflags & EMUL_DF)
		return 1;
	if (room > sizeof(e->io_buf))
		room = sizeof(e->io_buf);
	if (room > wrap)
		room = (unsigned int)wrap;
	room /= size;
	if (room > e->rep_count)
		room = e->rep_count;
	return room ? room : 1;
}

/* The units and linear address of one batch; a batch beyond the limit goes unit by unit. */
static int string_pio_range(struct emul *e, unsigned int seg, u64 offset, bool write, u64 *linear)
{
	unsigned int size = e->d.op_bytes;
	int r = mem_linear(e, seg, offset, size, write, linear);

	if (r)
		return r;
	e->rep_count = string_pio_units(e, offset, *linear);
	if (e->rep_count > 1 && mem_linear(e, seg, offset, e->rep_count * size, write, linear)) {
		e->rep_count = 1;
		return mem_linear(e, seg, offset, size, write, linear);
	}
	return EMUL_CONTINUE;
}

/* The target is probed first: data taken from a port can not be put back. */
int string_ins(struct emul *e)
{
	unsigned int size = e->d.op_bytes;
	u16 port = (u16)e->state.regs.gpr[EMUL_RDX];
	u64 offset = exec_reg_read(e, EMUL_RDI, e->d.ad_bytes), linear;
	int r = string_pio_range(e, EMUL_ES, offset, true, &linear);

	if (!r)
		r = e->ops->read(e, linear, e->io_buf, size * e->rep_count,
				 EMUL_ACC_WRITE | EMUL_ACC_PROBE);
	if (!r)
		r = e->ops->pio_in(e, port, size, e->io_buf, e->rep_count);
	if (!r)
		r = e->ops->write(e, linear, e->io_buf, size * e->rep_count, 0);
	if (!r)
		string_advance(e, EMUL_RDI, e->rep_count);
	return r;
}

int string_outs(struct emul *e)
{
	unsigned int size = e->d.op_bytes;
	u16 port = (u16)e->state.regs.gpr[EMUL_RDX];
	u64 offset = exec_reg_read(e, EMUL_RSI, e->d.ad_bytes), linear;
	int r = string_pio_range(e, e->d.seg, offset, false, &linear);

	if (!r)
		r = e->ops->read(e, linear, e->io_buf, size * e->rep_count, 0);
	if (!r)
		r = e->ops->pio_out(e, port, size, e->io_buf, e->rep_count);
	if (!r)
		string_advance(e, EMUL_RSI, e->rep_count);
	return r;
}

int string_xlat(struct emul *e)
{
	u64 offset = e->state.regs.gpr[EMUL_RBX] + exec_reg_read(e, EMUL_RAX, 1);

	return mem_read(e, e->d.seg, offset & emul_mask(e->d.ad_bytes), &e->dst.val, 1);
}
