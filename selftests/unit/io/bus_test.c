// SPDX-License-Identifier: GPL-2.0-only
/*
 * The range registry, ioeventfd and the coalesced ring. Catches: a device that answers outside its range, one lost or
 * called again after it left, a ring index taken from userspace unchecked.
 */
#include <linux/mm.h>
#include "world.h"

struct probe {
	struct bus_dev dev;
	int reads, writes, released;
	int answer;
};

static int probe_read(struct vcpu *vcpu, struct bus_dev *dev, u64 addr, int len, void *val)
{
	struct probe *probe = container_of(dev, struct probe, dev);

	probe->reads++;
	*(u8 *)val = addr;
	return probe->answer;
}

static int probe_write(struct vcpu *vcpu, struct bus_dev *dev, u64 addr, int len, const void *val)
{
	struct probe *probe = container_of(dev, struct probe, dev);

	probe->writes++;
	return probe->answer;
}

static void probe_release(struct bus_dev *dev)
{
	container_of(dev, struct probe, dev)->released++;
}

static const struct bus_dev_ops probe_ops = {
	.read = probe_read, .write = probe_write, .release = probe_release,
};

static int probe_register(struct probe *probe, u64 base, u32 len)
{
	int err;

	*probe = (struct probe){ .dev = { &probe_ops, base, len } };
	mutex_lock(&world.vm.irq_lock);
	err = bus_attach(&world.vm, BUS_PIO, &probe->dev);
	mutex_unlock(&world.vm.irq_lock);
	return err;
}

static void probe_unregister(struct probe *probe)
{
	mutex_lock(&world.vm.irq_lock);
	bus_detach(&world.vm, BUS_PIO, &probe->dev);
	mutex_unlock(&world.vm.irq_lock);
}

static void ranges(void)
{
	struct probe a, b, c;

	world_start(IRQCHIP_NONE);
	EXPECT_EQ(port_in(0x40, 1), ~0u);
	EXPECT_EQ(probe_register(&b, 0x60, 1), 0);
	EXPECT_EQ(probe_register(&a, 0x40, 4), 0);
	EXPECT_EQ(probe_register(&c, 0xfffc, 4), 0);
	EXPECT_EQ(port_in(0x3f, 1), ~0u);
	EXPECT_EQ(port_in(0x40, 1), 0x40);
	EXPECT_EQ(port_in(0x42, 2), 0x42);
	EXPECT_EQ(port_in(0x43, 2), ~0u);	/* sticks out */
	EXPECT_EQ(port_in(0x3f, 4), ~0u);
	EXPECT_EQ(port_in(0x44, 1), ~0u);
	EXPECT_EQ(port_in(0x60, 1), 0x60);
	EXPECT_EQ(port_in(0x61, 1), ~0u);
	EXPECT_EQ(port_out(0xffff, 1, 0), 0);
	EXPECT_EQ(port_out(0xfffe, 4, 0), -EOPNOTSUPP);
	EXPECT_EQ(a.reads, 2);
	EXPECT_EQ(c.writes, 1);
	world_end();
	EXPECT_EQ(a.released + b.released + c.released, 3);
}

static void overlap_and_refusal(void)
{
	struct probe wide, narrow, again;

	world_start(IRQCHIP_NONE);
	EXPECT_EQ(probe_register(&wide, 0x100, 0x80), 0);
	EXPECT_EQ(probe_register(&narrow, 0x110, 2), 0);
	EXPECT_EQ(probe_register(&again, 0x110, 0), 0);	/* any length at 0x110 */
	again.answer = -EOPNOTSUPP;
	narrow.answer = -EOPNOTSUPP;
	EXPECT_EQ(port_out(0x110, 2, 0), 0);
	EXPECT_EQ(again.writes, 1);
	EXPECT_EQ(narrow.writes, 1);
	EXPECT_EQ(wide.writes, 1);
	EXPECT_EQ(port_out(0x110, 4, 0), 0);
	EXPECT_EQ(narrow.writes, 1);
	EXPECT_EQ(again.writes, 2);
	EXPECT_EQ(wide.writes, 2);
	world_end();
}

static void unregistering(void)
{
	struct probe dev[8];
	int i;

	world_start(IRQCHIP_NONE);
	for (i = 0; i < 8; i++)
		EXPECT_EQ(probe_register(&dev[i], 0x200 + 8 * (i * 5 % 8), 8), 0);
	probe_unregister(&dev[3]);
	EXPECT_EQ(dev[3].released, 1);
	EXPECT_EQ(port_in(dev[3].dev.base, 1), ~0u);
	probe_unregister(&dev[3]);		/* gone already: nothing happens */
	EXPECT_EQ(dev[3].released, 1);
	for (i = 0; i < 8; i++)
		EXPECT_EQ(port_in(dev[i].dev.base, 1) != ~0u, i != 3);
	/* The hole is dropped by the next registration, and is no device. */
	EXPECT_EQ(probe_register(&dev[3], 0x300, 1), 0);
	for (i = 0; i < 8; i++)
		EXPECT(port_in(dev[i].dev.base, 1) != ~0u);
	world_end();
	for (i = 0; i < 8; i++)
		EXPECT_EQ(dev[i].released, 1);
}

static void limits(void)
{
	static struct probe dev[BUS_MAX_DEVS + 1];
	int i;

	world_start(IRQCHIP_NONE);
	shim_fail_after = 0;
	EXPECT_EQ(probe_register(&dev[0], 0, 1), -ENOMEM);
	shim_fail_after = -1;
	EXPECT_EQ(port_in(0, 1), ~0u);
	for (i = 0; i < BUS_MAX_DEVS; i++)
		EXPECT_EQ(probe_register(&dev[i], i, 1), 0);
	EXPECT_EQ(probe_register(&dev[BUS_MAX_DEVS], 5000, 1), -ENOSPC);
	probe_unregister(&dev[17]);
	EXPECT_EQ(probe_register(&dev[BUS_MAX_DEVS], 5000, 1), 0);
	EXPECT_EQ(port_in(17, 1), ~0u);
	EXPECT_EQ(port_in(999, 1), 999 & 0xff);
	world_end();
}

/* ioeventfd */

static struct kvm_ioeventfd io(u64 addr, u32 len, int fd, u32 flags, u64 match)
{
	return (struct kvm_ioeventfd){ .addr = addr, .len = len, .fd = fd, .flags = flags,
				       .datamatch = match };
}

static int set(u64 addr, u32 len, int fd, u32 flags, u64 match)
{
	struct kvm_ioeventfd args = io(addr, len, fd, flags | KVM_IOEVENTFD_FLAG_PIO, match);

	return ioeventfd_set(&world.vm, &args);
}

#define MATCH	KVM_IOEVENTFD_FLAG_DATAMATCH
#define REMOVE	KVM_IOEVENTFD_FLAG_DEASSIGN

static void ioeventfd_refuses(void)
{
	struct kvm_ioeventfd wrap = io(~0ull - 1, 4, 0, 0, 0);

	world_start(IRQCHIP_NONE);
	EXPECT_EQ(set(0x500, 3, 0, 0, 0), -EINVAL);
	EXPECT_EQ(set(0x500, 16, 0, 0, 0), -EINVAL);
	EXPECT_EQ(set(0x500, 0, 0, MATCH, 1), -EINVAL);
	EXPECT_EQ(set(0x500, 2, 0, 1 << 5, 0), -EINVAL);
	EXPECT_EQ(ioeventfd_set(&world.vm, &wrap), -EINVAL);
	EXPECT_EQ(set(0x500, 2, 9, 0, 0), -EBADF);
	EXPECT_EQ(set(0x500, 2, 10, 0, 0), -EINVAL);
	EXPECT_EQ(set(0x500, 2, 0, REMOVE, 0), -ENOENT);
	EXPECT_EQ(set(0x500, 2, 0, 0, 0), 0);
	EXPECT_EQ(set(0x500, 2, 1, 0, 0), -EEXIST);
	EXPECT_EQ(set(0x500, 2, 1, MATCH, 1), -EEXIST);
	EXPECT_EQ(set(0x500, 0, 1, 0, 0), -EEXIST);
	EXPECT_EQ(set(0x500, 4, 1, 0, 0), 0);
	EXPECT_EQ(set(0x500, 2, 1, REMOVE, 0), -ENOENT);	/* another's */
	shim_fail_after = 0;
	EXPECT_EQ(set(0x600, 2, 0, 0, 0), -ENOMEM);
	shim_fail_after = 1;
	EXPECT_EQ(set(0x600, 2, 0, 0, 0), -ENOMEM);
	shim_fail_after = -1;
	EXPECT_EQ(port_out(0x600, 2, 0), -EOPNOTSUPP);
	world_end();
}

static void ioeventfd_matches(void)
{
	world_start(IRQCHIP_NONE);
	EXPECT_EQ(set(0x510, 4, 0, MATCH, 7), 0);
	EXPECT_EQ(set(0x510, 4, 1, MATCH, 8), 0);
	EXPECT_EQ(set(0x520, 0, 2, 0, 0), 0);
	EXPECT_EQ(port_out(0x510, 4, 7), 0);
	EXPECT_EQ(port_out(0x510, 4, 8), 0);
	EXPECT_EQ(port_out(0x510, 4, 8), 0);
	EXPECT_EQ(port_out(0x510, 4, 9), -EOPNOTSUPP);
	EXPECT_EQ(port_out(0x510, 2, 7), -EOPNOTSUPP);
	EXPECT_EQ(port_out(0x511, 2, 7), -EOPNOTSUPP);
	EXPECT_EQ(port_in(0x510, 4), ~0u);
	EXPECT_EQ(port_out(0x520, 1, 1), 0);
	EXPECT_EQ(port_out(0x520, 4, 1), 0);
	EXPECT_EQ(world.eventfds[0].count, 1);
	EXPECT_EQ(world.eventfds[1].count, 2);
	EXPECT_EQ(world.eventfds[2].count, 2);
	EXPECT_EQ(set(0x510, 4, 1, MATCH | REMOVE, 8), 0);
	EXPECT_EQ(world.eventfds[1].refs, 0);
	EXPECT_EQ(port_out(0x510, 4, 8), -EOPNOTSUPP);
	EXPECT_EQ(port_out(0x510, 4, 7), 0);
	world_end();
}

/* Coalesced ring */

static int zone(u64 addr, u32 size, u32 pio, bool add)
{
	struct kvm_coalesced_mmio_zone args = { .addr = addr, .size = size, .pio = pio };

	return add ? coalesced_register(&world.vm, &args) : coalesced_unregister(&world.vm, &args);
}

static int mmio_write(u64 addr, int len, u64 val)
{
	return bus_write(&world.vcpu, BUS_MMIO, addr, len, &val);
}

static void coalesced_collects(void)
{
	struct kvm_coalesced_mmio_ring *ring;

	world_start(IRQCHIP_NONE);
	ring = world.vm.io.ring;
	EXPECT_EQ(zone(0x1000, 0x10, 2, true), -EINVAL);
	EXPECT_EQ(zone(0x1000, 0x10, 0, true), 0);
	EXPECT_EQ(zone(0xcf8, 4, 1, true), 0);
	EXPECT_EQ(mmio_write(0x1008, 8, 0x1122334455667788), 0);
	EXPECT_EQ(mmio_write(0x100c, 8, 0), -EOPNOTSUPP);
	EXPECT_EQ(port_out(0xcf8, 4, 0x80000000), 0);
	EXPECT_EQ(ring->last, 2);
	EXPECT_EQ(ring->coalesced_mmio[0].phys_addr, 0x1008);
	EXPECT_EQ(ring->coalesced_mmio[0].len, 8);
	EXPECT_EQ(ring->coalesced_mmio[0].data[0], 0x88);
	EXPECT_EQ(ring->coalesced_mmio[1].pio, 1);
	EXPECT_EQ(zone(0x9000, 4, 0, false), 0);	/* never registered: fine */
	EXPECT_EQ(zone(0x1004, 4, 0, false), 0);	/* part of one: it goes */
	EXPECT_EQ(mmio_write(0x1000, 4, 0), -EOPNOTSUPP);
	EXPECT_EQ(port_out(0xcf8, 4, 0), 0);
	world_end();
}

static void coalesced_full_or_corrupt(void)
{
	struct kvm_coalesced_mmio_ring *ring;
	int i;

	world_start(IRQCHIP_NONE);
	ring = world.vm.io.ring;
	EXPECT_EQ(zone(0x1000, 0x1000, 0, true), 0);
	for (i = 0; i < 169; i++)
		EXPECT_EQ(mmio_write(0x1000 + i, 1, i), 0);
	EXPECT_EQ(mmio_write(0x1000, 1, 0), -EOPNOTSUPP);
	ring->first = 1;
	EXPECT_EQ(mmio_write(0x1000, 1, 0), 0);
	EXPECT_EQ(ring->last, 0);
	ring->first = 5;
	ring->last = 170;		/* one too far, as only userspace could write it */
	EXPECT_EQ(mmio_write(0x1000, 1, 0), -EOPNOTSUPP);
	ring->last = 0xffffffff;
	EXPECT_EQ(mmio_write(0x1000, 1, 0), -EOPNOTSUPP);
	ring->last = 3;
	ring->first = 0xffffffff;	/* never equal: room is all it can claim */
	EXPECT_EQ(mmio_write(0x1000, 1, 0), 0);
	world_end();
}

static const struct ktap_case cases[] = {
	{ "a device answers in its range and nowhere else", ranges },
	{ "overlapping devices are asked in turn", overlap_and_refusal },
	{ "a device that leaves is not called again", unregistering },
	{ "out of memory, and too many devices", limits },
	{ "KVM_IOEVENTFD refuses", ioeventfd_refuses },
	{ "ioeventfd by address, length and data", ioeventfd_matches },
	{ "coalesced zones collect writes", coalesced_collects },
	{ "a ring that is full, or spoilt by userspace", coalesced_full_or_corrupt },
};

int main(void)
{
	return ktap_run(cases, ARRAY_SIZE(cases));
}
