/* SPDX-License-Identifier: GPL-2.0-only */
/* EPT and NPT tables of a VM: Documentation/mmu.rst. */
#ifndef CORBEL_TDP_H
#define CORBEL_TDP_H

#include "mem/pfn.h"
#include "mem/slots.h"
#include "mmu/fmt.h"

#define APIC_GFN	0xfee00		/* of the default APIC page */

extern struct fmt tdp_fmt;	/* the machine's, as far as its capabilities go; written at load */

int tdp_module_init(void);
int tdp_vm_init(struct vm *vm);
void tdp_vm_destroy(struct vm *vm);

/* What a guest-physical fault needs on its way from the exit to the entry. */
struct tdp_fault {
	gfn_t gfn;
	bool write, exec;
	bool walk;			/* hit on the way through the guest's own tables */
	bool atomic;			/* interrupts are off: nobody can be waited for */
	/* snapshot used: installing checks that it is still current */
	const struct slots *slots;
	struct slot *slot;		/* NULL: MMIO or the APIC page */
	hva_t hva;
	unsigned long seq;
	struct pfn pfn;
	int host_level;			/* of the host's page at hva, since seq */
	unsigned int nr_more;		/* pages behind this one, to be mapped by the way */
	hfn_t more[PFN_MORE];
};

/** fault_stale() - has what @fault has found changed meanwhile? Context: mmu_lock held */
bool fault_stale(struct vm *vm, const struct tdp_fault *fault);
/**
 * fault_find_page() - the frame for @fault->slot and gfn, into pfn. May sleep
 * @next: what the exit's handler returns if there is none. Return: found
 */
bool fault_find_page(struct vcpu *vcpu, struct tdp_fault *fault, int *next);
/** slot_fits() - is the page of @level around @gfn in the slot, and aligned alike in the host? */
bool slot_fits(const struct slot *slot, gfn_t gfn, int level);

/** tdp_fast_fault() - make a logged entry writable without a lock. vm->srcu held. */
bool tdp_fast_fault(struct vcpu *vcpu, const struct tdp_fault *fault);
/** tdp_maps_more() - how many pages behind @f->gfn would tdp_map() take? After @f->host_level is known. */
unsigned int tdp_maps_more(const struct tdp_fault *f);
/**
 * tdp_map() - install f->pfn. Sleeps not. With f->atomic there must be tables enough: tdp_has_tables()
 * Return: done; false: something changed meanwhile, retry, or f->atomic does not allow it
 */
bool tdp_map(struct vcpu *vcpu, const struct tdp_fault *fault);
/** tdp_mark_mmio() - remember that there is no memory. Return: as tdp_map() */
bool tdp_mark_mmio(struct vcpu *vcpu, const struct tdp_fault *fault);
/** tdp_is_mmio() - is there a marker of the current generation? Context: vm->srcu held. */
bool tdp_is_mmio(struct vm *vm, gfn_t gfn);
/** tdp_topup() - fill the vCPU's table cache. Return: 0 or -ENOMEM */
int tdp_topup(struct vcpu *vcpu);
/** tdp_has_tables() - are there as many as one fault may need? */
bool tdp_has_tables(const struct vcpu *vcpu);

/* Work on ranges of gfns: mmu.h */
void tdp_zap(struct vm *vm, gfn_t start, gfn_t end, bool may_yield);
void tdp_zap_all(struct vm *vm);
bool tdp_age(struct vm *vm, gfn_t start, gfn_t end, bool clear, bool flush);
void tdp_log_start(struct vm *vm, const struct slot *slot);
bool tdp_log_rearm(struct vm *vm, gfn_t first, u64 mask);

#endif
