// SPDX-License-Identifier: GPL-2.0-only
/* Moves between memory and vector registers, legacy SSE and VEX-encoded; a little of the x87. */
#include "insn.h"

#define XCR0_AVX	0x6ull

void simd_check(struct emul *e)
{
	const struct emul_state *s = &e->state;

	if (e->d.vex_len) {
		if (!(s->cr4 & X86_CR4_OSXSAVE) || (s->xcr0 & XCR0_AVX) != XCR0_AVX)
			mem_ud(e);
	} else if ((s->cr0 & X86_CR0_EM) || !(s->cr4 & X86_CR4_OSFXSR)) {
		mem_ud(e);
	}
	if (s->cr0 & X86_CR0_TS)
		mem_fault(e, EMUL_NM, 0);
	/* Register forms touch no memory and are left to the CPU. */
	if (e->d.mod == 3)
		mem_result(e, EMUL_UNHANDLEABLE);
}

static unsigned int simd_bytes(const struct emul *e)
{
	switch (e->d.insn->imm) {
	case SIMD_FULL:
		return e->d.vex_len ? e->d.vex_len : 16;
	case SIMD_GPR:
		return e->d.op_bytes;
	default:
		return e->d.insn->imm;
	}
}

static void simd_register(struct emul *e, void *buf, unsigned int len, bool set)
{
	if (!e->result)
		e->result = e->ops->vector(e, e->d.reg, buf, len, set);
}

static u64 simd_linear(struct emul *e, unsigned int bytes, bool write)
{
	if (e->d.insn->flags & F_ALIGN)
		mem_check_aligned(e, &e->dst, bytes);
	return mem_linear(e, e->dst.seg, e->dst.offset, bytes, write);
}

/* A VEX form clears all that it does not load; a legacy one stops at bit 127. */
void simd_load(struct emul *e)
{
	unsigned int bytes = simd_bytes(e);
	u8 buf[32] = { 0 };

	mem_load(e, simd_linear(e, bytes, false), buf, bytes, 0);
	simd_register(e, buf, e->d.vex_len ? 32 : 16, true);
}

/* The other half of the register is kept. */
void simd_load_half(struct emul *e)
{
	u8 buf[16];

	simd_register(e, buf, sizeof(buf), false);
	mem_load(e, simd_linear(e, 8, false), buf + e->d.insn->src, 8, 0);
	simd_register(e, buf, sizeof(buf), true);
}

void simd_store(struct emul *e)
{
	unsigned int bytes = simd_bytes(e);
	u8 buf[32];

	simd_register(e, buf, bytes > 16 ? 32 : 16, false);
	mem_store(e, simd_linear(e, bytes, true), buf + e->d.insn->src, bytes, 0);
}

#define FNINIT	0xe3

void simd_x87(struct emul *e)
{
	u16 word = 0;

	if (e->d.opcode == 0xdb && e->d.modrm != FNINIT)
		mem_result(e, EMUL_UNHANDLEABLE);
	if (e->state.cr0 & (X86_CR0_EM | X86_CR0_TS))
		mem_fault(e, EMUL_NM, 0);
	if (!e->result)
		e->result = e->ops->x87 ? e->ops->x87(e, &word) : EMUL_UNHANDLEABLE;
	e->dst.val = word;
}
