/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Into the guest and back, as often as vmx_stay_next() wants. Nothing here may branch indirectly between loading
 * the guest's SPEC_CTRL and the entry, and no return may come before the host's SPEC_CTRL is loaded.
 *
 * Nor may a return be predicted from what the guest left in the return buffer. What is called between an exit and
 * the next entry finds its own call there, so that only a return whose call was before the entry needs the whole
 * buffer filled: the last one here. See return_buffer.h for those that the kernel makes without a call.
 */
#include <linux/linkage.h>
#include <asm/alternative.h>
#include <asm/asm.h>
#include <asm/cpufeatures.h>
#include <asm/msr-index.h>
#include <asm/nospec-branch.h>
#include <asm/percpu.h>
#include <asm/segment.h>
#include "enter.h"
#include "return_buffer.h"

#define GPR(n)		((n) * 8)
#define FIELD_HOST_RSP	0x6c14
#define FIELD_EXIT_REASON 0x4402
#define FIELD_EXIT_INTR	0x4404
#define INTR_TYPE_VALID	0x80000700	/* in an interruption-information field */
#define INTR_NMI	0x80000200

.section .noinstr.text, "ax"

SYM_FUNC_START(vmx_stay)
	push	%rbp
	push	%r15
	push	%r14
	push	%r13
	push	%r12
	push	%rbx
	push	%rsi			/* ctx */
	push	%rdi			/* regs */

	/* The same thread enters from the same depth nearly always. */
	cmp	%rsp, VMX_CTX_HOST_RSP(%rsi)
	je	.Lenter
	mov	%rsp, VMX_CTX_HOST_RSP(%rsi)
	mov	$FIELD_HOST_RSP, %eax
.Lset_rsp:
	vmwrite	%rsp, %rax

.Lenter:
	ALTERNATIVE "jmp .Lspec_guest", "", X86_FEATURE_MSR_SPEC_CTRL
	mov	VMX_CTX_SPEC_CTRL(%rsi), %eax
	cmp	PER_CPU_VAR(x86_spec_ctrl_current), %eax
	je	.Lspec_guest
	mov	$MSR_IA32_SPEC_CTRL, %ecx
	xor	%edx, %edx
	wrmsr
.Lspec_guest:
	mov	%rdi, %rax
	btl	$VMX_CTX_LAUNCHED, VMX_CTX_FLAGS(%rsi)	/* into CF; no MOV below changes it */

	/* The exit resumes at vmx_exit_point with this stack. */
	UNWIND_HINT_SAVE
	mov	GPR(1)(%rax), %rcx
	mov	GPR(2)(%rax), %rdx
	mov	GPR(3)(%rax), %rbx
	mov	GPR(5)(%rax), %rbp
	mov	GPR(6)(%rax), %rsi
	mov	GPR(7)(%rax), %rdi
	mov	GPR(8)(%rax), %r8
	mov	GPR(9)(%rax), %r9
	mov	GPR(10)(%rax), %r10
	mov	GPR(11)(%rax), %r11
	mov	GPR(12)(%rax), %r12
	mov	GPR(13)(%rax), %r13
	mov	GPR(14)(%rax), %r14
	mov	GPR(15)(%rax), %r15
	mov	GPR(0)(%rax), %rax

	CLEAR_CPU_BUFFERS		/* VERW changes ZF only */
	jnc	.Llaunch
.Lresume:
	vmresume
	jmp	.Lfail
.Llaunch:
	vmlaunch
	jmp	.Lfail

	_ASM_EXTABLE(.Lset_rsp, .Lfail)
	_ASM_EXTABLE(.Lresume, .Lfail)
	_ASM_EXTABLE(.Llaunch, .Lfail)
	_ASM_EXTABLE(.Lget_reason, .Lfail)
	_ASM_EXTABLE(.Lget_intr, .Lnext)

SYM_INNER_LABEL(vmx_exit_point, SYM_L_GLOBAL)
	UNWIND_HINT_RESTORE
	ENDBR
	push	%rax
	mov	8(%rsp), %rax		/* regs */
	pop	GPR(0)(%rax)
	mov	%rcx, GPR(1)(%rax)
	mov	%rdx, GPR(2)(%rax)
	mov	%rbx, GPR(3)(%rax)
	mov	%rbp, GPR(5)(%rax)
	mov	%rsi, GPR(6)(%rax)
	mov	%rdi, GPR(7)(%rax)
	mov	%r8, GPR(8)(%rax)
	mov	%r9, GPR(9)(%rax)
	mov	%r10, GPR(10)(%rax)
	mov	%r11, GPR(11)(%rax)
	mov	%r12, GPR(12)(%rax)
	mov	%r13, GPR(13)(%rax)
	mov	%r14, GPR(14)(%rax)
	mov	%r15, GPR(15)(%rax)
	mov	%cr2, %rcx
	mov	%rcx, VMX_REGS_CR2(%rax)
	mov	$FIELD_EXIT_REASON, %eax
.Lget_reason:
	vmread	%rax, %rbx
	jbe	.Lfail

.Lout:
	/* No guest value may be left for the host to speculate with. RBX has the exit reason. */
	mov	56(%rsp), %rbp		/* the caller's frame, for who unwinds */
	UNWIND_HINT_RESTORE
	mov	8(%rsp), %rsi		/* ctx */
	xor	%eax, %eax
	xor	%ecx, %ecx
	xor	%edx, %edx
	xor	%edi, %edi
	xor	%r8d, %r8d
	xor	%r9d, %r9d
	xor	%r10d, %r10d
	xor	%r11d, %r11d
	xor	%r12d, %r12d
	xor	%r13d, %r13d
	xor	%r14d, %r14d
	xor	%r15d, %r15d

	FILL_SOME_RETURNS

	/*
	 * The host's SPEC_CTRL, before the first return. With kernel IBRS the exit itself must be
	 * followed by a write.
	 */
	ALTERNATIVE "jmp .Lspec_host", "", X86_FEATURE_MSR_SPEC_CTRL
	mov	$MSR_IA32_SPEC_CTRL, %ecx
	btl	$VMX_CTX_SAVE_SPEC_CTRL, VMX_CTX_FLAGS(%rsi)
	jnc	.Lspec_saved
	rdmsr
	mov	%eax, VMX_CTX_SPEC_CTRL(%rsi)
.Lspec_saved:
	mov	PER_CPU_VAR(x86_spec_ctrl_current), %eax
	ALTERNATIVE "", "jmp .Lspec_write", X86_FEATURE_KERNEL_IBRS
	cmp	VMX_CTX_SPEC_CTRL(%rsi), %eax
	je	.Lspec_host
.Lspec_write:
	xor	%edx, %edx
	wrmsr
.Lspec_host:
	lfence				/* the branches above must not be speculated past */

	CLEAR_BRANCH_HISTORY_VMEXIT

	test	%ebx, %ebx
	jz	.Lexception
.Lnext:
	mov	(%rsp), %rdi
	mov	8(%rsp), %rsi
	mov	%ebx, %edx
	call	vmx_stay_next
	mov	(%rsp), %rdi
	mov	8(%rsp), %rsi
	test	$VMX_STAY_ON, %al
	jnz	.Lenter

	FILL_RETURNS

	add	$16, %rsp
	pop	%rbx
	pop	%r12
	pop	%r13
	pop	%r14
	pop	%r15
	pop	%rbp
	RET

.Lfail:
	mov	$VMX_VMFAIL, %ebx
	jmp	.Lout

	/*
	 * An exception, or an NMI. That is the host's, and must run before anything can be interrupted by
	 * another.
	 */
.Lexception:
	mov	$FIELD_EXIT_INTR, %ecx
.Lget_intr:
	vmread	%rcx, %rcx
	jbe	.Lnext
	mov	%ecx, VMX_CTX_INTR_INFO(%rsi)
	and	$INTR_TYPE_VALID, %ecx
	cmp	$INTR_NMI, %ecx
	jne	.Lnext
	mov	VMX_CTX_NMI_ENTRY(%rsi), %rdi
	call	vmx_call_gate
	jmp	.Lnext
SYM_FUNC_END(vmx_stay)

/*
 * The frame an interrupt would have pushed, then the gate. IRET in the handler unwinds it; RSP is
 * taken from RBP because objtool cannot know that.
 */
SYM_FUNC_START(vmx_call_gate)
	push	%rbp
	mov	%rsp, %rbp
	and	$-16, %rsp
	push	$__KERNEL_DS
	push	%rbp
	pushf
	push	$__KERNEL_CS
	CALL_NOSPEC rdi
	mov	%rbp, %rsp
	pop	%rbp
	RET
SYM_FUNC_END(vmx_call_gate)

/* vmcs_error() for vmcs.h, with the field on the stack. Every register is kept. */
.macro FAILED name write
SYM_FUNC_START(\name)
	push	%rbp
	mov	%rsp, %rbp
	and	$-16, %rsp
	push	%rax
	push	%rcx
	push	%rdx
	push	%rsi
	push	%rdi
	push	%r8
	push	%r9
	push	%r10
	push	%r11
	push	%r11			/* for the alignment */
	mov	16(%rbp), %rdi
	mov	$\write, %esi
	call	vmcs_error
	pop	%r11
	pop	%r11
	pop	%r10
	pop	%r9
	pop	%r8
	pop	%rdi
	pop	%rsi
	pop	%rdx
	pop	%rcx
	pop	%rax
	mov	%rbp, %rsp
	pop	%rbp
	RET
SYM_FUNC_END(\name)
.endm

	FAILED vmcs_read_failed 0
	FAILED vmcs_write_failed 1
