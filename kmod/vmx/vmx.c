// SPDX-License-Identifier: GPL-2.0-only
/* The VMX backend: CPUs on and off, vCPUs made and loaded, and the operations table. */
#include <linux/percpu.h>
#include <linux/slab.h>
#include <asm/intel_pt.h>
#include <asm/tlbflush.h>
#include "backend.h"
#include "compat.h"
#include "cpu/regs.h"
#include "cpu/user_msr.h"
#include "irq/lapic.h"
#include "stats.h"
#include "vm.h"
#include "vmx/l1d.h"
#include "vmx/vmcs.h"
#include "vmx/vmx.h"

static DEFINE_PER_CPU(struct vmcs *, vmxon_region);

static int vmxon(u64 pa)
{
	asm goto("1: vmxon %[pa]\n\t"
		 "jbe %l[fault]\n\t"
		 _ASM_EXTABLE(1b, %l[fault])
		 : : [pa] "m" (pa) : "cc", "memory" : fault);
	return 0;
fault:
	return -EIO;
}

static void vmxoff(void)
{
	asm volatile("1: vmxoff\n2:\n" _ASM_EXTABLE(1b, 2b) : : : "cc", "memory");
}

/*
 * SDM, "Enabling and Entering VMX Operation": CR4.VMXE, then VMXON under a locked feature control.
 */
static int vmx_cpu_on(void)
{
	u64 fc;

	if (cr4_read_shadow() & X86_CR4_VMXE)
		return -EBUSY;
	rdmsrl(MSR_IA32_FEAT_CTL, fc);
	if (!(fc & FEAT_CTL_LOCKED))
		wrmsrl(MSR_IA32_FEAT_CTL, fc | FEAT_CTL_LOCKED | FEAT_CTL_VMX_ENABLED_OUTSIDE_SMX);
	else if (!(fc & FEAT_CTL_VMX_ENABLED_OUTSIDE_SMX))
		return -EOPNOTSUPP;

	user_msr_cpu_on();
	intel_pt_handle_vmx(1);
	cr4_set_bits(X86_CR4_VMXE);
	if (vmxon(__pa(this_cpu_read(vmxon_region)))) {
		cr4_clear_bits(X86_CR4_VMXE);
		intel_pt_handle_vmx(0);
		return -EIO;
	}
	vmx_tlb_flush_cpu();
	return 0;
}

static void vmx_cpu_off(void)
{
	vmcs_clear_cpu();
	vmxoff();
	cr4_clear_bits(X86_CR4_VMXE);
	intel_pt_handle_vmx(0);
	user_msr_cpu_off();
}

/* NMI context on a CPU that is about to be reset or to start the crash kernel. */
static void vmx_emergency(void)
{
	if (!(__read_cr4() & X86_CR4_VMXE))
		return;
	vmcs_emergency_clear();
	vmxoff();
	asm volatile("mov %0, %%cr4" : : "r" (__read_cr4() & ~X86_CR4_VMXE) : "memory");
}

static void free_regions(void)
{
	int cpu;

	for_each_possible_cpu(cpu) {
		vmcs_free(per_cpu(vmxon_region, cpu));
		per_cpu(vmxon_region, cpu) = NULL;
	}
}

static int alloc_regions(void)
{
	int cpu;

	for_each_possible_cpu(cpu) {
		vmcs_init_cpu(cpu);
		per_cpu(vmxon_region, cpu) = vmcs_alloc(cpu_to_node(cpu));
		if (!per_cpu(vmxon_region, cpu)) {
			free_regions();
			return -ENOMEM;
		}
	}
	return 0;
}

static int vmx_setup(struct backend_caps *out)
{
	int ret = caps_setup(out);

	if (ret)
		return ret;
	ret = alloc_regions();
	if (ret)
		return ret;
	vmx_user_msrs_setup();
	vmx_run_setup();
	l1d_setup();
	return 0;
}

static void vmx_teardown(void)
{
	l1d_teardown();
	free_regions();
}

static int alloc_pages_of(struct vmx_vcpu *vmx)
{
	vmx->vmcs = vmcs_alloc(numa_node_id());
	vmx->msr_bitmap = (void *)__get_free_page(GFP_KERNEL_ACCOUNT);
	if (caps.pml)
		vmx->pml = (void *)get_zeroed_page(GFP_KERNEL_ACCOUNT);
	if (!vmx->vmcs || !vmx->msr_bitmap || (caps.pml && !vmx->pml))
		return -ENOMEM;
	memset(vmx->msr_bitmap, 0xff, PAGE_SIZE);
	return 0;
}

static void vmx_vcpu_destroy(struct vcpu *vcpu)
{
	struct vmx_vcpu *vmx = vmx_of(vcpu);

	if (!vmx)
		return;
	if (vmx->vmcs)
		vmcs_forget(vmx);
	vmcs_free(vmx->vmcs);
	free_page((unsigned long)vmx->msr_bitmap);
	free_page((unsigned long)vmx->pml);
	stats_live(LIVE_PAGES, -1);
	vpid_free(vmx->vpid);
	vcpu->irq.ir.desc = NULL;
	kfree(vmx);
	vcpu->hw = NULL;
}

static int vmx_vcpu_create(struct vcpu *vcpu)
{
	struct vmx_vcpu *vmx = kzalloc(sizeof(*vmx), GFP_KERNEL_ACCOUNT);

	if (!vmx)
		return -ENOMEM;
	vcpu->hw = vmx;
	vmx->vcpu = vcpu;
	if (caps.posted)
		vcpu->irq.ir.desc = &vmx->pi;
	vmx->cpu = -1;
	vmx->root = INVALID_HPA;
	vmx->host.fs_sel = vmx->host.gs_sel = VMX_NO_SELECTOR;
	vmx->host.fs_base = ~0ul;
	vmx->timer_tsc = ~0ULL;
	rdmsrl(MSR_EFER, vmx->user_msrs[USER_MSR_EFER]);
	vmx->vpid = vpid_alloc();
	stats_live(LIVE_PAGES, 1);
	if (alloc_pages_of(vmx)) {
		vmx_vcpu_destroy(vcpu);
		return -ENOMEM;
	}
	return 0;
}

static void vmx_vcpu_load(struct vcpu *vcpu, int cpu)
{
	struct vmx_vcpu *vmx = vmx_of(vcpu);

	if (vmx->cpu != cpu)
		vcpu_request(vcpu, REQ_TLB_FLUSH);	/* what this CPU remembers of us may be old */
	vmcs_load(vmx, cpu);
}

static void vmx_vcpu_put(struct vcpu *vcpu)
{
	vmx_host_restore(vmx_of(vcpu));
}

/* Context: vCPU loaded for the first time, or RESET. */
static void vmx_vcpu_reset(struct vcpu *vcpu)
{
	struct vmx_vcpu *vmx = vmx_of(vcpu);

	vmcs_setup(vmx);
	vmcs_controls(vcpu);
	vmx_regs_reset(vcpu);
}

const struct backend_ops vmx_backend = {
	.probe = vmx_probe,
	.setup = vmx_setup,
	.teardown = vmx_teardown,
	.cpu_on = vmx_cpu_on,
	.cpu_off = vmx_cpu_off,
	.emergency = vmx_emergency,
	.vcpu_create = vmx_vcpu_create,
	.vcpu_destroy = vmx_vcpu_destroy,
	.vcpu_reset = vmx_vcpu_reset,
	.vcpu_load = vmx_vcpu_load,
	.vcpu_put = vmx_vcpu_put,
	.enter = vmx_run_enter,
	.host_events = vmx_run_host_events,
	.reg_fetch = vmx_reg_fetch,
	.msr_get = vmx_msr_get,
	.msr_set = vmx_msr_set,
	.msr_intercept = vmx_msr_intercept,
	.controls_changed = vmcs_controls,
	.tlb_flush = vmx_tlb_flush,
	.timer_set = vmx_run_timer_set,
	.apicv_post = vmx_posted_post,
	.apicv_wait = vmx_posted_wait,
	.apicv_sync = vmx_posted_sync,
	.apicv_update = vmx_posted_update,
	.dump = vmx_dump,
};
