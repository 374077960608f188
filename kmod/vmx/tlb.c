// SPDX-License-Identifier: GPL-2.0-only
/* INVEPT and INVVPID. SDM, "Invalidating Cached Translation Information". */
#include <asm/asm.h>
#include "backend.h"
#include "vm.h"
#include "vmx/vmcs.h"
#include "vmx/vmx.h"

struct invept_desc {
	u64 eptp, reserved;
};

struct invvpid_desc {
	u64 vpid;		/* bits 63:16 reserved */
	u64 gva;
};

#define VMX_INV(insn, type, desc)							\
({											\
	bool failed;									\
	asm volatile("1: " insn " %[d], %[t]\n2:\n" _ASM_EXTABLE(1b, 2b)			\
		     : "=@ccbe" (failed) : [d] "m" (desc), [t] "r" ((unsigned long)(type)) : "memory"); \
	WARN_ONCE(failed, "corbel: " insn " type %d refused\n", (int)(type));		\
})

u64 vmx_tlb_eptp(hpa_t root)
{
	return root | VMX_EPTP_MT_WB | VMX_EPTP_PWL_4 | (caps.tdp_ad ? VMX_EPTP_AD_ENABLE_BIT : 0);
}

static void flush_ept(struct vcpu *vcpu)
{
	struct invept_desc desc = { .eptp = vmx_tlb_eptp(vcpu->mmu.root) };

	if (vcpu->mmu.root == INVALID_HPA)
		return;		/* a fresh root is flushed when it is loaded */
	VMX_INV("invept", vmx_caps.invept_context ? VMX_EPT_EXTENT_CONTEXT : VMX_EPT_EXTENT_GLOBAL, desc);
}

static void flush_vpid(u16 vpid)
{
	struct invvpid_desc desc = { .vpid = vpid };

	VMX_INV("invvpid", vmx_caps.invvpid_single ? VMX_VPID_EXTENT_SINGLE_CONTEXT :
		VMX_VPID_EXTENT_ALL_CONTEXT, desc);
}

void vmx_tlb_flush(struct vcpu *vcpu, enum tlb_scope scope, gva_t gva)
{
	u16 vpid = vmx_of(vcpu)->vpid;
	struct invvpid_desc desc = { .vpid = vpid, .gva = gva };

	vcpu->stats.tlb_flushes++;
	if (scope == TLB_ALL && !vcpu->vm->mmu.shadow) {
		flush_ept(vcpu);
		return;
	}
	if (!vpid)
		return;		/* untagged: every entry and exit flushes */
	if (scope == TLB_GUEST_ADDR && vmx_caps.invvpid_addr)
		VMX_INV("invvpid", VMX_VPID_EXTENT_INDIVIDUAL_ADDR, desc);
	else
		flush_vpid(vpid);
}

/* After VMXON: nothing from before may be used. */
void vmx_tlb_flush_cpu(void)
{
	struct invept_desc ept = {};
	struct invvpid_desc vpid = {};

	if (vmx_caps.ept)
		VMX_INV("invept", VMX_EPT_EXTENT_GLOBAL, ept);
	if (vmx_caps.ept_vpid & VMX_VPID_EXTENT_GLOBAL_CONTEXT_BIT)
		VMX_INV("invvpid", VMX_VPID_EXTENT_ALL_CONTEXT, vpid);
}
