// SPDX-License-Identifier: GPL-2.0-only
/* Moves between memory and vector registers, legacy SSE and VEX-encoded. */
#include "insn.h"

#define CR0_EM		0x4ull
#define CR0_TS		0x8ull
#define CR4_OSFXSR	0x200ull
#define CR4_OSXSAVE	0x40000ull
#define XCR0_AVX	0x6ull

int simd_check(struct emul *e)
{
	const struct emul_state *s = &e->state;

	if (e->d.vex_len) {
		if (!(s->cr4 & CR4_OSXSAVE) || (s->xcr0 & XCR0_AVX) != XCR0_AVX)
			return mem_ud(e);
	} else if ((s->cr0 & CR0_EM) || !(s->cr4 & CR4_OSFXSR)) {
		return mem_ud(e);
	}
	if (s->cr0 & CR0_TS)
		return mem_fault(e, EMUL_NM, 0);
	/* Register forms touch no memory and are left to the CPU. */
	return e->d.mod == 3 ? EMUL_UNHANDLEABLE : EMUL_CONTINUE;
}

static unsigned int simd_bytes(const struct emul *e)
{
	if (e->d.insn->imm)
		return e->d.insn->imm;
	return e->d.vex_len ? e->d.vex_len : 16;
}

static int simd_linear(struct emul *e, unsigned int bytes, bool write, u64 *linear)
{
	int r = e->d.insn->flags & F_ALIGN ? mem_aligned(e, &e->dst, bytes) : EMUL_CONTINUE;

	return r ? r : mem_linear(e, e->dst.seg, e->dst.offset, bytes, write, linear);
}

static int simd_read(struct emul *e, void *buf, unsigned int bytes)
{
	u64 linear;
	int r = simd_linear(e, bytes, false, &linear);

	return r ? r : e->ops->read(e, linear, buf, bytes, 0);
}

static int simd_write(struct emul *e, const void *buf, unsigned int bytes)
{
	u64 linear;
	int r = simd_linear(e, bytes, true, &linear);

	return r ? r : e->ops->write(e, linear, buf, bytes, 0);
}

/* A VEX form clears all that it does not load; a legacy one stops at bit 127. */
static int simd_load_bytes(struct emul *e, unsigned int bytes)
{
	u8 buf[32] = { 0 };
	int r = simd_read(e, buf, bytes);

	return r ? r : e->ops->set_xmm(e, e->d.reg, buf, e->d.vex_len ? 32 : 16);
}

int simd_load(struct emul *e)
{
	return simd_load_bytes(e, simd_bytes(e));
}

static int simd_load_half(struct emul *e, unsigned int at)
{
	u8 buf[16];
	int r = e->ops->get_xmm(e, e->d.reg, buf, sizeof(buf));

	if (!r)
		r = simd_read(e, buf + at, 8);
	return r ? r : e->ops->set_xmm(e, e->d.reg, buf, sizeof(buf));
}

int simd_load_low(struct emul *e)
{
	return simd_load_half(e, 0);
}

int simd_load_high(struct emul *e)
{
	return simd_load_half(e, 8);
}

static int simd_store_bytes(struct emul *e, unsigned int at, unsigned int bytes)
{
	u8 buf[32];
	int r = e->ops->get_xmm(e, e->d.reg, buf, bytes > 16 ? 32 : 16);

	return r ? r : simd_write(e, buf + at, bytes);
}

int simd_store(struct emul *e)
{
	return simd_store_bytes(e, 0, simd_bytes(e));
}

int simd_store_high(struct emul *e)
{
	return simd_store_bytes(e, 8, 8);
}

/* MOVD, or MOVQ with REX.W. */
int simd_movd_load(struct emul *e)
{
	return simd_load_bytes(e, e->d.op_bytes == 8 ? 8 : 4);
}

int simd_movd_store(struct emul *e)
{
	return simd_store_bytes(e, 0, e->d.op_bytes == 8 ? 8 : 4);
}
