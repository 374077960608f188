// SPDX-License-Identifier: GPL-2.0-only
/* The ioctls of /dev/corbel. */
#include <linux/module.h>
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

static int sys_supported_cpuid(void *data, unsigned long arg)
{
	struct kvm_cpuid2 __user *user = (void __user *)arg;

	return cpuid_supported(user->entries, &((struct kvm_cpuid2 *)data)->nent);
}

/*
 * Old kernels left the padding of this list alone; it has to be zero so that it can mean
 * something.
 */
static int sys_emulated_cpuid(void *data, unsigned long arg)
{
	struct kvm_cpuid2 __user *user = (void __user *)arg;
	struct kvm_cpuid2 *head = data;
	u32 i, padding[3];

	for (i = 0; i < min_t(u32, head->nent, CORBEL_NR_CPUID); i++) {
		if (copy_from_user(padding, user->entries[i].padding, sizeof(padding)))
			return -EFAULT;
		if (padding[0] || padding[1] || padding[2])
			return -EINVAL;
	}
	return cpuid_emulated(user->entries, &head->nent);
}

/* The real count is told even when, or rather because, the room does not suffice. */
static int sys_msr_list(struct kvm_msr_list *head, unsigned long arg, const u32 *list, u32 count)
{
	struct kvm_msr_list __user *user = (void __user *)arg;
	u32 room = head->nmsrs;

	head->nmsrs = count;
	if (room < count)
		return -E2BIG;
	return copy_to_user(user->indices, list, count * sizeof(u32)) ? -EFAULT : 0;
}

static int sys_msr_index_list(void *data, unsigned long arg)
{
	u32 count;
	const u32 *list = msr_index_list(&count);

	return sys_msr_list(data, arg, list, count);
}

static int sys_msr_feature_list(void *data, unsigned long arg)
{
	u32 count;
	const u32 *list = msr_feature_list(&count);

	return sys_msr_list(data, arg, list, count);
}

static int sys_get_msr(struct vcpu *vcpu, struct kvm_msr_entry *entry)
{
	return msr_feature_get(entry->index, &entry->data);
}

static int sys_get_msrs(void *data, unsigned long arg)
{
	return msr_io(NULL, data, arg, true, sys_get_msr);
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
	{ KVM_GET_API_VERSION, 0, .sys = sys_api_version },
	{ KVM_CREATE_VM, 0, .sys = sys_create_vm },
	{ KVM_CHECK_EXTENSION, 0, .sys = sys_check_extension },
	{ KVM_GET_VCPU_MMAP_SIZE, 0, .sys = sys_vcpu_mmap_size },
	{ KVM_GET_SUPPORTED_CPUID, 0, .sys = sys_supported_cpuid },
	{ KVM_GET_EMULATED_CPUID, 0, .sys = sys_emulated_cpuid },
	{ KVM_GET_MSR_INDEX_LIST, 0, .sys = sys_msr_index_list },
	{ KVM_GET_MSR_FEATURE_INDEX_LIST, 0, .sys = sys_msr_feature_list },
	{ KVM_GET_MSRS, 0, .sys = sys_get_msrs },
	{ KVM_X86_GET_MCE_CAP_SUPPORTED, 0, .sys = sys_mce_cap },
	{ KVM_HAS_DEVICE_ATTR, 0, .sys = sys_has_attr },
	{ KVM_GET_DEVICE_ATTR, 0, .sys = sys_get_attr },
	{ CORBEL_GET_INFO, 0, .sys = sys_get_info },
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
