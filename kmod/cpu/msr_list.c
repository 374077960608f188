// SPDX-License-Identifier: GPL-2.0-only
/*
 * Which MSRs exist: KVM_GET_MSR_INDEX_LIST, the feature MSRs, and what the guest may touch itself.
 * The index list holds exactly what can be both read and written by userspace in every VM here.
 */
#include <linux/errno.h>
#include <asm/cpufeature.h>
#include <asm/kvm_para.h>
#include <asm/msr.h>
#include "backend.h"
#include "vm.h"
#include "cpu/cpuid.h"
#include "cpu/msr.h"

enum { EAX, EBX, ECX, EDX };
#define F(name)		BIT(X86_FEATURE_##name & 31)

struct msr_host msr_host;

/* A row without a leaf is always there. */
static const struct {
	u32 msr, function;
	u8 index, reg;
	u32 feature;
} saved_msrs[] = {
	{ MSR_IA32_TSC }, { MSR_IA32_SYSENTER_CS }, { MSR_IA32_SYSENTER_ESP },
	{ MSR_IA32_SYSENTER_EIP }, { MSR_STAR }, { MSR_CSTAR }, { MSR_LSTAR },
	{ MSR_SYSCALL_MASK }, { MSR_KERNEL_GS_BASE }, { MSR_IA32_CR_PAT },
	{ MSR_IA32_FEAT_CTL }, { MSR_IA32_TSC_ADJUST }, { MSR_IA32_TSC_DEADLINE },
	{ MSR_IA32_MISC_ENABLE }, { MSR_IA32_MCG_STATUS }, { MSR_IA32_MCG_CTL },
	{ MSR_IA32_POWER_CTL }, { MSR_PLATFORM_INFO }, { MSR_MISC_FEATURES_ENABLES },
	{ MSR_IA32_UCODE_REV }, { MSR_K7_HWCR }, { MSR_IA32_ARCH_CAPABILITIES },
	{ MSR_KVM_WALL_CLOCK }, { MSR_KVM_SYSTEM_TIME }, { MSR_KVM_WALL_CLOCK_NEW },
	{ MSR_KVM_SYSTEM_TIME_NEW }, { MSR_KVM_STEAL_TIME }, { MSR_KVM_PV_EOI_EN },
	{ MSR_KVM_POLL_CONTROL },
	{ MSR_TSC_AUX, 0x80000001, 0, EDX, F(RDTSCP) },
	{ MSR_IA32_XSS, 0xd, 1, EAX, F(XSAVES) },
	{ MSR_IA32_UMWAIT_CONTROL, 7, 0, ECX, F(WAITPKG) },
	{ MSR_IA32_SPEC_CTRL, 7, 0, EDX, F(SPEC_CTRL) | F(INTEL_STIBP) | F(SPEC_CTRL_SSBD) },
};

static u32 index_list[ARRAY_SIZE(saved_msrs)];
static u32 nr_index;

static const u32 feature_list[] = { MSR_IA32_ARCH_CAPABILITIES, MSR_IA32_UCODE_REV };

/* Bits of IA32_ARCH_CAPABILITIES that are facts about the CPU; the control bits stay hidden. */
#define ARCH_CAP_FACTS	(ARCH_CAP_RDCL_NO | ARCH_CAP_IBRS_ALL | ARCH_CAP_RSBA | \
			 ARCH_CAP_SKIP_VMENTRY_L1DFLUSH | ARCH_CAP_SSB_NO | ARCH_CAP_MDS_NO | \
			 ARCH_CAP_PSCHANGE_MC_NO | ARCH_CAP_TAA_NO | ARCH_CAP_SBDR_SSDP_NO | \
			 ARCH_CAP_FBSDP_NO | ARCH_CAP_PSDP_NO | ARCH_CAP_FB_CLEAR | \
			 ARCH_CAP_RRSBA | ARCH_CAP_BHI_NO | ARCH_CAP_PBRSB_NO | ARCH_CAP_GDS_NO | \
			 ARCH_CAP_RFDS_NO | ARCH_CAP_RFDS_CLEAR)

static u64 arch_capabilities(void)
{
	u64 val = 0;

	if (boot_cpu_has(X86_FEATURE_ARCH_CAPABILITIES) &&
	    rdmsrl_safe(MSR_IA32_ARCH_CAPABILITIES, &val))
		val = 0;
	val &= ARCH_CAP_FACTS;
	val |= ARCH_CAP_PSCHANGE_MC_NO;	/* huge pages are not executable where that matters */
	if (!boot_cpu_has_bug(X86_BUG_CPU_MELTDOWN))
		val |= ARCH_CAP_RDCL_NO;
	if (!boot_cpu_has_bug(X86_BUG_SPEC_STORE_BYPASS))
		val |= ARCH_CAP_SSB_NO;
	if (!boot_cpu_has_bug(X86_BUG_MDS))
		val |= ARCH_CAP_MDS_NO;
	if (!boot_cpu_has_bug(X86_BUG_TAA))
		val |= ARCH_CAP_TAA_NO;
	return val;
}

/* IA32_SPEC_CTRL bits, each with the CPUID bit that offers it. */
static u64 spec_ctrl_bits(void)
{
	static const struct { u8 index; u32 feature; u64 bits; } rows[] = {
		{ 0, F(SPEC_CTRL), SPEC_CTRL_IBRS },
		{ 0, F(INTEL_STIBP), SPEC_CTRL_STIBP },
		{ 0, F(SPEC_CTRL_SSBD), SPEC_CTRL_SSBD },
		{ 2, BIT(0), BIT_ULL(7) },		/* PSFD */
		{ 2, BIT(1), BIT_ULL(3) | BIT_ULL(4) },	/* IPRED_DIS_U, _S */
		{ 2, BIT(2), BIT_ULL(5) | BIT_ULL(6) },	/* RRSBA_DIS_U, _S */
		{ 2, BIT(3), BIT_ULL(8) },		/* DDPD_U */
		{ 2, BIT(4), BIT_ULL(10) },		/* BHI_DIS_S */
	};
	u64 bits = 0;
	int i;

	for (i = 0; i < ARRAY_SIZE(rows); i++)
		if (cpuid_host_has(7, rows[i].index, EDX, rows[i].feature))
			bits |= rows[i].bits;
	return bits;
}

static void build_index_list(void)
{
	int i;

	nr_index = 0;
	for (i = 0; i < ARRAY_SIZE(saved_msrs); i++)
		if (!saved_msrs[i].function ||
		    cpuid_host_has(saved_msrs[i].function, saved_msrs[i].index, saved_msrs[i].reg,
				   saved_msrs[i].feature))
			index_list[nr_index++] = saved_msrs[i].msr;
}

void msr_module_init(void)
{
	build_index_list();
	msr_host.arch_caps = arch_capabilities();
	msr_host.spec_ctrl = spec_ctrl_bits();
	if (rdmsrl_safe(MSR_IA32_UCODE_REV, &msr_host.ucode_rev))
		msr_host.ucode_rev = 0;
}

const u32 *msr_index_list(u32 *count)
{
	*count = nr_index;
	return index_list;
}

const u32 *msr_feature_list(u32 *count)
{
	*count = ARRAY_SIZE(feature_list);
	return feature_list;
}

int msr_feature_get(u32 msr, u64 *val)
{
	switch (msr) {
	case MSR_IA32_ARCH_CAPABILITIES:
		*val = msr_host.arch_caps;
		return 0;
	case MSR_IA32_UCODE_REV:
		*val = msr_host.ucode_rev;
		return 0;
	}
	return -ENOENT;
}

static void allow(struct vcpu *vcpu, u32 msr, bool read, bool write)
{
	read = read && msr_filter_allows(vcpu, msr, KVM_MSR_FILTER_READ);
	write = write && msr_filter_allows(vcpu, msr, KVM_MSR_FILTER_WRITE);
	backend.msr_intercept(vcpu, msr, !read, !write);
}

/*
 * IA32_SPEC_CTRL costs a read after every exit once the guest owns it, so that waits for the first
 * value that is not 0. The commands have no state.
 */
void msr_intercepts(struct vcpu *vcpu)
{
	static const u32 always[] = {
		MSR_FS_BASE, MSR_GS_BASE, MSR_KERNEL_GS_BASE,
		MSR_IA32_SYSENTER_CS, MSR_IA32_SYSENTER_ESP, MSR_IA32_SYSENTER_EIP,
	};
	int srcu = srcu_read_lock(&vcpu->vm->srcu), i;
	bool live = vcpu->arch.spec_ctrl_live &&
		    msr_filter_allows(vcpu, MSR_IA32_SPEC_CTRL, KVM_MSR_FILTER_READ) &&
		    msr_filter_allows(vcpu, MSR_IA32_SPEC_CTRL, KVM_MSR_FILTER_WRITE);
	bool ibpb = boot_cpu_has(X86_FEATURE_IBPB) &&
		    (guest_has(vcpu, GUEST_SPEC_CTRL) || guest_has(vcpu, GUEST_IBPB));

	for (i = 0; i < ARRAY_SIZE(always); i++)
		allow(vcpu, always[i], true, true);
	allow(vcpu, MSR_IA32_TSC, true, false);
	vcpu->arch.spec_ctrl_live = live;
	allow(vcpu, MSR_IA32_SPEC_CTRL, live, live);
	allow(vcpu, MSR_IA32_PRED_CMD, false, ibpb);
	allow(vcpu, MSR_IA32_FLUSH_CMD, false,
	      boot_cpu_has(X86_FEATURE_FLUSH_L1D) && guest_has(vcpu, GUEST_FLUSH_L1D));
	srcu_read_unlock(&vcpu->vm->srcu, srcu);
}
