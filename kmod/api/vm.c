// SPDX-License-Identifier: GPL-2.0-only
/*
 * The ioctls of a VM. Those that must run beside KVM_RUN take no vm->lock: their rooms lock
 * finer.
 */
#include <linux/anon_inodes.h>
#include <linux/compat.h>
#include <linux/file.h>
#include <linux/module.h>
#include <linux/slab.h>
#include <linux/uaccess.h>
#include "api.h"
#include "row.h"
#include "vm.h"
#include "cpu/clock.h"
#include "cpu/msr.h"
#include "cpu/tsc.h"
#include "irq/pit.h"
#include "irq/route.h"

#define VM_MIN_MMU_PAGES	64

/* Creation */

static int vm_row_create_vcpu(struct vm *vm, void *data, unsigned long arg)
{
	return arg > U32_MAX ? -EINVAL : vcpu_create(vm, arg);
}

static int vm_row_check_extension(struct vm *vm, void *data, unsigned long arg)
{
	return cap_check(arg);
}

ROW_FN(vm_row_enable_cap, vm, cap_enable)

static int vm_row_create_irqchip(struct vm *vm, void *data, unsigned long arg)
{
	return irqchip_create(vm);
}

/* No device type works yet, and the capability says so; KVM's answer to an unknown type. */
static int vm_row_create_device(struct vm *vm, void *data, unsigned long arg)
{
	return -ENODEV;
}

static int vm_row_get_stats_fd(struct vm *vm, void *data, unsigned long arg)
{
	return stats_fd(vm, NULL);
}

static int vm_row_set_boot_cpu_id(struct vm *vm, void *data, unsigned long arg)
{
	if (vm->nr_vcpus)
		return -EBUSY;
	vm->bsp_id = arg;
	return 0;
}

/* Hardware runs real mode by itself: these pages, which other hosts would need, stay unused. */

static int vm_row_set_tss_addr(struct vm *vm, void *data, unsigned long arg)
{
	return arg > U32_MAX - 3 * PAGE_SIZE + 1 ? -EINVAL : 0;
}

static int vm_row_set_identity_map(struct vm *vm, void *data, unsigned long arg)
{
	return vm->nr_vcpus ? -EINVAL : 0;
}

/* Memory */

ROW_FN(vm_row_set_memory, vm, slots_set_region)

static int vm_row_get_dirty_log(struct vm *vm, void *data, unsigned long arg)
{
	struct kvm_dirty_log *log = data;

	if (in_compat_syscall())	/* the upper half of the union is padding */
		log->dirty_bitmap = compat_ptr(log->padding2);
	return slots_get_dirty_log(vm, log);
}

static int vm_row_clear_dirty_log(struct vm *vm, void *data, unsigned long arg)
{
	struct kvm_clear_dirty_log *log = data;

	if (in_compat_syscall())
		log->dirty_bitmap = compat_ptr(log->padding2);
	return slots_clear_dirty_log(vm, log);
}

/*
 * A limit on page tables under shadow paging; the smallest that KVM takes must still be
 * respected.
 */
static int vm_row_set_nr_mmu_pages(struct vm *vm, void *data, unsigned long arg)
{
	return (u32)arg < VM_MIN_MMU_PAGES ? -EINVAL : 0;
}

/* Without a ring there is nothing to reset; KVM's error for that. */
static int vm_row_reset_dirty_rings(struct vm *vm, void *data, unsigned long arg)
{
	return -EINVAL;
}

/* I/O */

ROW_FN(vm_row_ioeventfd, vm, ioeventfd_set)
ROW_FN(vm_row_register_zone, vm, coalesced_register)
ROW_FN(vm_row_unregister_zone, vm, coalesced_unregister)

/* Interrupts */

static int vm_row_irq_line_status(struct vm *vm, void *data, unsigned long arg)
{
	struct kvm_irq_level *line = data;

	if (vm->irq.mode == IRQCHIP_NONE)
		return -ENXIO;
	line->status = irq_set_gsi(vm, IRQ_SOURCE_USER, line->irq, !!line->level);
	return 0;
}

ROW_FN(vm_row_signal_msi, vm, route_msi)
ROW_FN(vm_row_irqfd, vm, irqfd_set)

static int vm_row_set_gsi_routing(struct vm *vm, void *data, unsigned long arg)
{
	struct kvm_irq_routing __user *user = (void __user *)arg;
	struct kvm_irq_routing_entry *entries = NULL;
	struct kvm_irq_routing *head = data;
	int err;

	if (vm->irq.mode == IRQCHIP_NONE || head->nr > ROUTE_NR_GSIS || head->flags)
		return -EINVAL;
	if (head->nr) {
		entries = vmemdup_user(user->entries, array_size(head->nr, sizeof(*entries)));
		if (IS_ERR(entries))
			return PTR_ERR(entries);
	}
	err = route_set(vm, entries, head->nr);
	kvfree(entries);
	return err;
}

ROW_FN(vm_row_get_irqchip, vm, irqchip_to_user)
ROW_FN(vm_row_set_irqchip, vm, irqchip_from_user)

static int vm_row_create_pit(struct vm *vm, void *data, unsigned long arg)
{
	static const struct kvm_pit_config config = { .flags = KVM_PIT_SPEAKER_DUMMY };

	return pit_create(vm, &config);
}

ROW_FN(vm_row_create_pit2, vm, pit_create)
ROW_FN(vm_row_get_pit2, vm, pit_to_user)
ROW_FN(vm_row_set_pit2, vm, pit_from_user)

/* The older form has the channels and nothing else. */
static int vm_row_get_pit(struct vm *vm, void *data, unsigned long arg)
{
	struct kvm_pit_state *state = data;
	struct kvm_pit_state2 state2;
	int err = pit_to_user(vm, &state2);

	if (!err)
		memcpy(state->channels, state2.channels, sizeof(state->channels));
	return err;
}

static int vm_row_set_pit(struct vm *vm, void *data, unsigned long arg)
{
	const struct kvm_pit_state *state = data;
	struct kvm_pit_state2 state2;
	int err = pit_to_user(vm, &state2);

	if (err)
		return err;
	memcpy(state2.channels, state->channels, sizeof(state2.channels));
	return pit_from_user(vm, &state2);
}

ROW_FN(vm_row_reinject, vm, pit_reinject)

/* Time and MSRs */

ROW_VOID_FN(vm_row_get_clock, vm, clock_to_user)
ROW_FN(vm_row_set_clock, vm, clock_from_user)

static int vm_row_set_tsc_khz(struct vm *vm, void *data, unsigned long arg)
{
	return tsc_vm_khz_set(vm, arg);
}

static int vm_row_get_tsc_khz(struct vm *vm, void *data, unsigned long arg)
{
	return READ_ONCE(vm->arch.tsc_khz);
}

ROW_FN(vm_row_set_msr_filter, vm, msr_filter_set)

static const struct api_row vm_rows[] = {
	ROW_IN(KVM_IRQ_LINE, struct kvm_irq_level, 0, vm, vm_row_irq_line_status),
	ROW_INOUT(KVM_IRQ_LINE_STATUS, struct kvm_irq_level, 0, vm, vm_row_irq_line_status),
	ROW_IN(KVM_SIGNAL_MSI, struct kvm_msi, 0, vm, vm_row_signal_msi),
	ROW_IN(KVM_SET_GSI_ROUTING, struct kvm_irq_routing, 0, vm, vm_row_set_gsi_routing),
	ROW_IN(KVM_IRQFD, struct kvm_irqfd, 0, vm, vm_row_irqfd),
	ROW_IN(KVM_IOEVENTFD, struct kvm_ioeventfd, 0, vm, vm_row_ioeventfd),
	ROW_IN(KVM_SET_USER_MEMORY_REGION, struct kvm_userspace_memory_region, 0, vm,
	       vm_row_set_memory),
	ROW_IN(KVM_GET_DIRTY_LOG, struct kvm_dirty_log, 0, vm, vm_row_get_dirty_log),
	ROW_IN(KVM_CLEAR_DIRTY_LOG, struct kvm_clear_dirty_log, 0, vm, vm_row_clear_dirty_log),
	ROW_ARG(KVM_CREATE_VCPU, 0, vm, vm_row_create_vcpu),
	ROW_ARG(KVM_CHECK_EXTENSION, 0, vm, vm_row_check_extension),
	ROW_IN(KVM_ENABLE_CAP, struct kvm_enable_cap, ROW_VM_LOCK, vm, vm_row_enable_cap),
	ROW_ARG(KVM_CREATE_IRQCHIP, ROW_VM_LOCK, vm, vm_row_create_irqchip),
	ROW_IN(KVM_CREATE_DEVICE, struct kvm_create_device, 0, vm, vm_row_create_device),
	ROW_ARG(KVM_GET_STATS_FD, 0, vm, vm_row_get_stats_fd),
	ROW_ARG(KVM_SET_BOOT_CPU_ID, ROW_VM_LOCK, vm, vm_row_set_boot_cpu_id),
	ROW_ARG(KVM_SET_TSS_ADDR, 0, vm, vm_row_set_tss_addr),
	ROW_IN(KVM_SET_IDENTITY_MAP_ADDR, u64, ROW_VM_LOCK, vm, vm_row_set_identity_map),
	ROW_ARG(KVM_SET_NR_MMU_PAGES, 0, vm, vm_row_set_nr_mmu_pages),
	ROW_ARG(KVM_RESET_DIRTY_RINGS, 0, vm, vm_row_reset_dirty_rings),
	ROW_IN(KVM_REGISTER_COALESCED_MMIO, struct kvm_coalesced_mmio_zone, 0, vm,
	       vm_row_register_zone),
	ROW_IN(KVM_UNREGISTER_COALESCED_MMIO, struct kvm_coalesced_mmio_zone, 0, vm,
	       vm_row_unregister_zone),
	ROW_INOUT(KVM_GET_IRQCHIP, struct kvm_irqchip, 0, vm, vm_row_get_irqchip),
	ROW_IN(KVM_SET_IRQCHIP, struct kvm_irqchip, 0, vm, vm_row_set_irqchip),
	ROW_ARG(KVM_CREATE_PIT, ROW_VM_LOCK, vm, vm_row_create_pit),
	ROW_IN(KVM_CREATE_PIT2, struct kvm_pit_config, ROW_VM_LOCK, vm, vm_row_create_pit2),
	ROW_INOUT(KVM_GET_PIT, struct kvm_pit_state, 0, vm, vm_row_get_pit),
	ROW_IN(KVM_SET_PIT, struct kvm_pit_state, ROW_VM_LOCK, vm, vm_row_set_pit),
	ROW_OUT(KVM_GET_PIT2, struct kvm_pit_state2, 0, vm, vm_row_get_pit2),
	ROW_IN(KVM_SET_PIT2, struct kvm_pit_state2, ROW_VM_LOCK, vm, vm_row_set_pit2),
	ROW_IN(KVM_REINJECT_CONTROL, struct kvm_reinject_control, 0, vm, vm_row_reinject),
	ROW_OUT(KVM_GET_CLOCK, struct kvm_clock_data, 0, vm, vm_row_get_clock),
	ROW_IN(KVM_SET_CLOCK, struct kvm_clock_data, 0, vm, vm_row_set_clock),
	ROW_ARG(KVM_SET_TSC_KHZ, 0, vm, vm_row_set_tsc_khz),
	ROW_ARG(KVM_GET_TSC_KHZ, 0, vm, vm_row_get_tsc_khz),
	ROW_IN(KVM_X86_SET_MSR_FILTER, struct kvm_msr_filter, 0, vm, vm_row_set_msr_filter),
};

/* The descriptor */

static long vm_ioctl(struct file *file, unsigned int cmd, unsigned long arg)
{
	struct vm *vm = file->private_data;
	const struct api_row *row;

	if (vm->mm != current->mm || READ_ONCE(vm->dead))
		return -EIO;
	row = row_find(vm_rows, ARRAY_SIZE(vm_rows), cmd);
	return row ? row_call(row, vm, NULL, arg) : -ENOTTY;
}

static int vm_release(struct inode *inode, struct file *file)
{
	struct vm *vm = file->private_data;

	irqfd_release(vm);
	vm_put(vm);
	return 0;
}

const struct file_operations vm_fops = {
	.owner = THIS_MODULE,
	.unlocked_ioctl = vm_ioctl,
	.compat_ioctl = compat_ptr_ioctl,
	.release = vm_release,
	.llseek = noop_llseek,
};

int api_vm_fd(struct vm *vm)
{
	struct file *file;
	int fd = get_unused_fd_flags(O_CLOEXEC);

	if (fd < 0)
		return fd;
	file = anon_inode_getfile("corbel-vm", &vm_fops, vm, O_RDWR);
	if (IS_ERR(file)) {
		put_unused_fd(fd);
		return PTR_ERR(file);
	}
	snprintf(vm->name, sizeof(vm->name), "%d-%d", vm->userspace_pid, fd);
	stats_vm_create(vm);
	fd_install(fd, file);
	return fd;
}
