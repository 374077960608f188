// SPDX-License-Identifier: GPL-2.0-only
/*
 * Catches: an event that is lost, doubled or delivered where the CPU would not take it: interrupt
 * shadow, NMI blocking, windows, faults during delivery, double and triple faults, error codes
 * and return addresses.
 */
#define _GNU_SOURCE
#include <sys/mman.h>

#include "apic.h"
#include "trap.h"
#include "vcpu.h"

#define VECTOR	0x51

static void self_ipi(u8 vector)
{
	apic_icr(0, APIC_DEST_SELF | vector);
}

static volatile u64 seen_rip, seen_flags;

static void note_handler(struct trap_frame *frame)
{
	seen_rip = frame->rip;
	seen_flags = frame->rflags;
	trap_count_irq(frame);
}

extern const char shadow_after[];

/* An interrupt is pending: after STI one more instruction runs. STI, CLI: the window never opens. */
static bool shadow_holds(void)
{
	u64 before;

	self_ipi(VECTOR);
	asm volatile("sti\n nop\n shadow_after: nop\n cli\n" : : : "memory");
	if (seen_rip != (u64)shadow_after)
		return false;
	self_ipi(VECTOR);
	before = trap_count[VECTOR];
	asm volatile("sti\n cli\n nop\n" : : : "memory");
	if (trap_count[VECTOR] != before)
		return false;
	asm volatile("sti\n nop\n cli\n" : : : "memory");
	GUEST_CHECK_EQ(trap_count[VECTOR], before + 1);
	return true;
}

static void shadow_guest(u64 tries)
{
	u64 before;

	apic_enable();
	trap_set(VECTOR, note_handler);
	while (!shadow_holds())
		GUEST_CHECK(--tries);
	/* CPUID is emulated or intercepted: its skip ends the shadow too. */
	self_ipi(VECTOR);
	before = trap_count[VECTOR];
	asm volatile("sti\n cpuid\n nop\n cli\n" : : "a"(0) : "rbx", "rcx", "rdx", "memory");
	GUEST_CHECK_EQ(trap_count[VECTOR], before + 1);
}

/* QEMU's TCG forgets a shadow in which an interrupt of the host's ends the guest: another try there. */
static void interrupt_shadow(void)
{
	vcpu_run_done(vcpu_start(VM_IRQCHIP, shadow_guest, dev_host_is_tcg() ? 4 : 1, 0));
}

extern const char kept_sti[], kept_after[];

/* Is put behind the STI without having executed it. */
static void kept_guest(void)
{
	apic_enable();
	trap_set(VECTOR, note_handler);
	self_ipi(VECTOR);
	asm volatile("out %%al, $0x80\n kept_sti: sti\n nop\n kept_after: nop\n cli\n"
		     : : : "memory");
	GUEST_CHECK_EQ(seen_rip, (u64)kept_after);
	GUEST_CHECK_EQ(trap_count[VECTOR], 1);
}

/* The shadow goes with the vCPU's state when it is saved between STI and what STI shields. */
static void shadow_kept(void)
{
	struct vcpu *vcpu = vcpu_start(VM_IRQCHIP, kept_guest, 0, 0);
	struct kvm_vcpu_events ev;
	struct kvm_regs regs;

	if (dev_host_is_tcg())	/* VMRUN does not load it from the VMCB */
		test_skip("QEMU's TCG");
	vcpu_run_exit(vcpu, KVM_EXIT_IO);
	SYS(ioctl(vcpu->fd, KVM_GET_REGS, &regs));
	SYS(ioctl(vcpu->fd, KVM_GET_VCPU_EVENTS, &ev));
	regs.rip = (u64)kept_sti + 1;
	regs.rflags |= X86_EFLAGS_IF;
	ev.interrupt.shadow = KVM_X86_SHADOW_INT_STI;
	ev.flags = KVM_VCPUEVENT_VALID_SHADOW;
	SYS(ioctl(vcpu->fd, KVM_SET_REGS, &regs));
	SYS(ioctl(vcpu->fd, KVM_SET_VCPU_EVENTS, &ev));
	vcpu_run_done(vcpu);
}

static volatile u64 nmi_depth, nmi_max;

static void nmi_handler(struct trap_frame *frame)
{
	u64 i;

	trap_count_only(frame);
	nmi_depth++;
	if (nmi_depth > nmi_max)
		nmi_max = nmi_depth;
	/* Another NMI waits until IRET. */
	if (trap_count[NMI_VECTOR] == 1) {
		for (i = 0; i < 3; i++)
			apic_icr(0, APIC_DM_NMI | APIC_ASSERT);
		guest_delay(50000);
		cpuid(0, 0);
		GUEST_CHECK_EQ(trap_count[NMI_VECTOR], 1);
	}
	nmi_depth--;
}

static void nmi_guest(void)
{
	apic_enable();
	trap_set(NMI_VECTOR, nmi_handler);
	apic_icr(0, APIC_DM_NMI | APIC_ASSERT);
	GUEST_WAIT(trap_count[NMI_VECTOR] >= 2);
	guest_delay(50000);
	cpuid(0, 0);
	/* Three while blocked collapse: one or two are delivered, the SDM promises at least one. */
	GUEST_CHECK(trap_count[NMI_VECTOR] <= 3);
	GUEST_CHECK_EQ(nmi_max, 1);
	/* The ioctl's, with interrupts off. */
	u64 was = trap_count[NMI_VECTOR];

	GUEST_SYNC(1);
	GUEST_CHECK_EQ(trap_count[NMI_VECTOR], was + 1);
}

static void nmi(void)
{
	struct vcpu *vcpu = vcpu_start(VM_IRQCHIP, nmi_guest, 0, 0);

	vcpu_run_sync(vcpu, 1);
	SYS(ioctl(vcpu->fd, KVM_NMI, 0UL));
	vcpu_run_done(vcpu);
}

/* A fault inside the NMI handler: its IRET unblocks NMIs, as on hardware. */
static void nmi_fault_handler(struct trap_frame *frame)
{
	u64 value;

	trap_count_only(frame);
	if (trap_count[NMI_VECTOR] > 1)
		return;
	apic_icr(0, APIC_DM_NMI | APIC_ASSERT);
	GUEST_CHECK_EQ(trap_count[NMI_VECTOR], 1);
	rdmsr_safe(0x12345, &value);
	cpuid(0, 0);
	GUEST_CHECK_EQ(trap_count[NMI_VECTOR], 2);
}

static void nmi_fault_guest(void)
{
	apic_enable();
	trap_set(NMI_VECTOR, nmi_fault_handler);
	apic_icr(0, APIC_DM_NMI | APIC_ASSERT);
	GUEST_WAIT(trap_count[NMI_VECTOR] == 2);
}

static void nmi_iret(void)
{
	vcpu_run_done(vcpu_start(VM_IRQCHIP, nmi_fault_guest, 0, 0));
}

/* The stack of the interrupted code lies in a page that the host has not mapped yet. */
#define COLD	VM_TEST_GPA
#define COLD_PAGES	64

static u64 on_stack(void (*fn)(void), u64 stack)
{
	u64 saved;

	asm volatile("mov %%rsp, %%rbx\n mov %[stack], %%rsp\n call *%[fn]\n mov %%rbx, %%rsp\n"
		     : "=a"(saved) : [stack] "r"(stack), [fn] "r"(fn)
		     : "rbx", "rcx", "rdx", "rsi", "rdi", "r8", "r9", "r10", "r11", "memory");
	return saved;
}

static volatile u64 cold_ready;

static void cold_sti(void)
{
	asm volatile("sti\n nop\n nop\n cli" : : : "memory");
}

static void cold_guest(void)
{
	u64 i, stack;

	apic_enable();
	trap_set(VECTOR, trap_count_irq);
	for (i = 0; i < COLD_PAGES; i++) {
		/*
		 * The call's return address is the last word of the page above; the frame goes
		 * below it.
		 */
		stack = COLD + (2 * i + 1) * PAGE + 8;
		self_ipi(VECTOR);
		on_stack(cold_sti, stack);
		GUEST_CHECK_EQ(trap_count[VECTOR], i + 1);
	}
	/* The same for exceptions, whose error code must survive. */
	for (i = COLD_PAGES; i < 2 * COLD_PAGES; i++) {
		u64 value;
		struct guest_fault f;

		stack = COLD + (2 * i + 1) * PAGE;
		asm volatile("mov %%rsp, %%rbx\n mov %[stack], %%rsp\n"
			     GUEST_TRY("mov (%[bad]), %[value]")
			     "mov %%rbx, %%rsp\n"
			     "mov %%r9d, %[v]\n mov %%r10d, %[e]\n"
			     : [value] "=&a"(value), [v] "=&c"(f.vector), [e] "=&d"(f.error)
			     : [stack] "S"(stack), [bad] "D"(0x6000000000 + i * PAGE)
			     : "rbx", "r9", "r10", "memory");
		GUEST_CHECK_EQ(f.vector & 0xff, PF_VECTOR);
		GUEST_CHECK_EQ(f.error, 0);
		GUEST_CHECK_EQ(read_cr2(), 0x6000000000 + i * PAGE);
	}
}

static void cold_stack(void)
{
	struct vcpu *vcpu = vcpu_start(VM_IRQCHIP, cold_guest, 0, 0);

	vm_add_anon(vcpu->vm, VM_SLOT_TEST, 0, COLD, 4 * COLD_PAGES * PAGE);
	(void)cold_ready;
	vcpu_run_done(vcpu);
}

/* The IDT itself lies in a page that goes away between the interrupts. */
static void cold_idt_guest(u64 rounds)
{
	u64 i;

	apic_enable();
	trap_set(VECTOR, trap_count_irq);
	for (i = 0; i < rounds; i++) {
		GUEST_SYNC(i);
		self_ipi(VECTOR);
		sti_nop_cli();
		GUEST_CHECK_EQ(trap_count[VECTOR], i + 1);
		GUEST_CHECK_EQ(GUEST_INSN_SAFE("ud2").vector, UD_VECTOR);
	}
}

static void cold_idt(void)
{
	struct vcpu *vcpu = vcpu_start(VM_IRQCHIP, cold_idt_guest, 20, 0);
	u8 *old = vm_host(vcpu->vm, vcpu->vm->idt), *copy;
	u64 i;

	for (i = 0; i < 20; i++) {
		vcpu_run_sync(vcpu, i);
		/* A new page with the same contents: the guest's mapping of the IDT is gone. */
		copy = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		memcpy(copy, old, PAGE);
		CHECK(mremap(copy, PAGE, PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, old) == old);
	}
	vcpu_run_done(vcpu);
}

/* #PF whose handler's gate is not present: #NP in delivery of a #PF is a double fault. */
static volatile u64 df_cr2;

static void df_handler(struct trap_frame *frame)
{
	GUEST_CHECK_EQ(frame->error, 0);
	df_cr2 = read_cr2();
	trap_count_only(frame);
	guest_done();
}

/*
 * QEMU's TCG takes the first exception for the one under delivery when the second-level tables lack the
 * stack of a double fault: there it is touched before. Real KVM needs that as well.
 */
static void df_guest(u64 idt, u64 tcg)
{
	if (tcg) {
		((volatile struct trap_gate *)idt)[BP_VECTOR].ist = 1;
		trap_set(BP_VECTOR, trap_count_only);
		asm volatile("int3");
	}
	((volatile struct trap_gate *)idt)[PF_VECTOR].type = 0x0e;
	((volatile struct trap_gate *)idt)[DF_VECTOR].ist = 1;
	trap_set(DF_VECTOR, df_handler);
	*(volatile u64 *)0x6000001000 = 1;
}

/*
 * With shadow paging the first fault is injected, and QEMU's TCG does not remember that when a second one
 * comes of it: the guest gets that alone. Real KVM has the same there with npt=0.
 */
static void skip_injected_first(void)
{
	if (dev_host_is_tcg() && dev_shadow_paging())
		test_skip("QEMU's TCG");
}

static void double_fault(void)
{
	struct vcpu *vcpu;

	skip_injected_first();
	vcpu = vcpu_create(vm_create(0), 0);
	vcpu_enter(vcpu, df_guest, vcpu->vm->idt, dev_host_is_tcg());
	vcpu_run_done(vcpu);
	CHECK_EQ(trap_count[DF_VECTOR], 1);
	CHECK_EQ(df_cr2, 0x6000001000);
}

/* A benign exception in front is no double fault: #UD through a missing gate is just #NP. */
static void np_guest(u64 idt, u64 tcg)
{
	struct guest_fault f;

	((volatile struct trap_gate *)idt)[UD_VECTOR].type = 0x0e;
	f = GUEST_INSN_SAFE("ud2");
	GUEST_CHECK_EQ(f.vector, NP_VECTOR);
	/* The bit for external events is set by some CPUs; QEMU counts gates of 16 bytes. */
	GUEST_CHECK_EQ(f.error & ~1, UD_VECTOR * (tcg ? 16 : 8) + 2);
}

static void not_present_gate(void)
{
	struct vcpu *vcpu = vcpu_create(vm_create(0), 0);

	vcpu_enter(vcpu, np_guest, vcpu->vm->idt, dev_host_is_tcg());
	vcpu_run_done(vcpu);
}

static void triple_guest(u64 idt)
{
	((volatile struct trap_gate *)idt)[PF_VECTOR].type = 0x0e;
	((volatile struct trap_gate *)idt)[DF_VECTOR].type = 0x0e;
	*(volatile u64 *)0x6000001000 = 1;
}

static void triple_fault(void)
{
	struct vcpu *vcpu;

	skip_injected_first();
	vcpu = vcpu_create(vm_create(0), 0);
	vcpu_enter(vcpu, triple_guest, vcpu->vm->idt);
	vcpu_run_exit(vcpu, KVM_EXIT_SHUTDOWN);
}

/* Error codes and vectors as the CPU makes them. */
static void error_codes_guest(u64 ro_page, u64 nx_page)
{
	struct guest_fault f;
	u64 value;

	f = read_safe((void *)0x6000000000, &value);
	GUEST_CHECK_EQ(f.vector, PF_VECTOR);
	GUEST_CHECK_EQ(f.error, 0);
	f = write_safe((void *)0x6000000000, 1);
	GUEST_CHECK_EQ(f.error, 2);
	f = write_safe((void *)ro_page, 1);
	GUEST_CHECK_EQ(f.vector, PF_VECTOR);
	GUEST_CHECK_EQ(f.error, 3);
	GUEST_CHECK_EQ(read_cr2(), ro_page);
	GUEST_CHECK_EQ(read_safe((void *)ro_page, &value).vector, GUEST_NO_FAULT);
	GUEST_CHECK_EQ(*(volatile u8 *)nx_page, 0xc3);
}

static void segment_guest(u64 tcg)
{
	struct guest_fault f;

	f = GUEST_INSN_SAFE("mov %%ax, %%ds", "a"(0x1230));
	GUEST_CHECK_EQ(f.vector, GP_VECTOR);
	GUEST_CHECK_EQ(f.error, 0x1230);
	f = GUEST_INSN_SAFE("mov %%ax, %%ss", "a"(0));
	GUEST_CHECK_EQ(f.vector, GUEST_NO_FAULT);
	f = GUEST_INSN_SAFE("ltr %%ax", "a"(GUEST_DATA));
	GUEST_CHECK_EQ(f.vector, GP_VECTOR);
	GUEST_CHECK_EQ(f.error, GUEST_DATA);
	f = GUEST_INSN_SAFE("mov %%rax, %%cr0", "a"(X86_CR0_PG));
	GUEST_CHECK_EQ(f.vector, GP_VECTOR);
	f = GUEST_INSN_SAFE("mov %%rax, %%cr4", "a"(X86_CR4_PAE | BIT(31)));
	GUEST_CHECK_EQ(f.vector, GP_VECTOR);
	f = GUEST_INSN_SAFE("mov %%rax, %%cr4", "a"(0));
	GUEST_CHECK_EQ(f.vector, GP_VECTOR);
	if (!tcg) {
		f = GUEST_INSN_SAFE("mov %%rax, %%cr8", "a"(16));
		GUEST_CHECK_EQ(f.vector, GP_VECTOR);
	}
	f = GUEST_INSN_SAFE("int3");
	GUEST_CHECK_EQ(f.vector, GUEST_NO_FAULT);
}

static volatile u64 bp_rip;

static void bp_handler(struct trap_frame *frame)
{
	bp_rip = frame->rip;
	trap_count_only(frame);
}

extern const char bp_after[];

static void soft_guest(u64 tcg)
{
	trap_set(BP_VECTOR, bp_handler);
	asm volatile("int3\n bp_after:\n" : : : "memory");
	GUEST_CHECK_EQ(trap_count[BP_VECTOR], 1);
	GUEST_CHECK_EQ(bp_rip, (u64)bp_after);
	trap_set(0x80, trap_count_only);
	asm volatile("int $0x80" : : : "memory");
	GUEST_CHECK_EQ(trap_count[0x80], 1);
	segment_guest(tcg);
}

static void soft_and_segment(void)
{
	vcpu_run_done(vcpu_start(VM_IRQCHIP, soft_guest, dev_host_is_tcg(), 0));
}

static void error_codes(void)
{
	struct vcpu *vcpu = vcpu_create(vm_create(0), 0);
	u8 *mem = vm_add_anon(vcpu->vm, VM_SLOT_TEST, 0, VM_TEST_GPA, 2 * PAGE);

	mem[PAGE] = 0xc3;
	*vm_pte(vcpu->vm, VM_TEST_GPA, 1) &= ~PTE_W;
	*vm_pte(vcpu->vm, VM_TEST_GPA + PAGE, 1) |= PTE_NX;
	vcpu_enter(vcpu, error_codes_guest, VM_TEST_GPA, VM_TEST_GPA + PAGE);
	vcpu_run_done(vcpu);
}

/* Userspace injects by KVM_INTERRUPT, and is told when the window opens. */
static void window_guest(void)
{
	trap_set(VECTOR, trap_count_only);
	GUEST_SYNC(1);
	cpuid(0, 0);
	GUEST_CHECK_EQ(trap_count[VECTOR], 0);
	sti();
	asm volatile("nop; nop");
	GUEST_SYNC(2);
	GUEST_CHECK_EQ(trap_count[VECTOR], 1);
	cli();
}

static void user_window(void)
{
	struct vcpu *vcpu = vcpu_start(0, window_guest, 0, 0);
	struct kvm_interrupt irq = { .irq = VECTOR };

	vcpu_run_sync(vcpu, 1);
	CHECK_EQ(vcpu->run->if_flag, 0);
	CHECK_EQ(vcpu->run->ready_for_interrupt_injection, 0);
	vcpu->run->request_interrupt_window = 1;
	vcpu_run_exit(vcpu, KVM_EXIT_IRQ_WINDOW_OPEN);
	CHECK_EQ(vcpu->run->if_flag, 1);
	CHECK_EQ(vcpu->run->ready_for_interrupt_injection, 1);
	vcpu->run->request_interrupt_window = 0;
	SYS(ioctl(vcpu->fd, KVM_INTERRUPT, &irq));
	vcpu_run_sync(vcpu, 2);
	vcpu_run_done(vcpu);
}

/* SET_VCPU_EVENTS gives an exception and an interrupt as if they had been under way. */
static void events_guest(void)
{
	GUEST_SYNC(1);
	cpuid(0, 0);
}

static volatile u64 injected_error;

static void gp_handler(struct trap_frame *frame)
{
	injected_error = frame->error;
	trap_count_only(frame);
}

static void set_events(void)
{
	struct vcpu *vcpu = vcpu_start(VM_IRQCHIP, events_guest, 0, 0);
	struct kvm_vcpu_events ev;

	trap_set(GP_VECTOR, gp_handler);
	vcpu_run_sync(vcpu, 1);
	vcpu_complete(vcpu);
	SYS(ioctl(vcpu->fd, KVM_GET_VCPU_EVENTS, &ev));
	ev.exception.injected = 1;
	ev.exception.nr = GP_VECTOR;
	ev.exception.has_error_code = 1;
	ev.exception.error_code = 0x1238;
	SYS(ioctl(vcpu->fd, KVM_SET_VCPU_EVENTS, &ev));
	vcpu_run_done(vcpu);
	CHECK_EQ(trap_count[GP_VECTOR], 1);
	CHECK_EQ(injected_error, 0x1238);
}

static const struct test_case cases[] = {
	{ "interrupt_shadow", interrupt_shadow },
	{ "shadow_kept", shadow_kept },
	{ "nmi", nmi },
	{ "nmi_iret", nmi_iret },
	{ "cold_stack", cold_stack },
	{ "cold_idt", cold_idt },
	{ "double_fault", double_fault },
	{ "not_present_gate", not_present_gate },
	{ "triple_fault", triple_fault },
	{ "error_codes", error_codes },
	{ "soft_and_segment", soft_and_segment },
	{ "user_window", user_window },
	{ "set_events", set_events },
};

TEST_MAIN(cases)
