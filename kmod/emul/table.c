// SPDX-License-Identifier: GPL-2.0-only
/* The opcode maps. An absent row is an instruction that the emulator does not know. */
#include "insn.h"

#define ROW(_flags, _dst, _src, _imm, _exec) \
	{ .flags = (_flags), .dst = K_##_dst, .src = K_##_src, .imm = I_##_imm, .exec = (_exec) }
#define M(_flags, _dst, _src, _imm, _exec) \
	ROW((_flags) | F_MODRM, _dst, _src, _imm, _exec)
#define NEXT(_flags, _next)	{ .flags = (_flags) | F_MODRM, .next = (_next) }
/* Rows by mandatory prefix: none, 66, F3, F2. */
#define BY_PREFIX(...)		NEXT(F_PFX, ((const struct emul_insn[4]) { __VA_ARGS__ }))
#define BY_REG(_flags, ...) \
	NEXT(F_GROUP | (_flags), ((const struct emul_insn[8]) { __VA_ARGS__ }))
#define BY_MOD(_mem, _reg)	NEXT(F_MOD3, ((const struct emul_insn[2]) { _mem, _reg }))
#define UD			{ .flags = F_UD }
/* A vector move of @_bytes between memory and the register ModRM.reg, there from byte @_at on. */
#define VECTOR(_flags, _bytes, _at, _exec) \
	{ .flags = (_flags) | F_MODRM | F_SIMD, .dst = K_ADDR, .src = (_at), .imm = (_bytes), \
	  .exec = (_exec) }

/* ADD, OR, ...: the six forms of one operation. */
#define ARITH(_base, _flags, _store) \
	[(_base) + 0 ... (_base) + 1] = M(F_W | (_flags) | (_store), RM, REG, NONE, alu_binary), \
	[(_base) + 2 ... (_base) + 3] = M(F_W | (_flags), REG, RM, NONE, alu_binary), \
	[(_base) + 4 ... (_base) + 5] = ROW(F_W | (_flags), ACC, IMM, Z, alu_binary)

#define GROUP1(_src, _imm) { \
	[0 ... 6] = ROW(F_LOCK, RM, _src, _imm, alu_binary), \
	[7] = ROW(F_NOWRITE, RM, _src, _imm, alu_binary) }

static const struct emul_insn group1_z[8] = GROUP1(IMM, Z);
static const struct emul_insn group1_s8[8] = GROUP1(IMM, S8);

static const struct emul_insn group3[8] = {
	[0 ... 1] = ROW(F_NOWRITE, RM, IMM, Z, alu_test),
	[2 ... 3] = ROW(F_LOCK, RM, NONE, NONE, alu_unary),
	[4 ... 7] = ROW(F_NOWRITE, RM, NONE, NONE, alu_unary),
};

static const struct emul_insn group5[8] = {
	[0 ... 1] = ROW(F_LOCK, RM, NONE, NONE, alu_incdec),
	[2] = ROW(F_F64, NONE, RM, NONE, flow_call),
	[3] = ROW(F_MEM, ADDR, NONE, NONE, flow_call_far),
	[4] = ROW(F_F64, NONE, RM, NONE, flow_jmp),
	[5] = ROW(F_MEM, ADDR, NONE, NONE, flow_jmp_far),
	[6] = ROW(F_D64, NONE, RM, NONE, flow_push),
	[7] = UD,
};

#define STRING(_flags, _exec)	ROW(F_W | F_STRING | (_flags), NONE, NONE, NONE, _exec)

const struct emul_insn table_1byte[256] = {
	ARITH(0x00, 0, F_LOCK), ARITH(0x08, 0, F_LOCK), ARITH(0x10, 0, F_LOCK),
	ARITH(0x18, 0, F_LOCK), ARITH(0x20, 0, F_LOCK), ARITH(0x28, 0, F_LOCK),
	ARITH(0x30, 0, F_LOCK), ARITH(0x38, F_NOWRITE, 0),
	[0x06] = ROW(F_NO64, NONE, OPSREG, NONE, flow_push),
	[0x07] = ROW(F_NO64, NONE, POP, NONE, seg_mov),
	[0x0e] = ROW(F_NO64, NONE, OPSREG, NONE, flow_push),
	[0x16] = ROW(F_NO64, NONE, OPSREG, NONE, flow_push),
	[0x17] = ROW(F_NO64, NONE, POP, NONE, seg_mov),
	[0x1e] = ROW(F_NO64, NONE, OPSREG, NONE, flow_push),
	[0x1f] = ROW(F_NO64, NONE, POP, NONE, seg_mov),
	[0x27] = ROW(F_NO64 | F_BYTE, ACC, NONE, NONE, alu_decimal),
	[0x2f] = ROW(F_NO64 | F_BYTE, ACC, NONE, NONE, alu_decimal),
	[0x37] = ROW(F_NO64 | F_BYTE, ACC, NONE, NONE, alu_decimal),
	[0x3f] = ROW(F_NO64 | F_BYTE, ACC, NONE, NONE, alu_decimal),
	[0x40 ... 0x4f] = ROW(F_NO64, OPREG, NONE, NONE, alu_incdec),
	[0x50 ... 0x57] = ROW(F_D64, NONE, OPREG, NONE, flow_push),
	[0x58 ... 0x5f] = ROW(F_D64 | F_NOREAD, OPREG, POP, NONE, exec_mov),
	[0x60] = ROW(F_NO64, NONE, NONE, NONE, flow_pusha),
	[0x61] = ROW(F_NO64, NONE, NONE, NONE, flow_popa),
	[0x63] = M(F_NOREAD, REG, RM32, NONE, alu_movsx),
	[0x68] = ROW(F_D64, NONE, IMM, Z, flow_push),
	[0x69] = M(0, REG, RM, Z, alu_imul),
	[0x6a] = ROW(F_D64, NONE, IMM, S8, flow_push),
	[0x6b] = M(0, REG, RM, S8, alu_imul),
	[0x6c ... 0x6d] = STRING(F_PIO, string_ins),
	[0x6e ... 0x6f] = STRING(F_PIO, string_outs),
	[0x70 ... 0x7f] = ROW(F_F64, NONE, REL, S8, flow_jcc),
	[0x80 ... 0x81] = NEXT(F_W | F_GROUP, group1_z),
	[0x82] = NEXT(F_W | F_GROUP | F_NO64, group1_z),
	[0x83] = NEXT(F_GROUP, group1_s8),
	[0x84 ... 0x85] = M(F_W | F_NOWRITE, RM, REG, NONE, alu_test),
	[0x86 ... 0x87] = M(F_W | F_LOCK | F_XLOCK, RM, REG, NONE, alu_xchg),
	[0x88 ... 0x89] = M(F_W | F_NOREAD, RM, REG, NONE, exec_mov),
	[0x8a ... 0x8b] = M(F_W | F_NOREAD, REG, RM, NONE, exec_mov),
	[0x8c] = M(F_SREG | F_NOREAD, RMV16, SREG, NONE, exec_mov),
	[0x8d] = M(F_MEM | F_NOREAD, REG, ADDR, NONE, exec_mov),
	[0x8e] = M(F_SREG, NONE, RM16, NONE, seg_mov),
	[0x8f] = BY_REG(0, [0] = ROW(F_D64 | F_NOREAD, RM, POP, NONE, exec_mov)),
	[0x90 ... 0x97] = ROW(0, OPREG, ACC, NONE, alu_xchg),
	[0x98] = ROW(0, ACC, NONE, NONE, alu_cbw),
	[0x99] = ROW(0, NONE, ACC, NONE, alu_cwd),
	[0x9a] = ROW(F_NO64, NONE, NONE, FAR, flow_call_far),
	[0x9c] = ROW(F_D64, NONE, NONE, NONE, flow_pushf),
	[0x9d] = ROW(F_D64, NONE, NONE, NONE, flow_popf),
	[0x9e] = ROW(0, NONE, NONE, NONE, alu_sahf),
	[0x9f] = ROW(0, NONE, NONE, NONE, alu_lahf),
	[0xa0 ... 0xa1] = ROW(F_W | F_NOREAD, ACC, MOFFS, MOFFS, exec_mov),
	[0xa2 ... 0xa3] = ROW(F_W | F_NOREAD, MOFFS, ACC, MOFFS, exec_mov),
	[0xa4 ... 0xa5] = STRING(0, string_movs),
	[0xa6 ... 0xa7] = STRING(F_REPCC, string_cmps),
	[0xa8 ... 0xa9] = ROW(F_W | F_NOWRITE, ACC, IMM, Z, alu_test),
	[0xaa ... 0xab] = STRING(0, string_stos),
	[0xac ... 0xad] = STRING(0, string_lods),
	[0xae ... 0xaf] = STRING(F_REPCC, string_scas),
	[0xb0 ... 0xb7] = ROW(F_BYTE | F_NOREAD, OPREG, IMM, V, exec_mov),
	[0xb8 ... 0xbf] = ROW(F_NOREAD, OPREG, IMM, V, exec_mov),
	[0xc0 ... 0xc1] = M(F_W, RM, IMM, U8, alu_shift),
	[0xc2] = ROW(F_F64, NONE, NONE, U16, flow_ret),
	[0xc3] = ROW(F_F64, NONE, NONE, NONE, flow_ret),
	[0xc4 ... 0xc5] = M(F_NO64 | F_MEM, ADDR, NONE, NONE, seg_far_pointer),
	[0xc6 ... 0xc7] = BY_REG(F_W, [0] = ROW(F_NOREAD, RM, IMM, Z, exec_mov), [1 ... 7] = UD),
	[0xc8] = ROW(F_D64, NONE, NONE, ENTER, flow_enter),
	[0xc9] = ROW(F_D64, NONE, NONE, NONE, flow_leave),
	[0xca] = ROW(0, NONE, NONE, U16, flow_ret_far),
	[0xcb] = ROW(0, NONE, NONE, NONE, flow_ret_far),
	[0xcc] = ROW(0, NONE, NONE, NONE, flow_int),
	[0xcd] = ROW(0, NONE, NONE, U8, flow_int),
	[0xce] = ROW(F_NO64, NONE, NONE, NONE, flow_int),
	[0xcf] = ROW(0, NONE, NONE, NONE, flow_iret),
	[0xd0 ... 0xd1] = M(F_W, RM, ONE, NONE, alu_shift),
	[0xd2 ... 0xd3] = M(F_W, RM, CL, NONE, alu_shift),
	[0xd4] = ROW(F_NO64, NONE, NONE, U8, alu_aam),
	[0xd5] = ROW(F_NO64, NONE, NONE, U8, alu_aad),
	[0xd7] = ROW(F_BYTE | F_NOREAD, ACC, NONE, NONE, string_xlat),
	/* Of the x87 what boot code uses to find one: FNSTCW, FNINIT, FNSTSW. */
	[0xd9] = BY_MOD(BY_REG(0, [7] = ROW(F_NOREAD, RM16, NONE, NONE, simd_x87)), { 0 }),
	[0xdb] = BY_MOD({ 0 }, BY_REG(0, [4] = ROW(0, NONE, NONE, NONE, simd_x87))),
	[0xdd] = BY_MOD(BY_REG(0, [7] = ROW(F_NOREAD, RM16, NONE, NONE, simd_x87)), { 0 }),
	[0xe0 ... 0xe3] = ROW(F_F64, NONE, REL, S8, flow_loop),
	[0xe4 ... 0xe5] = ROW(F_W | F_PIO | F_NOREAD, ACC, NONE, U8, sys_in),
	[0xe6 ... 0xe7] = ROW(F_W | F_PIO, NONE, ACC, U8, sys_out),
	[0xe8] = ROW(F_F64, NONE, REL, Z, flow_call),
	[0xe9] = ROW(F_F64, NONE, REL, Z, flow_jmp),
	[0xea] = ROW(F_NO64, NONE, NONE, FAR, flow_jmp_far),
	[0xeb] = ROW(F_F64, NONE, REL, S8, flow_jmp),
	[0xec ... 0xed] = ROW(F_W | F_PIO | F_NOREAD, ACC, NONE, NONE, sys_in),
	[0xee ... 0xef] = ROW(F_W | F_PIO, NONE, ACC, NONE, sys_out),
	[0xf4] = ROW(F_CPL0, NONE, NONE, NONE, sys_hlt),
	[0xf5] = ROW(0, NONE, NONE, NONE, alu_flag),
	[0xf6 ... 0xf7] = NEXT(F_W | F_GROUP, group3),
	[0xf8 ... 0xf9] = ROW(0, NONE, NONE, NONE, alu_flag),
	[0xfa] = ROW(0, NONE, NONE, NONE, sys_cli),
	[0xfb] = ROW(0, NONE, NONE, NONE, sys_sti),
	[0xfc ... 0xfd] = ROW(0, NONE, NONE, NONE, alu_flag),
	[0xfe] = BY_REG(F_W, [0 ... 1] = ROW(F_LOCK, RM, NONE, NONE, alu_incdec), [2 ... 7] = UD),
	[0xff] = NEXT(F_W | F_GROUP, group5),
};

static const struct emul_insn group7_mem[8] = {
	[0 ... 1] = ROW(0, ADDR, NONE, NONE, seg_table_store),
	[2 ... 3] = ROW(F_CPL0, ADDR, NONE, NONE, seg_table_load),
	[4] = ROW(F_NOREAD, RMV16, NONE, NONE, sys_smsw),
	[6] = ROW(F_CPL0, NONE, RM16, NONE, sys_lmsw),
	[7] = ROW(F_CPL0, ADDR, NONE, NONE, sys_invlpg),
};

/*
 * Register forms of the other rows are SWAPGS and its like, and what always exits by itself: MWAIT,
 * XSETBV, VMMCALL. Those are known for their length.
 */
static const struct emul_insn group7_reg[8] = {
	[1 ... 3] = ROW(0, NONE, NONE, NONE, sys_elsewhere),
	[4] = ROW(F_NOREAD, RMV16, NONE, NONE, sys_smsw),
	[6] = ROW(F_CPL0, NONE, RM16, NONE, sys_lmsw),
};

#define LOAD(_bytes)	VECTOR(F_VEX, _bytes, 0, simd_load)
#define STORE(_bytes)	VECTOR(F_VEX, _bytes, 0, simd_store)
#define ALIGNED(_exec)	VECTOR(F_VEX | F_ALIGN, SIMD_FULL, 0, _exec)
#define HALF(_at, _exec) VECTOR(0, 8, _at, _exec)

const struct emul_insn table_0f[256] = {
	[0x00] = BY_REG(0,
		[0 ... 1] = ROW(F_PROT | F_NOREAD, RMV16, NONE, NONE, seg_sldt),
		[2 ... 3] = ROW(F_PROT | F_CPL0, NONE, RM16, NONE, seg_lldt)),
	[0x01] = BY_MOD(NEXT(F_GROUP, group7_mem), NEXT(F_GROUP, group7_reg)),
	[0x06] = ROW(F_CPL0, NONE, NONE, NONE, sys_clts),
	[0x08 ... 0x09] = ROW(F_CPL0, NONE, NONE, NONE, sys_wbinvd),
	[0x0b] = UD,
	[0x0d] = M(0, ADDR, NONE, NONE, exec_nop),
	[0x10] = BY_PREFIX(LOAD(SIMD_FULL), LOAD(SIMD_FULL), LOAD(4), LOAD(8)),
	[0x11] = BY_PREFIX(STORE(SIMD_FULL), STORE(SIMD_FULL), STORE(4), STORE(8)),
	[0x12] = BY_PREFIX(HALF(0, simd_load_half), HALF(0, simd_load_half)),
	[0x13] = BY_PREFIX(HALF(0, simd_store), HALF(0, simd_store)),
	[0x16] = BY_PREFIX(HALF(8, simd_load_half), HALF(8, simd_load_half)),
	[0x17] = BY_PREFIX(HALF(8, simd_store), HALF(8, simd_store)),
	[0x18] = M(0, ADDR, NONE, NONE, exec_nop),
	[0x1f] = M(0, ADDR, NONE, NONE, exec_nop),
	[0x20 ... 0x21] = M(F_CTL | F_CPL0, NONE, NONE, NONE, sys_mov_from_cr),
	[0x22 ... 0x23] = M(F_CTL | F_CPL0, NONE, NONE, NONE, sys_mov_to_cr),
	[0x28] = BY_PREFIX(ALIGNED(simd_load), ALIGNED(simd_load)),
	[0x29] = BY_PREFIX(ALIGNED(simd_store), ALIGNED(simd_store)),
	[0x2b] = BY_PREFIX(ALIGNED(simd_store), ALIGNED(simd_store)),
	[0x30] = ROW(F_CPL0, NONE, NONE, NONE, sys_wrmsr),
	[0x31] = ROW(0, NONE, NONE, NONE, sys_rdtsc),
	[0x32] = ROW(F_CPL0, NONE, NONE, NONE, sys_rdmsr),
	[0x40 ... 0x4f] = M(0, REG, RM, NONE, alu_cmov),
	[0x6e] = BY_PREFIX([1] = VECTOR(F_VEX | F_32, SIMD_GPR, 0, simd_load)),
	[0x6f] = BY_PREFIX([1] = ALIGNED(simd_load), [2] = LOAD(SIMD_FULL)),
	[0x7e] = BY_PREFIX([1] = VECTOR(F_VEX | F_32, SIMD_GPR, 0, simd_store), [2] = LOAD(8)),
	[0x7f] = BY_PREFIX([1] = ALIGNED(simd_store), [2] = STORE(SIMD_FULL)),
	[0x80 ... 0x8f] = ROW(F_F64, NONE, REL, Z, flow_jcc),
	[0x90 ... 0x9f] = M(F_BYTE | F_NOREAD, RM, NONE, NONE, alu_setcc),
	[0xa0] = ROW(F_D64, NONE, OPSREG, NONE, flow_push),
	[0xa1] = ROW(F_D64, NONE, POP, NONE, seg_mov),
	[0xa2] = ROW(0, NONE, NONE, NONE, sys_cpuid),
	[0xa3] = M(F_BITS | F_NOWRITE, RM, REG, NONE, alu_bit),
	[0xa4] = M(0, RM, REG, U8, alu_shift_double),
	[0xa5] = M(0, RM, REG, NONE, alu_shift_double),
	[0xa8] = ROW(F_D64, NONE, OPSREG, NONE, flow_push),
	[0xa9] = ROW(F_D64, NONE, POP, NONE, seg_mov),
	[0xab] = M(F_BITS | F_LOCK, RM, REG, NONE, alu_bit),
	[0xac] = M(0, RM, REG, U8, alu_shift_double),
	[0xad] = M(0, RM, REG, NONE, alu_shift_double),
	[0xaf] = M(0, REG, RM, NONE, alu_imul),
	[0xb0 ... 0xb1] = M(F_W | F_LOCK, RM, REG, NONE, alu_cmpxchg),
	[0xb2] = M(F_MEM, ADDR, NONE, NONE, seg_far_pointer),
	[0xb3] = M(F_BITS | F_LOCK, RM, REG, NONE, alu_bit),
	[0xb4 ... 0xb5] = M(F_MEM, ADDR, NONE, NONE, seg_far_pointer),
	[0xb6] = M(F_NOREAD, REG, RM8, NONE, exec_mov),
	[0xb7] = M(F_NOREAD, REG, RM16, NONE, exec_mov),
	[0xb8] = BY_PREFIX([2] = M(F_NOREAD, REG, RM, NONE, alu_popcnt)),
	[0xb9] = UD,
	[0xba] = BY_REG(0,
		[4] = ROW(F_NOWRITE, RM, IMM, U8, alu_bit),
		[5 ... 7] = ROW(F_LOCK, RM, IMM, U8, alu_bit)),
	[0xbb] = M(F_BITS | F_LOCK, RM, REG, NONE, alu_bit),
	[0xbc ... 0xbd] = M(0, REG, RM, NONE, alu_scan),
	[0xbe] = M(F_NOREAD, REG, RM8, NONE, alu_movsx),
	[0xbf] = M(F_NOREAD, REG, RM16, NONE, alu_movsx),
	[0xc0 ... 0xc1] = M(F_W | F_LOCK, RM, REG, NONE, alu_xadd),
	[0xc3] = BY_PREFIX(M(F_32 | F_MEM | F_NOREAD, RM, REG, NONE, exec_mov), UD, UD, UD),
	[0xc7] = BY_MOD(BY_REG(0, [1] = ROW(F_LOCK, ADDR, NONE, NONE, alu_cmpxchg_pair)),
			BY_REG(0, [1] = UD)),
	[0xc8 ... 0xcf] = ROW(F_NOREAD, OPREG, OPREG, NONE, alu_bswap),
	[0xd6] = BY_PREFIX([1] = STORE(8)),
	[0xe7] = BY_PREFIX([1] = ALIGNED(simd_store)),
	[0xf0] = BY_PREFIX([3] = LOAD(SIMD_FULL)),
	[0xff] = UD,
};

const struct emul_insn table_0f38[256] = {
	[0x2a] = BY_PREFIX([1] = ALIGNED(simd_load)),
	/* MOVBE; with F2 these opcodes are CRC32. */
	[0xf0] = BY_PREFIX([0 ... 1] = M(F_MEM | F_NOREAD, REG, RM, NONE, alu_bswap)),
	[0xf1] = BY_PREFIX([0 ... 1] = M(F_MEM | F_NOREAD, RM, REG, NONE, alu_bswap)),
};
