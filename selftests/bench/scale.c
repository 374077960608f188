// SPDX-License-Identifier: GPL-2.0-only
/*
 * What grows with memory or with the number of VMs: dirty logging, a VM among many, the host's memory for
 * each. Lines as bench prints them; one CPU and little memory are enough.
 *
 *	scale [VMS]
 */
#define _GNU_SOURCE
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include "samples.h"
#include "vcpu.h"

#define LOG_PAGES	8192u		/* 32 MiB of small pages */
#define ROUNDS		4
#define CREATED		50

static void touch_guest(u64 rounds)
{
	u64 round, i;

	for (round = 0; round < rounds; round++) {
		for (i = 0; i < LOG_PAGES; i++)
			*(volatile u8 *)(VM_TEST_GPA + i * PAGE) = round;
		GUEST_SYNC(round);
	}
}

static u64 run_once(struct vcpu *vcpu)
{
	u64 start = rdtsc();

	vcpu_run(vcpu);
	return rdtsc() - start;
}

static u64 harvest(struct vm *vm)
{
	static u64 bitmap[LOG_PAGES / 64];
	struct kvm_dirty_log log = { .slot = VM_SLOT_TEST, .dirty_bitmap = bitmap };
	u64 start = rdtsc(), i, dirty = 0;

	SYS(ioctl(vm->fd, KVM_GET_DIRTY_LOG, &log));
	start = rdtsc() - start;
	for (i = 0; i < LOG_PAGES / 64; i++)
		dirty += __builtin_popcountll(bitmap[i]);
	CHECK_EQ(dirty, LOG_PAGES);
	return start;
}

/* Measured once: it is its own minimum. */
static void print(const char *name, u64 value)
{
	report_line(name, value, value);
}

/* The log of a guest that writes all its memory: begun, dirtied a page, fetched a page. */
static void dirty_log(void)
{
	struct vcpu *vcpu = vcpu_create(vm_create(0), 0);
	u8 *mem = mmap(NULL, LOG_PAGES * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	u64 start, plain, dirtied = 0, fetched = 0;
	int i;

	CHECK(mem != MAP_FAILED);
	madvise(mem, LOG_PAGES * PAGE, MADV_NOHUGEPAGE);
	memset(mem, 1, LOG_PAGES * PAGE);
	vm_set_slot(vcpu->vm, VM_SLOT_TEST, 0, VM_TEST_GPA, LOG_PAGES * PAGE, mem);
	vcpu_enter(vcpu, touch_guest, 2 + ROUNDS);
	run_once(vcpu);
	plain = run_once(vcpu);
	start = rdtsc();
	vm_set_slot(vcpu->vm, VM_SLOT_TEST, KVM_MEM_LOG_DIRTY_PAGES, VM_TEST_GPA, LOG_PAGES * PAGE, mem);
	print("dirty_log_start_per_1024_pages", (rdtsc() - start) * 1024 / LOG_PAGES);
	for (i = 0; i < ROUNDS; i++) {
		dirtied += run_once(vcpu) - plain;
		fetched += harvest(vcpu->vm);
	}
	print("dirty_log_per_dirtied_page", dirtied / ROUNDS / LOG_PAGES);
	print("dirty_log_fetch_per_1024_pages", fetched * 1024 / ROUNDS / LOG_PAGES);
	vm_destroy(vcpu->vm);
	munmap(mem, LOG_PAGES * PAGE);
}

static u64 free_kib(void)
{
	char line[128];
	u64 kib = 0;
	FILE *file = fopen("/proc/meminfo", "r");

	CHECK(file);
	while (fgets(line, sizeof(line), file))
		if (sscanf(line, "MemFree: %llu", (unsigned long long *)&kib) == 1)
			break;
	fclose(file);
	return kib;
}

static struct vm *small_vm(void)
{
	struct vm *vm = vm_create(VM_IRQCHIP | VM_BARE);

	vcpu_create_raw(vm, 0);
	return vm;
}

/* One more VM where there are many: what it costs, and what memory each takes. */
static void many(unsigned int nr)
{
	struct rlimit files = { 4 * nr + 64, 4 * nr + 64 };
	u64 i, start, before;

	SYS(setrlimit(RLIMIT_NOFILE, &files));
	vm_destroy(small_vm());
	before = free_kib();
	for (i = 0; i < nr; i++)
		small_vm();
	print("bytes_per_vm_and_vcpu", (before - free_kib()) * 1024 / nr);
	for (i = 0; i < CREATED; i++) {
		start = rdtsc();
		vm_destroy(small_vm());
		samples[i] = rdtsc() - start;
	}
	report("vm_vcpu_life_among_many", CREATED);
}

int main(int argc, char **argv)
{
	dirty_log();
	many(argc > 1 ? strtoul(argv[1], NULL, 0) : 1000);
	return TEST_PASS;
}
