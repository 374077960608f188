// SPDX-License-Identifier: GPL-2.0-only
/* KVM_X86_SET_MSR_FILTER: an immutable snapshot, replaced under vm->lock, read under vm->srcu. */
#include <linux/nospec.h>
#include <linux/slab.h>
#include <linux/uaccess.h>
#include "vm.h"
#include "cpu/msr.h"

struct msr_range {
	u32 flags, base, nr;
	unsigned long *bitmap;		/* a clear bit denies */
};

struct msr_filter {
	bool default_deny;
	u32 nr;
	struct msr_range ranges[KVM_MSR_FILTER_MAX_RANGES];
};

static void filter_free(struct msr_filter *filter)
{
	u32 i;

	for (i = 0; filter && i < filter->nr; i++)
		kfree(filter->ranges[i].bitmap);
	kfree(filter);
}

static int range_add(struct msr_filter *filter, const struct kvm_msr_filter_range *in)
{
	struct msr_range *range = &filter->ranges[filter->nr];
	size_t size;
	void *bitmap;

	if (!in->nmsrs)
		return 0;
	if (!in->flags || (in->flags & ~(u32)(KVM_MSR_FILTER_READ | KVM_MSR_FILTER_WRITE)))
		return -EINVAL;
	if (in->nmsrs > KVM_MSR_FILTER_MAX_BITMAP_SIZE * BITS_PER_BYTE)
		return -EINVAL;
	size = BITS_TO_LONGS(in->nmsrs) * sizeof(long);
	bitmap = memdup_user((const void __user *)in->bitmap, size);
	if (IS_ERR(bitmap))
		return PTR_ERR(bitmap);
	*range = (struct msr_range){ in->flags, in->base, in->nmsrs, bitmap };
	filter->nr++;
	return 0;
}

static int build(struct msr_filter *filter, const struct kvm_msr_filter *in)
{
	bool empty = true;
	int i, err;

	filter->default_deny = in->flags & KVM_MSR_FILTER_DEFAULT_DENY;
	for (i = 0; i < KVM_MSR_FILTER_MAX_RANGES; i++) {
		empty &= !in->ranges[i].nmsrs;
		err = range_add(filter, &in->ranges[i]);
		if (err)
			return err;
	}
	/* Denying everything with no range to allow anything is a mistake. */
	return empty && filter->default_deny ? -EINVAL : 0;
}

static void publish(struct vm *vm, struct msr_filter *filter)
{
	struct msr_filter *old;

	mutex_lock(&vm->lock);
	old = rcu_replace_pointer(vm->arch.msr_filter, filter, lockdep_is_held(&vm->lock));
	mutex_unlock(&vm->lock);
	synchronize_srcu(&vm->srcu);
	filter_free(old);
	vm_request_all(vm, REQ_MSR_FILTER, false);
}

int msr_filter_set(struct vm *vm, const struct kvm_msr_filter *in)
{
	struct msr_filter *filter;
	int err;

	if (in->flags & ~(u32)KVM_MSR_FILTER_DEFAULT_DENY)
		return -EINVAL;
	filter = kzalloc(sizeof(*filter), GFP_KERNEL_ACCOUNT);
	if (!filter)
		return -ENOMEM;
	err = build(filter, in);
	if (err) {
		filter_free(filter);
		return err;
	}
	publish(vm, filter);
	return 0;
}

void msr_filter_destroy(struct vm *vm)
{
	filter_free(rcu_dereference_protected(vm->arch.msr_filter, true));
	RCU_INIT_POINTER(vm->arch.msr_filter, NULL);
}

static bool is_x2apic(u32 msr)
{
	return msr >= 0x800 && msr <= 0x8ff;
}

bool msr_filter_allows(struct vcpu *vcpu, u32 msr, u32 type)
{
	struct vm *vm = vcpu->vm;
	const struct msr_filter *filter = srcu_dereference(vm->arch.msr_filter, &vm->srcu);
	u32 i;

	if (!filter || is_x2apic(msr))
		return true;
	for (i = 0; i < filter->nr; i++) {
		const struct msr_range *range = &filter->ranges[i];
		u32 bit = msr - range->base;

		if (bit < range->nr && (range->flags & type))
			return test_bit(array_index_nospec(bit, range->nr), range->bitmap);
	}
	return !filter->default_deny;
}
