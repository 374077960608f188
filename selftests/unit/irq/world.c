// SPDX-License-Identifier: GPL-2.0-only
#include <linux/mm.h>
#include <linux/slab.h>
#include "world.h"
#include "cpu/dr.h"
#include "cpu/msr.h"
#include "cpu/pv.h"
#include "cpu/tsc.h"
#include "irq/pit.h"

struct world world;
struct backend_ops backend;
struct backend_caps caps;
ktime_t shim_now;
bool shim_signal;
long stats_live_count[NR_LIVE_OBJECTS];
static struct vcpu *vcpus[64];
static struct kvm_run runs[64];
static u32 seed = 1;

u32 world_random(void)
{
	seed = seed * 1664525 + 1013904223;
	return seed >> 8;
}

struct vcpu *world_vcpu(int index)
{
	return vcpus[index];
}

struct lapic *world_lapic(int index)
{
	return vcpus[index]->irq.lapic;
}

/* The backend */

static void reg_fetch(struct vcpu *vcpu, enum reg reg)
{
	vcpu->regs.avail |= BIT_ULL(reg);
}

static bool timer_set(struct vcpu *vcpu, u64 guest_tsc)
{
	world.hw_timer = guest_tsc;
	world.hw_sets++;
	return caps.timer;
}

static bool apicv_post(struct vcpu *vcpu, u8 vector)
{
	if (world.post_refused)
		return false;
	world.pir[vcpu->index][vector / 32] |= BIT(vector % 32);
	return true;
}

static int apicv_sync(struct vcpu *vcpu)
{
	struct lapic *lapic = vcpu->irq.lapic;
	int i;

	for (i = 0; i < 8; i++) {
		lapic_reg_set(lapic, APIC_IRR + i * 16,
			      lapic_reg(lapic, APIC_IRR + i * 16) | world.pir[vcpu->index][i]);
		world.pir[vcpu->index][i] = 0;
	}
	return lapic_highest_irr(lapic);
}

static void apicv_update(struct vcpu *vcpu)
{
	world.apicv_updates++;
}

/* Other rooms */

void vcpu_kick(struct vcpu *vcpu)
{
	world.kicked |= BIT(vcpu->index);
}

void vm_request_all(struct vm *vm, enum vcpu_req req, bool wait)
{
	struct vcpu *vcpu;
	int i;

	vm_for_each_vcpu(i, vcpu, vm)
		vcpu_request(vcpu, req);
}

void vcpu_reset(struct vcpu *vcpu, bool init)
{
	world.resets++;
	irq_vcpu_reset(vcpu, init);
	events_reset(vcpu);
}

int vcpu_skip_insn(struct vcpu *vcpu)
{
	rip_set(vcpu, rip_get(vcpu) + 1);
	return RESUME;
}

int emulate_insn(struct vcpu *vcpu)
{
	return RESUME;
}

int guest_read(struct vm *vm, gpa_t gpa, void *buf, unsigned int len)
{
	memcpy(buf, &world.vapic, len);
	return 0;
}

int guest_write(struct vcpu *vcpu, gpa_t gpa, const void *buf, unsigned int len)
{
	memcpy(&world.vapic, buf, len);
	return 0;
}

bool mce_has_cmci(struct vcpu *vcpu)
{
	return vcpu->arch.mce.cap & BIT(10);
}

bool pv_eoi_set(struct vcpu *vcpu)
{
	vcpu->arch.pv_eoi_pending = true;
	world.pv_eoi_ended = false;
	return true;
}

bool pv_eoi_take(struct vcpu *vcpu)
{
	vcpu->arch.pv_eoi_pending = false;
	return world.pv_eoi_ended;
}

void pv_eoi_clear(struct vcpu *vcpu)
{
	vcpu->arch.pv_eoi_pending = false;
}

void cpuid_refresh(struct vcpu *vcpu)
{
}

void dr_deliver(struct vcpu *vcpu, u64 dr6_bits)
{
	vcpu->regs.dr6 |= dr6_bits;
}

void pio_hold(struct vcpu *vcpu)
{
}

u64 rdtsc(void)
{
	return world.tsc;
}

u64 tsc_scale(u64 tsc, u64 ratio)
{
	return tsc;
}

u64 tsc_to_ns(struct vcpu *vcpu, u64 guest_ticks)
{
	return guest_ticks;
}

u64 tsc_from_ns(struct vcpu *vcpu, u64 ns)
{
	return ns;
}

int bus_attach(struct vm *vm, enum bus_space space, struct bus_dev *dev)
{
	world.space[world.nr_dev] = space;
	world.dev[world.nr_dev++] = dev;
	return 0;
}

void bus_detach(struct vm *vm, enum bus_space space, struct bus_dev *dev)
{
	if (dev->ops->release)
		dev->ops->release(dev);
}

void route_acked(struct vm *vm, unsigned int chip, unsigned int pin)
{
	world.acked[chip] |= BIT(pin);
	if (world.on_ack)
		world.on_ack(chip, pin);
}

bool route_has_ack(struct vm *vm, unsigned int chip, unsigned int pin)
{
	return chip == KVM_IRQCHIP_IOAPIC && (world.has_ack & BIT(pin));
}

void route_unmasked(struct vm *vm, unsigned int chip, unsigned int pin)
{
	world.unmasked[chip] |= BIT(pin);
}

int route_set_default(struct vm *vm)
{
	return 0;
}

int route_set(struct vm *vm, const struct kvm_irq_routing_entry *entries, unsigned int nr)
{
	return 0;
}

void route_vm_destroy(struct vm *vm)
{
}

void route_eoi_vectors(struct vcpu *vcpu, u64 bitmap[4])
{
	int i;

	for (i = 0; i < world.nr_level_msi; i++)
		if (lapic_matches(vcpu->irq.lapic, &world.level_msi[i]))
			__set_bit(world.level_msi[i].vector, (unsigned long *)bitmap);
}

void mmu_set_apic_page(struct vm *vm, hpa_t hpa)
{
	vm->mmu.apic_page = hpa;
}

void pit_destroy(struct vm *vm)
{
}

void irqfd_vm_init(struct vm *vm)
{
}

void ir_vm_init(struct vm *vm)
{
}

void ir_update(struct vm *vm)
{
}

/* Life */

struct vcpu *world_add_vcpu(u32 id)
{
	struct vcpu *vcpu = kzalloc(sizeof(*vcpu), GFP_KERNEL);
	int index = world.vm.nr_vcpus;

	vcpu->vm = &world.vm;
	vcpu->id = id;
	vcpu->index = index;
	vcpu->run = &runs[index];
	memset(vcpu->run, 0, sizeof(*vcpu->run));
	vcpu->arch.features = BIT_ULL(GUEST_X2APIC) | BIT_ULL(GUEST_APIC);
	vcpu->arch.maxphyaddr = 46;
	vcpu->arch.poll_control = 1;
	vcpu->regs.avail = ~0ull;
	EXPECT_EQ(irq_vcpu_init(vcpu), 0);
	vcpu_reset(vcpu, false);
	vcpus[index] = vcpu;
	xa_store(&world.vm.vcpus, index, vcpu, GFP_KERNEL);
	world.vm.nr_vcpus++;
	irq_vcpu_ready(vcpu);
	vcpu->requests = 0;
	return vcpu;
}

void world_start(enum irqchip_mode mode, int nr_vcpus)
{
	struct vm *vm = &world.vm;
	int i;

	memset(&world, 0, sizeof(world));
	memset(&caps, 0, sizeof(caps));
	backend = (struct backend_ops){
		.reg_fetch = reg_fetch,
		.timer_set = timer_set,
		.apicv_post = apicv_post,
		.apicv_sync = apicv_sync,
		.apicv_update = apicv_update,
	};
	shim_now = 1000000000;
	shim_signal = false;
	world.tsc = 5000;
	mutex_init(&vm->irq_lock);
	vm->mmu.apic_page = INVALID_HPA;
	EXPECT_EQ(irq_vm_init(vm), 0);
	if (mode == IRQCHIP_KERNEL)
		EXPECT_EQ(irqchip_create(vm), 0);
	else if (mode == IRQCHIP_SPLIT)
		EXPECT_EQ(irqchip_create_split(vm, 24), 0);
	for (i = 0; i < nr_vcpus; i++)
		world_add_vcpu(i);
	world.resets = 0;
}

void world_end(void)
{
	int i;

	irq_vm_destroy(&world.vm);
	for (i = 0; i < world.vm.nr_vcpus; i++) {
		irq_vcpu_destroy(vcpus[i]);
		kfree(vcpus[i]);
	}
	EXPECT_EQ(shim_pages_used(), 0);
}

/* Time */

static bool fire_due(void)
{
	int i;

	for (i = 0; i < world.vm.nr_vcpus; i++) {
		struct lapic *lapic = vcpus[i]->irq.lapic;
		struct hrtimer *timer = lapic ? &lapic->timer.hrtimer : NULL;

		if (!timer || !timer->active || timer->expires > shim_now)
			continue;
		timer->active = false;
		if (timer->function(timer) == HRTIMER_RESTART)
			timer->active = true;
		return true;
	}
	return false;
}

void world_advance(u64 ns)
{
	shim_now += ns;
	world.tsc += ns;
	while (fire_due())
		;
}

void world_relax(void)
{
	shim_now += 100;
	world.tsc += 100;
}

void shim_sleep(void)
{
	if (world.on_sleep)
		world.on_sleep();
	else
		shim_signal = true;	/* nothing would ever wake it */
}

/* Accesses */

static struct bus_dev *find_dev(enum bus_space space, u64 addr)
{
	int i;

	for (i = 0; i < world.nr_dev; i++)
		if (world.space[i] == space && addr >= world.dev[i]->base &&
		    addr < world.dev[i]->base + world.dev[i]->len)
			return world.dev[i];
	WARN_ON(true);
	return NULL;
}

u32 mmio_read32(u64 gpa)
{
	struct bus_dev *dev = find_dev(BUS_MMIO, gpa);
	u32 val = 0;

	EXPECT_EQ(dev->ops->read(vcpus[0], dev, gpa, 4, &val), 0);
	return val;
}

void mmio_write32(u64 gpa, u32 val)
{
	struct bus_dev *dev = find_dev(BUS_MMIO, gpa);

	EXPECT_EQ(dev->ops->write(vcpus[0], dev, gpa, 4, &val), 0);
}

u8 port_in(u16 port)
{
	struct bus_dev *dev = find_dev(BUS_PIO, port);
	u8 val = 0;

	EXPECT_EQ(dev->ops->read(vcpus[0], dev, port, 1, &val), 0);
	return val;
}

void port_out(u16 port, u8 val)
{
	struct bus_dev *dev = find_dev(BUS_PIO, port);

	EXPECT_EQ(dev->ops->write(vcpus[0], dev, port, 1, &val), 0);
}

u32 world_reg(int index, unsigned int offset)
{
	u32 val = 0;

	EXPECT_EQ(lapic_mmio_read(vcpus[index], APIC_DEFAULT_PHYS_BASE + offset, 4, &val), 0);
	return val;
}

void world_reg_write(int index, unsigned int offset, u32 val)
{
	EXPECT_EQ(lapic_mmio_write(vcpus[index], APIC_DEFAULT_PHYS_BASE + offset, 4, &val), 0);
}

void world_serve(struct vcpu *vcpu)
{
	if (vcpu_take_request(vcpu, REQ_TIMER))
		lapic_timer_serve(vcpu);
	if (vcpu_take_request(vcpu, REQ_EOI_BITMAP))
		irq_eoi_bitmap_update(vcpu);
	if (vcpu_take_request(vcpu, REQ_APICV))
		irq_apicv_refresh(vcpu);
	if (vcpu_take_request(vcpu, REQ_NMI))
		inject_nmi_collect(vcpu);
}
