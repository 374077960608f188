// SPDX-License-Identifier: GPL-2.0-only
/* The exit table, nothing else: each handler lives in the file that owns its noun. */
#include <linux/nospec.h>
#include "backend.h"
#include "cpu/cpuid.h"
#include "cpu/cr.h"
#include "cpu/debug.h"
#include "cpu/dr.h"
#include "cpu/hypercall.h"
#include "cpu/insn.h"
#include "cpu/msr.h"
#include "exit.h"
#include "io/io.h"
#include "irq/halt.h"
#include "irq/irq.h"
#include "irq/lapic_timer.h"
#include "mmu/mmu.h"
#include "spin.h"
#include "vm.h"

static int none_exit(struct vcpu *vcpu, struct vcpu_exit *exit)
{
	return RESUME;
}

/* Never resumed: a guest that exits for a reason nobody expects would do so for ever. */
static int unknown_exit(struct vcpu *vcpu, struct vcpu_exit *exit)
{
	struct kvm_run *run = vcpu->run;

	pr_warn_ratelimited("vCPU %u: unexpected exit '%s', hardware reason 0x%x\n", vcpu->id,
			    exit_name(exit->kind), exit->hw_reason);
	run->exit_reason = KVM_EXIT_INTERNAL_ERROR;
	run->internal.suberror = KVM_INTERNAL_ERROR_UNEXPECTED_EXIT_REASON;
	run->internal.ndata = 2;
	run->internal.data[0] = exit->hw_reason;
	run->internal.data[1] = vcpu->last_cpu;
	return TO_USER;
}

static int entry_failure_exit(struct vcpu *vcpu, struct vcpu_exit *exit)
{
	struct kvm_run *run = vcpu->run;

	backend.dump(vcpu);
	run->exit_reason = KVM_EXIT_FAIL_ENTRY;
	run->fail_entry.hardware_entry_failure_reason = exit->entry.reason;
	run->fail_entry.cpu = vcpu->last_cpu;
	return TO_USER;
}

#define ROW(kind, handler)	[EXIT_##kind] = { #kind, handler }

static const struct {
	const char *name;
	int (*handle)(struct vcpu *vcpu, struct vcpu_exit *exit);
} exits[NR_EXIT_KINDS] = {
	ROW(NONE, none_exit),
	ROW(EXCEPTION, exception_exit),
	ROW(TRIPLE_FAULT, triple_fault_exit),
	ROW(INIT_SIGNAL, unknown_exit),
	ROW(IRQ_WINDOW, inject_window_exit),
	ROW(NMI_WINDOW, inject_window_exit),
	ROW(TASK_SWITCH, task_switch_exit),
	ROW(CPUID, cpuid_exit),
	ROW(HLT, hlt_exit),
	ROW(INVD, invd_exit),
	ROW(INVLPG, invlpg_exit),
	ROW(INVPCID, invpcid_exit),
	ROW(RDPMC, rdpmc_exit),
	ROW(RDTSC, rdtsc_exit),
	ROW(HYPERCALL, hypercall_exit),
	ROW(VIRT_INSN, ud_exit),
	ROW(CR, cr_exit),
	ROW(DR, dr_exit),
	ROW(IO, pio_exit),
	ROW(MSR_READ, rdmsr_exit),
	ROW(MSR_WRITE, wrmsr_exit),
	ROW(MWAIT, mwait_exit),
	ROW(MONITOR, mwait_exit),
	ROW(PAUSE, pause_exit),
	ROW(TPR_BELOW, inject_window_exit),
	ROW(APIC_ACCESS, apic_access_exit),
	ROW(APIC_WRITE, apic_write_exit),
	ROW(EOI, apic_eoi_exit),
	ROW(INSN, insn_exit),
	ROW(PAGE_FAULT, fault_exit),
	ROW(MISCONFIG, fault_exit),
	ROW(TIMER, lapic_timer_exit),
	ROW(XSETBV, xsetbv_exit),
	ROW(RNG, ud_exit),
	ROW(PML_FULL, pml_full_exit),
	ROW(ENTRY_FAILURE, entry_failure_exit),
	ROW(UNKNOWN, unknown_exit),
};

const char *exit_name(enum exit_kind kind)
{
	return exits[kind].name;
}

int exit_handle(struct vcpu *vcpu, struct vcpu_exit *exit)
{
	return exits[array_index_nospec(exit->kind, NR_EXIT_KINDS)].handle(vcpu, exit);
}
