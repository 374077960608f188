// SPDX-License-Identifier: GPL-2.0-only
#include <linux/workqueue.h>
#include <linux/mm.h>
#include "world.h"

struct world world;
ktime_t shim_now;
bool shim_signal;
long stats_live_count[NR_LIVE_OBJECTS];

/* Chips and LAPICs */

int pic_set_irq(struct vm *vm, unsigned int pin, int source, int level)
{
	world.pic_calls++;
	world.pic_raised += level;
	world.pic_level = (world.pic_level & ~BIT(pin)) | level << pin;
	return world.pic_status;
}

int ioapic_set_irq(struct vm *vm, unsigned int pin, int source, int level)
{
	world.ioapic_calls++;
	world.ioapic_level = (world.ioapic_level & ~BIT(pin)) | level << pin;
	return world.ioapic_status;
}

int lapic_deliver(struct vm *vm, const struct lapic_irq *irq)
{
	world.irq = *irq;
	world.messages++;
	return 1;
}

void lapic_irq_from_msi(struct vm *vm, u32 lo, u32 hi, u32 data, struct lapic_irq *irq)
{
	*irq = (struct lapic_irq){ .vector = data, .dest_id = lo >> 12 & 0xff,
				   .trig_mode = data >> 15 & 1, .level = 1 };
}

bool lapic_matches(struct lapic *lapic, const struct lapic_irq *irq)
{
	return irq->dest_id == 0;
}

int lapic_mmio_read(struct vcpu *vcpu, gpa_t gpa, int len, void *val)
{
	return -EOPNOTSUPP;
}

int lapic_mmio_write(struct vcpu *vcpu, gpa_t gpa, int len, const void *val)
{
	return -EOPNOTSUPP;
}

void irq_eoi_bitmap_request(struct vm *vm)
{
	world.eoi_requests++;
}

void irq_apicv_inhibit(struct vm *vm, enum apicv_inhibit reason, bool on)
{
}

struct eventfd_ctx *eventfd_ctx_fdget(int fd)
{
	if (fd == 10)
		return ERR_PTR(-EINVAL);
	if (fd < 0 || fd >= ARRAY_SIZE(world.eventfds))
		return ERR_PTR(-EBADF);
	world.eventfds[fd].refs++;
	return &world.eventfds[fd];
}

void ir_update(struct vm *vm)
{
}

/* Life */

void world_start(enum irqchip_mode mode)
{
	memset(&world, 0, sizeof(world));
	shim_now = 1000000000;
	world.vm.users.count.counter = 1;
	world.vm.irq.mode = mode;
	world.vcpu.vm = &world.vm;
	if (mode == IRQCHIP_KERNEL)
		world.vm.irq.pic = (void *)&world;	/* only asked whether it is there */
	EXPECT_EQ(io_vm_init(&world.vm), 0);
}

void world_end(void)
{
	int i;

	world.vm.users.count.counter = 0;
	pit_destroy(&world.vm);
	route_vm_destroy(&world.vm);
	io_vm_destroy(&world.vm);
	for (i = 0; i < ARRAY_SIZE(world.eventfds); i++)
		EXPECT_EQ(world.eventfds[i].refs, 0);
	EXPECT_EQ(world.vm.srcu.readers, 0);
	EXPECT_EQ(stats_live_count[LIVE_FILES], 0);
	EXPECT_EQ(stats_live_count[LIVE_PAGES], 0);
	EXPECT_EQ(shim_pages_used(), 0);
	EXPECT(!shim_work_list);
}

u32 port_in(u16 port, int len)
{
	int srcu = srcu_read_lock(&world.vm.srcu);
	u32 val = 0;
	int err = bus_read(&world.vcpu, BUS_PIO, port, len, &val);

	srcu_read_unlock(&world.vm.srcu, srcu);
	return err ? ~0u : val;
}

int port_out(u16 port, int len, u32 val)
{
	int srcu = srcu_read_lock(&world.vm.srcu);
	int err = bus_write(&world.vcpu, BUS_PIO, port, len, &val);

	srcu_read_unlock(&world.vm.srcu, srcu);
	return err;
}

/* Time */

void world_advance(u64 ns)
{
	ktime_t end = shim_now + ns;

	while (shim_hrtimer && shim_hrtimer->active && shim_hrtimer->expires <= end) {
		shim_now = shim_hrtimer->expires;
		shim_hrtimer->active = false;
		if (shim_hrtimer->function(shim_hrtimer) == HRTIMER_RESTART)
			shim_hrtimer->active = true;
		while (shim_work_run())
			;
	}
	shim_now = end;
}
