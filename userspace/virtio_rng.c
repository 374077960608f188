// SPDX-License-Identifier: GPL-2.0-only
/* virtio entropy source: the host's random numbers. */
#include <linux/virtio_ids.h>
#include <stdlib.h>
#include <sys/random.h>

#include "error.h"
#include "machine.h"
#include "virtio.h"

#define CLASS_OTHER	0xff0000
#define MAX_BYTES	4096	/* per request; a driver that wants more asks again */

static void vrng_queue(struct virtio *v, unsigned int i)
{
	uint8_t bytes[MAX_BYTES];
	struct virtq_chain c;

	while (virtio_pop(v, i, &c)) {
		size_t want = c.in_len < MAX_BYTES ? c.in_len : MAX_BYTES;
		ssize_t got = getrandom(bytes, want, 0);

		virtio_push(v, i, &c, got > 0 ? virtq_write(&c, 0, bytes, got) : 0);
	}
	virtio_signal(v, i);
}

static const struct virtio_ops vrng_ops = {
	.id = VIRTIO_ID_RNG,
	.class = CLASS_OTHER,
	.nr_queues = 1,
	.queue = vrng_queue,
};

static void vrng_free(struct device *dev)
{
	virtio_cleanup((struct virtio *)dev);
	free(dev);
}

static void virtio_rng_create(struct machine *m)
{
	struct virtio *v;

	if (!m->config->rng)
		return;
	v = calloc(1, sizeof(*v));
	if (!v)
		error_die(EXIT_ERROR, "out of memory");
	virtio_init(v, m, &vrng_ops, &m->loop);
	machine_add_device(m, &v->device, vrng_free);
}

DEVICE_TYPE(virtio_rng);
