/* SPDX-License-Identifier: GPL-2.0-only */
/* A row of an ioctl table: which locks are held, which function does it. */
#ifndef CORBEL_ROW_H
#define CORBEL_ROW_H

#include "types.h"

/* vcpu->lock is always taken for a vCPU's row. */
enum row_flags {
	ROW_VM_LOCK	= 1 << 0,	/* VM rows: vm->lock */
	ROW_SRCU	= 1 << 1,	/* vCPU rows: vm->srcu, for reading */
	ROW_LOADED	= 1 << 2,	/* vCPU rows: its state is in this CPU */
	ROW_RAW		= 1 << 3,	/* nothing is copied: the function looks at @arg itself */
	ROW_IN		= 1 << 4,	/* copied in only, though the number says otherwise */
};

/*
 * The number itself says how many bytes are copied from @arg before (_IOW), and to it after
 * success or -E2BIG (_IOR), outside all locks; @data is that buffer. What follows a structure of
 * variable size is still at @arg.
 */
struct api_row {
	unsigned int cmd;
	u16 flags;			/* enum row_flags */
	union {
		int (*sys)(void *data, unsigned long arg);
		int (*vm)(struct vm *vm, void *data, unsigned long arg);
		int (*vcpu)(struct vcpu *vcpu, void *data, unsigned long arg);
	};
};

/* A row's function that is one call; @call names obj, data and arg. */
#define ROW_FN(obj, name, call)						\
static int obj##_##name(struct obj *obj, void *data, unsigned long arg)	\
{									\
	return call;							\
}
#define ROW_VOID_FN(obj, name, call)					\
static int obj##_##name(struct obj *obj, void *data, unsigned long arg)	\
{									\
	call;								\
	return 0;							\
}

/** row_find() - by the whole command; NULL: unknown on this descriptor */
const struct api_row *row_find(const struct api_row *rows, unsigned int nr, unsigned int cmd);

/**
 * row_call() - one prologue and one epilogue for every ioctl
 * @vm, @vcpu: NULL for a row of /dev/corbel; @vcpu NULL for a row of a VM
 * Return: what the row returned, -EFAULT, -ENOMEM, or -EINTR: killed while waiting for the vCPU
 */
int row_call(const struct api_row *row, struct vm *vm, struct vcpu *vcpu, unsigned long arg);

/** row_vm_ioctl() - an ioctl on a descriptor of @vm, for its owner only. Return: row_call()'s, -EIO, -ENOTTY */
long row_vm_ioctl(const struct api_row *rows, unsigned int nr, struct vm *vm, unsigned int cmd,
		  unsigned long arg);

#endif
