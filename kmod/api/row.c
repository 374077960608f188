// SPDX-License-Identifier: GPL-2.0-only
/* One way through every ioctl: copy in, lock, call, unlock, copy out. */
#include <linux/mm.h>
#include <linux/slab.h>
#include <linux/uaccess.h>
#include "row.h"
#include "vm.h"

#define ROW_SMALL	160	/* bytes that need no allocation: the hot ones do not */

const struct api_row *row_find(const struct api_row *rows, unsigned int nr, unsigned int cmd)
{
	unsigned int i;

	for (i = 0; i < nr; i++) {
		if (rows[i].cmd == cmd)
			return &rows[i];
	}
	return NULL;
}

static int row_vm(const struct api_row *row, struct vm *vm, void *data, unsigned long arg)
{
	int ret;

	if (row->flags & ROW_VM_LOCK)
		mutex_lock(&vm->lock);
	ret = row->vm(vm, data, arg);
	if (row->flags & ROW_VM_LOCK)
		mutex_unlock(&vm->lock);
	return ret;
}

static int row_srcu(const struct api_row *row, struct vcpu *vcpu, void *data, unsigned long arg)
{
	int srcu = srcu_read_lock(&vcpu->vm->srcu);
	int ret = row->vcpu(vcpu, data, arg);

	srcu_read_unlock(&vcpu->vm->srcu, srcu);
	return ret;
}

static int row_vcpu(const struct api_row *row, struct vcpu *vcpu, void *data, unsigned long arg)
{
	int ret;

	if (mutex_lock_killable(&vcpu->lock))
		return -EINTR;
	if (row->flags & ROW_LOADED)
		vcpu_load(vcpu);
	if (row->flags & ROW_SRCU)
		ret = row_srcu(row, vcpu, data, arg);
	else
		ret = row->vcpu(vcpu, data, arg);
	if (row->flags & ROW_LOADED)
		vcpu_put(vcpu);
	mutex_unlock(&vcpu->lock);
	return ret;
}

static int row_locked(const struct api_row *row, struct vm *vm, struct vcpu *vcpu, void *data,
		      unsigned long arg)
{
	if (vcpu)
		return row_vcpu(row, vcpu, data, arg);
	if (vm)
		return row_vm(row, vm, data, arg);
	return row->sys(data, arg);
}

static noinline int row_copied(const struct api_row *row, struct vm *vm, struct vcpu *vcpu, unsigned long arg,
			       unsigned int size)
{
	void __user *user = (void __user *)arg;
	u64 small[ROW_SMALL / sizeof(u64)] = { };	/* nothing of ours goes out unwritten */
	void *data = small;
	int ret = -EFAULT;
	bool in, out;

	in = (_IOC_DIR(row->cmd) & _IOC_WRITE) || (row->flags & ROW_IN);
	out = (_IOC_DIR(row->cmd) & _IOC_READ) && !(row->flags & ROW_IN);
	if (size > sizeof(small))
		data = kzalloc(size, GFP_KERNEL_ACCOUNT);
	if (!data)
		return -ENOMEM;
	if (!in || !copy_from_user(data, user, size))
		ret = row_locked(row, vm, vcpu, data, arg);
	if (out && (ret >= 0 || ret == -E2BIG) && copy_to_user(user, data, size))
		ret = -EFAULT;
	if (data != small)
		kfree(data);
	return ret;
}

int row_call(const struct api_row *row, struct vm *vm, struct vcpu *vcpu, unsigned long arg)
{
	unsigned int size = row->flags & ROW_RAW ? 0 : _IOC_SIZE(row->cmd);

	return size ? row_copied(row, vm, vcpu, arg, size) : row_locked(row, vm, vcpu, NULL, arg);
}

long row_vm_ioctl(const struct api_row *rows, unsigned int nr, struct vm *vm, unsigned int cmd,
		  unsigned long arg)
{
	const struct api_row *row;

	if (vm->mm != current->mm || READ_ONCE(vm->dead))
		return -EIO;
	row = row_find(rows, nr, cmd);
	return row ? row_call(row, vm, NULL, arg) : -ENOTTY;
}
