/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Into the guest and back. Nothing here may return or branch indirectly between loading the guest's
 * SPEC_CTRL and VMRUN, nor before the return buffer is filled after the exit. From the first VMLOAD
 * to the last one GS is the guest's: no per-CPU variable in between.
 */
#include <linux/linkage.h>
#include <asm/alternative.h>
#include <asm/asm.h>
#include <asm/cpufeatures.h>
#include <asm/msr-index.h>
#include <asm/nospec-branch.h>
#include <asm/percpu.h>
#include "return_buffer.h"
#include "enter.h"

#define GPR(n)		((n) * 8)

/* Kernels that tell the two apart have one for the way into a guest, one for the way out of it. */
#ifdef VM_CLEAR_CPU_BUFFERS
#define CLEAR_BUFFERS	VM_CLEAR_CPU_BUFFERS
#else
#define CLEAR_BUFFERS	CLEAR_CPU_BUFFERS
#endif
#ifdef UNTRAIN_RET_VM
#define UNTRAIN		UNTRAIN_RET_VM
#else
#define UNTRAIN		UNTRAIN_RET
#endif

.section .noinstr.text, "ax"

SYM_FUNC_START(svm_enter_guest)
	push	%rbp
	push	%r15
	push	%r14
	push	%r13
	push	%r12
	push	%rbx
	push	%rsi			/* ctx */
	push	%rdi			/* gpr */

	/* Where the VMCB has a place for SPEC_CTRL, the CPU switches it. */
	ALTERNATIVE_2 "jmp .Lspec_guest", "", X86_FEATURE_MSR_SPEC_CTRL, \
		"jmp .Lspec_guest", X86_FEATURE_V_SPEC_CTRL
	mov	SVM_CTX_SPEC_CTRL(%rsi), %eax
	cmp	PER_CPU_VAR(x86_spec_ctrl_current), %eax
	je	.Lspec_guest
	mov	$MSR_IA32_SPEC_CTRL, %ecx
	xor	%edx, %edx
	wrmsr
.Lspec_guest:

	mov	SVM_CTX_VMCB(%rsi), %rax
	mov	GPR(1)(%rdi), %rcx
	mov	GPR(2)(%rdi), %rdx
	mov	GPR(3)(%rdi), %rbx
	mov	GPR(5)(%rdi), %rbp
	mov	GPR(6)(%rdi), %rsi
	mov	GPR(8)(%rdi), %r8
	mov	GPR(9)(%rdi), %r9
	mov	GPR(10)(%rdi), %r10
	mov	GPR(11)(%rdi), %r11
	mov	GPR(12)(%rdi), %r12
	mov	GPR(13)(%rdi), %r13
	mov	GPR(14)(%rdi), %r14
	mov	GPR(15)(%rdi), %r15
	mov	GPR(7)(%rdi), %rdi

	CLEAR_BUFFERS
	/*
	 * GIF is clear: this only says that the host's interrupts end the guest. Not right before
	 * VMRUN, so that the shadow it casts ends here.
	 */
	sti
.Lload_guest:
	vmload	%rax
.Lrun:
	vmrun	%rax
.Lran:
	cli
.Lsave_guest:
	vmsave	%rax

	mov	(%rsp), %rax		/* gpr */
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

	mov	8(%rsp), %rsi		/* ctx */
	mov	SVM_CTX_HOST(%rsi), %rax
.Lload_host:
	vmload	%rax			/* GS and with it the per-CPU variables */
.Lloaded_host:

	_ASM_EXTABLE(.Lload_guest, .Lran)
	_ASM_EXTABLE(.Lrun, .Lran)
	_ASM_EXTABLE(.Lsave_guest, .Lload_host)
	_ASM_EXTABLE(.Lload_host, .Lloaded_host)

	FILL_RETURNS

	/* The host's SPEC_CTRL, before the first return. */
	ALTERNATIVE_2 "jmp .Lspec_host", "", X86_FEATURE_MSR_SPEC_CTRL, \
		"jmp .Lspec_host", X86_FEATURE_V_SPEC_CTRL
	mov	$MSR_IA32_SPEC_CTRL, %ecx
	btl	$SVM_CTX_SAVE_SPEC_CTRL, SVM_CTX_FLAGS(%rsi)
	jnc	.Lspec_saved
	rdmsr
	mov	%eax, SVM_CTX_SPEC_CTRL(%rsi)
.Lspec_saved:
	mov	PER_CPU_VAR(x86_spec_ctrl_current), %eax
	cmp	SVM_CTX_SPEC_CTRL(%rsi), %eax
	je	.Lspec_host
	xor	%edx, %edx
	wrmsr
.Lspec_host:
	UNTRAIN

	/* No guest value may be left for the host to speculate with. */
	xor	%eax, %eax
	xor	%ecx, %ecx
	xor	%edx, %edx
	xor	%esi, %esi
	xor	%edi, %edi
	xor	%r8d, %r8d
	xor	%r9d, %r9d
	xor	%r10d, %r10d
	xor	%r11d, %r11d

	add	$16, %rsp
	pop	%rbx
	pop	%r12
	pop	%r13
	pop	%r14
	pop	%r15
	pop	%rbp
	RET
SYM_FUNC_END(svm_enter_guest)
