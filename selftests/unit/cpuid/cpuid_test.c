// SPDX-License-Identifier: GPL-2.0-only
/*
 * CPUID: nothing is offered that is not named, every leaf is there, the mirrored bits follow
 * state, and lookup finds what a plain search finds. The host here has every bit of every leaf
 * set.
 */
#include <stdlib.h>
#include <linux/slab.h>
#include "world.h"

static struct kvm_cpuid_entry2 list[256];
static u32 nr;

static struct vcpu *start(void)
{
	struct vcpu *vcpu = world_start();

	nr = 256;
	EXPECT_EQ(cpuid_supported(list, &nr), 0);
	return vcpu;
}

static const struct kvm_cpuid_entry2 *find(u32 function, u32 index)
{
	u32 i;

	for (i = 0; i < nr; i++)
		if (list[i].function == function &&
		    (!(list[i].flags & 1) || list[i].index == index))
			return &list[i];
	return NULL;
}

static void query(u32 function, u32 index, u32 regs[4])
{
	regs[EAX] = function;
	regs[ECX] = index;
	cpuid_query(&world.vcpu, &regs[EAX], &regs[EBX], &regs[ECX], &regs[EDX]);
}

static void supported_complete(void)
{
	u32 i, j, max;

	start();
	EXPECT(nr <= 80);
	for (i = 0; i <= 0x16; i++)
		EXPECT(find(i, 0));
	for (i = 0x80000000; i <= 0x80000008; i++)
		EXPECT(find(i, 0));
	for (i = 0; i < nr; i++)
		for (j = 0; j < i; j++)
			EXPECT(list[i].function != list[j].function ||
			       list[i].index != list[j].index);
	max = nr - 1;
	EXPECT_EQ(cpuid_supported(list, &max), -E2BIG);
	EXPECT_EQ(max, nr - 1);
	world_end();
}

static void supported_flags(void)
{
	u32 i;

	start();
	for (i = 0; i < nr; i++) {
		u32 f = list[i].function;
		bool indexed = f == 4 || f == 7 || f == 0xb || f == 0xd || f == 0xf || f == 0x10 ||
			       f == 0x12 || f == 0x14;

		EXPECT_EQ(list[i].flags, indexed);
	}
	world_end();
}

/* Bits that a guest must never see although the host has them all. */
static void hidden(void)
{
	static const struct { u32 function, index; u8 reg; u32 bits; } rows[] = {
		{ 1, 0, ECX, 1 << 3 | 1 << 5 | 1 << 6 | 1 << 15 | 1 << 24 | 1 << 27 | 1u << 31 },
		{ 1, 0, EDX, 1 << 10 | 1 << 18 | 1 << 20 | 1 << 21 | 1 << 22 | 1 << 28 },
		{ 6, 0, EAX, ~4u }, { 6, 0, ECX, ~0u },
		{ 7, 0, EBX, 1 << 2 | 1 << 14 | 1 << 25 },
		{ 7, 0, ECX, 1 << 4 | 1 << 5 | 1 << 7 | 1 << 24 | 1 << 30 },
		{ 7, 0, EDX, 1 << 22 | 3 << 24 | 1 << 30 },
		{ 0xa, 0, EAX, ~0u }, { 0x12, 0, EAX, ~0u }, { 0x14, 0, EAX, ~0u },
		{ 0xd, 1, EAX, ~0xfu },
		{ 0x80000001, 0, ECX, 1 << 2 | 1 << 9 | 1 << 10 | 1 << 12 },
		{ 0x80000007, 0, EDX, ~(1u << 8) },
		{ 0x40000001, 0, EAX, 1 << 4 | 1 << 10 | 1 << 14 | 1 << 16 | 1 << 17 },
	};
	int i;

	start();
	for (i = 0; i < ARRAY_SIZE(rows); i++)
		EXPECT_EQ(cpuid_reg(find(rows[i].function, rows[i].index), rows[i].reg) &
			  rows[i].bits, 0);
	EXPECT(find(1, 0)->ecx & BIT(21));		/* x2APIC and TSC_ADJUST are emulated */
	EXPECT(find(7, 0)->ebx & BIT(1));
	world_end();
}

static void backend_limits(void)
{
	start();
	EXPECT(find(7, 0)->ebx & BIT(10));
	EXPECT(find(0x80000008, 0)->ebx & BIT(25));
	world_end();
	start();
	caps.invpcid = caps.rdtscp = caps.umip = caps.xsaves = caps.virt_ssbd = false;
	caps.tdp = false;
	cpuid_host_init();
	nr = 256;
	cpuid_supported(list, &nr);
	EXPECT_EQ(find(7, 0)->ebx & BIT(10), 0);
	EXPECT_EQ(find(7, 0)->ecx & (BIT(2) | BIT(3) | BIT(22)), 0);
	EXPECT_EQ(find(0xd, 1)->eax & BIT(3), 0);
	EXPECT_EQ(find(0x80000001, 0)->edx & BIT(27), 0);
	EXPECT_EQ(find(0x80000008, 0)->ebx & BIT(25), 0);
	EXPECT_EQ(find(0x80000008, 0)->eax & 0xff, 46);	/* shadow paging: the host's own width */
	EXPECT_EQ(find(0xd, 0)->eax, 0xe7);
	world_end();
}

static void kernel_says_no(void)
{
	start();
	boot_cpu_data.x86_capability[CPUID_7_0_EBX] &= ~BIT(20);	/* nosmap */
	cpuid_host_init();
	nr = 256;
	cpuid_supported(list, &nr);
	EXPECT_EQ(find(7, 0)->ebx & BIT(20), 0);
	EXPECT_EQ(cpuid_host.cr4 & X86_CR4_SMAP, 0);
	EXPECT(cpuid_host.cr4 & X86_CR4_SMEP);
	world_end();
}

static void hypervisor_leaf(void)
{
	const struct kvm_cpuid_entry2 *leaf;

	start();
	leaf = find(0x40000000, 0);
	EXPECT_EQ(leaf->eax, 0x40000001);
	EXPECT_EQ(memcmp(&leaf->ebx, "KVMKVMKVM\0\0\0", 12), 0);
	world_end();
}

/* What cpuid_test of the kernel's selftests wants. */
static void round_trip(void)
{
	struct kvm_cpuid_entry2 back[256];
	struct vcpu *vcpu = start();
	u32 count = 256, i, regs[4];

	EXPECT_EQ(cpuid_set(vcpu, list, nr, false), 0);
	EXPECT_EQ(cpuid_get(vcpu, back, &count), 0);
	for (i = 0; i < nr; i++) {
		EXPECT_EQ(back[i].function, list[i].function);
		EXPECT_EQ(back[i].index, list[i].index);
		EXPECT_EQ(back[i].flags, list[i].flags);
		if (list[i].function != 0xd || list[i].index > 1)
			EXPECT_EQ(memcmp(&back[i].eax, &list[i].eax, 16), 0);
		query(back[i].function, back[i].index, regs);
		EXPECT_EQ(memcmp(regs, &back[i].eax, 16), 0);
	}
	count = nr - 1;
	EXPECT_EQ(cpuid_get(vcpu, back, &count), -E2BIG);
	EXPECT_EQ(count, nr);
	world_end();
}

/* KVM_SET_CPUID: entries of another size, without index or flags; padding is not kept. */
static void old_form(void)
{
	struct kvm_cpuid_entry old[] = {
		{ .function = 0, .eax = 7, .padding = 5 },
		{ .function = 7, .eax = 1, .ebx = 2, .ecx = 3, .edx = 4, .padding = 6 },
	};
	struct kvm_cpuid_entry2 back[2], want = {
		.function = 7, .eax = 1, .ebx = 2, .ecx = 3, .edx = 4,
	};
	struct vcpu *vcpu = start();
	u32 count = 2, regs[4];

	EXPECT_EQ(cpuid_set(vcpu, old, 257, true), -E2BIG);
	EXPECT_EQ(cpuid_set(vcpu, NULL, 1, true), -EFAULT);
	EXPECT_EQ(cpuid_set(vcpu, old, 2, true), 0);
	EXPECT_EQ(cpuid_get(vcpu, back, &count), 0);
	EXPECT_EQ(memcmp(&back[1], &want, sizeof(want)), 0);
	query(7, 9, regs);
	EXPECT_EQ(regs[EDX], 4);
	world_end();
}

static void limits(void)
{
	struct kvm_cpuid_entry2 *big = calloc(257, sizeof(*big));
	struct vcpu *vcpu = start();

	EXPECT_EQ(cpuid_set(vcpu, big, 257, false), -E2BIG);
	EXPECT_EQ(cpuid_set(vcpu, big, 256, false), 0);
	big[0].function = 0x80000008;
	big[0].eax = 39 << 8;
	EXPECT_EQ(cpuid_set(vcpu, big, 1, false), -EINVAL);
	big[0].eax = 57 << 8;
	EXPECT_EQ(cpuid_set(vcpu, big, 1, false), 0);
	free(big);
	world_end();
}

/* After KVM_RUN only the same is accepted; the mirrored bits do not count as a difference. */
static void final_after_run(void)
{
	struct vcpu *vcpu = start();

	EXPECT_EQ(cpuid_set(vcpu, list, nr, false), 0);
	vcpu->arch.has_run = true;
	cr4_apply(vcpu, X86_CR4_OSXSAVE);
	EXPECT_EQ(cpuid_set(vcpu, list, nr, false), 0);
	list[1].ebx ^= 1;
	EXPECT_EQ(cpuid_set(vcpu, list, nr, false), -EINVAL);
	list[1].ebx ^= 1;
	EXPECT_EQ(cpuid_set(vcpu, list, nr - 1, false), -EINVAL);
	world_end();
}

static void mirrored_bits(void)
{
	struct vcpu *vcpu = start();
	u32 regs[4];

	EXPECT_EQ(cpuid_set(vcpu, list, nr, false), 0);
	query(1, 0, regs);
	EXPECT_EQ(regs[ECX] & BIT(27), 0);
	EXPECT(regs[EDX] & BIT(9));
	cr4_apply(vcpu, X86_CR4_OSXSAVE | X86_CR4_PKE);
	world.apic_base = 0xfee00100;
	cpuid_refresh(vcpu);
	query(1, 0, regs);
	EXPECT(regs[ECX] & BIT(27));
	EXPECT_EQ(regs[EDX] & BIT(9), 0);
	query(7, 0, regs);
	EXPECT(regs[ECX] & BIT(4));
	cr4_apply(vcpu, 0);
	query(7, 0, regs);
	EXPECT_EQ(regs[ECX] & BIT(4), 0);
	query(0x40000001, 0, regs);
	EXPECT(regs[EAX] & BIT(7));
	world.vm.arch.exits_off = KVM_X86_DISABLE_EXITS_HLT;	/* no kick reaches such a halt */
	cpuid_refresh(vcpu);
	query(0x40000001, 0, regs);
	EXPECT_EQ(regs[EAX] & BIT(7), 0);
	world_end();
}

static void xsave_sizes(void)
{
	static const struct { u64 xcr0; u32 standard, compacted; } rows[] = {
		{ 1, 576, 576 }, { 3, 576, 576 }, { 7, 836, 836 },
		{ 0xe7, 2688, 2496 }, { 0x207, 2696, 844 },
	};
	struct vcpu *vcpu = start();
	u32 regs[4];
	int i;

	EXPECT_EQ(cpuid_set(vcpu, list, nr, false), 0);
	EXPECT_EQ(vcpu->arch.guest_xcr0_allowed, 0x2e7);
	for (i = 0; i < ARRAY_SIZE(rows); i++) {
		vcpu->arch.xcr0 = rows[i].xcr0;
		cpuid_refresh(vcpu);
		query(0xd, 0, regs);
		EXPECT_EQ(regs[EBX], rows[i].standard);
		query(0xd, 1, regs);
		EXPECT_EQ(regs[EBX], rows[i].compacted);
	}
	world_end();
}

static void out_of_range(void)
{
	struct vcpu *vcpu = start();
	u32 regs[4], last[4], zero[4] = { 0 };
	struct kvm_cpuid_entry2 few[] = {
		{ .function = 0, .eax = 2, .ebx = 0x756e6547 },
		{ .function = 1, .eax = 11 }, { .function = 2, .eax = 22, .edx = 33 },
		{ .function = 0x80000000, .eax = 0x80000001 },
		{ .function = 0x40000000, .eax = 0x40000001 },
	};

	EXPECT_EQ(cpuid_set(vcpu, few, ARRAY_SIZE(few), false), 0);
	query(2, 0, last);
	EXPECT_EQ(last[EAX], 22);
	query(3, 0, regs);
	EXPECT_EQ(memcmp(regs, last, 16), 0);
	query(0x80000002, 0, regs);
	EXPECT_EQ(memcmp(regs, last, 16), 0);
	query(0x80000001, 0, regs);		/* in range, not given */
	EXPECT_EQ(memcmp(regs, zero, 16), 0);
	query(0x40000002, 0, regs);
	EXPECT_EQ(memcmp(regs, last, 16), 0);
	few[0].ebx = 0x68747541;		/* "Auth" */
	EXPECT_EQ(cpuid_set(vcpu, few, ARRAY_SIZE(few), false), 0);
	query(3, 0, regs);
	EXPECT_EQ(memcmp(regs, zero, 16), 0);
	world_end();
}

static void topology(void)
{
	struct kvm_cpuid_entry2 few[] = {
		{ .function = 0, .eax = 0xb, .ebx = 0x756e6547 },
		{ .function = 0xb, .index = 0, .flags = 1, .eax = 1, .edx = 5 },
		{ .function = 0xb, .index = 1, .flags = 1, .eax = 2, .edx = 5 },
	};
	struct vcpu *vcpu = start();
	u32 regs[4];

	EXPECT_EQ(cpuid_set(vcpu, few, ARRAY_SIZE(few), false), 0);
	query(0xb, 0x107, regs);
	EXPECT_EQ(regs[EAX], 0);
	EXPECT_EQ(regs[ECX], 7);
	EXPECT_EQ(regs[EDX], 5);
	world_end();
}

/* Random tables: the index finds the first match, as a walk over the array does. */
static void lookup_fuzz(void)
{
	static const u32 classes[] = { 0, 0x40000000, 0x80000000, 0xc0000000 };
	struct vcpu *vcpu = start();
	u32 round, i, regs[4];

	for (round = 0; round < 300; round++) {
		nr = world_random() % 257;
		for (i = 0; i < nr; i++)
			list[i] = (struct kvm_cpuid_entry2){
				.function = classes[world_random() % 4] +
					    (world_random() % 16 ? 0x30 + world_random() % 0x20 :
					     world_random() % 0x100000),
				.index = world_random() % 3, .flags = world_random() % 2,
				.eax = i, .ebx = world_random(),
			};
		EXPECT_EQ(cpuid_set(vcpu, list, nr, false), 0);
		for (i = 0; i < nr; i++) {
			const struct kvm_cpuid_entry2 *want = find(list[i].function, list[i].index);

			query(list[i].function, list[i].index, regs);
			EXPECT_EQ(regs[EAX], want->eax);
			EXPECT_EQ(regs[EBX], want->ebx);
		}
		for (i = 0; i < 50; i++)
			query(world_random() << 4 ^ world_random(), world_random() % 4, regs);
	}
	world_end();
}

static void derived(void)
{
	struct vcpu *vcpu = start();

	EXPECT_EQ(vcpu->arch.cr4_reserved, ~cpuid_host.cr4);	/* before KVM_SET_CPUID2 */
	world_supported_cpuid();
	EXPECT(guest_has(vcpu, GUEST_PCID));
	EXPECT_EQ(vcpu->arch.cr4_reserved, ~cpuid_host.cr4);
	EXPECT_EQ(vcpu->arch.maxphyaddr, 46);
	EXPECT_EQ(vcpu->arch.cr3_reserved, ~0ull << 46);
	EXPECT_EQ(vcpu->arch.pv_features & 0x9, 0x9);
	world_cpuid_clear(1, 0, ECX, BIT(17));
	EXPECT(!guest_has(vcpu, GUEST_PCID));
	EXPECT_EQ(vcpu->arch.cr4_reserved, ~cpuid_host.cr4 | X86_CR4_PCIDE);
	EXPECT(world.controls > 0);
	world_end();
}

/* Whatever userspace says, shifts by it stay inside 64 bits. */
static void address_sizes(void)
{
	static const struct { u8 said, kept; } table[] = {
		{ 0, 32 }, { 1, 32 }, { 32, 32 }, { 40, 40 }, { 52, 52 },
		{ 53, 52 }, { 64, 52 }, { 255, 52 },
	};
	struct kvm_cpuid_entry2 list[] = {
		{ .function = 0x80000000, .eax = 0x80000008 }, { .function = 0x80000008 },
	};
	struct vcpu *vcpu = start();
	int i;

	for (i = 0; i < ARRAY_SIZE(table); i++) {
		list[1].eax = 0x3000 | table[i].said;
		EXPECT_EQ(cpuid_set(vcpu, list, ARRAY_SIZE(list), false), 0);
		EXPECT_EQ(vcpu->arch.maxphyaddr, table[i].kept);
		EXPECT_EQ(vcpu->arch.cr3_reserved, ~0ull << table[i].kept);
	}
	world_end();
}

static void exit_handler(void)
{
	struct vcpu *vcpu = start();
	struct vcpu_exit exit = { .kind = EXIT_CPUID };

	world_supported_cpuid();
	vcpu->regs.gpr[GPR_RAX] = ~0ul << 32 | 0x40000000;	/* the upper halves do not count */
	vcpu->regs.gpr[GPR_RCX] = ~0ul << 32;
	EXPECT_EQ(cpuid_exit(vcpu, &exit), RESUME);
	EXPECT_EQ(vcpu->regs.gpr[GPR_RAX], 0x40000001);
	EXPECT_EQ(vcpu->regs.gpr[GPR_RBX], 0x4b4d564b);
	EXPECT_EQ(vcpu->regs.rip, 0xfff2);
	vcpu->arch.misc_features = 1;		/* CPUID faulting: only above ring 0 */
	EXPECT_EQ(cpuid_exit(vcpu, &exit), RESUME);
	EXPECT_EQ(world.gp, 0);
	vcpu->regs.cr0 |= X86_CR0_PE;
	vcpu->regs.segs[SEG_SS].dpl = 3;
	EXPECT_EQ(cpuid_exit(vcpu, &exit), RESUME);
	EXPECT_EQ(world.gp, 1);
	world_end();
}

static void out_of_memory(void)
{
	struct vcpu *vcpu = start();

	shim_fail_after = 0;
	EXPECT_EQ(cpuid_set(vcpu, list, nr, false), -ENOMEM);
	shim_fail_after = -1;
	EXPECT(!vcpu->arch.cpuid);
	world_end();
}

static const struct ktap_case cases[] = {
	{ "supported_complete", supported_complete },
	{ "supported_flags", supported_flags },
	{ "hidden", hidden },
	{ "backend_limits", backend_limits },
	{ "kernel_says_no", kernel_says_no },
	{ "hypervisor_leaf", hypervisor_leaf },
	{ "round_trip", round_trip },
	{ "old_form", old_form },
	{ "limits", limits },
	{ "final_after_run", final_after_run },
	{ "mirrored_bits", mirrored_bits },
	{ "xsave_sizes", xsave_sizes },
	{ "out_of_range", out_of_range },
	{ "topology", topology },
	{ "lookup_fuzz", lookup_fuzz },
	{ "derived", derived },
	{ "address sizes nobody has", address_sizes },
	{ "exit_handler", exit_handler },
	{ "out_of_memory", out_of_memory },
};

int main(void)
{
	return ktap_run(cases, ARRAY_SIZE(cases));
}
