// SPDX-License-Identifier: GPL-2.0-only
/*
 * Catches: APs that do not start by INIT and SIPI as Linux sends them, or start somewhere else;
 * atomic operations that are not; page-table changes that other CPUs do not see after a
 * shootdown; a CPU that INIT does not stop.
 */
#include "apic.h"
#include "smp.h"
#include "trap.h"

#define NR	4
#define IPI	0x55

static volatile u64 online, counter, apic_ids, go;
static u64 use_x2;

static void mode_set(void)
{
	if (use_x2)
		apic_enable_x2();
	else
		apic_enable();
}

static void start_all(u64 nr)
{
	u64 i;

	mode_set();
	for (i = 1; i < nr; i++) {
		apic_start_cpu(i, SMP_PAGE);
		GUEST_WAIT(online >= i);
	}
}

static void boot_ap(u64 cpu)
{
	u64 i;

	mode_set();
	GUEST_CHECK_EQ(cpu, apic_id());
	GUEST_CHECK(!(rdmsr(MSR_APIC_BASE) & BIT(8)));
	__atomic_fetch_or(&apic_ids, BIT(apic_id()), __ATOMIC_SEQ_CST);
	__atomic_fetch_add(&online, 1, __ATOMIC_SEQ_CST);
	GUEST_WAIT(go);
	for (i = 0; i < 2000; i++)
		asm volatile("lock; incq %0" : "+m"(counter));
	__atomic_fetch_add(&online, 1, __ATOMIC_SEQ_CST);
}

static void boot_bsp(u64 nr)
{
	start_all(nr);
	GUEST_CHECK_EQ(apic_ids, BIT(nr) - 2);
	GUEST_CHECK(rdmsr(MSR_APIC_BASE) & BIT(8));
	go = 1;
	GUEST_WAIT(online == 2 * (nr - 1));
	GUEST_CHECK_EQ(counter, 2000 * (nr - 1));
}

static void boot(void)
{
	smp_run(VM_IRQCHIP, NR, boot_bsp, boot_ap);
}

static void boot_x2(void)
{
	use_x2 = 1;
	smp_run(VM_IRQCHIP, NR, boot_bsp, boot_ap);
}

static void boot_split(void)
{
	use_x2 = 1;
	smp_run(VM_SPLIT, NR, boot_bsp, boot_ap);
}

/*
 * One CPU changes a mapping and sends IPIs; the others invalidate and from then on see the new
 * page only.
 */
#define VA	0x5000000000

static u64 *shoot_pte;
static u64 page_a[512] __attribute__((aligned(4096)));
static u64 page_b[512] __attribute__((aligned(4096)));
static volatile u64 round_now, acks;

static void shoot_handler(struct trap_frame *frame)
{
	(void)frame;
	invlpg(VA);
	GUEST_CHECK_EQ(*(volatile u64 *)VA, round_now & 1 ? 0xb : 0xa);
	__atomic_fetch_add(&acks, 1, __ATOMIC_SEQ_CST);
	apic_eoi();
}

static void shoot_ap(u64 cpu)
{
	(void)cpu;
	mode_set();
	trap_set(IPI, shoot_handler);
	__atomic_fetch_add(&online, 1, __ATOMIC_SEQ_CST);
	while (!go) {
		sti();
		GUEST_CHECK((*(volatile u64 *)VA | 1) == 0xb);
		cpu_relax();
	}
	cli();
}

static void shoot_bsp(u64 nr)
{
	u64 i;

	page_a[0] = 0xa;
	page_b[0] = 0xb;
	start_all(nr);
	for (i = 1; i <= 50; i++) {
		round_now = i;
		acks = 0;
		*(volatile u64 *)shoot_pte = (u64)(i & 1 ? page_b : page_a) | PTE_P | PTE_W;
		apic_icr(0, APIC_DEST_OTHERS | IPI);
		invlpg(VA);
		GUEST_CHECK_EQ(*(volatile u64 *)VA, i & 1 ? 0xb : 0xa);
		GUEST_WAIT(acks == nr - 1);
	}
	go = 1;
}

static void shootdown(void)
{
	struct vm *vm = vm_create(VM_IRQCHIP);
	unsigned int i;

	for (i = 0; i < NR; i++)
		vcpu_create(vm, i);
	vcpu_enter(vm->vcpus[0], shoot_bsp, NR);
	smp_prepare(vm, NR, shoot_ap);
	*vm_pte(vm, VA, 1) = (uintptr_t)page_a | PTE_P | PTE_W;
	/* The arena is mapped virtual = physical: the guest edits the entry in place. */
	shoot_pte = (u64 *)(VM_ARENA + ((u8 *)vm_pte(vm, VA, 1) - vm->arena));
	for (i = 0; i < NR; i++)
		vcpu_thread_start(vm->vcpus[i], NULL);
	for (i = 0; i < NR; i++)
		vcpu_thread_join(vm->vcpus[i]);
}

/* INIT stops a spinning CPU; the next SIPI starts it afresh. */
static volatile u64 beats, starts;

static void reset_ap(u64 cpu)
{
	(void)cpu;
	starts++;
	for (;;) {
		if (go && starts == 2)
			return;
		beats++;
	}
}

static void reset_bsp(void)
{
	u64 seen;

	apic_enable();
	apic_start_cpu(1, SMP_PAGE);
	GUEST_WAIT(beats > 1000);
	apic_icr(1, APIC_DM_INIT | APIC_ASSERT);
	guest_delay(20000000);	/* the other CPU's thread may be waiting for a CPU itself */
	seen = beats;
	guest_delay(3000000);
	GUEST_CHECK_EQ(beats, seen);
	GUEST_CHECK_EQ(starts, 1);
	*(volatile u64 *)0x8f28 = 1;	/* the trampoline's number of the next CPU */
	apic_icr(1, APIC_DM_STARTUP | APIC_ASSERT | SMP_PAGE);
	GUEST_WAIT(starts == 2);
	go = 1;
}

static void init_stops(void)
{
	smp_run(VM_IRQCHIP, 2, reset_bsp, reset_ap);
}

/* Without SIPI nothing runs; a SIPI to a running CPU is ignored. */
static void ignored_ap(u64 cpu)
{
	u64 i;

	(void)cpu;
	starts++;
	online = 1;
	for (i = 0; !go; i++)
		beats = i;
}

static void ignored_bsp(void)
{
	apic_enable();
	apic_icr(1, APIC_DM_INIT | APIC_ASSERT);
	guest_delay(1000000);
	GUEST_CHECK_EQ(starts, 0);
	apic_icr(1, APIC_DM_STARTUP | SMP_PAGE);
	GUEST_WAIT(online);
	apic_icr(1, APIC_DM_STARTUP | SMP_PAGE);
	guest_delay(1000000);
	GUEST_CHECK_EQ(starts, 1);
	go = 1;
}

static void sipi_ignored(void)
{
	smp_run(VM_IRQCHIP, 2, ignored_bsp, ignored_ap);
}

static const struct test_case cases[] = {
	{ "boot", boot, 60 },
	{ "boot_x2", boot_x2, 60 },
	{ "boot_split", boot_split, 60 },
	{ "shootdown", shootdown, 60 },
	{ "init_stops", init_stops, 60 },
	{ "sipi_ignored", sipi_ignored, 60 },
};

TEST_MAIN(cases)
