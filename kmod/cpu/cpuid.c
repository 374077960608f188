// SPDX-License-Identifier: GPL-2.0-only
/*
 * A guest's CPUID: the table userspace gave, the bits that mirror state, and lookup without a
 * search.
 */
#include <linux/corbel.h>
#include <linux/slab.h>
#include <linux/uaccess.h>
#include <asm/cpufeature.h>
#include <asm/kvm_para.h>
#include <asm/msr-index.h>
#include "trace.h"
#include "vm.h"
#include "cpu/cpuid.h"
#include "cpu/msr.h"
#include "cpu/regs.h"
#include "irq/lapic.h"

#define NONE		0xffff
#define NR_BUCKETS	128	/* a power of two */

/* A hash table: entries that fall into the same bucket are chained by next[], in their order. */
struct cpuid_table {
	u32 nr;
	u16 first[NR_BUCKETS];
	u16 next[CORBEL_NR_CPUID];
	struct kvm_cpuid_entry2 level;	/* answer made up by topology() */
	struct kvm_cpuid_entry2 entries[];
};

#define F(name)		BIT(X86_FEATURE_##name & 31)

/* Where each feature stands, and the control bits that exist only with it. */
static const struct {
	u32 function;
	u8 index, reg;
	u32 bit;
	u64 cr4, efer;
} feature_bits[NR_GUEST_FEATURES] = {
	[GUEST_APIC] = { 1, 0, EDX, F(APIC) },
	[GUEST_X2APIC] = { 1, 0, ECX, F(X2APIC) },
	[GUEST_XSAVE] = { 1, 0, ECX, F(XSAVE), X86_CR4_OSXSAVE },
	[GUEST_PCID] = { 1, 0, ECX, F(PCID), X86_CR4_PCIDE },
	[GUEST_MWAIT] = { 1, 0, ECX, F(MWAIT) },
	[GUEST_TSC_ADJUST] = { 7, 0, EBX, F(TSC_ADJUST) },
	[GUEST_FSGSBASE] = { 7, 0, EBX, F(FSGSBASE), X86_CR4_FSGSBASE },
	[GUEST_SMEP] = { 7, 0, EBX, F(SMEP), X86_CR4_SMEP },
	[GUEST_SMAP] = { 7, 0, EBX, F(SMAP), X86_CR4_SMAP },
	[GUEST_INVPCID] = { 7, 0, EBX, F(INVPCID) },
	[GUEST_RDPID] = { 7, 0, ECX, F(RDPID) },
	[GUEST_WAITPKG] = { 7, 0, ECX, F(WAITPKG) },
	[GUEST_PKU] = { 7, 0, ECX, F(PKU), X86_CR4_PKE },
	[GUEST_LA57] = { 7, 0, ECX, F(LA57), X86_CR4_LA57 },
	[GUEST_UMIP] = { 7, 0, ECX, F(UMIP), X86_CR4_UMIP },
	[GUEST_SPEC_CTRL] = { 7, 0, EDX, F(SPEC_CTRL) },
	[GUEST_STIBP] = { 7, 0, EDX, F(INTEL_STIBP) },
	[GUEST_SSBD] = { 7, 0, EDX, F(SPEC_CTRL_SSBD) },
	[GUEST_FLUSH_L1D] = { 7, 0, EDX, F(FLUSH_L1D) },
	[GUEST_ARCH_CAPABILITIES] = { 7, 0, EDX, F(ARCH_CAPABILITIES) },
	[GUEST_XSAVES] = { 0xd, 1, EAX, F(XSAVES) },
	[GUEST_LM] = { 0x80000001, 0, EDX, F(LM), .efer = EFER_LME | EFER_LMA },
	[GUEST_NX] = { 0x80000001, 0, EDX, F(NX), .efer = EFER_NX },
	[GUEST_SYSCALL] = { 0x80000001, 0, EDX, F(SYSCALL), .efer = EFER_SCE },
	[GUEST_RDTSCP] = { 0x80000001, 0, EDX, F(RDTSCP) },
	[GUEST_FXSR_OPT] = { 0x80000001, 0, EDX, F(FXSR_OPT), .efer = EFER_FFXSR },
	[GUEST_IBPB] = { 0x80000008, 0, EBX, F(AMD_IBPB) },
	[GUEST_AMD_SSBD] = { 0x80000008, 0, EBX, F(AMD_SSBD) },
	[GUEST_VIRT_SSBD] = { 0x80000008, 0, EBX, F(VIRT_SSBD) },
};
static_assert(NR_GUEST_FEATURES <= 64);

/* CR4 bits that exist on every CPU. */
#define CR4_ALWAYS	(X86_CR4_VME | X86_CR4_PVI | X86_CR4_TSD | X86_CR4_DE | X86_CR4_PSE | \
			 X86_CR4_PAE | X86_CR4_MCE | X86_CR4_PGE | X86_CR4_PCE | \
			 X86_CR4_OSFXSR | X86_CR4_OSXMMEXCPT)

u64 cpuid_features(const struct kvm_cpuid_entry2 *entries, u32 nr)
{
	const struct kvm_cpuid_entry2 *leaf;
	u64 features = 0;
	unsigned int i;

	for (i = 0; i < NR_GUEST_FEATURES; i++) {
		leaf = cpuid_find(entries, nr, feature_bits[i].function, feature_bits[i].index);
		if (leaf && (cpuid_reg(leaf, feature_bits[i].reg) & feature_bits[i].bit))
			features |= BIT_ULL(i);
	}
	/* "AuthenticAMD", "HygonGenuine": leaves out of range read as zero, not as the last one. */
	leaf = cpuid_find(entries, nr, 0, 0);
	if (leaf && (leaf->ebx == 0x68747541 || leaf->ebx == 0x6f677948))
		features |= BIT_ULL(GUEST_ZERO_LEAVES);
	return features;
}

void cpuid_controls(u64 features, u64 *cr4, u64 *efer)
{
	unsigned int i;

	*cr4 = CR4_ALWAYS;
	*efer = 0;
	for (i = 0; i < NR_GUEST_FEATURES; i++)
		if (features & BIT_ULL(i)) {
			*cr4 |= feature_bits[i].cr4;
			*efer |= feature_bits[i].efer;
		}
}

/* Leaves of the three classes, basic, hypervisor and extended, get 32 buckets each before they share. */
static u32 bucket(u32 function)
{
	return (function + (function >> 25)) % NR_BUCKETS;
}

static bool matches(const struct kvm_cpuid_entry2 *entry, u32 function, u32 index)
{
	return entry->function == function &&
	       (entry->index == index || !(entry->flags & KVM_CPUID_FLAG_SIGNIFCANT_INDEX));
}

const struct kvm_cpuid_entry2 *cpuid_find(const struct kvm_cpuid_entry2 *entries, u32 nr,
					  u32 function, u32 index)
{
	const struct kvm_cpuid_entry2 *entry;

	for (entry = entries; entry < entries + nr; entry++)
		if (matches(entry, function, index))
			return entry;
	return NULL;
}

/* Where in the table the answer is, or NONE */
static __always_inline u32 find_place(const struct cpuid_table *table, u32 function, u32 index)
{
	u32 i = table->first[bucket(function)];

	while (i != NONE && !matches(&table->entries[i], function, index))
		i = table->next[i];
	return i;
}

static struct kvm_cpuid_entry2 *find(struct cpuid_table *table, u32 function, u32 index)
{
	u32 i = find_place(table, function, index);

	return i == NONE ? NULL : &table->entries[i];
}

static void build_index(struct cpuid_table *table)
{
	u32 i;

	memset(table->first, 0xff, sizeof(table->first));
	/* backwards: the first of a kind ends up in front */
	for (i = table->nr; i-- > 0;) {
		u16 *first = &table->first[bucket(table->entries[i].function)];

		table->next[i] = *first;
		*first = i;
	}
}

static void set_bit_if(u32 *reg, u32 bit, bool on)
{
	*reg = on ? *reg | bit : *reg & ~bit;
}

static void refresh_leaf1(struct vcpu *vcpu, struct kvm_cpuid_entry2 *leaf)
{
	if (leaf->ecx & F(XSAVE))
		set_bit_if(&leaf->ecx, F(OSXSAVE), cr4_get(vcpu) & X86_CR4_OSXSAVE);
	set_bit_if(&leaf->edx, F(APIC), lapic_base_get(vcpu) & MSR_IA32_APICBASE_ENABLE);
	if (!cpu_quirk(&vcpu->vm->arch, KVM_X86_QUIRK_MISC_ENABLE_NO_MWAIT))
		set_bit_if(&leaf->ecx, F(MWAIT),
			   vcpu->arch.misc_enable & MSR_IA32_MISC_ENABLE_MWAIT);
}

/*
 * KVM's leaves may stand at 0x40000000 or, behind another hypervisor's, at a multiple of 0x100
 * above.
 */
static struct kvm_cpuid_entry2 *find_pv(struct cpuid_table *table)
{
	const struct kvm_cpuid_entry2 *leaf;

	for (leaf = table->entries; leaf < table->entries + table->nr; leaf++)
		if ((leaf->function & 0xffff00ff) == KVM_CPUID_SIGNATURE &&
		    !memcmp(&leaf->ebx, KVM_SIGNATURE, 3 * sizeof(u32)))
			return find(table, leaf->function | 1, 0);
	return NULL;
}

static void refresh_table(struct vcpu *vcpu, struct cpuid_table *table)
{
	struct kvm_cpuid_entry2 *leaf = find(table, 1, 0);

	if (leaf)
		refresh_leaf1(vcpu, leaf);
	leaf = find(table, 7, 0);
	if (leaf && (leaf->ecx & F(PKU)))
		set_bit_if(&leaf->ecx, F(OSPKE), cr4_get(vcpu) & X86_CR4_PKE);
	/* A guest that halts without an exit cannot be kicked out of it. */
	leaf = find_pv(table);
	if (leaf && (vcpu->vm->arch.exits_off & KVM_X86_DISABLE_EXITS_HLT))
		leaf->eax &= ~BIT(KVM_FEATURE_PV_UNHALT);
	leaf = find(table, 0xd, 0);
	if (leaf)
		leaf->ebx = cpuid_host_xsave_size(vcpu->arch.xcr0, false);
	leaf = find(table, 0xd, 1);
	if (leaf && (leaf->eax & (F(XSAVES) | F(XSAVEC))))
		leaf->ebx = cpuid_host_xsave_size(vcpu->arch.xcr0 | vcpu->arch.xss, true);
}

void cpuid_refresh(struct vcpu *vcpu)
{
	if (vcpu->arch.cpuid)
		refresh_table(vcpu, vcpu->arch.cpuid);
	if (guest_has(vcpu, GUEST_MWAIT) !=
	    !!(vcpu->arch.misc_enable & MSR_IA32_MISC_ENABLE_MWAIT) &&
	    !cpu_quirk(&vcpu->vm->arch, KVM_X86_QUIRK_MISC_ENABLE_NO_MWAIT))
		vcpu->arch.features ^= BIT_ULL(GUEST_MWAIT);
}

/* What no processor can have is not believed: shifts and masks are made of it. */
static u8 derive_maxphyaddr(struct cpuid_table *table)
{
	const struct kvm_cpuid_entry2 *leaf = find(table, 0x80000000, 0);

	if (leaf && leaf->eax >= 0x80000008) {
		leaf = find(table, 0x80000008, 0);
		if (leaf)
			return clamp(leaf->eax & 0xff, 32u, 52u);
	}
	return 36;
}

static void derive(struct vcpu *vcpu)
{
	struct vcpu_cpu *arch = &vcpu->arch;
	struct cpuid_table *table = arch->cpuid;
	const struct kvm_cpuid_entry2 *leaf = find(table, 0xd, 0), *pv = find_pv(table);
	const struct kvm_cpuid_entry2 *own = find(table, CORBEL_CPUID_FEATURES, 0);
	u64 cr4, efer;

	arch->features = cpuid_features(table->entries, table->nr);
	arch->pv_features = pv ? pv->eax : 0;
	arch->corbel_features = own ? own->eax : 0;
	arch->maxphyaddr = derive_maxphyaddr(table);
	arch->guest_xcr0_allowed =
		leaf ? (leaf->eax | (u64)leaf->edx << 32) & cpuid_host.xcr0 : 0;
	cpuid_controls(arch->features, &cr4, &efer);
	arch->cr4_reserved = ~(cr4 & cpuid_host.cr4);
	arch->efer_allowed = efer & cpuid_host.efer;
	arch->cr3_reserved = ~0ull << arch->maxphyaddr;
	msr_intercepts(vcpu);
	backend.controls_changed(vcpu);
}

static bool tables_equal(const struct cpuid_table *a, const struct cpuid_table *b)
{
	return a && a->nr == b->nr &&
	       !memcmp(a->entries, b->entries, a->nr * sizeof(a->entries[0]));
}

static bool table_valid(struct cpuid_table *table)
{
	const struct kvm_cpuid_entry2 *leaf = find(table, 0x80000008, 0);
	u32 virt = leaf ? (leaf->eax >> 8) & 0xff : 0;

	return virt == 0 || virt == 48 || virt == 57;
}

/* Takes over @table. */
static int install(struct vcpu *vcpu, struct cpuid_table *table)
{
	int err = -EINVAL;

	build_index(table);
	if (!table_valid(table))
		goto out;
	refresh_table(vcpu, table);
	if (vcpu->arch.has_run) {
		err = tables_equal(vcpu->arch.cpuid, table) ? 0 : -EINVAL;
		goto out;
	}
	swap(vcpu->arch.cpuid, table);
	derive(vcpu);
	lapic_cpuid_changed(vcpu);
	err = 0;
out:
	kvfree(table);
	return err;
}

static int copy_entry(struct kvm_cpuid_entry2 *entry, const void __user *user, bool old)
{
	struct kvm_cpuid_entry in;

	if (copy_from_user(old ? (void *)&in : entry, user, old ? sizeof(in) : sizeof(*entry)))
		return -EFAULT;
	if (old)
		*entry = (struct kvm_cpuid_entry2){
			.function = in.function,
			.eax = in.eax, .ebx = in.ebx, .ecx = in.ecx, .edx = in.edx,
		};
	memset(entry->padding, 0, sizeof(entry->padding));
	return 0;
}

int cpuid_set(struct vcpu *vcpu, const void __user *user, u32 nent, bool old)
{
	size_t size = old ? sizeof(struct kvm_cpuid_entry) : sizeof(struct kvm_cpuid_entry2);
	struct cpuid_table *table;
	u32 i;

	if (nent > CORBEL_NR_CPUID)
		return -E2BIG;
	table = kvzalloc(struct_size(table, entries, nent), GFP_KERNEL_ACCOUNT);
	if (!table)
		return -ENOMEM;
	table->nr = nent;
	for (i = 0; i < nent; i++)
		if (copy_entry(&table->entries[i], user + i * size, old)) {
			kvfree(table);
			return -EFAULT;
		}
	return install(vcpu, table);
}

int cpuid_get(struct vcpu *vcpu, struct kvm_cpuid_entry2 __user *user, u32 *nent)
{
	const struct cpuid_table *table = vcpu->arch.cpuid;
	u32 nr = table ? table->nr : 0;

	if (*nent < nr) {
		*nent = nr;
		return -E2BIG;
	}
	return nr && copy_to_user(user, table->entries, nr * sizeof(*user)) ? -EFAULT : 0;
}

static const struct kvm_cpuid_entry2 zero_entry;

/* A topology leaf without this level: the level's number and the x2APIC id are still given. */
static const struct kvm_cpuid_entry2 *topology(struct cpuid_table *table, u32 function, u32 index)
{
	const struct kvm_cpuid_entry2 *level1;

	if (function != 0xb && function != 0x1f)
		return &zero_entry;
	level1 = find(table, function, 1);
	if (!level1)
		return &zero_entry;
	table->level = (struct kvm_cpuid_entry2){ .ecx = index & 0xff, .edx = level1->edx };
	return &table->level;
}

/*
 * Out of range: vendors with GUEST_ZERO_LEAVES answer zero; the others answer with the highest
 * basic leaf, whatever class the request was of.
 */
static bool is_offered(struct vcpu *vcpu, u32 function, u32 basic_max)
{
	struct cpuid_table *table = vcpu->arch.cpuid;
	const struct kvm_cpuid_entry2 *class;

	if (function < 0x40000000)
		return function <= basic_max;
	if (function < 0x50000000)
		class = find(table, function & 0xffffff00, 0);
	else
		class = find(table, function & 0xc0000000, 0);
	return class && function <= class->eax;
}

static noinline const struct kvm_cpuid_entry2 *not_found(struct vcpu *vcpu, u32 function, u32 index)
{
	struct cpuid_table *table = vcpu->arch.cpuid;
	const struct kvm_cpuid_entry2 *basic, *entry;

	if (!table)
		return &zero_entry;
	basic = find(table, 0, 0);
	if (!basic || guest_has(vcpu, GUEST_ZERO_LEAVES) || is_offered(vcpu, function, basic->eax))
		return topology(table, function, index);
	entry = find(table, basic->eax, index);
	return entry ?: topology(table, basic->eax, index);
}

static const struct kvm_cpuid_entry2 *lookup(struct vcpu *vcpu, u32 function, u32 index)
{
	struct cpuid_table *table = vcpu->arch.cpuid;
	const struct kvm_cpuid_entry2 *entry = likely(table) ? find(table, function, index) : NULL;

	return likely(entry) ? entry : not_found(vcpu, function, index);
}

void cpuid_query(struct vcpu *vcpu, u32 *eax, u32 *ebx, u32 *ecx, u32 *edx)
{
	const struct kvm_cpuid_entry2 *entry = lookup(vcpu, *eax, *ecx);

	*eax = entry->eax;
	*ebx = entry->ebx;
	*ecx = entry->ecx;
	*edx = entry->edx;
}

static void answer(struct vcpu *vcpu, const struct kvm_cpuid_entry2 *entry)
{
	unsigned long *gpr = vcpu->regs.gpr;

	gpr[GPR_RAX] = entry->eax;
	gpr[GPR_RBX] = entry->ebx;
	gpr[GPR_RCX] = entry->ecx;
	gpr[GPR_RDX] = entry->edx;
}

static bool faults_in_user(struct vcpu *vcpu)
{
	return vcpu->arch.misc_features & MSR_MISC_FEATURES_ENABLES_CPUID_FAULT;
}

int cpuid_exit(struct vcpu *vcpu, struct vcpu_exit *exit)
{
	u32 function = vcpu->regs.gpr[GPR_RAX], index = vcpu->regs.gpr[GPR_RCX];
	const struct kvm_cpuid_entry2 *entry;

	if (unlikely(faults_in_user(vcpu)) && regs_cpl(vcpu))
		return inject_gp(vcpu);
	entry = lookup(vcpu, function, index);
	trace_corbel_cpuid(vcpu->id, function, index, entry->eax, entry->ebx, entry->ecx,
			   entry->edx);
	answer(vcpu, entry);
	return vcpu_skip_insn(vcpu);
}

bool cpuid_fast(struct vcpu *vcpu, struct vcpu_exit *exit)
{
	struct cpuid_table *table = vcpu->arch.cpuid;
	u32 i;

	if (unlikely(!table || !exit->insn_len || faults_in_user(vcpu)) || trace_corbel_cpuid_enabled())
		return false;
	i = find_place(table, vcpu->regs.gpr[GPR_RAX], vcpu->regs.gpr[GPR_RCX]);
	if (unlikely(i == NONE))
		return false;
	answer(vcpu, &table->entries[i]);
	return skip_fast(vcpu);
}

void cpuid_vcpu_init(struct vcpu *vcpu)
{
	/* Before KVM_SET_CPUID2 whatever the host supports may be set by userspace. */
	vcpu->arch.maxphyaddr = 36;
	vcpu->arch.cr3_reserved = ~0ull << cpuid_host.maxphyaddr;
	vcpu->arch.cr4_reserved = ~cpuid_host.cr4;
}

void cpuid_vcpu_destroy(struct vcpu *vcpu)
{
	kvfree(vcpu->arch.cpuid);
	vcpu->arch.cpuid = NULL;
}
