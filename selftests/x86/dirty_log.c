// SPDX-License-Identifier: GPL-2.0-only
/*
 * Catches: a dirty page that the log misses (the bug that corrupts migrated guests), one that
 * stays dirty after it was fetched, and a big mapping that keeps its write permission when
 * logging is switched on.
 */
#define _GNU_SOURCE
#include <sched.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "vcpu.h"

#define SLOT	VM_SLOT_TEST
#define GPA	VM_TEST_GPA
#define NR	1024		/* 4 MiB, so that 2M pages are possible */

static u64 bitmap[NR / 64];

static void log_get(struct vm *vm)
{
	struct kvm_dirty_log log = { .slot = SLOT, .dirty_bitmap = bitmap };

	memset(bitmap, 0xee, sizeof(bitmap));
	SYS(ioctl(vm->fd, KVM_GET_DIRTY_LOG, &log));
}

static int log_clear(struct vm *vm, u64 first, u32 nr, void *map)
{
	struct kvm_clear_dirty_log clear = {
		.slot = SLOT, .first_page = first, .num_pages = nr, .dirty_bitmap = map,
	};

	return ioctl(vm->fd, KVM_CLEAR_DIRTY_LOG, &clear);
}

static bool dirty(u64 page)
{
	return bitmap[page / 64] >> page % 64 & 1;
}

static u64 dirty_count(void)
{
	u64 i, count = 0;

	for (i = 0; i < NR; i++)
		count += dirty(i);
	return count;
}

static u8 *slot_add(struct vm *vm, u32 flags)
{
	u8 *mem = mmap(NULL, 2 * NR * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1,
			0);

	CHECK(mem != MAP_FAILED);
	mem = (u8 *)(((uintptr_t)mem + PAGE_2M - 1) & ~(PAGE_2M - 1));
	madvise(mem, NR * PAGE, MADV_HUGEPAGE);
	vm_set_slot(vm, SLOT, flags, GPA, NR * PAGE, mem);
	return mem;
}

/* Rounds of writes to every @stride'th page, a sync behind each. */
static volatile u64 write_stride, write_offset;

static void write_guest(void)
{
	u64 round, i;

	for (round = 1;; round++) {
		if (write_stride) {
			for (i = write_offset; i < NR; i += write_stride)
				*(volatile u64 *)(GPA + i * PAGE + 8) = round;
		}
		GUEST_SYNC(round);
	}
}

static void write_round(struct vcpu *vcpu, u64 round, u64 stride, u64 offset)
{
	write_stride = stride;
	write_offset = offset;
	vcpu_run_sync(vcpu, round);
}

static void expect_pattern(u64 stride, u64 offset)
{
	u64 i;

	for (i = 0; i < NR; i++) {
		bool should = stride && i >= offset && (i - offset) % stride == 0;

		if (dirty(i) != should)
			FAIL("page %llu is%s dirty", (unsigned long long)i, should ? " not" : "");
	}
}

static void get(void)
{
	struct vcpu *vcpu = vcpu_start(0, write_guest, 0, 0);

	slot_add(vcpu->vm, KVM_MEM_LOG_DIRTY_PAGES);
	log_get(vcpu->vm);
	CHECK_EQ(dirty_count(), 0);
	write_round(vcpu, 1, 7, 3);
	log_get(vcpu->vm);
	expect_pattern(7, 3);
	log_get(vcpu->vm);
	CHECK_EQ(dirty_count(), 0);
	/* The same pages a second time: fetching has armed them again. */
	write_round(vcpu, 2, 7, 3);
	log_get(vcpu->vm);
	expect_pattern(7, 3);
	write_round(vcpu, 3, 0, 0);
	log_get(vcpu->vm);
	CHECK_EQ(dirty_count(), 0);
}

/* Mapped writable, perhaps huge, before logging starts. */
static void switched_on(void)
{
	struct vcpu *vcpu = vcpu_start(0, write_guest, 0, 0);
	u8 *mem = slot_add(vcpu->vm, 0);
	struct kvm_dirty_log log = { .slot = SLOT, .dirty_bitmap = bitmap };

	write_round(vcpu, 1, 1, 0);
	CHECK_ERRNO(ioctl(vcpu->vm->fd, KVM_GET_DIRTY_LOG, &log), ENOENT);
	vm_set_slot(vcpu->vm, SLOT, KVM_MEM_LOG_DIRTY_PAGES, GPA, NR * PAGE, mem);
	log_get(vcpu->vm);
	write_round(vcpu, 2, 100, 5);
	log_get(vcpu->vm);
	expect_pattern(100, 5);
	vm_set_slot(vcpu->vm, SLOT, 0, GPA, NR * PAGE, mem);
	CHECK_ERRNO(ioctl(vcpu->vm->fd, KVM_GET_DIRTY_LOG, &log), ENOENT);
	write_round(vcpu, 3, 1, 0);
	/* On again: the old bitmap does not come back, and no writable mapping survived. */
	vm_set_slot(vcpu->vm, SLOT, KVM_MEM_LOG_DIRTY_PAGES, GPA, NR * PAGE, mem);
	log_get(vcpu->vm);
	CHECK_EQ(dirty_count(), 0);
	write_round(vcpu, 4, 33, 1);
	log_get(vcpu->vm);
	expect_pattern(33, 1);
	CHECK_EQ(*(u64 *)(mem + PAGE + 8), 4);
	CHECK_EQ(*(u64 *)(mem + 2 * PAGE + 8), 3);
}

static void manual(void)
{
	struct vcpu *vcpu = vcpu_create(vm_create(0), 0);
	u64 ones[NR / 64];

	dev_require_cap(KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2);
	vm_enable_cap(vcpu->vm, KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2,
			KVM_DIRTY_LOG_MANUAL_PROTECT_ENABLE);
	vcpu_enter(vcpu, write_guest, 0);
	slot_add(vcpu->vm, KVM_MEM_LOG_DIRTY_PAGES);
	memset(ones, 0xff, sizeof(ones));
	write_round(vcpu, 1, 3, 1);
	log_get(vcpu->vm);
	expect_pattern(3, 1);
	/* Fetching does not clear. */
	log_get(vcpu->vm);
	expect_pattern(3, 1);
	CHECK_EQ(log_clear(vcpu->vm, 0, 64, ones), 0);
	log_get(vcpu->vm);
	CHECK_EQ(bitmap[0], 0);
	CHECK_NE(bitmap[1], 0);
	/* A clear takes only the bits that are set in its bitmap. */
	CHECK_EQ(log_clear(vcpu->vm, 64, 64, &(u64){ BIT(0) }), 0);
	log_get(vcpu->vm);
	CHECK(!dirty(64));
	CHECK(dirty(67));
	CHECK_EQ(log_clear(vcpu->vm, 0, NR, ones), 0);
	write_round(vcpu, 2, 3, 1);
	log_get(vcpu->vm);
	expect_pattern(3, 1);
	CHECK_ERRNO(log_clear(vcpu->vm, 1, 64, ones), EINVAL);
	CHECK_ERRNO(log_clear(vcpu->vm, 0, 63, ones), EINVAL);
	CHECK_ERRNO(log_clear(vcpu->vm, NR, 64, ones), EINVAL);
	CHECK_ERRNO(log_clear(vcpu->vm, 0, NR + 64, ones), EINVAL);
}

/* With the second bit everything starts dirty and unprotected. */
static void initially_set(void)
{
	struct vcpu *vcpu = vcpu_create(vm_create(0), 0);
	u64 ones[NR / 64];

	if ((dev_cap(KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2) & 3) != 3)
		test_skip("no initially-set mode");
	vm_enable_cap(vcpu->vm, KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2, 3);
	vcpu_enter(vcpu, write_guest, 0);
	slot_add(vcpu->vm, KVM_MEM_LOG_DIRTY_PAGES);
	log_get(vcpu->vm);
	CHECK_EQ(dirty_count(), NR);
	write_round(vcpu, 1, 1, 0);
	memset(ones, 0xff, sizeof(ones));
	CHECK_EQ(log_clear(vcpu->vm, 0, NR, ones), 0);
	log_get(vcpu->vm);
	CHECK_EQ(dirty_count(), 0);
	write_round(vcpu, 2, 11, 2);
	log_get(vcpu->vm);
	expect_pattern(11, 2);
}

/*
 * The first read may map a page writable and so make it dirty; once fetched, reads leave it
 * clean.
 */
static void read_guest(void)
{
	u64 i, stage, sum = 0;

	for (stage = 1; stage <= 2; stage++) {
		for (i = 0; i < NR; i++)
			sum += *(volatile u64 *)(GPA + i * PAGE);
		GUEST_SYNC(stage);
	}
	*(volatile u64 *)(GPA + 17 * PAGE) = sum;
	GUEST_SYNC(3);
}

static void reads(void)
{
	struct vcpu *vcpu = vcpu_start(0, read_guest, 0, 0);
	u8 *mem = slot_add(vcpu->vm, KVM_MEM_LOG_DIRTY_PAGES);

	memset(mem, 1, NR * PAGE);
	vcpu_run_sync(vcpu, 1);
	log_get(vcpu->vm);
	vcpu_run_sync(vcpu, 2);
	log_get(vcpu->vm);
	CHECK_EQ(dirty_count(), 0);
	vcpu_run_sync(vcpu, 3);
	log_get(vcpu->vm);
	expect_pattern(NR, 17);
}

/* What the hypervisor itself writes into guest memory is logged too. */
static void clock_guest(void)
{
	wrmsr(MSR_KVM_WALL_CLOCK_NEW, GPA + 5 * PAGE);
	GUEST_SYNC(1);
}

static void hypervisor_writes(void)
{
	struct vcpu *vcpu = vcpu_start(0, clock_guest, 0, 0);

	if (!dev_msr_listed(MSR_KVM_WALL_CLOCK_NEW))
		test_skip("no paravirtual wall clock");
	slot_add(vcpu->vm, KVM_MEM_LOG_DIRTY_PAGES);
	vcpu_run_sync(vcpu, 1);
	log_get(vcpu->vm);
	expect_pattern(NR, 5);
}

/* A page table in logged memory: the accessed and dirty bits that the CPU sets dirty its page. */
static void tables_guest(u64 va)
{
	*(volatile u64 *)va = 1;
	GUEST_SYNC(1);
}

static void page_walk_writes(void)
{
	u64 va = 0x5000000000;
	struct vcpu *vcpu = vcpu_start(0, tables_guest, va, 0);
	u8 *mem = slot_add(vcpu->vm, KVM_MEM_LOG_DIRTY_PAGES);
	u64 *pte;

	/* The last level of the mapping of @va lies in the logged slot. */
	*vm_pte(vcpu->vm, va, 2) = (GPA + 40 * PAGE) | PTE_P | PTE_W;
	pte = (u64 *)(mem + 40 * PAGE);
	pte[va >> 12 & 511] = (GPA + 41 * PAGE) | PTE_P | PTE_W;
	vcpu_run_sync(vcpu, 1);
	CHECK_EQ(pte[0], (GPA + 41 * PAGE) | PTE_P | PTE_W | PTE_A | PTE_D);
	log_get(vcpu->vm);
	CHECK(dirty(40));
	CHECK(dirty(41));
	CHECK_EQ(dirty_count(), 2);
}

/* Fetch while the guest writes: every value that arrived is in a fetched page or still dirty. */
static volatile u64 race_stop, race_writes;

static void race_guest(void)
{
	u64 i;

	for (i = 1; !race_stop; i++) {
		*(volatile u64 *)(GPA + i * 37 % NR * PAGE) = i;
		race_writes = i;
	}
}

static void race(void)
{
	struct vcpu *vcpu = vcpu_start(0, race_guest, 0, 0);
	u8 *mem = slot_add(vcpu->vm, KVM_MEM_LOG_DIRTY_PAGES), *copy = calloc(NR, PAGE);
	u64 i, round, seen, copied = 0;

	vcpu_thread_start(vcpu, NULL);
	for (round = 0; round < 100; round++) {
		for (seen = race_writes; race_writes == seen && !race_stop;)
			sched_yield();
		if (round == 99) {
			race_stop = 1;
			vcpu_thread_join(vcpu);
		}
		log_get(vcpu->vm);
		for (i = 0; i < NR; i++) {
			if (dirty(i)) {
				memcpy(copy + i * PAGE, mem + i * PAGE, PAGE);
				copied++;
			}
		}
	}
	CHECK_EQ(memcmp(copy, mem, NR * PAGE), 0);
	CHECK_GE(copied, 1);
}

static const struct test_case cases[] = {
	{ "get", get },
	{ "switched_on", switched_on },
	{ "manual", manual },
	{ "initially_set", initially_set },
	{ "reads", reads },
	{ "hypervisor_writes", hypervisor_writes },
	{ "page_walk_writes", page_walk_writes },
	{ "race", race, 60 },
};

TEST_MAIN(cases)
