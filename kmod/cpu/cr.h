/* SPDX-License-Identifier: GPL-2.0-only */
/* Control registers and EFER: what a write means and when it is refused. */
#ifndef CORBEL_CR_H
#define CORBEL_CR_H

#include "vcpu.h"

/*
 * As the guest's MOV to CR or the emulator does it. Return: true, or false: the guest must get
 * #GP(0).
 * Context: vCPU loaded, vm->srcu held for reading (PDPTEs are read from guest memory).
 */
bool cr0_write(struct vcpu *vcpu, u64 val);
/** cr3_fast() - MOV from and to CR3 under shadow paging, with interrupts off. Return: done */
bool cr3_fast(struct vcpu *vcpu, struct vcpu_exit *exit);
bool cr3_write(struct vcpu *vcpu, u64 val);
bool cr4_write(struct vcpu *vcpu, u64 val);
bool cr8_write(struct vcpu *vcpu, u64 val);
bool efer_write(struct vcpu *vcpu, u64 val, bool host);
u64 cr8_read(struct vcpu *vcpu);

bool cr0_valid(u64 cr0);
bool cr4_valid(struct vcpu *vcpu, u64 cr4);

/*
 * Set without checks, but with all consequences: LMA, FPU switching, CPUID's mirrors, MMU
 * notification. For KVM_SET_SREGS and reset, which have checked the combination themselves.
 */
void cr0_apply(struct vcpu *vcpu, u64 val);
void cr4_apply(struct vcpu *vcpu, u64 val);
void efer_apply(struct vcpu *vcpu, u64 val);

/**
 * cr_load_pdptrs() - read the four PDPTEs at CR3. Return: false: not memory, or reserved bits
 * set
 */
bool cr_load_pdptrs(struct vcpu *vcpu, u64 cr3);

static inline bool cr_pae_paging(u64 cr0, u64 cr4, u64 efer)
{
	return (cr0 & X86_CR0_PG) && (cr4 & X86_CR4_PAE) && !(efer & EFER_LMA);
}

int cr_exit(struct vcpu *vcpu, struct vcpu_exit *exit);
int xsetbv_exit(struct vcpu *vcpu, struct vcpu_exit *exit);

#endif
