// SPDX-License-Identifier: GPL-2.0-only
/*
 * A page fault under shadow paging is the guest's own, or it is ours: the guest's tables allow the
 * access and the shadow does not have it yet.
 */
#include <linux/mm.h>
#include <linux/srcu.h>
#include <linux/uaccess.h>
#include <asm/processor-flags.h>
#include <asm/trapnr.h>
#include "vm.h"
#include "trace.h"
#include "cpu/regs.h"
#include "irq/inject.h"
#include "mem/notifier.h"
#include "mem/slots.h"
#include "mmu/shadow.h"
#include "mmu/tdp.h"

#define ERR_W		BIT(1)
#define ERR_U		BIT(2)
#define ERR_RSVD	BIT(3)
#define ERR_I		BIT(4)

struct shadow_fault {
	struct tdp_fault t;
	struct gwalk w;
	u64 rights;		/* as w.rights; all of them without paging */
	u8 level;		/* of the guest's leaf; above all tables without paging */
	bool dirty;		/* the guest's leaf says so */
	u64 marker;		/* or, instead of a page */
};

enum outcome { DONE, RETRY, EMULATE };

/* Is what the walk has read still there? It is not written unnoticed now, if @level is followed. */
static bool still_so(struct vcpu *vcpu, const struct shadow_fault *f, int level)
{
	u64 entry;

	return shadow_entry_read(vcpu, f->w.path[level].gpa, f->w.size, &entry) &&
	       entry == f->w.path[level].entry;
}

/* What the entry at @sp->role.level has below it: the guest's next table, or a part of its page. */
static gfn_t child_of(const struct shadow_fault *f, const struct shadow_page *sp,
		      union shadow_role *role)
{
	int level = sp->role.level;
	u64 entry = f->w.path[level].entry;

	*role = sp->role;
	role->level--;
	role->quadrant = 0;
	if (sp->role.direct)
		return f->t.gfn & ~(level_pages(level) - 1);
	if (!(entry & GPTE_W))
		role->w = 0;
	if (!(entry & GPTE_U))
		role->u = 0;
	if (entry & GPTE_NX)
		role->x = 0;
	if (level > f->level) {
		if (!role->wide)
			role->quadrant = f->w.gva >> 21 & 1;
		return (entry & GPTE_ADDR) >> PAGE_SHIFT;
	}
	role->direct = 1;
	role->dirty = f->dirty;
	return f->t.gfn & ~(level_pages(level) - 1);
}

/* What @sp has below it already, if that is as it must be: @gfn and @role. Else NULL */
static struct shadow_page *below(const struct shadow_fault *f, struct shadow_page *sp, gfn_t gfn,
				 union shadow_role role)
{
	u64 entry = READ_ONCE(sp->table[shadow_index(f->w.gva, sp->role.level)]);
	struct shadow_page *child;

	if (!entry_is_table(entry, sp->role.level))
		return NULL;
	child = shadow_of(entry_table(entry));
	return child->gfn == gfn && child->role.word == role.word ? child : NULL;
}

/* Return: NULL, the guest has changed its entry */
static struct shadow_page *descend(struct vcpu *vcpu, struct shadow_batch *b,
				   const struct shadow_fault *f, struct shadow_page *sp)
{
	struct shadow_page *child;
	union shadow_role role;
	gfn_t gfn = child_of(f, sp, &role);

	child = below(f, sp, gfn, role);
	if (child)
		return child;
	if (!sp->role.direct && !still_so(vcpu, f, sp->role.level))
		return NULL;
	child = shadow_page_get(vcpu, b, gfn, role);
	if (child) {
		shadow_sync_below(vcpu, b, child);
		shadow_link(sp, shadow_index(f->w.gva, sp->role.level), child);
	}
	return child;
}

/* A guest that changes the size of a page, and does not flush, must not have both fetched (iTLB multihit). */
static bool too_large_to_fetch(struct vm *vm, const struct shadow_fault *f)
{
	return vm->mmu.nx_huge_pages && !(f->rights & GPTE_NX);
}

static int goal_level(struct vm *vm, const struct shadow_fault *f)
{
	const struct tdp_fault *t = &f->t;

	if (f->level == 1 || too_large_to_fetch(vm, f) || !t->slot || slot_logged(t->slot) ||
	    shadow_region_used(vm->mmu.shadow, t->gfn) || pfn_host_level(vm->mm, t->hva) < 2 ||
	    !slot_fits(t->slot, t->gfn, 2))
		return 1;
	return 2;
}

/* Return: false, the write must be emulated, or the page cannot be writable yet */
static bool may_write(struct vm *vm, const struct shadow_fault *f)
{
	struct vm_shadow *s = vm->mmu.shadow;

	if (!shadow_followed(s, f->t.gfn))
		return true;
	if (!s->lazy || !f->t.write)
		return false;
	shadow_unsync(vm, f->t.gfn);
	return true;
}

static u64 make_leaf(const struct shadow_fault *f, int level, bool writable)
{
	const struct pfn *pfn = &f->t.pfn;
	hpa_t hpa = (pfn->hfn & ~(level_pages(level) - 1)) << PAGE_SHIFT;
	u64 entry = ENTRY_PRESENT | SHADOW_P | SHADOW_A;

	entry |= pfn->mmio ? SHADOW_UC | hpa : __sme_set(hpa);
	if (level > 1)
		entry |= ENTRY_LARGE;
	if (pfn->page)
		entry |= SHADOW_PAGE;
	if (f->rights & GPTE_U)
		entry |= SHADOW_U;
	if (f->rights & GPTE_NX)
		entry |= SHADOW_NX;
	if (writable)
		entry |= SHADOW_W;
	if (pfn->writable && (!f->t.slot || !slot_logged(f->t.slot)))
		entry |= SHADOW_HOST_W;
	if (f->t.write)
		entry |= SHADOW_D;
	return entry;
}

static enum outcome install(struct vcpu *vcpu, const struct shadow_fault *f, struct shadow_page *sp,
			    unsigned int i)
{
	bool writable = f->rights & GPTE_W && f->dirty && f->t.pfn.writable &&
			(f->t.write || !f->t.slot || !slot_logged(f->t.slot));

	sp->writes = 0;
	if (f->marker) {
		shadow_map_page(sp, i, 0, f->marker);
		return DONE;
	}
	if (writable && !may_write(vcpu->vm, f)) {
		if (f->t.write)
			return EMULATE;
		writable = false;
	}
	shadow_map_page(sp, i, f->t.gfn & ~(level_pages(sp->role.level) - 1),
			make_leaf(f, sp->role.level, writable));
	if (f->t.write && f->t.slot)
		slots_log_dirty(vcpu, f->t.slot, f->t.gfn);
	return DONE;
}

static enum outcome map_locked(struct vcpu *vcpu, struct shadow_batch *b,
			       const struct shadow_fault *f)
{
	struct shadow_page *sp;

	shadow_reclaim(b);
	sp = shadow_root_of(vcpu, f->w.gva);
	/* Asked anew each time: a table on the way may lie in the very page that is to be large. */
	while (sp && sp->role.level > goal_level(vcpu->vm, f)) {
		sp->writes = 0;
		sp = descend(vcpu, b, f, sp);
	}
	if (!sp || (!sp->role.direct && !still_so(vcpu, f, sp->role.level)))
		return RETRY;
	return install(vcpu, f, sp, shadow_index(f->w.gva, sp->role.level));
}

static enum outcome map(struct vcpu *vcpu, const struct shadow_fault *f)
{
	struct vm *vm = vcpu->vm;
	enum outcome outcome = RETRY;
	struct shadow_batch b;

	shadow_batch_start(&b, vm);
	write_lock(&vm->mmu_lock);
	if (!fault_stale(vm, &f->t))
		outcome = map_locked(vcpu, &b, f);
	shadow_batch_finish(&b);
	write_unlock(&vm->mmu_lock);
	return outcome;
}

/* The instruction itself, knowing where it has faulted. @slot: on memory */
static int emulate(struct vcpu *vcpu, struct vcpu_exit *exit, const struct shadow_fault *f, bool slot)
{
	exit->fault.gva = f->w.gva;
	exit->fault.gpa = f->w.gpa;
	exit->fault.access = FAULT_GVA_VALID | (f->t.write ? FAULT_WRITE : FAULT_READ);
	return emulate_mmio(vcpu, exit, slot);
}

/*
 * A write that only emulation can do. In the middle of an event's delivery there is no instruction
 * for it: then what was a table is one no more, and a frame on a page that only a clear CR0.WP lets
 * be written is an error that userspace hears of.
 */
static int emulate_write(struct vcpu *vcpu, struct vcpu_exit *exit, const struct shadow_fault *f)
{
	if (vcpu->events.entry.type == EVENT_NONE || !(f->rights & GPTE_W)) {
		vcpu->stats.pf_emulated++;
		return emulate(vcpu, exit, f, true);
	}
	shadow_forget_table(vcpu, f->t.gfn);
	return RESUME;
}

static int fault_page(struct vcpu *vcpu, struct vcpu_exit *exit, struct shadow_fault *f)
{
	int next;

	if (!fault_find_page(vcpu, &f->t, &next))
		return next;
	switch (map(vcpu, f)) {
	case DONE:
		vcpu->stats.pf_fixed++;
		return RESUME;
	case EMULATE:
		return emulate_write(vcpu, exit, f);
	default:
		return RESUME;
	}
}

static int fault_device(struct vcpu *vcpu, struct vcpu_exit *exit, struct shadow_fault *f)
{
	if (shadow_marker) {
		f->marker = entry_marker(shadow_marker, f->t.slots->generation);
		if (map(vcpu, f) == RETRY)
			return RESUME;
	}
	return emulate(vcpu, exit, f, false);
}

/* The marker of the slots' generation was what faulted: no need to write it again. */
static bool marked(struct vcpu *vcpu, gva_t gva)
{
	u64 entry = 0, marker = entry_marker(shadow_marker, slots_current(vcpu->vm)->generation);
	struct shadow_page *sp;

	read_lock(&vcpu->vm->mmu_lock);
	sp = shadow_root_of(vcpu, gva);
	while (sp) {
		entry = READ_ONCE(sp->table[shadow_index(gva, sp->role.level)]);
		sp = entry_is_table(entry, sp->role.level) ? shadow_of(entry_table(entry)) : NULL;
	}
	read_unlock(&vcpu->vm->mmu_lock);
	return entry == marker;
}

static void find_slot(struct vcpu *vcpu, struct tdp_fault *t, gpa_t gpa)
{
	t->gfn = gpa >> PAGE_SHIFT;
	t->slots = slots_current(vcpu->vm);
	t->slot = slots_find_cached(vcpu, t->slots, t->gfn);
}

static int resolve(struct vcpu *vcpu, struct vcpu_exit *exit, struct shadow_fault *f, u32 error)
{
	find_slot(vcpu, &f->t, f->w.gpa);
	if (!f->t.slot && error & ERR_RSVD && marked(vcpu, f->w.gva))
		return emulate(vcpu, exit, f, false);
	if (shadow_topup(vcpu))
		return -ENOMEM;
	if (!f->t.slot)
		return fault_device(vcpu, exit, f);
	if (f->t.write && f->t.slot->flags & KVM_MEM_READONLY)
		return emulate(vcpu, exit, f, true);
	/* CR0.WP is always set for the processor. */
	if (f->t.write && !(f->rights & GPTE_W))
		return emulate_write(vcpu, exit, f);
	return fault_page(vcpu, exit, f);
}

static u32 access_of(struct vcpu *vcpu, u32 error)
{
	u32 access = error & ERR_W ? FAULT_WRITE : error & ERR_I ? FAULT_FETCH : FAULT_READ;

	if (error & ERR_U)
		return access | GWALK_USER;
	return regs_cpl(vcpu) == 3 ? access | GWALK_SYSTEM : access;
}

/* The guest's own tables. Return: as gwalk() */
static int walk(struct vcpu *vcpu, struct vcpu_exit *exit, struct shadow_fault *f,
		struct guest_fault *fault)
{
	u32 error = exit->exception.error;
	int ret;

	f->t = (struct tdp_fault){ .write = error & ERR_W, .exec = error & ERR_I };
	f->marker = 0;
	ret = gwalk(vcpu, exit->exception.payload, access_of(vcpu, error), &f->w, fault);
	f->level = GWALK_MAX_LEVEL + 1;
	f->rights = GPTE_W | GPTE_U;
	f->dirty = true;
	if (!ret && regs_paging(vcpu)) {
		f->level = f->w.level;
		f->rights = f->w.rights;
		/* The walk has set it for a write, but not in read-only memory. */
		f->dirty = f->t.write || f->w.path[f->level].entry & GPTE_D;
	}
	return ret;
}

int shadow_fault(struct vcpu *vcpu, struct vcpu_exit *exit)
{
	u32 error = exit->exception.error;
	struct guest_fault fault;
	struct shadow_fault f;
	int ret;

	trace_corbel_page_fault(vcpu->id, rip_get(vcpu), exit->exception.payload, error);
	ret = walk(vcpu, exit, &f, &fault);
	if (ret == -EAGAIN)
		return RESUME;
	if (ret) {
		vcpu->stats.pf_guest++;
		shadow_sync_fault(vcpu, &f.w);
		return inject_page_fault(vcpu, fault.addr, fault.error);
	}
	return resolve(vcpu, exit, &f, error);
}

/* Interrupts off */

/* Only an entry of a table that is there already: no table is followed anew, nothing is to be flushed. */
static bool map_fast(struct vcpu *vcpu, const struct shadow_fault *f)
{
	int goal = goal_level(vcpu->vm, f);
	struct shadow_page *sp = shadow_root_of(vcpu, f->w.gva);
	union shadow_role role;
	gfn_t gfn;

	while (sp && sp->role.level > goal) {
		sp->writes = 0;
		gfn = child_of(f, sp, &role);
		sp = below(f, sp, gfn, role);
	}
	return sp && (sp->role.direct || still_so(vcpu, f, goal)) &&
	       install(vcpu, f, sp, shadow_index(f->w.gva, goal)) == DONE;
}

/* The frame, if the host has it at hand. */
static bool find_fast(struct vcpu *vcpu, struct tdp_fault *t)
{
	t->hva = slot_hva(t->slot, t->gfn);
	t->seq = notifier_seq(vcpu->vm->mem.notifier);
	return pfn_resolve_fast(t->hva, t->write, !(t->slot->flags & KVM_MEM_READONLY), &t->pfn);
}

/* The host need not be asked for what is mapped elsewhere: the kernel of a guest maps all of its memory. */
static bool fill_known(struct vcpu *vcpu, struct shadow_fault *f)
{
	struct vm *vm = vcpu->vm;
	struct tdp_fault *t = &f->t;
	bool done;

	if (!write_trylock(&vm->mmu_lock))
		return false;
	t->hva = slot_hva(t->slot, t->gfn);
	t->seq = notifier_seq(vm->mem.notifier);
	done = shadow_find_frame(vm, t->gfn, &t->pfn) && !fault_stale(vm, t) && map_fast(vcpu, f);
	write_unlock(&vm->mmu_lock);
	return done;
}

static bool fill_found(struct vcpu *vcpu, struct shadow_fault *f)
{
	struct vm *vm = vcpu->vm;
	bool done;

	if (!find_fast(vcpu, &f->t) || !write_trylock(&vm->mmu_lock))
		return false;
	done = !fault_stale(vm, &f->t) && map_fast(vcpu, f);
	write_unlock(&vm->mmu_lock);
	return done;
}

static bool fill_fast(struct vcpu *vcpu, struct shadow_fault *f)
{
	struct tdp_fault *t = &f->t;
	bool done;

	find_slot(vcpu, t, f->w.gpa);
	if (!t->slot || (t->write && (t->slot->flags & KVM_MEM_READONLY || !(f->rights & GPTE_W))))
		return false;
	done = fill_known(vcpu, f) || fill_found(vcpu, f);
	vcpu->stats.pf_fixed += done;
	return done;
}

/* In long mode, with nothing else on its way into the guest. */
static bool inject_fast(struct vcpu *vcpu, const struct gwalk *w, const struct guest_fault *fault)
{
	struct vcpu_events *ev = &vcpu->events;

	if (ev->entry.type != EVENT_NONE || ev->exception.pending || READ_ONCE(vcpu->requests) ||
	    !shadow_try_sync_fault(vcpu, w))
		return false;
	vcpu->regs.cr2 = fault->addr;
	rflags_set(vcpu, rflags_get(vcpu) | X86_EFLAGS_RF);
	ev->entry = (struct event){
		.type = EVENT_EXCEPTION, .vector = X86_TRAP_PF, .has_error = true, .error = fault->error,
	};
	vcpu->stats.exceptions++;
	vcpu->stats.pf_guest++;
	return true;
}

bool shadow_fault_fast(struct vcpu *vcpu, struct vcpu_exit *exit)
{
	struct guest_fault fault;
	struct shadow_fault f;
	bool done = false;
	int ret, idx;

	/* What TF and an interrupt shadow ask for is exception_exit()'s. */
	if (!vcpu->vm->mmu.shadow || exit->exception.error & ERR_RSVD || !regs_long_mode(vcpu) ||
	    rflags_get(vcpu) & X86_EFLAGS_TF || trace_corbel_page_fault_enabled())
		return false;
	idx = srcu_read_lock(&vcpu->vm->srcu);
	pagefault_disable();
	ret = walk(vcpu, exit, &f, &fault);
	if (!ret)
		done = fill_fast(vcpu, &f);
	else if (ret > 0 && !f.w.unread)
		done = inject_fast(vcpu, &f.w, &fault);
	pagefault_enable();
	srcu_read_unlock(&vcpu->vm->srcu, idx);
	return done;
}

/* Ahead of any access, for the paravirtual MMU. Who zaps waits for the lock that we have. */
void shadow_map_ahead(struct vcpu *vcpu, struct shadow_page *sp, unsigned int i, u64 gpte)
{
	struct shadow_fault f;

	f.t.write = false;
	f.t.exec = false;
	f.marker = 0;
	f.dirty = gpte & GPTE_D;
	f.rights = (sp->role.w ? gpte & GPTE_W : 0) | (sp->role.u ? gpte & GPTE_U : 0) |
		   (sp->role.x ? gpte & GPTE_NX : GPTE_NX);
	find_slot(vcpu, &f.t, gpte & GPTE_ADDR);
	if (f.t.slot && find_fast(vcpu, &f.t) && !fault_stale(vcpu->vm, &f.t))
		install(vcpu, &f, sp, i);
}
