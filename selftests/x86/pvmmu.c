// SPDX-License-Identifier: GPL-2.0-only
/*
 * Catches: entries of page tables that a guest has written by hypercall and that are not there, or are not
 * what its accesses go by; a hypercall that is there though nobody has offered it; one that saves
 * nothing. The guest does what a kernel does for fork, copy on write and exit.
 *
 * The notes say what that costs, each way; ticks are instructions of host and guest in the Bochs bed.
 */
#include <stdlib.h>

#include "stats.h"
#include "trap.h"
#include "vcpu.h"

/* <linux/corbel.h> */
#define MMU_UPDATE	0x434f5201ull
#define MMU_FLUSH	1
#define MMU_FLUSH_ADDR	2
#define MAX_UPDATES	512
#define CPUID_LEAF	0x40000101
#define CPUID_PV_MMU	BIT(0)
struct update {
	u64 gpa, value;
};

#define PAGES		256ull
#define ROUNDS		4
#define VA		0x400000000000ull	/* PML4 entry 128 */
#define POOL		VM_TEST_GPA		/* of the parent's pages, then the child's */

static struct update list[MAX_UPDATES] __attribute__((aligned(4096)));
static u64 queued, ticks;
static bool pv, vmcall;

static u64 hypercall(u64 nr, u64 a0, u64 a1, u64 a2, u64 a3)
{
	u64 ret;

	if (vmcall)
		asm volatile("vmcall" : "=a"(ret)
			     : "a"(nr), "b"(a0), "c"(a1), "d"(a2), "S"(a3)
			     : "memory");
	else
		asm volatile("vmmcall" : "=a"(ret)
			     : "a"(nr), "b"(a0), "c"(a1), "d"(a2), "S"(a3)
			     : "memory");
	return ret;
}

static void commit(u64 flags, u64 va)
{
	GUEST_CHECK_EQ(hypercall(MMU_UPDATE, (u64)list, queued, flags, va), queued);
	queued = 0;
}

static void set(volatile u64 *pte, u64 value)
{
	if (!pv) {
		*pte = value;
		return;
	}
	list[queued++] = (struct update){ (u64)pte, value };
	if (queued == MAX_UPDATES)
		commit(0, 0);
}

/* Of one page, with what its processor remembers. */
static void set_and_flush(volatile u64 *pte, u64 value, u64 va)
{
	set(pte, value);
	if (pv)
		commit(MMU_FLUSH_ADDR, va);
	else
		invlpg(va);
}

static void flush(void)
{
	if (pv)
		commit(MMU_FLUSH, 0);
	else
		write_cr3(read_cr3());
}

#define USED		(PTE_P | PTE_U | PTE_A)
#define WRITABLE	(USED | PTE_W | PTE_D)

static volatile u64 *page(u64 i)
{
	return (volatile u64 *)(VA + i * PAGE);
}

static void fork_both(volatile u64 *parent, volatile u64 *child)
{
	u64 i;

	for (i = 0; i < PAGES; i++) {
		set(&parent[i], (POOL + i * PAGE) | USED);
		set(&child[i], (POOL + i * PAGE) | USED);
	}
	flush();
}

/* Reads, is refused to write, gets a page of its own. */
static void child_lives(volatile u64 *child)
{
	u64 i;

	for (i = 0; i < PAGES; i++) {
		GUEST_CHECK_EQ(*page(i), i);
		GUEST_CHECK_EQ(write_safe((void *)page(i), 0).error, 7 - 4);
		*(u64 *)(POOL + (PAGES + i) * PAGE) = i + 1000;
		set_and_flush(&child[i], (POOL + (PAGES + i) * PAGE) | WRITABLE, (u64)page(i));
		GUEST_CHECK_EQ(*page(i), i + 1000);
		*page(i) = ~0ull;
	}
	for (i = 0; i < PAGES; i++)
		set(&child[i], 0);
	if (pv)
		commit(0, 0);
}

static void parent_goes_on(volatile u64 *parent)
{
	u64 i;

	for (i = 0; i < PAGES; i++) {
		GUEST_CHECK_EQ(*page(i), i);
		GUEST_CHECK_EQ(write_safe((void *)page(i), 0).error, 7 - 4);
		set_and_flush(&parent[i], (POOL + i * PAGE) | WRITABLE, (u64)page(i));
		*page(i) = i;
	}
}

static void life(u64 parent_cr3, u64 child_cr3, u64 *parent, u64 *child)
{
	fork_both(parent, child);
	write_cr3(child_cr3);
	child_lives(child);
	write_cr3(parent_cr3);
	parent_goes_on(parent);
}

static void guest(u64 child_cr3, u64 *parent, u64 *child)
{
	u64 parent_cr3 = read_cr3(), i, start;

	for (i = 0; i < PAGES; i++)
		*page(i) = i;
	life(parent_cr3, child_cr3, parent, child);
	GUEST_SYNC(0);
	start = rdtsc();
	for (i = 0; i < ROUNDS; i++)
		life(parent_cr3, child_cr3, parent, child);
	ticks = rdtsc() - start;
	guest_done();
}

/* An address space that differs from the VM's in what is at VA. Return: its root, and the last table */
static u64 child_space(struct vm *vm, u64 **table)
{
	u64 root = vm_alloc(vm, 1), at = root, next;
	int level;

	memcpy(vm_host(vm, root), vm_host(vm, vm->cr3), PAGE);
	for (level = 4; level > 1; level--) {
		next = vm_alloc(vm, 1);
		((u64 *)vm_host(vm, at))[VA >> (12 + 9 * (level - 1)) & 511] = next | PTE_P | PTE_W | PTE_U;
		at = next;
	}
	*table = (u64 *)at;
	return root;
}

static struct vm *vm_in(u32 mode)
{
	struct vm *vm;

	vm_mmu = mode;
	vm = vm_create(0);
	vm_mmu = VM_MMU_AUTO;
	return vm;
}

struct cost {
	u64 exits, ticks;
};

static struct cost cost_of(u32 mode, bool by_hypercall)
{
	struct vm *vm = vm_in(mode);
	struct vcpu *vcpu = vcpu_create(vm, 0);
	u64 *child, child_cr3 = child_space(vm, &child), *parent = vm_pte(vm, VA, 1), i;
	struct stats stats;
	struct cost cost;

	vm_add_anon(vm, VM_SLOT_TEST, 0, POOL, 2 * PAGES * PAGE);
	for (i = 0; i < PAGES; i++)
		parent[i] = (POOL + i * PAGE) | WRITABLE;
	pv = by_hypercall;
	vcpu_enter(vcpu, guest, child_cr3, VM_ARENA + ((u8 *)parent - vm->arena), (u64)child);
	stats_open(&stats, vcpu->fd);
	vcpu_run_sync(vcpu, 0);
	cost.exits = stats_value(&stats, "exits");
	vcpu_run_done(vcpu);
	cost.exits = (stats_value(&stats, "exits") - cost.exits) / ROUNDS;
	cost.ticks = ticks / ROUNDS;
	vm_destroy(vm);
	return cost;
}

static void tell(const char *name, struct cost cost)
{
	test_note("%-12s %8llu exits %10llu ticks", name, (unsigned long long)cost.exits,
		  (unsigned long long)cost.ticks);
}

static void plain(void)
{
	vmcall = guest_is_intel();
	tell(test_is_corbel() ? "corbel" : "kvm", cost_of(VM_MMU_AUTO, false));
}

static void saves(void)
{
	struct cost wp, lazy, wp_pv, lazy_pv;

	if (!test_is_corbel())
		test_skip("not corbel");
	vmcall = guest_is_intel();
	if (vm_has_tdp()) {
		tell("tdp", cost_of(VM_MMU_TDP, false));
		tell("tdp, pv", cost_of(VM_MMU_TDP, true));
	}
	wp = cost_of(VM_MMU_SHADOW_WP, false);
	wp_pv = cost_of(VM_MMU_SHADOW_WP, true);
	lazy = cost_of(VM_MMU_SHADOW_LAZY, false);
	lazy_pv = cost_of(VM_MMU_SHADOW_LAZY, true);
	tell("wp", wp);
	tell("wp, pv", wp_pv);
	tell("lazy", lazy);
	tell("lazy, pv", lazy_pv);
	CHECK_LT(wp_pv.exits, wp.exits / 2);
	CHECK_LT(lazy_pv.exits, lazy.exits);
}

static void not_offered_guest(void)
{
	GUEST_CHECK_EQ(hypercall(MMU_UPDATE, (u64)list, 0, 0, 0), -1000ull);
	guest_done();
}

static void not_offered(void)
{
	struct vcpu *vcpu = vcpu_start(0, not_offered_guest, 0, 0);
	struct dev_cpuid *set = calloc(1, sizeof(*set));
	struct kvm_cpuid_entry2 *leaf;

	vcpu_default_cpuid(0, set);
	leaf = dev_cpuid_find(set, CPUID_LEAF, 0);
	CHECK_EQ(!!leaf, test_is_corbel());
	if (leaf)
		leaf->eax &= ~CPUID_PV_MMU;
	vcpu_set_cpuid(vcpu, set);
	vmcall = guest_is_intel();
	vcpu_run_done(vcpu);
	vm_destroy(vcpu->vm);
}

static u64 word;	/* stands for an entry; the first GiB of guest memory has it in a large page */

static void errors_guest(void)
{
	struct cpuid_regs leaf = cpuid(CPUID_LEAF - 1, 0);

	GUEST_CHECK(leaf.a >= CPUID_LEAF);
	GUEST_CHECK(leaf.b == 0x62726f43 && leaf.c == 0x6f436c65 && leaf.d == 0x6c656272);
	GUEST_CHECK(cpuid(CPUID_LEAF, 0).a & CPUID_PV_MMU);
	list[0] = (struct update){ (u64)&word, 1 };
	list[1] = (struct update){ (u64)&word + 4, 2 };
	list[2] = (struct update){ VM_HOLE_GPA, 3 };
	GUEST_CHECK_EQ(hypercall(MMU_UPDATE, (u64)list, 1, MMU_FLUSH, 0), 1);
	GUEST_CHECK_EQ(READ_ONCE(word), 1);
	GUEST_CHECK_EQ(hypercall(MMU_UPDATE, (u64)list, 3, 0, 0), 1);
	GUEST_CHECK_EQ(hypercall(MMU_UPDATE, (u64)&list[1], 1, 0, 0), -22ull);
	GUEST_CHECK_EQ(hypercall(MMU_UPDATE, (u64)&list[2], 1, 0, 0), -14ull);
	GUEST_CHECK_EQ(hypercall(MMU_UPDATE, VM_HOLE_GPA, 1, 0, 0), -14ull);
	GUEST_CHECK_EQ(hypercall(MMU_UPDATE, -16ull, 1, 0, 0), -14ull);
	GUEST_CHECK_EQ(hypercall(MMU_UPDATE, (u64)list + 1, 1, 0, 0), -22ull);
	GUEST_CHECK_EQ(hypercall(MMU_UPDATE, (u64)list, 1, 4, 0), -22ull);
	GUEST_CHECK_EQ(hypercall(MMU_UPDATE, (u64)list, MAX_UPDATES + 1, 0, 0), -22ull);
	GUEST_CHECK_EQ(hypercall(MMU_UPDATE, (u64)list, -1ull, 0, 0), -22ull);
	GUEST_CHECK_EQ(hypercall(MMU_UPDATE, (u64)list, 0, MMU_FLUSH, 0), 0);
	guest_done();
}

static void errors(void)
{
	u32 mode;

	if (!test_is_corbel())
		test_skip("not corbel");
	vmcall = guest_is_intel();
	for (mode = vm_has_tdp() ? VM_MMU_TDP : VM_MMU_SHADOW_WP; mode <= VM_MMU_SHADOW_LAZY; mode++) {
		struct vm *vm = vm_in(mode);
		struct vcpu *vcpu = vcpu_create(vm, 0);

		vcpu_enter(vcpu, errors_guest, 0);
		vcpu_run_done(vcpu);
		vm_destroy(vm);
	}
}

static const struct test_case cases[] = {
	{ "not_offered", not_offered },
	{ "errors", errors },
	{ "plain", plain },
	{ "saves", saves },
};

TEST_MAIN(cases)
