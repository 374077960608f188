// SPDX-License-Identifier: GPL-2.0-only
/*
 * L1 data cache flush before entry, against L1TF on CPUs that have it. Which one follows the
 * kernel's l1tf= parameter: before every entry (full), or before those after code that may have
 * brought others' secrets into the cache: the vCPU was loaded, the host took an interrupt, an exit
 * read memory at large.
 */
#include <linux/gfp.h>
#include <linux/jump_label.h>
#include <linux/sched/smt.h>
#include <asm/cpufeature.h>
#include <asm/hardirq.h>
#include <asm/msr.h>
#include <asm/processor.h>
#include <asm/vmx.h>
#include "vmx/l1d.h"

#define L1D_ORDER	4	/* 64 KiB: twice the largest L1D affected, as it is not strictly LRU */

DEFINE_STATIC_KEY_FALSE(l1d_wanted);
DEFINE_STATIC_KEY_FALSE(l1d_every_entry);
static void *l1d_pages;

static enum vmx_l1d_flush_state l1d_choose(void)
{
	if (!boot_cpu_has_bug(X86_BUG_L1TF))
		return VMENTER_L1D_FLUSH_NOT_REQUIRED;
	if (boot_cpu_has(X86_FEATURE_ARCH_CAPABILITIES)) {
		u64 val;

		rdmsrl(MSR_IA32_ARCH_CAPABILITIES, val);
		if (val & ARCH_CAP_SKIP_VMENTRY_L1DFLUSH)
			return VMENTER_L1D_FLUSH_NOT_REQUIRED;
	}
	switch (l1tf_mitigation) {
	case L1TF_MITIGATION_OFF:
		return VMENTER_L1D_FLUSH_NEVER;
	case L1TF_MITIGATION_FULL:
	case L1TF_MITIGATION_FULL_FORCE:
		return VMENTER_L1D_FLUSH_ALWAYS;
	default:
		return VMENTER_L1D_FLUSH_COND;
	}
}

/* An administrator who chose so knows it already. */
static void l1d_warn(enum vmx_l1d_flush_state state)
{
	if (!boot_cpu_has_bug(X86_BUG_L1TF) || state == VMENTER_L1D_FLUSH_NOT_REQUIRED)
		return;
	switch (l1tf_mitigation) {
	case L1TF_MITIGATION_FLUSH:
	case L1TF_MITIGATION_FLUSH_NOSMT:
	case L1TF_MITIGATION_FULL:
		if (sched_smt_active())
			pr_warn("this CPU has the L1TF bug and SMT is on: a guest can read what the other thread brings into the cache; see the kernel's l1tf= parameter\n");
		break;
	default:
		break;
	}
}

void l1d_setup(void)
{
	enum vmx_l1d_flush_state state = l1d_choose();

	if (state == VMENTER_L1D_FLUSH_COND || state == VMENTER_L1D_FLUSH_ALWAYS) {
		if (!boot_cpu_has(X86_FEATURE_FLUSH_L1D))
			l1d_pages = (void *)__get_free_pages(GFP_KERNEL | __GFP_ZERO, L1D_ORDER);
		static_branch_enable(&l1d_wanted);
		if (state == VMENTER_L1D_FLUSH_ALWAYS)
			static_branch_enable(&l1d_every_entry);
	}
	l1tf_vmx_mitigation = state;	/* what sysfs reports */
	l1d_warn(state);
}

void l1d_teardown(void)
{
	l1tf_vmx_mitigation = VMENTER_L1D_FLUSH_AUTO;
	static_branch_disable(&l1d_wanted);
	static_branch_disable(&l1d_every_entry);
	free_pages((unsigned long)l1d_pages, L1D_ORDER);
	l1d_pages = NULL;
}

#define L1D_AT_ONCE	16

/*
 * Read one byte in each @step of the pages; the first pass, by page, fills the TLB for the second. That has
 * a thousand lines to read, after most exits to userspace, so it does not count each of them.
 */
static __always_inline void read_all(const long step)
{
	long i = -(long)(PAGE_SIZE << L1D_ORDER);

	asm volatile("1:\n"
		     ".set	at, 0\n"
		     ".rept	%c[times]\n"
		     "	movb	at(%[end], %[i]), %%dl\n"
		     ".set	at, at + %c[step]\n"
		     ".endr\n"
		     "	add	%[all], %[i]\n"
		     "	jnz	1b\n"
		     : [i] "+r" (i)
		     : [end] "r" (l1d_pages + (PAGE_SIZE << L1D_ORDER)), [step] "i" (step),
		       [times] "i" (L1D_AT_ONCE), [all] "i" (L1D_AT_ONCE * step)
		     : "edx", "cc", "memory");
}

noinstr void l1d_flush_if_due(struct vcpu *vcpu)
{
	bool wanted = vcpu->cache_tainted || kvm_get_cpu_l1tf_flush_l1d();

	vcpu->cache_tainted = false;
	kvm_clear_cpu_l1tf_flush_l1d();
	if (!wanted && !static_branch_unlikely(&l1d_every_entry))
		return;
	if (static_cpu_has(X86_FEATURE_FLUSH_L1D)) {
		native_wrmsrl(MSR_IA32_FLUSH_CMD, L1D_FLUSH);
		return;
	}
	if (!l1d_pages)
		return;
	read_all(PAGE_SIZE);
	asm volatile("lfence" : : : "memory");
	read_all(64);
	asm volatile("lfence" : : : "memory");
}
