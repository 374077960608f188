// SPDX-License-Identifier: GPL-2.0-only
/* The SVM backend: CPUs on and off, vCPUs made and loaded, and the operations table. */
#include <linux/percpu.h>
#include <linux/slab.h>
#include <asm/debugreg.h>
#include <asm/nospec-branch.h>
#include <asm/perf_event.h>
#include "cpu/regs.h"
#include "cpu/user_msr.h"
#include "svm/svm.h"

DEFINE_PER_CPU(struct svm_cpu, svm_cpus);

/* APM volume 2, "Enabling SVM" */
static int svm_cpu_on(void)
{
	struct svm_cpu *cpu = this_cpu_ptr(&svm_cpus);
	u64 efer;

	rdmsrl(MSR_EFER, efer);
	if (efer & EFER_SVME)
		return -EBUSY;
	user_msr_cpu_on();
	wrmsrl(MSR_EFER, efer | EFER_SVME);
	wrmsrl(MSR_VM_HSAVE_PA, __sme_pa(cpu->save));
	cpu->current_vmcb = NULL;
	svm_tlb_flush_cpu();
	amd_pmu_enable_virt();	/* the host's counters stop in guests */
	return 0;
}

/* With GIF clear, as in the middle of a stay, INIT would stay pending for ever. */
static void svme_clear(void)
{
	u64 efer;

	rdmsrl(MSR_EFER, efer);
	if (!(efer & EFER_SVME))
		return;
	wrmsrl(MSR_VM_HSAVE_PA, 0);
	asm volatile("1: stgi\n2:\n" _ASM_EXTABLE(1b, 2b) : : : "memory");
	wrmsrl(MSR_EFER, efer & ~EFER_SVME);
}

static void svm_cpu_off(void)
{
	svme_clear();
	amd_pmu_disable_virt();
	user_msr_cpu_off();
}

static void free_cpus(void)
{
	int i;

	for_each_possible_cpu(i) {
		struct svm_cpu *cpu = &per_cpu(svm_cpus, i);

		free_page((unsigned long)cpu->save);
		free_page((unsigned long)cpu->host);
		cpu->save = NULL;
		cpu->host = NULL;
	}
}

static int alloc_cpus(void)
{
	int i;

	for_each_possible_cpu(i) {
		struct svm_cpu *cpu = &per_cpu(svm_cpus, i);

		cpu->save = (void *)get_zeroed_page(GFP_KERNEL);
		cpu->host = (void *)get_zeroed_page(GFP_KERNEL);
		if (!cpu->save || !cpu->host) {
			free_cpus();
			return -ENOMEM;
		}
	}
	return 0;
}

static int svm_setup(struct backend_caps *out)
{
	int ret = svm_caps_setup(out);

	if (ret)
		return ret;
	svm_user_msrs_setup();
	ret = alloc_cpus();
	if (ret)
		return ret;
	ret = vmcb_module_setup();
	if (!ret)
		return 0;
	free_cpus();
	return ret;
}

static void svm_teardown(void)
{
	vmcb_module_teardown();
	free_cpus();
}

static void svm_vcpu_destroy(struct vcpu *vcpu)
{
	struct svm_vcpu *svm = svm_of(vcpu);

	if (!svm)
		return;
	vmcb_free(svm);
	kfree(svm);
	vcpu->hw = NULL;
}

static int svm_vcpu_create(struct vcpu *vcpu)
{
	struct svm_vcpu *svm = kzalloc(sizeof(*svm), GFP_KERNEL_ACCOUNT);

	if (!svm)
		return -ENOMEM;
	vcpu->hw = svm;
	svm->vcpu = vcpu;
	svm->asid_cpu = -1;
	svm->root = INVALID_HPA;
	if (vmcb_alloc(svm)) {
		svm_vcpu_destroy(vcpu);
		return -ENOMEM;
	}
	return 0;
}

/* Going to another CPU takes a new ASID: nothing to flush. */
static void svm_vcpu_load(struct vcpu *vcpu, int cpu)
{
	struct svm_cpu *here = &per_cpu(svm_cpus, cpu);
	struct svm_vcpu *svm = svm_of(vcpu);

	svm->ctx.host = __sme_pa(here->host);
	svm->host_saved = false;
	if (here->current_vmcb != svm->vmcb) {
		here->current_vmcb = svm->vmcb;
		indirect_branch_prediction_barrier();	/* another vCPU ran here */
	}
}

/* Every exit has brought the host's state back. */
static void svm_vcpu_put(struct vcpu *vcpu)
{
}

/* Context: vCPU loaded for the first time, or RESET. */
static void svm_vcpu_reset(struct vcpu *vcpu)
{
	struct svm_vcpu *svm = svm_of(vcpu);
	struct vmcb_save_area *save = &svm->vmcb->save;

	vmcb_setup(svm);
	vmcb_controls(vcpu);
	save->dr6 = DR6_RESERVED;
	save->sysenter_cs = 0;
	save->sysenter_esp = 0;
	save->sysenter_eip = 0;
	svm_msr_set(vcpu, MSR_IA32_DEBUGCTLMSR, 0);
	svm->virt_spec_ctrl = 0;
}

/* No apicv_*: AVIC is not used, and caps.apicv is false. */
const struct backend_ops svm_backend = {
	.probe = svm_probe,
	.setup = svm_setup,
	.teardown = svm_teardown,
	.cpu_on = svm_cpu_on,
	.cpu_off = svm_cpu_off,
	.emergency = svme_clear,
	.vcpu_create = svm_vcpu_create,
	.vcpu_destroy = svm_vcpu_destroy,
	.vcpu_reset = svm_vcpu_reset,
	.vcpu_load = svm_vcpu_load,
	.vcpu_put = svm_vcpu_put,
	.enter = svm_run_enter,
	.host_events = svm_run_host_events,
	.reg_fetch = svm_reg_fetch,
	.msr_get = svm_msr_get,
	.msr_set = svm_msr_set,
	.msr_intercept = svm_msr_intercept,
	.controls_changed = vmcb_controls,
	.tlb_flush = svm_tlb_flush,
	.timer_set = svm_run_timer_set,
	.dump = svm_dump,
};
