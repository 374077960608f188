/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The return buffer after an exit: what the guest left there must not be where our returns are
 * predicted to go. Each slot is a call of what comes next, and an INT3 for who is sent back there
 * by speculation. Straight-line, because the loop of the kernel's own macro doubles the
 * instructions, and this is the longest part of an exit that is served at once.
 */
#ifndef CORBEL_RETURN_BUFFER_H
#define CORBEL_RETURN_BUFFER_H

#include <asm/alternative.h>
#include <asm/asm-offsets.h>
#include <asm/cpufeatures.h>
#include <asm/nospec-branch.h>
#include <asm/percpu.h>

#ifndef CREDIT_CALL_DEPTH	/* kernels that do not count calls */
#define CREDIT_CALL_DEPTH
#endif

/* All slots, or the one that processors with enhanced IBRS need, or none: as the kernel chose. */
.macro FILL_RETURNS
	ALTERNATIVE_2 "jmp .Lreturns_filled_\@", "", X86_FEATURE_RSB_VMEXIT, \
		"jmp .Lreturn_one_\@", X86_FEATURE_RSB_VMEXIT_LITE
	.rept	RSB_CLEAR_LOOPS
	__FILL_RETURN_SLOT
	.endr
	add	$(8 * RSB_CLEAR_LOOPS), %rsp
	lfence
	CREDIT_CALL_DEPTH
	jmp	.Lreturns_filled_\@
.Lreturn_one_\@:
	__FILL_RETURN_SLOT
	add	$8, %rsp
	lfence
.Lreturns_filled_\@:
.endm

#endif
