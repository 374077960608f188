// SPDX-License-Identifier: GPL-2.0-only
/* The ioctls of a vCPU, and its shared pages. All of them wait until the vCPU has left KVM_RUN. */
#include <linux/anon_inodes.h>
#include <linux/compat.h>
#include <linux/file.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/nospec.h>
#include <linux/signal.h>
#include <linux/slab.h>
#include <linux/uaccess.h>
#include "api.h"
#include "row.h"
#include "trace.h"
#include "vm.h"
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

static noinline int vcpu_run_synced(struct vcpu *vcpu, u64 valid, u64 dirty)
{
	int srcu, err = 0;

	if ((valid | dirty) & ~(u64)API_SYNC_FIELDS)
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

static int vcpu_run_unmasked(struct vcpu *vcpu)
{
	u64 valid = READ_ONCE(vcpu->run->kvm_valid_regs);
	u64 dirty = READ_ONCE(vcpu->run->kvm_dirty_regs);

	return valid | dirty ? vcpu_run_synced(vcpu, valid, dirty) : run_vcpu(vcpu);
}

/* Outside this function nobody sees real_blocked: it holds the mask to go back to, as in KVM. */
static noinline int vcpu_run_masked(struct vcpu *vcpu)
{
	int err;

	sigprocmask(SIG_SETMASK, &vcpu->sigset, &current->real_blocked);
	err = vcpu_run_unmasked(vcpu);
	sigprocmask(SIG_SETMASK, &current->real_blocked, NULL);
	sigemptyset(&current->real_blocked);
	return err;
}

/* Called too often to be a row. */
static int vcpu_run(struct vcpu *vcpu, unsigned long arg)
{
	int ret;

	if (arg)
		return -EINVAL;
	if (mutex_lock_killable(&vcpu->lock))
		return -EINTR;
	vcpu_load(vcpu);
	ret = unlikely(vcpu->sigset_active) ? vcpu_run_masked(vcpu) : vcpu_run_unmasked(vcpu);
	vcpu_put(vcpu);
	mutex_unlock(&vcpu->lock);
	trace_corbel_userspace_exit(vcpu->id, vcpu->run->exit_reason, ret);
	return ret;
}

static int vcpu_set_signal_mask(struct vcpu *vcpu, void *data, unsigned long arg)
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

ROW_VOID_FN(vcpu, get_regs, regs_to_user(vcpu, data))
ROW_VOID_FN(vcpu, set_regs, regs_from_user(vcpu, data))
ROW_VOID_FN(vcpu, get_sregs, sregs_to_user(vcpu, data))
ROW_FN(vcpu, set_sregs, sregs_from_user(vcpu, data))
ROW_VOID_FN(vcpu, get_sregs2, sregs2_to_user(vcpu, data))
ROW_FN(vcpu, set_sregs2, sregs2_from_user(vcpu, data))
ROW_VOID_FN(vcpu, get_fpu, fpu_to_user(vcpu, data))
ROW_VOID_FN(vcpu, set_fpu, fpu_from_user(vcpu, data))

/* The old form has no way to say that it is too small. */
static int vcpu_get_xsave(struct vcpu *vcpu, void *data, unsigned long arg)
{
	if (xstate_size(vcpu) > sizeof(struct kvm_xsave))
		return -EINVAL;
	xsave_to_user(vcpu, data, sizeof(struct kvm_xsave));
	return 0;
}

static int vcpu_get_xsave2(struct vcpu *vcpu, void *data, unsigned long arg)
{
	u32 size = xstate_size(vcpu);
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

static int vcpu_set_xsave(struct vcpu *vcpu, void *data, unsigned long arg)
{
	void *buf = vmemdup_user((void __user *)arg, xstate_size(vcpu));
	int err;

	if (IS_ERR(buf))
		return PTR_ERR(buf);
	err = xsave_from_user(vcpu, buf);
	kvfree(buf);
	return err;
}

ROW_VOID_FN(vcpu, get_xcrs, xcrs_to_user(vcpu, data))
ROW_FN(vcpu, set_xcrs, xcrs_from_user(vcpu, data))
ROW_VOID_FN(vcpu, get_debugregs, debugregs_to_user(vcpu, data))
ROW_FN(vcpu, set_debugregs, debugregs_from_user(vcpu, data))
ROW_FN(vcpu, set_guest_debug, debug_set(vcpu, data))
ROW_VOID_FN(vcpu, translate, translate_to_user(vcpu, data))

/* MSRs and CPUID */

int msr_io(struct vcpu *vcpu, const struct kvm_msrs *head, unsigned long arg, bool write_back,
	   int (*access)(struct vcpu *vcpu, struct kvm_msr_entry *entry))
{
	struct kvm_msrs __user *user = (void __user *)arg;
	size_t size = head->nmsrs * sizeof(struct kvm_msr_entry);
	struct kvm_msr_entry *entries;
	u32 done;

	if (head->nmsrs >= MSR_IO_MAX)
		return -E2BIG;
	entries = memdup_user(user->entries, size);
	if (IS_ERR(entries))
		return PTR_ERR(entries);
	for (done = 0; done < head->nmsrs; done++) {
		if (access(vcpu, &entries[done]))
			break;
	}
	if (write_back && copy_to_user(user->entries, entries, size))
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

ROW_FN(vcpu, get_msrs, msr_io(vcpu, data, arg, true, vcpu_get_msr))
ROW_FN(vcpu, set_msrs, msr_io(vcpu, data, arg, false, vcpu_set_msr))

static int vcpu_set_cpuid(struct vcpu *vcpu, void *data, unsigned long arg)
{
	const struct kvm_cpuid __user *user = (void __user *)arg;

	return cpuid_set(vcpu, user->entries, ((struct kvm_cpuid *)data)->nent, true);
}

static int vcpu_set_cpuid2(struct vcpu *vcpu, void *data, unsigned long arg)
{
	const struct kvm_cpuid2 __user *user = (void __user *)arg;

	return cpuid_set(vcpu, user->entries, ((struct kvm_cpuid2 *)data)->nent, false);
}

static int vcpu_get_cpuid2(struct vcpu *vcpu, void *data, unsigned long arg)
{
	struct kvm_cpuid2 __user *user = (void __user *)arg;

	return cpuid_get(vcpu, user->entries, &((struct kvm_cpuid2 *)data)->nent);
}

ROW_FN(vcpu, setup_mce, mce_configure(vcpu, *(u64 *)data))
ROW_FN(vcpu, set_mce, mce_set(vcpu, data))

/* Interrupts and state */

ROW_FN(vcpu, interrupt, irq_user_interrupt(vcpu, ((struct kvm_interrupt *)data)->irq))
ROW_VOID_FN(vcpu, nmi, inject_nmi(vcpu))
ROW_FN(vcpu, get_lapic, lapic_to_user(vcpu, data))
ROW_FN(vcpu, set_lapic, lapic_from_user(vcpu, data))

ROW_FN(vcpu, set_vapic_addr, lapic_vapic_set(vcpu, ((struct kvm_vapic_addr *)data)->vapic_addr))

static int vcpu_tpr_reporting(struct vcpu *vcpu, void *data, unsigned long arg)
{
	const struct kvm_tpr_access_ctl *ctl = data;

	return ctl->flags ? -EINVAL : lapic_tpr_report_set(vcpu, ctl->enabled);
}

ROW_VOID_FN(vcpu, get_events, events_to_user(vcpu, data))
ROW_FN(vcpu, set_events, events_from_user(vcpu, data))
ROW_FN(vcpu, get_mp_state, mp_state_get(vcpu, data))
ROW_FN(vcpu, set_mp_state, mp_state_set(vcpu, data))

/* Time */

ROW_FN(vcpu, set_tsc_khz, tsc_khz_set(vcpu, arg))
ROW_FN(vcpu, get_tsc_khz, vcpu->arch.tsc_khz)
ROW_FN(vcpu, kvmclock_ctrl, clock_guest_stopped(vcpu))

static int vcpu_has_attr(struct vcpu *vcpu, void *data, unsigned long arg)
{
	const struct kvm_device_attr *attr = data;

	return attr->group != KVM_VCPU_TSC_CTRL || attr->attr != KVM_VCPU_TSC_OFFSET ? -ENXIO : 0;
}

static int vcpu_get_attr(struct vcpu *vcpu, void *data, unsigned long arg)
{
	const struct kvm_device_attr *attr = data;

	return vcpu_has_attr(vcpu, data, arg) ?:
	       put_user(vcpu->arch.tsc_offset, (u64 __user *)attr->addr);
}

static int vcpu_set_attr(struct vcpu *vcpu, void *data, unsigned long arg)
{
	const struct kvm_device_attr *attr = data;
	u64 offset;

	if (vcpu_has_attr(vcpu, data, arg))
		return -ENXIO;
	if (get_user(offset, (u64 __user *)attr->addr))
		return -EFAULT;
	tsc_offset_set(vcpu, offset);
	return 0;
}

ROW_FN(vcpu, enable_cap, cap_enable_vcpu(vcpu, data))

ROW_FN(vcpu, get_stats_fd, stats_fd(vcpu->vm, vcpu))

#define STATE	(ROW_LOADED | ROW_SRCU)

static const struct api_row vcpu_rows[] = {
	{ KVM_INTERRUPT, STATE, .vcpu = vcpu_interrupt },
	{ KVM_GET_REGS, STATE, .vcpu = vcpu_get_regs },
	{ KVM_SET_REGS, STATE, .vcpu = vcpu_set_regs },
	{ KVM_GET_SREGS, STATE, .vcpu = vcpu_get_sregs },
	{ KVM_SET_SREGS, STATE, .vcpu = vcpu_set_sregs },
	{ KVM_GET_SREGS2, STATE, .vcpu = vcpu_get_sregs2 },
	{ KVM_SET_SREGS2, STATE, .vcpu = vcpu_set_sregs2 },
	{ KVM_GET_MSRS, STATE, .vcpu = vcpu_get_msrs },
	{ KVM_SET_MSRS, STATE, .vcpu = vcpu_set_msrs },
	{ KVM_SET_CPUID, STATE, .vcpu = vcpu_set_cpuid },
	{ KVM_SET_CPUID2, STATE, .vcpu = vcpu_set_cpuid2 },
	{ KVM_GET_CPUID2, STATE, .vcpu = vcpu_get_cpuid2 },
	{ KVM_SET_SIGNAL_MASK, ROW_RAW, .vcpu = vcpu_set_signal_mask },
	{ KVM_GET_FPU, STATE, .vcpu = vcpu_get_fpu },
	{ KVM_SET_FPU, STATE, .vcpu = vcpu_set_fpu },
	{ KVM_GET_XSAVE, STATE, .vcpu = vcpu_get_xsave },
	{ KVM_GET_XSAVE2, STATE | ROW_RAW, .vcpu = vcpu_get_xsave2 },
	{ KVM_SET_XSAVE, STATE | ROW_RAW, .vcpu = vcpu_set_xsave },
	{ KVM_GET_XCRS, STATE, .vcpu = vcpu_get_xcrs },
	{ KVM_SET_XCRS, STATE, .vcpu = vcpu_set_xcrs },
	{ KVM_GET_DEBUGREGS, STATE, .vcpu = vcpu_get_debugregs },
	{ KVM_SET_DEBUGREGS, STATE, .vcpu = vcpu_set_debugregs },
	{ KVM_SET_GUEST_DEBUG, STATE, .vcpu = vcpu_set_guest_debug },
	{ KVM_TRANSLATE, STATE, .vcpu = vcpu_translate },
	{ KVM_X86_SETUP_MCE, STATE, .vcpu = vcpu_setup_mce },
	{ KVM_X86_SET_MCE, STATE, .vcpu = vcpu_set_mce },
	{ KVM_NMI, STATE, .vcpu = vcpu_nmi },
	{ KVM_GET_LAPIC, STATE, .vcpu = vcpu_get_lapic },
	{ KVM_SET_LAPIC, STATE, .vcpu = vcpu_set_lapic },
	{ KVM_SET_VAPIC_ADDR, STATE, .vcpu = vcpu_set_vapic_addr },
	{ KVM_TPR_ACCESS_REPORTING, STATE, .vcpu = vcpu_tpr_reporting },
	{ KVM_GET_VCPU_EVENTS, STATE, .vcpu = vcpu_get_events },
	{ KVM_SET_VCPU_EVENTS, STATE, .vcpu = vcpu_set_events },
	{ KVM_GET_MP_STATE, STATE, .vcpu = vcpu_get_mp_state },
	{ KVM_SET_MP_STATE, STATE, .vcpu = vcpu_set_mp_state },
	{ KVM_SET_TSC_KHZ, STATE, .vcpu = vcpu_set_tsc_khz },
	{ KVM_GET_TSC_KHZ, STATE, .vcpu = vcpu_get_tsc_khz },
	{ KVM_KVMCLOCK_CTRL, STATE, .vcpu = vcpu_kvmclock_ctrl },
	{ KVM_HAS_DEVICE_ATTR, STATE, .vcpu = vcpu_has_attr },
	{ KVM_GET_DEVICE_ATTR, STATE, .vcpu = vcpu_get_attr },
	{ KVM_SET_DEVICE_ATTR, STATE, .vcpu = vcpu_set_attr },
	{ KVM_ENABLE_CAP, STATE, .vcpu = vcpu_enable_cap },
	{ KVM_GET_STATS_FD, 0, .vcpu = vcpu_get_stats_fd },
};

/* The descriptor */

static long vcpu_ioctl(struct file *file, unsigned int cmd, unsigned long arg)
{
	struct vcpu *vcpu = file->private_data;
	struct vm *vm = vcpu->vm;
	const struct api_row *row;

	if (vm->mm != current->mm || READ_ONCE(vm->dead))
		return -EIO;
	/* A number guessed while the vCPU is still being made: nobody could interrupt it yet. */
	if (vcpu->index >= smp_load_acquire(&vm->nr_vcpus))
		return -EINVAL;
	if (cmd == KVM_RUN)
		return vcpu_run(vcpu, arg);
	row = row_find(vcpu_rows, ARRAY_SIZE(vcpu_rows), cmd);
	return row ? row_call(row, vm, vcpu, arg) : -EINVAL;
}

static bool in_dirty_ring(const struct vcpu *vcpu, unsigned long pgoff)
{
	return pgoff - KVM_DIRTY_LOG_PAGE_OFFSET < vcpu->vm->mem.ring_bytes >> PAGE_SHIFT;
}

static struct page *vcpu_page(const struct vcpu *vcpu, unsigned long pgoff)
{
	void *pages[] = { vcpu->run, vcpu->pio_data, vcpu->vm->io.ring };
	u64 offset = (u64)(pgoff - KVM_DIRTY_LOG_PAGE_OFFSET) << PAGE_SHIFT;

	if (pgoff < ARRAY_SIZE(pages))
		return virt_to_page(pages[array_index_nospec(pgoff, ARRAY_SIZE(pages))]);
	if (in_dirty_ring(vcpu, pgoff))
		return vmalloc_to_page((void *)vcpu->ring.entries + offset);
	return NULL;
}

static vm_fault_t vcpu_vma_fault(struct vm_fault *vmf)
{
	vmf->page = vcpu_page(vmf->vma->vm_file->private_data, vmf->pgoff);
	if (!vmf->page)
		return VM_FAULT_SIGBUS;
	get_page(vmf->page);
	return 0;
}

static const struct vm_operations_struct vcpu_vm_ops = {
	.fault = vcpu_vma_fault,
};

static int vcpu_mmap(struct file *file, struct vm_area_struct *vma)
{
	struct vcpu *vcpu = file->private_data;

	if ((in_dirty_ring(vcpu, vma->vm_pgoff) ||
	     in_dirty_ring(vcpu, vma->vm_pgoff + vma_pages(vma) - 1)) &&
	    (vma->vm_flags & (VM_EXEC | VM_SHARED)) != VM_SHARED)
		return -EINVAL;
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
	char name[24];
	struct file *file;
	int fd;

	snprintf(name, sizeof(name), "corbel-vcpu:%u", vcpu->id);
	fd = api_file(name, &vcpu_fops, vcpu, &file);
	if (fd < 0)
		return fd;
	vm_get(vcpu->vm);
	stats_vcpu_create(vcpu);
	fd_install(fd, file);
	return fd;
}
