// SPDX-License-Identifier: GPL-2.0-only
/*
 * Round trips as a guest or a client sees them, by RDTSC. In the one-CPU Bochs bed the TSC counts
 * instructions, so the figures are exact. One line per figure on stdout: NAME MEDIAN MINIMUM;
 * notes begin with '#'.
 *
 *	bench [-p] [-n ITERATIONS] [NAME...]
 *
 * -p: an emulator that profiles is told where the round trips of each row begin and end.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sched.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

#include "apic.h"
#include "samples.h"
#include "trap.h"
#include "vcpu.h"

#define TIMER_VECTOR	0x41
#define IPI_VECTOR	0x42
#define ANSWER_VECTOR	0x43
#define FAULT_PAGES	512
#define DOORBELL_GPA	(VM_HOLE_GPA + PAGE)	/* ioeventfds, as a virtio driver's notifications */
#define DOORBELL_PORT	0xc010	/* where PCI has its I/O BARs */
#define IRQFD_GSI	5
#define PROFILE_MSR	0x400000f2	/* of selftests/bed/instrument */

static u64 iterations = 200;
static int profile_msr = -1;
static long host_cpus;

/* One guest function per figure: @body between two readings, the cost of the readings taken off. */
static u64 rdtsc_cost;

#define GUEST_LOOP(name, prepare, body)						\
static void name##_guest(u64 n)							\
{										\
	u64 i, start;								\
										\
	prepare;								\
	for (i = 0; i < n; i++) {						\
		start = rdtsc();						\
		body;								\
		samples[i] = rdtsc() - start;					\
	}									\
}

GUEST_LOOP(empty, , barrier())

/* One of a list at random each time, so that nothing can be answered from a constant. */
#define RANDOM_WARM_UP	100	/* round trips that others overwrite */

static u32 random_state;

static u32 random_next(void)
{
	random_state = random_state * 1664525 + 1013904223;
	return random_state >> 16;
}

#define RANDOM_LOOP(name, list, body)						\
static void name##_guest(u64 n)							\
{										\
	u64 i, start;								\
										\
	random_state = 1;							\
	for (i = 0; i < n + RANDOM_WARM_UP; i++) {				\
		typeof((list)[0]) pick = (list)[random_next() % ARRAY_SIZE(list)];	\
										\
		start = rdtsc();						\
		body;								\
		samples[i % n] = rdtsc() - start;				\
	}									\
}

static const u32 leaves[] = {
	0, 1, 2, 4, 6, 7, 0xb, 0xd, 0x40000000, 0x40000001, 0x80000000, 0x80000001, 0x80000002, 0x80000003, 0x80000004,
	0x80000008,
};
static const u16 read_ports[] = { 0x20, 0x21, 0xa0, 0xa1, 0x4d0, 0x4d1 };
static const struct {
	u16 port;
	u8 value;
} written_ports[] = { { 0x43, 0 }, { 0x21, 0xff }, { 0xa1, 0xff } };
static const u32 read_msrs[] = {
	MSR_APIC_BASE, MSR_TSC_ADJUST, MSR_MTRRCAP, MSR_MCG_STATUS, MSR_MISC_ENABLE, MSR_PAT, MSR_MTRR_DEF_TYPE,
};
static const struct {
	u32 msr;
	u64 value;
} written_msrs[] = { { MSR_TSC_ADJUST, 0 }, { MSR_MCG_STATUS, 0 }, { MSR_PAT, 0x0007040600070406 } };

RANDOM_LOOP(cpuid, leaves, cpuid(pick, 0))
RANDOM_LOOP(port_kernel, read_ports, inb(pick))
RANDOM_LOOP(port_kernel_write, written_ports, outb(pick.port, pick.value))
RANDOM_LOOP(msr_read, read_msrs, rdmsr(pick))
RANDOM_LOOP(msr_write, written_msrs, wrmsr(pick.msr, pick.value))

/* The vendor is asked once: guest_hypercall() would measure a CPUID with each call. */
static void vmcall_guest(u64 n)
{
	bool intel = guest_is_intel();
	u64 i, start, ret;

	for (i = 0; i < n; i++) {
		start = rdtsc();
		if (intel)
			asm volatile("vmcall" : "=a"(ret) : "a"(77) : "memory");
		else
			asm volatile("vmmcall" : "=a"(ret) : "a"(77) : "memory");
		samples[i] = rdtsc() - start;
	}
}

GUEST_LOOP(port_user, , inb(0x300))
GUEST_LOOP(port_user_write, , outb(0x300, 1))
GUEST_LOOP(mmio_user, , *(volatile u32 *)VM_HOLE_GPA)
GUEST_LOOP(mmio_user_write, , *(volatile u32 *)VM_HOLE_GPA = 1)
GUEST_LOOP(mmio_lapic, apic_enable(), xapic_read(APIC_ID))
GUEST_LOOP(mmio_ioapic, , *(volatile u32 *)IOAPIC_BASE_GPA)
GUEST_LOOP(mmio_doorbell, , *(volatile u32 *)DOORBELL_GPA = 1)
GUEST_LOOP(port_doorbell, , outb(DOORBELL_PORT, 1))
GUEST_LOOP(tsc_deadline_arm, (apic_enable_x2(), apic_write(APIC_LVTT,
		TIMER_VECTOR | APIC_LVT_DEADLINE)),
	   wrmsr(MSR_TSC_DEADLINE, rdtsc() + 1000000000))
GUEST_LOOP(cr0_write, u64 cr0 = read_cr0(), (write_cr0(cr0 ^ X86_CR0_TS), write_cr0(cr0)))
GUEST_LOOP(cr4_write, u64 cr4 = read_cr4(), (write_cr4(cr4 ^ X86_CR4_DE), write_cr4(cr4)))
GUEST_LOOP(cr3_write, u64 cr3 = read_cr3(), write_cr3(cr3))
GUEST_LOOP(self_ipi, (apic_enable(), trap_set(IPI_VECTOR, trap_count_irq), sti()),
	   u64 was = trap_count[IPI_VECTOR];
	   apic_icr(0, APIC_DEST_SELF | IPI_VECTOR);
	   GUEST_WAIT(trap_count[IPI_VECTOR] != was))
GUEST_LOOP(self_ipi_x2, (apic_enable_x2(), trap_set(IPI_VECTOR, trap_count_only), sti()),
	   u64 was = trap_count[IPI_VECTOR];
	   x2apic_write(APIC_SELF_IPI, IPI_VECTOR);
	   GUEST_WAIT(trap_count[IPI_VECTOR] != was);
	   x2apic_write(APIC_EOI, 0))

static void x2apic_handler(struct trap_frame *frame)
{
	trap_count_only(frame);
	x2apic_write(APIC_EOI, 0);	/* trap_count_irq() asks first which APIC it is, which is an exit */
}

/* The end of an interrupt that is in service: an exit where there is no APICv. */
static void eoi_guest(u64 n)
{
	u64 i, start, was;

	apic_enable_x2();
	trap_set(IPI_VECTOR, trap_count_only);
	sti();
	for (i = 0; i < n; i++) {
		was = trap_count[IPI_VECTOR];
		x2apic_write(APIC_SELF_IPI, IPI_VECTOR);
		GUEST_WAIT(trap_count[IPI_VECTOR] != was);
		start = rdtsc();
		x2apic_write(APIC_EOI, 0);
		samples[i] = rdtsc() - start;
	}
}

static void deadline_begin(void)
{
	apic_enable_x2();
	trap_set(TIMER_VECTOR, x2apic_handler);
	apic_write(APIC_LVTT, TIMER_VECTOR | APIC_LVT_DEADLINE);
	sti();
}

GUEST_LOOP(tsc_deadline_past, deadline_begin(),
	   u64 was = trap_count[TIMER_VECTOR];
	   wrmsr(MSR_TSC_DEADLINE, 1);
	   GUEST_WAIT(trap_count[TIMER_VECTOR] != was))

/* Rounds of three instructions until the handler has run. */
static u64 spin_until_taken(u64 was)
{
	u64 rounds = 0;

	asm volatile("1: inc %[rounds]\n"
		     "	cmp %[was], %[count]\n"
		     "	je 1b\n" : [rounds] "+r" (rounds) : [was] "r" (was), [count] "m" (trap_count[TIMER_VECTOR]) : "cc", "memory");
	return rounds;
}

/* Armed ahead, fired and taken while the guest runs: what that takes from the guest. */
static void tsc_deadline_fired_guest(u64 n)
{
	u64 i, start, was;

	deadline_begin();
	for (i = 0; i < n; i++) {
		was = trap_count[TIMER_VECTOR];
		start = rdtsc();
		wrmsr(MSR_TSC_DEADLINE, start + 20000);
		start += 3 * spin_until_taken(was);
		samples[i] = rdtsc() - start;
	}
}

/* From the deadline to the handler: how late the sleeper wakes. */
static void hlt_wake_guest(u64 n)
{
	u64 i, deadline;

	apic_enable_x2();
	trap_set(TIMER_VECTOR, trap_count_irq);
	apic_write(APIC_LVTT, TIMER_VECTOR | APIC_LVT_DEADLINE);
	for (i = 0; i < n; i++) {
		deadline = rdtsc() + 300000;
		wrmsr(MSR_TSC_DEADLINE, deadline);
		sti_hlt_cli();
		samples[i] = rdtsc() - deadline;
	}
}

/* First touch of each page of memory that the host has already. */
static void fault_guest(u64 n, u64 stride)
{
	u64 i, start;

	for (i = 0; i < n; i++) {
		start = rdtsc();
		*(volatile u8 *)(VM_TEST_GPA + i * stride) = 1;
		samples[i] = rdtsc() - start;
	}
}

/* Ping-pong between two vCPUs by IPI; the other one sleeps in HLT, or runs. */
static volatile u64 pong_ready, pong_stop;

/* Nothing but the end of the interrupt and the answer: no exit that an IPI does not need. */
static void pong_handler(struct trap_frame *frame)
{
	(void)frame;
	x2apic_write(APIC_EOI, 0);
	x2apic_write(APIC_ICR, ANSWER_VECTOR);
}

static void wait_for_irq(bool halt)
{
	if (halt) {
		sti_hlt_cli();
		return;
	}
	sti();
	cpu_relax();
	cli();
}

static void pong_guest(u64 halt)
{
	apic_enable_x2();
	pong_ready = 1;
	while (!pong_stop)
		wait_for_irq(halt);
}

static void ping_guest(u64 n, u64 halt)
{
	u64 i, start, was;

	apic_enable_x2();
	while (!pong_ready)
		cpu_relax();
	for (i = 0; i < n; i++) {
		was = trap_count[ANSWER_VECTOR];
		start = rdtsc();
		x2apic_write(APIC_ICR, BIT(32) | IPI_VECTOR);
		while (trap_count[ANSWER_VECTOR] == was)
			wait_for_irq(halt);
		samples[i] = rdtsc() - start;
	}
	pong_stop = 1;
	x2apic_write(APIC_ICR, BIT(32) | IPI_VECTOR);
}

/* Runs the guest to its end, answering what exits to userspace with nothing. */
static void bench_run(struct vcpu *vcpu)
{
	for (;;) {
		vcpu_run(vcpu);
		if (vcpu->run->exit_reason == KVM_EXIT_MMIO)
			continue;
		if (vcpu->run->exit_reason != KVM_EXIT_IO)
			FAIL("unexpected %s", vcpu_exit_text(vcpu));
		if (vcpu_ucall(vcpu)) {
			CHECK_EQ(vcpu_ucall(vcpu)->kind, GUEST_UCALL_DONE);
			return;
		}
	}
}

static void correct(u64 n)
{
	u64 i;

	for (i = 0; i < n; i++)
		samples[i] = samples[i] > rdtsc_cost ? samples[i] - rdtsc_cost : 0;
}

/* Begin or end what is counted, with the MSR device of CPU 0. */
static void profile(u64 on)
{
	if (profile_msr >= 0)
		CHECK_EQ(pwrite(profile_msr, &on, sizeof(on), PROFILE_MSR), sizeof(on));
}

struct loop {
	const char *name;
	void (*guest)(u64 n);
	bool mixed;			/* its round trips differ */
};

static void doorbell(struct vm *vm, int fd, u64 addr, u32 len, u32 flags)
{
	struct kvm_ioeventfd arg = { .addr = addr, .len = len, .fd = fd, .flags = flags };

	SYS(ioctl(vm->fd, KVM_IOEVENTFD, &arg));
}

static void bench_loop(const struct loop *loop)
{
	struct vcpu *vcpu = vcpu_create(vm_create(VM_IRQCHIP | VM_PIT), 0);
	int fd = SYS(eventfd(0, EFD_NONBLOCK));

	doorbell(vcpu->vm, fd, DOORBELL_GPA, 4, 0);
	doorbell(vcpu->vm, fd, DOORBELL_PORT, 1, KVM_IOEVENTFD_FLAG_PIO);
	memset(samples, 0, sizeof(samples));
	vcpu_enter(vcpu, loop->guest, iterations);
	profile(1);
	bench_run(vcpu);
	profile(0);
	correct(iterations);
	(loop->mixed ? report_mixed : report)(loop->name, iterations);
	vm_destroy(vcpu->vm);
	close(fd);
}

static const struct loop loops[] = {
	{ "empty", empty_guest },
	{ "cpuid", cpuid_guest, .mixed = true },
	{ "vmcall", vmcall_guest },
	{ "port_read_kernel", port_kernel_guest, .mixed = true },
	{ "port_write_kernel", port_kernel_write_guest, .mixed = true },
	{ "port_read_user", port_user_guest },
	{ "port_write_user", port_user_write_guest },
	{ "mmio_read_user", mmio_user_guest },
	{ "mmio_write_user", mmio_user_write_guest },
	{ "mmio_read_lapic", mmio_lapic_guest },
	{ "mmio_read_ioapic", mmio_ioapic_guest },
	{ "mmio_write_ioeventfd", mmio_doorbell_guest },
	{ "port_write_ioeventfd", port_doorbell_guest },
	{ "msr_read", msr_read_guest, .mixed = true },
	{ "msr_write", msr_write_guest, .mixed = true },
	{ "eoi", eoi_guest },
	{ "tsc_deadline_arm", tsc_deadline_arm_guest },
	{ "tsc_deadline_past", tsc_deadline_past_guest },
	{ "tsc_deadline_fired", tsc_deadline_fired_guest },
	{ "cr0_write_pair", cr0_write_guest },
	{ "cr4_write_pair", cr4_write_guest },
	{ "cr3_write", cr3_write_guest },
	{ "self_ipi", self_ipi_guest },
	{ "self_ipi_x2apic", self_ipi_x2_guest },
	{ "hlt_wake", hlt_wake_guest },
};

static void bench_fault(const char *name, u64 stride, u64 n, int advice)
{
	struct vcpu *vcpu = vcpu_create(vm_create(0), 0);
	u64 size = n * stride;
	u8 *mem = mmap(NULL, size + PAGE_2M, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
			-1, 0);
	u8 *at = (u8 *)(((uintptr_t)mem + PAGE_2M - 1) & ~(PAGE_2M - 1));

	CHECK(mem != MAP_FAILED);
	madvise(at, size, advice);
	memset(at, 1, size);
	vm_set_slot(vcpu->vm, VM_SLOT_TEST, 0, VM_TEST_GPA, size, at);
	memset(samples, 0, sizeof(samples));
	vcpu_enter(vcpu, fault_guest, n, stride);
	profile(1);
	bench_run(vcpu);
	profile(0);
	correct(n);
	report_mean(name, n);
	vm_destroy(vcpu->vm);
	munmap(mem, size + PAGE_2M);
}

static void on_cpu(int cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	SYS(sched_setaffinity(0, sizeof(set), &set));
}

static void ping_thread(struct vcpu *vcpu)
{
	if (host_cpus > 1)
		on_cpu(1);
	bench_run(vcpu);
}

/* Who is woken waits for its turn; else that depends on how long both have run: two figures for one thing. */
static void set_turns(bool on)
{
	struct sched_param none = { 0 };

	SYS(sched_setscheduler(0, on ? SCHED_BATCH : SCHED_OTHER, &none));
}

static void sleeper_thread(struct vcpu *vcpu)
{
	set_turns(true);
	ping_thread(vcpu);
}

/* With one CPU in the host the sender sleeps until the answer comes, so that the other one gets the CPU. */
static void bench_ping(const char *name, bool halt)
{
	struct vm *vm = vm_create(VM_IRQCHIP);
	struct vcpu *ping = vcpu_create(vm, 0), *pong = vcpu_create(vm, 1);

	trap_set(IPI_VECTOR, pong_handler);
	trap_set(ANSWER_VECTOR, x2apic_handler);
	pong_ready = pong_stop = 0;
	vcpu_enter(ping, ping_guest, iterations, halt || host_cpus == 1);
	vcpu_enter(pong, pong_guest, halt);
	vcpu_set_mp_state(pong, KVM_MP_STATE_RUNNABLE);
	vcpu_thread_start(pong, halt ? sleeper_thread : ping_thread);
	set_turns(halt);
	profile(1);
	bench_run(ping);
	profile(0);
	set_turns(false);
	vcpu_thread_join(pong);
	report(name, iterations);
	vm_destroy(vm);
}

static void bench_ipi(void)
{
	bool two = host_cpus > 1;

	if (two)
		on_cpu(0);
	bench_ping(two ? "ipi_two_cpus_halted" : "ipi_round_trip_halted", true);
	bench_ping(two ? "ipi_two_cpus_running" : "ipi_round_trip_running", false);
}

/* A device's interrupt: from the signal to the handler of a guest that sleeps in HLT, and back to whoever signalled. */
static void irqfd_route(struct vm *vm)
{
	struct {
		struct kvm_irq_routing table;
		struct kvm_irq_routing_entry entry;
	} routes = {
		.table.nr = 1,
		.entry = { .gsi = IRQFD_GSI, .type = KVM_IRQ_ROUTING_MSI,
			   .u.msi = { .address_lo = 0xfee00000, .data = IPI_VECTOR } },
	};

	SYS(ioctl(vm->fd, KVM_SET_GSI_ROUTING, &routes));
}

static void bench_irqfd(void)
{
	struct vcpu *vcpu = vcpu_create(vm_create(VM_IRQCHIP), 0);
	struct kvm_irqfd arg = { .fd = SYS(eventfd(0, 0)), .gsi = IRQFD_GSI };
	u64 i, start, was, one = 1;

	irqfd_route(vcpu->vm);
	SYS(ioctl(vcpu->vm->fd, KVM_IRQFD, &arg));
	trap_set(IPI_VECTOR, x2apic_handler);
	pong_ready = pong_stop = 0;
	vcpu_enter(vcpu, pong_guest, true);
	vcpu_thread_start(vcpu, sleeper_thread);
	while (!pong_ready)
		sched_yield();
	profile(1);
	for (i = 0; i <= iterations; i++) {
		usleep(1000);		/* until it sleeps */
		was = trap_count[IPI_VECTOR];
		pong_stop = i == iterations;
		start = rdtsc();
		CHECK_EQ(write(arg.fd, &one, sizeof(one)), sizeof(one));
		while (trap_count[IPI_VECTOR] == was)
			sched_yield();
		if (i < iterations)
			samples[i] = rdtsc() - start;
	}
	profile(0);
	vcpu_thread_join(vcpu);
	report("irqfd_round_trip_halted", iterations);
	vm_destroy(vcpu->vm);
	close(arg.fd);
}

/* Creation and destruction as one, then the parts. */
static void bench_life(void)
{
	u64 i, n = 50, start, mid;
	static u64 destroy[50];

	for (i = 0; i < n; i++) {
		start = rdtsc();
		struct vm *vm = vm_create(VM_IRQCHIP | VM_BARE);

		vcpu_create_raw(vm, 0);
		mid = rdtsc();
		samples[i] = mid - start;
		vm_destroy(vm);
		destroy[i] = rdtsc() - mid;
	}
	report("vm_vcpu_create", n);
	memcpy(samples, destroy, sizeof(destroy));
	report("vm_vcpu_destroy", n);
}

/* An ioctl that does next to nothing, and one that saves all registers. */
static void bench_ioctls(void)
{
	struct vcpu *vcpu = vcpu_create(vm_create(VM_IRQCHIP), 0);
	struct kvm_regs regs;
	struct kvm_sregs sregs;
	u64 i, start;

	vcpu_enter(vcpu, guest_done, 0);
	for (i = 0; i < iterations; i++) {
		start = rdtsc();
		ioctl(vcpu->fd, KVM_GET_REGS, &regs);
		samples[i] = rdtsc() - start;
	}
	report("ioctl_get_regs", iterations);
	for (i = 0; i < iterations; i++) {
		start = rdtsc();
		ioctl(vcpu->fd, KVM_GET_SREGS, &sregs);
		samples[i] = rdtsc() - start;
	}
	report("ioctl_get_sregs", iterations);
	for (i = 0; i < iterations; i++) {
		start = rdtsc();
		vcpu_complete(vcpu);
		samples[i] = rdtsc() - start;
	}
	report("run_immediate_exit", iterations);
	for (i = 0; i < iterations; i++) {
		start = rdtsc();
		vm_irq_line(vcpu->vm, 5, i & 1);
		samples[i] = rdtsc() - start;
	}
	report("ioctl_irq_line", iterations);
	vm_destroy(vcpu->vm);
}

/* A guest's window moves: a slot comes and goes beside those that a guest has run in. */
static void bench_slots(void)
{
	struct vcpu *vcpu = vcpu_create(vm_create(0), 0);
	u8 *mem = mmap(NULL, PAGE_2M, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	static u64 delete[MAX_SAMPLES];
	u64 i, start, mid;

	CHECK(mem != MAP_FAILED);
	vcpu_enter(vcpu, guest_done, 0);
	bench_run(vcpu);
	for (i = 0; i < iterations; i++) {
		start = rdtsc();
		vm_set_slot(vcpu->vm, VM_SLOT_TEST, 0, VM_TEST_GPA, PAGE_2M, mem);
		mid = rdtsc();
		vm_set_slot(vcpu->vm, VM_SLOT_TEST, 0, VM_TEST_GPA, 0, mem);
		samples[i] = mid - start;
		delete[i] = rdtsc() - mid;
	}
	report("slot_add", iterations);
	memcpy(samples, delete, sizeof(delete));
	report("slot_delete", iterations);
	vm_destroy(vcpu->vm);
	munmap(mem, PAGE_2M);
}

static void bench_faults(void)
{
	bench_fault("ept_fault_4k_mean", PAGE, FAULT_PAGES, MADV_NOHUGEPAGE);
	bench_fault("ept_fault_2m_mean", PAGE_2M, 16, MADV_HUGEPAGE);
}

/* What takes more than one loop in one guest; the names choose them on the command line. */
static const struct {
	const char *name;
	void (*bench)(void);
} groups[] = {
	{ "ept_fault", bench_faults },
	{ "slot", bench_slots },
	{ "ipi", bench_ipi },
	{ "irqfd", bench_irqfd },
	{ "vm_vcpu", bench_life },
	{ "ioctl", bench_ioctls },
};

static bool wanted(const char *name, int argc, char **argv)
{
	int i;

	for (i = 0; i < argc; i++)
		if (!strcmp(argv[i], name))
			return true;
	return argc == 0;
}

static void bench_all(int argc, char **argv)
{
	size_t i;

	for (i = 0; i < ARRAY_SIZE(loops); i++) {
		if (!i || wanted(loops[i].name, argc, argv))
			bench_loop(&loops[i]);
		if (!i)
			rdtsc_cost = samples[0];
	}
	for (i = 0; i < ARRAY_SIZE(groups); i++)
		if (wanted(groups[i].name, argc, argv))
			groups[i].bench();
}

int main(int argc, char **argv)
{
	int c;

	while ((c = getopt(argc, argv, "n:p")) != -1) {
		if (c == 'n')
			iterations = strtoull(optarg, NULL, 0);
		else if (c != 'p')
			return TEST_FAIL;
		else if ((profile_msr = open("/dev/cpu/0/msr", O_RDWR)) < 0)
			FAIL("no /dev/cpu/0/msr: load the module msr");
	}
	if (!iterations || iterations > MAX_SAMPLES)
		iterations = MAX_SAMPLES;
	host_cpus = sysconf(_SC_NPROCESSORS_ONLN);
	if (access(dev_path(), R_OK | W_OK)) {
		fprintf(stderr, "bench: no %s\n", dev_path());
		return TEST_SKIP;
	}
	printf("# device %s, %llu iterations, rdtsc ticks: NAME MEDIAN MINIMUM\n", dev_path(),
	       (unsigned long long)iterations);
	bench_all(argc - optind, argv + optind);
	/*
	 * Guest boots are measured by whoever boots them: BENCH_HOOK is a command that prints
	 * such lines.
	 */
	if (getenv("BENCH_HOOK"))
		return system(getenv("BENCH_HOOK")) ? TEST_FAIL : TEST_PASS;
	return TEST_PASS;
}
