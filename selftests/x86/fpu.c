// SPDX-License-Identifier: GPL-2.0-only
/*
 * Catches: vector or FPU registers of one vCPU that show in another or in the host, or get lost
 * on the way through userspace; XCR0 that is not checked or not the guest's own; lazily switched
 * SYSCALL MSRs that stay behind.
 */
#define _GNU_SOURCE
#include <cpuid.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "trap.h"
#include "vcpu.h"

static void xmm_set(u64 value)
{
	asm volatile("movq %0, %%xmm0\n movq %0, %%xmm15\n" : : "r"(value));
}

static u64 xmm_get(void)
{
	u64 low, high;

	asm volatile("movq %%xmm0, %0\n movq %%xmm15, %1\n" : "=r"(low), "=r"(high));
	return low == high ? low : ~0ULL;
}

static void turns_guest(u64 value)
{
	u64 i;
	u16 control = 0x37f;
	u32 mxcsr = 0x1f80 | (value & 1) << 15;

	xmm_set(value);
	asm volatile("ldmxcsr %0\n fninit\n fldcw %1\n fld1\n" : : "m"(mxcsr), "m"(control));
	for (i = 0; i < 10; i++) {
		u32 now;

		GUEST_SYNC(i);
		GUEST_CHECK_EQ(xmm_get(), value);
		asm volatile("stmxcsr %0" : "=m"(now));
		GUEST_CHECK_EQ(now, mxcsr);
	}
}

/* Two vCPUs and the host by turns on one thread. */
static void isolation(void)
{
	struct vm *vm = vm_create(0);
	struct vcpu *a = vcpu_create(vm, 0), *b = vcpu_create(vm, 1);
	u64 i;

	vcpu_enter(a, turns_guest, 0xaaaaaaaaaaaaaaaa);
	vcpu_enter(b, turns_guest, 0xbbbbbbbbbbbbbbbb);
	for (i = 0; i < 10; i++) {
		xmm_set(0x4057 + i);
		/* No library call in between: it may use the registers itself. */
		while (ioctl(a->fd, KVM_RUN, 0UL) < 0)
			;
		CHECK_EQ(xmm_get(), 0x4057 + i);
		CHECK_EQ(vcpu_ucall(a)->args[0], i);
		vcpu_run_sync(b, i);
	}
	vcpu_run_done(a);
	vcpu_run_done(b);
}

struct fxsave {
	u16 fcw, fsw;
	u8 ftw, pad;
	u16 fop;
	u64 fip, fdp;
	u32 mxcsr, mask;
	u8 st[8][16];
	u8 xmm[16][16];
} __attribute__((packed));

static void state_guest(u64 expect)
{
	/* In use before, or KVM_SET_FPU's values count as unused and are dropped. */
	xmm_set(1);
	GUEST_SYNC(1);
	GUEST_CHECK_EQ(xmm_get(), expect);
	xmm_set(expect + 1);
	GUEST_SYNC(2);
}

/* KVM_GET_XSAVE shows what the guest has, KVM_SET_XSAVE what it gets. */
static void xsave(void)
{
	struct vcpu *vcpu = vcpu_start(0, state_guest, 0x1234567, 0);
	struct kvm_xsave image;
	struct fxsave *fx = (void *)image.region;
	u64 *xstate_bv = (u64 *)image.region + 64;

	SYS(ioctl(vcpu->fd, KVM_GET_XSAVE, &image));
	CHECK_EQ(fx->fcw, 0x37f);
	CHECK_EQ(fx->mxcsr, 0x1f80);
	vcpu_run_sync(vcpu, 1);
	SYS(ioctl(vcpu->fd, KVM_GET_XSAVE, &image));
	*(u64 *)fx->xmm[0] = 0x1234567;
	*(u64 *)fx->xmm[15] = 0x1234567;
	*xstate_bv |= 2;
	SYS(ioctl(vcpu->fd, KVM_SET_XSAVE, &image));
	vcpu_run_sync(vcpu, 2);
	SYS(ioctl(vcpu->fd, KVM_GET_XSAVE, &image));
	CHECK_EQ(*(u64 *)fx->xmm[0], 0x1234568);
	CHECK_EQ(*(u64 *)fx->xmm[15], 0x1234568);
	/* A component that does not exist. */
	*xstate_bv |= BIT(62);
	CHECK_ERRNO(ioctl(vcpu->fd, KVM_SET_XSAVE, &image), EINVAL);
	vcpu_run_done(vcpu);
}

static void fpu_ioctl(void)
{
	struct vcpu *vcpu = vcpu_start(0, state_guest, 0x77, 0);
	struct kvm_fpu fpu;

	vcpu_run_sync(vcpu, 1);
	SYS(ioctl(vcpu->fd, KVM_GET_FPU, &fpu));
	CHECK_EQ(fpu.fcw, 0x37f);
	memcpy(fpu.xmm[0], &(u64){ 0x77 }, 8);
	memcpy(fpu.xmm[15], &(u64){ 0x77 }, 8);
	SYS(ioctl(vcpu->fd, KVM_SET_FPU, &fpu));
	vcpu_run_sync(vcpu, 2);
	SYS(ioctl(vcpu->fd, KVM_GET_FPU, &fpu));
	CHECK_EQ(*(u64 *)fpu.xmm[0], 0x78);
	vcpu_run_done(vcpu);
}

static struct guest_fault xsetbv_try(u64 value)
{
	return GUEST_INSN_SAFE("xsetbv", "c"(0), "a"((u32)value), "d"((u32)(value >> 32)));
}

static void xcr0_guest(u64 supported)
{
	GUEST_CHECK_EQ(GUEST_INSN_SAFE("xgetbv", "c"(0)).vector, UD_VECTOR);
	write_cr4(read_cr4() | X86_CR4_OSXSAVE);
	GUEST_CHECK_EQ(xgetbv(0), 1);
	GUEST_CHECK_EQ(xsetbv_try(0).vector, GP_VECTOR);
	GUEST_CHECK_EQ(xsetbv_try(2).vector, GP_VECTOR);
	GUEST_CHECK_EQ(xsetbv_try(5).vector, GP_VECTOR);
	GUEST_CHECK_EQ(xsetbv_try(3 | BIT(62)).vector, GP_VECTOR);
	GUEST_CHECK_EQ(xsetbv_try(supported).vector, GUEST_NO_FAULT);
	GUEST_CHECK_EQ(xgetbv(0), supported);
	GUEST_CHECK_EQ(GUEST_INSN_SAFE("xsetbv", "c"(1), "a"(1), "d"(0)).vector, GP_VECTOR);
	GUEST_SYNC(1);
	GUEST_CHECK_EQ(xgetbv(0), 3);
}

static void xcr0(void)
{
	struct kvm_xcrs xcrs = { 0 };
	struct kvm_cpuid_entry2 *leaf;
	struct dev_cpuid set;
	struct vcpu *vcpu;
	u32 a, b, c, d, after_low, after_high;
	u64 before;

	if (!dev_cpuid_has(1, 0, 'c', 26))
		test_skip("no XSAVE");
	/* Its XSETBV cannot be intercepted. */
	if (dev_host_is_tcg())
		test_skip("QEMU's TCG");
	memcpy(&set, dev_supported_cpuid(), sizeof(set));
	leaf = dev_cpuid_find(&set, 0xd, 0);
	vcpu = vcpu_start(0, xcr0_guest, leaf->eax | (u64)leaf->edx << 32, 0);
	__cpuid(1, a, b, c, d);
	(void)a, (void)b, (void)d;
	before = c & BIT(27) ? xgetbv(0) : 0;
	vcpu_run_sync(vcpu, 1);
	if (c & BIT(27)) {
		asm volatile("xgetbv" : "=a"(after_low), "=d"(after_high) : "c"(0));
		CHECK_EQ(after_low | (u64)after_high << 32, before);
	}
	SYS(ioctl(vcpu->fd, KVM_GET_XCRS, &xcrs));
	CHECK_EQ(xcrs.xcrs[0].value, leaf->eax | (u64)leaf->edx << 32);
	xcrs.xcrs[0].value = 3;
	SYS(ioctl(vcpu->fd, KVM_SET_XCRS, &xcrs));
	vcpu_run_done(vcpu);
}

/*
 * XSAVES needs no CPUID bit on a CPU that cannot intercept it: then it must work with the guest's
 * XSS, which is 0, and not with the host's. What it would save is in XCOMP_BV.
 */
static void xsaves_guest(void)
{
	static u64 area[512] __attribute__((aligned(64)));
	struct guest_fault f;

	write_cr4(read_cr4() | X86_CR4_OSXSAVE);
	f = GUEST_INSN_SAFE("xsaves (%%rdi)", "D"(area), "a"(~0u), "d"(~0u));
	if (f.vector == UD_VECTOR)
		return;
	GUEST_CHECK_EQ(f.vector, GUEST_NO_FAULT);
	GUEST_CHECK_EQ(area[65], BIT(63) | xgetbv(0));
}

static void xsaves_hidden(void)
{
	struct vcpu *vcpu = vcpu_create_raw(vm_create(0), 0);
	struct kvm_cpuid_entry2 *leaf;
	struct dev_cpuid set;

	if (!dev_cpuid_has(1, 0, 'c', 26))
		test_skip("no XSAVE");
	vcpu_default_cpuid(0, &set);
	leaf = dev_cpuid_find(&set, 0xd, 1);
	if (leaf)
		leaf->eax &= ~BIT(3);
	vcpu_set_cpuid(vcpu, &set);
	vcpu_enter(vcpu, xsaves_guest, 0);
	vcpu_run_done(vcpu);
}

/* The upper halves too. */
static void ymm_guest(u64 value)
{
	u64 i, seen[4] __attribute__((aligned(32)));

	write_cr4(read_cr4() | X86_CR4_OSXSAVE);
	GUEST_CHECK_EQ(xsetbv_try(7).vector, GUEST_NO_FAULT);
	for (i = 0; i < 4; i++)
		seen[i] = value + i;
	asm volatile("vmovdqa %0, %%ymm3" : : "m"(seen));
	for (i = 0; i < 5; i++) {
		GUEST_SYNC(i);
		asm volatile("vmovdqa %%ymm3, %0" : "=m"(seen));
		GUEST_CHECK_EQ(seen[0], value);
		GUEST_CHECK_EQ(seen[3], value + 3);
	}
}

static void ymm(void)
{
	struct vm *vm = vm_create(0);
	struct vcpu *a, *b;
	u64 i;

	if (!dev_cpuid_has(1, 0, 'c', 28))
		test_skip("no AVX");
	if (dev_host_is_tcg())
		test_skip("QEMU's TCG");
	a = vcpu_create(vm, 0);
	b = vcpu_create(vm, 1);
	vcpu_enter(a, ymm_guest, 0xa000);
	vcpu_enter(b, ymm_guest, 0xb000);
	for (i = 0; i < 5; i++) {
		vcpu_run_sync(a, i);
		vcpu_run_sync(b, i);
	}
	vcpu_run_done(a);
	vcpu_run_done(b);
}

/* CR0.TS and EM are the guest's. */
static void ts_guest(void)
{
	write_cr0(read_cr0() | X86_CR0_TS);
	GUEST_CHECK_EQ(GUEST_INSN_SAFE("movq %%xmm0, %%xmm1").vector, NM_VECTOR);
	asm volatile("clts");
	GUEST_CHECK_EQ(GUEST_INSN_SAFE("movq %%xmm0, %%xmm1").vector, GUEST_NO_FAULT);
	write_cr0(read_cr0() | X86_CR0_EM);
	GUEST_CHECK_EQ(GUEST_INSN_SAFE("movq %%xmm0, %%xmm1").vector, UD_VECTOR);
	GUEST_CHECK_EQ(GUEST_INSN_SAFE("fninit").vector, NM_VECTOR);
}

static void task_switched(void)
{
	vcpu_run_done(vcpu_start(0, ts_guest, 0, 0));
}

/* The guest's SYSCALL and TSC_AUX MSRs while the host makes system calls with its own. */
static void syscall_guest(void)
{
	u64 i;

	wrmsr(MSR_STAR, 0x0123456700000000);
	wrmsr(MSR_LSTAR, 0xffff8000deadb000);
	wrmsr(MSR_CSTAR, 0xffff8000deadc000);
	wrmsr(MSR_SFMASK, 0x12300);
	for (i = 0; i < 50; i++) {
		GUEST_SYNC(i);
		GUEST_CHECK_EQ(rdmsr(MSR_STAR), 0x0123456700000000);
		GUEST_CHECK_EQ(rdmsr(MSR_LSTAR), 0xffff8000deadb000);
		GUEST_CHECK_EQ(rdmsr(MSR_SFMASK), 0x12300);
	}
}

static void user_return(void)
{
	struct vcpu *vcpu = vcpu_start(0, syscall_guest, 0, 0);
	u64 i;

	for (i = 0; i < 50; i++) {
		vcpu_run_sync(vcpu, i);
		CHECK_EQ(syscall(SYS_getpid), getpid());
		if (i % 10 == 0)
			usleep(1000);
	}
	vcpu_run_done(vcpu);
	CHECK_EQ(vcpu_msr(vcpu, MSR_LSTAR), 0xffff8000deadb000);
}

static const struct test_case cases[] = {
	{ "isolation", isolation },
	{ "xsave", xsave },
	{ "fpu_ioctl", fpu_ioctl },
	{ "xcr0", xcr0 },
	{ "xsaves_hidden", xsaves_hidden },
	{ "ymm", ymm },
	{ "task_switched", task_switched },
	{ "user_return", user_return },
};

TEST_MAIN(cases)
