// SPDX-License-Identifier: GPL-2.0-only
/* Reading and writing MSRs, for the guest and for userspace. */
#include <linux/errno.h>
#include <asm/kvm_para.h>
#include <asm/msr.h>
#include "trace.h"
#include "vm.h"
#include "cpu/cap.h"
#include "cpu/clock.h"
#include "cpu/cpuid.h"
#include "cpu/cr.h"
#include "cpu/msr.h"
#include "cpu/pv.h"
#include "cpu/regs.h"
#include "cpu/tsc.h"
#include "cpu/xstate.h"
#include "irq/lapic.h"
#include "irq/lapic_timer.h"

#define MISC_ENABLE_RESET	(MSR_IA32_MISC_ENABLE_PEBS_UNAVAIL | \
				 MSR_IA32_MISC_ENABLE_BTS_UNAVAIL)
#define PAT_RESET		0x0007040600070406ull
#define UCODE_RESET		(1ull << 32)
#define HWCR_KEPT		(BIT_ULL(18) | BIT_ULL(24))	/* McStatusWrEn, TscFreqSel */
#define HWCR_IGNORED		(BIT_ULL(3) | BIT_ULL(6) | BIT_ULL(8))
#define X2APIC_FIRST		0x800
#define X2APIC_LAST		0x8ff
#define X2APIC_EOI		0x80b
#define X2APIC_ICR		0x830
#define X2APIC_SELF_IPI		0x83f

/*
 * Registers that guests touch without asking CPUID, of either vendor. They read as a constant,
 * and a write is lost (or refused where a value other than the constant would promise
 * something).
 */
static const struct {
	u32 first, last;
	u64 val;
	enum { LOST, SAME_ONLY } write;
} constants[] = {
	{ MSR_IA32_PLATFORM_ID, MSR_IA32_PLATFORM_ID, 0, SAME_ONLY },
	{ MSR_EBC_FREQUENCY_ID, MSR_EBC_FREQUENCY_ID, 1 << 24, SAME_ONLY },
	{ MSR_IA32_UCODE_WRITE, MSR_IA32_UCODE_WRITE, 0, LOST },
	{ MSR_P6_PERFCTR0, MSR_P6_PERFCTR1, 0, LOST },
	{ MSR_FSB_FREQ, MSR_FSB_FREQ, 3, SAME_ONLY },
	{ MSR_IA32_BBL_CR_CTL3, MSR_IA32_BBL_CR_CTL3, 0xbe702111, LOST },
	{ MSR_P6_EVNTSEL0, MSR_P6_EVNTSEL1, 0, LOST },
	{ MSR_IA32_PERF_STATUS, MSR_IA32_PERF_STATUS, 1000 | 4ull << 40, SAME_ONLY },
	{ MSR_IA32_PERF_CTL, MSR_IA32_PERF_CTL, 0, SAME_ONLY },
	{ MSR_IA32_LASTBRANCHFROMIP, MSR_IA32_LASTINTTOIP, 0, SAME_ONLY },
	{ MSR_RAPL_POWER_UNIT, MSR_RAPL_POWER_UNIT, 0, SAME_ONLY },
	{ MSR_PKG_ENERGY_STATUS, MSR_PKG_ENERGY_STATUS, 0, SAME_ONLY },
	{ MSR_DRAM_ENERGY_STATUS, MSR_DRAM_ENERGY_STATUS, 0, SAME_ONLY },
	{ MSR_PP0_ENERGY_STATUS, MSR_PP0_ENERGY_STATUS, 0, SAME_ONLY },
	{ MSR_PP1_ENERGY_STATUS, MSR_PP1_ENERGY_STATUS, 0, SAME_ONLY },
	{ MSR_K7_EVNTSEL0, MSR_K7_PERFCTR3, 0, LOST },
	{ MSR_AMD64_SYSCFG, MSR_AMD64_SYSCFG, 0, SAME_ONLY },
	{ MSR_K7_CLK_CTL, MSR_K7_CLK_CTL, 0x20000000, SAME_ONLY },
	{ MSR_AMD64_NB_CFG, MSR_AMD64_NB_CFG, 0, SAME_ONLY },
	{ MSR_AMD64_PATCH_LOADER, MSR_AMD64_PATCH_LOADER, 0, LOST },
	{ MSR_K8_INT_PENDING_MSG, MSR_K8_INT_PENDING_MSG, 0, SAME_ONLY },
	{ MSR_FAM10H_MMIO_CONF_BASE, MSR_FAM10H_MMIO_CONF_BASE, 0, SAME_ONLY },
	{ MSR_K8_TSEG_ADDR, MSR_K8_TSEG_MASK, 0, SAME_ONLY },
	{ MSR_VM_CR, MSR_VM_CR, 0, SAME_ONLY },
	{ MSR_VM_HSAVE_PA, MSR_VM_HSAVE_PA, 0, LOST },
	{ MSR_AMD64_DC_CFG, MSR_AMD64_DC_CFG, 0, LOST },
	{ MSR_AMD64_DE_CFG, MSR_AMD64_DE_CFG, BIT(1) /* LFENCE serializes */, SAME_ONLY },
	{ MSR_AMD64_BU_CFG2, MSR_AMD64_BU_CFG2, 0, LOST },
	{ MSR_F15H_EX_CFG, MSR_F15H_EX_CFG, 0, LOST },
};

static int constant_find(u32 msr)
{
	int i;

	for (i = 0; i < ARRAY_SIZE(constants); i++)
		if (msr >= constants[i].first && msr <= constants[i].last)
			return i;
	return -1;
}

/* Asks the guest's CPUID, unless it is userspace that asks. */
static int need(struct vcpu *vcpu, bool host, bool has)
{
	return host || has ? 0 : -EINVAL;
}

static bool has_spec_ctrl(struct vcpu *vcpu)
{
	return vcpu->arch.features & (BIT_ULL(GUEST_SPEC_CTRL) | BIT_ULL(GUEST_STIBP) |
				      BIT_ULL(GUEST_SSBD) | BIT_ULL(GUEST_IBPB) |
				      BIT_ULL(GUEST_AMD_SSBD));
}

static bool has_ibpb(struct vcpu *vcpu)
{
	return boot_cpu_has(X86_FEATURE_IBPB) &&
	       (guest_has(vcpu, GUEST_SPEC_CTRL) || guest_has(vcpu, GUEST_IBPB));
}

static bool canonical(struct vcpu *vcpu, u64 addr)
{
	unsigned int bits = cr4_get(vcpu) & X86_CR4_LA57 ? 57 : 48;

	return (u64)((s64)(addr << (64 - bits)) >> (64 - bits)) == addr;
}

static int kvm_get(struct vcpu *vcpu, u32 msr, u64 *val)
{
	switch (msr) {
	case MSR_KVM_WALL_CLOCK:
	case MSR_KVM_WALL_CLOCK_NEW:
		*val = vcpu->vm->arch.wall_clock_msr;
		return 0;
	case MSR_KVM_SYSTEM_TIME:
	case MSR_KVM_SYSTEM_TIME_NEW:
		*val = vcpu->arch.system_time_msr;
		return 0;
	case MSR_KVM_STEAL_TIME:
		*val = vcpu->arch.steal.msr;
		return 0;
	case MSR_KVM_PV_EOI_EN:
		*val = vcpu->arch.pv_eoi_msr;
		return 0;
	case MSR_KVM_POLL_CONTROL:
		*val = vcpu->arch.poll_control;
		return 0;
	}
	return -ENOENT;
}

static int kvm_set(struct vcpu *vcpu, u32 msr, u64 val)
{
	switch (msr) {
	case MSR_KVM_WALL_CLOCK:
	case MSR_KVM_WALL_CLOCK_NEW:
		clock_wall_set(vcpu->vm, val);
		return 0;
	case MSR_KVM_SYSTEM_TIME:
	case MSR_KVM_SYSTEM_TIME_NEW:
		clock_system_time_set(vcpu, val);
		return 0;
	case MSR_KVM_STEAL_TIME:
		return pv_steal_msr_set(vcpu, val);
	case MSR_KVM_PV_EOI_EN:
		return pv_eoi_msr_set(vcpu, val);
	case MSR_KVM_POLL_CONTROL:
		if (val & ~1ull)
			return -EINVAL;
		vcpu->arch.poll_control = val;
		return 0;
	}
	return -ENOENT;
}

/* The KVM_FEATURE_* bits that offer these MSRs, for guests whose CPUID is enforced. */
static bool kvm_offered(struct vcpu *vcpu, u32 msr)
{
	switch (msr) {
	case MSR_KVM_WALL_CLOCK:
	case MSR_KVM_SYSTEM_TIME:
		return guest_has_pv(vcpu, KVM_FEATURE_CLOCKSOURCE);
	case MSR_KVM_WALL_CLOCK_NEW:
	case MSR_KVM_SYSTEM_TIME_NEW:
		return guest_has_pv(vcpu, KVM_FEATURE_CLOCKSOURCE2);
	case MSR_KVM_STEAL_TIME:
		return guest_has_pv(vcpu, KVM_FEATURE_STEAL_TIME);
	case MSR_KVM_PV_EOI_EN:
		return guest_has_pv(vcpu, KVM_FEATURE_PV_EOI);
	case MSR_KVM_POLL_CONTROL:
		return guest_has_pv(vcpu, KVM_FEATURE_POLL_CONTROL);
	}
	return false;
}

static int time_get(struct vcpu *vcpu, u32 msr, u64 *val)
{
	switch (msr) {
	case MSR_IA32_TSC:
		*val = tsc_guest_now(vcpu);
		return 0;
	case MSR_IA32_TSC_ADJUST:
		*val = vcpu->arch.tsc_adjust;
		return 0;
	case MSR_IA32_TSC_DEADLINE:
		*val = lapic_deadline_get(vcpu);
		return 0;
	}
	return -ENOENT;
}

static int time_set(struct vcpu *vcpu, u32 msr, u64 val, bool host)
{
	switch (msr) {
	case MSR_IA32_TSC:
		tsc_write(vcpu, val, host);
		return 0;
	case MSR_IA32_TSC_ADJUST:
		if (need(vcpu, host, guest_has(vcpu, GUEST_TSC_ADJUST)))
			return -EINVAL;
		tsc_adjust_write(vcpu, val, host);
		return 0;
	case MSR_IA32_TSC_DEADLINE:
		lapic_deadline_set(vcpu, val);
		return 0;
	}
	return -ENOENT;
}

/* Values that are kept, with a condition for the guest to read them. */
static int kept_get(struct vcpu *vcpu, u32 msr, u64 *val, bool host)
{
	struct vcpu_cpu *arch = &vcpu->arch;

	switch (msr) {
	case MSR_IA32_APICBASE:
		*val = lapic_base_get(vcpu);
		return 0;
	case MSR_EFER:
		*val = efer_get(vcpu);
		return 0;
	case MSR_IA32_CR_PAT:
		*val = arch->pat;
		return 0;
	case MSR_IA32_MISC_ENABLE:
		*val = arch->misc_enable;
		return 0;
	case MSR_IA32_FEAT_CTL:
		*val = arch->feat_ctl;
		return 0;
	case MSR_IA32_POWER_CTL:
		*val = arch->power_ctl;
		return 0;
	case MSR_IA32_UCODE_REV:
		*val = arch->ucode_rev;
		return 0;
	case MSR_MISC_FEATURES_ENABLES:
		*val = arch->misc_features;
		return 0;
	case MSR_K7_HWCR:
		*val = arch->hwcr;
		return 0;
	case MSR_PLATFORM_INFO:
		*val = arch->platform_info;
		return need(vcpu, host, !vcpu->vm->arch.platform_info_hidden);
	case MSR_IA32_ARCH_CAPABILITIES:
		*val = arch->arch_caps;
		return need(vcpu, host, guest_has(vcpu, GUEST_ARCH_CAPABILITIES));
	case MSR_IA32_SPEC_CTRL:
		*val = arch->spec_ctrl;
		return need(vcpu, host, has_spec_ctrl(vcpu));
	case MSR_IA32_XSS:
		*val = arch->xss;
		return need(vcpu, host, guest_has(vcpu, GUEST_XSAVES));
	case MSR_IA32_UMWAIT_CONTROL:
		*val = arch->umwait;
		return caps.waitpkg ? need(vcpu, host, guest_has(vcpu, GUEST_WAITPKG)) : -ENOENT;
	}
	return -ENOENT;
}

static int misc_enable_set(struct vcpu *vcpu, u64 val, bool host)
{
	u64 changed = vcpu->arch.misc_enable ^ val;

	if (!host && (changed & MISC_ENABLE_RESET))
		return -EINVAL;		/* there is no PEBS and no BTS to make available */
	vcpu->arch.misc_enable = val;
	if (changed & MSR_IA32_MISC_ENABLE_MWAIT)
		cpuid_refresh(vcpu);
	return 0;
}

static int platform_info_set(struct vcpu *vcpu, u64 val, bool host)
{
	if (!host)
		return -EINVAL;
	if (!(val & MSR_PLATFORM_INFO_CPUID_FAULT) && vcpu->arch.misc_features)
		return -EINVAL;
	vcpu->arch.platform_info = val;
	return 0;
}

static int misc_features_set(struct vcpu *vcpu, u64 val)
{
	if (val & ~(u64)MSR_MISC_FEATURES_ENABLES_CPUID_FAULT)
		return -EINVAL;
	if (val && !(vcpu->arch.platform_info & MSR_PLATFORM_INFO_CPUID_FAULT))
		return -EINVAL;
	vcpu->arch.misc_features = val;
	return 0;
}

static int spec_ctrl_set(struct vcpu *vcpu, u64 val, bool host)
{
	if (need(vcpu, host, has_spec_ctrl(vcpu)) || (val & ~msr_host.spec_ctrl))
		return -EINVAL;
	vcpu->arch.spec_ctrl = val;
	if (val && !host && !vcpu->arch.spec_ctrl_live) {
		vcpu->arch.spec_ctrl_live = true;
		msr_intercepts(vcpu);
	}
	backend.controls_changed(vcpu);
	return 0;
}

/* IA32_PRED_CMD and IA32_FLUSH_CMD: do it on this CPU; userspace's writes mean nothing. */
static int command_set(struct vcpu *vcpu, u32 msr, u64 val, bool host, bool has)
{
	if (need(vcpu, host, has) || (val & ~1ull))
		return -EINVAL;
	if (val && !host)
		wrmsrl(msr, val);
	return 0;
}

static int feat_ctl_set(struct vcpu *vcpu, u64 val, bool host)
{
	if (!host && ((vcpu->arch.feat_ctl & FEAT_CTL_LOCKED) || (val & ~(u64)FEAT_CTL_LOCKED)))
		return -EINVAL;
	if (val & ~(u64)FEAT_CTL_LOCKED)
		return -EINVAL;		/* nothing it could enable is offered */
	vcpu->arch.feat_ctl = val;
	return 0;
}

static int hwcr_set(struct vcpu *vcpu, u64 val)
{
	val &= ~HWCR_IGNORED;
	if (val & ~HWCR_KEPT)
		return -EINVAL;
	vcpu->arch.hwcr = val;
	return 0;
}

static int pat_set(struct vcpu *vcpu, u64 val)
{
	int err;

	if (!mtrr_pat_valid(val))
		return -EINVAL;
	err = backend.msr_set(vcpu, MSR_IA32_CR_PAT, val);
	if (err && err != -ENOENT)
		return err;
	vcpu->arch.pat = val;
	return 0;
}

static int arch_caps_set(struct vcpu *vcpu, u64 val, bool host)
{
	if (!host || (val & ~msr_host.arch_caps))
		return -EINVAL;
	vcpu->arch.arch_caps = val;
	return 0;
}

static int xss_set(struct vcpu *vcpu, u64 val, bool host)
{
	if (need(vcpu, host, guest_has(vcpu, GUEST_XSAVES)) || (val & ~cpuid_host.xss))
		return -EINVAL;
	vcpu->arch.xss = val;
	xstate_update(vcpu);
	cpuid_refresh(vcpu);
	return 0;
}

static int umwait_set(struct vcpu *vcpu, u64 val, bool host)
{
	if (!caps.waitpkg)
		return -ENOENT;
	if (need(vcpu, host, guest_has(vcpu, GUEST_WAITPKG)) || (val & 2) || val >> 32)
		return -EINVAL;
	vcpu->arch.umwait = val;
	return 0;
}

static int kept_set(struct vcpu *vcpu, u32 msr, u64 val, bool host)
{
	switch (msr) {
	case MSR_IA32_APICBASE:
		return lapic_base_set(vcpu, val, host);
	case MSR_EFER:
		return efer_write(vcpu, val, host) ? 0 : -EINVAL;
	case MSR_IA32_CR_PAT:
		return pat_set(vcpu, val);
	case MSR_IA32_MISC_ENABLE:
		return misc_enable_set(vcpu, val, host);
	case MSR_IA32_FEAT_CTL:
		return feat_ctl_set(vcpu, val, host);
	case MSR_IA32_POWER_CTL:
		vcpu->arch.power_ctl = val;
		return 0;
	case MSR_IA32_UCODE_REV:
		if (host)
			vcpu->arch.ucode_rev = val;
		return 0;
	case MSR_MISC_FEATURES_ENABLES:
		return misc_features_set(vcpu, val);
	case MSR_K7_HWCR:
		return hwcr_set(vcpu, val);
	case MSR_PLATFORM_INFO:
		return platform_info_set(vcpu, val, host);
	case MSR_IA32_ARCH_CAPABILITIES:
		return arch_caps_set(vcpu, val, host);
	case MSR_IA32_SPEC_CTRL:
		return spec_ctrl_set(vcpu, val, host);
	case MSR_IA32_PRED_CMD:
		return command_set(vcpu, msr, val, host, has_ibpb(vcpu));
	case MSR_IA32_FLUSH_CMD:
		return command_set(vcpu, msr, val, host, boot_cpu_has(X86_FEATURE_FLUSH_L1D) &&
				   guest_has(vcpu, GUEST_FLUSH_L1D));
	case MSR_IA32_XSS:
		return xss_set(vcpu, val, host);
	case MSR_IA32_UMWAIT_CONTROL:
		return umwait_set(vcpu, val, host);
	}
	return -ENOENT;
}

static int backend_get(struct vcpu *vcpu, u32 msr, u64 *val, bool host)
{
	if (msr == MSR_TSC_AUX && need(vcpu, host, guest_has(vcpu, GUEST_RDTSCP) ||
						   guest_has(vcpu, GUEST_RDPID)))
		return -EINVAL;
	return backend.msr_get(vcpu, msr, val);
}

/* Addresses must be canonical in their registers: VM entry and SYSCALL rely on it. */
static int backend_set(struct vcpu *vcpu, u32 msr, u64 val, bool host)
{
	switch (msr) {
	case MSR_FS_BASE:
	case MSR_GS_BASE:
	case MSR_KERNEL_GS_BASE:
	case MSR_LSTAR:
	case MSR_CSTAR:
	case MSR_IA32_SYSENTER_ESP:
	case MSR_IA32_SYSENTER_EIP:
		if (!canonical(vcpu, val))
			return -EINVAL;
		break;
	case MSR_TSC_AUX:
		if (val >> 32 || need(vcpu, host, guest_has(vcpu, GUEST_RDTSCP) ||
						  guest_has(vcpu, GUEST_RDPID)))
			return -EINVAL;
		break;
	case MSR_SYSCALL_MASK:
		val = (u32)val;
		break;
	}
	return backend.msr_set(vcpu, msr, val);
}

int msr_get(struct vcpu *vcpu, u32 msr, u64 *val, bool host)
{
	int err, i;

	if (msr >= X2APIC_FIRST && msr <= X2APIC_LAST)
		return lapic_msr_read(vcpu, msr, val);
	err = time_get(vcpu, msr, val);
	if (err == -ENOENT)
		err = kept_get(vcpu, msr, val, host);
	if (err == -ENOENT && (host || kvm_offered(vcpu, msr)))
		err = kvm_get(vcpu, msr, val);
	if (err == -ENOENT)
		err = mtrr_get(vcpu, msr, val);
	if (err == -ENOENT)
		err = mce_msr_get(vcpu, msr, val, host);
	if (err == -ENOENT)
		err = backend_get(vcpu, msr, val, host);
	i = err == -ENOENT ? constant_find(msr) : -1;
	if (i < 0)
		return err;
	*val = constants[i].val;
	return 0;
}

static int constant_set(u32 msr, u64 val)
{
	int i = constant_find(msr);

	if (i < 0)
		return -ENOENT;
	return constants[i].write == SAME_ONLY && val != constants[i].val ? -EINVAL : 0;
}

int msr_set(struct vcpu *vcpu, u32 msr, u64 val, bool host)
{
	int err;

	if (msr >= X2APIC_FIRST && msr <= X2APIC_LAST)
		return lapic_msr_write(vcpu, msr, val);
	err = time_set(vcpu, msr, val, host);
	if (err == -ENOENT)
		err = kept_set(vcpu, msr, val, host);
	if (err == -ENOENT && (host || kvm_offered(vcpu, msr)))
		err = kvm_set(vcpu, msr, val);
	if (err == -ENOENT)
		err = mtrr_set(vcpu, msr, val);
	if (err == -ENOENT)
		err = mce_msr_set(vcpu, msr, val, host);
	if (err == -ENOENT)
		err = backend_set(vcpu, msr, val, host);
	return err == -ENOENT ? constant_set(msr, val) : err;
}

void msr_reset(struct vcpu *vcpu, bool init)
{
	struct vcpu_cpu *arch = &vcpu->arch;

	if (init)
		return;
	arch->pat = PAT_RESET;
	backend.msr_set(vcpu, MSR_IA32_CR_PAT, PAT_RESET);
	arch->misc_enable = MISC_ENABLE_RESET;
	arch->ucode_rev = UCODE_RESET;
	arch->arch_caps = msr_host.arch_caps;
	arch->platform_info = MSR_PLATFORM_INFO_CPUID_FAULT;
	arch->misc_features = 0;
	arch->spec_ctrl = 0;
	arch->spec_ctrl_live = false;
	mce_reset(vcpu);
}

static void rdmsr_result(struct vcpu *vcpu, u64 val)
{
	gpr_set(vcpu, GPR_RAX, (u32)val);
	gpr_set(vcpu, GPR_RDX, val >> 32);
}

static int complete_rdmsr(struct vcpu *vcpu)
{
	if (vcpu->run->msr.error)
		return inject_gp(vcpu);
	rdmsr_result(vcpu, vcpu->run->msr.data);
	return vcpu_skip_insn(vcpu);
}

static int complete_wrmsr(struct vcpu *vcpu)
{
	if (vcpu->run->msr.error)
		return inject_gp(vcpu);
	return vcpu_skip_insn(vcpu);
}

/* Userspace decides if it asked to, for this kind of refusal; else #GP. */
static int refuse(struct vcpu *vcpu, u32 reason, u32 exit_reason, u32 msr, u64 val)
{
	struct kvm_run *run = vcpu->run;

	if (!(vcpu->vm->arch.user_msr_reasons & reason))
		return inject_gp(vcpu);
	run->exit_reason = exit_reason;
	run->msr.error = 0;
	memset(run->msr.pad, 0, sizeof(run->msr.pad));
	run->msr.reason = reason;
	run->msr.index = msr;
	run->msr.data = val;
	vcpu->complete = exit_reason == KVM_EXIT_X86_RDMSR ? complete_rdmsr : complete_wrmsr;
	return TO_USER;
}

static u32 refusal(int err)
{
	return err == -ENOENT ? KVM_MSR_EXIT_REASON_UNKNOWN : KVM_MSR_EXIT_REASON_INVAL;
}

int rdmsr_exit(struct vcpu *vcpu, struct vcpu_exit *exit)
{
	u32 msr = gpr_get(vcpu, GPR_RCX);
	u64 val;
	int err;

	if (!msr_filter_allows(vcpu, msr, KVM_MSR_FILTER_READ))
		return refuse(vcpu, KVM_MSR_EXIT_REASON_FILTER, KVM_EXIT_X86_RDMSR, msr, 0);
	err = msr_get(vcpu, msr, &val, false);
	trace_corbel_msr(vcpu->id, false, msr, err ? 0 : val, err);
	if (err)
		return refuse(vcpu, refusal(err), KVM_EXIT_X86_RDMSR, msr, 0);
	rdmsr_result(vcpu, val);
	return vcpu_skip_insn(vcpu);
}

static u64 wrmsr_value(struct vcpu *vcpu)
{
	return (u32)gpr_get(vcpu, GPR_RAX) | gpr_get(vcpu, GPR_RDX) << 32;
}

int wrmsr_exit(struct vcpu *vcpu, struct vcpu_exit *exit)
{
	u32 msr = gpr_get(vcpu, GPR_RCX);
	u64 val = wrmsr_value(vcpu);
	int err;

	if (!msr_filter_allows(vcpu, msr, KVM_MSR_FILTER_WRITE))
		return refuse(vcpu, KVM_MSR_EXIT_REASON_FILTER, KVM_EXIT_X86_WRMSR, msr, val);
	err = msr_set(vcpu, msr, val, false);
	trace_corbel_msr(vcpu->id, true, msr, val, err);
	if (err)
		return refuse(vcpu, refusal(err), KVM_EXIT_X86_WRMSR, msr, val);
	return vcpu_skip_insn(vcpu);
}

bool msr_write_fast(struct vcpu *vcpu, struct vcpu_exit *exit)
{
	u64 val = wrmsr_value(vcpu);
	bool done = false;

	if (unlikely(vcpu->guest_debug || !exit->insn_len) || !vcpu->irq.lapic)
		return false;
	switch ((u32)vcpu->regs.gpr[GPR_RCX]) {
	case MSR_IA32_TSC_DEADLINE:
		if (msr_filter_present(vcpu))
			return false;
		lapic_deadline_set(vcpu, val);
		done = true;
		break;
	case X2APIC_ICR:
		done = lapic_icr_fast(vcpu, val);
		break;
	case X2APIC_EOI:
		done = !val && lapic_eoi_fast(vcpu);
		break;
	case X2APIC_SELF_IPI:
		done = lapic_self_ipi_fast(vcpu, val);
		break;
	}
	if (!done)
		return false;
	trace_corbel_msr(vcpu->id, true, vcpu->regs.gpr[GPR_RCX], val, 0);
	vcpu_skip_insn(vcpu);
	return true;
}
