// SPDX-License-Identifier: GPL-2.0-only
/*
 * Catches: an ioctl that hurts the host when it is called with garbage: bad pointers, sizes,
 * flags, order. Nothing is asserted about the answers; the host must live, and a VM made
 * afterwards must work.
 *
 *	ioctl_fuzz [--seed=N] [--count=N]
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include "vcpu.h"

#define ARENA_PAGES	64

static u64 random_state;
static u8 *arena;
static u64 *calls_made;		/* shared with the batches */

static u64 rnd(void)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return random_state;
}

static u64 below(u64 n)
{
	return rnd() % n;
}

static const u32 known[] = {
	KVM_GET_API_VERSION, KVM_CREATE_VM, KVM_CHECK_EXTENSION, KVM_GET_VCPU_MMAP_SIZE,
	KVM_GET_SUPPORTED_CPUID, KVM_GET_EMULATED_CPUID, KVM_GET_MSR_INDEX_LIST,
	KVM_GET_MSR_FEATURE_INDEX_LIST, KVM_X86_GET_MCE_CAP_SUPPORTED,
	KVM_CREATE_VCPU, KVM_GET_DIRTY_LOG, KVM_CLEAR_DIRTY_LOG, KVM_SET_NR_MMU_PAGES,
	KVM_GET_NR_MMU_PAGES, KVM_SET_USER_MEMORY_REGION, KVM_SET_TSS_ADDR,
	KVM_SET_IDENTITY_MAP_ADDR,
	KVM_CREATE_IRQCHIP, KVM_IRQ_LINE, KVM_IRQ_LINE_STATUS, KVM_GET_IRQCHIP, KVM_SET_IRQCHIP,
	KVM_CREATE_PIT, KVM_CREATE_PIT2, KVM_GET_PIT, KVM_SET_PIT, KVM_GET_PIT2, KVM_SET_PIT2,
	KVM_REINJECT_CONTROL, KVM_REGISTER_COALESCED_MMIO, KVM_UNREGISTER_COALESCED_MMIO,
	KVM_SET_GSI_ROUTING, KVM_IRQFD, KVM_IOEVENTFD, KVM_SIGNAL_MSI, KVM_SET_BOOT_CPU_ID,
	KVM_GET_CLOCK, KVM_SET_CLOCK, KVM_ENABLE_CAP, KVM_X86_SET_MSR_FILTER, KVM_CREATE_DEVICE,
	KVM_GET_STATS_FD, KVM_RESET_DIRTY_RINGS, KVM_SET_TSC_KHZ, KVM_GET_TSC_KHZ,
	KVM_GET_REGS, KVM_SET_REGS, KVM_GET_SREGS, KVM_SET_SREGS, KVM_GET_SREGS2, KVM_SET_SREGS2,
	KVM_TRANSLATE, KVM_INTERRUPT, KVM_GET_MSRS, KVM_SET_MSRS, KVM_SET_CPUID, KVM_SET_CPUID2,
	KVM_GET_CPUID2, KVM_SET_SIGNAL_MASK, KVM_GET_FPU, KVM_SET_FPU, KVM_GET_LAPIC, KVM_SET_LAPIC,
	KVM_TPR_ACCESS_REPORTING, KVM_SET_VAPIC_ADDR, KVM_X86_SETUP_MCE, KVM_X86_SET_MCE, KVM_NMI,
	KVM_SMI, KVM_SET_GUEST_DEBUG, KVM_GET_MP_STATE, KVM_SET_MP_STATE, KVM_GET_VCPU_EVENTS,
	KVM_SET_VCPU_EVENTS, KVM_GET_DEBUGREGS, KVM_SET_DEBUGREGS, KVM_GET_XSAVE, KVM_SET_XSAVE,
	KVM_GET_XSAVE2, KVM_GET_XCRS, KVM_SET_XCRS, KVM_KVMCLOCK_CTRL, KVM_GET_NESTED_STATE,
	KVM_SET_NESTED_STATE, KVM_SET_DEVICE_ATTR, KVM_GET_DEVICE_ATTR, KVM_HAS_DEVICE_ATTR,
	KVM_SET_PMU_EVENT_FILTER, KVM_MEMORY_ENCRYPT_OP, KVM_HYPERV_EVENTFD, KVM_XEN_HVM_CONFIG,
};

/*
 * Values at which code turns: small, at the page, at the sign, at the guest's memory, and real
 * pointers.
 */
static u64 value(void)
{
	switch (below(12)) {
	case 0: return 0;
	case 1: return below(8);
	case 2: return BIT(below(64));
	case 3: return BIT(below(64)) - 1;
	case 4: return -below(5000);
	case 5: return below(64) * PAGE;
	case 6: return (uintptr_t)arena + below(ARENA_PAGES) * PAGE;
	case 7: return (uintptr_t)arena + below(ARENA_PAGES * PAGE);
	case 8: return 0xfee00000 + below(4096);
	case 9: return below(16) << 32 | below(16);
	case 10: return 0x4b564d00 + below(8);
	default: return rnd();
	}
}

static void *argument(void)
{
	u64 *words = (u64 *)arena, i, n = 1 + below(16);

	switch (below(16)) {
	case 0: return NULL;
	case 1: return (void *)value();
	case 2: return arena + ARENA_PAGES * PAGE - below(64);	/* its end is not mapped */
	case 3: return (void *)0xffff888000000000;
	case 4: return (void *)below(4096);
	}
	for (i = 0; i < n; i++) {
		if (below(3))
			words[below(below(3) ? 8 : 256)] = value();
		else
			((u32 *)words)[below(32)] = value();
	}
	return arena;
}

struct fuzz {
	int sys, vm, vcpu, chip_vm, chip_vcpu;
	int event;
};

static void fuzz_open(struct fuzz *f)
{
	struct vm *plain = vm_create(0), *chip = vm_create(VM_IRQCHIP | VM_PIT);

	f->sys = dev_open();
	f->vm = plain->fd;
	f->vcpu = vcpu_create(plain, 0)->fd;
	f->chip_vm = chip->fd;
	f->chip_vcpu = vcpu_create(chip, 0)->fd;
	f->event = eventfd(0, EFD_NONBLOCK);
}

static u32 command(void)
{
	u32 cmd = known[below(ARRAY_SIZE(known))];

	if (!below(16))
		cmd = _IOC(below(4), KVMIO, below(256), below(64));
	else if (!below(32))
		cmd ^= BIT(below(32));
	return cmd;
}

/* KVM_RUN is not among them: guest code is another test's, and it may take its time. */
static void one(struct fuzz *f)
{
	int fds[] = { f->sys, f->vm, f->vcpu, f->chip_vm, f->chip_vcpu };
	int ret, fd = fds[below(ARRAY_SIZE(fds))];
	u32 cmd = command();

	/*
	 * A VM that is limited to no memory or stops the world is no use afterwards; a new one
	 * comes soon.
	 */
	if (cmd == KVM_RUN)
		return;
	ret = ioctl(fd, cmd, below(8) ? argument() : (void *)below(16));
	/* What makes descriptors gives a number above all of ours. */
	if (ret > f->event && (cmd == KVM_CREATE_VM || cmd == KVM_CREATE_VCPU ||
			       cmd == KVM_GET_STATS_FD))
		close(ret);
}

static void batch(u64 seed, u64 count)
{
	struct fuzz f;
	u64 i;

	random_state = seed * 0x9e3779b97f4a7c15 + 1;
	arena = mmap(NULL, (ARENA_PAGES + 1) * PAGE, PROT_READ | PROT_WRITE,
		     MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	CHECK(arena != MAP_FAILED);
	SYS(mprotect(arena + ARENA_PAGES * PAGE, PAGE, PROT_NONE));
	fuzz_open(&f);
	for (i = 0; i < count; i++) {
		one(&f);
		(*calls_made)++;
	}
	_exit(0);
}

static void good_guest(u64 a)
{
	GUEST_CHECK_EQ(a, 5);
}

/*
 * Batches in processes of their own: the garbage of one does not blunt the next. A batch may end
 * early, when an answer lands in its own stack; what it did not call, others do.
 */
static void garbage(void)
{
	u64 count = test_count("count", 1000000), seed = test_option("seed", 1), batches = 0, left;
	int status;
	pid_t pid;

	calls_made = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	CHECK(calls_made != MAP_FAILED);
	while (*calls_made < count) {
		left = count - *calls_made;
		pid = SYS(fork());
		if (!pid)
			batch(seed + batches, left < 20000 ? left : 20000);
		SYS(waitpid(pid, &status, 0));
		if (WIFSIGNALED(status) && WTERMSIG(status) != SIGSEGV &&
				WTERMSIG(status) != SIGBUS)
			FAIL("batch with seed %llu died by signal %d",
			     (unsigned long long)(seed + batches), WTERMSIG(status));
		if (++batches % 10 == 0)
			test_note("%llu calls after %llu batches", (unsigned long long)*calls_made,
				  (unsigned long long)batches);
		CHECK_LE(batches, 100 + count / 100);
	}
	test_note("%llu calls in %llu batches from seed %llu", (unsigned long long)*calls_made,
		  (unsigned long long)batches, (unsigned long long)seed);
	vcpu_run_done(vcpu_start(VM_IRQCHIP | VM_PIT, good_guest, 5, 0));
}

/* Garbage in the state of a vCPU, then KVM_RUN, stopped by a signal. */
static void tick(int sig)
{
	(void)sig;
}

/* Interrupt what runs, again and again; not the making of a VM, which could go on for ever. */
static void ticks(bool on)
{
	long us = on ? 3000 * test_time_scale() : 0;
	struct itimerval timer = { { 0, us }, { 0, us } };

	setitimer(ITIMER_REAL, &timer, NULL);
}

static void state_batch(u64 seed, u64 count)
{
	static const u32 sets[] = {
		KVM_SET_REGS, KVM_SET_SREGS, KVM_SET_VCPU_EVENTS, KVM_SET_DEBUGREGS, KVM_SET_XCRS,
		KVM_SET_LAPIC, KVM_SET_MSRS, KVM_SET_FPU, KVM_SET_MP_STATE, KVM_SET_GUEST_DEBUG,
	};
	static u8 state[8192];
	struct sigaction action = { .sa_handler = tick };
	u64 i, k;

	random_state = seed * 0x9e3779b97f4a7c15 + 1;
	arena = state;
	sigaction(SIGALRM, &action, NULL);
	for (i = 0; i < count; i++) {
		struct vcpu *vcpu = vcpu_start(below(2) ? VM_IRQCHIP : 0, good_guest, 5, 0);

		ticks(true);
		for (k = 0; k < 4; k++) {
			u32 cmd = sets[below(ARRAY_SIZE(sets))];

			/* Start from what is there, then bend a few bits. */
			ioctl(vcpu->fd, cmd == KVM_SET_SREGS ? KVM_GET_SREGS : cmd == KVM_SET_REGS ?
			      KVM_GET_REGS : KVM_GET_VCPU_EVENTS, state);
			((u64 *)state)[below(40)] ^= below(2) ? BIT(below(64)) : value();
			ioctl(vcpu->fd, cmd, state);
			vcpu_run_raw(vcpu);
		}
		ticks(false);
		vm_destroy(vcpu->vm);
	}
	_exit(0);
}

static void bent_state(void)
{
	u64 seed = test_option("seed", 1), i;
	int status;
	pid_t pid;

	for (i = 0; i < 10; i++) {
		pid = SYS(fork());
		if (!pid)
			state_batch(seed + i, test_count("states", 40));
		SYS(waitpid(pid, &status, 0));
		if (WIFSIGNALED(status) && WTERMSIG(status) != SIGSEGV &&
				WTERMSIG(status) != SIGBUS)
			FAIL("batch %llu died by signal %d", (unsigned long long)i,
					WTERMSIG(status));
	}
	vcpu_run_done(vcpu_start(VM_IRQCHIP, good_guest, 5, 0));
}

static const struct test_case cases[] = {
	{ "garbage", garbage, 240 },
	{ "bent_state", bent_state, 120 },
};

TEST_MAIN(cases)
