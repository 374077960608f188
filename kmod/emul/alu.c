// SPDX-License-Identifier: GPL-2.0-only
/* Arithmetic, logic, shifts, bits, compare and exchange, and the flags they leave. */
#include "insn.h"

#define ARITH_FLAGS	(X86_EFLAGS_CF | X86_EFLAGS_PF | X86_EFLAGS_AF | X86_EFLAGS_ZF | \
			 X86_EFLAGS_SF | X86_EFLAGS_OF)
#define LAHF_FLAGS	(ARITH_FLAGS & 0xff)

/* Operations that the CPU does itself. The first sixteen are in the order of their encodings. */
enum alu_op {
	ALU_ADD, ALU_OR, ALU_ADC, ALU_SBB, ALU_AND, ALU_SUB, ALU_XOR, ALU_CMP,
	ALU_ROL, ALU_ROR, ALU_RCL, ALU_RCR, ALU_SHL, ALU_SHR, ALU_SAL, ALU_SAR,
	ALU_BT, ALU_BTS, ALU_BTR, ALU_BTC, ALU_BSF, ALU_BSR, ALU_TZCNT, ALU_LZCNT,
	ALU_INC, ALU_DEC, ALU_NEG, ALU_IMUL, ALU_SHLD, ALU_SHRD,
};

/*
 * One instruction on the guest's operands: DX, CX (for shifts the count), for SHLD and SHRD SI. Its
 * flags travel in AX as LAHF and SETO leave them; 7F plus the overflow flag overflows if it was set.
 */
#define ALU_CASE(_op, _bytes, _insn) \
	case (_op) << 4 | (_bytes): \
		asm("addb $0x7f, %%al\n\tsahf\n\t" _insn "\n\tlahf\n\tseto %%al" \
		    : "+a" (ax), "+d" (dst) : "c" (src), "S" (e->src.val) : "cc"); \
		break;
#define ALU_WIDE(_op, _insn, _src16, _src32, _src64) \
	ALU_CASE(_op, 2, _insn "w " _src16 "%%dx") \
	ALU_CASE(_op, 4, _insn "l " _src32 "%%edx") \
	ALU_CASE(_op, 8, _insn "q " _src64 "%%rdx")
#define ALU_ALL(_op, _insn, _src8, ...) \
	ALU_CASE(_op, 1, _insn "b " _src8 "%%dl") \
	ALU_WIDE(_op, _insn, __VA_ARGS__)
#define ALU_BINARY(_op, _insn)	ALU_ALL(_op, _insn, "%%cl, ", "%%cx, ", "%%ecx, ", "%%rcx, ")
#define ALU_SHIFT(_op, _insn)	ALU_ALL(_op, _insn, "%%cl, ", "%%cl, ", "%%cl, ", "%%cl, ")
#define ALU_UNARY(_op, _insn)	ALU_ALL(_op, _insn, "", "", "", "")
#define ALU_NOBYTE(_op, _insn)	ALU_WIDE(_op, _insn, "%%cx, ", "%%ecx, ", "%%rcx, ")
#define ALU_DOUBLE(_op, _insn) \
	ALU_WIDE(_op, _insn, "%%cl, %%si, ", "%%cl, %%esi, ", "%%cl, %%rsi, ")

static u64 alu_run(struct emul *e, enum alu_op op, unsigned int bytes, u64 dst, u64 src)
{
	u64 *rflags = &e->state.regs.rflags;
	u32 ax = (*rflags & 0xff) << 8 | (*rflags & X86_EFLAGS_OF ? 1 : 0);

	switch (op << 4 | bytes) {
	ALU_BINARY(ALU_ADD, "add")
	ALU_BINARY(ALU_OR, "or")
	ALU_BINARY(ALU_ADC, "adc")
	ALU_BINARY(ALU_SBB, "sbb")
	ALU_BINARY(ALU_AND, "and")
	ALU_BINARY(ALU_SUB, "sub")
	ALU_BINARY(ALU_XOR, "xor")
	ALU_BINARY(ALU_CMP, "cmp")
	ALU_SHIFT(ALU_ROL, "rol")
	ALU_SHIFT(ALU_ROR, "ror")
	ALU_SHIFT(ALU_RCL, "rcl")
	ALU_SHIFT(ALU_RCR, "rcr")
	ALU_SHIFT(ALU_SHL, "shl")
	ALU_SHIFT(ALU_SHR, "shr")
	ALU_SHIFT(ALU_SAL, "shl")
	ALU_SHIFT(ALU_SAR, "sar")
	ALU_NOBYTE(ALU_BT, "bt")
	ALU_NOBYTE(ALU_BTS, "bts")
	ALU_NOBYTE(ALU_BTR, "btr")
	ALU_NOBYTE(ALU_BTC, "btc")
	ALU_NOBYTE(ALU_BSF, "bsf")
	ALU_NOBYTE(ALU_BSR, "bsr")
	/* A CPU without these two takes them for BSF and BSR, the guest's as well. */
	ALU_NOBYTE(ALU_TZCNT, "tzcnt")
	ALU_NOBYTE(ALU_LZCNT, "lzcnt")
	ALU_UNARY(ALU_INC, "inc")
	ALU_UNARY(ALU_DEC, "dec")
	ALU_UNARY(ALU_NEG, "neg")
	ALU_NOBYTE(ALU_IMUL, "imul")
	ALU_DOUBLE(ALU_SHLD, "shld")
	ALU_DOUBLE(ALU_SHRD, "shrd")
	}
	*rflags = (*rflags & ~ARITH_FLAGS) | (ax >> 8 & LAHF_FLAGS);
	emul_set_flag(e, X86_EFLAGS_OF, ax & 1);
	return dst;
}

static void alu_apply(struct emul *e, enum alu_op op)
{
	e->dst.val = alu_run(e, op, e->dst.bytes, e->dst.val, e->src.val);
}

void alu_compare(struct emul *e, unsigned int bytes, u64 a, u64 b)
{
	alu_run(e, ALU_CMP, bytes, a, b);
}

/* SF, ZF and PF of AL; the others are cleared. */
static void alu_flags_of_al(struct emul *e, u8 al)
{
	alu_run(e, ALU_OR, 1, al, 0);
}

/* Bits 3-5 of the opcode, or of ModRM in group 1, tell which. */
void alu_binary(struct emul *e)
{
	alu_apply(e, ALU_ADD + (e->d.opcode >= 0x80 ? e->d.reg & 7 : e->d.opcode >> 3));
}

void alu_test(struct emul *e)
{
	alu_apply(e, ALU_AND);
}

void alu_shift(struct emul *e)
{
	alu_apply(e, ALU_ROL + (e->d.reg & 7));
}

/* SHLD (A4, A5) and SHRD (AC, AD): by the immediate, or by CL when there is none. */
void alu_shift_double(struct emul *e)
{
	enum alu_op op = e->d.opcode & 8 ? ALU_SHRD : ALU_SHLD;
	u64 count = e->d.insn->imm ? e->d.imm : e->state.regs.gpr[EMUL_RCX];

	e->dst.val = alu_run(e, op, e->dst.bytes, e->dst.val, count);
}

/* BT, BTS, BTR, BTC: bits 3-4 of the opcode, or of ModRM in group 8. */
void alu_bit(struct emul *e)
{
	alu_apply(e, ALU_BT + ((e->d.opcode == 0xba ? e->d.reg : e->d.opcode >> 3) & 3));
}

/* BSF, BSR and, with F3, TZCNT, LZCNT. BSF and BSR of 0 leave the target alone. */
void alu_scan(struct emul *e)
{
	bool counts = e->d.rep == 0xf3;

	alu_apply(e, (counts ? ALU_TZCNT : ALU_BSF) + (e->d.opcode & 1));
	if (!counts && !e->src.val)
		e->dst.kind = K_NONE;
}

void alu_popcnt(struct emul *e)
{
	u64 val = e->src.val;
	unsigned int n = 0;

	for (; val; val &= val - 1)
		n++;
	e->state.regs.rflags &= ~ARITH_FLAGS;
	emul_set_flag(e, X86_EFLAGS_ZF, !n);
	e->dst.val = n;
}

/* BSWAP has its one operand as both source and destination; MOVBE has two. */
void alu_bswap(struct emul *e)
{
	e->dst.val = __builtin_bswap64(e->src.val) >> (64 - e->src.bytes * 8);
}

/* The one-byte forms 40-4F tell INC and DEC apart by bit 3. */
void alu_incdec(struct emul *e)
{
	bool dec = e->d.opcode >= 0xfe ? e->d.reg & 1 : e->d.opcode & 8;

	alu_apply(e, dec ? ALU_DEC : ALU_INC);
}

/* IMUL with two and three operands: the immediate, when there is one, replaces the target. */
void alu_imul(struct emul *e)
{
	if (e->d.insn->imm)
		e->dst.val = e->d.imm;
	alu_apply(e, ALU_IMUL);
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

/* MUL and IMUL. CF and OF: the upper half is more than the extension of the lower one. */
static void alu_mul(struct emul *e, bool is_signed)
{
	unsigned int bytes = e->dst.bytes;
	u64 a = exec_reg_read(e, EMUL_RAX, bytes), b = e->dst.val, high, extension = 0;
	wide p = (wide)a * b;

	if (is_signed)
		p = (wide)((__int128)(s64)emul_sext(a, bytes) * (s64)emul_sext(b, bytes));
	if (is_signed && ((u64)p & emul_sign_bit(bytes)))
		extension = emul_mask(bytes);
	high = (u64)(p >> (bytes * 8)) & emul_mask(bytes);
	alu_write_pair(e, bytes, (u64)p, high);
	emul_set_flag(e, X86_EFLAGS_CF | X86_EFLAGS_OF, high != extension);
}

/* DIV and IDIV, by magnitudes. The most negative dividend is its own magnitude. */
static void alu_div(struct emul *e, bool is_signed)
{
	unsigned int bytes = e->dst.bytes;
	wide n = alu_read_pair(e, bytes), sign = (wide)1 << (bytes * 16 - 1);
	u64 div = is_signed ? emul_sext(e->dst.val, bytes) : e->dst.val, quotient, rem;
	bool neg_n = is_signed && n & sign, neg_div = is_signed && (s64)div < 0;
	u64 most = is_signed ? emul_sign_bit(bytes) - (neg_n == neg_div) : emul_mask(bytes);

	n = neg_n ? -n & (sign | (sign - 1)) : n;
	div = neg_div ? -div : div;
	if ((u64)(n >> 64) >= div) {
		mem_fault(e, EMUL_DE, 0);
		return;
	}
	/* The kernel has no 128-bit division. This one can not fault: the quotient fits. */
	asm("divq %4" : "=a" (quotient), "=d" (rem) : "0" ((u64)n), "1" ((u64)(n >> 64)), "r" (div)
	    : "cc");
	if (quotient > most)
		mem_fault(e, EMUL_DE, 0);
	alu_write_pair(e, bytes, neg_n != neg_div ? -quotient : quotient, neg_n ? -rem : rem);
}

/* Group 3 without TEST: NOT, NEG, MUL, IMUL, DIV, IDIV. */
void alu_unary(struct emul *e)
{
	unsigned int op = e->d.reg & 7;

	if (op == 2)
		e->dst.val = ~e->dst.val;
	else if (op == 3)
		alu_apply(e, ALU_NEG);
	else if (op < 6)
		alu_mul(e, op & 1);
	else
		alu_div(e, op & 1);
}

void alu_xadd(struct emul *e)
{
	u64 val = e->dst.val;

	alu_apply(e, ALU_ADD);
	exec_reg_write(e, e->src.reg, e->src.bytes, val);
}

void alu_xchg(struct emul *e)
{
	u64 val = e->dst.val;

	/* 90 is NOP: it does not clear the upper half of RAX. */
	if (e->d.opcode == 0x90 && e->dst.reg == EMUL_RAX) {
		e->dst.kind = K_NONE;
		return;
	}
	e->dst.val = e->src.val;
	exec_reg_write(e, e->src.reg, e->src.bytes, val);
}

/* On a mismatch memory gets its old value again, as from hardware; a register is left alone. */
void alu_cmpxchg(struct emul *e)
{
	unsigned int bytes = e->dst.bytes;
	u64 acc = exec_reg_read(e, EMUL_RAX, bytes);

	alu_compare(e, bytes, acc, e->dst.val);
	if (acc == e->dst.val) {
		e->dst.val = e->src.val;
		return;
	}
	exec_reg_write(e, EMUL_RAX, bytes, e->dst.val);
	if (e->dst.kind == K_REG)
		e->dst.kind = K_NONE;
}

/* CMPXCHG8B and CMPXCHG16B. */
void alu_cmpxchg_pair(struct emul *e)
{
	unsigned int half = e->d.op_bytes == 8 ? 8 : 4;
	const u64 *gpr = e->state.regs.gpr;
	u64 low = 0, high = 0, linear;
	u8 old[16], new[16];

	if (half == 8)
		mem_check_aligned(e, &e->dst, 16);
	linear = mem_linear(e, e->dst.seg, e->dst.offset, half * 2, true);
	mem_load(e, linear, old, half * 2, EMUL_ACC_WRITE);
	memcpy(&low, old, half);
	memcpy(&high, old + half, half);
	emul_set_flag(e, X86_EFLAGS_ZF, low == exec_reg_read(e, EMUL_RAX, half) &&
		      high == exec_reg_read(e, EMUL_RDX, half));
	if (e->state.regs.rflags & X86_EFLAGS_ZF) {
		memcpy(new, &gpr[EMUL_RBX], half);
		memcpy(new + half, &gpr[EMUL_RCX], half);
	} else {
		memcpy(new, old, sizeof(new));
		alu_write_pair(e, half, low, high);
	}
	mem_replace(e, linear, old, new, half * 2);
}

void alu_movsx(struct emul *e)
{
	e->dst.val = emul_sext(e->src.val, e->src.bytes);
}

void alu_setcc(struct emul *e)
{
	e->dst.val = exec_cond(e);
}

void alu_cmov(struct emul *e)
{
	if (exec_cond(e))
		e->dst.val = e->src.val;
}

/* CBW, CWDE, CDQE. */
void alu_cbw(struct emul *e)
{
	e->dst.val = emul_sext(e->dst.val, e->dst.bytes / 2);
}

/* CWD, CDQ, CQO. */
void alu_cwd(struct emul *e)
{
	bool negative = e->src.val & emul_sign_bit(e->src.bytes);

	exec_reg_write(e, EMUL_RDX, e->src.bytes, negative ? ~0ull : 0);
}

/* CMC, CLC, STC, CLD, STD. */
void alu_flag(struct emul *e)
{
	u64 flag = e->d.opcode >= 0xfc ? X86_EFLAGS_DF : X86_EFLAGS_CF;
	bool on = e->d.opcode == 0xf5 ? !(e->state.regs.rflags & flag) : e->d.opcode & 1;

	emul_set_flag(e, flag, on);
}

void alu_lahf(struct emul *e)
{
	u64 ah = (e->state.regs.rflags & LAHF_FLAGS) | X86_EFLAGS_FIXED;
	u64 *rax = &e->state.regs.gpr[EMUL_RAX];

	*rax = (*rax & ~0xff00ull) | ah << 8;
}

void alu_sahf(struct emul *e)
{
	u64 ah = e->state.regs.gpr[EMUL_RAX] >> 8, *rflags = &e->state.regs.rflags;

	*rflags = (*rflags & ~LAHF_FLAGS) | (ah & LAHF_FLAGS);
}

/* DAA and DAS: AL after decimal adjustment. */
static void alu_daa_das(struct emul *e, bool subtract)
{
	u64 f = e->state.regs.rflags, al = e->dst.val, adjust = 0;
	bool cf = (f & X86_EFLAGS_CF) || al > 0x99, af = (f & X86_EFLAGS_AF) || (al & 0xf) > 9;

	if (af)
		adjust |= 0x06;
	if (cf)
		adjust |= 0x60;
	/* A borrow out of the low digit's adjustment counts too. */
	if (subtract && af && al < 6)
		cf = true;
	e->dst.val = (subtract ? al - adjust : al + adjust) & 0xff;
	alu_flags_of_al(e, e->dst.val);
	emul_set_flag(e, X86_EFLAGS_CF, cf);
	emul_set_flag(e, X86_EFLAGS_AF, af);
}

/* AAA and AAS: AX. */
static void alu_aaa_aas(struct emul *e, bool subtract)
{
	u64 ax = exec_reg_read(e, EMUL_RAX, 2);
	bool adjust = (ax & 0xf) > 9 || (e->state.regs.rflags & X86_EFLAGS_AF);

	if (adjust)
		ax = subtract ? ax - 0x106 : ax + 0x106;
	exec_reg_write(e, EMUL_RAX, 2, ax & 0xff0f);
	e->dst.val = ax & 0xf;
	emul_set_flag(e, X86_EFLAGS_AF | X86_EFLAGS_CF, adjust);
}

/* DAA 27, DAS 2F, AAA 37, AAS 3F. */
void alu_decimal(struct emul *e)
{
	if (e->d.opcode & 0x10)
		alu_aaa_aas(e, e->d.opcode & 8);
	else
		alu_daa_das(e, e->d.opcode & 8);
}

void alu_aam(struct emul *e)
{
	u8 al = e->state.regs.gpr[EMUL_RAX], base = e->d.imm;

	if (!base) {
		mem_fault(e, EMUL_DE, 0);
		return;
	}
	exec_reg_write(e, EMUL_RAX, 2, (al / base) << 8 | al % base);
	alu_flags_of_al(e, al % base);
}

void alu_aad(struct emul *e)
{
	u64 ax = exec_reg_read(e, EMUL_RAX, 2);
	u8 al = ax + (ax >> 8) * e->d.imm;

	exec_reg_write(e, EMUL_RAX, 2, al);
	alu_flags_of_al(e, al);
}
