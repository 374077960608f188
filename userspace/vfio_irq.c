// SPDX-License-Identifier: GPL-2.0-only
/*
 * Interrupts of an assigned function: the host's handler signals an eventfd, which is an interrupt
 * of the guest's. One kind at a time: INTx until the guest enables MSI or MSI-X. A vector that the
 * guest has masked is not wired: what comes meanwhile waits in its eventfd.
 */
#include <errno.h>
#include <linux/pci_regs.h>
#include <linux/vfio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "error.h"
#include "loop.h"
#include "machine.h"
#include "vfio_pci.h"

static const uint32_t indexes[] = {
	[VFIO_IRQ_INTX] = VFIO_PCI_INTX_IRQ_INDEX,
	[VFIO_IRQ_MSI] = VFIO_PCI_MSI_IRQ_INDEX,
	[VFIO_IRQ_MSIX] = VFIO_PCI_MSIX_IRQ_INDEX,
	[VFIO_IRQ_REQUEST] = VFIO_PCI_REQ_IRQ_INDEX,
};

/* @fds: NULL to take all away. Returns: 0 or -errno. */
static int set_irqs(const struct vfio_pci *vp, enum vfio_irq_mode mode, uint32_t action,
		    unsigned int start, unsigned int n, const int32_t *fds)
{
	size_t len = sizeof(struct vfio_irq_set) + (fds ? n * sizeof(*fds) : 0);
	struct vfio_irq_set *set = calloc(1, len);
	int ret;

	if (!set)
		return -ENOMEM;
	set->argsz = len;
	set->flags = action | (fds ? VFIO_IRQ_SET_DATA_EVENTFD : VFIO_IRQ_SET_DATA_NONE);
	set->index = indexes[mode];
	set->start = start;
	set->count = n;
	if (fds)
		memcpy(set->data, fds, n * sizeof(*fds));
	ret = ioctl(vp->f->fd, VFIO_DEVICE_SET_IRQS, set) ? -errno : 0;
	free(set);
	return ret;
}

static void failed(const struct vfio_pci *vp, const char *what, int err)
{
	error_warn("%s gets no %s interrupts: %s; see dmesg", vp->f->name, what, strerror(-err));
}

/* The host masks the line when it rises; the guest's EOI unmasks it, without this process. */
static int line_on(struct vfio_pci *vp)
{
	struct vfio_line *l = &vp->line;
	int32_t eventfd = l->eventfd, resamplefd = l->resamplefd;
	int ret;

	if (eventfd < 0)
		return 0;
	ret = vm_irqfd_level(&vp->m->vm, eventfd, resamplefd, l->gsi, true);
	if (!ret)
		ret = set_irqs(vp, VFIO_IRQ_INTX, VFIO_IRQ_SET_ACTION_TRIGGER, 0, 1, &eventfd);
	if (!ret)
		ret = set_irqs(vp, VFIO_IRQ_INTX, VFIO_IRQ_SET_ACTION_UNMASK, 0, 1, &resamplefd);
	return ret;
}

static void line_off(struct vfio_pci *vp)
{
	if (vp->line.eventfd >= 0)
		vm_irqfd(&vp->m->vm, vp->line.eventfd, vp->line.gsi, false);
}

static uint64_t msi_address(const struct vfio_pci *vp)
{
	const struct pci_dev *pd = &vp->pci;
	unsigned int at = vp->cfg.msi;
	uint64_t address = pci_get32(pd, at + PCI_MSI_ADDRESS_LO);

	if (pci_get16(pd, at + PCI_MSI_FLAGS) & PCI_MSI_FLAGS_64BIT)
		address |= (uint64_t)pci_get32(pd, at + PCI_MSI_ADDRESS_HI) << 32;
	return address;
}

static uint16_t msi_data(const struct vfio_pci *vp)
{
	unsigned int at = vp->cfg.msi;
	bool wide = pci_get16(&vp->pci, at + PCI_MSI_FLAGS) & PCI_MSI_FLAGS_64BIT;

	return pci_get16(&vp->pci, at + (wide ? PCI_MSI_DATA_64 : PCI_MSI_DATA_32));
}

/* The number of a vector is in the low bits of its message. */
static int msi_route(struct vfio_pci *vp)
{
	struct vfio_msi *msi = &vp->msi;
	uint16_t data = msi_data(vp) & ~(msi->used - 1);
	int ret = 0;

	for (unsigned int i = 0; i < msi->used && !ret; i++) {
		if (msi->gsis[i] < 0)
			msi->gsis[i] = vm_msi_alloc(&vp->m->vm);
		ret = msi->gsis[i] < 0 ? msi->gsis[i] :
		      vm_msi_route(&vp->m->vm, msi->gsis[i], msi_address(vp), data | i);
	}
	return ret;
}

static int msi_on(struct vfio_pci *vp)
{
	unsigned int want =
		(pci_get16(&vp->pci, vp->cfg.msi + PCI_MSI_FLAGS) & PCI_MSI_FLAGS_QSIZE) >> 4;
	struct vfio_msi *msi = &vp->msi;
	int ret;

	msi->used = 1u << want < msi->n ? 1u << want : msi->n;
	ret = msi_route(vp);
	for (unsigned int i = 0; i < msi->used && !ret; i++)
		ret = vm_irqfd(&vp->m->vm, msi->eventfds[i], msi->gsis[i], true);
	return ret ? ret : set_irqs(vp, VFIO_IRQ_MSI, VFIO_IRQ_SET_ACTION_TRIGGER, 0, msi->used,
				    msi->eventfds);
}

static void msi_off(struct vfio_pci *vp)
{
	struct vfio_msi *msi = &vp->msi;

	for (unsigned int i = 0; i < msi->used; i++)
		if (msi->gsis[i] >= 0)
			vm_irqfd(&vp->m->vm, msi->eventfds[i], msi->gsis[i], false);
	msi->used = 0;
}

/* All vectors at once, for most kernels cannot add one later; those not wired get no handler yet.
 */
static int msix_on(struct vfio_pci *vp)
{
	struct msix *x = &vp->msix;
	int32_t *fds = calloc(x->n, sizeof(*fds));
	int ret;

	if (!fds)
		return -ENOMEM;
	for (unsigned int i = 0; i < x->n; i++) {
		vp->triggers[i] = x->v[i].wired;
		fds[i] = x->v[i].wired ? x->v[i].eventfd : -1;
	}
	ret = set_irqs(vp, VFIO_IRQ_MSIX, VFIO_IRQ_SET_ACTION_TRIGGER, 0, x->n, fds);
	free(fds);
	return ret;
}

static void irq_off(struct vfio_pci *vp)
{
	if (vp->irq == VFIO_IRQ_OFF)
		return;
	set_irqs(vp, vp->irq, VFIO_IRQ_SET_ACTION_TRIGGER, 0, 0, NULL);
	if (vp->irq == VFIO_IRQ_INTX)
		line_off(vp);
	else if (vp->irq == VFIO_IRQ_MSI)
		msi_off(vp);
	vp->irq = VFIO_IRQ_OFF;
}

static void irq_switch(struct vfio_pci *vp, enum vfio_irq_mode mode)
{
	static int (*const on[])(struct vfio_pci *vp) = {
		[VFIO_IRQ_INTX] = line_on, [VFIO_IRQ_MSI] = msi_on, [VFIO_IRQ_MSIX] = msix_on };
	static const char *const names[] = {
		[VFIO_IRQ_INTX] = "INTx", [VFIO_IRQ_MSI] = "MSI", [VFIO_IRQ_MSIX] = "MSI-X" };
	int ret;

	irq_off(vp);
	ret = on[mode](vp);
	if (ret)
		failed(vp, names[mode], ret);
	vp->irq = mode;
}

static void msix_switched(struct msix *x, bool on)
{
	irq_switch(x->pd->dev, on ? VFIO_IRQ_MSIX : VFIO_IRQ_INTX);
}

static void msix_wired(struct msix *x, unsigned int i)
{
	struct vfio_pci *vp = x->pd->dev;
	int32_t eventfd = x->v[i].eventfd;
	int ret = 0;

	if (vp->irq != VFIO_IRQ_MSIX || vp->triggers[i])
		return;
	vp->triggers[i] = true;
	ret = set_irqs(vp, VFIO_IRQ_MSIX, VFIO_IRQ_SET_ACTION_TRIGGER, i, 1, &eventfd);
	if (ret)
		failed(vp, "MSI-X", ret);
}

static void msi_written(struct vfio_pci *vp)
{
	bool on = pci_get16(&vp->pci, vp->cfg.msi + PCI_MSI_FLAGS) & PCI_MSI_FLAGS_ENABLE;

	if (on && vp->irq == VFIO_IRQ_INTX)
		irq_switch(vp, VFIO_IRQ_MSI);
	else if (on && vp->irq == VFIO_IRQ_MSI)
		msi_route(vp);
	else if (!on && vp->irq == VFIO_IRQ_MSI)
		irq_switch(vp, VFIO_IRQ_INTX);
}

/* The guest has written [@off, @off + @len) of the configuration space. */
void vfio_irq_written(struct vfio_pci *vp, unsigned int off, unsigned int len)
{
	unsigned int msi = vp->cfg.msi, msix = vp->cfg.msix;

	if (msi && off < msi + PCI_MSI_DATA_64 + 2 && off + len > msi)
		msi_written(vp);
	if (msix && off < msix + 4 && off + len > msix + 2)
		msix_cfg_written(&vp->msix);
}

static unsigned int count(const struct vfio_pci *vp, uint32_t index)
{
	struct vfio_irq_info info = { .argsz = sizeof(info), .index = index };

	return ioctl(vp->f->fd, VFIO_DEVICE_GET_IRQ_INFO, &info) ? 0 : info.count;
}

static const struct msix_source source = { .switched = msix_switched, .wired = msix_wired };

static void init_msix(struct vfio_pci *vp)
{
	unsigned int n =
		(pci_get16(&vp->pci, vp->cfg.msix + PCI_MSIX_FLAGS) & PCI_MSIX_FLAGS_QSIZE) + 1;

	msix_init_at(&vp->msix, &vp->pci, n, vp->cfg.msix);
	vp->msix.source = &source;
	vp->triggers = calloc(n, sizeof(*vp->triggers));
	if (!vp->triggers)
		error_die(EXIT_ERROR, "out of memory");
}

/* Before the BARs, which leave out the MSI-X table. INTx begins when the slot is known:
 * vfio_irq_start() */
void vfio_irq_init(struct vfio_pci *vp)
{
	vp->line.eventfd = vp->line.resamplefd = -1;
	if (vp->cfg.msix)
		init_msix(vp);
	vp->msi.n = vp->cfg.msi ? count(vp, VFIO_PCI_MSI_IRQ_INDEX) : 0;
	if (vp->msi.n > VFIO_MAX_MSI)
		vp->msi.n = VFIO_MAX_MSI;
	for (unsigned int i = 0; i < vp->msi.n; i++) {
		vp->msi.eventfds[i] = loop_eventfd();
		vp->msi.gsis[i] = -1;
	}
}

/* Without it, who removes or unbinds the function would wait for the guest's end in silence. */
static void requested(void *ctx, uint32_t events)
{
	struct vfio_pci *vp = ctx;

	(void)events;
	if (!vp->m->end)
		error_warn("the host takes %s back, so the guest ends", vp->f->name);
	machine_end(vp->m, END_TAKEN);
}

static void watch_request(struct vfio_pci *vp)
{
	int32_t eventfd = loop_eventfd();

	vp->request = eventfd;
	/* An old kernel without this has the host wait, as it does anyway. */
	if (!set_irqs(vp, VFIO_IRQ_REQUEST, VFIO_IRQ_SET_ACTION_TRIGGER, 0, 1, &eventfd))
		loop_add(&vp->m->loop, eventfd, EPOLLIN, requested, vp);
}

/* The slot, and with it the line, is known: the function may interrupt from now on. */
void vfio_irq_start(struct vfio_pci *vp)
{
	if (vp->pci.cfg[PCI_INTERRUPT_PIN] && count(vp, VFIO_PCI_INTX_IRQ_INDEX)) {
		vp->line.eventfd = loop_eventfd();
		vp->line.resamplefd = loop_eventfd();
		vp->line.gsi = PCI_GSI(vp->pci.slot);
	}
	irq_switch(vp, VFIO_IRQ_INTX);
	watch_request(vp);
}

void vfio_irq_free(struct vfio_pci *vp)
{
	irq_off(vp);
	set_irqs(vp, VFIO_IRQ_REQUEST, VFIO_IRQ_SET_ACTION_TRIGGER, 0, 0, NULL);
	close(vp->request);
	if (vp->cfg.msix)
		msix_free(&vp->msix);
	free(vp->triggers);
	for (unsigned int i = 0; i < vp->msi.n; i++)
		close(vp->msi.eventfds[i]);
	if (vp->line.eventfd >= 0) {
		close(vp->line.eventfd);
		close(vp->line.resamplefd);
	}
}
