// SPDX-License-Identifier: GPL-2.0-only
/* Is VMX there, may we have it, and what can it do. */
#include <linux/cpu.h>
#include <linux/cpufeature.h>
#include <linux/kernel.h>
#include <asm/msr.h>
#include <asm/tlbflush.h>
#include "backend.h"
#include "compat.h"
#include "mmu/fmt.h"
#include "vmx/vmx.h"

struct vmx_caps vmx_caps __ro_after_init;

static const u32 pin_required = PIN_BASED_EXT_INTR_MASK | PIN_BASED_NMI_EXITING |
	PIN_BASED_VIRTUAL_NMIS;
static const u32 pin_optional = PIN_BASED_VMX_PREEMPTION_TIMER | PIN_BASED_POSTED_INTR;

static const u32 exec_required = CPU_BASED_HLT_EXITING | CPU_BASED_UNCOND_IO_EXITING |
	CPU_BASED_MOV_DR_EXITING | CPU_BASED_USE_TSC_OFFSETTING | CPU_BASED_MWAIT_EXITING |
	CPU_BASED_MONITOR_EXITING | CPU_BASED_RDPMC_EXITING | CPU_BASED_USE_MSR_BITMAPS |
	CPU_BASED_CR8_LOAD_EXITING | CPU_BASED_CR8_STORE_EXITING |
	CPU_BASED_ACTIVATE_SECONDARY_CONTROLS;
static const u32 exec_optional = CPU_BASED_TPR_SHADOW | VMX_CR3_EXITS |
	CPU_BASED_INVLPG_EXITING;

static const u32 exec2_optional = SECONDARY_EXEC_ENABLE_EPT | SECONDARY_EXEC_UNRESTRICTED_GUEST | SECONDARY_EXEC_ENABLE_VPID |
	SECONDARY_EXEC_WBINVD_EXITING | SECONDARY_EXEC_ENABLE_RDTSCP |
	SECONDARY_EXEC_ENABLE_INVPCID | SECONDARY_EXEC_ENABLE_XSAVES | SECONDARY_EXEC_PAUSE_LOOP_EXITING |
	SECONDARY_EXEC_ENABLE_PML | SECONDARY_EXEC_TSC_SCALING |
	SECONDARY_EXEC_ENABLE_USR_WAIT_PAUSE | SECONDARY_EXEC_VIRTUALIZE_X2APIC_MODE |
	SECONDARY_EXEC_APIC_REGISTER_VIRT | SECONDARY_EXEC_VIRTUAL_INTR_DELIVERY |
	SECONDARY_EXEC_VIRTUALIZE_APIC_ACCESSES;

static const u64 ept_required = VMX_EPT_PAGE_WALK_4_BIT | VMX_EPTP_WB_BIT | VMX_EPT_INVEPT_BIT |
	VMX_EPT_EXTENT_GLOBAL_BIT;

/* Every CPU with EPT has them. Without, shadow tables need neither another PAT nor another NX. */
#define EXIT_WITH_EPT	(VM_EXIT_LOAD_IA32_EFER | VM_EXIT_SAVE_IA32_PAT | VM_EXIT_LOAD_IA32_PAT)
#define ENTRY_WITH_EPT	(VM_ENTRY_LOAD_IA32_EFER | VM_ENTRY_LOAD_IA32_PAT)

static const u32 exit_required = VM_EXIT_SAVE_DEBUG_CONTROLS | VM_EXIT_HOST_ADDR_SPACE_SIZE |
	VM_EXIT_ACK_INTR_ON_EXIT;
static const u32 exit_optional = EXIT_WITH_EPT | VM_EXIT_LOAD_IA32_PERF_GLOBAL_CTRL | VM_EXIT_CLEAR_BNDCFGS;

static const u32 entry_required = VM_ENTRY_LOAD_DEBUG_CONTROLS;
static const u32 entry_optional = ENTRY_WITH_EPT | VM_ENTRY_LOAD_IA32_PERF_GLOBAL_CTRL | VM_ENTRY_LOAD_BNDCFGS |
	VM_ENTRY_IA32E_MODE;

/*
 * SDM, "VMX Controls": low half of the capability MSR are the bits that must be 1, high half those
 * that may be. The 'true' variants tell which default-1 bits may be cleared.
 */
static int control(const char *what, u32 msr, u32 required, u32 optional, u32 *out)
{
	u32 must, may, val;

	/* Older CPUs have the plain variants only, in the same order. */
	if (!vmx_caps.true_controls && msr >= MSR_IA32_VMX_TRUE_PINBASED_CTLS)
		msr -= MSR_IA32_VMX_TRUE_PINBASED_CTLS - MSR_IA32_VMX_PINBASED_CTLS;
	rdmsr(msr, must, may);
	val = ((required | optional) & may) | must;
	if (required & ~val) {
		pr_err("this CPU lacks %s VMX controls 0x%x: it cannot run Corbel's guests\n",
		       what, required & ~val);
		return -EOPNOTSUPP;
	}
	*out = val;
	return 0;
}

/* Does firmware let VMX be used outside SMX. An unlocked MSR is set and locked as the SDM asks. */
static bool firmware_allows(void)
{
	u64 fc;

	if (rdmsrl_safe(MSR_IA32_FEAT_CTL, &fc))
		return false;
	if (!(fc & FEAT_CTL_LOCKED))
		return true;
	return fc & FEAT_CTL_VMX_ENABLED_OUTSIDE_SMX;
}

static void vmxe_seen(void *count)
{
	if (cr4_read_shadow() & X86_CR4_VMXE)
		atomic_inc(count);
}

int vmx_probe(void)
{
	atomic_t users = ATOMIC_INIT(0);
	u64 basic;

	/* Of the CPU itself: the kernel's own flag is cleared where the firmware forbids VMX. */
	if (!(cpuid_ecx(1) & BIT(X86_FEATURE_VMX & 31))) {
		pr_err("this CPU has no VT-x (VMX), or it is switched off in the firmware setup\n");
		return -ENODEV;
	}
	/* An interrupt that ended a guest is handed to the IDT's gate. */
	if (compat_fred()) {
		pr_err("FRED event delivery is on, which Corbel does not support: boot with fred=off\n");
		return -EOPNOTSUPP;
	}
	if (!firmware_allows()) {
		pr_err("VT-x is locked off by the firmware: enable Intel Virtualization Technology in its setup\n");
		return -EOPNOTSUPP;
	}
	if (!boot_cpu_has(X86_FEATURE_VMX)) {
		pr_err("the kernel has VT-x switched off, by its command line or because the firmware forbids it on another CPU\n");
		return -EOPNOTSUPP;
	}
	on_each_cpu(vmxe_seen, &users, 1);
	if (atomic_read(&users)) {
		pr_err("another hypervisor (kvm_intel, VirtualBox's vboxdrv, VMware's vmmon) holds VT-x: unload it first, for KVM 'modprobe -r kvm_intel'\n");
		return -EBUSY;
	}
	rdmsrl(MSR_IA32_VMX_BASIC, basic);
	vmx_caps.revision = basic & 0x7fffffff;
	vmx_caps.vmcs_size = (basic >> 32) & 0x1fff;
	vmx_caps.true_controls = basic & BIT_ULL(55);
	if (vmx_caps.vmcs_size > PAGE_SIZE || ((basic >> 50) & 15) != 6) {
		pr_err("this CPU's VMX is older than Corbel supports (VMX_BASIC 0x%llx)\n", basic);
		return -EOPNOTSUPP;
	}
	return 0;
}

/* What a guest without EPT goes without, and what EPT is not used without. */
static void ept_check(void)
{
	u32 exit = vmx_caps.exit & EXIT_WITH_EPT, entry = vmx_caps.entry & ENTRY_WITH_EPT;

	if (vmx_caps.exec2 & (SECONDARY_EXEC_ENABLE_EPT | SECONDARY_EXEC_ENABLE_VPID))
		rdmsrl(MSR_IA32_VMX_EPT_VPID_CAP, vmx_caps.ept_vpid);
	vmx_caps.load_efer = exit & VM_EXIT_LOAD_IA32_EFER && entry & VM_ENTRY_LOAD_IA32_EFER;
	vmx_caps.load_pat = (exit | VM_EXIT_SAVE_IA32_PAT) == EXIT_WITH_EPT && entry & VM_ENTRY_LOAD_IA32_PAT;
	vmx_caps.ept = vmx_caps.exec2 & SECONDARY_EXEC_ENABLE_EPT && exit == EXIT_WITH_EPT &&
		       entry == ENTRY_WITH_EPT && (vmx_caps.ept_vpid & ept_required) == ept_required;
	if (!vmx_caps.ept) {
		pr_info("this CPU's VT-x has no EPT (nested paging): guests run on shadow page tables\n");
		vmx_caps.exec2 &= ~(SECONDARY_EXEC_ENABLE_EPT | SECONDARY_EXEC_UNRESTRICTED_GUEST |
				    SECONDARY_EXEC_ENABLE_PML);
	}
	if (!(vmx_caps.exec2 & SECONDARY_EXEC_UNRESTRICTED_GUEST))
		pr_info("this CPU's VT-x has no unrestricted guest: real mode is interpreted\n");
}

static void caps_prune(void)
{
	u64 cap = vmx_caps.ept_vpid;
	u32 apicv = SECONDARY_EXEC_APIC_REGISTER_VIRT | SECONDARY_EXEC_VIRTUAL_INTR_DELIVERY |
		    SECONDARY_EXEC_VIRTUALIZE_X2APIC_MODE;

	vmx_caps.invvpid_single = cap & VMX_VPID_EXTENT_SINGLE_CONTEXT_BIT;
	vmx_caps.invvpid_addr = cap & VMX_VPID_EXTENT_INDIVIDUAL_ADDR_BIT;
	if (!(cap & VMX_VPID_INVVPID_BIT) ||
	    !(cap & (VMX_VPID_EXTENT_SINGLE_CONTEXT_BIT | VMX_VPID_EXTENT_GLOBAL_CONTEXT_BIT)))
		vmx_caps.exec2 &= ~SECONDARY_EXEC_ENABLE_VPID;
	vmx_caps.vpid = vmx_caps.exec2 & SECONDARY_EXEC_ENABLE_VPID;
	vmx_caps.invept_context = cap & VMX_EPT_EXTENT_CONTEXT_BIT;
	if (!(cap & VMX_EPT_AD_BIT))
		vmx_caps.exec2 &= ~SECONDARY_EXEC_ENABLE_PML;
	if (!(vmx_caps.exec & CPU_BASED_TPR_SHADOW) || (vmx_caps.exec2 & apicv) != apicv)
		vmx_caps.exec2 &= ~(apicv | SECONDARY_EXEC_VIRTUALIZE_APIC_ACCESSES);
	if (!(vmx_caps.exec2 & apicv))
		vmx_caps.pin &= ~PIN_BASED_POSTED_INTR;
	if (!(vmx_caps.exit & VM_EXIT_LOAD_IA32_PERF_GLOBAL_CTRL) ||
	    !(vmx_caps.entry & VM_ENTRY_LOAD_IA32_PERF_GLOBAL_CTRL)) {
		vmx_caps.exit &= ~VM_EXIT_LOAD_IA32_PERF_GLOBAL_CTRL;
		vmx_caps.entry &= ~VM_ENTRY_LOAD_IA32_PERF_GLOBAL_CTRL;
	}
}

static void caps_publish(struct backend_caps *out)
{
	u64 cap = vmx_caps.ept_vpid;
	u32 exec2 = vmx_caps.exec2;

	*out = (struct backend_caps) {
		.tdp_format = &fmt_ept,
		.name = "vmx",
		.tdp = vmx_caps.ept,
		.tdp_ad = cap & VMX_EPT_AD_BIT,
		.tdp_max_level = cap & VMX_EPT_1GB_PAGE_BIT ? 3 : cap & VMX_EPT_2MB_PAGE_BIT ? 2 : 1,
		.tdp_levels = 4,
		.any_mode = exec2 & SECONDARY_EXEC_UNRESTRICTED_GUEST,
		.apicv = exec2 & SECONDARY_EXEC_VIRTUAL_INTR_DELIVERY,
		.apic_access = exec2 & SECONDARY_EXEC_VIRTUALIZE_APIC_ACCESSES,
		.posted = vmx_caps.pin & PIN_BASED_POSTED_INTR,
		.pml = exec2 & SECONDARY_EXEC_ENABLE_PML,
		.tsc_scaling = exec2 & SECONDARY_EXEC_TSC_SCALING,
		.tsc_frac_bits = 48,
		.tsc_max_ratio = ~0ULL,
		.timer = vmx_caps.pin & PIN_BASED_VMX_PREEMPTION_TIMER,
		.ple = exec2 & SECONDARY_EXEC_PAUSE_LOOP_EXITING,
		.xsaves = exec2 & SECONDARY_EXEC_ENABLE_XSAVES,
		.invpcid = exec2 & SECONDARY_EXEC_ENABLE_INVPCID,
		.rdtscp = exec2 & SECONDARY_EXEC_ENABLE_RDTSCP,
		.umip = boot_cpu_has(X86_FEATURE_UMIP),
		.waitpkg = exec2 & SECONDARY_EXEC_ENABLE_USR_WAIT_PAUSE,
		.mcg_cap = ~0ULL,
		.cr4_allowed = vmx_caps.cr4_fixed1,
		.cr0_fixed1 = vmx_caps.cr0_fixed0 & ~(X86_CR0_PE | X86_CR0_PG),
	};
}

int caps_setup(struct backend_caps *out)
{
	int ret;

	ret = control("pin-based", MSR_IA32_VMX_TRUE_PINBASED_CTLS, pin_required, pin_optional,
		      &vmx_caps.pin) ?:
	      control("processor-based", MSR_IA32_VMX_TRUE_PROCBASED_CTLS, exec_required, exec_optional,
		      &vmx_caps.exec) ?:
	      control("secondary processor-based", MSR_IA32_VMX_PROCBASED_CTLS2, 0,
		      exec2_optional, &vmx_caps.exec2) ?:
	      control("VM-exit", MSR_IA32_VMX_TRUE_EXIT_CTLS, exit_required, exit_optional,
		      &vmx_caps.exit) ?:
	      control("VM-entry", MSR_IA32_VMX_TRUE_ENTRY_CTLS, entry_required, entry_optional,
		      &vmx_caps.entry);
	if (ret)
		return ret;

	rdmsrl(MSR_IA32_VMX_CR0_FIXED0, vmx_caps.cr0_fixed0);
	rdmsrl(MSR_IA32_VMX_CR0_FIXED1, vmx_caps.cr0_fixed1);
	rdmsrl(MSR_IA32_VMX_CR4_FIXED0, vmx_caps.cr4_fixed0);
	rdmsrl(MSR_IA32_VMX_CR4_FIXED1, vmx_caps.cr4_fixed1);
	rdmsrl(MSR_IA32_VMX_MISC, vmx_caps.misc);
	vmx_caps.timer_shift = vmx_caps.misc & 0x1f;

	ept_check();
	caps_prune();
	caps_publish(out);
	return 0;
}
