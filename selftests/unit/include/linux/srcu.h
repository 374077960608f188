/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef SHIM_SRCU_H
#define SHIM_SRCU_H

#include <linux/rcupdate.h>

struct srcu_struct { int readers; };

extern void (*shim_srcu_wait)(struct srcu_struct *srcu);	/* lets the readers go on; may be NULL */

#define init_srcu_struct(s)	((s)->readers = 0)
#define cleanup_srcu_struct(s)	WARN_ON((s)->readers)
#define srcu_read_lock(s)	((s)->readers++)
#define srcu_read_unlock(s, idx)	((void)(idx), (void)(s)->readers--)
#define srcu_dereference(p, s)	READ_ONCE(p)
#define srcu_dereference_check(p, s, c)	((void)(s), READ_ONCE(p))
#define call_srcu(s, head, func)	((void)(s), call_rcu(head, func))
#define srcu_barrier(s)	shim_grace_period()
#define synchronize_srcu(s)	(shim_srcu_wait ? shim_srcu_wait(s) : (void)0,	\
				 (void)WARN_ON((s)->readers), shim_grace_period())
#define synchronize_srcu_expedited	synchronize_srcu
#define srcu_read_lock_held(s)	((s)->readers)

#endif
