// SPDX-License-Identifier: GPL-2.0-only
/* Lifetime of what the MMU keeps per module, VM and vCPU. */
#include <linux/cpu.h>
#include <linux/rcupdate.h>
#include <asm/cpufeature.h>
#include "vm.h"
#include "backend.h"
#include "mmu/emulate.h"
#include "mmu/tdp.h"
#include "mmu/tlb.h"

int __init mmu_module_init(void)
{
	return caps.tdp ? tdp_module_init() : 0;
}

void mmu_module_exit(void)
{
	rcu_barrier();	/* tables on their way through table_free_rcu() */
}

#define IDENTITY_BITS	0xe7		/* present, writable, user, accessed, dirty, 4 MiB */

/* A guest without paging, where the CPU insists on it: pages of 4 MiB, each where it would be. */
static int identity_create(struct vm *vm)
{
	u32 *table = (u32 *)__get_free_page(GFP_KERNEL_ACCOUNT), i;

	if (!table)
		return -ENOMEM;
	for (i = 0; i < PAGE_SIZE / sizeof(*table); i++)
		table[i] = i << 22 | IDENTITY_BITS;
	vm->mmu.identity = table;
	stats_live(LIVE_PAGES, 1);
	return 0;
}

static void identity_destroy(struct vm *vm)
{
	if (!vm->mmu.identity)
		return;
	free_page((unsigned long)vm->mmu.identity);
	stats_live(LIVE_PAGES, -1);
}

int mmu_vm_init(struct vm *vm)
{
	int ret;

	vm->mmu.root = INVALID_HPA;
	vm->mmu.apic_page = INVALID_HPA;
	vm->mmu.identity_gfn = IDENTITY_GFN;
	if (!caps.tdp)
		return -EOPNOTSUPP;
	vm->mmu.nx_huge_pages = boot_cpu_has_bug(X86_BUG_ITLB_MULTIHIT) && !cpu_mitigations_off();
	ret = caps.any_mode ? 0 : identity_create(vm);
	if (ret)
		return ret;
	ret = tdp_vm_init(vm);
	if (ret)
		identity_destroy(vm);
	return ret;
}

void mmu_vm_destroy(struct vm *vm)
{
	tdp_vm_destroy(vm);
	identity_destroy(vm);
}

int mmu_vcpu_init(struct vcpu *vcpu)
{
	vcpu->mmu.root = INVALID_HPA;
	return emulate_vcpu_init(vcpu);
}

void mmu_vcpu_destroy(struct vcpu *vcpu)
{
	struct vcpu_mmu *mmu = &vcpu->mmu;

	while (mmu->nr_tables)
		tlb_table_free(mmu->tables[--mmu->nr_tables]);
	emulate_vcpu_destroy(vcpu);
}

int mmu_load_root(struct vcpu *vcpu)
{
	vcpu->mmu.root = vcpu->vm->mmu.root;
	return RESUME;
}

/* The hardware walks the guest's tables itself; only what the emulator remembered is stale. */
void mmu_paging_changed(struct vcpu *vcpu)
{
	emulate_forget(vcpu);
}

void mmu_set_apic_page(struct vm *vm, hpa_t hpa)
{
	write_lock(&vm->mmu_lock);
	vm->mmu.apic_page = hpa;
	write_unlock(&vm->mmu_lock);
	tdp_zap(vm, APIC_GFN, APIC_GFN + 1, true);
}

void mmu_set_noncoherent(struct vm *vm, bool noncoherent)
{
	if (vm->mmu.noncoherent == noncoherent)
		return;
	write_lock(&vm->mmu_lock);
	vm->mmu.noncoherent = noncoherent;
	write_unlock(&vm->mmu_lock);
	tdp_zap_all(vm);
}
