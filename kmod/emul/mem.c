// SPDX-License-Identifier: GPL-2.0-only
/* Segmentation: offsets to linear addresses, and the stack. */
#include "insn.h"

int mem_fault(struct emul *e, u8 vector, u32 error)
{
	bool has_error = vector == EMUL_TS || vector == EMUL_NP || vector == EMUL_SS_FAULT ||
			 vector == EMUL_GP || vector == EMUL_AC_FAULT;

	e->exception = (struct emul_exception) {
		.vector = vector,
		.has_error = has_error && e->state.mode != EMUL_MODE_REAL,
		.error_code = error,
	};
	return EMUL_FAULT;
}

int mem_ud(struct emul *e)
{
	return mem_fault(e, EMUL_UD, 0);
}

int mem_gp(struct emul *e, u32 error)
{
	return mem_fault(e, EMUL_GP, error);
}

static int mem_seg_fault(struct emul *e, unsigned int seg)
{
	return mem_fault(e, seg == EMUL_SS ? EMUL_SS_FAULT : EMUL_GP, 0);
}

bool mem_canonical(const struct emul *e, u64 linear)
{
	unsigned int shift = e->state.la57 ? 7 : 16;

	return (u64)((s64)(linear << shift) >> shift) == linear;
}

/* 64-bit mode treats the bases of the other four as 0. */
u64 mem_base(const struct emul *e, unsigned int seg)
{
	if (emul_is_64(e) && seg != EMUL_FS && seg != EMUL_GS)
		return 0;
	return e->state.seg[seg].base;
}

/* Misalignment comes before what segmentation has to say. */
int mem_aligned(struct emul *e, const struct emul_operand *op, unsigned int bytes)
{
	return (mem_base(e, op->seg) + op->offset) & (bytes - 1) ? mem_gp(e, 0) : EMUL_CONTINUE;
}

static int mem_linear_64(struct emul *e, unsigned int seg, u64 offset, unsigned int len,
			 u64 *linear)
{
	*linear = mem_base(e, seg) + offset;
	if (!mem_canonical(e, *linear) || !mem_canonical(e, *linear + len - 1))
		return mem_seg_fault(e, seg);
	return EMUL_CONTINUE;
}

/* Type bit 3: code; bit 2: expand-down; bit 1: writable data, readable code. */
static bool mem_type_allows(const struct emul_segment *s, bool write)
{
	bool code = s->type & 8;

	if (write)
		return !code && (s->type & 2);
	return !code || (s->type & 2);
}

static bool mem_in_limit(const struct emul_segment *s, u64 offset, unsigned int len)
{
	u64 last = offset + len - 1;

	if (s->s && (s->type & 0xc) == 4)
		return offset > s->limit && last <= (s->db ? 0xffffffffull : 0xffffull);
	return last <= s->limit;
}

/*
 * Checks an access of @len bytes and gives its linear address. While no table row has been
 * chosen, an access through CS is an instruction fetch, for which CS need not be readable.
 */
int mem_linear(struct emul *e, unsigned int seg, u64 offset, unsigned int len, bool write,
	       u64 *linear)
{
	const struct emul_segment *s = &e->state.seg[seg];
	bool fetch = seg == EMUL_CS && !e->d.insn;

	if (emul_is_64(e))
		return mem_linear_64(e, seg, offset, len, linear);
	if (e->state.mode == EMUL_MODE_PROT && !fetch &&
	    (s->unusable || !mem_type_allows(s, write)))
		return mem_seg_fault(e, seg);
	if (!mem_in_limit(s, offset, len))
		return mem_seg_fault(e, seg);
	*linear = (u32)(s->base + offset);
	return EMUL_CONTINUE;
}

int mem_read(struct emul *e, unsigned int seg, u64 offset, void *buf, unsigned int len)
{
	u64 linear;
	int r = mem_linear(e, seg, offset, len, false, &linear);

	return r ? r : e->ops->read(e, linear, buf, len, 0);
}

int mem_write(struct emul *e, unsigned int seg, u64 offset, const void *buf, unsigned int len)
{
	u64 linear;
	int r = mem_linear(e, seg, offset, len, true, &linear);

	return r ? r : e->ops->write(e, linear, buf, len, 0);
}

/* A far pointer in memory is two operands: the offset, then the selector. */
int mem_read_far(struct emul *e, const struct emul_operand *op, u64 *offset, u16 *selector)
{
	unsigned int bytes = e->d.op_bytes;
	u64 behind = (op->offset + bytes) & emul_mask(e->d.ad_bytes);
	int r;

	*offset = 0;
	r = mem_read(e, op->seg, op->offset, offset, bytes);
	return r ? r : mem_read(e, op->seg, behind, selector, 2);
}

u64 mem_stack_mask(const struct emul *e)
{
	if (emul_is_64(e))
		return ~0ull;
	return e->state.seg[EMUL_SS].db ? 0xffffffffull : 0xffffull;
}

static void mem_set_sp(struct emul *e, u64 sp)
{
	u64 mask = mem_stack_mask(e);
	u64 *rsp = &e->state.regs.gpr[EMUL_RSP];

	*rsp = (*rsp & ~mask) | (sp & mask);
}

/* Would a push of @bytes succeed? */
int mem_push_probe(struct emul *e, unsigned int bytes)
{
	u64 sp = (e->state.regs.gpr[EMUL_RSP] - bytes) & mem_stack_mask(e), linear;
	int r = mem_linear(e, EMUL_SS, sp, bytes, true, &linear);

	if (r)
		return r;
	return e->ops->read(e, linear, e->io_buf, bytes, EMUL_ACC_WRITE | EMUL_ACC_PROBE);
}

int mem_push(struct emul *e, u64 val, unsigned int bytes)
{
	u64 sp = (e->state.regs.gpr[EMUL_RSP] - bytes) & mem_stack_mask(e);
	int r = mem_write(e, EMUL_SS, sp, &val, bytes);

	if (!r)
		mem_set_sp(e, sp);
	return r;
}

int mem_pop(struct emul *e, u64 *val, unsigned int bytes)
{
	u64 sp = e->state.regs.gpr[EMUL_RSP] & mem_stack_mask(e);
	int r;

	*val = 0;
	r = mem_read(e, EMUL_SS, sp, val, bytes);
	if (!r)
		mem_set_sp(e, sp + bytes);
	return r;
}
