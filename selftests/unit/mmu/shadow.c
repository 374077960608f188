// SPDX-License-Identifier: GPL-2.0-only
/*
 * Shadow paging, both ways, under a TLB model and a reference of what hardware may make of the
 * guest's tables: named situations, then shadow_random.c.
 */
#include <stdlib.h>
#include <linux/corbel.h>
#include <linux/kvm_para.h>
#include <linux/mmu_notifier.h>
#include <linux/shrinker.h>
#include "ktap.h"
#include "vm.h"
#include "mem/slots.h"
#include "mmu/pvmmu.h"
#include "mmu/shadow.h"
#include "mmu/tdp.h"
#include "shadow_tables.h"

static unsigned long seed = 1, steps = 1000000;

#define FOR_BOTH(lazy)	for (int lazy = 0; lazy < 2; lazy++)

static void use_long(int cpu, gfn_t root)
{
	model_mode(cpu, X86_CR0_PG | X86_CR0_WP, CR4_PAE, LONG, root << 12);
}

static void use_pae(int cpu, gpa_t pdpt)
{
	model_mode(cpu, X86_CR0_PG | X86_CR0_WP, CR4_PAE, EFER_NX, pdpt);
}

static void use_32(int cpu, gfn_t root)
{
	model_mode(cpu, X86_CR0_PG | X86_CR0_WP, X86_CR4_PSE, 0, root << 12);
}

static enum result touch(int cpu, gva_t gva, struct access a)
{
	u64 data = 0x1122334455667788;

	return model_access(cpu, gva, a, &data, 8);
}

/* Root 20, below it 21, 22, 23; page 23 maps gfns 100.. at 0 */
static void four_tables(void)
{
	unsigned int i;

	kernel_tables();
	kernel_part(20);
	set(20, 0, 21 << 12 | TABLE);
	set(21, 0, 22 << 12 | TABLE);
	set(22, 0, 23 << 12 | TABLE);
	for (i = 0; i < 16; i++)
		set(23, i, (100 + i) << 12 | PAGE);
}

static void follows_and_unmaps(void)
{
	FOR_BOTH(lazy) {
		start(lazy);
		four_tables();
		use_long(0, 20);
		use_long(1, 20);
		EXPECT_EQ(touch(0, 0x3000, user_writes), MEMORY);
		EXPECT_EQ(touch(1, 0x3000, user_reads), MEMORY);
		EXPECT_EQ(touch(0, 0x4000, reads), MEMORY);
		EXPECT_EQ(touch(0, 0x20000, reads), FAULT);
		store8(0, 23, 3, 200 << 12 | PAGE);
		model_invlpg(0, 0x3000);
		model_invlpg(1, 0x3000);
		EXPECT_EQ(touch(1, 0x3000, user_writes), MEMORY);
		store8(1, 23, 3, 0);
		model_invlpg(0, 0x3000);
		EXPECT_EQ(touch(0, 0x3000, reads), FAULT);
		host_invalidate(104, 1, host_unmap);
		EXPECT_EQ(touch(0, 0x4000, user_writes), MEMORY);
		model_check();
		shadow_end();
	}
}

/* The table of a table: its entries are pages at one level and tables at the next. */
static void one_page_at_two_levels(void)
{
	FOR_BOTH(lazy) {
		start(lazy);
		four_tables();
		set(20, 1, 20 << 12 | TABLE | D);	/* recursive */
		use_long(0, 20);
		/* 20 as root, and three times as table: a page that maps the root's own entries */
		EXPECT_EQ(touch(0, 1ul << 39 | 1ul << 30 | 1ul << 21 | 1ul << 12, reads), MEMORY);
		/* 20 as root and as the last table: the page is 21 */
		EXPECT_EQ(touch(0, 1ul << 39 | 1ul << 30 | 1ul << 21, reads), MEMORY);
		EXPECT_EQ(touch(0, 1ul << 39 | 1ul << 30 | 1ul << 21 | 1ul << 12 | 8 * 7, writes),
			  MEMORY);
		EXPECT_EQ(touch(0, 0x3000, user_writes), MEMORY);
		store8(0, 20, 1, 0);
		model_flush(0);
		EXPECT_EQ(touch(0, 1ul << 39 | 1ul << 30 | 1ul << 21 | 1ul << 12, reads), FAULT);
		EXPECT_EQ(touch(0, 0x3000, user_writes), MEMORY);
		model_check();
		shadow_end();
	}
}

static void large_page_and_table_of_one_gfn(void)
{
	FOR_BOTH(lazy) {
		start(lazy);
		four_tables();
		host_collapse(1024);
		set(2048, 0, 150 << 12 | PAGE);		/* the first page of slot 1 as a table, too */
		set(22, 1, 2048ull << 12 | PAGE | PS);
		use_long(0, 20);
		EXPECT_EQ(touch(0, 0x205000, user_writes), MEMORY);
		EXPECT_EQ(vm.stats.pages_2m, 1);
		store8(0, 22, 1, 2048ull << 12 | TABLE);
		model_invlpg(0, 0x205000);
		EXPECT_EQ(touch(0, 0x200000, user_writes), MEMORY);
		EXPECT_EQ(touch(0, 0x205000, reads), FAULT);
		EXPECT_EQ(vm.stats.pages_2m, 0);
		store8(0, 22, 1, 2048ull << 12 | PAGE | PS);
		model_invlpg(0, 0x200000);
		EXPECT_EQ(touch(0, 0x200000, user_writes), MEMORY);
		EXPECT_EQ(touch(0, 0x207000, user_writes), MEMORY);
		model_check();
		shadow_end();
	}
}

static void written_through_an_alias(void)
{
	FOR_BOTH(lazy) {
		u64 entry = 201 << 12 | PAGE;

		start(lazy);
		four_tables();
		set(23, 9, 23 << 12 | PAGE);		/* the table maps itself */
		use_long(0, 20);
		EXPECT_EQ(touch(0, 0x3000, user_writes), MEMORY);
		EXPECT_EQ(model_access(0, 0x9000 + 3 * 8, user_writes, &entry, 8), MEMORY);
		model_invlpg(0, 0x3000);
		EXPECT_EQ(touch(0, 0x3000, user_writes), MEMORY);
		EXPECT(lazy || model_stats.emulated);
		/* Mapped for writing before it becomes a table. */
		set(23, 10, 24 << 12 | PAGE);
		set(24, 0, 160 << 12 | PAGE);
		entry = 161 << 12 | PAGE;
		EXPECT_EQ(touch(0, 0xa008, user_writes), MEMORY);
		store8(0, 22, 5, 24 << 12 | TABLE);
		EXPECT_EQ(touch(0, 5ul << 21, user_writes), MEMORY);
		EXPECT_EQ(model_access(0, 0xa000, user_writes, &entry, 8), MEMORY);
		model_invlpg(0, 5ul << 21);
		EXPECT_EQ(touch(0, 5ul << 21, user_writes), MEMORY);
		model_check();
		shadow_end();
	}
}

static void large_pages_flush_as_one(void)
{
	FOR_BOTH(lazy) {
		start(lazy);
		four_tables();
		set(22, 1, 2048ull << 12 | PAGE | PS);	/* in pieces: the host has small pages */
		use_long(0, 20);
		EXPECT_EQ(touch(0, 0x201000, user_writes), MEMORY);
		EXPECT_EQ(touch(0, 0x202000, user_writes), MEMORY);
		store8(0, 22, 1, 2048ull << 12 | (PAGE & ~D) | PS);
		model_invlpg(0, 0x201000);
		EXPECT_EQ(touch(0, 0x202000, user_writes), MEMORY);
		EXPECT_EQ(get(22, 1) & D, D);
		model_check();
		shadow_end();
		/* 4 MiB are two of the shadow's. */
		start(lazy);
		kernel_tables();
		kernel_part(20);
		host_collapse(1024);
		host_collapse(1536);
		set4(20, 0, 2048 << 12 | PAGE | PS);
		use_32(0, 20);
		EXPECT_EQ(touch(0, 0x1000, user_writes), MEMORY);
		EXPECT_EQ(touch(0, 0x201000, user_writes), MEMORY);
		EXPECT_EQ(vm.stats.pages_2m, 2);
		store4(0, 20, 0, 2048 << 12 | (PAGE & ~D) | PS);
		model_invlpg(0, 0x1000);
		EXPECT_EQ(touch(0, 0x201000, user_writes), MEMORY);
		EXPECT_EQ(guest_read_word(20 << 12, 4) & D, D);
		model_check();
		shadow_end();
	}
}

/* INVLPG of one address drops what the CPU remembers of all tables above the last. */
static void upper_tables_change(void)
{
	FOR_BOTH(lazy) {
		start(lazy);
		four_tables();
		set(24, 0, 160 << 12 | PAGE);
		use_long(0, 20);
		EXPECT_EQ(touch(0, 0x0000, user_writes), MEMORY);
		store8(0, 22, 0, 24 << 12 | TABLE);
		model_invlpg(0, 0x7000);
		/* never seen before, so by the new table */
		EXPECT_EQ(touch(0, 0x5000, reads), FAULT);
		model_invlpg(0, 0x0000);
		EXPECT_EQ(touch(0, 0x0000, reads), MEMORY);
		store8(0, 22, 0, 23 << 12 | (TABLE & ~W));
		model_flush(0);
		EXPECT_EQ(touch(0, 0x5000, user_writes), FAULT);
		EXPECT_EQ(touch(0, 0x5000, user_reads), MEMORY);
		EXPECT_EQ(touch(0, 0x5000, fetches), MEMORY);
		store8(0, 22, 0, 23 << 12 | TABLE | NX);
		model_flush(0);
		EXPECT_EQ(touch(0, 0x5000, fetches), FAULT);
		EXPECT_EQ(touch(0, 0x5000, user_writes), MEMORY);
		model_check();
		shadow_end();
	}
}

/* What is new needs no flush, and a fault is one for its address. */
static void changes_that_need_no_flush(void)
{
	FOR_BOTH(lazy) {
		start(lazy);
		four_tables();
		set(22, 5, 24 << 12 | TABLE);
		set(24, 0, 160 << 12 | PAGE);
		set(24, 1, 163 << 12 | PAGE);
		use_long(0, 20);
		EXPECT_EQ(touch(0, 5ul << 21, user_writes), MEMORY);
		store8(0, 24, 0, 161 << 12 | PAGE);
		store8(0, 22, 6, 24 << 12 | TABLE);
		EXPECT_EQ(touch(0, (6ul << 21) + 0x1000, user_writes), MEMORY);
		EXPECT_EQ(touch(0, 6ul << 21, user_writes), MEMORY);
		store8(0, 24, 0, 162 << 12 | PAGE);
		store8(0, 21, 1, 22 << 12 | TABLE);
		EXPECT_EQ(touch(0, (1ul << 30) + (6ul << 21), user_writes), MEMORY);
		store8(0, 23, 3, 103 << 12 | (PAGE & ~W));
		EXPECT_EQ(touch(0, 0x3000, user_reads), MEMORY);
		store8(0, 23, 3, 200 << 12 | (PAGE & ~W));
		EXPECT_EQ(touch(0, 0x3000, user_writes), FAULT);
		EXPECT_EQ(touch(0, 0x3000, user_reads), MEMORY);
		model_check();
		shadow_end();
	}
}

static unsigned int page_meanwhile;

static void unmap_meanwhile(struct vcpu *unused)
{
	store8(1, 23, page_meanwhile, 0);
}

static void other_table_meanwhile(struct vcpu *unused)
{
	store8(1, 22, 0, 24 << 12 | TABLE);
}

/* Between the walk and the entry another CPU writes what was read. */
static void tables_change_in_mid_fault(void)
{
	FOR_BOTH(lazy) {
		start(lazy);
		four_tables();
		set(24, 4, 160 << 12 | PAGE);
		use_long(0, 20);
		use_long(1, 20);
		/* Some of these faults are served with interrupts off: the host has the pages. */
		for (page_meanwhile = 5; page_meanwhile < 16; page_meanwhile++) {
			host_populate(100 + page_meanwhile);
			model_meanwhile = unmap_meanwhile;
			EXPECT_EQ(touch(0, page_meanwhile << 12, user_writes), FAULT);
		}
		model_meanwhile = other_table_meanwhile;
		EXPECT_EQ(touch(0, 0x4000, user_writes), MEMORY);
		model_flush(0);
		EXPECT_EQ(touch(0, 0x4000, user_writes), MEMORY);
		model_check();
		shadow_end();
	}
}

/* A page that could be read is gone, unnoticed and not flushed: who got the fault of a write has nothing. */
static void page_fault_flushes(void)
{
	unsigned int i;

	FOR_BOTH(lazy) {
		start(lazy);
		four_tables();
		for (i = 5; i < 21; i++)
			set(23, i, (100ull + i) << 12 | (PAGE & ~D));
		use_long(0, 20);
		for (i = 5; i < 21; i++)
			EXPECT_EQ(touch(0, (u64)i << 12, user_reads), MEMORY);
		for (i = 5; i < 21; i++) {
			store8(0, 23, i, 0);
			EXPECT_EQ(touch(0, (u64)i << 12, user_writes), FAULT);
			EXPECT_EQ(touch(0, (u64)i << 12, user_reads), FAULT);
		}
		model_check();
		shadow_end();
	}
}

static void host_meanwhile(struct vcpu *unused)
{
	host_invalidate(100 + page_meanwhile, 1, host_unmap);
}

/* Between the look for the frame and the lock it goes. */
static void frames_go_before_the_lock(void)
{
	FOR_BOTH(lazy) {
		start(lazy);
		four_tables();
		use_long(0, 20);
		shim_before_lock = host_before_lock;
		for (page_meanwhile = 5; page_meanwhile < 40; page_meanwhile++) {
			set(23, page_meanwhile, (100ull + page_meanwhile) << 12 | PAGE);
			host_populate(100 + page_meanwhile);
			model_lets_pass = page_meanwhile % 5;
			model_meanwhile = host_meanwhile;
			EXPECT_EQ(touch(0, page_meanwhile << 12, user_writes), MEMORY);
		}
		shim_before_lock = NULL;
		model_check();
		shadow_end();
	}
}

/* Once it sees what another CPU writes, a CPU may flush and rely on that. */
static void flush_meanwhile(struct vcpu *unused)
{
	bool there = get(23, page_meanwhile);

	model_flush(1);
	EXPECT_EQ(touch(1, page_meanwhile << 12, user_reads), there ? MEMORY : FAULT);
	EXPECT_EQ(touch(1, page_meanwhile << 12, user_writes), there ? MEMORY : FAULT);
}

static void flush_before_it_is_followed(void)
{
	FOR_BOTH(lazy) {
		start(lazy);
		four_tables();
		use_long(0, 20);
		use_long(1, 20);
		shim_before_lock = host_before_lock;
		for (page_meanwhile = 5; page_meanwhile < 40; page_meanwhile++) {
			struct corbel_mmu_update list[2] = { { (23 << 12) + page_meanwhile * 8, 0 } };

			list[1] = list[0];
			set(23, page_meanwhile, (100ull + page_meanwhile) << 12 | PAGE);
			EXPECT_EQ(touch(1, page_meanwhile << 12, user_writes), MEMORY);
			model_meanwhile = flush_meanwhile;
			model_lets_pass = page_meanwhile & 1 ? page_meanwhile / 2 % 6 : 0;
			if (page_meanwhile & 1)
				store8(0, 23, page_meanwhile, 0);
			else
				guest_update(0, list, 2, 0, 0);
			model_meanwhile = NULL;
		}
		shim_before_lock = NULL;
		model_check();
		shadow_end();
	}
}

/* What the guest has unmapped, but not flushed, is the host's to flush. */
static void left_in_a_tlb(void)
{
	FOR_BOTH(lazy) {
		unsigned long dirty[1024 / 64];
		u64 entry = 161 << 12 | PAGE;

		start(lazy);
		four_tables();
		set(24, 0, 160 << 12 | PAGE);
		set(23, 10, 24 << 12 | PAGE);
		use_long(0, 20);
		use_long(1, 20);
		EXPECT_EQ(touch(0, 0x3000, user_writes), MEMORY);
		store8(1, 23, 3, 0);
		model_flush(1);
		model_enter(1);
		host_invalidate(103, 1, host_unmap);
		EXPECT_EQ(touch(0, 0x3000, user_writes), FAULT);
		/* It becomes a table. */
		EXPECT_EQ(touch(0, 0xa008, user_writes), MEMORY);
		store8(1, 23, 10, 0);
		model_flush(1);
		store8(1, 22, 5, 24 << 12 | TABLE);
		EXPECT_EQ(touch(1, 5ul << 21, user_writes), MEMORY);
		EXPECT_EQ(model_access(0, 0xa000, user_writes, &entry, 8), FAULT);
		set(25, 0, 160 << 12 | PAGE);
		/* The guest has taken the right to write away, before it becomes a table. */
		store8(1, 23, 10, 25 << 12 | PAGE);
		model_flush(0);
		EXPECT_EQ(touch(0, 0xa008, user_writes), MEMORY);
		store8(1, 23, 10, 25 << 12 | (PAGE & ~W));
		model_flush(1);
		store8(1, 22, 6, 25 << 12 | TABLE);
		EXPECT_EQ(touch(1, 6ul << 21, user_writes), MEMORY);
		EXPECT_EQ(model_access(0, 0xa000, user_writes, &entry, 8), FAULT);
		/* Its slot gets a log. */
		EXPECT_EQ(touch(0, 0x4000, user_writes), MEMORY);
		store8(1, 23, 4, 0);
		model_flush(1);
		model_enter(1);
		regions[0].flags = LOG;
		EXPECT_EQ(region_set(0), 0);
		EXPECT_EQ(touch(0, 0x4000, user_writes), FAULT);
		EXPECT_EQ(model_get_dirty(0, dirty), 0);
		EXPECT_EQ(touch(0, 0x5000, user_writes), MEMORY);
		store8(1, 23, 5, 0);
		model_flush(1);
		model_enter(1);
		EXPECT_EQ(model_get_dirty(0, dirty), 0);
		EXPECT_EQ(dirty[1] >> (105 - 64) & 1, 1);
		EXPECT_EQ(touch(0, 0x5000, user_writes), FAULT);
		model_check();
		shadow_end();
	}
}

static void no_write_protection(void)
{
	FOR_BOTH(lazy) {
		unsigned long emulated;

		start(lazy);
		four_tables();
		set(23, 1, 120 << 12 | (PAGE & ~W));
		use_long(0, 20);
		EXPECT_EQ(touch(0, 0x1000, writes), FAULT);
		model_mode(0, X86_CR0_PG, CR4_PAE, LONG, 20 << 12);
		emulated = model_stats.emulated;
		EXPECT_EQ(touch(0, 0x1000, writes), MEMORY);
		EXPECT_EQ(touch(0, 0x1008, writes), MEMORY);
		EXPECT_EQ(model_stats.emulated, emulated + 2);
		EXPECT_EQ(touch(0, 0x1000, user_writes), FAULT);
		EXPECT_EQ(touch(0, 0x2000, writes), MEMORY);
		EXPECT_EQ(model_stats.emulated, emulated + 2);
		model_check();
		shadow_end();
	}
}

/* An interrupt pushes onto what was a table: nobody can emulate that. */
static void event_on_a_table(void)
{
	FOR_BOTH(lazy) {
		start(lazy);
		four_tables();
		set(23, 9, 24 << 12 | PAGE);
		set(22, 5, 24 << 12 | TABLE);
		set(24, 0, 160 << 12 | PAGE);
		use_long(0, 20);
		EXPECT_EQ(touch(0, 5ul << 21, user_writes), MEMORY);
		model_event[0] = true;
		EXPECT_EQ(touch(0, 0x9ff8, writes), MEMORY);
		EXPECT_EQ(model_stats.emulated, 0);
		EXPECT_EQ(touch(0, 5ul << 21, user_writes), MEMORY);
		model_check();
		shadow_end();
	}
}

static void tables_in_read_only_memory(void)
{
	FOR_BOTH(lazy) {
		start(lazy);
		four_tables();
		set(4096, 0, 160 << 12 | P | W | U);
		set(22, 5, 4096ull << 12 | TABLE);
		use_long(0, 20);
		EXPECT_EQ(touch(0, 5ul << 21, user_reads), MEMORY);
		EXPECT_EQ(touch(0, 5ul << 21, user_writes), MEMORY);
		EXPECT_EQ(get(4096, 0), 160 << 12 | P | W | U);
		model_check();
		shadow_end();
	}
}

static void devices(void)
{
	FOR_BOTH(lazy) {
		unsigned int bits;

		for (bits = 46; bits <= 52; bits += 6) {
			boot_cpu_data.x86_phys_bits = bits;
			start(lazy);
			four_tables();
			set(23, 1, 0xfee00ull << 12 | PAGE);
			use_long(0, 20);
			EXPECT_EQ(touch(0, 0x1000, reads), MMIO);
			EXPECT_EQ(touch(0, 0x1008, writes), MMIO);
			EXPECT_EQ(touch(0, 0x1008, user_reads), MMIO);
			regions[3].gfn = 0xfee00;
			EXPECT_EQ(region_set(3), 0);
			EXPECT_EQ(touch(0, 0x1008, writes), MEMORY);
			regions[3].live = false;
			EXPECT_EQ(region_set(3), 0);
			EXPECT_EQ(touch(0, 0x1000, reads), MMIO);
			store8(0, 23, 1, 0xfee00ull << 12 | (PAGE & ~U));
			model_invlpg(0, 0x1000);
			EXPECT_EQ(touch(0, 0x1000, user_reads), FAULT);
			EXPECT_EQ(touch(0, 0x1000, reads), MMIO);
			store8(0, 23, 1, 130 << 12 | PAGE);
			model_invlpg(0, 0x1000);
			EXPECT_EQ(touch(0, 0x1000, user_reads), MEMORY);
			model_check();
			shadow_end();
		}
	}
	boot_cpu_data.x86_phys_bits = 46;
}

/* More tables than there may be shadow pages. */
static void reclaim_at_the_limit(void)
{
	FOR_BOTH(lazy) {
		unsigned int i, round;

		start(lazy);
		four_tables();
		for (i = 0; i < 300; i++) {
			set(22, i, (200 + i) << 12 | TABLE);
			set(200 + i, 0, (600 + i) << 12 | PAGE);
		}
		use_long(0, 20);
		use_long(1, 20);
		for (round = 0; round < 3; round++)
			for (i = 0; i < 300; i++)
				EXPECT_EQ(touch(i & 1, (u64)i << 21, user_writes), MEMORY);
		EXPECT(model_stats.freed > 300);
		EXPECT(model_stats.most_pages <= 128 + 8);
		model_check();
		shadow_end();
	}
}

/* The host wants memory back. */
static void shrink(void)
{
	FOR_BOTH(lazy) {
		struct shrink_control control = { .nr_to_scan = 3 };
		unsigned long n;

		start(lazy);
		EXPECT_EQ(shim_shrinker.count_objects(&shim_shrinker, &control), SHRINK_EMPTY);
		EXPECT_EQ(shim_shrinker.scan_objects(&shim_shrinker, &control), SHRINK_STOP);
		four_tables();
		use_long(0, 20);
		EXPECT_EQ(touch(0, 0x3000, user_writes), MEMORY);
		n = shim_shrinker.count_objects(&shim_shrinker, &control);
		EXPECT_EQ(n, 4);
		write_lock(&vm.mmu_lock);
		EXPECT_EQ(shim_shrinker.scan_objects(&shim_shrinker, &control), SHRINK_STOP);
		write_unlock(&vm.mmu_lock);
		EXPECT_EQ(shim_shrinker.scan_objects(&shim_shrinker, &control), 3);
		EXPECT_EQ(shim_shrinker.count_objects(&shim_shrinker, &control), 1);	/* the root */
		EXPECT_EQ(shim_shrinker.scan_objects(&shim_shrinker, &control), SHRINK_STOP);
		EXPECT_EQ(touch(0, 0x3000, user_writes), MEMORY);
		EXPECT_EQ(shim_shrinker.count_objects(&shim_shrinker, &control), n);
		model_check();
		shadow_end();
	}
}

/* A root that is given up while others run on it lives until the last of them has left. */
static void dead_roots(void)
{
	FOR_BOTH(lazy) {
		unsigned int i;

		start(lazy);
		four_tables();
		for (i = 0; i < MODEL_CPUS - 1; i++) {
			use_long(i, 20);
			EXPECT_EQ(touch(i, 0x3000, user_writes), MEMORY);
		}
		use_pae(2, PDPTS << 12);	/* in another mode: what it writes is no table of its own */
		set(PDPTS, 3, 24 << 12 | P);
		kernel_part(24);
		use_pae(2, PDPTS << 12);
		store8(2, 20, 0, 21 << 12 | TABLE);
		model_flush(2);
		model_enter(2);
		for (i = 0; i < MODEL_CPUS - 1; i++)
			EXPECT_EQ(touch(i, 0x3000, user_writes), MEMORY);
		/* Data all over it. */
		for (i = 0; i < 8; i++)
			store8(0, 20, 100 + i, 0);
		store8(0, 20, 0, 0);
		model_flush(0);
		model_flush(1);
		EXPECT_EQ(touch(1, 0x3000, reads), FAULT);
		EXPECT_EQ(touch(0, 0x3000, reads), FAULT);
		model_check();
		shadow_end();
	}
}

static void recycled_as_data(void)
{
	FOR_BOTH(lazy) {
		unsigned int i;

		start(lazy);
		four_tables();
		use_long(0, 20);
		EXPECT_EQ(touch(0, 0x3000, user_writes), MEMORY);
		store8(0, 22, 0, 0);
		model_flush(0);
		for (i = 0; i < 512; i++)
			store8(0, 23, i, 0x0123456789abcdefull * i);
		/* After a few writes nobody takes it for a table any more. */
		EXPECT(model_stats.emulated < 16);
		model_check();
		shadow_end();
	}
}

static void dirty_log(void)
{
	FOR_BOTH(lazy) {
		unsigned long dirty[1024 / 64];

		start(lazy);
		four_tables();
		set(23, 3, 103 << 12 | P | W | U);
		use_long(0, 20);
		EXPECT_EQ(touch(0, 0x3000, user_writes), MEMORY);
		EXPECT_EQ(touch(0, 0x4000, user_writes), MEMORY);
		regions[0].flags = LOG;
		EXPECT_EQ(region_set(0), 0);
		EXPECT_EQ(touch(0, 0x4000, user_writes), MEMORY);
		EXPECT_EQ(touch(0, 0x5000, user_reads), MEMORY);
		EXPECT_EQ(model_get_dirty(0, dirty), 0);
		EXPECT_EQ(dirty[1], 1ul << (104 - 64));
		EXPECT_EQ(touch(0, 0x5000, user_reads), MEMORY);
		EXPECT_EQ(model_get_dirty(0, dirty), 0);
		EXPECT_EQ(dirty[0] | dirty[1], 0);
		store8(0, 23, 3, 103 << 12 | P | W | U);
		model_invlpg(0, 0x3000);
		EXPECT_EQ(model_get_dirty(0, dirty), 0);
		EXPECT_EQ(dirty[0], 1ul << 23);
		EXPECT_EQ(touch(0, 0x3000, user_reads), MEMORY);	/* sets the accessed bit */
		EXPECT_EQ(model_get_dirty(0, dirty), 0);
		EXPECT_EQ(dirty[0], 1ul << 23);
		EXPECT_EQ(touch(0, 0x3000, user_writes), MEMORY);
		EXPECT_EQ(model_get_dirty(0, dirty), 0);
		EXPECT_EQ(dirty[0], 1ul << 23);
		EXPECT_EQ(dirty[1], 1ul << (103 - 64));
		model_check();
		shadow_end();
	}
}

static void ageing(void)
{
	FOR_BOTH(lazy) {
		const struct mmu_notifier_ops *ops;

		start(lazy);
		four_tables();
		ops = shim_notifier->ops;
		use_long(0, 20);
		EXPECT(!ops->test_young(shim_notifier, NULL, model_hva(103)));
		EXPECT_EQ(touch(0, 0x3000, user_reads), MEMORY);
		EXPECT(ops->test_young(shim_notifier, NULL, model_hva(103)));
		EXPECT(ops->clear_flush_young(shim_notifier, NULL, model_hva(0), model_hva(1024)));
		EXPECT(!ops->test_young(shim_notifier, NULL, model_hva(103)));
		EXPECT_EQ(touch(0, 0x3000, user_reads), MEMORY);
		EXPECT(ops->test_young(shim_notifier, NULL, model_hva(103)));
		shadow_end();
	}
}

static void no_memory_is_an_error(void)
{
	struct vcpu_exit exit = { .kind = EXIT_EXCEPTION, .exception = { 14, true, 0, 0x3000 } };
	int n;

	for (n = 0; n < MMU_SPARES; n++) {
		start(true);
		four_tables();
		use_long(0, 20);
		vcpus[0].requests = 0;
		while (vcpus[0].mmu.nr_spares)
			shadow_free(vcpus[0].mmu.spares[--vcpus[0].mmu.nr_spares]);
		shim_fail_after = n;
		EXPECT_EQ(mmu_load_root(&vcpus[0]), -ENOMEM);
		shim_fail_after = -1;
		EXPECT_EQ(mmu_load_root(&vcpus[0]), RESUME);
		while (vcpus[0].mmu.nr_spares)
			shadow_free(vcpus[0].mmu.spares[--vcpus[0].mmu.nr_spares]);
		shim_fail_after = n;
		EXPECT_EQ(shadow_fault(&vcpus[0], &exit), -ENOMEM);
		shim_fail_after = -1;
		EXPECT_EQ(touch(0, 0x3000, user_writes), MEMORY);
		shadow_end();
	}
}

/* Other memory at the place of a table. */
static void slot_with_tables_goes(void)
{
	FOR_BOTH(lazy) {
		start(lazy);
		four_tables();
		set(2050, 0, 170 << 12 | PAGE);
		set(22, 5, 2050ull << 12 | TABLE);
		*(u64 *)guest_page(regions[3].index) = 171 << 12 | PAGE;
		guest_note(regions[3].index, 0, 8);
		use_long(0, 20);
		EXPECT_EQ(touch(0, 5ul << 21, user_writes), MEMORY);
		regions[1].gfn = 5120;
		EXPECT_EQ(region_set(1), 0);
		model_flush(0);
		EXPECT_EQ(touch(0, 5ul << 21, reads), FAULT);
		regions[3].gfn = 2050;
		EXPECT_EQ(region_set(3), 0);
		model_flush(0);
		EXPECT_EQ(touch(0, 5ul << 21, user_writes), MEMORY);
		shadow_end();
	}
}

static void modes_come_and_go(void)
{
	FOR_BOTH(lazy) {
		start(lazy);
		kernel_tables();
		/* The same page is the root of 32-bit paging and of 64-bit mode, and a directory of PAE. */
		kernel_part(20);
		set4(20, 0, 21 << 12 | TABLE);
		set4(21, 0, 180 << 12 | PAGE);
		set(PDPTS, 3, 20 << 12 | P);
		EXPECT_EQ(touch(0, 180 << 12, writes), MEMORY);
		use_32(0, 20);
		EXPECT_EQ(touch(0, 0, user_writes), MEMORY);
		EXPECT_EQ(touch(0, 0x400000, user_reads), FAULT);
		use_pae(0, PDPTS << 12);
		EXPECT_EQ(touch(0, 0, user_reads), FAULT);
		EXPECT_EQ(touch(0, kernel_gva(0, 180, false), writes), MEMORY);
		use_long(0, 20);
		store8(0, 20, 0, 22 << 12 | TABLE);
		store8(0, 22, 0, 0);
		EXPECT_EQ(touch(0, 0, user_writes), FAULT);
		model_mode(0, 0, CR4_PAE, EFER_NX, 0);
		EXPECT_EQ(touch(0, 181 << 12, writes), MEMORY);
		use_32(0, 20);
		EXPECT_EQ(touch(0, 0, user_writes), FAULT);
		model_check();
		shadow_end();
	}
}

/* A fork, by hypercall: what is mapped loses the right to be written, new pages come. */
static void updates(void)
{
	FOR_BOTH(lazy) {
		struct corbel_mmu_update list[16];
		unsigned long faults;
		unsigned int i;

		start(lazy);
		four_tables();
		use_long(0, 20);
		for (i = 0; i < 8; i++)
			EXPECT_EQ(touch(0, (u64)i << 12, user_writes), MEMORY);
		for (i = 0; i < 16; i++) {
			host_populate(300 + i);
			list[i].gpa = (23 << 12) + i * 8;
			list[i].value = i < 8 ? (100 + i) << 12 | (PAGE & ~W) : (300 + i) << 12 | PAGE;
		}
		list[15].value &= ~A;
		guest_update(0, list, 16, CORBEL_MMU_FLUSH, 0);
		EXPECT_EQ(model_stats.emulated, 0);
		EXPECT_EQ(touch(0, 0, user_writes), FAULT);
		model_enter(0);
		EXPECT_EQ(touch(0, 15 << 12, user_reads), MEMORY);
		faults = model_stats.faults;
		for (i = 0; i < 15; i++)
			EXPECT_EQ(touch(0, (u64)i << 12, i < 8 ? user_reads : user_writes), MEMORY);
		EXPECT_EQ(model_stats.faults, faults);
		EXPECT_EQ(list_empty(&vm.mmu.shadow->unsync), 1);
		model_check();
		shadow_end();
	}
}

static long update(gpa_t list, unsigned long n, unsigned long flags)
{
	int idx = srcu_read_lock(&vm.srcu);
	long ret = pvmmu_update(&vcpus[0], list, n, flags, 0);

	srcu_read_unlock(&vm.srcu, idx);
	return ret;
}

/* set() of an entry by hypercall, and how that ends. */
static long update_one(unsigned int at, gpa_t gpa, u64 value)
{
	set(UPDATES, 2 * at, gpa);
	set(UPDATES, 2 * at + 1, value);
	return update((gpa_t)UPDATES << 12, at + 1, 0);
}

static void wrong_updates(void)
{
	const gpa_t list = (gpa_t)UPDATES << 12;

	start(true);
	four_tables();
	use_long(0, 20);
	EXPECT_EQ(update(list, 0, CORBEL_MMU_FLUSH), 0);
	EXPECT_EQ(update(list, 1, 4), -KVM_EINVAL);
	EXPECT_EQ(update(list, CORBEL_MMU_MAX_UPDATES + 1, 0), -KVM_EINVAL);
	EXPECT_EQ(update(list + 4, 1, 0), -KVM_EINVAL);
	EXPECT_EQ(update(1500ull << 12, 1, 0), -KVM_EFAULT);
	EXPECT_EQ(update_one(0, (23 << 12) + 4, 0), -KVM_EINVAL);
	EXPECT_EQ(update_one(0, 1500ull << 12, 0), -KVM_EFAULT);
	EXPECT_EQ(update_one(0, 4096ull << 12, 0), -KVM_EFAULT);	/* read-only */
	EXPECT_EQ(update_one(0, (24 << 12) + 8, 1), 1);
	EXPECT_EQ(update_one(1, (24 << 12) + 8, 2), 2);
	EXPECT_EQ(update_one(1, 4096ull << 12, 3), 1);
	EXPECT_EQ(get(24, 1), 1);
	use_32(0, 20);
	EXPECT_EQ(update_one(0, (24 << 12) + 4, 1ull << 32), -KVM_EINVAL);
	EXPECT_EQ(update_one(0, (24 << 12) + 2, 1), -KVM_EINVAL);
	EXPECT_EQ(update_one(0, (24 << 12) + 4, 5), 1);
	EXPECT_EQ(get(24, 0), 5ull << 32);
	shadow_end();
}

static void random_wp(void)
{
	random_histories(false, seed, steps / 2);
}

static void random_lazy(void)
{
	random_histories(true, seed, steps / 2);
}

int main(int argc, char **argv)
{
	static const struct ktap_case cases[] = {
		{ "pages are mapped and unmapped as the guest says", follows_and_unmaps },
		{ "a page is a table at two levels", one_page_at_two_levels },
		{ "a large page and a table at its first gfn", large_page_and_table_of_one_gfn },
		{ "a table is written through an alias", written_through_an_alias },
		{ "a large page is flushed as one", large_pages_flush_as_one },
		{ "upper tables change", upper_tables_change },
		{ "changes that need no flush", changes_that_need_no_flush },
		{ "tables change in mid-fault", tables_change_in_mid_fault },
		{ "a page fault flushes its address", page_fault_flushes },
		{ "frames go before the lock is taken", frames_go_before_the_lock },
		{ "a CPU flushes before what another writes is followed", flush_before_it_is_followed },
		{ "what the guest has dropped stays in a TLB", left_in_a_tlb },
		{ "CR0.WP is clear", no_write_protection },
		{ "an event's frame goes to a table", event_on_a_table },
		{ "tables in read-only memory", tables_in_read_only_memory },
		{ "devices, with and without markers", devices },
		{ "shadow pages have a limit", reclaim_at_the_limit },
		{ "shadow pages go back to the host", shrink },
		{ "a root dies while others run on it", dead_roots },
		{ "a table becomes data", recycled_as_data },
		{ "dirty log", dirty_log },
		{ "ageing", ageing },
		{ "without memory, -ENOMEM and no harm", no_memory_is_an_error },
		{ "a slot that holds tables goes", slot_with_tables_goes },
		{ "paging modes come and go", modes_come_and_go },
		{ "entries by hypercall", updates },
		{ "entries by hypercall that cannot be", wrong_updates },
		{ "random, write-protected tables", random_wp },
		{ "random, lazy", random_lazy },
	};

	if (argc > 1)
		seed = strtoul(argv[1], NULL, 0);
	if (argc > 2)
		steps = strtoul(argv[2], NULL, 0);
	return ktap_run(cases, sizeof(cases) / sizeof(cases[0]));
}
