// SPDX-License-Identifier: GPL-2.0-only
/*
 * Catches: a virtqueue that trusts its guest: descriptors outside of memory, chains that loop or
 * grow for ever, tables within tables, rings that wrap, indices that jump.
 */
#include <errno.h>
#include <linux/virtio_ring.h>
#include <string.h>

#include "check.h"
#include "virtq.h"
#include "world.h"

#define DESC	0x1000
#define AVAIL	0x3000
#define USED	0x4000
#define TABLE	0x8000
#define DATA	0x10000

static struct world w;
static struct virtq q;
static struct virtq_chain c;
static struct vring_desc *desc, *table;
static uint16_t *avail;		/* flags, idx, ring */
static struct vring_used *used;

static void setup(unsigned int size, bool event_idx)
{
	if (!w.m.ram.base)
		world_init(&w);
	memset(w.m.ram.base, 0, 0x20000);
	virtq_reset(&q, &w.m.ram);
	q.size = size;
	q.event_idx = event_idx;
	q.desc_gpa = DESC;
	q.avail_gpa = AVAIL;
	q.used_gpa = USED;
	virtq_enable(&q);
	desc = ram_ptr(&w.m.ram, DESC, 16 * VIRTQ_MAX);
	avail = ram_ptr(&w.m.ram, AVAIL, 1024);
	used = ram_ptr(&w.m.ram, USED, 4096);
	table = ram_ptr(&w.m.ram, TABLE, 16 * VIRTQ_MAX);
}

static void offer(uint16_t head)
{
	avail[2 + avail[1] % q.size] = head;
	avail[1]++;
}

static void rings_outside(void)
{
	static const uint64_t bad[] = { WORLD_LOW - 8, WORLD_LOW, RAM_HOLE_END - 16, ~0ULL & ~15,
					RAM_HOLE_END + WORLD_HIGH - 16 };

	setup(16, false);
	for (unsigned int i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		q.desc_gpa = bad[i] & ~15ULL;
		CHECK_EQ(virtq_enable(&q), -EINVAL);
		q.desc_gpa = DESC;
		q.avail_gpa = bad[i];
		CHECK_EQ(virtq_enable(&q), -EINVAL);
		q.avail_gpa = AVAIL;
		q.used_gpa = bad[i];
		CHECK_EQ(virtq_enable(&q), -EINVAL);
		q.used_gpa = USED;
	}
	CHECK_EQ(virtq_enable(&q), 0);
}

static void rings_misaligned(void)
{
	setup(16, false);
	q.desc_gpa = DESC + 8;
	CHECK_EQ(virtq_enable(&q), -EINVAL);
	q.desc_gpa = DESC;
	q.avail_gpa = AVAIL + 1;
	CHECK_EQ(virtq_enable(&q), -EINVAL);
	q.avail_gpa = AVAIL;
	q.used_gpa = USED + 2;
	CHECK_EQ(virtq_enable(&q), -EINVAL);
	q.used_gpa = USED;
	q.size = 24;
	CHECK_EQ(virtq_enable(&q), -EINVAL);
	q.size = 2 * VIRTQ_MAX;
	CHECK_EQ(virtq_enable(&q), -EINVAL);
}

static void plain_chain(void)
{
	setup(16, false);
	desc[3] = (struct vring_desc){ DATA, 100, VRING_DESC_F_NEXT, 7 };
	desc[7] = (struct vring_desc){ DATA + 4096, 200,
				       VRING_DESC_F_NEXT | VRING_DESC_F_WRITE, 1 };
	desc[1] = (struct vring_desc){ RAM_HOLE_END, 1, VRING_DESC_F_WRITE, 0 };
	CHECK_EQ(virtq_pop(&q, &c), 0);
	offer(3);
	CHECK_EQ(virtq_pop(&q, &c), 1);
	CHECK_EQ(c.head, 3);
	CHECK_EQ(c.nr_out, 1);
	CHECK_EQ(c.nr_in, 2);
	CHECK_EQ(c.out_len, 100);
	CHECK_EQ(c.in_len, 201);
	CHECK(c.iov[0].iov_base == w.m.ram.base + DATA);
	CHECK(c.iov[2].iov_base == w.m.ram.base + WORLD_LOW);
	virtq_push(&q, c.head, 201);
	CHECK_EQ(used->idx, 1);
	CHECK_EQ(used->ring[0].id, 3);
	CHECK_EQ(used->ring[0].len, 201);
	CHECK_EQ(virtq_pop(&q, &c), 0);
}

static void buffers_outside(void)
{
	static const struct { uint64_t addr; uint32_t len; } bad[] = {
		{ WORLD_LOW - 1, 2 }, { WORLD_LOW, 1 }, { RAM_HOLE_END - 1, 2 }, { ~0ULL, 1 },
		{ ~0ULL - 10, 20 }, { DATA, ~0u }, { RAM_HOLE_END + WORLD_HIGH, 1 },
		{ RAM_HOLE_END + WORLD_HIGH - 1, 2 }, { RAM_HOLE_END, ~0u },
	};

	for (unsigned int i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		setup(16, false);
		desc[0] = (struct vring_desc){ bad[i].addr, bad[i].len, 0, 0 };
		offer(0);
		CHECK_EQ(virtq_pop(&q, &c), -EINVAL);
	}
}

static void loops(void)
{
	setup(16, false);
	desc[0] = (struct vring_desc){ DATA, 1, VRING_DESC_F_NEXT, 0 };
	offer(0);
	CHECK_EQ(virtq_pop(&q, &c), -EINVAL);
	setup(16, false);
	desc[0] = (struct vring_desc){ DATA, 1, VRING_DESC_F_NEXT, 1 };
	desc[1] = (struct vring_desc){ DATA, 0, VRING_DESC_F_NEXT, 0 };
	offer(0);
	CHECK_EQ(virtq_pop(&q, &c), -EINVAL);
}

static void links_outside(void)
{
	setup(16, false);
	desc[0] = (struct vring_desc){ DATA, 1, VRING_DESC_F_NEXT, 16 };
	offer(0);
	CHECK_EQ(virtq_pop(&q, &c), -EINVAL);
	setup(16, false);
	offer(16);
	CHECK_EQ(virtq_pop(&q, &c), -EINVAL);
	setup(16, false);
	offer(0xffff);
	CHECK_EQ(virtq_pop(&q, &c), -EINVAL);
}

static void readable_after_writable(void)
{
	setup(16, false);
	desc[0] = (struct vring_desc){ DATA, 1, VRING_DESC_F_NEXT | VRING_DESC_F_WRITE, 1 };
	desc[1] = (struct vring_desc){ DATA, 1, 0, 0 };
	offer(0);
	CHECK_EQ(virtq_pop(&q, &c), -EINVAL);
}

static void index_jumps(void)
{
	setup(16, false);
	desc[0] = (struct vring_desc){ DATA, 1, 0, 0 };
	avail[1] = 17;
	CHECK_EQ(virtq_pop(&q, &c), -EINVAL);
	avail[1] = 16;
	CHECK_EQ(virtq_pop(&q, &c), 1);
	avail[1] = 0;	/* backwards */
	CHECK_EQ(virtq_pop(&q, &c), -EINVAL);
}

static void indices_wrap(void)
{
	setup(4, false);
	for (unsigned int i = 0; i < 70000; i++) {
		desc[i % 4] = (struct vring_desc){ DATA + i % 64, 1, 0, 0 };
		offer(i % 4);
		CHECK_EQ(virtq_pop(&q, &c), 1);
		CHECK_EQ(c.head, i % 4);
		virtq_push(&q, c.head, 0);
		CHECK_EQ(used->idx, (uint16_t)(i + 1));
		CHECK_EQ(used->ring[i % 4].id, i % 4);
	}
}

static int pop_indirect(uint64_t addr, uint32_t len, uint16_t flags)
{
	desc[0] = (struct vring_desc){ addr, len, VRING_DESC_F_INDIRECT | flags, 0 };
	avail[1] = q.last_avail;
	offer(0);
	return virtq_pop(&q, &c);
}

static void indirect(void)
{
	setup(16, false);
	for (unsigned int i = 0; i < VIRTQ_MAX; i++)
		table[i] = (struct vring_desc){ DATA + i, 1, VRING_DESC_F_NEXT, i + 1 };
	table[VIRTQ_MAX - 1].flags = VRING_DESC_F_WRITE;
	CHECK_EQ(pop_indirect(TABLE, 16 * VIRTQ_MAX, 0), 1);
	CHECK_EQ(c.nr_out, VIRTQ_MAX - 1);
	CHECK_EQ(c.nr_in, 1);
}

static void indirect_malformed(void)
{
	setup(16, false);
	table[0] = (struct vring_desc){ DATA, 1, 0, 0 };
	CHECK_EQ(pop_indirect(TABLE, 0, 0), -EINVAL);
	CHECK_EQ(pop_indirect(TABLE, 17, 0), -EINVAL);
	CHECK_EQ(pop_indirect(TABLE, 16 * (VIRTQ_MAX + 1), 0), -EINVAL);
	CHECK_EQ(pop_indirect(TABLE, ~0u & ~15u, 0), -EINVAL);
	CHECK_EQ(pop_indirect(WORLD_LOW - 8, 16, 0), -EINVAL);
	CHECK_EQ(pop_indirect(~0ULL - 7, 16, 0), -EINVAL);
	CHECK_EQ(pop_indirect(TABLE, 16, VRING_DESC_F_NEXT), -EINVAL);
	table[0] = (struct vring_desc){ TABLE, 16, VRING_DESC_F_INDIRECT, 0 };
	CHECK_EQ(pop_indirect(TABLE, 16, 0), -EINVAL);
	table[0] = (struct vring_desc){ DATA, 1, VRING_DESC_F_NEXT, 0 };
	CHECK_EQ(pop_indirect(TABLE, 16, 0), -EINVAL);
	table[0] = (struct vring_desc){ DATA, 1, VRING_DESC_F_NEXT, 1 };
	CHECK_EQ(pop_indirect(TABLE, 16, 0), -EINVAL);
	table[0].flags = 0;
	CHECK_EQ(pop_indirect(TABLE, 16, 0), 1);
}

static void too_many_buffers(void)
{
	setup(VIRTQ_MAX, false);
	for (unsigned int i = 0; i < VIRTQ_MAX; i++) {
		desc[i] = (struct vring_desc){ DATA, 1, VRING_DESC_F_NEXT, i + 1 };
		table[i] = (struct vring_desc){ DATA, 1, VRING_DESC_F_NEXT, i + 1 };
	}
	desc[VIRTQ_MAX - 1] = (struct vring_desc){ TABLE, 16 * VIRTQ_MAX,
						   VRING_DESC_F_INDIRECT, 0 };
	offer(0);
	CHECK_EQ(virtq_pop(&q, &c), -EINVAL);
}

static void suppress_by_flag(void)
{
	setup(16, false);
	virtq_push(&q, 0, 0);
	CHECK(virtq_should_signal(&q));
	CHECK(!virtq_should_signal(&q));
	avail[0] = VRING_AVAIL_F_NO_INTERRUPT;
	virtq_push(&q, 0, 0);
	CHECK(!virtq_should_signal(&q));
}

static void suppress_by_event(void)
{
	setup(16, true);
	avail[2 + 16] = 2;	/* used_event: interrupt when element 2 is used */
	virtq_push(&q, 0, 0);
	CHECK(!virtq_should_signal(&q));
	virtq_push(&q, 0, 0);
	CHECK(!virtq_should_signal(&q));
	virtq_push(&q, 0, 0);
	CHECK(virtq_should_signal(&q));
	virtq_push(&q, 0, 0);
	CHECK(!virtq_should_signal(&q));
}

static void rearm_sees_late_request(void)
{
	uint16_t *avail_event;

	setup(16, true);
	avail_event = (uint16_t *)&used->ring[16];
	desc[0] = (struct vring_desc){ DATA, 1, 0, 0 };
	CHECK(!virtq_rearm(&q));
	CHECK_EQ(*avail_event, 0);
	offer(0);
	CHECK(virtq_rearm(&q));
	CHECK_EQ(virtq_pop(&q, &c), 1);
	CHECK(!virtq_rearm(&q));
	CHECK_EQ(*avail_event, 1);
}

static void copies_across_buffers(void)
{
	uint8_t out[16], *p;

	setup(16, false);
	desc[0] = (struct vring_desc){ DATA, 3, VRING_DESC_F_NEXT, 1 };
	desc[1] = (struct vring_desc){ DATA + 8, 0, VRING_DESC_F_NEXT, 2 };
	desc[2] = (struct vring_desc){ DATA + 16, 5, VRING_DESC_F_NEXT, 3 };
	desc[3] = (struct vring_desc){ DATA + 32, 4, VRING_DESC_F_NEXT | VRING_DESC_F_WRITE, 4 };
	desc[4] = (struct vring_desc){ DATA + 48, 4, VRING_DESC_F_WRITE, 0 };
	p = w.m.ram.base + DATA;
	memcpy(p, "abc", 3);
	memcpy(p + 16, "defgh", 5);
	offer(0);
	CHECK_EQ(virtq_pop(&q, &c), 1);
	CHECK_EQ(virtq_read(&c, 2, out, 16), 6);
	CHECK(!memcmp(out, "cdefgh", 6));
	CHECK_EQ(virtq_read(&c, 8, out, 1), 0);
	CHECK_EQ(virtq_write(&c, 3, "12345678", 8), 5);
	CHECK(p[35] == '1' && !memcmp(p + 48, "2345", 4) && !p[52] && !p[36]);
}

/* Rings of random numbers: whatever comes out lies in memory, and it ends. */
static void random_rings(void)
{
	unsigned long rounds = world_env("ROUNDS", 40000);

	for (unsigned long i = 0; i < rounds; i++) {
		uint64_t total = 0;

		setup(1 << world_random() % 9, world_random() & 1);
		for (unsigned int k = 0; k < 64; k++) {
			struct vring_desc *d = world_random() & 1 ? &desc[k] : &table[k];

			d->addr = world_random() % 4 ? world_random() % (2 * WORLD_LOW) :
				  RAM_HOLE_END + world_random() % (2 * WORLD_HIGH);
			d->len = world_random() >> (32 + world_random() % 32);
			d->flags = world_random() & 7;
			d->next = world_random() % 80;
			if (world_random() % 4 == 0)
				d->addr = TABLE;
			if (world_random() % 2 == 0)
				d->len = world_random() % 64 * 16;
		}
		offer(world_random() % 80);
		if (virtq_pop(&q, &c) != 1)
			continue;
		CHECK(c.nr_out + c.nr_in <= VIRTQ_MAX);
		for (unsigned int k = 0; k < c.nr_out + c.nr_in; k++) {
			uint8_t *p = c.iov[k].iov_base;

			CHECK(p >= w.m.ram.base &&
			      p + c.iov[k].iov_len <= w.m.ram.base + w.m.ram.size);
			total += c.iov[k].iov_len;
		}
		CHECK_EQ(total, c.in_len + c.out_len);
	}
}

static const struct check_case cases[] = {
	{ "rings outside of memory are refused", rings_outside },
	{ "misaligned rings and odd sizes are refused", rings_misaligned },
	{ "a chain of three buffers", plain_chain },
	{ "buffers outside of memory", buffers_outside },
	{ "chains that loop", loops },
	{ "links and heads outside of the table", links_outside },
	{ "readable after writable", readable_after_writable },
	{ "an available index that jumps", index_jumps },
	{ "indices wrap", indices_wrap },
	{ "an indirect table", indirect },
	{ "malformed indirect tables", indirect_malformed },
	{ "more buffers than a chain may have", too_many_buffers },
	{ "interrupts suppressed by flag", suppress_by_flag },
	{ "interrupts suppressed by event index", suppress_by_event },
	{ "a request during rearming is not lost", rearm_sees_late_request },
	{ "copies go across buffers and stop at the end", copies_across_buffers },
	{ "random rings", random_rings },
};

CHECK_MAIN(cases)
