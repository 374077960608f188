// SPDX-License-Identifier: GPL-2.0-only
/*
 * Catches: a vCPU that cannot be stopped by a signal, a lost kick, an exit that is replayed or
 * skipped after an interrupted KVM_RUN, a signal mask that is not obeyed.
 */
#define _GNU_SOURCE
#include <signal.h>
#include <unistd.h>

#include "apic.h"
#include "vcpu.h"

static void spin_guest(void)
{
	for (;;)
		asm volatile("" : : : "memory");
}

static void halt_guest(void)
{
	for (;;)
		hlt();
}

static volatile bool kick_waits;

/* SIGUSR1 gets through in KVM_RUN alone: whenever it is sent from now on, it ends one and is not lost. */
static sigset_t kick_only_in_run(struct vcpu *vcpu)
{
	struct {
		struct kvm_signal_mask head;
		u8 set[8];
	} mask = { .head.len = 8 };
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	CHECK_EQ(pthread_sigmask(SIG_BLOCK, &set, NULL), 0);
	SYS(ioctl(vcpu->fd, KVM_SET_SIGNAL_MASK, &mask));
	kick_waits = true;
	return set;
}

/* The handler has not run; the signal waits. */
static void take_kick(const sigset_t *set)
{
	int sig;

	CHECK_EQ(sigwait(set, &sig), 0);
	CHECK_EQ(sig, SIGUSR1);
}

/* The thread's KVM_RUN must come back with EINTR, once for each kick. */
static volatile int returns;

static void interrupted_body(struct vcpu *vcpu)
{
	sigset_t set = kick_only_in_run(vcpu);

	while (returns < 20) {
		CHECK_ERRNO(vcpu_run_raw(vcpu), EINTR);
		CHECK_EQ(vcpu->run->exit_reason, KVM_EXIT_INTR);
		take_kick(&set);
		returns++;
	}
}

static void kick_often(struct vcpu *vcpu)
{
	returns = 0;
	kick_waits = false;
	vcpu_thread_start(vcpu, interrupted_body);
	while (!kick_waits)
		usleep(500);
	while (returns < 20) {
		int was = returns;

		usleep(2000);
		pthread_kill(vcpu->thread, SIGUSR1);
		while (returns == was)
			usleep(500);
	}
	vcpu_thread_join(vcpu);
}

static void kicks(unsigned int flags, void *guest)
{
	kick_often(vcpu_start(flags, guest, 0, 0));
}

static void spinning(void) { kicks(0, spin_guest); }
static void halted(void) { kicks(VM_IRQCHIP, halt_guest); }

/* A vCPU that waits for INIT and SIPI can be stopped as well. */
static void waiting(void)
{
	struct vm *vm = vm_create(VM_IRQCHIP);

	vcpu_create(vm, 0);
	kick_often(vcpu_create(vm, 1));
}

static volatile u64 stores;

static void io_guest(void)
{
	u64 i;

	for (i = 0; i < 3; i++) {
		outb(0x300, i);
		stores++;
	}
}

/* With immediate_exit the access at hand is completed, but the guest does not run. */
static void immediate_exit(void)
{
	struct vcpu *vcpu = vcpu_start(0, io_guest, 0, 0);
	u64 i;

	vcpu->run->immediate_exit = 1;
	CHECK_ERRNO(vcpu_run_raw(vcpu), EINTR);
	CHECK_EQ(stores, 0);
	vcpu->run->immediate_exit = 0;
	for (i = 0; i < 3; i++) {
		vcpu_run_exit(vcpu, KVM_EXIT_IO);
		CHECK_EQ(*((u8 *)vcpu->run + vcpu->run->io.data_offset), i);
		CHECK_EQ(stores, i);
		vcpu_complete(vcpu);
		CHECK_EQ(vcpu->run->exit_reason, KVM_EXIT_IO);
		CHECK_EQ(stores, i);
	}
	vcpu_run_done(vcpu);
	CHECK_EQ(stores, 3);
}

/*
 * A signal blocked in the thread but let through by KVM_SET_SIGNAL_MASK ends the run, and stays
 * pending.
 */
static void signal_mask(void)
{
	struct vcpu *vcpu = vcpu_start(0, spin_guest, 0, 0);
	sigset_t set;

	vcpu_kick_setup();
	set = kick_only_in_run(vcpu);
	raise(SIGUSR1);
	CHECK_ERRNO(vcpu_run_raw(vcpu), EINTR);
	CHECK_EQ(vcpu->run->exit_reason, KVM_EXIT_INTR);
	take_kick(&set);
}

/* Asks a vCPU thread for its registers: the ioctl waits until KVM_RUN is over. */
static void *asker(void *arg)
{
	struct vcpu *vcpu = arg;

	usleep(20000);
	vcpu_thread_kick(vcpu);
	CHECK_EQ(vcpu_regs(vcpu).rip, (uintptr_t)spin_guest);
	return NULL;
}

static void one_run(struct vcpu *vcpu)
{
	CHECK_ERRNO(vcpu_run_raw(vcpu), EINTR);
}

static void serialised(void)
{
	struct vcpu *vcpu = vcpu_start(0, spin_guest, 0, 0);
	pthread_t thread;

	vcpu_thread_start(vcpu, one_run);
	CHECK_EQ(pthread_create(&thread, NULL, asker, vcpu), 0);
	vcpu_thread_join(vcpu);
	CHECK_EQ(pthread_join(thread, NULL), 0);
}

static const struct test_case cases[] = {
	{ "spinning", spinning },
	{ "halted", halted },
	{ "waiting", waiting },
	{ "immediate_exit", immediate_exit },
	{ "signal_mask", signal_mask },
	{ "serialised", serialised },
};

TEST_MAIN(cases)
