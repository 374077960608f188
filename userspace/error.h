/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef ERROR_H
#define ERROR_H

/* Exit codes of `corbel run`; documented in corbel-run(1), so never renumber them. */
enum exit_code {
	EXIT_POWEROFF = 0,	/* the guest powered itself off */
	EXIT_ERROR = 1,		/* the guest could not be started, or a host resource failed */
	EXIT_USAGE = 2,		/* the command line is wrong */
	EXIT_RESET = 3,		/* the guest asked for a reset and --on-reboot=exit was given */
	EXIT_TRIPLE = 4,	/* triple fault */
	EXIT_HYPERVISOR = 5,	/* the hypervisor could not go on: entry failure, internal error */
	EXIT_QUIT = 6,		/* Ctrl-A x */
	EXIT_SIGNAL = 128,	/* plus the number of the signal */
};

void error_name(const char *name);
void error_warn(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
_Noreturn void error_die(int code, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

#endif
