/* SPDX-License-Identifier: GPL-2.0-only */
/* The contract between enter.S and run.c. */
#ifndef CORBEL_VMX_ENTER_H
#define CORBEL_VMX_ENTER_H

/* Offsets in struct vmx_enter_ctx; checked in run.c. */
#define VMX_CTX_HOST_RSP	0
#define VMX_CTX_SPEC_CTRL	8
#define VMX_CTX_FLAGS		16

#define VMX_CTX_LAUNCHED	0	/* bit: VMRESUME instead of VMLAUNCH */
#define VMX_CTX_SAVE_SPEC_CTRL	1	/* bit: the guest may write MSR_IA32_SPEC_CTRL by itself */

#ifndef __ASSEMBLY__
#include <linux/types.h>

struct vmx_enter_ctx {
	unsigned long host_rsp;		/* as last written to the VMCS */
	u64 spec_ctrl;			/* the guest's MSR_IA32_SPEC_CTRL */
	u32 flags;
};

/**
 * vmx_enter_guest() - one VM entry and the exit that ends it
 * @gpr: the sixteen general registers in encoding order; RSP's place is not touched
 * @ctx: see above
 * Return: 0 after an exit, 1 when the entry instruction itself failed (VMfail, or a fault
 * because VMX was turned off by an emergency).
 */
int vmx_enter_guest(unsigned long *gpr, struct vmx_enter_ctx *ctx);

/** vmx_call_gate() - call an interrupt gate's handler as if the interrupt came in now */
void vmx_call_gate(unsigned long entry);

extern const char vmx_exit_point[];	/* HOST_RIP */
#endif
#endif
