// SPDX-License-Identifier: GPL-2.0-only
#include "apic.h"

u32 apic_read(u32 reg)
{
	return apic_is_x2() ? (u32)x2apic_read(reg) : xapic_read(reg);
}

void apic_write(u32 reg, u32 value)
{
	if (apic_is_x2())
		x2apic_write(reg, value);
	else
		xapic_write(reg, value);
}

u32 apic_id(void)
{
	return apic_is_x2() ? x2apic_read(APIC_ID) : xapic_read(APIC_ID) >> 24;
}

void apic_icr(u32 dest, u32 icr)
{
	if (apic_is_x2()) {
		x2apic_write(APIC_ICR, icr | (u64)dest << 32);
		return;
	}
	xapic_write(APIC_ICR2, dest << 24);
	xapic_write(APIC_ICR, icr);
}

void apic_eoi(void)
{
	apic_write(APIC_EOI, 0);
}

void apic_enable(void)
{
	wrmsr(MSR_APIC_BASE, rdmsr(MSR_APIC_BASE) | APIC_BASE_EN);
	apic_write(APIC_SVR, 0x1ff);
	apic_write(APIC_TPR, 0);
	/* KVM leaves the PIC's wire open at reset; only who asks for it gets it. */
	apic_write(APIC_LVT0, APIC_LVT_MASKED);
}

void apic_enable_x2(void)
{
	wrmsr(MSR_APIC_BASE, rdmsr(MSR_APIC_BASE) | APIC_BASE_EN | APIC_BASE_X2);
	apic_enable();
}

/* Is @vector set in the 256-bit register @bank (APIC_IRR, APIC_ISR, APIC_TMR)? */
bool apic_pending(u32 bank, u8 vector)
{
	return apic_read(bank + vector / 32 * 16) & BIT(vector % 32);
}

void apic_start_cpu(u32 dest, u8 page)
{
	apic_icr(dest, APIC_DM_INIT | APIC_ASSERT);
	apic_icr(dest, APIC_DM_STARTUP | APIC_ASSERT | page);
	apic_icr(dest, APIC_DM_STARTUP | APIC_ASSERT | page);
}

void ioapic_set(unsigned int pin, u32 dest, u32 low)
{
	ioapic_write(0x10 + 2 * pin, APIC_LVT_MASKED);
	ioapic_write(0x11 + 2 * pin, dest << 24);
	ioapic_write(0x10 + 2 * pin, low);
}
