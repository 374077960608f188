// SPDX-License-Identifier: GPL-2.0-only
/*
 * Catches: a VM entry that does not happen. One instruction in each mode, without and with an
 * irqchip, in the order in which a new backend learns to walk.
 */
#include <cpuid.h>

#include "vcpu.h"

/* No CPUID: the least that runs. */
static struct vcpu *raw_vcpu(unsigned int flags, const void *code, size_t size)
{
	return vcpu_create_raw(vm_create_code(flags, code, size), 0);
}

#define RAW(flags, ...)	raw_vcpu(flags, (const u8[]){ __VA_ARGS__ }, sizeof((u8[]){ __VA_ARGS__ }))

static void api_version(void)
{
	int fd = dev_open();

	CHECK_EQ(ioctl(fd, KVM_GET_API_VERSION, 0UL), 12);
	CHECK_EQ(ioctl(fd, KVM_GET_VCPU_MMAP_SIZE, 0UL), 12288);
	CHECK_EQ(ioctl(fd, KVM_CHECK_EXTENSION, (long)KVM_CAP_USER_MEMORY), 1);
	CHECK_EQ(ioctl(fd, KVM_CHECK_EXTENSION, 987654L), 0);
}

static void create(void)
{
	struct vm *vm = vm_create(VM_BARE);
	struct vcpu *vcpu = vcpu_create_raw(vm, 0);
	struct kvm_regs regs = vcpu_regs(vcpu);

	CHECK_EQ(regs.rip, 0xfff0);
	CHECK_EQ(regs.rflags, 2);
	vm_destroy(vm);
}

static void real_hlt(void)
{
	struct vcpu *vcpu = RAW(0, 0xf4);

	vcpu_enter_real(vcpu, 0x100, 0);
	vcpu_run_exit(vcpu, KVM_EXIT_HLT);
	CHECK_EQ(vcpu_regs(vcpu).rip, 1);
}

static void real_out(void)
{
	/* mov $0x5a, %al; out %al, $0x10; hlt */
	struct vcpu *vcpu = RAW(0, 0xb0, 0x5a, 0xe6, 0x10, 0xf4);

	vcpu_enter_real(vcpu, 0x100, 0);
	vcpu_run_exit(vcpu, KVM_EXIT_IO);
	CHECK_EQ(vcpu->run->io.port, 0x10);
	CHECK_EQ(vcpu->run->io.direction, KVM_EXIT_IO_OUT);
	CHECK_EQ(vcpu->run->io.size, 1);
	CHECK_EQ(vcpu->run->io.count, 1);
	CHECK_EQ(vcpu->run->io.data_offset, 4096);
	CHECK_EQ(*((u8 *)vcpu->run + 4096), 0x5a);
	CHECK_EQ(vcpu_regs(vcpu).rip, 2);
	vcpu_run_exit(vcpu, KVM_EXIT_HLT);
	CHECK_EQ(vcpu_regs(vcpu).rip, 5);
}

static void real_in(void)
{
	/* in (%dx), %ax; hlt */
	struct vcpu *vcpu = RAW(0, 0xba, 0x34, 0x12, 0xed, 0xf4);

	vcpu_enter_real(vcpu, 0x100, 0);
	vcpu_run_exit(vcpu, KVM_EXIT_IO);
	CHECK_EQ(vcpu->run->io.port, 0x1234);
	CHECK_EQ(vcpu->run->io.direction, KVM_EXIT_IO_IN);
	CHECK_EQ(vcpu->run->io.size, 2);
	memcpy((u8 *)vcpu->run + vcpu->run->io.data_offset, "\xcd\xab", 2);
	vcpu_run_exit(vcpu, KVM_EXIT_HLT);
	CHECK_EQ(vcpu_regs(vcpu).rax & 0xffff, 0xabcd);
}

static void real_memory(void)
{
	/* mov $0x77, %al; mov %al, 0x2000; inc byte 0x2001; hlt */
	struct vcpu *vcpu = RAW(0, 0xb0, 0x77, 0xa2, 0x00, 0x20, 0xfe, 0x06, 0x01, 0x20, 0xf4);

	vcpu->vm->low[0x2001] = 0x10;
	vcpu_enter_real(vcpu, 0x100, 0);
	vcpu_run_exit(vcpu, KVM_EXIT_HLT);
	CHECK_EQ(vcpu->vm->low[0x2000], 0x77);
	CHECK_EQ(vcpu->vm->low[0x2001], 0x11);
}

static void protected_hlt(void)
{
	/* mov $0x12345678, %eax; mov %eax, 0x2000; hlt */
	struct vcpu *vcpu = RAW(0, 0xb8, 0x78, 0x56, 0x34, 0x12, 0xa3, 0x00, 0x20, 0x00, 0x00,
			0xf4);

	vcpu_enter_protected(vcpu, 0x1000);
	vcpu_run_exit(vcpu, KVM_EXIT_HLT);
	CHECK_EQ(vcpu_regs(vcpu).rax, 0x12345678);
	CHECK_EQ(*(u32 *)(vcpu->vm->low + 0x2000), 0x12345678);
	CHECK_EQ(vcpu_regs(vcpu).rip, 0x100b);
}

static void real_to_protected(void)
{
	/* mov %cr0, %eax; or $1, %al; mov %eax, %cr0; jmp 1f; 1: mov %cr0, %eax; hlt */
	struct vcpu *vcpu = RAW(0, 0x0f, 0x20, 0xc0, 0x0c, 0x01, 0x0f, 0x22, 0xc0, 0xeb, 0x00,
				0x0f, 0x20, 0xc0, 0xf4);

	vcpu_enter_real(vcpu, 0x100, 0);
	vcpu_run_exit(vcpu, KVM_EXIT_HLT);
	CHECK_EQ(vcpu_regs(vcpu).rax & 1, 1);
	CHECK_EQ(vcpu_sregs(vcpu).cr0 & 1, 1);
}

static u64 long_value;

static void long_guest(u64 a, u64 b)
{
	long_value = a * b;
	hlt();
	GUEST_SYNC(7);
}

static void long_mode(void)
{
	struct vcpu *vcpu = vcpu_start(0, long_guest, 6, 7);

	vcpu_run_exit(vcpu, KVM_EXIT_HLT);
	CHECK_EQ(long_value, 42);
	vcpu_run_sync(vcpu, 7);
	vcpu_run_done(vcpu);
}

static void cpuid_guest(void)
{
	struct cpuid_regs r = cpuid(0, 0);

	guest_sync(1, r.b, r.c, r.d);
}

static void guest_cpuid(void)
{
	struct vcpu *vcpu = vcpu_start(0, cpuid_guest, 0, 0);
	struct guest_ucall *call = vcpu_run_ucall(vcpu);
	u32 a, b, c, d;

	__cpuid(0, a, b, c, d);
	(void)a;
	CHECK_EQ(call->args[1], b);
	CHECK_EQ(call->args[2], c);
	CHECK_EQ(call->args[3], d);
}

static void trap_guest(void)
{
	u64 value;

	GUEST_CHECK_EQ(rdmsr_safe(0x12345, &value).vector, GP_VECTOR);
	GUEST_CHECK_EQ(GUEST_INSN_SAFE("ud2").vector, UD_VECTOR);
	GUEST_CHECK_EQ(GUEST_INSN_SAFE("nop").vector, GUEST_NO_FAULT);
	GUEST_CHECK_EQ(read_safe((void *)0x8000000000000000, &value).vector, GP_VECTOR);
}

static void guest_traps(void)
{
	vcpu_run_done(vcpu_start(0, trap_guest, 0, 0));
}

static void with_irqchip(void)
{
	vcpu_run_done(vcpu_start(VM_IRQCHIP, trap_guest, 0, 0));
}

static void with_split_irqchip(void)
{
	vcpu_run_done(vcpu_start(VM_SPLIT, trap_guest, 0, 0));
}

static void triple_fault(void)
{
	/* lidt 0x2000 (zeros); ud2 */
	struct vcpu *vcpu = RAW(0, 0x0f, 0x01, 0x1d, 0x00, 0x20, 0x00, 0x00, 0x0f, 0x0b);

	vcpu_enter_protected(vcpu, 0x1000);
	vcpu_run_exit(vcpu, KVM_EXIT_SHUTDOWN);
}

static void mmio(void)
{
	/* mov $0xb0000, %ebx; mov (%ebx), %eax; mov %eax, 4(%ebx); hlt */
	struct vcpu *vcpu = RAW(0, 0xbb, 0x00, 0x00, 0x0b, 0x00, 0x8b, 0x03, 0x89, 0x43, 0x04,
			0xf4);
	struct kvm_run *run = vcpu->run;

	vcpu_enter_protected(vcpu, 0x1000);
	vcpu_run_exit(vcpu, KVM_EXIT_MMIO);
	CHECK_EQ(run->mmio.phys_addr, 0xb0000);
	CHECK_EQ(run->mmio.is_write, 0);
	CHECK_EQ(run->mmio.len, 4);
	memcpy(run->mmio.data, "\x21\x43\x65\x87", 4);
	vcpu_run_exit(vcpu, KVM_EXIT_MMIO);
	CHECK_EQ(run->mmio.phys_addr, 0xb0004);
	CHECK_EQ(run->mmio.is_write, 1);
	CHECK_EQ(run->mmio.len, 4);
	CHECK_EQ(*(u32 *)run->mmio.data, 0x87654321);
	vcpu_run_exit(vcpu, KVM_EXIT_HLT);
}

static const struct test_case cases[] = {
	{ "api_version", api_version },
	{ "create", create },
	{ "real_hlt", real_hlt },
	{ "real_out", real_out },
	{ "real_in", real_in },
	{ "real_memory", real_memory },
	{ "protected_hlt", protected_hlt },
	{ "real_to_protected", real_to_protected },
	{ "long_mode", long_mode },
	{ "guest_cpuid", guest_cpuid },
	{ "guest_traps", guest_traps },
	{ "triple_fault", triple_fault },
	{ "mmio", mmio },
	{ "with_irqchip", with_irqchip },
	{ "with_split_irqchip", with_split_irqchip },
};

TEST_MAIN(cases)
