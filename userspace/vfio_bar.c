// SPDX-License-Identifier: GPL-2.0-only
/*
 * BARs of an assigned function. Pages that VFIO lets us map are the guest's own, as memory slots;
 * the pages of the MSI-X table and PBA, I/O ports, small BARs and the expansion ROM are trapped.
 */
#include <linux/pci_regs.h>
#include <linux/vfio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "error.h"
#include "machine.h"
#include "vfio_pci.h"

static bool within(uint64_t off, uint32_t reg, uint64_t size)
{
	return off >= (reg & PCI_MSIX_TABLE_OFFSET) && off - (reg & PCI_MSIX_TABLE_OFFSET) < size;
}

/* Returns: whether the access was one to the MSI-X table or PBA, which the hardware never sees. */
static bool msix_access(struct vfio_bar *b, uint64_t off, void *data, unsigned int len, bool write)
{
	struct vfio_pci *vp = b->vp;
	struct msix *x = &vp->msix;
	uint32_t table, pba;

	if (!vp->cfg.msix)
		return false;
	table = pci_get32(&vp->pci, vp->cfg.msix + PCI_MSIX_TABLE);
	pba = pci_get32(&vp->pci, vp->cfg.msix + PCI_MSIX_PBA);
	if ((table & PCI_MSIX_TABLE_BIR) == b->index &&
	    within(off, table, x->n * PCI_MSIX_ENTRY_SIZE)) {
		msix_table_access(x, off - (table & PCI_MSIX_TABLE_OFFSET), data, len, write);
		return true;
	}
	if ((pba & PCI_MSIX_PBA_BIR) == b->index && within(off, pba, (x->n + 63) / 64 * 8)) {
		if (!write)
			msix_pba_read(x, off - (pba & PCI_MSIX_PBA_OFFSET), data, len);
		return true;
	}
	return false;
}

static void bar_access(void *dev, uint64_t off, void *data, unsigned int len, bool write)
{
	struct vfio_bar *b = dev;
	int fd = b->vp->f->fd;

	if (msix_access(b, off, data, len, write))
		return;
	/* It fails while the function is in a reset or asleep; the bus would answer the same. */
	if (write && pwrite(fd, data, len, b->offset + off) < 0)
		return;
	if (!write && pread(fd, data, len, b->offset + off) != (ssize_t)len)
		memset(data, 0xff, len);
}

static void show(struct vfio_bar *b, uint64_t gpa)
{
	for (unsigned int i = 0; i < b->nr_windows; i++) {
		struct vfio_window *w = &b->windows[i];

		w->slot = vm_slot_add(&b->vp->m->vm, gpa + w->area.start, w->hva, w->area.size);
	}
}

static void hide(struct vfio_bar *b)
{
	for (unsigned int i = 0; i < b->nr_windows; i++) {
		if (b->windows[i].slot >= 0)
			vm_slot_remove(&b->vp->m->vm, b->windows[i].slot);
		b->windows[i].slot = -1;
	}
}

void vfio_bar_moved(struct pci_dev *pd, unsigned int bar, uint64_t from, uint64_t to)
{
	struct vfio_pci *vp = pd->dev;

	(void)from;
	hide(&vp->bars[bar]);
	if (to && to % VFIO_PAGE == 0)
		show(&vp->bars[bar], to);
}

/* Returns: @info with all that VFIO chains to it, to be freed. */
static struct vfio_region_info *region_info(const struct vfio_pci *vp, unsigned int index)
{
	struct vfio_region_info *info = calloc(1, sizeof(*info)), *larger;

	if (!info)
		error_die(EXIT_ERROR, "out of memory");
	info->argsz = sizeof(*info);
	info->index = index;
	if (ioctl(vp->f->fd, VFIO_DEVICE_GET_REGION_INFO, info))
		info->size = 0;
	if (!info->size || info->argsz <= sizeof(*info))
		return info;
	larger = calloc(1, info->argsz);
	if (!larger)
		error_die(EXIT_ERROR, "out of memory");
	larger->argsz = info->argsz;
	larger->index = index;
	if (ioctl(vp->f->fd, VFIO_DEVICE_GET_REGION_INFO, larger))
		larger->size = 0;
	free(info);
	return larger;
}

static const void *region_cap(const struct vfio_region_info *info, uint16_t id)
{
	uint32_t off = info->flags & VFIO_REGION_INFO_FLAG_CAPS ? info->cap_offset : 0;

	while (off && off + sizeof(struct vfio_info_cap_header) <= info->argsz) {
		const struct vfio_info_cap_header *cap = (const void *)((const char *)info + off);

		if (cap->id == id)
			return cap;
		off = cap->next;
	}
	return NULL;
}

/* What VFIO would let anyone map. */
static unsigned int mappable(const struct vfio_region_info *info, struct vfio_area *areas)
{
	const struct vfio_region_info_cap_sparse_mmap *sparse;
	unsigned int n;

	if (!(info->flags & VFIO_REGION_INFO_FLAG_MMAP) || info->size % VFIO_PAGE)
		return 0;
	areas[0] = (struct vfio_area){ 0, info->size };
	sparse = region_cap(info, VFIO_REGION_INFO_CAP_SPARSE_MMAP);
	if (!sparse)
		return 1;
	for (n = 0; n < sparse->nr_areas && n < VFIO_MAX_AREAS; n++)
		areas[n] = (struct vfio_area){ sparse->areas[n].offset, sparse->areas[n].size };
	return n;
}

/* The table is the launcher's: what the guest writes there must not reach the hardware. */
static unsigned int without_msix(const struct vfio_pci *vp, unsigned int bar,
				 struct vfio_area *areas, unsigned int n)
{
	uint32_t table, pba;

	if (!vp->cfg.msix)
		return n;
	table = pci_get32(&vp->pci, vp->cfg.msix + PCI_MSIX_TABLE);
	pba = pci_get32(&vp->pci, vp->cfg.msix + PCI_MSIX_PBA);
	if ((table & PCI_MSIX_TABLE_BIR) == bar)
		n = vfio_area_cut(areas, n, table & PCI_MSIX_TABLE_OFFSET,
				  vp->msix.n * PCI_MSIX_ENTRY_SIZE);
	if ((pba & PCI_MSIX_PBA_BIR) == bar)
		n = vfio_area_cut(areas, n, pba & PCI_MSIX_PBA_OFFSET, (vp->msix.n + 63) / 64 * 8);
	return n;
}

static void map_windows(struct vfio_bar *b, const struct vfio_area *areas, unsigned int n)
{
	for (unsigned int i = 0; i < n; i++) {
		void *hva = mmap(NULL, areas[i].size, PROT_READ | PROT_WRITE, MAP_SHARED,
				 b->vp->f->fd, b->offset + areas[i].start);

		if (hva != MAP_FAILED)
			b->windows[b->nr_windows++] = (struct vfio_window){ areas[i], hva, -1 };
	}
}

/* The kind of a BAR is in its lowest bits, which VFIO shows as the hardware has them. */
static uint32_t kind(const uint8_t *raw, unsigned int i)
{
	uint32_t flags;

	if (i == PCI_ROM)
		return 0;
	memcpy(&flags, raw + PCI_BASE_ADDRESS_0 + 4 * i, sizeof(flags));
	if (flags & PCI_BASE_ADDRESS_SPACE_IO)
		return PCI_BASE_ADDRESS_SPACE_IO;
	return flags & (PCI_BASE_ADDRESS_MEM_TYPE_64 | PCI_BASE_ADDRESS_MEM_PREFETCH);
}

static void add_bar(struct vfio_pci *vp, unsigned int i, uint32_t flags)
{
	struct vfio_region_info *info =
		region_info(vp, i == PCI_ROM ? VFIO_PCI_ROM_REGION_INDEX : i);
	struct vfio_area areas[VFIO_MAX_AREAS];
	struct vfio_bar *b = &vp->bars[i];

	if (info->size) {
		*b = (struct vfio_bar){
			.vp = vp, .index = i, .size = info->size, .offset = info->offset
		};
		pci_add_bar(&vp->pci, i, info->size, flags, bar_access, b);
		map_windows(b, areas, without_msix(vp, i, areas, mappable(info, areas)));
	}
	free(info);
}

/* @raw: the configuration space as VFIO shows it. What the MSI-X capability says is known by now.
 */
void vfio_bars_init(struct vfio_pci *vp, const uint8_t *raw)
{
	for (unsigned int i = 0; i < PCI_BARS; i++) {
		uint32_t flags = kind(raw, i);

		add_bar(vp, i, flags);
		if (flags & PCI_BASE_ADDRESS_MEM_TYPE_64)
			i++;
	}
}

void vfio_bars_free(struct vfio_pci *vp)
{
	for (unsigned int i = 0; i < PCI_BARS; i++) {
		struct vfio_bar *b = &vp->bars[i];

		hide(b);
		for (unsigned int w = 0; w < b->nr_windows; w++)
			munmap(b->windows[w].hva, b->windows[w].area.size);
	}
}
