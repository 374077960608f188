// SPDX-License-Identifier: GPL-2.0-only
/*
 * What ir.c orders the host's interrupt chip to do, and whom a descriptor notifies. Catches: a
 * message posted that one descriptor cannot stand for, an order to hardware that cannot post, a
 * device whose interrupts go on being posted when they should not; a notification to the wrong
 * CPU, one to a vCPU that does not want any, or none to one that sleeps.
 */
#include <linux/irq.h>
#include <linux/irqbypass.h>
#include <linux/mm.h>
#include <linux/slab.h>
#include <linux/srcu.h>
#include <asm/apic.h>
#include <asm/irq.h>
#include <asm/irq_remapping.h>
#include <asm/irq_vectors.h>
#include "backend.h"
#include "compat.h"
#include "iommu/desc.h"
#include "iommu/ir.h"
#include "irq/lapic.h"
#include "irq/route.h"
#include "ktap.h"
#include "vm.h"

struct backend_caps caps;
int x2apic_mode, shim_cpu;

#define APIC_BASE_X2APIC	(BIT(11) | BIT(10))	/* enabled, in x2APIC mode */

static struct vm vm;
static struct vcpu vcpus[2];
static struct lapic lapics[2];
static struct posted_desc *descs[2];	/* where the arena says which physical address they have */
static struct ir_bypass bypass;
static struct irq_bypass_producer device = { .irq = 77 };

/* What the rest of the world says */
static bool capable, refuses, is_message, irq_allowed;
static struct lapic_irq message;
static int found;			/* destinations; the first is vCPU found_first */
static int found_first;

/* What it was told */
static struct vcpu_data last;
static int orders, cancels, kicks, ipis;
static int ipi_cpu, ipi_vector;
static void (*wakeup_handler)(void);
static struct irq_bypass_consumer *registered;

bool irq_remapping_cap(enum irq_remap_cap cap)
{
	return capable;
}

int irq_set_vcpu_affinity(unsigned int irq, void *info)
{
	EXPECT_EQ(irq, 77);
	if (!info) {
		cancels++;
		return 0;
	}
	if (refuses)
		return -ENOSYS;
	last = *(struct vcpu_data *)info;
	orders++;
	return 0;
}

void kvm_set_posted_intr_wakeup_handler(void (*handler)(void))
{
	wakeup_handler = handler;
}

int irq_bypass_register_consumer(struct irq_bypass_consumer *consumer)
{
	registered = consumer;
	return 0;
}

void irq_bypass_unregister_consumer(struct irq_bypass_consumer *consumer)
{
	registered = NULL;
}

void compat_send_ipi(int cpu, int vector)
{
	ipis++;
	ipi_cpu = cpu;
	ipi_vector = vector;
}

void vcpu_kick(struct vcpu *vcpu)
{
	kicks++;
}

bool route_message(struct vm *vm, u32 gsi, struct lapic_irq *irq)
{
	EXPECT_EQ(gsi, 40);
	EXPECT_EQ(vm->srcu.readers, 1);
	*irq = message;
	return is_message;
}

int lapic_map_find(struct vm *vm, const struct lapic_irq *irq, struct lapic **to)
{
	int i;

	for (i = 0; i < found && i < 2; i++)
		to[i] = &lapics[(found_first + i) % 2];
	return found;
}

bool inject_irq_allowed(struct vcpu *vcpu)
{
	return irq_allowed;
}

static void start(void)
{
	int i;

	memset(&vm, 0, sizeof(vm));
	memset(vcpus, 0, sizeof(vcpus));
	memset(&bypass, 0, sizeof(bypass));
	orders = cancels = kicks = ipis = 0;
	shim_cpu = 0;
	x2apic_mode = 1;
	caps.posted = capable = is_message = irq_allowed = true;
	refuses = false;
	message = (struct lapic_irq){ .vector = 0x51, .level = 1 };
	found = 1;
	found_first = 0;
	ir_vm_init(&vm);
	EXPECT_EQ(ir_module_init(), 0);
	for (i = 0; i < 2; i++) {
		descs[i] = (void *)get_zeroed_page(GFP_KERNEL);
		vcpus[i].vm = &vm;
		vcpus[i].irq.apic_base = APIC_BASE_X2APIC;
		vcpus[i].irq.ir.desc = descs[i];
		lapics[i].vcpu = &vcpus[i];
		xa_store(&vm.vcpus, i, &vcpus[i], GFP_KERNEL);
	}
	vm.nr_vcpus = 2;
	ir_connect(&bypass, &vm, 40, &device);
	EXPECT(registered == &bypass.consumer);
	EXPECT(registered->token == &device);
}

static void end(void)
{
	int i;

	ir_disconnect(&bypass);
	EXPECT(!registered);
	ir_module_exit();
	EXPECT(!wakeup_handler);
	EXPECT_EQ(vm.srcu.readers, 0);
	for (i = 0; i < 2; i++)
		free_page((unsigned long)descs[i]);
	EXPECT_EQ(shim_pages_used(), 0);
}

static void add(void)
{
	EXPECT_EQ(bypass.consumer.add_producer(&bypass.consumer, &device), 0);
}

static void del(void)
{
	bypass.consumer.del_producer(&bypass.consumer, &device);
}

static void expect(int orders_now, int cancels_now, int posted)
{
	EXPECT_EQ(orders, orders_now);
	EXPECT_EQ(cancels, cancels_now);
	EXPECT_EQ(vm.stats.irqfds_posted, posted);
	EXPECT_EQ(vm.stats.irqfds_remapped, !posted);
}

static void connection(void)
{
	start();
	add();
	expect(1, 0, 1);
	EXPECT_EQ(last.pi_desc_addr, __pa(descs[0]));
	EXPECT_EQ(last.vector, 0x51);
	EXPECT_EQ(kicks, 2);		/* whoever sleeps, once */
	del();
	EXPECT_EQ(cancels, 1);
	EXPECT_EQ(vm.stats.irqfds_posted + vm.stats.irqfds_remapped, 0);
	add();
	EXPECT_EQ(kicks, 2);
	del();
	end();
}

/* With a route that can be posted before and after each that cannot. */
static void routes(void)
{
	static const struct {
		const char *name;
		struct lapic_irq irq;
		int found;
		bool posted;
	} rows[] = {
		{ "fixed", { .vector = 0x52 }, 1, true },
		{ "lowest, one", { .vector = 0x53, .delivery_mode = LAPIC_LOWEST }, 1, true },
		{ "lowest, two", { .vector = 0x53, .delivery_mode = LAPIC_LOWEST }, 2, false },
		{ "fixed, two", { .vector = 0x52 }, 2, false },
		{ "fixed, many", { .vector = 0x52 }, 16, false },
		{ "nobody", { .vector = 0x52 }, 0, false },
		{ "cannot tell", { .vector = 0x52 }, -1, false },
		{ "level", { .vector = 0x52, .trig_mode = 1 }, 1, false },
		{ "illegal vector", { .vector = 15 }, 1, false },
		{ "first legal vector", { .vector = 16 }, 1, true },
		{ "NMI", { .vector = 0x52, .delivery_mode = LAPIC_NMI }, 1, false },
		{ "SMI", { .vector = 0x52, .delivery_mode = LAPIC_SMI }, 1, false },
		{ "INIT", { .vector = 0x52, .delivery_mode = LAPIC_INIT }, 1, false },
		{ "ExtINT", { .vector = 0x52, .delivery_mode = LAPIC_EXTINT }, 1, false },
	};
	int i, want = 1, cancelled = 0;

	start();
	add();
	for (i = 0; i < ARRAY_SIZE(rows); i++) {
		message = rows[i].irq;
		found = rows[i].found;
		found_first = 1;
		ir_update(&vm);
		want += rows[i].posted;
		cancelled += !rows[i].posted;
		expect(want, cancelled, rows[i].posted);
		if (rows[i].posted) {
			EXPECT_EQ(last.vector, rows[i].irq.vector);
			EXPECT_EQ(last.pi_desc_addr, __pa(descs[1]));
		}
		message = (struct lapic_irq){ .vector = 0x51 };
		found = 1;
		found_first = 0;
		ir_update(&vm);
		expect(++want, cancelled, 1);
	}
	is_message = false;
	ir_update(&vm);
	expect(want, ++cancelled, 0);
	ir_update(&vm);
	expect(want, cancelled, 0);
	del();
	EXPECT_EQ(cancels, cancelled);
	end();
}

/* Not a word to a chip whose hardware only remaps. */
static void only_remaps(void)
{
	start();
	capable = false;
	add();
	expect(0, 0, 0);
	ir_update(&vm);
	del();
	EXPECT_EQ(orders + cancels + kicks, 0);
	EXPECT(!vm.irq.ir.posts);
	capable = true;
	caps.posted = false;
	add();
	expect(0, 0, 0);
	del();
	EXPECT_EQ(orders + cancels + kicks, 0);
	caps.posted = true;
	end();
}

static void refusal(void)
{
	start();
	refuses = true;
	add();
	expect(0, 0, 0);
	EXPECT(!vm.irq.ir.posts);
	refuses = false;
	ir_update(&vm);
	expect(1, 0, 1);
	refuses = true;
	ir_update(&vm);
	expect(1, 1, 0);
	del();
	EXPECT_EQ(cancels, 1);
	end();
}

#define ON	BIT_ULL(POSTED_ON)
#define SN	BIT_ULL(POSTED_SN)
#define RUNS(cpu)	desc_control(16 + (cpu), POSTED_INTR_VECTOR)
#define SLEEPS(cpu)	desc_control(16 + (cpu), POSTED_INTR_WAKEUP_VECTOR)

static void sleep_on(struct vcpu *vcpu, bool asleep)
{
	vcpu->wait.active = asleep;
	vcpu->irq.mp_state = asleep ? KVM_MP_STATE_HALTED : KVM_MP_STATE_RUNNABLE;
}

static void load_and_put(void)
{
	start();
	ir_vcpu_load(&vcpus[0], 0);
	EXPECT_EQ(descs[0]->control, RUNS(0));
	/* Nothing is posted by hardware: nothing to do. */
	sleep_on(&vcpus[0], true);
	ir_vcpu_put(&vcpus[0], 0);
	EXPECT_EQ(descs[0]->control, RUNS(0));
	sleep_on(&vcpus[0], false);
	add();
	ir_vcpu_load(&vcpus[0], 1);
	EXPECT_EQ(descs[0]->control, RUNS(1));
	ir_vcpu_put(&vcpus[0], 1);
	EXPECT_EQ(descs[0]->control, RUNS(1) | SN);
	ir_vcpu_load(&vcpus[0], 1);
	EXPECT_EQ(descs[0]->control, RUNS(1));
	/* Posted while it was away, and nobody set ON. */
	ir_vcpu_put(&vcpus[0], 1);
	descs[0]->pir[1] = 4;
	ir_vcpu_load(&vcpus[0], 0);
	EXPECT_EQ(descs[0]->control, RUNS(0) | ON);
	ir_vcpu_put(&vcpus[0], 0);
	EXPECT_EQ(descs[0]->control, RUNS(0) | ON | SN);
	x2apic_mode = 0;
	ir_vcpu_load(&vcpus[0], 1);
	EXPECT_EQ(descs[0]->control, desc_control(17 << 8, POSTED_INTR_VECTOR) | ON);
	/* A vCPU without a descriptor. */
	vcpus[1].irq.ir.desc = NULL;
	ir_vcpu_load(&vcpus[1], 0);
	ir_vcpu_put(&vcpus[1], 0);
	del();
	end();
}

static void sleeping(void)
{
	start();
	add();
	ir_vcpu_load(&vcpus[0], 1);
	sleep_on(&vcpus[0], true);
	ir_vcpu_put(&vcpus[0], 1);
	EXPECT_EQ(descs[0]->control, SLEEPS(1));
	EXPECT_EQ(ipis, 0);
	/* Only whom it is for, only on the CPU that was notified. */
	shim_cpu = 1;
	wakeup_handler();
	EXPECT_EQ(vcpus[0].wait.woken, 0);
	descs[0]->control |= ON;
	shim_cpu = 0;
	wakeup_handler();
	EXPECT_EQ(vcpus[0].wait.woken, 0);
	shim_cpu = 1;
	wakeup_handler();
	EXPECT_EQ(vcpus[0].wait.woken, 1);
	ir_vcpu_load(&vcpus[0], 0);
	EXPECT_EQ(descs[0]->control, RUNS(0) | ON);
	EXPECT_EQ(vcpus[0].stats.posted_wakeups, 1);
	wakeup_handler();
	EXPECT_EQ(vcpus[0].wait.woken, 1);
	/* Posted between its last look and now: it wakes itself, from an interrupt. */
	ir_vcpu_put(&vcpus[0], 0);
	EXPECT_EQ(descs[0]->control, SLEEPS(0) | ON);
	EXPECT_EQ(ipis, 1);
	EXPECT_EQ(ipi_cpu, 0);
	EXPECT_EQ(ipi_vector, POSTED_INTR_WAKEUP_VECTOR);
	ir_vcpu_load(&vcpus[0], 0);
	descs[0]->control &= ~ON;
	/* A CPU that goes takes nobody with it. */
	ir_vcpu_put(&vcpus[0], 0);
	shim_cpu = 0;
	ir_cpu_off();
	EXPECT_EQ(vcpus[0].wait.woken, 2);
	ir_vcpu_load(&vcpus[0], 1);
	EXPECT_EQ(vcpus[0].stats.posted_wakeups, 2);
	del();
	end();
}

/* Each of these would look, find nothing it may take, leave ON set and be woken again at once. */
static void not_woken(void)
{
	start();
	add();
	ir_vcpu_load(&vcpus[0], 0);
	sleep_on(&vcpus[0], true);
	irq_allowed = false;
	ir_vcpu_put(&vcpus[0], 0);
	EXPECT_EQ(descs[0]->control, RUNS(0) | SN);
	irq_allowed = true;
	vcpus[0].irq.mp_state = KVM_MP_STATE_INIT_RECEIVED;
	ir_vcpu_put(&vcpus[0], 0);
	EXPECT_EQ(descs[0]->control, RUNS(0) | SN);
	vcpus[0].irq.mp_state = KVM_MP_STATE_HALTED;
	vcpus[0].irq.apic_base = 0;
	ir_vcpu_put(&vcpus[0], 0);
	EXPECT_EQ(descs[0]->control, RUNS(0) | SN);
	vcpus[0].irq.apic_base = APIC_BASE_X2APIC;
	vcpus[0].wait.active = false;	/* asleep, but not for the guest's HLT */
	ir_vcpu_put(&vcpus[0], 0);
	EXPECT_EQ(descs[0]->control, RUNS(0) | SN);
	EXPECT_EQ(ipis, 0);
	del();
	end();
}

static const struct ktap_case cases[] = {
	{ "connection", connection },
	{ "routes", routes },
	{ "only_remaps", only_remaps },
	{ "refusal", refusal },
	{ "load_and_put", load_and_put },
	{ "sleeping", sleeping },
	{ "not_woken", not_woken },
};

int main(void)
{
	return ktap_run(cases, ARRAY_SIZE(cases));
}
