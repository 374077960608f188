// SPDX-License-Identifier: GPL-2.0-only
#define _GNU_SOURCE
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "dev.h"
#include "test.h"

/* Shared with the children, for what an exit status cannot carry. */
static struct {
	char skip_reason[200];
} *test_shared;

static int test_argc;
static char **test_argv;

/* The value of --name=N on the command line. */
u64 test_option(const char *name, u64 otherwise)
{
	size_t len = strlen(name);
	int i;

	for (i = 1; i < test_argc; i++) {
		const char *arg = test_argv[i];

		if (!strncmp(arg, "--", 2) && !strncmp(arg + 2, name, len) && arg[len + 2] == '=')
			return strtoull(arg + len + 3, NULL, 0);
	}
	return otherwise;
}

/* The same for how often something is repeated, fewer times where all is slow. */
u64 test_count(const char *name, u64 otherwise)
{
	const char *divisor = getenv("TEST_COUNT_DIVISOR");
	u64 by = divisor ? strtoull(divisor, NULL, 0) : 1;

	return test_option(name, by > 1 ? otherwise / by + 1 : otherwise);
}

unsigned int test_time_scale(void)
{
	const char *scale = getenv("TEST_TIME_SCALE");

	return scale ? strtoul(scale, NULL, 0) : 1;
}

bool test_is_corbel(void)
{
	return strstr(dev_path(), "corbel") != NULL;
}

void test_note(const char *fmt, ...)
{
	char line[512];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(line, sizeof(line), fmt, ap);
	va_end(ap);
	printf("# %s\n", line);
	fflush(stdout);
}

void test_skip(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(test_shared->skip_reason, sizeof(test_shared->skip_reason), fmt, ap);
	va_end(ap);
	_exit(TEST_SKIP);
}

void test_fail(const char *file, int line, const char *fmt, ...)
{
	char text[512];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	printf("# %s:%d: %s\n", file, line, text);
	fflush(stdout);
	_exit(TEST_FAIL);
}

static void child_run(const struct test_case *tc)
{
	/* A parent that is killed by the runner's timeout must not leave VMs behind. */
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	setpgid(0, 0);
	tc->run();
	fflush(stdout);
	_exit(TEST_PASS);
}

/*
 * Wait for @pid without signals, since a busy machine delivers SIGALRM late and wait status never
 * lies.
 */
static int child_wait(pid_t pid, unsigned int seconds, bool *late)
{
	struct timespec limit = { .tv_sec = seconds };
	sigset_t set;
	int status;

	sigemptyset(&set);
	sigaddset(&set, SIGCHLD);
	*late = sigtimedwait(&set, NULL, &limit) < 0;
	if (*late && waitpid(pid, &status, WNOHANG) == pid) {
		*late = false;
		return status;
	}
	if (*late)
		kill(-pid, SIGKILL);
	if (waitpid(pid, &status, 0) != pid)
		status = 0xff00;
	kill(-pid, SIGKILL);
	return status;
}

static int case_verdict(const struct test_case *tc, size_t nr, int status, bool late,
			unsigned int seconds)
{
	if (late) {
		printf("not ok %zu %s # TIMEOUT after %u s\n", nr, tc->name, seconds);
		return TEST_FAIL;
	}
	if (WIFEXITED(status) && WEXITSTATUS(status) == TEST_PASS) {
		printf("ok %zu %s\n", nr, tc->name);
		return TEST_PASS;
	}
	if (WIFEXITED(status) && WEXITSTATUS(status) == TEST_SKIP) {
		printf("ok %zu %s # SKIP %s\n", nr, tc->name, test_shared->skip_reason);
		return TEST_SKIP;
	}
	if (WIFSIGNALED(status))
		printf("# killed by signal %d\n", WTERMSIG(status));
	printf("not ok %zu %s\n", nr, tc->name);
	return TEST_FAIL;
}

static int case_run(const struct test_case *tc, size_t nr)
{
	unsigned int seconds = (tc->seconds ? tc->seconds : TEST_SECONDS) * test_time_scale();
	int status, verdict;
	bool late;
	pid_t pid;

	fflush(stdout);
	pid = fork();
	if (pid < 0) {
		perror("fork");
		exit(TEST_FAIL);
	}
	if (!pid)
		child_run(tc);
	status = child_wait(pid, seconds, &late);
	verdict = case_verdict(tc, nr, status, late, seconds);
	fflush(stdout);
	return verdict;
}

/* Case names on the command line select; no name selects all. */
static bool case_selected(const struct test_case *tc)
{
	bool any = false;
	int i;

	for (i = 1; i < test_argc; i++) {
		if (test_argv[i][0] == '-')
			continue;
		any = true;
		if (!strcmp(test_argv[i], tc->name))
			return true;
	}
	return !any;
}

static void cases_list(const struct test_case *cases, size_t nr)
{
	size_t i;

	for (i = 0; i < nr; i++)
		puts(cases[i].name);
}

static void harness_setup(int argc, char **argv)
{
	sigset_t set;

	test_argc = argc;
	test_argv = argv;
	test_shared = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (test_shared == MAP_FAILED)
		exit(TEST_FAIL);
	sigemptyset(&set);
	sigaddset(&set, SIGCHLD);
	sigprocmask(SIG_BLOCK, &set, NULL);
}

int test_main(int argc, char **argv, const struct test_case *cases, size_t nr)
{
	size_t i, count[TEST_SKIP + 1] = { 0 };

	if (argc > 1 && !strcmp(argv[1], "--list")) {
		cases_list(cases, nr);
		return TEST_PASS;
	}
	harness_setup(argc, argv);
	printf("TAP version 13\n1..%zu\n", nr);
	if (access(dev_path(), R_OK | W_OK)) {
		for (i = 0; i < nr; i++)
			printf("ok %zu %s # SKIP no %s\n", i + 1, cases[i].name, dev_path());
		return TEST_SKIP;
	}
	for (i = 0; i < nr; i++) {
		if (case_selected(&cases[i]))
			count[case_run(&cases[i], i + 1)]++;
		else
			printf("ok %zu %s # SKIP not selected\n", i + 1, cases[i].name);
	}
	printf("# Totals: pass:%zu fail:%zu skip:%zu\n", count[TEST_PASS], count[TEST_FAIL],
	       count[TEST_SKIP]);
	if (count[TEST_FAIL])
		return TEST_FAIL;
	return count[TEST_PASS] ? TEST_PASS : TEST_SKIP;
}
