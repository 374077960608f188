/* SPDX-License-Identifier: GPL-2.0-only */
/* The ioctl surface: tables of rows, the descriptors they hang on. */
#ifndef CORBEL_API_H
#define CORBEL_API_H

#include <linux/fs.h>
#include "types.h"

extern const struct file_operations sys_fops;	/* /dev/corbel */
extern const struct file_operations vm_fops;
extern const struct file_operations vcpu_fops;

/**
 * api_vm_fd() - give a finished VM its descriptor ("corbel-vm"), its name and its statistics
 * Takes over the caller's reference on success. Return: file descriptor or -errno
 */
int api_vm_fd(struct vm *vm);

/**
 * api_vcpu_fd() - descriptor of a vCPU ("corbel-vcpu:N"), which holds a reference to the VM
 * Takes a VM reference of its own on success. The caller publishes the vCPU in
 * vm->vcpus and nr_vcpus afterwards: until then, whoever guesses the number gets -EINVAL.
 * Return: file descriptor or -errno
 */
int api_vcpu_fd(struct vcpu *vcpu);

/** dev_create() - KVM_CREATE_DEVICE. Context: vm->lock. Return: 0, -ENODEV, -EBUSY or -errno */
int dev_create(struct vm *vm, struct kvm_create_device *create);

/** api_file() - an open descriptor that fd_install() must finish. Return: its number or -errno */
int api_file(const char *name, const struct file_operations *fops, void *object,
	     struct file **file);

#define API_SYNC_FIELDS	(KVM_SYNC_X86_REGS | KVM_SYNC_X86_SREGS | KVM_SYNC_X86_EVENTS)

/** cap_check() - KVM_CHECK_EXTENSION, the same on /dev/corbel and on a VM. Never negative. */
int cap_check(unsigned long cap);

/*
 * KVM_ENABLE_CAP on a VM, vm->lock held, or on a vCPU.
 * Return: 0, -EINVAL (also for a capability that is not ours), -EEXIST, -ENOMEM
 */
int cap_enable(struct vm *vm, const struct kvm_enable_cap *cap);
int cap_enable_vcpu(struct vcpu *vcpu, const struct kvm_enable_cap *cap);

#define MSR_IO_MAX	256	/* KVM_GET_MSRS and KVM_SET_MSRS take fewer than this */

/**
 * msr_io() - walk the entries of KVM_GET_MSRS or KVM_SET_MSRS at @arg up to the first that fails
 * @access: of one MSR; @vcpu as given. Return: how many were done, -E2BIG, -EFAULT, -ENOMEM
 */
int msr_io(struct vcpu *vcpu, const struct kvm_msrs *head, unsigned long arg, bool write_back,
	   int (*access)(struct vcpu *vcpu, struct kvm_msr_entry *entry));

#endif
