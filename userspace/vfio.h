/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef CORBEL_VFIO_H	/* the kernel's header has the other name */
#define CORBEL_VFIO_H

#include <stdint.h>

#include "pci_host.h"

#define VFIO_MAX_FUNCTIONS	16

struct ram;
struct vm;

/* One function of the host's, opened once; it stays open over guest resets. */
struct vfio_function {
	char name[PCI_HOST_NAME];
	int group_id, group_fd;		/* functions of one group share its descriptor */
	int fd;
};

/* All functions of this guest, in one IOMMU address space. */
struct vfio {
	struct vfio_function functions[VFIO_MAX_FUNCTIONS];
	unsigned int n;
	int container;
};

void vfio_open(struct vfio *vfio);
void vfio_map(const struct vfio *vfio, struct ram *ram);
void vfio_unmap(const struct vfio *vfio, struct ram *ram);
int vfio_tell_vm(const struct vfio *vfio, struct vm *vm);

#endif
