// SPDX-License-Identifier: GPL-2.0-only
/*
 * The local APIC's registers: priorities against a model, MMIO and MSR rules, APIC_BASE, state
 * for userspace.
 */
#include "world.h"

#define XAPIC	(APIC_DEFAULT_PHYS_BASE | MSR_IA32_APICBASE_ENABLE)
#define X2APIC	(XAPIC | X2APIC_ENABLE)

static void enable(int index)
{
	world_reg_write(index, APIC_SPIV, 0x1ff);
}

static void to_x2apic(int index)
{
	enable(index);
	EXPECT_EQ(lapic_base_set(world_vcpu(index), X2APIC, false), 0);
}

static void reset_state(void)
{
	world_start(IRQCHIP_KERNEL, 2);
	EXPECT_EQ(world_reg(0, APIC_LVR), 0x50014);
	EXPECT_EQ(world_reg(0, APIC_SPIV), 0xff);
	EXPECT_EQ(world_reg(0, APIC_DFR), 0xffffffff);
	EXPECT_EQ(world_reg(0, APIC_LVTT), APIC_LVT_MASKED);
	EXPECT_EQ(world_reg(0, APIC_LVT0), 0x700);	/* only the boot processor hears the PIC */
	EXPECT_EQ(world_reg(1, APIC_LVT0), APIC_LVT_MASKED);
	EXPECT_EQ(world_reg(1, APIC_LVT1), APIC_LVT_MASKED);
	EXPECT_EQ(world_reg(1, APIC_ID), 1 << 24);
	EXPECT_EQ(lapic_base_get(world_vcpu(0)), 0xfee00900);
	EXPECT_EQ(lapic_base_get(world_vcpu(1)), 0xfee00800);
	EXPECT(lapic_accepts_extint(world_vcpu(0)));
	EXPECT(!lapic_accepts_extint(world_vcpu(1)));
	world_end();
	world_start(IRQCHIP_SPLIT, 1);
	EXPECT_EQ(world_reg(0, APIC_LVR), 0x01050014);
	world_end();
}

/* IRR and ISR as sets; the highest set bit wins. */
struct model {
	bool irr[256], isr[256];
	u8 tpr;
};

static int model_top(const bool *set)
{
	int i;

	for (i = 255; i >= 0 && !set[i]; i--)
		;
	return i;
}

static int model_next(const struct model *m)
{
	int isr = model_top(m->isr), irr = model_top(m->irr);
	int class = m->tpr >> 4;

	if (isr >= 0 && isr >> 4 > class)
		class = isr >> 4;
	return irr >= 0 && irr >> 4 > class ? irr : -1;
}

static void model_step(struct model *m, struct lapic *lapic)
{
	u8 vector = 16 + world_random() % 240;
	int next;

	switch (world_random() % 8) {
	case 0 ... 2:
		EXPECT_EQ(lapic_post(lapic, vector, vector & 1), !m->irr[vector]);
		m->irr[vector] = true;
		break;
	case 3:
	case 4:
		next = model_next(m);
		EXPECT_EQ(lapic_ack(lapic), next);
		if (next >= 0) {
			m->irr[next] = false;
			m->isr[next] = true;
		}
		break;
	case 5:
	case 6:
		world_reg_write(0, APIC_EOI, 0);
		if (model_top(m->isr) >= 0)
			m->isr[model_top(m->isr)] = false;
		break;
	default:
		m->tpr = world_random() % 4 ? 0 : world_random();
		world_reg_write(0, APIC_TASKPRI, m->tpr);
	}
}

static void priorities_follow_the_model(void)
{
	struct model m = { 0 };
	struct lapic *lapic;
	int i, isr;

	world_start(IRQCHIP_KERNEL, 1);
	enable(0);
	lapic = world_lapic(0);
	for (i = 0; i < 200000 && !ktap_failed; i++) {
		model_step(&m, lapic);
		isr = model_top(m.isr);
		EXPECT_EQ(lapic_highest_irq(lapic), model_next(&m));
		EXPECT_EQ(lapic_highest_isr(lapic), isr);
		EXPECT_EQ(world_reg(0, APIC_PROCPRI),
			  m.tpr >> 4 >= isr >> 4 || isr < 0 ? m.tpr : isr & 0xf0);
	}
	world_end();
}

static void tpr_threshold(void)
{
	struct lapic *lapic;

	world_start(IRQCHIP_KERNEL, 1);
	enable(0);
	lapic = world_lapic(0);
	EXPECT_EQ(lapic_tpr_threshold(world_vcpu(0)), 0);
	lapic_post(lapic, 0x55, false);
	EXPECT_EQ(lapic_tpr_threshold(world_vcpu(0)), 0);
	lapic_cr8_set(world_vcpu(0), 7);
	EXPECT_EQ(lapic_cr8_get(world_vcpu(0)), 7);
	EXPECT_EQ(world_reg(0, APIC_TASKPRI), 0x70);
	EXPECT_EQ(lapic_tpr_threshold(world_vcpu(0)), 5);
	world_vcpu(0)->requests = 0;
	lapic_cr8_set(world_vcpu(0), 5);
	EXPECT(!test_bit(REQ_EVENT, &world_vcpu(0)->requests));
	EXPECT_EQ(lapic_tpr_threshold(world_vcpu(0)), 5);
	lapic_cr8_set(world_vcpu(0), 4);
	EXPECT(test_bit(REQ_EVENT, &world_vcpu(0)->requests));
	EXPECT_EQ(lapic_tpr_threshold(world_vcpu(0)), 0);
	world_end();
}

static void mmio_rules(void)
{
	u64 base = APIC_DEFAULT_PHYS_BASE;
	u8 byte = 0, eight[8];
	u32 val = 0x12345678;

	world_start(IRQCHIP_KERNEL, 1);
	enable(0);
	EXPECT_EQ(lapic_mmio_read(world_vcpu(0), base + APIC_LVR + 2, 1, &byte), 0);
	EXPECT_EQ(byte, 0x05);
	memset(eight, 0xaa, 8);
	EXPECT_EQ(lapic_mmio_read(world_vcpu(0), base + APIC_LVR, 8, eight), 0);
	EXPECT_EQ(eight[0] | eight[7], 0);
	world_reg_write(0, APIC_ID, 0x55000000);
	EXPECT_EQ(world_reg(0, APIC_ID), 0);
	EXPECT_EQ(lapic_mmio_write(world_vcpu(0), base + APIC_TASKPRI + 4, 4, &val), 0);
	EXPECT_EQ(lapic_mmio_write(world_vcpu(0), base + APIC_TASKPRI, 2, &val), 0);
	EXPECT_EQ(world_reg(0, APIC_TASKPRI), 0);
	EXPECT_EQ(lapic_mmio_read(world_vcpu(0), base + 0x1000, 4, &val), -EOPNOTSUPP);
	EXPECT_EQ(lapic_base_set(world_vcpu(0), 0xfed00000 | MSR_IA32_APICBASE_ENABLE, true), 0);
	EXPECT_EQ(lapic_mmio_read(world_vcpu(0), base + APIC_LVR, 4, &val), -EOPNOTSUPP);
	EXPECT_EQ(lapic_mmio_read(world_vcpu(0), 0xfed00000 + APIC_LVR, 4, &val), 0);
	EXPECT_EQ(lapic_base_set(world_vcpu(0), X2APIC, true), 0);
	EXPECT_EQ(lapic_mmio_read(world_vcpu(0), base + APIC_LVR, 4, &val), 0);
	EXPECT_EQ(val, 0xffffffff);
	world.vm.arch.quirks_off = KVM_X86_QUIRK_LAPIC_MMIO_HOLE;
	EXPECT_EQ(lapic_mmio_read(world_vcpu(0), base + APIC_LVR, 4, &val), -EOPNOTSUPP);
	EXPECT_EQ(lapic_mmio_write(world_vcpu(0), base + APIC_LVR, 4, &val), -EOPNOTSUPP);
	world_end();
}

static void lvts(void)
{
	world_start(IRQCHIP_KERNEL, 1);
	world_reg_write(0, APIC_LVT1, 0x400);
	EXPECT_EQ(world_reg(0, APIC_LVT1), 0x10400);	/* software-disabled: masks stay set */
	enable(0);
	world_reg_write(0, APIC_LVT1, 0xffffffff);
	EXPECT_EQ(world_reg(0, APIC_LVT1), 0x1a7ff);
	world_reg_write(0, APIC_LVT1, 0x400);
	lapic_local(world_lapic(0), APIC_LVT1);
	EXPECT_EQ(atomic_read(&world_vcpu(0)->events.nmi_queued), 1);
	world_reg_write(0, APIC_LVTERR, 0xfe);
	world_reg_write(0, APIC_SPIV, 0xff);
	EXPECT_EQ(world_reg(0, APIC_LVT1), 0x10400);
	EXPECT_EQ(world_reg(0, APIC_LVTERR), 0x100fe);
	lapic_post(world_lapic(0), 0x60, false);
	EXPECT_EQ(lapic_highest_irq(world_lapic(0)), -1);
	world_end();
}

static void errors(void)
{
	struct lapic_irq irq = { .vector = 5, .level = 1 };

	world_start(IRQCHIP_KERNEL, 1);
	enable(0);
	world_reg_write(0, APIC_LVTERR, 0xfe);
	world_reg_write(0, APIC_ICR, APIC_DEST_SELF | 0x0f);
	EXPECT_EQ(world_reg(0, APIC_ESR), 0);		/* latched by a write only */
	EXPECT_EQ(lapic_highest_irq(world_lapic(0)), 0xfe);
	world_reg_write(0, APIC_ESR, 0);
	EXPECT_EQ(world_reg(0, APIC_ESR), APIC_ESR_SENDILL);
	EXPECT_EQ(lapic_deliver(&world.vm, &irq), 0);
	world_reg_write(0, 0x3f0, 0);			/* SELF IPI exists in x2APIC mode only */
	world_reg_write(0, APIC_ESR, 0);
	EXPECT_EQ(world_reg(0, APIC_ESR), APIC_ESR_RECVILL | APIC_ESR_ILLREGA);
	world_reg_write(0, APIC_ESR, 0);
	EXPECT_EQ(world_reg(0, APIC_ESR), 0);
	world_end();
}

static void base_transitions(void)
{
	static const struct {
		u64 from, to;
		int guest, host;
	} table[] = {
		{ XAPIC, X2APIC, 0, 0 }, { X2APIC, XAPIC, -EINVAL, 0 }, { XAPIC, 0xfee00000, 0, 0 },
		{ X2APIC, 0xfee00000, 0, 0 }, { 0xfee00000, XAPIC, 0, 0 },
		{ 0xfee00000, X2APIC, -EINVAL, 0 }, { XAPIC, XAPIC, 0, 0 },
		{ XAPIC, 0xfee00000 | X2APIC_ENABLE, -EINVAL, -EINVAL },
		{ XAPIC, XAPIC | 1, -EINVAL, -EINVAL }, { XAPIC, XAPIC | 0x200, -EINVAL, -EINVAL },
		{ XAPIC, XAPIC | 1ull << 46, -EINVAL, -EINVAL },
		{ XAPIC, XAPIC | 1ull << 45, 0, 0 },
		{ XAPIC, XAPIC | MSR_IA32_APICBASE_BSP, 0, 0 },
	};
	struct vcpu *vcpu;
	unsigned int i, host;

	for (i = 0; i < ARRAY_SIZE(table); i++) {
		for (host = 0; host < 2; host++) {
			world_start(IRQCHIP_KERNEL, 1);
			vcpu = world_vcpu(0);
			EXPECT_EQ(lapic_base_set(vcpu, table[i].from, true), 0);
			EXPECT_EQ(lapic_base_set(vcpu, table[i].to, host),
				  host ? table[i].host : table[i].guest);
			world_end();
		}
	}
	world_start(IRQCHIP_KERNEL, 1);
	world_vcpu(0)->arch.features = 0;
	EXPECT_EQ(lapic_base_set(world_vcpu(0), X2APIC, true), -EINVAL);
	world_end();
}

static void x2apic_rules(void)
{
	static const struct {
		u32 msr;
		u64 val;
		int read, write;
	} table[] = {
		{ 0x802, 0, 0, -EINVAL }, { 0x803, 0, 0, -EINVAL }, { 0x808, 0x20, 0, 0 },
		{ 0x808, 0x120, 0, -EINVAL }, { 0x809, 0, -EINVAL, -EINVAL },
		{ 0x80a, 0, 0, -EINVAL },
		{ 0x80b, 0, -EINVAL, 0 }, { 0x80b, 1, -EINVAL, -EINVAL }, { 0x80d, 0, 0, -EINVAL },
		{ 0x80e, 0, -EINVAL, -EINVAL }, { 0x80f, 0x1ff, 0, 0 }, { 0x810, 0, 0, -EINVAL },
		{ 0x827, 0, 0, -EINVAL }, { 0x828, 0, 0, 0 }, { 0x828, 1, 0, -EINVAL },
		{ 0x82f, 0, -EINVAL, -EINVAL }, { 0x830, 0xff000044000ull, 0, 0 },
		{ 0x831, 0, -EINVAL, -EINVAL }, { 0x832, 0x10020, 0, 0 },
		{ 0x832, 1ull << 32, 0, -EINVAL }, { 0x838, 5, 0, 0 }, { 0x839, 0, 0, -EINVAL },
		{ 0x83e, 3, 0, 0 }, { 0x83f, 0x41, -EINVAL, 0 }, { 0x83f, 0x141, -EINVAL, -EINVAL },
		{ 0x840, 0, -EINVAL, -EINVAL }, { 0x8ff, 0, -EINVAL, -EINVAL },
	};
	unsigned int i;
	u64 val;

	world_start(IRQCHIP_KERNEL, 40);
	EXPECT_EQ(lapic_msr_read(world_vcpu(0), 0x802, &val), -EINVAL);	/* xAPIC mode */
	to_x2apic(37);
	for (i = 0; i < ARRAY_SIZE(table); i++) {
		EXPECT_EQ(lapic_msr_read(world_vcpu(37), table[i].msr, &val), table[i].read);
		EXPECT_EQ(lapic_msr_write(world_vcpu(37), table[i].msr, table[i].val),
			  table[i].write);
		if (ktap_failed)
			printf("# row %u\n", i);
	}
	EXPECT_EQ(lapic_msr_read(world_vcpu(37), 0x802, &val), 0);
	EXPECT_EQ(val, 37);
	EXPECT_EQ(lapic_msr_read(world_vcpu(37), 0x80d, &val), 0);
	EXPECT_EQ(val, 2 << 16 | 1 << 5);
	EXPECT_EQ(lapic_msr_write(world_vcpu(37), 0x830, 0x1234567800041055ull), 0);
	EXPECT_EQ(lapic_msr_read(world_vcpu(37), 0x830, &val), 0);
	EXPECT_EQ(val, 0x1234567800040055ull);	/* busy reads 0 */
	EXPECT_EQ(lapic_highest_irr(world_lapic(37)), 0x55);
	world_end();
}

static void fast_paths(void)
{
	struct vcpu *vcpu;

	world_start(IRQCHIP_KERNEL, 2);
	enable(0);
	enable(1);
	vcpu = world_vcpu(0);
	EXPECT(!lapic_icr_fast(vcpu, 0x4041));
	EXPECT(!lapic_eoi_fast(vcpu));
	to_x2apic(0);
	to_x2apic(1);
	EXPECT(lapic_icr_fast(vcpu, 0x100000041ull));
	EXPECT_EQ(lapic_highest_irr(world_lapic(1)), 0x41);
	EXPECT(lapic_self_ipi_fast(vcpu, 0x42));
	EXPECT_EQ(lapic_ack(world_lapic(0)), 0x42);
	EXPECT(lapic_eoi_fast(vcpu));
	EXPECT_EQ(lapic_highest_isr(world_lapic(0)), -1);
	/* an EOI somebody must hear of takes the long way */
	EXPECT(lapic_self_ipi_fast(vcpu, 0x43));
	EXPECT_EQ(lapic_ack(world_lapic(0)), 0x43);
	set_bit(0x43, vcpu->irq.eoi_exit);
	EXPECT(!lapic_eoi_fast(vcpu));
	EXPECT_EQ(lapic_highest_isr(world_lapic(0)), 0x43);
	world_end();
}

static void user_state(void)
{
	struct kvm_lapic_state state, back;
	u32 *id = (u32 *)(state.regs + APIC_ID);

	world_start(IRQCHIP_NONE, 1);
	EXPECT_EQ(lapic_to_user(world_vcpu(0), &state), -EINVAL);
	EXPECT_EQ(lapic_from_user(world_vcpu(0), &state), -EINVAL);
	world_end();
	world_start(IRQCHIP_KERNEL, 3);
	enable(2);
	world_reg_write(2, APIC_TASKPRI, 0x30);
	world_reg_write(2, APIC_LDR, 0x04000000);
	lapic_post(world_lapic(2), 0x61, true);
	lapic_post(world_lapic(2), 0x41, false);
	EXPECT_EQ(lapic_ack(world_lapic(2)), 0x61);
	EXPECT_EQ(lapic_to_user(world_vcpu(2), &state), 0);
	EXPECT_EQ(*id, 2 << 24);
	*id = 1 << 24;
	EXPECT_EQ(lapic_from_user(world_vcpu(2), &state), -EINVAL);
	*id = 2 << 24;
	lapic_reset(world_vcpu(2), false);
	EXPECT_EQ(lapic_from_user(world_vcpu(2), &state), 0);
	EXPECT(test_bit(REQ_EVENT, &world_vcpu(2)->requests));
	EXPECT_EQ(lapic_to_user(world_vcpu(2), &back), 0);
	EXPECT(!memcmp(&state, &back, sizeof(state)));
	world_reg_write(2, APIC_EOI, 0);
	EXPECT_EQ(lapic_ack(world_lapic(2)), 0x41);
	world_end();
}

static void user_state_x2apic(void)
{
	struct kvm_lapic_state state;
	u32 *id = (u32 *)(state.regs + APIC_ID);
	u64 icr;

	world_start(IRQCHIP_KERNEL, 6);
	to_x2apic(5);
	EXPECT_EQ(lapic_msr_write(world_vcpu(5), 0x830, 0x7700000055ull), 0);
	EXPECT_EQ(lapic_to_user(world_vcpu(5), &state), 0);
	EXPECT_EQ(*id, 5 << 24);
	EXPECT_EQ(*(u32 *)(state.regs + APIC_ICR2), 0x77);
	EXPECT_EQ(lapic_from_user(world_vcpu(5), &state), 0);
	world.vm.irq.x2apic_32bit_ids = true;
	EXPECT_EQ(lapic_from_user(world_vcpu(5), &state), -EINVAL);
	EXPECT_EQ(lapic_to_user(world_vcpu(5), &state), 0);
	EXPECT_EQ(*id, 5);
	*(u32 *)(state.regs + APIC_LDR) = 0x12345678;	/* follows from the id, whatever is given */
	EXPECT_EQ(lapic_from_user(world_vcpu(5), &state), 0);
	EXPECT_EQ(lapic_reg(world_lapic(5), APIC_LDR), 1 << 5);
	EXPECT_EQ(lapic_msr_read(world_vcpu(5), 0x830, &icr), 0);
	EXPECT_EQ(icr, 0x7700000055ull);
	world_end();
}

static void pv_eoi(void)
{
	struct vcpu *vcpu;

	world_start(IRQCHIP_KERNEL, 1);
	enable(0);
	vcpu = world_vcpu(0);
	vcpu->arch.pv_eoi_msr = 1;
	lapic_post(world_lapic(0), 0x51, false);
	lapic_post(world_lapic(0), 0x41, false);
	EXPECT_EQ(lapic_ack(world_lapic(0)), 0x51);
	lapic_sync_enter(vcpu);
	EXPECT(!vcpu->arch.pv_eoi_pending);	/* 0x41 waits for this EOI */
	world_reg_write(0, APIC_EOI, 0);
	EXPECT_EQ(lapic_ack(world_lapic(0)), 0x41);
	lapic_sync_enter(vcpu);
	EXPECT(vcpu->arch.pv_eoi_pending);
	world.pv_eoi_ended = true;
	lapic_sync_exit(vcpu);
	EXPECT_EQ(lapic_highest_isr(world_lapic(0)), -1);
	lapic_post(world_lapic(0), 0x44, false);
	EXPECT_EQ(lapic_ack(world_lapic(0)), 0x44);
	lapic_sync_enter(vcpu);
	lapic_sync_exit(vcpu);			/* the guest did not end it */
	EXPECT_EQ(lapic_highest_isr(world_lapic(0)), 0x44);
	set_bit(0x44, vcpu->irq.eoi_exit);
	lapic_sync_enter(vcpu);
	EXPECT(!vcpu->arch.pv_eoi_pending);	/* its EOI must be heard */
	world_end();
}

static void vapic_page(void)
{
	struct vcpu *vcpu;

	world_start(IRQCHIP_KERNEL, 1);
	enable(0);
	vcpu = world_vcpu(0);
	EXPECT_EQ(lapic_vapic_set(vcpu, 0x9000), 0);
	EXPECT_EQ(lapic_tpr_report_set(vcpu, true), 0);
	world_reg_write(0, APIC_TASKPRI, 0x20);
	EXPECT(test_bit(REQ_TPR_REPORT, &vcpu->requests));
	EXPECT_EQ(irq_tpr_report_to_user(vcpu), TO_USER);
	EXPECT_EQ(vcpu->run->tpr_access.is_write, 1);
	lapic_post(world_lapic(0), 0x65, false);
	EXPECT_EQ(lapic_ack(world_lapic(0)), 0x65);
	lapic_post(world_lapic(0), 0x35, false);
	lapic_sync_enter(vcpu);
	EXPECT_EQ(world.vapic, 0x35006020);
	world.vapic = 0x35006040;
	EXPECT_EQ(lapic_cr8_get(vcpu), 4);
	world_reg_write(0, APIC_TASKPRI, 0);
	lapic_sync_exit(vcpu);
	EXPECT_EQ(world_reg(0, APIC_TASKPRI), 0);	/* the page is old by then */
	world_end();
}

static void init_resets(void)
{
	struct lapic_irq irq = { .dest_id = 0x80, .dest_mode = 1, .vector = 0x40, .level = 1 };

	world_start(IRQCHIP_KERNEL, 2);
	enable(1);
	world_reg_write(1, APIC_LDR, 0x80000000);
	world_reg_write(1, APIC_TDCR, 0xb);
	world_reg_write(1, APIC_TMICT, 1000000);
	EXPECT_EQ(lapic_deliver(&world.vm, &irq), 1);
	EXPECT(world_lapic(1)->timer.hrtimer.active);
	lapic_reset(world_vcpu(1), true);
	EXPECT(!world_lapic(1)->timer.hrtimer.active);
	EXPECT_EQ(world_reg(1, APIC_TMCCT), 0);
	EXPECT_EQ(lapic_highest_irr(world_lapic(1)), -1);
	EXPECT_EQ(lapic_deliver(&world.vm, &irq), -1);		/* nobody has that logical id now */
	EXPECT_EQ(lapic_base_get(world_vcpu(1)), 0xfee00800);
	EXPECT_EQ(lapic_base_set(world_vcpu(1), X2APIC, true), 0);
	lapic_reset(world_vcpu(1), true);
	EXPECT_EQ(lapic_base_get(world_vcpu(1)), X2APIC);	/* INIT keeps the mode */
	lapic_reset(world_vcpu(1), false);
	EXPECT_EQ(lapic_base_get(world_vcpu(1)), 0xfee00800);
	world_end();
}

static bool apicv_after(u64 base)
{
	EXPECT_EQ(lapic_base_set(world_vcpu(0), base, true), 0);
	EXPECT(test_bit(REQ_APICV, &world_vcpu(0)->requests));
	irq_apicv_refresh(world_vcpu(0));
	return world_vcpu(0)->irq.apicv;
}

static void apicv_modes(void)
{
	struct vcpu *vcpu;

	world_start(IRQCHIP_KERNEL, 1);
	vcpu = world_vcpu(0);
	irq_apicv_refresh(vcpu);
	EXPECT(!vcpu->irq.apicv);		/* no such hardware */
	caps.apicv = true;
	irq_apicv_refresh(vcpu);
	EXPECT(!vcpu->irq.apicv);		/* no APIC-access page */
	world.vm.mmu.apic_page = 0x1000;
	irq_apicv_refresh(vcpu);
	EXPECT(vcpu->irq.apicv);
	EXPECT(!apicv_after(0xfee00000));	/* disabled */
	EXPECT(!apicv_after(0xfed00000 | MSR_IA32_APICBASE_ENABLE));
	EXPECT(apicv_after(0xfed00000 | MSR_IA32_APICBASE_ENABLE | X2APIC_ENABLE));
	EXPECT(apicv_after(XAPIC));
	vcpu->guest_debug = KVM_GUESTDBG_BLOCKIRQ;
	irq_apicv_refresh(vcpu);
	EXPECT(!vcpu->irq.apicv);
	world_end();
}

static void apicv_posting(void)
{
	struct vcpu *vcpu;

	world_start(IRQCHIP_KERNEL, 1);
	caps.apicv = true;
	world.vm.mmu.apic_page = 0x1000;
	enable(0);
	vcpu = world_vcpu(0);
	irq_apicv_refresh(vcpu);
	vcpu->requests = 0;
	vcpu->cpu = 1;
	lapic_post(world_lapic(0), 0x51, false);
	EXPECT_EQ(vcpu->requests, 0);		/* a notification reaches it there */
	EXPECT_EQ(lapic_highest_irr(world_lapic(0)), -1);
	EXPECT(irq_pending(vcpu));		/* collects it */
	EXPECT(!irq_injectable(vcpu));		/* and leaves it to the hardware */
	EXPECT_EQ(irq_ack(vcpu), -1);
	vcpu->cpu = 0;	/* none does on the same CPU: straight into the page */
	world.kicked = 0;
	lapic_post(world_lapic(0), 0x61, false);
	EXPECT_EQ(lapic_highest_irr(world_lapic(0)), 0x61);
	EXPECT_EQ(vcpu->requests, 0);		/* the next entry looks at the page */
	EXPECT_EQ(world.kicked, 1);		/* which a halt might put off */
	EXPECT(!vcpu->irq.rvi_behind);
	vcpu->mode = VCPU_IN_GUEST;		/* in a stay */
	world.kicked = 0;
	lapic_post(world_lapic(0), 0x60, false);
	EXPECT_EQ(vcpu->requests, 0);
	EXPECT_EQ(world.kicked, 0);
	EXPECT(vcpu->irq.rvi_behind);
	vcpu->mode = VCPU_OUTSIDE;
	vcpu->cpu = 1;
	lapic_post(world_lapic(0), 0x62, false);
	vcpu->guest_debug = KVM_GUESTDBG_BLOCKIRQ;
	irq_apicv_refresh(vcpu);		/* off: nothing stays behind */
	EXPECT_EQ(lapic_highest_irr(world_lapic(0)), 0x62);
	vcpu->guest_debug = 0;
	irq_apicv_refresh(vcpu);
	lapic_post(world_lapic(0), 0x64, false);
	lapic_reset(vcpu, true);		/* voids what was posted, too */
	irq_apicv_refresh(vcpu);
	EXPECT_EQ(lapic_highest_irr(world_lapic(0)), -1);
	world.post_refused = true;
	vcpu->requests = 0;
	lapic_post(world_lapic(0), 0x53, false);
	EXPECT(test_bit(REQ_EVENT, &vcpu->requests));
	world_end();
}

static void apicv_eoi_bitmap(void)
{
	struct vcpu *vcpu;

	world_start(IRQCHIP_SPLIT, 1);
	caps.apicv = true;
	world.vm.mmu.apic_page = 0x1000;
	vcpu = world_vcpu(0);
	irq_apicv_refresh(vcpu);
	world.apicv_updates = 0;
	irq_eoi_bitmap_update(vcpu);
	EXPECT_EQ(world.apicv_updates, 0);	/* as it was: nothing to tell the hardware */
	world.level_msi[0] = (struct lapic_irq){ .vector = 0x71, .trig_mode = 1 };
	world.nr_level_msi = 1;
	irq_eoi_bitmap_update(vcpu);
	EXPECT_EQ(world.apicv_updates, 1);
	EXPECT_EQ(vcpu->irq.eoi_exit[1], BIT_ULL(0x31));
	world_end();
}

static void trapped_writes(void)
{
	struct vcpu_exit exit = { .apic = { .offset = APIC_LVT1 } };

	world_start(IRQCHIP_KERNEL, 1);
	enable(0);
	lapic_reg_set(world_lapic(0), APIC_LVT1, 0xffffffff);
	EXPECT_EQ(apic_write_exit(world_vcpu(0), &exit), RESUME);
	EXPECT_EQ(world_reg(0, APIC_LVT1), 0x1a7ff);
	lapic_reg_set(world_lapic(0), APIC_ID, 0x33000000);
	exit.apic.offset = APIC_ID;
	EXPECT_EQ(apic_write_exit(world_vcpu(0), &exit), RESUME);
	EXPECT_EQ(world_reg(0, APIC_ID), 0);
	world_end();
}

static const struct ktap_case cases[] = {
	{ "state after reset", reset_state },
	{ "priorities, 200,000 random steps against a model", priorities_follow_the_model },
	{ "TPR threshold and CR8", tpr_threshold },
	{ "MMIO: sizes, alignment, place", mmio_rules },
	{ "local vector table", lvts },
	{ "error status register", errors },
	{ "APIC_BASE transitions", base_transitions },
	{ "x2APIC MSRs: what raises #GP", x2apic_rules },
	{ "writes with interrupts off", fast_paths },
	{ "KVM_GET_LAPIC, KVM_SET_LAPIC", user_state },
	{ "the same in x2APIC mode", user_state_x2apic },
	{ "PV EOI", pv_eoi },
	{ "vAPIC page and TPR reports", vapic_page },
	{ "INIT and RESET", init_resets },
	{ "APICv on and off", apicv_modes },
	{ "APICv: posting", apicv_posting },
	{ "APICv: EOI-exit bitmap", apicv_eoi_bitmap },
	{ "APIC-write exits", trapped_writes },
};

int main(void)
{
	return ktap_run(cases, ARRAY_SIZE(cases));
}
