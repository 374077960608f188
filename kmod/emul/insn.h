/* SPDX-License-Identifier: GPL-2.0-only */
/* What the emulator's files share: the form of a table row, and their helpers. */
#ifndef CORBEL_EMUL_INSN_H
#define CORBEL_EMUL_INSN_H

#include "emul.h"

/* Operand kinds; the width is d.op_bytes unless the name says otherwise. */
enum operand_kind {
	K_NONE,
	K_REG,		/* register named by ModRM.reg; after loading: any register */
	K_RM,		/* register or memory; after loading: memory */
	K_RM8, K_RM16, K_RM32,
	K_RMV16,	/* a register of d.op_bytes, or 16 bits of memory */
	K_OPREG,	/* register named by the opcode's low bits */
	K_ACC,		/* AL, AX, EAX, RAX */
	K_IMM,
	K_ONE,
	K_CL,
	K_MOFFS,	/* memory at the immediate address */
	K_ADDR,		/* memory whose address alone is used by generic code */
	K_POP,		/* popped from the stack */
	K_SREG,		/* selector of ModRM.reg */
	K_OPSREG,	/* selector of the segment register named by opcode bits 3-5 */
};

enum imm_kind {
	I_NONE,
	I_S8,		/* one byte, sign-extended */
	I_U8,
	I_U16,
	I_Z,		/* d.op_bytes, at most 4, sign-extended */
	I_V,		/* d.op_bytes */
	I_MOFFS,	/* d.ad_bytes */
	I_FAR,		/* offset in imm, selector in imm2 */
	I_ENTER,	/* 16 bits in imm, 8 in imm2 */
};

#define F_MODRM		0x00000001u
#define F_W		0x00000002u	/* opcode bit 0 clear: byte operands */
#define F_NOREAD	0x00000004u	/* the destination's old value is not used */
#define F_NOWRITE	0x00000008u	/* the destination is not written */
#define F_LOCK		0x00000010u	/* LOCK is valid with a memory destination */
#define F_XLOCK		0x00000020u	/* locked without a prefix */
#define F_D64		0x00000040u	/* 64-bit operand by default in 64-bit mode */
#define F_F64		0x00000080u	/* 64-bit operand always in 64-bit mode */
#define F_NO64		0x00000100u	/* #UD in 64-bit mode */
#define F_CPL0		0x00000200u	/* #GP unless CPL is 0 */
#define F_PROT		0x00000400u	/* #UD in real and virtual-8086 mode */
#define F_MEM		0x00000800u	/* #UD with a register operand */
#define F_BITS		0x00001000u	/* bit offset in a register reaches beyond the operand */
#define F_STRING	0x00002000u
#define F_SIMD		0x00004000u	/* imm holds the operand's bytes, 0: the vector's length */
#define F_ALIGN		0x00008000u	/* #GP unless memory is aligned to the operand's size */
#define F_VEX		0x00010000u	/* exists with a VEX prefix too */
#define F_GROUP		0x00020000u	/* next[ModRM.reg] is the row */
#define F_PFX		0x00040000u	/* next[no prefix, 66, F3, F2] is the row */
#define F_MOD3		0x00080000u	/* next[ModRM.mod == 3] is the row */
#define F_UD		0x00100000u	/* #UD by definition */
#define F_REPCC		0x00200000u	/* REPE and REPNE look at ZF */
#define F_BYTE		0x00800000u	/* byte operands */
#define F_PIO		0x01000000u	/* operands of at most 4 bytes */
#define F_32		0x02000000u	/* operands of at least 4 bytes */
#define F_CTL		0x00400000u	/* control or debug register: ModRM is always a register */

struct emul_insn {
	u32 flags;
	u8 dst;
	u8 src;
	u8 imm;
	union {
		int (*exec)(struct emul *e);
		const struct emul_insn *next;
	};
};

extern const struct emul_insn table_1byte[256];
extern const struct emul_insn table_2byte[256];
const struct emul_insn *table_0f38(u8 opcode);

static inline u64 emul_mask(unsigned int bytes)
{
	return bytes >= 8 ? ~0ull : (1ull << (bytes * 8)) - 1;
}

static inline u64 emul_sign_bit(unsigned int bytes)
{
	return 1ull << (bytes * 8 - 1);
}

static inline u64 emul_sext(u64 val, unsigned int bytes)
{
	u64 sign = emul_sign_bit(bytes);

	return ((val & emul_mask(bytes)) ^ sign) - sign;
}

static inline bool emul_is_64(const struct emul *e)
{
	return e->state.mode == EMUL_MODE_64;
}

/* Real or virtual-8086 mode: selectors are paragraphs. */
static inline bool emul_is_86(const struct emul *e)
{
	return e->state.mode == EMUL_MODE_REAL || e->state.mode == EMUL_MODE_VM86;
}

/* mem.c */
int mem_fault(struct emul *e, u8 vector, u32 error);
int mem_ud(struct emul *e);
int mem_gp(struct emul *e, u32 error);
int mem_linear(struct emul *e, unsigned int seg, u64 offset, unsigned int len, bool write,
	       u64 *linear);
int mem_read(struct emul *e, unsigned int seg, u64 offset, void *buf, unsigned int len);
int mem_write(struct emul *e, unsigned int seg, u64 offset, const void *buf, unsigned int len);
u64 mem_base(const struct emul *e, unsigned int seg);
int mem_aligned(struct emul *e, const struct emul_operand *op, unsigned int bytes);
int mem_push_probe(struct emul *e, unsigned int bytes);
int mem_push(struct emul *e, u64 val, unsigned int bytes);
int mem_pop(struct emul *e, u64 *val, unsigned int bytes);
u64 mem_stack_mask(const struct emul *e);

/* exec.c */
u64 exec_reg_read(const struct emul *e, unsigned int reg, unsigned int bytes);
void exec_reg_write(struct emul *e, unsigned int reg, unsigned int bytes, u64 val);
void exec_reg_add(struct emul *e, unsigned int reg, unsigned int bytes, u64 add);
bool exec_cond(const struct emul *e, unsigned int cc);
int exec_mov(struct emul *e);
int exec_nop(struct emul *e);

/* alu.c */
u64 alu_add(u64 *rflags, unsigned int bytes, u64 a, u64 b, bool carry);
u64 alu_sub(u64 *rflags, unsigned int bytes, u64 a, u64 b, bool borrow);
int alu_binary(struct emul *e);
int alu_test(struct emul *e);
int alu_incdec(struct emul *e);
int alu_unary(struct emul *e);
int alu_imul(struct emul *e);
int alu_shift(struct emul *e);
int alu_shift_double(struct emul *e);
int alu_xadd(struct emul *e);
int alu_cmpxchg(struct emul *e);
int alu_cmpxchg_pair(struct emul *e);
int alu_xchg(struct emul *e);
int alu_bit(struct emul *e);
int alu_bitscan(struct emul *e);
int alu_popcnt(struct emul *e);
int alu_bswap(struct emul *e);
int alu_movsx(struct emul *e);
int alu_setcc(struct emul *e);
int alu_cmov(struct emul *e);
int alu_cbw(struct emul *e);
int alu_cwd(struct emul *e);
int alu_flag(struct emul *e);
int alu_lahf(struct emul *e);
int alu_sahf(struct emul *e);
int alu_decimal(struct emul *e);
int alu_aam(struct emul *e);
int alu_aad(struct emul *e);

/* string.c */
int string_movs(struct emul *e);
int string_cmps(struct emul *e);
int string_scas(struct emul *e);
int string_stos(struct emul *e);
int string_lods(struct emul *e);
int string_ins(struct emul *e);
int string_outs(struct emul *e);
int string_xlat(struct emul *e);

/* simd.c */
int simd_check(struct emul *e);
int simd_load(struct emul *e);
int simd_load_low(struct emul *e);
int simd_load_high(struct emul *e);
int simd_store(struct emul *e);
int simd_store_high(struct emul *e);
int simd_movd_load(struct emul *e);
int simd_movd_store(struct emul *e);

/* seg.c */
int seg_load(struct emul *e, unsigned int sreg, u16 selector);
int seg_check_cs(struct emul *e, u16 selector, u64 ip, bool ret, struct emul_segment *cs);
void seg_set_cs(struct emul *e, const struct emul_segment *cs, u64 ip);
int seg_mov(struct emul *e);
int seg_far_pointer(struct emul *e);
int seg_table_store(struct emul *e);
int seg_table_load(struct emul *e);
int seg_sldt(struct emul *e);
int seg_lldt(struct emul *e);

/* flow.c */
int flow_jcc(struct emul *e);
int flow_jmp(struct emul *e);
int flow_call(struct emul *e);
int flow_jmp_indirect(struct emul *e);
int flow_call_indirect(struct emul *e);
int flow_ret(struct emul *e);
int flow_loop(struct emul *e);
int flow_push(struct emul *e);
int flow_pusha(struct emul *e);
int flow_popa(struct emul *e);
int flow_pushf(struct emul *e);
int flow_popf(struct emul *e);
int flow_enter(struct emul *e);
int flow_leave(struct emul *e);
int flow_jmp_far(struct emul *e);
int flow_call_far(struct emul *e);
int flow_ret_far(struct emul *e);
int flow_iret(struct emul *e);
int flow_int(struct emul *e);
int flow_bound(struct emul *e);

/* sys.c */
int sys_in(struct emul *e);
int sys_out(struct emul *e);
int sys_pio_check(struct emul *e, u16 port, unsigned int size);
int sys_cli(struct emul *e);
int sys_sti(struct emul *e);
int sys_hlt(struct emul *e);
int sys_cpuid(struct emul *e);
int sys_rdmsr(struct emul *e);
int sys_wrmsr(struct emul *e);
int sys_rdtsc(struct emul *e);
int sys_wbinvd(struct emul *e);
int sys_mov_from_cr(struct emul *e);
int sys_mov_to_cr(struct emul *e);
int sys_mov_from_dr(struct emul *e);
int sys_mov_to_dr(struct emul *e);
int sys_clts(struct emul *e);
int sys_smsw(struct emul *e);
int sys_lmsw(struct emul *e);
int sys_invlpg(struct emul *e);

#endif
