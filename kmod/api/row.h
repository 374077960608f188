/* SPDX-License-Identifier: GPL-2.0-only */
/* A row of an ioctl table: what is copied, which locks are held, which function does it. */
#ifndef CORBEL_ROW_H
#define CORBEL_ROW_H

#include "types.h"

enum row_flags {
	ROW_VM_LOCK	= 1 << 0,	/* VM rows: vm->lock */
	ROW_SRCU	= 1 << 1,	/* vCPU rows: vm->srcu, for reading */
	ROW_LOADED	= 1 << 2,	/* vCPU rows: its state is in this CPU */
};					/* vcpu->lock is always taken for a vCPU's row */

/*
 * @in bytes are copied from @arg before, @out bytes to it after success (0 or more), outside all
 * locks; @data is that buffer. A row without them looks at @arg itself.
 */
struct api_row {
	unsigned int cmd;		/* the whole number: direction and size too */
	u16 in, out;
	u16 flags;			/* enum row_flags */
	union {
		int (*sys)(void *data, unsigned long arg);
		int (*vm)(struct vm *vm, void *data, unsigned long arg);
		int (*vcpu)(struct vcpu *vcpu, void *data, unsigned long arg);
	};
};

/*
 * A row's function that only passes the buffer on: to int fn(obj, buffer), or to one without
 * result.
 */
#define ROW_FN(name, obj, fn)						\
static int name(struct obj *obj, void *data, unsigned long arg)		\
{									\
	return fn(obj, data);						\
}
#define ROW_VOID_FN(name, obj, fn)					\
static int name(struct obj *obj, void *data, unsigned long arg)		\
{									\
	fn(obj, data);							\
	return 0;							\
}

#define ROW_ARG(_cmd, _flags, fd, fn)		/* arg is a number, nothing, or read by fn */ \
	{ .cmd = _cmd, .flags = _flags, .fd = fn }
#define ROW_IN(_cmd, type, _flags, fd, fn) \
	{ .cmd = _cmd, .in = sizeof(type), .flags = _flags, .fd = fn }
#define ROW_OUT(_cmd, type, _flags, fd, fn) \
	{ .cmd = _cmd, .out = sizeof(type), .flags = _flags, .fd = fn }
#define ROW_INOUT(_cmd, type, _flags, fd, fn) \
	{ .cmd = _cmd, .in = sizeof(type), .out = sizeof(type), .flags = _flags, .fd = fn }

/** row_find() - by the whole command; NULL: unknown on this descriptor */
const struct api_row *row_find(const struct api_row *rows, unsigned int nr, unsigned int cmd);

/**
 * row_call() - one prologue and one epilogue for every ioctl
 * @vm, @vcpu: NULL for a row of /dev/corbel; @vcpu NULL for a row of a VM
 * Return: what the row returned, -EFAULT, -ENOMEM, or -EINTR: killed while waiting for the vCPU
 */
int row_call(const struct api_row *row, struct vm *vm, struct vcpu *vcpu, unsigned long arg);

#endif
