// SPDX-License-Identifier: GPL-2.0-only
/*
 * serve DISK: runs in a driver domain and serves another guest's disk, whose queues come by a domain
 * port, from a disk of its own. One thread, one request at a time; knows the layout of requests that
 * Linux makes: a header of 16 bytes, data, a status byte, each in descriptors of its own.
 *
 * The other guest writes to all of its memory at any time: what is read from there is read once,
 * checked, and only then used.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/corbel_port.h>
#include <linux/fs.h>
#include <linux/virtio_blk.h>
#include <linux/virtio_config.h>
#include <linux/virtio_ring.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/uio.h>
#include <unistd.h>

#define VECTORS		(1 + PORT_QUEUES)
#define MAX_BUFFERS	130
#define SECTOR		512
#define FEATURES	(1ULL << VIRTIO_F_VERSION_1 | 1ULL << VIRTIO_BLK_F_FLUSH |	\
			 1ULL << VIRTIO_BLK_F_SEG_MAX | 1ULL << VIRTIO_BLK_F_BLK_SIZE)

struct queue {
	bool enabled;
	uint32_t size;
	uint16_t next, used_idx;
	volatile struct vring_desc *desc;
	volatile struct vring_avail *avail;
	volatile struct vring_used *used;
};

struct chain {
	unsigned int n, nr_out;
	uint64_t in_len;
	struct iovec iov[MAX_BUFFERS];
};

static volatile struct port_regs *regs;
static int uio[VECTORS], disk;
static uint64_t disk_size, requests;
static uint8_t *memory;
static uint64_t memory_size;
static struct port_region regions[PORT_REGIONS];
static struct queue queues[PORT_QUEUES];

static void die(const char *what)
{
	perror(what);
	exit(1);
}

/* The UIO core's way to name one of a device's maps. */
static void *map(unsigned int number, uint64_t size)
{
	void *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, uio[0], number * 4096);

	if (p == MAP_FAILED)
		die("mmap");
	return p;
}

static void *pointer(uint64_t gpa, uint64_t len)
{
	for (unsigned int i = 0; i < PORT_REGIONS; i++) {
		const struct port_region *r = &regions[i];

		if (gpa >= r->gpa && gpa - r->gpa < r->size && len <= r->size - (gpa - r->gpa))
			return memory + r->offset + (gpa - r->gpa);
	}
	return NULL;
}

static bool add_buffer(struct chain *c, uint64_t gpa, uint32_t len, bool in)
{
	void *p = pointer(gpa, len);

	if (!p || c->n == MAX_BUFFERS || (!in && c->n > c->nr_out))
		return false;
	c->iov[c->n++] = (struct iovec){ p, len };
	if (in)
		c->in_len += len;
	else
		c->nr_out++;
	return true;
}

/* Of no more descriptors than there are, which a loop would have. */
static bool collect(const struct queue *q, uint16_t i, struct chain *c)
{
	c->n = c->nr_out = 0;
	c->in_len = 0;
	for (uint32_t steps = 0; steps < q->size && i < q->size; steps++) {
		uint16_t flags = q->desc[i].flags;

		if (flags & VRING_DESC_F_INDIRECT ||
		    !add_buffer(c, q->desc[i].addr, q->desc[i].len, flags & VRING_DESC_F_WRITE))
			return false;
		if (!(flags & VRING_DESC_F_NEXT))
			return c->nr_out && c->n > c->nr_out &&
			       c->iov[0].iov_len == sizeof(struct virtio_blk_outhdr) &&
			       c->iov[c->n - 1].iov_len == 1;
		i = q->desc[i].next;
	}
	return false;
}

static uint64_t length(const struct iovec *iov, unsigned int n)
{
	uint64_t len = 0;

	while (n--)
		len += iov[n].iov_len;
	return len;
}

static uint8_t transfer(const struct iovec *iov, unsigned int n, uint64_t sector, bool write)
{
	uint64_t len = length(iov, n);
	ssize_t done;

	if (len % SECTOR || sector > disk_size / SECTOR ||
	    len / SECTOR > disk_size / SECTOR - sector)
		return VIRTIO_BLK_S_IOERR;
	done = write ? pwritev(disk, iov, n, sector * SECTOR) :
	       preadv(disk, iov, n, sector * SECTOR);
	return done == (ssize_t)len ? VIRTIO_BLK_S_OK : VIRTIO_BLK_S_IOERR;
}

static uint8_t get_id(const struct iovec *iov)
{
	if (iov->iov_len != VIRTIO_BLK_ID_BYTES)
		return VIRTIO_BLK_S_IOERR;
	memset(iov->iov_base, 0, VIRTIO_BLK_ID_BYTES);
	strcpy(iov->iov_base, "driver-domain");
	return VIRTIO_BLK_S_OK;
}

static uint8_t execute(const struct chain *c)
{
	unsigned int nr_in = c->n - c->nr_out - 1;
	struct virtio_blk_outhdr h;

	memcpy(&h, c->iov[0].iov_base, sizeof(h));
	switch (h.type) {
	case VIRTIO_BLK_T_IN:
		return transfer(c->iov + c->nr_out, nr_in, h.sector, false);
	case VIRTIO_BLK_T_OUT:
		return transfer(c->iov + 1, c->nr_out - 1, h.sector, true);
	case VIRTIO_BLK_T_FLUSH:
		return fdatasync(disk) ? VIRTIO_BLK_S_IOERR : VIRTIO_BLK_S_OK;
	case VIRTIO_BLK_T_GET_ID:
		return get_id(c->iov + c->nr_out);
	default:
		return VIRTIO_BLK_S_UNSUPP;
	}
}

static void put_used(struct queue *q, uint16_t head, uint32_t len)
{
	q->used->ring[q->used_idx % q->size].id = head;
	q->used->ring[q->used_idx % q->size].len = len;
	__atomic_store_n(&q->used->idx, ++q->used_idx, __ATOMIC_RELEASE);
}

/* Returns: false for a ring that makes no sense; it is not looked at again until it is set up anew. */
static bool serve_one(struct queue *q)
{
	uint16_t head = q->avail->ring[q->next % q->size];
	struct chain c;
	uint8_t status;

	if (!collect(q, head, &c))
		return false;
	status = execute(&c);
	memcpy(c.iov[c.n - 1].iov_base, &status, 1);
	q->next++;
	put_used(q, head, status == VIRTIO_BLK_S_OK ? c.in_len : 1);
	requests++;
	return true;
}

static bool has_requests(const struct queue *q)
{
	return __atomic_load_n(&q->avail->idx, __ATOMIC_ACQUIRE) != q->next;
}

/* While it is being looked at, nobody has to be told of more requests. */
static void serve_queue(unsigned int i)
{
	struct queue *q = &queues[i];
	uint16_t before = q->used_idx;

	while (q->enabled && has_requests(q)) {
		q->used->flags = VRING_USED_F_NO_NOTIFY;
		while (q->enabled && has_requests(q))
			q->enabled = serve_one(q);
		if (!q->enabled)
			printf("queue %u makes no sense\n", i);
		q->used->flags = 0;
		__atomic_thread_fence(__ATOMIC_SEQ_CST);
	}
	if (q->used_idx != before && !(q->avail->flags & VRING_AVAIL_F_NO_INTERRUPT))
		regs->doorbells[i] = 1;
}

static void follow_queue(unsigned int i, const struct port_queue *now)
{
	struct queue *q = &queues[i];

	if (now->enabled == q->enabled)
		return;
	q->enabled = now->enabled;
	if (!q->enabled) {
		regs->queues[i].next = q->next;
		return;
	}
	q->size = now->size;
	q->desc = (void *)(memory + now->desc);
	q->avail = (void *)(memory + now->avail);
	q->used = (void *)(memory + now->used);
	q->next = now->next;
	q->used_idx = q->used->idx;
}

static void follow_memory(const struct port_regs *now)
{
	const struct port_region *last;

	if (!memcmp(regions, now->regions, sizeof(regions)) && !memory == !now->connected)
		return;
	if (memory)
		munmap(memory, memory_size);
	memory = NULL;
	memset(regions, 0, sizeof(regions));
	if (!now->connected) {
		printf("disconnected after %llu requests\n", (unsigned long long)requests);
		return;
	}
	last = &now->regions[now->nr_regions - 1];
	memory_size = last->offset + last->size;
	memory = map(1, memory_size);
	memcpy(regions, now->regions, sizeof(regions));
	requests = 0;
	printf("connected: %llu MiB\n", (unsigned long long)memory_size >> 20);
}

/* A consistent view of the registers, read again when they have changed meanwhile. */
static void follow(void)
{
	struct port_regs now;

	do {
		now.generation = regs->generation;
		now.connected = regs->connected;
		now.nr_regions = regs->nr_regions;
		for (unsigned int i = 0; i < PORT_REGIONS; i++) {
			now.regions[i].gpa = regs->regions[i].gpa;
			now.regions[i].size = regs->regions[i].size;
			now.regions[i].offset = regs->regions[i].offset;
			now.regions[i].zero = 0;
		}
		for (unsigned int i = 0; i < PORT_QUEUES; i++) {
			now.queues[i].enabled = regs->queues[i].enabled;
			now.queues[i].size = regs->queues[i].size;
			now.queues[i].desc = regs->queues[i].desc;
			now.queues[i].avail = regs->queues[i].avail;
			now.queues[i].used = regs->queues[i].used;
			now.queues[i].next = regs->queues[i].next;
		}
	} while (now.generation != regs->generation);
	for (unsigned int i = 0; i < PORT_QUEUES; i++)
		if (!now.queues[i].enabled)
			follow_queue(i, &now.queues[i]);
	follow_memory(&now);
	for (unsigned int i = 0; i < PORT_QUEUES; i++)
		if (now.queues[i].enabled)
			follow_queue(i, &now.queues[i]);
	regs->seen = now.generation;
}

static void offer(void)
{
	struct virtio_blk_config config = { .capacity = disk_size / SECTOR, .seg_max = 126,
					    .blk_size = SECTOR, .num_queues = 1 };
	uint64_t words[PORT_CONFIG / 8] = { 0 };
	volatile uint64_t *to = (volatile uint64_t *)regs->config;

	memcpy(words, &config, sizeof(config) < sizeof(words) ? sizeof(config) : sizeof(words));
	for (unsigned int i = 0; i < PORT_CONFIG / 8; i++)
		to[i] = words[i];
	regs->offered = FEATURES;
	regs->seen = regs->generation;
	regs->ready = 1;
}

static void open_all(const char *path)
{
	char name[32];

	for (unsigned int i = 0; i < VECTORS; i++) {
		snprintf(name, sizeof(name), "/dev/uio%u", i);
		uio[i] = open(name, O_RDWR);
		if (uio[i] < 0)
			die(name);
	}
	disk = open(path, O_RDWR);
	if (disk < 0 || ioctl(disk, BLKGETSIZE64, &disk_size))
		die(path);
	regs = map(0, 4096);
	if (regs->version != PORT_VERSION || regs->nr_queues != PORT_QUEUES) {
		fprintf(stderr, "another version of port\n");
		exit(1);
	}
}

int main(int argc, char **argv)
{
	struct pollfd fds[VECTORS];
	uint32_t count;

	setlinebuf(stdout);
	if (argc != 2)
		return 2;
	open_all(argv[1]);
	for (unsigned int i = 0; i < VECTORS; i++)
		fds[i] = (struct pollfd){ uio[i], POLLIN, 0 };
	offer();
	printf("serving %s, %llu MiB\n", argv[1], (unsigned long long)disk_size >> 20);
	for (;;) {
		if (poll(fds, VECTORS, -1) < 0)
			die("poll");
		for (unsigned int i = 0; i < VECTORS; i++)
			if (fds[i].revents && read(uio[i], &count, sizeof(count)) < 0)
				die("read");
		if (fds[0].revents)
			follow();
		/* What was asked before a queue was enabled may have been told too early. */
		for (unsigned int i = 0; i < PORT_QUEUES; i++)
			if (fds[0].revents || fds[1 + i].revents)
				serve_queue(i);
	}
}
