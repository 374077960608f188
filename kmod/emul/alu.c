// SPDX-License-Identifier: GPL-2.0-only
/* Arithmetic, logic, compare and exchange, and the flags they leave. */
#include "insn.h"

#define ARITH_FLAGS	(EMUL_CF | EMUL_PF | EMUL_AF | EMUL_ZF | EMUL_SF | EMUL_OF)

void alu_set(u64 *rflags, u64 flag, bool on)
{
	*rflags = on ? *rflags | flag : *rflags & ~flag;
}

static u64 *alu_flags(struct emul *e)
{
	return &e->state.regs.rflags;
}

static bool alu_even_parity(u8 val)
{
	val ^= val >> 4;
	return !(0x6996 >> (val & 0xf) & 1);
}

static void alu_set_szp(u64 *rflags, unsigned int bytes, u64 val)
{
	alu_set(rflags, EMUL_ZF, !(val & emul_mask(bytes)));
	alu_set(rflags, EMUL_SF, val & emul_sign_bit(bytes));
	alu_set(rflags, EMUL_PF, alu_even_parity(val));
}

static u64 alu_add(u64 *rflags, unsigned int bytes, u64 a, u64 b, bool carry)
{
	u64 sum = (a + b + carry) & emul_mask(bytes);
	u64 carries = (a & b) | ((a | b) & ~sum);
	u64 sign = emul_sign_bit(bytes);

	alu_set_szp(rflags, bytes, sum);
	alu_set(rflags, EMUL_CF, carries & sign);
	alu_set(rflags, EMUL_AF, carries & 8);
	alu_set(rflags, EMUL_OF, (a ^ sum) & (b ^ sum) & sign);
	return sum;
}

u64 alu_sub(u64 *rflags, unsigned int bytes, u64 a, u64 b, bool borrow)
{
	u64 diff = (a - b - borrow) & emul_mask(bytes);
	u64 borrows = (~a & b) | (~(a ^ b) & diff);
	u64 sign = emul_sign_bit(bytes);

	alu_set_szp(rflags, bytes, diff);
	alu_set(rflags, EMUL_CF, borrows & sign);
	alu_set(rflags, EMUL_AF, borrows & 8);
	alu_set(rflags, EMUL_OF, (a ^ b) & (a ^ diff) & sign);
	return diff;
}

u64 alu_logic(u64 *rflags, unsigned int bytes, u64 val)
{
	*rflags &= ~ARITH_FLAGS;
	alu_set_szp(rflags, bytes, val);
	return val;
}

/* ADD, OR, ADC, SBB, AND, SUB, XOR, CMP: bits 3-5 of the opcode, or of ModRM in group 1. */
int alu_binary(struct emul *e)
{
	unsigned int op = e->d.opcode >= 0x80 ? e->d.reg : e->d.opcode >> 3;
	unsigned int bytes = e->dst.bytes;
	u64 *f = alu_flags(e);
	u64 a = e->dst.val, b = e->src.val;

	switch (op & 7) {
	case 0: e->dst.val = alu_add(f, bytes, a, b, false); break;
	case 1: e->dst.val = alu_logic(f, bytes, a | b); break;
	case 2: e->dst.val = alu_add(f, bytes, a, b, *f & EMUL_CF); break;
	case 3: e->dst.val = alu_sub(f, bytes, a, b, *f & EMUL_CF); break;
	case 4: e->dst.val = alu_logic(f, bytes, a & b); break;
	case 5: e->dst.val = alu_sub(f, bytes, a, b, false); break;
	case 6: e->dst.val = alu_logic(f, bytes, a ^ b); break;
	case 7: alu_sub(f, bytes, a, b, false); break;
	}
	return EMUL_CONTINUE;
}

int alu_test(struct emul *e)
{
	alu_logic(alu_flags(e), e->dst.bytes, e->dst.val & e->src.val);
	return EMUL_CONTINUE;
}

/* INC and DEC keep CF. The one-byte forms 40-4F tell them apart by bit 3. */
int alu_incdec(struct emul *e)
{
	u64 *f = alu_flags(e), cf = *f & EMUL_CF;
	bool dec = e->d.opcode >= 0xfe ? e->d.reg & 1 : e->d.opcode & 8;

	if (dec)
		e->dst.val = alu_sub(f, e->dst.bytes, e->dst.val, 1, false);
	else
		e->dst.val = alu_add(f, e->dst.bytes, e->dst.val, 1, false);
	*f = (*f & ~EMUL_CF) | cf;
	return EMUL_CONTINUE;
}

typedef unsigned __int128 wide;

/* The double-width value of AX, DX:AX, EDX:EAX or RDX:RAX. */
static wide alu_read_pair(const struct emul *e, unsigned int bytes)
{
	u64 low = e->state.regs.gpr[EMUL_RAX], high = e->state.regs.gpr[EMUL_RDX];

	if (bytes == 1)
		return low & 0xffff;
	return (wide)(high & emul_mask(bytes)) << (bytes * 8) | (low & emul_mask(bytes));
}

static void alu_write_pair(struct emul *e, unsigned int bytes, u64 low, u64 high)
{
	if (bytes == 1) {
		exec_reg_write(e, EMUL_RAX, 2, (low & 0xff) | (high & 0xff) << 8);
		return;
	}
	exec_reg_write(e, EMUL_RAX, bytes, low);
	exec_reg_write(e, EMUL_RDX, bytes, high);
}

static wide alu_imul_wide(u64 a, u64 b, unsigned int bytes)
{
	return (wide)((__int128)(s64)emul_sext(a, bytes) * (s64)emul_sext(b, bytes));
}

/* CF and OF: the upper half is more than the extension of the lower one. */
static void alu_mul(struct emul *e, bool is_signed)
{
	unsigned int bytes = e->dst.bytes;
	u64 acc = exec_reg_read(e, EMUL_RAX, bytes), high, extended;
	wide p = is_signed ? alu_imul_wide(acc, e->dst.val, bytes) : (wide)acc * e->dst.val;

	high = (u64)(p >> (bytes * 8)) & emul_mask(bytes);
	extended = is_signed && ((u64)p & emul_sign_bit(bytes)) ? emul_mask(bytes) : 0;
	alu_write_pair(e, bytes, (u64)p, high);
	alu_set(alu_flags(e), EMUL_CF | EMUL_OF, high != extended);
}

/* IMUL with two and three operands: the immediate, when there is one, replaces the target. */
int alu_imul(struct emul *e)
{
	unsigned int bytes = e->dst.bytes;
	wide p = alu_imul_wide(e->src.val, e->d.insn->imm ? e->d.imm : e->dst.val, bytes);

	e->dst.val = (u64)p;
	alu_set(alu_flags(e), EMUL_CF | EMUL_OF,
		p != (wide)(__int128)(s64)emul_sext(e->dst.val, bytes));
	return EMUL_CONTINUE;
}

/*
 * Divide magnitudes. False: the quotient needs more than 64 bits. Long division where the
 * dividend does, since the kernel has no 128-bit one.
 */
static bool alu_div_wide(wide n, u64 div, u64 *quotient, u64 *rem)
{
	u64 high = n >> 64, low = n;
	bool carry;
	int i;

	if (high >= div)
		return false;
	*quotient = high ? 0 : low / div;
	*rem = high ? high : low % div;
	for (i = 63; high && i >= 0; i--) {
		carry = *rem >> 63;
		*rem = *rem << 1 | (low >> i & 1);
		if (carry || *rem >= div) {
			*rem -= div;
			*quotient |= 1ull << i;
		}
	}
	return true;
}

static int alu_div(struct emul *e)
{
	unsigned int bytes = e->dst.bytes;
	u64 quotient, rem;

	if (!alu_div_wide(alu_read_pair(e, bytes), e->dst.val, &quotient, &rem) ||
	    quotient > emul_mask(bytes))
		return mem_fault(e, EMUL_DE, 0);
	alu_write_pair(e, bytes, quotient, rem);
	return EMUL_CONTINUE;
}

static int alu_idiv(struct emul *e)
{
	unsigned int bytes = e->dst.bytes;
	wide n = alu_read_pair(e, bytes), sign = (wide)1 << (bytes * 16 - 1);
	u64 div = emul_sext(e->dst.val, bytes), quotient, rem;
	bool neg_n = n & sign, neg_div = (s64)div < 0;

	/* Of a negative dividend the magnitude; the most negative one is its own. */
	if (neg_n)
		n = -n & (sign | (sign - 1));
	if (!alu_div_wide(n, neg_div ? -div : div, &quotient, &rem) ||
	    quotient > emul_sign_bit(bytes) - (neg_n == neg_div))
		return mem_fault(e, EMUL_DE, 0);
	alu_write_pair(e, bytes, neg_n != neg_div ? -quotient : quotient, neg_n ? -rem : rem);
	return EMUL_CONTINUE;
}

/* Group 3 without TEST. */
int alu_unary(struct emul *e)
{
	switch (e->d.reg & 7) {
	case 2:
		e->dst.val = ~e->dst.val;
		break;
	case 3:
		e->dst.val = alu_sub(alu_flags(e), e->dst.bytes, 0, e->dst.val, false);
		break;
	case 4:
		alu_mul(e, false);
		break;
	case 5:
		alu_mul(e, true);
		break;
	case 6:
		return alu_div(e);
	case 7:
		return alu_idiv(e);
	}
	return EMUL_CONTINUE;
}

int alu_xadd(struct emul *e)
{
	u64 sum = alu_add(alu_flags(e), e->dst.bytes, e->dst.val, e->src.val, false);

	exec_reg_write(e, e->src.reg, e->src.bytes, e->dst.val);
	e->dst.val = sum;
	return EMUL_CONTINUE;
}

int alu_xchg(struct emul *e)
{
	u64 val = e->dst.val;

	/* 90 is NOP: it does not clear the upper half of RAX. */
	if (e->d.opcode == 0x90 && e->dst.reg == EMUL_RAX) {
		e->dst.kind = K_NONE;
		return EMUL_CONTINUE;
	}
	e->dst.val = e->src.val;
	exec_reg_write(e, e->src.reg, e->src.bytes, val);
	return EMUL_CONTINUE;
}

/* On a mismatch memory gets its old value again, as from hardware; a register is left alone. */
int alu_cmpxchg(struct emul *e)
{
	unsigned int bytes = e->dst.bytes;
	u64 acc = exec_reg_read(e, EMUL_RAX, bytes);

	alu_sub(alu_flags(e), bytes, acc, e->dst.val, false);
	if (acc == e->dst.val) {
		e->dst.val = e->src.val;
		return EMUL_CONTINUE;
	}
	exec_reg_write(e, EMUL_RAX, bytes, e->dst.val);
	if (e->dst.kind == K_REG)
		e->dst.kind = K_NONE;
	return EMUL_CONTINUE;
}

/* CMPXCHG8B and CMPXCHG16B. */
int alu_cmpxchg_pair(struct emul *e)
{
	unsigned int half = e->d.op_bytes == 8 ? 8 : 4;
	u64 old[2] = { 0 }, new[2] = { 0 }, linear;
	u8 *oldp = (u8 *)old, *newp = (u8 *)new;
	u64 low = 0, high = 0;
	int r;

	r = half == 8 ? mem_aligned(e, &e->dst, 16) : EMUL_CONTINUE;
	if (!r)
		r = mem_linear(e, e->dst.seg, e->dst.offset, half * 2, true, &linear);
	if (!r)
		r = e->ops->read(e, linear, old, half * 2, EMUL_ACC_WRITE);
	if (r)
		return r;
	memcpy(&low, oldp, half);
	memcpy(&high, oldp + half, half);
	memcpy(new, old, sizeof(new));
	alu_set(alu_flags(e), EMUL_ZF, low == exec_reg_read(e, EMUL_RAX, half) &&
		high == exec_reg_read(e, EMUL_RDX, half));
	if (*alu_flags(e) & EMUL_ZF) {
		memcpy(newp, &e->state.regs.gpr[EMUL_RBX], half);
		memcpy(newp + half, &e->state.regs.gpr[EMUL_RCX], half);
	} else {
		exec_reg_write(e, EMUL_RAX, half, low);
		exec_reg_write(e, EMUL_RDX, half, high);
	}
	if (e->d.lock)
		return e->ops->cmpxchg(e, linear, old, new, half * 2);
	return e->ops->write(e, linear, new, half * 2, 0);
}

int alu_movsx(struct emul *e)
{
	e->dst.val = emul_sext(e->src.val, e->src.bytes);
	return EMUL_CONTINUE;
}

int alu_setcc(struct emul *e)
{
	e->dst.val = exec_cond(e, e->d.opcode);
	return EMUL_CONTINUE;
}

int alu_cmov(struct emul *e)
{
	if (exec_cond(e, e->d.opcode))
		e->dst.val = e->src.val;
	return EMUL_CONTINUE;
}

/* CBW, CWDE, CDQE. */
int alu_cbw(struct emul *e)
{
	e->dst.val = emul_sext(e->dst.val, e->dst.bytes / 2);
	return EMUL_CONTINUE;
}

/* CWD, CDQ, CQO. */
int alu_cwd(struct emul *e)
{
	bool negative = e->src.val & emul_sign_bit(e->src.bytes);

	exec_reg_write(e, EMUL_RDX, e->src.bytes, negative ? ~0ull : 0);
	return EMUL_CONTINUE;
}

/* CMC, CLC, STC, CLD, STD. */
int alu_flag(struct emul *e)
{
	u64 flag = e->d.opcode >= 0xfc ? EMUL_DF : EMUL_CF;

	if (e->d.opcode == 0xf5)
		*alu_flags(e) ^= EMUL_CF;
	else
		alu_set(alu_flags(e), flag, e->d.opcode & 1);
	return EMUL_CONTINUE;
}

#define LAHF_FLAGS	(EMUL_CF | EMUL_PF | EMUL_AF | EMUL_ZF | EMUL_SF)

int alu_lahf(struct emul *e)
{
	u64 ah = (*alu_flags(e) & LAHF_FLAGS) | 2;
	u64 *rax = &e->state.regs.gpr[EMUL_RAX];

	*rax = (*rax & ~0xff00ull) | ah << 8;
	return EMUL_CONTINUE;
}

int alu_sahf(struct emul *e)
{
	u64 ah = e->state.regs.gpr[EMUL_RAX] >> 8;

	*alu_flags(e) = (*alu_flags(e) & ~LAHF_FLAGS) | (ah & LAHF_FLAGS);
	return EMUL_CONTINUE;
}

/* DAA and DAS: AL after decimal adjustment. */
static void alu_daa_das(struct emul *e, bool subtract)
{
	u64 *f = alu_flags(e), al = e->dst.val, adjust = 0;
	bool cf = (*f & EMUL_CF) || al > 0x99, af = (*f & EMUL_AF) || (al & 0xf) > 9;

	if (af)
		adjust |= 0x06;
	if (cf)
		adjust |= 0x60;
	/* A borrow out of the low digit's adjustment counts too. */
	if (subtract && af && al < 6)
		cf = true;
	e->dst.val = (subtract ? al - adjust : al + adjust) & 0xff;
	alu_set_szp(f, 1, e->dst.val);
	alu_set(f, EMUL_CF, cf);
	alu_set(f, EMUL_AF, af);
}

/* AAA and AAS: AX. */
static void alu_aaa_aas(struct emul *e, bool subtract)
{
	u64 *f = alu_flags(e), ax = exec_reg_read(e, EMUL_RAX, 2);
	bool adjust = (ax & 0xf) > 9 || (*f & EMUL_AF);

	if (adjust)
		ax = subtract ? ax - 0x106 : ax + 0x106;
	exec_reg_write(e, EMUL_RAX, 2, ax & 0xff0f);
	e->dst.val = ax & 0xf;
	alu_set(f, EMUL_AF | EMUL_CF, adjust);
}

/* DAA 27, DAS 2F, AAA 37, AAS 3F. */
int alu_decimal(struct emul *e)
{
	if (e->d.opcode & 0x10)
		alu_aaa_aas(e, e->d.opcode & 8);
	else
		alu_daa_das(e, e->d.opcode & 8);
	return EMUL_CONTINUE;
}

int alu_aam(struct emul *e)
{
	u64 al = exec_reg_read(e, EMUL_RAX, 1), base = e->d.imm;

	if (!base)
		return mem_fault(e, EMUL_DE, 0);
	exec_reg_write(e, EMUL_RAX, 2, (al / base) << 8 | al % base);
	alu_set_szp(alu_flags(e), 1, al % base);
	return EMUL_CONTINUE;
}

int alu_aad(struct emul *e)
{
	u64 ax = exec_reg_read(e, EMUL_RAX, 2);
	u64 al = ((ax & 0xff) + (ax >> 8) * e->d.imm) & 0xff;

	exec_reg_write(e, EMUL_RAX, 2, al);
	alu_set_szp(alu_flags(e), 1, al);
	return EMUL_CONTINUE;
}
