/* SPDX-License-Identifier: GPL-2.0-only */
/* The paravirtual MMU: CORBEL_HC_MMU_UPDATE of <linux/corbel.h>. */
#ifndef CORBEL_PVMMU_H
#define CORBEL_PVMMU_H

#include "types.h"

/**
 * pvmmu_update() - write entries of the guest's page tables, and have the shadow follow
 * @list: guest-physical address of struct corbel_mmu_update[@count]
 * @flags: CORBEL_MMU_*
 * @gva: whose translations go then, with CORBEL_MMU_FLUSH_ADDR
 * Context: the vCPU's thread, vm->srcu held, may sleep. Return: entries written, or a KVM_E* number,
 * negative
 */
long pvmmu_update(struct vcpu *vcpu, gpa_t list, unsigned long count, unsigned long flags,
		  gva_t gva);

/**
 * pvmmu_update_fast() - one entry, if nothing has to be waited for; with shadow tables only
 * Context: interrupts off. Return: done; false: nothing has happened
 */
bool pvmmu_update_fast(struct vcpu *vcpu, gpa_t list, unsigned long count, unsigned long flags,
		       gva_t gva);

#endif
