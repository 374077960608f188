/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What interrupt-remapping hardware reads and decides, by the Intel VT-d specification: entries
 * of the interrupt-remapping table in both formats ("Interrupt Remapping Table Entry (IRTE) for
 * Remapped Interrupts", "... for Posted Interrupts"), the posted-interrupt descriptor ("Posted
 * Interrupt Descriptor (PID)"), and "Interrupt-Posting Hardware Operation". Bit numbers are the
 * specification's.
 */
#ifndef POSTING_AGENT_IRTE_H
#define POSTING_AGENT_IRTE_H

#include <linux/types.h>

struct irte {
	u64 low, high;
};

/* Both formats */
#define IRTE_P			0	/* present */
#define IRTE_FPD		1	/* fault processing disabled */
#define IRTE_AVAIL		8	/* 11:8, software's */
#define IRTE_IM			15	/* mode: 1 posted */
#define IRTE_VECTOR		16	/* 23:16 */
#define IRTE_SID		64	/* 79:64, requester id */
#define IRTE_SQ			80	/* 81:80, which of its bits count */
#define IRTE_SVT		82	/* 83:82, how it is verified */
/* Remapped */
#define IRTE_DM			2	/* destination mode: 1 logical */
#define IRTE_RH			3	/* redirection hint */
#define IRTE_TM			4	/* trigger mode: 1 level */
#define IRTE_DLM		5	/* 7:5, delivery mode */
#define IRTE_DST		32	/* 63:32 x2APIC; 47:40 xAPIC */
/* Posted */
#define IRTE_URG		14	/* urgent: notifies in spite of SN */
#define IRTE_PDA_LOW		38	/* 63:38, bits 31:6 of the descriptor's address */
#define IRTE_PDA_HIGH		96	/* 127:96, bits 63:32 */

#define IRTE_SVT_REQUESTER	1	/* compare SID with the requester's id, as SQ says */

/* Fields that must be 0 */
#define IRTE_RESERVED_LOW		0x00000000ff007000ull	/* 14:12, 31:24 */
#define IRTE_RESERVED_HIGH		0xfffffffffff00000ull	/* 127:84 */
#define IRTE_POSTED_RESERVED_LOW	0x0000003fff0030fcull	/* 7:2, 13:12, 37:24 */
#define IRTE_POSTED_RESERVED_HIGH	0x00000000fff00000ull	/* 95:84 */
#define PID_RESERVED			0x00000000ff00fffcull	/* 271:258, 287:280 */

/* The descriptor's second 64 bits from bit 256 on */
#define PID_ON			(256 - 256)	/* outstanding notification */
#define PID_SN			(257 - 256)	/* suppress notification */
#define PID_NV			(272 - 256)	/* 279:272, notification vector */
#define PID_NDST		(288 - 256)	/* 319:288; xAPIC: 303:296 */

/* "Interrupt Remapping Fault Conditions": the reasons that can occur here */
enum irte_fault {
	IRTE_GOOD = 0,
	IRTE_FAULT_NOT_PRESENT = 0x22,
	IRTE_FAULT_RESERVED = 0x24,
	IRTE_FAULT_SOURCE = 0x26,
	IRTE_FAULT_PID_RESERVED = 0x28,
};

static inline u64 irte_source(u16 sid)
{
	return (u64)sid << (IRTE_SID - 64) | (u64)IRTE_SVT_REQUESTER << (IRTE_SVT - 64);
}

/* Fixed, edge, to one CPU. @dest: its id, as the mode of the interrupt controllers wants it */
static inline struct irte irte_remapped(u16 sid, u32 dest, u8 vector)
{
	return (struct irte){
		.low = 1ull << IRTE_P | (u64)vector << IRTE_VECTOR | (u64)dest << IRTE_DST,
		.high = irte_source(sid),
	};
}

static inline struct irte irte_posted(u16 sid, u64 pid, u8 vector, bool urgent)
{
	return (struct irte){
		.low = 1ull << IRTE_P | 1ull << IRTE_IM | (u64)urgent << IRTE_URG |
		       (u64)vector << IRTE_VECTOR | (pid & 0xffffffc0) >> 6 << IRTE_PDA_LOW,
		.high = irte_source(sid) | pid >> 32 << (IRTE_PDA_HIGH - 64),
	};
}

static inline bool irte_is_posted(struct irte irte)
{
	return irte.low >> IRTE_IM & 1;
}

static inline bool irte_is_urgent(struct irte irte)
{
	return irte.low >> IRTE_URG & 1;
}

static inline u8 irte_vector(struct irte irte)
{
	return irte.low >> IRTE_VECTOR;
}

static inline u32 irte_dest(struct irte irte)
{
	return irte.low >> IRTE_DST;
}

static inline u64 irte_pid(struct irte irte)
{
	return irte.low >> IRTE_PDA_LOW << 6 | irte.high >> (IRTE_PDA_HIGH - 64) << 32;
}

/* SQ leaves out bit 2, bits 2:1, or bits 2:0 of the function number. */
static inline bool irte_source_good(struct irte irte, u16 requester)
{
	u16 ignored = (u16[]){ 0, 4, 6, 7 }[irte.high >> (IRTE_SQ - 64) & 3];

	if ((irte.high >> (IRTE_SVT - 64) & 3) != IRTE_SVT_REQUESTER)
		return true;
	return !(((u16)(irte.high >> (IRTE_SID - 64)) ^ requester) & ~ignored);
}

static inline enum irte_fault irte_check(struct irte irte, u16 requester)
{
	u64 low = irte_is_posted(irte) ? IRTE_POSTED_RESERVED_LOW : IRTE_RESERVED_LOW;
	u64 high = irte_is_posted(irte) ? IRTE_POSTED_RESERVED_HIGH : IRTE_RESERVED_HIGH;

	if (!(irte.low & 1ull << IRTE_P))
		return IRTE_FAULT_NOT_PRESENT;
	if ((irte.low & low) || (irte.high & high))
		return IRTE_FAULT_RESERVED;
	return irte_source_good(irte, requester) ? IRTE_GOOD : IRTE_FAULT_SOURCE;
}

/* Does the interrupt that has just set its bit of PIR set ON, and so notify? */
static inline bool pid_notifies(u64 control, bool urgent)
{
	bool on = control >> PID_ON & 1, sn = control >> PID_SN & 1;

	return !on && (urgent || !sn);
}

static inline u8 pid_nv(u64 control)
{
	return control >> PID_NV;
}

static inline u32 pid_ndst(u64 control)
{
	return control >> PID_NDST;
}

#endif
