// SPDX-License-Identifier: GPL-2.0-only
/*
 * Load and unload: pick the backend, switch virtualization on on every CPU and keep it right
 * across CPU hotplug, suspend, reboot and kexec; register the device node.
 */
#include <linux/cpu.h>
#include <linux/cpuhotplug.h>
#include <linux/miscdevice.h>
#include <linux/module.h>
#include <linux/reboot.h>
#include <asm/reboot.h>
#include "api/api.h"
#include "backend.h"
#include "compat.h"
#include "cpu/cpu.h"
#include "iommu/ir.h"
#include "main.h"
#include "mem/mem.h"
#include "mmu/mmu.h"
#include "stats.h"
#include "vm.h"

static bool alias_kvm;
module_param(alias_kvm, bool, 0444);
MODULE_PARM_DESC(alias_kvm,
		 "Also register /dev/kvm, for clients that know no other name (default: no)");

struct backend_ops backend __ro_after_init;
struct backend_caps caps __ro_after_init;
#define BACKEND_DEFINE(op)	DEFINE_STATIC_CALL_NULL(backend_##op, *backend.op);
BACKEND_HOT(BACKEND_DEFINE)
DEFINE_PER_CPU(bool, virt_on);

static bool rebooting;

static struct miscdevice corbel_dev = {
	.minor = MISC_DYNAMIC_MINOR,
	.name = "corbel",
	.fops = &sys_fops,
	.mode = 0660,
};

static struct miscdevice kvm_dev = {
	.minor = KVM_MINOR,
	.name = "kvm",
	.fops = &sys_fops,
	.mode = 0660,
};

static int cpu_on(unsigned int cpu)
{
	unsigned long flags;
	int ret;

	local_irq_save(flags);
	ret = rebooting || this_cpu_read(virt_on) ? 0 : backend.cpu_on();
	if (!ret && !rebooting)
		this_cpu_write(virt_on, true);
	local_irq_restore(flags);
	if (ret)
		pr_err("cannot switch %s on on CPU %u (%d)\n", caps.name, cpu, ret);
	return COMPAT_CPUHP_MAY_FAIL ? ret : 0;
}

static int cpu_off(unsigned int cpu)
{
	unsigned long flags;

	local_irq_save(flags);
	if (this_cpu_read(virt_on)) {
		this_cpu_write(virt_on, false);
		ir_cpu_off();
		backend.cpu_off();
	}
	local_irq_restore(flags);
	return 0;
}

static void cpu_on_ipi(void *failed)
{
	cpu_on(smp_processor_id());
	if (!this_cpu_read(virt_on))
		atomic_inc(failed);
}

static void cpu_off_ipi(void *unused)
{
	cpu_off(smp_processor_id());
}

/* The other CPUs went through hotplug. */
static int virt_suspend(COMPAT_SYSCORE_ARGS)
{
	cpu_module_suspend();
	cpu_off(smp_processor_id());
	return 0;
}

static void virt_resume(COMPAT_SYSCORE_ARGS)
{
	cpu_on(smp_processor_id());
	cpu_module_resume();
}

COMPAT_SYSCORE(virt_syscore, virt_suspend, virt_resume);

/*
 * INIT is blocked while VMX is on, and a kexec'd kernel expects none: vCPUs that still run fail to
 * enter.
 */
static int virt_reboot(struct notifier_block *nb, unsigned long action, void *unused)
{
	rebooting = true;
	on_each_cpu(cpu_off_ipi, NULL, 1);
	return NOTIFY_OK;
}

static struct notifier_block virt_reboot_notifier = {
	.notifier_call = virt_reboot,
};

/* By maker, so that the refusal names what this CPU could have. */
static const struct backend_ops *pick_backend(void)
{
	switch (boot_cpu_data.x86_vendor) {
	case X86_VENDOR_AMD:
	case X86_VENDOR_HYGON:
		return &svm_backend;
	default:
		return &vmx_backend;
	}
}

static void backend_choose(const struct backend_ops *chosen)
{
	backend = *chosen;
#define BACKEND_UPDATE(op)	static_call_update(backend_##op, backend.op);
	BACKEND_HOT(BACKEND_UPDATE)
}

/*
 * The hotplug state is KVM's own: that it is taken is the honest sign of a loaded KVM, whose use
 * of VMX may not show in CR4 before its first VM. So it comes before everything else that only one
 * can have.
 */
static int virt_claim(void)
{
	int ret = cpuhp_setup_state_nocalls_cpuslocked(COMPAT_CPUHP_STATE, "virt/corbel:online", cpu_on,
						       cpu_off);

	if (ret == -EBUSY)
		pr_err("KVM is loaded and holds the CPU's virtualization: unload it with 'modprobe -r %s' and load corbel again\n",
		       pick_backend() == &vmx_backend ? "kvm_intel" : "kvm_amd");
	return ret;
}

static void virt_off(void)
{
	on_each_cpu(cpu_off_ipi, NULL, 1);
	cpu_emergency_unregister_virt_callback(backend.emergency);
	cpuhp_remove_state_nocalls_cpuslocked(COMPAT_CPUHP_STATE);
}

static int virt_on_all(void)
{
	atomic_t failed = ATOMIC_INIT(0);
	int ret = virt_claim();

	if (ret)
		return ret;
	cpu_emergency_register_virt_callback(backend.emergency);
	on_each_cpu(cpu_on_ipi, &failed, 1);
	if (!atomic_read(&failed))
		return 0;
	virt_off();
	return -EIO;
}

static int virt_start(void)
{
	int ret;

	cpus_read_lock();
	ret = virt_on_all();
	cpus_read_unlock();
	if (ret)
		return ret;
	compat_syscore_register(&virt_syscore);
	register_reboot_notifier(&virt_reboot_notifier);
	return 0;
}

static void virt_stop(void)
{
	unregister_reboot_notifier(&virt_reboot_notifier);
	compat_syscore_unregister(&virt_syscore);
	cpus_read_lock();
	virt_off();
	cpus_read_unlock();
}

static int __init nodes_register(void)
{
	int ret = misc_register(&corbel_dev);

	if (ret)
		return ret;
	if (!alias_kvm)
		return 0;
	ret = misc_register(&kvm_dev);
	if (ret) {
		pr_err("alias_kvm=1: /dev/kvm exists already; unload kvm first (%d)\n", ret);
		misc_deregister(&corbel_dev);
	}
	return ret;
}

static void nodes_deregister(void)
{
	if (alias_kvm)
		misc_deregister(&kvm_dev);
	misc_deregister(&corbel_dev);
}

/* The rooms have given back what they held by now. */
static void stats_finish(void)
{
	stats_assert_idle();
	stats_module_exit();
}

/* What follows in order; a failure undoes what came before it, backwards. */
static const struct {
	int (*init)(void);
	void (*exit)(void);
} steps[] = {
	{ stats_module_init, stats_finish },
	{ vm_module_init, vm_module_exit },
	{ mmu_module_init, mmu_module_exit },
	{ mem_module_init, mem_module_exit },
	{ cpu_module_init, cpu_module_exit },
	{ virt_start, virt_stop },
	{ ir_module_init, ir_module_exit },
	{ nodes_register, nodes_deregister },
};

static void steps_undo(int done)
{
	while (done--)
		steps[done].exit();
}

static int __init corbel_init(void)
{
	int i, ret;

	backend_choose(pick_backend());
	ret = backend.probe();
	if (ret)
		return ret;
	ret = backend.setup(&caps);
	if (ret)
		return ret;
	for (i = 0; i < ARRAY_SIZE(steps); i++) {
		ret = steps[i].init();
		if (ret) {
			steps_undo(i);
			backend.teardown();
			return ret;
		}
	}
	pr_info("%s ready:%s%s%s%s%s\n", caps.name, caps.tdp ? " nested paging" : "",
		caps.any_mode ? ", all guest modes" : "", caps.apicv ? ", APICv" : "",
		caps.posted ? ", posted interrupts" : "", caps.pml ? ", page-modification log" : "");
	return 0;
}

static void __exit corbel_exit(void)
{
	steps_undo(ARRAY_SIZE(steps));
	backend.teardown();
}

module_init(corbel_init);
module_exit(corbel_exit);
MODULE_DESCRIPTION("Corbel: a small hypervisor with KVM's interface, for VT-x and AMD SVM");
MODULE_AUTHOR("The Corbel authors");
MODULE_LICENSE("GPL v2");
MODULE_VERSION(CORBEL_VERSION);
