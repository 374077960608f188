// SPDX-License-Identifier: GPL-2.0-only
/*
 * Catches: a VM that leaves something behind: pages, references, a module that cannot be
 * unloaded; and a VM that takes the host along when its process is killed, its CPU goes away or
 * its memory is unmapped under it.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "apic.h"
#include "live.h"
#include "trap.h"
#include "vcpu.h"

static void count_guest(u64 n)
{
	u64 i;

	for (i = 0; i < n; i++)
		cpuid(0, 0);
}

static void cycle(unsigned int flags, bool run)
{
	struct vm *vm = vm_create(flags);
	struct vcpu *vcpu = vcpu_create(vm, 0);

	vcpu_create(vm, 1);
	if (run) {
		vcpu_enter(vcpu, count_guest, 3);
		vcpu_run_done(vcpu);
	}
	vm_destroy(vm);
}

static void thousand_cycles(void)
{
	static const unsigned int flags[] = { VM_IRQCHIP, VM_IRQCHIP | VM_PIT, VM_SPLIT, 0 };
	u64 i, count = test_count("cycles", 1000);

	for (i = 0; i < count; i++)
		cycle(flags[i % 4], i % 8 == 0);
	live_check();
}

/* Close in every order: the vCPU's descriptor alone keeps the VM. */
static void close_order(void)
{
	struct vcpu *vcpu = vcpu_start(VM_IRQCHIP, count_guest, 5, 0);

	SYS(close(vcpu->vm->fd));
	vcpu_run_done(vcpu);
	/* And the mapping alone keeps the run page. */
	SYS(close(vcpu->fd));
	CHECK_EQ(vcpu->run->exit_reason, KVM_EXIT_IO);
	munmap(vcpu->run, vcpu->run_size);
	live_check();
}

static void many_vms(void)
{
	struct vm *vms[100];
	size_t i;

	for (i = 0; i < ARRAY_SIZE(vms); i++) {
		vms[i] = vm_create(VM_IRQCHIP);
		vcpu_create(vms[i], 0);
	}
	for (i = 0; i < ARRAY_SIZE(vms); i++) {
		vcpu_enter(vms[i]->vcpus[0], count_guest, 2);
		vcpu_run_done(vms[i]->vcpus[0]);
	}
	for (i = 0; i < ARRAY_SIZE(vms); i++)
		vm_destroy(vms[i]);
	live_check();
}

static void many_vcpus(void)
{
	struct vm *vm = vm_create(VM_IRQCHIP | VM_BARE);
	int i, nr = dev_cap(KVM_CAP_MAX_VCPUS);

	nr = nr < VM_MAX_VCPUS ? nr : VM_MAX_VCPUS;
	CHECK_GE(nr, 8);
	for (i = 0; i < nr; i++)
		vcpu_create_raw(vm, nr - 1 - i);
	CHECK_ERRNO(ioctl(vm->fd, KVM_CREATE_VCPU, 3UL), EEXIST);
	vm_destroy(vm);
	live_check();
}

/* What a victim does until it is killed: everything that takes locks, sleeps or runs. */
static void victim_guest(u64 seed)
{
	apic_enable();
	trap_set(0x41, trap_count_irq);
	apic_write(APIC_TDCR, 0xb);
	apic_write(APIC_LVTT, 0x41 | APIC_LVT_PERIODIC);
	apic_write(APIC_TMICT, 20000);
	for (;;) {
		switch (seed++ % 4) {
		case 0:
			cpuid(0, 0);
			break;
		case 1:
			*(volatile u64 *)(VM_TEST_GPA + (seed & 1023) * PAGE) = seed;
			break;
		case 2:
			sti_hlt_cli();
			break;
		default:
			inb(0x300);
		}
	}
}

static void victim_body(struct vcpu *vcpu)
{
	for (;;)
		vcpu_run_raw(vcpu);
}

static void victim(u64 seed)
{
	struct vm *vm = vm_create(VM_IRQCHIP | VM_PIT);
	u8 *mem = vm_add_anon(vm, VM_SLOT_TEST, 0, VM_TEST_GPA, 1024 * PAGE);
	int i;

	for (i = 0; i < 2; i++) {
		vcpu_create(vm, i);
		vcpu_enter(vm->vcpus[i], victim_guest, seed + i);
		vcpu_set_mp_state(vm->vcpus[i], KVM_MP_STATE_RUNNABLE);
		vcpu_thread_start(vm->vcpus[i], victim_body);
	}
	for (i = 0;; i++) {
		madvise(mem + i % 1024 * PAGE, PAGE, MADV_DONTNEED);
		vm_set_slot(vm, VM_SLOT_TEST + 1, 0, VM_TEST_GPA + PAGE_2M * 8, PAGE, mem);
		vm_set_slot(vm, VM_SLOT_TEST + 1, 0, 0, 0, NULL);
		vm_destroy(vm_create(VM_IRQCHIP));
	}
}

static void sigkill(void)
{
	u64 i, count = test_count("kills", 100), seed = test_option("seed", 1);
	int status;
	pid_t pid;

	srand(seed);
	for (i = 0; i < count; i++) {
		pid = SYS(fork());
		if (!pid)
			victim(i);
		usleep(rand() % 30000);
		kill(pid, SIGKILL);
		SYS(waitpid(pid, &status, 0));
		CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
	}
	live_check();
	/* The host is well: a VM still works. */
	vcpu_run_done(vcpu_start(VM_IRQCHIP, count_guest, 5, 0));
}

/* A process that unmaps everything under its running vCPU, then leaves. */
static void memory_goes(void)
{
	struct vcpu *vcpu;
	int status;
	pid_t pid = SYS(fork());

	if (!pid) {
		vcpu = vcpu_start(VM_IRQCHIP, victim_guest, 0, 0);
		vcpu_thread_start(vcpu, victim_body);
		usleep(20000);
		munmap(vcpu->vm->arena, VM_ARENA_SIZE);
		usleep(20000);
		_exit(0);
	}
	SYS(waitpid(pid, &status, 0));
	CHECK_EQ(status, 0);
	live_check();
}

/* exec with a VM running: the descriptors are close-on-exec, the address space goes. */
static void exec_away(void)
{
	struct vcpu *vcpu;
	int status;
	pid_t pid = SYS(fork());

	if (!pid) {
		vcpu = vcpu_start(VM_IRQCHIP, victim_guest, 0, 0);
		vcpu_thread_start(vcpu, victim_body);
		usleep(10000);
		dup2(open("/dev/null", O_WRONLY), 1);
		execl("/proc/self/exe", "lifecycle", "--list", NULL);
		_exit(9);
	}
	SYS(waitpid(pid, &status, 0));
	CHECK_EQ(status, 0);
	live_check();
}

/* Descriptors travel to another process by fork; the VM ends with the last of them. */
static void inherited(void)
{
	struct vm *vm = vm_create(VM_IRQCHIP);
	int status;
	pid_t pid;

	vcpu_create(vm, 0);
	pid = SYS(fork());
	if (!pid) {
		usleep(50000);
		_exit(0);
	}
	vm_destroy(vm);
	SYS(waitpid(pid, &status, 0));
	live_check();
}

#define MODULE	"corbel"

static int module_unload(void)
{
	return syscall(SYS_delete_module, MODULE, O_NONBLOCK);
}

static const char *module_file(void)
{
	static const char *const paths[] = { "/bed/corbel.ko", "/lib/corbel.ko" };
	size_t i;

	for (i = 0; i < ARRAY_SIZE(paths); i++) {
		if (!access(paths[i], R_OK))
			return paths[i];
	}
	return getenv("CORBEL_KO");
}

static void module_load(const char *file)
{
	int fd = SYS(open(file, O_RDONLY | O_CLOEXEC));

	SYS(syscall(SYS_finit_module, fd, "", 0));
	close(fd);
}

/* Refused while a VM lives, by its descriptor or its vCPU's alone; clean afterwards. */
static void module(void)
{
	const char *file = module_file();
	struct vcpu *vcpu;
	int i;

	if (!test_is_corbel())
		test_skip("not corbel");
	if (!file)
		test_skip("no module file (CORBEL_KO)");
	vcpu = vcpu_start(VM_IRQCHIP, count_guest, 5, 0);
	CHECK_ERRNO(module_unload(), EWOULDBLOCK);
	SYS(close(vcpu->vm->fd));
	CHECK_ERRNO(module_unload(), EWOULDBLOCK);
	vcpu_run_done(vcpu);
	munmap(vcpu->run, vcpu->run_size);
	SYS(close(vcpu->fd));
	live_check();
	for (i = 0; i < 3; i++) {
		dev_close();
		SYS(module_unload());
		CHECK_ERRNO(open("/dev/corbel", O_RDWR), ENOENT);
		module_load(file);
		while (access("/dev/corbel", R_OK | W_OK))
			usleep(1000);
		vcpu = vcpu_start(VM_IRQCHIP, count_guest, 5, 0);
		vcpu_run_done(vcpu);
		vm_destroy(vcpu->vm);
	}
}

/* One CPU goes off and on under running vCPUs. */
static bool cpu_switch(const char *value)
{
	int fd = open("/sys/devices/system/cpu/cpu1/online", O_WRONLY);
	bool ok = fd >= 0 && write(fd, value, 1) == 1;

	if (fd >= 0)
		close(fd);
	return ok;
}

static volatile u64 hot_stop, hot_beats[2];

static void hot_guest(u64 cpu)
{
	while (!hot_stop) {
		hot_beats[cpu]++;
		cpuid(0, 0);
	}
}

static void cpu_hotplug(void)
{
	struct vm *vm = vm_create(VM_IRQCHIP);
	u64 before;
	int i, cpu;

	if (sysconf(_SC_NPROCESSORS_CONF) < 2)
		test_skip("one CPU");
	for (i = 0; i < 2; i++) {
		vcpu_create(vm, i);
		vcpu_enter(vm->vcpus[i], hot_guest, i);
		vcpu_set_mp_state(vm->vcpus[i], KVM_MP_STATE_RUNNABLE);
		vcpu_thread_start(vm->vcpus[i], NULL);
	}
	for (i = 0; i < 5; i++) {
		CHECK(cpu_switch("0"));
		for (cpu = 0; cpu < 2; cpu++) {
			before = hot_beats[cpu];
			while (hot_beats[cpu] == before)
				usleep(1000);
		}
		/* A VM that is born while the CPU is away. */
		cycle(VM_IRQCHIP, true);
		CHECK(cpu_switch("1"));
		usleep(10000);
	}
	hot_stop = 1;
	vcpu_thread_join(vm->vcpus[0]);
	vcpu_thread_join(vm->vcpus[1]);
	vm_destroy(vm);
	live_check();
}

/* A vCPU thread that moves between the CPUs keeps what the guest has in registers of all kinds. */
static void move_guest(void)
{
	u64 i;

	wrmsr(MSR_STAR, 0x1234567800000000);
	wrmsr(MSR_LSTAR, 0xffff800000123000);
	wrmsr(MSR_KERNEL_GS_BASE, 0xffff800000456000);
	wrmsr(MSR_SYSENTER_ESP, 0x789000);
	asm volatile("movq %0, %%xmm7" : : "r"(0x5ca1ab1e5ca1ab1e));
	for (i = 0; i < 40; i++) {
		u64 xmm;

		GUEST_SYNC(i);
		GUEST_CHECK_EQ(rdmsr(MSR_STAR), 0x1234567800000000);
		GUEST_CHECK_EQ(rdmsr(MSR_LSTAR), 0xffff800000123000);
		GUEST_CHECK_EQ(rdmsr(MSR_KERNEL_GS_BASE), 0xffff800000456000);
		GUEST_CHECK_EQ(rdmsr(MSR_SYSENTER_ESP), 0x789000);
		asm volatile("movq %%xmm7, %0" : "=r"(xmm));
		GUEST_CHECK_EQ(xmm, 0x5ca1ab1e5ca1ab1e);
	}
}

static void migration(void)
{
	struct vcpu *vcpu;
	cpu_set_t set;
	u64 i;

	if (sysconf(_SC_NPROCESSORS_ONLN) < 2)
		test_skip("one CPU");
	vcpu = vcpu_start(VM_IRQCHIP, move_guest, 0, 0);
	for (i = 0; i < 40; i++) {
		CPU_ZERO(&set);
		CPU_SET(i & 1, &set);
		SYS(sched_setaffinity(0, sizeof(set), &set));
		vcpu_run_sync(vcpu, i);
	}
	vcpu_run_done(vcpu);
}

static const struct test_case cases[] = {
	{ "close_order", close_order },
	{ "many_vms", many_vms },
	{ "many_vcpus", many_vcpus },
	{ "memory_goes", memory_goes },
	{ "exec_away", exec_away },
	{ "inherited", inherited },
	{ "thousand_cycles", thousand_cycles, 240 },
	{ "sigkill", sigkill, 240 },
	{ "migration", migration },
	{ "cpu_hotplug", cpu_hotplug, 60 },
	{ "module", module, 60 },
};

TEST_MAIN(cases)
