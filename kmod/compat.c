// SPDX-License-Identifier: GPL-2.0-only
/*
 * The one file that includes KVM's own header. xfer_to_guest_mode_handle_work() notes a signal in
 * the kvm_vcpu it is given: hand it a scratch one, never ours.
 */
#include <linux/entry-kvm.h>
#include <linux/kvm_host.h>
#include <linux/slab.h>

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

struct shrinker *compat_shrinker_register(unsigned long (*count)(struct shrinker *, struct shrink_control *),
					  unsigned long (*scan)(struct shrinker *, struct shrink_control *),
					  long batch, const char *name)
{
#if KERNEL_6_12
	struct shrinker *shrinker = shrinker_alloc(0, "%s", name);
#else
	struct shrinker *shrinker = kzalloc(sizeof(*shrinker), GFP_KERNEL);
#endif

	if (!shrinker)
		return NULL;
	shrinker->count_objects = count;
	shrinker->scan_objects = scan;
	shrinker->batch = batch;
	shrinker->seeks = DEFAULT_SEEKS;
#if KERNEL_6_12
	shrinker_register(shrinker);
#else
	if (register_shrinker(shrinker, "%s", name)) {
		kfree(shrinker);
		return NULL;
	}
#endif
	return shrinker;
}

void compat_shrinker_unregister(struct shrinker *shrinker)
{
#if KERNEL_6_12
	shrinker_free(shrinker);
#else
	unregister_shrinker(shrinker);
	kfree(shrinker);
#endif
}
