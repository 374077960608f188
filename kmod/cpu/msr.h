/* SPDX-License-Identifier: GPL-2.0-only */
/* Model-specific registers. */
#ifndef CORBEL_MSR_H
#define CORBEL_MSR_H

#include <asm/mce.h>
#include "vcpu.h"

/* What this machine gives, read at load. */
struct msr_host {
	u64 arch_caps;		/* IA32_ARCH_CAPABILITIES for guests */
	u64 spec_ctrl;		/* IA32_SPEC_CTRL bits a guest may set */
	u64 ucode_rev;
};
extern struct msr_host msr_host;

void msr_module_init(void);	/* after cpuid_host_init() */
void msr_host_init(void);
void msr_reset(struct vcpu *vcpu, bool init);

/**
 * msr_get(), msr_set() - one MSR
 * @host: userspace asks, with laxer rules: CPUID need not offer the register
 *
 * Return: 0; -EINVAL: the value or access is refused; -ENOENT: no such MSR. Both are #GP to a
 * guest.
 * Context: vCPU loaded, vm->srcu held for reading; may sleep.
 */
int msr_get(struct vcpu *vcpu, u32 msr, u64 *val, bool host);
int msr_set(struct vcpu *vcpu, u32 msr, u64 val, bool host);

/* KVM_GET_MSR_INDEX_LIST, KVM_GET_MSR_FEATURE_INDEX_LIST: the list, its length in *count. */
const u32 *msr_index_list(u32 *count);
const u32 *msr_feature_list(u32 *count);

/** msr_feature_get() - KVM_GET_MSRS on the system descriptor. Return: 0 or -ENOENT */
int msr_feature_get(u32 msr, u64 *val);

/**
 * msr_read_fast() - RDMSR of what needs no more than a look. Context: interrupts off, nobody debugs the
 * guest. True: done, RIP moved.
 */
bool msr_read_fast(struct vcpu *vcpu, struct vcpu_exit *exit);

/**
 * msr_write_fast() - WRMSR: TSC deadline, x2APIC ICR, EOI, self-IPI, values that are only kept. The same
 */
bool msr_write_fast(struct vcpu *vcpu, struct vcpu_exit *exit);

/**
 * msr_intercepts() - tell the backend which MSRs the guest may touch itself. For REQ_MSR_FILTER
 * too.
 */
void msr_intercepts(struct vcpu *vcpu);

/* Machine checks. */
u64 mce_cap_supported(void);					/* KVM_X86_GET_MCE_CAP_SUPPORTED */
int mce_configure(struct vcpu *vcpu, u64 mcg_cap);		/* KVM_X86_SETUP_MCE */
int mce_set(struct vcpu *vcpu, const struct kvm_x86_mce *mce);	/* KVM_X86_SET_MCE: 0 or -EINVAL */
void mce_reset(struct vcpu *vcpu);
bool mce_has_cmci(struct vcpu *vcpu);				/* an interrupt for a corrected error */
/* For MCG_CTL and the banks: is the register there, may the value be stored. 0 or the error */
int mce_may(struct vcpu *vcpu, u32 msr, bool host);
int mce_check(struct vcpu *vcpu, u32 msr, u64 val, bool host);
int mce_ctl2_may(struct vcpu *vcpu, u32 msr, bool host);
int mce_ctl2_check(struct vcpu *vcpu, u32 msr, u64 val, bool host);

/* msr_filter.c */
/**
 * msr_filter_set() - KVM_X86_SET_MSR_FILTER; reads the bitmaps from userspace. Return: 0 or
 * -errno
 */
int msr_filter_set(struct vm *vm, const struct kvm_msr_filter *filter);
void msr_filter_destroy(struct vm *vm);
/* type: KVM_MSR_FILTER_READ, _WRITE */
bool msr_filter_allows(struct vcpu *vcpu, u32 msr, u32 type);

int rdmsr_exit(struct vcpu *vcpu, struct vcpu_exit *exit);
int wrmsr_exit(struct vcpu *vcpu, struct vcpu_exit *exit);

#endif
