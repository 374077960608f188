// SPDX-License-Identifier: GPL-2.0-only
/*
 * The guest page walker against a second one written from the SDM's chapter on paging, on random
 * tables in every paging mode: address, error code, accessed and dirty bits. Some rows by hand
 * first, where both could be wrong.
 */
#include <linux/mm.h>
#include "ktap.h"
#include "vm.h"
#include "cpu/regs.h"
#include "mem/slots.h"
#include "mmu/gwalk.h"

#define PAGES	64
#define ROUNDS	20000

struct backend_ops backend;
struct backend_caps caps;
long stats_live_count[NR_LIVE_OBJECTS];
bool shim_user_fault(const void *p, unsigned long len) { return !p && len; }

static u8 memory[PAGES * 4096];
static u8 before[PAGES * 4096];
static struct vm vm;
static struct vcpu vcpu;
static unsigned long seed = 88172645463325252ul, translated;

static unsigned long rnd(unsigned long n)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return (seed >> 11) % n;
}

int guest_read(struct vm *which, gpa_t gpa, void *buf, unsigned int len)
{
	if (gpa + len > sizeof(memory))
		return -EFAULT;
	memcpy(buf, memory + gpa, len);
	return 0;
}

int guest_read_entry(struct vcpu *v, gpa_t gpa, u64 *entry, unsigned int size)
{
	*entry = 0;
	return guest_read(v->vm, gpa, entry, size);
}

int guest_write(struct vcpu *which, gpa_t gpa, const void *buf, unsigned int len)
{
	if (gpa + len > sizeof(memory))
		return -EFAULT;
	memcpy(memory + gpa, buf, len);
	return 0;
}

static struct slots slots;

struct slots *slots_current(struct vm *which)
{
	return &slots;
}

hva_t slots_hva(struct vm *which, gpa_t gpa, bool write)
{
	return gpa < sizeof(memory) ? (hva_t)memory + gpa : 0;
}

static unsigned int lose_races, exchanges;

int guest_cmpxchg(struct vcpu *which, gpa_t gpa, u64 *old, u64 new, unsigned int len)
{
	u64 now = 0;

	guest_read(&vm, gpa, &now, len);
	exchanges++;
	if (lose_races) {
		lose_races--;
		return 1;
	}
	if (now != *old)
		return 1;
	memcpy(memory + gpa, &new, len);
	return 0;
}

enum mode { MODE_NONE, MODE_32, MODE_PAE, MODE_4, MODE_5, NR_MODES };

static void set_mode(enum mode mode, u64 cr0, u64 cr4, bool nx, unsigned int cpl, u64 rflags)
{
	memset(&vcpu, 0, sizeof(vcpu));
	vcpu.vm = &vm;
	vcpu.regs.avail = ~0ull;
	vcpu.regs.cr0 = X86_CR0_PE | cr0 | (mode ? X86_CR0_PG : 0);
	vcpu.regs.cr4 = cr4 | (mode >= MODE_PAE ? X86_CR4_PAE : 0) |
			(mode == MODE_5 ? X86_CR4_LA57 : 0);
	vcpu.regs.efer = (nx ? EFER_NX : 0) | (mode >= MODE_4 ? EFER_LME | EFER_LMA : 0);
	vcpu.regs.rflags = rflags;
	vcpu.regs.segs[SEG_SS].dpl = cpl;
	vcpu.arch.maxphyaddr = 40;
}

/* --- The second walker --- */

struct answer {
	int ret;
	gpa_t gpa;
	u32 error;
	gpa_t entries[5];
	int n, size;
};

static bool bit(u64 v, int n)
{
	return v >> n & 1;
}

static struct answer fault(struct answer a, u32 access, bool user, bool present, bool rsvd,
			   bool key)
{
	const struct vcpu_regs *r = &vcpu.regs;
	bool nx = bit(r->efer, 11) && bit(r->cr4, 5), smep = bit(r->cr4, 20);

	a.ret = 1;
	a.error = present | (access & FAULT_WRITE ? 2 : 0) | user << 2 | rsvd << 3 |
		  ((access & FAULT_FETCH && (nx || smep)) << 4) | key << 5;
	return a;
}

static struct answer reference(enum mode mode, u64 gva, u32 access)
{
	static const int shifts[NR_MODES][5] = {
		[MODE_32] = { 22, 12 }, [MODE_PAE] = { 21, 12 },
		[MODE_4] = { 39, 30, 21, 12 }, [MODE_5] = { 48, 39, 30, 21, 12 },
	};
	const struct vcpu_regs *r = &vcpu.regs;
	bool user = access & GWALK_USER || (!(access & GWALK_SYSTEM) && r->segs[SEG_SS].dpl == 3);
	bool write = access & FAULT_WRITE, fetch = access & FAULT_FETCH;
	bool w = true, u = true, x = true, wide = mode > MODE_32;
	struct answer a = { .size = wide ? 8 : 4 };
	u64 table = r->cr3 & ~0xfffull, entry = 0, mask = wide ? 511 : 1023;
	int i = 0, shift;

	if (mode < MODE_4)
		gva = (u32)gva;
	a.gpa = gva;
	if (mode == MODE_NONE)
		return a;
	if (mode == MODE_PAE) {
		if (!bit(r->pdptr[gva >> 30], 0))
			return fault(a, access, user, false, false, false);
		table = r->pdptr[gva >> 30] & 0xffffffffff000;
	}
	for (;; i++) {
		bool large_ok, large;
		u64 rsvd = 0;

		shift = shifts[mode][i];
		a.entries[a.n] = table + (gva >> shift & mask) * a.size;
		entry = 0;
		if (guest_read(&vm, a.entries[a.n], &entry, a.size) || !bit(entry, 0))
			return fault(a, access, user, false, false, false);
		a.n++;
		large_ok = mode == MODE_32 ? shift == 22 && bit(r->cr4, 4) :
			   shift == 21 || shift == 30;
		large = large_ok && bit(entry, 7);
		if (wide) {
			rsvd |= 0xfffffull << 40 & ((1ull << 52) - 1);	/* MAXPHYADDR is 40 */
			if (!bit(r->efer, 11))
				rsvd |= 1ull << 63;
			if (mode == MODE_PAE)
				rsvd |= 0x7ffull << 52;
			if (shift > 30)
				rsvd |= 1ull << 7;
			if (large)
				rsvd |= (1ull << shift) - (1ull << 13);
		} else if (large) {
			rsvd |= 1ull << 21;
		}
		if (entry & rsvd)
			return fault(a, access, user, true, true, false);
		w &= bit(entry, 1);
		u &= bit(entry, 2);
		x &= !(wide && bit(entry, 63));
		if (large || shift == 12)
			break;
		table = entry & 0xffffffffff000;
	}
	if (fetch && !x)
		return fault(a, access, user, true, false, false);
	if (user && (!u || (write && !w)))
		return fault(a, access, user, true, false, false);
	if (!user) {
		bool smap = bit(r->cr4, 21) && u && !fetch &&
			    (access & GWALK_SYSTEM || !bit(r->rflags, 18));

		if (smap || (fetch && u && bit(r->cr4, 20)) ||
		    (write && !fetch && !w && bit(r->cr0, 16)))
			return fault(a, access, user, true, false, false);
	}
	if (mode >= MODE_4 && bit(r->cr4, 22) && u && !fetch) {
		u32 key = vcpu.arch.pkru >> 2 * (entry >> 59 & 15);

		if (key & 1 || (key & 2 && write && (user || bit(r->cr0, 16))))
			return fault(a, access, user, true, false, true);
	}
	a.gpa = (entry & 0xffffffffff000) & ~((1ull << shift) - 1);
	if (mode == MODE_32 && shift == 22)
		a.gpa = (entry & 0xffc00000) | (entry >> 13 & 0xff) << 32;
	a.gpa |= gva & ((1ull << shift) - 1);
	return a;
}

/* --- Random tables --- */

static u64 random_entry(bool wide)
{
	u64 entry = rnd(PAGES + 2) << 12;

	if (rnd(16))
		entry |= 1;
	if (rnd(4))
		entry |= 2;
	if (rnd(4))
		entry |= 4;
	entry |= rnd(4) << 5;
	if (!rnd(3))
		entry |= 0x80;
	if (!wide)
		return entry | (rnd(8) ? 0 : rnd(1 << 9) << 13);
	if (entry & 0x80 && rnd(4))
		entry &= ~0x1fe000ull;
	if (!rnd(8))
		entry |= 1ull << 63;
	if (!rnd(8))
		entry |= rnd(16) << 59;
	if (!rnd(40))
		entry |= 1ull << (40 + rnd(12));
	return entry;
}

static void random_tables(bool wide)
{
	unsigned int i;

	for (i = 0; i < sizeof(memory); i += wide ? 8 : 4) {
		u64 entry = random_entry(wide);

		memcpy(memory + i, &entry, wide ? 8 : 4);
	}
}

/* Accessed on each level, dirty on the last one, and nothing else may have changed. */
static void check_bits(const struct answer *a, bool write)
{
	int i;

	for (i = 0; i < a->n; i++) {
		before[a->entries[i]] |= 0x20;
		if (write && i == a->n - 1)
			before[a->entries[i]] |= 0x40;
	}
	EXPECT(!memcmp(before, memory, sizeof(memory)));
}

static void random_walk(enum mode mode)
{
	static const u32 kinds[] = { FAULT_READ, FAULT_WRITE, FAULT_FETCH };
	static const u32 privileges[] = { 0, GWALK_USER, GWALK_SYSTEM };
	u32 access = kinds[rnd(3)] | privileges[rnd(3)];
	u64 gva = rnd(~0ul >> 11) << rnd(12) ^ rnd(1 << 30);
	struct guest_fault f = {};
	struct answer want;
	gpa_t gpa = 0;
	int ret;

	set_mode(mode, rnd(2) << 16, rnd(2) << 4 | rnd(8) << 20, rnd(2), rnd(2) * 3, rnd(2) << 18);
	vcpu.regs.cr3 = rnd(PAGES) << 12;
	vcpu.arch.pkru = (u32)rnd(1ul << 32) & (u32)rnd(1ul << 32);
	for (ret = 0; ret < 4; ret++)
		vcpu.regs.pdptr[ret] = rnd(PAGES) << 12 | (rnd(8) != 0);
	want = reference(mode, gva, access);
	lose_races = !rnd(8);
	ret = gwalk_translate(&vcpu, gva, access, &gpa, &f);
	EXPECT_EQ(ret, want.ret);
	if (ret == 1 && want.ret == 1) {
		EXPECT_EQ(f.vector, 14);
		EXPECT_EQ(f.error, want.error);
		EXPECT_EQ(f.addr, mode < MODE_4 ? (u32)gva : gva);
		EXPECT(!memcmp(before, memory, sizeof(memory)));
	} else if (!ret && !want.ret) {
		EXPECT_EQ(gpa, want.gpa);
		translated++;
		check_bits(&want, access & FAULT_WRITE);
	}
	if (ktap_failed)
		printf("# mode %d gva %#llx access %#x cr0 %#llx cr4 %#llx\n", mode, gva, access,
		       vcpu.regs.cr0, vcpu.regs.cr4);
}

static void all_modes(void)
{
	unsigned long i;

	for (i = 0; i < ROUNDS && !ktap_failed; i++) {
		enum mode mode = rnd(NR_MODES);

		if (!(i % 10))
			random_tables(mode != MODE_32);
		memcpy(before, memory, sizeof(memory));
		random_walk(mode);
	}
	printf("# %lu walks, %lu translated\n", i, translated);
	EXPECT(translated > ROUNDS / 20);
}

/* --- Ways that are known again --- */

#define CHANGES	10

static struct gwalk_code code;
static unsigned long known, unknown;

static void code_note(u64 gva)
{
	struct guest_fault f;
	struct gwalk w;

	if (gwalk(&vcpu, gva, FAULT_FETCH, &w, &f))
		code.page = GWALK_NO_PAGE;
	else
		gwalk_code_note(&code, &w);
}

/* Return: whether what was changed has to do with the way to @gva */
static bool change_something(u64 *gva)
{
	u64 *entry = (u64 *)memory + rnd(sizeof(memory) / 8);
	int level = code.level + rnd(code.top - code.level + 1);

	switch (rnd(CHANGES)) {
	case 0:
		*gva = (*gva & ~0xfffull) + rnd(0xff0);
		return false;
	case 1:
		*gva ^= 1ull << (12 + rnd(36));
		return true;
	case 2:
		vcpu.regs.cr3 = rnd(PAGES) << 12;
		return true;
	case 3:
		vcpu.regs.cr4 ^= X86_CR4_SMEP;
		return true;
	case 4:
		vcpu.regs.efer ^= EFER_NX;
		return true;
	case 5:
		vcpu.regs.segs[SEG_SS].dpl ^= 3;
		return true;
	case 6:
		slots.generation++;
		return true;
	case 7:
		*entry = random_entry(true);
		return true;		/* it may be on the way, or code */
	case 8:
		if (code.page != GWALK_NO_PAGE)
			*(u64 *)code.path[level].hva ^= 1ull << rnd(64);
		return true;
	default:
		return false;
	}
}

static void code_look(enum mode mode, u64 gva, bool must)
{
	struct answer want = reference(mode, gva, FAULT_FETCH);
	u8 bytes[GWALK_CODE_BYTES];
	int i;

	if (!gwalk_code_again(&code, &vcpu, gva, bytes)) {
		EXPECT(!must);
		unknown++;
		return;
	}
	known++;
	EXPECT_EQ(want.ret, 0);
	EXPECT(want.gpa < sizeof(memory) && !memcmp(bytes, memory + want.gpa, sizeof(bytes)));
	for (i = 0; i < want.n; i++)
		EXPECT(memory[want.entries[i]] & 0x20);
}

/* Whatever is changed: known again is only what a walk would still find, and known it is if nothing was changed. */
static void known_again(void)
{
	unsigned long i, step;

	for (i = 0; i < ROUNDS && !ktap_failed; i++) {
		enum mode mode = MODE_4 + rnd(2);
		u64 gva = (rnd(1ul << 48) & ~0xfffull) + rnd(0xff0);

		if (!(i % 10))
			random_tables(true);
		set_mode(mode, 0, rnd(2) << 20, rnd(2), rnd(2) * 3, 0);
		vcpu.regs.cr3 = rnd(PAGES) << 12;
		code_note(gva);
		for (step = 0; code.page != GWALK_NO_PAGE && step < 8; step++) {
			bool changed = change_something(&gva);

			code_look(mode, gva, !changed);
			if (changed)
				code_note(gva);
		}
	}
	printf("# known again %lu times, %lu times not\n", known, unknown);
	EXPECT(known > ROUNDS / 50 && unknown > ROUNDS / 50);
}

static void put(gpa_t gpa, u64 entry, unsigned int size)
{
	memcpy(memory + gpa, &entry, size);
}

static void by_hand(void)
{
	struct guest_fault f;
	gpa_t gpa;
	u64 entry;

	memset(memory, 0, sizeof(memory));
	/* 4-level: 0x7f8040201abc has index 255, 1, 1, 1 */
	set_mode(MODE_4, X86_CR0_WP, 0, true, 3, 0);
	vcpu.regs.cr3 = 0x1000;
	put(0x1000 + 255 * 8, 0x2007, 8);
	put(0x2000 + 1 * 8, 0x3007, 8);
	put(0x3000 + 1 * 8, 0x4007, 8);
	put(0x4000 + 1 * 8, 0x8000000000009005, 8);
	EXPECT_EQ(gwalk_translate(&vcpu, 0x7f8040201abc, FAULT_READ, &gpa, &f), 0);
	EXPECT_EQ(gpa, 0x9abc);
	EXPECT_EQ(gwalk_translate(&vcpu, 0x7f8040201abc, FAULT_WRITE, &gpa, &f), 1);
	EXPECT_EQ(f.error, 7);
	EXPECT_EQ(gwalk_translate(&vcpu, 0x7f8040201abc, FAULT_FETCH, &gpa, &f), 1);
	EXPECT_EQ(f.error, 0x15);
	EXPECT_EQ(gwalk_translate(&vcpu, 0x7f8040203abc, FAULT_READ, &gpa, &f), 1);
	EXPECT_EQ(f.error, 4);
	guest_read(&vm, 0x4008, &entry, 8);
	EXPECT_EQ(entry, 0x8000000000009025);
	/* 32-bit, 4 MiB page above 4 GiB */
	set_mode(MODE_32, 0, X86_CR4_PSE, false, 0, 0);
	vcpu.regs.cr3 = 0x5000;
	put(0x5000 + 3 * 4, 0x00c02083, 4);
	EXPECT_EQ(gwalk_translate(&vcpu, 0xc12345, FAULT_WRITE, &gpa, &f), 0);
	EXPECT_EQ(gpa, 0x100c12345);
	guest_read(&vm, 0x500c, &entry, 4);
	EXPECT_EQ((u32)entry, 0x00c020e3);
}

static void bytes_across_pages(void)
{
	struct guest_fault f = {};
	u8 buf[16];

	memset(memory, 0, sizeof(memory));
	set_mode(MODE_32, X86_CR0_WP, 0, false, 0, 0);
	vcpu.regs.cr3 = 0x1000;
	put(0x1000, 0x2003, 4);
	put(0x2000, 0x8003, 4);
	put(0x2004, 0x6003, 4);
	put(0x2008, 0x7001, 4);		/* read-only */
	memset(memory + 0x8ff8, 1, 8);
	memset(memory + 0x6000, 2, 8);
	EXPECT_EQ(gva_read(&vcpu, 0xff8, buf, 16, 0, &f), 0);
	EXPECT(buf[0] == 1 && buf[7] == 1 && buf[8] == 2 && buf[15] == 2);
	memset(buf, 3, 16);
	EXPECT_EQ(gva_write(&vcpu, 0xffc, buf, 8, 0, &f), 0);
	EXPECT(memory[0x8ffc] == 3 && memory[0x6003] == 3 && memory[0x6004] == 2);
	memset(memory + 0x6ff8, 9, 8);
	EXPECT_EQ(gva_write(&vcpu, 0x1ff8, buf, 16, 0, &f), 1);
	EXPECT_EQ(f.error, 3);
	EXPECT_EQ(f.addr, 0x2000);
	EXPECT_EQ(memory[0x6ff8], 9);
	EXPECT_EQ(gva_read(&vcpu, 0x3000, buf, 1, 0, &f), 1);
}

/* A vCPU that changes an entry whenever it was read must not hold the other one in the kernel. */
static void races_without_end(void)
{
	struct guest_fault f;
	gpa_t gpa;
	u8 byte;

	memset(memory, 0, sizeof(memory));
	set_mode(MODE_32, X86_CR0_WP, 0, false, 0, 0);
	vcpu.regs.cr3 = 0x1000;
	put(0x1000, 0x2003, 4);
	put(0x2000, 0x8003, 4);
	lose_races = 5;
	EXPECT_EQ(gwalk_translate(&vcpu, 0x123, FAULT_READ, &gpa, &f), 0);
	EXPECT_EQ(gpa, 0x8123);
	EXPECT_EQ(lose_races, 0);
	lose_races = ~0u;
	exchanges = 0;
	EXPECT_EQ(gwalk_translate(&vcpu, 0x123, FAULT_WRITE, &gpa, &f), -EAGAIN);
	EXPECT_EQ(gva_write(&vcpu, 0x123, "", 1, 0, &f), -EAGAIN);
	EXPECT(exchanges <= 100);
	lose_races = 0;
	EXPECT_EQ(gva_read(&vcpu, 0x123, &byte, 1, 0, &f), 0);
}

int main(void)
{
	static const struct ktap_case cases[] = {
		{ "rows by hand", by_hand },
		{ "bytes across pages", bytes_across_pages },
		{ "a race that is always lost", races_without_end },
		{ "random tables in all modes", all_modes },
		{ "ways that are known again", known_again },
	};

	return ktap_run(cases, sizeof(cases) / sizeof(cases[0]));
}
