/* SPDX-License-Identifier: GPL-2.0-only */
/* From an exit code to a neutral exit: what most exits by an instruction need, inlined; the rest is in exit.c. */
#ifndef CORBEL_SVM_EXIT_H
#define CORBEL_SVM_EXIT_H

#include "exit.h"
#include "svm/svm.h"

#define SVM_NR_CODES	256	/* a power of two: no more than a mask is needed to stay within the table */
#define SVM_PLAIN	0x80	/* beside an enum exit_kind: an instruction, of which svm_exit_plain() knows all */

extern const u8 svm_kinds[SVM_NR_CODES];	/* 0: not listed */

void svm_exit_decode(struct vcpu *vcpu, struct vcpu_exit *exit);

/* Without the next RIP, which is 0 then, the emulator finds out. */
static __always_inline u8 svm_insn_len(const struct vmcb *vmcb)
{
	u64 next = vmcb->control.next_rip, len = next - vmcb->save.rip;

	return likely(len <= 15 && next) ? len : 0;
}

/* APM volume 2, "EXITINFO1 for IOIO Intercept"; EXITINFO2 is the next instruction's RIP. */
static __always_inline void svm_exit_io(const struct vmcb *vmcb, struct vcpu_exit *exit)
{
	u32 info = vmcb->control.exit_info_1;

	exit->insn_len = vmcb->control.exit_info_2 - vmcb->save.rip;
	exit->io.size = (info & SVM_IOIO_SIZE_MASK) >> SVM_IOIO_SIZE_SHIFT;
	exit->io.in = info & SVM_IOIO_TYPE_MASK;
	exit->io.string = info & SVM_IOIO_STR_MASK;
	exit->io.asked = false;
	exit->io.port = info >> 16;
}

/*
 * True: it was an exit by an instruction, no event was on its way, and nobody waits for an IRET, a step or a software
 * interrupt. Whatever was being injected has been delivered.
 */
static __always_inline bool svm_exit_plain(struct vcpu *vcpu, struct svm_vcpu *svm)
{
	const struct vmcb *vmcb = svm->vmcb;
	struct vcpu_exit *exit = &vcpu->exit;
	u32 code = vmcb->control.exit_code, row = svm_kinds[code % SVM_NR_CODES];

	if (unlikely(code >= SVM_NR_CODES || !(row & SVM_PLAIN)) ||
	    unlikely(vmcb->control.exit_int_info & SVM_EXITINTINFO_VALID) ||
	    unlikely(svm->iret_pending | svm->stepping | svm->soft_injected))
		return false;
	vcpu->events.entry.type = EVENT_NONE;
	exit->hw_reason = code;
	exit->kind = row & ~SVM_PLAIN;
	if (exit->kind == EXIT_IO) {
		svm_exit_io(vmcb, exit);
		return true;
	}
	exit->insn_len = svm_insn_len(vmcb);
	if (exit->kind == EXIT_MSR_READ && vmcb->control.exit_info_1)
		exit->kind = EXIT_MSR_WRITE;
	return true;
}

#endif
