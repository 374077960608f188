/* SPDX-License-Identifier: GPL-2.0-only */
/* Port and memory-mapped I/O: one range registry per space, ioeventfd, the coalesced ring. */
#ifndef CORBEL_IO_H
#define CORBEL_IO_H

#include <linux/list.h>
#include <linux/spinlock.h>
#include "types.h"
#include "exit.h"

enum bus_space { BUS_MMIO, BUS_PIO, NR_BUS_SPACES };

#define BUS_MAX_DEVS	1000	/* of one space; one more registration fails with -ENOSPC */

struct bus;		/* sorted array of ranges; replaced under vm->irq_lock */

struct vm_io {
	struct bus __rcu *bus[NR_BUS_SPACES];
	struct list_head ioeventfds;		/* irq_lock */
	struct list_head coalesced_zones;	/* irq_lock */
	struct kvm_coalesced_mmio_ring *ring;	/* page 2 of every vCPU's mapping */
	spinlock_t ring_lock;			/* the kernel's end of the ring */
};

struct vcpu_io {		/* the port access that userspace has been asked for; vcpu->lock */
	u8 size;
	bool may_move;		/* registers were written outside of KVM_RUN: completed only if RIP is still at */
	gva_t linear_rip;
};

/* A device claims [base, base+len) of a space; len 0: accesses of any length at base. */
struct bus_dev {
	const struct bus_dev_ops *ops;
	u64 base;
	u32 len;
};

/*
 * Callbacks: 0 handled, -EOPNOTSUPP not mine (or NULL). They run in a vCPU thread with vm->srcu held
 * for reading or, for ports, interrupts off; they must not sleep nor switch interrupts on, and what vm->srcu guards
 * elsewhere they must lock themselves.
 */
struct bus_dev_ops {
	int (*read)(struct vcpu *vcpu, struct bus_dev *dev, u64 addr, int len, void *val);
	int (*write)(struct vcpu *vcpu, struct bus_dev *dev, u64 addr, int len, const void *val);
	void (*release)(struct bus_dev *dev);	/* VM destruction or unregistration; may be NULL */
};

static inline int bus_dev_read(struct vcpu *vcpu, struct bus_dev *dev, u64 addr, int len, void *val)
{
	return dev->ops->read ? dev->ops->read(vcpu, dev, addr, len, val) : -EOPNOTSUPP;
}

static inline int bus_dev_write(struct vcpu *vcpu, struct bus_dev *dev, u64 addr, int len, const void *val)
{
	return dev->ops->write ? dev->ops->write(vcpu, dev, addr, len, val) : -EOPNOTSUPP;
}

int io_vm_init(struct vm *vm);
void io_vm_destroy(struct vm *vm);		/* before cleanup_srcu_struct(&vm->srcu) */

/**
 * bus_attach() - let a device answer for its range
 * Context: vm->irq_lock held, sleeps. Return: 0, -ENOMEM, -ENOSPC
 */
int bus_attach(struct vm *vm, enum bus_space space, struct bus_dev *dev);

/**
 * bus_detach() - take a device off the bus; its release() has been called at return
 * Context: vm->irq_lock held; waits for vm->srcu readers. Cannot fail.
 */
void bus_detach(struct vm *vm, enum bus_space space, struct bus_dev *dev);

/* 0: a device in the kernel took it; -EOPNOTSUPP: userspace must. vm->srcu held for reading, or interrupts off. */
int bus_read(struct vcpu *vcpu, enum bus_space space, u64 addr, int len, void *val);
int bus_write(struct vcpu *vcpu, enum bus_space space, u64 addr, int len, const void *val);

/** bus_find() - the device that is asked first, or NULL; it may refuse. Context: as above */
struct bus_dev *bus_find(struct vm *vm, enum bus_space space, u64 addr, int len);

int ioeventfd_set(struct vm *vm, const struct kvm_ioeventfd *args);

int coalesced_register(struct vm *vm, const struct kvm_coalesced_mmio_zone *zone);
int coalesced_unregister(struct vm *vm, const struct kvm_coalesced_mmio_zone *zone);
int coalesced_vm_init(struct vm *vm);
void coalesced_vm_destroy(struct vm *vm);

/* Exit handlers */
int pio_exit(struct vcpu *vcpu, struct vcpu_exit *exit);		/* EXIT_IO */

/** pio_hold() - RIP or CS may change outside of KVM_RUN. Context: vCPU loaded */
void pio_hold(struct vcpu *vcpu);

/**
 * pio_fast() - let a device in the kernel serve IN or OUT with interrupts off
 * Return: done, RIP advanced; false: exit_handle() goes on, and need not ask the devices again
 */
bool pio_fast(struct vcpu *vcpu, struct vcpu_exit *exit);

/**
 * pio_user_exit() - describe a port access in kvm_run
 * @in: IN or INS; @size: 1, 2, 4; @count: elements, count * size <= PAGE_SIZE
 * @data: what is written, NULL for @in: the answer will be in vcpu->pio_data
 * The caller sets vcpu->complete. Return: TO_USER
 */
int pio_user_exit(struct vcpu *vcpu, bool in, u16 port, unsigned int size, unsigned int count,
		  const void *data);

#endif
