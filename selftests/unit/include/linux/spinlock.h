/* SPDX-License-Identifier: GPL-2.0-only */
/* Locks of tests with one thread: they only check that they are used in pairs. */
#ifndef SHIM_SPINLOCK_H
#define SHIM_SPINLOCK_H

#include <linux/atomic.h>

typedef struct { int held; } spinlock_t;
typedef spinlock_t raw_spinlock_t;
typedef struct { int readers, writer; } rwlock_t;

#define DEFINE_SPINLOCK(name)	spinlock_t name
#define spin_lock_init(l)	((l)->held = 0)
#define raw_spin_lock_init	spin_lock_init
#define __RAW_SPIN_LOCK_UNLOCKED(name)	{}
#define rwlock_init(l)		((l)->readers = (l)->writer = 0)

static inline void spin_lock(spinlock_t *l)
{
	WARN_ON(l->held);
	l->held = 1;
}

static inline void spin_unlock(spinlock_t *l)
{
	WARN_ON(!l->held);
	l->held = 0;
}

extern void (*shim_before_lock)(rwlock_t *l);	/* others may run then; may be NULL */

static inline void before_lock(rwlock_t *l)
{
	if (shim_before_lock)
		shim_before_lock(l);
}

static inline void write_locked(rwlock_t *l)
{
	WARN_ON(l->writer || l->readers);
	l->writer = 1;
}

static inline void read_lock(rwlock_t *l)
{
	before_lock(l);
	WARN_ON(l->writer);
	l->readers++;
}

static inline void read_unlock(rwlock_t *l)
{
	WARN_ON(!l->readers);
	l->readers--;
}

static inline void write_lock(rwlock_t *l)
{
	before_lock(l);
	write_locked(l);
}

static inline bool read_trylock(rwlock_t *l)
{
	before_lock(l);
	if (l->writer)
		return false;
	l->readers++;
	return true;
}

static inline bool write_trylock(rwlock_t *l)
{
	before_lock(l);
	if (l->writer || l->readers)
		return false;
	write_locked(l);
	return true;
}

static inline void write_unlock(rwlock_t *l)
{
	WARN_ON(!l->writer);
	l->writer = 0;
}

#define spin_lock_irq	spin_lock
#define spin_unlock_irq	spin_unlock
#define spin_lock_irqsave(l, f)	((void)((f) = 0), spin_lock(l))
#define spin_unlock_irqrestore(l, f)	((void)(f), spin_unlock(l))
#define raw_spin_lock	spin_lock
#define raw_spin_lock_nested(l, n)	spin_lock(l)
#define raw_spin_unlock	spin_unlock
#define raw_spin_lock_irqsave	spin_lock_irqsave
#define raw_spin_unlock_irqrestore	spin_unlock_irqrestore
#define local_irq_save(f)	((void)((f) = 0))
#define local_irq_restore(f)	((void)(f))
#define lockdep_assert_held(l)	do { } while (0)
#define lockdep_is_held(l)	true
#define rwlock_needbreak(l)	false
#define cond_resched_rwlock_write(l)	((void)(l))

#endif
