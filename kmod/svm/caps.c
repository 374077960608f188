// SPDX-License-Identifier: GPL-2.0-only
/* Is SVM there, may we have it, and what can it do. */
#include <linux/cpu.h>
#include <linux/cpufeature.h>
#include <linux/pgtable.h>
#include <asm/msr.h>
#include <asm/processor.h>
#include "mmu/fmt.h"
#include "svm/svm.h"

#define CPUID_SVM	0x8000000a

struct svm_caps svm_caps __ro_after_init;

static void svme_seen(void *count)
{
	u64 efer;

	rdmsrl(MSR_EFER, efer);
	if (efer & EFER_SVME)
		atomic_inc(count);
}

int svm_probe(void)
{
	atomic_t users = ATOMIC_INIT(0);
	u64 vm_cr;

	/* Of the CPU itself: the kernel's own flag may be cleared where the firmware forbids SVM. */
	if (!(cpuid_ecx(0x80000001) & BIT(X86_FEATURE_SVM & 31))) {
		pr_err("this CPU has no AMD-V (SVM), or it is switched off in the firmware setup\n");
		return -ENODEV;
	}
	if (rdmsrl_safe(MSR_VM_CR, &vm_cr) || (vm_cr & SVM_VM_CR_SVM_DIS_MASK)) {
		pr_err("AMD-V is locked off by the firmware: enable SVM in its setup\n");
		return -EOPNOTSUPP;
	}
	if (!boot_cpu_has(X86_FEATURE_SVM)) {
		pr_err("the kernel has AMD-V switched off, by its command line or because the firmware forbids it on another CPU\n");
		return -EOPNOTSUPP;
	}
	on_each_cpu(svme_seen, &users, 1);
	if (atomic_read(&users)) {
		pr_err("another hypervisor (kvm_amd, VirtualBox's vboxdrv, VMware's vmmon) holds AMD-V: unload it first, for KVM 'modprobe -r kvm_amd'\n");
		return -EBUSY;
	}
	return 0;
}

static void caps_publish(struct backend_caps *out)
{
	*out = (struct backend_caps) {
		.tdp_format = &fmt_npt,
		.name = "svm",
		.tdp = boot_cpu_has(X86_FEATURE_NPT),
		.tdp_ad = true,
		.tdp_max_level = boot_cpu_has(X86_FEATURE_GBPAGES) ? 3 : 2,
		/* The CPU walks nested tables in the host's own paging mode. */
		.tdp_levels = pgtable_l5_enabled() ? 5 : 4,
		.any_mode = true,
		.any_mode_shadow = true,
		.xsaves = boot_cpu_has(X86_FEATURE_XSAVES),
		.invpcid = boot_cpu_has(X86_FEATURE_INVPCID),
		.rdtscp = boot_cpu_has(X86_FEATURE_RDTSCP),
		.umip = boot_cpu_has(X86_FEATURE_UMIP),
		/* Where the kernel does something for it; newer CPUs have the bit in SPEC_CTRL. */
		.virt_ssbd = boot_cpu_has(X86_FEATURE_LS_CFG_SSBD) ||
			     boot_cpu_has(X86_FEATURE_VIRT_SSBD),
		.mcg_cap = GENMASK(8, 0),	/* number of banks, and MCG_CTL */
		.cr4_allowed = ~(u64)X86_CR4_LA57,
	};
}

int svm_caps_setup(struct backend_caps *out)
{
	if (!boot_cpu_has(X86_FEATURE_NPT))
		pr_info("this CPU's SVM has no nested paging: guests run on shadow page tables\n");
	svm_caps.nr_asids = cpuid_ebx(CPUID_SVM);
	if (svm_caps.nr_asids < 2) {
		pr_err("this CPU has no ASID for a guest (%u)\n", svm_caps.nr_asids);
		return -EOPNOTSUPP;
	}
	svm_caps.next_rip = boot_cpu_has(X86_FEATURE_NRIPS);
	svm_caps.flush_by_asid = boot_cpu_has(X86_FEATURE_FLUSHBYASID);
	svm_caps.lbr = boot_cpu_has(X86_FEATURE_LBRV);
	caps_publish(out);
	return 0;
}
