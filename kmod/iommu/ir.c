// SPDX-License-Identifier: GPL-2.0-only
/*
 * Posting by hardware: irqfds as consumers of irq bypass, and the notification side of descriptors.
 * How the pieces fit: Documentation/posting.rst.
 */
#include <linux/irq.h>
#include <linux/mm.h>
#include <linux/moduleparam.h>
#include <linux/rcuwait.h>
#include <asm/apic.h>
#include <asm/irq.h>
#include <asm/irq_remapping.h>
#include <asm/irq_vectors.h>
#include "backend.h"
#include "compat.h"
#include "iommu/desc.h"
#include "iommu/ir.h"
#include "irq/lapic.h"
#include "irq/route.h"
#include "vm.h"

#ifdef CORBEL_TEST_POSTING
static bool test_posting;
module_param(test_posting, bool, 0444);
MODULE_PARM_DESC(test_posting,
		 "Post to any chip that takes it: for the tests' posting agent (default: no)");
#else
#define test_posting	false
#endif

/* vCPUs that were halted on a CPU and are woken by a notification to it. */
static DEFINE_PER_CPU(struct hlist_head, sleepers);
static DEFINE_PER_CPU(raw_spinlock_t, sleepers_lock) = __RAW_SPIN_LOCK_UNLOCKED(sleepers_lock);

/* Where interrupts go */

/* Not all remapping chips look whether their hardware can post before they order it to. */
static bool host_posts(void)
{
	return caps.posted && (irq_remapping_cap(IRQ_POSTING_CAP) || test_posting);
}

/*
 * The one vCPU a GSI's message goes to; NULL if there is none or are several, or if it takes
 * software to deliver it.
 */
static struct vcpu *postable(struct vm *vm, u32 gsi, u32 *vector)
{
	struct lapic *found[LAPIC_MAP_FOUND];
	struct lapic_irq irq;
	int n;

	if (!route_message(vm, gsi, &irq))
		return NULL;
	if (irq.delivery_mode > LAPIC_LOWEST || irq.trig_mode || irq.vector < 16)
		return NULL;
	*vector = irq.vector;
	rcu_read_lock();
	n = lapic_map_find(vm, &irq, found);
	rcu_read_unlock();
	return n == 1 ? found[0]->vcpu : NULL;
}

/*
 * vCPUs that sleep already must do so anew, to be woken by hardware, and find what it has posted
 * until then. There is no way back: looking whether it is still needed would cost more than it
 * saves.
 */
static void posts_begin(struct vm *vm)
{
	struct vcpu *vcpu;
	int i;

	if (vm->irq.ir.posts)
		return;
	WRITE_ONCE(vm->irq.ir.posts, true);
	smp_mb();	/* flag before who sleeps; a vCPU says that it sleeps, then looks at it */
	vm_for_each_vcpu(i, vcpu, vm)
		vcpu_kick(vcpu);
}

static bool post(struct ir_bypass *bypass)
{
	struct vcpu_data to = {};
	struct vcpu *vcpu = host_posts() ? postable(bypass->vm, bypass->gsi, &to.vector) : NULL;

	if (!vcpu)
		return false;
	to.pi_desc_addr = __pa(vcpu->irq.ir.desc);
	if (irq_set_vcpu_affinity(bypass->host_irq, &to))
		return false;
	posts_begin(bypass->vm);
	return true;
}

/*
 * ir.lock held, vm->srcu too. Nothing has to stand still meanwhile: an interrupt goes either way,
 * and both lead to the vCPU.
 */
static void aim(struct ir_bypass *bypass)
{
	bool posted = post(bypass);

	if (bypass->posted && !posted)
		irq_set_vcpu_affinity(bypass->host_irq, NULL);
	bypass->posted = posted;
}

/* ir.lock held. */
static void recount(struct vm *vm)
{
	struct ir_bypass *bypass;
	u64 posted = 0, all = 0;

	list_for_each_entry(bypass, &vm->irq.ir.bypasses, link) {
		posted += bypass->posted;
		all++;
	}
	vm->stats.irqfds_posted = posted;
	vm->stats.irqfds_remapped = all - posted;
}

void ir_update(struct vm *vm)
{
	int srcu = srcu_read_lock(&vm->srcu);
	struct ir_bypass *bypass;
	unsigned long flags;

	spin_lock_irqsave(&vm->irq.ir.lock, flags);
	list_for_each_entry(bypass, &vm->irq.ir.bypasses, link)
		aim(bypass);
	recount(vm);
	spin_unlock_irqrestore(&vm->irq.ir.lock, flags);
	srcu_read_unlock(&vm->srcu, srcu);
}

/* Irq bypass: a device with our eventfd comes and goes */

static int add_producer(struct irq_bypass_consumer *consumer, struct irq_bypass_producer *producer)
{
	struct ir_bypass *bypass = container_of(consumer, struct ir_bypass, consumer);
	struct vm *vm = bypass->vm;
	int srcu = srcu_read_lock(&vm->srcu);

	spin_lock_irq(&vm->irq.ir.lock);
	bypass->host_irq = producer->irq;
	list_add_tail(&bypass->link, &vm->irq.ir.bypasses);
	aim(bypass);
	recount(vm);
	spin_unlock_irq(&vm->irq.ir.lock);
	srcu_read_unlock(&vm->srcu, srcu);
	return 0;
}

static void del_producer(struct irq_bypass_consumer *consumer, struct irq_bypass_producer *producer)
{
	struct ir_bypass *bypass = container_of(consumer, struct ir_bypass, consumer);
	struct vm *vm = bypass->vm;

	spin_lock_irq(&vm->irq.ir.lock);
	if (bypass->posted)
		irq_set_vcpu_affinity(bypass->host_irq, NULL);
	bypass->posted = false;
	list_del(&bypass->link);
	recount(vm);
	spin_unlock_irq(&vm->irq.ir.lock);
}

void ir_connect(struct ir_bypass *bypass, struct vm *vm, u32 gsi, void *token)
{
	bypass->vm = vm;
	bypass->gsi = gsi;
	bypass->consumer.token = token;
	bypass->consumer.add_producer = add_producer;
	bypass->consumer.del_producer = del_producer;
	irq_bypass_register_consumer(&bypass->consumer);
}

void ir_disconnect(struct ir_bypass *bypass)
{
	irq_bypass_unregister_consumer(&bypass->consumer);	/* knows if it is not registered */
}

/* Whom a notification reaches */

static u64 notify(int cpu, u8 vector)
{
	u32 id = cpu_physical_id(cpu);

	return desc_control(x2apic_mode ? id : id << 8, vector);
}

static void wake(bool all)
{
	raw_spinlock_t *lock = this_cpu_ptr(&sleepers_lock);
	struct vcpu *vcpu;

	raw_spin_lock(lock);
	hlist_for_each_entry(vcpu, this_cpu_ptr(&sleepers), irq.ir.link)
		if (all || desc_on(vcpu->irq.ir.desc))
			rcuwait_wake_up(&vcpu->wait);
	raw_spin_unlock(lock);
}

/* The wake-up vector. */
static void wake_posted(void)
{
	wake(false);
}

void ir_cpu_off(void)
{
	wake(true);
}

/* Not woken for what it cannot take: it would look, leave ON set, and be woken for ever. */
static bool sleeps(struct vcpu *vcpu)
{
	return rcuwait_active(&vcpu->wait) && vcpu->irq.mp_state == KVM_MP_STATE_HALTED &&
	       lapic_mode(vcpu) != LAPIC_DISABLED && inject_irq_allowed(vcpu);
}

/*
 * The run queue's lock is held, so the thread cannot be woken from here: an interrupt does it as
 * soon as it is off the CPU. The nesting tells lockdep that no CPU waits for another's sleepers
 * there.
 */
static void fall_asleep(struct vcpu *vcpu, int cpu)
{
	raw_spinlock_t *lock = per_cpu_ptr(&sleepers_lock, cpu);
	struct vcpu_ir *ir = &vcpu->irq.ir;
	unsigned long flags;

	local_irq_save(flags);
	raw_spin_lock_nested(lock, SINGLE_DEPTH_NESTING);
	ir->cpu = cpu;
	hlist_add_head(&ir->link, per_cpu_ptr(&sleepers, cpu));
	raw_spin_unlock(lock);
	if (desc_point(ir->desc, notify(cpu, POSTED_INTR_WAKEUP_VECTOR)) & BIT_ULL(POSTED_ON))
		compat_send_ipi(cpu, POSTED_INTR_WAKEUP_VECTOR);
	local_irq_restore(flags);
}

static void awoken(struct vcpu *vcpu)
{
	struct vcpu_ir *ir = &vcpu->irq.ir;
	raw_spinlock_t *lock = per_cpu_ptr(&sleepers_lock, ir->cpu);
	unsigned long flags;

	raw_spin_lock_irqsave(lock, flags);
	hlist_del(&ir->link);
	raw_spin_unlock_irqrestore(lock, flags);
	vcpu->stats.posted_wakeups += desc_on(ir->desc);
}

static noinline void point_here(struct vcpu *vcpu, u64 here, u64 now)
{
	if (desc_nv(now) == POSTED_INTR_WAKEUP_VECTOR)
		awoken(vcpu);
	desc_point_here(vcpu->irq.ir.desc, here);
}

void ir_vcpu_load(struct vcpu *vcpu, int cpu)
{
	struct posted_desc *desc = vcpu->irq.ir.desc;
	u64 here, now;

	if (!desc)
		return;
	here = notify(cpu, POSTED_INTR_VECTOR);
	now = READ_ONCE(desc->control);
	if (unlikely((now & ~BIT_ULL(POSTED_ON)) != here))
		point_here(vcpu, here, now);
}

static noinline void stop_notifying(struct vcpu *vcpu, int cpu)
{
	if (sleeps(vcpu))
		fall_asleep(vcpu, cpu);
	else	/* it looks when it comes back */
		set_bit(POSTED_SN, (unsigned long *)&vcpu->irq.ir.desc->control);
}

void ir_vcpu_put(struct vcpu *vcpu, int cpu)
{
	if (unlikely(READ_ONCE(vcpu->vm->irq.ir.posts)) && vcpu->irq.ir.desc)
		stop_notifying(vcpu, cpu);
}

/* Life */

void ir_vm_init(struct vm *vm)
{
	spin_lock_init(&vm->irq.ir.lock);
	INIT_LIST_HEAD(&vm->irq.ir.bypasses);
}

/* The handler is one for the whole kernel: only while we hold what keeps KVM away. */
int ir_module_init(void)
{
	if (caps.posted)
		kvm_set_posted_intr_wakeup_handler(wake_posted);
	return 0;
}

void ir_module_exit(void)
{
	if (caps.posted)
		kvm_set_posted_intr_wakeup_handler(NULL);
}
