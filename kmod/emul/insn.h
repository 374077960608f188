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
	K_IMM,		/* after loading: any value that is neither in a register nor in memory */
	K_REL,		/* the immediate, relative to the next instruction */
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

#define SIMD_FULL	0	/* the vector's length */
#define SIMD_GPR	1	/* d.op_bytes */

#define F_MODRM		0x00000001u
#define F_W		0x00000002u	/* opcode bit 0 clear: byte operands */
#define F_NOREAD	0x00000004u	/* the destination's old value is not used */
#define F_NOWRITE	0x00000008u	/* a register or memory destination is not written */
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
#define F_SIMD		0x00004000u	/* imm: bytes, or SIMD_; src: first byte in the register */
#define F_ALIGN		0x00008000u	/* #GP unless memory is aligned to the operand's size */
#define F_VEX		0x00010000u	/* exists with a VEX prefix too */
#define F_GROUP		0x00020000u	/* next[ModRM.reg] is the row */
#define F_PFX		0x00040000u	/* next[no prefix, 66, F3, F2] is the row */
#define F_MOD3		0x00080000u	/* next[ModRM.mod == 3] is the row */
#define F_UD		0x00100000u	/* #UD by definition */
#define F_REPCC		0x00200000u	/* REPE and REPNE look at ZF */
#define F_CTL		0x00400000u	/* control or debug register: ModRM is always a register */
#define F_BYTE		0x00800000u	/* byte operands */
#define F_PIO		0x01000000u	/* operands of at most 4 bytes */
#define F_32		0x02000000u	/* operands of at least 4 bytes */
#define F_SREG		0x04000000u	/* ModRM.reg names a segment register */

/*
 * A row's handler finds its operands loaded, and RIP behind the instruction. What it leaves in
 * e->dst.val is stored. If e->result says that it failed, general registers, RIP and RFLAGS are put
 * back; segments, tables and the mode are changed last, and only when nothing has failed.
 */
typedef void emul_handler(struct emul *e);

struct emul_insn {
	u32 flags;
	u8 dst;
	u8 src;
	u8 imm;
	union {
		emul_handler *exec;
		const struct emul_insn *next;
	};
};

extern const struct emul_insn table_1byte[256];
extern const struct emul_insn table_0f[256];
extern const struct emul_insn table_0f38[256];

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

static inline unsigned int emul_iopl(const struct emul *e)
{
	return (e->state.regs.rflags & X86_EFLAGS_IOPL) >> X86_EFLAGS_IOPL_BIT;
}

static inline void emul_set_flag(struct emul *e, u64 flag, bool on)
{
	u64 *rflags = &e->state.regs.rflags;

	*rflags = on ? *rflags | flag : *rflags & ~flag;
}

/* mem.c: after a first failure accesses do nothing and reads give 0, so that few need to ask. */
void mem_result(struct emul *e, int result);
void mem_fault(struct emul *e, u8 vector, u32 error);
void mem_ud(struct emul *e);
void mem_gp(struct emul *e, u32 error);
u64 mem_base(const struct emul *e, unsigned int seg);
bool mem_canonical(const struct emul *e, u64 linear);
bool mem_in_limit(const struct emul *e, unsigned int seg, u64 offset, unsigned int len);
u64 mem_linear(struct emul *e, unsigned int seg, u64 offset, unsigned int len, bool write);
void mem_load(struct emul *e, u64 linear, void *buf, unsigned int len, unsigned int access);
void mem_store(struct emul *e, u64 linear, const void *buf, unsigned int len, unsigned int access);
void mem_replace(struct emul *e, u64 linear, const void *old, const void *new, unsigned int len);
u64 mem_read(struct emul *e, unsigned int seg, u64 offset, unsigned int len);
void mem_write(struct emul *e, unsigned int seg, u64 offset, u64 val, unsigned int len);
u64 mem_read_far(struct emul *e, const struct emul_operand *op, u16 *selector);
void mem_check_aligned(struct emul *e, const struct emul_operand *op, unsigned int bytes);
u64 mem_stack_mask(const struct emul *e);
void mem_set_sp(struct emul *e, u64 sp);
void mem_push_probe(struct emul *e, unsigned int bytes);
void mem_push(struct emul *e, u64 val, unsigned int bytes);
u64 mem_pop(struct emul *e, unsigned int bytes);

/* exec.c */
u64 exec_reg_read(const struct emul *e, unsigned int reg, unsigned int bytes);
void exec_reg_write(struct emul *e, unsigned int reg, unsigned int bytes, u64 val);
void exec_reg_add(struct emul *e, unsigned int reg, unsigned int bytes, u64 add);
bool exec_cond(const struct emul *e);
emul_handler exec_mov, exec_nop;

/* alu.c */
void alu_compare(struct emul *e, unsigned int bytes, u64 a, u64 b);
emul_handler alu_binary, alu_test, alu_incdec, alu_unary, alu_imul, alu_xadd, alu_xchg,
	     alu_cmpxchg, alu_cmpxchg_pair, alu_movsx, alu_cbw, alu_cwd, alu_setcc, alu_cmov,
	     alu_flag, alu_lahf, alu_sahf, alu_decimal, alu_aam, alu_aad, alu_shift,
	     alu_shift_double, alu_bit, alu_scan, alu_popcnt, alu_bswap;

/* string.c */
emul_handler string_movs, string_cmps, string_scas, string_stos, string_lods, string_ins,
	     string_outs, string_xlat;

/* simd.c */
emul_handler simd_check, simd_load, simd_load_half, simd_store, simd_x87;

/* seg.c */
void seg_check_cs(struct emul *e, u16 selector, u64 ip, bool ret, struct kvm_segment *cs);
void seg_set_cs(struct emul *e, const struct kvm_segment *cs, u64 ip);
emul_handler seg_mov, seg_far_pointer, seg_table_store, seg_table_load, seg_sldt, seg_lldt;

/* flow.c */
emul_handler flow_jcc, flow_jmp, flow_call, flow_ret, flow_loop, flow_push, flow_pusha, flow_popa, flow_pushf, flow_popf, flow_enter,
	     flow_leave, flow_jmp_far, flow_call_far, flow_ret_far, flow_iret, flow_int;

/* sys.c */
void sys_check_pio(struct emul *e, u16 port, unsigned int size);
void sys_check_umip(struct emul *e);
emul_handler sys_in, sys_out, sys_cli, sys_sti, sys_elsewhere, sys_hlt, sys_wbinvd, sys_invlpg, sys_cpuid,
	     sys_rdmsr, sys_wrmsr, sys_rdtsc, sys_mov_from_cr, sys_mov_to_cr, sys_clts,
	     sys_smsw, sys_lmsw;

#endif
