// SPDX-License-Identifier: GPL-2.0-only
/* VFIO's container, groups and functions: what the host lends to the guest, and its DMA. */
#include <errno.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <linux/vfio.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include "error.h"
#include "ram.h"
#include "vfio.h"
#include "vm.h"

/* Sentences for all that sysfs can tell before VFIO is asked. */
static void check_host(struct vfio_function *f)
{
	char driver[64];

	if (!pci_host_exists(f->name))
		error_die(EXIT_ERROR, "there is no PCI function %s; corbel pci list shows all",
			  f->name);
	f->group_id = pci_host_group(f->name);
	if (f->group_id < 0)
		error_die(EXIT_ERROR,
			  "no IOMMU isolates %s; turn VT-d or AMD-Vi on in the firmware, and on "
			  "Intel boot with intel_iommu=on",
			  f->name);
	if (!pci_host_driver(f->name, driver, sizeof(driver)))
		error_die(EXIT_ERROR, "%s is not bound to vfio-pci; do: corbel pci bind %s",
			  f->name, f->name);
	if (strcmp(driver, "vfio-pci"))
		error_die(EXIT_ERROR,
			  "%s is held by the host's driver %s, not by vfio-pci; do: corbel pci "
			  "bind %s",
			  f->name, driver, f->name);
}

static _Noreturn void not_viable(const struct vfio_function *f)
{
	struct pci_host_list list;
	char driver[64];

	pci_host_group_functions(f->group_id, &list);
	for (unsigned int i = 0; i < list.n; i++)
		if (pci_host_driver(list.names[i], driver, sizeof(driver)) &&
		    !pci_host_harmless(list.names[i], driver))
			error_die(EXIT_ERROR,
				  "IOMMU group %d of %s is not viable: the host's driver %s "
				  "holds %s in it; do: corbel pci bind %s %s",
				  f->group_id, f->name, driver, list.names[i], f->name,
				  list.names[i]);
	error_die(EXIT_ERROR,
		  "IOMMU group %d of %s is not viable: a driver of the host's holds another "
		  "device in it",
		  f->group_id, f->name);
}

static void open_container(struct vfio *vfio)
{
	vfio->container = open("/dev/vfio/vfio", O_RDWR | O_CLOEXEC);
	if (vfio->container < 0)
		error_die(EXIT_ERROR,
			  "cannot open /dev/vfio/vfio: %s; load VFIO: sudo modprobe vfio-pci",
			  strerror(errno));
	if (ioctl(vfio->container, VFIO_GET_API_VERSION) != VFIO_API_VERSION)
		error_die(EXIT_ERROR, "the host's VFIO does not speak version %d",
			  VFIO_API_VERSION);
}

static void open_group(struct vfio_function *f)
{
	struct vfio_group_status status = { .argsz = sizeof(status) };
	char path[32];

	snprintf(path, sizeof(path), "/dev/vfio/%d", f->group_id);
	f->group_fd = open(path, O_RDWR | O_CLOEXEC);
	if (f->group_fd < 0 && errno == EBUSY)
		error_die(EXIT_ERROR, "IOMMU group %d of %s is in use by another guest",
			  f->group_id, f->name);
	if (f->group_fd < 0)
		error_die(EXIT_ERROR,
			  "cannot open %s for %s: %s; run as root, or let its owner be you", path,
			  f->name, strerror(errno));
	if (ioctl(f->group_fd, VFIO_GROUP_GET_STATUS, &status))
		error_die(EXIT_ERROR, "VFIO does not tell the state of %s: %s", path,
			  strerror(errno));
	if (!(status.flags & VFIO_GROUP_FLAGS_VIABLE))
		not_viable(f);
}

/* The first group chooses the container's IOMMU; later ones have to fit it. */
static void join_container(struct vfio *vfio, struct vfio_function *f, bool first)
{
	int ret = ioctl(f->group_fd, VFIO_GROUP_SET_CONTAINER, &vfio->container);

	if (!ret && first)
		ret = ioctl(vfio->container, VFIO_SET_IOMMU, VFIO_TYPE1v2_IOMMU);
	if (ret && errno == EPERM)
		error_die(EXIT_ERROR,
			  "the host does not remap interrupts, so %s could forge them: turn "
			  "interrupt remapping on, or, if you trust the guest, load "
			  "vfio_iommu_type1 with "
			  "allow_unsafe_interrupts=1",
			  f->name);
	if (ret)
		error_die(EXIT_ERROR,
			  "VFIO cannot give IOMMU group %d of %s to the guest: %s; see dmesg",
			  f->group_id, f->name, strerror(errno));
}

static void open_function(struct vfio *vfio, unsigned int i)
{
	struct vfio_function *f = &vfio->functions[i];
	unsigned int same = 0;

	while (same < i && vfio->functions[same].group_id != f->group_id)
		same++;
	if (same < i) {
		f->group_fd = vfio->functions[same].group_fd;
	} else {
		open_group(f);
		join_container(vfio, f, i == 0);
	}
	f->fd = ioctl(f->group_fd, VFIO_GROUP_GET_DEVICE_FD, f->name);
	if (f->fd < 0)
		error_die(EXIT_ERROR, "VFIO cannot open %s: %s; see dmesg", f->name,
			  strerror(errno));
	fcntl(f->fd, F_SETFD, FD_CLOEXEC);
}

/* Every interrupt vector of a function is an eventfd. */
static void raise_limit(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit))
		return;
	limit.rlim_cur = limit.rlim_max;
	setrlimit(RLIMIT_NOFILE, &limit);
}

/* Open all functions that the command line names. Ends the process with a reason where that fails.
 */
void vfio_open(struct vfio *vfio)
{
	if (!vfio->n)
		return;
	for (unsigned int i = 0; i < vfio->n; i++)
		check_host(&vfio->functions[i]);
	raise_limit();
	open_container(vfio);
	for (unsigned int i = 0; i < vfio->n; i++)
		open_function(vfio, i);
}

static void map(const struct vfio *vfio, uint64_t gpa, void *hva, uint64_t size)
{
	struct vfio_iommu_type1_dma_map map = {
		.argsz = sizeof(map),
		.flags = VFIO_DMA_MAP_FLAG_READ | VFIO_DMA_MAP_FLAG_WRITE,
		.vaddr = (uintptr_t)hva,
		.iova = gpa,
		.size = size,
	};

	if (!size || !ioctl(vfio->container, VFIO_IOMMU_MAP_DMA, &map))
		return;
	if (errno == ENOMEM)
		error_die(EXIT_ERROR,
			  "cannot lock %llu MiB of guest memory for DMA: raise the limit of "
			  "locked memory (ulimit -l), or lower --memory",
			  (unsigned long long)size >> 20);
	error_die(EXIT_ERROR, "cannot map guest memory for DMA: %s; see dmesg", strerror(errno));
}

/* All of the guest's memory, and nothing else, is where its functions' DMA can go. */
void vfio_map(const struct vfio *vfio, struct ram *ram)
{
	map(vfio, 0, ram->base, ram->low);
	map(vfio, RAM_HOLE_END, ram->base + ram->low, ram->size - ram->low);
	ram->pinned = true;
}

static void unmap(const struct vfio *vfio, uint64_t gpa, uint64_t size)
{
	struct vfio_iommu_type1_dma_unmap unmap = {
		.argsz = sizeof(unmap), .iova = gpa, .size = size };

	if (size && ioctl(vfio->container, VFIO_IOMMU_UNMAP_DMA, &unmap))
		error_die(EXIT_ERROR, "cannot take guest memory from its devices: %s",
			  strerror(errno));
}

void vfio_unmap(const struct vfio *vfio, struct ram *ram)
{
	unmap(vfio, 0, ram->low);
	unmap(vfio, RAM_HOLE_END, ram->size - ram->low);
	ram->pinned = false;
}

/*
 * Let the hypervisor know the groups: it then honours the guest's cache control where the devices'
 * DMA is not coherent. Returns: the descriptor of the VM's VFIO device, -1: the hypervisor has
 * none.
 */
int vfio_tell_vm(const struct vfio *vfio, struct vm *vm)
{
	struct kvm_create_device create = { .type = KVM_DEV_TYPE_VFIO };
	struct kvm_device_attr attr = { .group = KVM_DEV_VFIO_GROUP,
					.attr = KVM_DEV_VFIO_GROUP_ADD };

	if (ioctl(vm->fd, KVM_CREATE_DEVICE, &create))
		return -1;
	for (unsigned int i = 0; i < vfio->n; i++) {
		int32_t fd = vfio->functions[i].group_fd;

		attr.addr = (uintptr_t)&fd;
		if (ioctl(create.fd, KVM_SET_DEVICE_ATTR, &attr) && errno != EEXIST)
			error_die(EXIT_ERROR, "the hypervisor refused IOMMU group %d: %s",
				  vfio->functions[i].group_id, strerror(errno));
	}
	return create.fd;
}
