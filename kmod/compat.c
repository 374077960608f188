// SPDX-License-Identifier: GPL-2.0-only
/*
 * The one file that includes KVM's own header. xfer_to_guest_mode_handle_work() notes a signal in
 * the kvm_vcpu it is given: hand it a scratch one, never ours.
 */
#include <linux/entry-kvm.h>
#include <linux/kvm_host.h>

#include <asm/mce.h>
#include "compat.h"

static struct kvm_run scratch_run;
static struct kvm_vcpu scratch_vcpu = { .run = &scratch_run };

int compat_handle_guest_work(void)
{
	return xfer_to_guest_mode_handle_work(&scratch_vcpu);
}

/* Without CONFIG_X86_MCE (Debian's 6.1 cloud kernel) there is nobody to hand it to. */
void compat_machine_check(void)
{
#ifdef CONFIG_X86_MCE
	struct pt_regs regs = {
		.cs = 3,	/* as if from user mode: the guest, not the kernel, was interrupted */
		.flags = X86_EFLAGS_IF,
	};

	do_machine_check(&regs);
#endif
}
