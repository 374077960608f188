// SPDX-License-Identifier: GPL-2.0-only
/* Shifts, rotates, bit tests and scans. */
#include "insn.h"

static u64 *bits_flags(struct emul *e)
{
	return &e->state.regs.rflags;
}

static void bits_rotate_flags(struct emul *e, bool cf, bool of)
{
	alu_set(bits_flags(e), EMUL_CF, cf);
	alu_set(bits_flags(e), EMUL_OF, of);
}

static void bits_rol_ror(struct emul *e, unsigned int count, bool right)
{
	unsigned int bits = e->dst.bytes * 8, n = count % bits;
	u64 val = e->dst.val, sign = emul_sign_bit(e->dst.bytes);

	if (right)
		n = (bits - n) % bits;
	if (n)
		val = (val << n | val >> (bits - n)) & emul_mask(e->dst.bytes);
	e->dst.val = val;
	if (right)
		bits_rotate_flags(e, val & sign, !(val & sign) != !(val & sign >> 1));
	else
		bits_rotate_flags(e, val & 1, !(val & sign) != !(val & 1));
}

/* Rotate through CF one bit at a time: at most 63 steps. */
static void bits_rcl_rcr(struct emul *e, unsigned int count, bool right)
{
	unsigned int bits = e->dst.bytes * 8;
	u64 val = e->dst.val, sign = emul_sign_bit(e->dst.bytes);
	bool cf = *bits_flags(e) & EMUL_CF, out;

	for (count %= bits + 1; count; count--) {
		if (right) {
			out = val & 1;
			val = val >> 1 | (cf ? sign : 0);
		} else {
			out = val & sign;
			val = (val << 1 | cf) & emul_mask(e->dst.bytes);
		}
		cf = out;
	}
	e->dst.val = val;
	if (right)
		bits_rotate_flags(e, cf, !(val & sign) != !(val & sign >> 1));
	else
		bits_rotate_flags(e, cf, !(val & sign) == cf);
}

static void bits_shl(struct emul *e, unsigned int count)
{
	unsigned int bits = e->dst.bytes * 8;
	u64 val = e->dst.val, sign = emul_sign_bit(e->dst.bytes);
	bool cf = count <= bits && (val >> (bits - count) & 1);

	val = count < 64 ? val << count : 0;
	alu_logic(bits_flags(e), e->dst.bytes, val);
	bits_rotate_flags(e, cf, !(val & sign) == cf);
	e->dst.val = val;
}

/* SHR and SAR on a value already extended to 64 bits. */
static void bits_shr(struct emul *e, unsigned int count, bool arithmetic)
{
	u64 sign = emul_sign_bit(e->dst.bytes);
	bool negative = e->dst.val & sign;
	u64 val = arithmetic ? emul_sext(e->dst.val, e->dst.bytes) : e->dst.val;
	u64 fill = arithmetic && negative ? ~0ull : 0;
	bool cf = val >> (count - 1) & 1;

	val = val >> count | (fill << (63 - count) << 1);
	alu_logic(bits_flags(e), e->dst.bytes, val);
	bits_rotate_flags(e, cf, !arithmetic && negative);
	e->dst.val = val;
}

int bits_shift(struct emul *e)
{
	unsigned int count = e->src.val & (e->dst.bytes == 8 ? 63 : 31);
	unsigned int op = e->d.reg & 7;

	if (!count)
		return EMUL_CONTINUE;
	if (op < 2)
		bits_rol_ror(e, count, op & 1);
	else if (op < 4)
		bits_rcl_rcr(e, count, op & 1);
	else if (op & 1)
		bits_shr(e, count, op == 7);
	else
		bits_shl(e, count);
	return EMUL_CONTINUE;
}

/* SHLD (A4, A5) and SHRD (AC, AD): by the immediate, or by CL when there is none. */
int bits_shift_double(struct emul *e)
{
	unsigned int bits = e->dst.bytes * 8;
	unsigned int count = e->d.insn->imm ? e->d.imm : e->state.regs.gpr[EMUL_RCX] & 0xff;
	u64 sign = emul_sign_bit(e->dst.bytes), a = e->dst.val, b = e->src.val, val;
	bool cf;

	count &= bits == 64 ? 63 : 31;
	/* A 16-bit operand shifted by more than it has is undefined: left alone. */
	if (!count || count > bits)
		return EMUL_CONTINUE;
	if (e->d.opcode & 8) {
		cf = a >> (count - 1) & 1;
		val = a >> count | b << (bits - count);
	} else {
		cf = a >> (bits - count) & 1;
		val = a << count | b >> (bits - count);
	}
	val &= emul_mask(e->dst.bytes);
	alu_logic(bits_flags(e), e->dst.bytes, val);
	bits_rotate_flags(e, cf, (val ^ e->dst.val) & sign);
	e->dst.val = val;
	return EMUL_CONTINUE;
}

/* BT, BTS, BTR, BTC: bits 3-4 of the opcode, or of ModRM in group 8. */
int bits_test(struct emul *e)
{
	unsigned int op = e->d.opcode == 0xba ? e->d.reg : e->d.opcode >> 3;
	u64 bit = 1ull << (e->src.val & (e->dst.bytes * 8 - 1));

	alu_set(bits_flags(e), EMUL_CF, e->dst.val & bit);
	switch (op & 3) {
	case 1: e->dst.val |= bit; break;
	case 2: e->dst.val &= ~bit; break;
	case 3: e->dst.val ^= bit; break;
	}
	return EMUL_CONTINUE;
}

/* Zeros below the lowest set bit, or above the highest one. */
static unsigned int bits_zeros(u64 val, unsigned int bits, bool reverse)
{
	unsigned int n = 0;

	while (n < bits && !(val >> (reverse ? bits - 1 - n : n) & 1))
		n++;
	return n;
}

/* BSF, BSR and, with F3, TZCNT, LZCNT. BSF and BSR of 0 leave the target alone. */
int bits_scan(struct emul *e)
{
	unsigned int bits = e->dst.bytes * 8;
	bool reverse = e->d.opcode & 1, counts = e->d.rep == 0xf3;
	unsigned int zeros = bits_zeros(e->src.val, bits, reverse);

	alu_set(bits_flags(e), EMUL_ZF, counts ? !zeros : !e->src.val);
	if (counts)
		alu_set(bits_flags(e), EMUL_CF, !e->src.val);
	else if (!e->src.val)
		e->dst.kind = K_NONE;
	e->dst.val = reverse && !counts ? bits - 1 - zeros : zeros;
	return EMUL_CONTINUE;
}

int bits_popcnt(struct emul *e)
{
	u64 val = e->src.val;
	unsigned int n = 0;

	for (; val; val &= val - 1)
		n++;
	alu_logic(bits_flags(e), 1, n);
	alu_set(bits_flags(e), EMUL_PF, false);
	e->dst.val = n;
	return EMUL_CONTINUE;
}

/* BSWAP has its one operand as both source and destination; MOVBE has two. */
int bits_bswap(struct emul *e)
{
	u64 val = 0;
	unsigned int i;

	for (i = 0; i < e->src.bytes; i++)
		val = val << 8 | (e->src.val >> (i * 8) & 0xff);
	e->dst.val = val;
	return EMUL_CONTINUE;
}
