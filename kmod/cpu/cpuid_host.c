// SPDX-License-Identifier: GPL-2.0-only
/*
 * KVM_GET_SUPPORTED_CPUID as const data: every feature bit a guest may be told is named here.
 * A bit that is not named is hidden. Left out on purpose: VMX, SVM, SGX, MPX, Intel PT, AMX, PDCM
 * and the PMU leaf, MONITOR, BUS_LOCK_DETECT, SEV, OSVW.
 */
#include <linux/errno.h>
#include <linux/minmax.h>
#include <linux/string.h>
#include <asm/cpufeature.h>
#include <asm/fpu/xcr.h>
#include <asm/kvm_para.h>
#include <asm/msr-index.h>
#include <asm/processor.h>
#include "backend.h"
#include "cpu/cpuid_host.h"
#include "cpu/xstate.h"

#define XSAVE_LEGACY_SIZE	512	/* as FXSAVE */
#define XSAVE_HEADER_SIZE	64
#define NR_SUPPORTED	100	/* clients' buffers hold 80 to 100 */

enum { EAX, EBX, ECX, EDX };

struct cpuid_host cpuid_host;
static struct kvm_cpuid_entry2 supported[NR_SUPPORTED];
static u32 nr_supported;
static struct { u32 size, offset, flags; } xsave_area[64];

#define F(name)		BIT(X86_FEATURE_##name & 31)

/*
 * One register of one leaf. A bit survives if the CPU has it, the mask names it and the kernel has
 * not turned it off: @word is the kernel's capability word, or NO_WORD where it keeps none.
 */
#define NO_WORD		(-1)
static const struct feature_mask {
	u32 function;
	u8 index, reg;
	s8 word;
	u32 mask;
} feature_masks[] = {
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
	{ 7, 2, EDX, NO_WORD,
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
	{ 0x80000007, 0, EDX, NO_WORD, BIT(8) /* invariant TSC */ },
	{ 0x80000008, 0, EBX, CPUID_8000_0008_EBX,
	  F(CLZERO) | F(XSAVEERPTR) | F(WBNOINVD) | F(AMD_IBPB) | F(AMD_IBRS) | F(AMD_SSBD) |
	  F(AMD_SSB_NO) | F(AMD_STIBP) | F(AMD_STIBP_ALWAYS_ON) },
	{ 0x8000001a, 0, EAX, NO_WORD, BIT(0) | BIT(1) | BIT(2) },
	{ 0x80000021, 0, EAX, NO_WORD,
	  BIT(0) /* NO_NESTED_DATA_BP */ | BIT(2) /* LFENCE serializes */ |
	  BIT(5) /* VERW clears */ | BIT(6) /* NULL_SEL_CLR_BASE */ },
	{ 0x80000021, 0, ECX, NO_WORD, BIT(1) /* TSA_SQ_NO */ | BIT(2) /* TSA_L1_NO */ },
};

/* Bits given whatever the leaf says: emulated, or the other vendor's name for what the host has. */
#define ALWAYS	X86_FEATURE_ALWAYS
static const struct feature_added {
	u32 function;
	u8 index, reg;
	u16 host;		/* X86_FEATURE_* that the host must have */
	u32 bit;
} features_added[] = {
	{ 1, 0, ECX, ALWAYS, F(X2APIC) },
	{ 7, 0, EBX, ALWAYS, F(TSC_ADJUST) },
	{ 7, 0, EDX, ALWAYS, F(ARCH_CAPABILITIES) },
	{ 7, 0, EDX, X86_FEATURE_IBRS, F(SPEC_CTRL) },
	{ 7, 0, EDX, X86_FEATURE_STIBP, F(INTEL_STIBP) },
	{ 7, 0, EDX, X86_FEATURE_AMD_SSBD, F(SPEC_CTRL_SSBD) },
	{ 0x80000008, 0, EBX, X86_FEATURE_IBPB, F(AMD_IBPB) },
	{ 0x80000008, 0, EBX, X86_FEATURE_IBRS, F(AMD_IBRS) },
	{ 0x80000008, 0, EBX, X86_FEATURE_STIBP, F(AMD_STIBP) },
	{ 0x80000008, 0, EBX, X86_FEATURE_SPEC_CTRL_SSBD, F(AMD_SSBD) },
};

/* Leaves that describe caches and names: the host's values as they are. */
static const u32 leaves_passed[] = {
	2, 0x80000002, 0x80000003, 0x80000004, 0x80000005, 0x80000006, 0x80000019,
};

/* The registers beside a feature mask that the host's value fills too. */
static const struct { u32 function; u8 reg; u32 mask; } regs_passed[] = {
	{ 1, EAX, ~0u }, { 1, EBX, ~0u },
	{ 0x80000001, EAX, ~0u }, { 0x80000001, EBX, ~0x0fff0000u },
	{ 0x80000008, ECX, ~0xffff0f00u },
	{ 0x80000019, EAX, ~0u }, { 0x80000019, EBX, ~0u },
};

#define PV(name)	BIT(KVM_FEATURE_##name)
#define PV_FEATURES	(PV(CLOCKSOURCE) | PV(NOP_IO_DELAY) | PV(CLOCKSOURCE2) | PV(STEAL_TIME) | \
			 PV(PV_EOI) | PV(PV_UNHALT) | PV(PV_TLB_FLUSH) | PV(PV_SEND_IPI) | \
			 PV(POLL_CONTROL) | PV(PV_SCHED_YIELD) | PV(CLOCKSOURCE_STABLE_BIT))

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

static struct kvm_cpuid_entry2 *add(u32 function, u32 index)
{
	struct kvm_cpuid_entry2 *entry = &supported[min_t(u32, nr_supported, NR_SUPPORTED - 1)];

	if (nr_supported < NR_SUPPORTED)
		nr_supported++;
	memset(entry, 0, sizeof(*entry));
	entry->function = function;
	entry->index = index;
	entry->flags = indexed(function) ? KVM_CPUID_FLAG_SIGNIFCANT_INDEX : 0;
	return entry;
}

static void set_regs(struct kvm_cpuid_entry2 *entry, const u32 regs[4])
{
	entry->eax = regs[EAX];
	entry->ebx = regs[EBX];
	entry->ecx = regs[ECX];
	entry->edx = regs[EDX];
}

static struct kvm_cpuid_entry2 *add_host(u32 function, u32 index)
{
	struct kvm_cpuid_entry2 *entry = add(function, index);
	u32 regs[4];

	host_cpuid(function, index, regs);
	set_regs(entry, regs);
	return entry;
}

/* Features the kernel or the CPU has but this backend cannot run a guest with. */
static u32 backend_hides(u32 function, u8 reg)
{
	if (function == 7 && reg == EBX)
		return caps.invpcid ? 0 : F(INVPCID);
	if (function == 7 && reg == ECX)
		return (caps.rdtscp ? 0 : F(RDPID)) | (caps.umip ? 0 : F(UMIP)) |
		       (caps.waitpkg ? 0 : F(WAITPKG)) |
		       (caps.tdp && boot_cpu_has(X86_FEATURE_OSPKE) ? 0 : F(PKU));
	if (function == 0xd && reg == EAX)
		return caps.xsaves ? 0 : F(XSAVES);
	if (function == 0x80000001 && reg == EDX)
		return caps.rdtscp ? 0 : F(RDTSCP);
	if (function == 1 && reg == ECX)
		return cpuid_host.xcr0 ? 0 : F(XSAVE) | F(AVX) | F(F16C) | F(FMA);
	return 0;
}

static u32 mask_reg(const struct feature_mask *row, u32 raw)
{
	u32 kernel = row->word == NO_WORD ? ~0u : boot_cpu_data.x86_capability[row->word];
	unsigned int i;
	u32 val;

	val = raw & kernel & row->mask;
	for (i = 0; i < ARRAY_SIZE(features_added); i++) {
		const struct feature_added *added = &features_added[i];

		if (added->function == row->function && added->index == row->index &&
		    added->reg == row->reg && boot_cpu_has(added->host))
			val |= added->bit;
	}
	return val & ~backend_hides(row->function, row->reg);
}

/* A leaf of features: what no mask names is zero. */
static struct kvm_cpuid_entry2 *add_masked(u32 function, u32 index)
{
	struct kvm_cpuid_entry2 *entry = add(function, index);
	u32 regs[4], out[4] = { 0 };
	unsigned int i;

	host_cpuid(function, index, regs);
	for (i = 0; i < ARRAY_SIZE(feature_masks); i++) {
		const struct feature_mask *row = &feature_masks[i];

		if (row->function == function && row->index == index)
			out[row->reg] = mask_reg(row, regs[row->reg]);
	}
	for (i = 0; i < ARRAY_SIZE(regs_passed); i++)
		if (regs_passed[i].function == function)
			out[regs_passed[i].reg] = regs[regs_passed[i].reg] & regs_passed[i].mask;
	set_regs(entry, out);
	return entry;
}

static void add_caches(u32 function)
{
	u32 index = 0;

	while ((add_host(function, index)->eax & 0x1f) && index < 8)
		index++;
}

static void add_features(u32 function)
{
	struct kvm_cpuid_entry2 *entry = add_masked(function, 0);
	u32 regs[4], last, index;

	host_cpuid(function, 0, regs);
	last = min(regs[EAX], 2u);
	entry->eax = last;
	if (regs[ECX] & F(LA57) && caps.cr4_allowed & X86_CR4_LA57)
		entry->ecx |= F(LA57);
	for (index = 1; index <= last; index++)
		add_masked(function, index);
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
	struct kvm_cpuid_entry2 *entry = add(function, 0);
	unsigned int i;

	if (!xcr0)
		return;
	entry->eax = (u32)xcr0;
	entry->edx = xcr0 >> 32;
	entry->ebx = entry->ecx = cpuid_host_xsave_size(xcr0, false);
	entry = add_masked(function, 1);
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
	struct kvm_cpuid_entry2 *entry = add_masked(function, 0);
	u32 regs[4], virt;

	host_cpuid(function, 0, regs);
	virt = max((regs[EAX] >> 8) & 0xff, 48u);
	cpuid_host.maxphyaddr = caps.tdp ? regs[EAX] & 0xff : boot_cpu_data.x86_phys_bits;
	entry->eax = cpuid_host.maxphyaddr | virt << 8;
}

static void add_basic(u32 function, u32 max)
{
	switch (function) {
	case 0:
		add_host(function, 0)->eax = max;
		break;
	case 1:
		add_masked(function, 0);
		break;
	case 2:
		add_host(function, 0);
		break;
	case 4:
		add_caches(function);
		break;
	case 6:
		add(function, 0)->eax = BIT(2);	/* the LAPIC timer never stops */
		break;
	case 7:
		add_features(function);
		break;
	case 0xd:
		add_xsave(function);
		break;
	default:
		add(function, 0);
	}
}

static void add_extended(u32 function, u32 max)
{
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(leaves_passed); i++)
		if (leaves_passed[i] == function) {
			add_host(function, 0);
			return;
		}
	if (function == 0x80000000)
		add_host(function, 0)->eax = max;
	else if (function == 0x80000008)
		add_address_sizes(function);
	else if (function == 0x8000001d)
		add_caches(function);
	else
		add_masked(function, 0);	/* all zero if no mask names it */
}

static void add_hypervisor(void)
{
	struct kvm_cpuid_entry2 *entry = add(KVM_CPUID_SIGNATURE, 0);
	u32 signature[3];

	entry->eax = KVM_CPUID_FEATURES;
	memcpy(signature, KVM_SIGNATURE, sizeof(signature));
	entry->ebx = signature[0];
	entry->ecx = signature[1];
	entry->edx = signature[2];
	entry = add(KVM_CPUID_FEATURES, 0);
	entry->eax = PV_FEATURES;
}

const struct kvm_cpuid_entry2 *cpuid_host_entry(u32 function, u32 index)
{
	u32 i;

	for (i = 0; i < nr_supported; i++)
		if (supported[i].function == function && supported[i].index == index)
			return &supported[i];
	return NULL;
}

bool cpuid_host_has(u32 function, u32 index, unsigned int reg, u32 bits)
{
	const struct kvm_cpuid_entry2 *entry = cpuid_host_entry(function, index);

	return entry && (cpuid_reg(entry, reg) & bits);
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

/* CR4 bits that exist only with a feature; the rest are always there. */
static const struct { u64 bit; u32 function; u8 reg; u32 feature; } cr4_features[] = {
	{ X86_CR4_OSXSAVE, 1, ECX, F(XSAVE) },
	{ X86_CR4_PCIDE, 1, ECX, F(PCID) },
	{ X86_CR4_SMEP, 7, EBX, F(SMEP) },
	{ X86_CR4_SMAP, 7, EBX, F(SMAP) },
	{ X86_CR4_FSGSBASE, 7, EBX, F(FSGSBASE) },
	{ X86_CR4_PKE, 7, ECX, F(PKU) },
	{ X86_CR4_LA57, 7, ECX, F(LA57) },
	{ X86_CR4_UMIP, 7, ECX, F(UMIP) },
};

#define CR4_ALWAYS	(X86_CR4_VME | X86_CR4_PVI | X86_CR4_TSD | X86_CR4_DE | X86_CR4_PSE | \
			 X86_CR4_PAE | X86_CR4_MCE | X86_CR4_PGE | X86_CR4_PCE | \
			 X86_CR4_OSFXSR | X86_CR4_OSXMMEXCPT)

static void read_controls(void)
{
	unsigned int i;

	cpuid_host.cr4 = CR4_ALWAYS;
	for (i = 0; i < ARRAY_SIZE(cr4_features); i++)
		if (cpuid_host_has(cr4_features[i].function, 0, cr4_features[i].reg,
				   cr4_features[i].feature))
			cpuid_host.cr4 |= cr4_features[i].bit;
	cpuid_host.cr4 &= caps.cr4_allowed;
	cpuid_host.efer = EFER_SCE | EFER_LME | EFER_LMA;
	if (cpuid_host_has(0x80000001, 0, EDX, F(NX)))
		cpuid_host.efer |= EFER_NX;
	if (cpuid_host_has(0x80000001, 0, EDX, F(FXSR_OPT)))
		cpuid_host.efer |= EFER_FFXSR;
}

void cpuid_host_init(void)
{
	u32 regs[4], function, max;

	nr_supported = 0;
	read_xsave();
	host_cpuid(0, 0, regs);
	max = min(regs[EAX], 0x1fu);
	for (function = 0; function <= max; function++)
		add_basic(function, max);
	add_hypervisor();
	host_cpuid(0x80000000, 0, regs);
	max = min(regs[EAX], 0x80000021u);
	for (function = 0x80000000; function <= max; function++)
		add_extended(function, max);
	read_controls();
}

int cpuid_supported(struct kvm_cpuid_entry2 *entries, u32 *nent)
{
	if (*nent < nr_supported)
		return -E2BIG;
	memcpy(entries, supported, nr_supported * sizeof(*entries));
	*nent = nr_supported;
	return 0;
}

/* What the emulator can do beyond the CPU: leaf 1 MOVBE, leaf 7 nothing. */
int cpuid_emulated(struct kvm_cpuid_entry2 *entries, u32 *nent)
{
	static const struct kvm_cpuid_entry2 emulated[] = {
		{ .function = 0, .eax = 7 },
		{ .function = 1, .ecx = F(MOVBE) },
		{ .function = 7, .flags = KVM_CPUID_FLAG_SIGNIFCANT_INDEX },
	};

	if (*nent < ARRAY_SIZE(emulated))
		return -E2BIG;
	memcpy(entries, emulated, sizeof(emulated));
	*nent = ARRAY_SIZE(emulated);
	return 0;
}
