/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The harness: a program is a table of cases. Each case runs in a child process, so that a crash,
 * a hang or a leaked VM of one case cannot change the verdict on the next. Output is TAP, exit
 * codes are kselftest's.
 */
#ifndef SELFTESTS_TEST_H
#define SELFTESTS_TEST_H

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

typedef uint8_t u8;
typedef uint16_t u16;
typedef uint32_t u32;
typedef uint64_t u64;
typedef int64_t s64;

#define ARRAY_SIZE(a)	(sizeof(a) / sizeof((a)[0]))
#define BIT(n)		(1ULL << (n))
#define PAGE		4096ULL
#define PAGE_2M		(2ULL << 20)

#define TEST_PASS	0
#define TEST_FAIL	1
#define TEST_SKIP	4

struct test_case {
	const char *name;
	void (*run)(void);
	unsigned int seconds;	/* time limit, 0 = TEST_SECONDS */
};

#define TEST_SECONDS	30

int test_main(int argc, char **argv, const struct test_case *cases, size_t nr);
u64 test_option(const char *name, u64 otherwise);
u64 test_count(const char *name, u64 otherwise);
/* How many times longer everything takes on this host. */
unsigned int test_time_scale(void);
bool test_is_corbel(void);
void test_note(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void test_skip(const char *fmt, ...) __attribute__((noreturn, format(printf, 1, 2)));
void test_fail(const char *file, int line, const char *fmt, ...)
	__attribute__((noreturn, format(printf, 3, 4)));

#define TEST_MAIN(cases)						\
int main(int argc, char **argv)						\
{									\
	return test_main(argc, argv, cases, ARRAY_SIZE(cases));		\
}

#define FAIL(...)	test_fail(__FILE__, __LINE__, __VA_ARGS__)

#define CHECK(cond)							\
do {									\
	if (!(cond))							\
		FAIL("'%s' is false (errno %d)", #cond, errno);		\
} while (0)

#define CHECK_OP(a, op, b)						\
do {									\
	u64 check_a = (u64)(a), check_b = (u64)(b);			\
									\
	if (!(check_a op check_b))					\
		FAIL("'%s' is %#llx, not %s '%s' %#llx (errno %d)", #a,	\
		     (unsigned long long)check_a, #op, #b,		\
		     (unsigned long long)check_b, errno);		\
} while (0)

#define CHECK_EQ(a, b)	CHECK_OP(a, ==, b)
#define CHECK_NE(a, b)	CHECK_OP(a, !=, b)
#define CHECK_GE(a, b)	CHECK_OP(a, >=, b)
#define CHECK_LE(a, b)	CHECK_OP(a, <=, b)
#define CHECK_LT(a, b)	CHECK_OP(a, <, b)

/* A system call that must succeed; the value is its return value. */
#define SYS(call)							\
({									\
	long sys_ret = (long)(call);					\
									\
	if (sys_ret == -1)						\
		FAIL("%s: %s", #call, strerror(errno));			\
	sys_ret;							\
})

/* A system call that must fail with just this errno. */
#define CHECK_ERRNO(call, code)						\
do {									\
	errno = 0;							\
	long check_ret = (long)(call);					\
									\
	if (check_ret != -1 || errno != (code))				\
		FAIL("%s: returned %ld with errno %d (%s), not errno %d", #call, check_ret,	\
		     errno, strerror(errno), (code));			\
} while (0)

#endif
