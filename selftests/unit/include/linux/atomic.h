/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef SHIM_ATOMIC_H
#define SHIM_ATOMIC_H

#include <linux/kernel.h>

#define ATOMIC_INIT(v)	{ v }
#define SHIM_ATOMIC(name, type, val)						\
static inline val name##_read(const type *a)					\
{ return __atomic_load_n(&a->counter, __ATOMIC_RELAXED); }			\
static inline void name##_set(type *a, val v)					\
{ __atomic_store_n(&a->counter, v, __ATOMIC_RELAXED); }				\
static inline void name##_add(val v, type *a)					\
{ __atomic_fetch_add(&a->counter, v, __ATOMIC_SEQ_CST); }			\
static inline void name##_inc(type *a) { name##_add(1, a); }			\
static inline void name##_dec(type *a) { name##_add(-1, a); }			\
static inline val name##_add_return(val v, type *a)				\
{ return __atomic_add_fetch(&a->counter, v, __ATOMIC_SEQ_CST); }		\
static inline val name##_inc_return(type *a) { return name##_add_return(1, a); }	\
static inline bool name##_dec_and_test(type *a) { return !name##_add_return(-1, a); }	\
static inline val name##_xchg(type *a, val v)					\
{ return __atomic_exchange_n(&a->counter, v, __ATOMIC_SEQ_CST); }		\
static inline val name##_fetch_andnot(val v, type *a)				\
{ return __atomic_fetch_and(&a->counter, ~v, __ATOMIC_SEQ_CST); }		\
static inline val name##_cmpxchg(type *a, val old, val new)			\
{ return cmpxchg(&a->counter, old, new); }

SHIM_ATOMIC(atomic, atomic_t, int)
SHIM_ATOMIC(atomic_long, atomic_long_t, long)
SHIM_ATOMIC(atomic64, atomic64_t, s64)

static inline int shim_dec_if_positive(int *counter)
{
	return *counter > 0 ? --*counter : *counter - 1;
}

#define atomic_dec_if_positive(v)	shim_dec_if_positive((int *)&(v)->counter)

#endif
