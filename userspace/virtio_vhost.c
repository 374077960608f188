// SPDX-License-Identifier: GPL-2.0-only
/*
 * virtio block device whose queue another process serves: vhost-user's front-end. Notifications and
 * interrupts are eventfds that the hypervisor signals and takes; the thread of the disk only starts
 * and stops the back-end.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <linux/virtio_blk.h>
#include <linux/virtio_config.h>
#include <linux/virtio_ids.h>
#include <linux/virtio_ring.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "error.h"
#include "machine.h"
#include "vhost_user.h"
#include "virtio.h"
#include "virtio_vhost.h"

#define CLASS_SCSI	0x018000
#define QUEUE		0

/* Features that are between the driver and the back-end only: nothing here has to know them. */
#define PASSED_ON	(1ULL << VIRTIO_F_VERSION_1 | 1ULL << VIRTIO_RING_F_INDIRECT_DESC |	\
			 1ULL << VIRTIO_RING_F_EVENT_IDX | 1ULL << VIRTIO_BLK_F_SIZE_MAX |	\
			 1ULL << VIRTIO_BLK_F_SEG_MAX | 1ULL << VIRTIO_BLK_F_GEOMETRY |		\
			 1ULL << VIRTIO_BLK_F_RO | 1ULL << VIRTIO_BLK_F_BLK_SIZE |		\
			 1ULL << VIRTIO_BLK_F_FLUSH | 1ULL << VIRTIO_BLK_F_TOPOLOGY |		\
			 1ULL << VIRTIO_BLK_F_DISCARD | 1ULL << VIRTIO_BLK_F_WRITE_ZEROES)

struct vhost_disk {
	struct virtio v;
	struct loop loop;
	struct vhost_user *u;
	char name[16];
	int wake;	/* the thread is to bring the back-end in line with the device's state */
	int line;	/* what the back-end signals where the queue has no vector */
	int call;	/* what it has been told to signal */
	bool started;
	bool said;
};

/* Once; the other calls fail by themselves then. */
static void lost(struct vhost_disk *d, const char *why)
{
	if (!d->said && !d->v.m->end)
		error_warn("disk vhost-user=%s: %s; the guest's requests to it wait for ever",
			   d->u->path, why);
	d->said = true;
	d->u->gone = true;
}

static int call(struct vhost_disk *d, struct vhost_user_message m, const int *fds, unsigned int n)
{
	int ret = vhost_user_call(d->u, &m, fds, n, m.request == VU_GET_VRING_BASE);

	if (ret == -EPROTO)
		lost(d, "the back-end does not keep to the protocol");
	else if (ret == -ETIMEDOUT)
		lost(d, "the back-end does not answer");
	else if (ret)
		lost(d, "the back-end is gone");
	return ret;
}

static int set_state(struct vhost_disk *d, enum vhost_user_request request, unsigned int num)
{
	return call(d, (struct vhost_user_message){ .request = request, .size = 8,
						    .state = { QUEUE, num } }, NULL, 0);
}

static int set_fd(struct vhost_disk *d, enum vhost_user_request request, int fd)
{
	return call(d, (struct vhost_user_message){ .request = request, .size = 8,
						    .number = QUEUE }, &fd, 1);
}

/* All addresses are the guest's: the back-end need not know where memory is in this process. */
static int set_memory(struct vhost_disk *d)
{
	const struct ram *ram = &d->v.m->ram;
	struct vhost_user_message m = { .request = VU_SET_MEM_TABLE };
	int fds[2] = { ram->fd, ram->fd };

	m.memory.n = ram->size > ram->low ? 2 : 1;
	m.memory.regions[0] = (struct vhost_user_region){ 0, ram->low, 0, 0 };
	m.memory.regions[1] = (struct vhost_user_region){ RAM_HOLE_END, ram->size - ram->low,
							  RAM_HOLE_END, ram->low };
	m.size = 8 + m.memory.n * sizeof(struct vhost_user_region);
	return call(d, m, fds, m.memory.n);
}

static int set_rings(struct vhost_disk *d)
{
	const struct virtq *q = &d->v.q[QUEUE];
	struct vhost_user_message m = {
		.request = VU_SET_VRING_ADDR,
		.size = sizeof(m.addr),
		.addr = { .index = QUEUE, .desc_user_addr = q->desc_gpa,
			  .used_user_addr = q->used_gpa, .avail_user_addr = q->avail_gpa },
	};

	return set_state(d, VU_SET_VRING_NUM, q->size) ?: set_state(d, VU_SET_VRING_BASE, 0) ?:
	       call(d, m, NULL, 0);
}

/* Where the queue's interrupt is to go; it may change while the queue is in use. */
static int set_call(struct vhost_disk *d)
{
	const struct virtio *v = &d->v;
	uint16_t vector = v->vectors[QUEUE];
	int fd = d->line;

	if (vector != MSIX_NONE && msix_enabled(&d->v.msix))
		fd = v->msix.v[vector].eventfd;
	if (fd == d->call)
		return 0;
	d->call = fd;
	return set_fd(d, VU_SET_VRING_CALL, fd);
}

static void start(struct vhost_disk *d)
{
	struct vhost_user_message features = { .request = VU_SET_FEATURES, .size = 8,
					       .number = d->v.features | VU_F_PROTOCOL_FEATURES };

	if (!d->v.q[QUEUE].ready)
		return;
	d->call = -1;
	d->started = !call(d, features, NULL, 0) && !set_memory(d) && !set_rings(d) &&
		     !set_call(d) && !set_fd(d, VU_SET_VRING_KICK, d->v.kick_fds[QUEUE]) &&
		     !set_state(d, VU_SET_VRING_ENABLE, 1);
}

/* The answer says that the back-end has let the queue go; at which request does not matter. */
static void stop(struct vhost_disk *d)
{
	set_state(d, VU_GET_VRING_BASE, 0);
	d->started = false;
}

static void woken(void *ctx, uint32_t events)
{
	struct vhost_disk *d = ctx;
	struct virtio *v = &d->v;
	bool wanted;

	(void)events;
	if (!loop_kicked(d->wake))
		return;
	pthread_mutex_lock(&v->lock);
	wanted = virtio_running(v) && !v->resetting;
	if (wanted && d->started)
		set_call(d);
	else if (wanted)
		start(d);
	else if (d->started)
		stop(d);
	if (v->resetting)
		virtio_reset_done(v);
	pthread_mutex_unlock(&v->lock);
}

static void called(void *ctx, uint32_t events)
{
	struct vhost_disk *d = ctx;

	(void)events;
	if (!loop_kicked(d->line))
		return;
	pthread_mutex_lock(&d->v.lock);
	virtio_raise(&d->v, QUEUE);
	pthread_mutex_unlock(&d->v.lock);
}

/* Only answers come from the back-end, and they are read where they are asked for. */
static void hung_up(void *ctx, uint32_t events)
{
	struct vhost_disk *d = ctx;

	(void)events;
	loop_set(&d->loop, d->u->stream.fd, 0);
	pthread_mutex_lock(&d->v.lock);
	lost(d, "the back-end is gone");
	pthread_mutex_unlock(&d->v.lock);
}

static void wake(struct virtio *v)
{
	loop_kick(((struct vhost_disk *)v)->wake);
}

static void read_config(struct virtio *v, void *config)
{
	memcpy(config, ((struct vhost_disk *)v)->u->config, VHOST_USER_CONFIG);
}

static const struct virtio_ops ops = {
	.id = VIRTIO_ID_BLOCK,
	.class = CLASS_SCSI,
	.nr_queues = 1,
	.config_len = VHOST_USER_CONFIG,
	.external = true,
	.read_config = read_config,
	.started = wake,
	.stopped = wake,
	.vectors_changed = wake,
};

static void disk_free(struct device *dev)
{
	struct vhost_disk *d = (struct vhost_disk *)dev;

	loop_join(&d->loop);
	if (d->started)
		stop(d);
	virtio_cleanup(&d->v);
	loop_free(&d->loop);
	close(d->wake);
	close(d->line);
	free(d);
}

/* One more disk, number @index of the guest's. */
void virtio_vhost_create(struct machine *m, struct vhost_user *u, unsigned int index)
{
	struct vhost_disk *d = calloc(1, sizeof(*d));

	if (!d)
		error_die(EXIT_ERROR, "out of memory");
	if (!m->vm.has_irqfd)
		error_die(EXIT_ERROR,
			  "--disk vhost-user needs a hypervisor with irqfd, and --irqfd on");
	if (!(u->features >> VIRTIO_F_VERSION_1 & 1))
		error_die(EXIT_ERROR, "cannot use the back-end %s: it does not know virtio 1",
			  u->path);
	d->u = u;
	d->call = -1;
	d->v.offered = u->features & PASSED_ON;
	d->wake = loop_eventfd();
	d->line = loop_eventfd();
	snprintf(d->name, sizeof(d->name), "disk%u", index);
	loop_init(&d->loop);
	virtio_init(&d->v, m, &ops, &d->loop);
	if (loop_add(&d->loop, d->wake, EPOLLIN, woken, d) ||
	    loop_add(&d->loop, d->line, EPOLLIN, called, d) ||
	    loop_add(&d->loop, u->stream.fd, EPOLLRDHUP, hung_up, d))
		error_die(EXIT_ERROR, "cannot watch a disk's back-end");
	loop_start(&d->loop, d->name, SANDBOX_VHOST, NULL, NULL);
	machine_add_device(m, &d->v.device, disk_free);
}
