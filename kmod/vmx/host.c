// SPDX-License-Identifier: GPL-2.0-only
/*
 * The host state that an exit does not restore and that only userspace or another thread needs:
 * saved before the first entry since the vCPU was loaded, put back when it is unloaded.
 */
#include <linux/sched.h>
#include <asm/debugreg.h>
#include <asm/desc.h>
#include <asm/fsgsbase.h>
#include <asm/mmu_context.h>
#include <asm/msr.h>
#include <asm/segment.h>
#include "cpu/user_msr.h"
#include "vmx/vmcs.h"
#include "vmx/vmx.h"

/* SDM, "Checks on Host Segment and Descriptor-Table Registers": RPL and TI must be 0. */
static u16 host_selector(u16 sel)
{
	return sel & 7 ? 0 : sel;
}

static noinline void host_fsgs_write(struct vmx_host_state *host, const struct thread_struct *thread)
{
	host->fs_sel = thread->fsindex;
	host->gs_sel = thread->gsindex;
	host->fs_base = thread->fsbase;
	vmcs_write16(HOST_FS_SELECTOR, host_selector(host->fs_sel));
	vmcs_write16(HOST_GS_SELECTOR, host_selector(host->gs_sel));
	vmcs_writel(HOST_FS_BASE, host->fs_base);
}

void vmx_host_save(struct vmx_vcpu *vmx)
{
	struct vmx_host_state *host = &vmx->host;
	struct thread_struct *thread = &current->thread;

	/* The same thread runs a vCPU nearly always, and its FS and GS stay as they are. */
	current_save_fsgs();
	if (unlikely(thread->fsbase != host->fs_base || thread->fsindex != host->fs_sel ||
		     thread->gsindex != host->gs_sel))
		host_fsgs_write(host, thread);
	savesegment(ds, host->ds_sel);
	savesegment(es, host->es_sel);
	store_ldt(host->ldt_sel);
	host->user_gs_base = thread->gsbase;

	/* In the kernel the guest's is its user's, most often 0 as well as ours. */
	if (!cpu_feature_enabled(X86_FEATURE_FSGSBASE) || vmx->kernel_gs_base != host->user_gs_base)
		native_wrmsrl(MSR_KERNEL_GS_BASE, vmx->kernel_gs_base);
	user_msr_load(vmx->user_msrs, vmx->which_user_msrs);
	host->loaded = true;
}

/* Return: MSR_KERNEL_GS_BASE is no longer what the exit left there. */
static noinline bool selectors_restore(struct vmx_host_state *host)
{
	bool gs = host->ldt_sel || (host->gs_sel & 7);

	if (gs) {
		asm volatile("lldt %0" : : "m" (host->ldt_sel));
		load_gs_index(host->gs_sel);
	}
	if (host->fs_sel & 7)
		loadsegment(fs, host->fs_sel);
	if (host->ds_sel | host->es_sel) {
		loadsegment(ds, host->ds_sel);
		loadsegment(es, host->es_sel);
	}
	return gs;
}

static noinline void io_bitmap_restore(void)
{
	invalidate_tss_limit();
}

void vmx_host_restore(struct vmx_vcpu *vmx)
{
	struct vmx_host_state *host = &vmx->host;
	bool gs_base_gone;

	if (!host->loaded)
		return;
	host->loaded = false;
	vmx->kernel_gs_base = __rdmsr(MSR_KERNEL_GS_BASE);
	gs_base_gone = vmx->kernel_gs_base != host->user_gs_base;
	if (unlikely(host->ldt_sel | host->ds_sel | host->es_sel | ((host->fs_sel | host->gs_sel) & 7)))
		gs_base_gone |= selectors_restore(host);
	/* The exit set the TSS's limit to 0x67, no I/O bitmap, and the GDT's to 64 KiB. */
	if (unlikely(test_thread_flag(TIF_IO_BITMAP)))
		io_bitmap_restore();
	else
		this_cpu_write(__tss_limit_invalid, true);
	if (gs_base_gone)
		native_wrmsrl(MSR_KERNEL_GS_BASE, host->user_gs_base);
	native_load_gdt(&host->gdt);
}
