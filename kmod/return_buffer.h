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

.macro RETURN_SLOTS count
	.rept	\count
	__FILL_RETURN_SLOT
	.endr
	add	$(8 * \count), %rsp
.endm

/* All slots, or the one that processors with enhanced IBRS need, or none: as the kernel chose. */
.macro FILL_RETURNS
	ALTERNATIVE_2 "jmp .Lreturns_filled_\@", "", X86_FEATURE_RSB_VMEXIT, \
		"jmp .Lreturn_one_\@", X86_FEATURE_RSB_VMEXIT_LITE
	RETURN_SLOTS RSB_CLEAR_LOOPS
	lfence
	CREDIT_CALL_DEPTH
	jmp	.Lreturns_filled_\@
.Lreturn_one_\@:
	RETURN_SLOTS 1
	lfence
.Lreturns_filled_\@:
.endm

/*
 * A few slots, for a loop that returns to nobody who called before the exit. The kernel itself returns without a
 * call where a kretprobe, or code that is just being patched, is in what the loop calls; and a processor may lose
 * count over calls and returns that were only speculated.
 */
#define FEW_RETURNS	8
.macro FILL_SOME_RETURNS
	ALTERNATIVE_2 "jmp .Lsome_returns_\@", "", X86_FEATURE_RSB_VMEXIT, "", X86_FEATURE_RSB_VMEXIT_LITE
	RETURN_SLOTS FEW_RETURNS
.Lsome_returns_\@:
.endm

#endif
