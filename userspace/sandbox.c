// SPDX-License-Identifier: GPL-2.0-only
/*
 * seccomp: what a guest that has taken over the launcher may still ask of the host's kernel. No
 * thread can write to a file that is not open yet, start a program, or touch another process. A
 * refused call fails with EPERM, which the C library's own optional ones survive. Filters add up:
 * a thread's own one only narrows what the main one, in place before the first thread, allows.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <seccomp.h>
#include <string.h>

#include "error.h"
#include "sandbox.h"

#define ALL(...)	(const int[]){ __VA_ARGS__, -1 }

static bool enabled;

static const int *const allowed[] = {
	[SANDBOX_VCPU] = ALL(
		SCMP_SYS(ioctl), SCMP_SYS(read), SCMP_SYS(write), SCMP_SYS(writev), SCMP_SYS(poll),
		SCMP_SYS(pread64), SCMP_SYS(pwrite64),	/* registers of assigned devices */
		SCMP_SYS(futex), SCMP_SYS(mmap), SCMP_SYS(munmap), SCMP_SYS(mremap), SCMP_SYS(brk),
		SCMP_SYS(mprotect), SCMP_SYS(madvise), SCMP_SYS(rt_sigreturn),
		SCMP_SYS(rt_sigprocmask), SCMP_SYS(sched_yield), SCMP_SYS(clock_gettime),
		SCMP_SYS(gettimeofday), SCMP_SYS(time), SCMP_SYS(timerfd_settime),
		SCMP_SYS(epoll_ctl), SCMP_SYS(exit), SCMP_SYS(exit_group),
		SCMP_SYS(getpid), SCMP_SYS(gettid), SCMP_SYS(tgkill), SCMP_SYS(restart_syscall),
		SCMP_SYS(set_robust_list), SCMP_SYS(rseq), SCMP_SYS(membarrier), SCMP_SYS(fstat),
		SCMP_SYS(newfstatat), SCMP_SYS(close)),
	[SANDBOX_DEVICE] = ALL(
		SCMP_SYS(epoll_wait), SCMP_SYS(epoll_pwait), SCMP_SYS(ppoll), SCMP_SYS(readv),
		SCMP_SYS(preadv), SCMP_SYS(pwritev),
		SCMP_SYS(preadv2), SCMP_SYS(pwritev2), SCMP_SYS(lseek), SCMP_SYS(fallocate),
		SCMP_SYS(fsync), SCMP_SYS(fdatasync), SCMP_SYS(getrandom),
		SCMP_SYS(clock_nanosleep)),
	[SANDBOX_VHOST] = ALL(	/* on sockets that are there already */
		SCMP_SYS(accept4), SCMP_SYS(sendmsg), SCMP_SYS(recvmsg), SCMP_SYS(fcntl),
		SCMP_SYS(shutdown)),
	[SANDBOX_NET] = ALL(
		SCMP_SYS(socket), SCMP_SYS(connect), SCMP_SYS(bind), SCMP_SYS(listen),
		SCMP_SYS(accept), SCMP_SYS(sendto), SCMP_SYS(sendmmsg),
		SCMP_SYS(recvfrom), SCMP_SYS(recvmmsg), SCMP_SYS(getsockname),
		SCMP_SYS(getpeername), SCMP_SYS(setsockopt), SCMP_SYS(getsockopt),
		SCMP_SYS(uname)),
	[SANDBOX_MAIN] = ALL(
		SCMP_SYS(eventfd2), SCMP_SYS(epoll_create1), SCMP_SYS(timerfd_create),
		SCMP_SYS(signalfd4), SCMP_SYS(memfd_create), SCMP_SYS(ftruncate), SCMP_SYS(sysinfo),
		SCMP_SYS(rt_sigaction), SCMP_SYS(sigaltstack), SCMP_SYS(prctl), SCMP_SYS(seccomp),
		SCMP_SYS(pipe2), SCMP_SYS(clock_getres), SCMP_SYS(prlimit64),
		SCMP_SYS(sched_getaffinity)),
};

void sandbox_configure(bool on)
{
	enabled = on;
}

static void allow(scmp_filter_ctx ctx, const int *calls)
{
	int ret = 0;

	while (!ret && *calls != -1)
		ret = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, *calls++, 0);
	if (ret)
		error_die(EXIT_ERROR, "cannot build the seccomp filter: %s; try --sandbox off",
			  strerror(-ret));
}

/* User networking reads /etc/resolv.conf again and again. */
static void allow_reading(scmp_filter_ctx ctx)
{
	seccomp_rule_add(ctx, SCMP_ACT_ALLOW, SCMP_SYS(openat), 1,
			 SCMP_A2(SCMP_CMP_MASKED_EQ, O_ACCMODE | O_CREAT, O_RDONLY));
}

/*
 * Threads yes, processes no. clone3() hides its flags from a filter, so it must look absent: the C
 * library then falls back to clone().
 */
static void allow_threads(scmp_filter_ctx ctx)
{
	seccomp_rule_add(ctx, SCMP_ACT_ALLOW, SCMP_SYS(clone), 1,
			 SCMP_A0(SCMP_CMP_MASKED_EQ, CLONE_THREAD, CLONE_THREAD));
	seccomp_rule_add(ctx, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(clone3), 0);
}

/* Context: the thread that is to be narrowed; the main one first, while it is alone. */
void sandbox_enter(enum sandbox_kind kind)
{
	scmp_filter_ctx ctx;
	int ret;

	if (!enabled)
		return;
	ctx = seccomp_init(SCMP_ACT_ERRNO(EPERM));
	if (!ctx)
		error_die(EXIT_ERROR, "cannot build the seccomp filter; try --sandbox off");
	for (unsigned int k = 0; k <= kind; k++)
		allow(ctx, allowed[k]);
	if (kind >= SANDBOX_NET)
		allow_reading(ctx);
	if (kind >= SANDBOX_MAIN)
		allow_threads(ctx);
	ret = seccomp_load(ctx);
	seccomp_release(ctx);
	if (ret)
		error_die(EXIT_ERROR, "the kernel refused the seccomp filter: %s; try "
			  "--sandbox off", strerror(-ret));
}
