// SPDX-License-Identifier: GPL-2.0-only
/* The one entrance of guest-physical faults. */
#include <linux/kvm_types.h>
#include <linux/sched/signal.h>
#include "vm.h"
#include "trace.h"
#include "cpu/regs.h"
#include "io/io.h"
#include "mem/notifier.h"
#include "mmu/tdp.h"

/*
 * A walk sets bits in the guest's tables, and where the second-level tables have no dirty bits it
 * may have asked for no more than to read. The log then counts the table as written right away,
 * rather than wait for a second fault.
 */
static bool walk_writes(const struct tdp_fault *f)
{
	return f->walk && !tdp_fmt.dirty && slot_logged(f->slot) && f->pfn.writable;
}

static int find_frame(struct vm *vm, struct tdp_fault *f)
{
	bool writable_slot = !(f->slot->flags & KVM_MEM_READONLY);

	f->hva = slot_hva(f->slot, f->gfn);
	f->seq = notifier_seq(vm->mem.notifier);
	if (f->atomic)
		return pfn_resolve_fast(f->hva, f->write, writable_slot, &f->pfn) ? 0 : -EAGAIN;
	return pfn_resolve(f->hva, f->write, writable_slot, &f->pfn);
}

/* How large a page it is, and whether those behind it are at hand. */
static void look_around(struct vm *vm, struct tdp_fault *f)
{
	unsigned int more;

	if (walk_writes(f))
		f->write = true;
	f->host_level = pfn_host_level(vm->mm, f->hva);
	more = f->pfn.page ? tdp_maps_more(f) : 0;
	if (more)
		f->nr_more = pfn_resolve_more(f->hva + PAGE_SIZE, more, f->more);
}

static int resolve(struct vm *vm, struct tdp_fault *f)
{
	int ret = find_frame(vm, f);

	if (!ret && !vm->mmu.shadow)
		look_around(vm, f);
	return ret;
}

bool fault_find_page(struct vcpu *vcpu, struct tdp_fault *f, int *next)
{
	*next = resolve(vcpu->vm, f);
	if (*next == -EHWPOISON) {
		send_sig_mceerr(BUS_MCEERR_AR, (void __user *)f->hva, PAGE_SHIFT, current);
		*next = RESUME;
		return false;
	}
	if (*next == -EINTR)
		vcpu->run->exit_reason = KVM_EXIT_INTR;
	return !*next;
}

/*
 * Memory: find the frame and map it. A race is lost by running the guest into the same fault again.
 */
static int fault_ram(struct vcpu *vcpu, struct tdp_fault *f)
{
	int next;

	if (!fault_find_page(vcpu, f, &next))
		return next;
	vcpu->stats.pf_fixed += tdp_map(vcpu, f);
	return RESUME;
}

/*
 * Pages of our own, which no slot has, and no host address: the one behind APIC-access
 * virtualization and the identity map.
 */
static hpa_t own_page(const struct vm *vm, gfn_t gfn)
{
	if (gfn == APIC_GFN)
		return vm->mmu.apic_page;
	if (vm->mmu.identity && gfn == vm->mmu.identity_gfn)
		return __pa(vm->mmu.identity);
	return INVALID_HPA;
}

static int fault_own_page(struct vcpu *vcpu, struct tdp_fault *f, hpa_t hpa)
{
	f->pfn = (struct pfn){ .hfn = hpa >> PAGE_SHIFT, .writable = true };
	tdp_map(vcpu, f);
	return RESUME;
}

static int fault_resolve(struct vcpu *vcpu, struct vcpu_exit *exit, struct tdp_fault *f)
{
	hpa_t own;
	int ret;

	if (f->slot && tdp_fast_fault(vcpu, f))
		return RESUME;
	ret = tdp_topup(vcpu);
	if (ret)
		return ret;
	if (f->slot)
		return fault_ram(vcpu, f);
	own = own_page(vcpu->vm, f->gfn);
	if (own != INVALID_HPA)
		return fault_own_page(vcpu, f, own);
	return tdp_mark_mmio(vcpu, f) ? emulate_mmio(vcpu, exit, false) : RESUME;
}

static void fault_begin(struct vcpu *vcpu, const struct vcpu_exit *exit, struct tdp_fault *f)
{
	u32 access = exit->fault.access;

	*f = (struct tdp_fault){
		.gfn	= exit->fault.gpa >> PAGE_SHIFT,
		.write	= access & FAULT_WRITE,
		.exec	= access & FAULT_FETCH,
		.walk	= access & FAULT_WALK,
		.slots	= slots_current(vcpu->vm),
	};
	f->slot = slots_find_cached(vcpu, f->slots, f->gfn);
}

static bool forbidden(const struct tdp_fault *f)
{
	return f->slot && f->write && f->slot->flags & KVM_MEM_READONLY;
}

/* Memory that the host has at hand. */
static bool map_fast(struct vcpu *vcpu, const struct vcpu_exit *exit)
{
	struct tdp_fault f;
	bool done;

	fault_begin(vcpu, exit, &f);
	if (!f.slot || forbidden(&f))
		return false;
	if (tdp_fast_fault(vcpu, &f))
		return true;
	f.atomic = true;
	done = tdp_has_tables(vcpu) && !resolve(vcpu->vm, &f) && tdp_map(vcpu, &f);
	vcpu->stats.pf_fixed += done;
	return done;
}

bool fault_fast(struct vcpu *vcpu, struct vcpu_exit *exit)
{
	struct srcu_struct *srcu = &vcpu->vm->srcu;
	bool device = exit->fault.access & FAULT_RSVD, done;
	int idx;

	/* Where spinlocks sleep, interrupts have to be on. */
	if (IS_ENABLED(CONFIG_PREEMPT_RT) || trace_corbel_page_fault_enabled() ||
	    (device && !mmio_move_worth(vcpu, exit->fault.gpa)))
		return false;
	idx = srcu_read_lock(srcu);
	done = device ? mmio_move_fast(vcpu, exit) : map_fast(vcpu, exit);
	srcu_read_unlock(srcu, idx);
	return done;
}

int fault_exit(struct vcpu *vcpu, struct vcpu_exit *exit)
{
	u32 access = exit->fault.access;
	struct tdp_fault f;

	if (exit->fault.asked)
		return mmio_move_to_user(vcpu);
	trace_corbel_page_fault(vcpu->id, rip_get(vcpu), exit->fault.gpa, access);
	if ((exit->kind == EXIT_MISCONFIG || access & FAULT_RSVD) && tdp_is_mmio(vcpu->vm, exit->fault.gpa >> PAGE_SHIFT))
		return emulate_mmio(vcpu, exit, false);
	fault_begin(vcpu, exit, &f);
	if (forbidden(&f))
		return emulate_mmio(vcpu, exit, true);
	return fault_resolve(vcpu, exit, &f);
}

/* The backend owns the log; the request has it drained before the next entry. */
int pml_full_exit(struct vcpu *vcpu, struct vcpu_exit *exit)
{
	vcpu_request(vcpu, REQ_PML_DRAIN);
	return RESUME;
}

void tdp_log_dirty(struct vcpu *vcpu, const u64 *gpas, unsigned int nr)
{
	int idx = srcu_read_lock(&vcpu->vm->srcu);
	const struct slots *slots = slots_current(vcpu->vm);
	struct slot *slot = NULL;
	unsigned int i;

	for (i = 0; i < nr; i++) {
		gfn_t gfn = gpas[i] >> PAGE_SHIFT;

		if (!slot || !slot_has_gfn(slot, gfn))
			slot = slots_find(slots, gfn);
		if (slot)
			slots_log_dirty(vcpu, slot, gfn);
	}
	srcu_read_unlock(&vcpu->vm->srcu, idx);
}
