// SPDX-License-Identifier: GPL-2.0-only
#define _GNU_SOURCE
#include <cpuid.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "dev.h"

#define DEV_MSR_MAX	512

const char *dev_path(void)
{
	const char *path = getenv("CORBEL_DEV");

	if (path)
		return path;
	return access("/dev/corbel", F_OK) ? "/dev/kvm" : "/dev/corbel";
}

int dev_open(void)
{
	int fd = open(dev_path(), O_RDWR | O_CLOEXEC);

	if (fd < 0)
		test_skip("cannot open %s: %s", dev_path(), strerror(errno));
	return fd;
}

/* One descriptor for all questions of this process. */
static int dev_shared = -1;

static int dev_fd(void)
{
	if (dev_shared < 0)
		dev_shared = dev_open();
	return dev_shared;
}

void dev_close(void)
{
	if (dev_shared >= 0)
		close(dev_shared);
	dev_shared = -1;
}

int dev_cap(long cap)
{
	return SYS(ioctl(dev_fd(), KVM_CHECK_EXTENSION, cap));
}

void dev_require_cap(long cap)
{
	if (!dev_cap(cap))
		test_skip("capability %ld is 0", cap);
}

const struct dev_cpuid *dev_supported_cpuid(void)
{
	static struct dev_cpuid set;

	if (!set.head.nent) {
		set.head.nent = DEV_CPUID_MAX;
		SYS(ioctl(dev_fd(), KVM_GET_SUPPORTED_CPUID, &set));
	}
	return &set;
}

struct kvm_cpuid_entry2 *dev_cpuid_find(struct dev_cpuid *set, u32 function, u32 index)
{
	u32 i;

	for (i = 0; i < set->head.nent; i++) {
		struct kvm_cpuid_entry2 *entry = &set->entries[i];

		if (entry->function != function)
			continue;
		if (!(entry->flags & KVM_CPUID_FLAG_SIGNIFCANT_INDEX) || entry->index == index)
			return entry;
	}
	return NULL;
}

bool dev_cpuid_has(u32 function, u32 index, char reg, unsigned int bit)
{
	struct kvm_cpuid_entry2 *entry;
	u32 value;

	entry = dev_cpuid_find((struct dev_cpuid *)dev_supported_cpuid(), function, index);
	if (!entry)
		return false;
	value = reg == 'a' ? entry->eax : reg == 'b' ? entry->ebx :
		reg == 'c' ? entry->ecx : entry->edx;
	return value & BIT(bit);
}

const struct kvm_msr_list *dev_msr_list(void)
{
	static struct {
		struct kvm_msr_list head;
		u32 indices[DEV_MSR_MAX];
	} list;

	if (!list.head.nmsrs) {
		list.head.nmsrs = DEV_MSR_MAX;
		SYS(ioctl(dev_fd(), KVM_GET_MSR_INDEX_LIST, &list));
	}
	return &list.head;
}

bool dev_msr_listed(u32 msr)
{
	const struct kvm_msr_list *list = dev_msr_list();
	u32 i;

	for (i = 0; i < list->nmsrs; i++) {
		if (list->indices[i] == msr)
			return true;
	}
	return false;
}

bool dev_host_is_intel(void)
{
	u32 eax, ebx, ecx, edx;

	__cpuid(0, eax, ebx, ecx, edx);
	return ebx == signature_INTEL_ebx;
}

bool dev_host_is_tcg(void)
{
	u32 eax, ebx, ecx, edx;

	__cpuid(0x40000000, eax, ebx, ecx, edx);
	(void)eax;
	return ebx == 0x54474354 && ecx == 0x43544743 && edx == 0x47435447;
}

static bool parameter_begins(const char *path, const char *start)
{
	FILE *file = fopen(path, "r");
	char line[32] = "";

	if (!file)
		return false;
	if (!fgets(line, sizeof(line), file))
		line[0] = 0;
	fclose(file);
	return !strncmp(line, start, strlen(start));
}

bool dev_shadow_paging(void)
{
	if (test_is_corbel())
		return parameter_begins("/sys/module/corbel/parameters/mmu", "shadow");
	return parameter_begins("/sys/module/kvm_amd/parameters/npt", "N") ||
	       parameter_begins("/sys/module/kvm_intel/parameters/ept", "N");
}
