// SPDX-License-Identifier: GPL-2.0-only
/*
 * MSRs that live in the VMCS or in the CPU while the guest runs, and the bitmap that lets it at
 * them.
 */
#include <asm/apicdef.h>
#include <asm/msr.h>
#include "backend.h"
#include "cpu/regs.h"
#include "cpu/user_msr.h"
#include "vm.h"
#include "vmx/vmcs.h"
#include "vmx/vmx.h"

static const u32 user_msr_index[NR_USER_MSRS] = {
	[USER_MSR_STAR] = MSR_STAR,
	[USER_MSR_LSTAR] = MSR_LSTAR,
	[USER_MSR_SFMASK] = MSR_SYSCALL_MASK,
	[USER_MSR_EFER] = MSR_EFER,
	[USER_MSR_TSC_AUX] = MSR_TSC_AUX,	/* the last one: not every CPU has it */
};

static int nr_user_msrs(void)
{
	return caps.rdtscp ? NR_USER_MSRS : USER_MSR_TSC_AUX;
}

void vmx_user_msrs_setup(void)
{
	user_msr_setup(user_msr_index, nr_user_msrs());
}

/*
 * SYSCALL is #UD without EFER.SCE or outside of long mode, RDTSCP and RDPID without their control, and RDMSR and
 * WRMSR of all of them exit.
 */
static unsigned int which_user_msrs(struct vmx_vcpu *vmx)
{
	unsigned int which = 0;

	if (vmx->syscalls)
		which |= BIT(USER_MSR_STAR) | BIT(USER_MSR_LSTAR) | BIT(USER_MSR_SFMASK);
	if (vmx->exec2 & SECONDARY_EXEC_ENABLE_RDTSCP)
		which |= BIT(USER_MSR_TSC_AUX);
	if (!vmx_caps.load_efer)
		which |= BIT(USER_MSR_EFER);
	return which;
}

/* What decides it, or a value, has changed. Context: any */
void vmx_user_msrs_update(struct vmx_vcpu *vmx)
{
	unsigned long flags;

	local_irq_save(flags);
	vmx->which_user_msrs = which_user_msrs(vmx);
	if (vmx->host.loaded)
		user_msr_load(vmx->user_msrs, vmx->which_user_msrs);
	local_irq_restore(flags);
}

static int user_msr_find(u32 msr)
{
	int i;

	for (i = 0; i < NR_USER_MSRS; i++)
		if (user_msr_index[i] == msr)
			return i;
	return -1;
}

static u64 kernel_gs_base_get(struct vmx_vcpu *vmx)
{
	u64 val = vmx->kernel_gs_base;

	preempt_disable();
	if (vmx->host.loaded)
		rdmsrl(MSR_KERNEL_GS_BASE, val);
	preempt_enable();
	return val;
}

static void kernel_gs_base_set(struct vmx_vcpu *vmx, u64 val)
{
	preempt_disable();
	vmx->kernel_gs_base = val;
	if (vmx->host.loaded)
		wrmsrl(MSR_KERNEL_GS_BASE, val);
	preempt_enable();
}

int vmx_msr_get(struct vcpu *vcpu, u32 msr, u64 *val)
{
	struct vmx_vcpu *vmx = vmx_of(vcpu);
	int i = user_msr_find(msr);

	if (i >= 0) {
		*val = vmx->user_msrs[i];
		return 0;
	}
	switch (msr) {
	case MSR_FS_BASE:
		*val = seg_get(vcpu, SEG_FS)->base;
		return 0;
	case MSR_GS_BASE:
		*val = seg_get(vcpu, SEG_GS)->base;
		return 0;
	case MSR_KERNEL_GS_BASE:
		*val = kernel_gs_base_get(vmx);
		return 0;
	case MSR_CSTAR:
		*val = vmx->cstar;
		return 0;
	case MSR_IA32_SYSENTER_CS:
		*val = vmcs_read32(GUEST_SYSENTER_CS);
		return 0;
	case MSR_IA32_SYSENTER_ESP:
		*val = vmcs_readl(GUEST_SYSENTER_ESP);
		return 0;
	case MSR_IA32_SYSENTER_EIP:
		*val = vmcs_readl(GUEST_SYSENTER_EIP);
		return 0;
	case MSR_IA32_DEBUGCTLMSR:
		*val = vmcs_read64(GUEST_IA32_DEBUGCTL);
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

void vmx_user_msr_set(struct vmx_vcpu *vmx, int i, u64 val)
{
	vmx->user_msrs[i] = val;
	vmx_user_msrs_update(vmx);
}

int vmx_msr_set(struct vcpu *vcpu, u32 msr, u64 val)
{
	struct vmx_vcpu *vmx = vmx_of(vcpu);
	int i = user_msr_find(msr);

	if (i >= 0) {
		vmx_user_msr_set(vmx, i, val);
		return 0;
	}
	switch (msr) {
	case MSR_FS_BASE:
		seg_base_set(vcpu, SEG_FS, val);
		return 0;
	case MSR_GS_BASE:
		seg_base_set(vcpu, SEG_GS, val);
		return 0;
	case MSR_KERNEL_GS_BASE:
		kernel_gs_base_set(vmx, val);
		return 0;
	case MSR_CSTAR:
		vmx->cstar = val;
		return 0;
	case MSR_IA32_SYSENTER_CS:
		vmcs_write32(GUEST_SYSENTER_CS, val);
		return 0;
	case MSR_IA32_SYSENTER_ESP:
		vmcs_writel(GUEST_SYSENTER_ESP, val);
		return 0;
	case MSR_IA32_SYSENTER_EIP:
		vmcs_writel(GUEST_SYSENTER_EIP, val);
		return 0;
	case MSR_IA32_CR_PAT:
		if (!vcpu->vm->mmu.shadow)
			vmcs_write64(GUEST_IA32_PAT, val);
		return 0;
	case MSR_IA32_DEBUGCTLMSR:
		/* Branch records are not virtualized: asking for them is ignored, as without a PMU. */
		if (val & ~(u64)(DEBUGCTLMSR_BTF | DEBUGCTLMSR_LBR))
			return -EINVAL;
		vmcs_write64(GUEST_IA32_DEBUGCTL, val & DEBUGCTLMSR_BTF);
		return 0;
	}
	return -ENOENT;
}

/* SDM, "MSR-Bitmap Address": four bitmaps of 1 KiB, a set bit exits. */
static void intercept_set(unsigned long *bitmap, u32 msr, bool write, bool intercept)
{
	u32 bit = msr & 0x1fff;

	if (msr >= 0xc0000000)
		bit += 1024 * 8;
	if (write)
		bit += 2048 * 8;
	if (intercept)
		__set_bit(bit, bitmap);
	else
		__clear_bit(bit, bitmap);
}

void vmx_msr_intercept(struct vcpu *vcpu, u32 msr, bool read, bool write)
{
	if ((msr & ~0x1fffu) && (msr & ~0x1fffu) != 0xc0000000)
		return;		/* has no bit: always exits */
	intercept_set(vmx_of(vcpu)->msr_bitmap, msr, false, read);
	intercept_set(vmx_of(vcpu)->msr_bitmap, msr, true, write);
}

#define X2APIC_MSR(offset)	(APIC_BASE_MSR + ((offset) >> 4))

/*
 * Registers whose reads the virtual-APIC page answers. Not here: reserved offsets, the write-only
 * ones, ICR (kept in two words) and the current timer count (computed).
 */
static const struct { u16 first, last; } x2apic_reads[] = {
	{ APIC_ID, APIC_LVR }, { APIC_TASKPRI, APIC_TASKPRI }, { APIC_PROCPRI, APIC_PROCPRI },
	{ APIC_LDR, APIC_LDR }, { APIC_SPIV, APIC_ESR }, { APIC_LVTT, APIC_TMICT },
	{ APIC_TDCR, APIC_TDCR },
};

/* SDM, "Virtualizing MSR-Based APIC Accesses": three writes are virtualized. */
void vmx_msr_x2apic(struct vcpu *vcpu, bool apicv)
{
	u32 msr;
	int i;

	for (msr = APIC_BASE_MSR; msr < APIC_BASE_MSR + 0x100; msr++)
		vmx_msr_intercept(vcpu, msr, true, true);
	if (!apicv)
		return;
	for (i = 0; i < ARRAY_SIZE(x2apic_reads); i++)
		for (msr = X2APIC_MSR(x2apic_reads[i].first); msr <= X2APIC_MSR(x2apic_reads[i].last); msr++)
			vmx_msr_intercept(vcpu, msr, false, true);
	vmx_msr_intercept(vcpu, X2APIC_MSR(APIC_TASKPRI), false, false);
	vmx_msr_intercept(vcpu, X2APIC_MSR(APIC_EOI), true, false);
	vmx_msr_intercept(vcpu, X2APIC_MSR(APIC_SELF_IPI), true, false);
}
