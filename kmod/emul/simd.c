// SPDX-License-Identifier: GPL-2.0-only
/* Moves between memory and vector registers, legacy SSE and VEX-encoded. */
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
	if (e->d.insn->imm)
		return e->d.insn->imm;
	return e->d.vex_len ? e->d.vex_len : 16;
}

static void simd_get(struct emul *e, void *buf, unsigned int len)
{
	mem_result(e, e->ops->get_xmm(e, e->d.reg, buf, len));
}

static void simd_set(struct emul *e, const void *buf, unsigned int len)
{
	if (!e->result)
		e->result = e->ops->set_xmm(e, e->d.reg, buf, len);
}

static u64 simd_linear(struct emul *e, unsigned int bytes, bool write)
{
	if (e->d.insn->flags & F_ALIGN)
		mem_check_aligned(e, &e->dst, bytes);
	return mem_linear(e, e->dst.seg, e->dst.offset, bytes, write);
}

/* A VEX form clears all that it does not load; a legacy one stops at bit 127. */
static void simd_load_bytes(struct emul *e, unsigned int bytes)
{
	u8 buf[32] = { 0 };

	mem_load(e, simd_linear(e, bytes, false), buf, bytes, 0);
	simd_set(e, buf, e->d.vex_len ? 32 : 16);
}

void simd_load(struct emul *e)
{
	simd_load_bytes(e, simd_bytes(e));
}

static void simd_load_half(struct emul *e, unsigned int at)
{
	u8 buf[16];

	simd_get(e, buf, sizeof(buf));
	mem_load(e, simd_linear(e, 8, false), buf + at, 8, 0);
	simd_set(e, buf, sizeof(buf));
}

void simd_load_low(struct emul *e)
{
	simd_load_half(e, 0);
}

void simd_load_high(struct emul *e)
{
	simd_load_half(e, 8);
}

static void simd_store_bytes(struct emul *e, unsigned int at, unsigned int bytes)
{
	u8 buf[32];

	simd_get(e, buf, bytes > 16 ? 32 : 16);
	mem_store(e, simd_linear(e, bytes, true), buf + at, bytes, 0);
}

void simd_store(struct emul *e)
{
	simd_store_bytes(e, 0, simd_bytes(e));
}

void simd_store_high(struct emul *e)
{
	simd_store_bytes(e, 8, 8);
}

/* MOVD, or MOVQ with REX.W. */
void simd_movd_load(struct emul *e)
{
	simd_load_bytes(e, e->d.op_bytes == 8 ? 8 : 4);
}

void simd_movd_store(struct emul *e)
{
	simd_store_bytes(e, 0, e->d.op_bytes == 8 ? 8 : 4);
}
