/* SPDX-License-Identifier: GPL-2.0-only */
/* The test's own memory is the user's. Pages that shim_user_fault() calls bad fault. */
#ifndef SHIM_UACCESS_H
#define SHIM_UACCESS_H

#include <linux/err.h>
#include <linux/mm.h>
#include <linux/slab.h>

bool shim_user_fault(const void *p, unsigned long len);

static inline unsigned long copy_from_user(void *to, const void *from, unsigned long n)
{
	if (shim_user_fault(from, n))
		return n;
	memcpy(to, from, n);
	return 0;
}

static inline unsigned long copy_to_user(void *to, const void *from, unsigned long n)
{
	if (shim_user_fault(to, n))
		return n;
	memcpy(to, from, n);
	return 0;
}

#define get_user(x, ptr)	/* @ptr need not be aligned */				\
({											\
	typeof(*(ptr)) got_val;								\
	unsigned long got_left = copy_from_user(&got_val, ptr, sizeof(got_val));	\
											\
	if (!got_left)									\
		(x) = got_val;								\
	got_left ? -EFAULT : 0;								\
})
extern bool (*shim_swapped_out)(const void *p);	/* may be NULL; for who cannot wait */
extern void (*shim_user_written)(const void *p, unsigned long len);	/* one entry, by put_user() */

#define put_user(x, ptr)								\
({											\
	typeof(*(ptr)) put_val = (x);							\
	unsigned long put_left = copy_to_user(ptr, &put_val, sizeof(put_val));		\
											\
	if (!put_left && shim_user_written)						\
		shim_user_written(ptr, sizeof(put_val));				\
	put_left ? -EFAULT : 0;								\
})

#define __get_user(x, ptr)							\
	(shim_swapped_out && shim_swapped_out(ptr) ? -EFAULT : get_user(x, ptr))
#define __copy_from_user_inatomic	copy_from_user
#define __copy_to_user_inatomic	copy_to_user
#define pagefault_disable()	do { } while (0)
#define pagefault_enable()	do { } while (0)
#define access_ok(p, len)							\
	((u64)(p) < 1ull << 47 && (u64)(len) <= (1ull << 47) - (u64)(p))
#define __try_cmpxchg_user(ptr, old, new, label)				\
	(shim_user_fault(ptr, sizeof(*(ptr))) ? -EFAULT : !try_cmpxchg(ptr, old, new))

#define user_read_access_begin(ptr, len)	access_ok(ptr, len)
#define user_read_access_end()			do { } while (0)
#define unsafe_get_user(x, ptr, label)						\
do {										\
	if (get_user(x, ptr))							\
		goto label;							\
} while (0)

static inline void *memdup_user(const void *from, unsigned long n)
{
	void *to = kmalloc(n, GFP_KERNEL);

	if (!to)
		return ERR_PTR(-ENOMEM);
	if (!copy_from_user(to, from, n))
		return to;
	kfree(to);
	return ERR_PTR(-EFAULT);
}

#endif
