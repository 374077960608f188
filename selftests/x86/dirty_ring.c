// SPDX-License-Identifier: GPL-2.0-only
/*
 * Catches: a dirty page that is missing from its vCPU's ring, or not noticed again after
 * KVM_RESET_DIRTY_RINGS; a guest that runs on when the ring is full; entries that userspace has
 * filled with nonsense and the kernel believes.
 */
#define _GNU_SOURCE
#include <sched.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "vcpu.h"

#define SLOT	VM_SLOT_TEST
#define GPA	VM_TEST_GPA
#define NR	2048
#define PROT	(PROT_READ | PROT_WRITE)

static u32 ring_bytes;

struct ring {
	struct kvm_dirty_gfn *entries;
	u32 next;		/* to be taken */
};

static int ring_enable(struct vm *vm, u64 bytes)
{
	struct kvm_enable_cap cap = { .cap = KVM_CAP_DIRTY_LOG_RING, .args = { bytes } };

	return ioctl(vm->fd, KVM_ENABLE_CAP, &cap);
}

/* The smallest: it must hold what a processor's own log gives at once. */
static struct vm *ring_vm(void)
{
	struct vm *vm = vm_create(0);

	dev_require_cap(KVM_CAP_DIRTY_LOG_RING);
	for (ring_bytes = PAGE; ring_enable(vm, ring_bytes); ring_bytes *= 2)
		CHECK_LE(ring_bytes, 2 * PAGE);
	return vm;
}

static void *ring_mmap(struct vcpu *vcpu, int prot, int flags)
{
	return mmap(NULL, ring_bytes, prot, flags, vcpu->fd, KVM_DIRTY_LOG_PAGE_OFFSET * PAGE);
}

static struct ring ring_map(struct vcpu *vcpu)
{
	struct ring ring = { .entries = ring_mmap(vcpu, PROT, MAP_SHARED) };

	CHECK(ring.entries != MAP_FAILED);
	return ring;
}

static struct kvm_dirty_gfn *ring_next(struct ring *ring)
{
	return &ring->entries[ring->next & (ring_bytes / sizeof(*ring->entries) - 1)];
}

/* Take one entry; false: there is none. */
static bool ring_take(struct ring *ring, u64 *page)
{
	struct kvm_dirty_gfn *entry = ring_next(ring);

	if (__atomic_load_n(&entry->flags, __ATOMIC_ACQUIRE) != KVM_DIRTY_GFN_F_DIRTY)
		return false;
	CHECK_EQ(entry->slot, SLOT);
	CHECK_LT(entry->offset, NR);
	*page = entry->offset;
	__atomic_store_n(&entry->flags, KVM_DIRTY_GFN_F_RESET, __ATOMIC_RELEASE);
	ring->next++;
	return true;
}

static void ring_reset(struct vm *vm, u64 expected)
{
	CHECK_EQ(SYS(ioctl(vm->fd, KVM_RESET_DIRTY_RINGS)), expected);
}

/* These pages, once each, and no more; what a processor's log gave at once is in any order. */
static void ring_expect(struct ring *ring, u64 first, u64 count, u64 stride)
{
	static bool seen[NR];
	u64 i, page;

	memset(seen, 0, sizeof(seen));
	for (i = 0; i < count; i++) {
		CHECK(ring_take(ring, &page));
		CHECK(page >= first && (page - first) % stride == 0);
		CHECK_LT((page - first) / stride, count);
		CHECK(!seen[page]);
		seen[page] = true;
	}
	CHECK(!ring_take(ring, &page));
}

static volatile u64 write_first, write_count, write_stride;

static void write_guest(void)
{
	u64 round, i;

	for (round = 1;; round++) {
		for (i = 0; i < write_count; i++)
			*(volatile u64 *)(GPA + (write_first + i * write_stride) * PAGE) = round;
		GUEST_SYNC(round);
	}
}

static void write_round(struct vcpu *vcpu, u64 round, u64 first, u64 count, u64 stride)
{
	write_first = first;
	write_count = count;
	write_stride = stride;
	vcpu_run_sync(vcpu, round);
}

static void enable(void)
{
	struct vm *vm = vm_create(0);
	u64 max = dev_cap(KVM_CAP_DIRTY_LOG_RING);

	dev_require_cap(KVM_CAP_DIRTY_LOG_RING);
	CHECK_EQ(max, 65536 * sizeof(struct kvm_dirty_gfn));
	CHECK_EQ(dev_cap(KVM_CAP_DIRTY_LOG_RING_ACQ_REL), max);
	CHECK_ERRNO(ioctl(vm->fd, KVM_RESET_DIRTY_RINGS), EINVAL);
	CHECK_ERRNO(ring_enable(vm, 0), EINVAL);
	CHECK_ERRNO(ring_enable(vm, PAGE / 2), EINVAL);
	CHECK_ERRNO(ring_enable(vm, 5 * PAGE), EINVAL);
	CHECK_ERRNO(ring_enable(vm, 2 * max), E2BIG);
	CHECK_EQ(ring_enable(vm, max), 0);
	CHECK_ERRNO(ring_enable(vm, max), EINVAL);
	vm = vm_create(0);
	vcpu_create(vm, 0);
	CHECK_ERRNO(ring_enable(vm, max), EINVAL);
}

/* With a ring there is no bitmap. It can be shared and nothing else. */
static void exclusive(void)
{
	struct vm *vm = ring_vm();
	struct vcpu *vcpu = vcpu_create(vm, 0);
	u64 bitmap[NR / 64];
	struct kvm_dirty_log log = { .slot = SLOT, .dirty_bitmap = bitmap };
	struct kvm_clear_dirty_log clear = {
		.slot = SLOT, .num_pages = 64, .dirty_bitmap = bitmap,
	};

	vm_add_anon(vm, SLOT, KVM_MEM_LOG_DIRTY_PAGES, GPA, NR * PAGE);
	CHECK_ERRNO(ioctl(vm->fd, KVM_GET_DIRTY_LOG, &log), ENXIO);
	CHECK_ERRNO(ioctl(vm->fd, KVM_CLEAR_DIRTY_LOG, &clear), ENXIO);
	CHECK(ring_mmap(vcpu, PROT, MAP_PRIVATE) == MAP_FAILED && errno == EINVAL);
	CHECK(ring_mmap(vcpu, PROT | PROT_EXEC, MAP_SHARED) == MAP_FAILED && errno == EINVAL);
	ring_map(vcpu);
}

static void entries(void)
{
	struct vm *vm = ring_vm();
	struct vcpu *vcpu = vcpu_create(vm, 0);
	struct ring ring = ring_map(vcpu);

	vcpu_enter(vcpu, write_guest, 0);
	vm_add_anon(vm, SLOT, KVM_MEM_LOG_DIRTY_PAGES, GPA, NR * PAGE);
	write_round(vcpu, 1, 5, 20, 7);
	write_round(vcpu, 2, 5, 20, 7);		/* known already */
	ring_expect(&ring, 5, 20, 7);
	write_round(vcpu, 3, 5, 20, 7);		/* taken, but not armed again */
	ring_expect(&ring, 0, 0, 0);
	ring_reset(vm, 20);
	ring_reset(vm, 0);
	write_round(vcpu, 4, 5, 20, 7);
	ring_expect(&ring, 5, 20, 7);
	ring_reset(vm, 20);
	write_round(vcpu, 5, 0, 30, 1);
	ring_expect(&ring, 0, 30, 1);
	ring_reset(vm, 30);
}

/* Mapped writable before the log starts. */
static void switched_on(void)
{
	struct vm *vm = ring_vm();
	struct vcpu *vcpu = vcpu_create(vm, 0);
	struct ring ring = ring_map(vcpu);
	void *mem = vm_add_anon(vm, SLOT, 0, GPA, NR * PAGE);

	vcpu_enter(vcpu, write_guest, 0);
	write_round(vcpu, 1, 0, NR, 1);
	ring_expect(&ring, 0, 0, 0);
	vm_set_slot(vm, SLOT, KVM_MEM_LOG_DIRTY_PAGES, GPA, NR * PAGE, mem);
	write_round(vcpu, 2, 3, 40, 9);
	ring_expect(&ring, 3, 40, 9);
	vm_set_slot(vm, SLOT, 0, GPA, NR * PAGE, mem);
	ring_reset(vm, 40);
	write_round(vcpu, 3, 0, NR, 1);
	ring_expect(&ring, 0, 0, 0);
}

static u64 take_all(struct ring *ring, bool *seen)
{
	u64 page, new = 0;

	while (ring_take(ring, &page)) {
		new += !seen[page];
		seen[page] = true;
	}
	return new;
}

/*
 * The exit comes early enough for all that is logged at once, and again until there is room. A
 * write that was logged, but not made before the page was armed again, is logged twice.
 */
static void full(void)
{
	struct vm *vm = ring_vm();
	struct vcpu *vcpu = vcpu_create(vm, 0);
	struct ring ring = ring_map(vcpu);
	struct guest_ucall *ucall;
	static bool seen[NR];
	u64 total = 0, exits = 0;

	vcpu_enter(vcpu, write_guest, 0);
	vm_add_anon(vm, SLOT, KVM_MEM_LOG_DIRTY_PAGES, GPA, NR * PAGE);
	write_first = 0;
	write_count = NR;
	write_stride = 1;
	for (;;) {
		vcpu_run(vcpu);
		ucall = vcpu_ucall(vcpu);
		if (ucall && ucall->kind == GUEST_UCALL_SYNC)
			break;
		CHECK_EQ(vcpu->run->exit_reason, KVM_EXIT_DIRTY_RING_FULL);
		vcpu_run_exit(vcpu, KVM_EXIT_DIRTY_RING_FULL);
		exits++;
		total += take_all(&ring, seen);
		vcpu_run_exit(vcpu, KVM_EXIT_DIRTY_RING_FULL);	/* taken is not given back */
		CHECK_GE(SYS(ioctl(vm->fd, KVM_RESET_DIRTY_RINGS)), 1);
	}
	total += take_all(&ring, seen);
	CHECK_EQ(total, NR);
	CHECK_GE(exits, NR * sizeof(struct kvm_dirty_gfn) / ring_bytes);
}

/* What userspace writes into its side of the ring is its own loss. */
static void nonsense(void)
{
	static const struct kvm_dirty_gfn bad[] = {
		{ KVM_DIRTY_GFN_F_RESET, SLOT, NR },
		{ KVM_DIRTY_GFN_F_RESET, SLOT, ~0ull },
		{ KVM_DIRTY_GFN_F_RESET, SLOT + 1, 0 },
		{ KVM_DIRTY_GFN_F_RESET, 1 << 16 | SLOT, 0 },
		{ KVM_DIRTY_GFN_F_RESET, ~0u, ~0ull >> 1 },
		{ ~0u, 1023, 1ull << 63 },
	};
	struct vm *vm = ring_vm();
	struct vcpu *vcpu = vcpu_create(vm, 0);
	struct ring ring = ring_map(vcpu);
	size_t i;

	vcpu_enter(vcpu, write_guest, 0);
	vm_add_anon(vm, SLOT, KVM_MEM_LOG_DIRTY_PAGES, GPA, NR * PAGE);
	write_round(vcpu, 1, 0, ARRAY_SIZE(bad) + 1, 1);
	for (i = 0; i < ARRAY_SIZE(bad); i++, ring.next++)
		*ring_next(&ring) = bad[i];
	ring_reset(vm, ARRAY_SIZE(bad));
	ring_expect(&ring, ARRAY_SIZE(bad), 1, 1);
	ring_reset(vm, 1);
}

/* What the kernel writes is in the ring of the vCPU that it writes for. */
static void clock_guest(u64 page)
{
	wrmsr(MSR_KVM_WALL_CLOCK_NEW, GPA + page * PAGE);
	GUEST_SYNC(1);
}

static void two_vcpus(void)
{
	struct vm *vm = ring_vm();
	struct vcpu *vcpus[] = { vcpu_create(vm, 0), vcpu_create(vm, 1) };
	struct ring rings[] = { ring_map(vcpus[0]), ring_map(vcpus[1]) };
	u64 page;

	if (!dev_msr_listed(MSR_KVM_WALL_CLOCK_NEW))
		test_skip("no paravirtual wall clock");
	vm_add_anon(vm, SLOT, KVM_MEM_LOG_DIRTY_PAGES, GPA, NR * PAGE);
	vcpu_enter(vcpus[0], write_guest, 0);
	vcpu_enter(vcpus[1], clock_guest, 17);
	write_round(vcpus[0], 1, 3, 2, 1);
	vcpu_run_sync(vcpus[1], 1);
	ring_expect(&rings[0], 3, 2, 1);
	CHECK(ring_take(&rings[1], &page));	/* the kernel may enter each of its writes */
	CHECK_EQ(page, 17);
	while (ring_take(&rings[1], &page))
		CHECK_EQ(page, 17);
	ring_reset(vm, 2 + rings[1].next);
}

/* Take while the guest writes: what arrived is in a page that was copied, or in the ring yet. */
static volatile u64 race_stop, race_harvests;

static void race_guest(void)
{
	u64 i;

	for (i = 1; !race_stop; i++)
		*(volatile u64 *)(GPA + i * 37 % NR * PAGE) = i;
}

static void race_thread(struct vcpu *vcpu)
{
	u64 seen;

	for (;;) {
		vcpu_run(vcpu);
		if (vcpu->run->exit_reason != KVM_EXIT_DIRTY_RING_FULL)
			break;
		for (seen = race_harvests; race_harvests == seen;)
			sched_yield();
	}
	CHECK(vcpu_ucall(vcpu) && vcpu_ucall(vcpu)->kind == GUEST_UCALL_DONE);
}

static u64 race_harvest(struct vm *vm, struct ring *ring, u8 *copy, const u8 *mem)
{
	static u64 pages[65536];
	u64 i, nr = 0;

	while (nr < ARRAY_SIZE(pages) && ring_take(ring, &pages[nr]))
		nr++;
	ring_reset(vm, nr);
	for (i = 0; i < nr; i++)
		memcpy(copy + pages[i] * PAGE, mem + pages[i] * PAGE, PAGE);
	return nr;
}

static void race(void)
{
	struct vm *vm = ring_vm();
	struct vcpu *vcpu = vcpu_create(vm, 0);
	struct ring ring = ring_map(vcpu);
	u8 *mem = vm_add_anon(vm, SLOT, KVM_MEM_LOG_DIRTY_PAGES, GPA, NR * PAGE);
	u8 *copy = calloc(NR, PAGE);
	u64 copied = 0;

	vcpu_enter(vcpu, race_guest, 0);
	vcpu_thread_start(vcpu, race_thread);
	while (copied < 20 * NR) {
		copied += race_harvest(vm, &ring, copy, mem);
		race_harvests++;
		sched_yield();
	}
	race_stop = 1;
	/* It may wait for a last time. */
	copied = race_harvest(vm, &ring, copy, mem);
	race_harvests++;
	vcpu_thread_join(vcpu);
	race_harvest(vm, &ring, copy, mem);
	CHECK_EQ(memcmp(copy, mem, NR * PAGE), 0);
}

static const struct test_case cases[] = {
	{ "enable", enable },
	{ "exclusive", exclusive },
	{ "entries", entries },
	{ "switched_on", switched_on },
	{ "full", full },
	{ "nonsense", nonsense },
	{ "two_vcpus", two_vcpus },
	{ "race", race, 120 },
};

TEST_MAIN(cases)
