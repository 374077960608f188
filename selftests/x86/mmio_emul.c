// SPDX-License-Identifier: GPL-2.0-only
/*
 * Catches: an instruction that gives another result at a device's address than in memory. Each
 * form runs twice in the guest, on plain memory by the CPU and on an address where every access
 * goes through the emulator to a userspace device; registers, flags and memory must agree. In
 * 64-bit, 32-bit and 16-bit code.
 */
#define _GNU_SOURCE
#include <stdlib.h>
#include <sys/mman.h>

#include "vcpu.h"

#define DEVICE		VM_HOLE_GPA
#define DEVICE_SIZE	256

/* What an instruction sees and leaves: RAX RCX RDX RDI RSI RFLAGS, and the memory behind RBX. */
struct state {
	u64 rax, rcx, rdx, rsi, rdi, flags;
	u64 memory[8];
};

static u8 device[DEVICE_SIZE];

/* A userspace device that is nothing but memory. */
static void device_access(struct kvm_run *run)
{
	u64 at = run->mmio.phys_addr - DEVICE;

	CHECK_LE(at + run->mmio.len, DEVICE_SIZE);
	if (run->mmio.is_write)
		memcpy(device + at, run->mmio.data, run->mmio.len);
	else
		memcpy(run->mmio.data, device + at, run->mmio.len);
}

static void run_with_device(struct vcpu *vcpu)
{
	for (;;) {
		vcpu_run(vcpu);
		if (vcpu->run->exit_reason != KVM_EXIT_MMIO)
			return;
		device_access(vcpu->run);
	}
}

typedef void (*form)(struct state *s, void *mem);

/* One form: load the registers, run the instruction on (%rbx), store them. */
#define FORM(name, insn)							\
static void __attribute__((noinline)) form_##name(struct state *s, void *mem)	\
{										\
	register void *r8 asm("r8") = mem;					\
	register void *r9 asm("r9") = s;					\
										\
	asm volatile("push %%rbx\n push %%rbp\n mov %%r8, %%rbx\n push %%r9\n"	\
		     "pushq 40(%%r9)\n popfq\n"					\
		     "mov 0(%%r9), %%rax\n mov 8(%%r9), %%rcx\n"		\
		     "mov 16(%%r9), %%rdx\n mov 24(%%r9), %%rsi\n"		\
		     "mov 32(%%r9), %%rdi\n"					\
		     insn "\n"							\
		     "pop %%r9\n pushfq\n popq 40(%%r9)\n"			\
		     "mov %%rax, 0(%%r9)\n mov %%rcx, 8(%%r9)\n"		\
		     "mov %%rdx, 16(%%r9)\n mov %%rsi, 24(%%r9)\n"		\
		     "mov %%rdi, 32(%%r9)\n"					\
		     "pop %%rbp\n pop %%rbx\n cld\n"				\
		     : "+r"(r8), "+r"(r9)					\
		     : : "rax", "rcx", "rdx", "rsi", "rdi", "memory", "cc");	\
}

/* Flags that the SDM leaves undefined for the form are not compared. */
#define CF	BIT(0)
#define PF	BIT(2)
#define AF	BIT(4)
#define ZF	BIT(6)
#define SF	BIT(7)
#define OF	BIT(11)

#define FORMS									\
	X(mov_load8, "movb 3(%%rbx), %%dl", 0)					\
	X(mov_load16, "movw 2(%%rbx), %%dx", 0)					\
	X(mov_load32, "movl 4(%%rbx), %%edx", 0)				\
	X(mov_load64, "movq 8(%%rbx), %%rdx", 0)				\
	X(mov_store8, "movb %%ch, 5(%%rbx)", 0)					\
	X(mov_store16, "movw %%cx, 2(%%rbx)", 0)				\
	X(mov_store32, "movl %%ecx, 4(%%rbx)", 0)				\
	X(mov_store64, "movq %%rcx, 8(%%rbx)", 0)				\
	X(mov_imm8, "movb $0x7e, 1(%%rbx)", 0)					\
	X(mov_imm16, "movw $0x7e7f, 2(%%rbx)", 0)				\
	X(mov_imm32, "movl $0x7e7f8081, 4(%%rbx)", 0)				\
	X(mov_imm64, "movq $-2, 8(%%rbx)", 0)					\
	X(mov_load_high, "movb 3(%%rbx), %%dh", 0)				\
	X(mov_load16_high, "movw 6(%%rbx), %%r8w\n movzwl %%r8w, %%edx", 0)	\
	X(mov_two, "movl (%%rbx), %%edx\n movl %%edx, 12(%%rbx)", 0)		\
	X(mov_index, "mov $2, %%edi\n movl 4(%%rbx, %%rdi, 4), %%edx", 0)	\
	X(movzx8_32, "movzbl 1(%%rbx), %%edx", 0)				\
	X(movzx8_16, "movzbw 1(%%rbx), %%dx", 0)				\
	X(movzx16_64, "movzwq 2(%%rbx), %%rdx", 0)				\
	X(movzx8_64, "movzbq 1(%%rbx), %%rdx", 0)				\
	X(movzx16_32, "movzwl 2(%%rbx), %%edx", 0)				\
	X(movsx8_32, "movsbl 7(%%rbx), %%edx", 0)				\
	X(movsx8_64, "movsbq 7(%%rbx), %%rdx", 0)				\
	X(movsx16_64, "movswq 6(%%rbx), %%rdx", 0)				\
	X(movsxd, "movslq 4(%%rbx), %%rdx", 0)					\
	X(add_store8, "addb %%cl, (%%rbx)", 0)					\
	X(add_store32, "addl %%ecx, (%%rbx)", 0)				\
	X(add_store64, "addq %%rcx, (%%rbx)", 0)				\
	X(add_load32, "addl (%%rbx), %%ecx", 0)					\
	X(add_imm8, "addl $-5, (%%rbx)", 0)					\
	X(adc_store, "adcl %%ecx, (%%rbx)", 0)					\
	X(sbb_load, "sbbq (%%rbx), %%rcx", 0)					\
	X(sub_store, "subw %%cx, (%%rbx)", 0)					\
	X(sub_imm, "subq $0x12345678, (%%rbx)", 0)				\
	X(cmp_load, "cmpl (%%rbx), %%ecx", 0)					\
	X(cmp_store, "cmpq %%rcx, (%%rbx)", 0)					\
	X(cmp_imm, "cmpb $0x40, (%%rbx)", 0)					\
	X(and_store, "andl %%ecx, (%%rbx)", AF)					\
	X(and_imm, "andb $0x0f, (%%rbx)", AF)					\
	X(or_store, "orq %%rcx, (%%rbx)", AF)					\
	X(or_imm, "orl $0x80, (%%rbx)", AF)					\
	X(xor_store, "xorw %%cx, (%%rbx)", AF)					\
	X(xor_load, "xorl (%%rbx), %%edx", AF)					\
	X(test_reg, "testl %%ecx, (%%rbx)", AF)					\
	X(test_imm8, "testb $0x81, (%%rbx)", AF)				\
	X(test_imm32, "testl $0x80000001, (%%rbx)", AF)				\
	X(inc8, "incb (%%rbx)", 0)						\
	X(inc64, "incq (%%rbx)", 0)						\
	X(dec32, "decl (%%rbx)", 0)						\
	X(neg32, "negl (%%rbx)", 0)						\
	X(not64, "notq (%%rbx)", 0)						\
	X(xchg8, "xchgb %%cl, (%%rbx)", 0)					\
	X(xchg32, "xchgl %%ecx, (%%rbx)", 0)					\
	X(xchg64, "xchgq %%rcx, (%%rbx)", 0)					\
	X(lock_add, "lock addl %%ecx, (%%rbx)", 0)				\
	X(lock_or, "lock orl $0x10, (%%rbx)", AF)				\
	X(lock_inc, "lock incl (%%rbx)", 0)					\
	X(lock_dec64, "lock decq (%%rbx)", 0)					\
	X(xadd, "lock xaddl %%ecx, (%%rbx)", 0)					\
	X(cmpxchg_miss, "lock cmpxchgl %%ecx, (%%rbx)", 0)			\
	X(cmpxchg_hit, "movl (%%rbx), %%eax\n lock cmpxchgl %%ecx, (%%rbx)", 0)	\
	X(cmpxchg8b_miss, "push %%rbx\n mov %%rbx, %%rdi\n mov $5, %%ebx\n" \
	  "cmpxchg8b (%%rdi)\n pop %%rbx\n xor %%edi, %%edi", PF | AF | SF | OF | CF) \
	X(bt_reg, "btl %%ecx, (%%rbx)", OF | SF | AF | PF)			\
	X(bt_imm, "btl $13, (%%rbx)", OF | SF | AF | PF)			\
	X(bts_imm, "btsl $12, (%%rbx)", OF | SF | AF | PF)			\
	X(btr_imm, "btrl $11, (%%rbx)", OF | SF | AF | PF)			\
	X(btc_imm, "btcq $40, (%%rbx)", OF | SF | AF | PF)			\
	X(lock_bts, "lock btsl $3, (%%rbx)", OF | SF | AF | PF)			\
	X(shl_1, "shll (%%rbx)", AF)						\
	X(shl_imm, "shll $5, (%%rbx)", AF | OF)					\
	X(shr_cl, "movb $7, %%cl\n shrl %%cl, (%%rbx)", AF | OF)		\
	X(sar_imm, "sarq $9, (%%rbx)", AF | OF)					\
	X(rol_imm, "rolw $4, (%%rbx)", OF)					\
	X(ror_1, "rorb (%%rbx)", 0)						\
	X(rcl_1, "rcll (%%rbx)", 0)						\
	X(shld, "shldl $4, %%ecx, (%%rbx)", AF | OF)				\
	X(push, "pushq 8(%%rbx)\n popq %%rdx", 0)				\
	X(pop, "pushq %%rcx\n popq 8(%%rbx)", 0)				\
	X(mul, "mull (%%rbx)", SF | ZF | AF | PF)				\
	X(imul2, "imull (%%rbx), %%ecx", SF | ZF | AF | PF)			\
	X(imul3, "imull $7, (%%rbx), %%edx", SF | ZF | AF | PF)			\
	X(div, "xor %%edx, %%edx\n orl $1, (%%rbx)\n divl (%%rbx)", CF | OF | SF | ZF | AF | PF) \
	X(cmov, "cmpl %%ecx, %%ecx\n cmovel (%%rbx), %%edx", 0)			\
	X(cmov_not, "cmpl %%ecx, %%ecx\n cmovnel (%%rbx), %%edx", 0)		\
	X(setcc, "cmpl $0, %%ecx\n setne (%%rbx)", 0)				\
	X(bsf, "orl $0x100, (%%rbx)\n bsfl (%%rbx), %%edx", CF | OF | SF | AF | PF) \
	X(bsr, "orl $0x100, (%%rbx)\n bsrl (%%rbx), %%edx", CF | OF | SF | AF | PF) \
	X(bswap_store, "bswapl %%ecx\n movl %%ecx, (%%rbx)", 0)			\
	X(movnti, "movntil %%ecx, 4(%%rbx)", 0)					\
	X(movdqu, "movdqu (%%rbx), %%xmm1\n movdqu %%xmm1, 16(%%rbx)", 0)	\
	X(movaps, "movaps 16(%%rbx), %%xmm1\n movaps %%xmm1, (%%rbx)", 0)	\
	X(stos, "mov %%rbx, %%rdi\n mov $3, %%ecx\n rep stosl\n sub %%rbx, %%rdi", 0) \
	X(stos_down, "std\n lea 16(%%rbx), %%rdi\n mov $3, %%ecx\n rep stosl\n" \
	  "sub %%rbx, %%rdi\n cld", 0) \
	X(lods, "mov %%rbx, %%rsi\n lodsl\n sub %%rbx, %%rsi", 0)		\
	X(movs, "mov %%rbx, %%rsi\n lea 32(%%rbx), %%rdi\n mov $4, %%ecx\n rep movsl\n" \
	  "sub %%rbx, %%rsi\n sub %%rbx, %%rdi", 0) \
	X(movsb, "mov %%rbx, %%rsi\n lea 32(%%rbx), %%rdi\n mov $5, %%ecx\n rep movsb\n" \
	  "sub %%rbx, %%rsi\n sub %%rbx, %%rdi", 0) \
	X(scas, "mov %%rbx, %%rdi\n mov $16, %%ecx\n mov 9(%%rbx), %%al\n repne scasb\n" \
	  "sub %%rbx, %%rdi", 0) \
	X(cmps, "mov %%rbx, %%rsi\n lea 32(%%rbx), %%rdi\n mov $8, %%ecx\n" \
	  "repe cmpsb\n sub %%rbx, %%rsi\n sub %%rbx, %%rdi", 0)

#define X(name, insn, undefined)	FORM(name, insn)
FORMS
#undef X

static const struct {
	const char *name;
	form run;
	u64 undefined;
} forms[] = {
#define X(name, insn, undefined)	{ #name, form_##name, undefined },
	FORMS
#undef X
};

#define FLAGS	(CF | PF | AF | ZF | SF | OF)

static u64 plain_memory[8] __attribute__((aligned(64)));
static struct state start_state, plain_state, device_state;
static volatile u64 form_index;

static void form_guest(void)
{
	form run = forms[form_index].run;

	plain_state = start_state;
	memcpy(plain_memory, start_state.memory, sizeof(plain_memory));
	run(&plain_state, plain_memory);
	device_state = start_state;
	run(&device_state, (void *)DEVICE);
}

static u64 random_word(void)
{
	return (u64)rand() << 40 ^ (u64)rand() << 20 ^ rand();
}

static void random_state(void)
{
	u64 *word = (u64 *)&start_state;
	size_t i;

	for (i = 0; i < sizeof(start_state) / 8; i++)
		word[i] = rand() % 4 ? random_word() : rand() % 2 ? 0 : ~0ULL;
	/* A bit offset reaches far; keep it near. */
	start_state.rcx = (start_state.rcx & ~0xffffffffULL) | (start_state.rcx & 0x7f);
	start_state.rax &= 0xffffffff7fffffff;
	start_state.flags = (start_state.flags & FLAGS) | 2;
}

static void compare(const char *name, u64 undefined)
{
	plain_state.flags &= ~undefined;
	device_state.flags &= ~undefined;
	memcpy(plain_state.memory, plain_memory, sizeof(plain_memory));
	memcpy(device_state.memory, device, sizeof(device_state.memory));
	if (!memcmp(&plain_state, &device_state, sizeof(plain_state)))
		return;
	for (size_t i = 0; i < sizeof(plain_state) / 8; i++) {
		if (((u64 *)&plain_state)[i] != ((u64 *)&device_state)[i])
			test_note("%s: word %zu is %#llx, by the CPU %#llx, at the start %#llx",
					name, i,
				  (unsigned long long)((u64 *)&device_state)[i],
				  (unsigned long long)((u64 *)&plain_state)[i],
				  (unsigned long long)((u64 *)&start_state)[i]);
	}
	FAIL("%s differs", name);
}

static void forms64(void)
{
	struct vcpu *vcpu = vcpu_create(vm_create(0), 0);
	u64 i, round, rounds = test_count("rounds", 10);

	srand(test_option("seed", 1));
	for (i = 0; i < ARRAY_SIZE(forms); i++) {
		for (round = 0; round < rounds; round++) {
			form_index = i;
			random_state();
			memcpy(device, start_state.memory, sizeof(start_state.memory));
			vcpu_enter(vcpu, form_guest, 0);
			run_with_device(vcpu);
			if (vcpu->run->exit_reason != KVM_EXIT_IO)
				FAIL("%s: %s", forms[i].name, vcpu_exit_text(vcpu));
			CHECK_EQ(vcpu_ucall(vcpu)->kind, GUEST_UCALL_DONE);
			compare(forms[i].name, forms[i].undefined);
		}
	}
}

/*
 * 32-bit and 16-bit code as bytes, EBX = the device. Each ends in HLT; the expected register and
 * memory values are worked out by hand.
 */
struct raw_case {
	const char *name;
	u8 code[24];
	u64 memory;	/* before */
	u64 eax, after;
};

static const struct raw_case raw32[] = {
	{ "mov eax, [ebx]", { 0x8b, 0x03, 0xf4 }, 0x1122334455667788, 0x55667788,
	  0x1122334455667788 },
	{ "mov ax, [ebx]", { 0x66, 0x8b, 0x03, 0xf4 }, 0x7788, 0xa5a57788, 0x7788 },
	{ "mov [ebx+1], al", { 0x88, 0x43, 0x01, 0xf4 }, 0, 0xa5a5a5a5, 0xa500 },
	{ "mov al, moffs", { 0xa0, 0, 0, 0, 0xa0, 0xf4 }, 0x42, 0xa5a5a542, 0x42 },
	{ "mov moffs, eax", { 0xa3, 4, 0, 0, 0xa0, 0xf4 }, 1, 0xa5a5a5a5, 0xa5a5a5a500000001 },
	{ "add [ebx], eax", { 0x01, 0x03, 0xf4 }, 1, 0xa5a5a5a5, 0xa5a5a5a6 },
	{ "inc dword [ebx]", { 0xff, 0x03, 0xf4 }, 0xffffffff, 0xa5a5a5a5, 0 },
	{ "xchg eax, [ebx]", { 0x87, 0x03, 0xf4 }, 7, 7, 0xa5a5a5a5 },
	{ "push [ebx]; pop eax", { 0xff, 0x33, 0x58, 0xf4 }, 0x99, 0x99, 0x99 },
	{ "movzx eax, byte [ebx]", { 0x0f, 0xb6, 0x03, 0xf4 }, 0xf1, 0xf1, 0xf1 },
	{ "es mov eax, [ebx]", { 0x26, 0x8b, 0x03, 0xf4 }, 0x55, 0x55, 0x55 },
	{ "mov eax, [ebx+ecx*4]", { 0xb9, 1, 0, 0, 0, 0x8b, 0x04, 0x8b, 0xf4 }, 0x3300000000, 0x33,
	  0x3300000000 },
	{ "rep stosb", { 0x89, 0xdf, 0xb9, 3, 0, 0, 0, 0xf3, 0xaa, 0xf4 }, 0, 0xa5a5a5a5,
	  0xa5a5a5 },
	{ "lods", { 0x89, 0xde, 0xad, 0xf4 }, 0x1234, 0x1234, 0x1234 },
	{ "daa-free and", { 0x80, 0x23, 0x0f, 0xf4 }, 0xff, 0xa5a5a5a5, 0x0f },
};

/* 16-bit protected mode, flat segments of 4 GiB, so 0x67 addresses reach the device. */
static const struct raw_case raw16[] = {
	{ "mov ax, [ebx]", { 0x67, 0x8b, 0x03, 0xf4 }, 0x7788, 0xa5a57788, 0x7788 },
	{ "mov eax, [ebx]", { 0x66, 0x67, 0x8b, 0x03, 0xf4 }, 0x11223344, 0x11223344, 0x11223344 },
	{ "mov [ebx], ax", { 0x67, 0x89, 0x03, 0xf4 }, 0, 0xa5a5a5a5, 0xa5a5 },
	{ "add word [ebx], 5", { 0x67, 0x83, 0x03, 0x05, 0xf4 }, 0xfffe, 0xa5a5a5a5, 3 },
	{ "es mov al, [ebx+2]", { 0x26, 0x67, 0x8a, 0x43, 0x02, 0xf4 }, 0x330000, 0xa5a5a533,
	  0x330000 },
	{ "stosd by edi", { 0x66, 0x89, 0xdf, 0x67, 0x66, 0xab, 0xf4 }, 0, 0xa5a5a5a5, 0xa5a5a5a5 },
};

static void raw_cases(const struct raw_case *cases, size_t nr, void (*enter)(struct vcpu *, u32))
{
	struct vm *vm = vm_create(VM_LOW);
	struct vcpu *vcpu = vcpu_create(vm, 0);
	struct kvm_regs regs;
	size_t i;

	for (i = 0; i < nr; i++) {
		memcpy(vm->low + 0x1000, cases[i].code, sizeof(cases[i].code));
		memcpy(device, &cases[i].memory, 8);
		enter(vcpu, 0x1000);
		regs = vcpu_regs(vcpu);
		regs.rbx = DEVICE;
		regs.rax = 0xa5a5a5a5;
		vcpu_set_regs(vcpu, &regs);
		run_with_device(vcpu);
		if (vcpu->run->exit_reason != KVM_EXIT_HLT)
			FAIL("%s: %s", cases[i].name, vcpu_exit_text(vcpu));
		if ((u32)vcpu_regs(vcpu).rax != cases[i].eax || *(u64 *)device != cases[i].after)
			FAIL("%s: eax %#llx, memory %#llx", cases[i].name, vcpu_regs(vcpu).rax,
			     (unsigned long long)*(u64 *)device);
	}
}

static void forms32(void)
{
	raw_cases(raw32, ARRAY_SIZE(raw32), vcpu_enter_protected);
}

static void forms16(void)
{
	raw_cases(raw16, ARRAY_SIZE(raw16), vcpu_enter_code16);
}

/* Real mode: the device lies in the hole at 0xb8000, segment and offset. */
static void real_mode(void)
{
	/*
	 * mov ax, 0xb800; mov es, ax; mov di, 4; mov ax, 0x0741; mov cx, 2; rep stosw; mov bl,
	 * es:[4]; hlt
	 */
	static const u8 code[] = {
		0xb8, 0x00, 0xb8, 0x8e, 0xc0, 0xbf, 0x04, 0x00, 0xb8, 0x41, 0x07, 0xb9, 0x02, 0x00,
		0xf3, 0xab, 0x26, 0x8a, 0x1e, 0x04, 0x00, 0xf4,
	};
	struct vcpu *vcpu = vcpu_create(vm_create_code(0, code, sizeof(code)), 0);
	struct kvm_run *run = vcpu->run;
	int i;

	vcpu_enter_real(vcpu, 0x100, 0);
	for (i = 0; i < 2; i++) {
		vcpu_run_exit(vcpu, KVM_EXIT_MMIO);
		CHECK_EQ(run->mmio.phys_addr, 0xb8004 + 2 * i);
		CHECK_EQ(run->mmio.is_write, 1);
		CHECK_EQ(run->mmio.len, 2);
		CHECK_EQ(*(u16 *)run->mmio.data, 0x0741);
	}
	vcpu_run_exit(vcpu, KVM_EXIT_MMIO);
	CHECK_EQ(run->mmio.phys_addr, 0xb8004);
	CHECK_EQ(run->mmio.is_write, 0);
	CHECK_EQ(run->mmio.len, 1);
	run->mmio.data[0] = 0x99;
	vcpu_run_exit(vcpu, KVM_EXIT_HLT);
	CHECK_EQ(vcpu_regs(vcpu).rbx & 0xff, 0x99);
	CHECK_EQ(vcpu_regs(vcpu).rdi, 8);
}

static const struct test_case cases[] = {
	{ "forms64", forms64, 120 },
	{ "forms32", forms32 },
	{ "forms16", forms16 },
	{ "real_mode", real_mode },
};

TEST_MAIN(cases)
