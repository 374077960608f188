// SPDX-License-Identifier: GPL-2.0-only
/* Guest memory: where it comes from, and the only way from a guest address to a pointer. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/memfd.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sysinfo.h>
#include <unistd.h>

#include "error.h"
#include "ram.h"

#define HUGE_PAGE	(2ULL << 20)

static void check_size(uint64_t size, enum ram_backend backend)
{
	struct sysinfo si;
	uint64_t total;

	if (backend == RAM_HUGETLB && size % HUGE_PAGE)
		error_die(EXIT_ERROR, "--memory must be a multiple of 2M with hugetlb memory");
	if (sysinfo(&si))
		return;
	total = ((uint64_t)si.totalram + si.totalswap) * si.mem_unit;
	if (size > total)
		error_die(EXIT_ERROR, "%llu MiB of guest memory is more than this host's %llu MiB; "
			  "lower --memory", (unsigned long long)size >> 20,
			  (unsigned long long)total >> 20);
}

static int open_backend(uint64_t size, enum ram_backend backend)
{
	unsigned int huge = backend == RAM_HUGETLB ? MFD_HUGETLB | MFD_HUGE_2MB : 0;
	int fd;

	if (backend == RAM_ANON)
		return -1;
	fd = memfd_create("corbel-ram", MFD_CLOEXEC | MFD_ALLOW_SEALING | huge);
	/* Who maps it beside us may rely on its size. */
	if (fd < 0 || ftruncate(fd, size) ||
	    fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL))
		error_die(EXIT_ERROR, "cannot create %s for guest memory: %s; try "
			  "--memory-backend anon",
			  backend == RAM_HUGETLB ? "a hugetlb file" : "a memfd", strerror(errno));
	return fd;
}

/*
 * Guest-physical and host addresses agree in their low 21 bits, else neither could be mapped by a
 * huge page in the hypervisor's tables.
 */
static void *map_aligned(uint64_t size, int flags, int fd)
{
	uint8_t *room = mmap(NULL, size + HUGE_PAGE, PROT_NONE,
			     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	uint64_t skip;

	if (room == MAP_FAILED)
		return MAP_FAILED;
	skip = -(uintptr_t)room & (HUGE_PAGE - 1);
	if (skip)
		munmap(room, skip);
	munmap(room + skip + size, HUGE_PAGE - skip);
	return mmap(room + skip, size, PROT_READ | PROT_WRITE, flags | MAP_FIXED, fd, 0);
}

void ram_init(struct ram *ram, uint64_t size, enum ram_backend backend, bool merge)
{
	int flags = backend == RAM_ANON ? MAP_PRIVATE | MAP_ANONYMOUS : MAP_SHARED;

	check_size(size, backend);
	ram->size = size;
	ram->low = size < RAM_HOLE_START ? size : RAM_HOLE_START;
	ram->backend = backend;
	ram->pinned = false;
	ram->fd = open_backend(size, backend);
	if (backend != RAM_HUGETLB)
		flags |= MAP_NORESERVE;
	ram->base = map_aligned(size, flags, ram->fd);
	if (ram->base == MAP_FAILED && backend == RAM_HUGETLB)
		error_die(EXIT_ERROR, "not enough free huge pages for %llu MiB; raise "
			  "/proc/sys/vm/nr_hugepages or lower --memory",
			  (unsigned long long)size >> 20);
	if (ram->base == MAP_FAILED)
		error_die(EXIT_ERROR, "cannot map %llu MiB of guest memory: %s; lower --memory",
			  (unsigned long long)size >> 20, strerror(errno));
	if (merge && madvise(ram->base, size, MADV_MERGEABLE))
		error_warn("--merge has no effect: this host's kernel has no KSM (%s)",
			   strerror(errno));
	/* A core dump of the launcher is about the launcher; guest memory would drown it. */
	madvise(ram->base, size, MADV_DONTDUMP);
}

void ram_free(struct ram *ram)
{
	munmap(ram->base, ram->size);
	if (ram->fd >= 0)
		close(ram->fd);
}

/**
 * ram_ptr - host address of a guest-physical range
 *
 * Returns: NULL unless all of [@gpa, @gpa + @len) is memory, without a hole in it.
 */
void *ram_ptr(const struct ram *ram, uint64_t gpa, uint64_t len)
{
	uint64_t high = ram->size - ram->low;

	if (gpa < ram->low)
		return len <= ram->low - gpa ? ram->base + gpa : NULL;
	if (gpa < RAM_HOLE_END)
		return NULL;
	gpa -= RAM_HOLE_END;
	if (gpa >= high || len > high - gpa)
		return NULL;
	return ram->base + ram->low + gpa;
}

/* First guest-physical address above all memory. */
uint64_t ram_top(const struct ram *ram)
{
	return ram->size > ram->low ? RAM_HOLE_END + ram->size - ram->low : ram->low;
}

/* Give whole pages back to the host; the guest said that it does not need their contents. */
void ram_discard(const struct ram *ram, uint64_t gpa, uint64_t len)
{
	uint64_t page = ram->backend == RAM_HUGETLB ? HUGE_PAGE : 4096;
	uint64_t start = (gpa + page - 1) & ~(page - 1);
	uint64_t end = (gpa + len) & ~(page - 1);
	void *p;

	/* A device would go on with the pages that the guest then no longer has. */
	if (ram->pinned || gpa + len < gpa || start >= end)
		return;
	p = ram_ptr(ram, start, end - start);
	if (p)
		madvise(p, end - start, ram->backend == RAM_ANON ? MADV_DONTNEED : MADV_REMOVE);
}
