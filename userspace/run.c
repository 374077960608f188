// SPDX-License-Identifier: GPL-2.0-only
/* corbel run: one guest, from the command line to the exit code. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>

#include "config.h"
#include "error.h"
#include "machine.h"
#include "run.h"
#include "sandbox.h"
#include "vm.h"

/* These arrive by a signalfd in the main loop; blocked before the first thread is made. */
static void block_signals(void)
{
	static const int signals[] = { SIGTERM, SIGINT, SIGHUP, SIGQUIT, SIGWINCH, SIGUSR1 };
	sigset_t set;

	sigemptyset(&set);
	for (unsigned int i = 0; i < sizeof(signals) / sizeof(signals[0]); i++)
		sigaddset(&set, signals[i]);
	sigprocmask(SIG_BLOCK, &set, NULL);
	signal(SIGPIPE, SIG_IGN);
}

int run_main(int argc, char **argv)
{
	struct config config;
	const char *path;
	int sys_fd;

	config_parse(&config, argc, argv);
	if (config.name) {
		error_name(config.name);
		prctl(PR_SET_NAME, config.name);
	}
	config_open(&config);
	sys_fd = vm_open(config.device, &path);
	block_signals();
	sandbox_configure(config.sandbox);
	sandbox_enter(SANDBOX_MAIN);
	return machine_run(&config, sys_fd);
}
