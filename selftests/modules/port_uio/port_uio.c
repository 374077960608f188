// SPDX-License-Identifier: GPL-2.0-only
/*
 * Driver of a domain port, for tests only: lets a program in the driver domain wait for the port's
 * interrupts and map its BARs. Each vector is a UIO device, in their order; map 0 of each are the
 * registers, map 1 is the other guest's memory. Debian's kernel has no driver that hands MSI-X
 * vectors to a program without an IOMMU: VFIO's mode without one is not compiled in, and
 * uio_pci_generic knows the interrupt line only.
 */
#include <linux/module.h>
#include <linux/pci.h>
#include <linux/uio_driver.h>
#include <linux/corbel_port.h>

#define VECTORS	(1 + PORT_QUEUES)

enum { MAP_REGS, MAP_MEMORY };

static irqreturn_t handler(int irq, struct uio_info *info)
{
	return IRQ_HANDLED;	/* what it is about, the program looks up */
}

/* The memory is memory: cached as in the guest that it belongs to. */
static int map(struct uio_info *info, struct vm_area_struct *vma)
{
	unsigned long pfn = info->mem[vma->vm_pgoff].addr >> PAGE_SHIFT;

	if (vma->vm_pgoff == MAP_REGS)
		vma->vm_page_prot = pgprot_noncached(vma->vm_page_prot);
	return remap_pfn_range(vma, vma->vm_start, pfn, vma->vm_end - vma->vm_start,
			       vma->vm_page_prot);
}

static void show_bar(struct uio_mem *mem, struct pci_dev *pdev, int bar, const char *name)
{
	mem->name = name;
	mem->memtype = UIO_MEM_PHYS;
	mem->addr = pci_resource_start(pdev, bar);
	mem->size = pci_resource_len(pdev, bar);
}

static int probe(struct pci_dev *pdev, const struct pci_device_id *id)
{
	struct uio_info *info = devm_kcalloc(&pdev->dev, VECTORS, sizeof(*info), GFP_KERNEL);
	int ret = info ? pcim_enable_device(pdev) : -ENOMEM;

	if (ret)
		return ret;
	pci_set_master(pdev);
	ret = pci_alloc_irq_vectors(pdev, VECTORS, VECTORS, PCI_IRQ_MSIX);
	for (int i = 0; ret > 0 && i < VECTORS; i++) {
		info[i].name = "domain_port";
		info[i].version = "1";
		info[i].irq = pci_irq_vector(pdev, i);
		info[i].handler = handler;
		info[i].mmap = map;
		show_bar(&info[i].mem[MAP_REGS], pdev, 0, "registers");
		show_bar(&info[i].mem[MAP_MEMORY], pdev, 2, "memory");
		if (devm_uio_register_device(&pdev->dev, &info[i]))
			ret = -ENODEV;
	}
	return ret < 0 ? ret : 0;
}

static const struct pci_device_id ids[] = {
	{ PCI_DEVICE(PORT_VENDOR, PORT_DEVICE) },
	{ }
};
MODULE_DEVICE_TABLE(pci, ids);

static struct pci_driver port_uio_driver = {
	.name = "port_uio", .id_table = ids, .probe = probe };
module_pci_driver(port_uio_driver);

MODULE_LICENSE("GPL");
MODULE_DESCRIPTION("Domain port for a program, for tests");
