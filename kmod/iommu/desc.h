/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The posted-interrupt descriptor: where interrupts of a vCPU wait that nobody carries to it.
 * Senders here, interrupt-remapping hardware and the processor in the guest write it at once, so
 * that all is atomic: the sender sets a bit of PIR, then ON if neither SN nor ON is set, and
 * notifies NDST with NV only if it was the one to set ON. Whoever clears ON takes all of PIR
 * afterwards.
 */
#ifndef CORBEL_DESC_H
#define CORBEL_DESC_H

#include <linux/atomic.h>
#include <linux/bitmap.h>
#include <linux/bits.h>
#include <linux/build_bug.h>
#include <linux/types.h>

struct posted_desc {		/* SDM, "Posted-Interrupt Descriptor" */
	u64 pir[4];
	u64 control;		/* ON, SN, NV and NDST */
	u64 reserved[3];
} __aligned(64);

static_assert(sizeof(struct posted_desc) == 64);

#define POSTED_ON		0	/* bit numbers in control */
#define POSTED_SN		1
#define POSTED_NV_SHIFT		16
#define POSTED_NDST_SHIFT	32

/* Without ON and SN. @ndst: as the interrupt controllers' mode wants it */
static inline u64 desc_control(u32 ndst, u8 nv)
{
	return (u64)ndst << POSTED_NDST_SHIFT | (u64)nv << POSTED_NV_SHIFT;
}

static inline u8 desc_nv(u64 control)
{
	return control >> POSTED_NV_SHIFT;
}

static inline bool desc_on(const struct posted_desc *desc)
{
	return READ_ONCE(desc->control) & BIT_ULL(POSTED_ON);
}

/** desc_point() - who is to be notified, and how, from now on; ON stays. Return: what it was */
static inline u64 desc_point(struct posted_desc *desc, u64 control)
{
	u64 seen, old = READ_ONCE(desc->control);

	while ((seen = cmpxchg(&desc->control, old, control | (old & BIT_ULL(POSTED_ON)))) != old)
		old = seen;
	return old;
}

/**
 * desc_point_here() - the same, by who takes what is posted from now on
 *
 * What came in while SN was set made nobody set ON. SN first: a sender that still sees it set has
 * set its bit of PIR before.
 */
static inline void desc_point_here(struct posted_desc *desc, u64 control)
{
	desc_point(desc, control);
	smp_mb__after_atomic();
	if (!bitmap_empty((unsigned long *)desc->pir, 256))
		set_bit(POSTED_ON, (unsigned long *)&desc->control);
}

#endif
