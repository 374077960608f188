// SPDX-License-Identifier: GPL-2.0-only
/*
 * Catches: what only matters in user mode, the guest's or the host's, and is not switched between them, or not as
 * soon as the guest can use it: SYSCALL's MSRs, TSC_AUX, KERNEL_GS_BASE, data selectors, the limits of GDT and TSS.
 */
#define _GNU_SOURCE
#include <asm/prctl.h>
#include <errno.h>
#include <sched.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "trap.h"
#include "vcpu.h"

#define FMASK		0x400		/* direction */
#define POST_PORT	0x80
#define USER_DATA	0x2b		/* in the host's GDT */

/* SYSCALL from the guest's kernel to one of two places, and back by hand. */
extern const char syscall_first[], syscall_second[];
static volatile u64 syscall_at, syscall_cs, syscall_flags;

asm(".pushsection .text\n"
    "syscall_first:\n"
    "	movq $1, syscall_at\n"
    "	jmp 1f\n"
    "syscall_second:\n"
    "	movq $2, syscall_at\n"
    "1:	pushfq\n"
    "	popq syscall_flags\n"
    "	mov %cs, %eax\n"
    "	mov %rax, syscall_cs\n"
    "	push %r11\n"
    "	popfq\n"
    "	jmp *%rcx\n"
    ".popsection\n");

static u32 try_syscall(void)
{
	register u64 r9 asm("r9");
	register u64 r10 asm("r10");

	syscall_at = 0;
	asm volatile("std\n" GUEST_TRY("syscall") "cld\n" : "=r"(r9), "=r"(r10)
		     : : "rax", "rcx", "r11", "memory");
	return GUEST_FAULT(r9, r10).vector;
}

static void check_syscall(u64 at)
{
	GUEST_CHECK_EQ(try_syscall(), GUEST_NO_FAULT);
	GUEST_CHECK_EQ(syscall_at, at);
	GUEST_CHECK_EQ(syscall_cs, GUEST_CODE64);
	GUEST_CHECK_EQ(syscall_flags & FMASK, 0);
}

static void check_no_syscall(void)
{
	GUEST_CHECK_EQ(try_syscall(), UD_VECTOR);
	GUEST_CHECK_EQ(syscall_at, 0);
}

static void syscall_guest(u64 rounds)
{
	u64 efer = rdmsr(MSR_EFER) & ~(u64)EFER_SCE;

	wrmsr(MSR_STAR, (u64)GUEST_CODE64 << 32);
	wrmsr(MSR_LSTAR, (u64)syscall_first);
	wrmsr(MSR_SFMASK, FMASK);
	while (rounds--) {
		GUEST_SYNC(0);
		check_no_syscall();
		wrmsr(MSR_EFER, efer | EFER_SCE);
		check_syscall(1);
		GUEST_SYNC(0);
		check_syscall(1);
		wrmsr(MSR_LSTAR, (u64)syscall_second);
		check_syscall(2);
		wrmsr(MSR_EFER, efer);
		check_no_syscall();
		GUEST_SYNC(0);
		wrmsr(MSR_LSTAR, (u64)syscall_first);
		wrmsr(MSR_EFER, efer | EFER_SCE);
		check_syscall(1);
		wrmsr(MSR_EFER, efer);
	}
}

static void set_sce(struct vcpu *vcpu, bool on)
{
	struct kvm_sregs sregs = vcpu_sregs(vcpu);

	sregs.efer = (sregs.efer & ~(u64)EFER_SCE) | (on ? EFER_SCE : 0);
	vcpu_set_sregs(vcpu, &sregs);
}

static void syscall_msrs(void)
{
	struct vcpu *vcpu = vcpu_start(0, syscall_guest, 3, 0);
	int i;

	set_sce(vcpu, false);
	for (i = 0; i < 9; i++)
		vcpu_run_sync(vcpu, 0);
	vcpu_run_done(vcpu);
}

/* The entry is userspace's doing, with the guest's values in the CPU or not. */
static void syscall_by_user_guest(void)
{
	check_no_syscall();
	GUEST_SYNC(0);
	check_syscall(1);
	GUEST_SYNC(0);
	check_no_syscall();
	GUEST_SYNC(0);
	check_syscall(2);
}

static void syscall_by_user(void)
{
	struct vcpu *vcpu = vcpu_start(0, syscall_by_user_guest, 0, 0);

	vcpu_set_msr(vcpu, MSR_STAR, (u64)GUEST_CODE64 << 32);
	vcpu_set_msr(vcpu, MSR_LSTAR, (u64)syscall_first);
	vcpu_set_msr(vcpu, MSR_SFMASK, FMASK);
	set_sce(vcpu, false);
	vcpu_run_sync(vcpu, 0);
	set_sce(vcpu, true);
	vcpu_run_sync(vcpu, 0);
	set_sce(vcpu, false);
	vcpu_run_sync(vcpu, 0);
	set_sce(vcpu, true);
	vcpu_set_msr(vcpu, MSR_LSTAR, (u64)syscall_second);
	vcpu_run_done(vcpu);
}

static u32 tsc_aux(void)
{
	u32 aux;

	asm volatile("rdtscp" : "=c"(aux) : : "rax", "rdx");
	return aux;
}

static void tsc_aux_guest(u64 value)
{
	wrmsr(MSR_TSC_AUX, value);
	GUEST_CHECK_EQ(tsc_aux(), value);
	GUEST_SYNC(0);
	GUEST_CHECK_EQ(tsc_aux(), value);
	wrmsr(MSR_TSC_AUX, value + 1);
	GUEST_CHECK_EQ(tsc_aux(), value + 1);
}

/* Two guests with values of their own, one after the other in one thread, which must keep the host's. */
static void two_tsc_aux(void)
{
	struct vcpu *first, *second;
	cpu_set_t set;
	u32 host;

	if (!dev_cpuid_has(0x80000001, 0, 'd', 27))
		test_skip("no RDTSCP");
	CPU_ZERO(&set);
	CPU_SET(0, &set);
	SYS(sched_setaffinity(0, sizeof(set), &set));
	host = tsc_aux();
	first = vcpu_start(0, tsc_aux_guest, 0x11111111, 0);
	second = vcpu_start(0, tsc_aux_guest, 0x22222222, 0);
	vcpu_run_sync(first, 0);
	CHECK_EQ(tsc_aux(), host);
	vcpu_run_sync(second, 0);
	CHECK_EQ(tsc_aux(), host);
	vcpu_run_done(first);
	vcpu_run_done(second);
	CHECK_EQ(tsc_aux(), host);
}

static void host_gs_base_set(u64 base)
{
	SYS(syscall(SYS_arch_prctl, ARCH_SET_GS, base));
}

static u64 host_gs_base(void)
{
	u64 base;

	SYS(syscall(SYS_arch_prctl, ARCH_GET_GS, &base));
	return base;
}

static const u64 gs_bases[] = { 0, 0x123000, 0x123000, 0, 0x456000, 0x123000, 0x456000 };

static void gs_base_guest(void)
{
	size_t i;

	for (i = 0; i < ARRAY_SIZE(gs_bases); i++) {
		wrmsr(MSR_KERNEL_GS_BASE, gs_bases[i]);
		GUEST_SYNC(i);
		GUEST_CHECK_EQ(rdmsr(MSR_KERNEL_GS_BASE), gs_bases[i]);
	}
}

/* The host's is in the same register: the same value, or another, before and after. */
static void kernel_gs_base(void)
{
	static const u64 mine[] = { 0, 0, 0x123000, 0x123000, 0, 0x456000, 0x123000 };
	struct vcpu *vcpu = vcpu_start(0, gs_base_guest, 0, 0);
	size_t i;

	for (i = 0; i < ARRAY_SIZE(gs_bases); i++) {
		host_gs_base_set(mine[i]);
		vcpu_run_sync(vcpu, i);
		CHECK_EQ(host_gs_base(), mine[i]);
		CHECK_EQ(vcpu_msr(vcpu, MSR_KERNEL_GS_BASE), gs_bases[i]);
		CHECK_EQ(host_gs_base(), mine[i]);
	}
	host_gs_base_set(0x789000);
	vcpu_run_done(vcpu);
	CHECK_EQ(host_gs_base(), 0x789000);
	host_gs_base_set(0);
}

static void sync_guest(void)
{
	u64 i;

	for (i = 0; i < 4; i++) {
		wrmsr(MSR_KERNEL_GS_BASE, 0x5000 * (i + 1));
		GUEST_SYNC(i);
	}
}

#define SELECTOR_RW(seg)							\
static void set_##seg(u16 sel) { asm volatile("mov %0, %%" #seg : : "r"((u32)sel) : "memory"); }	\
static u16 get_##seg(void) { u32 sel; asm volatile("mov %%" #seg ", %0" : "=r"(sel)); return sel; }
SELECTOR_RW(ds)
SELECTOR_RW(es)
SELECTOR_RW(gs)

static void selectors(void)
{
	struct vcpu *vcpu = vcpu_start(0, sync_guest, 0, 0);
	u64 i;

	for (i = 0; i < 4; i++) {
		set_ds(i & 1 ? USER_DATA : 0);
		set_es(i & 2 ? USER_DATA : 0);
		set_gs(i & 2 ? USER_DATA : 0);
		vcpu_run_sync(vcpu, i);
		CHECK_EQ(get_ds(), i & 1 ? USER_DATA : 0);
		CHECK_EQ(get_es(), i & 2 ? USER_DATA : 0);
		CHECK_EQ(get_gs(), i & 2 ? USER_DATA : 0);
		CHECK_EQ(host_gs_base(), 0);
	}
	set_ds(0);
	set_es(0);
	set_gs(0);
	vcpu_run_done(vcpu);
}

static u16 gdt_limit(void)
{
	struct __attribute__((packed)) {
		u16 limit;
		u64 base;
	} gdt = { 0 };

	asm volatile("sgdt %0" : "=m"(gdt));
	return gdt.limit;
}

/* An exit leaves 64 KiB. With UMIP the kernel makes an answer up: 0. */
static void limit_of_gdt(void)
{
	struct vcpu *vcpu = vcpu_start(0, sync_guest, 0, 0);
	u64 i;

	for (i = 0; i < 4; i++) {
		vcpu_run_sync(vcpu, i);
		CHECK_NE(gdt_limit(), 0xffff);
	}
	vcpu_run_done(vcpu);
}

/* An exit leaves a TSS without one. */
static void io_bitmap(void)
{
	struct vcpu *vcpu = vcpu_start(0, sync_guest, 0, 0);
	u64 i;

	if (syscall(SYS_ioperm, POST_PORT, 1, 0) && errno == ENOSYS)
		test_skip("no ioperm() in this kernel");
	for (i = 0; i < 4; i++) {
		SYS(syscall(SYS_ioperm, POST_PORT, 1, i & 1));
		vcpu_run_sync(vcpu, i);
		if (i & 1)
			outb(POST_PORT, i);		/* or SIGSEGV */
	}
	SYS(syscall(SYS_ioperm, POST_PORT, 1, 0));
	vcpu_run_done(vcpu);
}

static const struct test_case cases[] = {
	{ "syscall_msrs", syscall_msrs },
	{ "syscall_by_user", syscall_by_user },
	{ "tsc_aux", two_tsc_aux },
	{ "kernel_gs_base", kernel_gs_base },
	{ "selectors", selectors },
	{ "gdt_limit", limit_of_gdt },
	{ "io_bitmap", io_bitmap },
};

TEST_MAIN(cases)
