// SPDX-License-Identifier: GPL-2.0-only
#include <linux/bitops.h>
#include <linux/irqflags.h>
#include <linux/percpu.h>
#include <linux/user-return-notifier.h>
#include <asm/msr.h>
#include "cpu/user_msr.h"

struct user_msrs {
	struct user_return_notifier notifier;
	unsigned int changed;		/* a bit for each that may not be the host's: the notifier is registered */
	u64 host[USER_MSRS_MAX];
	u64 now[USER_MSRS_MAX];
};

static DEFINE_PER_CPU(struct user_msrs, user_msrs);
static const u32 *user_msr_index __ro_after_init;
static int nr_user_msrs __ro_after_init;

void user_msr_setup(const u32 *index, int nr)
{
	user_msr_index = index;
	nr_user_msrs = nr;
}

/*
 * Neither the detour of paravirtualization nor a tracepoint on the way: this is done at nearly every exit to
 * userspace.
 */
static __always_inline void write(struct user_msrs *msrs, unsigned long i, u64 val)
{
	native_wrmsrl(user_msr_index[i], val);
	msrs->now[i] = val;
}

/* Context: interrupts off */
static void restore(struct user_return_notifier *notifier)
{
	struct user_msrs *msrs = container_of(notifier, struct user_msrs, notifier);
	unsigned long i, changed = msrs->changed;

	lockdep_assert_irqs_disabled();
	msrs->changed = 0;
	user_return_notifier_unregister(notifier);
	for (; changed; changed &= changed - 1) {
		i = __ffs(changed);
		write(msrs, i, msrs->host[i]);
	}
}

static void restore_later(struct user_msrs *msrs)
{
	msrs->notifier.on_user_return = restore;
	user_return_notifier_register(&msrs->notifier);
}

void user_msr_load(const u64 *guest, unsigned long which)
{
	struct user_msrs *msrs = this_cpu_ptr(&user_msrs);
	unsigned long i, before, changed = 0;

	for (; which; which &= which - 1) {
		i = __ffs(which);
		if (msrs->now[i] == guest[i])
			continue;
		write(msrs, i, guest[i]);
		changed |= which & -which;
	}
	if (!changed)
		return;
	before = msrs->changed;
	msrs->changed = before | changed;
	if (!before)
		restore_later(msrs);
}

void user_msr_cpu_on(void)
{
	struct user_msrs *msrs = this_cpu_ptr(&user_msrs);
	int i;

	for (i = 0; i < nr_user_msrs; i++) {
		rdmsrl(user_msr_index[i], msrs->host[i]);
		msrs->now[i] = msrs->host[i];
	}
}

void user_msr_cpu_off(void)
{
	struct user_msrs *msrs = this_cpu_ptr(&user_msrs);
	unsigned long flags;

	local_irq_save(flags);
	if (msrs->changed)
		restore(&msrs->notifier);
	local_irq_restore(flags);
}
