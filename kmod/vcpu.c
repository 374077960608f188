// SPDX-License-Identifier: GPL-2.0-only
/* vCPU lifetime, which CPU it is loaded on, how it is woken and kicked. */
#include <linux/gfp.h>
#include <linux/pid.h>
#include <linux/sched.h>
#include <linux/slab.h>
#include <linux/smp.h>
#include "api/api.h"
#include "backend.h"
#include "compat.h"
#include "cpu/regs.h"
#include "irq/lapic.h"
#include "stats.h"
#include "vm.h"

void vcpu_kick(struct vcpu *vcpu)
{
	int cpu, me;

	if (rcuwait_wake_up(&vcpu->wait))
		return;
	me = get_cpu();
	/* Request before mode: pairs with the barrier of the entry. Only the winner interrupts. */
	if (cmpxchg(&vcpu->mode, VCPU_IN_GUEST, VCPU_EXITING) == VCPU_IN_GUEST) {
		cpu = READ_ONCE(vcpu->cpu);
		if (cpu >= 0 && cpu != me)
			compat_kick_cpu(cpu);
	}
	put_cpu();
}

static void load_here(struct vcpu *vcpu, int cpu)
{
	vcpu->cpu = cpu;
	backend_call(vcpu_load)(vcpu, cpu);
	ir_vcpu_load(vcpu, cpu);
	cpu_vcpu_load(vcpu);
	vcpu->last_cpu = cpu;
	vcpu->cache_tainted = true;
}

static void put_here(struct vcpu *vcpu, bool preempted)
{
	ir_vcpu_put(vcpu, vcpu->cpu);
	cpu_vcpu_put(vcpu, preempted);
	backend_call(vcpu_put)(vcpu);
	vcpu->cpu = -1;
}

static void vcpu_sched_in(struct preempt_notifier *notifier, int cpu)
{
	struct vcpu *vcpu = container_of(notifier, struct vcpu, preempt);

	WRITE_ONCE(vcpu->preempted, false);
	load_here(vcpu, cpu);
}

static void vcpu_sched_out(struct preempt_notifier *notifier, struct task_struct *next)
{
	struct vcpu *vcpu = container_of(notifier, struct vcpu, preempt);
	bool preempted = !READ_ONCE(current->__state);

	WRITE_ONCE(vcpu->preempted, preempted);
	put_here(vcpu, preempted);
}

static struct preempt_ops vcpu_preempt_ops = {
	.sched_in = vcpu_sched_in,
	.sched_out = vcpu_sched_out,
};

void vcpu_load(struct vcpu *vcpu)
{
	int cpu = get_cpu();

	preempt_notifier_register(&vcpu->preempt);
	load_here(vcpu, cpu);
	put_cpu();
}

void vcpu_put(struct vcpu *vcpu)
{
	preempt_disable();
	put_here(vcpu, false);
	preempt_notifier_unregister(&vcpu->preempt);
	preempt_enable();
}

/* Context: vCPU loaded. */
void vcpu_reset(struct vcpu *vcpu, bool init)
{
	backend.vcpu_reset(vcpu);
	cpu_vcpu_reset(vcpu, init);
	irq_vcpu_reset(vcpu, init);
	events_reset(vcpu);
	vcpu_request(vcpu, REQ_MMU_RELOAD);
	vcpu_request(vcpu, REQ_TLB_FLUSH_GUEST);
	vcpu_request(vcpu, REQ_EVENT);
}

static void pages_free(struct vcpu *vcpu)
{
	free_page((unsigned long)vcpu->run);
	free_page((unsigned long)vcpu->pio_data);
}

static int pages_alloc(struct vcpu *vcpu)
{
	vcpu->run = (void *)get_zeroed_page(GFP_KERNEL_ACCOUNT);
	vcpu->pio_data = (void *)get_zeroed_page(GFP_KERNEL_ACCOUNT);
	if (vcpu->run && vcpu->pio_data)
		return 0;
	pages_free(vcpu);
	return -ENOMEM;
}

static int hw_create(struct vcpu *vcpu)
{
	return backend.vcpu_create(vcpu);
}

static void hw_destroy(struct vcpu *vcpu)
{
	backend.vcpu_destroy(vcpu);
}

/* Rooms of a vCPU in the order in which they come and, backwards, go. */
static const struct {
	int (*init)(struct vcpu *vcpu);
	void (*destroy)(struct vcpu *vcpu);
} rooms[] = {
	{ pages_alloc, pages_free },
	{ ring_vcpu_init, ring_vcpu_destroy },
	{ irq_vcpu_init, irq_vcpu_destroy },
	{ hw_create, hw_destroy },
	{ cpu_vcpu_init, cpu_vcpu_destroy },
	{ mmu_vcpu_init, mmu_vcpu_destroy },
};

static int rooms_init(struct vcpu *vcpu)
{
	int i, ret;

	for (i = 0; i < ARRAY_SIZE(rooms); i++) {
		ret = rooms[i].init(vcpu);
		if (!ret)
			continue;
		while (i--)
			rooms[i].destroy(vcpu);
		return ret;
	}
	return 0;
}

void vcpu_destroy(struct vcpu *vcpu)
{
	int i;

	for (i = ARRAY_SIZE(rooms); i--;)
		rooms[i].destroy(vcpu);
	put_pid(rcu_dereference_protected(vcpu->pid, 1));
	stats_live(LIVE_VCPUS, -1);
	kfree(vcpu);
}

static struct vcpu *vcpu_alloc(struct vm *vm, u32 id)
{
	struct vcpu *vcpu = kzalloc(sizeof(*vcpu), GFP_KERNEL_ACCOUNT);
	int ret;

	if (!vcpu)
		return ERR_PTR(-ENOMEM);
	vcpu->vm = vm;
	vcpu->id = id;
	vcpu->index = vm->nr_vcpus;
	vcpu->cpu = -1;
	vcpu->last_cpu = -1;
	vcpu->mmu.root = INVALID_HPA;
	mutex_init(&vcpu->lock);
	rcuwait_init(&vcpu->wait);
	preempt_notifier_init(&vcpu->preempt, &vcpu_preempt_ops);
	ret = rooms_init(vcpu);
	if (ret) {
		kfree(vcpu);
		return ERR_PTR(ret);
	}
	stats_live(LIVE_VCPUS, 1);
	vcpu_load(vcpu);
	vcpu_reset(vcpu, false);
	vcpu_put(vcpu);
	return vcpu;
}

static int id_check(struct vm *vm, u32 id)
{
	if (id >= (vm->max_vcpu_ids ?: CORBEL_MAX_VCPU_IDS) || vm->nr_vcpus >= CORBEL_MAX_VCPUS)
		return -EINVAL;
	return vm_vcpu_by_id(vm, id) ? -EEXIST : 0;
}

/*
 * Context: vm->lock held. The descriptor comes last of what may fail, publication after it cannot.
 */
static int create_locked(struct vm *vm, u32 id)
{
	struct vcpu *vcpu;
	int fd, ret = id_check(vm, id);

	if (ret)
		return ret;
	vcpu = vcpu_alloc(vm, id);
	if (IS_ERR(vcpu))
		return PTR_ERR(vcpu);
	ret = xa_reserve(&vm->vcpus, vcpu->index, GFP_KERNEL_ACCOUNT);
	if (ret)
		goto destroy;
	fd = api_vcpu_fd(vcpu);
	if (fd < 0) {
		xa_release(&vm->vcpus, vcpu->index);
		ret = fd;
		goto destroy;
	}
	xa_store(&vm->vcpus, vcpu->index, vcpu, GFP_KERNEL_ACCOUNT);
	smp_store_release(&vm->nr_vcpus, vm->nr_vcpus + 1);
	irq_vcpu_ready(vcpu);
	return fd;

destroy:
	vcpu_destroy(vcpu);
	return ret;
}

int vcpu_create(struct vm *vm, u32 id)
{
	int ret;

	mutex_lock(&vm->lock);
	ret = create_locked(vm, id);
	mutex_unlock(&vm->lock);
	return ret;
}
