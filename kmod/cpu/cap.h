/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * KVM_ENABLE_CAP for the capabilities of this room: VM 116, 128, 143, 159, 164, 188, 213, 218;
 * vCPU 190. Return: 0, -EINVAL (also for a capability that is not ours).
 */
#ifndef CORBEL_CAP_H
#define CORBEL_CAP_H

#include "vm.h"

#define CAP_QUIRKS	(KVM_X86_QUIRK_LINT0_REENABLED | KVM_X86_QUIRK_CD_NW_CLEARED | \
			 KVM_X86_QUIRK_LAPIC_MMIO_HOLE | KVM_X86_QUIRK_OUT_7E_INC_RIP | \
			 KVM_X86_QUIRK_MISC_ENABLE_NO_MWAIT | KVM_X86_QUIRK_FIX_HYPERCALL_INSN | \
			 KVM_X86_QUIRK_MWAIT_NEVER_UD_FAULTS)

int cap_enable_vm(struct vm *vm, const struct kvm_enable_cap *cap);
int cap_enable_vcpu(struct vcpu *vcpu, const struct kvm_enable_cap *cap);

/** cap_quirk() - is a quirk still in force */
static inline bool cap_quirk(struct vm *vm, u64 quirk)
{
	return !(vm->arch.quirks_off & quirk);
}

/** cap_exits_possible() - KVM_CAP_X86_DISABLE_EXITS: what may be disabled here */
u32 cap_exits_possible(void);

#endif
