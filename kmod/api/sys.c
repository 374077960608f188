// SPDX-License-Identifier: GPL-2.0-only
/* The ioctls of /dev/corbel. */
#include <linux/module.h>
#include <linux/slab.h>
#include <linux/uaccess.h>
#include <linux/corbel.h>
#include "api.h"
#include "backend.h"
#include "row.h"
#include "vm.h"
#include "cpu/cpuid.h"
#include "cpu/msr.h"

static int sys_api_version(void *data, unsigned long arg)
{
	return arg ? -EINVAL : KVM_API_VERSION;
}

static int sys_create_vm(void *data, unsigned long arg)
{
	return vm_create(arg);
}

static int sys_check_extension(void *data, unsigned long arg)
{
	return cap_check(arg);
}

static int sys_vcpu_mmap_size(void *data, unsigned long arg)
{
	return arg ? -EINVAL : 3 * PAGE_SIZE;	/* kvm_run, port data, coalesced ring */
}

static int sys_copy_cpuid(unsigned long arg,
			  int (*fill)(struct kvm_cpuid_entry2 *entries, u32 *nent))
{
	struct kvm_cpuid2 __user *user = (void __user *)arg;
	struct kvm_cpuid_entry2 *entries;
	u32 nent;
	int err;

	if (get_user(nent, &user->nent))
		return -EFAULT;
	if (!nent)
		return -E2BIG;
	nent = min_t(u32, nent, CORBEL_NR_CPUID);
	entries = kvcalloc(nent, sizeof(*entries), GFP_KERNEL_ACCOUNT);
	if (!entries)
		return -ENOMEM;
	err = fill(entries, &nent);
	if (!err && (copy_to_user(user->entries, entries, nent * sizeof(*entries)) ||
		     put_user(nent, &user->nent)))
		err = -EFAULT;
	kvfree(entries);
	return err;
}

static int sys_supported_cpuid(void *data, unsigned long arg)
{
	return sys_copy_cpuid(arg, cpuid_supported);
}

/*
 * Old kernels left the padding of this list alone; it has to be zero so that it can mean
 * something.
 */
static int sys_cpuid_padding(unsigned long arg)
{
	struct kvm_cpuid2 __user *user = (void __user *)arg;
	u32 i, nent, padding[3];

	if (get_user(nent, &user->nent))
		return -EFAULT;
	for (i = 0; i < min_t(u32, nent, CORBEL_NR_CPUID); i++) {
		if (copy_from_user(padding, user->entries[i].padding, sizeof(padding)))
			return -EFAULT;
		if (padding[0] || padding[1] || padding[2])
			return -EINVAL;
	}
	return 0;
}

static int sys_emulated_cpuid(void *data, unsigned long arg)
{
	return sys_cpuid_padding(arg) ?: sys_copy_cpuid(arg, cpuid_emulated);
}

/* The real count is told even when, or rather because, the room does not suffice. */
static int sys_copy_msr_list(unsigned long arg, const u32 *(*list)(u32 *count))
{
	struct kvm_msr_list __user *user = (void __user *)arg;
	u32 room, count;
	const u32 *indices = list(&count);

	if (get_user(room, &user->nmsrs) || put_user(count, &user->nmsrs))
		return -EFAULT;
	if (room < count)
		return -E2BIG;
	return copy_to_user(user->indices, indices, count * sizeof(u32)) ? -EFAULT : 0;
}

static int sys_msr_index_list(void *data, unsigned long arg)
{
	return sys_copy_msr_list(arg, msr_index_list);
}

static int sys_msr_feature_list(void *data, unsigned long arg)
{
	return sys_copy_msr_list(arg, msr_feature_list);
}

static int sys_get_msr(struct vcpu *vcpu, struct kvm_msr_entry *entry)
{
	return msr_feature_get(entry->index, &entry->data);
}

static int sys_get_msrs(void *data, unsigned long arg)
{
	return msr_io(NULL, (void __user *)arg, true, sys_get_msr);
}

static int sys_mce_cap(void *data, unsigned long arg)
{
	*(u64 *)data = mce_cap_supported();
	return 0;
}

static int sys_has_attr(void *data, unsigned long arg)
{
	const struct kvm_device_attr *attr = data;

	return attr->group || attr->attr != KVM_X86_XCOMP_GUEST_SUPP ? -ENXIO : 0;
}

static int sys_get_attr(void *data, unsigned long arg)
{
	const struct kvm_device_attr *attr = data;

	if (sys_has_attr(data, arg))
		return -ENXIO;
	return put_user(cpuid_host.xcr0, (u64 __user *)attr->addr);
}

static u32 sys_features(void)
{
	return (caps.tdp ? CORBEL_FEATURE_TDP : 0) |
	       (caps.tdp_ad ? CORBEL_FEATURE_TDP_AD : 0) |
	       (caps.any_mode ? CORBEL_FEATURE_REAL_MODE : 0) |
	       (caps.apicv ? CORBEL_FEATURE_APICV : 0) |
	       (caps.posted ? CORBEL_FEATURE_POSTED : 0) |
	       (caps.pml ? CORBEL_FEATURE_PML : 0) |
	       (caps.tsc_scaling ? CORBEL_FEATURE_TSC_SCALING : 0) |
	       (caps.timer ? CORBEL_FEATURE_TIMER : 0) |
	       (caps.ple ? CORBEL_FEATURE_PLE : 0);
}

static int sys_get_info(void *data, unsigned long arg)
{
	struct corbel_info *info = data;

	info->version = CORBEL_API_VERSION;
	info->features = sys_features();
	strscpy(info->backend, caps.name, sizeof(info->backend));
	return 0;
}

static const struct api_row sys_rows[] = {
	ROW_ARG(KVM_GET_API_VERSION, 0, sys, sys_api_version),
	ROW_ARG(KVM_CREATE_VM, 0, sys, sys_create_vm),
	ROW_ARG(KVM_CHECK_EXTENSION, 0, sys, sys_check_extension),
	ROW_ARG(KVM_GET_VCPU_MMAP_SIZE, 0, sys, sys_vcpu_mmap_size),
	ROW_ARG(KVM_GET_SUPPORTED_CPUID, 0, sys, sys_supported_cpuid),
	ROW_ARG(KVM_GET_EMULATED_CPUID, 0, sys, sys_emulated_cpuid),
	ROW_ARG(KVM_GET_MSR_INDEX_LIST, 0, sys, sys_msr_index_list),
	ROW_ARG(KVM_GET_MSR_FEATURE_INDEX_LIST, 0, sys, sys_msr_feature_list),
	ROW_ARG(KVM_GET_MSRS, 0, sys, sys_get_msrs),
	ROW_OUT(KVM_X86_GET_MCE_CAP_SUPPORTED, u64, 0, sys, sys_mce_cap),
	ROW_IN(KVM_HAS_DEVICE_ATTR, struct kvm_device_attr, 0, sys, sys_has_attr),
	ROW_IN(KVM_GET_DEVICE_ATTR, struct kvm_device_attr, 0, sys, sys_get_attr),
	ROW_OUT(CORBEL_GET_INFO, struct corbel_info, 0, sys, sys_get_info),
};

static long sys_ioctl(struct file *file, unsigned int cmd, unsigned long arg)
{
	const struct api_row *row = row_find(sys_rows, ARRAY_SIZE(sys_rows), cmd);

	return row ? row_call(row, NULL, NULL, arg) : -EINVAL;
}

const struct file_operations sys_fops = {
	.owner = THIS_MODULE,
	.unlocked_ioctl = sys_ioctl,
	.compat_ioctl = compat_ptr_ioctl,
	.llseek = noop_llseek,
};
