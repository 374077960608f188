// SPDX-License-Identifier: GPL-2.0-only
/* corbel: the subcommands. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "check.h"
#include "config.h"
#include "error.h"
#include "pci_cmd.h"
#include "run.h"

#ifndef VERSION
#define VERSION "unknown"
#endif

static int help(int argc, char **argv)
{
	if (argc > 1 && !strcmp(argv[1], "run")) {
		config_usage();
		return 0;
	}
	if (argc > 1 && !strcmp(argv[1], "pci"))
		return pci_cmd_main(2, (char *[]){ "pci", "--help" });
	printf("Usage: corbel run --kernel FILE [OPTION]...   boot a guest\n"
	       "       corbel check [--device PATH]           is this host ready, and if not, why\n"
	       "       corbel pci list|bind|unbind|vfs        devices of the host for guests\n"
	       "       corbel help [run|pci]                  this text, or more about one\n"
	       "       corbel --version\n");
	return 0;
}

static int version(int argc, char **argv)
{
	(void)argc;
	(void)argv;
	printf("corbel " VERSION "\n");
	return 0;
}

static const struct {
	const char *name;
	int (*main)(int argc, char **argv);
} commands[] = {
	{ "run", run_main }, { "check", check_main }, { "pci", pci_cmd_main },	{ "help", help },
	{ "--help", help },  { "version", version },  { "--version", version },
};

int main(int argc, char **argv)
{
	if (argc < 2) {
		help(0, NULL);
		return EXIT_USAGE;
	}
	for (unsigned int i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
		int ret;

		if (strcmp(commands[i].name, argv[1]))
			continue;
		ret = commands[i].main(argc - 1, argv + 1);
		if (fflush(stdout) || ferror(stdout))
			return EXIT_ERROR;
		return ret;
	}
	error_die(EXIT_USAGE, "unknown command %s; see corbel help", argv[1]);
}
