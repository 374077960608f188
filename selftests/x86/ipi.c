// SPDX-License-Identifier: GPL-2.0-only
/*
 * Catches: an inter-processor interrupt that reaches the wrong CPUs, none, or too many, in any
 * ICR mode; an AP that INIT and SIPI do not start; a sleeping CPU that an IPI does not wake, or
 * that one wakes which it cannot take.
 */
#include <unistd.h>

#include "apic.h"
#include "trap.h"
#include "vcpu.h"

#define VECTOR	0x51
#define NR	3

static volatile u64 got[NR], nmis[NR], ready, stop;
static u64 x2;

static void count_ipi(struct trap_frame *frame)
{
	(void)frame;
	got[apic_id()]++;
	apic_eoi();
}

static void count_nmi(struct trap_frame *frame)
{
	(void)frame;
	nmis[apic_id()]++;
}

static void mode_set(void)
{
	if (x2)
		apic_enable_x2();
	else
		apic_enable();
}

/* Sleeps between interrupts; wakes for each. */
static void sleeper_guest(void)
{
	mode_set();
	/* Logical ids 1, 2, 4 in flat mode. */
	if (!x2)
		apic_write(APIC_LDR, BIT(apic_id()) << 24);
	__atomic_fetch_add(&ready, 1, __ATOMIC_SEQ_CST);
	while (!stop)
		sti_hlt_cli();
}

static void expect(u64 a, u64 b, u64 c)
{
	GUEST_WAIT(got[0] >= a && got[1] >= b && got[2] >= c);
	guest_delay(200000);
	sti_nop_cli();
	GUEST_CHECK_EQ(got[0], a);
	GUEST_CHECK_EQ(got[1], b);
	GUEST_CHECK_EQ(got[2], c);
}

static void sender_guest(void)
{
	mode_set();
	if (!x2)
		apic_write(APIC_LDR, BIT(24));
	GUEST_WAIT(ready == NR - 1);
	sti();
	apic_icr(1, APIC_DM_FIXED | VECTOR);
	expect(0, 1, 0);
	sti();
	apic_icr(2, APIC_DM_FIXED | APIC_ASSERT | VECTOR);
	expect(0, 1, 1);
	sti();
	apic_icr(0, APIC_DM_FIXED | VECTOR);
	expect(1, 1, 1);
	sti();
	apic_icr(0, APIC_DEST_SELF | VECTOR);
	expect(2, 1, 1);
	sti();
	apic_icr(0, APIC_DEST_ALL | VECTOR);
	expect(3, 2, 2);
	sti();
	apic_icr(0, APIC_DEST_OTHERS | VECTOR);
	expect(3, 3, 3);
	sti();
	apic_icr(x2 ? 6 : 6, APIC_LOGICAL | VECTOR);
	expect(3, 4, 4);
	sti();
	apic_icr(x2 ? 0xffffffff : 0xff, APIC_DM_FIXED | VECTOR);
	expect(4, 5, 5);
	/* To nobody. */
	apic_icr(77, APIC_DM_FIXED | VECTOR);
	expect(4, 5, 5);
	if (x2) {
		sti();
		x2apic_write(APIC_SELF_IPI, VECTOR);
		expect(5, 5, 5);
	}
	apic_icr(1, APIC_DM_NMI | APIC_ASSERT);
	GUEST_WAIT(nmis[1] == 1);
	GUEST_CHECK_EQ(nmis[0] + nmis[2], 0);
	GUEST_CHECK_EQ(apic_read(APIC_ICR) & APIC_BUSY, 0);
	stop = 1;
	apic_icr(0, APIC_DEST_OTHERS | VECTOR);
}

/* As many vCPUs, each in a thread of its own: the first runs @first, the others @others. */
static void run_threads(int nr, unsigned int flags, void (*first)(void), void (*others)(void))
{
	struct vm *vm = vm_create(flags);
	int i;

	for (i = 0; i < nr; i++) {
		struct vcpu *vcpu = vcpu_create(vm, i);

		vcpu_enter(vcpu, (void *)(i ? others : first), 0);
		vcpu_set_mp_state(vcpu, KVM_MP_STATE_RUNNABLE);
	}
	for (i = 0; i < nr; i++)
		vcpu_thread_start(vm->vcpus[i], NULL);
	for (i = 0; i < nr; i++)
		vcpu_thread_join(vm->vcpus[i]);
}

static void modes(u64 use_x2, unsigned int flags)
{
	x2 = use_x2;
	trap_set(VECTOR, count_ipi);
	trap_set(NMI_VECTOR, count_nmi);
	run_threads(NR, flags, sender_guest, sleeper_guest);
}

static void xapic_modes(void) { modes(0, VM_IRQCHIP); }
static void x2apic_modes(void) { modes(1, VM_IRQCHIP); }
static void split_modes(void) { modes(1, VM_SPLIT); }

static u64 use_cr8;

static void tpr_set(u64 class)
{
	if (use_cr8)
		write_cr8(class);
	else
		apic_write(APIC_TPR, class << 4);
}

static void priority_guest(void)
{
	mode_set();
	trap_set(0x61, trap_count_irq);
	trap_set(0x91, trap_count_irq);
	/* Both pending; the task priority lets through none, the higher one, both. */
	apic_icr(0, APIC_DEST_SELF | 0x61);
	apic_icr(0, APIC_DEST_SELF | 0x91);
	GUEST_CHECK(apic_pending(APIC_IRR, 0x61));
	GUEST_CHECK(apic_pending(APIC_IRR, 0x91));
	tpr_set(9);
	sti_nop_cli();
	GUEST_CHECK_EQ(trap_count[0x61] + trap_count[0x91], 0);
	GUEST_CHECK_EQ(apic_read(APIC_TPR), 0x90);
	GUEST_CHECK_EQ(apic_read(APIC_PPR), 0x90);
	tpr_set(8);
	sti_nop_cli();
	GUEST_CHECK_EQ(trap_count[0x91], 1);
	GUEST_CHECK_EQ(trap_count[0x61], 0);
	tpr_set(0);
	sti_nop_cli();
	GUEST_CHECK_EQ(trap_count[0x61], 1);
}

static void priority(void)
{
	x2 = 0;
	vcpu_run_done(vcpu_start(VM_IRQCHIP, priority_guest, 0, 0));
}

static void priority_x2(void)
{
	x2 = 1;
	vcpu_run_done(vcpu_start(VM_IRQCHIP, priority_guest, 0, 0));
}

static void priority_cr8(void)
{
	/* QEMU 7.2 aborts when a guest of its guest writes CR8. */
	if (dev_host_is_tcg())
		test_skip("QEMU's TCG");
	x2 = 0;
	use_cr8 = 1;
	vcpu_run_done(vcpu_start(VM_IRQCHIP, priority_guest, 0, 0));
}

static volatile u64 in_service_seen;

static void check_isr(struct trap_frame *frame)
{
	in_service_seen = apic_pending(APIC_ISR, frame->vector) && !apic_pending(APIC_IRR,
			frame->vector);
	/* A second one of the same vector waits until EOI. */
	apic_icr(0, APIC_DEST_SELF | (u8)frame->vector);
	asm volatile("sti; nop; nop; nop; cli" : : : "memory");
	GUEST_CHECK_EQ(trap_count[frame->vector], 0);
	trap_set(frame->vector, trap_count_irq);
	apic_eoi();
}

static void isr_guest(void)
{
	mode_set();
	trap_set(VECTOR, check_isr);
	apic_icr(0, APIC_DEST_SELF | VECTOR);
	sti_nop_cli();
	sti_nop_cli();
	GUEST_CHECK_EQ(in_service_seen, 1);
	GUEST_CHECK_EQ(trap_count[VECTOR], 1);
	GUEST_CHECK(!apic_pending(APIC_ISR, VECTOR));
}

static void in_service(void)
{
	x2 = 0;
	vcpu_run_done(vcpu_start(VM_IRQCHIP, isr_guest, 0, 0));
}

static void in_service_x2(void)
{
	x2 = 1;
	vcpu_run_done(vcpu_start(VM_IRQCHIP, isr_guest, 0, 0));
}

/*
 * The x2APIC's registers that do not exist fault, as do reserved bits; the mode cannot go back to
 * xAPIC.
 */
static void x2_rules_guest(void)
{
	u64 value;

	apic_enable_x2();
	GUEST_CHECK_EQ(wrmsr_safe(0x800 + APIC_ID / 16, 1).vector, GP_VECTOR);
	GUEST_CHECK_EQ(wrmsr_safe(0x800 + APIC_TPR / 16, BIT(32)).vector, GP_VECTOR);
	GUEST_CHECK_EQ(x2apic_read(APIC_LDR), 1);
	value = rdmsr(MSR_APIC_BASE);
	GUEST_CHECK_EQ(wrmsr_safe(MSR_APIC_BASE, value & ~APIC_BASE_X2).vector, GP_VECTOR);
	GUEST_CHECK_EQ(wrmsr_safe(MSR_APIC_BASE, value & ~APIC_BASE_EN).vector, GP_VECTOR);
	/* Off altogether, then xAPIC again: allowed. */
	GUEST_CHECK_EQ(wrmsr_safe(MSR_APIC_BASE, value & ~(APIC_BASE_X2 | APIC_BASE_EN)).vector,
		       GUEST_NO_FAULT);
	GUEST_CHECK(!(cpuid(1, 0).d & BIT(9)));
	wrmsr(MSR_APIC_BASE, value & ~APIC_BASE_X2);
	GUEST_CHECK(cpuid(1, 0).d & BIT(9));
	GUEST_CHECK_EQ(xapic_read(APIC_ID), 0);
	GUEST_CHECK_EQ(xapic_read(APIC_DFR), 0xffffffff);
}

static void x2_rules(void)
{
	vcpu_run_done(vcpu_start(VM_IRQCHIP, x2_rules_guest, 0, 0));
}

#define ROUNDS	300
#define HIGH	0x91

enum { PLAIN, BELOW_TPR, IF_CLEAR, TIMER_MASKED, NR_KINDS };

static volatile u64 naps, woken;
extern const char nap_begin[], nap_end[];

/* An NMI that comes before the HLT ends it, too. */
static void end_nap(struct trap_frame *frame)
{
	if (frame->rip >= (u64)nap_begin && frame->rip < (u64)nap_end)
		frame->rip = (u64)nap_end;
}

static __attribute__((noinline)) void nap_till_nmi(u64 nap)
{
	asm volatile("nap_begin: mov %1, %0; hlt; nap_end:" : "=m" (naps) : "r" (nap) : "memory");
}

static bool vector_wakes(u64 i)
{
	return i % NR_KINDS == PLAIN || i % NR_KINDS == TIMER_MASKED;
}

static void napper_guest(void)
{
	u64 i;

	apic_enable_x2();
	apic_write(APIC_LVTT, HIGH | APIC_LVT_DEADLINE | APIC_LVT_MASKED);
	for (i = 0; i < ROUNDS; i++) {
		u64 was = trap_count[VECTOR];

		x2apic_write(APIC_TPR, i % NR_KINDS == BELOW_TPR ? 0x80 : 0);
		if (i % NR_KINDS == TIMER_MASKED && cpuid(1, 0).c & BIT(24))
			wrmsr(MSR_TSC_DEADLINE, rdtsc() + 1000);
		if (i % NR_KINDS == IF_CLEAR) {
			nap_till_nmi(i + 1);
		} else {
			naps = i + 1;
			sti_hlt_cli();
		}
		GUEST_CHECK(!(read_rflags() & X86_EFLAGS_IF));
		GUEST_CHECK_EQ(trap_count[VECTOR], was + vector_wakes(i));
		woken = i + 1;
		x2apic_write(APIC_TPR, 0);
		sti_nop_cli();
		GUEST_CHECK_EQ(trap_count[VECTOR], was + 1);
	}
	stop = 1;
}

static void stays_asleep(u64 i)
{
	guest_delay(1000);
	GUEST_CHECK_EQ(woken, i);
	guest_delay(20000);
	GUEST_CHECK_EQ(woken, i);
}

static void waker_guest(void)
{
	u64 i;

	apic_enable_x2();
	for (i = 0; i < ROUNDS; i++) {
		GUEST_WAIT(naps == i + 1);
		guest_delay(i * 37 % 3000);
		if (i % NR_KINDS == TIMER_MASKED)
			stays_asleep(i);
		apic_icr(1, VECTOR);
		if (!vector_wakes(i))
			stays_asleep(i);
		if (i % NR_KINDS == BELOW_TPR)
			apic_icr(1, HIGH);
		if (i % NR_KINDS == IF_CLEAR)
			apic_icr(1, APIC_DM_NMI | APIC_ASSERT);
		GUEST_WAIT(woken == i + 1);
	}
	GUEST_WAIT(stop);
}

static void naps_end(void)
{
	x2 = 1;
	trap_set(VECTOR, trap_count_irq);
	trap_set(HIGH, trap_count_irq);
	trap_set(NMI_VECTOR, end_nap);
	run_threads(2, VM_IRQCHIP, waker_guest, napper_guest);
}

static const struct test_case cases[] = {
	{ "xapic_modes", xapic_modes, 60 },
	{ "x2apic_modes", x2apic_modes, 60 },
	{ "split_modes", split_modes, 60 },
	{ "naps_end", naps_end, 60 },
	{ "priority", priority },
	{ "priority_x2", priority_x2 },
	{ "priority_cr8", priority_cr8 },
	{ "in_service", in_service },
	{ "in_service_x2", in_service_x2 },
	{ "x2_rules", x2_rules },
};

TEST_MAIN(cases)
