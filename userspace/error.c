// SPDX-License-Identifier: GPL-2.0-only
/* Messages to the person at the terminal: one sentence, one line. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "error.h"

static const char *vm_name;

/* Several launchers often share one log: tell their lines apart. */
void error_name(const char *name)
{
	vm_name = name;
}

static void error_print(const char *fmt, va_list ap)
{
	char line[512];

	vsnprintf(line, sizeof(line), fmt, ap);
	if (vm_name)
		fprintf(stderr, "corbel: %s: %s\n", vm_name, line);
	else
		fprintf(stderr, "corbel: %s\n", line);
}

void error_warn(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	error_print(fmt, ap);
	va_end(ap);
}

_Noreturn void error_die(int code, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	error_print(fmt, ap);
	va_end(ap);
	exit(code);
}
