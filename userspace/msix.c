// SPDX-License-Identifier: GPL-2.0-only
/* MSI-X: vectors as the guest programs them, sent by irqfd where there is one, else by ioctl. */
#include <linux/pci_regs.h>
#include <string.h>
#include <unistd.h>

#include "loop.h"
#include "machine.h"
#include "msix.h"

static struct vm *vm_of(struct msix *x)
{
	return &x->pd->m->vm;
}

static void send(struct msix *x, struct msix_vector *v)
{
	if (v->gsi >= 0)
		loop_kick(v->eventfd);
	else
		vm_msi_send(vm_of(x), (uint64_t)v->addr_hi << 32 | v->addr_lo, v->data);
}

static bool usable(const struct msix *x, const struct msix_vector *v)
{
	return x->enabled && !x->masked && !(v->ctl & PCI_MSIX_ENTRY_CTRL_MASKBIT);
}

/* Route the eventfd of a vector that has become usable, or whose message has changed. */
static void attach(struct msix *x, struct msix_vector *v)
{
	struct vm *vm = vm_of(x);
	int gsi = v->gsi;

	if (v->eventfd < 0 || (!v->addr_lo && !v->addr_hi))
		return;
	if (gsi < 0)
		gsi = vm_msi_alloc(vm);
	if (gsi < 0 || vm_msi_route(vm, gsi, (uint64_t)v->addr_hi << 32 | v->addr_lo, v->data))
		return;
	if (v->gsi < 0 && vm_irqfd(vm, v->eventfd, gsi, true))
		return;
	v->gsi = gsi;
}

/* What came while the vector was masked goes out as soon as it is not. Caller holds the lock. */
static void update(struct msix *x, struct msix_vector *v)
{
	if (!usable(x, v))
		return;
	attach(x, v);
	if (v->pending)
		send(x, v);
	v->pending = false;
}

void msix_init(struct msix *x, struct pci_dev *pd, unsigned int n, unsigned int bar,
	       uint32_t table, uint32_t pba)
{
	memset(x, 0, sizeof(*x));
	pthread_mutex_init(&x->lock, NULL);
	x->pd = pd;
	x->n = n;
	for (unsigned int i = 0; i < n; i++) {
		x->v[i].ctl = PCI_MSIX_ENTRY_CTRL_MASKBIT;
		x->v[i].gsi = -1;
		x->v[i].eventfd = vm_of(x)->has_irqfd ? loop_eventfd() : -1;
	}
	x->cap = pci_add_cap(pd, PCI_CAP_ID_MSIX, PCI_CAP_MSIX_SIZEOF);
	pci_set16(pd, x->cap + PCI_MSIX_FLAGS, n - 1);
	pci_set32(pd, x->cap + PCI_MSIX_TABLE, table | bar);
	pci_set32(pd, x->cap + PCI_MSIX_PBA, pba | bar);
	pd->wmask[x->cap + PCI_MSIX_FLAGS + 1] =
		(PCI_MSIX_FLAGS_ENABLE | PCI_MSIX_FLAGS_MASKALL) >> 8;
}

void msix_free(struct msix *x)
{
	for (unsigned int i = 0; i < x->n; i++) {
		if (x->v[i].gsi >= 0)
			vm_irqfd(vm_of(x), x->v[i].eventfd, x->v[i].gsi, false);
		if (x->v[i].eventfd >= 0)
			close(x->v[i].eventfd);
	}
	pthread_mutex_destroy(&x->lock);
}

/* The specification allows dwords and qwords; anything else is ignored and reads as zero. */
void msix_table_access(struct msix *x, uint32_t off, void *data, unsigned int len, bool write)
{
	struct msix_vector *v = &x->v[off / PCI_MSIX_ENTRY_SIZE % MSIX_MAX];
	uint8_t *reg = (uint8_t *)v + off % PCI_MSIX_ENTRY_SIZE;

	if (off / PCI_MSIX_ENTRY_SIZE >= x->n || off & (len - 1) || (len != 4 && len != 8)) {
		if (!write)
			memset(data, 0, len);
		return;
	}
	pthread_mutex_lock(&x->lock);
	if (write) {
		memcpy(reg, data, len);
		update(x, v);
	} else {
		memcpy(data, reg, len);
	}
	pthread_mutex_unlock(&x->lock);
}

void msix_pba_read(struct msix *x, uint32_t off, void *data, unsigned int len)
{
	uint64_t bits = 0;

	pthread_mutex_lock(&x->lock);
	for (unsigned int i = 0; i < x->n; i++)
		bits |= (uint64_t)x->v[i].pending << i;
	pthread_mutex_unlock(&x->lock);
	memset(data, 0, len);
	if (off + len <= sizeof(bits))
		memcpy(data, (uint8_t *)&bits + off, len);
}

void msix_cfg_written(struct msix *x)
{
	uint16_t flags = pci_get16(x->pd, x->cap + PCI_MSIX_FLAGS);

	pthread_mutex_lock(&x->lock);
	x->enabled = flags & PCI_MSIX_FLAGS_ENABLE;
	x->masked = flags & PCI_MSIX_FLAGS_MASKALL;
	for (unsigned int i = 0; i < x->n; i++)
		update(x, &x->v[i]);
	pthread_mutex_unlock(&x->lock);
}

bool msix_enabled(struct msix *x)
{
	bool enabled;

	pthread_mutex_lock(&x->lock);
	enabled = x->enabled;
	pthread_mutex_unlock(&x->lock);
	return enabled;
}

void msix_notify(struct msix *x, unsigned int vector)
{
	struct msix_vector *v = &x->v[vector % MSIX_MAX];

	if (vector >= x->n)
		return;
	pthread_mutex_lock(&x->lock);
	if (usable(x, v))
		send(x, v);
	else
		v->pending = true;
	pthread_mutex_unlock(&x->lock);
}
