// SPDX-License-Identifier: GPL-2.0-only
#include "cpu/cap.h"
#include "cpu/regs.h"

#define USER_MSR_REASONS	(KVM_MSR_EXIT_REASON_INVAL | KVM_MSR_EXIT_REASON_UNKNOWN | \
				 KVM_MSR_EXIT_REASON_FILTER)

u32 cap_exits_possible(void)
{
	return KVM_X86_DISABLE_EXITS_HLT | KVM_X86_DISABLE_EXITS_PAUSE |
	       KVM_X86_DISABLE_EXITS_MWAIT | KVM_X86_DISABLE_EXITS_CSTATE;
}

/* Execution controls are chosen when a vCPU is made. */
static int disable_exits(struct vm *vm, u64 exits)
{
	if (exits & ~(u64)cap_exits_possible() || vm->nr_vcpus)
		return -EINVAL;
	vm->arch.exits_off |= exits;
	return 0;
}

/* Set once, before any vCPU. */
static int max_vcpu_id(struct vm *vm, u64 max)
{
	if (!max || max > CORBEL_MAX_VCPU_IDS)
		return -EINVAL;
	if (vm->max_vcpu_ids)
		return vm->max_vcpu_ids == max ? 0 : -EINVAL;
	if (vm->nr_vcpus)
		return -EINVAL;
	vm->max_vcpu_ids = max;
	return 0;
}

static int set_quirks(struct vm *vm, u64 quirks)
{
	if (quirks & ~(u64)CAP_QUIRKS)
		return -EINVAL;
	vm->arch.quirks_off = quirks;
	return 0;
}

int cap_enable_vm(struct vm *vm, const struct kvm_enable_cap *cap)
{
	u64 arg = cap->args[0];

	if (cap->flags)
		return -EINVAL;
	switch (cap->cap) {
	case KVM_CAP_DISABLE_QUIRKS:
		/* The old capability masks what it does not know. */
		return set_quirks(vm, arg & CAP_QUIRKS);
	case KVM_CAP_DISABLE_QUIRKS2:
		return set_quirks(vm, arg);
	case KVM_CAP_MAX_VCPU_ID:
		return max_vcpu_id(vm, arg);
	case KVM_CAP_X86_DISABLE_EXITS:
		return disable_exits(vm, arg);
	case KVM_CAP_MSR_PLATFORM_INFO:
		vm->arch.platform_info_hidden = !arg;
		return 0;
	case KVM_CAP_EXCEPTION_PAYLOAD:
		vm->arch.exception_payload = arg;
		return 0;
	case KVM_CAP_X86_TRIPLE_FAULT_EVENT:
		vm->arch.triple_fault_event = arg;
		return 0;
	case KVM_CAP_X86_USER_SPACE_MSR:
		if (arg & ~(u64)USER_MSR_REASONS)
			return -EINVAL;
		vm->arch.user_msr_reasons = arg;
		return 0;
	}
	return -EINVAL;
}

int cap_enable_vcpu(struct vcpu *vcpu, const struct kvm_enable_cap *cap)
{
	if (cap->flags || cap->cap != KVM_CAP_ENFORCE_PV_FEATURE_CPUID)
		return -EINVAL;
	vcpu->arch.pv_enforce = cap->args[0];
	return 0;
}
