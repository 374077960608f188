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
#include "vmx/vmcs.h"
#include "vmx/vmx.h"

/* SDM, "Checks on Host Segment and Descriptor-Table Registers": RPL and TI must be 0. */
static u16 host_selector(u16 sel)
{
	return sel & 7 ? 0 : sel;
}

/* The same thread runs a vCPU nearly always, and its FS and GS stay as they are. */
static void host_fsgs_update(struct vmx_host_state *host)
{
	u16 fs, gs;

	current_save_fsgs();
	savesegment(fs, fs);
	savesegment(gs, gs);
	if (fs != host->fs_sel)
		vmcs_write16(HOST_FS_SELECTOR, host_selector(fs));
	if (gs != host->gs_sel)
		vmcs_write16(HOST_GS_SELECTOR, host_selector(gs));
	if (current->thread.fsbase != host->fs_base)
		vmcs_writel(HOST_FS_BASE, current->thread.fsbase);
	host->fs_sel = fs;
	host->gs_sel = gs;
	host->fs_base = current->thread.fsbase;
}

void vmx_host_save(struct vmx_vcpu *vmx)
{
	struct vmx_host_state *host = &vmx->host;

	host_fsgs_update(host);
	savesegment(ds, host->ds_sel);
	savesegment(es, host->es_sel);
	store_ldt(host->ldt_sel);
	host->user_gs_base = current->thread.gsbase;

	wrmsrl(MSR_KERNEL_GS_BASE, vmx->kernel_gs_base);
	vmx_user_msrs_load(vmx);
	host->loaded = true;
}

void vmx_host_restore(struct vmx_vcpu *vmx)
{
	struct vmx_host_state *host = &vmx->host;

	if (!host->loaded)
		return;
	host->loaded = false;
	rdmsrl(MSR_KERNEL_GS_BASE, vmx->kernel_gs_base);
	if (host->ldt_sel || (host->gs_sel & 7)) {
		asm volatile("lldt %0" : : "m" (host->ldt_sel));
		load_gs_index(host->gs_sel);
	}
	if (host->fs_sel & 7)
		loadsegment(fs, host->fs_sel);
	if (host->ds_sel | host->es_sel) {
		loadsegment(ds, host->ds_sel);
		loadsegment(es, host->es_sel);
	}
	invalidate_tss_limit();		/* the exit set the limit to 0x67: no I/O bitmap */
	wrmsrl(MSR_KERNEL_GS_BASE, host->user_gs_base);
	load_fixmap_gdt(raw_smp_processor_id());	/* the exit set its limit to 64 KiB */
}
