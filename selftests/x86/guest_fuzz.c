// SPDX-License-Identifier: GPL-2.0-only
/*
 * Catches: guest code that hurts the host. Random bytes run as guest code in every mode, with
 * memory, devices and an irqchip; the vCPU must exit or be stopped by the timer, and the host
 * must live.
 *
 *	guest_fuzz [--seed=N] [--count=N]
 */
#define _GNU_SOURCE
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include "vcpu.h"

#define CODE	0x1000
#define CODE_SIZE 256

static u64 random_word;

static u64 rnd(void)
{
	random_word ^= random_word << 13;
	random_word ^= random_word >> 7;
	random_word ^= random_word << 17;
	return random_word;
}

/* Openings of instructions that reach the hypervisor; random bytes alone seldom hit them. */
static const u8 spice[][4] = {
	{ 0x0f, 0x22, 0xc0 }, { 0x0f, 0x22, 0xd8 }, { 0x0f, 0x22, 0xe0 }, { 0x0f, 0x20, 0xc0 },
	{ 0x0f, 0x30 }, { 0x0f, 0x32 }, { 0x0f, 0xa2 }, { 0x0f, 0x01, 0xc1 }, { 0x0f, 0x01, 0xd9 },
	{ 0x0f, 0x01, 0xd1 }, { 0x0f, 0x01, 0x18 }, { 0x0f, 0x01, 0x10 }, { 0x0f, 0x00, 0xd8 },
	{ 0x0f, 0x23, 0xf8 }, { 0x0f, 0x21, 0xf0 }, { 0x0f, 0x08 }, { 0x0f, 0x09 }, { 0x0f, 0x06 },
	{ 0x0f, 0x33 }, { 0x0f, 0x31 }, { 0x0f, 0x01, 0x38 }, { 0x0f, 0x01, 0xc8 },
	{ 0x0f, 0x01, 0xc9 },
	{ 0xf3, 0x90 }, { 0xfb, 0xf4 }, { 0xe4, 0x21 }, { 0xe6, 0x43 }, { 0xf3, 0x6e },
	{ 0xf3, 0x6c },
	{ 0xcf }, { 0x9d }, { 0xcd, 0x80 }, { 0xcc }, { 0xf1 }, { 0x8e, 0xd0 }, { 0x8e, 0xd8 },
	{ 0xea }, { 0x9a }, { 0xcb }, { 0x0f, 0x05 }, { 0x0f, 0x34 }, { 0x0f, 0x35 },
	{ 0x0f, 0x07 },
	{ 0x0f, 0xae, 0x28 }, { 0x0f, 0xc7, 0x08 }, { 0xf0, 0xff }, { 0xa4 }, { 0xab },
	{ 0xf3, 0xa4 },
	{ 0x0f, 0xc7, 0x30 }, { 0x0f, 0x78 }, { 0x0f, 0x79 }, { 0x66, 0x0f, 0x38, 0x82 },
};

static void code_fill(u8 *code)
{
	size_t i, k;

	for (i = 0; i < CODE_SIZE; i++)
		code[i] = rnd();
	for (i = 0; i < CODE_SIZE - 8; i += 3 + rnd() % 9) {
		const u8 *insn = spice[rnd() % ARRAY_SIZE(spice)];

		for (k = 0; k < 4 && insn[k]; k++)
			code[i + k] = insn[k];
	}
}

static u64 interesting(void)
{
	static const u64 values[] = {
		0, 1, 0x10, CODE, 0x2000, 0x9fff0, 0xa0000, 0xb8000, 0xfec00000, 0xfee00000,
		0xfee00300,
		VM_ARENA, VM_HOLE_GPA, 0x1b, 0x10, 0x6e0, 0x830, 0xc0000080, 0xc0000102, 0x4b564d00,
		0x4b564d01,
		0x80000031, 0x60000010, 0x6f0, 0x7fffffffffff, 0x800000000000, 0xffffffffffffffff,
		0x4b564d02,
	};

	return rnd() % 4 ? values[rnd() % ARRAY_SIZE(values)] : rnd();
}

static void enter_any(struct vcpu *vcpu)
{
	struct kvm_regs regs;
	__u64 *word;

	switch (rnd() % 5) {
	case 0: vcpu_enter_real(vcpu, CODE >> 4, 0); break;
	case 1: vcpu_enter_protected(vcpu, CODE); break;
	case 2: vcpu_enter_code16(vcpu, CODE); break;
	case 3: vcpu_enter_compat(vcpu, CODE); break;
	default: vcpu_enter(vcpu, CODE, 0);
	}
	regs = vcpu_regs(vcpu);
	for (word = &regs.rax; word < &regs.rip; word++) {
		if (word != &regs.rsp && rnd() % 2)
			*word = interesting();
	}
	vcpu_set_regs(vcpu, &regs);
}

static void tick(int sig)
{
	(void)sig;
}

/*
 * Answer what comes with random data, for at most so many exits; a timer ends what does not come
 * out.
 */
static void run_some(struct vcpu *vcpu)
{
	struct kvm_run *run = vcpu->run;
	int i;

	for (i = 0; i < 40; i++) {
		if (vcpu_run_raw(vcpu) < 0)
			return;
		switch (run->exit_reason) {
		case KVM_EXIT_IO:
			if (!run->io.direction)
				*((u8 *)run + run->io.data_offset) = rnd();
			break;
		case KVM_EXIT_MMIO:
			if (!run->mmio.is_write)
				*(u64 *)run->mmio.data = interesting();
			break;
		default:
			return;
		}
	}
}

static void batch(u64 seed, u64 count)
{
	struct itimerval timer = { { 0, 4000 }, { 0, 4000 } };
	struct sigaction action = { .sa_handler = tick };
	u64 i;

	random_word = seed * 0x9e3779b97f4a7c15 + 1;
	sigaction(SIGALRM, &action, NULL);
	setitimer(ITIMER_REAL, &timer, NULL);
	while (count) {
		struct vm *vm = vm_create(rnd() % 3 ? VM_IRQCHIP | VM_PIT : 0);
		struct vcpu *vcpu = vcpu_create(vm, 0);
		struct kvm_sregs reset = vcpu_sregs(vcpu);

		/* The test's own image stays out of it. */
		vm_set_slot(vm, VM_SLOT_IMAGE, 0, 0, 0, NULL);
		for (i = 0; i < 50 && count; i++, count--) {
			/* What the last code left may not lead back; then another VM. */
			if (ioctl(vcpu->fd, KVM_SET_SREGS, &reset))
				break;
			code_fill(vm->low + CODE);
			enter_any(vcpu);
			run_some(vcpu);
		}
		vm_destroy(vm);
	}
	_exit(0);
}

static void good_guest(u64 a)
{
	GUEST_CHECK_EQ(a, 5);
}

static void random_code(void)
{
	u64 count = test_count("count", 5000), seed = test_option("seed", 1), done, size = 500;
	int status;
	pid_t pid;

	for (done = 0; done < count; done += size) {
		pid = SYS(fork());
		if (!pid)
			batch(seed + done / size, size);
		SYS(waitpid(pid, &status, 0));
		if (status)
			FAIL("batch with seed %llu ended with %#x",
			     (unsigned long long)(seed + done / size), status);
	}
	vcpu_run_done(vcpu_start(VM_IRQCHIP, good_guest, 5, 0));
}

static const struct test_case cases[] = {
	{ "random_code", random_code, 180 },
};

TEST_MAIN(cases)
