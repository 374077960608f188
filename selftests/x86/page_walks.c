// SPDX-License-Identifier: GPL-2.0-only
/*
 * Catches: translations that mix up what a page of the guest's tables is for. A guest changes page tables at
 * random, one page serving as a table of several levels, as data and through writable aliases, large
 * pages taking the place of tables and the reverse; two processors do so in the same pages. After
 * each flush an access must do what a walk of the tables by the guest itself says.
 */
#include "trap.h"
#include "vcpu.h"

#define POOL		VM_TEST_GPA
#define POOL_PAGES	(4 * 512ull)		/* 8 MiB: four large pages */
#define NR_TABLES	24ull			/* of them, the first ones */
#define TREE		0x400000000000ull		/* one PML4 entry each */
#define TREE_SIZE	(1ull << 39)
#define ADDR		0x000ffffffffff000ull

static volatile u64 changes;	/* of both processors, odd while one is under way */
static u64 steps;
static bool gigabyte_pages;
static bool tcg;		/* it forgets that an entry with reserved bits is present */

struct walker {
	u64 tree, random, aliased;
	u64 pages, faults;	/* what accesses came to */
};

static struct walker walkers[2];

static u64 draw(struct walker *w, u64 below)
{
	w->random ^= w->random << 13;
	w->random ^= w->random >> 7;
	w->random ^= w->random << 17;
	return (w->random >> 11) % below;
}

static u64 table(struct walker *w)
{
	return POOL + draw(w, NR_TABLES) * PAGE;
}

static u64 random_entry(struct walker *w)
{
	u64 flags = PTE_P | (draw(w, 4) ? PTE_W : 0) | (draw(w, 8) ? 0 : PTE_A | PTE_D);

	switch (draw(w, 8)) {
	case 0:
		return 0;
	case 1:
		return flags & ~PTE_P;
	case 2:
		return (POOL + draw(w, 4) * PAGE_2M) | flags | PTE_PS;
	case 3:
	case 4:
		return (POOL + draw(w, POOL_PAGES) * PAGE) | flags;
	default:
		return table(w) | flags;
	}
}

/* An address whose indices are small: few entries, often met again. */
static u64 random_address(struct walker *w)
{
	u64 va = w->tree + draw(w, 8) * 8;
	int level;

	for (level = 1; level <= 3; level++)
		va += draw(w, 4) << (12 + 9 * (level - 1));
	return va;
}

/* Return: the physical address, or ~0 and the error code of the page fault */
static u64 walk(u64 va, bool write, u64 *error)
{
	u64 at = read_cr3() & ADDR, rights = PTE_W, entry;
	int level, shift;

	*error = write ? 2 : 0;
	for (level = 4;; level--) {
		shift = 12 + 9 * (level - 1);
		/* What an entry leads to may be anywhere; only the pool and the root are memory here. */
		if (at - POOL >= POOL_PAGES * PAGE && level < 4)
			return ~0ull - 1;
		entry = ((volatile u64 *)at)[va >> shift & 511];
		if (!(entry & PTE_P))
			return ~0ull;
		if (entry & PTE_PS && level > 1 && ((level == 3 && !gigabyte_pages) || entry & (BIT(shift) - 1) & ~0x1fffull)) {
			*error |= 9;
			return ~0ull;
		}
		rights &= entry;
		if (level == 1 || entry & PTE_PS)
			break;
		at = entry & ADDR;
	}
	*error |= 1;
	if (write && !rights)
		return ~0ull;
	return (entry & ADDR & ~(BIT(shift) - 1)) + (va & (BIT(shift) - 1));
}

static void change(struct walker *w)
{
	u64 gpa = table(w) + draw(w, 4) * 8, value = random_entry(w), alias = random_address(w), error;

	__atomic_add_fetch(&changes, 1, __ATOMIC_SEQ_CST);
	/* Through a mapping of the table in the tree itself, if a walk finds one. */
	if (walk(alias, true, &error) - POOL < NR_TABLES * PAGE) {
		w->aliased++;
		write_cr3(read_cr3());
		write_safe((void *)alias, value);
	} else {
		*(volatile u64 *)gpa = value;
	}
	__atomic_add_fetch(&changes, 1, __ATOMIC_SEQ_CST);
}

/* What one processor writes, the other one may be about to compare: it counts as a change. */
static struct guest_fault write_checked(u64 va)
{
	struct guest_fault f;

	__atomic_add_fetch(&changes, 1, __ATOMIC_SEQ_CST);
	f = write_safe((void *)va, va);
	__atomic_add_fetch(&changes, 1, __ATOMIC_SEQ_CST);
	return f;
}

static void check(struct walker *w)
{
	u64 va = random_address(w), value = va, error, before, gpa, mask, memory = 0;
	bool write = !draw(w, 3);
	struct guest_fault f;

	before = changes;
	if (draw(w, 2))
		write_cr3(read_cr3());
	else
		invlpg(va);
	gpa = walk(va, write, &error);
	/* Only the pool is written and read back; and a table not at all, to leave the other one its. */
	if (gpa != ~0ull && gpa - POOL >= POOL_PAGES * PAGE)
		return;
	if (write && gpa != ~0ull && gpa - POOL < NR_TABLES * PAGE)
		return;
	f = write ? write_checked(va) : read_safe((void *)va, &value);
	if (gpa != ~0ull)
		memory = *(volatile u64 *)gpa;
	/* All that was compared must be of a time when the other processor changed nothing. */
	if (changes != before + 2 * write || before & 1)
		return;
	if (gpa == ~0ull) {
		GUEST_CHECK_EQ(f.vector, PF_VECTOR);
		GUEST_CHECK_EQ(f.error | (tcg && error & 8), error);
		w->faults++;
		return;
	}
	GUEST_CHECK_EQ(f.vector, GUEST_NO_FAULT);
	/* The other processor's accesses set bits in tables at any time. */
	mask = gpa - POOL < NR_TABLES * PAGE ? ~(PTE_A | PTE_D) : ~0ull;
	GUEST_CHECK_EQ(value & mask, memory & mask);
	w->pages++;
}

static void stress(u64 cpu)
{
	struct walker *w = &walkers[cpu];
	u64 i;

	for (i = 0; i < steps; i++) {
		change(w);
		check(w);
		check(w);
	}
}

/* A page that holds no two words alike, nor the same as another page. */
static void fill(u64 *pool)
{
	u64 i;

	for (i = NR_TABLES * 512; i < POOL_PAGES * 512; i++)
		pool[i] = i << 1;	/* not present, if it is taken for a table */
}

static void prepare(struct vm *vm, unsigned int nr)
{
	u64 *pool = vm_add_anon(vm, VM_SLOT_TEST, 0, POOL, POOL_PAGES * PAGE);
	unsigned int i;

	fill(pool);
	changes = 0;
	gigabyte_pages = dev_cpuid_has(0x80000001, 0, 'd', 26);
	tcg = dev_host_is_tcg();
	steps = test_count("steps", 20000);
	if (steps < 1000)
		steps = 1000;	/* fewer need not meet everything */
	for (i = 0; i < nr; i++) {
		struct walker *w = &walkers[i];

		*w = (struct walker){ .tree = TREE + i * TREE_SIZE };
		w->random = (test_option("seed", 1) + i) * 0x9e3779b97f4a7c15;
		*vm_pte(vm, w->tree, 4) = (POOL + i * PAGE) | PTE_P | PTE_W;
	}
}

static void check_result(unsigned int nr)
{
	unsigned int i;

	for (i = 0; i < nr; i++) {
		test_note("processor %u: %llu pages, %llu faults, %llu changes through an alias", i,
			  (unsigned long long)walkers[i].pages, (unsigned long long)walkers[i].faults,
			  (unsigned long long)walkers[i].aliased);
		CHECK_GE(walkers[i].pages, steps / 50);
		CHECK_GE(walkers[i].faults, steps / 50);
	}
}

static void one(void)
{
	struct vcpu *vcpu = vcpu_create(vm_create(0), 0);

	prepare(vcpu->vm, 1);
	vcpu_enter(vcpu, stress, 0);
	vcpu_run_done(vcpu);
	check_result(1);
}

static void two(void)
{
	struct vm *vm = vm_create(0);
	unsigned int i;

	for (i = 0; i < 2; i++)
		vcpu_create(vm, i);
	prepare(vm, 2);
	for (i = 0; i < 2; i++) {
		vcpu_enter(vm->vcpus[i], stress, i);
		vcpu_thread_start(vm->vcpus[i], vcpu_run_done);
	}
	for (i = 0; i < 2; i++)
		vcpu_thread_join(vm->vcpus[i]);
	check_result(2);
}

static const struct test_case cases[] = {
	{ "one", one, 120 },
	{ "two", two, 120 },
};

TEST_MAIN(cases)
