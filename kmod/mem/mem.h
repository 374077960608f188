/* SPDX-License-Identifier: GPL-2.0-only */
/* Memory slots, guest memory access by address, dirty log, MMU notifier. */
#ifndef CORBEL_MEM_H
#define CORBEL_MEM_H

#include <linux/list.h>
#include "types.h"

#define CORBEL_NR_MEMSLOTS	1024	/* KVM_CAP_NR_MEMSLOTS */

struct slots;		/* immutable snapshot of all slots: slots.h */
struct mem_notifier;	/* one per mm, however many VMs it has: notifier.h */

struct vm_mem {
	struct slots __rcu *slots;	/* replaced under slots_lock, read under vm->srcu */
	struct slots *retired;		/* snapshots to free after a grace period; slots_lock */
	struct mem_notifier *notifier;
	struct list_head attached;	/* on the notifier's list of VMs */
	/* KVM_DIRTY_LOG_MANUAL_PROTECT_ENABLE, _INITIALLY_SET; slots_lock */
	u32 manual_dirty;
	u32 ring_bytes;		/* of each vCPU's dirty ring; 0: there are bitmaps; vm->lock */
};

int mem_module_init(void);
void mem_module_exit(void);		/* waits for the last notifier to be freed */

/*
 * mem_vm_init(): after mmu_vm_init(); vm->mm is current->mm, srcu and the locks are initialized.
 * mem_vm_destroy(): no vCPU runs any more; before mmu_vm_destroy() and cleanup_srcu_struct(). It
 * waits for notifier callbacks in flight.
 */
int mem_vm_init(struct vm *vm);
void mem_vm_destroy(struct vm *vm);

/*
 * The ioctls. Context: the owner's mm is current->mm; sleep; take slots_lock themselves, so
 * vm->srcu not held. Error codes are KVM's: Documentation/api.rst.
 */
int slots_set_region(struct vm *vm, const struct kvm_userspace_memory_region *region);
int slots_get_dirty_log(struct vm *vm, const struct kvm_dirty_log *log);
int slots_clear_dirty_log(struct vm *vm, const struct kvm_clear_dirty_log *log);
/* Return: how many entries were given back */
int slots_reset_rings(struct vm *vm);

/*
 * Read, write guest-physical memory through the owner's address space. Across pages and slots. Mark
 * dirty, for which the vCPU is the one that the thread runs.
 * Return: 0, or -EFAULT if a byte is not backed by a slot or its page cannot be had (for
 * writes also: read-only slot). Context: may sleep, the owner's mm is current->mm, vm->srcu held.
 */
int guest_read(struct vm *vm, gpa_t gpa, void *buf, unsigned int len);
int guest_write(struct vcpu *vcpu, gpa_t gpa, const void *buf, unsigned int len);

/*
 * For the emulator and the page walker, which come back to the same slot again and again: within a
 * page. guest_read_entry() and guest_write_entry() move 4 or 8 aligned bytes at once.
 */
int guest_read_near(struct vcpu *vcpu, gpa_t gpa, void *buf, unsigned int len);
int guest_read_entry(struct vcpu *vcpu, gpa_t gpa, u64 *entry, unsigned int size);
int guest_write_entry(struct vcpu *vcpu, gpa_t gpa, u64 entry, unsigned int size);

/**
 * guest_cmpxchg() - compare and exchange in guest memory, atomic against the guest
 * @len: 1, 2, 4 or 8; the operand does not cross a page
 * Return: 0 exchanged, 1 memory held something else (now in *old), -EFAULT
 */
int guest_cmpxchg(struct vcpu *vcpu, gpa_t gpa, u64 *old, u64 new, unsigned int len);

/**
 * slots_hva() - host address of a guest-physical one
 * @write: refuse read-only slots
 * Return: 0 if there is no slot. Context: vm->srcu held; valid while vm->mem.slots does not change.
 */
hva_t slots_hva(struct vm *vm, gpa_t gpa, bool write);

/**
 * slots_mark_dirty() - the vCPU, or the kernel for it, wrote this page. Context: vm->srcu held.
 */
void slots_mark_dirty(struct vcpu *vcpu, gfn_t gfn);

#endif
