// SPDX-License-Identifier: GPL-2.0-only
/* The VMCB in readable form, for an entry that the CPU refused. */
#include <linux/ratelimit.h>
#include "svm/svm.h"

static void dump_seg(const char *name, const struct vmcb_seg *seg)
{
	pr_err("guest %-4s sel %04x attrib %03x limit %08x base %016llx\n", name, seg->selector,
	       seg->attrib, seg->limit, seg->base);
}

static void dump_guest(const struct vmcb_save_area *save)
{
	pr_err("guest cr0 %016llx cr2 %016llx cr3 %016llx cr4 %016llx\n", save->cr0, save->cr2,
	       save->cr3, save->cr4);
	pr_err("guest efer %016llx pat %016llx debugctl %016llx dr6 %016llx dr7 %016llx\n", save->efer,
	       save->g_pat, save->dbgctl, save->dr6, save->dr7);
	pr_err("guest rip %016llx rsp %016llx rax %016llx rflags %08llx cpl %u\n", save->rip, save->rsp,
	       save->rax, save->rflags, save->cpl);
	dump_seg("es", &save->es);
	dump_seg("cs", &save->cs);
	dump_seg("ss", &save->ss);
	dump_seg("ds", &save->ds);
	dump_seg("fs", &save->fs);
	dump_seg("gs", &save->gs);
	dump_seg("gdtr", &save->gdtr);
	dump_seg("ldtr", &save->ldtr);
	dump_seg("idtr", &save->idtr);
	dump_seg("tr", &save->tr);
}

static void dump_controls(const struct vmcb_control_area *control)
{
	pr_err("intercepts cr %08x dr %08x exceptions %08x %08x %08x %08x\n", control->intercepts[0],
	       control->intercepts[1], control->intercepts[2], control->intercepts[3],
	       control->intercepts[4], control->intercepts[5]);
	pr_err("iopm %016llx msrpm %016llx asid %u tlb %u int_ctl %08x int_state %08x\n",
	       control->iopm_base_pa, control->msrpm_base_pa, control->asid, control->tlb_ctl,
	       control->int_ctl, control->int_state);
	pr_err("exit %08x info %016llx %016llx delivering %08x error %08x inject %08x\n",
	       control->exit_code, control->exit_info_1, control->exit_info_2,
	       control->exit_int_info, control->exit_int_info_err, control->event_inj);
	pr_err("nested ctl %016llx cr3 %016llx virt_ext %016llx next rip %016llx tsc offset %016llx\n",
	       control->nested_ctl, control->nested_cr3, control->virt_ext, control->next_rip,
	       control->tsc_offset);
}

void svm_dump(struct vcpu *vcpu)
{
	static DEFINE_RATELIMIT_STATE(limit, 10 * HZ, 2);
	const struct vmcb *vmcb = svm_of(vcpu)->vmcb;

	if (!__ratelimit(&limit))
		return;
	pr_err("vCPU %u: the CPU refused the entry\n", vcpu->id);
	dump_guest(&vmcb->save);
	dump_controls(&vmcb->control);
}
