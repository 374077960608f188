// SPDX-License-Identifier: GPL-2.0-only
/*
 * Catches: an MSR in the index list that cannot be read and written back (QEMU aborts), one that
 * lets the guest see or change the host's, a bad value that is taken, a filter that is not
 * obeyed.
 */
#include <stdlib.h>

#include "apic.h"
#include "trap.h"
#include "vcpu.h"

static void list_round_trip(void)
{
	struct vcpu *vcpu = vcpu_create(vm_create(VM_IRQCHIP), 0);
	const struct kvm_msr_list *list = dev_msr_list();
	u32 i, bad = 0;
	u64 value;

	for (i = 0; i < list->nmsrs; i++) {
		u32 msr = list->indices[i];

		if (vcpu_try_msr(vcpu, msr, &value) != 1) {
			test_note("%#x is listed but cannot be read", msr);
			bad++;
		} else if (vcpu_try_set_msr(vcpu, msr, value) != 1) {
			test_note("%#x is listed but %#llx cannot be written back", msr,
				  (unsigned long long)value);
			bad++;
		}
	}
	CHECK_EQ(bad, 0);
}

/* Without these, no client starts. */
static void list_contents(void)
{
	static const u32 needed[] = {
		MSR_TSC, MSR_TSC_ADJUST, MSR_SYSENTER_CS, MSR_SYSENTER_ESP, MSR_SYSENTER_EIP,
		MSR_STAR, MSR_LSTAR, MSR_CSTAR, MSR_SFMASK, MSR_KERNEL_GS_BASE, MSR_PAT,
		MSR_MISC_ENABLE, MSR_MCG_STATUS, MSR_KVM_SYSTEM_TIME_NEW, MSR_KVM_WALL_CLOCK_NEW,
	};
	size_t i;

	for (i = 0; i < ARRAY_SIZE(needed); i++) {
		if (!dev_msr_listed(needed[i]))
			FAIL("%#x is not in the index list", needed[i]);
	}
}

static void partial(void)
{
	struct vcpu *vcpu = vcpu_create(vm_create(0), 0);
	struct {
		struct kvm_msrs head;
		struct kvm_msr_entry entries[4];
	} set = {
		.head.nmsrs = 4,
		.entries = {
			{ .index = MSR_LSTAR, .data = 0x1000 },
			{ .index = MSR_CSTAR, .data = 0x2000 },
			{ .index = 0x12345, .data = 1 },
			{ .index = MSR_SFMASK, .data = 0x4000 },
		},
	};

	CHECK_EQ(ioctl(vcpu->fd, KVM_SET_MSRS, &set), 2);
	CHECK_EQ(vcpu_msr(vcpu, MSR_CSTAR), 0x2000);
	CHECK_EQ(vcpu_msr(vcpu, MSR_SFMASK), 0);
	CHECK_EQ(ioctl(vcpu->fd, KVM_GET_MSRS, &set), 2);
}

struct reject {
	u32 msr;
	u64 value;
	bool intel;
};

static const struct reject rejects[] = {
	{ MSR_PAT, 0x0007040600070402 },
	{ MSR_EFER, BIT(30) },
	{ MSR_APIC_BASE, 0xfee00900 | BIT(9) },
	{ MSR_MTRR_DEF_TYPE, 0x2 },
	{ MSR_MTRR_DEF_TYPE, 0x10006 },
	{ 0x250, 0x0202020202020202 },
	/* Not intercepted; QEMU's AMD does not look. */
	{ MSR_LSTAR, 0x8000000000000000, true },
	{ MSR_KERNEL_GS_BASE, 0x0000900000000000, true },
	{ MSR_KVM_STEAL_TIME, 0x3f },
	{ 0x12345, 0 },
	{ 0xc0011fff, 0 },
};

static void host_rejects(void)
{
	struct vcpu *vcpu = vcpu_create(vm_create(VM_IRQCHIP), 0);
	size_t i;
	int bad = 0;

	for (i = 0; i < ARRAY_SIZE(rejects); i++) {
		if (vcpu_try_set_msr(vcpu, rejects[i].msr, rejects[i].value) != 0) {
			test_note("%#x took %#llx", rejects[i].msr,
				  (unsigned long long)rejects[i].value);
			bad++;
		}
	}
	CHECK_EQ(bad, 0);
}

/* Each memory type, in each place. */
static void pat_types(void)
{
	struct vcpu *vcpu = vcpu_create(vm_create(VM_IRQCHIP), 0);
	const u32 types = BIT(0) | BIT(1) | BIT(4) | BIT(5) | BIT(6) | BIT(7);
	u64 type, i;

	for (i = 0; i < 8; i++) {
		for (type = 0; type < 256; type++) {
			u64 val = (0x0707070707070707 & ~(0xffull << i * 8)) | type << i * 8;

			CHECK_EQ(vcpu_try_set_msr(vcpu, MSR_PAT, val), type < 8 && types & BIT(type));
		}
	}
}

static void guest_rejects_code(void)
{
	u64 i, value;

	for (i = 0; i < ARRAY_SIZE(rejects); i++) {
		struct guest_fault f;

		if (rejects[i].intel && !guest_is_intel())
			continue;
		f = wrmsr_safe(rejects[i].msr, rejects[i].value);
		if (f.vector != GP_VECTOR || f.error)
			guest_fail(__FILE__, __LINE__, "no #GP for (msr, value)", rejects[i].msr,
				   rejects[i].value);
	}
	GUEST_CHECK_EQ(rdmsr_safe(0x12345, &value).vector, GP_VECTOR);
	GUEST_CHECK_EQ(rdmsr_safe(0xc0011fff, &value).vector, GP_VECTOR);
	/* LME cannot change while paging is on. */
	GUEST_CHECK_EQ(wrmsr_safe(MSR_EFER, rdmsr(MSR_EFER) & ~EFER_LME).vector, GP_VECTOR);
	/* LMA is the CPU's; a write leaves it alone. */
	GUEST_CHECK(rdmsr(MSR_EFER) & EFER_LMA);
	GUEST_CHECK_EQ(rdmsr(MSR_MTRRCAP) & 0xff, 8);
}

static void guest_rejects(void)
{
	vcpu_run_done(vcpu_start(VM_IRQCHIP, guest_rejects_code, 0, 0));
}

/* The guest's values are its own: visible to the ioctl, and back again. */
static const u32 plain[] = {
	MSR_STAR, MSR_LSTAR, MSR_CSTAR, MSR_SFMASK, MSR_KERNEL_GS_BASE, MSR_FS_BASE, MSR_GS_BASE,
	MSR_SYSENTER_CS, MSR_SYSENTER_ESP, MSR_SYSENTER_EIP,
};

static void plain_guest(void)
{
	u64 i;

	for (i = 0; i < ARRAY_SIZE(plain); i++) {
		GUEST_CHECK_EQ(rdmsr(plain[i]), 0x10 * (i + 1));
		wrmsr(plain[i], 0x1000 * (i + 1));
	}
	GUEST_SYNC(1);
	for (i = 0; i < ARRAY_SIZE(plain); i++)
		GUEST_CHECK_EQ(rdmsr(plain[i]), 0x1000 * (i + 1));
	/* Not intercepted on most CPUs: the base really is the segment's. */
	wrmsr(MSR_GS_BASE, (uintptr_t)plain);
	u32 first;

	asm volatile("movl %%gs:0, %0" : "=r"(first));
	GUEST_CHECK_EQ(first, plain[0]);
}

static void guest_values(void)
{
	struct vcpu *vcpu = vcpu_start(0, plain_guest, 0, 0);
	u64 i;

	for (i = 0; i < ARRAY_SIZE(plain); i++)
		vcpu_set_msr(vcpu, plain[i], 0x10 * (i + 1));
	vcpu_run_sync(vcpu, 1);
	for (i = 0; i < ARRAY_SIZE(plain); i++)
		CHECK_EQ(vcpu_msr(vcpu, plain[i]), 0x1000 * (i + 1));
	CHECK_EQ(vcpu_sregs(vcpu).gs.base, 0x7000);
	vcpu_run_done(vcpu);
}

static void mtrr_guest(void)
{
	GUEST_CHECK_EQ(rdmsr(MSR_MTRR_DEF_TYPE), 0);
	wrmsr(MSR_MTRR_DEF_TYPE, 0xc06);
	GUEST_CHECK_EQ(rdmsr(MSR_MTRR_DEF_TYPE), 0xc06);
	wrmsr(0x200, 0x80000006);
	wrmsr(0x201, 0xf80000800);
	GUEST_CHECK_EQ(rdmsr(0x200), 0x80000006);
	GUEST_CHECK_EQ(rdmsr(0x201), 0xf80000800);
	wrmsr(0x268, 0x0606060606060606);
	GUEST_CHECK_EQ(rdmsr(0x268), 0x0606060606060606);
	GUEST_CHECK_EQ(rdmsr(MSR_PAT), 0x0007040600070406);
	wrmsr(MSR_PAT, 0x0007010600070106);
	GUEST_CHECK_EQ(rdmsr(MSR_PAT), 0x0007010600070106);
}

static void mtrr(void)
{
	struct vcpu *vcpu = vcpu_start(0, mtrr_guest, 0, 0);

	vcpu_run_done(vcpu);
	CHECK_EQ(vcpu_msr(vcpu, MSR_PAT), 0x0007010600070106);
	vcpu_set_msr(vcpu, MSR_MTRR_DEF_TYPE, 0x806);
	vcpu_set_msr(vcpu, MSR_MISC_ENABLE, 1);
}

static void mce(void)
{
	struct vcpu *vcpu = vcpu_create(vm_create(0), 0);
	u64 cap = 0x100010a;
	int dev = dev_open();
	u64 supported = 0;
	u32 i;

	SYS(ioctl(dev, KVM_X86_GET_MCE_CAP_SUPPORTED, &supported));
	CHECK_EQ(supported & 0x1000100, 0x1000100);
	CHECK_GE(dev_cap(KVM_CAP_MCE), 10);
	SYS(ioctl(vcpu->fd, KVM_X86_SETUP_MCE, &cap));
	/* AMD's has but the number of banks and the presence of the control register. */
	CHECK_EQ(vcpu_msr(vcpu, MSR_MCG_CAP), dev_host_is_intel() ? cap : cap & 0x1ff);
	vcpu_set_msr(vcpu, 0x17b, ~0ULL);
	for (i = 0; i < 10; i++) {
		CHECK_EQ(vcpu_msr(vcpu, 0x400 + 4 * i), ~0ULL);
		vcpu_set_msr(vcpu, 0x400 + 4 * i, 0);
		CHECK_EQ(vcpu_msr(vcpu, 0x400 + 4 * i), 0);
	}
	CHECK_EQ(vcpu_try_set_msr(vcpu, 0x400 + 4 * 10, 0), 0);
}

#define APIC_LVTCMCI	0x2f0
#define CMCI_BANK	3
#define CMCI_ENABLED	BIT(30)
#define MCG_CMCI	BIT(10)

static void cmci_handler(struct trap_frame *frame)
{
	trap_count_only(frame);
	apic_eoi();
}

static void cmci_guest(void)
{
	u64 i;

	apic_enable();
	trap_set(0x71, cmci_handler);
	GUEST_CHECK_EQ(apic_read(APIC_LVR) >> 16 & 0xff, 6);
	GUEST_CHECK_EQ(apic_read(APIC_LVTCMCI), 0x10000);
	apic_write(APIC_LVTCMCI, 0x71);
	GUEST_CHECK_EQ(apic_read(APIC_LVTCMCI), 0x71);
	GUEST_CHECK_EQ(rdmsr(0x280 + CMCI_BANK), 0);
	GUEST_CHECK_EQ(wrmsr_safe(0x280 + CMCI_BANK, BIT(29)).vector, GP_VECTOR);
	wrmsr(0x280 + CMCI_BANK, CMCI_ENABLED | 1);
	for (i = 1;; i++) {
		GUEST_SYNC(i);
		sti_nop_cli();
		guest_sync(100 + i, trap_count[0x71], rdmsr(0x402 + 4 * CMCI_BANK), 0);
	}
}

/* Errors that the guest need not act upon at once: in the bank, and no #MC, but an interrupt if it wants that. */
static void cmci(void)
{
	struct vcpu *vcpu = vcpu_create(vm_create(VM_IRQCHIP), 0);
	u64 cap = MCG_CMCI | 0x100010a, supported;
	struct kvm_x86_mce error = { .bank = CMCI_BANK, .addr = 0x1000 };
	int i;

	SYS(ioctl(dev_open(), KVM_X86_GET_MCE_CAP_SUPPORTED, &supported));
	CHECK_EQ(!!(supported & MCG_CMCI), dev_host_is_intel());
	if (!(supported & MCG_CMCI)) {
		CHECK_ERRNO(ioctl(vcpu->fd, KVM_X86_SETUP_MCE, &cap), EINVAL);
		return;
	}
	CHECK_EQ(vcpu_try_set_msr(vcpu, 0x280, CMCI_ENABLED), 0);
	SYS(ioctl(vcpu->fd, KVM_X86_SETUP_MCE, &cap));
	vcpu_enter(vcpu, cmci_guest, 0);
	for (i = 1; i <= 3; i++) {
		vcpu_run_sync(vcpu, i);
		/* Valid, enabled, uncorrected, with an address; the third one without a signal. */
		error.status = 0xb400000000010090;
		error.addr += 0x1000;
		if (i == 3)
			vcpu_set_msr(vcpu, 0x280 + CMCI_BANK, 0);
		vcpu_set_msr(vcpu, 0x401 + 4 * CMCI_BANK, 0);
		SYS(ioctl(vcpu->fd, KVM_X86_SET_MCE, &error));
		CHECK_EQ(vcpu_run_ucall(vcpu)->args[1], i < 3 ? i : 2);
		CHECK_EQ(vcpu_msr(vcpu, 0x402 + 4 * CMCI_BANK), error.addr);
	}
}

static void feature_msrs(void)
{
	struct {
		struct kvm_msr_list head;
		u32 indices[256];
	} list = { .head.nmsrs = 256 };
	struct {
		struct kvm_msrs head;
		struct kvm_msr_entry entry;
	} one;
	int fd = dev_open();
	u32 i;

	dev_require_cap(KVM_CAP_GET_MSR_FEATURES);
	SYS(ioctl(fd, KVM_GET_MSR_FEATURE_INDEX_LIST, &list));
	CHECK_GE(list.head.nmsrs, 1);
	for (i = 0; i < list.head.nmsrs; i++) {
		one.head.nmsrs = 1;
		one.entry.index = list.indices[i];
		CHECK_EQ(ioctl(fd, KVM_GET_MSRS, &one), 1);
	}
	one.entry.index = MSR_LSTAR;
	CHECK_EQ(ioctl(fd, KVM_GET_MSRS, &one), 0);
}

static const u8 deny_all[32];

static void filter_set(struct vm *vm, u32 flags, u32 base, u32 nr, void *bitmap)
{
	struct kvm_msr_filter filter = {
		.flags = KVM_MSR_FILTER_DEFAULT_ALLOW,
		.ranges = { { .flags = flags, .base = base, .nmsrs = nr, .bitmap = bitmap } },
	};

	SYS(ioctl(vm->fd, KVM_X86_SET_MSR_FILTER, &filter));
}

static void filter_guest(void)
{
	u64 value;

	GUEST_CHECK_EQ(rdmsr_safe(MSR_LSTAR, &value).vector, GP_VECTOR);
	GUEST_CHECK_EQ(wrmsr_safe(MSR_LSTAR, 5).vector, GP_VECTOR);
	GUEST_CHECK_EQ(wrmsr_safe(MSR_STAR, 5).vector, GUEST_NO_FAULT);
	GUEST_SYNC(1);
	GUEST_CHECK_EQ(rdmsr_safe(MSR_LSTAR, &value).vector, GUEST_NO_FAULT);
	GUEST_CHECK_EQ(wrmsr_safe(MSR_LSTAR, 5).vector, GP_VECTOR);
}

static void filter(void)
{
	struct vcpu *vcpu = vcpu_start(0, filter_guest, 0, 0);

	dev_require_cap(KVM_CAP_X86_MSR_FILTER);
	filter_set(vcpu->vm, KVM_MSR_FILTER_READ | KVM_MSR_FILTER_WRITE, MSR_LSTAR, 1,
		   (void *)deny_all);
	vcpu_run_sync(vcpu, 1);
	filter_set(vcpu->vm, KVM_MSR_FILTER_WRITE, MSR_LSTAR, 1, (void *)deny_all);
	vcpu_run_done(vcpu);
	/* Not for the ioctl. */
	vcpu_set_msr(vcpu, MSR_LSTAR, 0x1234000);
}

static void exits_guest(void)
{
	u64 value;

	GUEST_CHECK_EQ(rdmsr(MSR_LSTAR), 0x5566);
	wrmsr(MSR_LSTAR, 0x7788);
	GUEST_CHECK_EQ(rdmsr_safe(MSR_LSTAR, &value).vector, GP_VECTOR);
	GUEST_CHECK_EQ(rdmsr(0x12345), 0x99);
}

static void expect_msr(struct vcpu *vcpu, u32 exit, u32 msr, u32 reason, u64 data, u8 error)
{
	struct kvm_run *run = vcpu->run;

	vcpu_run_exit(vcpu, exit);
	CHECK_EQ(run->msr.index, msr);
	CHECK_EQ(run->msr.reason, reason);
	CHECK_EQ(run->msr.error, 0);
	if (exit == KVM_EXIT_X86_WRMSR)
		CHECK_EQ(run->msr.data, data);
	else
		run->msr.data = data;
	run->msr.error = error;
}

static void user_exits(void)
{
	struct vcpu *vcpu = vcpu_start(0, exits_guest, 0, 0);
	u32 both = KVM_MSR_FILTER_READ | KVM_MSR_FILTER_WRITE;

	dev_require_cap(KVM_CAP_X86_USER_SPACE_MSR);
	vm_enable_cap(vcpu->vm, KVM_CAP_X86_USER_SPACE_MSR,
		      KVM_MSR_EXIT_REASON_FILTER | KVM_MSR_EXIT_REASON_UNKNOWN);
	filter_set(vcpu->vm, both, MSR_LSTAR, 1, (void *)deny_all);
	expect_msr(vcpu, KVM_EXIT_X86_RDMSR, MSR_LSTAR, KVM_MSR_EXIT_REASON_FILTER, 0x5566, 0);
	expect_msr(vcpu, KVM_EXIT_X86_WRMSR, MSR_LSTAR, KVM_MSR_EXIT_REASON_FILTER, 0x7788, 0);
	expect_msr(vcpu, KVM_EXIT_X86_RDMSR, MSR_LSTAR, KVM_MSR_EXIT_REASON_FILTER, 0, 1);
	expect_msr(vcpu, KVM_EXIT_X86_RDMSR, 0x12345, KVM_MSR_EXIT_REASON_UNKNOWN, 0x99, 0);
	vcpu_run_done(vcpu);
}

/* Speculative store bypass of AMD's CPUs, as one that is virtual sees it. */
static struct vcpu *virt_ssbd_start(bool offered, void *fn)
{
	struct vcpu *vcpu = vcpu_create_raw(vm_create(0), 0);
	struct kvm_cpuid_entry2 *leaf;
	struct dev_cpuid set;

	vcpu_default_cpuid(0, &set);
	leaf = dev_cpuid_find(&set, 0x80000008, 0);
	leaf->ebx = offered ? leaf->ebx | BIT(25) : leaf->ebx & ~BIT(25);
	vcpu_set_cpuid(vcpu, &set);
	vcpu_enter(vcpu, fn, 0);
	return vcpu;
}

static void virt_ssbd_guest(void)
{
	u64 i;

	GUEST_CHECK_EQ(rdmsr(MSR_VIRT_SPEC_CTRL), 0);
	for (i = 0; i < 4; i++) {
		wrmsr(MSR_VIRT_SPEC_CTRL, i % 2 ? 0 : 4);
		GUEST_SYNC(i);
		GUEST_CHECK_EQ(rdmsr(MSR_VIRT_SPEC_CTRL), i % 2 ? 0 : 4);
	}
	GUEST_CHECK_EQ(wrmsr_safe(MSR_VIRT_SPEC_CTRL, 1).vector, GP_VECTOR);
	GUEST_CHECK_EQ(wrmsr_safe(MSR_VIRT_SPEC_CTRL, 4 | BIT(32)).vector, GP_VECTOR);
	GUEST_SYNC(4);
	GUEST_CHECK_EQ(rdmsr(MSR_VIRT_SPEC_CTRL), 4);
}

static void virt_ssbd(void)
{
	struct vcpu *vcpu;
	u64 i;

	if (!dev_cpuid_has(0x80000008, 0, 'b', 25))
		test_skip("no VIRT_SSBD");
	CHECK(dev_msr_listed(MSR_VIRT_SPEC_CTRL));
	vcpu = virt_ssbd_start(true, virt_ssbd_guest);
	for (i = 0; i < 4; i++) {
		vcpu_run_sync(vcpu, i);
		CHECK_EQ(vcpu_msr(vcpu, MSR_VIRT_SPEC_CTRL), i % 2 ? 0 : 4);
	}
	vcpu_run_sync(vcpu, 4);
	CHECK_EQ(vcpu_try_set_msr(vcpu, MSR_VIRT_SPEC_CTRL, 2), 0);
	vcpu_set_msr(vcpu, MSR_VIRT_SPEC_CTRL, 4);
	vcpu_run_done(vcpu);
}

static void no_virt_ssbd_guest(void)
{
	u64 value;

	GUEST_CHECK_EQ(rdmsr_safe(MSR_VIRT_SPEC_CTRL, &value).vector, GP_VECTOR);
	GUEST_CHECK_EQ(wrmsr_safe(MSR_VIRT_SPEC_CTRL, 0).vector, GP_VECTOR);
}

static void no_virt_ssbd(void)
{
	vcpu_run_done(virt_ssbd_start(false, no_virt_ssbd_guest));
}

static const struct test_case cases[] = {
	{ "list_round_trip", list_round_trip },
	{ "list_contents", list_contents },
	{ "partial", partial },
	{ "host_rejects", host_rejects },
	{ "pat_types", pat_types },
	{ "guest_rejects", guest_rejects },
	{ "guest_values", guest_values },
	{ "mtrr", mtrr },
	{ "mce", mce },
	{ "cmci", cmci },
	{ "feature_msrs", feature_msrs },
	{ "filter", filter },
	{ "user_exits", user_exits },
	{ "virt_ssbd", virt_ssbd },
	{ "no_virt_ssbd", no_virt_ssbd },
};

TEST_MAIN(cases)
