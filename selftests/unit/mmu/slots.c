// SPDX-License-Identifier: GPL-2.0-only
/*
 * Memory slots: each error code that clients depend on, lookup by gfn and hva against a plain
 * search, access to guest memory across slots, and what the dirty log answers.
 */
#include <linux/mm.h>
#include <linux/mmu_notifier.h>
#include <linux/uaccess.h>
#include "ktap.h"
#include "mem/slots.h"
#include "model.h"

#define LOG	KVM_MEM_LOG_DIRTY_PAGES
#define RO	KVM_MEM_READONLY

static void bad_arguments(void)
{
	static const struct {
		u32 slot, flags;
		u64 gpa, size, hva;
	} bad[] = {
		{ 0, 4, 0, 0x1000, MODEL_HVA },
		{ CORBEL_NR_MEMSLOTS, 0, 0, 0x1000, MODEL_HVA },
		{ 1 << 16, 0, 0, 0x1000, MODEL_HVA },
		{ 0, 0, 0x800, 0x1000, MODEL_HVA },
		{ 0, 0, 0, 0x1001, MODEL_HVA },
		{ 0, 0, 0, 0x1000, MODEL_HVA + 1 },
		{ 0, 0, 0, 0x1000, 0xffff800000000000 },
		{ 0, 0, 0, 0x2000, (1ull << 47) - 0x1000 },
		{ 0, 0, -0x1000ull, 0x2000, MODEL_HVA },
		/* beyond the physical address width */
		{ 0, 0, 1ull << 46, 0x1000, MODEL_HVA },
		{ 0, 0, (1ull << 46) - 0x1000, 0x2000, MODEL_HVA },
		{ 0, 0, 0, 1ull << 43, 0 },			/* too many pages */
		{ 0, 0, 0, 0, MODEL_HVA },			/* deletes nothing */
	};
	unsigned int i;

	model_start(MODEL_EPT);
	for (i = 0; i < ARRAY_SIZE(bad); i++) {
		struct kvm_userspace_memory_region r = {
			.slot = bad[i].slot, .flags = bad[i].flags, .guest_phys_addr = bad[i].gpa,
			.memory_size = bad[i].size, .userspace_addr = bad[i].hva,
		};

		if (slots_set_region(&vm, &r) != -EINVAL)
			printf("# row %u\n", i);
		EXPECT_EQ(slots_set_region(&vm, &r), -EINVAL);
	}
	EXPECT_EQ(vm.mem.slots->nr, 0);
	model_end();
}

static void changes(void)
{
	model_start(MODEL_EPT);
	EXPECT_EQ(model_slot(0, 0x10000, 16, model_hva(0), 0), 0);
	EXPECT_EQ(model_slot(0, 0x10000, 16, model_hva(0), 0), 0);
	EXPECT_EQ(model_slot(0, 0x10000, 17, model_hva(0), 0), -EINVAL);
	EXPECT_EQ(model_slot(0, 0x10000, 16, model_hva(1), 0), -EINVAL);
	EXPECT_EQ(model_slot(0, 0x10000, 16, model_hva(0), RO), -EINVAL);
	EXPECT_EQ(model_slot(1, 0x1f000, 1, model_hva(20), 0), -EEXIST);
	EXPECT_EQ(model_slot(1, 0x0f000, 2, model_hva(20), 0), -EEXIST);
	EXPECT_EQ(model_slot(1, 0x20000, 1, model_hva(20), 0), 0);
	EXPECT_EQ(model_slot(0, 0x11000, 16, model_hva(0), 0), -EEXIST);
	EXPECT_EQ(model_slot(0, 0x08000, 16, model_hva(0), 0), 0);	/* over its own old place */
	EXPECT(slots_find(vm.mem.slots, 0x8) && !slots_find(vm.mem.slots, 0x18));
	EXPECT_EQ(model_slot(0, 0x08000, 16, model_hva(0), LOG), 0);
	EXPECT(slots_find(vm.mem.slots, 0x8)->dirty);
	EXPECT_EQ(model_slot(0, 0x10000, 16, model_hva(0), LOG), 0);
	EXPECT_EQ(model_slot(0, 0, 0, 0, 0), 0);
	EXPECT_EQ(model_slot(0, 0, 0, 0, 0), -EINVAL);
	EXPECT_EQ(vm.mem.slots->nr, 1);
	model_end();
}

static void all_slots_in_use(void)
{
	unsigned int i;
	gfn_t gfn;

	model_start(MODEL_EPT);
	for (i = 0; i < CORBEL_NR_MEMSLOTS; i++)	/* from both ends, each second page */
		EXPECT_EQ(model_slot(i, (u64)(i & 1 ? 4094 - i : i) * 2 << 12, 1,
				     model_hva(i), 0), 0);
	for (gfn = 0; gfn < 8200; gfn++) {
		struct slot *slot = slots_find(vm.mem.slots, gfn);
		gfn_t half = gfn / 2;
		bool want = !(gfn & 1) && ((half < 1024 && !(half & 1)) ||
					   (half > 3070 && half < 4094 && (half & 1)));

		if (!!slot != want || slots_find_cached(&vcpus[0], vm.mem.slots, gfn) != slot) {
			EXPECT_EQ(gfn, -1);
			break;
		}
	}
	model_end();
}

static void memory_runs_out(void)
{
	int n;

	for (n = 0; n < 8; n++) {
		model_start(MODEL_EPT);
		EXPECT_EQ(model_slot(0, 0, 16, model_hva(0), 0), 0);
		shim_fail_after = n;
		if (!model_slot(1, 0x100000, 16, model_hva(16), LOG))
			EXPECT(n >= 3);
		shim_fail_after = -1;
		EXPECT_EQ(vm.mem.slots->nr, n >= 3 ? 2 : 1);
		shim_fail_after = n;
		model_slot(0, 0, 16, model_hva(0), LOG);
		shim_fail_after = -1;
		EXPECT(slots_find(vm.mem.slots, 0));
		model_end();
	}
}

/* Slots may share host memory: each one's part of a range must be found. */
static void ranges_by_hva(void)
{
	struct slot_range range;
	u64 seen = 0, pages = 0;

	model_start(MODEL_EPT);
	model_slot(0, 0x000000, 64, model_hva(0), 0);
	model_slot(1, 0x100000, 4, model_hva(2), 0);
	model_slot(2, 0x200000, 4, model_hva(30), 0);
	model_slot(3, 0x300000, 4, model_hva(100), 0);
	slots_for_each_hva(vm.mem.slots, model_hva(31), model_hva(33), &range) {
		seen |= BIT_ULL(range.slot->id);
		pages += range.end - range.start;
		EXPECT(range.slot->id ? range.start == 0x201 : range.start == 31);
	}
	EXPECT_EQ(seen, 5);
	EXPECT_EQ(pages, 4);
	slots_for_each_hva(vm.mem.slots, model_hva(64), model_hva(100), &range)
		EXPECT(!range.slot);
	slots_for_each_hva(vm.mem.slots, model_hva(99) + 1, model_hva(100) + 1, &range)
		EXPECT(range.slot->id == 3 && range.end == 0x301);
	model_end();
}

static void guest_memory(void)
{
	static u8 memory[4 * 4096] __attribute__((aligned(4096)));
	unsigned long dirty[1];
	u8 buf[6000];
	u64 old = 5;
	int idx;

	model_start(MODEL_EPT);
	EXPECT_EQ(model_slot(0, 0x10000, 2, (hva_t)memory, LOG), 0);
	EXPECT_EQ(model_slot(1, 0x12000, 1, (hva_t)memory + 3 * 4096, RO), 0);
	idx = srcu_read_lock(&vm.srcu);
	memset(buf, 0xa5, sizeof(buf));
	EXPECT_EQ(guest_write(&vcpus[0], 0x10800, buf, 6000), 0);
	EXPECT(memory[0x7ff] == 0 && memory[0x800] == 0xa5 && memory[0x800 + 5999] == 0xa5);
	EXPECT_EQ(guest_write(&vcpus[0], 0x11ffc, buf, 8), -EFAULT);	/* into the read-only slot */
	memory[3 * 4096] = 7;
	EXPECT_EQ(guest_read(&vm, 0x11fff, buf, 2), 0);
	EXPECT_EQ(buf[1], 7);
	EXPECT_EQ(guest_read(&vm, 0x12ffc, buf, 8), -EFAULT);
	EXPECT_EQ(slots_hva(&vm, 0x12010, false), (hva_t)memory + 3 * 4096 + 16);
	EXPECT_EQ(slots_hva(&vm, 0x12010, true), 0);
	EXPECT_EQ(guest_cmpxchg(&vcpus[0], 0x10010, &old, 9, 4), 1);
	EXPECT_EQ(old, 0);
	EXPECT_EQ(guest_cmpxchg(&vcpus[0], 0x10010, &old, 0x1122334455667788, 8), 0);
	EXPECT_EQ(*(u64 *)(memory + 16), 0x1122334455667788);
	EXPECT_EQ(guest_cmpxchg(&vcpus[0], 0x12010, &old, 9, 4), -EFAULT);
	EXPECT_EQ(guest_cmpxchg(&vcpus[0], 0x10ffe, &old, 9, 4), -EFAULT);
	srcu_read_unlock(&vm.srcu, idx);
	EXPECT_EQ(model_get_dirty(0, dirty), 0);
	EXPECT_EQ(dirty[0], 3);
	EXPECT_EQ(model_get_dirty(0, dirty), 0);
	EXPECT_EQ(dirty[0], 0);
	EXPECT_EQ(model_get_dirty(1, dirty), -ENOENT);
	EXPECT_EQ(model_get_dirty(9, dirty), -ENOENT);
	EXPECT_EQ(model_get_dirty(1 << 16, dirty), -EINVAL);
	model_end();
}

static void clear_arguments(void)
{
	static const struct {
		u64 first;
		u32 num;
		int want;
	} rows[] = {
		{ 0, 64, 0 }, { 0, 100, 0 }, { 64, 36, 0 }, { 1, 64, -EINVAL }, { 0, 63, -EINVAL },
		{ 64, 37, -EINVAL }, { 128, 0, -EINVAL }, { 1ull << 63, 64, -EINVAL }, { 0, 0, 0 },
	};
	unsigned long mask[2] = { -1ul, -1ul };
	unsigned int i;

	model_start(MODEL_EPT);
	vm.mem.manual_dirty = KVM_DIRTY_LOG_MANUAL_PROTECT_ENABLE;
	model_slot(3, 0, 100, model_hva(0), LOG);
	for (i = 0; i < ARRAY_SIZE(rows); i++) {
		struct kvm_clear_dirty_log log = { .slot = 3, .first_page = rows[i].first,
						   .num_pages = rows[i].num, .dirty_bitmap = mask };

		EXPECT_EQ(slots_clear_dirty_log(&vm, &log), rows[i].want);
	}
	model_end();
}

int main(void)
{
	static const struct ktap_case cases[] = {
		{ "bad arguments are -EINVAL and change nothing", bad_arguments },
		{ "create, move, flags, delete", changes },
		{ "all slots in use are found", all_slots_in_use },
		{ "without memory, -ENOMEM and the old slots", memory_runs_out },
		{ "slots sharing host memory", ranges_by_hva },
		{ "guest memory across pages and slots", guest_memory },
		{ "arguments of KVM_CLEAR_DIRTY_LOG", clear_arguments },
	};

	return ktap_run(cases, sizeof(cases) / sizeof(cases[0]));
}
