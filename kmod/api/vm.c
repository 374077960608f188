// SPDX-License-Identifier: GPL-2.0-only
/*
 * The ioctls of a VM. Those that must run beside KVM_RUN take no vm->lock: their rooms lock
 * finer.
 */
#include <linux/anon_inodes.h>
#include <linux/compat.h>
#include <linux/corbel.h>
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

ROW_FN(vm, create_vcpu, arg > U32_MAX ? -EINVAL : vcpu_create(vm, arg))
ROW_FN(vm, check_extension, cap_check(arg))
ROW_FN(vm, enable_cap, cap_enable(vm, data))

ROW_FN(vm, create_irqchip, irqchip_create(vm))
ROW_FN(vm, create_device, dev_create(vm, data))
ROW_FN(vm, get_stats_fd, stats_fd(vm, NULL))

static int vm_set_boot_cpu_id(struct vm *vm, void *data, unsigned long arg)
{
	if (vm->nr_vcpus)
		return -EBUSY;
	vm->bsp_id = arg;
	return 0;
}

/* Real mode runs without: by hardware, or by interpretation. */
ROW_FN(vm, set_tss_addr, arg > U32_MAX - 3 * PAGE_SIZE + 1 ? -EINVAL : 0)

static int vm_set_identity_map(struct vm *vm, void *data, unsigned long arg)
{
	u64 *addr = data;

	if (vm->nr_vcpus)
		return -EINVAL;
	vm->mmu.identity_gfn = *addr ? *addr >> PAGE_SHIFT : IDENTITY_GFN;
	return 0;
}

static int vm_set_mmu(struct vm *vm, void *data, unsigned long arg)
{
	return mmu_set_mode(vm, *(u32 *)data);
}

/* Memory */

ROW_FN(vm, set_memory, slots_set_region(vm, data))

static int vm_get_dirty_log(struct vm *vm, void *data, unsigned long arg)
{
	struct kvm_dirty_log *log = data;

	if (in_compat_syscall())	/* the upper half of the union is padding */
		log->dirty_bitmap = compat_ptr(log->padding2);
	return slots_get_dirty_log(vm, log);
}

static int vm_clear_dirty_log(struct vm *vm, void *data, unsigned long arg)
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
ROW_FN(vm, set_nr_mmu_pages, (u32)arg < VM_MIN_MMU_PAGES ? -EINVAL : 0)

ROW_FN(vm, reset_dirty_rings, vm->mem.ring_bytes ? slots_reset_rings(vm) : -EINVAL)

/* I/O */

ROW_FN(vm, ioeventfd, ioeventfd_set(vm, data))
ROW_FN(vm, register_zone, coalesced_register(vm, data))
ROW_FN(vm, unregister_zone, coalesced_unregister(vm, data))

/* Interrupts */

static int vm_irq_line_status(struct vm *vm, void *data, unsigned long arg)
{
	struct kvm_irq_level *line = data;

	if (vm->irq.mode == IRQCHIP_NONE)
		return -ENXIO;
	line->status = irq_set_gsi(vm, IRQ_SOURCE_USER, line->irq, !!line->level);
	return 0;
}

ROW_FN(vm, signal_msi, route_msi(vm, data))
ROW_FN(vm, irqfd, irqfd_set(vm, data))

static int vm_set_gsi_routing(struct vm *vm, void *data, unsigned long arg)
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

ROW_FN(vm, get_irqchip, irqchip_to_user(vm, data))
ROW_FN(vm, set_irqchip, irqchip_from_user(vm, data))

static int vm_create_pit(struct vm *vm, void *data, unsigned long arg)
{
	static const struct kvm_pit_config config = { .flags = KVM_PIT_SPEAKER_DUMMY };

	return pit_create(vm, &config);
}

ROW_FN(vm, create_pit2, pit_create(vm, data))
ROW_FN(vm, get_pit2, pit_to_user(vm, data))
ROW_FN(vm, set_pit2, pit_from_user(vm, data))

/* The older form has the channels and nothing else. */
static int vm_get_pit(struct vm *vm, void *data, unsigned long arg)
{
	struct kvm_pit_state *state = data;
	struct kvm_pit_state2 state2;
	int err = pit_to_user(vm, &state2);

	if (!err)
		memcpy(state->channels, state2.channels, sizeof(state->channels));
	return err;
}

static int vm_set_pit(struct vm *vm, void *data, unsigned long arg)
{
	const struct kvm_pit_state *state = data;
	struct kvm_pit_state2 state2;
	int err = pit_to_user(vm, &state2);

	if (err)
		return err;
	memcpy(state2.channels, state->channels, sizeof(state2.channels));
	return pit_from_user(vm, &state2);
}

static int vm_reinject(struct vm *vm, void *data, unsigned long arg)
{
	struct kvm_reinject_control control;

	if (copy_from_user(&control, (void __user *)arg, sizeof(control)))
		return -EFAULT;
	return pit_reinject(vm, &control);
}

/* Time and MSRs */

ROW_VOID_FN(vm, get_clock, clock_to_user(vm, data))
ROW_FN(vm, set_clock, clock_from_user(vm, data))

ROW_FN(vm, set_tsc_khz, tsc_vm_khz_set(vm, arg))
ROW_FN(vm, get_tsc_khz, READ_ONCE(vm->arch.tsc_khz))
ROW_FN(vm, set_msr_filter, msr_filter_set(vm, data))

static const struct api_row vm_rows[] = {
	{ KVM_IRQ_LINE, 0, .vm = vm_irq_line_status },
	{ KVM_IRQ_LINE_STATUS, 0, .vm = vm_irq_line_status },
	{ KVM_SIGNAL_MSI, 0, .vm = vm_signal_msi },
	{ KVM_SET_GSI_ROUTING, 0, .vm = vm_set_gsi_routing },
	{ KVM_IRQFD, 0, .vm = vm_irqfd },
	{ KVM_IOEVENTFD, 0, .vm = vm_ioeventfd },
	{ KVM_SET_USER_MEMORY_REGION, 0, .vm = vm_set_memory },
	{ KVM_GET_DIRTY_LOG, 0, .vm = vm_get_dirty_log },
	{ KVM_CLEAR_DIRTY_LOG, ROW_IN, .vm = vm_clear_dirty_log },
	{ KVM_CREATE_VCPU, 0, .vm = vm_create_vcpu },
	{ KVM_CHECK_EXTENSION, 0, .vm = vm_check_extension },
	{ KVM_ENABLE_CAP, ROW_VM_LOCK, .vm = vm_enable_cap },
	{ KVM_CREATE_IRQCHIP, ROW_VM_LOCK, .vm = vm_create_irqchip },
	{ KVM_CREATE_DEVICE, ROW_VM_LOCK, .vm = vm_create_device },
	{ KVM_GET_STATS_FD, 0, .vm = vm_get_stats_fd },
	{ KVM_SET_BOOT_CPU_ID, ROW_VM_LOCK, .vm = vm_set_boot_cpu_id },
	{ KVM_SET_TSS_ADDR, 0, .vm = vm_set_tss_addr },
	{ KVM_SET_IDENTITY_MAP_ADDR, ROW_VM_LOCK, .vm = vm_set_identity_map },
	{ CORBEL_SET_MMU, ROW_VM_LOCK, .vm = vm_set_mmu },
	{ KVM_SET_NR_MMU_PAGES, 0, .vm = vm_set_nr_mmu_pages },
	{ KVM_RESET_DIRTY_RINGS, 0, .vm = vm_reset_dirty_rings },
	{ KVM_REGISTER_COALESCED_MMIO, 0, .vm = vm_register_zone },
	{ KVM_UNREGISTER_COALESCED_MMIO, 0, .vm = vm_unregister_zone },
	{ KVM_GET_IRQCHIP, 0, .vm = vm_get_irqchip },
	{ KVM_SET_IRQCHIP, ROW_IN, .vm = vm_set_irqchip },
	{ KVM_CREATE_PIT, ROW_VM_LOCK, .vm = vm_create_pit },
	{ KVM_CREATE_PIT2, ROW_VM_LOCK, .vm = vm_create_pit2 },
	{ KVM_GET_PIT, 0, .vm = vm_get_pit },
	{ KVM_SET_PIT, ROW_VM_LOCK | ROW_IN, .vm = vm_set_pit },
	{ KVM_GET_PIT2, 0, .vm = vm_get_pit2 },
	{ KVM_SET_PIT2, ROW_VM_LOCK, .vm = vm_set_pit2 },
	{ KVM_REINJECT_CONTROL, 0, .vm = vm_reinject },
	{ KVM_GET_CLOCK, 0, .vm = vm_get_clock },
	{ KVM_SET_CLOCK, 0, .vm = vm_set_clock },
	{ KVM_SET_TSC_KHZ, 0, .vm = vm_set_tsc_khz },
	{ KVM_GET_TSC_KHZ, 0, .vm = vm_get_tsc_khz },
	{ KVM_X86_SET_MSR_FILTER, 0, .vm = vm_set_msr_filter },
};

/* The descriptor */

static long vm_ioctl(struct file *file, unsigned int cmd, unsigned long arg)
{
	return row_vm_ioctl(vm_rows, ARRAY_SIZE(vm_rows), file->private_data, cmd, arg);
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

int api_file(const char *name, const struct file_operations *fops, void *object,
	     struct file **file)
{
	int fd = get_unused_fd_flags(O_CLOEXEC);

	if (fd < 0)
		return fd;
	*file = anon_inode_getfile(name, fops, object, O_RDWR);
	if (!IS_ERR(*file))
		return fd;
	put_unused_fd(fd);
	return PTR_ERR(*file);
}

int api_vm_fd(struct vm *vm)
{
	struct file *file;
	int fd = api_file("corbel-vm", &vm_fops, vm, &file);

	if (fd < 0)
		return fd;
	snprintf(vm->name, sizeof(vm->name), "%d-%d", vm->userspace_pid, fd);
	stats_vm_create(vm);
	fd_install(fd, file);
	return fd;
}
