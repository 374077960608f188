// SPDX-License-Identifier: GPL-2.0-only
/* MSI-X: vectors as the guest programs them, sent by irqfd where there is one, else by ioctl. */
#include <linux/pci_regs.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "error.h"
#include "loop.h"
#include "machine.h"
#include "msix.h"

static struct vm *vm_of(struct msix *x)
{
	return &x->pd->m->vm;
}

static void send(struct msix *x, struct msix_vector *v)
{
	if (v->wired)
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

	if (v->eventfd < 0 || (!v->addr_lo && !v->addr_hi))
		return;
	if (v->gsi < 0)
		v->gsi = vm_msi_alloc(vm);
	if (v->gsi < 0 ||
	    vm_msi_route(vm, v->gsi, (uint64_t)v->addr_hi << 32 | v->addr_lo, v->data))
		return;
	if (v->wired || vm_irqfd(vm, v->eventfd, v->gsi, true))
		return;
	v->wired = true;
	if (x->source && x->enabled)
		x->source->wired(x, v - x->v);
}

/* From here on the hardware's signals wait in the eventfd; to wire it again delivers them. */
static void detach(struct msix *x, struct msix_vector *v)
{
	if (v->wired)
		vm_irqfd(vm_of(x), v->eventfd, v->gsi, false);
	v->wired = false;
}

/* What came while the vector was masked goes out as soon as it is not. Caller holds the lock. */
static void update(struct msix *x, struct msix_vector *v)
{
	if (!usable(x, v)) {
		if (x->source)
			detach(x, v);
		return;
	}
	attach(x, v);
	if (v->pending)
		send(x, v);
	v->pending = false;
}

static void not_told(struct msix *x, bool on)
{
	(void)x;
	(void)on;
}

static void not_told_of_one(struct msix *x, unsigned int i)
{
	(void)x;
	(void)i;
}

const struct msix_source msix_eventfds = { .switched = not_told, .wired = not_told_of_one };

/* For a function that has its capability, of @n vectors, at @cap already. */
void msix_init_at(struct msix *x, struct pci_dev *pd, unsigned int n, unsigned int cap)
{
	memset(x, 0, sizeof(*x));
	pthread_mutex_init(&x->lock, NULL);
	x->pd = pd;
	x->n = n;
	x->cap = cap;
	x->v = calloc(n, sizeof(*x->v));
	if (!x->v)
		error_die(EXIT_ERROR, "out of memory");
	for (unsigned int i = 0; i < n; i++) {
		x->v[i].ctl = PCI_MSIX_ENTRY_CTRL_MASKBIT;
		x->v[i].gsi = -1;
		x->v[i].eventfd = vm_of(x)->has_irqfd ? loop_eventfd() : -1;
	}
}

void msix_init(struct msix *x, struct pci_dev *pd, unsigned int n, unsigned int bar,
	       uint32_t table, uint32_t pba)
{
	msix_init_at(x, pd, n, pci_add_cap(pd, PCI_CAP_ID_MSIX, PCI_CAP_MSIX_SIZEOF));
	pci_set16(pd, x->cap + PCI_MSIX_FLAGS, n - 1);
	pci_set32(pd, x->cap + PCI_MSIX_TABLE, table | bar);
	pci_set32(pd, x->cap + PCI_MSIX_PBA, pba | bar);
	pd->wmask[x->cap + PCI_MSIX_FLAGS + 1] =
		(PCI_MSIX_FLAGS_ENABLE | PCI_MSIX_FLAGS_MASKALL) >> 8;
}

void msix_free(struct msix *x)
{
	for (unsigned int i = 0; i < x->n; i++) {
		detach(x, &x->v[i]);
		if (x->v[i].eventfd >= 0)
			close(x->v[i].eventfd);
	}
	free(x->v);
	pthread_mutex_destroy(&x->lock);
}

/* The specification allows dwords and qwords; anything else is ignored and reads as zero. */
void msix_table_access(struct msix *x, uint32_t off, void *data, unsigned int len, bool write)
{
	uint32_t i = off / PCI_MSIX_ENTRY_SIZE;
	struct msix_vector *v = &x->v[i < x->n ? i : 0];
	uint8_t *reg = (uint8_t *)v + off % PCI_MSIX_ENTRY_SIZE;

	if (i >= x->n || off & (len - 1) || (len != 4 && len != 8)) {
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

static bool is_pending(const struct msix *x, const struct msix_vector *v)
{
	struct pollfd p = { .fd = v->eventfd, .events = POLLIN };

	return v->pending || (x->source && !v->wired && poll(&p, 1, 0) > 0);
}

void msix_pba_read(struct msix *x, uint32_t off, void *data, unsigned int len)
{
	uint8_t *bits = data;

	memset(data, 0, len);
	pthread_mutex_lock(&x->lock);
	for (unsigned int i = off * 8; i < (off + len) * 8 && i < x->n; i++)
		bits[i / 8 - off] |= is_pending(x, &x->v[i]) << i % 8;
	pthread_mutex_unlock(&x->lock);
}

/* Is the capability's control word in [@off, @off + @len)? Then msix_cfg_written() is due. */
bool msix_cfg_has(const struct msix *x, unsigned int off, unsigned int len)
{
	return off < x->cap + PCI_MSIX_FLAGS + 2 && off + len > x->cap + PCI_MSIX_FLAGS;
}

void msix_cfg_written(struct msix *x)
{
	uint16_t flags = pci_get16(x->pd, x->cap + PCI_MSIX_FLAGS);
	bool was = x->enabled, on = flags & PCI_MSIX_FLAGS_ENABLE;

	pthread_mutex_lock(&x->lock);
	x->masked = flags & PCI_MSIX_FLAGS_MASKALL;
	/* Hardware that is being switched on is told of all wired vectors at once. */
	x->enabled = on;
	for (unsigned int i = 0; i < x->n; i++)
		update(x, &x->v[i]);
	if (x->source && on != was)
		x->source->switched(x, on);
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
	struct msix_vector *v = x->v + vector;

	if (vector >= x->n)
		return;
	pthread_mutex_lock(&x->lock);
	if (usable(x, v))
		send(x, v);
	else
		v->pending = true;
	pthread_mutex_unlock(&x->lock);
}

/* From now on it is @eventfd, which is ours then, whose signals are the interrupt; -1: nobody's. */
void msix_replace(struct msix *x, unsigned int vector, int eventfd)
{
	struct msix_vector *v = x->v + vector;

	pthread_mutex_lock(&x->lock);
	detach(x, v);
	if (v->eventfd >= 0)
		close(v->eventfd);
	v->eventfd = eventfd;
	update(x, v);
	pthread_mutex_unlock(&x->lock);
}
