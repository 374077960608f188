/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef VFIO_PCI_H
#define VFIO_PCI_H

#include "device.h"
#include "msix.h"
#include "pci.h"
#include "vfio.h"
#include "vfio_area.h"
#include "vfio_cfg.h"

#define VFIO_MAX_MSI	32

/* The last one is not the guest's: the host wants the function back. */
enum vfio_irq_mode { VFIO_IRQ_OFF, VFIO_IRQ_INTX, VFIO_IRQ_MSI, VFIO_IRQ_MSIX, VFIO_IRQ_REQUEST };

/* A part of a BAR that the guest accesses by itself, through a memory slot. */
struct vfio_window {
	struct vfio_area area;
	void *hva;
	int slot;	/* -1: not at the moment, and then accesses are trapped */
};

struct vfio_bar {
	struct vfio_pci *vp;
	unsigned int index;
	uint64_t size, offset;	/* in the function's descriptor */
	unsigned int nr_windows;
	struct vfio_window windows[VFIO_MAX_AREAS];
};

struct vfio_line {
	int eventfd, resamplefd;
	unsigned int gsi;
};

struct vfio_msi {
	unsigned int n, used;		/* that there are; that are wired */
	int eventfds[VFIO_MAX_MSI], gsis[VFIO_MAX_MSI];
};

/* An assigned function. pci.lock guards it, once the vCPUs run. */
struct vfio_pci {
	struct device device;
	struct machine *m;
	const struct vfio_function *f;
	struct pci_dev pci;
	struct vfio_cfg cfg;
	uint64_t cfg_offset;
	struct vfio_bar bars[PCI_BARS];
	enum vfio_irq_mode irq;		/* guarded by msix.lock too, where there is MSI-X */
	struct vfio_line line;
	struct vfio_msi msi;
	struct msix msix;
	bool *triggers;			/* vectors of MSI-X that the hardware knows */
	int request;			/* eventfd */
};

void vfio_bars_init(struct vfio_pci *vp, const uint8_t *raw);
void vfio_bars_free(struct vfio_pci *vp);
void vfio_bar_moved(struct pci_dev *pd, unsigned int bar, uint64_t from, uint64_t to);
void vfio_irq_init(struct vfio_pci *vp);
void vfio_irq_start(struct vfio_pci *vp);
void vfio_irq_free(struct vfio_pci *vp);
void vfio_irq_written(struct vfio_pci *vp, unsigned int off, unsigned int len);

#endif
