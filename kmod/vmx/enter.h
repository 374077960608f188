/* SPDX-License-Identifier: GPL-2.0-only */
/* The contract between enter.S and run.c. */
#ifndef CORBEL_VMX_ENTER_H
#define CORBEL_VMX_ENTER_H

/* Offsets in struct vmx_enter_ctx; checked in run.c. */
#define VMX_CTX_HOST_RSP	0
#define VMX_CTX_SPEC_CTRL	8
#define VMX_CTX_NMI_ENTRY	16
#define VMX_CTX_FLAGS		24
#define VMX_CTX_INTR_INFO	28
#define VMX_REGS_CR2		0x98	/* in struct vcpu_regs, behind the general registers */

#define VMX_CTX_LAUNCHED	0	/* bit: VMRESUME instead of VMLAUNCH */
#define VMX_CTX_SAVE_SPEC_CTRL	1	/* bit: the guest may write MSR_IA32_SPEC_CTRL by itself */

#define VMX_VMFAIL		0xffffffff	/* for an exit reason: the entry instruction failed */
#define VMX_STAY_ON		2		/* of vmx_stay_next(): enter again */

#ifndef __ASSEMBLY__
#include <linux/types.h>

struct vcpu_regs;

struct vmx_enter_ctx {
	unsigned long host_rsp;		/* as last written to the VMCS */
	u64 spec_ctrl;			/* the guest's MSR_IA32_SPEC_CTRL */
	unsigned long nmi_entry;	/* the host's gate for NMIs, which is called before anything else */
	u32 flags;
	u32 intr_info;			/* of the last exit, if that was an exception or NMI */
};

/**
 * vmx_stay() - enter the guest, and again after each exit for as long as vmx_stay_next() says so
 * @regs: the sixteen general registers in encoding order, of which RSP is not touched, and CR2, which is read only
 * @ctx: see above
 * Return: what vmx_stay_next() has returned last
 */
u32 vmx_stay(struct vcpu_regs *regs, struct vmx_enter_ctx *ctx);

/**
 * vmx_stay_next() - what enter.S calls after each exit
 * @reason: exit reason, or VMX_VMFAIL when the entry instruction itself failed (VMfail, or a fault
 *	because VMX was turned off by an emergency)
 * Return: VMX_STAY_ON, or whether exit_handle() must have the exit that ended the stay
 */
u32 vmx_stay_next(struct vcpu_regs *regs, struct vmx_enter_ctx *ctx, u32 reason);

/** vmx_call_gate() - call an interrupt gate's handler as if the interrupt came in now */
void vmx_call_gate(unsigned long entry);

extern const char vmx_exit_point[];	/* HOST_RIP */
#endif
#endif
