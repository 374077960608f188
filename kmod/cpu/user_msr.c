// SPDX-License-Identifier: GPL-2.0-only
#include <linux/irqflags.h>
#include <linux/percpu.h>
#include <linux/user-return-notifier.h>
#include <asm/msr.h>
#include "cpu/user_msr.h"

struct user_msrs {
	struct user_return_notifier notifier;
	bool registered;
	u64 host[USER_MSRS_MAX];
	u64 now[USER_MSRS_MAX];
};

static struct user_msrs __percpu *user_msrs;
static const u32 *user_msr_index;
static int nr_user_msrs;

int user_msr_setup(const u32 *index, int nr)
{
	user_msr_index = index;
	nr_user_msrs = nr;
	user_msrs = alloc_percpu(struct user_msrs);
	return user_msrs ? 0 : -ENOMEM;
}

void user_msr_teardown(void)
{
	free_percpu(user_msrs);
}

static void restore(struct user_return_notifier *notifier)
{
	struct user_msrs *msrs = container_of(notifier, struct user_msrs, notifier);
	unsigned long flags;
	int i;

	local_irq_save(flags);
	if (msrs->registered) {
		msrs->registered = false;
		user_return_notifier_unregister(notifier);
	}
	for (i = 0; i < nr_user_msrs; i++) {
		if (msrs->now[i] == msrs->host[i])
			continue;
		wrmsrl(user_msr_index[i], msrs->host[i]);
		msrs->now[i] = msrs->host[i];
	}
	local_irq_restore(flags);
}

void user_msr_load(int i, u64 val)
{
	struct user_msrs *msrs = this_cpu_ptr(user_msrs);

	if (msrs->now[i] == val)
		return;
	wrmsrl(user_msr_index[i], val);
	msrs->now[i] = val;
	if (msrs->registered)
		return;
	msrs->notifier.on_user_return = restore;
	user_return_notifier_register(&msrs->notifier);
	msrs->registered = true;
}

void user_msr_cpu_on(void)
{
	struct user_msrs *msrs = this_cpu_ptr(user_msrs);
	int i;

	for (i = 0; i < nr_user_msrs; i++) {
		rdmsrl(user_msr_index[i], msrs->host[i]);
		msrs->now[i] = msrs->host[i];
	}
}

void user_msr_cpu_off(void)
{
	struct user_msrs *msrs = this_cpu_ptr(user_msrs);

	if (msrs->registered)
		restore(&msrs->notifier);
}
