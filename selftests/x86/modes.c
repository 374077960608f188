// SPDX-License-Identifier: GPL-2.0-only
/*
 * Catches: a processor mode that does not run, or a change between two of them that loses state:
 * real mode with its interrupts and big segments, 32-bit with and without paging, PAE,
 * compatibility mode, and back down again.
 */
#include "vcpu.h"

#define CODE	VM_LOW_CODE

static struct vcpu *raw(const void *code, size_t size)
{
	return vcpu_create(vm_create_code(0, code, size), 0);
}

#define RAW(...)	raw((const u8[]){ __VA_ARGS__ }, sizeof((u8[]){ __VA_ARGS__ }))

/* INT through the real-mode table, IRET back; flags and IP on the stack are 16 bit. */
static void real_interrupt(void)
{
	/* int 0x40; inc bx; hlt */
	struct vcpu *vcpu = RAW(0xcd, 0x40, 0x43, 0xf4);
	/* handler at 0:0x2000: mov bp, sp; mov ax, [bp]; mov cx, [bp+2]; iret */
	static const u8 handler[] = { 0x89, 0xe5, 0x8b, 0x46, 0x00, 0x8b, 0x4e, 0x02, 0xcf };

	memcpy(vcpu->vm->low + 0x2000, handler, sizeof(handler));
	*(u32 *)(vcpu->vm->low + 4 * 0x40) = 0x2000;
	vcpu_enter_real(vcpu, CODE >> 4, 0);
	vcpu_run_exit(vcpu, KVM_EXIT_HLT);
	CHECK_EQ(vcpu_regs(vcpu).rax & 0xffff, 2);
	CHECK_EQ(vcpu_regs(vcpu).rcx & 0xffff, CODE >> 4);
	CHECK_EQ(vcpu_regs(vcpu).rbx & 0xffff, 1);
	CHECK_EQ(vcpu_regs(vcpu).rsp & 0xffff, 0x9000);
}

/* A fault in real mode goes through the same table, without an error code. */
static void real_fault(void)
{
	/* ud2 */
	struct vcpu *vcpu = RAW(0x0f, 0x0b);

	vcpu->vm->low[0x2000] = 0xf4;
	*(u32 *)(vcpu->vm->low + 4 * 6) = 0x2000;
	vcpu_enter_real(vcpu, CODE >> 4, 0);
	vcpu_run_exit(vcpu, KVM_EXIT_HLT);
	CHECK_EQ(vcpu_regs(vcpu).rip, 0x2001);
	CHECK_EQ(vcpu_regs(vcpu).rsp & 0xffff, 0x9000 - 6);
}

/* An interrupt from userspace, taken in real mode. */
static void real_external(void)
{
	/* nop; nop; hlt */
	struct vcpu *vcpu = RAW(0x90, 0x90, 0xf4);
	struct kvm_interrupt irq = { .irq = 0x50 };
	struct kvm_regs regs;

	vcpu->vm->low[0x2000] = 0xf4;
	*(u32 *)(vcpu->vm->low + 4 * 0x50) = 0x2000;
	vcpu_enter_real(vcpu, CODE >> 4, 0);
	/* KVM_INTERRUPT is for a vCPU that can take it. */
	regs = vcpu_regs(vcpu);
	regs.rflags |= X86_EFLAGS_IF;
	vcpu_set_regs(vcpu, &regs);
	SYS(ioctl(vcpu->fd, KVM_INTERRUPT, &irq));
	vcpu_run_exit(vcpu, KVM_EXIT_HLT);
	CHECK_EQ(vcpu_regs(vcpu).rip, 0x2001);
	CHECK_EQ(*(u16 *)(vcpu->vm->low + 0x9000 - 6), 0);
}

/* Into protected mode and back with a 4 GiB limit that stays: "unreal" mode, as SeaBIOS uses it. */
static void big_real(void)
{
	/*
	 * lgdt cs:[0x40]; mov eax, cr0; or al, 1; mov cr0, eax; mov bx, 8; mov ds, bx; and al,
	 * 0xfe; mov cr0, eax; mov ebx, 0x80000; mov byte ds:[ebx], 0x5a; hlt
	 */
	static const u8 code[] = {
		0x2e, 0x0f, 0x01, 0x16, 0x40, 0x00, 0x0f, 0x20, 0xc0, 0x0c, 0x01, 0x0f, 0x22, 0xc0,
		0xbb, 0x08, 0x00, 0x8e, 0xdb, 0x24, 0xfe, 0x0f, 0x22, 0xc0,
		0x66, 0xbb, 0x00, 0x00, 0x08, 0x00, 0x67, 0xc6, 0x03, 0x5a, 0xf4,
	};
	struct vcpu *vcpu = raw(code, sizeof(code));
	u8 *table = vcpu->vm->low + CODE + 0x40;

	*(u16 *)table = 15;
	*(u32 *)(table + 2) = CODE + 0x50;
	*(u64 *)(table + 0x18) = 0x00cf93000000ffff;
	vcpu_enter_real(vcpu, CODE >> 4, 0);
	vcpu_run_exit(vcpu, KVM_EXIT_HLT);
	CHECK_EQ(vcpu->vm->low[0x80000], 0x5a);
	CHECK_EQ(vcpu_sregs(vcpu).ds.limit, 0xffffffff);
	CHECK_EQ(vcpu_sregs(vcpu).cr0 & 1, 0);
}

/* Page tables in the low slot at 0x10000: @va 0x400000 shows the page at 0x20000. */
static void tables_two_level(struct vm *vm)
{
	u32 *pd = (u32 *)(vm->low + 0x10000), *pt = (u32 *)(vm->low + 0x11000);
	u32 i;

	for (i = 0; i < 1024; i++)
		pt[i] = (i * PAGE) | PTE_P | PTE_W;
	pd[0] = 0x11000 | PTE_P | PTE_W;
	pd[1] = 0x12000 | PTE_P | PTE_W;
	((u32 *)(vm->low + 0x12000))[0] = 0x20000 | PTE_P | PTE_W;
	((u32 *)(vm->low + 0x12000))[1] = 0x21000 | PTE_P;
}

static void tables_pae(struct vm *vm)
{
	u64 *pdpt = (u64 *)(vm->low + 0x10000), *pd = (u64 *)(vm->low + 0x11000);

	pdpt[0] = 0x11000 | PTE_P;
	pd[0] = PTE_P | PTE_W | PTE_PS;
	pd[2] = 0x12000 | PTE_P | PTE_W;
	((u64 *)(vm->low + 0x12000))[0] = 0x20000 | PTE_P | PTE_W;
	((u64 *)(vm->low + 0x12000))[1] = 0x21000 | PTE_P;
}

/*
 * mov eax, 0x10000; mov cr3, eax; mov eax, cr4; or eax, ecx; mov cr4, eax; mov eax, cr0; or eax,
 * 0x80010000; mov cr0, eax; jmp $+2; mov eax, [0x400000]; mov [0x400004], ebx; hlt
 */
static const u8 paging_code[] = {
	0xb8, 0x00, 0x00, 0x01, 0x00, 0x0f, 0x22, 0xd8, 0x0f, 0x20, 0xe0, 0x09, 0xc8, 0x0f, 0x22,
	0xe0,
	0x0f, 0x20, 0xc0, 0x0d, 0x00, 0x00, 0x01, 0x80, 0x0f, 0x22, 0xc0, 0xeb, 0x00,
	0xa1, 0x00, 0x00, 0x40, 0x00, 0x89, 0x1d, 0x04, 0x00, 0x40, 0x00, 0xf4,
};

static void paging(void (*tables)(struct vm *), u32 cr4, u64 entry_at)
{
	struct vcpu *vcpu = raw(paging_code, sizeof(paging_code));
	struct kvm_regs regs;

	tables(vcpu->vm);
	*(u32 *)(vcpu->vm->low + 0x20000) = 0x12345678;
	vcpu_enter_protected(vcpu, CODE);
	regs = vcpu_regs(vcpu);
	regs.rcx = cr4;
	regs.rbx = 0xcafe;
	vcpu_set_regs(vcpu, &regs);
	vcpu_run_exit(vcpu, KVM_EXIT_HLT);
	CHECK_EQ(vcpu_regs(vcpu).rax, 0x12345678);
	CHECK_EQ(*(u32 *)(vcpu->vm->low + 0x20004), 0xcafe);
	/* The CPU has set accessed and dirty. */
	CHECK_EQ(vcpu->vm->low[entry_at] & (PTE_A | PTE_D), PTE_A | PTE_D);
	CHECK_EQ(vcpu_sregs(vcpu).cr0 >> 31, 1);
	CHECK_EQ(vcpu_sregs(vcpu).cr4 & X86_CR4_PAE, cr4 & X86_CR4_PAE);
}

static void paging_32(void)
{
	paging(tables_two_level, 0, 0x12000);
}

static void paging_pae(void)
{
	paging(tables_pae, X86_CR4_PAE, 0x12000);
}

/* KVM_TRANSLATE walks the guest's tables. */
static void translate(void)
{
	struct vcpu *vcpu = raw(paging_code, sizeof(paging_code));
	struct kvm_translation tr = { .linear_address = 0x400123 };
	struct kvm_regs regs;

	tables_two_level(vcpu->vm);
	vcpu_enter_protected(vcpu, CODE);
	regs = vcpu_regs(vcpu);
	regs.rcx = 0;
	vcpu_set_regs(vcpu, &regs);
	SYS(ioctl(vcpu->fd, KVM_TRANSLATE, &tr));
	CHECK_EQ(tr.physical_address, 0x400123);
	vcpu_run_exit(vcpu, KVM_EXIT_HLT);
	SYS(ioctl(vcpu->fd, KVM_TRANSLATE, &tr));
	CHECK_EQ(tr.valid, 1);
	CHECK_EQ(tr.physical_address, 0x20123);
	tr.linear_address = 0x500000;
	SYS(ioctl(vcpu->fd, KVM_TRANSLATE, &tr));
	CHECK_EQ(tr.valid, 0);
}

/*
 * A write to a read-only page with paging faults when CR0.WP is set: through a 32-bit IDT to a
 * handler.
 */
static void fault_32(void)
{
	/* ... paging on as above, then mov [0x401000], ebx; the handler pops the error code */
	u8 code[sizeof(paging_code) + 8];
	struct vcpu *vcpu;
	struct kvm_sregs sregs;
	struct kvm_regs regs;
	u8 *low;

	memcpy(code, paging_code, sizeof(paging_code));
	memcpy(code + sizeof(paging_code) - 1, "\x89\x1d\x00\x10\x40\x00\xf4", 7);
	vcpu = raw(code, sizeof(code));
	low = vcpu->vm->low;
	tables_two_level(vcpu->vm);
	vcpu_enter_protected(vcpu, CODE);
	sregs = vcpu_sregs(vcpu);
	sregs.gdt = (struct kvm_dtable){ .base = 0x3000, .limit = 0x3f };
	sregs.idt = (struct kvm_dtable){ .base = 0x3800, .limit = 0x7ff };
	vcpu_set_sregs(vcpu, &sregs);
	*(u64 *)(low + 0x3000 + GUEST_CODE32) = 0x00cf9b000000ffff;
	*(u64 *)(low + 0x3000 + GUEST_DATA) = 0x00cf93000000ffff;
	*(u64 *)(low + 0x3800 + 8 * PF_VECTOR) = 0x00008e0000002000 | GUEST_CODE32 << 16;
	/* pop edx; mov esi, cr2; hlt */
	memcpy(low + 0x2000, "\x5a\x0f\x20\xd6\xf4", 5);
	regs = vcpu_regs(vcpu);
	regs.rcx = 0;
	vcpu_set_regs(vcpu, &regs);
	vcpu_run_exit(vcpu, KVM_EXIT_HLT);
	CHECK_EQ(vcpu_regs(vcpu).rip, 0x2005);
	CHECK_EQ(vcpu_regs(vcpu).rdx, 3);
	CHECK_EQ(vcpu_regs(vcpu).rsi, 0x401000);
}

/* 32-bit code under a 64-bit kernel. */
extern const char compat_code[];

static u64 compat_result __attribute__((used));

asm(".pushsection .text\n"
    ".code32\n"
    "compat_code:\n"
    "	mov $0xffffffff, %eax\n"
    "	inc %eax\n"			/* 0x40: a REX prefix in 64-bit code */
    "	dec %eax\n"
    "	mov %eax, compat_result\n"
    "	hlt\n"
    ".code64\n"
    ".popsection\n");

static void compatibility(void)
{
	struct vcpu *vcpu = vcpu_create(vm_create(0), 0);

	vcpu_enter_compat(vcpu, (uintptr_t)compat_code);
	vcpu_run_exit(vcpu, KVM_EXIT_HLT);
	CHECK_EQ(compat_result, 0xffffffff);
}

/* User mode by IRET, back by a software interrupt through TSS.RSP0, and by SYSCALL and SYSRET. */
static volatile u64 user_done, user_cs;
extern const char user_code[], syscall_entry[], user_after[];

asm(".pushsection .text\n"
    "user_code:\n"
    "	mov %cs, %eax\n"
    "	mov %rax, user_cs\n"
    "	syscall\n"
    "user_after:\n"
    "	movq $1, user_done\n"
    "	int $0x80\n"
    "	ud2\n"
    "syscall_entry:\n"
    "	sysretq\n"
    ".popsection\n");

static void user_guest(void)
{
	struct {
		u64 rip, cs, rflags, rsp, ss;
	} frame = { (u64)user_code, GUEST_USER64, 2, 0x0, GUEST_USERDATA };
	u64 stack;

	asm volatile("mov %%rsp, %0" : "=r"(stack));
	frame.rsp = stack - 0x800;
	/* SYSRET takes STAR[63:48] + 16 and + 8, SYSCALL STAR[47:32] and + 8. */
	wrmsr(MSR_STAR, (u64)(GUEST_USER32 & ~3) << 48 | (u64)GUEST_CODE64 << 32);
	wrmsr(MSR_LSTAR, (u64)syscall_entry);
	wrmsr(MSR_SFMASK, 0x300);
	asm volatile("mov %0, %%rsp\n iretq\n" : : "r"(&frame) : "memory");
}

static void user_mode(void)
{
	struct vcpu *vcpu = vcpu_create(vm_create(0), 0);
	struct kvm_sregs sregs;

	vcpu_enter(vcpu, user_guest, 0);
	/* No gate at 0x80 for users: #GP, which has no handler and tells. */
	vcpu_run_exit(vcpu, KVM_EXIT_IO);
	sregs = vcpu_sregs(vcpu);
	CHECK_EQ(user_done, 1);
	CHECK_EQ(user_cs, GUEST_USER64);
	CHECK_EQ(sregs.cs.selector, GUEST_CODE64);
	CHECK_EQ(vcpu_ucall(vcpu)->kind, GUEST_UCALL_FAIL);
	CHECK_EQ(vcpu_ucall(vcpu)->line, GP_VECTOR);
	/* QEMU counts gates of 16 bytes. */
	CHECK_EQ(vcpu_ucall(vcpu)->args[1], 0x80 * (dev_host_is_tcg() ? 16 : 8) + 2);
}

/* From real mode right to 64-bit mode, by userspace. */
static void real_to_64(void)
{
	struct vcpu *vcpu = vcpu_create(vm_create(0), 0);

	vcpu->vm->low[CODE] = 0xf4;	/* hlt */
	vcpu_enter_real(vcpu, CODE >> 4, 0);
	vcpu_run_exit(vcpu, KVM_EXIT_HLT);
	vcpu_enter(vcpu, guest_done, 0);
	vcpu_run_done(vcpu);
}

static const struct test_case cases[] = {
	{ "real_interrupt", real_interrupt },
	{ "real_fault", real_fault },
	{ "real_external", real_external },
	{ "big_real", big_real },
	{ "paging_32", paging_32 },
	{ "paging_pae", paging_pae },
	{ "translate", translate },
	{ "fault_32", fault_32 },
	{ "compatibility", compatibility },
	{ "user_mode", user_mode },
	{ "real_to_64", real_to_64 },
};

TEST_MAIN(cases)
