// SPDX-License-Identifier: GPL-2.0-only
/* VM objects: create, find, ask all vCPUs, kill, destroy. */
#include <linux/cpumask.h>
#include <linux/percpu.h>
#include <linux/preempt.h>
#include <linux/sched/mm.h>
#include <linux/slab.h>
#include <linux/smp.h>
#include "api/api.h"
#include "stats.h"
#include "vm.h"

/* CPUs to interrupt: too big for the stack, and the caller may be atomic. */
static DEFINE_PER_CPU(cpumask_var_t, kick_mask);

static void masks_free(void)
{
	int cpu;

	for_each_possible_cpu(cpu) {
		free_cpumask_var(per_cpu(kick_mask, cpu));
#ifdef CONFIG_CPUMASK_OFFSTACK
		per_cpu(kick_mask, cpu) = NULL;
#endif
	}
}

static int masks_alloc(void)
{
	int cpu;

	for_each_possible_cpu(cpu)
		if (!zalloc_cpumask_var_node(&per_cpu(kick_mask, cpu), GFP_KERNEL, cpu_to_node(cpu))) {
			masks_free();
			return -ENOMEM;
		}
	return 0;
}

/*
 * The scheduler calls preempt notifiers for as long as the module is there: switching that on with
 * the first VM, and off with the last, would patch the kernel's text on all CPUs each time.
 */
int vm_module_init(void)
{
	int ret = masks_alloc();

	if (!ret)
		preempt_notifier_inc();
	return ret;
}

void vm_module_exit(void)
{
	preempt_notifier_dec();
	masks_free();
}

struct vcpu *vm_vcpu_by_id(struct vm *vm, u32 id)
{
	struct vcpu *vcpu;
	int i;

	/* Nearly always the ids are the indices. */
	if (id < smp_load_acquire(&vm->nr_vcpus)) {
		vcpu = xa_load(&vm->vcpus, id);
		if (vcpu && vcpu->id == id)
			return vcpu;
	}
	vm_for_each_vcpu(i, vcpu, vm)
		if (vcpu->id == id)
			return vcpu;
	return NULL;
}

static void locks_init(struct vm *vm)
{
	mutex_init(&vm->lock);
	mutex_init(&vm->slots_lock);
	mutex_init(&vm->irq_lock);
	rwlock_init(&vm->mmu_lock);
	xa_init(&vm->vcpus);
	kref_init(&vm->users);
}

/* Rooms of a VM in the order in which they come and, backwards, go. */
static const struct {
	int (*init)(struct vm *vm);
	void (*destroy)(struct vm *vm);
} rooms[] = {
	{ cpu_vm_init, cpu_vm_destroy },
	{ mmu_vm_init, mmu_vm_destroy },
	{ mem_vm_init, mem_vm_destroy },
	{ io_vm_init, io_vm_destroy },
	{ irq_vm_init, irq_vm_destroy },
};

static void rooms_destroy(struct vm *vm, int nr)
{
	while (nr--)
		rooms[nr].destroy(vm);
}

static int rooms_init(struct vm *vm)
{
	int i, ret;

	for (i = 0; i < ARRAY_SIZE(rooms); i++) {
		ret = rooms[i].init(vm);
		if (ret) {
			rooms_destroy(vm, i);
			return ret;
		}
	}
	return 0;
}

static void vm_free(struct vm *vm)
{
	cleanup_srcu_struct(&vm->srcu);
	xa_destroy(&vm->vcpus);
	mmdrop(vm->mm);
	stats_live(LIVE_MMS, -1);
	stats_live(LIVE_VMS, -1);
	kvfree(vm);
}

static struct vm *vm_alloc(void)
{
	struct vm *vm = kvzalloc(sizeof(*vm), GFP_KERNEL_ACCOUNT);
	int ret;

	if (!vm)
		return ERR_PTR(-ENOMEM);
	locks_init(vm);
	ret = init_srcu_struct(&vm->srcu);
	if (ret) {
		kvfree(vm);
		return ERR_PTR(ret);
	}
	vm->mm = current->mm;
	mmgrab(vm->mm);
	vm->userspace_pid = task_pid_nr(current);
	stats_live(LIVE_MMS, 1);
	stats_live(LIVE_VMS, 1);
	ret = rooms_init(vm);
	if (ret) {
		vm_free(vm);
		return ERR_PTR(ret);
	}
	return vm;
}

/*
 * No descriptor is left, so no vCPU runs. They go last: until the rooms are gone, the MMU notifier,
 * a change of clocksource or the zapping of the tables ask all of them for something.
 */
static void vm_destroy(struct kref *users)
{
	struct vm *vm = container_of(users, struct vm, users);
	struct vcpu *vcpu;
	int i;

	stats_vm_destroy(vm);
	rooms_destroy(vm, ARRAY_SIZE(rooms));
	vm_for_each_vcpu(i, vcpu, vm)
		vcpu_destroy(vcpu);
	vm_free(vm);
}

void vm_put(struct vm *vm)
{
	kref_put(&vm->users, vm_destroy);
}

int vm_create(unsigned long type)
{
	struct vm *vm;
	int fd;

	if (type)
		return -EINVAL;
	vm = vm_alloc();
	if (IS_ERR(vm))
		return PTR_ERR(vm);
	fd = api_vm_fd(vm);
	if (fd < 0)
		vm_put(vm);
	return fd;
}

static void ack_ipi(void *unused)
{
}

static void request_all_wait(struct vm *vm, enum vcpu_req req)
{
	struct cpumask *mask;
	struct vcpu *vcpu;
	int i, cpu, me = get_cpu();

	mask = this_cpu_cpumask_var_ptr(kick_mask);
	cpumask_clear(mask);
	vm_for_each_vcpu(i, vcpu, vm) {
		vcpu_request(vcpu, req);
		smp_mb__after_atomic();	/* request before mode; pairs with the entry */
		cpu = READ_ONCE(vcpu->cpu);
		if (cmpxchg(&vcpu->mode, VCPU_IN_GUEST, VCPU_EXITING) != VCPU_OUTSIDE && cpu >= 0 &&
		    cpu != me)
			__cpumask_set_cpu(cpu, mask);
	}
	if (!cpumask_empty(mask))
		smp_call_function_many(mask, ack_ipi, NULL, true);
	put_cpu();
}

void vm_request_all(struct vm *vm, enum vcpu_req req, bool wait)
{
	struct vcpu *vcpu;
	int i;

	if (wait) {
		request_all_wait(vm, req);
		return;
	}
	vm_for_each_vcpu(i, vcpu, vm)
		vcpu_request_kick(vcpu, req);
}

void vm_kill(struct vm *vm)
{
	WRITE_ONCE(vm->dead, true);
	vm_request_all(vm, REQ_DEAD, false);
}
