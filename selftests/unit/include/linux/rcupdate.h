/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Grace periods of tests with one thread: callbacks wait in a list that shim_grace_period() runs; code that holds a
 * read lock then has used what it must not.
 */
#ifndef SHIM_RCUPDATE_H
#define SHIM_RCUPDATE_H

#include <linux/spinlock.h>

extern struct rcu_head *shim_rcu_list;
extern int shim_rcu_readers;

static inline void call_rcu(struct rcu_head *head, void (*func)(struct rcu_head *head))
{
	head->func = func;
	head->next = shim_rcu_list;
	shim_rcu_list = head;
}

static inline void shim_grace_period(void)
{
	WARN_ON(shim_rcu_readers);
	while (shim_rcu_list) {
		struct rcu_head *head = shim_rcu_list;

		shim_rcu_list = head->next;
		head->func(head);
	}
}

#define rcu_read_lock()	((void)shim_rcu_readers++)
#define rcu_read_unlock()	((void)shim_rcu_readers--)
#define rcu_barrier	shim_grace_period
#define synchronize_rcu	shim_grace_period
#define synchronize_rcu_expedited	synchronize_rcu
#define rcu_assign_pointer(p, v)	smp_store_release(&(p), v)
#define RCU_INIT_POINTER(p, v)	((p) = (v))
#define rcu_access_pointer(p)	READ_ONCE(p)
#define rcu_dereference(p)	READ_ONCE(p)
#define rcu_dereference_check(p, c)	READ_ONCE(p)
#define rcu_dereference_sched(p)	READ_ONCE(p)
#define rcu_dereference_protected(p, c)	(p)
#define rcu_dereference_raw	READ_ONCE
#define kfree_rcu(p, member)	free(p)

#define rcu_replace_pointer(p, new, c)						\
({										\
	typeof(p) rcu_old = (p);						\
										\
	rcu_assign_pointer((p), (new));						\
	rcu_old;								\
})

#endif
