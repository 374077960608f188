// SPDX-License-Identifier: GPL-2.0-only
/*
 * KVM_CREATE_DEVICE and VFIO's device: the errors that clients tell apart, and, with a real group
 * (TEST_VFIO_GROUP=/dev/vfio/N, of which no device is open), that its file is held as long as it
 * should. Catches: a group that is never given back, or not held; a wild pointer given to VFIO.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <linux/vfio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "vcpu.h"

static int device_create(struct vm *vm, u32 type, u32 flags)
{
	struct kvm_create_device create = { .type = type, .flags = flags, .fd = 0xbad };

	if (ioctl(vm->fd, KVM_CREATE_DEVICE, &create))
		return -1;
	if (flags & KVM_CREATE_DEVICE_TEST)
		CHECK_EQ(create.fd, 0xbad);
	return create.fd;
}

static int attr(int dev, unsigned long request, u32 group, u64 attr, const void *at)
{
	struct kvm_device_attr what = { .group = group, .attr = attr, .addr = (uintptr_t)at };

	return ioctl(dev, request, &what);
}

static int group_set(int dev, u64 what, int fd)
{
	return attr(dev, KVM_SET_DEVICE_ATTR, KVM_DEV_VFIO_GROUP, what, &fd);
}

static struct vm *vm;

static int vfio_create(void)
{
	/* KVM 6.1 has the device, but not the capability on x86; later ones have both. */
	CHECK(dev_cap(KVM_CAP_DEVICE_CTRL) || !test_is_corbel());
	vm = vm_create(0);
	return SYS(device_create(vm, KVM_DEV_TYPE_VFIO, 0));
}

static void create(void)
{
	int dev = vfio_create();
	u32 type;

	SYS(device_create(vm, KVM_DEV_TYPE_VFIO, KVM_CREATE_DEVICE_TEST));
	CHECK_ERRNO(device_create(vm, KVM_DEV_TYPE_VFIO, 0), EBUSY);
	for (type = 0; type < 20; type++) {
		if (type == KVM_DEV_TYPE_VFIO)
			continue;
		CHECK_ERRNO(device_create(vm, type, 0), ENODEV);
		CHECK_ERRNO(device_create(vm, type, KVM_CREATE_DEVICE_TEST), ENODEV);
	}
	CHECK_ERRNO(device_create(vm, ~0u, 0), ENODEV);
	close(dev);
	close(SYS(device_create(vm, KVM_DEV_TYPE_VFIO, 0)));
}

static void attributes(void)
{
	int dev = vfio_create(), null = SYS(open("/dev/null", O_RDWR));
	u64 both[] = { KVM_DEV_VFIO_GROUP_ADD, KVM_DEV_VFIO_GROUP_DEL }, val = 0;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(both); i++) {
		CHECK_EQ(attr(dev, KVM_HAS_DEVICE_ATTR, KVM_DEV_VFIO_GROUP, both[i], NULL), 0);
		CHECK_ERRNO(attr(dev, KVM_HAS_DEVICE_ATTR, 0, both[i], NULL), ENXIO);
		CHECK_ERRNO(attr(dev, KVM_GET_DEVICE_ATTR, KVM_DEV_VFIO_GROUP, both[i],
				 &val), EPERM);
		CHECK_ERRNO(attr(dev, KVM_SET_DEVICE_ATTR, 0, both[i], &val), ENXIO);
		CHECK_ERRNO(attr(dev, KVM_SET_DEVICE_ATTR, KVM_DEV_VFIO_GROUP, both[i],
				 (void *)8), EFAULT);
		CHECK_ERRNO(group_set(dev, both[i], -1), EBADF);
		CHECK_ERRNO(group_set(dev, both[i], 12345), EBADF);
	}
	CHECK_ERRNO(attr(dev, KVM_HAS_DEVICE_ATTR, KVM_DEV_VFIO_GROUP, 99, NULL), ENXIO);
	CHECK_ERRNO(attr(dev, KVM_SET_DEVICE_ATTR, KVM_DEV_VFIO_GROUP, 99, &val), ENXIO);
	CHECK_ERRNO(group_set(dev, KVM_DEV_VFIO_GROUP_ADD, null), EINVAL);
	CHECK_ERRNO(group_set(dev, KVM_DEV_VFIO_GROUP_DEL, null), ENOENT);
	CHECK_ERRNO(ioctl(dev, KVM_SET_DEVICE_ATTR, 8), EFAULT);
	CHECK_ERRNO(ioctl(dev, KVM_CHECK_EXTENSION, 0), ENOTTY);
	CHECK_ERRNO((long)mmap(NULL, PAGE, PROT_READ, MAP_SHARED, dev, 0), ENODEV);
}

/* It keeps the VM, and what is in it, for as long as it is open. */
static void outlives_the_vm(void)
{
	int dev = vfio_create();
	struct vcpu *vcpu = vcpu_create(vm, 0);

	close(vcpu->fd);
	close(vm->fd);
	CHECK_ERRNO(group_set(dev, KVM_DEV_VFIO_GROUP_ADD, -1), EBADF);
	close(dev);
}

static void wbinvd_guest(void)
{
	asm volatile("wbinvd" ::: "memory");
	*(volatile u32 *)VM_TEST_GPA = 5;
	asm volatile("wbinvd" ::: "memory");
	GUEST_SYNC(*(volatile u32 *)VM_TEST_GPA);
}

/* The group in a container: only then does it say how its DMA goes. */
static void container_set(int group)
{
	int container = SYS(open("/dev/vfio/vfio", O_RDWR));

	SYS(ioctl(group, VFIO_GROUP_SET_CONTAINER, &container));
	SYS(ioctl(container, VFIO_SET_IOMMU, VFIO_TYPE1_IOMMU));
	test_note("cache-coherent DMA: %d",
		  ioctl(container, VFIO_CHECK_EXTENSION, VFIO_DMA_CC_IOMMU));
}

static void group(void)
{
	const char *path = getenv("TEST_VFIO_GROUP");
	int dev = vfio_create(), fd;
	struct vcpu *vcpu;

	if (!path)
		test_skip("no VFIO group");
	fd = SYS(open(path, O_RDWR));
	CHECK_ERRNO(group_set(dev, KVM_DEV_VFIO_GROUP_DEL, fd), ENOENT);
	CHECK_EQ(group_set(dev, KVM_DEV_VFIO_GROUP_ADD, fd), 0);
	CHECK_ERRNO(group_set(dev, KVM_DEV_VFIO_GROUP_ADD, fd), EEXIST);
	CHECK_EQ(group_set(dev, KVM_DEV_VFIO_GROUP_DEL, fd), 0);
	container_set(fd);
	CHECK_EQ(group_set(dev, KVM_DEV_VFIO_GROUP_ADD, fd), 0);

	vm_add_anon(vm, VM_SLOT_TEST, 0, VM_TEST_GPA, PAGE);
	vcpu = vcpu_create(vm, 0);
	vcpu_enter(vcpu, wbinvd_guest, 0);
	vcpu_run_sync(vcpu, 5);

	/* A group has one opener: the device is it, until it is closed. */
	close(fd);
	CHECK_ERRNO(open(path, O_RDWR), EBUSY);
	close(dev);
	close(SYS(open(path, O_RDWR)));
}

static const struct test_case cases[] = {
	{ "create", create },
	{ "attributes", attributes },
	{ "outlives_the_vm", outlives_the_vm },
	{ "group", group },
};

TEST_MAIN(cases)
