/* SPDX-License-Identifier: GPL-2.0-only */
/* One small machine, run twice: by the CPU and by the emulator. */
#ifndef CORBEL_TEST_MACHINE_H
#define CORBEL_TEST_MACHINE_H

#include "../../../kmod/emul/emul.h"

/* Linear addresses, low enough for 32-bit code; the pages around them are unmapped. */
#define CODE_BASE	0x20000000u
#define CODE_SIZE	0x1000u
#define DATA_BASE	0x30000000u
#define DATA_RW		0x2000u		/* two writable pages, then a read-only one */
#define DATA_SIZE	0x3000u

/* Where the emulator finds a copy of the LDT; the CPU's own is out of reach. */
#define LDT_LINEAR	0x50000000u
#define LDT_COPY_ENTRIES 12u

#define VECTOR_NONE	0xff
#define VECTOR_UNKNOWN	0xfe		/* the emulator does not handle the instruction */

#define NR_VECTORS	16

struct machine {
	struct emul_regs regs;
	u16 selectors[EMUL_NR_SREGS];	/* only those of ES, CS, SS, DS, GS are compared */
	u8 ymm[NR_VECTORS][32];
	u8 vector;
	u32 error_code;
	u64 cr2;
};

enum environment {
	ENV_64,			/* 64-bit code */
	ENV_32_FLAT,		/* 32-bit code in the kernel's flat segments */
	ENV_32_LDT,		/* 32-bit code; limits, expand-down and read-only segments */
	ENV_16,			/* 16-bit code and stack */
	ENV_16_STACK32,		/* 16-bit code on a 32-bit stack */
	NR_ENVS,
};

/* native.c: the real CPU. */
int native_init(void);
/* False: the kernel refuses the environment's segments. */
bool native_enter(enum environment env);
/* Can the CPU be brought into this state? Not everywhere with a non-canonical RSP. */
bool native_possible(const struct machine *m);
/* Are all segments of the LDT there, for instructions that load one? */
bool native_whole_ldt(void);
void native_segments(enum environment env, struct emul_state *state);
u64 native_ldt_entry(unsigned int n);
void native_run(struct machine *m);
u8 *native_code(void);
u8 *native_data(void);
void native_protect(void);
void native_load_data(const u8 *image);

/* soft.c: the emulator. */
void soft_init(enum environment env);
void soft_load_data(const u8 *image);
int soft_decode(const struct machine *m, const u8 *code, struct emul_decoded *d);
void soft_run(struct machine *m, const u8 *code);
u8 *soft_data(void);
u64 soft_data_address(void);

#endif
