// SPDX-License-Identifier: GPL-2.0-only
#include <linux/smp.h>
#include <asm/processor-flags.h>
#include "vm.h"
#include "cpu/cpuid.h"
#include "cpu/insn.h"
#include "cpu/regs.h"
#include "cpu/tsc.h"

/*
 * INVD would throw away the host's dirty lines, WBINVD has nothing to do: guest memory is
 * coherent, but for a device that does not look into the caches.
 */
int invd_exit(struct vcpu *vcpu, struct vcpu_exit *exit)
{
	if (unlikely(vcpu->vm->mmu.noncoherent))
		wbinvd_on_all_cpus();
	return vcpu_skip_insn(vcpu);
}

/*
 * Without a vPMU every counter index is invalid. Index 0x8000_0000 and above are the fixed
 * counters and metrics, equally absent.
 */
int rdpmc_exit(struct vcpu *vcpu, struct vcpu_exit *exit)
{
	return inject_gp(vcpu);
}

int rdtsc_exit(struct vcpu *vcpu, struct vcpu_exit *exit)
{
	u64 tsc = tsc_guest_now(vcpu);

	if ((cr4_get(vcpu) & X86_CR4_TSD) && regs_cpl(vcpu))
		return inject_gp(vcpu);
	gpr_set(vcpu, GPR_RAX, (u32)tsc);
	gpr_set(vcpu, GPR_RDX, tsc >> 32);
	return vcpu_skip_insn(vcpu);
}

/* As KVM: executed as NOP, unless userspace wants the #UD that CPUID without MONITOR promises. */
int mwait_exit(struct vcpu *vcpu, struct vcpu_exit *exit)
{
	if (!cpu_quirk(&vcpu->vm->arch, KVM_X86_QUIRK_MWAIT_NEVER_UD_FAULTS) &&
	    !guest_has(vcpu, GUEST_MWAIT))
		return inject_ud(vcpu);
	return vcpu_skip_insn(vcpu);
}

int ud_exit(struct vcpu *vcpu, struct vcpu_exit *exit)
{
	return inject_ud(vcpu);
}
