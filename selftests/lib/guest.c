// SPDX-License-Identifier: GPL-2.0-only
#include "guest.h"

void guest_sync(u64 stage, u64 a, u64 b, u64 c)
{
	struct guest_ucall call = { .kind = GUEST_UCALL_SYNC, .args = { stage, a, b, c } };

	guest_ucall(&call);
}

void guest_done(void)
{
	struct guest_ucall call = { .kind = GUEST_UCALL_DONE };

	for (;;)
		guest_ucall(&call);
}

void guest_fail(const char *file, int line, const char *text, u64 a, u64 b)
{
	struct guest_ucall call = {
		.kind = GUEST_UCALL_FAIL, .file = file, .line = line, .text = text, .args = { a,
				b },
	};

	for (;;)
		guest_ucall(&call);
}

void guest_note(const char *text, u64 value)
{
	struct guest_ucall call = { .kind = GUEST_UCALL_NOTE, .text = text, .args = { value } };

	guest_ucall(&call);
}

bool guest_is_intel(void)
{
	return cpuid(0, 0).b == 0x756e6547;
}

u64 guest_hypercall(u64 nr, u64 a0, u64 a1, u64 a2, u64 a3)
{
	u64 ret;

	if (guest_is_intel())
		asm volatile("vmcall" : "=a"(ret)
			     : "a"(nr), "b"(a0), "c"(a1), "d"(a2), "S"(a3) : "memory");
	else
		asm volatile("vmmcall" : "=a"(ret)
			     : "a"(nr), "b"(a0), "c"(a1), "d"(a2), "S"(a3) : "memory");
	return ret;
}

/*
 * The compiler may call these for copies and fills in guest code; libc's versions use vector
 * registers which a guest does not have switched on.
 */
void *memcpy(void *to, const void *from, size_t n)
{
	void *ret = to;

	asm volatile("rep movsb" : "+D"(to), "+S"(from), "+c"(n) : : "memory");
	return ret;
}

void *memset(void *to, int c, size_t n)
{
	void *ret = to;

	asm volatile("rep stosb" : "+D"(to), "+c"(n) : "a"(c) : "memory");
	return ret;
}

int memcmp(const void *a, const void *b, size_t n)
{
	const u8 *x = a, *y = b;
	size_t i;

	for (i = 0; i < n; i++) {
		if (x[i] != y[i])
			return x[i] - y[i];
	}
	return 0;
}
