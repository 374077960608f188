// SPDX-License-Identifier: GPL-2.0-only
/* The ioctls of a vCPU, and its shared pages. All of them wait until the vCPU has left KVM_RUN. */
#include <linux/anon_inodes.h>
#include <linux/compat.h>
#include <linux/file.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/signal.h>
#include <linux/slab.h>
#include <linux/uaccess.h>
#include "api.h"
#include "row.h"
#include "trace.h"
#include "vm.h"
#include "cpu/cap.h"
#include "cpu/clock.h"
#include "cpu/cpuid.h"
#include "cpu/debug.h"
#include "cpu/dr.h"
#include "cpu/msr.h"
#include "cpu/regs.h"
#include "cpu/tsc.h"
#include "cpu/xstate.h"
#include "irq/lapic.h"
#include "irq/mp_state.h"

/* KVM_RUN */

#define VCPU_SYNC_FIELDS	(KVM_SYNC_X86_REGS | KVM_SYNC_X86_SREGS | KVM_SYNC_X86_EVENTS)

/*
 * Userspace can write the shared page at any time, so each part is copied before it is looked
 * at.
 */
static int vcpu_sync_from_user(struct vcpu *vcpu, u64 fields)
{
	struct kvm_sync_regs *shared = &vcpu->run->s.regs;
	int err = 0;

	if (fields & KVM_SYNC_X86_REGS) {
		struct kvm_regs regs = shared->regs;

		regs_from_user(vcpu, &regs);
	}
	if (fields & KVM_SYNC_X86_SREGS) {
		struct kvm_sregs sregs = shared->sregs;

		err = sregs_from_user(vcpu, &sregs);
	}
	if (!err && fields & KVM_SYNC_X86_EVENTS) {
		struct kvm_vcpu_events events = shared->events;

		err = events_from_user(vcpu, &events);
	}
	return err;
}

static void vcpu_sync_to_user(struct vcpu *vcpu, u64 fields)
{
	struct kvm_sync_regs *shared = &vcpu->run->s.regs;

	if (fields & KVM_SYNC_X86_REGS)
		regs_to_user(vcpu, &shared->regs);
	if (fields & KVM_SYNC_X86_SREGS)
		sregs_to_user(vcpu, &shared->sregs);
	if (fields & KVM_SYNC_X86_EVENTS)
		events_to_user(vcpu, &shared->events);
}

static int vcpu_run_synced(struct vcpu *vcpu)
{
	u64 valid = READ_ONCE(vcpu->run->kvm_valid_regs);
	u64 dirty = READ_ONCE(vcpu->run->kvm_dirty_regs);
	int srcu, err = 0;

	if ((valid | dirty) & ~(u64)VCPU_SYNC_FIELDS)
		return -EINVAL;
	if (dirty) {
		srcu = srcu_read_lock(&vcpu->vm->srcu);
		err = vcpu_sync_from_user(vcpu, dirty);
		srcu_read_unlock(&vcpu->vm->srcu, srcu);
		vcpu->run->kvm_dirty_regs = 0;
	}
	if (!err)
		err = run_vcpu(vcpu);
	if (valid)
		vcpu_sync_to_user(vcpu, valid);
	return err;
}

static int vcpu_row_run(struct vcpu *vcpu, void *data, unsigned long arg)
{
	int err;

	if (arg)
		return -EINVAL;
	if (!vcpu->sigset_active)
		return vcpu_run_synced(vcpu);
	/* Outside this loop nobody sees real_blocked: it holds the mask to go back to, as in KVM. */
	sigprocmask(SIG_SETMASK, &vcpu->sigset, &current->real_blocked);
	err = vcpu_run_synced(vcpu);
	sigprocmask(SIG_SETMASK, &current->real_blocked, NULL);
	sigemptyset(&current->real_blocked);
	return err;
}

static int vcpu_row_set_signal_mask(struct vcpu *vcpu, void *data, unsigned long arg)
{
	struct kvm_signal_mask __user *user = (void __user *)arg;
	sigset_t sigset;
	u32 len;

	if (!arg) {
		vcpu->sigset_active = false;
		return 0;
	}
	if (get_user(len, &user->len))
		return -EFAULT;
	if (len != sizeof(sigset))
		return -EINVAL;
	if (copy_from_user(&sigset, user->sigset, sizeof(sigset)))
		return -EFAULT;
	sigdelsetmask(&sigset, sigmask(SIGKILL) | sigmask(SIGSTOP));
	vcpu->sigset = sigset;
	vcpu->sigset_active = true;
	return 0;
}

/* Registers */

ROW_VOID_FN(vcpu_row_get_regs, vcpu, regs_to_user)
ROW_VOID_FN(vcpu_row_set_regs, vcpu, regs_from_user)
ROW_VOID_FN(vcpu_row_get_sregs, vcpu, sregs_to_user)
ROW_FN(vcpu_row_set_sregs, vcpu, sregs_from_user)
ROW_VOID_FN(vcpu_row_get_sregs2, vcpu, sregs2_to_user)
ROW_FN(vcpu_row_set_sregs2, vcpu, sregs2_from_user)
ROW_VOID_FN(vcpu_row_get_fpu, vcpu, fpu_to_user)
ROW_VOID_FN(vcpu_row_set_fpu, vcpu, fpu_from_user)

static int vcpu_copy_xsave(struct vcpu *vcpu, unsigned long arg, u32 size)
{
	void *buf = kvzalloc(size, GFP_KERNEL_ACCOUNT);
	int err = 0;

	if (!buf)
		return -ENOMEM;
	xsave_to_user(vcpu, buf, size);
	if (copy_to_user((void __user *)arg, buf, size))
		err = -EFAULT;
	kvfree(buf);
	return err;
}

/* The old form has no way to say that it is too small. */
static int vcpu_row_get_xsave(struct vcpu *vcpu, void *data, unsigned long arg)
{
	if (xstate_size(vcpu) > sizeof(struct kvm_xsave))
		return -EINVAL;
	return vcpu_copy_xsave(vcpu, arg, sizeof(struct kvm_xsave));
}

static int vcpu_row_get_xsave2(struct vcpu *vcpu, void *data, unsigned long arg)
{
	return vcpu_copy_xsave(vcpu, arg, xstate_size(vcpu));
}

static int vcpu_row_set_xsave(struct vcpu *vcpu, void *data, unsigned long arg)
{
	void *buf = vmemdup_user((void __user *)arg, xstate_size(vcpu));
	int err;

	if (IS_ERR(buf))
		return PTR_ERR(buf);
	err = xsave_from_user(vcpu, buf);
	kvfree(buf);
	return err;
}

ROW_VOID_FN(vcpu_row_get_xcrs, vcpu, xcrs_to_user)
ROW_FN(vcpu_row_set_xcrs, vcpu, xcrs_from_user)
ROW_VOID_FN(vcpu_row_get_debugregs, vcpu, debugregs_to_user)
ROW_FN(vcpu_row_set_debugregs, vcpu, debugregs_from_user)
ROW_FN(vcpu_row_set_guest_debug, vcpu, debug_set)
ROW_VOID_FN(vcpu_row_translate, vcpu, translate_to_user)

/* MSRs and CPUID */

int msr_io(struct vcpu *vcpu, void __user *user, bool write_back,
	   int (*access)(struct vcpu *vcpu, struct kvm_msr_entry *entry))
{
	struct kvm_msrs __user *msrs = user;
	struct kvm_msr_entry *entries;
	u32 nr, done;

	if (get_user(nr, &msrs->nmsrs))
		return -EFAULT;
	if (nr >= MSR_IO_MAX)
		return -E2BIG;
	entries = memdup_user(msrs->entries, nr * sizeof(*entries));
	if (IS_ERR(entries))
		return PTR_ERR(entries);
	for (done = 0; done < nr; done++) {
		if (access(vcpu, &entries[done]))
			break;
	}
	if (write_back && copy_to_user(msrs->entries, entries, nr * sizeof(*entries)))
		done = -EFAULT;
	kfree(entries);
	return done;
}

static int vcpu_get_msr(struct vcpu *vcpu, struct kvm_msr_entry *entry)
{
	return msr_get(vcpu, entry->index, &entry->data, true);
}

static int vcpu_set_msr(struct vcpu *vcpu, struct kvm_msr_entry *entry)
{
	return msr_set(vcpu, entry->index, entry->data, true);
}

static int vcpu_row_get_msrs(struct vcpu *vcpu, void *data, unsigned long arg)
{
	return msr_io(vcpu, (void __user *)arg, true, vcpu_get_msr);
}

static int vcpu_row_set_msrs(struct vcpu *vcpu, void *data, unsigned long arg)
{
	return msr_io(vcpu, (void __user *)arg, false, vcpu_set_msr);
}

static int vcpu_row_set_cpuid(struct vcpu *vcpu, void *data, unsigned long arg)
{
	struct kvm_cpuid __user *user = (void __user *)arg;
	const struct kvm_cpuid *head = data;
	struct kvm_cpuid_entry *entries;
	int err;

	if (head->nent > CORBEL_NR_CPUID)
		return -E2BIG;
	entries = vmemdup_user(user->entries, head->nent * sizeof(*entries));
	if (IS_ERR(entries))
		return PTR_ERR(entries);
	err = cpuid_set_old(vcpu, entries, head->nent);
	kvfree(entries);
	return err;
}

static int vcpu_row_set_cpuid2(struct vcpu *vcpu, void *data, unsigned long arg)
{
	struct kvm_cpuid2 __user *user = (void __user *)arg;
	const struct kvm_cpuid2 *head = data;
	struct kvm_cpuid_entry2 *entries;
	int err;

	if (head->nent > CORBEL_NR_CPUID)
		return -E2BIG;
	entries = vmemdup_user(user->entries, head->nent * sizeof(*entries));
	if (IS_ERR(entries))
		return PTR_ERR(entries);
	err = cpuid_set(vcpu, entries, head->nent);
	kvfree(entries);
	return err;
}

static int vcpu_row_get_cpuid2(struct vcpu *vcpu, void *data, unsigned long arg)
{
	struct kvm_cpuid2 __user *user = (void __user *)arg;
	struct kvm_cpuid_entry2 *entries;
	u32 nent;
	int err;

	if (get_user(nent, &user->nent))
		return -EFAULT;
	nent = min_t(u32, nent, CORBEL_NR_CPUID);
	entries = kvcalloc(nent, sizeof(*entries), GFP_KERNEL_ACCOUNT);
	if (!entries)
		return -ENOMEM;
	err = cpuid_get(vcpu, entries, &nent);
	if (!err && copy_to_user(user->entries, entries, nent * sizeof(*entries)))
		err = -EFAULT;
	if (err != -EFAULT && put_user(nent, &user->nent))
		err = -EFAULT;
	kvfree(entries);
	return err;
}

static int vcpu_row_setup_mce(struct vcpu *vcpu, void *data, unsigned long arg)
{
	return mce_configure(vcpu, *(u64 *)data);
}

ROW_FN(vcpu_row_set_mce, vcpu, mce_set)

/* Interrupts and state */

static int vcpu_row_interrupt(struct vcpu *vcpu, void *data, unsigned long arg)
{
	return irq_user_interrupt(vcpu, ((struct kvm_interrupt *)data)->irq);
}

static int vcpu_row_nmi(struct vcpu *vcpu, void *data, unsigned long arg)
{
	inject_nmi(vcpu);
	return 0;
}

ROW_FN(vcpu_row_get_lapic, vcpu, lapic_to_user)
ROW_FN(vcpu_row_set_lapic, vcpu, lapic_from_user)

static int vcpu_row_set_vapic_addr(struct vcpu *vcpu, void *data, unsigned long arg)
{
	return lapic_vapic_set(vcpu, ((struct kvm_vapic_addr *)data)->vapic_addr);
}

static int vcpu_row_tpr_reporting(struct vcpu *vcpu, void *data, unsigned long arg)
{
	const struct kvm_tpr_access_ctl *ctl = data;

	return ctl->flags ? -EINVAL : lapic_tpr_report_set(vcpu, ctl->enabled);
}

ROW_VOID_FN(vcpu_row_get_events, vcpu, events_to_user)
ROW_FN(vcpu_row_set_events, vcpu, events_from_user)
ROW_FN(vcpu_row_get_mp_state, vcpu, mp_state_get)
ROW_FN(vcpu_row_set_mp_state, vcpu, mp_state_set)

/* Time */

static int vcpu_row_set_tsc_khz(struct vcpu *vcpu, void *data, unsigned long arg)
{
	return tsc_khz_set(vcpu, arg);
}

static int vcpu_row_get_tsc_khz(struct vcpu *vcpu, void *data, unsigned long arg)
{
	return vcpu->arch.tsc_khz;
}

static int vcpu_row_kvmclock_ctrl(struct vcpu *vcpu, void *data, unsigned long arg)
{
	return clock_guest_stopped(vcpu);
}

static int vcpu_row_has_attr(struct vcpu *vcpu, void *data, unsigned long arg)
{
	const struct kvm_device_attr *attr = data;

	return attr->group != KVM_VCPU_TSC_CTRL || attr->attr != KVM_VCPU_TSC_OFFSET ? -ENXIO : 0;
}

static int vcpu_row_get_attr(struct vcpu *vcpu, void *data, unsigned long arg)
{
	const struct kvm_device_attr *attr = data;

	return vcpu_row_has_attr(vcpu, data, arg) ?:
	       put_user(vcpu->arch.tsc_offset, (u64 __user *)attr->addr);
}

static int vcpu_row_set_attr(struct vcpu *vcpu, void *data, unsigned long arg)
{
	const struct kvm_device_attr *attr = data;
	u64 offset;

	if (vcpu_row_has_attr(vcpu, data, arg))
		return -ENXIO;
	if (get_user(offset, (u64 __user *)attr->addr))
		return -EFAULT;
	tsc_offset_set(vcpu, offset);
	return 0;
}

ROW_FN(vcpu_row_enable_cap, vcpu, cap_enable_vcpu)

static int vcpu_row_get_stats_fd(struct vcpu *vcpu, void *data, unsigned long arg)
{
	return stats_fd(vcpu->vm, vcpu);
}

#define STATE	(ROW_LOADED | ROW_SRCU)

static const struct api_row vcpu_rows[] = {
	ROW_ARG(KVM_RUN, ROW_LOADED, vcpu, vcpu_row_run),
	ROW_IN(KVM_INTERRUPT, struct kvm_interrupt, STATE, vcpu, vcpu_row_interrupt),
	ROW_OUT(KVM_GET_REGS, struct kvm_regs, STATE, vcpu, vcpu_row_get_regs),
	ROW_IN(KVM_SET_REGS, struct kvm_regs, STATE, vcpu, vcpu_row_set_regs),
	ROW_OUT(KVM_GET_SREGS, struct kvm_sregs, STATE, vcpu, vcpu_row_get_sregs),
	ROW_IN(KVM_SET_SREGS, struct kvm_sregs, STATE, vcpu, vcpu_row_set_sregs),
	ROW_OUT(KVM_GET_SREGS2, struct kvm_sregs2, STATE, vcpu, vcpu_row_get_sregs2),
	ROW_IN(KVM_SET_SREGS2, struct kvm_sregs2, STATE, vcpu, vcpu_row_set_sregs2),
	ROW_ARG(KVM_GET_MSRS, STATE, vcpu, vcpu_row_get_msrs),
	ROW_ARG(KVM_SET_MSRS, STATE, vcpu, vcpu_row_set_msrs),
	ROW_IN(KVM_SET_CPUID, struct kvm_cpuid, STATE, vcpu, vcpu_row_set_cpuid),
	ROW_IN(KVM_SET_CPUID2, struct kvm_cpuid2, STATE, vcpu, vcpu_row_set_cpuid2),
	ROW_ARG(KVM_GET_CPUID2, STATE, vcpu, vcpu_row_get_cpuid2),
	ROW_ARG(KVM_SET_SIGNAL_MASK, 0, vcpu, vcpu_row_set_signal_mask),
	ROW_OUT(KVM_GET_FPU, struct kvm_fpu, STATE, vcpu, vcpu_row_get_fpu),
	ROW_IN(KVM_SET_FPU, struct kvm_fpu, STATE, vcpu, vcpu_row_set_fpu),
	ROW_ARG(KVM_GET_XSAVE, STATE, vcpu, vcpu_row_get_xsave),
	ROW_ARG(KVM_GET_XSAVE2, STATE, vcpu, vcpu_row_get_xsave2),
	ROW_ARG(KVM_SET_XSAVE, STATE, vcpu, vcpu_row_set_xsave),
	ROW_OUT(KVM_GET_XCRS, struct kvm_xcrs, STATE, vcpu, vcpu_row_get_xcrs),
	ROW_IN(KVM_SET_XCRS, struct kvm_xcrs, STATE, vcpu, vcpu_row_set_xcrs),
	ROW_OUT(KVM_GET_DEBUGREGS, struct kvm_debugregs, STATE, vcpu, vcpu_row_get_debugregs),
	ROW_IN(KVM_SET_DEBUGREGS, struct kvm_debugregs, STATE, vcpu, vcpu_row_set_debugregs),
	ROW_IN(KVM_SET_GUEST_DEBUG, struct kvm_guest_debug, STATE, vcpu, vcpu_row_set_guest_debug),
	ROW_INOUT(KVM_TRANSLATE, struct kvm_translation, STATE, vcpu, vcpu_row_translate),
	ROW_IN(KVM_X86_SETUP_MCE, u64, STATE, vcpu, vcpu_row_setup_mce),
	ROW_IN(KVM_X86_SET_MCE, struct kvm_x86_mce, STATE, vcpu, vcpu_row_set_mce),
	ROW_ARG(KVM_NMI, STATE, vcpu, vcpu_row_nmi),
	ROW_OUT(KVM_GET_LAPIC, struct kvm_lapic_state, STATE, vcpu, vcpu_row_get_lapic),
	ROW_IN(KVM_SET_LAPIC, struct kvm_lapic_state, STATE, vcpu, vcpu_row_set_lapic),
	ROW_IN(KVM_SET_VAPIC_ADDR, struct kvm_vapic_addr, STATE, vcpu, vcpu_row_set_vapic_addr),
	ROW_INOUT(KVM_TPR_ACCESS_REPORTING, struct kvm_tpr_access_ctl, STATE, vcpu,
		  vcpu_row_tpr_reporting),
	ROW_OUT(KVM_GET_VCPU_EVENTS, struct kvm_vcpu_events, STATE, vcpu, vcpu_row_get_events),
	ROW_IN(KVM_SET_VCPU_EVENTS, struct kvm_vcpu_events, STATE, vcpu, vcpu_row_set_events),
	ROW_OUT(KVM_GET_MP_STATE, struct kvm_mp_state, STATE, vcpu, vcpu_row_get_mp_state),
	ROW_IN(KVM_SET_MP_STATE, struct kvm_mp_state, STATE, vcpu, vcpu_row_set_mp_state),
	ROW_ARG(KVM_SET_TSC_KHZ, STATE, vcpu, vcpu_row_set_tsc_khz),
	ROW_ARG(KVM_GET_TSC_KHZ, STATE, vcpu, vcpu_row_get_tsc_khz),
	ROW_ARG(KVM_KVMCLOCK_CTRL, STATE, vcpu, vcpu_row_kvmclock_ctrl),
	ROW_IN(KVM_HAS_DEVICE_ATTR, struct kvm_device_attr, STATE, vcpu, vcpu_row_has_attr),
	ROW_IN(KVM_GET_DEVICE_ATTR, struct kvm_device_attr, STATE, vcpu, vcpu_row_get_attr),
	ROW_IN(KVM_SET_DEVICE_ATTR, struct kvm_device_attr, STATE, vcpu, vcpu_row_set_attr),
	ROW_IN(KVM_ENABLE_CAP, struct kvm_enable_cap, STATE, vcpu, vcpu_row_enable_cap),
	ROW_ARG(KVM_GET_STATS_FD, 0, vcpu, vcpu_row_get_stats_fd),
};

/* The descriptor */

static long vcpu_ioctl(struct file *file, unsigned int cmd, unsigned long arg)
{
	struct vcpu *vcpu = file->private_data;
	struct vm *vm = vcpu->vm;
	const struct api_row *row;
	long ret;

	if (vm->mm != current->mm || READ_ONCE(vm->dead))
		return -EIO;
	/* A number guessed while the vCPU is still being made: nobody could interrupt it yet. */
	if (vcpu->index >= smp_load_acquire(&vm->nr_vcpus))
		return -EINVAL;
	row = row_find(vcpu_rows, ARRAY_SIZE(vcpu_rows), cmd);
	if (!row)
		return -EINVAL;
	ret = row_call(row, vm, vcpu, arg);
	if (cmd == KVM_RUN)
		trace_corbel_userspace_exit(vcpu->id, vcpu->run->exit_reason, ret);
	return ret;
}

static vm_fault_t vcpu_vma_fault(struct vm_fault *vmf)
{
	struct vcpu *vcpu = vmf->vma->vm_file->private_data;
	void *pages[] = { vcpu->run, vcpu->pio_data, vcpu->vm->io.ring };

	if (vmf->pgoff >= ARRAY_SIZE(pages))
		return VM_FAULT_SIGBUS;
	vmf->page = virt_to_page(pages[vmf->pgoff]);
	get_page(vmf->page);
	return 0;
}

static const struct vm_operations_struct vcpu_vm_ops = {
	.fault = vcpu_vma_fault,
};

static int vcpu_mmap(struct file *file, struct vm_area_struct *vma)
{
	vma->vm_ops = &vcpu_vm_ops;
	return 0;
}

static int vcpu_release(struct inode *inode, struct file *file)
{
	struct vcpu *vcpu = file->private_data;

	vm_put(vcpu->vm);
	return 0;
}

const struct file_operations vcpu_fops = {
	.owner = THIS_MODULE,
	.unlocked_ioctl = vcpu_ioctl,
	.compat_ioctl = compat_ptr_ioctl,
	.mmap = vcpu_mmap,
	.release = vcpu_release,
	.llseek = noop_llseek,
};

int api_vcpu_fd(struct vcpu *vcpu)
{
	struct file *file;
	char name[24];
	int fd = get_unused_fd_flags(O_CLOEXEC);

	if (fd < 0)
		return fd;
	snprintf(name, sizeof(name), "corbel-vcpu:%u", vcpu->id);
	file = anon_inode_getfile(name, &vcpu_fops, vcpu, O_RDWR);
	if (IS_ERR(file)) {
		put_unused_fd(fd);
		return PTR_ERR(file);
	}
	vm_get(vcpu->vm);
	stats_vcpu_create(vcpu);
	fd_install(fd, file);
	return fd;
}
