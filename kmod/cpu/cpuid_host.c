// SPDX-License-Identifier: GPL-2.0-only
/*
 * KVM_GET_SUPPORTED_CPUID as const data: every feature bit a guest may be told is named here.
 * A bit that is not named is hidden. Left out on purpose: VMX, SVM, SGX, MPX, Intel PT, AMX, PDCM
 * and the PMU leaf, MONITOR, BUS_LOCK_DETECT, SEV, OSVW.
 */
#include <linux/corbel.h>
#include <linux/uaccess.h>
#include <asm/cpufeature.h>
#include <asm/fpu/xcr.h>
#include <asm/kvm_para.h>
#include <asm/processor.h>
#include "backend.h"
#include "cpu/cpuid.h"
#include "cpu/xstate.h"

#define XSAVE_LEGACY_SIZE	512	/* as FXSAVE */
#define XSAVE_HEADER_SIZE	64
#define NR_SUPPORTED	100	/* clients' buffers hold 80 to 100 */

struct cpuid_host cpuid_host;
static struct kvm_cpuid_entry2 supported[NR_SUPPORTED];
static u32 nr_supported;
static struct { u32 size, offset, flags; } xsave_area[64];

#define F(name)		BIT(X86_FEATURE_##name & 31)
#define PV(name)	BIT(KVM_FEATURE_##name)

/*
 * Where the bits of a row come from: the kernel's capability word, for bits that the CPU has and
 * the kernel has not turned off; HOST, the CPU alone; IF(), given whatever the leaf says if the
 * host has that X86_FEATURE_*: emulated, or the other vendor's name for it.
 */
#define HOST		(-1)
#define IF(feature)	(NCAPINTS + (feature))
#define ALWAYS		IF(X86_FEATURE_ALWAYS)
#define ALL_REGS	4

/* What the rows of a register allow adds up. */
static const struct policy {
	u32 function;
	u8 index, reg;
	s16 source;
	u32 mask;
} policies[] = {
	{ 1, 0, ECX, CPUID_1_ECX,
	  F(XMM3) | F(PCLMULQDQ) | F(SSSE3) | F(FMA) | F(CX16) | F(PCID) | F(XMM4_1) | F(XMM4_2) |
	  F(MOVBE) | F(POPCNT) | F(AES) | F(XSAVE) | F(AVX) | F(F16C) | F(RDRAND) },
	{ 1, 0, EDX, CPUID_1_EDX,
	  F(FPU) | F(VME) | F(DE) | F(PSE) | F(TSC) | F(MSR) | F(PAE) | F(MCE) | F(CX8) | F(APIC) |
	  F(SEP) | F(MTRR) | F(PGE) | F(MCA) | F(CMOV) | F(PAT) | F(PSE36) | F(CLFLUSH) | F(MMX) |
	  F(FXSR) | F(XMM) | F(XMM2) | F(SELFSNOOP) },
	{ 7, 0, EBX, CPUID_7_0_EBX,
	  F(FSGSBASE) | F(BMI1) | F(HLE) | F(AVX2) | F(FDP_EXCPTN_ONLY) | F(SMEP) | F(BMI2) |
	  F(ERMS) | F(INVPCID) | F(RTM) | F(ZERO_FCS_FDS) | F(AVX512F) | F(AVX512DQ) | F(RDSEED) |
	  F(ADX) | F(SMAP) | F(AVX512IFMA) | F(CLFLUSHOPT) | F(CLWB) | F(AVX512PF) |
	  F(AVX512ER) | F(AVX512CD) | F(SHA_NI) | F(AVX512BW) | F(AVX512VL) },
	{ 7, 0, ECX, CPUID_7_ECX,
	  F(AVX512VBMI) | F(PKU) | F(RDPID) | F(AVX512_VPOPCNTDQ) | F(UMIP) | F(AVX512_VBMI2) |
	  F(GFNI) | F(VAES) | F(VPCLMULQDQ) | F(AVX512_VNNI) | F(AVX512_BITALG) | F(CLDEMOTE) |
	  F(MOVDIRI) | F(MOVDIR64B) | F(WAITPKG) },
	{ 7, 0, EDX, CPUID_7_EDX,
	  F(AVX512_4VNNIW) | F(AVX512_4FMAPS) | F(SPEC_CTRL) | F(SPEC_CTRL_SSBD) |
	  F(INTEL_STIBP) | F(FLUSH_L1D) | F(MD_CLEAR) | F(AVX512_VP2INTERSECT) | F(FSRM) |
	  F(SERIALIZE) | F(TSXLDTRK) | F(AVX512_FP16) },
	{ 7, 1, EAX, CPUID_7_1_EAX, F(AVX_VNNI) | F(AVX512_BF16) },
	{ 7, 2, EDX, HOST,
	  BIT(0) /* PSFD */ | BIT(1) /* IPRED_CTRL */ | BIT(2) /* RRSBA_CTRL */ |
	  BIT(3) /* DDPD_U */ | BIT(4) /* BHI_CTRL */ | BIT(5) /* MCDT_NO */ },
	{ 0xd, 1, EAX, CPUID_D_1_EAX, F(XSAVEOPT) | F(XSAVEC) | F(XGETBV1) | F(XSAVES) },
	{ 0x80000001, 0, ECX, CPUID_8000_0001_ECX,
	  F(LAHF_LM) | F(CMP_LEGACY) | F(CR8_LEGACY) | F(ABM) | F(SSE4A) | F(MISALIGNSSE) |
	  F(3DNOWPREFETCH) | F(XOP) | F(FMA4) | F(TBM) | F(TOPOEXT) },
	{ 0x80000001, 0, EDX, CPUID_8000_0001_EDX,
	  F(FPU) | F(VME) | F(DE) | F(PSE) | F(TSC) | F(MSR) | F(PAE) | F(MCE) | F(CX8) | F(APIC) |
	  F(SYSCALL) | F(MTRR) | F(PGE) | F(MCA) | F(CMOV) | F(PAT) | F(PSE36) | F(NX) |
	  F(MMXEXT) | F(MMX) | F(FXSR) | F(FXSR_OPT) | F(GBPAGES) | F(RDTSCP) | F(LM) |
	  F(3DNOWEXT) | F(3DNOW) },
	{ 0x80000007, 0, EDX, HOST, BIT(8) /* invariant TSC */ },
	{ 0x80000008, 0, EBX, CPUID_8000_0008_EBX,
	  F(CLZERO) | F(XSAVEERPTR) | F(WBNOINVD) | F(AMD_IBPB) | F(AMD_IBRS) | F(AMD_SSBD) |
	  F(AMD_SSB_NO) | F(AMD_STIBP) | F(AMD_STIBP_ALWAYS_ON) },
	{ 0x8000001a, 0, EAX, HOST, BIT(0) | BIT(1) | BIT(2) },
	{ 0x80000021, 0, EAX, HOST,
	  BIT(0) /* NO_NESTED_DATA_BP */ | BIT(2) /* LFENCE serializes */ |
	  BIT(5) /* VERW clears */ | BIT(6) /* NULL_SEL_CLR_BASE */ },
	{ 0x80000021, 0, ECX, HOST, BIT(1) /* TSA_SQ_NO */ | BIT(2) /* TSA_L1_NO */ },
	{ 1, 0, EAX, HOST, ~0u },
	{ 1, 0, EBX, HOST, ~0u },
	{ 1, 0, ECX, ALWAYS, F(X2APIC) },
	{ 6, 0, EAX, ALWAYS, BIT(2) },		/* the LAPIC timer never stops */
	{ 7, 0, EBX, ALWAYS, F(TSC_ADJUST) },
	{ 7, 0, ECX, HOST, F(LA57) },		/* the kernel need not use it */
	{ 7, 0, EDX, ALWAYS, F(ARCH_CAPABILITIES) },
	{ 7, 0, EDX, IF(X86_FEATURE_IBRS), F(SPEC_CTRL) },
	{ 7, 0, EDX, IF(X86_FEATURE_STIBP), F(INTEL_STIBP) },
	{ 7, 0, EDX, IF(X86_FEATURE_AMD_SSBD), F(SPEC_CTRL_SSBD) },
	{ 0x80000001, 0, EAX, HOST, ~0u },
	{ 0x80000001, 0, EBX, HOST, ~0x0fff0000u },
	{ 0x80000008, 0, EBX, IF(X86_FEATURE_IBPB), F(AMD_IBPB) },
	{ 0x80000008, 0, EBX, IF(X86_FEATURE_IBRS), F(AMD_IBRS) },
	{ 0x80000008, 0, EBX, IF(X86_FEATURE_STIBP), F(AMD_STIBP) },
	{ 0x80000008, 0, EBX, IF(X86_FEATURE_SPEC_CTRL_SSBD), F(AMD_SSBD) },
	{ 0x80000008, 0, EBX, ALWAYS, F(VIRT_SSBD) },
	{ 0x80000008, 0, ECX, HOST, ~0xffff0f00u },
	/* Leaves that describe caches and names. */
	{ 2, 0, ALL_REGS, HOST, ~0u },
	{ 0x80000002, 0, ALL_REGS, HOST, ~0u },
	{ 0x80000003, 0, ALL_REGS, HOST, ~0u },
	{ 0x80000004, 0, ALL_REGS, HOST, ~0u },
	{ 0x80000005, 0, ALL_REGS, HOST, ~0u },
	{ 0x80000006, 0, ALL_REGS, HOST, ~0u },
	{ 0x80000019, 0, ALL_REGS, HOST, ~0u },
	{ KVM_CPUID_FEATURES, 0, EAX, ALWAYS,
	  PV(CLOCKSOURCE) | PV(NOP_IO_DELAY) | PV(CLOCKSOURCE2) | PV(STEAL_TIME) | PV(PV_EOI) |
	  PV(PV_UNHALT) | PV(PV_TLB_FLUSH) | PV(PV_SEND_IPI) | PV(POLL_CONTROL) |
	  PV(PV_SCHED_YIELD) | PV(CLOCKSOURCE_STABLE_BIT) },
	{ CORBEL_CPUID_FEATURES, 0, EAX, ALWAYS, CORBEL_CPUID_PV_MMU },
};

/* Features the kernel or the CPU has but this backend cannot run a guest with. */
static u32 backend_hides(u32 function, u8 reg)
{
	if (function == 7 && reg == EBX)
		return caps.invpcid ? 0 : F(INVPCID);
	if (function == 7 && reg == ECX)
		return (caps.rdtscp ? 0 : F(RDPID)) | (caps.umip ? 0 : F(UMIP)) |
		       (caps.waitpkg ? 0 : F(WAITPKG)) |
		       (caps.cr4_allowed & X86_CR4_LA57 ? 0 : F(LA57)) |
		       (caps.tdp && boot_cpu_has(X86_FEATURE_OSPKE) ? 0 : F(PKU));
	if (function == 0xd && reg == EAX)
		return caps.xsaves ? 0 : F(XSAVES);
	if (function == 0x80000001 && reg == EDX)
		return caps.rdtscp ? 0 : F(RDTSCP);
	if (function == 0x80000008 && reg == EBX)
		return caps.virt_ssbd ? 0 : F(VIRT_SSBD);
	if (function == 1 && reg == ECX)
		return cpuid_host.xcr0 ? 0 : F(XSAVE) | F(AVX) | F(F16C) | F(FMA);
	return 0;
}

static bool indexed(u32 function)
{
	switch (function) {
	case 4: case 7: case 0xb: case 0xd: case 0xf: case 0x10: case 0x12: case 0x14:
	case 0x17: case 0x18: case 0x1d: case 0x1e: case 0x1f: case 0x8000001d:
		return true;
	}
	return false;
}

static void host_cpuid(u32 function, u32 index, u32 regs[4])
{
	cpuid_count(function, index, &regs[EAX], &regs[EBX], &regs[ECX], &regs[EDX]);
}

static struct kvm_cpuid_entry2 *add(u32 function, u32 index, const u32 regs[4])
{
	struct kvm_cpuid_entry2 *entry = &supported[min_t(u32, nr_supported, NR_SUPPORTED - 1)];

	if (nr_supported < NR_SUPPORTED)
		nr_supported++;
	*entry = (struct kvm_cpuid_entry2){
		.function = function, .index = index,
		.flags = indexed(function) ? KVM_CPUID_FLAG_SIGNIFCANT_INDEX : 0,
		.eax = regs[EAX], .ebx = regs[EBX], .ecx = regs[ECX], .edx = regs[EDX],
	};
	return entry;
}

static struct kvm_cpuid_entry2 *add_host(u32 function, u32 index)
{
	u32 regs[4];

	host_cpuid(function, index, regs);
	return add(function, index, regs);
}

static u32 policy_bits(const struct policy *row, u32 raw)
{
	if (row->source >= NCAPINTS)
		return boot_cpu_has(row->source - NCAPINTS) ? row->mask : 0;
	if (row->source != HOST)
		raw &= boot_cpu_data.x86_capability[row->source];
	return raw & row->mask;
}

/* What no policy names is zero. */
static struct kvm_cpuid_entry2 *add_policy(u32 function, u32 index)
{
	const struct policy *row;
	u32 raw[4], out[4] = { 0 };
	unsigned int reg;

	host_cpuid(function, index, raw);
	for (row = policies; row < policies + ARRAY_SIZE(policies); row++)
		for (reg = 0; reg < 4; reg++)
			if (row->function == function && row->index == index &&
			    (row->reg == reg || row->reg == ALL_REGS))
				out[reg] |= policy_bits(row, raw[reg]);
	for (reg = 0; reg < 4; reg++)
		out[reg] &= ~backend_hides(function, reg);
	return add(function, index, out);
}

static void add_caches(u32 function)
{
	u32 index = 0;

	while ((add_host(function, index)->eax & 0x1f) && index < 8)
		index++;
}

static void add_features(u32 function)
{
	struct kvm_cpuid_entry2 *entry = add_policy(function, 0);
	u32 index;

	entry->eax = min(cpuid_eax(function), 2u);
	for (index = 1; index <= entry->eax; index++)
		add_policy(function, index);
}

u32 cpuid_host_xsave_size(u64 features, bool compacted)
{
	u32 size = XSAVE_LEGACY_SIZE + XSAVE_HEADER_SIZE;
	unsigned int i;

	for (i = 2; i < 63; i++) {
		u32 offset = xsave_area[i].offset;

		if (!(features & BIT_ULL(i)))
			continue;
		if (compacted)
			offset = xsave_area[i].flags & BIT(1) ? ALIGN(size, 64) : size;
		size = max(size, offset + xsave_area[i].size);
	}
	return size;
}

static void add_xsave(u32 function)
{
	u64 xcr0 = cpuid_host.xcr0;
	u32 size = xcr0 ? cpuid_host_xsave_size(xcr0, false) : 0;
	struct kvm_cpuid_entry2 *entry;
	unsigned int i;

	add(function, 0, (u32[]){ xcr0, size, size, xcr0 >> 32 });
	if (!xcr0)
		return;
	entry = add_policy(function, 1);
	if (entry->eax & (F(XSAVES) | F(XSAVEC)))
		entry->ebx = cpuid_host_xsave_size(xcr0, true);
	for (i = 2; i < 63; i++)
		if (xcr0 & BIT_ULL(i)) {
			entry = add_host(function, i);
			entry->ecx &= ~BIT(2);	/* XFD */
			entry->edx = 0;
		}
}

static void add_address_sizes(u32 function)
{
	u32 host = cpuid_eax(function), virt = max((host >> 8) & 0xff, 48u);

	cpuid_host.maxphyaddr = caps.tdp ? host & 0xff : boot_cpu_data.x86_phys_bits;
	add_policy(function, 0)->eax = cpuid_host.maxphyaddr | virt << 8;
}

static void add_leaf(u32 function, u32 max)
{
	switch (function) {
	case 0:
	case 0x80000000:
		add_host(function, 0)->eax = max;
		break;
	case 4:
	case 0x8000001d:
		add_caches(function);
		break;
	case 7:
		add_features(function);
		break;
	case 0xd:
		add_xsave(function);
		break;
	case 0x80000008:
		add_address_sizes(function);
		break;
	default:
		add_policy(function, 0);
	}
}

static void add_leaves(u32 first, u32 last)
{
	u32 max = min(cpuid_eax(first), last), function;

	for (function = first; function <= max; function++)
		add_leaf(function, max);
}

static void add_hypervisor(void)
{
	u32 regs[4] = { KVM_CPUID_FEATURES };

	memcpy(&regs[EBX], KVM_SIGNATURE, 3 * sizeof(u32));
	add(KVM_CPUID_SIGNATURE, 0, regs);
	add_policy(KVM_CPUID_FEATURES, 0);
	regs[EAX] = CORBEL_CPUID_FEATURES;
	memcpy(&regs[EBX], CORBEL_CPUID_NAME, 3 * sizeof(u32));
	add(CORBEL_CPUID_SIGNATURE, 0, regs);
	add_policy(CORBEL_CPUID_FEATURES, 0);
}

/*
 * Only what a guest can save with XSAVE and the kernel itself switches; no AMX, no supervisor
 * state.
 */
#define XCR0_POSSIBLE	(XFEATURE_MASK_FP | XFEATURE_MASK_SSE | XFEATURE_MASK_YMM | \
			 XFEATURE_MASK_AVX512 | XFEATURE_MASK_PKRU)

static void read_xsave(void)
{
	u32 regs[4], i;

	cpuid_host.xcr0 = 0;
	if (!boot_cpu_has(X86_FEATURE_XSAVE))
		return;
	cpuid_host.xcr0 = xstate_host.xcr0 & XCR0_POSSIBLE;
	if (!caps.tdp)
		cpuid_host.xcr0 &= ~(u64)XFEATURE_MASK_PKRU;
	for (i = 2; i < 63; i++) {
		if (!(cpuid_host.xcr0 & BIT_ULL(i)))
			continue;
		host_cpuid(0xd, i, regs);
		xsave_area[i].size = regs[EAX];
		xsave_area[i].offset = regs[EBX];
		xsave_area[i].flags = regs[ECX];
	}
}

void cpuid_host_init(void)
{
	nr_supported = 0;
	read_xsave();
	add_leaves(0, 0x1f);
	add_hypervisor();
	add_leaves(0x80000000, 0x80000021);
	cpuid_host.features = cpuid_features(supported, nr_supported);
	cpuid_controls(cpuid_host.features, &cpuid_host.cr4, &cpuid_host.efer);
	cpuid_host.cr4 &= caps.cr4_allowed;
}

bool cpuid_host_has(u32 function, u32 index, unsigned int reg, u32 bits)
{
	const struct kvm_cpuid_entry2 *entry = cpuid_find(supported, nr_supported, function, index);

	return entry && (cpuid_reg(entry, reg) & bits);
}

static int copy_out(struct kvm_cpuid_entry2 __user *user, u32 *nent,
		    const struct kvm_cpuid_entry2 *entries, u32 nr)
{
	if (*nent < nr)
		return -E2BIG;
	*nent = nr;
	return copy_to_user(user, entries, nr * sizeof(*entries)) ? -EFAULT : 0;
}

int cpuid_supported(struct kvm_cpuid_entry2 __user *user, u32 *nent)
{
	return copy_out(user, nent, supported, nr_supported);
}

/* What the emulator can do beyond the CPU: leaf 1 MOVBE, leaf 7 nothing. */
int cpuid_emulated(struct kvm_cpuid_entry2 __user *user, u32 *nent)
{
	static const struct kvm_cpuid_entry2 emulated[] = {
		{ .function = 0, .eax = 7 },
		{ .function = 1, .ecx = F(MOVBE) },
		{ .function = 7, .flags = KVM_CPUID_FLAG_SIGNIFCANT_INDEX },
	};

	return copy_out(user, nent, emulated, ARRAY_SIZE(emulated));
}
