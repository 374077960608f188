/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A VM exit in neutral words. The backend decodes, exit.c dispatches, and the file that owns the
 * noun behaves. Only what a kind needs is filled in; registers are read through regs.h.
 */
#ifndef CORBEL_EXIT_H
#define CORBEL_EXIT_H

#include "types.h"

enum exit_kind {
	EXIT_NONE,		/* nothing left to do: the host's own interrupt, NMI or #MC */
	EXIT_EXCEPTION,
	EXIT_TRIPLE_FAULT,
	EXIT_INIT_SIGNAL,	/* INIT or SIPI seen by the physical CPU: never expected */
	EXIT_IRQ_WINDOW,
	EXIT_NMI_WINDOW,
	EXIT_TASK_SWITCH,
	EXIT_CPUID,
	EXIT_HLT,
	EXIT_INVD,		/* INVD and WBINVD: nothing to write back for a guest */
	EXIT_INVLPG,
	EXIT_INVPCID,
	EXIT_RDPMC,
	EXIT_RDTSC,
	EXIT_HYPERCALL,
	EXIT_VIRT_INSN,		/* VMX or SVM instruction in the guest: #UD, there is no nesting */
	EXIT_CR,
	EXIT_DR,
	EXIT_IO,
	EXIT_MSR_READ,
	EXIT_MSR_WRITE,
	EXIT_MWAIT,
	EXIT_MONITOR,
	EXIT_PAUSE,
	EXIT_TPR_BELOW,
	EXIT_APIC_ACCESS,
	EXIT_APIC_WRITE,	/* trap-like, the register is already in the virtual-APIC page */
	EXIT_EOI,		/* virtualized EOI of a vector in the EOI-exit bitmap */
	EXIT_INSN,		/* an instruction the hardware did not decode: CR, DR access on SVM */
	EXIT_PAGE_FAULT,	/* guest-physical: EPT violation, nested page fault */
	EXIT_MISCONFIG,		/* EPT misconfiguration: cached MMIO, or a broken entry */
	EXIT_TIMER,		/* VMX preemption timer */
	EXIT_XSETBV,
	EXIT_RNG,		/* RDRAND or RDSEED intercepted though never asked for */
	EXIT_PML_FULL,
	EXIT_ENTRY_FAILURE,	/* the CPU refused the guest state */
	EXIT_UNKNOWN,
	NR_EXIT_KINDS
};

/* Bits of vcpu_exit.fault.access: what a guest-physical fault was about. */
enum fault_access {
	FAULT_READ	= 1 << 0,
	FAULT_WRITE	= 1 << 1,
	FAULT_FETCH	= 1 << 2,
	FAULT_PRESENT	= 1 << 3,	/* an entry was there but forbade the access */
	FAULT_GVA_VALID	= 1 << 4,	/* fault.gva holds the linear address */
	FAULT_WALK	= 1 << 5,	/* hit while walking the guest's own page tables */
	FAULT_RSVD	= 1 << 6,	/* reserved bit: our cached MMIO marker */
};

struct vcpu_exit {
	enum exit_kind kind;
	/*
	 * Of the instruction that exited; 0: hardware does not say. Where an instruction is what exited, the
	 * register cache has RIP, RFLAGS and SHADOW.
	 */
	u8 insn_len;
	u32 hw_reason;		/* as the hardware gave it; traces, KVM_EXIT_UNKNOWN */
	union {
		struct {			/* EXIT_EXCEPTION */
			u8 vector;
			bool has_error;
			u32 error;
			u64 payload;		/* #DB: DR6 bits; #PF: CR2 */
		} exception;
		struct {			/* EXIT_CR */
			u8 cr;			/* 0, 3, 4, 8 */
			u8 gpr;
			enum { CR_WRITE, CR_READ, CR_CLTS, CR_LMSW } op;
			u16 lmsw;
		} cr;
		struct {			/* EXIT_DR */
			u8 dr;
			u8 gpr;
			bool read;
		} dr;
		struct {			/* EXIT_IO */
			u16 port;
			u8 size;		/* 1, 2, 4 */
			bool in;
			bool string;		/* INS/OUTS: the emulator takes it from here */
			bool asked;		/* by pio_fast(): no device in the kernel takes it */
			u32 val;		/* pio.c: what is moved */
		} io;
		struct {			/* EXIT_PAGE_FAULT, EXIT_MISCONFIG */
			gpa_t gpa;
			gva_t gva;
			u32 access;		/* enum fault_access */
			bool asked;		/* by mmio_move_fast(): the MOV is userspace's */
		} fault;
		struct {			/* EXIT_INVLPG */
			gva_t gva;
		} invlpg;
		struct {			/* EXIT_INVPCID */
			u8 gpr;
			gva_t desc;		/* linear address of the descriptor */
		} invpcid;
		struct {			/* EXIT_APIC_WRITE: the register's */
			u16 offset;
		} apic;
		struct {			/* EXIT_EOI */
			u8 vector;
		} eoi;
		struct {			/* EXIT_ENTRY_FAILURE */
			u64 reason;
		} entry;
	};
};

/**
 * exit_handle() - the exit table
 * Context: process context, interrupts on, vCPU loaded, vm->srcu held for reading.
 * Return: enum vcpu_next or a negative errno.
 */
int exit_handle(struct vcpu *vcpu, struct vcpu_exit *exit);

/** exit_name() - name of a kind, for statistics and traces; never NULL */
const char *exit_name(enum exit_kind kind);

#endif
