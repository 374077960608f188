// SPDX-License-Identifier: GPL-2.0-only
/*
 * Catches: an interrupt of an assigned device, or from another CPU, that costs a running guest an
 * exit, is lost while the guest sleeps, is preempted or moves between CPUs, or comes twice; a
 * device whose interrupts go on being posted where nobody takes them any more.
 *
 * The device, and the remapping hardware before it, is modules/posting_agent. Each trigger has a
 * number that the guest's handler reports, and the next one waits for it: so vectors do not
 * merge, and as many must be taken as were sent. --triggers=N: how many in each case.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "apic.h"
#include "stats.h"
#include "trap.h"
#include "vcpu.h"
#include "../modules/posting_agent/irte.h"
#include "../modules/posting_agent/posting_agent.h"

#define VECTOR	0x61
#define GSI	40
#define WARM_UP	100	/* everything is mapped by then */

/* The guest */

static volatile u64 sent, seen, taken[2], ready, stop, go;

static void device_handler(struct trap_frame *frame)
{
	(void)frame;
	taken[x2apic_read(APIC_ID)]++;
	seen = sent;
	x2apic_write(APIC_EOI, 0);
}

static void guest_begin(void)
{
	apic_enable_x2();
	wrmsr(MSR_KVM_POLL_CONTROL, 0);		/* a HLT is to sleep */
	__atomic_fetch_add(&ready, 1, __ATOMIC_SEQ_CST);
}

/* No PAUSE: in a loop that exits. */
static void spinning_guest(void)
{
	guest_begin();
	sti();
	while (!stop)
		barrier();
}

static void halting_guest(void)
{
	guest_begin();
	while (!stop)
		sti_hlt_cli();
}

/* As often as go says, each time that it says so. */
static void sender_guest(u64 dest)
{
	u64 i;

	guest_begin();
	while (!stop) {
		for (i = go; i; i--) {
			sent++;
			x2apic_write(APIC_ICR, APIC_DM_FIXED | VECTOR | dest << 32);
			while (seen != sent)
				barrier();
		}
		go = 0;
		while (!go && !stop)
			barrier();
	}
}

/* The host */

struct bench {
	struct vm *vm;
	int agent, eventfd;
	struct stats stats;	/* of vCPU 0 */
	u64 exits, own, notified, woken, wakeups;	/* when it began */
};

static bool is_posting(void)
{
	char line[4096];
	bool found = false;
	FILE *file = fopen("/proc/cpuinfo", "r");

	while (!found && file && fgets(line, sizeof(line), file))
		found = !strncmp(line, "vmx flags", 9) && strstr(line, " posted_intr");
	if (file)
		fclose(file);
	return found;
}

/* The sum over CPUs of a row of /proc/interrupts. */
static u64 host_count(const char *row)
{
	char line[1024], *at;
	FILE *file = fopen("/proc/interrupts", "r");
	u64 sum = 0;

	CHECK(file);
	while (fgets(line, sizeof(line), file)) {
		at = strstr(line, row);
		if (!at)
			continue;
		for (at = strchr(at, ':') + 1; *at == ' '; ) {
			at += strspn(at, " ");
			if (*at >= '0' && *at <= '9')
				sum += strtoull(at, &at, 10);
		}
	}
	fclose(file);
	return sum;
}

static void pin(pthread_t thread, int cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	CHECK_EQ(pthread_setaffinity_np(thread, sizeof(set), &set), 0);
}

static void two_cpus(void)
{
	if (sysconf(_SC_NPROCESSORS_ONLN) < 2)
		test_skip("one CPU");
}

static void on_cpu0(struct vcpu *vcpu)
{
	pin(pthread_self(), 0);
	vcpu_run_done(vcpu);
}

static void on_cpu1(struct vcpu *vcpu)
{
	pin(pthread_self(), 1);
	vcpu_run_done(vcpu);
}

static void load_agent(void)
{
	const char *path = getenv("TEST_POSTING_AGENT");
	int fd = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;

	if (fd < 0)
		test_skip("no posting agent");
	SYS(syscall(SYS_finit_module, fd, "", 0));
	close(fd);
}

static int agent_open(u32 flags)
{
	const char *path = "/dev/posting_agent";
	int fd;

	if (access(path, F_OK))
		load_agent();
	fd = SYS(open(path, O_RDWR | O_CLOEXEC));
	SYS(ioctl(fd, POSTING_AGENT_SET_FLAGS, &flags));
	return fd;
}

static struct posting_agent_state state(struct bench *bench)
{
	struct posting_agent_state state;

	SYS(ioctl(bench->agent, POSTING_AGENT_GET_STATE, &state));
	return state;
}

static struct irte entry(struct bench *bench)
{
	struct posting_agent_state now = state(bench);

	return (struct irte){ now.irte[0], now.irte[1] };
}

static void route(struct vm *vm, u32 address_low, u32 data)
{
	struct {
		struct kvm_irq_routing head;
		struct kvm_irq_routing_entry entry;
	} table = {
		.head.nr = 1,
		.entry = {
			.gsi = GSI, .type = KVM_IRQ_ROUTING_MSI,
			.u.msi = { .address_lo = APIC_BASE_GPA | address_low, .data = data },
		},
	};

	SYS(ioctl(vm->fd, KVM_SET_GSI_ROUTING, &table));
}

static void irqfd(struct bench *bench, u32 flags)
{
	struct kvm_irqfd arg = { .fd = bench->eventfd, .gsi = GSI, .flags = flags };

	SYS(ioctl(bench->vm->fd, KVM_IRQFD, &arg));
}

static void wait_for(volatile u64 *what, u64 value)
{
	struct timespec now, end;

	clock_gettime(CLOCK_MONOTONIC, &end);
	for (;;) {
		if (*what == value)
			return;
		clock_gettime(CLOCK_MONOTONIC, &now);
		if (now.tv_sec > end.tv_sec + 10)
			FAIL("lost: %llu were sent, the guest has seen %llu and taken %llu, %llu",
			     (unsigned long long)sent, (unsigned long long)seen,
			     (unsigned long long)taken[0], (unsigned long long)taken[1]);
		sched_yield();
	}
}

static void spin(u64 cycles)
{
	u64 end = rdtsc() + cycles;

	while (rdtsc() < end)
		cpu_relax();
}

static void trigger(struct bench *bench)
{
	u64 number = sent + 1;

	sent = number;
	SYS(ioctl(bench->agent, POSTING_AGENT_TRIGGER));
}

/* @pause: up to so many cycles between the triggers, most of the pauses much shorter */
static void trigger_all(struct bench *bench, u64 nr, u64 pause)
{
	u64 i, random = 1;

	for (i = 0; i < nr; i++) {
		trigger(bench);
		wait_for(&seen, sent);
		random = random * 6364136223846793005ull + 1442695040888963407ull;
		if (pause)
			spin((random >> 33) % pause >> (random >> 29 & 7));
	}
}

/* Both at one moment of the vCPU, which runs meanwhile. */
static void read_exits(struct bench *bench, u64 *exits, u64 *own)
{
	do {
		*exits = stats_value(&bench->stats, "exits");
		*own = stats_value(&bench->stats, "irq_exits");
	} while (*exits != stats_value(&bench->stats, "exits"));
}

static void begin(struct bench *bench)
{
	read_exits(bench, &bench->exits, &bench->own);
	bench->notified = host_count("PIN:");
	bench->woken = host_count("PIW:");
	bench->wakeups = test_is_corbel() ? stats_value(&bench->stats, "posted_wakeups") : 0;
}

/* Exits since then that are not the host's own interrupts. */
static u64 exits_since(struct bench *bench, const char *what, u64 nr)
{
	u64 exits, own;

	read_exits(bench, &exits, &own);
	exits -= bench->exits;
	own -= bench->own;
	test_note("%s: %llu interrupts, lost 0; exits of the receiver: %llu, of these the host's "
		  "own interrupts: %llu; notifications to the host: %llu, wake-ups: %llu",
		  what, (unsigned long long)nr, (unsigned long long)exits, (unsigned long long)own,
		  (unsigned long long)(host_count("PIN:") - bench->notified),
		  (unsigned long long)(host_count("PIW:") - bench->woken));
	return exits - own;
}

/* vCPU 0 on CPU 0 with the device's interrupt, this thread on CPU 1. */
static struct bench *setup(void *guest, u32 agent_flags)
{
	struct bench *bench = calloc(1, sizeof(*bench));
	struct vcpu *vcpu;

	two_cpus();
	bench->agent = agent_open(agent_flags);
	bench->eventfd = SYS(eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC));
	bench->vm = vm_create(VM_IRQCHIP);
	trap_set(VECTOR, device_handler);
	vcpu = vcpu_create(bench->vm, 0);
	vcpu_enter(vcpu, guest, 0);
	stats_open(&bench->stats, vcpu->fd);
	SYS(ioctl(bench->agent, POSTING_AGENT_SET_EVENTFD, &bench->eventfd));
	route(bench->vm, 0, VECTOR);
	irqfd(bench, 0);
	pin(pthread_self(), 1);
	vcpu_thread_start(vcpu, on_cpu0);
	wait_for(&ready, 1);
	trigger_all(bench, WARM_UP, 0);
	begin(bench);
	return bench;
}

/* Without hardware to post KVM has the remapped format only, and so has a CPU that takes none. */
static struct bench *setup_posted(void *guest, u32 agent_flags)
{
	struct bench *bench;

	if (!is_posting())
		test_skip("no posted interrupts");
	bench = setup(guest, agent_flags);
	if (!test_is_corbel() && !irte_is_posted(entry(bench)))
		test_skip("KVM posts by an IOMMU only");
	CHECK(irte_is_posted(entry(bench)));
	return bench;
}

/* As many as were sent, no more. */
static void finish(struct bench *bench)
{
	u64 nr = sent;

	stop = 1;
	trigger(bench);		/* out of a HLT */
	vcpu_thread_join(bench->vm->vcpus[0]);
	CHECK_LE(nr, taken[0]);
	CHECK_LE(taken[0], nr + 1);
	CHECK_EQ(state(bench).faults, 0);
}

static u64 count(void)
{
	return test_count("triggers", 5000);
}

static void check_all_posted(struct bench *bench)
{
	struct posting_agent_state now = state(bench);

	CHECK_EQ(now.posted, sent);
	CHECK_EQ(now.handled + now.remapped, 0);
	CHECK_EQ(now.notified + now.outstanding + now.suppressed, now.posted);
	test_note("notified %llu, ON was set %llu, SN was set %llu",
		  (unsigned long long)now.notified, (unsigned long long)now.outstanding,
		  (unsigned long long)now.suppressed);
}

static void running(void)
{
	struct bench *bench = setup_posted(spinning_guest, 0);
	u64 nr = count();

	trigger_all(bench, nr, 0);
	CHECK_EQ(exits_since(bench, "posted", nr), 0);
	CHECK_LT((host_count("PIN:") - bench->notified) * 10, nr);
	check_all_posted(bench);
	finish(bench);
}

/* The control: through the host's vector, the device's handler and the eventfd. */
static void remapped(void)
{
	struct bench *bench = setup(spinning_guest, POSTING_AGENT_NO_POSTING);
	u64 nr = count();

	CHECK(!irte_is_posted(entry(bench)));
	trigger_all(bench, nr, 0);
	exits_since(bench, "remapped", nr);
	CHECK_EQ(state(bench).posted, 0);
	CHECK_EQ(state(bench).remapped, sent);
	CHECK_EQ(state(bench).handled, sent);
	finish(bench);
}

static void halted_by(u32 agent_flags, const char *what)
{
	bool control = agent_flags & POSTING_AGENT_NO_POSTING;
	struct bench *bench = (control ? setup : setup_posted)(halting_guest, agent_flags);
	u64 nr = count();

	/* From before the HLT to long asleep. */
	trigger_all(bench, nr, 60000);
	exits_since(bench, what, nr);
	if (control) {
		CHECK_EQ(host_count("PIW:"), bench->woken);
	} else {
		CHECK_GE((host_count("PIW:") - bench->woken) * 10, nr);
		if (test_is_corbel())
			CHECK_GE(stats_value(&bench->stats, "posted_wakeups"),
				 bench->wakeups + nr / 10);
		check_all_posted(bench);
	}
	finish(bench);
}

static void halted(void) { halted_by(0, "halted"); }
static void halted_remapped(void) { halted_by(POSTING_AGENT_NO_POSTING, "halted, remapped"); }

/* Somebody else wants the vCPU's CPU. */
static void *rival(void *unused)
{
	(void)unused;
	pin(pthread_self(), 0);
	while (!stop)
		barrier();
	return NULL;
}

static void preempted_by(u32 agent_flags, const char *what)
{
	struct bench *bench = setup_posted(spinning_guest, agent_flags);
	u64 nr = count();
	pthread_t thread;

	CHECK_EQ(pthread_create(&thread, NULL, rival, NULL), 0);
	trigger_all(bench, nr, 60000);
	exits_since(bench, what, nr);
	check_all_posted(bench);
	if (agent_flags & POSTING_AGENT_URGENT)
		CHECK_EQ(state(bench).suppressed, 0);
	else
		CHECK_GE(state(bench).suppressed, 1);
	finish(bench);
	pthread_join(thread, NULL);
}

static void preempted(void) { preempted_by(0, "preempted"); }
static void preempted_urgent(void) { preempted_by(POSTING_AGENT_URGENT, "preempted, urgent"); }

static volatile u64 moves, moved;

static void *mover(void *arg)
{
	struct vcpu *vcpu = arg;

	while (!moved) {
		pin(vcpu->thread, ++moves & 1);
		usleep(500);
	}
	return NULL;
}

static void moving(void *guest, const char *what)
{
	struct bench *bench = setup_posted(guest, 0);
	u64 nr = count();
	pthread_t thread;

	CHECK_EQ(pthread_create(&thread, NULL, mover, bench->vm->vcpus[0]), 0);
	trigger_all(bench, nr, 20000);
	exits_since(bench, what, nr);
	test_note("%llu moves", (unsigned long long)moves);
	CHECK_GE(moves, 10);
	check_all_posted(bench);
	moved = 1;
	pthread_join(thread, NULL);
	finish(bench);
}

static void migrating(void) { moving(spinning_guest, "migrating"); }
static void migrating_halted(void) { moving(halting_guest, "migrating, halted"); }

static void expect_format(struct bench *bench, bool posted)
{
	struct posting_agent_state before = state(bench), after;
	struct stats stats;

	CHECK_EQ(irte_is_posted(entry(bench)), posted);
	CHECK(entry(bench).low & BIT(IRTE_P));
	trigger_all(bench, 10, 0);
	after = state(bench);
	CHECK_EQ(after.posted - before.posted, posted ? 10 : 0);
	CHECK_EQ(after.handled - before.handled, posted ? 0 : 10);
	if (!test_is_corbel())
		return;
	stats_open(&stats, bench->vm->fd);
	CHECK_EQ(stats_value(&stats, "irqfds_posted"), posted);
	CHECK_EQ(stats_value(&stats, "irqfds_remapped"), !posted);
	close(stats.fd);
}

/* Whatever the route becomes, and whoever goes: what cannot be posted goes through the host. */
static void fall_back(void)
{
	struct bench *bench = setup_posted(spinning_guest, 0);
	struct vcpu *second = vcpu_create(bench->vm, 1);
	u64 pid = irte_pid(entry(bench)), value;

	vcpu_enter(second, spinning_guest, 0);
	vcpu_set_mp_state(second, KVM_MP_STATE_RUNNABLE);
	vcpu_thread_start(second, on_cpu0);
	wait_for(&ready, 2);
	expect_format(bench, true);
	route(bench->vm, BIT(2) | 3 << 12, APIC_DM_LOWEST | VECTOR);	/* logical: either */
	expect_format(bench, false);
	route(bench->vm, 1 << 12, VECTOR);
	expect_format(bench, true);
	CHECK_NE(irte_pid(entry(bench)), pid);
	route(bench->vm, BIT(2) | 1 << 12, VECTOR);			/* logical: the first */
	expect_format(bench, true);
	CHECK_EQ(irte_pid(entry(bench)), pid);
	CHECK_EQ(irte_vector(entry(bench)), VECTOR);
	route(bench->vm, 0, APIC_LEVEL | APIC_ASSERT | VECTOR);
	CHECK(!irte_is_posted(entry(bench)));
	route(bench->vm, 0, VECTOR);
	expect_format(bench, true);
	CHECK_EQ(taken[0] + taken[1], sent);
	/* A message from somebody else is not the device's. */
	SYS(ioctl(bench->agent, POSTING_AGENT_FORGE));
	CHECK_EQ(state(bench).faults, 1);
	CHECK_EQ(taken[0] + taken[1], sent);
	irqfd(bench, KVM_IRQFD_FLAG_DEASSIGN);
	CHECK(!irte_is_posted(entry(bench)));
	SYS(ioctl(bench->agent, POSTING_AGENT_TRIGGER));
	usleep(50000);
	CHECK_EQ(read(bench->eventfd, &value, 8), 8);
	CHECK_EQ(taken[0] + taken[1], sent);
	irqfd(bench, 0);
	expect_format(bench, true);
	stop = 1;
	vcpu_thread_join(bench->vm->vcpus[0]);
	vcpu_thread_join(second);
}

/* The VM's end, and the eventfd's, with the device still there. */
static void ends(void)
{
	struct bench *bench = setup_posted(spinning_guest, 0);
	int i, none = -1;

	stop = 1;
	vcpu_thread_join(bench->vm->vcpus[0]);
	SYS(close(bench->stats.fd));
	vm_destroy(bench->vm);
	for (i = 0; i < 500 && irte_is_posted(entry(bench)); i++)
		usleep(10000);
	CHECK(!irte_is_posted(entry(bench)));
	SYS(ioctl(bench->agent, POSTING_AGENT_TRIGGER));
	SYS(ioctl(bench->agent, POSTING_AGENT_SET_EVENTFD, &none));
	CHECK_EQ(entry(bench).low, 0);
	SYS(ioctl(bench->agent, POSTING_AGENT_TRIGGER));
	CHECK_EQ(state(bench).faults, 1);
}

/* No device: from vCPU 1 on CPU 1 to vCPU 0 on CPU 0. */
static void ipi(void)
{
	struct vm *vm;
	struct stats sender;
	struct bench bench = {};
	u64 nr = count(), exits, own;

	two_cpus();
	if (!is_posting())
		test_skip("no posted interrupts");
	vm = vm_create(VM_IRQCHIP);
	trap_set(VECTOR, device_handler);
	vcpu_enter(vcpu_create(vm, 0), spinning_guest, 0);
	vcpu_enter(vcpu_create(vm, 1), sender_guest, 0);
	vcpu_set_mp_state(vm->vcpus[1], KVM_MP_STATE_RUNNABLE);
	stats_open(&bench.stats, vm->vcpus[0]->fd);
	stats_open(&sender, vm->vcpus[1]->fd);
	go = WARM_UP;
	vcpu_thread_start(vm->vcpus[0], on_cpu0);
	vcpu_thread_start(vm->vcpus[1], on_cpu1);
	wait_for(&ready, 2);
	while (go)
		usleep(1000);
	begin(&bench);
	exits = stats_value(&sender, "exits") - stats_value(&sender, "irq_exits");
	go = nr;
	while (go)
		usleep(1000);
	own = stats_value(&sender, "irq_exits");
	exits = stats_value(&sender, "exits") - own - exits;
	CHECK_EQ(exits_since(&bench, "IPI", nr), 0);
	test_note("exits of the sender, without the host's own interrupts: %llu",
		  (unsigned long long)exits);
	/* The host's interrupts may come between the reading of the two counters. */
	CHECK_GE(exits, nr);
	CHECK_LE(exits, nr + 2);
	CHECK_EQ(taken[0], nr + WARM_UP);
	stop = 1;
	vcpu_thread_join(vm->vcpus[0]);
	vcpu_thread_join(vm->vcpus[1]);
}

static const struct test_case cases[] = {
	{ "running", running, 1200 },
	{ "remapped", remapped, 1200 },
	{ "ipi", ipi, 1200 },
	{ "halted", halted, 1200 },
	{ "halted_remapped", halted_remapped, 1200 },
	{ "preempted", preempted, 1200 },
	{ "preempted_urgent", preempted_urgent, 1200 },
	{ "migrating", migrating, 1200 },
	{ "migrating_halted", migrating_halted, 1200 },
	{ "fall_back", fall_back, 60 },
	{ "ends", ends, 60 },
};

TEST_MAIN(cases)
