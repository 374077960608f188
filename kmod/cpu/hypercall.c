// SPDX-License-Identifier: GPL-2.0-only
/* KVM's hypercalls: number in RAX, arguments in RBX, RCX, RDX, RSI, result in RAX. */
#include <linux/nospec.h>
#include <linux/sched.h>
#include <asm/apicdef.h>
#include <linux/corbel.h>
#include <linux/kvm_para.h>
#include "spin.h"
#include "vm.h"
#include "cpu/clock.h"
#include "cpu/cpuid.h"
#include "cpu/hypercall.h"
#include "cpu/pv.h"
#include "cpu/regs.h"
#include "irq/lapic.h"
#include "mem/mem.h"
#include "mmu/mmu.h"
#include "mmu/pvmmu.h"

struct hypercall {
	unsigned long arg[4];
	bool wide;		/* 64-bit mode */
};

static void yield_to_vcpu(struct vcpu *self, struct vcpu *target)
{
	if (target && target != self && READ_ONCE(target->in_run))
		spin_yield_to(target);
}

/* Of a time before PV EOI: injection looks at the TPR by itself. */
static long vapic_poll_irq(struct vcpu *vcpu, const struct hypercall *call)
{
	return 0;
}

static long kick_cpu(struct vcpu *vcpu, const struct hypercall *call)
{
	struct vcpu *target = vm_vcpu_by_id(vcpu->vm, call->arg[1]);

	if (target) {
		pv_kick_vcpu(target);
		yield_to_vcpu(vcpu, target);
	}
	return 0;
}

static long sched_yield_to(struct vcpu *vcpu, const struct hypercall *call)
{
	yield_to_vcpu(vcpu, vm_vcpu_by_id(vcpu->vm, call->arg[0]));
	return 0;
}

/* Two bitmap words of vCPU ids, counted from arg[2]. Return: destinations reached */
static long send_ipi(struct vcpu *vcpu, const struct hypercall *call)
{
	unsigned int bits = call->wide ? 64 : 32, word, bit;
	u32 icr = call->arg[3], min = call->arg[2];
	struct lapic_irq irq = {
		.vector = icr & APIC_VECTOR_MASK,
		.delivery_mode = (icr & APIC_MODE_MASK) >> 8,
		.level = !!(icr & APIC_INT_ASSERT),
		.trig_mode = !!(icr & APIC_INT_LEVELTRIG),
	};
	long count = 0;
	int sent;

	if (!vcpu->irq.lapic)
		return -KVM_ENOSYS;
	if (icr & (APIC_DEST_LOGICAL | APIC_DEST_ALLBUT))
		return -KVM_EINVAL;
	for (word = 0; word < 2; word++)
		for (bit = 0; bit < bits; bit++) {
			if (!(call->arg[word] & BIT_ULL(bit)))
				continue;
			irq.dest_id = min + word * bits + bit;
			sent = lapic_deliver(vcpu->vm, &irq);
			count += max(sent, 0);
		}
	return count;
}

static long pair_clocks(struct vcpu *vcpu, const struct hypercall *call)
{
	struct kvm_clock_pairing pair;

	if (call->arg[1] != KVM_CLOCK_PAIRING_WALLCLOCK || clock_pairing(vcpu, &pair))
		return -KVM_EOPNOTSUPP;
	return guest_write(vcpu, call->arg[0], &pair, sizeof(pair)) ? -KVM_EFAULT : 0;
}

#define NO_FEATURE	0xff

static const struct {
	long (*handler)(struct vcpu *vcpu, const struct hypercall *call);
	u8 feature;		/* KVM_FEATURE_* that offers it */
} hypercalls[] = {
	[KVM_HC_VAPIC_POLL_IRQ] = { vapic_poll_irq, NO_FEATURE },
	[KVM_HC_KICK_CPU] = { kick_cpu, KVM_FEATURE_PV_UNHALT },
	[KVM_HC_CLOCK_PAIRING] = { pair_clocks, NO_FEATURE },
	[KVM_HC_SEND_IPI] = { send_ipi, KVM_FEATURE_PV_SEND_IPI },
	[KVM_HC_SCHED_YIELD] = { sched_yield_to, KVM_FEATURE_PV_SCHED_YIELD },
};

/* Corbel's own */
static long corbel_call(struct vcpu *vcpu, unsigned long nr, const struct hypercall *call)
{
	if (nr != CORBEL_HC_MMU_UPDATE || !(vcpu->arch.corbel_features & CORBEL_CPUID_PV_MMU))
		return -KVM_ENOSYS;
	return pvmmu_update(vcpu, call->arg[0], call->arg[1], call->arg[2], call->arg[3]);
}

/* The table row of a call that this guest may make; -1: unknown, or not offered. */
static int find(struct vcpu *vcpu, unsigned long nr)
{
	if (nr >= ARRAY_SIZE(hypercalls))
		return -1;
	nr = array_index_nospec(nr, ARRAY_SIZE(hypercalls));
	if (!hypercalls[nr].handler)
		return -1;
	if (hypercalls[nr].feature != NO_FEATURE && !guest_has_pv(vcpu, hypercalls[nr].feature))
		return -1;
	return nr;
}

int hypercall_exit(struct vcpu *vcpu, struct vcpu_exit *exit)
{
	static const u8 args[4] = { GPR_RBX, GPR_RCX, GPR_RDX, GPR_RSI };
	struct hypercall call = { .wide = regs_64bit(vcpu) };
	unsigned long mask = call.wide ? ~0ul : U32_MAX, nr = gpr_get(vcpu, GPR_RAX) & mask;
	int row = find(vcpu, nr), i;
	long ret;

	for (i = 0; i < 4; i++)
		call.arg[i] = gpr_get(vcpu, args[i]) & mask;
	if (regs_cpl(vcpu))
		ret = -KVM_EPERM;
	else if (row >= 0)
		ret = hypercalls[row].handler(vcpu, &call);
	else
		ret = corbel_call(vcpu, nr, &call);
	gpr_set(vcpu, GPR_RAX, ret & mask);
	return vcpu_skip_insn(vcpu);
}

static bool update_fast(struct vcpu *vcpu)
{
	unsigned long *gpr = vcpu->regs.gpr;

	if (!(vcpu->arch.corbel_features & CORBEL_CPUID_PV_MMU) || !regs_64bit(vcpu) ||
	    regs_cpl(vcpu) ||
	    !pvmmu_update_fast(vcpu, gpr[GPR_RBX], gpr[GPR_RCX], gpr[GPR_RDX], gpr[GPR_RSI]))
		return false;
	gpr[GPR_RAX] = 1;
	return skip_fast(vcpu);
}

bool hypercall_fast(struct vcpu *vcpu, struct vcpu_exit *exit)
{
	unsigned long nr = vcpu->regs.gpr[GPR_RAX];

	if (unlikely(!exit->insn_len))
		return false;
	if (nr == CORBEL_HC_MMU_UPDATE)
		return update_fast(vcpu);
	if (nr < ARRAY_SIZE(hypercalls) || nr >> 32)
		return false;
	vcpu->regs.gpr[GPR_RAX] = regs_cpl(vcpu) ? -KVM_EPERM : -KVM_ENOSYS;
	if (!regs_64bit(vcpu))
		vcpu->regs.gpr[GPR_RAX] &= U32_MAX;
	return skip_fast(vcpu);
}

/* Whichever of the two raised #UD, the other one is this CPU's. */
bool hypercall_fix(struct vcpu *vcpu)
{
	static const u8 vmcall[] = { 0x0f, 0x01, 0xc1 }, vmmcall[] = { 0x0f, 0x01, 0xd9 };
	gva_t rip = regs_linear_rip(vcpu);
	struct guest_fault fault;
	const u8 *native;
	u8 insn[3];

	if (!cpu_quirk(&vcpu->vm->arch, KVM_X86_QUIRK_FIX_HYPERCALL_INSN))
		return false;
	if (gva_read(vcpu, rip, insn, sizeof(insn), FAULT_FETCH, &fault))
		return false;
	if (!memcmp(insn, vmcall, sizeof(insn)))
		native = vmmcall;
	else if (!memcmp(insn, vmmcall, sizeof(insn)))
		native = vmcall;
	else
		return false;
	return !gva_write(vcpu, rip, native, sizeof(insn), FAULT_WRITE, &fault);
}
