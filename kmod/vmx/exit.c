// SPDX-License-Identifier: GPL-2.0-only
/* From a basic exit reason to a neutral exit. SDM, "VMX Basic Exit Reasons". */
#include <asm/trapnr.h>
#include "backend.h"
#include "compat.h"
#include "cpu/regs.h"
#include "exit.h"
#include "mmu/tdp.h"
#include "vm.h"
#include "vmx/exit.h"
#include "vmx/vmcs.h"
#include "vmx/vmx.h"

/* Reasons that the kernel's headers do not name; none of them is ever enabled. */
enum {
	REASON_IO_SMI = 5,
	REASON_OTHER_SMI = 6,
	REASON_GETSEC = 11,
	REASON_RSM = 17,
	REASON_ENCLS = 60,
	REASON_SPP = 66,
	REASON_UMWAIT = 67,
	REASON_TPAUSE = 68,
	REASON_LOADIWKEY = 69,
	REASON_ENCLV = 70,
	REASON_ENQCMD_PASID = 72,
	REASON_ENQCMDS_PASID = 73,
	REASON_SEAMCALL = 76,
	REASON_TDCALL = 77,
	NR_REASONS
};

#define ANYTIME(k)	((k) | VMX_ANY_TIME | VMX_DETAILS)
#define BOUNDARY(k)	(k)
#define BOUNDARY_MORE(k) ((k) | VMX_DETAILS)
#define INSN(k)		((k) | VMX_INSN)
#define INSN_MORE(k)	((k) | VMX_INSN | VMX_DETAILS)

static_assert(NR_REASONS <= VMX_NR_REASONS && NR_EXIT_KINDS <= VMX_KIND);

const u16 vmx_reasons[VMX_NR_REASONS] = {
	[NR_REASONS ... VMX_NR_REASONS - 1]	= BOUNDARY(EXIT_UNKNOWN),
	[EXIT_REASON_EXCEPTION_NMI]		= ANYTIME(EXIT_EXCEPTION),
	[EXIT_REASON_EXTERNAL_INTERRUPT]	= BOUNDARY(EXIT_NONE),
	[EXIT_REASON_TRIPLE_FAULT]		= ANYTIME(EXIT_TRIPLE_FAULT),
	[EXIT_REASON_INIT_SIGNAL]		= ANYTIME(EXIT_INIT_SIGNAL),
	[EXIT_REASON_SIPI_SIGNAL]		= ANYTIME(EXIT_INIT_SIGNAL),
	[REASON_IO_SMI]				= ANYTIME(EXIT_UNKNOWN),
	[REASON_OTHER_SMI]			= ANYTIME(EXIT_UNKNOWN),
	[EXIT_REASON_INTERRUPT_WINDOW]		= BOUNDARY(EXIT_IRQ_WINDOW),
	[EXIT_REASON_NMI_WINDOW]		= BOUNDARY(EXIT_NMI_WINDOW),
	[EXIT_REASON_TASK_SWITCH]		= ANYTIME(EXIT_TASK_SWITCH),
	[EXIT_REASON_CPUID]			= INSN(EXIT_CPUID),
	[REASON_GETSEC]				= INSN(EXIT_VIRT_INSN),
	[EXIT_REASON_HLT]			= INSN(EXIT_HLT),
	[EXIT_REASON_INVD]			= INSN(EXIT_INVD),
	[EXIT_REASON_INVLPG]			= INSN_MORE(EXIT_INVLPG),
	[EXIT_REASON_RDPMC]			= INSN(EXIT_RDPMC),
	[EXIT_REASON_RDTSC]			= INSN(EXIT_RDTSC),
	[REASON_RSM]				= INSN(EXIT_VIRT_INSN),
	[EXIT_REASON_VMCALL]			= INSN(EXIT_HYPERCALL),
	[EXIT_REASON_VMCLEAR]			= INSN(EXIT_VIRT_INSN),
	[EXIT_REASON_VMLAUNCH]			= INSN(EXIT_VIRT_INSN),
	[EXIT_REASON_VMPTRLD]			= INSN(EXIT_VIRT_INSN),
	[EXIT_REASON_VMPTRST]			= INSN(EXIT_VIRT_INSN),
	[EXIT_REASON_VMREAD]			= INSN(EXIT_VIRT_INSN),
	[EXIT_REASON_VMRESUME]			= INSN(EXIT_VIRT_INSN),
	[EXIT_REASON_VMWRITE]			= INSN(EXIT_VIRT_INSN),
	[EXIT_REASON_VMOFF]			= INSN(EXIT_VIRT_INSN),
	[EXIT_REASON_VMON]			= INSN(EXIT_VIRT_INSN),
	[EXIT_REASON_CR_ACCESS]			= INSN_MORE(EXIT_CR),
	[EXIT_REASON_DR_ACCESS]			= INSN_MORE(EXIT_DR),
	[EXIT_REASON_IO_INSTRUCTION]		= INSN_MORE(EXIT_IO),
	[EXIT_REASON_MSR_READ]			= INSN(EXIT_MSR_READ),
	[EXIT_REASON_MSR_WRITE]			= INSN(EXIT_MSR_WRITE),
	[EXIT_REASON_INVALID_STATE]		= ANYTIME(EXIT_ENTRY_FAILURE),
	[EXIT_REASON_MSR_LOAD_FAIL]		= ANYTIME(EXIT_ENTRY_FAILURE),
	[EXIT_REASON_MWAIT_INSTRUCTION]		= INSN(EXIT_MWAIT),
	[EXIT_REASON_MONITOR_INSTRUCTION]	= INSN(EXIT_MONITOR),
	[EXIT_REASON_PAUSE_INSTRUCTION]		= INSN(EXIT_PAUSE),
	[EXIT_REASON_MCE_DURING_VMENTRY]	= ANYTIME(EXIT_ENTRY_FAILURE),
	[EXIT_REASON_TPR_BELOW_THRESHOLD]	= BOUNDARY(EXIT_TPR_BELOW),
	[EXIT_REASON_APIC_ACCESS]		= ANYTIME(EXIT_APIC_ACCESS),
	[EXIT_REASON_EOI_INDUCED]		= BOUNDARY_MORE(EXIT_EOI),
	[EXIT_REASON_EPT_VIOLATION]		= ANYTIME(EXIT_PAGE_FAULT),
	[EXIT_REASON_EPT_MISCONFIG]		= ANYTIME(EXIT_MISCONFIG),
	[EXIT_REASON_INVEPT]			= INSN(EXIT_VIRT_INSN),
	[EXIT_REASON_RDTSCP]			= INSN(EXIT_RDTSC),
	[EXIT_REASON_PREEMPTION_TIMER]		= BOUNDARY(EXIT_TIMER),
	[EXIT_REASON_INVVPID]			= INSN(EXIT_VIRT_INSN),
	[EXIT_REASON_WBINVD]			= INSN(EXIT_INVD),
	[EXIT_REASON_XSETBV]			= INSN(EXIT_XSETBV),
	[EXIT_REASON_APIC_WRITE]		= BOUNDARY_MORE(EXIT_APIC_WRITE),
	[EXIT_REASON_RDRAND]			= INSN(EXIT_RNG),
	[EXIT_REASON_INVPCID]			= INSN_MORE(EXIT_INVPCID),
	[EXIT_REASON_VMFUNC]			= INSN(EXIT_VIRT_INSN),
	[REASON_ENCLS]				= INSN(EXIT_VIRT_INSN),
	[EXIT_REASON_RDSEED]			= INSN(EXIT_RNG),
	[EXIT_REASON_PML_FULL]			= ANYTIME(EXIT_PML_FULL),
	[EXIT_REASON_XSAVES]			= INSN(EXIT_UNKNOWN),	/* XSS bitmap is empty */
	[EXIT_REASON_XRSTORS]			= INSN(EXIT_UNKNOWN),
	[REASON_SPP]				= ANYTIME(EXIT_UNKNOWN),
	[REASON_UMWAIT]				= INSN(EXIT_VIRT_INSN),
	[REASON_TPAUSE]				= INSN(EXIT_VIRT_INSN),
	[REASON_LOADIWKEY]			= INSN(EXIT_UNKNOWN),
	[REASON_ENCLV]				= INSN(EXIT_VIRT_INSN),
	[REASON_ENQCMD_PASID]			= INSN(EXIT_UNKNOWN),
	[REASON_ENQCMDS_PASID]			= INSN(EXIT_UNKNOWN),
	[REASON_SEAMCALL]			= INSN(EXIT_VIRT_INSN),
	[REASON_TDCALL]				= INSN(EXIT_VIRT_INSN),
};

static enum event_type event_of(u32 info)
{
	switch (info & VECTORING_INFO_TYPE_MASK) {
	case INTR_TYPE_EXT_INTR:		return EVENT_IRQ;
	case INTR_TYPE_NMI_INTR:		return EVENT_NMI;
	case INTR_TYPE_HARD_EXCEPTION:		return EVENT_EXCEPTION;
	case INTR_TYPE_SOFT_INTR:		return EVENT_SOFT_INT;
	case INTR_TYPE_PRIV_SW_EXCEPTION:	return EVENT_PRIV_SOFT_EXCEPTION;
	case INTR_TYPE_SOFT_EXCEPTION:		return EVENT_SOFT_EXCEPTION;
	}
	return EVENT_NONE;
}

/* An event whose delivery the exit interrupted goes back where inject_events() finds it first. */
void vmx_exit_requeue(struct vcpu *vcpu)
{
	struct event *event = &vcpu->events.entry;
	u32 info = vmcs_read32(IDT_VECTORING_INFO_FIELD);

	event->type = EVENT_NONE;
	if (likely(!(info & VECTORING_INFO_VALID_MASK)))
		return;
	event->type = event_of(info);
	event->vector = info & VECTORING_INFO_VECTOR_MASK;
	event->has_error = info & VECTORING_INFO_DELIVER_CODE_MASK;
	if (event->has_error)
		event->error = vmcs_read32(IDT_VECTORING_ERROR_CODE);
	if (event->type >= EVENT_SOFT_INT)
		event->insn_len = vmcs_read32(VM_EXIT_INSTRUCTION_LEN);
	/* Its delivery began, so it blocks NMIs already: unblock, or it could not be injected again. */
	if (event->type == EVENT_NMI)
		shadow_set(vcpu, shadow_get(vcpu) & ~SHADOW_NMI);
	vcpu_request(vcpu, REQ_EVENT);
}

/* SDM, "Exceptions, IRET and NMI blocking": a fault in IRET came after it had unblocked NMIs. */
static void nmi_reblock(struct vcpu *vcpu, bool iret_unblocked)
{
	if (iret_unblocked && vcpu->events.entry.type == EVENT_NONE)
		shadow_set(vcpu, shadow_get(vcpu) | SHADOW_NMI);
}

static void decode_exception(struct vcpu *vcpu, struct vcpu_exit *exit)
{
	u32 info = vmx_of(vcpu)->ctx.intr_info;
	u8 vector = info & INTR_INFO_VECTOR_MASK;

	if ((info & INTR_INFO_INTR_TYPE_MASK) == INTR_TYPE_NMI_INTR) {
		exit->kind = EXIT_NONE;
		return;
	}
	nmi_reblock(vcpu, (info & INTR_INFO_UNBLOCK_NMI) && vector != X86_TRAP_DF);
	exit->exception.vector = vector;
	exit->exception.has_error = info & INTR_INFO_DELIVER_CODE_MASK;
	exit->exception.error = exit->exception.has_error ? vmcs_read32(VM_EXIT_INTR_ERROR_CODE) : 0;
	exit->exception.payload = vmcs_readl(EXIT_QUALIFICATION);
	if ((info & INTR_INFO_INTR_TYPE_MASK) >= INTR_TYPE_SOFT_INTR)	/* INT3, INTO, INT1 */
		exit->insn_len = vmcs_read32(VM_EXIT_INSTRUCTION_LEN);
	if (vector == X86_TRAP_MC) {
		compat_machine_check();
		exit->kind = EXIT_NONE;
	}
}

/* SDM, "Exit Qualification for Control-Register Accesses" */
static void decode_cr(struct vcpu_exit *exit)
{
	unsigned long qual = vmcs_readl(EXIT_QUALIFICATION);

	exit->cr.cr = qual & 15;
	exit->cr.gpr = (qual >> 8) & 15;
	exit->cr.lmsw = qual >> 16;
	switch ((qual >> 4) & 3) {
	case 0: exit->cr.op = CR_WRITE; break;
	case 1: exit->cr.op = CR_READ; break;
	case 2: exit->cr.op = CR_CLTS; break;
	case 3: exit->cr.op = CR_LMSW; break;
	}
}

static void decode_dr(struct vcpu_exit *exit)
{
	unsigned long qual = vmcs_readl(EXIT_QUALIFICATION);

	exit->dr.dr = qual & 7;
	exit->dr.read = qual & 16;
	exit->dr.gpr = (qual >> 8) & 15;
}

/* SDM, "Exit Qualification for EPT Violations" */
static void decode_ept(struct vcpu *vcpu, struct vcpu_exit *exit)
{
	unsigned long qual = vmcs_readl(EXIT_QUALIFICATION);
	u32 access = 0;

	nmi_reblock(vcpu, qual & INTR_INFO_UNBLOCK_NMI);
	access |= qual & BIT(0) ? FAULT_READ : 0;
	access |= qual & BIT(1) ? FAULT_WRITE : 0;
	access |= qual & BIT(2) ? FAULT_FETCH : 0;
	access |= qual & (BIT(3) | BIT(4) | BIT(5)) ? FAULT_PRESENT : 0;
	if (qual & BIT(7)) {
		access |= FAULT_GVA_VALID;
		access |= qual & BIT(8) ? 0 : FAULT_WALK;
		exit->fault.gva = vmcs_readl(GUEST_LINEAR_ADDRESS);
	}
	exit->fault.access = access;
	exit->fault.asked = false;
	exit->fault.gpa = vmcs_read64(GUEST_PHYSICAL_ADDRESS);
}

static void decode_misconfig(struct vcpu_exit *exit)
{
	exit->fault.access = FAULT_RSVD;
	exit->fault.asked = false;
	exit->fault.gpa = vmcs_read64(GUEST_PHYSICAL_ADDRESS);
}

/* SDM, "VM-Exit Instruction-Information Field as Used for INVEPT, INVPCID, and INVVPID" */
static void decode_invpcid(struct vcpu *vcpu, struct vcpu_exit *exit)
{
	static const u8 segs[8] = { SEG_ES, SEG_CS, SEG_SS, SEG_DS, SEG_FS, SEG_GS, SEG_DS, SEG_DS };
	u32 info = vmcs_read32(VMX_INSTRUCTION_INFO);
	gva_t addr = vmcs_readl(EXIT_QUALIFICATION);	/* displacement */
	enum seg seg = segs[(info >> 15) & 7];

	exit->invpcid.gpr = info >> 28;
	if (!(info & BIT(27)))
		addr += gpr_get(vcpu, (info >> 23) & 15);
	if (!(info & BIT(22)))
		addr += gpr_get(vcpu, (info >> 18) & 15) << (info & 3);
	if (((info >> 7) & 7) == 1)
		addr = (u32)addr;
	if (!regs_64bit(vcpu) || seg == SEG_FS || seg == SEG_GS)
		addr += seg_get(vcpu, seg)->base;
	exit->invpcid.desc = regs_64bit(vcpu) ? addr : (u32)addr;
}

void vmx_exit_details(struct vcpu *vcpu, struct vcpu_exit *exit)
{
	switch (exit->kind) {
	case EXIT_EXCEPTION:
		decode_exception(vcpu, exit);
		break;
	case EXIT_CR:
		decode_cr(exit);
		break;
	case EXIT_DR:
		decode_dr(exit);
		break;
	case EXIT_PAGE_FAULT:
		decode_ept(vcpu, exit);
		break;
	case EXIT_MISCONFIG:
		decode_misconfig(exit);
		break;
	case EXIT_INVLPG:
		exit->invlpg.gva = vmcs_readl(EXIT_QUALIFICATION);
		break;
	case EXIT_INVPCID:
		decode_invpcid(vcpu, exit);
		break;
	case EXIT_APIC_WRITE:
		exit->apic.offset = vmcs_readl(EXIT_QUALIFICATION) & APIC_ACCESS_OFFSET;
		break;
	case EXIT_EOI:
		exit->eoi.vector = vmcs_readl(EXIT_QUALIFICATION);
		break;
	case EXIT_PML_FULL:
		nmi_reblock(vcpu, vmcs_readl(EXIT_QUALIFICATION) & INTR_INFO_UNBLOCK_NMI);
		break;
	default:
		break;
	}
}

/* A reason that is not in the table: flags beside it, a failed entry, or one of a later processor. */
void vmx_exit_odd(struct vcpu *vcpu, u32 reason)
{
	struct vcpu_exit *exit = &vcpu->exit;

	exit->insn_len = 0;
	vcpu->regs.avail = VMX_REGS_AFTER_EXIT;
	if (!(reason & VMX_REASON_ENTRY_FAILED)) {
		vmx_of(vcpu)->ctx.flags |= BIT(VMX_CTX_LAUNCHED);
		exit->kind = EXIT_UNKNOWN;
		vcpu->events.entry.type = EVENT_NONE;
		return;
	}
	exit->kind = EXIT_ENTRY_FAILURE;
	exit->entry.reason = reason;
	if (reason == VMX_VMFAIL)
		exit->entry.reason = vmcs_read32(VM_INSTRUCTION_ERROR);
	else if ((u16)reason == EXIT_REASON_MCE_DURING_VMENTRY)
		compat_machine_check();
}

/* The log is filled from the last entry down; the index wraps to 0xffff when it is full. */
void vmx_exit_pml_drain(struct vcpu *vcpu)
{
	u16 index = vmcs_read16(GUEST_PML_INDEX), first = index >= VMX_PML_ENTRIES ? 0 : index + 1;

	if (first == VMX_PML_ENTRIES)
		return;
	tdp_log_dirty(vcpu, vmx_of(vcpu)->pml + first, VMX_PML_ENTRIES - first);
	vmcs_write16(GUEST_PML_INDEX, VMX_PML_ENTRIES - 1);
}
