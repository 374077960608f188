// SPDX-License-Identifier: GPL-2.0-only
/*
 * Interrupts raised by an eventfd. A message is sent from the wake-up itself, in hard-interrupt
 * context with the eventfd's lock held; pins need the PIC and IOAPIC and are driven from a work.
 *
 * An irqfd ends by KVM_IRQFD_FLAG_DEASSIGN, by the last close of the eventfd, or with the VM. All
 * three unlink it under vm->irq.irqfd.lock, so that only one of them queues its end.
 */
#include <linux/eventfd.h>
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/poll.h>
#include <linux/rculist.h>
#include <linux/slab.h>
#include <linux/workqueue.h>
#include "compat.h"
#include "vm.h"
#include "route.h"

struct irqfd {
	struct vm *vm;
	struct eventfd_ctx *eventfd;
	u32 gsi;
	struct list_head link;		/* vm->irq.irqfd.items; empty once its end is queued */
	wait_queue_entry_t wait;
	poll_table pt;
	struct work_struct inject;
	struct work_struct shutdown;
	struct eventfd_ctx *resamplefd;	/* NULL: edge-triggered; else signalled at each EOI */
	struct route_ack ack;
	struct ir_bypass bypass;	/* edge-triggered: hardware may do without us */
};

void irqfd_vm_init(struct vm *vm)
{
	spin_lock_init(&vm->irq.irqfd.lock);
	INIT_LIST_HEAD(&vm->irq.irqfd.items);
}

/* Injection */

static void irqfd_inject(struct work_struct *work)
{
	struct irqfd *irqfd = container_of(work, struct irqfd, inject);

	if (irqfd->resamplefd) {	/* up until an EOI of the guest lowers it: route_acked() */
		irq_set_gsi(irqfd->vm, IRQ_SOURCE_RESAMPLE, irqfd->gsi, 1);
	} else {
		irq_set_gsi(irqfd->vm, IRQ_SOURCE_USER, irqfd->gsi, 1);
		irq_set_gsi(irqfd->vm, IRQ_SOURCE_USER, irqfd->gsi, 0);
	}
}

static void irqfd_acked(struct route_ack *ack)
{
	compat_eventfd_signal(container_of(ack, struct irqfd, ack)->resamplefd);
}

/* Life */

/* irqfd.lock held. */
static void irqfd_queue_shutdown(struct irqfd *irqfd)
{
	list_del_init(&irqfd->link);
	queue_work(irqfd->vm->irq.irqfd.wq, &irqfd->shutdown);
}

static int irqfd_wakeup(wait_queue_entry_t *wait, unsigned int mode, int sync, void *key)
{
	struct irqfd *irqfd = container_of(wait, struct irqfd, wait);
	__poll_t events = key_to_poll(key);
	struct vm *vm = irqfd->vm;
	unsigned long flags;
	u64 count;

	if (events & EPOLLIN) {
		eventfd_ctx_do_read(irqfd->eventfd, &count);
		if (irqfd->resamplefd || !route_send_gsi(vm, irqfd->gsi))
			schedule_work(&irqfd->inject);
	}
	if (events & EPOLLHUP) {
		spin_lock_irqsave(&vm->irq.irqfd.lock, flags);
		if (!list_empty(&irqfd->link))
			irqfd_queue_shutdown(irqfd);
		spin_unlock_irqrestore(&vm->irq.irqfd.lock, flags);
	}
	return 0;
}

static void irqfd_poll_queue(struct file *file, wait_queue_head_t *head, poll_table *pt)
{
	struct irqfd *irqfd = container_of(pt, struct irqfd, pt);

	add_wait_queue_priority(head, &irqfd->wait);
}

static void irqfd_free(struct irqfd *irqfd)
{
	if (irqfd->resamplefd) {
		mutex_lock(&irqfd->vm->irq_lock);
		route_ack_unregister(irqfd->vm, &irqfd->ack);
		mutex_unlock(&irqfd->vm->irq_lock);
		eventfd_ctx_put(irqfd->resamplefd);
		stats_live(LIVE_FILES, -1);
	}
	eventfd_ctx_put(irqfd->eventfd);
	stats_live(LIVE_FILES, -1);
	kfree(irqfd);
}

static void irqfd_shutdown(struct work_struct *work)
{
	struct irqfd *irqfd = container_of(work, struct irqfd, shutdown);
	u64 count;

	/* Assignment may still be between publishing it and polling: it holds vm->srcu there. */
	synchronize_srcu_expedited(&irqfd->vm->srcu);
	if (!irqfd->resamplefd)
		ir_disconnect(&irqfd->bypass);
	eventfd_ctx_remove_wait_queue(irqfd->eventfd, &irqfd->wait, &count);
	flush_work(&irqfd->inject);
	irqfd_free(irqfd);
}

/* Assignment */

static int irqfd_resample(struct irqfd *irqfd, int fd)
{
	struct eventfd_ctx *resamplefd = eventfd_ctx_fdget(fd);

	if (IS_ERR(resamplefd))
		return PTR_ERR(resamplefd);
	stats_live(LIVE_FILES, 1);
	irqfd->resamplefd = resamplefd;
	irqfd->ack = (struct route_ack){
		.gsi = irqfd->gsi,
		.resample = true,
		.acked = irqfd_acked,
	};
	mutex_lock(&irqfd->vm->irq_lock);
	route_ack_register(irqfd->vm, &irqfd->ack);
	mutex_unlock(&irqfd->vm->irq_lock);
	return 0;
}

static int irqfd_publish(struct irqfd *irqfd)
{
	struct vm_irqfd *all = &irqfd->vm->irq.irqfd;
	struct irqfd *other;
	int err = 0;

	spin_lock_irq(&all->lock);
	list_for_each_entry(other, &all->items, link)
		if (other->eventfd == irqfd->eventfd)
			err = -EBUSY;
	if (!err)
		list_add_tail(&irqfd->link, &all->items);
	spin_unlock_irq(&all->lock);
	return err;
}

static struct irqfd *irqfd_alloc(struct vm *vm, struct eventfd_ctx *eventfd, u32 gsi)
{
	struct irqfd *irqfd = kzalloc(sizeof(*irqfd), GFP_KERNEL_ACCOUNT);

	if (!irqfd)
		return NULL;
	irqfd->vm = vm;
	irqfd->eventfd = eventfd;
	irqfd->gsi = gsi;
	INIT_LIST_HEAD(&irqfd->link);
	INIT_WORK(&irqfd->inject, irqfd_inject);
	INIT_WORK(&irqfd->shutdown, irqfd_shutdown);
	init_waitqueue_func_entry(&irqfd->wait, irqfd_wakeup);
	init_poll_funcptr(&irqfd->pt, irqfd_poll_queue);
	stats_live(LIVE_FILES, 1);
	return irqfd;
}

static int irqfd_assign_file(struct vm *vm, const struct kvm_irqfd *args, struct file *file)
{
	struct eventfd_ctx *eventfd = eventfd_ctx_fileget(file);
	struct irqfd *irqfd;
	int srcu, err = 0;

	if (IS_ERR(eventfd))
		return PTR_ERR(eventfd);
	irqfd = irqfd_alloc(vm, eventfd, args->gsi);
	if (!irqfd) {
		eventfd_ctx_put(eventfd);
		return -ENOMEM;
	}
	if (args->flags & KVM_IRQFD_FLAG_RESAMPLE)
		err = irqfd_resample(irqfd, args->resamplefd);
	srcu = srcu_read_lock(&vm->srcu);	/* its end waits until it is polled */
	if (!err)
		err = irqfd_publish(irqfd);
	/* What was signalled before is an interrupt too. */
	if (!err && vfs_poll(file, &irqfd->pt) & EPOLLIN)
		schedule_work(&irqfd->inject);
	if (!err && !irqfd->resamplefd)
		ir_connect(&irqfd->bypass, vm, irqfd->gsi, eventfd);
	srcu_read_unlock(&vm->srcu, srcu);
	if (err)
		irqfd_free(irqfd);
	return err;
}

/*
 * Made at first use. The VM's own: its end waits for its readers, who may sleep in a page fault
 * for ever.
 */
static int irqfd_need_workqueue(struct vm *vm)
{
	struct workqueue_struct **wq = &vm->irq.irqfd.wq;

	mutex_lock(&vm->irq_lock);
	if (!*wq)
		*wq = alloc_workqueue("corbel-irqfd", WQ_UNBOUND, 0);
	mutex_unlock(&vm->irq_lock);
	return *wq ? 0 : -ENOMEM;
}

static int irqfd_assign(struct vm *vm, const struct kvm_irqfd *args)
{
	struct file *file;
	int err;

	if (vm->irq.mode == IRQCHIP_NONE)
		return -EINVAL;
	if (args->flags & KVM_IRQFD_FLAG_RESAMPLE && vm->irq.mode != IRQCHIP_KERNEL)
		return -EINVAL;
	file = eventfd_fget(args->fd);
	if (IS_ERR(file))
		return PTR_ERR(file);
	err = irqfd_need_workqueue(vm) ?: irqfd_assign_file(vm, args, file);
	fput(file);
	return err;
}

static int irqfd_deassign(struct vm *vm, const struct kvm_irqfd *args)
{
	struct eventfd_ctx *eventfd = eventfd_ctx_fdget(args->fd);
	struct workqueue_struct *wq;
	struct irqfd *irqfd, *next;

	if (IS_ERR(eventfd))
		return PTR_ERR(eventfd);
	spin_lock_irq(&vm->irq.irqfd.lock);
	list_for_each_entry_safe(irqfd, next, &vm->irq.irqfd.items, link) {
		if (irqfd->eventfd == eventfd && irqfd->gsi == args->gsi)
			irqfd_queue_shutdown(irqfd);
	}
	spin_unlock_irq(&vm->irq.irqfd.lock);
	eventfd_ctx_put(eventfd);
	wq = READ_ONCE(vm->irq.irqfd.wq);
	if (wq)
		flush_workqueue(wq);	/* no interrupt after the ioctl has returned */
	return 0;
}

int irqfd_set(struct vm *vm, const struct kvm_irqfd *args)
{
	if (args->flags & ~(KVM_IRQFD_FLAG_DEASSIGN | KVM_IRQFD_FLAG_RESAMPLE))
		return -EINVAL;
	if (args->flags & KVM_IRQFD_FLAG_DEASSIGN)
		return irqfd_deassign(vm, args);
	return irqfd_assign(vm, args);
}

void irqfd_release(struct vm *vm)
{
	struct irqfd *irqfd, *next;

	spin_lock_irq(&vm->irq.irqfd.lock);
	list_for_each_entry_safe(irqfd, next, &vm->irq.irqfd.items, link)
		irqfd_queue_shutdown(irqfd);
	spin_unlock_irq(&vm->irq.irqfd.lock);
	if (vm->irq.irqfd.wq)
		destroy_workqueue(vm->irq.irqfd.wq);	/* runs what is queued */
	vm->irq.irqfd.wq = NULL;
}
