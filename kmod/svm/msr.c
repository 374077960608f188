// SPDX-License-Identifier: GPL-2.0-only
/* MSRs that live in the VMCB or in the CPU while the guest runs, and the map that lets it at them. */
#include <asm/cpufeature.h>
#include <asm/msr.h>
#include "cpu/cpuid.h"
#include "cpu/regs.h"
#include "cpu/user_msr.h"
#include "svm/svm.h"

static const u32 user_msr_index[] = { MSR_TSC_AUX };

void svm_user_msrs_setup(void)
{
	user_msr_setup(user_msr_index, caps.rdtscp);
}

/* Context: interrupts off */
void svm_user_msrs_load(struct svm_vcpu *svm)
{
	user_msr_load(&svm->tsc_aux, caps.rdtscp);
}

/* MSRs that are nothing but a field of the state-save area. */
static u64 *save_field(struct vmcb_save_area *save, u32 msr)
{
	switch (msr) {
	case MSR_STAR:
		return &save->star;
	case MSR_LSTAR:
		return &save->lstar;
	case MSR_CSTAR:
		return &save->cstar;
	case MSR_SYSCALL_MASK:
		return &save->sfmask;
	case MSR_KERNEL_GS_BASE:
		return &save->kernel_gs_base;
	case MSR_IA32_SYSENTER_CS:
		return &save->sysenter_cs;
	case MSR_IA32_SYSENTER_ESP:
		return &save->sysenter_esp;
	case MSR_IA32_SYSENTER_EIP:
		return &save->sysenter_eip;
	case MSR_IA32_CR_PAT:
		return &save->g_pat;
	case MSR_IA32_DEBUGCTLMSR:
		return &save->dbgctl;
	case MSR_IA32_LASTBRANCHFROMIP:
		return svm_caps.lbr ? &save->br_from : NULL;
	case MSR_IA32_LASTBRANCHTOIP:
		return svm_caps.lbr ? &save->br_to : NULL;
	case MSR_IA32_LASTINTFROMIP:
		return svm_caps.lbr ? &save->last_excp_from : NULL;
	case MSR_IA32_LASTINTTOIP:
		return svm_caps.lbr ? &save->last_excp_to : NULL;
	}
	return NULL;
}

int svm_msr_get(struct vcpu *vcpu, u32 msr, u64 *val)
{
	struct svm_vcpu *svm = svm_of(vcpu);
	const u64 *field = save_field(&svm->vmcb->save, msr);

	if (field) {
		*val = *field;
		return 0;
	}
	switch (msr) {
	case MSR_FS_BASE:
		*val = seg_get(vcpu, SEG_FS)->base;
		return 0;
	case MSR_GS_BASE:
		*val = seg_get(vcpu, SEG_GS)->base;
		return 0;
	case MSR_TSC_AUX:
		*val = svm->tsc_aux;
		return 0;
	case MSR_AMD64_VIRT_SPEC_CTRL:
		*val = svm->virt_spec_ctrl;
		return 0;
	}
	return -ENOENT;
}

static void seg_base_set(struct vcpu *vcpu, enum seg nr, u64 base)
{
	struct kvm_segment seg = *seg_get(vcpu, nr);

	seg.base = base;
	seg_set(vcpu, nr, &seg);
}

/*
 * Branch records cost a switch at every entry and exit, so that waits for a guest that wants them.
 * Where the CPU does not switch them, asking for them is ignored.
 */
static int debugctl_set(struct svm_vcpu *svm, u64 val)
{
	struct vmcb *vmcb = svm->vmcb;

	if (val & ~(u64)(DEBUGCTLMSR_BTF | DEBUGCTLMSR_LBR))
		return -EINVAL;
	if (!svm_caps.lbr)
		return 0;
	vmcb->save.dbgctl = val;
	vmcb->control.virt_ext &= ~LBR_CTL_ENABLE_MASK;
	if (val)
		vmcb->control.virt_ext |= LBR_CTL_ENABLE_MASK;
	return 0;
}

static int tsc_aux_set(struct svm_vcpu *svm, u64 val)
{
	svm->tsc_aux = val;
	svm->host_saved = false;	/* have it loaded before the next entry */
	return 0;
}

int svm_msr_set(struct vcpu *vcpu, u32 msr, u64 val)
{
	struct svm_vcpu *svm = svm_of(vcpu);
	u64 *field;

	switch (msr) {
	case MSR_IA32_DEBUGCTLMSR:
		return debugctl_set(svm, val);
	case MSR_FS_BASE:
		seg_base_set(vcpu, SEG_FS, val);
		return 0;
	case MSR_GS_BASE:
		seg_base_set(vcpu, SEG_GS, val);
		return 0;
	case MSR_TSC_AUX:
		return tsc_aux_set(svm, val);
	case MSR_AMD64_VIRT_SPEC_CTRL:
		svm->virt_spec_ctrl = val;
		return 0;
	}
	field = save_field(&svm->vmcb->save, msr);
	if (!field)
		return -ENOENT;
	*field = val;
	return 0;
}

/* APM volume 2, "MSR Intercepts": two bits for each MSR, read and write, in three ranges of 2 KiB. */
static int msrpm_bit(u32 msr)
{
	static const u32 ranges[] = { 0, 0xc0000000, 0xc0010000 };
	int i;

	for (i = 0; i < ARRAY_SIZE(ranges); i++)
		if ((msr & ~0x1fffu) == ranges[i])
			return (i * 0x2000 + (msr & 0x1fff)) * 2;
	return -1;
}

void svm_msr_intercept(struct vcpu *vcpu, u32 msr, bool read, bool write)
{
	unsigned long *map = svm_of(vcpu)->msrpm;
	int bit = msrpm_bit(msr);

	if (bit < 0)
		return;		/* has none: always exits */
	/* RDTSC adds the offset on every CPU, a read of the MSR not on all. */
	__assign_bit(bit, map, read || msr == MSR_IA32_TSC);
	__assign_bit(bit + 1, map, write);
}
