/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef VFIO_CFG_H
#define VFIO_CFG_H

#include <stdbool.h>
#include <stdint.h>

#include "pci.h"

/* Which bytes of an assigned function's configuration space are the launcher's; the rest is VFIO's.
 */
struct vfio_cfg {
	bool ours[PCI_CFG_SIZE];
	unsigned int msi, msix;		/* offsets of the capabilities, 0: none */
};

void vfio_cfg_init(struct vfio_cfg *c, struct pci_dev *pd, const uint8_t *raw);
bool vfio_cfg_run(const struct vfio_cfg *c, unsigned int *off, unsigned int *len, unsigned int end);

#endif
