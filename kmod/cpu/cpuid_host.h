/* SPDX-License-Identifier: GPL-2.0-only */
/* What this machine and this module can give a guest: computed once at load. */
#ifndef CORBEL_CPUID_HOST_H
#define CORBEL_CPUID_HOST_H

#include "types.h"

/* The most that a guest may set; nothing here depends on a VM. */
struct cpuid_host {
	u64 xcr0;		/* features a guest may enable */
	u64 xss;
	u64 cr4;		/* bits some guest could set */
	u64 efer;
	u8 maxphyaddr;
};
extern struct cpuid_host cpuid_host;

void cpuid_host_init(void);

/** cpuid_host_entry() - the entry of KVM_GET_SUPPORTED_CPUID; NULL if there is none */
const struct kvm_cpuid_entry2 *cpuid_host_entry(u32 function, u32 index);

/** cpuid_host_has() - does a supported leaf have any of these bits; reg 0..3: EAX..EDX */
bool cpuid_host_has(u32 function, u32 index, unsigned int reg, u32 bits);

/** cpuid_host_xsave_size() - bytes of an XSAVE area with these features */
u32 cpuid_host_xsave_size(u64 features, bool compacted);

/*
 * KVM_GET_SUPPORTED_CPUID, KVM_GET_EMULATED_CPUID. @entries has room for *nent.
 * Return: 0 and *nent is the count; -E2BIG, *nent unchanged.
 */
int cpuid_supported(struct kvm_cpuid_entry2 *entries, u32 *nent);
int cpuid_emulated(struct kvm_cpuid_entry2 *entries, u32 *nent);

static inline u32 cpuid_reg(const struct kvm_cpuid_entry2 *entry, unsigned int reg)
{
	switch (reg) {
	case 0:
		return entry->eax;
	case 1:
		return entry->ebx;
	case 2:
		return entry->ecx;
	}
	return entry->edx;
}

#endif
