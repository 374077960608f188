/* SPDX-License-Identifier: GPL-2.0-only */
/* The contract between enter.S and run.c. */
#ifndef CORBEL_SVM_ENTER_H
#define CORBEL_SVM_ENTER_H

/* Offsets in struct svm_enter_ctx; checked in run.c. */
#define SVM_CTX_VMCB		0
#define SVM_CTX_HOST		8
#define SVM_CTX_SPEC_CTRL	16
#define SVM_CTX_FLAGS		24

#define SVM_CTX_SAVE_SPEC_CTRL	0	/* bit: the guest may write MSR_IA32_SPEC_CTRL by itself */

#ifndef __ASSEMBLY__
#include <linux/types.h>

struct svm_enter_ctx {
	u64 vmcb;		/* physical address of the guest's VMCB */
	u64 host;		/* and of the page with what VMRUN does not keep of the host */
	u64 spec_ctrl;		/* the guest's MSR_IA32_SPEC_CTRL */
	u32 flags;
};

/**
 * svm_enter_guest() - one VMRUN and the exit that ends it
 * @gpr: the sixteen general registers in encoding order; RAX and RSP live in the VMCB
 * @ctx: see above
 *
 * Context: GIF clear. That the instruction itself failed shows in an exit code that nobody wrote.
 */
void svm_enter_guest(unsigned long *gpr, struct svm_enter_ctx *ctx);
#endif
#endif
