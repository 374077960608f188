// SPDX-License-Identifier: GPL-2.0-only
/* Directed yield: who holds the lock a vCPU spins on was perhaps preempted. */
#include <linux/pid.h>
#include <linux/sched.h>
#include <linux/sched/task.h>
#include "cpu/regs.h"
#include "irq/halt.h"
#include "spin.h"
#include "vm.h"

bool spin_yield_to(struct vcpu *target)
{
	struct task_struct *task = NULL;
	struct pid *pid;
	int ret;

	rcu_read_lock();
	pid = rcu_dereference(target->pid);
	if (pid)
		task = get_pid_task(pid, PIDTYPE_PID);
	rcu_read_unlock();
	if (!task)
		return false;
	ret = yield_to(task, true);
	put_task_struct(task);
	return ret > 0;
}

/* Start behind whoever was chosen last, so that all get their turn. */
static void yield_to_any(struct vcpu *me)
{
	struct vm *vm = me->vm;
	int nr = smp_load_acquire(&vm->nr_vcpus);
	int i, start = READ_ONCE(vm->last_boosted) + 1;

	for (i = 0; i < nr; i++) {
		int index = (start + i) % nr;
		struct vcpu *vcpu = xa_load(&vm->vcpus, index);

		if (!vcpu || vcpu == me || !READ_ONCE(vcpu->preempted) || !halt_wakes(vcpu))
			continue;
		if (spin_yield_to(vcpu)) {
			WRITE_ONCE(vm->last_boosted, index);
			return;
		}
	}
}

int pause_exit(struct vcpu *vcpu, struct vcpu_exit *exit)
{
	yield_to_any(vcpu);
	return vcpu_skip_insn(vcpu);
}
