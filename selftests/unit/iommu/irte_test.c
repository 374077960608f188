// SPDX-License-Identifier: GPL-2.0-only
/*
 * The posting agent's table entries and Corbel's descriptor against the tables of the VT-d
 * specification, bit by bit. Catches: a field at the wrong bit, or one bit too wide; a reserved
 * bit that is set, or not looked at; a notification that the specification does not order, or one
 * left out.
 */
#include <linux/kernel.h>
#include "../../modules/posting_agent/irte.h"
#include "iommu/desc.h"
#include "ktap.h"

/* The tables as they are printed: name, from bit, to bit. */
struct field { const char *name; int high, low; };

static const struct field remapped_fields[] = {
	{ "reserved", 127, 84 }, { "SVT", 83, 82 }, { "SQ", 81, 80 }, { "SID", 79, 64 },
	{ "DST", 63, 32 }, { "reserved", 31, 24 }, { "V", 23, 16 }, { "IM", 15, 15 },
	{ "reserved", 14, 12 }, { "AVAIL", 11, 8 }, { "DLM", 7, 5 }, { "TM", 4, 4 },
	{ "RH", 3, 3 }, { "DM", 2, 2 }, { "FPD", 1, 1 }, { "P", 0, 0 },
};

static const struct field posted_fields[] = {
	{ "PDAH", 127, 96 }, { "reserved", 95, 84 }, { "SVT", 83, 82 }, { "SQ", 81, 80 },
	{ "SID", 79, 64 }, { "PDAL", 63, 38 }, { "reserved", 37, 24 }, { "VV", 23, 16 },
	{ "IM", 15, 15 }, { "URG", 14, 14 }, { "reserved", 13, 12 }, { "AVAIL", 11, 8 },
	{ "reserved", 7, 2 }, { "FPD", 1, 1 }, { "P", 0, 0 },
};

/* Bits 319:256 of the descriptor, from 0 on. */
static const struct field pid_fields[] = {
	{ "NDST", 63, 32 }, { "reserved", 31, 24 }, { "NV", 23, 16 }, { "reserved", 15, 2 },
	{ "SN", 1, 1 }, { "ON", 0, 0 },
};

static bool bit(struct irte irte, int n)
{
	return (n < 64 ? irte.low >> n : irte.high >> (n - 64)) & 1;
}

static u64 value(const struct field *fields, int nr, const char *name, struct irte irte)
{
	u64 sum = 0;
	int i, n;

	for (i = 0; i < nr; i++)
		if (!strcmp(fields[i].name, name))
			for (n = fields[i].high; n >= fields[i].low; n--)
				sum = sum << 1 | bit(irte, n);
	return sum;
}

#define R(name, irte)	value(remapped_fields, ARRAY_SIZE(remapped_fields), name, irte)
#define P(name, irte)	value(posted_fields, ARRAY_SIZE(posted_fields), name, irte)
#define C(name, control)	\
	value(pid_fields, ARRAY_SIZE(pid_fields), name, (struct irte){ .low = control })

static u64 random64(void)
{
	static u64 seed = 1;

	seed = seed * 6364136223846793005ull + 1442695040888963407ull;
	return seed ^ seed >> 29;
}

/* The tables leave out no bit and name none twice. */
static void expect_whole(const struct field *fields, int nr, int top)
{
	int i, next = top;

	for (i = 0; i < nr; i++) {
		EXPECT_EQ(fields[i].high, next);
		next = fields[i].low - 1;
	}
	EXPECT_EQ(next, -1);
}

static void tables(void)
{
	expect_whole(remapped_fields, ARRAY_SIZE(remapped_fields), 127);
	expect_whole(posted_fields, ARRAY_SIZE(posted_fields), 127);
	expect_whole(pid_fields, ARRAY_SIZE(pid_fields), 63);
}

static void remapped(void)
{
	int i;

	for (i = 0; i < 10000; i++) {
		u16 sid = random64();
		u32 dest = random64();
		u8 vector = random64();
		struct irte irte = irte_remapped(sid, dest, vector);

		EXPECT_EQ(R("P", irte), 1);
		EXPECT_EQ(R("IM", irte), 0);
		EXPECT_EQ(R("V", irte), vector);
		EXPECT_EQ(R("DST", irte), dest);
		EXPECT_EQ(R("SID", irte), sid);
		EXPECT_EQ(R("SVT", irte), 1);
		EXPECT_EQ(R("SQ", irte) + R("FPD", irte) + R("DM", irte) + R("RH", irte) +
			  R("TM", irte) + R("DLM", irte) + R("AVAIL", irte) +
			  R("reserved", irte), 0);
		EXPECT(!irte_is_posted(irte));
		EXPECT_EQ(irte_vector(irte), vector);
		EXPECT_EQ(irte_dest(irte), dest);
		EXPECT_EQ(irte_check(irte, sid), IRTE_GOOD);
	}
}

static void posted(void)
{
	int i;

	for (i = 0; i < 10000; i++) {
		u16 sid = random64();
		u64 pid = random64() & ~63ull;
		u8 vector = random64();
		bool urgent = random64() & 1;
		struct irte irte = irte_posted(sid, pid, vector, urgent);

		EXPECT_EQ(P("P", irte), 1);
		EXPECT_EQ(P("IM", irte), 1);
		EXPECT_EQ(P("URG", irte), urgent);
		EXPECT_EQ(P("VV", irte), vector);
		EXPECT_EQ(P("PDAL", irte), (u32)pid >> 6);
		EXPECT_EQ(P("PDAH", irte), pid >> 32);
		EXPECT_EQ(P("SID", irte), sid);
		EXPECT_EQ(P("SVT", irte), 1);
		EXPECT_EQ(P("SQ", irte) + P("FPD", irte) + P("AVAIL", irte) +
			  P("reserved", irte), 0);
		EXPECT(irte_is_posted(irte));
		EXPECT_EQ(irte_is_urgent(irte), urgent);
		EXPECT_EQ(irte_vector(irte), vector);
		EXPECT_EQ(irte_pid(irte), pid);
		EXPECT_EQ(irte_check(irte, sid), IRTE_GOOD);
	}
}

/* Each bit flipped alone: a fault where the table says "reserved", or where P or SID change. */
static void expect_faults(struct irte good, u16 sid, const struct field *fields, int nr)
{
	int i, n;

	for (i = 0; i < nr; i++)
		for (n = fields[i].low; n <= fields[i].high; n++) {
			const char *name = fields[i].name;
			struct irte irte = good;
			int fault = 0;

			if (!strcmp(name, "IM"))
				continue;	/* another format */
			if (!strcmp(name, "P"))
				fault = 0x22;
			if (!strcmp(name, "reserved"))
				fault = 0x24;
			if (!strcmp(name, "SID"))
				fault = 0x26;
			if (n < 64)
				irte.low ^= 1ull << n;
			else
				irte.high ^= 1ull << (n - 64);
			EXPECT_EQ(irte_check(irte, sid), fault);
		}
}

static void faults(void)
{
	expect_faults(irte_remapped(0x1234, 0x5600, 0x41), 0x1234, remapped_fields,
		      ARRAY_SIZE(remapped_fields));
	expect_faults(irte_posted(0x1234, 0x123456789ac0, 0x41, true), 0x1234, posted_fields,
		      ARRAY_SIZE(posted_fields));
	EXPECT_EQ(irte_check((struct irte){}, 0), 0x22);
}

/* SQ: 0 all bits, 1 without bit 2, 2 without 2:1, 3 without 2:0. */
static void source_qualifier(void)
{
	static const u16 ignored[] = { 0, 4, 6, 7 };
	int sq, requester;

	for (sq = 0; sq < 4; sq++)
		for (requester = 0; requester < 0x10000; requester++) {
			struct irte irte = irte_remapped(0xa5, 0, 0x41);

			irte.high |= (u64)sq << 16;
			EXPECT_EQ(irte_check(irte, requester),
				  (requester | ignored[sq]) == (0xa5 | ignored[sq]) ? 0 : 0x26);
		}
}

/* X = (ON == 0) and (URG or SN == 0) */
static void notification(void)
{
	static const struct { u64 control; bool urgent, notifies; } rows[] = {
		{ 0, false, true }, { 0, true, true }, { 1, false, false }, { 1, true, false },
		{ 2, false, false }, { 2, true, true }, { 3, false, false }, { 3, true, false },
	};
	int i;

	for (i = 0; i < ARRAY_SIZE(rows); i++) {
		u64 others = random64() & ~3ull;

		EXPECT_EQ(pid_notifies(rows[i].control | others, rows[i].urgent), rows[i].notifies);
	}
}

/* Corbel's side of the descriptor. */
static void descriptor(void)
{
	struct posted_desc desc = {};
	int i;

	EXPECT_EQ(sizeof(desc), 64);
	EXPECT_EQ(_Alignof(struct posted_desc), 64);
	EXPECT_EQ(offsetof(struct posted_desc, pir), 0);
	EXPECT_EQ(offsetof(struct posted_desc, control), 256 / 8);
	EXPECT_EQ(C("ON", BIT_ULL(POSTED_ON)), 1);
	EXPECT_EQ(C("SN", BIT_ULL(POSTED_SN)), 1);
	for (i = 0; i < 10000; i++) {
		u32 ndst = random64();
		u8 nv = random64();
		u64 control = desc_control(ndst, nv);

		EXPECT_EQ(C("NDST", control), ndst);
		EXPECT_EQ(C("NV", control), nv);
		EXPECT_EQ(C("ON", control) + C("SN", control) + C("reserved", control), 0);
		EXPECT_EQ(control & PID_RESERVED, 0);
		EXPECT_EQ(desc_nv(control), nv);
		EXPECT_EQ(pid_nv(control), nv);
		EXPECT_EQ(pid_ndst(control), ndst);
	}
	for (i = 0; i < 64; i++)
		EXPECT_EQ(PID_RESERVED >> i & 1, C("reserved", 1ull << i) != 0);
}

/* ON survives, SN does not; what came in behind SN is outstanding afterwards. */
static void point(void)
{
	struct posted_desc desc = { .control = 3 };

	EXPECT_EQ(desc_point(&desc, desc_control(5, 0xf1)), 3);
	EXPECT_EQ(desc.control, desc_control(5, 0xf1) | 1);
	desc.control = 2;
	desc_point_here(&desc, desc_control(6, 0xf2));
	EXPECT_EQ(desc.control, desc_control(6, 0xf2));
	EXPECT(!desc_on(&desc));
	desc.control = 2;
	desc.pir[3] = 1ull << 63;
	desc_point_here(&desc, desc_control(6, 0xf2));
	EXPECT_EQ(desc.control, desc_control(6, 0xf2) | 1);
	EXPECT(desc_on(&desc));
}

static const struct ktap_case cases[] = {
	{ "tables", tables },
	{ "remapped", remapped },
	{ "posted", posted },
	{ "faults", faults },
	{ "source_qualifier", source_qualifier },
	{ "notification", notification },
	{ "descriptor", descriptor },
	{ "point", point },
};

int main(void)
{
	return ktap_run(cases, ARRAY_SIZE(cases));
}
