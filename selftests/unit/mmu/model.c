// SPDX-License-Identifier: GPL-2.0-only
#include <linux/mm.h>
#include "cpu/regs.h"
#include "mem/notifier.h"
#include "mmu/tdp.h"
#include "model.h"

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

struct backend_caps caps;
struct backend_ops backend;
long stats_live_count[NR_LIVE_OBJECTS];
struct vm vm;
struct vcpu vcpus[MODEL_CPUS];
unsigned long model_mmio_exits, model_faults, model_flushes;
unsigned char model_truth[MODEL_PAGES * 4];

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
		tdp_log_dirty(&vcpus[i], (u64[]){ gfn << PAGE_SHIFT }, 1);
	*ptr |= tdp_fmt.accessed | need;
	*out = *ptr;
	remember(cpu, gfn & ~(level_pages(*out_level) - 1), *out_level, *ptr);
	return true;
}

static void check_access(gfn_t gfn, unsigned int access, u64 entry, int level)
{
	hfn_t hfn = (entry_addr(entry) >> PAGE_SHIFT) + (gfn & (level_pages(level) - 1));
	unsigned long index = host_index(hfn);
	struct slot *slot = slots_find(vm.mem.slots, gfn);

	MODEL(slot, "gfn %llx is reached without a slot", gfn);
	MODEL(slot_hva(slot, gfn) == model_hva(index), "gfn %llx reaches the wrong page", gfn);
	if (!(access & ACCESS_WRITE))
		return;
	MODEL(!(slot->flags & KVM_MEM_READONLY), "gfn %llx: write to a read-only slot", gfn);
	MODEL(host[index].writable, "gfn %llx: write to a frame that is read-only", gfn);
	model_truth[gfn] = 1;
}

static void run_fault(int i, gpa_t gpa, enum exit_kind kind, u32 access)
{
	struct vcpu_exit exit = { .kind = kind, .fault.gpa = gpa, .fault.access = access };
	int idx, ret;

	/* Half of them where nobody can be waited for. */
	if (model_faults++ & 1 && fault_fast(&vcpus[i], &exit)) {
		host_fault_done();
		return;
	}
	idx = srcu_read_lock(&vm.srcu);
	ret = fault_exit(&vcpus[i], &exit);
	MODEL(ret == RESUME, "fault at %llx: %d", gpa, ret);
	srcu_read_unlock(&vm.srcu, idx);
	host_fault_done();
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

int inject_page_fault(struct vcpu *vcpu, gva_t cr2, u32 error)
{
	MODEL(false, "vCPU %d: #PF(%x) at %llx with nested paging", vcpu->index, error, (u64)cr2);
}

int emulate_mmio(struct vcpu *vcpu, const struct vcpu_exit *exit, bool slot)
{
	(void)vcpu;
	(void)exit;
	model_mmio_exits++;
	return RESUME;
}

bool mmio_move_worth(struct vcpu *vcpu, gpa_t gpa)
{
	return false;
}

bool mmio_move_fast(struct vcpu *vcpu, struct vcpu_exit *exit)
{
	return false;
}

int mmio_move_to_user(struct vcpu *vcpu)
{
	MODEL(false, "vCPU %d: nobody has looked at the device", vcpu->index);
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
	memset(cpus, 0, sizeof(cpus));
	model_truth_reset();
	host_reset();
	shim_page_freed = table_freed;
	vm.mm = &host_mm;
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
	int i;

	for (i = 0; i < MODEL_CPUS; i++) {
		while (vcpus[i].mmu.nr_tables)
			free_page((unsigned long)vcpus[i].mmu.tables[--vcpus[i].mmu.nr_tables]);
		flush_cpu(i);
	}
	mem_vm_destroy(&vm);
	host_exit();
	tdp_vm_destroy(&vm);
	shim_grace_period();
	MODEL(!shim_pages_used(), "%ld pages are left", shim_pages_used());
	MODEL(!vm.stats.pages_4k && !vm.stats.pages_2m && !vm.stats.pages_1g,
	      "leaf counts: %lld %lld %lld", vm.stats.pages_4k, vm.stats.pages_2m,
	      vm.stats.pages_1g);
	MODEL(!vm.srcu.readers && !shim_rcu_readers && !shim_notifier, "a lock is still held");
}

void model_truth_reset(void)
{
	memset(model_truth, 0, sizeof(model_truth));
}
