// SPDX-License-Identifier: GPL-2.0-only
/* Functions of the host's PCI bus on the guest's: put there, reset, taken away. */
#include <linux/pci_regs.h>
#include <linux/vfio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "error.h"
#include "machine.h"
#include "vfio_pci.h"

/* What all functions share: the guest's memory as their DMA sees it, and the hypervisor's
 * knowledge. */
struct dma {
	struct device device;
	struct machine *m;
	int vm_fd;
};

static void cfg_read(struct pci_dev *pd, unsigned int off, unsigned int len)
{
	struct vfio_pci *vp = pd->dev;
	unsigned int end = off + len, n;

	for (; vfio_cfg_run(&vp->cfg, &off, &n, end); off += n)
		if (pread(vp->f->fd, pd->cfg + off, n, vp->cfg_offset + off) != (ssize_t)n)
			memset(pd->cfg + off, 0xff, n);
}

static void cfg_written(struct pci_dev *pd, unsigned int off, unsigned int len)
{
	struct vfio_pci *vp = pd->dev;
	unsigned int at = off, end = off + len, n;

	for (; vfio_cfg_run(&vp->cfg, &at, &n, end); at += n)
		if (pwrite(vp->f->fd, pd->cfg + at, n, vp->cfg_offset + at) != (ssize_t)n)
			break;	/* VFIO's own refusal: the guest sees that nothing has changed */
	vfio_irq_written(vp, off, len);
}

/* Of a function that cannot be reset, the guest gets what the last user left; VFIO stops its DMA.
 */
static void reset(const struct vfio_pci *vp)
{
	struct vfio_device_info info = { .argsz = sizeof(info) };
	uint16_t command = 0;

	if (pwrite(vp->f->fd, &command, sizeof(command), vp->cfg_offset + PCI_COMMAND) < 0)
		error_warn("%s does not take commands", vp->f->name);
	if (!ioctl(vp->f->fd, VFIO_DEVICE_GET_INFO, &info) &&
	    info.flags & VFIO_DEVICE_FLAGS_RESET && ioctl(vp->f->fd, VFIO_DEVICE_RESET))
		error_warn("%s could not be reset", vp->f->name);
}

static void vfio_pci_free(struct device *dev)
{
	struct vfio_pci *vp = (struct vfio_pci *)dev;

	vfio_irq_free(vp);
	vfio_bars_free(vp);
	reset(vp);
	free(vp);
}

static uint64_t config_offset(const struct vfio_function *f)
{
	struct vfio_region_info info = { .argsz = sizeof(info),
					 .index = VFIO_PCI_CONFIG_REGION_INDEX };

	if (ioctl(f->fd, VFIO_DEVICE_GET_REGION_INFO, &info) || info.size < PCI_CFG_SIZE)
		error_die(EXIT_ERROR, "VFIO does not show the configuration space of %s", f->name);
	return info.offset;
}

static void add_function(struct machine *m, const struct vfio_function *f)
{
	struct vfio_pci *vp = calloc(1, sizeof(*vp));
	uint8_t raw[PCI_CFG_SIZE];

	if (!vp)
		error_die(EXIT_ERROR, "out of memory");
	vp->m = m;
	vp->f = f;
	vp->cfg_offset = config_offset(f);
	reset(vp);
	if (pread(f->fd, raw, sizeof(raw), vp->cfg_offset) != sizeof(raw))
		error_die(EXIT_ERROR, "cannot read the configuration space of %s", f->name);
	if ((raw[PCI_HEADER_TYPE] & 0x7f) != PCI_HEADER_TYPE_NORMAL)
		error_die(EXIT_ERROR, "%s is a bridge; only devices can be assigned", f->name);
	pci_dev_init(&vp->pci, m, 0, 0, 0);
	vp->pci.dev = vp;
	vfio_cfg_init(&vp->cfg, &vp->pci, raw);
	vfio_irq_init(vp);
	vfio_bars_init(vp, raw);
	vp->pci.bar_moved = vfio_bar_moved;
	vp->pci.cfg_read = cfg_read;
	vp->pci.cfg_written = cfg_written;
	pci_register(&vp->pci);
	vfio_irq_start(vp);
	machine_add_device(m, &vp->device, vfio_pci_free);
}

static void dma_free(struct device *dev)
{
	struct dma *dma = (struct dma *)dev;

	if (dma->vm_fd >= 0)
		close(dma->vm_fd);
	vfio_unmap(&dma->m->config->vfio, &dma->m->ram);
	free(dma);
}

static void vfio_pci_create(struct machine *m)
{
	const struct vfio *vfio = &m->config->vfio;
	struct dma *dma;

	if (!vfio->n)
		return;
	if (!m->vm.has_irqfd)
		error_die(EXIT_ERROR, "--pci needs a hypervisor with irqfd, and --irqfd on");
	dma = calloc(1, sizeof(*dma));
	if (!dma)
		error_die(EXIT_ERROR, "out of memory");
	dma->m = m;
	vfio_map(vfio, &m->ram);
	dma->vm_fd = vfio_tell_vm(vfio, &m->vm);
	machine_add_device(m, &dma->device, dma_free);
	/* The last one that is added is the first one that is freed: no function outlives its
	 * memory. */
	for (unsigned int i = 0; i < vfio->n; i++)
		add_function(m, &vfio->functions[i]);
}

DEVICE_TYPE(vfio_pci);
