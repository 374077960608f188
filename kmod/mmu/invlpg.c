// SPDX-License-Identifier: GPL-2.0-only
/*
 * INVLPG and INVPCID, where they are intercepted. With EPT and NPT the hardware usually does them
 * itself.
 */
#include <asm/page.h>
#include <asm/processor-flags.h>
#include "vm.h"
#include "backend.h"
#include "cpu/cpuid.h"
#include "cpu/regs.h"
#include "irq/inject.h"
#include "mmu/shadow.h"

enum invpcid_type { INVPCID_ADDR, INVPCID_PCID, INVPCID_ALL, INVPCID_ALL_BUT_GLOBAL };

int invlpg_exit(struct vcpu *vcpu, struct vcpu_exit *exit)
{
	mmu_flush_addr(vcpu, exit->invlpg.gva);
	return vcpu_skip_insn(vcpu);
}

bool invlpg_fast(struct vcpu *vcpu, struct vcpu_exit *exit)
{
	bool all;

	if (!vcpu->vm->mmu.shadow || !exit->insn_len || !shadow_try_sync_addr(vcpu, exit->invlpg.gva, &all))
		return false;
	backend_call(tlb_flush)(vcpu, all ? TLB_GUEST : TLB_GUEST_ADDR, exit->invlpg.gva);
	return vcpu_skip_insn(vcpu) == RESUME;
}

static bool desc_valid(struct vcpu *vcpu, unsigned long type, u64 pcid, u64 gva)
{
	u64 cr4 = cr4_get(vcpu);

	if (pcid >> 12 || type > INVPCID_ALL_BUT_GLOBAL)
		return false;
	if (type == INVPCID_ADDR && !__is_canonical_address(gva, cr4 & X86_CR4_LA57 ? 57 : 48))
		return false;
	return type >= INVPCID_ALL || !pcid || cr4 & X86_CR4_PCIDE;
}

int invpcid_exit(struct vcpu *vcpu, struct vcpu_exit *exit)
{
	struct guest_fault fault;
	u64 desc[2];
	int ret;

	if (!guest_has(vcpu, GUEST_INVPCID))
		return inject_ud(vcpu);
	if (regs_cpl(vcpu))
		return inject_gp(vcpu);
	ret = gva_read(vcpu, exit->invpcid.desc, desc, sizeof(desc), FAULT_READ, &fault);
	if (ret > 0)
		return inject_page_fault(vcpu, fault.addr, fault.error);
	if (ret)
		return ret == -EAGAIN ? RESUME : ret;
	if (!desc_valid(vcpu, gpr_get(vcpu, exit->invpcid.gpr), desc[0], desc[1]))
		return inject_gp(vcpu);
	mmu_flush_guest(vcpu);
	return vcpu_skip_insn(vcpu);
}
