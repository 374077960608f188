// SPDX-License-Identifier: GPL-2.0-only
/* Lifetime of what the MMU keeps per module, VM and vCPU. */
#include <linux/corbel.h>
#include <linux/cpu.h>
#include <linux/module.h>
#include <linux/string.h>
#include <linux/rcupdate.h>
#include <asm/cpufeature.h>
#include "vm.h"
#include "backend.h"
#include "mem/slots.h"
#include "mmu/emulate.h"
#include "mmu/shadow.h"
#include "mmu/tdp.h"
#include "mmu/tlb.h"

/*
 * An address bit above those the CPU has, 0 if it has all. Not the one that asks for encryption,
 * which is no reserved bit if firmware has switched that on, whatever Linux makes of it.
 */
u64 __init fmt_marker_by_address(u64 marker)
{
	unsigned int bit = 51;

	if (cpuid_eax(0x80000000) >= 0x8000001f && (cpuid_ebx(0x8000001f) & 0x3f) == bit)
		bit--;
	return boot_cpu_data.x86_phys_bits > bit ? 0 : marker | BIT_ULL(bit);
}

static char *mode = "auto";
module_param_named(mmu, mode, charp, 0444);
MODULE_PARM_DESC(mmu,
		 "How guests' memory is translated where nobody asks for something else: auto (nested paging if the CPU has it), tdp, shadow-wp, shadow-lazy");

static const char *const mode_names[] = {
	[CORBEL_MMU_AUTO] = "auto",
	[CORBEL_MMU_TDP] = "tdp",
	[CORBEL_MMU_SHADOW_WP] = "shadow-wp",
	[CORBEL_MMU_SHADOW_LAZY] = "shadow-lazy",
};

static int default_mode __ro_after_init;

int __init mmu_module_init(void)
{
	int ret;

	default_mode = match_string(mode_names, ARRAY_SIZE(mode_names), mode);
	if (default_mode < 0) {
		pr_err("mmu=%s: it is one of auto, tdp, shadow-wp, shadow-lazy\n", mode);
		return -EINVAL;
	}
	if (default_mode == CORBEL_MMU_TDP && !caps.tdp) {
		pr_err("mmu=tdp: this CPU has no nested paging (EPT, NPT)\n");
		return -EOPNOTSUPP;
	}
	if (default_mode == CORBEL_MMU_AUTO)
		default_mode = caps.tdp ? CORBEL_MMU_TDP : CORBEL_MMU_SHADOW_LAZY;
	/* SVM leaves the decoding of INVPCID to software, which does not know it. */
	if (default_mode != CORBEL_MMU_TDP && caps.any_mode_shadow)
		caps.invpcid = false;
	ret = shadow_module_init();
	if (!ret && caps.tdp)
		ret = tdp_module_init();
	return ret ?: shrink_module_init();
}

void mmu_module_exit(void)
{
	shrink_module_exit();
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

static int tdp_create(struct vm *vm)
{
	int ret = caps.any_mode ? 0 : identity_create(vm);

	if (ret)
		return ret;
	vm->mmu.any_mode = caps.any_mode;
	ret = tdp_vm_init(vm);
	if (ret)
		identity_destroy(vm);
	return ret;
}

static int mode_create(struct vm *vm, u32 mode)
{
	if (mode == CORBEL_MMU_TDP)
		return caps.tdp ? tdp_create(vm) : -EOPNOTSUPP;
	vm->mmu.any_mode = caps.any_mode_shadow;
	return shadow_vm_init(vm, mode == CORBEL_MMU_SHADOW_LAZY);
}

void mmu_vm_destroy(struct vm *vm)
{
	if (vm->mmu.shadow)
		shadow_vm_destroy(vm);
	else
		tdp_vm_destroy(vm);
	identity_destroy(vm);
}

int mmu_vm_init(struct vm *vm)
{
	vm->mmu.root = INVALID_HPA;
	vm->mmu.apic_page = INVALID_HPA;
	vm->mmu.identity_gfn = IDENTITY_GFN;
	vm->mmu.nx_huge_pages = boot_cpu_has_bug(X86_BUG_ITLB_MULTIHIT) && !cpu_mitigations_off();
	return mode_create(vm, default_mode);
}

static int set_mode_locked(struct vm *vm, u32 mode)
{
	struct vm_mmu old = vm->mmu, new;
	int ret;

	if (vm->nr_vcpus || slots_current(vm)->nr || vm->irq.mode != IRQCHIP_NONE)
		return -EBUSY;
	vm->mmu.shadow = NULL;
	vm->mmu.identity = NULL;
	ret = mode_create(vm, mode);
	new = vm->mmu;
	vm->mmu = old;
	if (ret)
		return ret;
	mmu_vm_destroy(vm);
	vm->mmu = new;
	return 0;
}

int mmu_set_mode(struct vm *vm, u32 mode)
{
	int ret;

	if (mode > CORBEL_MMU_SHADOW_LAZY)
		return -EINVAL;
	mutex_lock(&vm->slots_lock);
	ret = set_mode_locked(vm, mode ?: default_mode);
	mutex_unlock(&vm->slots_lock);
	return ret;
}

int mmu_vcpu_init(struct vcpu *vcpu)
{
	vcpu->mmu.root = INVALID_HPA;
	if (vcpu->vm->mmu.shadow) {
		/* The processor takes no more than 32 bits for an address of PDPTEs. */
		vcpu->mmu.pae_root = (u64 *)__get_free_page(GFP_KERNEL_ACCOUNT | __GFP_ZERO | GFP_DMA32);
		if (!vcpu->mmu.pae_root)
			return -ENOMEM;
	}
	return emulate_vcpu_init(vcpu);
}

static void spares_free(struct vcpu_mmu *mmu)
{
	while (mmu->nr_tables)
		tlb_table_free(mmu->tables[--mmu->nr_tables]);
	while (mmu->nr_spares)
		shadow_free(mmu->spares[--mmu->nr_spares]);
}

void mmu_vcpu_destroy(struct vcpu *vcpu)
{
	free_page((unsigned long)vcpu->mmu.pae_root);
	vcpu->mmu.pae_root = NULL;
	spares_free(&vcpu->mmu);
	emulate_vcpu_destroy(vcpu);
}

int mmu_load_root(struct vcpu *vcpu)
{
	if (vcpu->vm->mmu.shadow)
		return shadow_load_root(vcpu);
	vcpu->mmu.root = vcpu->vm->mmu.root;
	return RESUME;
}

/* Nested paging walks the guest's tables itself; only what the emulator remembered is stale. */
void mmu_paging_changed(struct vcpu *vcpu)
{
	emulate_forget(vcpu);
	if (vcpu->vm->mmu.shadow)
		vcpu_request(vcpu, REQ_MMU_RELOAD);
}

void mmu_flush_guest(struct vcpu *vcpu)
{
	if (vcpu->vm->mmu.shadow)
		shadow_sync(vcpu);
	backend_call(tlb_flush)(vcpu, TLB_GUEST, 0);
}

void mmu_flush_addr(struct vcpu *vcpu, gva_t gva)
{
	bool all = vcpu->vm->mmu.shadow && shadow_sync_addr(vcpu, gva);

	backend_call(tlb_flush)(vcpu, all ? TLB_GUEST : TLB_GUEST_ADDR, gva);
}

int mmu_write(struct vcpu *vcpu, gpa_t gpa, const void *buf, unsigned int len)
{
	int ret;

	if (!vcpu->vm->mmu.shadow)
		return guest_write(vcpu, gpa, buf, len);
	shadow_write_start(vcpu, gpa);
	ret = guest_write(vcpu, gpa, buf, len);
	shadow_written(vcpu, gpa, len);		/* a part of it at least, perhaps */
	shadow_write_end(vcpu);
	return ret;
}

int mmu_cmpxchg(struct vcpu *vcpu, gpa_t gpa, u64 *old, u64 new, unsigned int len)
{
	int ret;

	if (!vcpu->vm->mmu.shadow)
		return guest_cmpxchg(vcpu, gpa, old, new, len);
	shadow_write_start(vcpu, gpa);
	ret = guest_cmpxchg(vcpu, gpa, old, new, len);
	if (!ret)
		shadow_written(vcpu, gpa, len);
	shadow_write_end(vcpu);
	return ret;
}

/* The two ways to translate, towards the room of memory. */

void mmu_zap(struct vm *vm, gfn_t start, gfn_t end, bool may_yield)
{
	if (vm->mmu.shadow)
		shadow_zap(vm, start, end, may_yield);
	else
		tdp_zap(vm, start, end, may_yield);
}

void mmu_zap_all(struct vm *vm)
{
	if (vm->mmu.shadow)
		shadow_zap_all(vm);
	else
		tdp_zap_all(vm);
}

/* What was there may have been tables of the guest, whose entries then map gfns from everywhere. */
void mmu_slot_gone(struct vm *vm, const struct slot *slot)
{
	if (vm->mmu.shadow)
		shadow_zap_all(vm);
	else
		tdp_zap(vm, slot->gfn, slot->gfn + slot->npages, true);
}

bool mmu_age(struct vm *vm, gfn_t start, gfn_t end, bool clear, bool flush)
{
	return vm->mmu.shadow ? shadow_age(vm, start, end, clear, flush) :
				tdp_age(vm, start, end, clear, flush);
}

void mmu_log_start(struct vm *vm, const struct slot *slot)
{
	if (vm->mmu.shadow)
		shadow_log_start(vm, slot);
	else
		tdp_log_start(vm, slot);
}

bool mmu_log_rearm(struct vm *vm, gfn_t first, u64 mask)
{
	return vm->mmu.shadow ? shadow_log_rearm(vm, first, mask) : tdp_log_rearm(vm, first, mask);
}

void mmu_set_apic_page(struct vm *vm, hpa_t hpa)
{
	write_lock(&vm->mmu_lock);
	vm->mmu.apic_page = hpa;
	write_unlock(&vm->mmu_lock);
	mmu_zap(vm, APIC_GFN, APIC_GFN + 1, true);
}

void mmu_set_noncoherent(struct vm *vm, bool noncoherent)
{
	if (vm->mmu.noncoherent == noncoherent)
		return;
	write_lock(&vm->mmu_lock);
	vm->mmu.noncoherent = noncoherent;
	write_unlock(&vm->mmu_lock);
	mmu_zap_all(vm);
}
