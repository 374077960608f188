/* SPDX-License-Identifier: GPL-2.0-only */
/* The guest's view of its local APIC: by MMIO or, once x2APIC mode is on, by MSRs. */
#ifndef SELFTESTS_APIC_H
#define SELFTESTS_APIC_H

#include "guest.h"

#define APIC_BASE_GPA	0xfee00000UL
#define IOAPIC_BASE_GPA	0xfec00000UL

#define APIC_ID		0x20
#define APIC_LVR	0x30
#define APIC_TPR	0x80
#define APIC_PPR	0xa0
#define APIC_EOI	0xb0
#define APIC_LDR	0xd0
#define APIC_DFR	0xe0
#define APIC_SVR	0xf0
#define APIC_ISR	0x100
#define APIC_TMR	0x180
#define APIC_IRR	0x200
#define APIC_ESR	0x280
#define APIC_ICR	0x300
#define APIC_ICR2	0x310
#define APIC_LVTT	0x320
#define APIC_LVTTHMR	0x330
#define APIC_LVTPC	0x340
#define APIC_LVT0	0x350
#define APIC_LVT1	0x360
#define APIC_LVTERR	0x370
#define APIC_TMICT	0x380
#define APIC_TMCCT	0x390
#define APIC_TDCR	0x3e0
#define APIC_SELF_IPI	0x3f0

#define APIC_DM_FIXED	0x000
#define APIC_DM_LOWEST	0x100
#define APIC_DM_NMI	0x400
#define APIC_DM_INIT	0x500
#define APIC_DM_STARTUP	0x600
#define APIC_DM_EXTINT	0x700
#define APIC_LOGICAL	0x800
#define APIC_BUSY	0x1000
#define APIC_ASSERT	0x4000
#define APIC_LEVEL	0x8000
#define APIC_DEST_SELF	0x40000
#define APIC_DEST_ALL	0x80000
#define APIC_DEST_OTHERS 0xc0000
#define APIC_LVT_MASKED	0x10000
#define APIC_LVT_PERIODIC 0x20000
#define APIC_LVT_DEADLINE 0x40000
#define APIC_BASE_X2	BIT(10)
#define APIC_BASE_EN	BIT(11)

static inline bool apic_is_x2(void)
{
	return rdmsr(MSR_APIC_BASE) & APIC_BASE_X2;
}

static inline u32 xapic_read(u32 reg)
{
	return *(volatile u32 *)(APIC_BASE_GPA + reg);
}

static inline void xapic_write(u32 reg, u32 value)
{
	*(volatile u32 *)(APIC_BASE_GPA + reg) = value;
}

static inline u64 x2apic_read(u32 reg)
{
	return rdmsr(0x800 + reg / 16);
}

static inline void x2apic_write(u32 reg, u64 value)
{
	wrmsr(0x800 + reg / 16, value);
}

/* The functions without a prefix x take the mode that is on. */
u32 apic_read(u32 reg);
void apic_write(u32 reg, u32 value);
u32 apic_id(void);
void apic_icr(u32 dest, u32 icr);
void apic_eoi(void);
void apic_enable(void);
void apic_enable_x2(void);
bool apic_pending(u32 bank, u8 vector);

/* INIT, then two SIPIs to the real-mode page at @page * 4096. */
void apic_start_cpu(u32 dest, u8 page);

static inline u32 ioapic_read(u32 reg)
{
	*(volatile u32 *)IOAPIC_BASE_GPA = reg;
	return *(volatile u32 *)(IOAPIC_BASE_GPA + 0x10);
}

static inline void ioapic_write(u32 reg, u32 value)
{
	*(volatile u32 *)IOAPIC_BASE_GPA = reg;
	*(volatile u32 *)(IOAPIC_BASE_GPA + 0x10) = value;
}

void ioapic_set(unsigned int pin, u32 dest, u32 low);

#endif
