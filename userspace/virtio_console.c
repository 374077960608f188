// SPDX-License-Identifier: GPL-2.0-only
/* virtio console with one port, on the terminal. */
#include <linux/virtio_console.h>
#include <linux/virtio_ids.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "error.h"
#include "machine.h"
#include "term.h"
#include "virtio.h"

#define RX		0
#define TX		1
#define CLASS_SIMPLE	0x078000

/*
 * Linux's driver gives receive buffers before it has a port to put their contents in, and drops
 * what comes meanwhile. So input waits for the first output, or, where there is none, a while.
 */
struct vcon {
	struct virtio v;
	int timer_fd;
	bool ready;
};

static const struct itimerspec patience = { .it_value.tv_sec = 1 };

static void set_ready(struct vcon *c)
{
	if (!c->ready) {
		c->ready = true;
		term_resume();
	}
}

static void timer_expired(void *ctx, uint32_t events)
{
	struct vcon *c = ctx;
	uint64_t n;

	(void)events;
	pthread_mutex_lock(&c->v.lock);
	if (read(c->timer_fd, &n, sizeof(n)) > 0)
		set_ready(c);
	pthread_mutex_unlock(&c->v.lock);
}

static size_t vcon_input(void *dev, const uint8_t *data, size_t len)
{
	struct virtio *v = dev;
	struct virtq_chain c;
	size_t done = 0;

	pthread_mutex_lock(&v->lock);
	while (((struct vcon *)v)->ready && done < len && virtio_pop(v, RX, &c)) {
		size_t n = virtq_write(&c, 0, data + done, len - done);

		virtio_push(v, RX, &c, n);
		done += n;
	}
	virtio_signal(v, RX);
	pthread_mutex_unlock(&v->lock);
	return done;
}

static void transmit(struct virtio *v)
{
	struct virtq_chain c;
	bool any = false;

	while (virtio_pop(v, TX, &c)) {
		for (unsigned int i = 0; i < c.nr_out; i++)
			term_write(STDOUT_FILENO, c.iov[i].iov_base, c.iov[i].iov_len);
		virtio_push(v, TX, &c, 0);
		any = true;
	}
	virtio_signal(v, TX);
	if (any)
		set_ready((struct vcon *)v);
}

static void vcon_queue(struct virtio *v, unsigned int i)
{
	if (i == TX)
		transmit(v);
	else
		term_resume();
}

static void vcon_read_config(struct virtio *v, void *config)
{
	struct virtio_console_config c = { 0 };
	uint16_t cols, rows;

	(void)v;
	term_size(&cols, &rows);
	c.cols = cols;
	c.rows = rows;
	memcpy(config, &c, sizeof(c));
}

static void vcon_resized(void *dev)
{
	struct virtio *v = dev;

	pthread_mutex_lock(&v->lock);
	virtio_config_changed(v);
	pthread_mutex_unlock(&v->lock);
}

static void vcon_started(struct virtio *v)
{
	timerfd_settime(((struct vcon *)v)->timer_fd, 0, &patience, NULL);
}

static void vcon_stopped(struct virtio *v)
{
	((struct vcon *)v)->ready = false;
}

static const struct virtio_ops vcon_ops = {
	.id = VIRTIO_ID_CONSOLE,
	.class = CLASS_SIMPLE,
	.nr_queues = 2,
	.config_len = sizeof(struct virtio_console_config),
	.queue = vcon_queue,
	.read_config = vcon_read_config,
	.started = vcon_started,
	.stopped = vcon_stopped,
};

static void vcon_free(struct device *dev)
{
	struct vcon *c = (struct vcon *)dev;

	term_detach();
	virtio_cleanup(&c->v);
	close(c->timer_fd);
	free(c);
}

static void virtio_console_create(struct machine *m)
{
	struct vcon *c;

	if (m->config->console != CONSOLE_VIRTIO)
		return;
	c = calloc(1, sizeof(*c));
	if (!c)
		error_die(EXIT_ERROR, "out of memory");
	if (isatty(STDOUT_FILENO))
		c->v.offered = 1ULL << VIRTIO_CONSOLE_F_SIZE;
	c->timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	if (c->timer_fd < 0 || loop_add(&m->loop, c->timer_fd, EPOLLIN, timer_expired, c))
		error_die(EXIT_ERROR, "cannot create the console's timer");
	virtio_init(&c->v, m, &vcon_ops, &m->loop);
	machine_add_device(m, &c->v.device, vcon_free);
	term_attach(m, &(struct term_sink){ .input = vcon_input, .resized = vcon_resized,
					    .dev = c });
}

DEVICE_TYPE(virtio_console);
