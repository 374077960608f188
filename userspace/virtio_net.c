// SPDX-License-Identifier: GPL-2.0-only
/* virtio network device; a thread per interface, a backend per kind of network. */
#include <linux/virtio_config.h>
#include <linux/virtio_ids.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "error.h"
#include "machine.h"
#include "virtio_net.h"

#define RX		0
#define TX		1
#define CLASS_ETHERNET	0x020000
#define TX_BATCH	16

struct vnet {
	struct virtio v;
	struct loop loop;
	const struct config_net *config;
	struct net_backend *backend;
	char name[16];
};

pthread_mutex_t *virtio_net_lock(struct vnet *n)
{
	return &n->v.lock;
}

/* Whether a packet would find a buffer. If not, the guest will tell when it gives one. */
bool virtio_net_has_room(struct vnet *n)
{
	struct virtq *q = &n->v.q[RX];
	bool room;

	pthread_mutex_lock(&n->v.lock);
	room = virtio_running(&n->v) && q->ready && (virtq_has_avail(q) || virtq_rearm(q));
	pthread_mutex_unlock(&n->v.lock);
	return room;
}

/*
 * Spread @packet over buffers. The used ring is published once, with the header's count of buffers
 * already in place. Returns: how many buffers, 0 if there are not enough of them.
 */
static unsigned int spread(struct vnet *n, const uint8_t *packet, size_t len)
{
	struct virtq *q = &n->v.q[RX];
	bool merge = virtio_has(&n->v, VIRTIO_NET_F_MRG_RXBUF);
	struct virtq_chain first, next, *c = &first;
	unsigned int count = 0;
	size_t done = 0;
	uint16_t num;

	while (done < len) {
		size_t put;

		if ((count && !merge) || count == q->size || !virtio_pop(&n->v, RX, c))
			break;
		put = virtq_write(c, 0, packet + done, len - done);
		if (!put)
			break;
		virtq_fill(q, count++, c->head, put);
		done += put;
		c = &next;
	}
	num = count;
	if (done == len) {
		virtq_write(&first, offsetof(struct virtio_net_hdr_mrg_rxbuf, num_buffers), &num,
			    sizeof(num));
		return count;
	}
	while (count--)
		virtq_unpop(q);
	return 0;
}

/* Returns: false when the packet was lost. Context: the interface's thread. */
bool virtio_net_receive(struct vnet *n, const void *packet, size_t len)
{
	unsigned int count = 0;

	pthread_mutex_lock(&n->v.lock);
	if (virtio_running(&n->v) && n->v.q[RX].ready)
		count = spread(n, packet, len);
	if (count) {
		virtq_publish(&n->v.q[RX], count);
		virtio_signal(&n->v, RX);
	}
	pthread_mutex_unlock(&n->v.lock);
	return count;
}

static void transmit(struct vnet *n)
{
	struct virtq_chain c;
	unsigned int unsignalled = 0;

	while (virtio_pop(&n->v, TX, &c)) {
		if (c.out_len > NET_HDR && c.out_len <= NET_MAX_PACKET + NET_HDR)
			n->backend->send(n->backend, c.iov, c.nr_out);
		virtio_push(&n->v, TX, &c, 0);
		if (++unsignalled == TX_BATCH) {
			virtio_signal(&n->v, TX);
			unsignalled = 0;
		}
	}
	virtio_signal(&n->v, TX);
}

static void vnet_queue(struct virtio *v, unsigned int i)
{
	struct vnet *n = (struct vnet *)v;

	if (i == TX)
		transmit(n);
	else if (n->backend->room)
		n->backend->room(n->backend);
}

static void vnet_started(struct virtio *v)
{
	struct vnet *n = (struct vnet *)v;

	if (n->backend->negotiated)
		n->backend->negotiated(n->backend, v);
}

static void vnet_read_config(struct virtio *v, void *config)
{
	struct virtio_net_config c = { .status = VIRTIO_NET_S_LINK_UP };

	memcpy(c.mac, ((struct vnet *)v)->config->mac, 6);
	memcpy(config, &c, offsetof(struct virtio_net_config, max_virtqueue_pairs));
}

static const struct virtio_ops vnet_ops = {
	.id = VIRTIO_ID_NET,
	.class = CLASS_ETHERNET,
	.nr_queues = 2,
	.config_len = offsetof(struct virtio_net_config, max_virtqueue_pairs),
	.features = 1ULL << VIRTIO_NET_F_MAC | 1ULL << VIRTIO_NET_F_STATUS |
		    1ULL << VIRTIO_NET_F_MRG_RXBUF,
	.queue = vnet_queue,
	.read_config = vnet_read_config,
	.started = vnet_started,
};

static void vnet_free(struct device *dev)
{
	struct vnet *n = (struct vnet *)dev;

	loop_join(&n->loop);
	n->backend->free(n->backend);
	virtio_cleanup(&n->v);
	loop_free(&n->loop);
	free(n);
}

static void create_one(struct machine *m, unsigned int index)
{
	struct vnet *n = calloc(1, sizeof(*n));

	if (!n)
		error_die(EXIT_ERROR, "out of memory");
	n->config = &m->config->nets[index];
	snprintf(n->name, sizeof(n->name), "net%u", index);
	loop_init(&n->loop);
	if (n->config->kind == NET_TAP)
		n->backend = net_tap_create(n, n->config, &n->loop);
	else
		n->backend = net_user_create(n, m->config, n->config, &n->loop);
	n->v.offered = n->backend->features;
	virtio_init(&n->v, m, &vnet_ops, &n->loop);
	loop_start(&n->loop, n->name, SANDBOX_NET, n->backend->thread, n->backend);
	machine_add_device(m, &n->v.device, vnet_free);
}

static void virtio_net_create(struct machine *m)
{
	for (unsigned int i = 0; i < m->config->nr_nets; i++)
		create_one(m, i);
}

DEVICE_TYPE(virtio_net);
