// SPDX-License-Identifier: GPL-2.0-only
#include <stdlib.h>
#include <linux/corbel.h>
#include <linux/mmu_notifier.h>
#include <linux/uaccess.h>
#include "shadow_model.h"
#include "backend.h"
#include "cpu/regs.h"
#include "mem/slots.h"
#include "mmu/shadow.h"
#include "mmu/tdp.h"

#define TLB_SIZE	512
#define WAYS		512
#define TRIES		40

#define ERR_P		1u
#define ERR_W		2u
#define ERR_U		4u
#define ERR_RSVD	8u
#define ERR_I		16u

struct tlb_entry {
	gva_t gva;
	int level;
	u64 entry;
};

/* Paging-structure caches: the table of @level that maps @gva's part of the space. */
struct way {
	gva_t gva;
	int level;
	u64 table;
};

struct cpu_model {
	struct tlb_entry tlb[TLB_SIZE];		/* oldest first */
	struct way ways[WAYS];
	unsigned int nr, nr_ways;
	/* the fault that is being served */
	struct guest_walk walk;
	struct access access;
	gva_t gva;
	const void *data;
	unsigned int len;
	bool walk_noted, emulated, injected, mmio;
	const struct slots *slots;		/* those that it began with */
};

static struct cpu_model cpus[MODEL_CPUS];

struct backend_caps caps;
struct backend_ops backend;
long stats_live_count[NR_LIVE_OBJECTS];
struct vm vm;
struct vcpu vcpus[MODEL_CPUS];
struct model_stats model_stats;
bool model_lazy, model_event[MODEL_CPUS], model_forgets;
unsigned long model_seed = 1;
unsigned char model_truth[GUEST_PAGES];
unsigned long model_last[8];

unsigned long rnd(unsigned long n)
{
	model_seed ^= model_seed << 13;
	model_seed ^= model_seed >> 7;
	model_seed ^= model_seed << 17;
	return (model_seed >> 11) % n;
}

/* --- The hardware --- */

static bool paging(int cpu)
{
	return vcpus[cpu].regs.cr0 & X86_CR0_PG;
}

static bool four_levels(int cpu)
{
	return vcpus[cpu].regs.efer & EFER_LMA;
}

static unsigned int shift_of(int level)
{
	return PAGE_SHIFT + (level - 1) * 9;
}

static bool same_part(gva_t a, gva_t b, int level)
{
	return (a ^ b) >> shift_of(level) == 0;
}

/* CR0.WP and EFER.NX are set always; SMEP and SMAP are the guest's where it has paging on. */
static bool perm(int cpu, u64 entry, struct access a)
{
	const struct vcpu_regs *r = &vcpus[cpu].regs;
	u64 cr4 = paging(cpu) ? r->cr4 : 0;

	if (a.type == ACCESS_WRITE && !(entry & SHADOW_W))
		return false;
	if (a.type == ACCESS_EXEC && entry & SHADOW_NX)
		return false;
	if (a.user)
		return entry & SHADOW_U;
	if (!(entry & SHADOW_U))
		return true;
	if (a.type == ACCESS_EXEC)
		return !(cr4 & X86_CR4_SMEP);
	return !(cr4 & X86_CR4_SMAP) || (!a.implicit && r->rflags & X86_EFLAGS_AC);
}

static void remember(struct cpu_model *c, gva_t gva, int level, u64 entry)
{
	unsigned int i;

	gva &= ~((1ul << shift_of(level)) - 1);
	for (i = 0; i < c->nr; i++)
		if (c->tlb[i].gva == gva && c->tlb[i].level == level && c->tlb[i].entry == entry)
			return;
	if (c->nr == TLB_SIZE)		/* hardware forgets, too */
		memmove(c->tlb, c->tlb + 1, sizeof(c->tlb[0]) * --c->nr);
	c->tlb[c->nr++] = (struct tlb_entry){ gva, level, entry };
}

static void remember_way(struct cpu_model *c, gva_t gva, int level, u64 table)
{
	unsigned int i;

	for (i = 0; i < c->nr_ways; i++)
		if (c->ways[i].level == level && same_part(c->ways[i].gva, gva, level + 1) &&
		    c->ways[i].table == table)
			return;
	if (c->nr_ways == WAYS)
		memmove(c->ways, c->ways + 1, sizeof(c->ways[0]) * --c->nr_ways);
	c->ways[c->nr_ways++] = (struct way){ gva, level, table };
}

/* Where the walk begins: at the root, or anywhere below it that the CPU remembers. */
static u64 *begin(int cpu, gva_t gva, int *level)
{
	struct cpu_model *c = &cpus[cpu];
	u64 *root = __va(vcpus[cpu].mmu.root);
	struct way *way = NULL;
	unsigned int i;

	for (i = 0; i < c->nr_ways; i++)
		if (same_part(c->ways[i].gva, gva, c->ways[i].level + 1) &&
		    (!way || way->level > c->ways[i].level) && (!model_forgets || !rnd(2)))
			way = &c->ways[i];
	if (way) {
		*level = way->level;
		return __va(way->table);
	}
	if (four_levels(cpu)) {
		*level = 4;
		return root;
	}
	*level = 2;
	if (!(root[gva >> 30 & 3] & SHADOW_P))
		return NULL;
	MODEL(!(root[gva >> 30 & 3] & ~(ENTRY_ADDR | SHADOW_P)), "PDPTE %llx", root[gva >> 30 & 3]);
	return __va(root[gva >> 30 & 3] & ENTRY_ADDR);
}

static bool has_reserved(int cpu, u64 entry)
{
	u64 bits = GENMASK_ULL(51, boot_cpu_data.x86_phys_bits);

	if (!four_levels(cpu))
		bits |= GENMASK_ULL(62, 52);
	return entry & bits;
}

/* Down the tables. Return: the leaf's place, or NULL and the bits of the error code */
static u64 *walk(int cpu, gva_t gva, int *level, u32 *error)
{
	u64 *table = begin(cpu, gva, level);

	*error = 0;
	if (!table)
		return NULL;
	for (;; --*level) {
		u64 *ptr = &table[gva >> shift_of(*level) & 511], entry = *ptr;

		if (!(entry & SHADOW_P))
			return NULL;
		if (has_reserved(cpu, entry)) {
			MODEL(!entry_present(entry), "reserved bits in %llx", entry);
			*error = ERR_P | ERR_RSVD;
			return NULL;
		}
		if (entry_is_leaf(entry, *level))
			return ptr;
		MODEL((entry & ~ENTRY_ADDR) == SHADOW_TABLE, "table entry %llx", entry);
		remember_way(&cpus[cpu], gva, *level - 1, entry_addr(entry));
		table = entry_table(entry);
	}
}

static void forget_gva(struct cpu_model *c, gva_t gva)
{
	unsigned int i, n = 0;

	for (i = 0; i < c->nr; i++)
		if (!same_part(c->tlb[i].gva, gva, c->tlb[i].level))
			c->tlb[n++] = c->tlb[i];
	c->nr = n;
}

/* What a page fault drops: translations and ways of this address. */
static void forget_fault(struct cpu_model *c, gva_t gva)
{
	unsigned int i, n = 0;

	forget_gva(c, gva);
	for (i = 0; i < c->nr_ways; i++)
		if (!same_part(c->ways[i].gva, gva, c->ways[i].level + 1))
			c->ways[n++] = c->ways[i];
	c->nr_ways = n;
}

static void flush_cpu(int cpu)
{
	cpus[cpu].nr = cpus[cpu].nr_ways = 0;
}

void model_speculate(int cpu, gva_t gva)
{
	int level;
	u32 error;
	u64 *ptr;

	model_enter(cpu);
	ptr = walk(cpu, gva, &level, &error);
	if (!ptr)
		return;
	*ptr |= SHADOW_A;
	remember(&cpus[cpu], gva, level, *ptr);
}

/* A translation for the access, from the TLB if one is there. Return: false, and the error code */
static bool translate(int cpu, gva_t gva, struct access a, u64 *out, int *level, u32 *error)
{
	u64 need = a.type == ACCESS_WRITE ? SHADOW_D : 0, *ptr;
	struct cpu_model *c = &cpus[cpu];
	unsigned int i;

	if (model_forgets && !rnd(8))
		forget_gva(c, gva);
	for (i = 0; i < c->nr; i++) {
		struct tlb_entry *t = &c->tlb[i];

		if (same_part(t->gva, gva, t->level) && perm(cpu, t->entry, a) &&
		    (t->entry & need) == need) {
			*out = t->entry;
			*level = t->level;
			return true;
		}
	}
	ptr = walk(cpu, gva, level, error);
	if (ptr && perm(cpu, *ptr, a)) {
		*ptr |= SHADOW_A | need;
		*out = *ptr;
		remember(c, gva, *level, *ptr);
		return true;
	}
	if (ptr)
		*error = ERR_P;
	*error |= (a.type == ACCESS_WRITE ? ERR_W : 0) | (a.user ? ERR_U : 0);
	if (a.type == ACCESS_EXEC)
		*error |= ERR_I;
	return false;
}

/* --- The guest's memory changes --- */

/* Shadow pages made from the guest's table that its writes are not noticed for. */
static bool followed(gfn_t gfn)
{
	struct shadow_page *sp;

	shadow_for_each(sp, vm.mmu.shadow, gfn)
		if (!sp->role.direct && list_empty(&sp->unsync))
			return true;
	return false;
}

static void store(unsigned long index, unsigned int offset, const void *data, unsigned int len)
{
	memcpy((char *)guest_page(index) + offset, data, len);
	guest_note(index, offset, len);
	model_truth[index] = 1;
}

static gfn_t gfn_of(unsigned long index)
{
	const struct slots *slots = vm.mem.slots;
	unsigned int i;

	for (i = 0; i < slots->nr; i++) {
		const struct slot *slot = slots->by_gfn[i];
		unsigned long first = (slot->hva - MODEL_HVA) >> PAGE_SHIFT;

		if (index - first < slot->npages)
			return slot->gfn + (index - first);
	}
	MODEL(false, "page %lu is reached without a slot", index);
}

static void complete(int cpu, gva_t gva, struct access a, u64 entry, int level, const void *data,
		     unsigned int len)
{
	unsigned long in_page = gva >> PAGE_SHIFT & (level_pages(level) - 1);
	unsigned long index = host_index((entry_addr(entry) >> PAGE_SHIFT) + in_page);
	gfn_t gfn = gfn_of(index);
	struct slot *slot = slots_find(vm.mem.slots, gfn);
	bool may;

	model_last[rnd(8)] = index;
	model_stats.large += level > 1;
	may = guest_may(cpu, gva, a, gfn);
	if (!may)
		guest_explain(cpu, gva, a);
	MODEL(may, "CPU %d, %lx: access %u%s%s gets gfn %llx, entry %llx",
	      cpu, gva, a.type, a.user ? " by a user" : "", a.implicit ? " implicit" : "", gfn,
	      entry);
	if (a.type != ACCESS_WRITE)
		return;
	MODEL(!(slot->flags & KVM_MEM_READONLY), "gfn %llx: write to a read-only slot", gfn);
	MODEL(host[index].writable, "gfn %llx: write to a frame that is read-only", gfn);
	MODEL(!followed(gfn), "gfn %llx: a followed table is written unnoticed", gfn);
	host[index].written = true;
	store(index, offset_in_page(gva), data, len);
}

/* --- Faults --- */

/*
 * Accessed and dirty bits of one 4-byte entry may be address bits of an 8-byte one, for another CPU
 * in another mode that takes the page for a table at the same time. No guest does that, and nobody
 * looks after it; here the table is reported as written, for the rest to be comparable.
 */
static void other_mode(int cpu, const struct guest_step *s)
{
	void (*later)(struct vcpu *vcpu) = model_in_fault;
	struct shadow_page *sp;

	model_in_fault = NULL;
	shadow_for_each(sp, vm.mmu.shadow, s->gpa >> PAGE_SHIFT)
		if (!sp->role.direct && sp->role.wide != (s->size == 8)) {
			shadow_written(&vcpus[cpu], s->gpa, s->size);
			break;
		}
	model_in_fault = later;
}

/* The walk of the guest's tables is over: these bits it has set, and no others. */
static void note_walk(int cpu)
{
	struct cpu_model *c = &cpus[cpu];
	unsigned int i;

	if (c->walk_noted)
		return;
	c->walk_noted = true;
	for (i = 0; i < c->walk.nr; i++) {
		struct guest_step *s = &c->walk.step[i];
		unsigned long index;
		u64 is = guest_read_word(s->gpa, s->size);

		MODEL(is == s->new, "entry at %llx was %llx, is %llx and not %llx", s->gpa, s->old, is,
		      s->new);
		if (s->new == s->old)
			continue;
		guest_find(s->gpa, &index, NULL);
		guest_note(index, offset_in_page(s->gpa), s->size);
		model_truth[index] = 1;
		other_mode(cpu, s);
	}
}

int inject_page_fault(struct vcpu *vcpu, gva_t cr2, u32 error)
{
	struct cpu_model *c = &cpus[vcpu->index];

	note_walk(vcpu->index);
	MODEL(c->walk.fault, "CPU %d, %lx: #PF(%x), but the guest allows the access", vcpu->index,
	      cr2, error);
	MODEL(error == c->walk.error, "CPU %d, %lx: #PF(%x), not (%x)", vcpu->index, cr2, error,
	      c->walk.error);
	MODEL(cr2 == c->gva, "CPU %d: #PF at %lx, not %lx", vcpu->index, cr2, c->gva);
	c->injected = true;
	guest_faulted(vcpu->index, cr2);
	return RESUME;
}

bool model_is_table(gfn_t gfn)
{
	struct shadow_page *sp;

	shadow_for_each(sp, vm.mmu.shadow, gfn)
		if (!sp->role.direct)
			return true;
	return false;
}

static void check_page(struct shadow_page *sp);

/* What was made from the guest's table is as the guest has it, at once. */
static void check_table_pages(gfn_t gfn)
{
	struct shadow_page *sp;

	shadow_for_each(sp, vm.mmu.shadow, gfn)
		if (!sp->role.direct)
			check_page(sp);
}

bool mmio_move_worth(struct vcpu *vcpu, gpa_t gpa)
{
	return false;
}

bool mmio_move_fast(struct vcpu *vcpu, struct vcpu_exit *exit)
{
	MODEL(false, "CPU %d: a fault of nested paging", vcpu->index);
}

int mmio_move_to_user(struct vcpu *vcpu)
{
	MODEL(false, "CPU %d: nobody has looked at the device", vcpu->index);
}

static unsigned int nr_written;		/* writes that are done and not followed yet */

int emulate_mmio(struct vcpu *vcpu, const struct vcpu_exit *exit, bool slot)
{
	struct cpu_model *c = &cpus[vcpu->index];
	gpa_t gpa = exit->fault.gpa;
	unsigned long index;
	bool there, read_only;

	note_walk(vcpu->index);
	MODEL(!c->walk.fault, "CPU %d, %lx: emulated, but the guest forbids it", vcpu->index, c->gva);
	MODEL(gpa == c->walk.gpa, "%lx is at %llx, emulated at %llx", c->gva, c->walk.gpa, gpa);
	MODEL(exit->fault.gva == c->gva && exit->fault.access & FAULT_GVA_VALID, "wrong address");
	there = guest_find(gpa, &index, &read_only);
	/* A slot that comes or goes meanwhile is not there for this access, or is. */
	if (there != slot)
		there = slots_find(c->slots, gpa >> PAGE_SHIFT);
	MODEL(there == slot, "gpa %llx: %s memory", gpa, there ? "there is" : "there is no");
	c->emulated = true;
	c->mmio = !slot || read_only;
	if (c->mmio) {
		model_stats.mmio++;
		return RESUME;
	}
	MODEL(c->access.type == ACCESS_WRITE && exit->fault.access & FAULT_WRITE, "not a write");
	MODEL(model_is_table(gpa >> PAGE_SHIFT) || !c->walk.w, "gpa %llx: emulated for nothing", gpa);
	model_stats.emulated++;
	store(index, offset_in_page(gpa), c->data, c->len);
	nr_written++;
	MODEL(!mmu_write(vcpu, gpa, c->data, c->len), "no write at %llx", gpa);
	nr_written--;
	if (!shim_user_written && !nr_written)	/* then somebody's write is not followed yet */
		check_table_pages(gpa >> PAGE_SHIFT);
	return RESUME;
}

const struct guest_walk *model_walk(int cpu)
{
	return &cpus[cpu].walk;
}

void (*model_meanwhile)(struct vcpu *vcpu);
static int hook_cpu, depth;
static void (*hook)(struct vcpu *vcpu);

/* Others run when the walk is over. */
static void in_fault(struct vcpu *unused)
{
	(void)unused;
	note_walk(hook_cpu);
	hook(&vcpus[hook_cpu]);
}

void model_others(int cpu)
{
	depth++;
	if (!model_meanwhile)
		return;
	hook = model_meanwhile;
	model_meanwhile = NULL;
	hook_cpu = cpu;
	model_in_fault = in_fault;
}

void model_others_done(void)
{
	model_in_fault = NULL;
	if (!--depth)
		host_fault_done();
}

static bool walked(const struct cpu_model *c)
{
	unsigned int i;

	for (i = 0; i < c->walk.nr; i++)
		if (guest_read_word(c->walk.step[i].gpa, c->walk.step[i].size) != c->walk.step[i].old)
			return true;
	return false;
}

/* With interrupts off: an exception is put where the next entry finds it. */
static bool fault_at_once(int cpu, struct vcpu_exit *exit)
{
	struct event *event = &vcpus[cpu].events.entry;
	struct cpu_model *c = &cpus[cpu];

	if (shadow_fault_fast(&vcpus[cpu], exit)) {
		model_stats.fast++;
		if (event->type == EVENT_EXCEPTION)
			inject_page_fault(&vcpus[cpu], vcpus[cpu].regs.cr2, event->error);
		return true;
	}
	/* It may have set bits, if it was for it at all, and others may have been busy. */
	if (walked(c))
		note_walk(cpu);
	guest_walk(cpu, c->gva, c->access, &c->walk);
	c->walk_noted = false;
	return false;
}

static void run_fault(int cpu, gva_t gva, struct access a, u32 error, const void *data,
		      unsigned int len)
{
	struct cpu_model *c = &cpus[cpu];
	struct vcpu_exit exit = { .kind = EXIT_EXCEPTION, .exception = { 14, true, error, gva } };
	int idx, ret;

	forget_fault(c, gva);
	guest_walk(cpu, gva, a, &c->walk);
	c->gva = gva;
	c->access = a;
	c->data = data;
	c->len = len;
	c->walk_noted = c->emulated = c->injected = c->mmio = false;
	model_others(cpu);
	vcpus[cpu].events.entry.type = model_event[cpu] ? EVENT_IRQ : EVENT_NONE;
	model_event[cpu] = false;
	model_stats.faults++;
	idx = srcu_read_lock(&vm.srcu);
	c->slots = vm.mem.slots;
	ret = rnd(2) && fault_at_once(cpu, &exit) ? RESUME : shadow_fault(&vcpus[cpu], &exit);
	MODEL(ret == RESUME, "fault at %lx: %d", gva, ret);
	note_walk(cpu);
	srcu_read_unlock(&vm.srcu, idx);
	model_others_done();
	MODEL(c->injected || !c->walk.fault, "CPU %d, %lx: no #PF(%x)", cpu, gva, c->walk.error);
	model_stats.injected += c->injected;
	model_stats.most_pages = max(model_stats.most_pages, vm.mmu.shadow->nr);
}

enum result model_access(int cpu, gva_t gva, struct access a, const void *data, unsigned int len)
{
	struct cpu_model *c = &cpus[cpu];
	int tries, level;
	u64 entry;
	u32 error;

	vcpus[cpu].regs.segs[SEG_SS].dpl = a.user || a.implicit ? 3 : 0;
	for (tries = 0; tries < TRIES; tries++) {
		model_enter(cpu);
		if (translate(cpu, gva, a, &entry, &level, &error)) {
			complete(cpu, gva, a, entry, level, data, len);
			return MEMORY;
		}
		run_fault(cpu, gva, a, error, data, len);
		if (c->injected)
			return FAULT;
		if (c->emulated)
			return c->mmio ? MMIO : MEMORY;
	}
	MODEL(false, "CPU %d, %lx, access %u: no end of faults", cpu, gva, a.type);
}

/* --- What the rooms around would do --- */

void vm_request_all(struct vm *which, enum vcpu_req req, bool wait)
{
	int i;

	(void)which;
	if (req == REQ_TLB_FLUSH) {
		MODEL(wait, "a flush nobody waits for");
		model_stats.host_flushes++;
	}
	for (i = 0; i < MODEL_CPUS; i++) {
		if (req == REQ_TLB_FLUSH)
			flush_cpu(i);
		else if (req == REQ_MMU_RELOAD)
			vcpu_request(&vcpus[i], req);
	}
}

static void tlb_flush(struct vcpu *vcpu, enum tlb_scope scope, gva_t gva)
{
	struct cpu_model *c = &cpus[vcpu->index];

	if (scope == TLB_GUEST_ADDR) {
		forget_gva(c, gva);
		c->nr_ways = 0;
	} else {
		flush_cpu(vcpu->index);
	}
}

/* As run.c orders it. */
void model_enter(int cpu)
{
	struct vcpu *vcpu = &vcpus[cpu];
	int idx = srcu_read_lock(&vm.srcu), i;

	for (i = 0; vcpu->requests; i++) {
		MODEL(i < 20, "no end of requests: %lx", vcpu->requests);
		if (vcpu_take_request(vcpu, REQ_MMU_RELOAD))
			MODEL(mmu_load_root(vcpu) == RESUME, "no root");
		if (vcpu_take_request(vcpu, REQ_TLB_FLUSH))
			tlb_flush(vcpu, TLB_ALL, 0);
		if (vcpu_take_request(vcpu, REQ_TLB_FLUSH_GUEST))
			mmu_flush_guest(vcpu);
	}
	srcu_read_unlock(&vm.srcu, idx);
	MODEL(vcpu->mmu.root != INVALID_HPA, "no root");
	for (i = 0; i < 4; i++)
		MODEL(!vcpu->mmu.roots[i] || !vcpu->mmu.roots[i]->dead, "CPU %d runs on a dead root",
		      cpu);
}

/* --- The guest --- */

static void changed(int cpu)
{
	struct vcpu *vcpu = &vcpus[cpu];
	u64 *pdpt;
	unsigned long index;

	if (paging(cpu) && !four_levels(cpu) && vcpu->regs.cr4 & X86_CR4_PAE) {
		MODEL(guest_find(vcpu->regs.cr3 & ~31ull, &index, NULL), "no PDPTEs");
		pdpt = (u64 *)((char *)guest_page(index) + (vcpu->regs.cr3 & 0xfe0));
		memcpy(vcpu->regs.pdptr, pdpt, sizeof(vcpu->regs.pdptr));
	}
	mmu_paging_changed(vcpu);
	vcpu_request(vcpu, REQ_TLB_FLUSH_GUEST);
	guest_flushed(cpu);
	model_stats.flushes++;
	if (rnd(2))
		model_enter(cpu);
}

void model_cr3(int cpu, u64 cr3)
{
	bool switched;

	model_others(cpu);
	guest_flushed(cpu);	/* what others do meanwhile may come first, or may not */
	switched = rnd(2) && four_levels(cpu) && shadow_switch_root(&vcpus[cpu], cr3, true);
	model_others_done();
	if (switched) {
		vcpus[cpu].regs.cr3 = cr3;
		tlb_flush(&vcpus[cpu], TLB_GUEST, 0);
		model_stats.switches++;
		return;
	}
	vcpus[cpu].regs.cr3 = cr3;
	changed(cpu);
}

void model_mode(int cpu, u64 cr0, u64 cr4, u64 efer, u64 cr3)
{
	struct vcpu_regs *r = &vcpus[cpu].regs;

	r->cr0 = cr0 | X86_CR0_PE;
	r->cr4 = cr4;
	r->efer = efer;
	r->cr3 = cr3;
	changed(cpu);
}

void model_flush(int cpu)
{
	vcpu_request(&vcpus[cpu], REQ_TLB_FLUSH_GUEST);
	guest_flushed(cpu);
	model_stats.flushes++;
	model_others(cpu);
	if (rnd(2))
		model_enter(cpu);
	model_others_done();
}

void model_invlpg(int cpu, gva_t gva)
{
	int idx = srcu_read_lock(&vm.srcu);

	if (rnd(2)) {
		mmu_flush_addr(&vcpus[cpu], gva);
	} else {
		bool several, done = shadow_try_sync_addr(&vcpus[cpu], gva, &several);

		MODEL(done, "the lock is free");
		backend.tlb_flush(&vcpus[cpu], several ? TLB_GUEST : TLB_GUEST_ADDR, gva);
	}
	srcu_read_unlock(&vm.srcu, idx);
	guest_flushed_addr(cpu, gva);
	model_stats.addr_flushes++;
}

/* --- What must be true of the tables at any time --- */

static unsigned int entry_size(const struct shadow_page *sp)
{
	return sp->role.wide ? 8 : 4;
}

/* Where the guest has what shadow entry @i is made of. */
static gpa_t guest_entry(const struct shadow_page *sp, unsigned int i)
{
	unsigned int n = i;

	if (!sp->role.wide) {
		n += sp->role.quadrant * 512;
		if (sp->role.level == 2)
			n /= 2;
	}
	return (sp->gfn << PAGE_SHIFT) + n * entry_size(sp);
}

static bool guest_large(const struct shadow_page *sp, u64 gpte)
{
	int level = sp->role.level;

	if (level == 1 || !(gpte & 0x80))
		return false;
	return sp->role.wide ? level == 2 || (level == 3 && sp->role.lma) : sp->role.pse;
}

static gfn_t guest_gfn(const struct shadow_page *sp, unsigned int i, u64 gpte)
{
	gfn_t gfn = (gpte & ENTRY_ADDR) >> PAGE_SHIFT;

	if (sp->role.level == 1)
		return gfn;
	if (sp->role.wide)
		return gfn & ~(level_pages(sp->role.level) - 1);
	gfn = (gpte & 0xffc00000) >> PAGE_SHIFT | (gpte >> 13 & 0xff) << 20;
	return gfn + (i & 1) * 512;
}

/* Accessed and dirty bits do not matter where they cannot be set. */
static u64 guest_entry_is(const struct shadow_page *sp, unsigned int i)
{
	unsigned long index;
	bool read_only = false;

	guest_find(guest_entry(sp, i), &index, &read_only);
	return guest_read_word(guest_entry(sp, i), entry_size(sp)) | (read_only ? 0x60 : 0);
}

static void check_table(struct shadow_page *sp, unsigned int i)
{
	struct shadow_page *child = shadow_of(entry_table(sp->table[i]));
	u64 gpte;

	MODEL(child->role.level == sp->role.level - 1, "level");
	MODEL(!child->dead, "a dead page is linked");
	if (sp->role.direct) {
		MODEL(child->role.direct, "a table below a range");
		return;
	}
	if (!list_empty(&sp->unsync))
		return;
	gpte = guest_entry_is(sp, i);
	MODEL((gpte & 0x21) == 0x21, "gfn %llx, %u: linked, guest has %llx", sp->gfn, i, gpte);
	MODEL(child->role.w <= (sp->role.w && gpte & 2) && child->role.u <= (sp->role.u && gpte & 4) &&
	      child->role.x <= (sp->role.x && !(sp->role.wide && gpte >> 63)),
	      "gfn %llx, %u: role %x below %llx", sp->gfn, i, child->role.word, gpte);
	if (guest_large(sp, gpte)) {
		MODEL(child->role.direct && child->gfn == guest_gfn(sp, i, gpte),
		      "gfn %llx, %u: not the large page's", sp->gfn, i);
		MODEL(child->role.dirty <= !!(gpte & 0x40), "gfn %llx, %u: dirty", sp->gfn, i);
	} else {
		MODEL(!child->role.direct && child->gfn == (gpte & ENTRY_ADDR) >> PAGE_SHIFT,
		      "gfn %llx, %u: not the guest's table", sp->gfn, i);
	}
}

static void check_by_guest(struct shadow_page *sp, unsigned int i)
{
	u64 entry = sp->table[i], gpte = guest_entry_is(sp, i);

	MODEL((gpte & 1) && (sp->role.level == 1 || guest_large(sp, gpte)),
	      "gfn %llx, %u: mapped, guest has %llx", sp->gfn, i, gpte);
	MODEL(sp->gfns[i] == guest_gfn(sp, i, gpte), "gfn %llx, %u: gfn", sp->gfn, i);
	MODEL(!(entry & SHADOW_U) || gpte & 4, "gfn %llx, %u: for users", sp->gfn, i);
	MODEL(!(entry & SHADOW_W) || (gpte & 0x42) == 0x42, "gfn %llx, %u: writable", sp->gfn, i);
	MODEL(entry & SHADOW_NX || !sp->role.wide || !(gpte >> 63), "gfn %llx, %u: executable",
	      sp->gfn, i);
}

static void check_by_host(struct shadow_page *sp, unsigned int i)
{
	unsigned long n = level_pages(sp->role.level), k;
	u64 entry = sp->table[i];

	for (k = 0; k < n; k++) {
		gfn_t gfn = sp->gfns[i] + k;
		struct slot *slot = slots_find(vm.mem.slots, gfn);
		unsigned long index;

		MODEL(slot && guest_find(gfn << PAGE_SHIFT, &index, NULL), "gfn %llx is mapped", gfn);
		MODEL(entry_addr(entry) >> PAGE_SHIFT == host[index].hfn - k, "gfn %llx: frame", gfn);
		if (!(entry & SHADOW_W))
			continue;
		MODEL(host[index].writable && !(slot->flags & KVM_MEM_READONLY),
		      "gfn %llx: writable", gfn);
		MODEL(!followed(gfn), "gfn %llx: a followed table is writable", gfn);
		if (slot->dirty && !(vm.mem.manual_dirty & KVM_DIRTY_LOG_INITIALLY_SET))
			MODEL(test_bit(gfn - slot->gfn, slot->dirty), "gfn %llx: unlogged", gfn);
	}
}

static void check_leaf(struct shadow_page *sp, unsigned int i)
{
	u64 entry = sp->table[i];

	MODEL(sp->role.level <= 2, "a page of level %u", sp->role.level);
	if (sp->role.direct) {
		/* Part of a large page, or of the range that is there without paging. */
		bool dirty = sp->role.dirty || (!sp->role.wide && !sp->role.pse);

		MODEL(sp->gfns[i] == sp->gfn + i * level_pages(sp->role.level), "gfn %llx, %u: gfn",
		      sp->gfn, i);
		MODEL(dirty || !(entry & SHADOW_W), "gfn %llx, %u: writable", sp->gfn, i);
	}
	MODEL((sp->role.w || !(entry & SHADOW_W)) && (sp->role.u || !(entry & SHADOW_U)) &&
	      (sp->role.x || entry & SHADOW_NX), "gfn %llx, %u: %llx in role %x", sp->gfn, i, entry,
	      sp->role.word);
	if (!sp->role.direct && list_empty(&sp->unsync))
		check_by_guest(sp, i);
	check_by_host(sp, i);
}

static void check_page(struct shadow_page *sp)
{
	struct shadow_page *other;
	unsigned int i;

	shadow_for_each(other, vm.mmu.shadow, sp->gfn)
		MODEL(sp->role.direct || other->role.direct ||
		      list_empty(&sp->unsync) == list_empty(&other->unsync),
		      "gfn %llx: followed and not", sp->gfn);
	for (i = 0; i < ENTRIES; i++) {
		u64 entry = sp->table[i];

		MODEL(!!entry == test_bit(i, sp->used), "gfn %llx, %u: used", sp->gfn, i);
		if (entry_is_leaf(entry, sp->role.level))
			check_leaf(sp, i);
		else if (entry_present(entry))
			check_table(sp, i);
	}
}

void model_check(void)
{
	struct vm_shadow *s = vm.mmu.shadow;
	struct shadow_page *sp;
	unsigned int n = 0;

	list_for_each_entry(sp, &s->active, active) {
		check_page(sp);
		n++;
	}
	MODEL(n == s->nr, "%u pages, %u counted", n, s->nr);
	MODEL(!atomic_read(&s->writers), "%d still write", atomic_read(&s->writers));
	list_for_each_entry(sp, &s->unsync, unsync)
		MODEL(s->lazy && !sp->role.direct, "gfn %llx may be written", sp->gfn);
	guest_check();
}

/* --- A VM --- */

static void page_freed(u64 phys)
{
	unsigned int i, n;

	model_stats.freed++;
	for (i = 0; i < MODEL_CPUS; i++) {
		for (n = 0; n < cpus[i].nr_ways; n++)
			MODEL(cpus[i].ways[n].table != phys, "freed while CPU %u may walk it", i);
		for (n = 0; vcpus[i].mmu.root != INVALID_HPA && n < 4; n++)
			MODEL(!vcpus[i].mmu.roots[n] || __pa(vcpus[i].mmu.roots[n]) != phys,
			      "freed while CPU %u runs on it", i);
	}
}

static void start_cpu(int i)
{
	struct vcpu *vcpu = &vcpus[i];

	vcpu->vm = &vm;
	vcpu->index = i;
	vcpu->regs.avail = ~0ull;
	vcpu->regs.cr0 = X86_CR0_PE;
	vcpu->arch.maxphyaddr = MAXPHYADDR;
	MODEL(!mmu_vcpu_init(vcpu), "no vCPU");
	xa_store(&vm.vcpus, i, vcpu, 0);
	vcpu_request(vcpu, REQ_MMU_RELOAD);
	vcpu_request(vcpu, REQ_TLB_FLUSH_GUEST);
}

void shadow_start(bool lazy)
{
	int i;

	caps = (struct backend_caps){ .tdp_levels = 4 };
	backend.tlb_flush = tlb_flush;
	model_lazy = lazy;
	memset(&vm, 0, sizeof(vm));
	memset(vcpus, 0, sizeof(vcpus));
	memset(cpus, 0, sizeof(cpus));
	memset(model_truth, 0, sizeof(model_truth));
	memset(model_event, 0, sizeof(model_event));
	memset(&model_stats, 0, sizeof(model_stats));
	memset(model_last, 0, sizeof(model_last));
	host_reset();
	guest_reset();
	shim_page_freed = page_freed;
	vm.mm = &host_mm;
	MODEL(!mmu_module_init() && !mmu_vm_init(&vm) && !mem_vm_init(&vm), "no VM");
	MODEL(!mmu_set_mode(&vm, lazy ? CORBEL_MMU_SHADOW_LAZY : CORBEL_MMU_SHADOW_WP), "no mode");
	for (i = 0; i < MODEL_CPUS; i++)
		start_cpu(i);
	vm.nr_vcpus = MODEL_CPUS;
}

void shadow_end(void)
{
	int i;

	for (i = 0; i < MODEL_CPUS; i++)
		flush_cpu(i);
	mem_vm_destroy(&vm);
	host_exit();
	mmu_vm_destroy(&vm);
	for (i = 0; i < MODEL_CPUS; i++)
		mmu_vcpu_destroy(&vcpus[i]);
	shim_grace_period();
	MODEL(!shim_pages_used(), "%ld pages are left", shim_pages_used());
	MODEL(!stats_live_count[LIVE_PAGES], "%ld pages are counted", stats_live_count[LIVE_PAGES]);
	MODEL(!vm.stats.pages_4k && !vm.stats.pages_2m && !vm.stats.pages_1g,
	      "leaf counts: %lld %lld %lld", vm.stats.pages_4k, vm.stats.pages_2m,
	      vm.stats.pages_1g);
	MODEL(!vm.srcu.readers && !shim_rcu_readers && !shim_notifier, "a lock is still held");
}
