// SPDX-License-Identifier: GPL-2.0-only
/*
 * Which event comes next: the double-fault table, priorities, windows, shadows, and userspace's
 * view.
 */
#include "world.h"

static struct vcpu *v;

static void start(void)
{
	world_start(IRQCHIP_KERNEL, 1);
	v = world_vcpu(0);
	v->regs.cr0 = X86_CR0_PE;
	v->regs.rflags = X86_EFLAGS_IF | 2;
	world_reg_write(0, APIC_SPIV, 0x1ff);
	world_reg_write(0, APIC_LVT0, APIC_LVT_MASKED);
	v->requests = 0;
}

static void finish(void)
{
	world_end();
}

static struct event *entry(void)
{
	return &v->events.entry;
}

/* The guest took the event: what decode() does when nothing was interrupted. */
static void delivered(void)
{
	entry()->type = EVENT_NONE;
}

static void entry_exception(u8 vector)
{
	*entry() = (struct event){ .type = EVENT_EXCEPTION, .vector = vector };
}

static void double_fault_table(void)
{
	static const struct {
		u8 first, second, result;
	} table[] = {
		{ 0, 0, 8 }, { 0, 13, 8 }, { 13, 13, 8 }, { 10, 11, 8 }, { 12, 10, 8 },
		{ 13, 14, 14 }, { 14, 13, 8 }, { 14, 14, 8 }, { 14, 0, 8 }, { 14, 20, 8 },
		{ 20, 14, 8 }, { 14, 6, 6 }, { 13, 1, 1 }, { 1, 13, 13 }, { 6, 13, 13 },
		{ 3, 14, 14 }, { 17, 14, 14 }, { 7, 6, 6 }, { 11, 12, 8 }, { 20, 13, 8 },
		{ 13, 20, 20 },
	};
	unsigned int i, pass;

	for (i = 0; i < ARRAY_SIZE(table); i++) {
		for (pass = 0; pass < 2; pass++) {
			start();
			if (pass)	/* found in delivery by the exit */
				entry_exception(table[i].first);
			else
				inject_exception_error(v, table[i].first, 7);
			inject_exception_error(v, table[i].second, 9);
			EXPECT(v->events.exception.pending);
			EXPECT_EQ(v->events.exception.vector, table[i].result);
			EXPECT_EQ(v->events.exception.error, table[i].result == 8 ? 0 : 9);
			EXPECT_EQ(entry()->type, EVENT_NONE);
			finish();
		}
	}
}

static void triple_fault(void)
{
	start();
	*entry() = (struct event){ EVENT_EXCEPTION, 8, true, 0, 0 };
	EXPECT_EQ(inject_gp(v), RESUME);
	EXPECT(test_bit(REQ_TRIPLE_FAULT, &v->requests));
	EXPECT(!v->events.exception.pending);
	EXPECT_EQ(entry()->type, EVENT_NONE);
	finish();
}

static void redelivery_comes_first(void)
{
	start();
	*entry() = (struct event){ EVENT_SOFT_INT, 0x80, false, 0, 2 };
	inject_nmi(v);
	lapic_post(v->irq.lapic, 0x50, false);
	inject_events(v);
	EXPECT_EQ(entry()->type, EVENT_SOFT_INT);
	EXPECT_EQ(entry()->vector, 0x80);
	EXPECT_EQ(entry()->insn_len, 2);
	EXPECT(v->events.want_nmi_window);
	EXPECT(v->events.want_irq_window);
	finish();
}

static void exception_nmi_irq_order(void)
{
	start();
	lapic_post(v->irq.lapic, 0x50, false);
	inject_nmi(v);
	inject_ud(v);
	inject_events(v);
	EXPECT_EQ(entry()->type, EVENT_EXCEPTION);
	EXPECT_EQ(entry()->vector, 6);
	delivered();
	inject_events(v);
	EXPECT_EQ(entry()->type, EVENT_NMI);
	EXPECT(v->events.want_irq_window);
	EXPECT(!v->events.want_nmi_window);
	delivered();
	inject_events(v);
	EXPECT_EQ(entry()->type, EVENT_IRQ);
	EXPECT_EQ(entry()->vector, 0x50);
	EXPECT(!v->events.want_irq_window);
	EXPECT_EQ(v->stats.irq_injections, 1);
	EXPECT_EQ(v->stats.nmi_injections, 1);
	EXPECT_EQ(v->stats.exceptions, 1);
	finish();
}

/* A fault while an interrupt is being delivered wins; INT n runs again by itself. */
static void exception_replaces_delivery(void)
{
	start();
	*entry() = (struct event){ EVENT_SOFT_INT, 0x80, false, 0, 2 };
	inject_page_fault(v, 0x1234, 2);
	inject_events(v);
	EXPECT_EQ(entry()->type, EVENT_EXCEPTION);
	EXPECT_EQ(entry()->vector, 14);
	EXPECT_EQ(entry()->error, 2);
	EXPECT_EQ(v->regs.cr2, 0x1234);
	EXPECT(v->regs.rflags & X86_EFLAGS_RF);
	finish();
}

static void shadows_hold_back(void)
{
	static const struct {
		u64 shadow;
		bool irq, nmi;
	} table[] = {
		{ 0, true, true }, { SHADOW_STI, false, false }, { SHADOW_MOV_SS, false, false },
		{ SHADOW_NMI, true, false },
	};
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(table); i++) {
		start();
		v->regs.shadow = table[i].shadow;
		EXPECT_EQ(inject_irq_allowed(v), table[i].irq);
		EXPECT_EQ(inject_nmi_allowed(v), table[i].nmi);
		v->regs.rflags &= ~(u64)X86_EFLAGS_IF;
		EXPECT(!inject_irq_allowed(v));
		EXPECT_EQ(inject_nmi_allowed(v), table[i].nmi);
		finish();
	}
}

static void windows(void)
{
	start();
	v->regs.rflags = 2;
	lapic_post(v->irq.lapic, 0x50, false);
	inject_events(v);
	EXPECT_EQ(entry()->type, EVENT_NONE);
	EXPECT(v->events.want_irq_window);
	EXPECT(!v->events.want_nmi_window);
	v->regs.shadow = SHADOW_NMI;
	inject_nmi(v);
	inject_events(v);
	EXPECT(v->events.want_nmi_window);
	/* STI: the NMI window would exit at once, again and again */
	v->regs.rflags |= X86_EFLAGS_IF;
	v->regs.shadow = SHADOW_STI;
	inject_events(v);
	EXPECT(!v->events.want_nmi_window);
	EXPECT(v->events.want_irq_window);
	/* a debugger that holds interrupts back must not wait for them either */
	v->regs.shadow = 0;
	v->events.nmi_pending = 0;
	v->guest_debug = KVM_GUESTDBG_BLOCKIRQ;
	inject_events(v);
	EXPECT_EQ(entry()->type, EVENT_NONE);
	EXPECT(!v->events.want_irq_window);
	finish();
}

static void at_most_two_nmis(void)
{
	start();
	inject_nmi(v);
	inject_nmi(v);
	inject_nmi(v);
	inject_nmi_collect(v);
	EXPECT_EQ(v->events.nmi_pending, 2);
	v->events.nmi_pending = 0;
	v->regs.shadow = SHADOW_NMI;
	inject_nmi(v);
	inject_nmi(v);
	inject_nmi_collect(v);
	EXPECT_EQ(v->events.nmi_pending, 1);
	finish();
}

static void error_codes_and_payloads(void)
{
	start();
	v->regs.cr0 = 0;
	inject_gp(v);
	inject_events(v);
	EXPECT(!entry()->has_error);	/* real mode pushes none */
	delivered();
	v->regs.rflags = 2;
	inject_db(v, 0x4000);
	EXPECT_EQ(v->regs.dr6, 0);	/* not before delivery */
	inject_events(v);
	EXPECT_EQ(v->regs.dr6, 0x4000);
	EXPECT(!(v->regs.rflags & X86_EFLAGS_RF));
	EXPECT_EQ(entry()->vector, 1);
	finish();
}

static void get_events(void)
{
	struct kvm_vcpu_events ev;

	start();
	events_to_user(v, &ev);
	EXPECT_EQ(ev.flags, 0x0d);
	inject_page_fault(v, 0x5000, 4);
	events_to_user(v, &ev);		/* without the payload capability it is applied at once */
	EXPECT_EQ(ev.exception.injected, 1);
	EXPECT_EQ(ev.exception.pending, 0);
	EXPECT_EQ(ev.exception.nr, 14);
	EXPECT_EQ(ev.exception.error_code, 4);
	EXPECT_EQ(v->regs.cr2, 0x5000);
	v->events.exception.pending = false;
	world.vm.arch.exception_payload = true;
	world.vm.arch.triple_fault_event = true;
	inject_page_fault(v, 0x6000, 4);
	events_to_user(v, &ev);
	EXPECT_EQ(ev.flags, 0x3d);
	EXPECT_EQ(ev.exception.injected, 0);
	EXPECT_EQ(ev.exception.pending, 1);
	EXPECT_EQ(ev.exception_has_payload, 1);
	EXPECT_EQ(ev.exception_payload, 0x6000);
	EXPECT_EQ(v->regs.cr2, 0x5000);
	v->regs.shadow = SHADOW_STI | SHADOW_NMI;
	inject_nmi(v);
	events_to_user(v, &ev);
	EXPECT_EQ(ev.interrupt.shadow, KVM_X86_SHADOW_INT_STI);
	EXPECT_EQ(ev.nmi.masked, 1);
	EXPECT_EQ(ev.nmi.pending, 1);
	finish();
}

static void set_events_refuses(void)
{
	static const struct kvm_vcpu_events bad[] = {
		{ .flags = 0x40 }, { .flags = KVM_VCPUEVENT_VALID_PAYLOAD },
		{ .flags = KVM_VCPUEVENT_VALID_TRIPLE_FAULT },
		{ .exception = { .injected = 1, .nr = 32 } },
		{ .exception = { .injected = 1, .nr = 2 } },
		{ .flags = KVM_VCPUEVENT_VALID_SMM, .smi = { .smm = 1 } },
		{ .flags = KVM_VCPUEVENT_VALID_SMM, .smi = { .pending = 1 } },
	};
	unsigned int i;

	start();
	inject_ud(v);
	for (i = 0; i < ARRAY_SIZE(bad); i++) {
		EXPECT_EQ(events_from_user(v, &bad[i]), -EINVAL);
		EXPECT(v->events.exception.pending);
	}
	finish();
}

static void set_events(void)
{
	struct kvm_vcpu_events ev = { 0 }, back;

	start();
	ev.interrupt.injected = 1;
	ev.interrupt.nr = 0x77;
	ev.flags = KVM_VCPUEVENT_VALID_SHADOW | KVM_VCPUEVENT_VALID_NMI_PENDING;
	ev.interrupt.shadow = KVM_X86_SHADOW_INT_MOV_SS;
	ev.nmi.pending = 1;
	ev.nmi.masked = 1;
	EXPECT_EQ(events_from_user(v, &ev), 0);
	EXPECT_EQ(entry()->type, EVENT_IRQ);
	EXPECT_EQ(entry()->vector, 0x77);
	EXPECT_EQ(inject_irq_vector(v), 0x77);
	EXPECT_EQ(v->regs.shadow, SHADOW_MOV_SS | SHADOW_NMI);
	EXPECT_EQ(v->events.nmi_pending, 1);
	events_to_user(v, &back);
	ev.flags = 0x0d;
	EXPECT(!memcmp(&ev, &back, sizeof(ev)));
	memset(&ev, 0, sizeof(ev));
	world.vm.arch.exception_payload = world.vm.arch.triple_fault_event = true;
	ev.flags = KVM_VCPUEVENT_VALID_PAYLOAD | KVM_VCPUEVENT_VALID_TRIPLE_FAULT;
	ev.exception.pending = 1;
	ev.exception.nr = 1;
	ev.exception_has_payload = 1;
	ev.exception_payload = 0x4001;
	ev.triple_fault.pending = 1;
	EXPECT_EQ(events_from_user(v, &ev), 0);
	EXPECT(test_bit(REQ_TRIPLE_FAULT, &v->requests));
	EXPECT_EQ(entry()->type, EVENT_NONE);
	EXPECT(v->events.exception.has_payload);
	inject_events(v);
	EXPECT_EQ(v->regs.dr6, 0x4001);
	finish();
}

static void user_interrupts(void)
{
	start();
	EXPECT_EQ(irq_user_interrupt(v, 0x20), -ENXIO);
	finish();
	world_start(IRQCHIP_NONE, 1);
	v = world_vcpu(0);
	v->regs.rflags = 2;
	EXPECT_EQ(irq_user_interrupt(v, 256), -EINVAL);
	EXPECT_EQ(irq_user_interrupt(v, 0x20), 0);
	v->run->request_interrupt_window = 1;
	EXPECT(!irq_window_exit_wanted(v));
	inject_events(v);
	EXPECT(v->events.want_irq_window);
	v->regs.rflags |= X86_EFLAGS_IF;
	inject_events(v);
	EXPECT_EQ(entry()->type, EVENT_IRQ);
	EXPECT_EQ(entry()->vector, 0x20);
	irq_run_end(v);
	EXPECT(!v->run->ready_for_interrupt_injection);	/* one is on its way */
	delivered();
	EXPECT(irq_window_exit_wanted(v));
	irq_run_end(v);
	EXPECT(v->run->ready_for_interrupt_injection);
	EXPECT(v->run->if_flag);
	v->run->cr8 = 16;
	EXPECT_EQ(irq_run_begin(v), -EINVAL);
	v->run->cr8 = 5;
	EXPECT_EQ(irq_run_begin(v), 0);
	EXPECT_EQ(lapic_cr8_get(v), 5);
	finish();
	world_start(IRQCHIP_SPLIT, 1);
	v = world_vcpu(0);
	EXPECT_EQ(irq_user_interrupt(v, 0x20), 0);
	EXPECT_EQ(irq_user_interrupt(v, 0x21), -EEXIST);
	v->irq.user_irq = -1;
	v->regs.rflags = X86_EFLAGS_IF;
	v->run->request_interrupt_window = 1;
	EXPECT(irq_window_exit_wanted(v));
	inject_events(v);
	EXPECT(v->events.want_irq_window);
	world_reg_write(0, APIC_LVT0, APIC_LVT_MASKED);
	EXPECT(!irq_window_exit_wanted(v));
	inject_events(v);
	EXPECT(!v->events.want_irq_window);	/* nobody would answer it */
	finish();
}

/* One thing at a time that the look in a stay leaves to the other one. The last number: nothing is in the way. */
static bool put_in_the_way(int obstacle)
{
	switch (obstacle) {
	case 0:	v->regs.rflags &= ~(u64)X86_EFLAGS_IF; return true;
	case 1:	v->regs.shadow = SHADOW_STI; return true;
	case 2:	v->regs.shadow = SHADOW_MOV_SS; return true;
	case 3:	entry_exception(14); return true;
	case 4:	v->events.exception.pending = true; return true;
	case 5:	v->events.nmi_pending = 1; return true;
	case 6:	v->events.want_irq_window = true; return true;
	case 7:	v->events.want_nmi_window = true; return true;
	case 8:	v->irq.init_sipi = 1; return true;
	case 9:	v->irq.apicv = true; return true;
	case 10: world_lapic(0)->synced = true; return true;
	case 11: world_lapic(0)->vapic_gpa = 0x1000; return true;
	case 12: v->arch.pv_eoi_msr = 0x2000 | 1; return true;	/* in xAPIC mode */
	case 13: v->run->request_interrupt_window = 1; return true;
	case 14: world.vm.mmu.any_mode = false; return true;
	case 15: world_reg_write(0, APIC_LVT0, LAPIC_EXTINT << 8); v->irq.user_irq = 5; return true;
	}
	return false;
}

static void look_in_a_stay(void)
{
	struct lapic *lapic;
	bool in_the_way;
	int i;

	for (i = 0, in_the_way = true; in_the_way; i++) {
		start();
		lapic = world_lapic(0);
		world.vm.mmu.any_mode = true;
		lapic_post(lapic, 0x51, false);
		lapic_post(lapic, 0x61, false);
		in_the_way = put_in_the_way(i);
		v->requests = BIT(REQ_EVENT);
		EXPECT_EQ(inject_lapic_fast(v), !in_the_way);
		EXPECT_EQ(v->requests, in_the_way ? BIT(REQ_EVENT) : 0);
		EXPECT_EQ(lapic_highest_irr(lapic), in_the_way ? 0x61 : 0x51);
		EXPECT_EQ(lapic_highest_isr(lapic), in_the_way ? -1 : 0x61);
		if (!in_the_way) {
			EXPECT_EQ(entry()->type, EVENT_IRQ);
			EXPECT_EQ(entry()->vector, 0x61);
			delivered();
			v->requests = BIT(REQ_EVENT);
			EXPECT(inject_lapic_fast(v));	/* the other one waits for the EOI */
			EXPECT_EQ(entry()->type, EVENT_NONE);
			EXPECT_EQ(v->requests, 0);
		}
		finish();
	}
	EXPECT_EQ(i, 17);
}

static const struct ktap_case cases[] = {
	{ "a look at events in a stay", look_in_a_stay },
	{ "double-fault table", double_fault_table },
	{ "third exception is a triple fault", triple_fault },
	{ "an interrupted delivery comes first", redelivery_comes_first },
	{ "exception before NMI before interrupt", exception_nmi_irq_order },
	{ "a fault in delivery replaces what was delivered", exception_replaces_delivery },
	{ "STI, MOV SS and NMI shadows", shadows_hold_back },
	{ "interrupt and NMI windows", windows },
	{ "NMI latch holds two, or one while in an NMI", at_most_two_nmis },
	{ "error codes and payloads at delivery", error_codes_and_payloads },
	{ "KVM_GET_VCPU_EVENTS", get_events },
	{ "KVM_SET_VCPU_EVENTS refuses", set_events_refuses },
	{ "KVM_SET_VCPU_EVENTS", set_events },
	{ "KVM_INTERRUPT and the interrupt window of userspace", user_interrupts },
};

int main(void)
{
	return ktap_run(cases, ARRAY_SIZE(cases));
}
