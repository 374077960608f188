/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * struct vm: one virtual machine. Lock order, outermost first: Documentation/locking.rst.
 */
#ifndef CORBEL_VM_H
#define CORBEL_VM_H

#include <linux/kref.h>
#include <linux/list.h>
#include <linux/mutex.h>
#include <linux/srcu.h>
#include <linux/xarray.h>
#include "types.h"
#include "stats.h"
#include "vcpu.h"
#include "cpu/cpu.h"
#include "io/io.h"
#include "irq/irq.h"
#include "mem/mem.h"
#include "mmu/mmu.h"

#define CORBEL_MAX_VCPUS	1024	/* KVM_CAP_MAX_VCPUS */
#define CORBEL_MAX_VCPU_IDS	4096	/* KVM_CAP_MAX_VCPU_ID */

struct vm {
	struct kref users;		/* VM descriptor, vCPU and device descriptors, users in flight */
	struct mm_struct *mm;		/* mmgrab(): the address space; only its owner may use the descriptors */
	pid_t userspace_pid;
	bool dead;			/* killed: every KVM_RUN fails with -EIO */

	struct mutex lock;		/* vCPU creation, irqchip creation, capabilities */
	struct mutex slots_lock;	/* writers of mem.slots */
	struct mutex irq_lock;		/* writers of irq routing, irqfds and buses */
	rwlock_t mmu_lock;		/* read: TDP faults; write: zap, shadow */
	struct srcu_struct srcu;	/* slots, buses, routing */

	struct xarray vcpus;		/* index -> struct vcpu; grows only */
	int nr_vcpus;			/* published with smp_store_release() after the entry */
	u32 max_vcpu_ids;		/* KVM_CAP_MAX_VCPU_ID once enabled, else 0 */
	u32 bsp_id;
	int last_boosted;		/* spin.c: index of the vCPU that was yielded to last; racy on purpose */

	struct vm_mem mem;		/* mem/mem.h: slots, notifier */
	struct vm_mmu mmu;		/* mmu/mmu.h */
	struct vm_irq irq;		/* irq/irq.h: PIC, IOAPIC, PIT, routing, irqfds */
	struct vm_io io;		/* io/io.h: PIO and MMIO buses, coalesced zones */
	struct {
		struct list_head files;	/* VFIO's, of devices that the guest has; while open */
		bool open;
	} vfio;				/* api/dev.c; vm->lock */
	struct vm_cpu arch;		/* cpu/cpu.h: clock, TSC, MSR filter, capabilities switched on */
	struct vm_stats stats;
	struct dentry *debugfs;
	char name[32];			/* "pid-fd", the debugfs folder and statistics id */
};

#define vm_for_each_vcpu(i, vcpu, vm)						\
	for ((i) = 0; (i) < smp_load_acquire(&(vm)->nr_vcpus) &&		\
	     ((vcpu) = xa_load(&(vm)->vcpus, (i))); (i)++)

/** vm_vcpu_by_id() - by APIC id as created; NULL if there is none */
struct vcpu *vm_vcpu_by_id(struct vm *vm, u32 id);

int vm_module_init(void);
void vm_module_exit(void);
int vm_create(unsigned long type);		/* -> file descriptor or -errno */
static inline struct vm *vm_get(struct vm *vm)
{
	kref_get(&vm->users);
	return vm;
}
void vm_put(struct vm *vm);

/**
 * vm_request_all() - set a request on every vCPU and interrupt those in the guest
 * @wait: return only after each vCPU that was in the guest has left it
 * Context: any if !wait; interrupts on if wait.
 */
void vm_request_all(struct vm *vm, enum vcpu_req req, bool wait);

/** vm_kill() - the address space is gone: no vCPU enters again. Context: may hold mmu_lock. */
void vm_kill(struct vm *vm);

#endif
