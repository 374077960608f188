// SPDX-License-Identifier: GPL-2.0-only
/*
 * Catches: smaller promises of the API that nothing else holds: statistics descriptors,
 * asynchronous page faults, PAUSE loops, WBINVD and friends, the interrupt bitmap, a boot CPU
 * other than 0, a limit on vCPU ids, what a thread keeps when it takes over a vCPU, an
 * instruction in two pages.
 */
#define _GNU_SOURCE
#include <asm/prctl.h>
#include <linux/kvm_para.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "apic.h"
#include "trap.h"
#include "vcpu.h"

static void insn_guest(void)
{
	u64 i;

	for (i = 0; i < 1000; i++)
		cpu_relax();
	asm volatile("wbinvd" : : : "memory");
	asm volatile("invd" : : : "memory");
	asm volatile("clts");
	GUEST_CHECK_EQ(GUEST_INSN_SAFE("rdpmc", "c"(0x7fffffff)).vector, GP_VECTOR);
	GUEST_CHECK_EQ(GUEST_INSN_SAFE("rsm").vector, UD_VECTOR);
	/* Nested virtualization is not there for a guest that was not given it. */
	GUEST_CHECK_EQ(GUEST_INSN_SAFE("vmxoff").vector, UD_VECTOR);
	GUEST_CHECK_EQ(GUEST_INSN_SAFE("vmrun %%rax", "a"(0)).vector, UD_VECTOR);
	GUEST_CHECK(rdtsc() < rdtsc());
	write_cr4(read_cr4() | X86_CR4_TSD);
	GUEST_CHECK(rdtsc());
	write_cr4(read_cr4() & ~X86_CR4_TSD);
}

/* CPUID without the vendor's nesting bits. */
static void instructions(void)
{
	struct vcpu *vcpu = vcpu_create_raw(vm_create(0), 0);
	struct dev_cpuid set;

	vcpu_default_cpuid(0, &set);
	dev_cpuid_find(&set, 1, 0)->ecx &= ~BIT(5);
	dev_cpuid_find(&set, 0x80000001, 0)->ecx &= ~BIT(2);
	vcpu_set_cpuid(vcpu, &set);
	vcpu_enter(vcpu, insn_guest, 0);
	vcpu_run_done(vcpu);
}

static void boot_cpu(void)
{
	struct vm *vm = vm_create(VM_IRQCHIP | VM_BARE);

	SYS(ioctl(vm->fd, KVM_SET_BOOT_CPU_ID, 1UL));
	vcpu_create(vm, 0);
	vcpu_create(vm, 1);
	CHECK_ERRNO(ioctl(vm->fd, KVM_SET_BOOT_CPU_ID, 0UL), EBUSY);
	CHECK_EQ(vcpu_sregs(vm->vcpus[0]).apic_base & BIT(8), 0);
	CHECK_EQ(vcpu_sregs(vm->vcpus[1]).apic_base & BIT(8), BIT(8));
	CHECK_EQ(vcpu_mp_state(vm->vcpus[0]), KVM_MP_STATE_UNINITIALIZED);
	CHECK_EQ(vcpu_mp_state(vm->vcpus[1]), KVM_MP_STATE_RUNNABLE);
}

static void max_vcpu_id(void)
{
	struct vm *vm = vm_create(VM_IRQCHIP | VM_BARE);
	struct kvm_enable_cap cap = { .cap = KVM_CAP_MAX_VCPU_ID };
	u64 most = dev_cap(KVM_CAP_MAX_VCPU_ID);

	cap.args[0] = most + 1;
	CHECK_ERRNO(ioctl(vm->fd, KVM_ENABLE_CAP, &cap), EINVAL);
	cap.args[0] = 10;
	SYS(ioctl(vm->fd, KVM_ENABLE_CAP, &cap));
	cap.args[0] = 12;
	CHECK_ERRNO(ioctl(vm->fd, KVM_ENABLE_CAP, &cap), EINVAL);
	CHECK_ERRNO(ioctl(vm->fd, KVM_CREATE_VCPU, 10UL), EINVAL);
	vcpu_create(vm, 9);
}

/* Header, name, descriptors and values of a statistics descriptor hang together. */
static void stats_check(int fd)
{
	struct kvm_stats_header header;
	struct kvm_stats_desc *desc;
	char descs[64 * 1024], id[64];
	u64 value;
	u32 i, stride;

	CHECK_EQ(read(fd, &header, sizeof(header)), sizeof(header));
	CHECK_LE(header.name_size, 64);
	CHECK_GE(header.num_desc, 1);
	CHECK_GE(header.desc_offset, header.id_offset);
	CHECK_EQ(header.data_offset & 7, 0);
	CHECK_GE(pread(fd, id, sizeof(id), header.id_offset), 4);
	stride = sizeof(*desc) + header.name_size;
	CHECK_LE(stride * header.num_desc, sizeof(descs));
	CHECK_EQ(pread(fd, descs, stride * header.num_desc, header.desc_offset),
			stride * header.num_desc);
	for (i = 0; i < header.num_desc; i++) {
		desc = (void *)(descs + i * stride);
		CHECK_GE(desc->size, 1);
		CHECK(desc->name[0] && strnlen(desc->name, header.name_size) < header.name_size);
		CHECK_EQ(pread(fd, &value, 8, header.data_offset + desc->offset), 8);
	}
}

static void statistics(void)
{
	struct vm *vm = vm_create(VM_IRQCHIP);
	struct vcpu *vcpu = vcpu_create(vm, 0);

	dev_require_cap(KVM_CAP_BINARY_STATS_FD);
	stats_check(SYS(ioctl(vm->fd, KVM_GET_STATS_FD, 0UL)));
	stats_check(SYS(ioctl(vcpu->fd, KVM_GET_STATS_FD, 0UL)));
}

/* SREGS' interrupt bitmap: an interrupt that was acknowledged but not delivered. */
static void bitmap_guest(void)
{
	sti();
	GUEST_SYNC(1);
	cli();
	GUEST_CHECK_EQ(trap_count[0x55], 1);
}

static void interrupt_bitmap(void)
{
	struct vcpu *vcpu = vcpu_start(0, bitmap_guest, 0, 0);
	struct kvm_interrupt irq = { .irq = 0x55 };
	struct kvm_sregs sregs;

	trap_set(0x55, trap_count_only);
	vcpu_run_sync(vcpu, 1);
	vcpu_complete(vcpu);
	SYS(ioctl(vcpu->fd, KVM_INTERRUPT, &irq));
	sregs = vcpu_sregs(vcpu);
	CHECK_EQ(sregs.interrupt_bitmap[0x55 / 64], BIT(0x55 % 64));
	vcpu_set_sregs(vcpu, &sregs);
	vcpu_run_done(vcpu);
}

/*
 * Asynchronous page faults by interrupt: the guest registers, the host makes a page slow (not
 * there yet, brought by the file), and the guest never sees a fault that it did not ask for. What
 * arrives is a matter of timing.
 */
static struct {
	u32 flags, token;
	u8 pad[56];
} async_page __attribute__((aligned(64)));

static void async_guest(u64 pages)
{
	u64 i, sum = 0;

	apic_enable();
	trap_set(0x71, trap_count_irq);
	GUEST_CHECK_EQ(wrmsr_safe(MSR_KVM_ASYNC_PF_EN, (u64)&async_page | BIT(5) | 1).vector,
			GP_VECTOR);
	wrmsr(MSR_KVM_ASYNC_PF_INT, 0x71);
	wrmsr(MSR_KVM_ASYNC_PF_EN, (u64)&async_page | BIT(3) | 1);
	GUEST_CHECK_EQ(rdmsr(MSR_KVM_ASYNC_PF_INT), 0x71);
	for (i = 0; i < pages; i++)
		sum += *(volatile u64 *)(VM_TEST_GPA + i * PAGE);
	wrmsr(MSR_KVM_ASYNC_PF_EN, 0);
	guest_sync(1, sum, 0, 0);
}

static void async_page_fault(void)
{
	struct vcpu *vcpu;
	u64 *mem, i;

	if (!dev_cpuid_has(0x40000001, 0, 'a', 14))
		test_skip("no async page fault by interrupt");
	vcpu = vcpu_start(VM_IRQCHIP, async_guest, 64, 0);
	mem = vm_add_anon(vcpu->vm, VM_SLOT_TEST, 0, VM_TEST_GPA, 64 * PAGE);
	for (i = 0; i < 64; i++)
		mem[i * 512] = i;
	CHECK_EQ(vcpu_run_ucall(vcpu)->args[1], 64 * 63 / 2);
	CHECK_EQ(async_page.flags, 0);
}

/* A capability that is offered has its ioctl; one that is not has none. */
static void promised_caps(void)
{
	static const int needed[] = {
		KVM_CAP_IRQCHIP, KVM_CAP_HLT, KVM_CAP_USER_MEMORY, KVM_CAP_SET_TSS_ADDR,
		KVM_CAP_EXT_CPUID,
		KVM_CAP_MP_STATE, KVM_CAP_COALESCED_MMIO, KVM_CAP_DESTROY_MEMORY_REGION_WORKS,
		KVM_CAP_USER_NMI, KVM_CAP_IRQ_ROUTING, KVM_CAP_IRQ_INJECT_STATUS,
		KVM_CAP_JOIN_MEMORY_REGIONS_WORKS, KVM_CAP_MCE, KVM_CAP_IRQFD, KVM_CAP_PIT2,
		KVM_CAP_PIT_STATE2, KVM_CAP_IOEVENTFD, KVM_CAP_SET_IDENTITY_MAP_ADDR,
		KVM_CAP_ADJUST_CLOCK,
		KVM_CAP_INTERNAL_ERROR_DATA, KVM_CAP_VCPU_EVENTS, KVM_CAP_DEBUGREGS,
		KVM_CAP_X86_ROBUST_SINGLESTEP, KVM_CAP_XSAVE, KVM_CAP_XCRS, KVM_CAP_GET_TSC_KHZ,
		KVM_CAP_TSC_DEADLINE_TIMER, KVM_CAP_SIGNAL_MSI, KVM_CAP_SPLIT_IRQCHIP,
		KVM_CAP_IOEVENTFD_ANY_LENGTH, KVM_CAP_IMMEDIATE_EXIT,
	};
	struct vm *vm = vm_create(VM_BARE);
	size_t i;

	for (i = 0; i < ARRAY_SIZE(needed); i++) {
		/* None without XSAVE in the CPU. */
		if (needed[i] == KVM_CAP_XCRS && !dev_cpuid_has(1, 0, 'c', 26))
			continue;
		if (dev_cap(needed[i]) <= 0)
			FAIL("capability %d is missing", needed[i]);
		CHECK_EQ(ioctl(vm->fd, KVM_CHECK_EXTENSION, (long)needed[i]), dev_cap(needed[i]));
	}
}

/* A vCPU that threads run in turn: each one's FS base is its own, and so is what it reaches by it. */
static __thread u64 own_mark;

static void sync_guest(void)
{
	u64 i;

	for (i = 0; i < 12; i++)
		GUEST_SYNC(i);
}

static void run_marked(struct vcpu *vcpu)
{
	u64 base, same, mark = own_mark + 1;
	int i;

	SYS(syscall(SYS_arch_prctl, ARCH_GET_FS, &base));
	own_mark = mark;
	for (i = 0; i < 2; i++) {
		vcpu_run(vcpu);
		CHECK_EQ(own_mark, mark);
		SYS(syscall(SYS_arch_prctl, ARCH_GET_FS, &same));
		CHECK_EQ(same, base);
	}
}

static void threads_in_turn(void)
{
	struct vcpu *vcpu = vcpu_start(0, sync_guest, 0, 0);
	int i;

	for (i = 0; i < 3; i++) {
		run_marked(vcpu);
		vcpu_thread_start(vcpu, run_marked);
		vcpu_thread_join(vcpu);
	}
	CHECK_EQ(own_mark, 3);
}

#define SPLIT	(VM_TEST_GPA + PAGE - 2)

/* An instruction that cannot be fetched raises #UD besides the exit; then it runs again. */
static void split_guest(void)
{
	trap_set(UD_VECTOR, trap_count_only);
	for (;;) {
		GUEST_CHECK_EQ(((u64 (*)(void))SPLIT)(), 0x11111111);
		GUEST_SYNC(0);
	}
}

/* Code that nothing has run before. */
static void run_fresh_code(u8 *page)
{
	memcpy(page, "\x31\xc0\xc3", 3);		/* xor %eax, %eax; ret */
	CHECK_EQ(((int (*)(void))page)(), 0);
}

/*
 * An instruction in two pages, the second of which is not there at times. An emulator that decodes it may
 * take the place where it broke off for free.
 */
static void split_fetch(void)
{
	struct vcpu *vcpu = vcpu_create(vm_create(0), 0);
	u8 *mem = mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	u8 *fresh = mmap(NULL, 20 * PAGE, PROT_READ | PROT_WRITE | PROT_EXEC,
			 MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
	int i, second = VM_SLOT_TEST + 1;

	CHECK(mem != MAP_FAILED && fresh != MAP_FAILED);
	memcpy(mem + PAGE - 2, "\xb8\x11\x11\x11\x11\xc3", 6);	/* mov $0x11111111, %eax; ret */
	vm_set_slot(vcpu->vm, VM_SLOT_TEST, 0, VM_TEST_GPA, PAGE, mem);
	vm_set_slot(vcpu->vm, second, 0, VM_TEST_GPA + PAGE, PAGE, mem + PAGE);
	vcpu_enter(vcpu, split_guest, 0);
	for (i = 0; i < 20; i++) {
		vcpu_run_sync(vcpu, 0);
		*(volatile u8 *)(mem + PAGE - 2) = 0xb8;
		vm_set_slot(vcpu->vm, second, 0, VM_TEST_GPA + PAGE, 0, NULL);
		vcpu_run(vcpu);
		CHECK(vcpu->run->exit_reason != KVM_EXIT_IO);
		run_fresh_code(fresh + i * PAGE);
		*(volatile u8 *)(mem + PAGE) = 0x11;
		run_fresh_code(fresh + i * PAGE);
		vm_set_slot(vcpu->vm, second, 0, VM_TEST_GPA + PAGE, PAGE, mem + PAGE);
	}
	vcpu_run_sync(vcpu, 0);
	vm_destroy(vcpu->vm);
	munmap(fresh, 20 * PAGE);
	munmap(mem, 2 * PAGE);
}

static const struct test_case cases[] = {
	{ "instructions", instructions },
	{ "boot_cpu", boot_cpu },
	{ "max_vcpu_id", max_vcpu_id },
	{ "statistics", statistics },
	{ "interrupt_bitmap", interrupt_bitmap },
	{ "async_page_fault", async_page_fault },
	{ "promised_caps", promised_caps },
	{ "threads_in_turn", threads_in_turn },
	{ "split_fetch", split_fetch },
};

TEST_MAIN(cases)
