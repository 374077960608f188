// SPDX-License-Identifier: GPL-2.0-only
/*
 * Catches: a guest page-table change that is not seen after the flush that the SDM asks for, or
 * protection that is not enforced: WP, NX, SMEP, SMAP, PCID, global pages, large pages, user
 * pages.
 */
#include "trap.h"
#include "vcpu.h"

#define VA	0x5000000000

static u64 page_a[512] __attribute__((aligned(4096)));
static u64 page_b[512] __attribute__((aligned(4096)));

/* The entry as the guest reaches it: tables lie in the arena, virtual = physical. */
static u64 *guest_pte(struct vm *vm, u64 va, int level)
{
	return (u64 *)(VM_ARENA + ((u8 *)vm_pte(vm, va, level) - vm->arena));
}

static volatile u64 *va_word(void)
{
	return (volatile u64 *)VA;
}

static void flush_guest(volatile u64 *pte)
{
	u64 value;

	*pte = (u64)page_a | PTE_P | PTE_W;
	GUEST_CHECK_EQ(*va_word(), 0xa);
	GUEST_CHECK_EQ(*pte & (PTE_A | PTE_D), PTE_A);
	*pte = (u64)page_b | PTE_P | PTE_W;
	invlpg(VA);
	GUEST_CHECK_EQ(*va_word(), 0xb);
	*pte = (u64)page_a | PTE_P | PTE_W;
	write_cr3(read_cr3());
	GUEST_CHECK_EQ(*va_word(), 0xa);
	*va_word() = 0xaa;
	GUEST_CHECK_EQ(*pte & (PTE_A | PTE_D), PTE_A | PTE_D);
	/* A global page outlives a CR3 write, not a change of CR4.PGE. */
	write_cr4(read_cr4() | X86_CR4_PGE);
	*pte = (u64)page_b | PTE_P | PTE_W | BIT(8);
	invlpg(VA);
	GUEST_CHECK_EQ(*va_word(), 0xb);
	*pte = (u64)page_a | PTE_P | PTE_W | BIT(8);
	write_cr4(read_cr4() & ~X86_CR4_PGE);
	GUEST_CHECK_EQ(*va_word(), 0xaa);
	*pte = 0;
	invlpg(VA);
	GUEST_CHECK_EQ(read_safe((void *)VA, &value).vector, PF_VECTOR);
	/* Present again: no flush needed. */
	*pte = (u64)page_b | PTE_P;
	GUEST_CHECK_EQ(*va_word(), 0xb);
	GUEST_CHECK_EQ(write_safe((void *)VA, 1).error, 3);
	write_cr0(read_cr0() & ~X86_CR0_WP);
	GUEST_CHECK_EQ(write_safe((void *)VA, 0xbb).vector, GUEST_NO_FAULT);
	write_cr0(read_cr0() | X86_CR0_WP);
	GUEST_CHECK_EQ(write_safe((void *)VA, 1).vector, PF_VECTOR);
	GUEST_CHECK_EQ(page_b[0], 0xbb);
}

static void flushes(void)
{
	struct vm *vm = vm_create(0);
	struct vcpu *vcpu = vcpu_create(vm, 0);

	page_a[0] = 0xa;
	page_b[0] = 0xb;
	vcpu_enter(vcpu, flush_guest, (u64)guest_pte(vm, VA, 1));
	vcpu_run_done(vcpu);
}

/* A function of one byte, in a page of its own. */
static u64 call_safe(u64 address)
{
	struct guest_fault f;

	f = GUEST_INSN_SAFE("call *%%rax", "a"(address));
	return f.vector == GUEST_NO_FAULT ? GUEST_NO_FAULT : (u64)f.vector << 32 | f.error;
}

/* A fault at the fetch has RIP at the target: only the handler can put it right. */
static volatile u64 fetch_error;

static void fetch_handler(struct trap_frame *frame)
{
	if (frame->rip == VA) {
		fetch_error = frame->error;
		frame->rip = *(u64 *)frame->rsp;
		frame->rsp += 8;
		return;
	}
	guest_fail("fault elsewhere", 0, "rip", frame->rip, frame->error);
}

static void protect_guest(volatile u64 *pte, u64 features)
{
	page_a[0] = 0xc3;
	*pte = (u64)page_a | PTE_P | PTE_W;
	GUEST_CHECK_EQ(call_safe(VA), GUEST_NO_FAULT);
	trap_set(PF_VECTOR, fetch_handler);
	*pte = (u64)page_a | PTE_P | PTE_W | PTE_NX;
	invlpg(VA);
	fetch_error = 0;
	call_safe(VA);
	GUEST_CHECK_EQ(fetch_error, 0x11);
	trap_set(PF_VECTOR, NULL);
	GUEST_CHECK_EQ(*va_word() & 0xff, 0xc3);
	*pte = (u64)page_a | PTE_P | PTE_W | PTE_U;
	invlpg(VA);
	if (features & 1) {
		write_cr4(read_cr4() | X86_CR4_SMEP);
		trap_set(PF_VECTOR, fetch_handler);
		fetch_error = 0;
		call_safe(VA);
		GUEST_CHECK_EQ(fetch_error, 0x11);
		trap_set(PF_VECTOR, NULL);
		write_cr4(read_cr4() & ~X86_CR4_SMEP);
		GUEST_CHECK_EQ(call_safe(VA), GUEST_NO_FAULT);
	}
	if (features & 2) {
		/* All other pages must be the supervisor's, this one is the user's. */
		u64 value;

		write_cr4(read_cr4() | X86_CR4_SMAP);
		GUEST_CHECK_EQ(read_safe((void *)VA, &value).error, 1);
		asm volatile("stac");
		GUEST_CHECK_EQ(read_safe((void *)VA, &value).vector, GUEST_NO_FAULT);
		asm volatile("clac");
		write_cr4(read_cr4() & ~X86_CR4_SMAP);
	}
}

static void protection(void)
{
	struct vm *vm = vm_create(0);
	struct vcpu *vcpu = vcpu_create(vm, 0);
	u64 i, *table, *pd;

	/* SMEP and SMAP with code and stack in user pages would end at once. */
	table = vm_host(vm, vm->cr3);
	pd = vm_host(vm, table[0] & ~0xfffULL);
	for (i = 0; i < 4; i++) {
		u64 *entry = vm_host(vm, pd[i] & ~0xfffULL);
		int k;

		for (k = 0; k < 512; k++)
			entry[k] &= ~PTE_U;
	}
	vcpu_enter(vcpu, protect_guest, (u64)guest_pte(vm, VA, 1),
		   dev_cpuid_has(7, 0, 'b', 7) | dev_cpuid_has(7, 0, 'b', 20) << 1);
	vcpu_run_done(vcpu);
}

/* Each PCID keeps its own translations; a CR3 write with bit 63 flushes nothing, INVPCID does. */
static void pcid_guest(volatile u64 *pte)
{
	u64 cr3 = read_cr3();
	struct {
		u64 pcid, address;
	} descriptor = { 1, VA };

	page_a[0] = 0xa;
	page_b[0] = 0xb;
	write_cr4(read_cr4() | X86_CR4_PCIDE);
	*pte = (u64)page_a | PTE_P | PTE_W;
	write_cr3(cr3 | 1);
	GUEST_CHECK_EQ(*va_word(), 0xa);
	write_cr3(cr3 | 2);
	GUEST_CHECK_EQ(*va_word(), 0xa);
	*pte = (u64)page_b | PTE_P | PTE_W;
	write_cr3(cr3 | 1);
	GUEST_CHECK_EQ(*va_word(), 0xb);
	*pte = (u64)page_a | PTE_P | PTE_W;
	if (cpuid(7, 0).b & BIT(10)) {
		asm volatile("invpcid %0, %1" : : "m"(descriptor), "r"(0ULL) : "memory");
		GUEST_CHECK_EQ(*va_word(), 0xa);
		*pte = (u64)page_b | PTE_P | PTE_W;
		asm volatile("invpcid %0, %1" : : "m"(descriptor), "r"(2ULL) : "memory");
		GUEST_CHECK_EQ(*va_word(), 0xb);
	}
	GUEST_CHECK_EQ(read_cr3(), cr3 | 1);
	GUEST_CHECK_EQ(GUEST_INSN_SAFE("mov %%rax, %%cr0", "a"(read_cr0() & ~X86_CR0_PG)).vector,
			GP_VECTOR);
	write_cr3(cr3);
	write_cr4(read_cr4() & ~X86_CR4_PCIDE);
}

static void pcid(void)
{
	struct vm *vm = vm_create(0);
	struct vcpu *vcpu = vcpu_create(vm, 0);

	if (!dev_cpuid_has(1, 0, 'c', 17))
		test_skip("no PCID");
	vcpu_enter(vcpu, pcid_guest, (u64)guest_pte(vm, VA, 1));
	vcpu_run_done(vcpu);
}

/* Many address spaces, switched without pause, each with its own view of one address. */
#define SPACES	16

static u64 space_words[SPACES][512] __attribute__((aligned(4096)));
static u64 space_cr3[SPACES];

static void spaces_guest(void)
{
	u64 i, k;

	for (i = 0; i < 2000; i++) {
		k = i * 7 % SPACES;
		write_cr3(space_cr3[k]);
		GUEST_CHECK_EQ(*(volatile u64 *)VM_TEST_VA, 0x1000 + k);
	}
}

static void spaces(void)
{
	struct vm *vm = vm_create(0);
	struct vcpu *vcpu = vcpu_create(vm, 0);
	u64 first = vm->cr3, i;

	for (i = 0; i < SPACES; i++) {
		space_words[i][0] = 0x1000 + i;
		vm->cr3 = vm_alloc(vm, 1);
		*(u64 *)vm_host(vm, vm->cr3) = *(u64 *)vm_host(vm, first);
		*vm_pte(vm, VM_TEST_VA, 1) = (uintptr_t)space_words[i] | PTE_P;
		space_cr3[i] = vm->cr3;
	}
	vm->cr3 = first;
	vcpu_enter(vcpu, spaces_guest, 0);
	vcpu_run_done(vcpu);
}

/* A 2M page of the guest over memory that the host has in pieces and holes. */
static void large_guest(void)
{
	u64 i;

	for (i = 0; i < 512; i++)
		*(volatile u64 *)(VM_TEST_GPA + i * PAGE) = i;
	for (i = 0; i < 512; i++)
		GUEST_CHECK_EQ(*(volatile u64 *)(VM_TEST_GPA + i * PAGE), i);
}

static void large_over_pieces(void)
{
	struct vcpu *vcpu = vcpu_start(0, large_guest, 0, 0);
	u64 i;

	for (i = 0; i < 8; i++)
		vm_add_anon(vcpu->vm, VM_SLOT_TEST + (7 - i), 0, VM_TEST_GPA + i * 64 * PAGE,
				64 * PAGE);
	vcpu_run_done(vcpu);
}

/* A reserved bit in an entry faults with the bit for it in the error code. */
static void reserved_guest(volatile u64 *pte)
{
	u64 value;

	*pte = (u64)page_a | PTE_P | PTE_W | BIT(51);
	/* QEMU leaves out the bit for present. */
	GUEST_CHECK_EQ(read_safe((void *)VA, &value).error | 1, 9);
	GUEST_CHECK_EQ(write_safe((void *)VA, 1).error | 1, 0xb);
}

static void reserved_bits(void)
{
	struct vm *vm = vm_create(0);
	struct vcpu *vcpu = vcpu_create(vm, 0);

	vcpu_enter(vcpu, reserved_guest, (u64)guest_pte(vm, VA, 1));
	vcpu_run_done(vcpu);
}

static const struct test_case cases[] = {
	{ "flushes", flushes },
	{ "protection", protection },
	{ "pcid", pcid },
	{ "spaces", spaces },
	{ "large_over_pieces", large_over_pieces },
	{ "reserved_bits", reserved_bits },
};

TEST_MAIN(cases)
