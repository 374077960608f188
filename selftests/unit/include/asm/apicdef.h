/* SPDX-License-Identifier: GPL-2.0-only */
/* Offsets and bits of the local APIC, as the SDM gives them. */
#ifndef SHIM_APICDEF_H
#define SHIM_APICDEF_H

#define APIC_DEFAULT_PHYS_BASE	0xfee00000

#define APIC_ID		0x20
#define APIC_LVR	0x30
#define APIC_LVR_DIRECTED_EOI	(1 << 24)
#define APIC_TASKPRI	0x80
#define APIC_TPRI_MASK	0xffu
#define APIC_ARBPRI	0x90
#define APIC_PROCPRI	0xa0
#define APIC_EOI	0xb0
#define APIC_RRR	0xc0
#define APIC_LDR	0xd0
#define APIC_LDR_MASK	(0xffu << 24)
#define GET_APIC_LOGICAL_ID(x)	(((x) >> 24) & 0xffu)
#define APIC_DFR	0xe0
#define APIC_DFR_CLUSTER	0x0ffffffful
#define APIC_DFR_FLAT	0xfffffffful
#define APIC_SPIV	0xf0
#define APIC_SPIV_DIRECTED_EOI	(1 << 12)
#define APIC_SPIV_APIC_ENABLED	(1 << 8)
#define APIC_ISR	0x100
#define APIC_TMR	0x180
#define APIC_IRR	0x200
#define APIC_ESR	0x280
#define APIC_ESR_SENDILL	0x20
#define APIC_ESR_RECVILL	0x40
#define APIC_ESR_ILLREGA	0x80
#define APIC_LVTCMCI	0x2f0
#define APIC_ICR	0x300
#define APIC_DEST_SELF	0x40000
#define APIC_INT_LEVELTRIG	0x8000
#define APIC_INT_ASSERT	0x4000
#define APIC_ICR_BUSY	0x1000
#define APIC_DEST_LOGICAL	0x800
#define APIC_VECTOR_MASK	0xff
#define APIC_ICR2	0x310
#define APIC_LVTT	0x320
#define APIC_LVTTHMR	0x330
#define APIC_LVTPC	0x340
#define APIC_LVT0	0x350
#define APIC_LVT_MASKED	(1 << 16)
#define GET_APIC_DELIVERY_MODE(x)	(((x) >> 8) & 0x7)
#define APIC_LVT1	0x360
#define APIC_LVTERR	0x370
#define APIC_TMICT	0x380
#define APIC_TMCCT	0x390
#define APIC_TDCR	0x3e0
#define APIC_SELF_IPI	0x3f0

#endif
