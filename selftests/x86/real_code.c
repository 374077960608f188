// SPDX-License-Identifier: GPL-2.0-only
/*
 * Catches: an instruction that does something else in real mode than in a 16-bit segment of
 * protected mode. Where the CPU has no unrestricted guest, the first is interpreted and the second
 * is run by the CPU: random sequences of both kinds must leave the same registers and memory. And
 * a vCPU in real mode that keeps others waiting, or loses an event.
 */
#include <stdio.h>

#include "vcpu.h"

#define CODE		VM_LOW_CODE
#define DATA		0x8000		/* operands are in the 256 bytes from here on */
#define STACK		0x9000
#define SEEN		0xa000		/* what is compared: all below */
#define IDT		0xb000
#define LENGTH		12		/* instructions in a sequence */

static u64 random_state;

static u32 roll(u32 n)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return (random_state >> 16) % n;
}

static u8 *at;

static void put(u64 val, unsigned int bytes)
{
	memcpy(at, &val, bytes);
	at += bytes;
}

#define PUT(...)	do {							\
		static const u8 b[] = { __VA_ARGS__ };				\
		memcpy(at, b, sizeof(b));					\
		at += sizeof(b);						\
	} while (0)

/* A register that is not SP. */
static u8 reg(void)
{
	static const u8 regs[] = { 0, 1, 2, 3, 5, 6, 7 };

	return regs[roll(7)];
}

/* Prefixes, opcode, ModRM: register or memory, by a 16-bit or 32-bit address. @digit: -1 any */
static void modrm(const u8 *opcode, unsigned int len, int digit, bool mem)
{
	u8 r = (digit < 0 ? reg() : digit) << 3;
	u32 where = DATA + roll(240);

	if (!mem && roll(2)) {
		memcpy(at, opcode, len);
		at += len;
		put(0xc0 | r | reg(), 1);
	} else if (roll(3)) {
		memcpy(at, opcode, len);
		at += len;
		put(0x06 | r, 1);
		put(where, 2);
	} else {
		PUT(0x67);
		memcpy(at, opcode, len);
		at += len;
		put(0x05 | r, 1);
		put(where, 4);
	}
}

static void modrm1(u8 opcode, int digit, bool mem)
{
	modrm(&opcode, 1, digit, mem);
}

static void modrm2(u8 opcode, int digit, bool mem)
{
	modrm((u8[]){ 0x0f, opcode }, 2, digit, mem);
}

/* All flags are as these make them: what came before may have left some undefined. */
static void define_flags(void)
{
	PUT(0x3c);
	put(roll(256), 1);
}

/* Returns whether operands are of 4 bytes. */
static bool wide(void)
{
	bool is = roll(3) == 0;

	if (is)
		PUT(0x66);
	return is;
}

static void arithmetic(void)
{
	u8 op = roll(8) << 3;
	bool w = wide();

	switch (roll(6)) {
	case 0:
		put(op | 4, 1);
		put(roll(256), 1);
		break;
	case 1:
		put(op | 5, 1);
		put(roll(~0u), w ? 4 : 2);
		break;
	case 2:
		modrm1(0x80, op >> 3, false);
		put(roll(256), 1);
		break;
	case 3:
		modrm1(0x83, op >> 3, false);
		put(roll(256), 1);
		break;
	default:
		modrm1(op | roll(4), -1, false);
	}
	define_flags();		/* AF after AND, OR, XOR */
}

static void unary(void)
{
	static const u8 divide[][6] = {
		{ 0x31, 0xd2, 0x83, 0xc9, 0x01 }, { 0x99, 0xb9, 0x0d, 0x00, 0x90 },
	};
	u8 how = roll(6);

	if (how == 0) {
		/* a quotient that fits: xor dx, dx; or cx, 1; div cx. cwd; mov cx, 13; idiv cx */
		bool sign = roll(2);

		memcpy(at, divide[sign], 5);
		at += 5;
		put(sign ? 0xf9f7 : 0xf1f7, 2);
	} else {
		wide();
		modrm1(0xf6 | roll(2), 2 + how % 4, false);	/* not, neg, mul, imul */
	}
	define_flags();
}

static void shift(void)
{
	wide();
	switch (roll(4)) {
	case 0:
		modrm1(0xd0 | roll(2), roll(8), false);
		break;
	case 1:
		modrm1(0xd2 | roll(2), roll(8), false);
		break;
	case 2:
		modrm1(0xc0 | roll(2), roll(8), false);
		put(roll(8), 1);
		break;
	default:
		modrm2(roll(2) ? 0xa4 : 0xac, -1, false);
		put(1 + roll(15), 1);
	}
	define_flags();
}

static void moves(void)
{
	bool w = wide();

	switch (roll(8)) {
	case 0:
		modrm1(0x88 | roll(4), -1, false);
		break;
	case 1:
		put(0xa0 | roll(4), 1);
		put(DATA + roll(240), 2);
		break;
	case 2:
		put(0xb8 | reg(), 1);
		put(roll(~0u), w ? 4 : 2);
		break;
	case 3:
		modrm1(0xc7, 0, false);
		put(roll(~0u), w ? 4 : 2);
		break;
	case 4:
		modrm1(0x86 | roll(2), -1, false);
		break;
	case 5:
		modrm1(0x8d, -1, true);
		break;
	case 6:
		modrm2(0xb6 | roll(2) | roll(2) << 3, -1, false);
		break;
	default:
		modrm2(0x40 | roll(16), -1, false);
	}
}

static void stack(void)
{
	unsigned int which = roll(8);

	if (which != 6)
		wide();
	switch (which) {
	case 0:
		put(0x50 | reg(), 1);
		break;
	case 1:
		put(0x58 | reg(), 1);
		break;
	case 2:
		PUT(0x60);
		break;
	case 3:
		PUT(0x61);
		break;
	case 4:
		modrm1(0xff, 6, false);
		break;
	case 5:
		PUT(0x6a);
		put(roll(256), 1);
		break;
	case 6:
		PUT(0xc8, 0x06, 0x00, 0x01, 0xc9);		/* enter 6, 1; leave */
		break;
	default:
		PUT(0x9c);
		put(0x58 | reg(), 1);				/* pop half of what 66 pushed */
	}
}

/* Direction flag, DS:SI, ES:DI, CX, then one of them, perhaps repeated. */
static void strings(void)
{
	static const u8 ops[] = { 0xa4, 0xa5, 0xa6, 0xa7, 0xaa, 0xab, 0xac, 0xad, 0xae, 0xaf };

	put(0xfc | roll(2), 1);
	PUT(0xbe);
	put(DATA + 64 + roll(64), 2);
	PUT(0xbf);
	put(DATA + 128 + roll(64), 2);
	PUT(0xb9);
	put(roll(16), 2);
	if (roll(3))
		put(0xf2 | roll(2), 1);
	wide();
	put(ops[roll(sizeof(ops))], 1);
	PUT(0xfc);
}

static void bits(void)
{
	static const u8 by_reg[] = { 0xa3, 0xab, 0xb3, 0xbb };
	unsigned int which = roll(6);

	if (which != 0 && which != 2)
		wide();
	switch (which) {
	case 0:
		/* with any offset a bit of the code could be meant: and cx, 0x3f */
		PUT(0x83, 0xe1, 0x3f, 0x0f);
		put(by_reg[roll(4)], 1);
		PUT(0x0e);
		put(DATA + roll(200), 2);
		break;
	case 1:
		modrm2(0xba, 4 + roll(4), false);
		put(roll(256), 1);
		break;
	case 2:
		PUT(0x83, 0xc9, 0x10, 0x0f);			/* or cx, 16; bsf or bsr ax, cx */
		put(0xbc | roll(2), 1);
		PUT(0xc1);
		break;
	case 3:
		modrm2(0x90 | roll(16), 0, false);
		break;
	case 4:
		modrm2(roll(2) ? 0xc0 | roll(2) : 0xb0 | roll(2), -1, false);
		break;
	default:
		modrm2(0xaf, -1, false);
	}
	define_flags();
}

static void decimal(void)
{
	static const u16 ops[] = { 0x9027, 0x902f, 0x9037, 0x903f, 0x0ad4, 0x0ad5, 0x9098, 0x9099,
				   0x909e, 0x909f, 0x90f5, 0x90f8, 0x90f9 };

	put(ops[roll(sizeof(ops) / sizeof(*ops))], 2);
	define_flags();
}

static void branches(void)
{
	switch (roll(5)) {
	case 0:
		put(0x70 | roll(16), 1);
		PUT(0x02, 0xfe, 0xc0);				/* over: inc al */
		break;
	case 1:
		PUT(0x0f);
		put(0x80 | roll(16), 1);
		PUT(0x03, 0x00, 0x80, 0xc3, 0x11);		/* over: add bl, 0x11 */
		break;
	case 2:
		PUT(0xe8, 0x02, 0x00, 0xeb, 0x02, 0x42, 0xc3);	/* call: inc dx; ret */
		break;
	case 3:
		PUT(0xb9, 0x05, 0x00, 0x40);			/* mov cx, 5; 1: inc ax; loop 1b */
		put(0xe0 | roll(3), 1);
		PUT(0xfd);
		break;
	default:
		PUT(0xbb, 0x00, 0x80, 0xd7);			/* mov bx, DATA; xlat */
	}
}

static void (*const kinds[])(void) = {
	arithmetic, arithmetic, arithmetic, unary, shift, moves, moves, stack, strings, bits,
	decimal, branches,
};

static void make(u8 *low, struct kvm_regs *regs)
{
	__u64 *r = &regs->rax;
	unsigned int i;

	for (i = DATA; i < SEEN; i++)
		low[i] = roll(256);
	at = low + CODE;
	define_flags();
	for (i = 0; i < LENGTH; i++)
		kinds[roll(sizeof(kinds) / sizeof(*kinds))]();
	PUT(0xf4);
	*regs = (struct kvm_regs){ 0 };
	for (i = 0; i < 8; i++)
		r[i] = roll(~0u);
	regs->rsp = STACK;
	regs->rip = CODE;
	regs->rflags = 2;
}

static void print_code(u64 seed, const u8 *code, const u8 *end)
{
	char text[512];
	int n = 0;

	for (; code < end && n < 500; code++)
		n += snprintf(text + n, sizeof(text) - n, "%02x ", *code);
	test_note("seed %llu: %s", (unsigned long long)seed, text);
}

static void compare_memory(const u8 *one, const u8 *other)
{
	unsigned int i;

	for (i = 0; i < SEEN; i++)
		if (one[i] != other[i])
			FAIL("memory differs at %#x: %#x, not %#x", i, one[i], other[i]);
}

static bool same(const struct kvm_regs *a, const struct kvm_regs *b)
{
	return !memcmp(a, b, sizeof(*a));
}

static void random_code(void)
{
	static u8 image[SEEN], real_memory[SEEN];
	struct vm *vm = vm_create(VM_LOW);
	struct vcpu *real = vcpu_create(vm, 0), *prot = vcpu_create(vm, 1);
	u64 first = test_option("seed", 1), seed, count = test_count("count", 2000);

	for (seed = first; seed < first + count; seed++) {
		struct kvm_regs start, one, other;

		random_state = seed * 0x9e3779b97f4a7c15;
		make(vm->low, &start);
		memcpy(image, vm->low, SEEN);
		vcpu_enter_real(real, 0, CODE);
		vcpu_set_regs(real, &start);
		vcpu_run_exit(real, KVM_EXIT_HLT);
		memcpy(real_memory, vm->low, SEEN);
		memcpy(vm->low, image, SEEN);
		vcpu_enter_code16(prot, CODE);
		vcpu_set_regs(prot, &start);
		vcpu_run_exit(prot, KVM_EXIT_HLT);
		one = vcpu_regs(real);
		other = vcpu_regs(prot);
		if (!same(&one, &other) || memcmp(real_memory, vm->low, SEEN)) {
			print_code(seed, image + CODE, image + (at - vm->low));
			CHECK_EQ(one.rax, other.rax);
			CHECK_EQ(one.rbx, other.rbx);
			CHECK_EQ(one.rcx, other.rcx);
			CHECK_EQ(one.rdx, other.rdx);
			CHECK_EQ(one.rsi, other.rsi);
			CHECK_EQ(one.rdi, other.rdi);
			CHECK_EQ(one.rbp, other.rbp);
			CHECK_EQ(one.rsp, other.rsp);
			CHECK_EQ(one.rip, other.rip);
			CHECK_EQ(one.rflags, other.rflags);
			compare_memory(real_memory, vm->low);
		}
	}
}

static struct vcpu *raw(const void *code, size_t size)
{
	struct vcpu *vcpu = vcpu_create(vm_create_code(0, code, size), 0);

	vcpu_enter_real(vcpu, 0, CODE);
	return vcpu;
}

#define RAW(...)	raw((const u8[]){ __VA_ARGS__ }, sizeof((u8[]){ __VA_ARGS__ }))

static void spin_body(struct vcpu *vcpu)
{
	CHECK_ERRNO(vcpu_run_raw(vcpu), EINTR);
}

/* For ever, with interrupts off; nobody else may have to wait for that, and a signal ends it. */
static void spin(void)
{
	struct vcpu *vcpu = RAW(0xff, 0x06, 0x00, 0x80, 0xeb, 0xfa);	/* 1: inc [DATA]; jmp 1b */
	volatile u16 *counter = (u16 *)(vcpu->vm->low + DATA);
	int i;

	vcpu_kick_setup();
	vcpu_thread_start(vcpu, spin_body);
	while (!*counter)
		;
	for (i = 0; i < 10; i++) {
		vm_add_anon(vcpu->vm, 5, 0, 0x10000000, PAGE);
		vm_set_slot(vcpu->vm, 5, 0, 0x10000000, 0, NULL);
	}
	vcpu_thread_kick(vcpu);
	vcpu_thread_join(vcpu);
}

/* An NMI ends HLT; another waits until IRET, whatever the interrupt flag is. */
static void nmi(void)
{
	struct vcpu *vcpu = RAW(0xf4, 0xf4);
	/* handler: inc ax; hlt; iret */
	static const u8 handler[] = { 0x40, 0xf4, 0xcf };
	struct kvm_vcpu_events events;
	struct kvm_regs regs;

	memcpy(vcpu->vm->low + 0x2000, handler, sizeof(handler));
	*(u32 *)(vcpu->vm->low + 4 * NMI_VECTOR) = 0x2000;
	vcpu_run_exit(vcpu, KVM_EXIT_HLT);
	SYS(ioctl(vcpu->fd, KVM_NMI, 0));
	vcpu_run_exit(vcpu, KVM_EXIT_HLT);
	CHECK_EQ(vcpu_regs(vcpu).rip, 0x2002);
	SYS(ioctl(vcpu->fd, KVM_GET_VCPU_EVENTS, &events));
	CHECK_EQ(events.nmi.masked, 1);
	SYS(ioctl(vcpu->fd, KVM_NMI, 0));
	regs = vcpu_regs(vcpu);
	CHECK_EQ(regs.rax, 1);
	vcpu_run_exit(vcpu, KVM_EXIT_HLT);		/* IRET lets it in: the handler again */
	CHECK_EQ(vcpu_regs(vcpu).rax, 2);
	CHECK_EQ(vcpu_regs(vcpu).rip, 0x2002);
	vcpu_run_exit(vcpu, KVM_EXIT_HLT);
	CHECK_EQ(vcpu_regs(vcpu).rip, CODE + 2);
}

/* The instruction behind STI comes before the interrupt. */
static void sti_shadow(void)
{
	struct vcpu *vcpu = RAW(0xfb, 0x40, 0x40, 0xf4);	/* sti; inc ax; inc ax; hlt */
	struct kvm_interrupt irq = { .irq = 0x50 };

	vcpu->vm->low[0x2000] = 0xf4;
	*(u32 *)(vcpu->vm->low + 4 * 0x50) = 0x2000;
	vcpu->run->request_interrupt_window = 1;
	vcpu_run_exit(vcpu, KVM_EXIT_IRQ_WINDOW_OPEN);
	CHECK_EQ(vcpu->run->ready_for_interrupt_injection, 1);
	CHECK_EQ(vcpu_regs(vcpu).rip, CODE + 2);
	vcpu->run->request_interrupt_window = 0;
	SYS(ioctl(vcpu->fd, KVM_INTERRUPT, &irq));
	vcpu_run_exit(vcpu, KVM_EXIT_HLT);
	CHECK_EQ(vcpu_regs(vcpu).rip, 0x2001);
	CHECK_EQ(vcpu_regs(vcpu).rax, 1);
	CHECK_EQ(*(u16 *)(vcpu->vm->low + STACK - 6), CODE + 2);
}

/* Without a table the fault is a double and then a triple one. */
static void no_table(void)
{
	struct vcpu *vcpu = RAW(0x0f, 0x0b);
	struct kvm_sregs sregs = vcpu_sregs(vcpu);

	sregs.idt.limit = 0;
	vcpu_set_sregs(vcpu, &sregs);
	vcpu_run_exit(vcpu, KVM_EXIT_SHUTDOWN);
}

/* Each instruction of the way is a step, to protected mode and into it. */
static void single_step(void)
{
	/* lgdt [0x1020]; smsw ax; or al, 1; lmsw ax; jmp 8:0x100f; hlt */
	static const u8 code[] = {
		0x0f, 0x01, 0x16, 0x20, 0x10, 0x0f, 0x01, 0xe0, 0x0c, 0x01, 0x0f, 0x01, 0xf0,
		0xea, 0x12, 0x10, 0x08, 0x00, 0xf4,
	};
	static const u16 rips[] = { 0x1005, 0x1008, 0x100a, 0x100d, 0x1012 };
	struct kvm_guest_debug debug = {
		.control = KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_SINGLESTEP,
	};
	struct vcpu *vcpu = raw(code, sizeof(code));
	unsigned int i;

	*(u16 *)(vcpu->vm->low + 0x1020) = 15;
	*(u32 *)(vcpu->vm->low + 0x1022) = 0x1030;
	*(u64 *)(vcpu->vm->low + 0x1038) = 0x00009b000000ffff;
	for (i = 0; i < sizeof(rips) / sizeof(*rips); i++) {
		SYS(ioctl(vcpu->fd, KVM_SET_GUEST_DEBUG, &debug));
		vcpu_run_exit(vcpu, KVM_EXIT_DEBUG);
		CHECK_EQ(vcpu->run->debug.arch.pc, rips[i]);
	}
	debug.control = 0;
	SYS(ioctl(vcpu->fd, KVM_SET_GUEST_DEBUG, &debug));
	vcpu_run_exit(vcpu, KVM_EXIT_HLT);
	CHECK_EQ(vcpu_sregs(vcpu).cs.selector, 8);
	CHECK_EQ(vcpu_sregs(vcpu).cr0 & X86_CR0_PE, 1);
}

/* CR3 keeps its value while there is no paging, whoever looks. */
static void cr3_kept(void)
{
	/* mov eax, 0x123000; mov cr3, eax; xor eax, eax; mov eax, cr3; hlt */
	static const u8 code[] = {
		0xb8, 0x00, 0x30, 0x12, 0x00, 0x0f, 0x22, 0xd8, 0x31, 0xc0, 0x0f, 0x20, 0xd8, 0xf4,
	};
	struct vcpu *vcpu = raw(code, sizeof(code));
	struct kvm_sregs sregs;

	vcpu_enter_protected(vcpu, CODE);
	vcpu_run_exit(vcpu, KVM_EXIT_HLT);
	CHECK_EQ(vcpu_regs(vcpu).rax, 0x123000);
	sregs = vcpu_sregs(vcpu);
	CHECK_EQ(sregs.cr3, 0x123000);
	CHECK_EQ(sregs.cr4, 0);
	CHECK_EQ(sregs.cr0 & X86_CR0_PG, 0);
}

/* FNINIT, FNSTCW: how boot code finds the x87. CPUID, RDTSC, MSRs of real mode. */
static void other_insns(void)
{
	/* fninit; fnstcw [DATA]; xor eax, eax; cpuid; mov [DATA+4], ebx; mov ecx, 0x10; rdmsr;
	 * mov ebx, edx; mov esi, eax; rdtsc; sub eax, esi; sbb edx, ebx; hlt
	 */
	struct vcpu *vcpu = RAW(0xdb, 0xe3, 0xd9, 0x3e, 0x00, 0x80, 0x66, 0x31, 0xc0, 0x0f, 0xa2,
				0x66, 0x89, 0x1e, 0x04, 0x80, 0x66, 0xb9, 0x10, 0x00, 0x00, 0x00,
				0x0f, 0x32, 0x66, 0x89, 0xd3, 0x66, 0x89, 0xc6, 0x0f, 0x31, 0x66,
				0x29, 0xf0, 0x66, 0x19, 0xda, 0xf4);

	vcpu_run_exit(vcpu, KVM_EXIT_HLT);
	CHECK_EQ(*(u16 *)(vcpu->vm->low + DATA), 0x37f);
	CHECK_EQ((u32)vcpu_regs(vcpu).rdx, 0);
}

static const struct test_case cases[] = {
	{ "random_code", random_code },
	{ "spin", spin },
	{ "nmi", nmi },
	{ "sti_shadow", sti_shadow },
	{ "no_table", no_table },
	{ "single_step", single_step },
	{ "cr3_kept", cr3_kept },
	{ "other_insns", other_insns },
};

TEST_MAIN(cases)
