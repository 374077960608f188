/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef SHIM_KERNEL_H
#define SHIM_KERNEL_H

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <linux/bits.h>

#define ARRAY_SIZE(a)	(sizeof(a) / sizeof((a)[0]))
#define container_of(ptr, type, member)						\
	((type *)((char *)(ptr) - offsetof(type, member)))
#define struct_size(p, member, n)						\
	(sizeof(*(p)) + sizeof((p)->member[0]) * (n))
#define DIV_ROUND_UP(n, d)	(((n) + (d) - 1) / (d))
#define ALIGN(x, a)	(((x) + (a) - 1) & ~((__typeof__(x))(a) - 1))
#define IS_ALIGNED(x, a)	(!((x) & ((__typeof__(x))(a) - 1)))
#define min(a, b)	({ __typeof__(a) mi_a = (a); __typeof__(b) mi_b = (b);	\
			   mi_a < mi_b ? mi_a : mi_b; })
#define max(a, b)	({ __typeof__(a) ma_a = (a); __typeof__(b) ma_b = (b);	\
			   ma_a > ma_b ? ma_a : ma_b; })
#define min_t(t, a, b)	({ t mi_a = (a), mi_b = (b); mi_a < mi_b ? mi_a : mi_b; })
#define max_t(t, a, b)	({ t ma_a = (a), ma_b = (b); ma_a > ma_b ? ma_a : ma_b; })
#define clamp(v, lo, hi)	min(max(v, lo), hi)
#define clamp_t(t, v, lo, hi)	min_t(t, max_t(t, v, lo), hi)
#define swap(a, b)	do { __typeof__(a) sw = (a); (a) = (b); (b) = sw; } while (0)
#define upper_32_bits(n)	((u32)((n) >> 32))
#define lower_32_bits(n)	((u32)(n))
#define IS_ENABLED(option)	0	/* of those asked for none is set */
#define BUILD_BUG_ON(c)	_Static_assert(!(c), #c)
#define static_assert	_Static_assert
#define memset_startat(obj, v, member)						\
	memset((u8 *)(obj) + offsetof(__typeof__(*(obj)), member), v,		\
	       sizeof(*(obj)) - offsetof(__typeof__(*(obj)), member))

/* A warning in the kernel is a failed test here. */
#define WARN_ON(c)								\
({										\
	bool warned = (c);							\
	if (warned) {								\
		fprintf(stderr, "WARNING: %s:%d: %s\n", __FILE__, __LINE__, #c);	\
		abort();							\
	}									\
	warned;									\
})
#define WARN_ON_ONCE	WARN_ON
#define WARN_ONCE(c, ...)	WARN_ON(c)
#define BUG_ON		WARN_ON
#define pr_err(...)	fprintf(stderr, __VA_ARGS__)
#define pr_warn		pr_err
#define pr_info		pr_err
#define pr_warn_ratelimited	pr_err
#define pr_err_ratelimited	pr_err
#define pr_debug(...)	do { } while (0)

#define might_sleep()	do { } while (0)
#define cond_resched()	do { } while (0)
#define need_resched()	false
#ifndef cpu_relax
#define cpu_relax()	barrier()
#endif
#define preempt_disable()	do { } while (0)
#define preempt_enable()	do { } while (0)

#define IS_ERR(p)	((unsigned long)(p) >= (unsigned long)-4095)
#define PTR_ERR(p)	((long)(p))
#define ERR_PTR(e)	((void *)(long)(e))

/* Indices that a guest or userspace chose. */
#define array_index_nospec(i, n)	((i) < (n) ? (i) : 0)

#endif
