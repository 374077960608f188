// SPDX-License-Identifier: GPL-2.0-only
/* VMCS life: memory, which CPU holds it, initial contents, VPIDs. */
#include <linux/bitmap.h>
#include <linux/mm.h>
#include <linux/percpu.h>
#include <linux/smp.h>
#include <linux/spinlock.h>
#include <asm/cpu_entry_area.h>
#include <asm/desc.h>
#include <asm/msr.h>
#include <asm/nospec-branch.h>
#include <asm/trapnr.h>
#include "backend.h"
#include "compat.h"
#include "cpu/cpuid.h"
#include "cpu/regs.h"
#include "irq/lapic.h"
#include "vm.h"
#include "vmx/vmcs.h"
#include "vmx/vmx.h"

static DEFINE_PER_CPU(struct list_head, cpu_vmcss);	/* VMCSs whose data this CPU may hold */
static DEFINE_PER_CPU(struct vmcs *, cpu_current);

static DECLARE_BITMAP(vpids, VMX_NR_VPIDS);
static DEFINE_SPINLOCK(vpid_lock);

void vmcs_error(unsigned long field, bool write)
{
	/* The current VMCS decides what error there is; -1 when there is none. */
	pr_warn_ratelimited("VM%s of field 0x%lx failed\n", write ? "WRITE" : "READ", field);
}

struct vmcs *vmcs_alloc(int node)
{
	struct page *page = alloc_pages_node(node, GFP_KERNEL_ACCOUNT | __GFP_ZERO, 0);
	struct vmcs *vmcs;

	if (!page)
		return NULL;
	vmcs = page_address(page);
	vmcs->revision = vmx_caps.revision;
	return vmcs;
}

void vmcs_free(struct vmcs *vmcs)
{
	free_page((unsigned long)vmcs);
}

void vmcs_init_cpu(int cpu)
{
	INIT_LIST_HEAD(&per_cpu(cpu_vmcss, cpu));
	per_cpu(cpu_current, cpu) = NULL;
}

static void clear_here(struct vmx_vcpu *vmx)
{
	if (this_cpu_read(cpu_current) == vmx->vmcs)
		this_cpu_write(cpu_current, NULL);
	vmcs_vmclear(vmx->vmcs);
	list_del(&vmx->on_cpu);
	smp_wmb();	/* off the list before another CPU may put it on its own: pairs with vmcs_load() */
	vmx->cpu = -1;
	vmx->ctx.flags &= ~BIT(VMX_CTX_LAUNCHED);
}

void vmcs_clear_cpu(void)
{
	struct vmx_vcpu *vmx, *next;

	list_for_each_entry_safe(vmx, next, this_cpu_ptr(&cpu_vmcss), on_cpu)
		clear_here(vmx);
}

/*
 * From NMI: other code on this CPU may be amid a list change, so walk forward only and change
 * nothing.
 */
void vmcs_emergency_clear(void)
{
	struct vmx_vcpu *vmx;

	list_for_each_entry(vmx, this_cpu_ptr(&cpu_vmcss), on_cpu)
		vmcs_vmclear(vmx->vmcs);
}

static void clear_ipi(void *arg)
{
	struct vmx_vcpu *vmx = arg;

	if (vmx->cpu == smp_processor_id())
		clear_here(vmx);
}

void vmcs_forget(struct vmx_vcpu *vmx)
{
	int cpu = READ_ONCE(vmx->cpu);

	if (cpu >= 0)
		smp_call_function_single(cpu, clear_ipi, vmx, 1);
}

/* Fields that describe the CPU, not the vCPU. SDM, "Host-State Area". */
static void write_cpu_state(struct vmx_vcpu *vmx, int cpu)
{
	vmx->host.gdt = (struct desc_ptr){ GDT_SIZE - 1, (unsigned long)get_cpu_gdt_ro(cpu) };
	vmcs_writel(HOST_TR_BASE, (unsigned long)&get_cpu_entry_area(cpu)->tss.x86_tss);
	vmcs_writel(HOST_GDTR_BASE, vmx->host.gdt.address);
	vmcs_writel(HOST_IA32_SYSENTER_ESP, (unsigned long)(cpu_entry_stack(cpu) + 1));
	vmcs_writel(HOST_GS_BASE, cpu_kernelmode_gs_base(cpu));
}

static noinline void vmcs_switch(struct vmx_vcpu *vmx, int cpu)
{
	bool moved = vmx->cpu != cpu;
	unsigned long flags;

	if (moved) {
		vmcs_forget(vmx);
		local_irq_save(flags);
		smp_rmb();	/* pairs with clear_here() */
		list_add(&vmx->on_cpu, this_cpu_ptr(&cpu_vmcss));
		vmx->cpu = cpu;
		local_irq_restore(flags);
	}
	if (this_cpu_read(cpu_current) != vmx->vmcs) {
		this_cpu_write(cpu_current, vmx->vmcs);
		vmcs_vmptrld(vmx->vmcs);
		indirect_branch_prediction_barrier();	/* another vCPU ran here */
	}
	if (moved)
		write_cpu_state(vmx, cpu);
}

void vmcs_load(struct vmx_vcpu *vmx, int cpu)
{
	if (unlikely(vmx->cpu != cpu || this_cpu_read(cpu_current) != vmx->vmcs))
		vmcs_switch(vmx, cpu);
}

int vpid_alloc(void)
{
	int vpid = 0;

	if (!vmx_caps.vpid)
		return 0;
	spin_lock(&vpid_lock);
	vpid = find_next_zero_bit(vpids, VMX_NR_VPIDS, 1);
	if (vpid < VMX_NR_VPIDS)
		__set_bit(vpid, vpids);
	else
		vpid = 0;	/* untagged: flushed at every entry and exit by the CPU */
	spin_unlock(&vpid_lock);
	return vpid;
}

void vpid_free(u16 vpid)
{
	if (!vpid)
		return;
	spin_lock(&vpid_lock);
	__clear_bit(vpid, vpids);
	spin_unlock(&vpid_lock);
}

static void setup_host(struct vmx_vcpu *vmx)
{
	unsigned long val;

	vmcs_writel(HOST_CR0, read_cr0() & ~X86_CR0_TS);
	vmcs_write16(HOST_CS_SELECTOR, __KERNEL_CS);
	vmcs_write16(HOST_SS_SELECTOR, __KERNEL_DS);
	vmcs_write16(HOST_DS_SELECTOR, 0);	/* reloaded by hand if the user's were not null */
	vmcs_write16(HOST_ES_SELECTOR, 0);
	vmcs_write16(HOST_TR_SELECTOR, GDT_ENTRY_TSS * 8);
	vmcs_writel(HOST_IDTR_BASE, vmx_host_idt);
	vmcs_writel(HOST_RIP, (unsigned long)vmx_exit_point);
	vmx->ctx.nmi_entry = (unsigned long)compat_nmi_entry;
	rdmsrl(MSR_IA32_SYSENTER_CS, val);
	vmcs_write32(HOST_IA32_SYSENTER_CS, val);
	rdmsrl(MSR_IA32_SYSENTER_EIP, val);
	vmcs_writel(HOST_IA32_SYSENTER_EIP, val);
	rdmsrl(MSR_IA32_CR_PAT, val);
	if (vmx_caps.load_pat) {
		vmcs_write64(HOST_IA32_PAT, val);
		if (vmx->vcpu->vm->mmu.shadow)	/* whose tables know no other */
			vmcs_write64(GUEST_IA32_PAT, val);
	}
	rdmsrl(MSR_EFER, val);
	if (vmx_caps.load_efer)
		vmcs_write64(HOST_IA32_EFER, val);
}

/* What never changes in a vCPU's life. Context: the VMCS is current. */
void vmcs_setup(struct vmx_vcpu *vmx)
{
	setup_host(vmx);
	vmcs_write64(VMCS_LINK_POINTER, ~0ULL);
	vmcs_write64(MSR_BITMAP, __pa(vmx->msr_bitmap));
	vmcs_write32(PAGE_FAULT_ERROR_CODE_MASK, 0);
	vmcs_write32(PAGE_FAULT_ERROR_CODE_MATCH, 0);
	vmcs_write32(CR3_TARGET_COUNT, 0);
	vmcs_write32(VM_EXIT_MSR_STORE_COUNT, 0);
	vmcs_write32(VM_EXIT_MSR_LOAD_COUNT, 0);
	vmcs_write32(VM_ENTRY_MSR_LOAD_COUNT, 0);
	vmcs_write32(VM_ENTRY_INTR_INFO_FIELD, 0);
	if (vmx->vpid)
		vmcs_write16(VIRTUAL_PROCESSOR_ID, vmx->vpid);
	if (caps.xsaves)
		vmcs_write64(XSS_EXIT_BITMAP, 0);
	if (caps.ple) {
		vmcs_write32(PLE_GAP, 128);
		vmcs_write32(PLE_WINDOW, 4096);
	}
	if (vmx->pml) {
		vmcs_write64(PML_ADDRESS, __pa(vmx->pml));
		vmcs_write16(GUEST_PML_INDEX, VMX_PML_ENTRIES - 1);
	}
	if (caps.posted) {
		vmcs_write16(POSTED_INTR_NV, POSTED_INTR_VECTOR);
		vmcs_write64(POSTED_INTR_DESC_ADDR, __pa(&vmx->pi));
	}
	if (vmx->vcpu->irq.lapic && (vmx_caps.exec & CPU_BASED_TPR_SHADOW)) {
		vmcs_write64(VIRTUAL_APIC_PAGE_ADDR, __pa(vmx->vcpu->irq.lapic->regs));
		vmcs_write32(TPR_THRESHOLD, 0);
		vmx->tpr_threshold = 0;
	}
	if (vmx->vcpu->vm->irq.apic_page)
		vmcs_write64(APIC_ACCESS_ADDR, __pa(vmx->vcpu->vm->irq.apic_page));
	vmcs_writel(CR0_GUEST_HOST_MASK, ~VMX_CR0_GUEST_OWNED);
	vmcs_write64(GUEST_IA32_DEBUGCTL, 0);
	vmcs_writel(GUEST_PENDING_DBG_EXCEPTIONS, 0);
	vmcs_write32(GUEST_ACTIVITY_STATE, GUEST_ACTIVITY_ACTIVE);
	if (vmx_caps.entry & VM_ENTRY_LOAD_BNDCFGS)
		vmcs_write64(GUEST_BNDCFGS, 0);
}

static bool exit_off(struct vcpu *vcpu, u32 flag)
{
	return READ_ONCE(vcpu->vm->arch.exits_off) & flag;
}

static u32 want_exec(struct vcpu *vcpu)
{
	u32 exec = vmx_caps.exec;

	if (vcpu->irq.lapic && (exec & CPU_BASED_TPR_SHADOW))
		exec &= ~(CPU_BASED_CR8_LOAD_EXITING | CPU_BASED_CR8_STORE_EXITING);
	else
		exec &= ~CPU_BASED_TPR_SHADOW;
	if (!vcpu->vm->mmu.shadow)
		exec &= ~CPU_BASED_INVLPG_EXITING;
	if (!vmx_of(vcpu)->identity && !vcpu->vm->mmu.shadow)
		exec &= ~VMX_CR3_EXITS;
	if (exit_off(vcpu, KVM_X86_DISABLE_EXITS_HLT))
		exec &= ~CPU_BASED_HLT_EXITING;
	if (exit_off(vcpu, KVM_X86_DISABLE_EXITS_MWAIT))
		exec &= ~(CPU_BASED_MWAIT_EXITING | CPU_BASED_MONITOR_EXITING);
	return exec;
}

/*
 * SDM, "APIC Virtualization and Virtual Interrupts": the two ways to reach the registers exclude
 * each other. Where the APIC-access page is mapped, its accesses must never reach the page itself:
 * they exit while APICv is off.
 */
static u32 apicv_off(struct vcpu *vcpu)
{
	u32 off = 0;

	if (!vcpu->irq.apicv)
		off = SECONDARY_EXEC_APIC_REGISTER_VIRT | SECONDARY_EXEC_VIRTUAL_INTR_DELIVERY |
		      SECONDARY_EXEC_VIRTUALIZE_X2APIC_MODE;
	if (vcpu->irq.lapic && lapic_mode(vcpu) == LAPIC_X2APIC)
		off |= SECONDARY_EXEC_VIRTUALIZE_APIC_ACCESSES;
	else
		off |= SECONDARY_EXEC_VIRTUALIZE_X2APIC_MODE;
	if (!vcpu->vm->irq.apic_page)
		off |= SECONDARY_EXEC_VIRTUALIZE_APIC_ACCESSES;
	return off;
}

static u32 want_exec2(struct vcpu *vcpu)
{
	u32 exec2 = vmx_caps.exec2 & ~apicv_off(vcpu);

	if (!vmx_of(vcpu)->vpid)
		exec2 &= ~SECONDARY_EXEC_ENABLE_VPID;
	if (!guest_has(vcpu, GUEST_RDTSCP) && !guest_has(vcpu, GUEST_RDPID))
		exec2 &= ~SECONDARY_EXEC_ENABLE_RDTSCP;
	if (!guest_has(vcpu, GUEST_INVPCID))
		exec2 &= ~SECONDARY_EXEC_ENABLE_INVPCID;
	if (!guest_has(vcpu, GUEST_XSAVES))
		exec2 &= ~SECONDARY_EXEC_ENABLE_XSAVES;
	if (!guest_has(vcpu, GUEST_WAITPKG))
		exec2 &= ~SECONDARY_EXEC_ENABLE_USR_WAIT_PAUSE;
	if (exit_off(vcpu, KVM_X86_DISABLE_EXITS_PAUSE))
		exec2 &= ~SECONDARY_EXEC_PAUSE_LOOP_EXITING;
	if (vcpu->vm->mmu.shadow)
		exec2 &= ~(SECONDARY_EXEC_ENABLE_EPT | SECONDARY_EXEC_UNRESTRICTED_GUEST |
			   SECONDARY_EXEC_ENABLE_PML);
	if (!vmx_of(vcpu)->pml)
		exec2 &= ~SECONDARY_EXEC_ENABLE_PML;
	return exec2;
}

static u32 want_exceptions(struct vcpu *vcpu)
{
	u32 map = BIT(X86_TRAP_UD) | BIT(X86_TRAP_DB) | BIT(X86_TRAP_AC) | BIT(X86_TRAP_MC);

	if ((vcpu->guest_debug & (KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_USE_SW_BP)) ==
	    (KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_USE_SW_BP))
		map |= BIT(X86_TRAP_BP);
	if (vcpu->vm->mmu.shadow)
		map |= BIT(X86_TRAP_PF);
	return map;
}

void vmcs_controls(struct vcpu *vcpu)
{
	struct vmx_vcpu *vmx = vmx_of(vcpu);

	vmx->pin = vmx_caps.pin;
	if (!vcpu->irq.apicv)
		vmx->pin &= ~PIN_BASED_POSTED_INTR;
	vmx->exec = want_exec(vcpu);
	vmx->exec2 = want_exec2(vcpu);
	vmx_user_msrs_update(vmx);
	vmx->exceptions = want_exceptions(vcpu);
	vmx->exit_ctls = vmx_caps.exit & ~VM_EXIT_LOAD_IA32_PERF_GLOBAL_CTRL;
	vmx->entry = vmx_caps.entry & ~VM_ENTRY_LOAD_IA32_PERF_GLOBAL_CTRL;
	if (!(vcpu->regs.efer & EFER_LMA))
		vmx->entry &= ~VM_ENTRY_IA32E_MODE;

	vmcs_write32(PIN_BASED_VM_EXEC_CONTROL, vmx->pin);
	vmcs_write32(CPU_BASED_VM_EXEC_CONTROL, vmx->exec);
	vmcs_write32(SECONDARY_VM_EXEC_CONTROL, vmx->exec2);
	vmcs_write32(EXCEPTION_BITMAP, vmx->exceptions);
	vmcs_write32(VM_EXIT_CONTROLS, vmx->exit_ctls);
	vmcs_write32(VM_ENTRY_CONTROLS, vmx->entry);
	vmcs_write64(TSC_OFFSET, vcpu->arch.tsc_offset);
	if (caps.tsc_scaling)
		vmcs_write64(TSC_MULTIPLIER, vcpu->arch.tsc_ratio);
	vmx->ctx.spec_ctrl = vcpu->arch.spec_ctrl;
	if (vcpu->arch.spec_ctrl_live)
		vmx->ctx.flags |= BIT(VMX_CTX_SAVE_SPEC_CTRL);
	else
		vmx->ctx.flags &= ~BIT(VMX_CTX_SAVE_SPEC_CTRL);
	/* Windows are wanted anew with the next injection. */
	vcpu->events.want_irq_window = false;
	vcpu->events.want_nmi_window = false;
	vcpu_request(vcpu, REQ_EVENT);
}
