// SPDX-License-Identifier: GPL-2.0-only
/*
 * Catches: guest memory that comes in over a userfaultfd, as in post-copy migration, and is lost,
 * asked for twice, not asked for again after it was given back, or holds up other vCPUs and the
 * end of the process; writes that a write-protecting userfaultfd does not hear of.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <poll.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "vcpu.h"

#define GPA		VM_TEST_GPA
#define NR		32
#define VCPUS		4

/* The memory behind the slot, and who serves it. */
static struct server {
	int fd;
	int stop[2];
	u8 *mem;
	pthread_t thread;
	u64 generation;			/* goes into what is served */
	unsigned int asked[NR];		/* messages about each page */
	unsigned int protect_hits;
	void (*serve)(u64 index);
} server;

/* What a page begins with when it was served. */
static u64 pattern(u64 index)
{
	return 0x5e12ed000000 + (server.generation << 16) + index;
}

/* Two vCPUs may ask for the same page: the second copy is refused, and wakes all the same. */
static void serve_copy(u64 index)
{
	u64 page[PAGE / 8] __attribute__((aligned(PAGE))) = { pattern(index) };
	struct uffdio_copy copy = {
		.dst = (uintptr_t)(server.mem + index * PAGE), .src = (uintptr_t)page, .len = PAGE,
	};
	struct uffdio_range range = { .start = copy.dst, .len = PAGE };

	if (!ioctl(server.fd, UFFDIO_COPY, &copy))
		return;
	CHECK_EQ(errno, EEXIST);
	SYS(ioctl(server.fd, UFFDIO_WAKE, &range));
}

static void write_protect(u64 index, u64 pages, u64 mode)
{
	struct uffdio_writeprotect wp = {
		.range = { .start = (uintptr_t)(server.mem + index * PAGE), .len = pages * PAGE },
		.mode = mode,
	};

	SYS(ioctl(server.fd, UFFDIO_WRITEPROTECT, &wp));
}

static void *server_thread(void *unused)
{
	struct pollfd fds[2] = {
		{ .fd = server.fd, .events = POLLIN }, { .fd = server.stop[0], .events = POLLIN },
	};
	struct uffd_msg msg;
	u64 index;

	(void)unused;
	for (;;) {
		SYS(poll(fds, 2, -1));
		if (fds[1].revents)
			return NULL;
		if (read(server.fd, &msg, sizeof(msg)) != sizeof(msg))
			continue;
		CHECK_EQ(msg.event, UFFD_EVENT_PAGEFAULT);
		index = (msg.arg.pagefault.address - (uintptr_t)server.mem) / PAGE;
		CHECK_LT(index, NR);
		if (msg.arg.pagefault.flags & UFFD_PAGEFAULT_FLAG_WP) {
			server.protect_hits++;
			write_protect(index, 1, 0);
		} else {
			server.asked[index]++;
			server.serve(index);
		}
	}
}

static void server_start(u64 mode, void (*serve)(u64 index))
{
	struct uffdio_api api = { .api = UFFD_API };
	struct uffdio_register reg = { .mode = mode };

	server.fd = syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK);
	if (server.fd < 0)
		test_skip("no userfaultfd: %s", strerror(errno));
	SYS(ioctl(server.fd, UFFDIO_API, &api));
	server.mem = mmap(NULL, NR * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
			  -1, 0);
	CHECK(server.mem != MAP_FAILED);
	reg.range.start = (uintptr_t)server.mem;
	reg.range.len = NR * PAGE;
	SYS(ioctl(server.fd, UFFDIO_REGISTER, &reg));
	server.serve = serve;
	SYS(pipe(server.stop));
	CHECK_EQ(pthread_create(&server.thread, NULL, server_thread, NULL), 0);
}

static void server_end(void)
{
	SYS(write(server.stop[1], "x", 1));
	CHECK_EQ(pthread_join(server.thread, NULL), 0);
}

static void slot_add(struct vm *vm)
{
	vm_set_slot(vm, VM_SLOT_TEST, 0, GPA, NR * PAGE, server.mem);
}

static volatile u64 *guest_page(u64 index)
{
	return (u64 *)(GPA + index * PAGE);
}

/* Reads page after page, and writes to every second behind what it has read. */
static void touch_guest(u64 first, u64 step)
{
	u64 i, n;

	for (n = 0; n < NR; n++) {
		i = (first + n * step) % NR;
		GUEST_CHECK_EQ(guest_page(i)[0], pattern(i));
		if (i & 1)
			guest_page(i)[1 + first] = i + 1;
	}
}

static void check_asked(unsigned int times)
{
	u64 i;

	for (i = 0; i < NR; i++)
		CHECK_EQ(server.asked[i], times);
}

static void one_vcpu(void)
{
	struct vcpu *vcpu;
	u64 i;

	server_start(UFFDIO_REGISTER_MODE_MISSING, serve_copy);
	vcpu = vcpu_start(0, touch_guest, 0, 1);
	slot_add(vcpu->vm);
	vcpu_run_done(vcpu);
	check_asked(1);
	for (i = 0; i < NR; i++)
		CHECK_EQ(((u64 *)(server.mem + i * PAGE))[1], i & 1 ? i + 1 : 0);
	server_end();
}

/* A write is the first to touch each page. */
static void write_guest(void)
{
	u64 i;

	for (i = 0; i < NR; i++) {
		guest_page(i)[1] = i;
		GUEST_CHECK_EQ(guest_page(i)[0], pattern(i));
	}
}

static void writes(void)
{
	struct vcpu *vcpu;

	server_start(UFFDIO_REGISTER_MODE_MISSING, serve_copy);
	vcpu = vcpu_start(0, write_guest, 0, 0);
	slot_add(vcpu->vm);
	vcpu_run_done(vcpu);
	check_asked(1);
	server_end();
}

/* All vCPUs over all pages, each in an order of its own; the writes of each must be there. */
static void several_vcpus(void)
{
	struct vcpu *vcpus[VCPUS];
	struct vm *vm;
	u64 i, k;

	server_start(UFFDIO_REGISTER_MODE_MISSING, serve_copy);
	vm = vm_create(0);
	slot_add(vm);
	for (k = 0; k < VCPUS; k++) {
		vcpus[k] = vcpu_create(vm, k);
		vcpu_enter(vcpus[k], touch_guest, k, 2 * k + 1);
	}
	for (k = 0; k < VCPUS; k++)
		vcpu_thread_start(vcpus[k], NULL);
	for (k = 0; k < VCPUS; k++)
		vcpu_thread_join(vcpus[k]);
	for (i = 0; i < NR; i++) {
		CHECK_GE(server.asked[i], 1);
		for (k = 0; k < VCPUS; k++)
			CHECK_EQ(((u64 *)(server.mem + i * PAGE))[1 + k], i & 1 ? i + 1 : 0);
	}
	server_end();
}

/* What was given back is asked for again: neither the old page nor a page of zeroes will do. */
static void rounds_guest(void)
{
	u64 round;

	for (round = 1; round < 4; round++) {
		touch_guest(0, 1);
		GUEST_SYNC(round);
	}
}

static void dontneed(void)
{
	struct vcpu *vcpu;
	u64 round;

	server_start(UFFDIO_REGISTER_MODE_MISSING, serve_copy);
	vcpu = vcpu_start(0, rounds_guest, 0, 0);
	slot_add(vcpu->vm);
	for (round = 1; round < 4; round++) {
		vcpu_run_sync(vcpu, round);
		check_asked(round);
		server.generation++;
		SYS(madvise(server.mem, NR * PAGE, MADV_DONTNEED));
	}
	server_end();
}

/* While one vCPU waits for a page, another gets its own and the first is not disturbed. */
static int held = -1;

static void serve_hold_first(u64 index)
{
	if (held < 0)
		held = index;
	else if (held != (int)index)
		serve_copy(index);
}

static volatile u64 waiter_past;

static void waiter_guest(void)
{
	GUEST_CHECK_EQ(guest_page(7)[0], pattern(7));
	waiter_past = 1;
}

static void others_guest(void)
{
	u64 i;

	for (i = 0; i < NR; i++) {
		if (i != 7)
			GUEST_CHECK_EQ(guest_page(i)[0], pattern(i));
	}
	GUEST_CHECK_EQ(waiter_past, 0);
}

static void one_waits(void)
{
	struct vcpu *waiter, *other;

	server_start(UFFDIO_REGISTER_MODE_MISSING, serve_hold_first);
	waiter = vcpu_start(0, waiter_guest, 0, 0);
	slot_add(waiter->vm);
	other = vcpu_create(waiter->vm, 1);
	vcpu_enter(other, others_guest, 0);
	vcpu_thread_start(waiter, NULL);
	while (READ_ONCE(held) < 0)
		usleep(1000);
	CHECK_EQ(held, 7);
	vcpu_run_done(other);
	CHECK_EQ(waiter_past, 0);
	serve_copy(7);
	vcpu_thread_join(waiter);
	CHECK_EQ(waiter_past, 1);
	server_end();
}

/* A process whose vCPU waits for a page that never comes can be killed. */
static int wait_pipe[2];

static void serve_never(u64 index)
{
	(void)index;
	SYS(write(wait_pipe[1], "w", 1));
}

static void killed_while_waiting(void)
{
	struct vcpu *vcpu;
	int status;
	pid_t pid;
	char byte;

	SYS(pipe(wait_pipe));
	pid = SYS(fork());
	if (!pid) {
		server_start(UFFDIO_REGISTER_MODE_MISSING, serve_never);
		vcpu = vcpu_start(0, waiter_guest, 0, 0);
		slot_add(vcpu->vm);
		vcpu_run_done(vcpu);
		_exit(0);
	}
	close(wait_pipe[1]);
	/* An end of file: the child could not begin, and says so with its status. */
	if (read(wait_pipe[0], &byte, 1) == 1)
		SYS(kill(pid, SIGKILL));
	SYS(waitpid(pid, &status, 0));
	if (WIFEXITED(status) && WEXITSTATUS(status) == TEST_SKIP)
		test_skip("no userfaultfd");
	CHECK(WIFSIGNALED(status));
	CHECK_EQ(WTERMSIG(status), SIGKILL);
}

/* Pages that the guest has mapped writable are protected under it: each next write is told. */
static void protect_guest(void)
{
	u64 i;

	for (i = 0; i < NR; i++)
		guest_page(i)[1] = 1;
	GUEST_SYNC(1);
	for (i = 0; i < NR; i++)
		GUEST_CHECK_EQ(guest_page(i)[1], 1);
	GUEST_SYNC(2);
	for (i = 0; i < NR; i++)
		guest_page(i)[1] = 2;
	GUEST_SYNC(3);
}

static void protected_pages(void)
{
	struct vcpu *vcpu;
	u64 i;

	server_start(UFFDIO_REGISTER_MODE_MISSING | UFFDIO_REGISTER_MODE_WP, serve_copy);
	vcpu = vcpu_start(0, protect_guest, 0, 0);
	slot_add(vcpu->vm);
	vcpu_run_sync(vcpu, 1);
	CHECK_EQ(server.protect_hits, 0);
	write_protect(0, NR, UFFDIO_WRITEPROTECT_MODE_WP);
	vcpu_run_sync(vcpu, 2);
	CHECK_EQ(server.protect_hits, 0);
	vcpu_run_sync(vcpu, 3);
	CHECK_EQ(server.protect_hits, NR);
	for (i = 0; i < NR; i++)
		CHECK_EQ(((u64 *)(server.mem + i * PAGE))[1], 2);
	check_asked(1);
	server_end();
}

static const struct test_case cases[] = {
	{ "one_vcpu", one_vcpu },
	{ "writes", writes },
	{ "several_vcpus", several_vcpus },
	{ "dontneed", dontneed },
	{ "one_waits", one_waits },
	{ "killed_while_waiting", killed_while_waiting },
	{ "write_protect", protected_pages },
};

TEST_MAIN(cases)
