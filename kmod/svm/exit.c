// SPDX-License-Identifier: GPL-2.0-only
/* From an exit code to a neutral exit. APM volume 2, "SVM Intercept Exit Codes". */
#include <asm/trapnr.h>
#include <uapi/asm/debugreg.h>
#include "cpu/regs.h"
#include "svm/exit.h"
#include "svm/svm.h"

/* Codes that the kernel's headers do not name; none of them is ever enabled on purpose. */
#define CODE_INVLPGB		0xa0
#define CODE_INVLPGB_ILLEGAL	0xa1
#define CODE_MCOMMIT		0xa3
#define CODE_TLBSYNC		0xa4

#define PLAIN(kind)	((kind) | SVM_PLAIN)

/* EXIT_NONE, which no code of an instruction means by itself, is for codes not listed. */
const u8 svm_kinds[SVM_NR_CODES] = {
	/* Without decode assists the CPU does not say what moves where: the emulator finds out. */
	[SVM_EXIT_READ_CR0 ... SVM_EXIT_READ_CR8 + 7]	= EXIT_INSN,
	[SVM_EXIT_WRITE_CR0 ... SVM_EXIT_WRITE_CR8 + 7]	= EXIT_INSN,
	[SVM_EXIT_READ_DR0 ... SVM_EXIT_READ_DR7 + 8]	= EXIT_INSN,
	[SVM_EXIT_WRITE_DR0 ... SVM_EXIT_WRITE_DR7 + 8]	= EXIT_INSN,
	[SVM_EXIT_EXCP_BASE ... SVM_EXIT_LAST_EXCP]	= EXIT_EXCEPTION,
	[SVM_EXIT_CR0_SEL_WRITE]	= EXIT_INSN,
	[SVM_EXIT_INIT]			= EXIT_INIT_SIGNAL,
	[SVM_EXIT_VINTR]		= EXIT_IRQ_WINDOW,
	[SVM_EXIT_RDPMC]		= PLAIN(EXIT_RDPMC),
	[SVM_EXIT_INVLPG]		= EXIT_INSN,	/* likewise */
	[SVM_EXIT_CPUID]		= PLAIN(EXIT_CPUID),
	[SVM_EXIT_RSM]			= EXIT_VIRT_INSN,
	[SVM_EXIT_INVD]			= EXIT_INVD,
	[SVM_EXIT_HLT]			= PLAIN(EXIT_HLT),
	[SVM_EXIT_INVLPGA]		= EXIT_VIRT_INSN,
	[SVM_EXIT_IOIO]			= PLAIN(EXIT_IO),
	[SVM_EXIT_MSR]			= PLAIN(EXIT_MSR_READ),
	[SVM_EXIT_SHUTDOWN]		= EXIT_TRIPLE_FAULT,
	[SVM_EXIT_VMRUN]		= EXIT_VIRT_INSN,
	[SVM_EXIT_VMMCALL]		= PLAIN(EXIT_HYPERCALL),
	[SVM_EXIT_VMLOAD]		= EXIT_VIRT_INSN,
	[SVM_EXIT_VMSAVE]		= EXIT_VIRT_INSN,
	[SVM_EXIT_STGI]			= EXIT_VIRT_INSN,
	[SVM_EXIT_CLGI]			= EXIT_VIRT_INSN,
	[SVM_EXIT_SKINIT]		= EXIT_VIRT_INSN,
	[SVM_EXIT_RDTSCP]		= EXIT_VIRT_INSN,	/* only where there is none */
	[SVM_EXIT_WBINVD]		= EXIT_INVD,
	[SVM_EXIT_MONITOR]		= EXIT_MONITOR,
	[SVM_EXIT_MWAIT]		= EXIT_MWAIT,
	[SVM_EXIT_MWAIT_COND]		= EXIT_MWAIT,
	[SVM_EXIT_XSETBV]		= EXIT_XSETBV,
	[SVM_EXIT_RDPRU]		= EXIT_VIRT_INSN,
	[CODE_INVLPGB]			= EXIT_VIRT_INSN,
	[CODE_INVLPGB_ILLEGAL]		= EXIT_VIRT_INSN,
	[SVM_EXIT_INVPCID]		= EXIT_INSN,
	[CODE_MCOMMIT]			= EXIT_VIRT_INSN,
	[CODE_TLBSYNC]			= EXIT_VIRT_INSN,
};
static_assert(EXIT_NONE == 0 && NR_EXIT_KINDS <= SVM_PLAIN);

static enum exit_kind kind_of(u32 code)
{
	enum exit_kind kind;

	switch (code) {
	case SVM_EXIT_NPF:
		return EXIT_PAGE_FAULT;
	case SVM_EXIT_INTR:
	case SVM_EXIT_NMI:
	case SVM_EXIT_SMI:
	case SVM_EXIT_IRET:
		return EXIT_NONE;
	case SVM_EXIT_INVALID:
	case SVM_EXIT_NONE:
		return EXIT_ENTRY_FAILURE;
	}
	if (code >= SVM_NR_CODES)
		return EXIT_UNKNOWN;
	kind = svm_kinds[code % SVM_NR_CODES] & ~SVM_PLAIN;
	return kind == EXIT_NONE ? EXIT_UNKNOWN : kind;
}

/*
 * An event whose delivery the exit interrupted goes back where inject_events() finds it first. One
 * that an instruction of the guest raised does not: RIP is still there, and it runs again.
 */
static noinline void requeue(struct svm_vcpu *svm, u32 info)
{
	struct vcpu *vcpu = svm->vcpu;
	struct event *event = &vcpu->events.entry;
	u8 vector = info & SVM_EXITINTINFO_VEC_MASK;
	u32 type = info & SVM_EXITINTINFO_TYPE_MASK;

	event->vector = vector;
	event->has_error = info & SVM_EXITINTINFO_VALID_ERR;
	event->error = svm->vmcb->control.exit_int_info_err;
	event->insn_len = 0;
	if (type == SVM_EVTINJ_TYPE_INTR) {
		event->type = EVENT_IRQ;
	} else if (type == SVM_EVTINJ_TYPE_NMI) {
		event->type = EVENT_NMI;
		svm_nmi_mask(svm, false);	/* or it could not be injected again */
	} else if (type == SVM_EVTINJ_TYPE_SOFT) {
		event->type = svm->soft_injected ? EVENT_SOFT_INT : EVENT_NONE;
	} else if (vector == X86_TRAP_BP || vector == X86_TRAP_OF) {
		event->type = svm->soft_injected ? EVENT_SOFT_EXCEPTION : EVENT_NONE;
	} else {
		event->type = EVENT_EXCEPTION;
	}
	vcpu_request(vcpu, REQ_EVENT);
}

/* Whatever was being injected has been delivered, unless the CPU says otherwise. */
static void events_after(struct svm_vcpu *svm)
{
	u32 info = svm->vmcb->control.exit_int_info;

	svm->vcpu->events.entry.type = EVENT_NONE;
	if (unlikely(info & SVM_EXITINTINFO_VALID))
		requeue(svm, info);
	if (svm->vcpu->events.entry.type < EVENT_SOFT_INT)
		svm->soft_injected = false;
}

/* IRET is about to unblock NMIs; that it has done so shows when RIP is elsewhere. */
static noinline void iret_seen(struct svm_vcpu *svm)
{
	svm_intercept(svm, INTERCEPT_IRET, false);
	svm->iret_pending = true;
	svm->iret_rip = rip_get(svm->vcpu);
	vcpu_request(svm->vcpu, REQ_EVENT);
}

static void iret_check(struct svm_vcpu *svm)
{
	if (likely(!svm->iret_pending) || rip_get(svm->vcpu) == svm->iret_rip)
		return;
	svm_nmi_mask(svm, false);
	vcpu_request(svm->vcpu, REQ_EVENT);
}

/* After an IRET the guest's flags come from its stack, else they are as before but for our TF. */
static void step_undo(struct svm_vcpu *svm, bool done)
{
	struct vcpu *vcpu = svm->vcpu;
	bool iret = svm->iret_pending;

	svm->stepping = false;
	vcpu_request(vcpu, REQ_EVENT);
	if (done && iret)
		svm_nmi_mask(svm, false);
	else if (!svm->step_tf)
		rflags_set(vcpu, rflags_get(vcpu) & ~(u64)X86_EFLAGS_TF);
}

/* Bits of DR6 that mean something have been collected in the VMCB since the last time. */
static u64 db_payload(struct svm_vcpu *svm)
{
	u64 bits = (svm->vmcb->save.dr6 ^ DR6_RESERVED) & (DR_TRAP_BITS | DR_STEP | BIT(13) | BIT(15));

	svm->vmcb->save.dr6 = DR6_RESERVED;
	return bits;
}

static void decode_db(struct svm_vcpu *svm, struct vcpu_exit *exit)
{
	u64 bits = db_payload(svm);

	if (svm->stepping && (bits & DR_STEP)) {
		step_undo(svm, true);
		if (!svm->step_tf)
			bits &= ~(u64)DR_STEP;
		if (!bits) {
			exit->kind = EXIT_NMI_WINDOW;
			return;
		}
	}
	exit->exception.payload = bits;
}

#define WITH_ERROR_CODE	(BIT(X86_TRAP_DF) | BIT(X86_TRAP_TS) | BIT(X86_TRAP_NP) | BIT(X86_TRAP_SS) | \
			 BIT(X86_TRAP_GP) | BIT(X86_TRAP_PF) | BIT(X86_TRAP_AC) | BIT(X86_TRAP_CP))

static void decode_exception(struct svm_vcpu *svm, struct vcpu_exit *exit)
{
	struct vmcb_control_area *control = &svm->vmcb->control;
	u8 vector = control->exit_code - SVM_EXIT_EXCP_BASE;

	exit->exception.vector = vector;
	exit->exception.has_error = WITH_ERROR_CODE & BIT(vector);
	exit->exception.error = exit->exception.has_error ? control->exit_info_1 : 0;
	exit->exception.payload = vector == X86_TRAP_PF ? control->exit_info_2 : 0;
	if (vector == X86_TRAP_DB)
		decode_db(svm, exit);
	else if (vector == X86_TRAP_BP && !exit->insn_len)
		exit->insn_len = 1;	/* INT3 is all that raises it with this intercept */
	else if (vector == X86_TRAP_MC)
		exit->kind = EXIT_NONE;	/* svm_run_host_events() has it handled */
}

/* APM volume 2, "Nested versus Guest Page Faults, Fault Ordering" */
static void decode_npf(struct svm_vcpu *svm, struct vcpu_exit *exit)
{
	u64 info = svm->vmcb->control.exit_info_1;
	u32 access = 0;

	access |= info & BIT(0) ? FAULT_PRESENT : 0;
	access |= info & BIT(3) ? FAULT_RSVD : 0;
	access |= info & BIT_ULL(33) ? FAULT_WALK : 0;
	if (info & BIT(1))
		access |= FAULT_WRITE;
	else
		access |= info & BIT(4) ? FAULT_FETCH : FAULT_READ;
	exit->fault.access = access;
	exit->fault.asked = false;
	exit->fault.gpa = svm->vmcb->control.exit_info_2;
}

static void decode_details(struct svm_vcpu *svm, struct vcpu_exit *exit)
{
	switch (exit->kind) {
	case EXIT_EXCEPTION:
		decode_exception(svm, exit);
		break;
	case EXIT_IO:
		svm_exit_io(svm->vmcb, exit);
		break;
	case EXIT_MSR_READ:
		if (svm->vmcb->control.exit_info_1)
			exit->kind = EXIT_MSR_WRITE;
		break;
	case EXIT_PAGE_FAULT:
		decode_npf(svm, exit);
		break;
	case EXIT_ENTRY_FAILURE:
		exit->entry.reason = svm->vmcb->control.exit_code;
		break;
	default:
		break;
	}
}

void svm_exit_decode(struct vcpu *vcpu, struct vcpu_exit *exit)
{
	struct svm_vcpu *svm = svm_of(vcpu);
	u32 code = svm->vmcb->control.exit_code;

	exit->hw_reason = code;
	exit->kind = kind_of(code);
	exit->insn_len = svm_insn_len(svm->vmcb);
	if (unlikely(exit->kind == EXIT_ENTRY_FAILURE)) {
		decode_details(svm, exit);
		return;
	}
	events_after(svm);
	decode_details(svm, exit);
	iret_check(svm);
	if (unlikely(svm->stepping))
		step_undo(svm, false);
	if (unlikely(code == SVM_EXIT_IRET))
		iret_seen(svm);
}
