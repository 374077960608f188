// SPDX-License-Identifier: GPL-2.0-only
/*
 * Catches: port and memory exits of a wrong shape (size, count, splitting), RIP moved too early
 * or too late, and completions that do not reach the guest's register.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/time.h>

#include "apic.h"
#include "vcpu.h"

#define DEV	VM_HOLE_GPA
#define VGA	0xa0000

static void expect_mmio(struct vcpu *vcpu, u64 gpa, u32 len, bool write, u64 data)
{
	struct kvm_run *run = vcpu->run;
	u64 seen = 0;

	vcpu_run_exit(vcpu, KVM_EXIT_MMIO);
	CHECK_EQ(run->mmio.phys_addr, gpa);
	CHECK_EQ(run->mmio.len, len);
	CHECK_EQ(run->mmio.is_write, write);
	if (write) {
		memcpy(&seen, run->mmio.data, len);
		CHECK_EQ(seen, data);
	} else {
		memcpy(run->mmio.data, &data, len);
	}
}

static void sizes_guest(void)
{
	volatile u8 *dev = (u8 *)DEV;

	GUEST_CHECK_EQ(*(volatile u8 *)dev, 0x11);
	GUEST_CHECK_EQ(*(volatile u16 *)dev, 0x2222);
	GUEST_CHECK_EQ(*(volatile u32 *)dev, 0x33333333);
	GUEST_CHECK_EQ(*(volatile u64 *)dev, 0x4444444455555555);
	*(volatile u8 *)dev = 0xa1;
	*(volatile u16 *)dev = 0xa2a2;
	*(volatile u32 *)dev = 0xa3a3a3a3;
	*(volatile u64 *)dev = 0xa4a4a4a4b4b4b4b4;
}

static void sizes(void)
{
	struct vcpu *vcpu = vcpu_start(0, sizes_guest, 0, 0);

	expect_mmio(vcpu, DEV, 1, false, 0x11);
	expect_mmio(vcpu, DEV, 2, false, 0x2222);
	expect_mmio(vcpu, DEV, 4, false, 0x33333333);
	expect_mmio(vcpu, DEV, 8, false, 0x4444444455555555);
	expect_mmio(vcpu, DEV, 1, true, 0xa1);
	expect_mmio(vcpu, DEV, 2, true, 0xa2a2);
	expect_mmio(vcpu, DEV, 4, true, 0xa3a3a3a3);
	expect_mmio(vcpu, DEV, 8, true, 0xa4a4a4a4b4b4b4b4);
	vcpu_run_done(vcpu);
}

/* A read leaves RIP at the instruction until completion, a write has moved it. */
extern const char rip_read[], rip_write[], rip_end[], rip_out[], rip_in[];

static void rip_guest(void)
{
	asm volatile("rip_read: mov (%0), %%eax\n"
		     "rip_write: mov %%eax, (%0)\n"
		     "rip_end: nop\n"
		     "rip_out: outb %%al, $0x10\n"
		     "rip_in: inb $0x10, %%al\n"
		     : : "r"(DEV) : "rax", "memory");
}

static void rip(void)
{
	struct vcpu *vcpu = vcpu_start(0, rip_guest, 0, 0);

	expect_mmio(vcpu, DEV, 4, false, 0x1234);
	CHECK_EQ(vcpu_regs(vcpu).rip, (uintptr_t)rip_read);
	expect_mmio(vcpu, DEV, 4, true, 0x1234);
	CHECK_EQ(vcpu_regs(vcpu).rip, (uintptr_t)rip_end);
	vcpu_run_exit(vcpu, KVM_EXIT_IO);
	CHECK_EQ(vcpu_regs(vcpu).rip, (uintptr_t)rip_out);
	vcpu_run_exit(vcpu, KVM_EXIT_IO);
	CHECK_EQ(vcpu_regs(vcpu).rip, (uintptr_t)rip_in);
	vcpu_complete(vcpu);
	CHECK_EQ(vcpu_regs(vcpu).rip, (uintptr_t)rip_in + 2);
	vcpu_run_done(vcpu);
}

/* The stack pointer is not among the registers that every exit saves: as operand, as base, and beside neither. */
static void stack_pointer_guest(void)
{
	u64 was, now;

	asm volatile("mov %%rsp, %[was]\n"
		     "mov %%rsp, (%[dev])\n"
		     "mov (%[dev]), %%rsp\n"
		     "mov %%rsp, 8(%[dev])\n"
		     "mov %%eax, 16(%%rsp)\n"
		     "mov 24(%[dev]), %%eax\n"
		     "mov %%rsp, %[now]\n"
		     "mov %[was], %%rsp\n"
		     : [was] "=&r" (was), [now] "=&r" (now) : [dev] "r" (DEV) : "rax", "memory");
	GUEST_CHECK_EQ(now, DEV + 0x100);
}

static void stack_pointer(void)
{
	struct vcpu *vcpu = vcpu_start(0, stack_pointer_guest, 0, 0);
	struct kvm_regs regs;

	vcpu_run_exit(vcpu, KVM_EXIT_MMIO);
	CHECK_EQ(vcpu->run->mmio.is_write, 1);
	regs = vcpu_regs(vcpu);
	CHECK_EQ(*(u64 *)vcpu->run->mmio.data, regs.rsp);
	expect_mmio(vcpu, DEV, 8, false, DEV + 0x100);
	expect_mmio(vcpu, DEV + 8, 8, true, DEV + 0x100);
	expect_mmio(vcpu, DEV + 0x110, 4, true, regs.rax & 0xffffffff);
	expect_mmio(vcpu, DEV + 24, 4, false, 7);
	vcpu_run_done(vcpu);
}

static void straddle_guest(u64 edge)
{
	GUEST_CHECK_EQ(*(volatile u32 *)(edge - 2), 0xddccbbaa);
	*(volatile u32 *)(edge - 2) = 0x44332211;
	/* 16 bytes: two exits of eight. */
	asm volatile("movdqu (%0), %%xmm0\n movdqu %%xmm0, 64(%0)" : : "r"(edge) : "memory");
}

static void straddle(void)
{
	struct vcpu *vcpu = vcpu_start(0, straddle_guest, DEV + PAGE, 0);

	expect_mmio(vcpu, DEV + PAGE - 2, 2, false, 0xbbaa);
	expect_mmio(vcpu, DEV + PAGE, 2, false, 0xddcc);
	expect_mmio(vcpu, DEV + PAGE - 2, 2, true, 0x2211);
	expect_mmio(vcpu, DEV + PAGE, 2, true, 0x4433);
	expect_mmio(vcpu, DEV + PAGE, 8, false, 0x0123456789abcdef);
	expect_mmio(vcpu, DEV + PAGE + 8, 8, false, 0xfedcba9876543210);
	expect_mmio(vcpu, DEV + PAGE + 64, 8, true, 0x0123456789abcdef);
	expect_mmio(vcpu, DEV + PAGE + 72, 8, true, 0xfedcba9876543210);
	vcpu_run_done(vcpu);
}

/* Half of the access lies in memory, half in the hole. */
static void edge_guest(u64 edge)
{
	GUEST_CHECK_EQ(*(volatile u32 *)(edge - 2), 0xbeef6655);
	*(volatile u32 *)(edge - 2) = 0x99887766;
}

static void memory_edge(void)
{
	struct vcpu *vcpu = vcpu_start(0, edge_guest, VM_TEST_GPA + PAGE, 0);
	u8 *mem = vm_add_anon(vcpu->vm, VM_SLOT_TEST, 0, VM_TEST_GPA, PAGE);

	*(u16 *)(mem + PAGE - 2) = 0x6655;
	expect_mmio(vcpu, VM_TEST_GPA + PAGE, 2, false, 0xbeef);
	expect_mmio(vcpu, VM_TEST_GPA + PAGE, 2, true, 0x9988);
	vcpu_run_done(vcpu);
	CHECK_EQ(*(u16 *)(mem + PAGE - 2), 0x7766);
}

static void rmw_guest(void)
{
	asm volatile("addl $5, (%0)\n"
		     "lock; incl 4(%0)\n"
		     "push 8(%0)\n"
		     "pop 16(%0)\n"
		     : : "r"(DEV) : "memory", "cc");
}

static void read_modify_write(void)
{
	struct vcpu *vcpu = vcpu_start(0, rmw_guest, 0, 0);

	expect_mmio(vcpu, DEV, 4, false, 100);
	expect_mmio(vcpu, DEV, 4, true, 105);
	expect_mmio(vcpu, DEV + 4, 4, false, 0xffffffff);
	expect_mmio(vcpu, DEV + 4, 4, true, 0);
	expect_mmio(vcpu, DEV + 8, 8, false, 0x1122334455667788);
	expect_mmio(vcpu, DEV + 16, 8, true, 0x1122334455667788);
	vcpu_run_done(vcpu);
}

static u32 string_buffer[4];

static void string_guest(void)
{
	void *to = (void *)DEV;
	const void *from = string_buffer;
	u64 count = 3;

	asm volatile("rep movsl" : "+D"(to), "+S"(from), "+c"(count) : : "memory");
	GUEST_CHECK_EQ(count, 0);
	GUEST_CHECK_EQ((u64)to, DEV + 12);
	from = (void *)DEV;
	to = string_buffer;
	count = 2;
	asm volatile("rep movsl" : "+D"(to), "+S"(from), "+c"(count) : : "memory");
	GUEST_CHECK_EQ(count, 0);
	GUEST_CHECK_EQ(string_buffer[0], 0x71);
	GUEST_CHECK_EQ(string_buffer[1], 0x72);
	GUEST_CHECK_EQ(string_buffer[2], 3);
}

static void string(void)
{
	struct vcpu *vcpu = vcpu_start(0, string_guest, 0, 0);
	u32 i;

	for (i = 0; i < 4; i++)
		string_buffer[i] = i + 1;
	for (i = 0; i < 3; i++)
		expect_mmio(vcpu, DEV + 4 * i, 4, true, i + 1);
	expect_mmio(vcpu, DEV, 4, false, 0x71);
	expect_mmio(vcpu, DEV + 4, 4, false, 0x72);
	vcpu_run_done(vcpu);
}

static u16 port_buffer[4];

static void port_string_guest(void)
{
	const void *from = port_buffer;
	void *to = port_buffer;
	u64 count = 2;

	asm volatile("rep outsw" : "+S"(from), "+c"(count) : "d"(0x200) : "memory");
	GUEST_CHECK_EQ(count, 0);
	GUEST_CHECK_EQ((u64)from, (u64)port_buffer + 4);
	count = 3;
	asm volatile("rep insw" : "+D"(to), "+c"(count) : "d"(0x202) : "memory");
	GUEST_CHECK_EQ(count, 0);
	GUEST_CHECK_EQ((u64)to, (u64)port_buffer + 6);
	GUEST_CHECK_EQ(port_buffer[0], 0x9000);
	GUEST_CHECK_EQ(port_buffer[2], 0x9002);
	GUEST_CHECK_EQ(port_buffer[3], 0xd4);
}

/* OUTS one element at a time; INS may be batched, whatever the batches are. */
static void port_string(void)
{
	struct vcpu *vcpu = vcpu_start(0, port_string_guest, 0, 0);
	struct kvm_run *run = vcpu->run;
	u16 next = 0x9000, i;

	memcpy(port_buffer, (u16[]){ 0xd1, 0xd2, 0xd3, 0xd4 }, sizeof(port_buffer));
	for (i = 0; i < 2; i++) {
		vcpu_run_exit(vcpu, KVM_EXIT_IO);
		CHECK_EQ(run->io.port, 0x200);
		CHECK_EQ(run->io.direction, KVM_EXIT_IO_OUT);
		CHECK_EQ(run->io.size, 2);
		CHECK_EQ(run->io.count, 1);
		CHECK_EQ(*(u16 *)((u8 *)run + run->io.data_offset), 0xd1 + i);
	}
	while (next < 0x9003) {
		u16 *data = (u16 *)((u8 *)run + run->io.data_offset);

		vcpu_run_exit(vcpu, KVM_EXIT_IO);
		CHECK_EQ(run->io.port, 0x202);
		CHECK_EQ(run->io.direction, KVM_EXIT_IO_IN);
		CHECK_LE(run->io.count, 3);
		for (i = 0; i < run->io.count; i++)
			data[i] = next++;
	}
	vcpu_run_done(vcpu);
}

static void port_sizes_guest(void)
{
	outb(0x300, 0x5a);
	outw(0x300, 0x5a5b);
	outl(0x300, 0x5a5b5c5d);
	GUEST_CHECK_EQ(inb(0x300), 0x81);
	GUEST_CHECK_EQ(inw(0x300), 0x8182);
	GUEST_CHECK_EQ(inl(0x300), 0x81828384);
}

static void port_sizes(void)
{
	static const u32 out[] = { 0x5a, 0x5a5b, 0x5a5b5c5d }, in[] = { 0x81, 0x8182, 0x81828384 };
	struct vcpu *vcpu = vcpu_start(0, port_sizes_guest, 0, 0);
	struct kvm_run *run = vcpu->run;
	u32 i, value;

	for (i = 0; i < 6; i++) {
		void *data = (u8 *)run + 4096;

		vcpu_run_exit(vcpu, KVM_EXIT_IO);
		CHECK_EQ(run->io.port, 0x300);
		CHECK_EQ(run->io.size, 1U << i % 3);
		CHECK_EQ(run->io.direction, i < 3 ? KVM_EXIT_IO_OUT : KVM_EXIT_IO_IN);
		value = 0;
		if (i < 3) {
			memcpy(&value, data, run->io.size);
			CHECK_EQ(value, out[i]);
		} else {
			memcpy(data, &in[i - 3], run->io.size);
		}
	}
	vcpu_run_done(vcpu);
}

/* A fetch from where nothing is cannot be emulated, and says so. */
static void fetch_nowhere(void)
{
	struct vcpu *vcpu = vcpu_create(vm_create(0), 0);

	vcpu_enter(vcpu, DEV, 0);
	vcpu_run_exit(vcpu, KVM_EXIT_INTERNAL_ERROR);
	CHECK_EQ(vcpu->run->internal.suberror, KVM_INTERNAL_ERROR_EMULATION);
	CHECK_EQ(vcpu_regs(vcpu).rip, DEV);
}

/*
 * A fetch from the page of the local APIC's registers, which no slot has. KVM has zeroes there,
 * ADD %AL, (%RAX) each pair, up to the end of the page; Corbel has nothing to fetch at once.
 * Either way what cannot be fetched is reported, at the instruction, with no more done than RIP
 * says.
 */
static u8 fetched[2] __attribute__((aligned(2)));

static void fetch_apic_from(struct vcpu *vcpu, u64 start)
{
	struct kvm_regs regs;

	vcpu_enter(vcpu, start, 0);
	regs = vcpu_regs(vcpu);
	regs.rax = (uintptr_t)&fetched[1];
	regs.rbx = *(u8 *)regs.rax;
	vcpu_set_regs(vcpu, &regs);
	vcpu_run_exit(vcpu, KVM_EXIT_INTERNAL_ERROR);
	CHECK_EQ(vcpu->run->internal.suberror, KVM_INTERNAL_ERROR_EMULATION);
	regs = vcpu_regs(vcpu);
	CHECK(regs.rip >= start && regs.rip <= APIC_BASE_GPA + PAGE);
	CHECK_EQ((regs.rip - start) % 2, 0);
	CHECK_EQ((u8)(*(u8 *)regs.rax - regs.rbx), (u8)((regs.rip - start) / 2 * (u8)regs.rax));
}

static void good_guest(u64 a)
{
	GUEST_CHECK_EQ(a, 7);
}

static void apic_guest(void)
{
	GUEST_CHECK_EQ(xapic_read(0x20), 0);
}

static void fetch_apic(void)
{
	struct vcpu *vcpu = vcpu_create(vm_create(VM_IRQCHIP), 0);
	u8 *before = vm_add_anon(vcpu->vm, VM_SLOT_TEST, 0, APIC_BASE_GPA - PAGE, PAGE);

	fetch_apic_from(vcpu, APIC_BASE_GPA);
	fetch_apic_from(vcpu, APIC_BASE_GPA + PAGE - 0x100);
	fetch_apic_from(vcpu, APIC_BASE_GPA + PAGE - 1);
	/* An instruction with one byte in memory, the others there. */
	before[PAGE - 1] = 0;
	fetch_apic_from(vcpu, APIC_BASE_GPA - 1);
	vcpu_enter(vcpu, apic_guest, 0);
	vcpu_run_done(vcpu);
}

static void tick(int sig)
{
	(void)sig;
}

/* Memory that the host has from a device: what it fetches there is the device's affair. */
static void fetch_device(void)
{
	struct itimerval timer = { { 0, 10000 }, { 0, 10000 } };
	struct sigaction action = { .sa_handler = tick };
	struct vcpu *vcpu = vcpu_create(vm_create(0), 0);
	int fd = open("/dev/mem", O_RDWR);
	void *vga;

	if (fd < 0)
		test_skip("no /dev/mem");
	vga = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, VGA);
	if (vga == MAP_FAILED)
		test_skip("/dev/mem does not map the display's memory");
	vm_set_slot(vcpu->vm, VM_SLOT_TEST, 0, VM_TEST_GPA, PAGE, vga);
	vcpu_enter(vcpu, VM_TEST_GPA, 0);
	SYS(sigaction(SIGALRM, &action, NULL));
	SYS(setitimer(ITIMER_REAL, &timer, NULL));
	if (vcpu_run_raw(vcpu) < 0)
		CHECK_EQ(errno, EINTR);
	timer = (struct itimerval){ };
	SYS(setitimer(ITIMER_REAL, &timer, NULL));
	vcpu_run_done(vcpu_start(0, good_guest, 7, 0));
}

static void coalesced_guest(void)
{
	volatile u32 *dev = (u32 *)DEV;

	dev[0] = 0x10;
	dev[1] = 0x11;
	dev[64] = 0x12;
	outl(0xcf8, 0x80001000);
	GUEST_SYNC(1);
	dev[0] = 0x13;
}

/* Writes inside the zone collect in the ring, those outside exit. */
static void coalesced(void)
{
	struct vcpu *vcpu = vcpu_create(vm_create(0), 0);
	struct kvm_coalesced_mmio_zone zone = { .addr = DEV, .size = 0x100 };
	struct kvm_coalesced_mmio_zone pio = { .addr = 0xcf8, .size = 4, .pio = 1 };
	struct kvm_coalesced_mmio_ring *ring;

	dev_require_cap(KVM_CAP_COALESCED_MMIO);
	CHECK_EQ(dev_cap(KVM_CAP_COALESCED_MMIO), 2);
	ring = (void *)((u8 *)vcpu->run + 2 * PAGE);
	SYS(ioctl(vcpu->vm->fd, KVM_REGISTER_COALESCED_MMIO, &zone));
	SYS(ioctl(vcpu->vm->fd, KVM_REGISTER_COALESCED_MMIO, &pio));
	vcpu_enter(vcpu, coalesced_guest, 0);
	expect_mmio(vcpu, DEV + 0x100, 4, true, 0x12);
	CHECK_EQ(ring->first, 0);
	CHECK_EQ(ring->last, 2);
	CHECK_EQ(ring->coalesced_mmio[0].phys_addr, DEV);
	CHECK_EQ(ring->coalesced_mmio[1].phys_addr, DEV + 4);
	CHECK_EQ(ring->coalesced_mmio[1].len, 4);
	CHECK_EQ(*(u32 *)ring->coalesced_mmio[1].data, 0x11);
	vcpu_run_sync(vcpu, 1);
	CHECK_EQ(ring->last, 3);
	CHECK_EQ(ring->coalesced_mmio[2].phys_addr, 0xcf8);
	CHECK_EQ(ring->coalesced_mmio[2].pio, 1);
	SYS(ioctl(vcpu->vm->fd, KVM_UNREGISTER_COALESCED_MMIO, &zone));
	expect_mmio(vcpu, DEV, 4, true, 0x13);
	vcpu_run_done(vcpu);
}

static void wide_guest(void)
{
	outl(0x8000, 1);
	GUEST_SYNC(1);
	outl(0x8000, 2);
}

/* A zone as long as KVM takes its length for: it must not take longer for it. */
static void coalesced_wide(void)
{
	struct vcpu *vcpu = vcpu_create(vm_create(0), 0);
	struct kvm_coalesced_mmio_zone zone = { .addr = 0x1000, .size = 0x7fffffff, .pio = 1 };
	struct kvm_coalesced_mmio_ring *ring = (void *)((u8 *)vcpu->run + 2 * PAGE);

	dev_require_cap(KVM_CAP_COALESCED_PIO);
	SYS(ioctl(vcpu->vm->fd, KVM_REGISTER_COALESCED_MMIO, &zone));
	vcpu_enter(vcpu, wide_guest, 0);
	vcpu_run_sync(vcpu, 1);
	CHECK_EQ(ring->last, 1);
	CHECK_EQ(ring->coalesced_mmio[0].phys_addr, 0x8000);
	SYS(ioctl(vcpu->vm->fd, KVM_UNREGISTER_COALESCED_MMIO, &zone));
	vcpu_run_exit(vcpu, KVM_EXIT_IO);
	CHECK_EQ(vcpu->run->io.port, 0x8000);
	vcpu_run_done(vcpu);
}

/*
 * An instruction that comes again, at the same place: with other registers, as another one of the same
 * length and as none at all; that is not to be completed; with flags that end with it.
 */
#define AGAIN	3

static const struct again {
	u8 code[12];
	u8 len;
	bool write;
	u64 expect;		/* a store's data, or what a load of 0xf1f2f3f4f5f6f7f8 leaves in RAX */
} again_ops[] = {
	{ { 0x89, 0x37, 0xc3 }, 4, true, 0x55667788 },				/* mov %esi, (%rdi) */
	{ { 0x89, 0x17, 0xc3 }, 4, true, 0xddeeff00 },				/* mov %edx, (%rdi) */
	{ { 0x88, 0x37, 0xc3 }, 1, true, 0xff },				/* mov %dh, (%rdi) */
	{ { 0x40, 0x88, 0x37, 0xc3 }, 1, true, 0x88 },				/* mov %sil, (%rdi) */
	{ { 0x66, 0x89, 0x37, 0xc3 }, 2, true, 0x7788 },			/* mov %si, (%rdi) */
	{ { 0x48, 0x89, 0x37, 0xc3 }, 8, true, 0x1122334455667788 },		/* mov %rsi, (%rdi) */
	{ { 0xc6, 0x07, 0x5a, 0xc3 }, 1, true, 0x5a },				/* movb $0x5a, (%rdi) */
	{ { 0x48, 0xc7, 0x07, 0xfe, 0xff, 0xff, 0xff, 0xc3 }, 8, true, -2ull },	/* movq $-2, (%rdi) */
	{ { 0x67, 0x89, 0x37, 0xc3 }, 4, true, 0x55667788 },			/* mov %esi, (%edi) */
	{ { 0x89, 0x35, 0xfa, 0xff, 0xff, 0x5f, 0xc3 }, 4, true, 0x55667788 },	/* mov %esi, DEV(%rip) */
	{ { 0x8b, 0x07, 0xc3 }, 4, false, 0xf5f6f7f8 },				/* mov (%rdi), %eax */
	{ { 0x66, 0x8b, 0x07, 0xc3 }, 2, false, 0x99aabbccddeef7f8 },		/* mov (%rdi), %ax */
	{ { 0x8a, 0x07, 0xc3 }, 1, false, 0x99aabbccddeefff8 },			/* mov (%rdi), %al */
	{ { 0x8a, 0x27, 0xc3 }, 1, false, 0x99aabbccddeef800 },			/* mov (%rdi), %ah */
	{ { 0x48, 0x8b, 0x07, 0xc3 }, 8, false, 0xf1f2f3f4f5f6f7f8 },		/* mov (%rdi), %rax */
	{ { 0x0f, 0xb7, 0x07, 0xc3 }, 2, false, 0xf7f8 },			/* movzwl (%rdi), %eax */
	{ { 0x66, 0x0f, 0xb6, 0x07, 0xc3 }, 1, false, 0x99aabbccddee00f8 },	/* movzbw (%rdi), %ax */
	{ { 0x0f, 0xbe, 0x07, 0xc3 }, 1, false, 0xfffffff8 },			/* movsbl (%rdi), %eax */
};

static u64 again_rax;

static void again_guest(void)
{
	for (;;) {
		u64 rdi = DEV, rsi = 0x1122334455667788, rdx = 0x99aabbccddeeff00;

		again_rax = rdx;
		asm volatile("call *%[code]\n"
			     : "+a"(again_rax), "+D"(rdi), "+S"(rsi), "+d"(rdx) : [code] "r"(VM_TEST_GPA) : "memory");
		GUEST_SYNC(0);
	}
}

static void again_forms(struct vcpu *vcpu, u8 *mem)
{
	const struct again *op;
	int i;

	for (op = again_ops; op < again_ops + ARRAY_SIZE(again_ops); op++) {
		memcpy(mem, op->code, sizeof(op->code));
		for (i = 0; i < AGAIN; i++) {
			expect_mmio(vcpu, DEV, op->len, op->write, op->write ? op->expect : 0xf1f2f3f4f5f6f7f8);
			vcpu_run_sync(vcpu, 0);
			if (!op->write)
				CHECK_EQ(again_rax, op->expect);
		}
	}
}

/* Userspace has moved RIP: what it answers is for nobody. KVM completes the instruction all the same. */
static void again_moved(struct vcpu *vcpu, u8 *mem)
{
	struct kvm_regs regs;
	int i;

	memcpy(mem, (u8[]){ 0x8b, 0x07, 0xc3 }, 3);
	for (i = 0; i < AGAIN; i++) {
		expect_mmio(vcpu, DEV, 4, false, 1);
		regs = vcpu_regs(vcpu);
		CHECK_EQ(regs.rip, VM_TEST_GPA);
		regs.rip += 2;
		vcpu_set_regs(vcpu, &regs);
		vcpu_run_sync(vcpu, 0);
		CHECK_EQ(again_rax, 0x99aabbccddeeff00);
	}
}

/* It holds for one instruction. */
static void again_rf(struct vcpu *vcpu, u8 *mem)
{
	struct kvm_regs regs;
	int i;

	memcpy(mem, (u8[]){ 0x90, 0x89, 0x37, 0xc3 }, 4);
	for (i = 0; i < AGAIN; i++) {
		expect_mmio(vcpu, DEV, 4, true, 0x55667788);
		regs = vcpu_regs(vcpu);
		CHECK_EQ(regs.rip, VM_TEST_GPA + 3);
		regs.rip = VM_TEST_GPA + 1;
		regs.rflags |= BIT(16);
		vcpu_set_regs(vcpu, &regs);
		expect_mmio(vcpu, DEV, 4, true, 0x55667788);
		CHECK_EQ(vcpu_regs(vcpu).rflags & BIT(16), 0);
		vcpu_run_sync(vcpu, 0);
	}
}

/* In the last bytes of a page, where no other follows. */
static void again_at_end(struct vcpu *vcpu, u8 *mem)
{
	struct kvm_regs regs = vcpu_regs(vcpu);
	int i;

	for (i = 2; i < 20; i++) {
		memcpy(mem + PAGE - i, (u8[]){ 0x89, 0x37 }, 2);
		regs.rip = VM_TEST_GPA + PAGE - i;
		regs.rdi = DEV;
		regs.rsi = i;
		vcpu_set_regs(vcpu, &regs);
		expect_mmio(vcpu, DEV, 4, true, i);
		CHECK_EQ(vcpu_regs(vcpu).rip, regs.rip + 2);
	}
}

static void again(void)
{
	struct vcpu *vcpu = vcpu_start(0, again_guest, 0, 0);
	u8 *mem = vm_add_anon(vcpu->vm, VM_SLOT_TEST, 0, VM_TEST_GPA, PAGE);

	again_forms(vcpu, mem);
	if (test_is_corbel())
		again_moved(vcpu, mem);
	again_rf(vcpu, mem);
	again_at_end(vcpu, mem);
}

/* The same instruction at another place in memory, or another at the same: each step of the way is changed once. */
static u64 elsewhere_cr3, elsewhere_va;

static void elsewhere_guest(void)
{
	for (;;) {
		u64 rdi = DEV;

		write_cr3(elsewhere_cr3);
		asm volatile("call *%[code]\n" : "+D"(rdi) : [code] "r"(elsewhere_va) : "memory");
		GUEST_SYNC(0);
	}
}

static void elsewhere_code(void *mem, u8 imm)
{
	memcpy(mem, (u8[]){ 0xc7, 0x07, imm, 0, 0, 0, 0xc3 }, 7);	/* movl $imm, (%rdi); ret */
}

static void elsewhere_expect(struct vcpu *vcpu, u8 imm)
{
	int i;

	for (i = 0; i < AGAIN; i++) {
		expect_mmio(vcpu, DEV, 4, true, imm);
		vcpu_run_sync(vcpu, 0);
	}
}

static void elsewhere_slot(struct vcpu *vcpu)
{
	struct vm *vm = vcpu->vm;

	elsewhere_code(vm_add_anon(vm, VM_SLOT_TEST, 0, VM_TEST_GPA, PAGE), 5);
	*vm_pte(vm, VM_TEST_VA, 1) = VM_TEST_GPA | PTE_P;
	elsewhere_expect(vcpu, 5);
	vm_set_slot(vm, VM_SLOT_TEST, 0, VM_TEST_GPA, 0, NULL);
	elsewhere_code(vm_add_anon(vm, VM_SLOT_TEST, 0, VM_TEST_GPA, PAGE), 6);
	elsewhere_expect(vcpu, 6);
}

static void again_elsewhere(void)
{
	struct vm *vm = vm_create(0);
	struct vcpu *vcpu = vcpu_create(vm, 0);
	u64 page[4], table = vm_alloc(vm, 1), cr3 = vm_alloc(vm, 1), i;

	for (i = 0; i < ARRAY_SIZE(page); i++) {
		page[i] = vm_alloc(vm, 1);
		elsewhere_code(vm_host(vm, page[i]), 1 + i);
	}
	elsewhere_cr3 = vm->cr3;
	elsewhere_va = VM_TEST_VA;
	vcpu_enter(vcpu, elsewhere_guest, 0);

	*vm_pte(vm, VM_TEST_VA, 1) = page[0] | PTE_P;
	elsewhere_expect(vcpu, 1);
	*vm_pte(vm, VM_TEST_VA, 1) = page[1] | PTE_P;
	elsewhere_expect(vcpu, 2);

	*vm_pte(vm, VM_TEST_VA + PAGE, 1) = page[0] | PTE_P;
	elsewhere_va += PAGE;
	elsewhere_expect(vcpu, 1);
	elsewhere_va -= PAGE;
	elsewhere_expect(vcpu, 2);

	*(u64 *)vm_host(vm, table) = page[2] | PTE_P;
	*vm_pte(vm, VM_TEST_VA, 2) = table | PTE_P;
	elsewhere_expect(vcpu, 3);

	*(u64 *)vm_host(vm, cr3) = *(u64 *)vm_host(vm, vm->cr3);
	elsewhere_cr3 = vm->cr3 = cr3;
	*vm_pte(vm, VM_TEST_VA, 1) = page[3] | PTE_P;
	elsewhere_expect(vcpu, 4);

	elsewhere_slot(vcpu);
}

static void port_guest(void)
{
	asm volatile("mov $0x11, %%eax\n"
		     "inb $0x10, %%al\n"
		     "outb %%al, $0x10\n" : : : "rax");
}

/* Run to port_guest()'s IN; what userspace writes then is up to the caller. */
static struct kvm_regs port_waits(struct vcpu *vcpu, u8 answer)
{
	vcpu_enter(vcpu, port_guest, 0);
	vcpu_run_exit(vcpu, KVM_EXIT_IO);
	CHECK_EQ(vcpu->run->io.direction, KVM_EXIT_IO_IN);
	*((u8 *)vcpu->run + vcpu->run->io.data_offset) = answer;
	return vcpu_regs(vcpu);
}

static u8 port_told(struct vcpu *vcpu)
{
	vcpu_run_exit(vcpu, KVM_EXIT_IO);
	CHECK_EQ(vcpu->run->io.direction, KVM_EXIT_IO_OUT);
	return *((u8 *)vcpu->run + vcpu->run->io.data_offset);
}

/* Registers written while a port's answer is awaited: it counts if the instruction is still the same. */
static void port_moved(void)
{
	struct vcpu *vcpu = vcpu_create(vm_create(0), 0);
	struct kvm_regs regs;
	struct kvm_sregs sregs;

	port_waits(vcpu, 0x21);
	CHECK_EQ(port_told(vcpu), 0x21);
	regs = port_waits(vcpu, 0x22);
	vcpu_set_regs(vcpu, &regs);
	CHECK_EQ(port_told(vcpu), 0x22);
	port_waits(vcpu, 0x23);
	sregs = vcpu_sregs(vcpu);
	vcpu_set_sregs(vcpu, &sregs);
	CHECK_EQ(port_told(vcpu), 0x23);
	regs = port_waits(vcpu, 0x24);
	regs.rip += 2;
	vcpu_set_regs(vcpu, &regs);
	CHECK_EQ(port_told(vcpu), 0x11);
	/* Away and back is no move. */
	regs = port_waits(vcpu, 0x25);
	regs.rip += 2;
	vcpu_set_regs(vcpu, &regs);
	regs.rip -= 2;
	vcpu_set_regs(vcpu, &regs);
	CHECK_EQ(port_told(vcpu), 0x25);
	if (!dev_cap(KVM_CAP_SYNC_REGS))
		return;
	vcpu->run->kvm_valid_regs = KVM_SYNC_X86_REGS;
	port_waits(vcpu, 0x26);
	vcpu->run->s.regs.regs.rip += 2;
	vcpu->run->kvm_dirty_regs = KVM_SYNC_X86_REGS;
	CHECK_EQ(port_told(vcpu), 0x11);
}

/* The same RIP in another segment is another place. */
static void port_moved_base(void)
{
	static const u8 code[] = { 0xe4, 0x10, 0xe6, 0x10 };	/* inb $0x10, %al; outb %al, $0x10 */
	struct vcpu *vcpu = vcpu_create(vm_create(0), 0);
	struct kvm_sregs sregs;
	int other;

	for (other = 0; other < 2; other++) {
		memcpy(vcpu->vm->low + 0x2000, code, sizeof(code));
		memcpy(vcpu->vm->low + 0x3000, code + 2, 2);
		vcpu_enter_real(vcpu, 0x200, 0);
		vcpu_run_exit(vcpu, KVM_EXIT_IO);
		CHECK_EQ(vcpu->run->io.direction, KVM_EXIT_IO_IN);
		*((u8 *)vcpu->run + vcpu->run->io.data_offset) = 0x31;
		sregs = vcpu_sregs(vcpu);
		if (other) {
			sregs.cs.selector = 0x300;
			sregs.cs.base = 0x3000;
		}
		vcpu_set_sregs(vcpu, &sregs);
		CHECK_EQ(port_told(vcpu), other ? (u8)vcpu_regs(vcpu).rax : 0x31);
		CHECK_EQ((u8)vcpu_regs(vcpu).rax == 0x31, !other);
		CHECK_EQ(vcpu_regs(vcpu).rip, other ? 0 : 2);
	}
}

static void init_guest(void)
{
	apic_enable();
	apic_icr(0, APIC_DM_INIT | APIC_ASSERT);
}

/* An INIT that is taken while the answer is awaited: that is not for the code which comes then. */
static void port_reset(void)
{
	struct vcpu *vcpu = vcpu_create(vm_create(VM_IRQCHIP), 0), *sender = vcpu_create(vcpu->vm, 1);

	port_waits(vcpu, 0x26);
	vcpu_set_mp_state(sender, KVM_MP_STATE_RUNNABLE);
	vcpu_enter(sender, init_guest, 0);
	vcpu_run_done(sender);
	CHECK_EQ(vcpu_mp_state(vcpu), KVM_MP_STATE_RUNNABLE);
	CHECK_EQ(vcpu_regs(vcpu).rip, 0xfff0);
	vcpu_complete(vcpu);
	CHECK_EQ(vcpu_regs(vcpu).rip, 0xfff0);
	CHECK_EQ(vcpu_regs(vcpu).rax, 0);
}

static const struct test_case cases[] = {
	{ "sizes", sizes },
	{ "rip", rip },
	{ "stack_pointer", stack_pointer },
	{ "again", again },
	{ "straddle", straddle },
	{ "memory_edge", memory_edge },
	{ "read_modify_write", read_modify_write },
	{ "string", string },
	{ "port_sizes", port_sizes },
	{ "port_string", port_string },
	{ "again_elsewhere", again_elsewhere },
	{ "port_moved", port_moved },
	{ "port_moved_base", port_moved_base },
	{ "port_reset", port_reset },
	{ "fetch_nowhere", fetch_nowhere },
	{ "fetch_apic", fetch_apic },
	{ "fetch_device", fetch_device },
	{ "coalesced", coalesced },
	{ "coalesced_wide", coalesced_wide },
};

TEST_MAIN(cases)
