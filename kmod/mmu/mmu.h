/* SPDX-License-Identifier: GPL-2.0-only */
/* Guest memory virtualization: roots, faults, guest page walks, TLB work. */
#ifndef CORBEL_MMU_H
#define CORBEL_MMU_H

#include <linux/list.h>
#include "types.h"

struct slot;
struct emulation;
struct vcpu_exit;

#define SHADOW_GPA_BITS	44	/* guest-physical addresses that shadow tables know */
#define IDENTITY_GFN	0xfffbc		/* KVM's choice where userspace makes none */

struct vm_shadow;
struct shadow_page;

struct vm_mmu {
	bool any_mode;		/* the CPU runs real mode as it is */
	struct vm_shadow *shadow;	/* NULL: nested paging */
	hpa_t root;			/* TDP root shared by all vCPUs, as long as the VM */
	u64 *root_table;
	bool nx_huge_pages;	/* iTLB multihit: huge pages are not executable, split on a fetch */
	bool noncoherent;	/* DMA may miss the caches: the guest chooses memory types */
	u32 *identity;		/* page table of 1:1 where the CPU insists on one; or NULL */
	gfn_t identity_gfn;	/* where the guest has it */
	hpa_t apic_page;	/* backs gfn 0xfee00 where no slot does; INVALID_HPA: none */
};

#define MMU_CACHE_TABLES	5	/* at most one fault's need: a table on each level */

#define MMU_SPARES	4	/* shadow pages of one fault, or roots */
#define MMU_WRITES	16	/* entries of tables that are written for the guest at a time */

struct vcpu_mmu {
	hpa_t root;	/* what backend enter() loads: EPTP/nCR3 base address, no flag bits */
	struct slot *recent_slots[2];	/* last hits; valid for one generation of slots */
	u64 recent_generation;
	u64 *tables[MMU_CACHE_TABLES];	/* zeroed, so that nothing is allocated under mmu_lock */
	unsigned int nr_tables;
	struct shadow_page *roots[4], *spares[MMU_SPARES];
	unsigned int nr_spares;
	u64 *pae_root;			/* PDPTEs of the shadow, below 4 GiB */
	struct emulation *emulation;	/* emulate.c */
	/* pages written for the guest now, whose tables are not followed yet: shadow_write_start() */
	unsigned int nr_writes;
	gfn_t writes[MMU_WRITES];
};

struct guest_fault {		/* an exception that a guest page walk or access raised */
	u8 vector;
	u32 error;
	gva_t addr;
};

int mmu_module_init(void);		/* after backend.setup() filled caps */
void mmu_module_exit(void);
int mmu_vm_init(struct vm *vm);		/* -EOPNOTSUPP without EPT or NPT, -ENOMEM */
void mmu_vm_destroy(struct vm *vm);

/**
 * mmu_set_mode() - how this VM translates. @mode: CORBEL_MMU_*
 * Return: 0, -EINVAL, -EBUSY: it has memory, interrupt controllers or vCPUs already, -EOPNOTSUPP,
 * -ENOMEM. Context: vm->lock held.
 */
int mmu_set_mode(struct vm *vm, u32 mode);

int mmu_vcpu_init(struct vcpu *vcpu);
void mmu_vcpu_destroy(struct vcpu *vcpu);

/** mmu_load_root() - for REQ_MMU_RELOAD: make vcpu->mmu.root valid. Return: RESUME or -ENOMEM */
int mmu_load_root(struct vcpu *vcpu);

/**
 * mmu_paging_changed() - CR0, CR3, CR4, EFER or PDPTRs changed in a way that concerns translation
 */
void mmu_paging_changed(struct vcpu *vcpu);

/** mmu_flush_guest() - the guest has asked for its linear translations to be dropped */
void mmu_flush_guest(struct vcpu *vcpu);

/** mmu_flush_addr() - the same for one address: INVLPG */
void mmu_flush_addr(struct vcpu *vcpu, gva_t gva);

/**
 * mmu_write(), mmu_cmpxchg() - guest_write(), guest_cmpxchg() for an instruction: there may be tables,
 * which are followed. Within a page
 */
int mmu_write(struct vcpu *vcpu, gpa_t gpa, const void *buf, unsigned int len);
int mmu_cmpxchg(struct vcpu *vcpu, gpa_t gpa, u64 *old, u64 new, unsigned int len);

/*
 * Work on ranges of gfns. All but mmu_log_rearm() take mmu_lock themselves and have flushed what
 * must be flushed when they return. @may_yield: drop the lock and reschedule now and then.
 */
void mmu_zap(struct vm *vm, gfn_t start, gfn_t end, bool may_yield);
void mmu_zap_all(struct vm *vm);
/** mmu_slot_gone() - there is other memory at the gfns of @slot now, or none */
void mmu_slot_gone(struct vm *vm, const struct slot *slot);
/** mmu_age() - test, and with @clear reset, the accessed bits. Return: was one set? */
bool mmu_age(struct vm *vm, gfn_t start, gfn_t end, bool clear, bool flush);
/** mmu_log_start() - make writes to a slot be noticed again */
void mmu_log_start(struct vm *vm, const struct slot *slot);
/**
 * mmu_log_rearm() - the same for pages of @mask from @first on; @return: flush needed. mmu_lock
 * held for writing.
 */
bool mmu_log_rearm(struct vm *vm, gfn_t first, u64 mask);

/**
 * mmu_set_apic_page() - back the default APIC page for APIC-access virtualization
 * @hpa: of a page that outlives the VM, or INVALID_HPA. Context: sleeps, vm->srcu not needed.
 */
void mmu_set_apic_page(struct vm *vm, hpa_t hpa);

/** mmu_set_noncoherent() - a device whose DMA may miss the caches came, or the last left. */
void mmu_set_noncoherent(struct vm *vm, bool noncoherent);

/* Exit handlers: fault.c */
/* EXIT_PAGE_FAULT, EXIT_MISCONFIG */
int fault_exit(struct vcpu *vcpu, struct vcpu_exit *exit);
/** fault_fast() - with interrupts off. Return: done, the guest can go on at once */
bool fault_fast(struct vcpu *vcpu, struct vcpu_exit *exit);
int pml_full_exit(struct vcpu *vcpu, struct vcpu_exit *exit);
/** invlpg_fast() - with interrupts off. Return: done, the guest can go on at once */
bool invlpg_fast(struct vcpu *vcpu, struct vcpu_exit *exit);
int invlpg_exit(struct vcpu *vcpu, struct vcpu_exit *exit);
int invpcid_exit(struct vcpu *vcpu, struct vcpu_exit *exit);

/**
 * tdp_log_dirty() - entries of the page-modification log: guest-physical addresses
 * Context: process context; takes vm->srcu itself. Whoever owns the log empties it whenever the
 * vCPU has left KVM_RUN, and on REQ_PML_DRAIN.
 */
void tdp_log_dirty(struct vcpu *vcpu, const u64 *gpas, unsigned int nr);

/*
 * Access by guest-virtual address with the vCPU's current paging mode and privilege.
 * access: enum fault_access bits FAULT_READ/WRITE/FETCH plus GWALK_USER or GWALK_SYSTEM.
 * Return: 0; 1 and *fault filled: the guest must get this exception; -EFAULT: not memory; -EAGAIN:
 * its tables change all the time, let it run into the instruction again.
 */
#define GWALK_USER	0x100		/* as CPL 3 */
#define GWALK_SYSTEM	0x200		/* implicit supervisor access: SMAP whatever AC says */
int gwalk_translate(struct vcpu *vcpu, gva_t gva, u32 access, gpa_t *gpa,
		    struct guest_fault *fault);
int gva_read(struct vcpu *vcpu, gva_t gva, void *buf, unsigned int len, u32 access,
	     struct guest_fault *fault);
int gva_write(struct vcpu *vcpu, gva_t gva, const void *buf, unsigned int len, u32 access,
	      struct guest_fault *fault);

/** emulate_insn() - emulate the instruction at RIP (MMIO, string I/O, what hardware leaves over) */
int emulate_insn(struct vcpu *vcpu);

/**
 * emulate_mmio() - the same, after an exit that perhaps has told where the access goes
 * @slot: that is memory, which may only be read
 */
int emulate_mmio(struct vcpu *vcpu, const struct vcpu_exit *exit, bool slot);

/** mmio_move_worth() - is mmio_move_fast() worth a try for an access to @gpa? Needs no vm->srcu */
bool mmio_move_worth(struct vcpu *vcpu, gpa_t gpa);

/**
 * mmio_move_fast() - do a MOV to or from a device in the kernel with interrupts off, after an exit with
 * FAULT_RSVD for which mmio_move_worth() was true. Context: vm->srcu held for reading. Return: done
 */
bool mmio_move_fast(struct vcpu *vcpu, struct vcpu_exit *exit);

/** mmio_move_to_user() - ask userspace, after mmio_move_fast() has set exit->fault.asked */
int mmio_move_to_user(struct vcpu *vcpu);

/** emulate_insn_len() - length of the instruction at RIP, decoded only; 0 if it cannot be had */
unsigned int emulate_insn_len(struct vcpu *vcpu);

/** emulate_failed() - KVM_EXIT_INTERNAL_ERROR, suberror 1, with what is known of the instruction */
int emulate_failed(struct vcpu *vcpu);

/* EXIT_INSN: decodes what the hardware has not, and hands it to the handler of its kind */
int insn_exit(struct vcpu *vcpu, struct vcpu_exit *exit);

int task_switch_exit(struct vcpu *vcpu, struct vcpu_exit *exit);

#endif
