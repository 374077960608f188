// SPDX-License-Identifier: GPL-2.0-only
/* Machine-check banks: what userspace injects, what the guest reads. */
#include <linux/nospec.h>
#include <asm/mce.h>
#include <asm/msr-index.h>
#include <asm/trapnr.h>
#include "backend.h"
#include "vm.h"
#include "cpu/msr.h"
#include "cpu/regs.h"
#include "irq/lapic.h"

#define HWCR_STATUS_WRITES	BIT_ULL(18)

u64 mce_cap_supported(void)
{
	return MCG_CTL_P | MCG_SER_P | (caps.mcg_cap & MCG_CMCI_P);
}

bool mce_has_cmci(struct vcpu *vcpu)
{
	return vcpu->arch.mce.cap & MCG_CMCI_P;
}

static unsigned int nr_banks(struct vcpu *vcpu)
{
	return vcpu->arch.mce.cap & MCG_BANKCNT_MASK;
}

int mce_configure(struct vcpu *vcpu, u64 mcg_cap)
{
	unsigned int banks = mcg_cap & MCG_BANKCNT_MASK, i;
	struct vcpu_mce *mce = &vcpu->arch.mce;

	if (!banks || banks > CORBEL_MCE_BANKS)
		return -EINVAL;
	if (mcg_cap & ~(u64)(mce_cap_supported() | MCG_BANKCNT_MASK | MCG_EXT_CNT_MASK))
		return -EINVAL;
	mce->cap = mcg_cap & caps.mcg_cap;
	if (mcg_cap & MCG_CTL_P)
		mce->ctl = ~0ull;
	for (i = 0; i < banks; i++)
		mce->banks[i].ctl = ~0ull;
	memset(mce->ctl2, 0, sizeof(mce->ctl2));
	lapic_cpuid_changed(vcpu);	/* CMCI has an LVT entry */
	return 0;
}

void mce_reset(struct vcpu *vcpu)
{
	vcpu->arch.mce.cap = CORBEL_MCE_BANKS;
	vcpu->arch.mce.status = 0;
}

static void record(struct mce_bank *bank, const struct kvm_x86_mce *mce)
{
	u64 overflow = bank->status & MCI_STATUS_VAL ? MCI_STATUS_OVER : 0;

	bank->addr = mce->addr;
	bank->misc = mce->misc;
	bank->status = mce->status | overflow;
}

static int set_uncorrected(struct vcpu *vcpu, struct mce_bank *bank, const struct kvm_x86_mce *mce)
{
	struct vcpu_mce *state = &vcpu->arch.mce;

	if (((state->cap & MCG_CTL_P) && state->ctl != ~0ull) || bank->ctl != ~0ull)
		return 0;		/* the guest does not want to hear of it */
	if ((state->status & MCG_STATUS_MCIP) || !(cr4_get(vcpu) & X86_CR4_MCE)) {
		vcpu_request(vcpu, REQ_TRIPLE_FAULT);
		return 0;
	}
	record(bank, mce);
	state->status = mce->mcg_status;
	inject_exception(vcpu, MC_VECTOR);
	return 0;
}

/* Uncorrected, but nobody has used the data yet: the guest has time. */
static bool no_action_required(const struct kvm_x86_mce *mce)
{
	return !mce->mcg_status && !(mce->status & (MCI_STATUS_PCC | MCI_STATUS_S | MCI_STATUS_AR));
}

/*
 * Signalled by the interrupt for corrected errors, whatever threshold the guest has set. Those
 * themselves are not: userspace, which would have to count them, has them recorded only.
 */
static int set_no_action(struct vcpu *vcpu, unsigned int index, const struct kvm_x86_mce *mce)
{
	struct vcpu_mce *state = &vcpu->arch.mce;

	record(&state->banks[index], mce);
	if (mce_has_cmci(vcpu) && (state->ctl2[index] & MCI_CTL2_CMCI_EN) && vcpu->irq.lapic)
		lapic_local(vcpu->irq.lapic, APIC_LVTCMCI);
	return 0;
}

int mce_set(struct vcpu *vcpu, const struct kvm_x86_mce *mce)
{
	struct mce_bank *bank;
	unsigned int index;

	if (mce->bank >= nr_banks(vcpu) || !(mce->status & MCI_STATUS_VAL))
		return -EINVAL;
	index = array_index_nospec(mce->bank, CORBEL_MCE_BANKS);
	bank = &vcpu->arch.mce.banks[index];
	if (mce->status & MCI_STATUS_UC)
		return no_action_required(mce) ? set_no_action(vcpu, index, mce) :
						 set_uncorrected(vcpu, bank, mce);
	if ((bank->status & MCI_STATUS_VAL) && (bank->status & MCI_STATUS_UC))
		bank->status |= MCI_STATUS_OVER;
	else
		record(bank, mce);
	return 0;
}

int mce_may(struct vcpu *vcpu, u32 msr, bool host)
{
	if (msr == MSR_IA32_MCG_CTL)
		return host || (vcpu->arch.mce.cap & MCG_CTL_P) ? 0 : -EINVAL;
	return msr < MSR_IA32_MCx_CTL(nr_banks(vcpu)) ? 0 : -ENOENT;
}

static bool bank_value_valid(struct vcpu *vcpu, u32 msr, u64 val, bool host)
{
	switch ((msr - MSR_IA32_MC0_CTL) % 4) {
	case 0:
		/* All or nothing; old guests leave one bit clear to work around errata. */
		return !val || (val | BIT_ULL(10) | 1) == ~0ull;
	case 1:
		return host || !val || (vcpu->arch.hwcr & HWCR_STATUS_WRITES);
	}
	return true;
}

int mce_check(struct vcpu *vcpu, u32 msr, u64 val, bool host)
{
	if (msr == MSR_IA32_MCG_CTL)
		return !val || ((vcpu->arch.mce.cap & MCG_CTL_P) && val == ~0ull) ? 0 : -EINVAL;
	return bank_value_valid(vcpu, msr, val, host) ? 0 : -EINVAL;
}

int mce_ctl2_may(struct vcpu *vcpu, u32 msr, bool host)
{
	if (msr >= MSR_IA32_MCx_CTL2(nr_banks(vcpu)))
		return -ENOENT;
	return host || mce_has_cmci(vcpu) ? 0 : -EINVAL;
}

int mce_ctl2_check(struct vcpu *vcpu, u32 msr, u64 val, bool host)
{
	u64 valid = mce_has_cmci(vcpu) ? MCI_CTL2_CMCI_EN | MCI_CTL2_CMCI_THRESHOLD_MASK : 0;

	return val & ~valid ? -EINVAL : 0;
}
