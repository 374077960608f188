// SPDX-License-Identifier: GPL-2.0-only
/* The VMCS in readable form, for an entry that the CPU refused. */
#include <linux/ratelimit.h>
#include "backend.h"
#include "vcpu.h"
#include "vmx/vmcs.h"
#include "vmx/vmx.h"

/* in the order of the encodings */
static const char * const seg_names[NR_SEGS] = { "es", "cs", "ss", "ds", "fs", "gs", "ldtr", "tr" };

static void dump_guest(void)
{
	int i;

	pr_err("guest cr0 %016lx (shadow %016lx) cr3 %016lx cr4 %016lx (shadow %016lx)\n",
	       vmcs_readl(GUEST_CR0), vmcs_readl(CR0_READ_SHADOW), vmcs_readl(GUEST_CR3),
	       vmcs_readl(GUEST_CR4), vmcs_readl(CR4_READ_SHADOW));
	pr_err("guest efer %016llx debugctl %016llx dr7 %016lx\n",
	       vmx_caps.load_efer ? vmcs_read64(GUEST_IA32_EFER) : 0, vmcs_read64(GUEST_IA32_DEBUGCTL), vmcs_readl(GUEST_DR7));
	pr_err("guest rip %016lx rsp %016lx rflags %08lx shadow %08x activity %08x pending-dbg %016lx\n",
	       vmcs_readl(GUEST_RIP), vmcs_readl(GUEST_RSP), vmcs_readl(GUEST_RFLAGS),
	       vmcs_read32(GUEST_INTERRUPTIBILITY_INFO), vmcs_read32(GUEST_ACTIVITY_STATE),
	       vmcs_readl(GUEST_PENDING_DBG_EXCEPTIONS));
	for (i = 0; i < NR_SEGS; i++)
		pr_err("guest %-4s sel %04x ar %05x limit %08x base %016lx\n", seg_names[i],
		       vmcs_read16(GUEST_ES_SELECTOR + 2 * i), vmcs_read32(GUEST_ES_AR_BYTES + 2 * i),
		       vmcs_read32(GUEST_ES_LIMIT + 2 * i), vmcs_readl(GUEST_ES_BASE + 2 * i));
	pr_err("guest gdtr limit %08x base %016lx idtr limit %08x base %016lx\n",
	       vmcs_read32(GUEST_GDTR_LIMIT), vmcs_readl(GUEST_GDTR_BASE),
	       vmcs_read32(GUEST_IDTR_LIMIT), vmcs_readl(GUEST_IDTR_BASE));
	if (!vmx_caps.ept)
		return;
	pr_err("guest pdptr %016llx %016llx %016llx %016llx\n", vmcs_read64(GUEST_PDPTR0),
	       vmcs_read64(GUEST_PDPTR1), vmcs_read64(GUEST_PDPTR2), vmcs_read64(GUEST_PDPTR3));
}

static void dump_host(void)
{
	pr_err("host cr0 %016lx cr3 %016lx cr4 %016lx\n", vmcs_readl(HOST_CR0),
	       vmcs_readl(HOST_CR3), vmcs_readl(HOST_CR4));
	pr_err("host rip %016lx rsp %016lx fs %04x/%016lx gs %04x/%016lx tr %016lx gdt %016lx idt %016lx\n",
	       vmcs_readl(HOST_RIP), vmcs_readl(HOST_RSP), vmcs_read16(HOST_FS_SELECTOR),
	       vmcs_readl(HOST_FS_BASE), vmcs_read16(HOST_GS_SELECTOR), vmcs_readl(HOST_GS_BASE),
	       vmcs_readl(HOST_TR_BASE), vmcs_readl(HOST_GDTR_BASE), vmcs_readl(HOST_IDTR_BASE));
}

static void dump_controls(void)
{
	pr_err("controls pin %08x exec %08x exec2 %08x entry %08x exit %08x exceptions %08x\n",
	       vmcs_read32(PIN_BASED_VM_EXEC_CONTROL), vmcs_read32(CPU_BASED_VM_EXEC_CONTROL),
	       vmcs_read32(SECONDARY_VM_EXEC_CONTROL), vmcs_read32(VM_ENTRY_CONTROLS),
	       vmcs_read32(VM_EXIT_CONTROLS), vmcs_read32(EXCEPTION_BITMAP));
	pr_err("inject %08x error %08x len %u; exit reason %08x qualification %016lx intr %08x vectoring %08x\n",
	       vmcs_read32(VM_ENTRY_INTR_INFO_FIELD), vmcs_read32(VM_ENTRY_EXCEPTION_ERROR_CODE),
	       vmcs_read32(VM_ENTRY_INSTRUCTION_LEN), vmcs_read32(VM_EXIT_REASON),
	       vmcs_readl(EXIT_QUALIFICATION), vmcs_read32(VM_EXIT_INTR_INFO),
	       vmcs_read32(IDT_VECTORING_INFO_FIELD));
	pr_err("eptp %016llx tsc offset %016llx instruction error %u\n", vmx_caps.ept ? vmcs_read64(EPT_POINTER) : 0,
	       vmcs_read64(TSC_OFFSET), vmcs_read32(VM_INSTRUCTION_ERROR));
}

void vmx_dump(struct vcpu *vcpu)
{
	static DEFINE_RATELIMIT_STATE(limit, 10 * HZ, 2);

	if (!__ratelimit(&limit))
		return;
	pr_err("vCPU %u: the CPU refused the entry\n", vcpu->id);
	dump_guest();
	dump_host();
	dump_controls();
}
