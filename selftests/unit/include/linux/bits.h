/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef SHIM_BITS_H
#define SHIM_BITS_H

#include <linux/types.h>

#define BITS_PER_LONG	64
#define BITS_PER_BYTE	8
#define BIT(n)		(1ul << (n))
#define BIT_ULL(n)	(1ull << (n))
#define GENMASK_ULL(h, l)	((~0ull << (l)) & (~0ull >> (63 - (h))))
#define GENMASK(h, l)	((~0ul << (l)) & (~0ul >> (63 - (h))))
#define BITS_TO_LONGS(n)	(((n) + 63) / 64)
#define DECLARE_BITMAP(name, bits)	unsigned long name[BITS_TO_LONGS(bits)]

static inline bool test_bit(unsigned long n, const volatile void *p)
{
	return ((const volatile unsigned long *)p)[n / 64] >> (n % 64) & 1;
}

static inline void set_bit(unsigned long n, volatile void *p)
{
	__atomic_fetch_or((volatile unsigned long *)p + n / 64, 1ul << (n % 64), __ATOMIC_SEQ_CST);
}

static inline void clear_bit(unsigned long n, volatile void *p)
{
	__atomic_fetch_and((volatile unsigned long *)p + n / 64, ~(1ul << (n % 64)),
			   __ATOMIC_SEQ_CST);
}

static inline bool test_and_set_bit(unsigned long n, volatile void *p)
{
	return __atomic_fetch_or((volatile unsigned long *)p + n / 64, 1ul << (n % 64),
				 __ATOMIC_SEQ_CST) >> (n % 64) & 1;
}

static inline bool test_and_clear_bit(unsigned long n, volatile void *p)
{
	return __atomic_fetch_and((volatile unsigned long *)p + n / 64, ~(1ul << (n % 64)),
				  __ATOMIC_SEQ_CST) >> (n % 64) & 1;
}

#define __set_bit	set_bit
#define __clear_bit	clear_bit
#define __test_and_set_bit	test_and_set_bit
#define __test_and_clear_bit	test_and_clear_bit

static inline int fls(unsigned int x)
{
	return x ? 32 - __builtin_clz(x) : 0;
}

static inline unsigned long __ffs(unsigned long x)
{
	return (unsigned long)__builtin_ctzl(x);
}

static inline unsigned long __fls(unsigned long x)
{
	return 63 - (unsigned long)__builtin_clzl(x);
}

#define hweight8(x)	((unsigned int)__builtin_popcount((u8)(x)))
#define hweight16(x)	((unsigned int)__builtin_popcount((u16)(x)))
#define hweight32(x)	((unsigned int)__builtin_popcount(x))
#define hweight64(x)	((unsigned int)__builtin_popcountll(x))

static inline u8 ror8(u8 word, unsigned int shift)
{
	return (u8)(word >> (shift & 7) | word << (-shift & 7));
}

#define __ffs64(x)	((unsigned long)__builtin_ctzll(x))

#endif
