// SPDX-License-Identifier: GPL-2.0-only
/*
 * KVM_CREATE_DEVICE. Of KVM's devices there is one, VFIO's: the owner names the groups whose
 * devices it has given to the guest, and VFIO says whether their DMA can miss the caches.
 *
 * vfio_file_set_kvm() is not called: VFIO, and drivers behind it, take what they are given there
 * for a struct kvm, and call kvm.ko with it. A driver that insists on one refuses to be opened.
 */
#include <linux/compat.h>
#include <linux/file.h>
#include <linux/list.h>
#include <linux/module.h>
#include <linux/slab.h>
#include <linux/uaccess.h>
#include <linux/vfio.h>
#include "api.h"
#include "compat.h"
#include "row.h"
#include "vm.h"

struct vfio_ref {
	struct list_head node;	/* vm->vfio.files */
	struct file *file;
};

/* VFIO need not be there for us to load. */
#define ASK_VFIO(question, file)					\
({									\
	typeof(&question) ask = symbol_get(question);			\
	bool yes = ask && ask(file);					\
									\
	if (ask)							\
		symbol_put(question);					\
	yes;								\
})

/* A group says so only when it is in a container, so all are asked again each time. */
static void coherency_update(struct vm *vm)
{
	struct vfio_ref *ref;
	bool coherent = true;

	list_for_each_entry(ref, &vm->vfio.files, node)
		coherent &= ASK_VFIO(vfio_file_enforced_coherent, ref->file);
	mmu_set_noncoherent(vm, !coherent);
}

static struct vfio_ref *ref_find(struct vm *vm, const struct file *file)
{
	struct vfio_ref *ref;

	list_for_each_entry(ref, &vm->vfio.files, node)
		if (ref->file == file)
			return ref;
	return NULL;
}

static void ref_drop(struct vfio_ref *ref)
{
	list_del(&ref->node);
	fput(ref->file);
	kfree(ref);
}

static int group_add(struct vm *vm, struct file *file)
{
	struct vfio_ref *ref;

	if (!ASK_VFIO(compat_vfio_file_is_valid, file))
		return -EINVAL;
	if (ref_find(vm, file))
		return -EEXIST;
	ref = kmalloc(sizeof(*ref), GFP_KERNEL_ACCOUNT);
	if (!ref)
		return -ENOMEM;
	ref->file = get_file(file);
	list_add_tail(&ref->node, &vm->vfio.files);
	return 0;
}

static int group_del(struct vm *vm, struct file *file)
{
	struct vfio_ref *ref = ref_find(vm, file);

	if (!ref)
		return -ENOENT;
	ref_drop(ref);
	return 0;
}

static int dev_has_attr(struct vm *vm, void *data, unsigned long arg)
{
	const struct kvm_device_attr *attr = data;
	bool known = attr->group == KVM_DEV_VFIO_GROUP &&
		     (attr->attr == KVM_DEV_VFIO_GROUP_ADD || attr->attr == KVM_DEV_VFIO_GROUP_DEL);

	return known ? 0 : -ENXIO;
}

static int dev_set_attr(struct vm *vm, void *data, unsigned long arg)
{
	const struct kvm_device_attr *attr = data;
	struct file *file;
	int ret;
	s32 fd;

	if (dev_has_attr(vm, data, arg))
		return -ENXIO;
	if (get_user(fd, (s32 __user *)u64_to_user_ptr(attr->addr)))
		return -EFAULT;
	file = fget(fd);
	if (!file)
		return -EBADF;
	mutex_lock(&vm->lock);
	if (attr->attr == KVM_DEV_VFIO_GROUP_ADD)
		ret = group_add(vm, file);
	else
		ret = group_del(vm, file);
	coherency_update(vm);
	mutex_unlock(&vm->lock);
	fput(file);
	return ret;
}

/* As KVM, whatever is asked for. */
static int dev_get_attr(struct vm *vm, void *data, unsigned long arg)
{
	return -EPERM;
}

static const struct api_row dev_rows[] = {
	{ KVM_SET_DEVICE_ATTR, 0, .vm = dev_set_attr },
	{ KVM_GET_DEVICE_ATTR, ROW_RAW, .vm = dev_get_attr },
	{ KVM_HAS_DEVICE_ATTR, 0, .vm = dev_has_attr },
};

static long dev_ioctl(struct file *file, unsigned int cmd, unsigned long arg)
{
	return row_vm_ioctl(dev_rows, ARRAY_SIZE(dev_rows), file->private_data, cmd, arg);
}

static int dev_release(struct inode *inode, struct file *file)
{
	struct vm *vm = file->private_data;
	struct vfio_ref *ref, *next;

	mutex_lock(&vm->lock);
	list_for_each_entry_safe(ref, next, &vm->vfio.files, node)
		ref_drop(ref);
	coherency_update(vm);
	vm->vfio.open = false;
	mutex_unlock(&vm->lock);
	vm_put(vm);
	return 0;
}

static const struct file_operations dev_fops = {
	.owner = THIS_MODULE,
	.unlocked_ioctl = dev_ioctl,
	.compat_ioctl = compat_ptr_ioctl,
	.release = dev_release,
	.llseek = noop_llseek,
};

int dev_create(struct vm *vm, struct kvm_create_device *create)
{
	struct file *file;
	int fd;

	if (create->type != KVM_DEV_TYPE_VFIO)
		return -ENODEV;
	if (create->flags & KVM_CREATE_DEVICE_TEST)
		return 0;
	if (vm->vfio.open)
		return -EBUSY;
	fd = api_file("corbel-vfio", &dev_fops, vm, &file);
	if (fd < 0)
		return fd;
	INIT_LIST_HEAD(&vm->vfio.files);
	vm->vfio.open = true;
	vm_get(vm);
	create->fd = fd;
	fd_install(fd, file);
	return 0;
}
