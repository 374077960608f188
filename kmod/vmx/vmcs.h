/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Typed access to VMCS fields: the encoding tells the width, and the wrong one does not compile.
 * SDM, "Field Encoding in the VMCS". A fault is ignored: it means an emergency turned VMX off
 * under us.
 */
#ifndef CORBEL_VMCS_H
#define CORBEL_VMCS_H

#include <linux/build_bug.h>
#include <asm/asm.h>
#include "vmx/vmx.h"

enum vmcs_width { VMCS_16, VMCS_64, VMCS_32, VMCS_NATURAL };	/* bits 14:13 of the encoding */

#define vmcs_check(field, width)							\
	BUILD_BUG_ON_MSG(__builtin_constant_p(field) &&					\
			 ((((field) >> 13) & 3) != (width) || ((field) & 1)), "VMCS field width")

/*
 * A failure, which never happens, is reported by a call that the compiler does not see and that keeps all
 * registers (enter.S): else every function that reads a field would save some for it. It reads as 0.
 */
static __always_inline unsigned long __vmcs_read(unsigned long field)
{
	unsigned long val;

	asm volatile("1:	vmread	%[field], %[val]\n"
		     "	ja	2f\n"
		     "	push	%[field]\n"
		     "	call	vmcs_read_failed\n"
		     "	pop	%[val]\n"
		     "	xor	%k[val], %k[val]\n"
		     "2:\n"
		     _ASM_EXTABLE_TYPE_REG(1b, 2b, EX_TYPE_ZERO_REG, %[val])
		     : [val] "=r" (val), ASM_CALL_CONSTRAINT : [field] "r" (field) : "cc");
	return val;
}

static __always_inline void __vmcs_write(unsigned long field, unsigned long val)
{
	asm volatile("1:	vmwrite	%[val], %[field]\n"
		     "	ja	2f\n"
		     "	push	%[field]\n"
		     "	call	vmcs_write_failed\n"
		     "	pop	%[field]\n"
		     "2:\n"
		     _ASM_EXTABLE(1b, 2b)
		     : ASM_CALL_CONSTRAINT : [field] "r" (field), [val] "r" (val) : "cc");
}

#define VMCS_ACCESSORS(name, type, width)						\
static __always_inline type vmcs_read##name(unsigned long field)			\
{											\
	vmcs_check(field, width);							\
	return __vmcs_read(field);							\
}											\
static __always_inline void vmcs_write##name(unsigned long field, type val)		\
{											\
	vmcs_check(field, width);							\
	__vmcs_write(field, val);							\
}

VMCS_ACCESSORS(16, u16, VMCS_16)
VMCS_ACCESSORS(32, u32, VMCS_32)
VMCS_ACCESSORS(64, u64, VMCS_64)
VMCS_ACCESSORS(l, unsigned long, VMCS_NATURAL)

#define VMX_OP(insn, operand)								\
({											\
	bool failed;									\
	asm volatile("1: " insn " %[op]\n2:\n" _ASM_EXTABLE(1b, 2b)			\
		     : "=@ccbe" (failed) : [op] "m" (operand) : "memory");		\
	failed;										\
})

static inline bool vmcs_vmclear(struct vmcs *vmcs)
{
	u64 pa = __pa(vmcs);

	return VMX_OP("vmclear", pa);
}

static inline bool vmcs_vmptrld(struct vmcs *vmcs)
{
	u64 pa = __pa(vmcs);

	return VMX_OP("vmptrld", pa);
}

#endif
