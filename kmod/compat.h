/* SPDX-License-Identifier: GPL-2.0-only */
/* Every difference between the kernels we build for (Debian's 6.1 and 6.12), and nothing else. */
#ifndef CORBEL_COMPAT_H
#define CORBEL_COMPAT_H

#include <linux/cpuhotplug.h>
#include <linux/mm.h>
#include <linux/eventfd.h>
#include <linux/kvm.h>
#include <linux/rcupdate.h>
#include <linux/shrinker.h>
#include <linux/syscore_ops.h>
#include <linux/version.h>
#include <asm/apic.h>
#include <asm/idtentry.h>
#include <asm/nospec-branch.h>
#include <asm/vmx.h>

#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 1, 0) || LINUX_VERSION_CODE >= KERNEL_VERSION(6, 13, 0)
#error "Corbel builds for Linux 6.1 to 6.12"
#endif

#define KERNEL_6_12	(LINUX_VERSION_CODE >= KERNEL_VERSION(6, 12, 0))

/* KVM's own CPU hotplug state; its being taken is how a loaded KVM is noticed. */
#if KERNEL_6_12
#define COMPAT_CPUHP_STATE	CPUHP_AP_KVM_ONLINE
#define COMPAT_CPUHP_MAY_FAIL	true
#else
#define COMPAT_CPUHP_STATE	CPUHP_AP_KVM_STARTING
#define COMPAT_CPUHP_MAY_FAIL	false	/* a CPU that stays off refuses vCPUs instead */
#endif

/* System-wide suspend and resume of the last CPU. */
#ifdef COMPAT_SYSCORE_DATA
#define COMPAT_SYSCORE_ARGS	void *data
#else
#define COMPAT_SYSCORE_ARGS	void
#endif

#ifdef COMPAT_SYSCORE_DATA
#define COMPAT_SYSCORE(name, suspend_fn, resume_fn)				\
static const struct syscore_ops name##_ops = { .suspend = suspend_fn, .resume = resume_fn };	\
static struct syscore name = { .ops = &name##_ops }
#define compat_syscore_register		register_syscore
#define compat_syscore_unregister	unregister_syscore
#else
#define COMPAT_SYSCORE(name, suspend_fn, resume_fn)				\
static struct syscore_ops name = { .suspend = suspend_fn, .resume = resume_fn }
#define compat_syscore_register		register_syscore_ops
#define compat_syscore_unregister	unregister_syscore_ops
#endif

/* The NMI handler that may be called on the current stack. */
#if KERNEL_6_12
#define compat_nmi_entry	asm_exc_nmi_kvm_vmx
#else
#define compat_nmi_entry	asm_exc_nmi_noist
#endif

/* Does the host take events by FRED instead of the IDT? */
static inline bool compat_fred(void)
{
#ifdef X86_FEATURE_FRED
	return cpu_feature_enabled(X86_FEATURE_FRED);
#else
	return false;
#endif
}

/* Is this a file of VFIO's? Device files have come to the groups. */
#if KERNEL_6_12
#define compat_vfio_file_is_valid	vfio_file_is_valid
#else
#define compat_vfio_file_is_valid	vfio_file_is_group
#endif

/* asm/vmx.h renamed it. */
#ifndef SECONDARY_EXEC_ENABLE_XSAVES
#define SECONDARY_EXEC_ENABLE_XSAVES	SECONDARY_EXEC_XSAVES
#endif

/*
 * A shrinker of @batch objects at a time. Its functions get shrinkers that they must not look into.
 * Return: NULL, no memory
 */
struct shrinker *compat_shrinker_register(unsigned long (*count)(struct shrinker *, struct shrink_control *),
					  unsigned long (*scan)(struct shrinker *, struct shrink_control *),
					  long batch, const char *name);
void compat_shrinker_unregister(struct shrinker *shrinker);

static __always_inline void compat_rcu_virt_note_context_switch(void)
{
#if KERNEL_6_12
	rcu_virt_note_context_switch();
#else
	rcu_virt_note_context_switch(smp_processor_id());
#endif
}

static inline void compat_kick_cpu(int cpu)
{
#if KERNEL_6_12
	(smp_ops.smp_send_reschedule)(cpu);	/* without the tracepoint, which is not exported */
#else
	smp_send_reschedule(cpu);
#endif
}

static inline void compat_send_ipi(int cpu, int vector)
{
#if KERNEL_6_12
	__apic_send_IPI_mask(cpumask_of(cpu), vector);
#else
	apic->send_IPI_mask(cpumask_of(cpu), vector);
#endif
}

/* Signals, not only deadly ones, end a wait in get_user_pages(). */
#if KERNEL_6_12
#define COMPAT_FOLL_INTERRUPTIBLE	FOLL_INTERRUPTIBLE
#else
#define COMPAT_FOLL_INTERRUPTIBLE	0
#endif

/* The frame that a VM_IO or VM_PFNMAP area maps at @hva. mmap_lock held for reading. */
static inline int compat_follow_pfnmap(struct vm_area_struct *vma, unsigned long hva,
				       unsigned long *pfn, bool *writable)
{
#if KERNEL_6_12
	struct follow_pfnmap_args args = { .vma = vma, .address = hva };
	int ret = follow_pfnmap_start(&args);

	if (ret)
		return ret;
	*pfn = args.pfn;
	*writable = args.writable;
	follow_pfnmap_end(&args);
#else
	spinlock_t *ptl;
	pte_t *pte;
	int ret = follow_pte(vma->vm_mm, hva, &pte, &ptl);

	if (ret)
		return ret;
	__acquire(ptl);		/* sparse: follow_pte() took it */
	*pfn = pte_pfn(*pte);
	*writable = pte_write(*pte);
	pte_unmap_unlock(pte, ptl);
#endif
	return 0;
}

static inline void compat_eventfd_signal(struct eventfd_ctx *ctx)
{
#if KERNEL_6_12
	eventfd_signal(ctx);
#else
	eventfd_signal(ctx, 1);
#endif
}

/* kvm_run.immediate_exit, which later headers give another name in the kernel. */
static inline bool compat_immediate_exit(const struct kvm_run *run)
{
#if KERNEL_6_12
	return READ_ONCE(run->immediate_exit__unsafe);
#else
	return READ_ONCE(run->immediate_exit);
#endif
}

/*
 * A guest ran on this CPU: what it taught the branch predictors must not steer the process that owns
 * it (VMSCAPE). The kernel puts a barrier before the next return to user mode.
 */
static inline void compat_guest_ran(void)
{
#ifdef X86_FEATURE_IBPB_EXIT_TO_USER
	if (cpu_feature_enabled(X86_FEATURE_IBPB_EXIT_TO_USER))
		this_cpu_write(x86_ibpb_exit_to_user, true);
#endif
}

/* compat.c: hand a machine check that ended the guest to the host. */
void compat_machine_check(void);

/* compat.c: signals, rescheduling and other work before the guest is entered. 0 or -EINTR. */
int compat_handle_guest_work(void);

#endif
