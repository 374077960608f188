// SPDX-License-Identifier: GPL-2.0-only
/*
 * Catches: a LAPIC timer that fires too early, not at all, or not often enough in one of its
 * three modes, and a HLT that the timer does not end.
 */
#include "apic.h"
#include "trap.h"
#include "vcpu.h"

#define VECTOR	0x41

static u64 apic_mode_x2;

static void setup(void)
{
	if (apic_mode_x2)
		apic_enable_x2();
	else
		apic_enable();
	trap_set(VECTOR, trap_count_irq);
}

static void one_shot_guest(void)
{
	u64 i;

	setup();
	apic_write(APIC_TDCR, 0xb);
	apic_write(APIC_LVTT, VECTOR);
	for (i = 1; i <= 5; i++) {
		apic_write(APIC_TMICT, 50000);
		GUEST_CHECK(apic_read(APIC_TMCCT) <= 50000);
		sti_hlt_cli();
		GUEST_CHECK_EQ(trap_count[VECTOR], i);
		GUEST_CHECK_EQ(apic_read(APIC_TMCCT), 0);
		sti_nop_cli();
		GUEST_CHECK_EQ(trap_count[VECTOR], i);
	}
	/* Counting is linear: half of it is gone after half the time. */
	apic_write(APIC_TMICT, 100000000);
	u32 first = apic_read(APIC_TMCCT);

	guest_delay(100000);
	GUEST_CHECK(apic_read(APIC_TMCCT) < first);
	/* Zero stops. */
	apic_write(APIC_TMICT, 0);
	GUEST_CHECK_EQ(apic_read(APIC_TMCCT), 0);
}

static void periodic_guest(void)
{
	setup();
	apic_write(APIC_TDCR, 0xb);
	apic_write(APIC_LVTT, VECTOR | APIC_LVT_PERIODIC);
	apic_write(APIC_TMICT, 300000);
	while (trap_count[VECTOR] < 10)
		sti_hlt_cli();
	apic_write(APIC_LVTT, VECTOR | APIC_LVT_PERIODIC | APIC_LVT_MASKED);
	sti_nop_cli();
	u64 count = trap_count[VECTOR];

	guest_delay(2000000);
	sti_nop_cli();
	GUEST_CHECK_EQ(trap_count[VECTOR], count);
}

/* Disarmed in time, which on a busy machine may take more than one attempt: it never fires. */
static void never_fires(void)
{
	u64 ahead = 10000000, deadline, count;

	do {
		sti_nop_cli();		/* what has come of the attempt before */
		count = trap_count[VECTOR];
		deadline = rdtsc() + ahead;
		wrmsr(MSR_TSC_DEADLINE, deadline);
		wrmsr(MSR_TSC_DEADLINE, 0);
		ahead *= 2;
	} while (rdtsc() >= deadline);
	GUEST_WAIT(rdtsc() >= deadline + 5000000);
	sti_nop_cli();
	GUEST_CHECK_EQ(trap_count[VECTOR], count);
}

static void deadline_guest(void)
{
	u64 i, deadline;

	setup();
	apic_write(APIC_LVTT, VECTOR | APIC_LVT_DEADLINE);
	for (i = 1; i <= 5; i++) {
		deadline = rdtsc() + 100000;
		wrmsr(MSR_TSC_DEADLINE, deadline);
		GUEST_CHECK_EQ(trap_count[VECTOR], i - 1);
		sti_hlt_cli();
		GUEST_CHECK(rdtsc() >= deadline);
		GUEST_CHECK_EQ(trap_count[VECTOR], i);
		GUEST_CHECK_EQ(rdmsr(MSR_TSC_DEADLINE), 0);
	}
	/* In the past: at once. */
	wrmsr(MSR_TSC_DEADLINE, 1);
	sti_hlt_cli();
	GUEST_CHECK_EQ(trap_count[VECTOR], 6);
	never_fires();
	i = trap_count[VECTOR];
	/* More than half of the counter's range ahead is not past. */
	wrmsr(MSR_TSC_DEADLINE, ~1ull);
	guest_delay(100000);
	sti_nop_cli();
	GUEST_CHECK_EQ(trap_count[VECTOR], i);
	GUEST_CHECK_EQ(rdmsr(MSR_TSC_DEADLINE), ~1ull);
	/* While the guest spins with interrupts on, without a HLT. */
	wrmsr(MSR_TSC_DEADLINE, rdtsc() + 100000);
	sti();
	GUEST_WAIT(trap_count[VECTOR] == i + 1);
	cli();
	/* In another mode the deadline MSR reads zero and arms nothing. */
	apic_write(APIC_LVTT, VECTOR);
	wrmsr(MSR_TSC_DEADLINE, rdtsc() + 1000);
	GUEST_CHECK_EQ(rdmsr(MSR_TSC_DEADLINE), 0);
	guest_delay(100000);
	sti_nop_cli();
	GUEST_CHECK_EQ(trap_count[VECTOR], i + 1);
}

static void masked_guest(void)
{
	setup();
	apic_write(APIC_TDCR, 0xb);
	apic_write(APIC_LVTT, VECTOR | APIC_LVT_MASKED);
	apic_write(APIC_TMICT, 1000);
	guest_delay(300000);
	GUEST_CHECK(!apic_pending(APIC_IRR, VECTOR));
	apic_write(APIC_LVTT, VECTOR);
	apic_write(APIC_TMICT, 1000);
	/* IF = 0: pending, not taken. */
	GUEST_WAIT(apic_pending(APIC_IRR, VECTOR));
	GUEST_CHECK_EQ(trap_count[VECTOR], 0);
	/* The task priority holds it back. */
	apic_write(APIC_TPR, VECTOR & 0xf0);
	sti_nop_cli();
	GUEST_CHECK_EQ(trap_count[VECTOR], 0);
	apic_write(APIC_TPR, 0);
	sti_nop_cli();
	GUEST_CHECK_EQ(trap_count[VECTOR], 1);
	GUEST_CHECK(!apic_pending(APIC_IRR, VECTOR));
	GUEST_CHECK(!apic_pending(APIC_ISR, VECTOR));
}

static void run(void *fn, bool x2)
{
	apic_mode_x2 = x2;
	vcpu_run_done(vcpu_start(VM_IRQCHIP, fn, 0, 0));
}

static void one_shot(void) { run(one_shot_guest, false); }
static void one_shot_x2(void) { run(one_shot_guest, true); }
static void periodic(void) { run(periodic_guest, false); }
static void periodic_x2(void) { run(periodic_guest, true); }
static void masked(void) { run(masked_guest, false); }
static void masked_x2(void) { run(masked_guest, true); }

static void deadline(void)
{
	dev_require_cap(KVM_CAP_TSC_DEADLINE_TIMER);
	run(deadline_guest, false);
}

static void deadline_x2(void)
{
	dev_require_cap(KVM_CAP_TSC_DEADLINE_TIMER);
	run(deadline_guest, true);
}

/* From deadlines that pass before HLT to some for which a vCPU is not put to sleep, or just so. */
static void naps_guest(void)
{
	u64 i, deadline;

	setup();
	apic_write(APIC_LVTT, VECTOR | APIC_LVT_DEADLINE);
	for (i = 1; i <= 400; i++) {
		deadline = rdtsc() + i * 37 % 9000;
		wrmsr(MSR_TSC_DEADLINE, deadline);
		sti_hlt_cli();
		GUEST_CHECK(rdtsc() >= deadline);
		GUEST_CHECK_EQ(trap_count[VECTOR], i);
	}
}

static void naps(void)
{
	dev_require_cap(KVM_CAP_TSC_DEADLINE_TIMER);
	run(naps_guest, true);
}

static void split_irqchip(void)
{
	vcpu_run_done(vcpu_start(VM_SPLIT, periodic_guest, 0, 0));
}

/* KVM_SET_LAPIC goes on with the timer that it was given. Long enough for a host that is overloaded. */
#define RESTORE_COUNT	300000000

static void restore_guest(void)
{
	setup();
	apic_write(APIC_TDCR, 0xb);
	apic_write(APIC_LVTT, VECTOR);
	apic_write(APIC_TMICT, RESTORE_COUNT);
	GUEST_SYNC(1);
	sti_hlt_cli();
	GUEST_CHECK_EQ(trap_count[VECTOR], 1);
}

static void restore(void)
{
	struct vcpu *vcpu = vcpu_start(VM_IRQCHIP, restore_guest, 0, 0);
	struct kvm_lapic_state state;
	u32 count;

	vcpu_run_sync(vcpu, 1);
	SYS(ioctl(vcpu->fd, KVM_GET_LAPIC, &state));
	memcpy(&count, state.regs + APIC_TMCCT, 4);
	CHECK_NE(count, 0);
	CHECK_LT(count, RESTORE_COUNT);
	SYS(ioctl(vcpu->fd, KVM_SET_LAPIC, &state));
	vcpu_run_done(vcpu);
}

static const struct test_case cases[] = {
	{ "one_shot", one_shot },
	{ "one_shot_x2", one_shot_x2 },
	{ "periodic", periodic },
	{ "periodic_x2", periodic_x2 },
	{ "deadline", deadline },
	{ "deadline_x2", deadline_x2 },
	{ "naps", naps },
	{ "masked", masked },
	{ "masked_x2", masked_x2 },
	{ "split_irqchip", split_irqchip },
	{ "restore", restore },
};

TEST_MAIN(cases)
