// SPDX-License-Identifier: GPL-2.0-only
/* The modern virtio-pci transport: capabilities, configuration, notifications, interrupts. */
#include <linux/pci_regs.h>
#include <linux/virtio_config.h>
#include <linux/virtio_pci.h>
#include <linux/virtio_ring.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "error.h"
#include "machine.h"
#include "virtio.h"

#define VENDOR		0x1af4
#define DEVICE_BASE	0x1040
#define REVISION	1

/* BAR 0 */
#define BAR_COMMON	0x0000
#define BAR_ISR		0x1000
#define BAR_CONFIG	0x2000
#define BAR_NOTIFY	0x3000
#define BAR_MSIX_TABLE	0x4000
#define BAR_MSIX_PBA	0x5000
#define BAR_SIZE	0x8000
#define NOTIFY_STRIDE	4

#define ISR_QUEUE	1
#define ISR_CONFIG	2

_Static_assert(sizeof(struct virtio_pci_common_cfg) == 56, "virtio common configuration");

bool virtio_running(const struct virtio *v)
{
	return (v->status & (VIRTIO_CONFIG_S_DRIVER_OK | VIRTIO_CONFIG_S_NEEDS_RESET)) ==
	       VIRTIO_CONFIG_S_DRIVER_OK;
}

bool virtio_has(const struct virtio *v, unsigned int feature)
{
	return v->features >> feature & 1;
}

static void set_line(struct virtio *v, bool up)
{
	if (up != v->line)
		vm_irq_share(&v->m->vm, PCI_GSI(v->pci.slot), up);
	v->line = up;
}

static void interrupt(struct virtio *v, uint16_t vector, uint8_t isr)
{
	if (msix_enabled(&v->msix)) {
		msix_notify(&v->msix, vector);
		return;
	}
	v->isr |= isr;
	if (!(pci_get16(&v->pci, PCI_COMMAND) & PCI_COMMAND_INTX_DISABLE))
		set_line(v, true);
}

void virtio_config_changed(struct virtio *v)
{
	v->generation++;
	if (v->status & VIRTIO_CONFIG_S_DRIVER_OK)
		interrupt(v, v->config_vector, ISR_CONFIG);
}

/* The driver broke the rules: the device stands still until the driver resets it. */
void virtio_broken(struct virtio *v)
{
	if (v->status & VIRTIO_CONFIG_S_NEEDS_RESET)
		return;
	if (!v->warned)		/* a guest could fill the host's log */
		error_warn("the guest's driver broke virtio device 00:%02x (type %u); it needs a "
			   "reset", v->pci.slot, v->ops->id);
	v->warned = true;
	v->status |= VIRTIO_CONFIG_S_NEEDS_RESET;
	virtio_config_changed(v);
}

/* Returns: 1 with a request in @c, else 0. */
int virtio_pop(struct virtio *v, unsigned int queue, struct virtq_chain *c)
{
	struct virtq *q = &v->q[queue];
	int ret;

	if (!virtio_running(v) || !q->ready)
		return 0;
	ret = virtq_pop(q, c);
	if (!ret && virtq_rearm(q))
		ret = virtq_pop(q, c);
	if (ret < 0)
		virtio_broken(v);
	return ret > 0;
}

void virtio_push(struct virtio *v, unsigned int queue, const struct virtq_chain *c, uint32_t len)
{
	virtq_push(&v->q[queue], c->head, len);
}

/* The process that serves the queue has signalled it where no vector's eventfd could take that. */
void virtio_raise(struct virtio *v, unsigned int queue)
{
	if (virtio_running(v))
		interrupt(v, v->vectors[queue], ISR_QUEUE);
}

/* After one or more virtio_push(). */
void virtio_signal(struct virtio *v, unsigned int queue)
{
	if (virtio_running(v) && v->q[queue].ready && virtq_should_signal(&v->q[queue]))
		interrupt(v, v->vectors[queue], ISR_QUEUE);
}

static void reset(struct virtio *v)
{
	v->status = v->isr = 0;
	v->features = 0;
	v->offered_sel = v->driver_sel = 0;
	v->queue_sel = 0;
	v->config_vector = MSIX_NONE;
	for (unsigned int i = 0; i < v->ops->nr_queues; i++) {
		virtq_reset(&v->q[i], &v->m->ram);
		v->vectors[i] = MSIX_NONE;
	}
	set_line(v, false);
}

/* The driver reads its status until that is 0: whoever still uses its memory has time to stop. */
static void begin_reset(struct virtio *v)
{
	v->resetting = v->ops->external && v->status;
	if (v->ops->stopped && v->status)
		v->ops->stopped(v);
	if (!v->resetting)
		reset(v);
}

void virtio_reset_done(struct virtio *v)
{
	v->resetting = false;
	reset(v);
}

static void kicked(void *ctx, uint32_t events)
{
	struct virtio_kick *kick = ctx;
	struct virtio *v = kick->v;

	(void)events;
	if (!loop_kicked(v->kick_fds[kick->queue]))
		return;
	pthread_mutex_lock(&v->lock);
	if (virtio_running(v) && v->q[kick->queue].ready)
		v->ops->queue(v, kick->queue);
	pthread_mutex_unlock(&v->lock);
}

static void started(struct virtio *v)
{
	if (v->ops->started)
		v->ops->started(v);
	/* Requests may be there from before DRIVER_OK, and their notifications are gone. */
	for (unsigned int i = 0; i < v->ops->nr_queues; i++)
		loop_kick(v->kick_fds[i]);
}

static void write_status(struct virtio *v, uint8_t status)
{
	bool ok = !(v->features & ~v->offered) && virtio_has(v, VIRTIO_F_VERSION_1);
	bool was_running = virtio_running(v);

	if (v->resetting)
		return;
	if (!status) {
		begin_reset(v);
		return;
	}
	if (!(v->status & VIRTIO_CONFIG_S_FEATURES_OK) && !ok)
		status &= ~VIRTIO_CONFIG_S_FEATURES_OK;
	if (!(status & VIRTIO_CONFIG_S_FEATURES_OK))
		status &= ~VIRTIO_CONFIG_S_DRIVER_OK;
	v->status |= status & ~VIRTIO_CONFIG_S_NEEDS_RESET;
	if (!was_running && virtio_running(v))
		started(v);
}

static uint16_t checked_vector(const struct virtio *v, uint16_t vector)
{
	return vector < v->msix.n ? vector : MSIX_NONE;
}

static void vectors_changed(struct virtio *v)
{
	if (v->ops->vectors_changed)
		v->ops->vectors_changed(v);
}

static void enable_queue(struct virtio *v)
{
	struct virtq *q = &v->q[v->queue_sel];

	q->event_idx = virtio_has(v, VIRTIO_RING_F_EVENT_IDX);
	if (!q->ready && virtq_enable(q))
		virtio_broken(v);
}

static void fill_queue(const struct virtio *v, struct virtio_pci_common_cfg *c)
{
	const struct virtq *q = &v->q[v->queue_sel];

	c->queue_size = q->size;
	c->queue_msix_vector = v->vectors[v->queue_sel];
	c->queue_enable = q->ready;
	c->queue_notify_off = v->queue_sel;
	c->queue_desc_lo = q->desc_gpa;
	c->queue_desc_hi = q->desc_gpa >> 32;
	c->queue_avail_lo = q->avail_gpa;
	c->queue_avail_hi = q->avail_gpa >> 32;
	c->queue_used_lo = q->used_gpa;
	c->queue_used_hi = q->used_gpa >> 32;
}

static void fill_common(const struct virtio *v, struct virtio_pci_common_cfg *c)
{
	memset(c, 0, sizeof(*c));
	c->device_feature_select = v->offered_sel;
	c->device_feature = v->offered_sel < 2 ? v->offered >> 32 * v->offered_sel : 0;
	c->guest_feature_select = v->driver_sel;
	c->guest_feature = v->driver_sel < 2 ? v->features >> 32 * v->driver_sel : 0;
	c->msix_config = v->config_vector;
	c->num_queues = v->ops->nr_queues;
	c->device_status = v->status;
	c->config_generation = v->generation;
	c->queue_select = v->queue_sel;
	if (v->queue_sel < v->ops->nr_queues)
		fill_queue(v, c);
}

static void set_half(uint64_t *value, bool high, uint32_t half)
{
	if (high)
		*value = (*value & 0xffffffff) | (uint64_t)half << 32;
	else
		*value = (*value & ~0xffffffffULL) | half;
}

static void write_queue(struct virtio *v, unsigned int off, uint32_t value)
{
	struct virtq *q;

	if (v->queue_sel >= v->ops->nr_queues)
		return;
	q = &v->q[v->queue_sel];
	if (off == VIRTIO_PCI_COMMON_Q_MSIX) {
		v->vectors[v->queue_sel] = checked_vector(v, value);
		vectors_changed(v);
	}
	if (q->ready)	/* the rest is fixed while the queue is in use */
		return;
	switch (off) {
	case VIRTIO_PCI_COMMON_Q_SIZE:
		if (value && value <= VIRTQ_MAX && !(value & (value - 1)))
			q->size = value;
		break;
	case VIRTIO_PCI_COMMON_Q_ENABLE:
		if (value == 1)
			enable_queue(v);
		break;
	case VIRTIO_PCI_COMMON_Q_DESCLO:
	case VIRTIO_PCI_COMMON_Q_DESCHI:
		set_half(&q->desc_gpa, off == VIRTIO_PCI_COMMON_Q_DESCHI, value);
		break;
	case VIRTIO_PCI_COMMON_Q_AVAILLO:
	case VIRTIO_PCI_COMMON_Q_AVAILHI:
		set_half(&q->avail_gpa, off == VIRTIO_PCI_COMMON_Q_AVAILHI, value);
		break;
	case VIRTIO_PCI_COMMON_Q_USEDLO:
	case VIRTIO_PCI_COMMON_Q_USEDHI:
		set_half(&q->used_gpa, off == VIRTIO_PCI_COMMON_Q_USEDHI, value);
		break;
	}
}

static void write_common(struct virtio *v, unsigned int off, uint32_t value)
{
	switch (off) {
	case VIRTIO_PCI_COMMON_DFSELECT:
		v->offered_sel = value;
		break;
	case VIRTIO_PCI_COMMON_GFSELECT:
		v->driver_sel = value;
		break;
	case VIRTIO_PCI_COMMON_GF:
		if (v->driver_sel < 2 && !(v->status & VIRTIO_CONFIG_S_FEATURES_OK))
			set_half(&v->features, v->driver_sel, value);
		break;
	case VIRTIO_PCI_COMMON_MSIX:
		v->config_vector = checked_vector(v, value);
		break;
	case VIRTIO_PCI_COMMON_STATUS:
		write_status(v, value);
		break;
	case VIRTIO_PCI_COMMON_Q_SELECT:
		v->queue_sel = value;
		break;
	default:
		write_queue(v, off, value);
	}
}

/* Each field is accessed by its own width; the halves of a 64-bit field count as fields. */
static void common_access(struct virtio *v, uint64_t off, void *data, unsigned int len, bool write)
{
	struct virtio_pci_common_cfg c;
	uint32_t value = 0;

	if (off + len > sizeof(c)) {
		if (!write)
			memset(data, 0, len);
	} else if (!write) {
		fill_common(v, &c);
		memcpy(data, (uint8_t *)&c + off, len);
	} else if (len <= 4) {
		memcpy(&value, data, len);
		write_common(v, off, value);
	}
}

static void config_access(struct virtio *v, uint64_t off, void *data, unsigned int len, bool write)
{
	uint8_t config[VIRTIO_MAX_CONFIG] = { 0 };

	if (off + len > v->ops->config_len) {
		if (!write)
			memset(data, 0, len);
	} else if (!write) {
		v->ops->read_config(v, config);
		memcpy(data, config + off, len);
	} else if (v->ops->write_config) {
		v->ops->write_config(v, off, data, len);
	}
}

static void isr_access(struct virtio *v, void *data, unsigned int len, bool write)
{
	if (write)
		return;
	memset(data, 0, len);
	*(uint8_t *)data = v->isr;
	v->isr = 0;
	set_line(v, false);
}

static void notify_access(struct virtio *v, uint64_t off, void *data, unsigned int len, bool write)
{
	if (!write)
		memset(data, 0, len);
	else if (off / NOTIFY_STRIDE < v->ops->nr_queues)
		loop_kick(v->kick_fds[off / NOTIFY_STRIDE]);
}

static void bar_access(void *dev, uint64_t off, void *data, unsigned int len, bool write)
{
	struct virtio *v = dev;
	uint64_t in_page = off & 0xfff;

	if (off >= BAR_MSIX_TABLE && off < BAR_MSIX_PBA) {
		msix_table_access(&v->msix, in_page, data, len, write);
		return;
	}
	if ((off & ~0xfffULL) == BAR_NOTIFY) {
		notify_access(v, in_page, data, len, write);
		return;
	}
	pthread_mutex_lock(&v->lock);
	switch (off & ~0xfffULL) {
	case BAR_COMMON:
		common_access(v, in_page, data, len, write);
		break;
	case BAR_ISR:
		isr_access(v, data, len, write);
		break;
	case BAR_CONFIG:
		config_access(v, in_page, data, len, write);
		break;
	default:
		if (!write)
			msix_pba_read(&v->msix, in_page, data, len);
	}
	pthread_mutex_unlock(&v->lock);
}

static void bar_moved(struct pci_dev *pd, unsigned int bar, uint64_t from, uint64_t to)
{
	struct virtio *v = pd->dev;
	struct vm *vm = &v->m->vm;
	/* Length 0 lets the hypervisor take the notification without decoding the instruction. */
	unsigned int len = vm->ioeventfd_any_len ? 0 : 2;

	(void)bar;
	for (unsigned int i = 0; vm->has_ioeventfd && i < v->ops->nr_queues; i++) {
		uint64_t off = BAR_NOTIFY + i * NOTIFY_STRIDE;

		if (from)
			vm_ioeventfd(vm, v->kick_fds[i], from + off, len, false);
		/* Where it fails, notify_access() sees the write instead. */
		if (to)
			vm_ioeventfd(vm, v->kick_fds[i], to + off, len, true);
	}
}

/* The window into BAR 0 for firmware that has no memory mapping. */
static void window(struct virtio *v, unsigned int off, unsigned int len, bool write)
{
	struct virtio_pci_cap cap;
	uint8_t *data = v->pci.cfg + v->cfg_cap + sizeof(cap);

	if (off >= v->cfg_cap + sizeof(cap) + 4 || off + len <= v->cfg_cap + sizeof(cap))
		return;
	memcpy(&cap, v->pci.cfg + v->cfg_cap, sizeof(cap));
	if (cap.bar || cap.offset > BAR_SIZE - 4 || (cap.offset & (cap.length - 1)) ||
	    (cap.length != 1 && cap.length != 2 && cap.length != 4))
		return;
	bar_access(v, cap.offset, data, cap.length, write);
}

static void cfg_read(struct pci_dev *pd, unsigned int off, unsigned int len)
{
	window(pd->dev, off, len, false);
}

static void cfg_written(struct pci_dev *pd, unsigned int off, unsigned int len)
{
	struct virtio *v = pd->dev;

	if (msix_cfg_has(&v->msix, off, len)) {
		msix_cfg_written(&v->msix);
		vectors_changed(v);
	}
	window(v, off, len, true);
}

static unsigned int add_cap(struct virtio *v, uint8_t type, uint32_t offset, uint32_t length,
			    unsigned int extra)
{
	struct virtio_pci_cap cap = { .cfg_type = type, .offset = offset, .length = length };
	unsigned int at = pci_add_cap(&v->pci, PCI_CAP_ID_VNDR, sizeof(cap) + extra);

	cap.cap_vndr = v->pci.cfg[at];
	cap.cap_next = v->pci.cfg[at + 1];
	cap.cap_len = sizeof(cap) + extra;
	memcpy(v->pci.cfg + at, &cap, sizeof(cap));
	return at;
}

static void add_caps(struct virtio *v)
{
	unsigned int at;

	add_cap(v, VIRTIO_PCI_CAP_COMMON_CFG, BAR_COMMON, sizeof(struct virtio_pci_common_cfg), 0);
	add_cap(v, VIRTIO_PCI_CAP_ISR_CFG, BAR_ISR, 1, 0);
	if (v->ops->config_len)
		add_cap(v, VIRTIO_PCI_CAP_DEVICE_CFG, BAR_CONFIG, v->ops->config_len, 0);
	at = add_cap(v, VIRTIO_PCI_CAP_NOTIFY_CFG, BAR_NOTIFY,
		     v->ops->nr_queues * NOTIFY_STRIDE, 4);
	pci_set32(&v->pci, at + sizeof(struct virtio_pci_cap), NOTIFY_STRIDE);
	v->cfg_cap = add_cap(v, VIRTIO_PCI_CAP_PCI_CFG, 0, 0, 4);
	v->pci.wmask[v->cfg_cap + offsetof(struct virtio_pci_cap, bar)] = 0xff;
	memset(v->pci.wmask + v->cfg_cap + offsetof(struct virtio_pci_cap, offset), 0xff, 12);
}

static void init_lock(pthread_mutex_t *lock)
{
	pthread_mutexattr_t attr;

	pthread_mutexattr_init(&attr);
	pthread_mutexattr_settype(&attr, PTHREAD_MUTEX_RECURSIVE);
	pthread_mutex_init(lock, &attr);
	pthread_mutexattr_destroy(&attr);
}

/* Put a device on the bus. @v is zeroed but for what the caller adds to v->offered. */
void virtio_init(struct virtio *v, struct machine *m, const struct virtio_ops *ops,
		 struct loop *loop)
{
	v->m = m;
	v->ops = ops;
	v->offered |= ops->features;
	if (!ops->external)
		v->offered |= 1ULL << VIRTIO_F_VERSION_1 | 1ULL << VIRTIO_RING_F_INDIRECT_DESC |
			      1ULL << VIRTIO_RING_F_EVENT_IDX;
	init_lock(&v->lock);
	pci_dev_init(&v->pci, m, VENDOR, DEVICE_BASE + ops->id, ops->class << 8 | REVISION);
	v->pci.dev = v;
	v->pci.bar_moved = bar_moved;
	v->pci.cfg_read = cfg_read;
	v->pci.cfg_written = cfg_written;
	v->pci.cfg[PCI_INTERRUPT_PIN] = 1;
	pci_set16(&v->pci, PCI_SUBSYSTEM_VENDOR_ID, VENDOR);
	pci_set16(&v->pci, PCI_SUBSYSTEM_ID, DEVICE_BASE + ops->id);
	pci_add_bar(&v->pci, 0, BAR_SIZE, 0, bar_access, v);
	msix_init(&v->msix, &v->pci, ops->nr_queues + 1, 0, BAR_MSIX_TABLE, BAR_MSIX_PBA);
	if (ops->external)
		v->msix.source = &msix_eventfds;
	add_caps(v);
	for (unsigned int i = 0; i < ops->nr_queues; i++) {
		v->kick_fds[i] = loop_eventfd();
		v->kicks[i] = (struct virtio_kick){ v, i };
		if (!ops->external && loop_add(loop, v->kick_fds[i], EPOLLIN, kicked, &v->kicks[i]))
			error_die(EXIT_ERROR, "cannot watch a virtio queue");
	}
	pci_register(&v->pci);
	reset(v);
}

/* The loop that served the queues has ended, and so have the vCPUs. */
void virtio_cleanup(struct virtio *v)
{
	msix_free(&v->msix);
	for (unsigned int i = 0; i < v->ops->nr_queues; i++)
		close(v->kick_fds[i]);
	pthread_mutex_destroy(&v->lock);
}
