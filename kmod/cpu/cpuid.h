/* SPDX-License-Identifier: GPL-2.0-only */
/* CPUID: what a guest may be told, what it is told, and what follows from it. */
#ifndef CORBEL_CPUID_H
#define CORBEL_CPUID_H

#include "vcpu.h"

/* Features whose presence changes how Corbel behaves; the table in cpuid.c says where they are. */
enum guest_feature {
	GUEST_APIC, GUEST_X2APIC, GUEST_XSAVE, GUEST_XSAVES, GUEST_PCID, GUEST_MWAIT,
	GUEST_RDTSCP, GUEST_RDPID, GUEST_TSC_ADJUST, GUEST_LM, GUEST_NX, GUEST_SYSCALL,
	GUEST_FXSR_OPT, GUEST_SPEC_CTRL, GUEST_IBPB, GUEST_STIBP, GUEST_SSBD, GUEST_AMD_SSBD,
	GUEST_VIRT_SSBD, GUEST_FLUSH_L1D, GUEST_ARCH_CAPABILITIES, GUEST_WAITPKG, GUEST_PKU,
	GUEST_INVPCID, GUEST_LA57, GUEST_SMEP, GUEST_SMAP, GUEST_UMIP, GUEST_FSGSBASE, GUEST_ZERO_LEAVES,
	NR_GUEST_FEATURES
};

static inline bool guest_has(struct vcpu *vcpu, enum guest_feature feature)
{
	return vcpu->arch.features & BIT_ULL(feature);
}

/** guest_has_pv() - is a KVM_FEATURE_* offered; always true unless userspace asked to enforce it */
static inline bool guest_has_pv(struct vcpu *vcpu, unsigned int feature)
{
	return !vcpu->arch.pv_enforce || (vcpu->arch.pv_features & BIT(feature));
}

void cpuid_vcpu_init(struct vcpu *vcpu);
void cpuid_vcpu_destroy(struct vcpu *vcpu);

/**
 * cpuid_set() - KVM_SET_CPUID2, or KVM_SET_CPUID: entries without index or flags (@old)
 *
 * After the first KVM_RUN only what is there already is accepted.
 * Return: 0, -E2BIG, -EINVAL, -ENOMEM, -EFAULT. Context: vCPU loaded.
 */
int cpuid_set(struct vcpu *vcpu, const void __user *user, u32 nent, bool old);

/** cpuid_get() - KVM_GET_CPUID2. Return: 0, -EFAULT, or -E2BIG and *nent is what is needed. */
int cpuid_get(struct vcpu *vcpu, struct kvm_cpuid_entry2 __user *user, u32 *nent);

/** cpuid_query() - execute CPUID for the guest. Context: any with the vCPU's lock held. */
void cpuid_query(struct vcpu *vcpu, u32 *eax, u32 *ebx, u32 *ecx, u32 *edx);

/** cpuid_refresh() - a bit that mirrors state changed: CR4, XCR0, XSS, APIC_BASE, MISC_ENABLE */
void cpuid_refresh(struct vcpu *vcpu);

/** cpuid_exit() - EXIT_CPUID */
int cpuid_exit(struct vcpu *vcpu, struct vcpu_exit *exit);

/** cpuid_fast() - the same in the stay (stay.h), if an entry answers it */
bool cpuid_fast(struct vcpu *vcpu, struct vcpu_exit *exit);

enum { EAX, EBX, ECX, EDX };

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

/** cpuid_find() - the first entry that answers this function and index, or NULL */
const struct kvm_cpuid_entry2 *cpuid_find(const struct kvm_cpuid_entry2 *entries, u32 nr,
					  u32 function, u32 index);
/* What a table offers: enum guest_feature, and the bits of CR4 and EFER that go with them. */
u64 cpuid_features(const struct kvm_cpuid_entry2 *entries, u32 nr);
void cpuid_controls(u64 features, u64 *cr4, u64 *efer);

/* The most that a guest may set on this machine, computed once at load (cpuid_host.c). */
struct cpuid_host {
	u64 features;		/* enum guest_feature that KVM_GET_SUPPORTED_CPUID offers */
	u64 xcr0;		/* features a guest may enable */
	u64 cr4;		/* bits some guest could set */
	u64 efer;
	u8 maxphyaddr;
};
extern struct cpuid_host cpuid_host;

void cpuid_host_init(void);

/** cpuid_host_has() - does a supported leaf have any of these bits; reg EAX to EDX */
bool cpuid_host_has(u32 function, u32 index, unsigned int reg, u32 bits);

/** cpuid_host_xsave_size() - bytes of an XSAVE area with these features */
u32 cpuid_host_xsave_size(u64 features, bool compacted);

/*
 * KVM_GET_SUPPORTED_CPUID, KVM_GET_EMULATED_CPUID. @user has room for *nent.
 * Return: 0 and *nent is the count; -E2BIG, *nent unchanged; -EFAULT.
 */
int cpuid_supported(struct kvm_cpuid_entry2 __user *user, u32 *nent);
int cpuid_emulated(struct kvm_cpuid_entry2 __user *user, u32 *nent);

#endif
