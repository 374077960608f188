/* SPDX-License-Identifier: GPL-2.0-only */
/* CPUID: what a guest may be told, what it is told, and what follows from it. */
#ifndef CORBEL_CPUID_H
#define CORBEL_CPUID_H

#include "vcpu.h"
#include "cpu/cpuid_host.h"

/* Features whose presence changes how Corbel behaves; the table in cpuid.c says where they are. */
enum guest_feature {
	GUEST_APIC, GUEST_X2APIC, GUEST_XSAVE, GUEST_XSAVES, GUEST_PCID, GUEST_MWAIT,
	GUEST_RDTSCP, GUEST_RDPID, GUEST_TSC_ADJUST, GUEST_LM, GUEST_NX, GUEST_SYSCALL,
	GUEST_FXSR_OPT, GUEST_SPEC_CTRL, GUEST_IBPB, GUEST_STIBP, GUEST_SSBD, GUEST_AMD_SSBD,
	GUEST_FLUSH_L1D, GUEST_ARCH_CAPABILITIES, GUEST_WAITPKG, GUEST_PKU, GUEST_INVPCID,
	GUEST_LA57, GUEST_SMEP, GUEST_SMAP, GUEST_UMIP, GUEST_FSGSBASE, GUEST_ZERO_LEAVES,
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

/*
 * KVM_SET_CPUID2: @entries is copied. After the first KVM_RUN only what is there already is
 * accepted.
 * Return: 0, -E2BIG, -EINVAL, -ENOMEM. Context: vCPU loaded.
 */
int cpuid_set(struct vcpu *vcpu, const struct kvm_cpuid_entry2 *entries, u32 nent);

/** cpuid_set_old() - KVM_SET_CPUID: entries without index or flags */
int cpuid_set_old(struct vcpu *vcpu, const struct kvm_cpuid_entry *entries, u32 nent);

/** cpuid_get() - KVM_GET_CPUID2. Return: 0, or -E2BIG and *nent is what is needed. */
int cpuid_get(struct vcpu *vcpu, struct kvm_cpuid_entry2 *entries, u32 *nent);

/** cpuid_query() - execute CPUID for the guest. Context: any with the vCPU's lock held. */
void cpuid_query(struct vcpu *vcpu, u32 *eax, u32 *ebx, u32 *ecx, u32 *edx);

/** cpuid_refresh() - a bit that mirrors state changed: CR4, XCR0, XSS, APIC_BASE, MISC_ENABLE */
void cpuid_refresh(struct vcpu *vcpu);

/** cpuid_exit() - EXIT_CPUID. Context: interrupts may be off. */
int cpuid_exit(struct vcpu *vcpu, struct vcpu_exit *exit);

#endif
