// SPDX-License-Identifier: GPL-2.0-only
/*
 * The init of a Linux guest that does what costs page-table work, and says what each operation cost
 * in ticks of the time-stamp counter: lines of NAME MEDIAN MINIMUM. In the Bochs bed a tick is one
 * instruction of host and guest together.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/reboot.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define REPEATS		15
#define PAGE		4096ul
#define SPACES		32

static char *self;

static uint64_t now(void)
{
	uint32_t low, high;

	asm volatile("lfence; rdtsc" : "=a" (low), "=d" (high) : : "memory");
	return (uint64_t)high << 32 | low;
}

static void die(const char *what)
{
	printf("failed: %s\n", what);
	fflush(stdout);
	reboot(RB_POWER_OFF);
}

static char *map(unsigned long pages)
{
	char *p = mmap(NULL, pages * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (p == MAP_FAILED)
		die("mmap");
	return p;
}

static void touch(char *p, unsigned long pages)
{
	for (unsigned long i = 0; i < pages; i++)
		((volatile char *)p)[i * PAGE] = i;
}

static void reap(pid_t child)
{
	int status;

	if (child < 0 || waitpid(child, &status, 0) != child || status)
		die("child");
}

static void fork_exit(void)
{
	pid_t child = fork();

	if (!child)
		_exit(0);
	reap(child);
}

static void fork_exec(void)
{
	pid_t child = fork();

	if (!child) {
		execl(self, self, "exit", NULL);
		_exit(1);
	}
	reap(child);
}

static void mmap_touch(void)
{
	char *p = map(256);

	touch(p, 256);
	munmap(p, 256 * PAGE);
}

static char *area;

static void protect(void)
{
	mprotect(area, 1024 * PAGE, PROT_READ);
	mprotect(area, 1024 * PAGE, PROT_READ | PROT_WRITE);
	touch(area, 1024);
}

/* A child writes each of 1,000 pages that it has from its parent. */
static void copy_pages(void)
{
	pid_t child = fork();

	if (!child) {
		touch(area, 1000);
		_exit(0);
	}
	reap(child);
}

static int ring[SPACES + 1][2];

static void pass(int from, int to)
{
	char token;

	if (read(ring[from][0], &token, 1) != 1 || write(ring[to][1], &token, 1) != 1)
		_exit(0);
}

/* A token goes once around so many processes, each in an address space of its own. */
static int spaces;

static void go_around(void)
{
	char token = 0;

	if (write(ring[0][1], &token, 1) != 1 || read(ring[spaces][0], &token, 1) != 1)
		die("ring");
}

static void ring_start(int n)
{
	spaces = n;
	for (int i = 0; i <= n; i++)
		if (pipe(ring[i]))
			die("pipe");
	for (int i = 0; i < n; i++) {
		pid_t child = fork();

		if (child < 0)
			die("fork");
		while (!child)
			pass(i, i + 1);
	}
}

static void system_call(void)
{
	for (int i = 0; i < 100; i++)
		syscall(SYS_getppid);
}

static int compare(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

static void measure(const char *name, void (*operation)(void), unsigned int per)
{
	const char *only = getenv("only");	/* from the kernel's command line */
	uint64_t cost[REPEATS];

	if (only && strcmp(only, name))
		return;
	operation();
	operation();
	for (int i = 0; i < REPEATS; i++) {
		uint64_t start = now();

		operation();
		cost[i] = (now() - start) / per;
	}
	qsort(cost, REPEATS, sizeof(cost[0]), compare);
	printf("mmu_%s %lu %lu\n", name, (unsigned long)cost[REPEATS / 2], (unsigned long)cost[0]);
	fflush(stdout);
}

int main(int argc, char **argv)
{
	if (argc > 1 && !strcmp(argv[1], "exit"))
		return 0;
	self = argv[0];
	measure("syscall", system_call, 100);
	measure("fork_exit", fork_exit, 1);
	measure("fork_exec", fork_exec, 1);
	measure("mmap_touch", mmap_touch, 1);
	area = map(1024);
	touch(area, 1024);
	measure("protect", protect, 1);
	measure("copy_pages", copy_pages, 1);
	munmap(area, 1024 * PAGE);
	ring_start(1);
	measure("ping_pong", go_around, 1);
	ring_start(SPACES);
	measure("spaces", go_around, SPACES);
	reboot(RB_POWER_OFF);
}
