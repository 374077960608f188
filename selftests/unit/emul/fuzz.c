// SPDX-License-Identifier: GPL-2.0-only
/*
 * Differential fuzzer: random instruction instances on the CPU and in the emulator; registers,
 * flags, vectors, memory and exceptions must agree. Catches any wrong result, any wrong fault
 * and any disagreement about an instruction's length.
 */
#include <stdio.h>
#include <stdlib.h>

#include "generate.h"

static u8 pristine[DATA_SIZE];

struct tally {
	u64 done;
	u64 skipped;
	u64 faulted;
	u64 failed;
	u32 *completed;		/* per form: instances that did not fault */
	u32 *wrong;		/* per form */
	u32 reported;
};

static bool in_code(u64 linear)
{
	return linear >= CODE_BASE && linear < CODE_BASE + CODE_SIZE;
}

/*
 * Addresses at which this process may have something mapped, the sanitizer's shadow included:
 * the CPU must not be let loose there.
 */
static bool dangerous(u64 linear)
{
	return in_code(linear) || (linear >= 0x7fff0000ull && linear < 0x800000000000ull);
}

/* All code segments of the LDT have the same base. */
static u64 linear_rip(const struct machine *m)
{
	return m->selectors[EMUL_CS] & 4 ? (u32)(m->regs.rip + CODE_BASE) : m->regs.rip;
}

/* A branch into its own bytes would run on. */
static bool runs_on(const struct instance *in, const struct machine *soft)
{
	u64 offset = linear_rip(soft) - CODE_BASE;

	return offset >= in->code_offset && offset < in->code_offset + in->len;
}

/* The GDT, unlike the LDT, is the kernel's. */
static bool used_gdt(const struct instance *in, const struct machine *soft)
{
	return (in->form->flags & (FM_FAR | FM_SELECTOR)) && soft->vector == EMUL_GP &&
	       soft->error_code && !(soft->error_code & 4);
}

/* Loads of segments want them to be there. */
static bool form_possible(const struct form *form, enum environment env)
{
	if (form->flags & (FM_FAR | FM_SELECTOR) && !native_whole_ldt())
		return false;
	return generate_possible(form, env);
}

/* A stack pointer that cannot be entered with cannot be returned to after a host interrupt either. */
static bool must_skip(const struct instance *in, const struct machine *soft)
{
	if (used_gdt(in, soft) || !native_possible(&in->start) || !native_possible(soft))
		return true;
	if (!form_possible(in->form, in->env))
		return true;
	if (soft->vector == VECTOR_NONE && runs_on(in, soft))
		return true;
	if (soft->vector == EMUL_PF_FAULT && !(soft->error_code & 0x10))
		return dangerous(soft->cr2);
	if (soft->vector == VECTOR_NONE)
		return !in_code(linear_rip(soft)) && dangerous(linear_rip(soft));
	return false;
}

/* A finished instruction shows as the breakpoint, or the fetch fault, at its new RIP. */
static void unwrap(const struct instance *in, struct machine *cpu)
{
	bool moved = cpu->regs.rip != in->start.regs.rip;

	if (cpu->vector == EMUL_BP) {
		cpu->vector = VECTOR_NONE;
		cpu->regs.rip--;
	} else if (moved && cpu->vector == EMUL_PF_FAULT && (cpu->error_code & 0x10)) {
		cpu->vector = VECTOR_NONE;
	}
}

static bool has_error_code(u8 vector)
{
	return vector == EMUL_GP || vector == EMUL_SS_FAULT || vector == EMUL_PF_FAULT ||
	       vector == EMUL_NP;
}

/* Outside 64-bit mode, also after a far transfer out of it, upper halves are undefined. */
static u64 gpr_mask(const struct instance *in, const struct machine *cpu)
{
	return in->env == ENV_64 && !(cpu->selectors[EMUL_CS] & 4) ? ~0ull : 0xffffffffull;
}

/* The kernel's way back to user mode clears the RPL of null selectors. */
static bool same_selector(u16 a, u16 b)
{
	return a == b || !((a | b) & ~3);
}

static const char *difference(const struct instance *in, const struct machine *cpu,
			      const struct machine *soft)
{
	u64 mask = gpr_mask(in, cpu);
	bool both_fault = cpu->vector != VECTOR_NONE && soft->vector != VECTOR_NONE;
	u32 error_mask = 0xffff;
	int i;

	if ((in->form->flags & FM_UNORDERED) && both_fault)
		return NULL;
	if (cpu->vector != soft->vector)
		return "vector";
	/* The kernel hides whether an address of its own is present. */
	if (cpu->vector == EMUL_PF_FAULT && soft->cr2 >> 63)
		error_mask &= ~1u;
	if (has_error_code(cpu->vector) && ((cpu->error_code ^ soft->error_code) & error_mask))
		return "error code";
	if (cpu->vector == EMUL_PF_FAULT && cpu->cr2 != soft->cr2)
		return "cr2";
	if (cpu->regs.rip != soft->regs.rip)
		return "rip";
	if ((in->form->flags & FM_PARTIAL) && both_fault)
		return NULL;
	for (i = 0; i < (in->env == ENV_64 ? 16 : 8); i++)
		if ((cpu->regs.gpr[i] ^ soft->regs.gpr[i]) & mask)
			return "gpr";
	if ((cpu->regs.rflags ^ soft->regs.rflags) & ~in->undefined)
		return "rflags";
	for (i = 0; i < EMUL_NR_SREGS; i++)
		if (i != EMUL_FS && !same_selector(cpu->selectors[i], soft->selectors[i]))
			return "selector";
	if (memcmp(cpu->ymm, soft->ymm, (in->env == ENV_64 ? 16 : 8) * 32))
		return "vector register";
	if (memcmp(native_data(), soft_data(), DATA_SIZE))
		return "memory";
	return NULL;
}

static void print_machine(const char *name, const struct machine *m)
{
	int i;

	printf("#   %-5s rip %llx rflags %llx vector %d error %x cr2 %llx\n#  ", name,
	       (unsigned long long)m->regs.rip, (unsigned long long)m->regs.rflags, m->vector,
	       m->error_code, (unsigned long long)m->cr2);
	for (i = 0; i < EMUL_NR_GPRS; i++)
		printf(" %llx", (unsigned long long)m->regs.gpr[i]);
	printf("\n#   es %x cs %x ss %x ds %x gs %x\n", m->selectors[EMUL_ES],
	       m->selectors[EMUL_CS], m->selectors[EMUL_SS], m->selectors[EMUL_DS],
	       m->selectors[EMUL_GS]);
}

static void report(const struct instance *in, u64 number, const char *what,
		   const struct machine *cpu, const struct machine *soft)
{
	unsigned int i;

	printf("# %s differs: env %d number %llu form '%s' bytes", what, in->env,
	       (unsigned long long)number, in->form->name);
	for (i = 0; i < in->len; i++)
		printf(" %02x", in->bytes[i]);
	printf("\n");
	print_machine("start", &in->start);
	print_machine("cpu", cpu);
	print_machine("soft", soft);
	for (i = 0; i < DATA_SIZE; i++)
		if (native_data()[i] != soft_data()[i])
			printf("#   data[%x]: cpu %02x soft %02x\n", i, native_data()[i],
			       soft_data()[i]);
}

static void prepare_data(const struct instance *in)
{
	if (!in->patched)
		return;
	memcpy(native_data() + in->patch_at, &in->patch, in->patch_bytes);
	memcpy(soft_data() + in->patch_at, &in->patch, in->patch_bytes);
}

static void fuzz_one(u64 seed, enum environment env, u64 number, struct tally *t, bool verbose)
{
	struct machine cpu, soft;
	struct instance in;
	const char *what;

	native_load_data(pristine);
	soft_load_data(pristine);
	generate(&in, seed, env, number);
	prepare_data(&in);
	generate_place(&in, native_code(), true);
	soft = in.start;
	cpu = in.start;
	soft_run(&soft, native_code());
	if (must_skip(&in, &soft)) {
		t->skipped++;
	} else {
		native_run(&cpu);
		unwrap(&in, &cpu);
		what = difference(&in, &cpu, &soft);
		t->done++;
		t->failed += !!what;
		t->faulted += soft.vector != VECTOR_NONE;
		t->completed[in.form - forms] += soft.vector == VECTOR_NONE;
		if ((what && !t->wrong[in.form - forms]++ && t->reported++ < 10) || verbose)
			report(&in, number, what ? what : "nothing", &cpu, &soft);
	}
	generate_place(&in, native_code(), false);
}

static const char *const env_names[NR_ENVS] = {
	"64-bit", "32-bit, flat segments", "32-bit, LDT segments", "16-bit",
	"16-bit, 32-bit stack",
};

/* Each form must have been executed to its end: a form that only faults proves little. */
static u64 count_unfinished(enum environment env, const struct tally *t)
{
	u64 n = 0;
	unsigned int i;

	for (i = 0; i < nr_forms; i++) {
		if (t->wrong[i])
			printf("# wrong: %u of '%s'\n", t->wrong[i], forms[i].name);
		if ((forms[i].flags & FM_FAULTS) || !form_possible(&forms[i], env) ||
		    t->completed[i])
			continue;
		printf("# never completed: '%s'\n", forms[i].name);
		n++;
	}
	return n;
}

static bool fuzz_env(u64 seed, enum environment env, u64 count, unsigned int test)
{
	struct tally t = { 0 };
	u64 i;

	if (!native_enter(env)) {
		printf("ok %u %s # SKIP 0 instances run: the kernel refuses the segments\n",
		       test, env_names[env]);
		return true;
	}
	t.completed = calloc(nr_forms, sizeof(u32));
	t.wrong = calloc(nr_forms, sizeof(u32));
	soft_init(env);
	for (i = 0; t.done < count; i++)
		fuzz_one(seed, env, i, &t, false);
	native_enter(ENV_64);
	t.failed += count_unfinished(env, &t);
	printf("# %s: %llu instances, %llu of them faults; %llu not run; %llu wrong\n",
	       env_names[env], (unsigned long long)t.done, (unsigned long long)t.faulted,
	       (unsigned long long)t.skipped, (unsigned long long)t.failed);
	printf("%s %u %s\n", t.failed ? "not ok" : "ok", test, env_names[env]);
	free(t.completed);
	free(t.wrong);
	return !t.failed;
}

int main(int argc, char **argv)
{
	u64 seed = 1, count = 250000, only_number = 0, state;
	int only = -1, i;
	bool ok = true;

	for (i = 1; i + 1 < argc; i += 2) {
		if (!strcmp(argv[i], "--seed"))
			seed = strtoull(argv[i + 1], NULL, 0);
		else if (!strcmp(argv[i], "--count"))
			count = strtoull(argv[i + 1], NULL, 0);
		else if (!strcmp(argv[i], "--only"))
			only = sscanf(argv[i + 1], "%d:%llu", &only,
				      (unsigned long long *)&only_number) == 2 ? only : -1;
	}
	setvbuf(stdout, NULL, _IOLBF, 0);
	if (native_init())
		return 1;
	state = seed;
	for (i = 0; i < (int)DATA_SIZE; i++)
		pristine[i] = generate_random(&state);
	memcpy(native_data(), pristine, DATA_SIZE);
	native_protect();
	if (only >= 0) {
		struct tally t = {
		.completed = calloc(nr_forms, sizeof(u32)),
		.wrong = calloc(nr_forms, sizeof(u32)),
	};

		native_enter(only);
		soft_init(only);
		fuzz_one(seed, only, only_number, &t, true);
		native_enter(ENV_64);
		return 0;
	}
	printf("TAP version 13\n1..%d\n# seed %llu\n", NR_ENVS, (unsigned long long)seed);
	for (i = 0; i < NR_ENVS; i++)
		ok &= fuzz_env(seed, i, count / NR_ENVS, i + 1);
	return !ok;
}
