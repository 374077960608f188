/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef CORBEL_TEST_GENERATE_H
#define CORBEL_TEST_GENERATE_H

#include "forms.h"

/* One instruction with the registers it starts from. */
struct instance {
	const struct form *form;
	enum environment env;
	struct machine start;
	u8 bytes[24];
	unsigned int len;
	unsigned int code_offset;	/* within the code page */
	bool patched;			/* a value put into the data pages first */
	unsigned int patch_at;
	unsigned int patch_bytes;
	u64 patch;
	u64 undefined;			/* flags not to compare, this instance's own included */
};

/* Deterministic: the same seed, environment and number make the same instance. */
void generate(struct instance *in, u64 seed, enum environment env, u64 number);

bool generate_possible(const struct form *f, enum environment env);

/* Puts the instruction into (or takes it out of) a page of breakpoints. */
void generate_place(const struct instance *in, u8 *page, bool place);

u64 generate_random(u64 *state);

#endif
