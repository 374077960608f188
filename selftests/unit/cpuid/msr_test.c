// SPDX-License-Identifier: GPL-2.0-only
/*
 * MSRs: the index list is what can be saved and restored, refusals change nothing, the filter
 * denies what it says, and no number or value a guest can write does harm.
 */
#include <stdlib.h>
#include <linux/slab.h>
#include <asm/kvm_para.h>
#include "world.h"

static bool listed(u32 msr)
{
	u32 count, i;
	const u32 *list = msr_index_list(&count);

	for (i = 0; i < count; i++)
		if (list[i] == msr)
			return true;
	return false;
}

/* S1: whatever the guest's CPUID, userspace reads each entry and may write the same back. */
static void check_list(struct vcpu *vcpu)
{
	u32 count, i, j;
	const u32 *list = msr_index_list(&count);
	u64 val, back;

	EXPECT(count > 20 && count < 200);
	for (i = 0; i < count; i++) {
		for (j = 0; j < i; j++)
			EXPECT(list[i] != list[j]);
		if (msr_get(vcpu, list[i], &val, true)) {
			printf("# MSR %x cannot be read\n", list[i]);
			EXPECT(false);
			continue;
		}
		if (msr_set(vcpu, list[i], val, true) || msr_get(vcpu, list[i], &back, true) ||
		    back != val) {
			printf("# MSR %x: %llx cannot be written back\n", list[i],
			       (unsigned long long)val);
			EXPECT(false);
		}
	}
}

static void index_list(void)
{
	struct vcpu *vcpu = world_start();

	check_list(vcpu);
	world_supported_cpuid();
	check_list(vcpu);
	world_end();
}

/* After KVM_X86_SETUP_MCE without MCG_CTL_P too. */
static void index_list_no_mcg_ctl(void)
{
	struct vcpu *vcpu = world_start();

	EXPECT_EQ(mce_configure(vcpu, 10), 0);
	check_list(vcpu);
	world_end();
}

static void index_list_follows_host(void)
{
	world_start();
	EXPECT(listed(MSR_TSC_AUX) && listed(MSR_IA32_XSS) && listed(MSR_IA32_SPEC_CTRL));
	EXPECT(listed(MSR_AMD64_VIRT_SPEC_CTRL));
	EXPECT(!listed(MSR_IA32_UMWAIT_CONTROL));
	world_end();
	world_start();
	caps.rdtscp = caps.xsaves = caps.virt_ssbd = false;
	cpuid_host_init();
	msr_module_init();
	EXPECT(!listed(MSR_TSC_AUX) && !listed(MSR_IA32_XSS));
	EXPECT(!listed(MSR_AMD64_VIRT_SPEC_CTRL));
	world_end();
}

static void features(void)
{
	u32 count, i;
	const u32 *list = msr_feature_list(&count);
	u64 val;

	world_start();
	EXPECT(count > 0);
	for (i = 0; i < count; i++)
		EXPECT_EQ(msr_feature_get(list[i], &val), 0);
	EXPECT_EQ(msr_feature_get(MSR_IA32_TSC, &val), -ENOENT);
	EXPECT_EQ(msr_host.arch_caps & ARCH_CAP_TSX_CTRL_MSR, 0);
	world_end();
}

static void reset_values(void)
{
	static const struct { u32 msr; u64 val; } rows[] = {
		{ MSR_IA32_CR_PAT, 0x0007040600070406ull }, { MSR_MTRRcap, 0x508 },
		{ MSR_MTRRdefType, 0 }, { MSR_IA32_MISC_ENABLE, 0x1800 },
		{ MSR_IA32_MCG_CAP, 0x20 },
		{ MSR_PLATFORM_INFO, 0x80000000 }, { MSR_IA32_UCODE_REV, 1ull << 32 },
		{ MSR_EFER, 0 }, { MSR_IA32_MCG_STATUS, 0 },
	};
	struct vcpu *vcpu = world_start();
	u64 val;
	int i;

	for (i = 0; i < ARRAY_SIZE(rows); i++) {
		EXPECT_EQ(msr_get(vcpu, rows[i].msr, &val, true), 0);
		EXPECT_EQ(val, rows[i].val);
	}
	world_end();
}

/* { msr, value, result for the guest, result for userspace }, with everything in CPUID. */
static const struct { u32 msr; u64 val; int guest, host; } writes[] = {
	{ MSR_IA32_CR_PAT, 0x0606060606060606ull, 0, 0 },
	{ MSR_IA32_CR_PAT, 2, -EINVAL, -EINVAL }, { MSR_IA32_CR_PAT, 8, -EINVAL, -EINVAL },
	{ MSR_MTRRdefType, 0x806, 0, 0 }, { MSR_MTRRdefType, 0xc06, 0, 0 },
	{ MSR_MTRRdefType, 0x802, -EINVAL, -EINVAL }, { MSR_MTRRdefType, 0x1000, -EINVAL, -EINVAL },
	{ 0x200, 0x100000006ull, 0, 0 }, { 0x200, 0x102, -EINVAL, -EINVAL },
	{ 0x201, 1ull << 46, -EINVAL, -EINVAL }, { 0x201, 0x800, 0, 0 },
	{ 0x201, 0x400, -EINVAL, -EINVAL },
	{ 0x210, 0, -ENOENT, -ENOENT }, { 0x250, 0x0606060606060606ull, 0, 0 },
	{ 0x26f, 0x0600000000000002ull, -EINVAL, -EINVAL }, { 0x251, 0, -ENOENT, -ENOENT },
	{ MSR_EFER, EFER_SCE | EFER_NX, 0, 0 }, { MSR_EFER, 1 << 12, -EINVAL, -EINVAL },
	{ MSR_EFER, 1 << 1, -EINVAL, -EINVAL },
	{ MSR_LSTAR, 0x800000000000ull, -EINVAL, -EINVAL },
	{ MSR_LSTAR, 0xffff800000000000ull, 0, 0 },
	{ MSR_KERNEL_GS_BASE, 1ull << 62, -EINVAL, -EINVAL },
	{ MSR_FS_BASE, 0x7fffffffffffull, 0, 0 },
	{ MSR_TSC_AUX, 1ull << 32, -EINVAL, -EINVAL }, { MSR_TSC_AUX, 3, 0, 0 },
	{ MSR_IA32_SPEC_CTRL, 7, 0, 0 }, { MSR_IA32_SPEC_CTRL, 1ull << 20, -EINVAL, -EINVAL },
	{ MSR_AMD64_VIRT_SPEC_CTRL, 4, 0, 0 }, { MSR_AMD64_VIRT_SPEC_CTRL, 5, -EINVAL, -EINVAL },
	{ MSR_IA32_PRED_CMD, 1, 0, 0 }, { MSR_IA32_PRED_CMD, 2, -EINVAL, -EINVAL },
	{ MSR_IA32_XSS, 0, 0, 0 }, { MSR_IA32_XSS, 1 << 8, -EINVAL, -EINVAL },
	{ MSR_IA32_ARCH_CAPABILITIES, 0, -EINVAL, 0 },
	{ MSR_IA32_ARCH_CAPABILITIES, ARCH_CAP_TSX_CTRL_MSR, -EINVAL, -EINVAL },
	{ MSR_IA32_MISC_ENABLE, 0x1801, 0, 0 }, { MSR_IA32_MISC_ENABLE, 1, -EINVAL, 0 },
	{ MSR_PLATFORM_INFO, 0x80000000, -EINVAL, 0 }, { MSR_MISC_FEATURES_ENABLES, 1, 0, 0 },
	{ MSR_MISC_FEATURES_ENABLES, 2, -EINVAL, -EINVAL },
	{ MSR_IA32_FEAT_CTL, 1, 0, 0 }, { MSR_IA32_FEAT_CTL, 5, -EINVAL, -EINVAL },
	{ MSR_KVM_STEAL_TIME, 0x1003, -EINVAL, -EINVAL }, { MSR_KVM_STEAL_TIME, 0x1001, 0, 0 },
	{ MSR_KVM_POLL_CONTROL, 2, -EINVAL, -EINVAL }, { MSR_KVM_ASYNC_PF_EN, 1, -ENOENT, -ENOENT },
	{ MSR_IA32_MCG_CTL, 1, -EINVAL, -EINVAL }, { 0x400, ~0ull, 0, 0 },
	{ 0x400, 5, -EINVAL, -EINVAL },
	{ 0x401, 1, -EINVAL, 0 }, { 0x401, 0, 0, 0 }, { 0x480, 0, -ENOENT, -ENOENT },
	{ MSR_K7_HWCR, 1 << 8, 0, 0 }, { MSR_K7_HWCR, 1, -EINVAL, -EINVAL },
	{ MSR_IA32_UCODE_WRITE, 77, 0, 0 }, { MSR_K7_EVNTSEL0, 5, 0, 0 },
	{ MSR_AMD64_NB_CFG, 1, -EINVAL, -EINVAL }, { 0x345, 0, -ENOENT, -ENOENT },
	{ MSR_IA32_TSX_CTRL, 0, -ENOENT, -ENOENT }, { 0x12345, 0, -ENOENT, -ENOENT },
	{ 0x800, 0, -EINVAL, -EINVAL }, { MSR_IA32_MCG_CAP, 1, -ENOENT, -ENOENT },
	{ 0xc0000080 + 0x100, 0, -ENOENT, -ENOENT }, { ~0u, ~0ull, -ENOENT, -ENOENT },
};

static void write_rules(void)
{
	struct vcpu *vcpu;
	int i, host, ret, want;

	for (i = 0; i < ARRAY_SIZE(writes); i++)
		for (host = 0; host < 2; host++) {
			vcpu = world_start();
			world_supported_cpuid();
			ret = msr_set(vcpu, writes[i].msr, writes[i].val, host);
			want = host ? writes[i].host : writes[i].guest;
			if (ret != want)
				printf("# MSR %x = %llx by %s: %d, expected %d\n", writes[i].msr,
				       (unsigned long long)writes[i].val, host ? "host" : "guest",
				       ret, want);
			EXPECT_EQ(ret, want);
			world_end();
		}
}

/* Without the CPUID bit the guest gets #GP, userspace does not. */
static void needs_cpuid(void)
{
	static const struct { u32 msr, function, index; u8 reg; u32 bits; } rows[] = {
		{ MSR_IA32_ARCH_CAPABILITIES, 7, 0, EDX, BIT(29) },
		{ MSR_IA32_XSS, 0xd, 1, EAX, BIT(3) },
		{ MSR_TSC_AUX, 0x80000001, 0, EDX, BIT(27) },
		{ MSR_AMD64_VIRT_SPEC_CTRL, 0x80000008, 0, EBX, BIT(25) },
	};
	u64 val;
	int i;

	for (i = 0; i < ARRAY_SIZE(rows); i++) {
		struct vcpu *vcpu = world_start();

		world_supported_cpuid();
		EXPECT_EQ(msr_get(vcpu, rows[i].msr, &val, false), 0);
		world_cpuid_clear(rows[i].function, rows[i].index, rows[i].reg, rows[i].bits);
		if (rows[i].msr == MSR_TSC_AUX)		/* RDPID offers it too */
			vcpu->arch.features &= ~BIT_ULL(GUEST_RDPID);
		EXPECT_EQ(msr_get(vcpu, rows[i].msr, &val, false), -EINVAL);
		EXPECT_EQ(msr_get(vcpu, rows[i].msr, &val, true), 0);
		world_end();
	}
}

static void pv_enforced(void)
{
	struct vcpu *vcpu = world_start();
	u64 val;

	world_cpuid_clear(0x40000001, 0, EAX, BIT(KVM_FEATURE_STEAL_TIME));
	EXPECT_EQ(msr_get(vcpu, MSR_KVM_STEAL_TIME, &val, false), 0);
	vcpu->arch.pv_enforce = true;
	EXPECT_EQ(msr_get(vcpu, MSR_KVM_STEAL_TIME, &val, false), -ENOENT);
	EXPECT_EQ(msr_get(vcpu, MSR_KVM_STEAL_TIME, &val, true), 0);
	EXPECT_EQ(msr_get(vcpu, MSR_KVM_SYSTEM_TIME_NEW, &val, false), 0);
	world_end();
}

static void platform_info(void)
{
	struct vcpu *vcpu = world_start();
	u64 val;

	EXPECT_EQ(msr_get(vcpu, MSR_PLATFORM_INFO, &val, false), 0);
	world.vm.arch.platform_info_hidden = true;
	EXPECT_EQ(msr_get(vcpu, MSR_PLATFORM_INFO, &val, false), -EINVAL);
	EXPECT_EQ(msr_get(vcpu, MSR_PLATFORM_INFO, &val, true), 0);
	world_end();
}

static void machine_checks(void)
{
	struct vcpu *vcpu = world_start();
	struct kvm_x86_mce mce = {
		.status = 1ull << 63 | 1ull << 61, .mcg_status = MCG_STATUS_MCIP, .addr = 0x1234, .bank = 1,
	};
	u64 val;

	EXPECT_EQ(mce_configure(vcpu, 0x100010a), 0);
	EXPECT_EQ(mce_configure(vcpu, 0), -EINVAL);
	EXPECT_EQ(mce_configure(vcpu, 33), -EINVAL);
	EXPECT_EQ(mce_configure(vcpu, 1ull << 9 | 1), -EINVAL);
	EXPECT_EQ(msr_set(vcpu, MSR_IA32_MCG_CTL, ~0ull, true), 0);
	EXPECT_EQ(msr_get(vcpu, 0x427, &val, true), 0);
	EXPECT_EQ(msr_get(vcpu, 0x428, &val, true), -ENOENT);
	mce.bank = 10;
	EXPECT_EQ(mce_set(vcpu, &mce), -EINVAL);
	mce.bank = 1;
	vcpu->regs.cr4 |= X86_CR4_MCE;
	EXPECT_EQ(mce_set(vcpu, &mce), 0);
	EXPECT_EQ(world.mc, 1);
	EXPECT_EQ(msr_get(vcpu, 0x406, &val, false), 0);
	EXPECT_EQ(val, 0x1234);
	/* a second one while the first is handled */
	vcpu->arch.mce.status = 1 << 2;
	EXPECT_EQ(mce_set(vcpu, &mce), 0);
	EXPECT_EQ(world.mc, 1);
	EXPECT(test_bit(REQ_TRIPLE_FAULT, &vcpu->requests));
	world_end();
}

/* Nobody has used the data yet: no #MC, an interrupt if the guest has asked for it. */
static void machine_check_later(void)
{
	struct vcpu *vcpu = world_start();
	struct kvm_x86_mce mce = { .status = 1ull << 63 | 1ull << 61, .addr = 0x1234, .bank = 1 };
	u64 cap = caps.mcg_cap, val;
	struct lapic *lapic = vcpu->irq.lapic;

	caps.mcg_cap |= MCG_CMCI_P;
	vcpu->irq.lapic = (void *)1;	/* not looked into */
	EXPECT_EQ(mce_configure(vcpu, MCG_CMCI_P | 10), 0);
	EXPECT_EQ(msr_set(vcpu, MSR_IA32_MCx_CTL2(1), 1ull << 29, true), -EINVAL);
	EXPECT_EQ(mce_set(vcpu, &mce), 0);
	EXPECT_EQ(world.cmci, 0);
	EXPECT_EQ(msr_set(vcpu, MSR_IA32_MCx_CTL2(1), MCI_CTL2_CMCI_EN, false), 0);
	mce.addr = 0x5678;
	EXPECT_EQ(mce_set(vcpu, &mce), 0);
	EXPECT_EQ(world.cmci, 1);
	EXPECT_EQ(world.mc, 0);
	EXPECT_EQ(msr_get(vcpu, 0x406, &val, false), 0);
	EXPECT_EQ(val, 0x5678);
	vcpu->irq.lapic = lapic;
	caps.mcg_cap = cap;
	world_end();
}

static u8 bitmap[8];

static void set_filter(u32 flags, u32 base, u32 nmsrs, u32 range_flags)
{
	struct kvm_msr_filter filter = {
		.flags = flags,
		.ranges[3] = {
			.flags = range_flags, .base = base, .nmsrs = nmsrs, .bitmap = bitmap,
		},
	};

	EXPECT_EQ(msr_filter_set(&world.vm, &filter), 0);
}

static void filter_rules(void)
{
	struct vcpu *vcpu = world_start();

	EXPECT(msr_filter_allows(vcpu, 0x174, KVM_MSR_FILTER_READ));
	memset(bitmap, 0, sizeof(bitmap));
	bitmap[0] = 2;
	set_filter(KVM_MSR_FILTER_DEFAULT_DENY, 0x174, 3, KVM_MSR_FILTER_READ);
	EXPECT(!msr_filter_allows(vcpu, 0x174, KVM_MSR_FILTER_READ));
	EXPECT(msr_filter_allows(vcpu, 0x175, KVM_MSR_FILTER_READ));
	EXPECT(!msr_filter_allows(vcpu, 0x175, KVM_MSR_FILTER_WRITE));	/* the default */
	EXPECT(!msr_filter_allows(vcpu, 0x177, KVM_MSR_FILTER_READ));
	EXPECT(msr_filter_allows(vcpu, 0x830, KVM_MSR_FILTER_WRITE));	/* x2APIC never */
	EXPECT(test_bit(REQ_MSR_FILTER, &vcpu->requests));
	set_filter(0, 0xfffffffe, 2, KVM_MSR_FILTER_WRITE);
	EXPECT(msr_filter_allows(vcpu, 0x175, KVM_MSR_FILTER_WRITE));
	EXPECT(msr_filter_allows(vcpu, 0xffffffff, KVM_MSR_FILTER_WRITE));
	EXPECT(!msr_filter_allows(vcpu, 0xfffffffe, KVM_MSR_FILTER_WRITE));
	world_end();
}

static void filter_refused(void)
{
	struct kvm_msr_filter filter = { .flags = 2 };
	struct vcpu *vcpu = world_start();

	EXPECT_EQ(msr_filter_set(vcpu->vm, &filter), -EINVAL);
	filter.flags = KVM_MSR_FILTER_DEFAULT_DENY;
	EXPECT_EQ(msr_filter_set(vcpu->vm, &filter), -EINVAL);
	filter.ranges[15] = (struct kvm_msr_filter_range){
		.flags = 4, .nmsrs = 1, .bitmap = bitmap,
	};
	EXPECT_EQ(msr_filter_set(vcpu->vm, &filter), -EINVAL);
	filter.ranges[15].flags = 0;
	EXPECT_EQ(msr_filter_set(vcpu->vm, &filter), -EINVAL);
	filter.ranges[15].flags = 3;
	filter.ranges[15].nmsrs = 0x3001;
	EXPECT_EQ(msr_filter_set(vcpu->vm, &filter), -EINVAL);
	filter.ranges[15].nmsrs = 0xffffffff;
	EXPECT_EQ(msr_filter_set(vcpu->vm, &filter), -EINVAL);
	EXPECT(!vcpu->vm->arch.msr_filter);
	world_end();
}

static void filter_intercepts(void)
{
	struct vcpu *vcpu = world_start();

	msr_intercepts(vcpu);
	EXPECT(world.msr_read_open[0] && world.msr_write_open[0]);	/* FS_BASE */
	EXPECT(world.msr_read_open[1] && !world.msr_write_open[1]);	/* TSC */
	memset(bitmap, 0, sizeof(bitmap));
	set_filter(0, MSR_FS_BASE, 1, KVM_MSR_FILTER_READ);
	msr_intercepts(vcpu);
	EXPECT(!world.msr_read_open[0] && world.msr_write_open[0]);
	world_end();
}

/* The first value that is not 0 makes the register the guest's own. */
static void spec_ctrl_lazy(void)
{
	struct vcpu *vcpu = world_start();

	world_supported_cpuid();
	EXPECT_EQ(msr_set(vcpu, MSR_IA32_SPEC_CTRL, 0, false), 0);
	EXPECT(!world.msr_write_open[2]);
	EXPECT_EQ(msr_set(vcpu, MSR_IA32_SPEC_CTRL, 1, false), 0);
	EXPECT(world.msr_write_open[2] && world.msr_read_open[2]);
	world_end();
}

static int wrmsr(u32 msr, u64 val)
{
	struct vcpu_exit exit = { .kind = EXIT_MSR_WRITE };
	unsigned long *gpr = world.vcpu.regs.gpr;

	gpr[GPR_RCX] = msr;
	gpr[GPR_RAX] = (u32)val;
	gpr[GPR_RDX] = val >> 32;
	return wrmsr_exit(&world.vcpu, &exit);
}

static int rdmsr(u32 msr)
{
	struct vcpu_exit exit = { .kind = EXIT_MSR_READ };

	world.vcpu.regs.gpr[GPR_RCX] = msr;
	return rdmsr_exit(&world.vcpu, &exit);
}

static void user_exits(void)
{
	struct vcpu *vcpu = world_start();
	struct kvm_run *run = vcpu->run;

	EXPECT_EQ(rdmsr(0x12345), RESUME);
	EXPECT_EQ(world.gp, 1);
	world.vm.arch.user_msr_reasons = KVM_MSR_EXIT_REASON_UNKNOWN;
	EXPECT_EQ(wrmsr(MSR_IA32_CR_PAT, 2), RESUME);		/* INVAL was not asked for */
	EXPECT_EQ(world.gp, 2);
	EXPECT_EQ(rdmsr(0x12345), TO_USER);
	EXPECT_EQ(run->exit_reason, KVM_EXIT_X86_RDMSR);
	EXPECT_EQ(run->msr.index, 0x12345);
	EXPECT_EQ(run->msr.reason, KVM_MSR_EXIT_REASON_UNKNOWN);
	EXPECT_EQ(vcpu->regs.rip, 0xfff0);			/* moves at completion */
	run->msr.data = 0x1111222233334444ull;
	EXPECT_EQ(vcpu->complete(vcpu), RESUME);
	EXPECT_EQ(vcpu->regs.gpr[GPR_RAX], 0x33334444);
	EXPECT_EQ(vcpu->regs.gpr[GPR_RDX], 0x11112222);
	EXPECT_EQ(vcpu->regs.rip, 0xfff2);
	EXPECT_EQ(wrmsr(0x12345, 5), TO_USER);
	EXPECT_EQ(run->msr.data, 5);
	run->msr.error = 1;
	EXPECT_EQ(vcpu->complete(vcpu), RESUME);
	EXPECT_EQ(world.gp, 3);
	world_end();
}

/* Any number, any value, by the guest: no crash; a refused write is not stored. */
static void fuzz(void)
{
	static const u32 bases[] = { 0, 0x170, 0x200, 0x250, 0x400, 0x800, 0xc0000080, 0xc0000100,
				     0xc0010000, 0xc0011000, 0x4b564d00 };
	struct vcpu *vcpu = world_start();
	u64 val, before, after;
	u32 msr;
	int i, ret;

	world_supported_cpuid();
	for (i = 0; i < 300000; i++) {
		msr = bases[world_random() % ARRAY_SIZE(bases)] + world_random() % 0x140;
		val = (u64)world_random() << 32 ^ (u64)world_random() << 8;
		val >>= world_random() % 64;
		if (world_random() % 4 == 0)
			val = 1ull << world_random() % 64;
		ret = msr_get(vcpu, msr, &before, true);
		if (msr_set(vcpu, msr, val, world_random() % 2) && !ret) {
			EXPECT_EQ(msr_get(vcpu, msr, &after, true), 0);
			if (msr != MSR_IA32_TSC)
				EXPECT_EQ(after, before);
		}
		if (ktap_failed) {
			printf("# at MSR %x = %llx\n", msr, (unsigned long long)val);
			break;
		}
	}
	world_end();
}

static const struct ktap_case cases[] = {
	{ "index_list", index_list },
	{ "index_list_no_mcg_ctl", index_list_no_mcg_ctl },
	{ "index_list_follows_host", index_list_follows_host },
	{ "features", features },
	{ "reset_values", reset_values },
	{ "write_rules", write_rules },
	{ "needs_cpuid", needs_cpuid },
	{ "pv_enforced", pv_enforced },
	{ "platform_info", platform_info },
	{ "machine_checks", machine_checks },
	{ "machine_check_later", machine_check_later },
	{ "filter_rules", filter_rules },
	{ "filter_refused", filter_refused },
	{ "filter_intercepts", filter_intercepts },
	{ "spec_ctrl_lazy", spec_ctrl_lazy },
	{ "user_exits", user_exits },
	{ "fuzz", fuzz },
};

int main(void)
{
	return ktap_run(cases, ARRAY_SIZE(cases));
}
