// SPDX-License-Identifier: GPL-2.0-only
/*
 * Catches: a paravirtual clock that runs back, at the wrong rate or apart from the host's; a TSC
 * that the ioctls and the guest's writes do not move as they should; steal time, PV EOI and kicks
 * that do nothing.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <linux/kvm_para.h>
#include <time.h>
#include <unistd.h>

#include "apic.h"
#include "trap.h"
#include "vcpu.h"

struct pvclock {
	u32 version;
	u32 pad;
	u64 tsc;
	u64 system_time;
	u32 mul;
	signed char shift;
	u8 flags;
	u8 pad2[2];
} __attribute__((packed));

static struct pvclock clock_page __attribute__((aligned(4096)));

static u64 pv_now(void)
{
	volatile struct pvclock *c = &clock_page;
	u64 delta, now, product_low, product_high;
	u32 version;

	do {
		version = c->version;
		barrier();
		delta = rdtsc() - c->tsc;
		delta = c->shift < 0 ? delta >> -c->shift : delta << c->shift;
		asm("mul %3" : "=a"(product_low), "=d"(product_high) : "0"(delta),
				"rm"((u64)c->mul));
		now = c->system_time + (product_low >> 32 | product_high << 32);
		barrier();
	} while ((version & 1) || version != c->version);
	return now;
}

static void clock_guest(u64 msr)
{
	u64 i, last, now;

	wrmsr(msr, (u64)&clock_page | 1);
	GUEST_CHECK(clock_page.version >= 2);
	GUEST_CHECK(!(clock_page.version & 1));
	GUEST_CHECK(clock_page.mul);
	last = pv_now();
	for (i = 0; i < 20000; i++) {
		now = pv_now();
		if (now < last)
			guest_fail(__FILE__, __LINE__, "time runs back", now, last);
		last = now;
	}
	for (i = 0;; i++)
		guest_sync(i, pv_now(), 0, 0);
}

static u64 host_now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000000000ULL + ts.tv_nsec;
}

static void clock_rate(u32 msr)
{
	struct vcpu *vcpu = vcpu_start(VM_IRQCHIP, clock_guest, msr, 0);
	u64 guest_first, guest_last, host_begin, host_first, host_last, host_end, guest_span;
	struct kvm_clock_data data;

	host_begin = host_now();
	guest_first = vcpu_run_ucall(vcpu)->args[1];
	host_first = host_now();
	usleep(300000);
	host_last = host_now();
	guest_last = vcpu_run_ucall(vcpu)->args[1];
	host_end = host_now();
	guest_span = guest_last - guest_first;
	/* Each reading lies between two of the host's; the rates are the same within a twentieth. */
	CHECK_LE(guest_span, (host_end - host_begin) / 20 * 21);
	CHECK_GE(guest_span, (host_last - host_first) / 20 * 19);
	SYS(ioctl(vcpu->vm->fd, KVM_GET_CLOCK, &data));
	CHECK_GE(data.clock + 1000000, guest_last);
	CHECK_LE(data.clock, guest_last + 2000000000);
	/* Moved by the host: the guest follows. */
	data.clock += 50000000000;
	data.flags = 0;
	SYS(ioctl(vcpu->vm->fd, KVM_SET_CLOCK, &data));
	guest_first = vcpu_run_ucall(vcpu)->args[1];
	CHECK_GE(guest_first, data.clock);
	CHECK_LE(guest_first, data.clock + 2000000000);
	/* Told of a pause. */
	SYS(ioctl(vcpu->fd, KVM_KVMCLOCK_CTRL, 0UL));
	vcpu_run_ucall(vcpu);
	CHECK(clock_page.flags & BIT(1));
}

static void kvmclock(void) { clock_rate(MSR_KVM_SYSTEM_TIME_NEW); }
static void kvmclock_old(void) { clock_rate(0x12); }

static u64 host_real(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_REALTIME, &ts);
	return ts.tv_sec * 1000000000ULL + ts.tv_nsec;
}

static bool host_by_tsc(void)
{
	int fd = open("/sys/devices/system/clocksource/clocksource0/current_clocksource", O_RDONLY);
	char name[16];

	return fd >= 0 && read(fd, name, sizeof(name)) == 4 && !memcmp(name, "tsc\n", 4);
}

/* A clock that was set can be read with the host's TSC and time of that moment, guest or no guest. */
static void clock_pair(void)
{
	const u32 all = KVM_CLOCK_TSC_STABLE | KVM_CLOCK_REALTIME | KVM_CLOCK_HOST_TSC;
	struct vm *vm = vm_create(VM_IRQCHIP);
	struct kvm_clock_data data = { .clock = 1000000000 };
	u64 tsc, real;

	if (!host_by_tsc())
		test_skip("the host's clocksource is not the TSC");
	CHECK_EQ(ioctl(vm->fd, KVM_CHECK_EXTENSION, KVM_CAP_ADJUST_CLOCK), all);
	vcpu_create(vm, 0);
	SYS(ioctl(vm->fd, KVM_SET_CLOCK, &data));
	tsc = rdtsc();
	real = host_real();
	SYS(ioctl(vm->fd, KVM_GET_CLOCK, &data));
	CHECK_EQ(data.flags, all);
	CHECK_GE(data.clock, 1000000000);
	CHECK_GE(data.host_tsc, tsc);
	CHECK_LE(data.host_tsc, rdtsc());
	CHECK_GE(data.realtime, real);
	CHECK_LE(data.realtime, host_real());
}

static struct {
	u32 version, sec, nsec;
} wall __attribute__((aligned(64)));

static void wall_guest(void)
{
	wrmsr(MSR_KVM_SYSTEM_TIME_NEW, (u64)&clock_page | 1);
	wrmsr(MSR_KVM_WALL_CLOCK_NEW, (u64)&wall);
	guest_sync(1, pv_now(), 0, 0);
}

static void wall_clock(void)
{
	struct vcpu *vcpu = vcpu_start(VM_IRQCHIP, wall_guest, 0, 0);
	struct guest_ucall *call = vcpu_run_ucall(vcpu);
	u64 sec;

	/* The wall clock at the guest's time zero. */
	CHECK_GE(wall.version, 1);
	sec = wall.sec + call->args[1] / 1000000000;
	CHECK_LE(sec, (u64)time(NULL) + 1);
	CHECK_GE(sec + 2, (u64)time(NULL));
}

static struct kvm_steal_time steal __attribute__((aligned(64)));

static void steal_guest(void)
{
	u64 i;

	wrmsr(MSR_KVM_STEAL_TIME, (u64)&steal | 1);
	GUEST_CHECK_EQ(rdmsr(MSR_KVM_STEAL_TIME), (u64)&steal | 1);
	for (i = 0;; i++)
		guest_sync(i, steal.steal, steal.version, 0);
}

static volatile int hog_stop;

static void *hog(void *arg)
{
	while (!hog_stop)
		asm volatile("" : : : "memory");
	return arg;
}

static void spin_body(struct vcpu *vcpu)
{
	u64 end = host_now() + 300000000;

	while (host_now() < end)
		vcpu_run_ucall(vcpu);
}

/* Two threads compete for one CPU: what the other one takes is stolen. */
static void steal_time(void)
{
	struct vcpu *vcpu;
	pthread_t thread;
	cpu_set_t set;

	if (!dev_cpuid_has(0x40000001, 0, 'a', 5))
		test_skip("no steal time");
	CPU_ZERO(&set);
	CPU_SET(0, &set);
	SYS(sched_setaffinity(0, sizeof(set), &set));
	vcpu = vcpu_start(VM_IRQCHIP, steal_guest, 0, 0);
	CHECK_EQ(vcpu_try_set_msr(vcpu, MSR_KVM_STEAL_TIME, 0x3), 0);
	CHECK_EQ(vcpu_run_ucall(vcpu)->args[2] & 1, 0);
	CHECK_EQ(pthread_create(&thread, NULL, hog, NULL), 0);
	spin_body(vcpu);
	hog_stop = 1;
	pthread_join(thread, NULL);
	CHECK_EQ(vcpu_run_ucall(vcpu)->args[2] & 1, 0);
	CHECK_GE(steal.steal, 20000000);
	CHECK_LE(steal.steal, 5000000000);
}

#define STEAL_ROUNDS	20

static volatile bool steal_log_clean, steal_log_next;

static void steal_log_guest(void)
{
	u64 i;

	wrmsr(MSR_KVM_STEAL_TIME, VM_TEST_GPA | 1);
	for (i = 0;; i++) {
		GUEST_SYNC(i);
		GUEST_WAIT(steal_log_next);
		steal_log_next = false;
	}
}

static u64 steal_log_get(struct vm *vm)
{
	u64 bitmap = 0;
	struct kvm_dirty_log log = { .slot = VM_SLOT_TEST, .dirty_bitmap = &bitmap };

	SYS(ioctl(vm->fd, KVM_GET_DIRTY_LOG, &log));
	return bitmap;
}

/*
 * A record of what was stolen until here is over with the sync: from then on, the only write is the
 * one when this thread is preempted in the guest. If that happens twice, a record hides what is
 * missing: thus the rounds.
 */
static void steal_log_body(struct vcpu *vcpu)
{
	int i;

	for (i = 1; i <= STEAL_ROUNDS; i++) {
		steal_log_next = true;
		vcpu_run_sync(vcpu, i);
		steal_log_get(vcpu->vm);
		steal_log_clean = true;
		do {
			CHECK_ERRNO(vcpu_run_raw(vcpu), EINTR);
			vcpu->run->immediate_exit = 0;
		} while (steal_log_clean);
	}
}

/* The scheduler's write to the guest's page is in the dirty log before anything else is. */
static void steal_time_log(void)
{
	struct vcpu *vcpu;
	struct kvm_steal_time *page;
	cpu_set_t set;
	int i;

	if (!dev_cpuid_has(0x40000001, 0, 'a', 5))
		test_skip("no steal time");
	CPU_ZERO(&set);
	CPU_SET(0, &set);
	SYS(sched_setaffinity(0, sizeof(set), &set));
	vcpu = vcpu_start(VM_IRQCHIP, steal_log_guest, 0, 0);
	page = vm_add_anon(vcpu->vm, VM_SLOT_TEST, KVM_MEM_LOG_DIRTY_PAGES, VM_TEST_GPA, PAGE);
	vcpu_run_sync(vcpu, 0);
	CHECK_EQ(steal_log_get(vcpu->vm), 1);
	vcpu_thread_start(vcpu, steal_log_body);
	for (i = 0; i < STEAL_ROUNDS; i++) {
		while (!steal_log_clean || !READ_ONCE(page->preempted))
			usleep(1000);
		CHECK_EQ(page->preempted, KVM_VCPU_PREEMPTED);
		CHECK_EQ(steal_log_get(vcpu->vm), 1);
		steal_log_clean = false;
		vcpu_thread_kick(vcpu);
	}
	vcpu_thread_join(vcpu);
}

static void tsc_guest(void)
{
	u64 before, adjust;

	GUEST_SYNC(1);
	before = rdtsc();
	GUEST_CHECK(before >= 1ULL << 40);
	GUEST_CHECK(before < (1ULL << 40) + 30000000000);
	GUEST_CHECK_EQ(rdmsr(MSR_TSC_ADJUST), 0);
	/* The guest's write moves TSC_ADJUST along. */
	wrmsr(MSR_TSC, 1ULL << 45);
	GUEST_CHECK(rdtsc() >= 1ULL << 45);
	adjust = rdmsr(MSR_TSC_ADJUST);
	GUEST_CHECK(adjust > (1ULL << 45) - (1ULL << 41));
	wrmsr(MSR_TSC_ADJUST, adjust + (1ULL << 46));
	GUEST_CHECK(rdtsc() >= (1ULL << 45) + (1ULL << 46));
	GUEST_CHECK_EQ(rdmsr(MSR_TSC) >> 40, rdtsc() >> 40);
	GUEST_SYNC(2);
	GUEST_CHECK(rdtsc() >= (1ULL << 45) + (1ULL << 46));
}

static void tsc(void)
{
	struct vcpu *vcpu = vcpu_start(VM_IRQCHIP, tsc_guest, 0, 0);
	u64 adjust;
	int khz = SYS(ioctl(vcpu->fd, KVM_GET_TSC_KHZ, 0UL));

	CHECK_GE(khz, 1000);
	CHECK_EQ(ioctl(vcpu->fd, KVM_SET_TSC_KHZ, (unsigned long)khz), 0);
	vcpu_run_sync(vcpu, 1);
	vcpu_set_msr(vcpu, MSR_TSC, 1ULL << 40);
	CHECK_GE(vcpu_msr(vcpu, MSR_TSC), 1ULL << 40);
	vcpu_run_sync(vcpu, 2);
	/* The host's write of TSC_ADJUST is a value and nothing else. */
	adjust = vcpu_msr(vcpu, MSR_TSC_ADJUST);
	vcpu_set_msr(vcpu, MSR_TSC_ADJUST, adjust + 5);
	CHECK_EQ(vcpu_msr(vcpu, MSR_TSC_ADJUST), adjust + 5);
	vcpu_run_done(vcpu);
}

/* The device attribute: the offset itself. */
static void rdtsc_guest(void)
{
	u64 i;

	for (i = 0;; i++)
		guest_sync(i, rdtsc(), 0, 0);
}

static void tsc_offset(void)
{
	struct vcpu *vcpu = vcpu_start(VM_IRQCHIP, rdtsc_guest, 0, 0);
	u64 offset = 0, first, second;
	struct kvm_device_attr attr = {
		.group = KVM_VCPU_TSC_CTRL, .attr = KVM_VCPU_TSC_OFFSET, .addr = (uintptr_t)&offset,
	};

	SYS(ioctl(vcpu->fd, KVM_HAS_DEVICE_ATTR, &attr));
	SYS(ioctl(vcpu->fd, KVM_GET_DEVICE_ATTR, &attr));
	first = vcpu_run_ucall(vcpu)->args[1];
	CHECK_LE(first, rdtsc() + offset);
	offset += 1ULL << 50;
	SYS(ioctl(vcpu->fd, KVM_SET_DEVICE_ATTR, &attr));
	second = vcpu_run_ucall(vcpu)->args[1];
	CHECK_GE(second, first + (1ULL << 50));
	CHECK_LE(second, first + (1ULL << 50) + (1ULL << 40));
}

static volatile u32 eoi_word __attribute__((aligned(4)));
static volatile u64 eoi_hints;

static void eoi_handler(struct trap_frame *frame)
{
	trap_count_only(frame);
	/* The hint replaces the EOI: a bit cleared instead of an exit. */
	if (__atomic_fetch_and(&eoi_word, ~1u, __ATOMIC_SEQ_CST) & 1)
		eoi_hints++;
	else
		apic_eoi();
}

static void eoi_guest(void)
{
	u64 i;

	apic_enable();
	trap_set(0x61, eoi_handler);
	wrmsr(MSR_KVM_PV_EOI_EN, (u64)&eoi_word | 1);
	for (i = 1; i <= 20; i++) {
		apic_icr(0, APIC_DEST_SELF | 0x61);
		sti_nop_cli();
		GUEST_CHECK_EQ(trap_count[0x61], i);
	}
	GUEST_CHECK(!apic_pending(APIC_ISR, 0x61));
}

/* As the handler of a call to another processor that leaves paravirtualization: EOI, then the MSR. */
static void eoi_off_handler(struct trap_frame *frame)
{
	eoi_handler(frame);
	wrmsr(MSR_KVM_PV_EOI_EN, 0);
}

static void eoi_off_guest(void)
{
	u64 i;

	apic_enable();
	trap_set(0x61, eoi_off_handler);
	for (i = 1; i <= 20; i++) {
		wrmsr(MSR_KVM_PV_EOI_EN, (u64)&eoi_word | 1);
		apic_icr(0, APIC_DEST_SELF | 0x61);
		sti_nop_cli();
		GUEST_CHECK_EQ(trap_count[0x61], i);
		GUEST_CHECK(!apic_pending(APIC_ISR, 0x61));
	}
}

static void pv_eoi_with(void (*guest)(void))
{
	if (!dev_cpuid_has(0x40000001, 0, 'a', 6))
		test_skip("no PV EOI");
	vcpu_run_done(vcpu_start(VM_IRQCHIP, guest, 0, 0));
}

static void pv_eoi(void) { pv_eoi_with(eoi_guest); }
static void pv_eoi_off(void) { pv_eoi_with(eoi_off_guest); }

/* KVM_HC_KICK_CPU wakes a vCPU in HLT whose interrupts are off. */
static volatile u64 kick_ready, kick_woken;

static void kicked_guest(void)
{
	apic_enable();
	kick_ready = 1;
	cli();
	hlt();
	kick_woken = 1;
}

static void kicker_guest(void)
{
	apic_enable();
	GUEST_WAIT(kick_ready);
	while (!kick_woken) {
		GUEST_CHECK_EQ(guest_hypercall(KVM_HC_KICK_CPU, 0, 1, 0, 0), 0);
		guest_delay(100000);
	}
}

static void kick(void)
{
	struct vm *vm = vm_create(VM_IRQCHIP);
	struct vcpu *a, *b;

	if (!dev_cpuid_has(0x40000001, 0, 'a', 7))
		test_skip("no PV unhalt");
	a = vcpu_create(vm, 0);
	b = vcpu_create(vm, 1);
	vcpu_enter(a, kicker_guest, 0);
	vcpu_enter(b, kicked_guest, 0);
	vcpu_set_mp_state(b, KVM_MP_STATE_RUNNABLE);
	vcpu_thread_start(b, NULL);
	vcpu_run_done(a);
	vcpu_thread_join(b);
}

static void hypercall_guest(void)
{
	GUEST_CHECK_EQ(guest_hypercall(12345, 0, 0, 0, 0), (u64)-1000);
	GUEST_CHECK_EQ(guest_hypercall(KVM_HC_VAPIC_POLL_IRQ, 0, 0, 0, 0), 0);
}

static void hypercalls(void)
{
	vcpu_run_done(vcpu_start(VM_IRQCHIP, hypercall_guest, 0, 0));
}

static const struct test_case cases[] = {
	{ "kvmclock", kvmclock },
	{ "kvmclock_old", kvmclock_old },
	{ "clock_pair", clock_pair },
	{ "wall_clock", wall_clock },
	{ "steal_time", steal_time },
	{ "steal_time_log", steal_time_log },
	{ "tsc", tsc },
	{ "tsc_offset", tsc_offset },
	{ "pv_eoi", pv_eoi },
	{ "pv_eoi_off", pv_eoi_off },
	{ "kick", kick },
	{ "hypercalls", hypercalls },
};

TEST_MAIN(cases)
