/* SPDX-License-Identifier: GPL-2.0-only */
/* The instruction forms that the fuzzer makes instances of. */
#ifndef CORBEL_TEST_FORMS_H
#define CORBEL_TEST_FORMS_H

#include "machine.h"

enum { NO_MODRM = -2, ANY_REG = -1 };

enum form_imm { IMM_NONE, IMM_8, IMM_16, IMM_Z, IMM_V, IMM_MOFFS, IMM_ENTER, IMM_REL8, IMM_RELZ,
		IMM_FAR };

#define FM_NO64		0x0001
#define FM_ONLY64	0x0002
#define FM_MEM		0x0004		/* memory operands only */
#define FM_REG		0x0008		/* register operands only */
#define FM_LOCK		0x0010		/* a LOCK prefix is worth trying often */
#define FM_STRING	0x0020
#define FM_STACK	0x0040
#define FM_DIV		0x0080
#define FM_BITS		0x0100		/* the register operand is a bit offset */
#define FM_MATCH	0x0200		/* comparands are often equal to memory */
#define FM_SIMD		0x0400
#define FM_VEX		0x0800
#define FM_L256		0x1000		/* VEX.L may be set */
#define FM_NO16		0x2000		/* undefined with 16-bit operands */
#define FM_POPF		0x4000
#define FM_NO66		0x10000		/* 64-bit mode: vendors differ with a 66 prefix */
#define FM_SHIFT	0x40000		/* OF or CF undefined for some counts */
#define FM_BRANCH	0x80000		/* the operand is a code address */
#define FM_RET		0x100000
#define FM_PARTIAL	0x200000	/* a fault leaves some registers changed on some CPUs */
#define FM_UNORDERED	0x400000	/* either operand's fault may come first */
#define FM_FAULTS	0x800000	/* always faults in user mode */
#define FM_FAR		0x1000000	/* the operand is a far pointer */
#define FM_NO_REXW	0x2000000	/* vendors differ with REX.W */
#define FM_SELECTOR	0x4000000	/* the operand is a selector */
#define FM_SREG		0x20000		/* the reg field names a segment register */

struct form {
	const char *name;
	u8 map;			/* 0: one byte, 1: 0F, 2: 0F 38 */
	u8 opcode;
	u8 span;		/* how many opcodes from @opcode on */
	s8 digit;
	u8 imm;
	u8 prefix;		/* mandatory prefix */
	u32 flags;
	u32 undefined;		/* RFLAGS bits that the instruction leaves undefined */
};

extern const struct form forms[];
extern const unsigned int nr_forms;

#endif
