// SPDX-License-Identifier: GPL-2.0-only
/*
 * The paravirtual MMU: a guest hands over many changes of its page tables in one exit. With nested
 * paging that is no more than so many stores.
 */
#include <linux/corbel.h>
#include <linux/kvm_para.h>
#include <linux/minmax.h>
#include <linux/srcu.h>
#include <linux/uaccess.h>
#include "backend.h"
#include "vm.h"
#include "cpu/regs.h"
#include "mem/mem.h"
#include "mmu/mmu.h"
#include "mmu/pvmmu.h"
#include "mmu/shadow.h"

#define CHUNK	MMU_WRITES	/* updates at a time: they are on the stack, and the lock is held for them */

/* Bytes in an entry of the guest's tables. */
static unsigned int entry_size(struct vcpu *vcpu)
{
	return regs_paging(vcpu) && !(cr4_get(vcpu) & X86_CR4_PAE) ? sizeof(u32) : sizeof(u64);
}

static bool is_entry(const struct corbel_mmu_update *u, unsigned int size)
{
	return !(u->gpa % size) && (size == sizeof(u64) || !(u->value >> 32));
}

/* In memory first: whoever fills the shadow at the same time then finds it, or we find what he filled. */
static long write_entry(struct vcpu *vcpu, const struct corbel_mmu_update *u, unsigned int size)
{
	if (!is_entry(u, size))
		return -KVM_EINVAL;
	return guest_write_entry(vcpu, u->gpa, u->value, size) ? -KVM_EFAULT : 0;
}

/* Return: how many were done; @error: why no more */
static unsigned int update_some(struct vcpu *vcpu, const struct corbel_mmu_update *list,
				unsigned int n, long *error)
{
	unsigned int size = entry_size(vcpu), i;

	if (vcpu->vm->mmu.shadow)
		shadow_update_start(vcpu, list, n);
	for (i = 0; i < n; i++) {
		*error = write_entry(vcpu, &list[i], size);
		if (*error)
			break;
	}
	if (vcpu->vm->mmu.shadow)
		shadow_updated(vcpu, list, i);
	return i;
}

static long update_all(struct vcpu *vcpu, gpa_t list, unsigned long count)
{
	struct corbel_mmu_update some[CHUNK];
	unsigned long done = 0;
	long error = 0;

	while (done < count && !error) {
		unsigned int n = min_t(unsigned long, count - done, CHUNK);

		if (guest_read(vcpu->vm, list + done * sizeof(*some), some, n * sizeof(*some)))
			error = -KVM_EFAULT;
		else
			done += update_some(vcpu, some, n, &error);
	}
	return done ?: error;
}

long pvmmu_update(struct vcpu *vcpu, gpa_t list, unsigned long count, unsigned long flags, gva_t gva)
{
	long ret;

	if (flags & ~(CORBEL_MMU_FLUSH | CORBEL_MMU_FLUSH_ADDR) || count > CORBEL_MMU_MAX_UPDATES || list % sizeof(u64))
		return -KVM_EINVAL;
	ret = update_all(vcpu, list, count);
	if (flags & CORBEL_MMU_FLUSH)
		mmu_flush_guest(vcpu);
	else if (flags & CORBEL_MMU_FLUSH_ADDR)
		mmu_flush_addr(vcpu, gva);
	return ret;
}

/* With page faults off */
static bool update_one(struct vcpu *vcpu, gpa_t list, gva_t *flush, bool *several)
{
	unsigned int size = entry_size(vcpu);
	struct corbel_mmu_update u;

	if (guest_read_near(vcpu, list, &u, sizeof(u)) || !is_entry(&u, size))
		return false;
	return shadow_try_update(vcpu, &u, size, flush, several);
}

bool pvmmu_update_fast(struct vcpu *vcpu, gpa_t list, unsigned long count, unsigned long flags,
		       gva_t gva)
{
	bool several, done;
	int idx;

	if (count != 1 || flags & ~CORBEL_MMU_FLUSH_ADDR || list % sizeof(u64) ||
	    offset_in_page(list) + sizeof(struct corbel_mmu_update) > PAGE_SIZE || !vcpu->vm->mmu.shadow)
		return false;
	idx = srcu_read_lock(&vcpu->vm->srcu);
	pagefault_disable();
	done = update_one(vcpu, list, flags ? &gva : NULL, &several);
	pagefault_enable();
	srcu_read_unlock(&vcpu->vm->srcu, idx);
	if (done && flags)
		backend_call(tlb_flush)(vcpu, several ? TLB_GUEST : TLB_GUEST_ADDR, gva);
	return done;
}
