// SPDX-License-Identifier: GPL-2.0-only
/*
 * virtio balloon: memory that the guest gives up goes back to the host, at the start as much as
 * --balloon says, and later whatever the guest reports as free.
 */
#include <linux/virtio_balloon.h>
#include <linux/virtio_ids.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "virtio_balloon.h"
#include "error.h"
#include "machine.h"
#include "virtio.h"

enum { INFLATE, DEFLATE, STATS, REPORTING, NR_QUEUES };

#define CLASS_OTHER	0xff0000
#define PAGE_SHIFT	VIRTIO_BALLOON_PFN_SHIFT
#define PFNS_AT_ONCE	256

struct vballoon {
	struct virtio v;
	uint32_t actual;			/* pages, as the guest says */
	uint64_t reported;			/* bytes */
	bool stats_held;			/* the guest's buffer, until somebody asks */
	struct virtq_chain stats_chain;
	uint64_t stats[VIRTIO_BALLOON_S_NR];
	bool known[VIRTIO_BALLOON_S_NR];
};

/* For the terminal's key; a machine has one or none. */
static struct vballoon *instance;

/* Neighbouring pages go back together: a call per page costs the host a TLB flush each. */
static void inflate(struct vballoon *b, const struct virtq_chain *c)
{
	uint32_t pfns[PFNS_AT_ONCE];
	uint64_t start = 0, len = 0, off = 0;
	size_t got;

	while ((got = virtq_read(c, off, pfns, sizeof(pfns))) >= 4) {
		for (size_t i = 0; i < got / 4; i++) {
			uint64_t gpa = (uint64_t)pfns[i] << PAGE_SHIFT;

			if (len && gpa == start + len) {
				len += 1 << PAGE_SHIFT;
			} else if (len && gpa + (1 << PAGE_SHIFT) == start) {
				start = gpa;
				len += 1 << PAGE_SHIFT;
			} else {
				ram_discard(&b->v.m->ram, start, len);
				start = gpa;
				len = 1 << PAGE_SHIFT;
			}
		}
		off += got;
	}
	ram_discard(&b->v.m->ram, start, len);
}

/* The buffers themselves are the free pages. */
static void report(struct vballoon *b, const struct virtq_chain *c)
{
	const struct ram *ram = &b->v.m->ram;

	for (unsigned int i = c->nr_out; i < c->nr_out + c->nr_in; i++) {
		uint64_t off = (uint8_t *)c->iov[i].iov_base - ram->base;

		ram_discard(ram, off < ram->low ? off : off - ram->low + RAM_HOLE_END,
			    c->iov[i].iov_len);
		b->reported += c->iov[i].iov_len;
	}
}

static void parse_stats(struct vballoon *b, const struct virtq_chain *c)
{
	struct virtio_balloon_stat s;

	for (uint64_t off = 0; virtq_read(c, off, &s, sizeof(s)) == sizeof(s); off += sizeof(s)) {
		if (s.tag >= VIRTIO_BALLOON_S_NR)
			continue;
		b->stats[s.tag] = s.val;
		b->known[s.tag] = true;
	}
}

/* The guest fills a buffer whenever it gets it back, so it is held until somebody asks. */
static void take_stats(struct vballoon *b)
{
	struct virtq_chain c;

	while (virtio_pop(&b->v, STATS, &c)) {
		parse_stats(b, &c);
		if (b->stats_held)
			virtio_push(&b->v, STATS, &b->stats_chain, 0);
		b->stats_chain.head = c.head;
		b->stats_held = true;
	}
	virtio_signal(&b->v, STATS);
}

static void vballoon_queue(struct virtio *v, unsigned int i)
{
	struct vballoon *b = (struct vballoon *)v;
	struct virtq_chain c;

	if (i == STATS) {
		take_stats(b);
		return;
	}
	while (virtio_pop(v, i, &c)) {
		if (i == INFLATE)
			inflate(b, &c);
		else if (i == REPORTING)
			report(b, &c);
		virtio_push(v, i, &c, 0);	/* DEFLATE: the next touch brings a page back */
	}
	virtio_signal(v, i);
}

static void vballoon_read_config(struct virtio *v, void *config)
{
	struct vballoon *b = (struct vballoon *)v;
	uint32_t c[2] = { v->m->config->balloon_size >> PAGE_SHIFT, b->actual };

	memcpy(config, c, sizeof(c));
}

static void vballoon_write_config(struct virtio *v, unsigned int off, const void *data,
				  unsigned int len)
{
	struct vballoon *b = (struct vballoon *)v;

	if (off == offsetof(struct virtio_balloon_config, actual) && len == 4)
		memcpy(&b->actual, data, 4);
}

static void vballoon_stopped(struct virtio *v)
{
	((struct vballoon *)v)->stats_held = false;
}

void virtio_balloon_print(void)
{
	static const char *const names[] = VIRTIO_BALLOON_S_NAMES;
	struct vballoon *b = instance;

	if (!b)
		return;
	pthread_mutex_lock(&b->v.lock);
	fprintf(stderr, "balloon\n  %-32s %20llu\n  %-32s %20llu bytes\n", "pages inflated",
		(unsigned long long)b->actual, "reported free", (unsigned long long)b->reported);
	for (unsigned int i = 0; i < VIRTIO_BALLOON_S_NR; i++)
		if (b->known[i])
			fprintf(stderr, "  %-32s %20llu\n", names[i],
				(unsigned long long)b->stats[i]);
	if (b->stats_held && virtio_running(&b->v)) {
		virtio_push(&b->v, STATS, &b->stats_chain, 0);
		b->stats_held = false;
		virtio_signal(&b->v, STATS);
	}
	pthread_mutex_unlock(&b->v.lock);
}

static const struct virtio_ops vballoon_ops = {
	.id = VIRTIO_ID_BALLOON,
	.class = CLASS_OTHER,
	.nr_queues = NR_QUEUES,
	.config_len = 8,
	.features = 1ULL << VIRTIO_BALLOON_F_STATS_VQ | 1ULL << VIRTIO_BALLOON_F_REPORTING |
		    1ULL << VIRTIO_BALLOON_F_DEFLATE_ON_OOM,
	.queue = vballoon_queue,
	.read_config = vballoon_read_config,
	.write_config = vballoon_write_config,
	.stopped = vballoon_stopped,
};

static void vballoon_free(struct device *dev)
{
	instance = NULL;
	virtio_cleanup((struct virtio *)dev);
	free(dev);
}

static void virtio_balloon_create(struct machine *m)
{
	struct vballoon *b;

	if (!m->config->balloon)
		return;
	b = calloc(1, sizeof(*b));
	if (!b)
		error_die(EXIT_ERROR, "out of memory");
	virtio_init(&b->v, m, &vballoon_ops, &m->loop);
	machine_add_device(m, &b->v.device, vballoon_free);
	instance = b;
}

DEVICE_TYPE(virtio_balloon);
