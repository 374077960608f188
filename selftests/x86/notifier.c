// SPDX-License-Identifier: GPL-2.0-only
/*
 * Catches: a guest that goes on using a host page which the process has given back, remapped,
 * protected or shared since; the kind of bug that corrupts the host.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "vcpu.h"

#define SLOT	VM_SLOT_TEST
#define GPA	VM_TEST_GPA
#define NR	8

/* Reports the first word of each page, then writes @value there if it is not 0. */
static volatile u64 write_value, page_index;

static void peek_guest(void)
{
	u64 i;

	for (i = 1;; i++) {
		volatile u64 *p = (u64 *)(GPA + page_index * PAGE);

		if (write_value)
			*p = write_value;
		guest_sync(i, *p, 0, 0);
	}
}

static u64 peek(struct vcpu *vcpu, u64 index)
{
	page_index = index;
	write_value = 0;
	return vcpu_run_ucall(vcpu)->args[1];
}

static void poke(struct vcpu *vcpu, u64 index, u64 value)
{
	page_index = index;
	write_value = value;
	CHECK_EQ(vcpu_run_ucall(vcpu)->args[1], value);
	write_value = 0;
}

static struct vcpu *start(void *mem, u64 size)
{
	struct vcpu *vcpu = vcpu_start(0, peek_guest, 0, 0);

	vm_set_slot(vcpu->vm, SLOT, 0, GPA, size, mem);
	return vcpu;
}

static void *map(int prot, int flags, int fd)
{
	void *p = mmap(NULL, NR * PAGE, prot, flags, fd, 0);

	CHECK(p != MAP_FAILED);
	return p;
}

#define RW	(PROT_READ | PROT_WRITE)
#define ANON	(MAP_PRIVATE | MAP_ANONYMOUS)

static void dontneed(void)
{
	u64 *mem = map(RW, ANON, -1);
	struct vcpu *vcpu = start(mem, NR * PAGE);

	poke(vcpu, 0, 0x123);
	CHECK_EQ(mem[0], 0x123);
	SYS(madvise(mem, NR * PAGE, MADV_DONTNEED));
	CHECK_EQ(peek(vcpu, 0), 0);
	poke(vcpu, 0, 0x124);
	CHECK_EQ(mem[0], 0x124);
}

static void remap(void)
{
	u64 *mem = map(RW, ANON, -1), *other = map(RW, ANON, -1);
	struct vcpu *vcpu = start(mem, NR * PAGE);

	poke(vcpu, 1, 0x11);
	other[0] = 0x99;
	/* @other's page takes the place of the slot's. */
	CHECK(mremap(other, PAGE, PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, mem + 512) == mem + 512);
	CHECK_EQ(peek(vcpu, 1), 0x99);
	poke(vcpu, 1, 0x9a);
	CHECK_EQ(mem[512], 0x9a);
}

static void unmapped(void)
{
	u64 *mem = map(RW, ANON, -1);
	struct vcpu *vcpu = start(mem, NR * PAGE);

	poke(vcpu, 2, 0x22);
	SYS(munmap(mem + 2 * 512, PAGE));
	page_index = 2;
	CHECK_ERRNO(vcpu_run_raw(vcpu), EFAULT);
	CHECK(mmap(mem + 2 * 512, PAGE, RW, ANON | MAP_FIXED, -1, 0) == mem + 2 * 512);
	CHECK_EQ(peek(vcpu, 2), 0);
}

static void protect(void)
{
	u64 *mem = map(RW, ANON, -1);
	struct vcpu *vcpu = start(mem, NR * PAGE);

	poke(vcpu, 3, 0x33);
	SYS(mprotect(mem, NR * PAGE, PROT_READ));
	CHECK_EQ(peek(vcpu, 3), 0x33);
	write_value = 0x34;
	CHECK_ERRNO(vcpu_run_raw(vcpu), EFAULT);
	CHECK_EQ(mem[3 * 512], 0x33);
	SYS(mprotect(mem, NR * PAGE, PROT_NONE));
	CHECK_ERRNO(vcpu_run_raw(vcpu), EFAULT);
	SYS(mprotect(mem, NR * PAGE, RW));
	/* The write that could not be made is made now. */
	CHECK_EQ(vcpu_run_ucall(vcpu)->args[1], 0x34);
	CHECK_EQ(mem[3 * 512], 0x34);
}

/*
 * After fork both sides share the page until one writes; the guest's write must not reach the
 * child.
 */
static void fork_cow(void)
{
	u64 *mem = map(RW, ANON, -1);
	struct vcpu *vcpu = start(mem, NR * PAGE);
	int go[2], status;
	char byte;
	pid_t pid;

	poke(vcpu, 4, 0x44);
	SYS(pipe(go));
	pid = SYS(fork());
	if (!pid) {
		SYS(read(go[0], &byte, 1));
		_exit(mem[4 * 512] == 0x44 && mem[5 * 512] == 0 ? 0 : 1);
	}
	poke(vcpu, 4, 0x45);
	poke(vcpu, 5, 0x55);
	CHECK_EQ(mem[4 * 512], 0x45);
	/* The other way round: the process writes, the guest must follow to the copy. */
	mem[4 * 512] = 0x46;
	CHECK_EQ(peek(vcpu, 4), 0x46);
	SYS(write(go[1], "x", 1));
	SYS(waitpid(pid, &status, 0));
	CHECK_EQ(status, 0);
}

/* A page the guest has only read is the zero page; the process' first write replaces it. */
static void zero_page(void)
{
	u64 *mem = map(RW, ANON, -1);
	struct vcpu *vcpu = start(mem, NR * PAGE);

	CHECK_EQ(peek(vcpu, 6), 0);
	mem[6 * 512] = 0x66;
	CHECK_EQ(peek(vcpu, 6), 0x66);
	CHECK_EQ(peek(vcpu, 7), 0);
	poke(vcpu, 7, 0x77);
	CHECK_EQ(mem[7 * 512], 0x77);
}

static void memfd(void)
{
	int fd = SYS(memfd_create("guest", 0));
	u64 *mem, *second;
	struct vcpu *vcpu;

	SYS(ftruncate(fd, NR * PAGE));
	mem = map(RW, MAP_SHARED, fd);
	second = map(RW, MAP_SHARED, fd);
	vcpu = start(mem, NR * PAGE);
	poke(vcpu, 0, 0x51);
	CHECK_EQ(second[0], 0x51);
	second[512] = 0x52;
	CHECK_EQ(peek(vcpu, 1), 0x52);
	SYS(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, PAGE));
	CHECK_EQ(peek(vcpu, 0), 0);
	poke(vcpu, 0, 0x53);
	CHECK_EQ(second[0], 0x53);
	SYS(ftruncate(fd, PAGE));
	page_index = 1;
	CHECK_ERRNO(vcpu_run_raw(vcpu), EFAULT);
}

static void file_mapping(void)
{
	char name[] = "/tmp/notifier.XXXXXX";
	int fd = SYS(mkstemp(name));
	u64 *mem, word = 0;
	struct vcpu *vcpu;

	SYS(unlink(name));
	SYS(ftruncate(fd, NR * PAGE));
	mem = map(RW, MAP_SHARED, fd);
	vcpu = start(mem, NR * PAGE);
	CHECK_EQ(peek(vcpu, 3), 0);
	poke(vcpu, 3, 0xf11e);
	CHECK_EQ(pread(fd, &word, 8, 3 * PAGE), 8);
	CHECK_EQ(word, 0xf11e);
	word = 0xf12e;
	CHECK_EQ(pwrite(fd, &word, 8, 3 * PAGE), 8);
	CHECK_EQ(peek(vcpu, 3), 0xf12e);
}

/* A private file page: read shared from the page cache, copied at the first write. */
static void private_file(void)
{
	char name[] = "/tmp/notifier.XXXXXX";
	int fd = SYS(mkstemp(name));
	u64 *mem, word = 0x1234;
	struct vcpu *vcpu;

	SYS(unlink(name));
	SYS(ftruncate(fd, NR * PAGE));
	CHECK_EQ(pwrite(fd, &word, 8, 0), 8);
	mem = map(RW, MAP_PRIVATE, fd);
	vcpu = start(mem, NR * PAGE);
	CHECK_EQ(peek(vcpu, 0), 0x1234);
	poke(vcpu, 0, 0x1235);
	CHECK_EQ(mem[0], 0x1235);
	CHECK_EQ(pread(fd, &word, 8, 0), 8);
	CHECK_EQ(word, 0x1234);
	CHECK_EQ(peek(vcpu, 1), 0);
	mem[512] = 0x77;
	CHECK_EQ(peek(vcpu, 1), 0x77);
}

/* 2 MiB pages from hugetlbfs, if the machine has reserved some. */
static void hugetlb(void)
{
	u64 *mem = mmap(NULL, 2 * PAGE_2M, RW, ANON | MAP_HUGETLB, -1, 0);
	struct vcpu *vcpu;
	FILE *f;

	if (mem == MAP_FAILED) {
		f = fopen("/proc/sys/vm/nr_hugepages", "w");
		if (f) {
			fputs("4", f);
			fclose(f);
		}
		mem = mmap(NULL, 2 * PAGE_2M, RW, ANON | MAP_HUGETLB, -1, 0);
	}
	if (mem == MAP_FAILED)
		test_skip("no huge pages");
	vcpu = start(mem, 2 * PAGE_2M);
	poke(vcpu, 0, 0x60);
	poke(vcpu, 700, 0x61);
	CHECK_EQ(mem[700 * 512], 0x61);
	SYS(madvise(mem, PAGE_2M, MADV_DONTNEED));
	CHECK_EQ(peek(vcpu, 0), 0);
	CHECK_EQ(peek(vcpu, 700), 0x61);
}

/* A transparent huge page that is split under the guest. */
static void huge_split(void)
{
	u8 *mem = mmap(NULL, 2 * PAGE_2M, RW, ANON, -1, 0);
	struct vcpu *vcpu;

	CHECK(mem != MAP_FAILED);
	mem = (u8 *)(((uintptr_t)mem + PAGE_2M - 1) & ~(PAGE_2M - 1));
	madvise(mem, PAGE_2M, MADV_HUGEPAGE);
	vcpu = start(mem, PAGE_2M);
	poke(vcpu, 10, 0x10);
	poke(vcpu, 11, 0x11);
	SYS(madvise(mem + 10 * PAGE, PAGE, MADV_DONTNEED));
	CHECK_EQ(peek(vcpu, 10), 0);
	CHECK_EQ(peek(vcpu, 11), 0x11);
	SYS(mprotect(mem + 11 * PAGE, PAGE, PROT_READ));
	CHECK_EQ(peek(vcpu, 11), 0x11);
	write_value = 0x12;
	CHECK_ERRNO(vcpu_run_raw(vcpu), EFAULT);
	CHECK_EQ(*(u64 *)(mem + 11 * PAGE), 0x11);
	SYS(mprotect(mem + 11 * PAGE, PAGE, RW));
	CHECK_EQ(vcpu_run_ucall(vcpu)->args[1], 0x12);
	poke(vcpu, 12, 0x13);
	CHECK_EQ(*(u64 *)(mem + 12 * PAGE), 0x13);
}

static bool ksm_write(const char *name, const char *value)
{
	char path[80];
	FILE *f;

	snprintf(path, sizeof(path), "/sys/kernel/mm/ksm/%s", name);
	f = fopen(path, "w");
	if (!f)
		return false;
	fputs(value, f);
	return fclose(f) == 0;
}

static u64 ksm_read(const char *name)
{
	unsigned long long value = 0;
	char path[80];
	FILE *f;

	snprintf(path, sizeof(path), "/sys/kernel/mm/ksm/%s", name);
	f = fopen(path, "r");
	if (f) {
		if (fscanf(f, "%llu", &value) != 1)
			value = 0;
		fclose(f);
	}
	return value;
}

/* Pages that the guest has mapped writable are merged; each write makes a copy of its own. */
static void ksm(void)
{
	u64 *mem = map(RW, ANON, -1);
	struct vcpu *vcpu = start(mem, NR * PAGE);
	u64 i, scans;

	if (!ksm_write("pages_to_scan", "1000") || !ksm_write("sleep_millisecs", "5"))
		test_skip("no KSM");
	for (i = 0; i < NR; i++)
		poke(vcpu, i, 0x4b534d);
	SYS(madvise(mem, NR * PAGE, MADV_MERGEABLE));
	ksm_write("run", "1");
	scans = ksm_read("full_scans");
	while (ksm_read("full_scans") < scans + 4)
		usleep(2000);
	CHECK_GE(ksm_read("pages_sharing"), NR - 1);
	for (i = 0; i < NR; i++)
		CHECK_EQ(peek(vcpu, i), 0x4b534d);
	poke(vcpu, 0, 0xaaa);
	for (i = 1; i < NR; i++)
		CHECK_EQ(peek(vcpu, i), 0x4b534d);
	mem[512] = 0xbbb;
	CHECK_EQ(peek(vcpu, 1), 0xbbb);
	CHECK_EQ(peek(vcpu, 2), 0x4b534d);
	CHECK_EQ(mem[0], 0xaaa);
	ksm_write("run", "2");
}

/*
 * Pages come and go while a vCPU writes counters into them; what is read back is a counter or
 * zero.
 */
static volatile u64 storm_stop;

static void storm_guest(void)
{
	u64 i, v;

	for (i = 1; !storm_stop; i++) {
		volatile u64 *p = (u64 *)(GPA + i % NR * PAGE);

		v = p[0];
		GUEST_CHECK(v == 0 || v == (i % NR) + 1);
		p[0] = i % NR + 1;
	}
}

static void storm(void)
{
	u8 *mem = map(RW, ANON, -1);
	struct vcpu *vcpu = vcpu_start(0, storm_guest, 0, 0);
	int i;

	vm_set_slot(vcpu->vm, SLOT, 0, GPA, NR * PAGE, mem);
	vcpu_thread_start(vcpu, NULL);
	for (i = 0; i < 2000; i++) {
		SYS(madvise(mem + i % NR * PAGE, PAGE, MADV_DONTNEED));
		if (i % 16 == 0)
			sched_yield();
	}
	storm_stop = 1;
	vcpu_thread_join(vcpu);
}

static const struct test_case cases[] = {
	{ "dontneed", dontneed },
	{ "remap", remap },
	{ "unmapped", unmapped },
	{ "protect", protect },
	{ "fork_cow", fork_cow },
	{ "zero_page", zero_page },
	{ "memfd", memfd },
	{ "file_mapping", file_mapping },
	{ "private_file", private_file },
	{ "hugetlb", hugetlb },
	{ "huge_split", huge_split },
	{ "ksm", ksm },
	{ "storm", storm },
};

TEST_MAIN(cases)
