// SPDX-License-Identifier: GPL-2.0-only
/* Failures, segmentation (offsets to linear addresses), accesses, and the stack. */
#include "insn.h"

/* The first failure is the one that counts. */
void mem_result(struct emul *e, int result)
{
	if (!e->result)
		e->result = result;
}

void mem_fault(struct emul *e, u8 vector, u32 error)
{
	bool has_error = vector == EMUL_TS || vector == EMUL_NP || vector == EMUL_SS_FAULT ||
			 vector == EMUL_GP || vector == EMUL_AC_FAULT;

	if (e->result)
		return;
	e->result = EMUL_FAULT;
	e->exception = (struct emul_exception) {
		.vector = vector,
		.has_error = has_error && e->state.mode != EMUL_MODE_REAL,
		.error_code = error,
	};
}

void mem_ud(struct emul *e)
{
	mem_fault(e, EMUL_UD, 0);
}

void mem_gp(struct emul *e, u32 error)
{
	mem_fault(e, EMUL_GP, error);
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
void mem_check_aligned(struct emul *e, const struct emul_operand *op, unsigned int bytes)
{
	if ((mem_base(e, op->seg) + op->offset) & (bytes - 1))
		mem_gp(e, 0);
}

/*
 * Type bit 3: code; bit 2: expand-down; bit 1: writable data, readable code. While no table row has
 * been chosen, an access through CS is an instruction fetch, for which CS need not be readable.
 */
static bool mem_type_allows(const struct emul *e, unsigned int seg, bool write)
{
	const struct kvm_segment *s = &e->state.seg[seg];
	bool code = s->type & 8, rw = s->type & 2;

	if (e->state.mode != EMUL_MODE_PROT || (seg == EMUL_CS && !e->d.insn))
		return true;
	return !s->unusable && (write ? !code && rw : !code || rw);
}

bool mem_in_limit(const struct emul *e, unsigned int seg, u64 offset, unsigned int len)
{
	const struct kvm_segment *s = &e->state.seg[seg];
	u64 linear = mem_base(e, seg) + offset, last = offset + len - 1;

	if (emul_is_64(e))
		return mem_canonical(e, linear) && mem_canonical(e, linear + len - 1);
	if (s->s && (s->type & 0xc) == 4)
		return offset > s->limit && last <= (s->db ? 0xffffffffull : 0xffffull);
	return last <= s->limit;
}

/* Checks an access of @len bytes and gives its linear address. */
u64 mem_linear(struct emul *e, unsigned int seg, u64 offset, unsigned int len, bool write)
{
	u64 linear = mem_base(e, seg) + offset;

	if (emul_is_64(e) && mem_canonical(e, linear) && mem_canonical(e, linear + len - 1))
		return linear;
	if (!mem_type_allows(e, seg, write) || !mem_in_limit(e, seg, offset, len))
		mem_fault(e, seg == EMUL_SS ? EMUL_SS_FAULT : EMUL_GP, 0);
	return emul_is_64(e) ? linear : (u32)linear;
}

void mem_load(struct emul *e, u64 linear, void *buf, unsigned int len, unsigned int access)
{
	if (!e->result)
		e->result = e->ops->read(e, linear, buf, len, access);
	if (e->result)
		memset(buf, 0, len);
}

void mem_store(struct emul *e, u64 linear, const void *buf, unsigned int len, unsigned int access)
{
	if (!e->result)
		e->result = e->ops->write(e, linear, buf, len, access);
}

/* The write of a read-modify-write, atomic if the instruction is. */
void mem_replace(struct emul *e, u64 linear, const void *old, const void *new, unsigned int len)
{
	if (!e->d.lock && !(e->d.insn->flags & F_XLOCK))
		mem_store(e, linear, new, len, 0);
	else if (!e->result)
		e->result = e->ops->exchange(e, linear, old, new, len);
}

u64 mem_read(struct emul *e, unsigned int seg, u64 offset, unsigned int len)
{
	u64 linear = mem_linear(e, seg, offset, len, false), val = 0;

	mem_load(e, linear, &val, len, 0);
	return val;
}

void mem_write(struct emul *e, unsigned int seg, u64 offset, u64 val, unsigned int len)
{
	mem_store(e, mem_linear(e, seg, offset, len, true), &val, len, 0);
}

/* A far pointer in memory is two operands: the offset, then the selector. */
u64 mem_read_far(struct emul *e, const struct emul_operand *op, u16 *selector)
{
	unsigned int bytes = e->d.op_bytes;
	u64 offset = mem_read(e, op->seg, op->offset, bytes);

	*selector = mem_read(e, op->seg, (op->offset + bytes) & emul_mask(e->d.ad_bytes), 2);
	return offset;
}

u64 mem_stack_mask(const struct emul *e)
{
	if (emul_is_64(e))
		return ~0ull;
	return e->state.seg[EMUL_SS].db ? 0xffffffffull : 0xffffull;
}

void mem_set_sp(struct emul *e, u64 sp)
{
	u64 mask = mem_stack_mask(e);
	u64 *rsp = &e->state.regs.gpr[EMUL_RSP];

	*rsp = (*rsp & ~mask) | (sp & mask);
}

/* Would a push of @bytes succeed? */
void mem_push_probe(struct emul *e, unsigned int bytes)
{
	u64 sp = (e->state.regs.gpr[EMUL_RSP] - bytes) & mem_stack_mask(e);

	mem_load(e, mem_linear(e, EMUL_SS, sp, bytes, true), e->io_buf, bytes,
		 EMUL_ACC_WRITE | EMUL_ACC_PROBE);
}

void mem_push(struct emul *e, u64 val, unsigned int bytes)
{
	u64 sp = (e->state.regs.gpr[EMUL_RSP] - bytes) & mem_stack_mask(e);

	mem_write(e, EMUL_SS, sp, val, bytes);
	mem_set_sp(e, sp);
}

u64 mem_pop(struct emul *e, unsigned int bytes)
{
	u64 sp = e->state.regs.gpr[EMUL_RSP] & mem_stack_mask(e);
	u64 val = mem_read(e, EMUL_SS, sp, bytes);

	mem_set_sp(e, sp + bytes);
	return val;
}
