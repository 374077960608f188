// SPDX-License-Identifier: GPL-2.0-only
/*
 * EPT and NPT under the TLB model: named situations first, then random ones. Would catch a missing
 * or late flush, a fault that outlives the invalidation or the slot it looked at, a table freed too
 * early, and writes that the dirty log misses.
 */
#include <stdlib.h>
#include <linux/mm.h>
#include <linux/mmu_notifier.h>
#include "ktap.h"
#include "mem/notifier.h"
#include "mem/slots.h"
#include "mmu/tdp.h"
#include "model.h"

#define LOG	KVM_MEM_LOG_DIRTY_PAGES
#define M2	512ul		/* pages of 2 MiB */

static unsigned long seed = 1, steps = 20000;

#define FOR_EACH_MODEL(kind)							\
	for (enum model_kind kind = 0; kind < NR_MODELS; kind++)

static void fault_and_unmap(void)
{
	FOR_EACH_MODEL(kind) {
		model_start(kind);
		EXPECT_EQ(model_slot(0, 0, 64, model_hva(0), 0), 0);
		EXPECT(model_access(0, 0x3000, ACCESS_WRITE));
		EXPECT(model_access(1, 0x3008, ACCESS_READ));
		EXPECT_EQ(vm.stats.pages_4k, 1);
		host_invalidate(3, 1, host_unmap);
		EXPECT_EQ(vm.stats.pages_4k, 0);
		EXPECT(model_access(1, 0x3000, ACCESS_READ));
		EXPECT(model_access(0, 0x3000, ACCESS_WRITE));
		model_end();
	}
}

static void copy_on_write(void)
{
	FOR_EACH_MODEL(kind) {
		model_start(kind);
		model_slot(0, 0, 64, model_hva(0), 0);
		model_access(0, 0x5000, ACCESS_WRITE);
		host_invalidate(5, 1, host_cow);
		EXPECT(model_access(1, 0x5000, ACCESS_READ));
		EXPECT(model_access(0, 0x5000, ACCESS_WRITE));
		EXPECT(model_access(1, 0x5000, ACCESS_READ));
		model_end();
	}
}

static void dirty_and_accessed_come_back(void)
{
	FOR_EACH_MODEL(kind) {
		model_start(kind);
		model_slot(0, 0, 64, model_hva(0), 0);
		model_access(0, 0x1000, ACCESS_WRITE);
		model_access(0, 0x2000, ACCESS_READ);
		host_start(0, 64);
		EXPECT(host[1].dirty && host[1].accessed);
		EXPECT(host[2].accessed);
		EXPECT(kind == MODEL_EPT_NO_AD || !host[2].dirty);
		host_end(0, 64);
		model_end();
	}
}

/* Pages that the host has already come along, neither accessed nor dirty. */
static void neighbours_come_along(void)
{
	FOR_EACH_MODEL(kind) {
		unsigned long i, n = kind == MODEL_EPT_NO_AD ? 1 : 8;

		model_start(kind);
		model_slot(0, 0, 61, model_hva(0), 0);
		for (i = 0; i < 64; i++)
			host_populate(i);
		model_access(0, 0x10000, ACCESS_WRITE);
		EXPECT_EQ(vm.stats.pages_4k, n);
		model_access(0, 0x1a000, ACCESS_READ);
		EXPECT_EQ(vm.stats.pages_4k, n + (n == 8 ? 6 : 1));
		model_access(0, 0x3b000, ACCESS_READ);	/* the slot ends behind the next one */
		EXPECT_EQ(vm.stats.pages_4k, n + (n == 8 ? 8 : 2));
		host_start(0, 64);
		EXPECT(host[16].dirty && host[16].accessed);
		EXPECT(!host[17].dirty && !host[17].accessed && !host[0x1b].accessed);
		host_end(0, 64);
		model_slot(0, 0, 61, model_hva(0), LOG);
		model_access(0, 0x10000, ACCESS_WRITE);
		EXPECT_EQ(vm.stats.pages_4k, 1);
		model_end();
	}
}

static void huge_pages_follow_the_host(void)
{
	FOR_EACH_MODEL(kind) {
		model_start(kind);
		model_slot(0, 0, 4 * M2, model_hva(0), 0);
		model_access(0, 0x1000, ACCESS_READ);
		EXPECT_EQ(vm.stats.pages_4k, 1);
		EXPECT(host_collapse(0));
		model_access(0, 0x1000, ACCESS_READ);
		EXPECT_EQ(vm.stats.pages_2m, 1);
		EXPECT_EQ(vm.stats.pages_4k, 0);
		model_access(1, 0x7000, ACCESS_EXEC);
		EXPECT_EQ(vm.stats.pages_2m, kind == MODEL_EPT_NX ? 0 : 1);
		EXPECT(model_access(2, 0x8000, ACCESS_WRITE));
		host_invalidate(9, 1, host_unmap);
		EXPECT_EQ(vm.stats.pages_2m, 0);
		EXPECT_EQ(vm.stats.pages_4k, 0);
		model_end();
	}
}

/* gfn and hva must be in step, and all 2 MiB in the slot. */
static void huge_pages_need_alignment(void)
{
	model_start(MODEL_EPT);
	model_slot(0, 0x1000, 2 * M2, model_hva(0), 0);
	model_slot(1, 8 * M2 << 12, M2 - 1, model_hva(4 * M2), 0);
	host_collapse(0);
	host_collapse(4 * M2);
	model_access(0, 0x200000, ACCESS_READ);
	model_access(0, 8 * M2 << 12, ACCESS_READ);
	EXPECT_EQ(vm.stats.pages_2m, 0);
	EXPECT_EQ(vm.stats.pages_4k, 2);
	model_end();
}

static void invalidate_page_3(struct vcpu *vcpu)
{
	host_invalidate(3, 1, host_unmap);
}

static void start_page_3(struct vcpu *vcpu)
{
	host_start(3, 1);
	host_unmap(3);
}

static void start_page_10(struct vcpu *vcpu)
{
	host_start(10, 1);
	host_unmap(10);
}

static void fault_races_with_invalidation(void)
{
	FOR_EACH_MODEL(kind) {
		model_start(kind);
		model_slot(0, 0, 64, model_hva(0), 0);
		model_in_fault = invalidate_page_3;
		EXPECT(model_access(0, 0x3000, ACCESS_READ));
		host_invalidate(3, 1, host_unmap);
		/* In the middle of it: nothing may be mapped until the end. */
		model_in_fault = start_page_3;
		{
			struct vcpu_exit exit = { .kind = EXIT_PAGE_FAULT, .fault.gpa = 0x3000,
						  .fault.access = FAULT_READ };

			EXPECT_EQ(fault_exit(&vcpus[0], &exit), RESUME);
			EXPECT_EQ(fault_exit(&vcpus[0], &exit), RESUME);
			EXPECT_EQ(vm.stats.pages_4k, 0);
			/* outside the range, sampled after the start */
			exit.fault.gpa = 0x4000;
			EXPECT_EQ(fault_exit(&vcpus[0], &exit), RESUME);
			EXPECT_EQ(vm.stats.pages_4k, 1);
		}
		host_end(3, 1);
		EXPECT(model_access(0, 0x3000, ACCESS_READ));
		/* The neighbour goes while the fault is about another page. */
		host_populate(10);
		model_in_fault = start_page_10;
		model_in_more = kind != MODEL_EPT_NO_AD;
		model_access(0, 0x9000, ACCESS_READ);
		host_end(10, 1);
		EXPECT(model_access(0, 0xa000, ACCESS_READ));
		model_end();
	}
}

static void delete_slot_0(struct vcpu *vcpu)
{
	EXPECT_EQ(model_slot(0, 0, 0, 0, 0), 0);
}

static void move_slot_0(struct vcpu *vcpu)
{
	EXPECT_EQ(model_slot(0, 0x100000, 64, model_hva(0), 0), 0);
}

static void log_slot_0(struct vcpu *vcpu)
{
	EXPECT_EQ(model_slot(0, 0, 64, model_hva(0), LOG), 0);
	model_truth_reset();
}

static void fault_races_with_slots(void)
{
	unsigned long dirty[1];

	FOR_EACH_MODEL(kind) {
		model_start(kind);
		model_slot(0, 0, 64, model_hva(0), 0);
		model_in_fault = log_slot_0;
		EXPECT(model_access(0, 0x3000, ACCESS_WRITE));
		EXPECT_EQ(model_get_dirty(0, dirty), 0);
		EXPECT_EQ(dirty[0], 1ul << 3);
		EXPECT(model_access(0, 0x3000, ACCESS_WRITE));
		EXPECT_EQ(model_get_dirty(0, dirty), 0);
		EXPECT_EQ(dirty[0], 1ul << 3);
		model_in_fault = move_slot_0;
		EXPECT(!model_access(0, 0x4000, ACCESS_READ));
		EXPECT(model_access(0, 0x104000, ACCESS_READ));
		model_in_fault = delete_slot_0;
		EXPECT(!model_access(0, 0x105000, ACCESS_WRITE));
		EXPECT_EQ(vm.stats.pages_4k, 0);
		model_end();
	}
}

static void deleted_slot_is_mmio(void)
{
	FOR_EACH_MODEL(kind) {
		model_start(kind);
		model_slot(0, 0, 64, model_hva(0), 0);
		EXPECT(model_access(0, 0x3000, ACCESS_WRITE));
		EXPECT(!model_access(0, 0x100000, ACCESS_WRITE));
		delete_slot_0(NULL);
		EXPECT(!model_access(0, 0x3000, ACCESS_READ));
		EXPECT(!model_access(1, 0x3000, ACCESS_READ));
		model_slot(0, 0, 64, model_hva(0), 0);
		EXPECT(model_access(1, 0x3000, ACCESS_READ));
		move_slot_0(NULL);
		EXPECT(!model_access(1, 0x3000, ACCESS_READ));
		EXPECT(model_access(1, 0x103000, ACCESS_READ));
		model_end();
	}
}

static void mmio_marker_saves_the_lookup(void)
{
	FOR_EACH_MODEL(kind) {
		model_start(kind);
		EXPECT(!model_access(0, 0xfe000000, ACCESS_READ));
		EXPECT(tdp_is_mmio(&vm, 0xfe000));
		EXPECT(!model_access(1, 0xfe000010, ACCESS_WRITE));
		model_slot(0, 0, 64, model_hva(0), 0);
		EXPECT(!tdp_is_mmio(&vm, 0xfe000));
		model_slot(1, 0xfe000000, 64, model_hva(64), 0);
		EXPECT(model_access(0, 0xfe000000, ACCESS_READ));
		model_end();
	}
}

/* NPT's marker lives by an address bit that is reserved. */
static void mmio_marker_of_npt(void)
{
	static const struct {
		unsigned int phys_bits, c_bit;
		bool markers;
	} cpus[] = { { 48, 47, true }, { 52, 0, false }, { 43, 51, true }, { 51, 51, false } };
	unsigned int i;

	for (i = 0; i < sizeof(cpus) / sizeof(cpus[0]); i++) {
		boot_cpu_data.x86_phys_bits = cpus[i].phys_bits;
		shim_c_bit = cpus[i].c_bit;
		model_start(MODEL_NPT);
		EXPECT(!model_access(0, 0xfe000000, ACCESS_READ));
		EXPECT_EQ(tdp_is_mmio(&vm, 0xfe000), cpus[i].markers);
		EXPECT(!cpus[i].c_bit || !(tdp_fmt.marker >> cpus[i].c_bit & 1));
		model_end();
	}
	boot_cpu_data.x86_phys_bits = 46;
	shim_c_bit = 0;
}

/* CPUs with 52 address bits report what four levels of tables cannot map. */
static void beyond_the_tables(void)
{
	FOR_EACH_MODEL(kind) {
		model_start(kind);
		EXPECT(!model_access(0, 1ull << 48, ACCESS_READ));
		EXPECT(!model_access(0, (1ull << 50) + 0x1000, ACCESS_WRITE));
		EXPECT(!model_access(0, 0x1000, ACCESS_READ));
		model_end();
	}
}

static void read_only_slot(void)
{
	FOR_EACH_MODEL(kind) {
		model_start(kind);
		model_slot(0, 0, 64, model_hva(0), KVM_MEM_READONLY);
		EXPECT(model_access(0, 0x3000, ACCESS_READ));
		EXPECT(!model_access(0, 0x3000, ACCESS_WRITE));
		EXPECT(model_access(0, 0x3000, ACCESS_EXEC));
		model_end();
	}
}

static void dirty_log(void)
{
	unsigned long dirty[M2 / 64];
	int round;

	FOR_EACH_MODEL(kind) {
		model_start(kind);
		model_slot(0, 0, M2, model_hva(0), 0);
		host_collapse(0);
		model_access(0, 0x3000, ACCESS_WRITE);	/* a large page, before the log */
		model_access(1, 0x5000, ACCESS_WRITE);
		EXPECT_EQ(model_slot(0, 0, M2, model_hva(0), LOG), 0);
		model_access(1, 0x5000, ACCESS_WRITE);
		EXPECT_EQ(model_get_dirty(0, dirty), 0);
		EXPECT_EQ(dirty[0], 1ul << 5);
		for (round = 0; round < 3; round++) {
			model_access(0, 0x3000, ACCESS_READ);
			model_access(0, 0x7000, ACCESS_WRITE);
			model_access(1, 0x7000, ACCESS_WRITE);
			model_access(1, 0x43000, ACCESS_WRITE);
			EXPECT_EQ(model_get_dirty(0, dirty), 0);
			EXPECT_EQ(dirty[0], 1ul << 7);
			EXPECT_EQ(dirty[1], 1ul << 3);
			EXPECT_EQ(model_get_dirty(0, dirty), 0);
			EXPECT_EQ(dirty[0] | dirty[1], 0);
		}
		EXPECT(vm.stats.pages_4k);
		model_slot(0, 0, M2, model_hva(0), 0);
		model_access(0, 0x3000, ACCESS_WRITE);
		EXPECT_EQ(vm.stats.pages_2m, 1);
		model_end();
	}
}

/* A word of the log whose pages are in two tables; only some are written in a round. */
static void dirty_log_over_two_tables(void)
{
	u64 first = M2 - 12, i, round;
	unsigned long dirty[1], written;

	FOR_EACH_MODEL(kind) {
		model_start(kind);
		model_slot(0, first << PAGE_SHIFT, 64, model_hva(0), 0);
		for (i = 0; i < 64; i++)
			EXPECT(model_access(0, (first + i) << PAGE_SHIFT, ACCESS_WRITE));
		EXPECT_EQ(model_slot(0, first << PAGE_SHIFT, 64, model_hva(0), LOG), 0);
		for (round = 1; round <= 8; round++) {
			written = 0;
			for (i = 0; i < 64; i += round) {
				EXPECT(model_access(i & 1, (first + i) << PAGE_SHIFT, ACCESS_WRITE));
				written |= 1ul << i;
			}
			EXPECT_EQ(model_get_dirty(0, dirty), 0);
			EXPECT_EQ(dirty[0], written);
		}
		model_end();
	}
}

static void manual_dirty_log(void)
{
	unsigned long dirty[M2 / 64], clear[1] = { 1ul << 7 };
	struct kvm_clear_dirty_log log = { .num_pages = 64, .dirty_bitmap = clear };

	FOR_EACH_MODEL(kind) {
		model_start(kind);
		EXPECT_EQ(slots_clear_dirty_log(&vm, &log), -ENOENT);
		vm.mem.manual_dirty = 3;
		model_slot(0, 0, M2, model_hva(0), LOG);
		model_get_dirty(0, dirty);
		EXPECT_EQ(dirty[0], -1l);
		EXPECT_EQ(dirty[M2 / 64 - 1], -1l);
		model_access(0, 0x7000, ACCESS_WRITE);
		EXPECT_EQ(slots_clear_dirty_log(&vm, &log), 0);
		model_get_dirty(0, dirty);
		EXPECT_EQ(dirty[0], ~(1l << 7));
		model_access(0, 0x7000, ACCESS_WRITE);
		model_get_dirty(0, dirty);
		EXPECT_EQ(dirty[0], -1l);
		/* Switched on over a large page, nothing is protected until its bit is cleared. */
		model_slot(0, 0, M2, model_hva(0), 0);
		host_collapse(0);
		model_access(0, 0x9000, ACCESS_WRITE);
		EXPECT_EQ(vm.stats.pages_2m, 1);
		model_slot(0, 0, M2, model_hva(0), LOG);
		EXPECT_EQ(slots_clear_dirty_log(&vm, &log), 0);
		EXPECT(model_access(0, 0x7000, ACCESS_WRITE));
		model_get_dirty(0, dirty);
		EXPECT_EQ(dirty[0], -1l);
		model_end();
	}
}

/* One fault of a walk through the guest's own tables, which may set bits there. */
static void walk_fault(gpa_t gpa)
{
	struct vcpu_exit exit = { .kind = EXIT_PAGE_FAULT, .fault.gpa = gpa,
				  .fault.access = FAULT_READ | FAULT_WALK };

	EXPECT_EQ(fault_exit(&vcpus[0], &exit), RESUME);
}

static void ring_expect(const struct dirty_ring *ring, u32 index, u64 offset, u32 flags)
{
	const struct kvm_dirty_gfn *entry = &ring->entries[index];

	EXPECT_EQ(entry->slot, 7);
	EXPECT_EQ(entry->offset, offset);
	EXPECT_EQ(entry->flags, flags);
}

static void dirty_ring(void)
{
	struct dirty_ring *ring = &vcpus[0].ring;
	unsigned int kind;

	for (kind = 0; kind < NR_MODELS; kind++) {
		model_start(kind);
		vm.mem.ring_bytes = 16 * 256;
		EXPECT_EQ(ring_vcpu_init(&vcpus[0]), 0);
		model_slot(7, 0x10000, 70, model_hva(0), LOG);
		EXPECT_EQ(model_get_dirty(7, NULL), -ENXIO);
		model_access(0, 0x50000, ACCESS_WRITE);
		model_access(0, 0x13000, ACCESS_WRITE);
		model_access(0, 0x13000, ACCESS_WRITE);
		model_access(0, 0x14000, ACCESS_READ);
		EXPECT_EQ(ring->head, 2);
		ring_expect(ring, 0, 64, KVM_DIRTY_GFN_F_DIRTY);
		ring_expect(ring, 1, 3, KVM_DIRTY_GFN_F_DIRTY);
		/* Only what userspace has taken is armed again, and only in turn. */
		ring->entries[1].flags |= KVM_DIRTY_GFN_F_RESET;
		EXPECT_EQ(slots_reset_rings(&vm), 0);
		ring->entries[0].flags |= KVM_DIRTY_GFN_F_RESET;
		EXPECT_EQ(slots_reset_rings(&vm), 2);
		ring_expect(ring, 0, 64, 0);
		model_access(0, 0x50000, ACCESS_WRITE);
		model_access(0, 0x13000, ACCESS_WRITE);
		EXPECT_EQ(ring->head, 4);
		ring_expect(ring, 3, 3, KVM_DIRTY_GFN_F_DIRTY);
		/* Nonsense from userspace: no such page, no such slot, entries never added. */
		ring->entries[2] = (struct kvm_dirty_gfn){ KVM_DIRTY_GFN_F_RESET, 7, 70 };
		ring->entries[3] = (struct kvm_dirty_gfn){ KVM_DIRTY_GFN_F_RESET, 1 << 16 | 7, 0 };
		ring->entries[4].flags = KVM_DIRTY_GFN_F_RESET;
		EXPECT_EQ(slots_reset_rings(&vm), 2);
		EXPECT_EQ(ring->tail, 4);
		ring_vcpu_destroy(&vcpus[0]);
		ring->size = 0;
		model_end();
	}
}

static void dirty_ring_gets_full(void)
{
	struct dirty_ring *ring = &vcpus[0].ring;
	static struct kvm_run run;
	u32 i, limit = 256 - ring_reserve();

	model_start(MODEL_NPT);
	vm.mem.ring_bytes = 16 * 256;
	EXPECT_EQ(ring_vcpu_init(&vcpus[0]), 0);
	vcpus[0].run = &run;
	for (i = 0; i < 2 * limit; i++)		/* two by two the same */
		ring_push(&vcpus[0], 7, i / 2);
	EXPECT_EQ(ring->head, limit);
	EXPECT_EQ(ring_serve(&vcpus[0]), TO_USER);
	EXPECT_EQ(run.exit_reason, KVM_EXIT_DIRTY_RING_FULL);
	EXPECT(vcpu_take_request(&vcpus[0], REQ_RING_FULL));
	for (i = 0; i < 256; i++)
		ring_push(&vcpus[0], 7, i);
	EXPECT_EQ(ring->head, 256);		/* nothing was overwritten */
	ring_expect(ring, 0, 0, KVM_DIRTY_GFN_F_DIRTY);
	for (i = 0; i <= ring_reserve(); i++)
		ring->entries[i].flags |= KVM_DIRTY_GFN_F_RESET;
	EXPECT_EQ(slots_reset_rings(&vm), i);
	EXPECT_EQ(ring_serve(&vcpus[0]), RESUME);
	ring_vcpu_destroy(&vcpus[0]);
	ring->size = 0;
	model_end();
}

/*
 * With accessed and dirty bits of its own, a second-level table has walks ask for write access.
 * Without them, the walk reads first and would write unheard of on a CPU that asks only once.
 */
static void dirty_log_hears_of_walks(void)
{
	unsigned long dirty[1], mmio;

	FOR_EACH_MODEL(kind) {
		model_start(kind);
		model_slot(0, 0, 64, model_hva(0), LOG);
		model_slot(1, 0x100000, 64, model_hva(64), LOG | KVM_MEM_READONLY);
		walk_fault(0x3000);
		EXPECT_EQ(model_get_dirty(0, dirty), 0);
		EXPECT_EQ(dirty[0], kind == MODEL_EPT_NO_AD ? 1ul << 3 : 0);
		/* Tables in memory that cannot be written can be walked all the same. */
		host[4].prot_read = true;
		walk_fault(0x4000);
		mmio = model_mmio_exits;
		walk_fault(0x105000);
		EXPECT_EQ(model_mmio_exits, mmio);
		EXPECT_EQ(vm.stats.pages_4k, 3);
		EXPECT_EQ(model_get_dirty(0, dirty), 0);
		EXPECT_EQ(dirty[0], 0);
		EXPECT_EQ(model_get_dirty(1, dirty), 0);
		EXPECT_EQ(dirty[0], 0);
		model_end();
	}
}

static void age_clears_and_sees(void)
{
	FOR_EACH_MODEL(kind) {
		const struct mmu_notifier_ops *ops;

		model_start(kind);
		ops = shim_notifier->ops;
		model_slot(0, 0, 64, model_hva(0), 0);
		EXPECT(!ops->test_young(shim_notifier, NULL, model_hva(3)));
		model_access(0, 0x3000, ACCESS_READ);
		EXPECT(ops->test_young(shim_notifier, NULL, model_hva(3)));
		EXPECT(ops->clear_flush_young(shim_notifier, NULL, model_hva(0), model_hva(64)));
		EXPECT(!ops->test_young(shim_notifier, NULL, model_hva(3)));
		model_access(0, 0x3000, ACCESS_READ);
		EXPECT(ops->test_young(shim_notifier, NULL, model_hva(3)));
		model_end();
	}
}

static void release_kills(void)
{
	struct vcpu_exit exit = { .kind = EXIT_PAGE_FAULT, .fault.gpa = 0x3000,
				  .fault.access = FAULT_READ };

	model_start(MODEL_EPT);
	model_slot(0, 0, 64, model_hva(0), 0);
	model_access(0, 0x3000, ACCESS_WRITE);
	shim_notifier->ops->release(shim_notifier, NULL);
	EXPECT(vm.dead);
	EXPECT_EQ(vm.stats.pages_4k, 0);
	fault_exit(&vcpus[0], &exit);
	EXPECT_EQ(vm.stats.pages_4k, 0);
	model_end();
}

/* Other threads' callbacks follow each other without a gap: none of those may be waited for. */
static void detach_does_not_starve(void)
{
	EXPECT_EQ(shim_notifier_syncs, 0);
	model_start(MODEL_EPT);
	vm.mem.notifier->walkers = 1;
	model_end();
	EXPECT_EQ(shim_notifier_syncs, 1);
}

static void poison_is_a_signal(void)
{
	model_start(MODEL_EPT);
	model_slot(0, 0, 64, model_hva(0), 0);
	model_poisoned = true;
	model_poison_signals = 0;
	EXPECT(!model_access(0, 0x3000, ACCESS_READ));
	EXPECT_EQ(model_poison_signals, 1);
	EXPECT_EQ(vm.stats.pages_4k, 0);
	model_poisoned = false;
	model_end();
}

static void no_memory_is_an_error(void)
{
	struct vcpu_exit exit = { .kind = EXIT_PAGE_FAULT, .fault.gpa = 0x3000,
				  .fault.access = FAULT_READ };
	int n;

	for (n = 0; n < MMU_CACHE_TABLES; n++) {
		model_start(MODEL_EPT);
		model_slot(0, 0, 64, model_hva(0), 0);
		shim_fail_after = n;
		EXPECT_EQ(fault_exit(&vcpus[0], &exit), -ENOMEM);
		shim_fail_after = -1;
		EXPECT(model_access(0, 0x3000, ACCESS_READ));
		model_end();
	}
}

/* --- Random --- */

static unsigned long rnd(unsigned long n)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return (seed >> 11) % n;
}

#define GFNS	(8 * M2)

static struct fuzz_slot {
	bool live;
	gfn_t gfn;
	unsigned long npages, index;
	u32 flags;
} fuzz_slots[4];

static void fuzz_host(struct vcpu *unused)
{
	unsigned long first = rnd(MODEL_PAGES - M2), n = rnd(4) ? 1 + rnd(8) : M2;

	switch (rnd(4)) {
	case 0:
		host_invalidate(first, n, host_unmap);
		break;
	case 1:
		host_invalidate(first, n, host_cow);
		break;
	case 2:
		host_collapse(first);
		break;
	default:
		shim_notifier->ops->clear_flush_young(shim_notifier, NULL, model_hva(first),
						      model_hva(first + n));
	}
}

static void fuzz_check_dirty(unsigned int id)
{
	struct fuzz_slot *s = &fuzz_slots[id];
	static unsigned long dirty[MODEL_PAGES / 64];
	unsigned long i;

	EXPECT_EQ(model_get_dirty(id, dirty), s->flags & LOG && s->live ? 0 : -ENOENT);
	if (!s->live || !(s->flags & LOG))
		return;
	for (i = 0; i < s->npages; i++) {
		bool logged = dirty[i / 64] >> (i % 64) & 1;

		if (model_truth[s->gfn + i] && !logged) {
			printf("# gfn %#llx was written and is not in the log\n", s->gfn + i);
			ktap_failed = true;
		}
		model_truth[s->gfn + i] = 0;
	}
}

static void fuzz_slot(unsigned int id)
{
	struct fuzz_slot *s = &fuzz_slots[id], was = *s;

	switch (s->live ? rnd(4) : 3) {
	case 0:
		s->live = false;
		EXPECT_EQ(model_slot(id, 0, 0, 0, 0), 0);
		return;
	case 1:
		s->flags ^= LOG;
		break;
	case 2:
		s->gfn = rnd(GFNS);
		break;
	default:
		if (s->live)
			return;
		s->live = true;
		s->gfn = rnd(2) ? rnd(GFNS) : rnd(8) * M2;
		s->npages = 1 + rnd(2 * M2);
		s->index = rnd(2) ? rnd(MODEL_PAGES - 2 * M2) : rnd(MODEL_PAGES / M2 - 2) * M2;
		s->flags = rnd(3) ? LOG * rnd(2) : KVM_MEM_READONLY;
	}
	if (model_slot(id, s->gfn << 12, s->npages, model_hva(s->index), s->flags))
		*s = was;
	else if (s->live && (!was.live || s->gfn != was.gfn || !(was.flags & LOG)))
		memset(model_truth + s->gfn, 0, s->npages);
}

static void fuzz_any_slot(struct vcpu *unused)
{
	fuzz_slot(rnd(4));
}

/* Often one of those used last: that is where the TLBs have something. */
static gfn_t fuzz_gfn(void)
{
	static gfn_t recent[16];
	struct fuzz_slot *s = &fuzz_slots[rnd(4)];
	unsigned long i = rnd(16);

	if (rnd(3))
		return recent[i];
	recent[i] = s->live && rnd(8) ? s->gfn + rnd(s->npages) : rnd(GFNS);
	return recent[i];
}

static void fuzz_step(void)
{
	gfn_t gfn = fuzz_gfn();
	unsigned long what = rnd(100);

	if (what < 60) {
		if (!rnd(6))
			model_in_fault = rnd(3) ? fuzz_host : fuzz_any_slot;
		model_in_more = rnd(2);
		model_access(rnd(MODEL_CPUS), gfn << 12, rnd(3));
		model_in_fault = NULL;
	} else if (what < 75) {
		model_speculate(rnd(MODEL_CPUS), gfn);
	} else if (what < 88) {
		fuzz_host(NULL);
	} else if (what < 96) {
		fuzz_check_dirty(rnd(4));
	} else {
		fuzz_slot(rnd(4));
	}
	if (!rnd(50))
		shim_grace_period();
}

static void random_walks(void)
{
	unsigned long n, first = seed;

	FOR_EACH_MODEL(kind) {
		seed = first * 2654435761u + kind + 1;
		memset(fuzz_slots, 0, sizeof(fuzz_slots));
		model_start(kind);
		model_faults = model_flushes = 0;
		for (n = 0; n < steps && !ktap_failed; n++)
			fuzz_step();
		printf("# %s: %lu steps, %lu faults, %lu flushes, %llu 2M pages at the end\n",
		       model_name(kind), n, model_faults, model_flushes, vm.stats.pages_2m);
		model_end();
	}
}

int main(int argc, char **argv)
{
	static const struct ktap_case cases[] = {
		{ "a fault maps, an invalidation unmaps everywhere", fault_and_unmap },
		{ "copy on write is seen", copy_on_write },
		{ "dirty and accessed are told to the page", dirty_and_accessed_come_back },
		{ "neighbours come along", neighbours_come_along },
		{ "large pages follow the host's", huge_pages_follow_the_host },
		{ "large pages need alignment and room", huge_pages_need_alignment },
		{ "an invalidation in mid-fault wins", fault_races_with_invalidation },
		{ "a slot change in mid-fault wins", fault_races_with_slots },
		{ "a deleted or moved slot leaves no translation", deleted_slot_is_mmio },
		{ "MMIO markers are used for one generation", mmio_marker_saves_the_lookup },
		{ "NPT's markers and the encryption bit", mmio_marker_of_npt },
		{ "an address beyond the tables is MMIO", beyond_the_tables },
		{ "read-only slots: writes are MMIO", read_only_slot },
		{ "dirty log, with large pages", dirty_log },
		{ "dirty log over two tables", dirty_log_over_two_tables },
		{ "dirty log with manual protection", manual_dirty_log },
		{ "dirty ring", dirty_ring },
		{ "a dirty ring that gets full", dirty_ring_gets_full },
		{ "dirty log and walks of the guest's tables", dirty_log_hears_of_walks },
		{ "ageing", age_clears_and_sees },
		{ "release kills the VM", release_kills },
		{ "a poisoned page is a signal", poison_is_a_signal },
		{ "without memory, -ENOMEM and no harm", no_memory_is_an_error },
		{ "random", random_walks },
		{ "callbacks without end do not keep a VM", detach_does_not_starve },
	};

	if (argc > 1)
		seed = strtoul(argv[1], NULL, 0);
	if (argc > 2)
		steps = strtoul(argv[2], NULL, 0);
	return ktap_run(cases, sizeof(cases) / sizeof(cases[0]));
}
