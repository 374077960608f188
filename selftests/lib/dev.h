/* SPDX-License-Identifier: GPL-2.0-only */
/* The device node under test, and what can be asked of it without a VM. */
#ifndef SELFTESTS_DEV_H
#define SELFTESTS_DEV_H

#include <linux/kvm.h>
#include <sys/ioctl.h>

#include "test.h"

#define DEV_CPUID_MAX	100

struct dev_cpuid {
	struct kvm_cpuid2 head;
	struct kvm_cpuid_entry2 entries[DEV_CPUID_MAX];
};

const char *dev_path(void);
int dev_open(void);
void dev_close(void);	/* of what the functions below keep open */
int dev_cap(long cap);
void dev_require_cap(long cap);
const struct dev_cpuid *dev_supported_cpuid(void);
struct kvm_cpuid_entry2 *dev_cpuid_find(struct dev_cpuid *set, u32 function, u32 index);
bool dev_cpuid_has(u32 function, u32 index, char reg, unsigned int bit);
const struct kvm_msr_list *dev_msr_list(void);
bool dev_msr_listed(u32 msr);
bool dev_host_is_intel(void);
bool dev_shadow_paging(void);	/* what the module's parameter says, KVM's too */
bool dev_host_is_tcg(void);	/* QEMU's emulated CPU, which has bugs of its own */

#endif
