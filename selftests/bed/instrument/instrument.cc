// SPDX-License-Identifier: GPL-2.0-only
/*
 * Counts the host's instructions by address and by operation, while it is told to: WRMSR of 1 to
 * PROFILE_MSR begins, 0 ends and appends the counts to the file that BOCHS_PROFILE names. Guests'
 * instructions are left out; an iteration of REP counts as the time-stamp counter does. A return of the
 * host for which there was no call since the last guest, and that a processor might so predict from what
 * the guest left in its return buffer, counts as the operation UNPAIRED_RET.
 */
#include "bochs.h"
#include "cpu/cpu.h"

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <string>
#include <unordered_map>

bool profile_on;

static std::unordered_map<bx_address, Bit64u> by_address;
static std::map<std::string, Bit64u> by_operation;

/* By CPU: entries of the return buffer that are the host's, since it had a guest's. */
static std::unordered_map<unsigned, Bit64u> calls;

static void count_returns(unsigned cpu, const char *operation)
{
	const auto of_cpu = calls.find(cpu);

	if (of_cpu == calls.end())
		return;
	if (!strncmp(operation, "CALL_", 5))
		of_cpu->second++;
	else if (strncmp(operation, "RET_", 4))
		return;
	else if (of_cpu->second)
		of_cpu->second--;
	else
		by_operation["UNPAIRED_RET"]++;
}

void profile_insn(unsigned cpu, const bxInstruction_c *insn)
{
	const BX_CPU_C *c = BX_CPU(cpu);

	if (c->in_vmx_guest || c->in_svm_guest) {
		calls[cpu] = 0;
		return;
	}
	by_address[c->prev_rip]++;
	by_operation[insn->getIaOpcodeNameShort()]++;
	count_returns(cpu, insn->getIaOpcodeNameShort());
	if (insn->getLock())
		by_operation["LOCK"]++;
}

static void append(const char *name)
{
	FILE *file = fopen(name, "a");

	if (!file) {
		genlog->panic("profile: cannot write %s", name);
		return;
	}
	fprintf(file, "profile\n");
	for (const auto &entry : by_address)
		fprintf(file, "at %llx %llu\n", (unsigned long long)entry.first,
			(unsigned long long)entry.second);
	for (const auto &entry : by_operation)
		fprintf(file, "op %s %llu\n", entry.first.c_str(), (unsigned long long)entry.second);
	fclose(file);
}

void profile_command(Bit64u command)
{
	const char *name = getenv("BOCHS_PROFILE");

	if (!command && profile_on && name)
		append(name);
	by_address.clear();
	by_operation.clear();
	calls.clear();
	profile_on = command;
}
