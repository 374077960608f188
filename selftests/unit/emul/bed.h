/* SPDX-License-Identifier: GPL-2.0-only */
/* A scripted world for the emulator: RAM with page rights, one MMIO page, ports, registers. */
#ifndef CORBEL_TEST_BED_H
#define CORBEL_TEST_BED_H

#include <stdio.h>

#include "../../../kmod/emul/emul.h"

#define RAM_SIZE	0x40000u
#define PAGE		0x1000u
#define MMIO_BASE	0xd0000000u

/* Page rights. */
#define ABSENT		1
#define READONLY	2

struct bed {
	struct emul e;
	u8 ram[RAM_SIZE];
	u8 rights[RAM_SIZE / PAGE];

	/* MMIO reads are owed by "userspace" until answered; then replayed in order. */
	bool mmio_async;
	unsigned int tape_len;		/* reads answered since the last commit */
	unsigned int tape_at;
	u64 tape[16];
	u64 mmio_value;			/* each new read gives it and adds 1 */
	unsigned int mmio_reads;
	unsigned int mmio_writes;
	u64 mmio_written;
	bool stop_on_write;

	unsigned int fetches;
	unsigned int fetch_len[4];
	unsigned int commits;
	unsigned int locked;
	unsigned int locks_to_lose;

	bool pio_denied;
	unsigned int pio_calls;
	unsigned int pio_count;
	unsigned int pio_size;
	u16 pio_port;
	u8 pio_data[1024];

	u64 cr[9];
	u64 msr_index, msr_value;
	u64 invlpg;
	unsigned int halts;
	u8 x87;				/* opcode of the last one */
	u8 ymm[16][32];
};

void bed_init(struct bed *b, enum emul_mode mode);
/* Puts @len bytes of code at CS:RIP and runs emul_decode() and emul_exec() once. */
int bed_run(struct bed *b, const void *code, unsigned int len);
u64 *bed_gpr(struct bed *b, unsigned int reg);
struct kvm_segment bed_segment(u16 selector, u64 base, u32 limit, u8 type, u8 dpl, bool db);
u64 bed_descriptor(u32 base, u32 limit, u8 type, u8 dpl, bool s, bool present, bool db, bool l);

/* ktap */
extern bool ktap_failed;

#define CHECK(cond) do { \
	if (!(cond)) { \
		ktap_failed = true; \
		printf("# %s:%d: %s\n", __FILE__, __LINE__, #cond); \
	} \
} while (0)

struct test {
	const char *name;
	void (*run)(struct bed *b);
};

extern const struct test restart_tests[], fault_tests[], system_tests[];

#endif
