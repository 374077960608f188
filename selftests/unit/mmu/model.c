// SPDX-License-Identifier: GPL-2.0-only
#include <pthread.h>
#include <semaphore.h>
#include <linux/mm.h>
#include <linux/mmu_notifier.h>
#include <linux/uaccess.h>
#include "cpu/regs.h"
#include "mem/notifier.h"
#include "mem/pfn.h"
#include "mmu/tdp.h"
#include "model.h"

#define MODEL(c, ...)								\
do {										\
	if (!(c)) {								\
		fprintf(stderr, "model: " __VA_ARGS__);				\
		fprintf(stderr, "\n");						\
		abort();							\
	}									\
} while (0)

#define TLB_SIZE	4096
#define TABLES_SIZE	4096

struct tlb_entry {
	gfn_t gfn;		/* first */
	int level;
	u64 entry;
};

struct cpu_model {
	struct tlb_entry tlb[TLB_SIZE];		/* oldest first */
	unsigned int nr;
	u64 tables[TABLES_SIZE];		/* physical: paging-structure caches */
	unsigned int nr_tables;
};

static struct cpu_model cpus[MODEL_CPUS];
static enum model_kind model_kind;
static struct mm_struct mm;
static hfn_t next_frame;

struct backend_caps caps;
struct backend_ops backend;
long stats_live_count[NR_LIVE_OBJECTS];
struct host_page host[MODEL_PAGES];
bool host_huge[MODEL_PAGES / 512];
struct vm vm;
struct vcpu vcpus[MODEL_CPUS];
void (*model_in_fault)(struct vcpu *vcpu);
unsigned long model_mmio_exits, model_faults, model_flushes, model_poison_signals;
bool model_poisoned, model_in_more;
unsigned char model_truth[MODEL_PAGES * 4];

hva_t model_hva(unsigned long index)
{
	return MODEL_HVA + index * PAGE_SIZE;
}

/* Frames in use by the host carry the number of their host page plus one. */
#define MAX_FRAMES	(1u << 23)
static u32 frame_owner[MAX_FRAMES];
#define FRAME_BASE	0x200000ul

static void frame_free(unsigned long index)
{
	if (host[index].hfn)
		frame_owner[host[index].hfn - FRAME_BASE] = 0;
	host[index].hfn = 0;
}

static hfn_t frames_new(unsigned long n)
{
	hfn_t first = (next_frame + n - 1) & ~(n - 1);

	MODEL(first + n < MAX_FRAMES, "out of frames");
	next_frame = first + n;
	return FRAME_BASE + first;
}

static void frame_give(unsigned long index, hfn_t hfn)
{
	host[index] = (struct host_page){ .hfn = hfn, .writable = !host[index].prot_read,
					  .prot_read = host[index].prot_read };
	frame_owner[hfn - FRAME_BASE] = index + 1;
}

static unsigned long hfn_index(hfn_t hfn)
{
	MODEL(hfn >= FRAME_BASE && hfn < FRAME_BASE + MAX_FRAMES, "no such frame %llx", hfn);
	MODEL(frame_owner[hfn - FRAME_BASE], "frame %llx is used after the host took it back", hfn);
	return frame_owner[hfn - FRAME_BASE] - 1;
}

/* --- The hardware --- */

static bool perm(u64 entry, unsigned int access)
{
	bool x = (entry & (tdp_fmt.exec | tdp_fmt.noexec)) == tdp_fmt.exec;

	return (!(access & ACCESS_WRITE) || entry & tdp_fmt.write) &&
	       (!(access & ACCESS_EXEC) || x);
}

static void remember(struct cpu_model *cpu, gfn_t gfn, int level, u64 entry)
{
	unsigned int i;

	for (i = 0; i < cpu->nr; i++)
		if (cpu->tlb[i].gfn == gfn && cpu->tlb[i].level == level &&
		    cpu->tlb[i].entry == entry)
			return;
	if (cpu->nr == TLB_SIZE) {	/* hardware forgets, too */
		memmove(cpu->tlb, cpu->tlb + 1, sizeof(cpu->tlb[0]) * (TLB_SIZE - 1));
		cpu->nr--;
	}
	cpu->tlb[cpu->nr++] = (struct tlb_entry){ gfn, level, entry };
}

static void remember_table(struct cpu_model *cpu, u64 phys)
{
	unsigned int i;

	for (i = 0; i < cpu->nr_tables; i++)
		if (cpu->tables[i] == phys)
			return;
	MODEL(cpu->nr_tables < TABLES_SIZE, "table cache too small");
	cpu->tables[cpu->nr_tables++] = phys;
}

/* Down the tables; the leaf's place, or NULL. *marker: an MMIO marker was hit. */
static u64 *walk(struct cpu_model *cpu, gfn_t gfn, int *level, bool *marker)
{
	u64 *table = __va(vm.mmu.root);

	*marker = false;
	if (gfn >> (caps.tdp_levels * 9))
		return NULL;
	for (*level = caps.tdp_levels; ; --*level) {
		u64 *ptr = &table[gfn >> (*level - 1) * 9 & 511], entry = *ptr;

		if (!entry_present(entry)) {
			*marker = entry != 0;
			return NULL;
		}
		if (entry_is_leaf(entry, *level))
			return ptr;
		MODEL((entry & tdp_fmt.table) == tdp_fmt.table, "table entry %llx", entry);
		remember_table(cpu, entry_addr(entry));
		table = entry_table(entry);
	}
}

/* SDM: an EPT violation drops what is cached for its address. */
static void forget_gfn(struct cpu_model *cpu, gfn_t gfn)
{
	unsigned int i, n = 0;

	for (i = 0; i < cpu->nr; i++)
		if (gfn - cpu->tlb[i].gfn >= level_pages(cpu->tlb[i].level))
			cpu->tlb[n++] = cpu->tlb[i];
	cpu->nr = n;
}

static void flush_cpu(int i)
{
	cpus[i].nr = cpus[i].nr_tables = 0;
}

void model_speculate(int i, gfn_t gfn)
{
	int level;
	bool marker;
	u64 *ptr = walk(&cpus[i], gfn, &level, &marker);

	if (!ptr)
		return;
	*ptr |= tdp_fmt.accessed;
	remember(&cpus[i], gfn & ~(level_pages(level) - 1), level, *ptr);
}

/* A translation for the access, from the TLB if one is there. */
static bool translate(int i, gfn_t gfn, unsigned int access, u64 *out, int *out_level, bool *marker)
{
	struct cpu_model *cpu = &cpus[i];
	u64 need = access & ACCESS_WRITE ? tdp_fmt.dirty : 0, *ptr;
	unsigned int n;

	for (n = 0; n < cpu->nr; n++) {
		struct tlb_entry *t = &cpu->tlb[n];

		if (gfn - t->gfn < level_pages(t->level) && perm(t->entry, access) &&
		    (t->entry & need) == need) {
			*out = t->entry;
			*out_level = t->level;
			return true;
		}
	}
	ptr = walk(cpu, gfn, out_level, marker);
	if (!ptr || !perm(*ptr, access))
		return false;
	if ((*ptr & need) != need && model_kind == MODEL_EPT_PML)
		tdp_log_dirty_gpa(&vcpus[i], gfn << PAGE_SHIFT);
	*ptr |= tdp_fmt.accessed | need;
	*out = *ptr;
	remember(cpu, gfn & ~(level_pages(*out_level) - 1), *out_level, *ptr);
	return true;
}

static void check_access(gfn_t gfn, unsigned int access, u64 entry, int level)
{
	hfn_t hfn = (entry_addr(entry) >> PAGE_SHIFT) + (gfn & (level_pages(level) - 1));
	unsigned long index = hfn_index(hfn);
	struct slot *slot = slots_find(vm.mem.slots, gfn);

	MODEL(slot, "gfn %llx is reached without a slot", gfn);
	MODEL(slot_hva(slot, gfn) == model_hva(index), "gfn %llx reaches the wrong page", gfn);
	if (!(access & ACCESS_WRITE))
		return;
	MODEL(!(slot->flags & KVM_MEM_READONLY), "gfn %llx: write to a read-only slot", gfn);
	MODEL(host[index].writable, "gfn %llx: write to a frame that is read-only", gfn);
	model_truth[gfn] = 1;
}

static void other_start(void);
static void other_finish(void);

static void run_fault(int i, gpa_t gpa, enum exit_kind kind, u32 access)
{
	struct vcpu_exit exit = { .kind = kind, .fault.gpa = gpa, .fault.access = access };
	int idx = srcu_read_lock(&vm.srcu), ret;

	model_faults++;
	ret = fault_exit(&vcpus[i], &exit);
	MODEL(ret == RESUME, "fault at %llx: %d", gpa, ret);
	srcu_read_unlock(&vm.srcu, idx);
	other_finish();
}

static void hit_marker(int i, gpa_t gpa)
{
	run_fault(i, gpa, model_kind == MODEL_NPT ? EXIT_PAGE_FAULT : EXIT_MISCONFIG, FAULT_RSVD);
}

static void violate(int i, gpa_t gpa, unsigned int access)
{
	forget_gfn(&cpus[i], gpa >> PAGE_SHIFT);
	run_fault(i, gpa, EXIT_PAGE_FAULT, access & ACCESS_WRITE ? FAULT_WRITE :
		  access & ACCESS_EXEC ? FAULT_FETCH : FAULT_READ);
}

bool model_access(int i, gpa_t gpa, unsigned int access)
{
	gfn_t gfn = gpa >> PAGE_SHIFT;
	int tries, level;
	u64 entry;

	for (tries = 0; tries < 10; tries++) {
		unsigned long mmio = model_mmio_exits;
		bool marker = false;

		if (translate(i, gfn, access, &entry, &level, &marker)) {
			check_access(gfn, access, entry, level);
			return true;
		}
		if (marker)
			hit_marker(i, gpa);
		else
			violate(i, gpa, access);
		if (model_mmio_exits != mmio) {
			struct slot *slot = slots_find(vm.mem.slots, gfn);

			MODEL(!slot || (slot->flags & KVM_MEM_READONLY && access & ACCESS_WRITE),
			      "gfn %llx: MMIO where there is memory", gfn);
			return false;
		}
		if (model_poisoned)
			return false;
	}
	MODEL(false, "gfn %llx, access %u: no end of faults", gfn, access);
}

static void table_freed(u64 phys)
{
	const u64 *table = __va(phys);
	unsigned int i, n;

	for (i = 0; i < ENTRIES; i++)
		MODEL(!table[i], "table freed with an entry in it");

	for (i = 0; i < MODEL_CPUS; i++)
		for (n = 0; n < cpus[i].nr_tables; n++)
			MODEL(cpus[i].tables[n] != phys, "table freed while CPU %u may walk it", i);
}

/* --- The host --- */

void host_start(unsigned long first, unsigned long n)
{
	struct mmu_notifier_range r = { model_hva(first), model_hva(first + n), true };

	shim_notifier->ops->invalidate_range_start(shim_notifier, &r);
}

void host_end(unsigned long first, unsigned long n)
{
	struct mmu_notifier_range r = { model_hva(first), model_hva(first + n), true };

	shim_notifier->ops->invalidate_range_end(shim_notifier, &r);
}

void host_invalidate(unsigned long first, unsigned long n, void (*change)(unsigned long index))
{
	unsigned long i;

	/* a split takes all of it */
	if (host_huge[first / 512] || host_huge[(first + n - 1) / 512]) {
		first &= ~511ul;
		n = ((n + 511) & ~511ul) + 512;
		if (first + n > MODEL_PAGES)
			n = MODEL_PAGES - first;
	}
	host_start(first, n);
	for (i = first; i < first + n; i++) {
		host_huge[i / 512] = false;
		change(i);
	}
	host_end(first, n);
}

void host_unmap(unsigned long index)
{
	frame_free(index);
}

void host_cow(unsigned long index)
{
	host[index].writable = false;
}

static void unmap_nothing(unsigned long index)
{
	(void)index;
}

bool host_collapse(unsigned long index)
{
	unsigned long first = index & ~511ul, i;
	hfn_t hfn;

	for (i = first; i < first + 512; i++)
		if (host[i].prot_read)
			return false;
	host_invalidate(first, 512, unmap_nothing);
	host_start(first, 512);
	hfn = frames_new(512);
	for (i = first; i < first + 512; i++) {
		frame_free(i);
		frame_give(i, hfn + (i - first));
	}
	host_huge[first / 512] = true;
	host_end(first, 512);
	return true;
}

static unsigned long hva_index(hva_t hva)
{
	MODEL(hva >= MODEL_HVA && hva < model_hva(MODEL_PAGES), "hva %lx", hva);
	return (hva - MODEL_HVA) >> PAGE_SHIFT;
}

static void fault_in(unsigned long index)
{
	frame_give(index, frames_new(1));
}

void host_populate(unsigned long index)
{
	if (!host[index].hfn)
		fault_in(index);
}

static void copy_page(unsigned long index)
{
	frame_free(index);
	fault_in(index);
}

/* The thread of model_in_fault: control is handed over, never shared. */
static pthread_t other;
static sem_t go_other, go_main;
static bool other_runs;

static void *other_run(void *hook)
{
	((void (*)(struct vcpu *))hook)(&vcpus[0]);
	other_runs = false;
	sem_post(&go_main);
	return NULL;
}

static void other_waits(struct srcu_struct *srcu)
{
	while (other_runs && srcu->readers) {
		sem_post(&go_main);
		sem_wait(&go_other);
	}
}

static void other_start(void)
{
	void *hook = model_in_fault;

	model_in_fault = NULL;
	other_runs = true;
	sem_init(&go_other, 0, 0);
	sem_init(&go_main, 0, 0);
	shim_srcu_wait = other_waits;
	MODEL(!pthread_create(&other, NULL, other_run, hook), "no thread");
	sem_wait(&go_main);
	if (!other_runs)
		pthread_join(other, NULL);
}

static void other_finish(void)
{
	if (!other_runs)
		return;
	sem_post(&go_other);
	sem_wait(&go_main);
	MODEL(!other_runs, "still waiting");
	pthread_join(other, NULL);
}

int pfn_resolve(hva_t hva, bool write, bool want_write, struct pfn *pfn)
{
	unsigned long index = hva_index(hva);

	if (model_poisoned)
		return -EHWPOISON;
	if (write && host[index].prot_read)
		return -EFAULT;
	if (!host[index].hfn)
		fault_in(index);
	else if (write && !host[index].writable)
		host_invalidate(index, 1, copy_page);
	pfn->hfn = host[index].hfn;
	pfn->writable = (write || want_write) && host[index].writable;
	pfn->page = true;
	pfn->mmio = false;
	if (model_in_fault && !model_in_more)
		other_start();
	return 0;
}

unsigned int pfn_resolve_more(hva_t hva, unsigned int n, hfn_t *hfns)
{
	unsigned long index = hva_index(hva);
	unsigned int i;

	MODEL(n <= PFN_MORE, "more than there is room for");
	for (i = 0; i < n && index + i < MODEL_PAGES && host[index + i].hfn &&
	     host[index + i].writable; i++)
		hfns[i] = host[index + i].hfn;
	if (model_in_fault)
		other_start();
	return i;
}

int pfn_host_level(struct mm_struct *mm, hva_t hva)
{
	return host_huge[hva_index(hva) / 512] ? 2 : 1;
}

void pfn_set_accessed(hfn_t hfn)
{
	host[hfn_index(hfn)].accessed = true;
}

void pfn_set_dirty(hfn_t hfn)
{
	host[hfn_index(hfn)].dirty = true;
}

bool shim_user_fault(const void *p, unsigned long len)
{
	(void)len;
	return (unsigned long)p >= MODEL_HVA && (unsigned long)p < model_hva(MODEL_PAGES);
}

void shim_poison_signal(const void *addr)
{
	(void)addr;
	model_poison_signals++;
}

/* --- What the rooms around would do --- */

void vm_request_all(struct vm *which, enum vcpu_req req, bool wait)
{
	int i;

	(void)which;
	if (req != REQ_TLB_FLUSH)
		return;
	MODEL(wait, "a flush nobody waits for");
	model_flushes++;
	for (i = 0; i < MODEL_CPUS; i++)
		flush_cpu(i);
}

void vm_kill(struct vm *which)
{
	which->dead = true;
}

int emulate_mmio(struct vcpu *vcpu, const struct vcpu_exit *exit, bool slot)
{
	(void)vcpu;
	(void)exit;
	model_mmio_exits++;
	return RESUME;
}

/* --- A VM --- */

const char *model_name(enum model_kind kind)
{
	static const char *const names[NR_MODELS] = {
		"ept", "ept with PML", "ept without A/D", "ept with NX huge pages", "npt",
	};

	return names[kind];
}

static void set_caps(enum model_kind kind)
{
	caps = (struct backend_caps){
		.tdp = true,
		.tdp_ad = kind != MODEL_EPT_NO_AD,
		.tdp_max_level = 2,
		.tdp_levels = 4,
		.tdp_format = kind == MODEL_NPT ? &fmt_npt : &fmt_ept,
		.pml = kind == MODEL_EPT_PML,
	};
}

void model_start(enum model_kind kind)
{
	int i;

	model_kind = kind;
	set_caps(kind);
	memset(&vm, 0, sizeof(vm));
	memset(vcpus, 0, sizeof(vcpus));
	memset(host, 0, sizeof(host));
	memset(host_huge, 0, sizeof(host_huge));
	memset(frame_owner, 0, sizeof(frame_owner));
	memset(cpus, 0, sizeof(cpus));
	model_truth_reset();
	next_frame = 0;
	model_in_fault = NULL;
	model_poisoned = model_in_more = false;
	shim_page_freed = table_freed;
	vm.mm = &mm;
	MODEL(!tdp_module_init(), "no format");
	vm.mmu.apic_page = INVALID_HPA;
	vm.mmu.nx_huge_pages = kind == MODEL_EPT_NX;
	MODEL(!tdp_vm_init(&vm) && !mem_vm_init(&vm), "no memory");
	for (i = 0; i < MODEL_CPUS; i++) {
		vcpus[i].vm = &vm;
		vcpus[i].index = i;
		vcpus[i].regs.avail = ~0ull;
		xa_store(&vm.vcpus, i, &vcpus[i], GFP_KERNEL);
	}
	vm.nr_vcpus = MODEL_CPUS;
}

void model_end(void)
{
	unsigned long index;
	int i;

	for (i = 0; i < MODEL_CPUS; i++) {
		while (vcpus[i].mmu.nr_tables)
			free_page((unsigned long)vcpus[i].mmu.tables[--vcpus[i].mmu.nr_tables]);
		flush_cpu(i);
	}
	mem_vm_destroy(&vm);
	/* Nobody tells the VM from here on. */
	for (index = 0; index < MODEL_PAGES; index++)
		frame_free(index);
	tdp_vm_destroy(&vm);
	shim_grace_period();
	MODEL(!shim_pages_used(), "%ld pages are left", shim_pages_used());
	MODEL(!vm.stats.pages_4k && !vm.stats.pages_2m && !vm.stats.pages_1g,
	      "leaf counts: %lld %lld %lld", vm.stats.pages_4k, vm.stats.pages_2m,
	      vm.stats.pages_1g);
	MODEL(!vm.srcu.readers && !shim_rcu_readers && !shim_notifier, "a lock is still held");
}

int model_slot(u32 id, gpa_t gpa, u64 pages, hva_t hva, u32 flags)
{
	struct kvm_userspace_memory_region r = {
		.slot = id,
		.flags = flags,
		.guest_phys_addr = gpa,
		.memory_size = pages << PAGE_SHIFT,
		.userspace_addr = hva,
	};

	return slots_set_region(&vm, &r);
}

int model_get_dirty(u32 id, unsigned long *bitmap)
{
	struct kvm_dirty_log log = { .slot = id, .dirty_bitmap = bitmap };

	return slots_get_dirty_log(&vm, &log);
}

void model_truth_reset(void)
{
	memset(model_truth, 0, sizeof(model_truth));
}
