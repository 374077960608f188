/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Bochs's instrumentation interface, for a profile of what the host executes. What is not wanted
 * here stays as empty as in a build without instrumentation.
 */
#undef BX_INSTRUMENTATION
#define BX_INSTRUMENTATION 0
#include "instrument/stubs/instrument.h"
#undef BX_INSTRUMENTATION
#define BX_INSTRUMENTATION 1

class bxInstruction_c;

extern bool profile_on;

void profile_insn(unsigned cpu, const bxInstruction_c *insn);
void profile_command(Bit64u command);

#define PROFILE_INSN(cpu, insn)	do { if (profile_on) profile_insn(cpu, insn); } while (0)
#define PROFILE_MSR	0x400000f2

#undef BX_INSTR_BEFORE_EXECUTION
#define BX_INSTR_BEFORE_EXECUTION(cpu, insn)	PROFILE_INSN(cpu, insn)
#undef BX_INSTR_REPEAT_ITERATION
#define BX_INSTR_REPEAT_ITERATION(cpu, insn)	PROFILE_INSN(cpu, insn)
#undef BX_INSTR_WRMSR
#define BX_INSTR_WRMSR(cpu, msr, value)	do { if ((msr) == PROFILE_MSR) profile_command(value); } while (0)
