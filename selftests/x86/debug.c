// SPDX-License-Identifier: GPL-2.0-only
/*
 * Catches: a debugger's step or breakpoint that stops in the wrong place, leaks TF into the
 * guest's flags, or takes away the debug registers that the guest uses itself.
 */
#include "apic.h"
#include "trap.h"
#include "vcpu.h"

static void debug_set(struct vcpu *vcpu, u32 control, u64 dr0, u64 dr7)
{
	struct kvm_guest_debug debug = {
		.control = control, .arch.debugreg = { [0] = dr0, [7] = dr7 },
	};

	SYS(ioctl(vcpu->fd, KVM_SET_GUEST_DEBUG, &debug));
}

static void expect_debug(struct vcpu *vcpu, u32 exception, const char *pc, u64 dr6)
{
	vcpu_run_exit(vcpu, KVM_EXIT_DEBUG);
	CHECK_EQ(vcpu->run->debug.arch.exception, exception);
	CHECK_EQ(vcpu->run->debug.arch.pc, (uintptr_t)pc);
	if (exception == DB_VECTOR)
		CHECK_EQ(vcpu->run->debug.arch.dr6, dr6);
}

extern const char step_0[], step_1[], step_2[], step_3[], step_4[], step_5[];

static u64 step_word __attribute__((used));

/* A function without a frame, so that it can be entered like any. */
asm(".pushsection .text\n"
    "step_0: nop\n"
    "step_1: xor %eax, %eax\n"
    "step_2: cpuid\n"
    "step_3: mov $0x10, %ecx\n"
    "step_4: rdmsr\n"
    "step_5: pushfq\n"
    "	pop step_word\n"
    "	ret\n"
    ".popsection\n");

static void single_step(void)
{
	static const char *const pc[] = { step_1, step_2, step_3, step_4, step_5 };
	struct vcpu *vcpu = vcpu_start(0, (void *)step_0, 0, 0);
	size_t i;

	debug_set(vcpu, KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_SINGLESTEP, 0, 0x400);
	for (i = 0; i < ARRAY_SIZE(pc); i++) {
		expect_debug(vcpu, DB_VECTOR, pc[i], 0xffff4ff0);
		CHECK(!(vcpu_regs(vcpu).rflags & X86_EFLAGS_TF));
	}
	debug_set(vcpu, 0, 0, 0);
	vcpu_run_done(vcpu);
	CHECK(!(step_word & X86_EFLAGS_TF));
}

extern const char hw_0[], hw_1[];

static volatile u64 watched;

static void hw_guest(void)
{
	asm volatile("hw_0: nop\n hw_1: nop\n");
	watched = 5;
	asm volatile("nop");
}

static void hardware(void)
{
	struct vcpu *vcpu = vcpu_start(0, hw_guest, 0, 0);

	/* It does not look at the DR7 that VMRUN loads. */
	if (dev_host_is_tcg())
		test_skip("QEMU's TCG");
	debug_set(vcpu, KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_USE_HW_BP, (uintptr_t)hw_1, 0x402);
	expect_debug(vcpu, DB_VECTOR, hw_1, 0xffff0ff1);
	/* A write of the word: stops behind the instruction. */
	debug_set(vcpu, KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_USE_HW_BP, (uintptr_t)&watched,
		  0x402 | 0x1 << 16 | 0x3 << 18);
	vcpu_run_exit(vcpu, KVM_EXIT_DEBUG);
	CHECK_EQ(vcpu->run->debug.arch.dr6, 0xffff0ff1);
	CHECK_EQ(watched, 5);
	debug_set(vcpu, 0, 0, 0);
	vcpu_run_done(vcpu);
}

extern const char sw_0[], sw_1[];

static void sw_guest(void)
{
	asm volatile("sw_0: int3\n sw_1: nop\n");
}

static void software(void)
{
	struct vcpu *vcpu = vcpu_start(0, sw_guest, 0, 0);
	struct kvm_regs regs;

	/* Debian's kernel on QEMU's AMD answers with a shutdown. */
	if (dev_host_is_tcg())
		test_skip("QEMU's TCG");
	debug_set(vcpu, KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_USE_SW_BP, 0, 0);
	expect_debug(vcpu, BP_VECTOR, sw_0, 0);
	regs = vcpu_regs(vcpu);
	CHECK_EQ(regs.rip, (uintptr_t)sw_0);
	regs.rip++;
	vcpu_set_regs(vcpu, &regs);
	vcpu_run_done(vcpu);
}

/* Without a debugger the guest's own breakpoints work. */
static volatile u64 db_rip, db_dr6;

static void db_handler(struct trap_frame *frame)
{
	db_rip = frame->rip;
	db_dr6 = read_dr6();
	write_dr6(0xffff0ff0);
	frame->rflags |= BIT(16);
	frame->rflags &= ~X86_EFLAGS_TF;
	trap_count_only(frame);
}

extern const char own_0[];

static void own_guest(void)
{
	trap_set(DB_VECTOR, db_handler);
	write_dr0((u64)own_0);
	write_dr7(0x402);
	asm volatile("own_0: nop\n");
	GUEST_CHECK_EQ(trap_count[DB_VECTOR], 1);
	GUEST_CHECK_EQ(db_rip, (u64)own_0);
	GUEST_CHECK_EQ(db_dr6, 0xffff0ff1);
	write_dr7(0x400);
	/* A data breakpoint. */
	write_dr1((u64)&watched);
	write_dr7(0x400 | 0x8 | 0x1 << 20 | 0x3 << 22);
	watched = 6;
	write_dr7(0x400);
	GUEST_CHECK_EQ(trap_count[DB_VECTOR], 2);
	GUEST_CHECK_EQ(db_dr6, 0xffff0ff2);
}

/* TF over one instruction that exits, with EAX, ECX and EDX as it wants them. */
#define OWN_STEP(insn, a, c, d)								\
	do {										\
		u64 rip, rax = (a), rcx = (c), rdx = (d), was = trap_count[DB_VECTOR];	\
											\
		asm volatile("lea 1f(%%rip), %0\n pushfq\n orq $0x100, (%%rsp)\n popfq\n"	\
			     insn "\n 1: nop\n"						\
			     : "=&r" (rip), "+a" (rax), "+c" (rcx), "+d" (rdx) : : "rbx", "memory"); \
		GUEST_CHECK_EQ(trap_count[DB_VECTOR], was + 1);				\
		GUEST_CHECK_EQ(db_dr6, 0xffff4ff0);					\
		GUEST_CHECK_EQ(db_rip, rip);						\
	} while (0)

#define PIC_MASK	0x21
#define MSR_POWER_CTL	0x1fc

/* One of each that may be served without leaving the loop around the guest, and a write that is not. */
static void own_step_guest(void)
{
	int i;

	trap_set(DB_VECTOR, db_handler);
	OWN_STEP("cpuid", 0, 0, 0);
	OWN_STEP("rdmsr", 0, MSR_MISC_ENABLE, 0);
	OWN_STEP("rdmsr", 0, MSR_APIC_BASE, 0);
	OWN_STEP("wrmsr", 0, MSR_POWER_CTL, 0);
	OWN_STEP("wrmsr", 0x1000, MSR_TSC_ADJUST, 0);
	OWN_STEP("wrmsr", 0x06, MSR_PAT, 0);
	OWN_STEP("in %%dx, %%al", 0, 0, PIC_MASK);
	OWN_STEP("out %%al, %%dx", 0xff, 0, PIC_MASK);
	for (i = 0; i < 3; i++)
		OWN_STEP("mov (%%rdx), %%eax", 0, 0, IOAPIC_BASE_GPA);
	for (i = 0; i < 3; i++)
		OWN_STEP("mov %%eax, (%%rdx)", 0, 0, IOAPIC_BASE_GPA);
}

/*
 * General detect: an access of a debug register itself. The handler's own accesses are free: #DB
 * clears GD.
 */
static void detect_guest(void)
{
	trap_set(DB_VECTOR, db_handler);
	write_dr7(0x2400);
	asm volatile("mov %%dr0, %%rax\n" : : : "rax");
	GUEST_CHECK_EQ(trap_count[DB_VECTOR], 1);
	GUEST_CHECK_EQ(db_dr6, 0xffff2ff0);
}

static void general_detect(void)
{
	if (dev_host_is_tcg())
		test_skip("QEMU's TCG");
	vcpu_run_done(vcpu_start(0, detect_guest, 0, 0));
}

static void guests_own(void)
{
	/* VMRUN there does not arm the breakpoints of the DR7 it loads. */
	if (dev_host_is_tcg())
		test_skip("QEMU's TCG");
	vcpu_run_done(vcpu_start(0, own_guest, 0, 0));
}

static void guests_step(void)
{
	vcpu_run_done(vcpu_start(VM_IRQCHIP, own_step_guest, 0, 0));
}

/*
 * The host's debug registers are not the guest's: a vCPU with breakpoints on, one without, by
 * turns.
 */
static void turns_guest(u64 value)
{
	u64 i;

	write_dr0(value);
	write_dr7(0x400 | (value & 0x2));
	for (i = 0; i < 5; i++) {
		GUEST_SYNC(i);
		GUEST_CHECK_EQ(read_dr0(), value);
		GUEST_CHECK_EQ(read_dr7(), 0x400 | (value & 0x2));
	}
}

static void isolation(void)
{
	struct vm *vm = vm_create(0);
	struct vcpu *a = vcpu_create(vm, 0), *b = vcpu_create(vm, 1);
	u64 i;

	vcpu_enter(a, turns_guest, 0x10002);
	vcpu_enter(b, turns_guest, 0x20000);
	for (i = 0; i < 5; i++) {
		vcpu_run_sync(a, i);
		vcpu_run_sync(b, i);
	}
	vcpu_run_done(a);
	vcpu_run_done(b);
}

static const struct test_case cases[] = {
	{ "single_step", single_step },
	{ "hardware", hardware },
	{ "software", software },
	{ "guests_own", guests_own },
	{ "guests_step", guests_step },
	{ "general_detect", general_detect },
	{ "isolation", isolation },
};

TEST_MAIN(cases)
