// SPDX-License-Identifier: GPL-2.0-only
/* The room's lifetime: what happens at load, with a VM, with a vCPU. */
#include "vm.h"
#include "cpu/clock.h"
#include "cpu/cpu.h"
#include "cpu/cpuid.h"
#include "cpu/msr.h"
#include "cpu/pv.h"
#include "cpu/regs.h"
#include "cpu/tsc.h"
#include "cpu/xstate.h"

int cpu_module_init(void)
{
	xstate_module_init();
	cpuid_host_init();
	msr_module_init();
	return clock_module_init();
}

void cpu_module_exit(void)
{
	clock_module_exit();
}

void cpu_module_suspend(void)
{
	tsc_suspend();
}

void cpu_module_resume(void)
{
	clock_resume();
}

int cpu_vm_init(struct vm *vm)
{
	tsc_vm_init(vm);
	clock_vm_init(vm);
	return 0;
}

void cpu_vm_destroy(struct vm *vm)
{
	clock_vm_destroy(vm);
	msr_filter_destroy(vm);
}

int cpu_vcpu_init(struct vcpu *vcpu)
{
	cpuid_vcpu_init(vcpu);
	tsc_vcpu_init(vcpu);
	return xstate_vcpu_init(vcpu);
}

void cpu_vcpu_destroy(struct vcpu *vcpu)
{
	xstate_vcpu_destroy(vcpu);
	cpuid_vcpu_destroy(vcpu);
}

void cpu_vcpu_reset(struct vcpu *vcpu, bool init)
{
	regs_reset(vcpu, init);
	xstate_reset(vcpu, init);
	msr_reset(vcpu, init);
	if (!init)
		pv_reset(vcpu);
	cpuid_refresh(vcpu);
	msr_intercepts(vcpu);
	backend.controls_changed(vcpu);
}

void cpu_vcpu_load(struct vcpu *vcpu)
{
	if (vcpu->last_cpu != vcpu->cpu && !READ_ONCE(vcpu->vm->arch.clock_master))
		vcpu_request(vcpu, REQ_CLOCK);
	if (steal_time_due(vcpu))
		vcpu_request(vcpu, REQ_STEAL_TIME);
}

void cpu_vcpu_put(struct vcpu *vcpu, bool preempted)
{
	if (preempted)
		steal_time_preempted(vcpu);
}
