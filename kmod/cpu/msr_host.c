// SPDX-License-Identifier: GPL-2.0-only
/* What this machine's MSRs promise to guests, read at load. */
#include <asm/cpufeature.h>
#include <asm/msr.h>
#include "cpu/cpuid.h"
#include "cpu/msr.h"

#define F(name)		BIT(X86_FEATURE_##name & 31)

struct msr_host msr_host;

static const u32 feature_list[] = { MSR_IA32_ARCH_CAPABILITIES, MSR_IA32_UCODE_REV };

/* Bits of IA32_ARCH_CAPABILITIES that are facts about the CPU; the control bits stay hidden. */
#define ARCH_CAP_FACTS	(ARCH_CAP_RDCL_NO | ARCH_CAP_IBRS_ALL | ARCH_CAP_RSBA | \
			 ARCH_CAP_SKIP_VMENTRY_L1DFLUSH | ARCH_CAP_SSB_NO | ARCH_CAP_MDS_NO | \
			 ARCH_CAP_PSCHANGE_MC_NO | ARCH_CAP_TAA_NO | ARCH_CAP_SBDR_SSDP_NO | \
			 ARCH_CAP_FBSDP_NO | ARCH_CAP_PSDP_NO | ARCH_CAP_FB_CLEAR | \
			 ARCH_CAP_RRSBA | ARCH_CAP_BHI_NO | ARCH_CAP_PBRSB_NO | ARCH_CAP_GDS_NO | \
			 ARCH_CAP_RFDS_NO | ARCH_CAP_RFDS_CLEAR | ARCH_CAP_ITS_NO)

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
	if (!boot_cpu_has_bug(X86_BUG_ITS))
		val |= ARCH_CAP_ITS_NO;
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

void msr_host_init(void)
{
	msr_host.arch_caps = arch_capabilities();
	msr_host.spec_ctrl = spec_ctrl_bits();
	if (rdmsrl_safe(MSR_IA32_UCODE_REV, &msr_host.ucode_rev))
		msr_host.ucode_rev = 0;
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
