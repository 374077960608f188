/* SPDX-License-Identifier: GPL-2.0-only */
/* From an exit reason to a neutral exit: what every exit needs, inlined; the rest is in exit.c. */
#ifndef CORBEL_VMX_EXIT_H
#define CORBEL_VMX_EXIT_H

#include "exit.h"
#include "vcpu.h"
#include "vmx/vmcs.h"
#include "vmx/vmx.h"

#define VMX_NR_REASONS	128	/* a power of two: no more than a mask is needed to stay within the table */

/*
 * A row of the table: an enum exit_kind and these. Only an exit that may come in the middle of delivering an event
 * needs a look at the IDT-vectoring field. One that an instruction caused is nearly always followed by a step over
 * that instruction.
 */
#define VMX_KIND	0xff
#define VMX_INSN	0x100
#define VMX_ANY_TIME	0x200
#define VMX_DETAILS	0x400	/* for vmx_exit_details() */

extern const u16 vmx_reasons[VMX_NR_REASONS];

void vmx_exit_requeue(struct vcpu *vcpu);
void vmx_exit_details(struct vcpu *vcpu, struct vcpu_exit *exit);
void vmx_exit_odd(struct vcpu *vcpu, u32 reason);

/* The general registers that enter.S saved, and what we intercept every write of. */
#define VMX_REGS_AFTER_EXIT	(((BIT_ULL(16) - 1) & ~BIT_ULL(GPR_RSP)) | BIT_ULL(REG_EFER) | BIT_ULL(REG_DR7))

/* What stepping over the instruction will ask for. */
static __always_inline void vmx_exit_insn(struct vcpu *vcpu)
{
	struct vcpu_regs *regs = &vcpu->regs;

	regs->rip = vmcs_readl(GUEST_RIP);
	regs->rflags = vmcs_readl(GUEST_RFLAGS);
	regs->shadow = vmcs_read32(GUEST_INTERRUPTIBILITY_INFO);
	regs->avail = VMX_REGS_AFTER_EXIT | BIT_ULL(REG_RIP) | BIT_ULL(REG_RFLAGS) | BIT_ULL(REG_SHADOW);
	vcpu->exit.insn_len = vmcs_read32(VM_EXIT_INSTRUCTION_LEN);
}

/* SDM, "Exit Qualification for I/O Instructions" */
static __always_inline void vmx_exit_io(struct vcpu_exit *exit)
{
	unsigned long qual = vmcs_readl(EXIT_QUALIFICATION);

	exit->io.size = (qual & 7) + 1;
	exit->io.in = qual & 8;
	exit->io.string = qual & 16;
	exit->io.asked = false;
	exit->io.port = qual >> 16;
}

/*
 * Hot reasons need nothing but their kind. Whatever was being injected has been delivered, unless
 * the vectoring field says otherwise.
 */
static __always_inline void vmx_exit_decode(struct vcpu *vcpu, struct vmx_vcpu *vmx, u32 reason)
{
	u32 row = vmx_reasons[reason % VMX_NR_REASONS];
	struct vcpu_exit *exit = &vcpu->exit;

	exit->hw_reason = reason;
	if (unlikely(reason >= VMX_NR_REASONS)) {
		vmx_exit_odd(vcpu, reason);
		return;
	}
	vmx->ctx.flags |= BIT(VMX_CTX_LAUNCHED);
	exit->kind = row & VMX_KIND;
	if (likely(row & VMX_INSN)) {
		vcpu->events.entry.type = EVENT_NONE;
		vmx_exit_insn(vcpu);
	} else {
		exit->insn_len = 0;
		vcpu->regs.avail = VMX_REGS_AFTER_EXIT;
		if (row & VMX_ANY_TIME)
			vmx_exit_requeue(vcpu);
		else
			vcpu->events.entry.type = EVENT_NONE;
	}
	if (!(row & VMX_DETAILS))
		return;
	if (exit->kind == EXIT_IO)
		vmx_exit_io(exit);
	else
		vmx_exit_details(vcpu, exit);
}

#endif
