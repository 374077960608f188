/* SPDX-License-Identifier: GPL-2.0-only */
/* Interrupts raised by an eventfd. */
#ifndef CORBEL_IRQFD_H
#define CORBEL_IRQFD_H

#include <linux/list.h>
#include <linux/spinlock.h>
#include "types.h"

struct vm_irqfd {
	spinlock_t lock;		/* interrupts off: the list */
	struct list_head items;
	struct workqueue_struct *wq;	/* where irqfds end; NULL, then one value under irq_lock */
};

void irqfd_vm_init(struct vm *vm);

/** irqfd_set() - KVM_IRQFD. Return: 0, -EINVAL, -EBADF, -EBUSY, -ENOMEM */
int irqfd_set(struct vm *vm, const struct kvm_irqfd *args);

/** irqfd_release() - the VM descriptor was closed: drop all, wait until none can fire any more */
void irqfd_release(struct vm *vm);

#endif
