// SPDX-License-Identifier: GPL-2.0-only
/* A machine: put together, run, taken apart. */
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "boot.h"
#include "dump.h"
#include "error.h"
#include "machine.h"
#include "stats.h"
#include "term.h"
#include "vcpu.h"

/* The linker gathers the DEVICE_TYPE() entries, in the order of the Makefile. */
extern const struct device_type *const __start_device_types[];
extern const struct device_type *const __stop_device_types[];

/* Context: any thread. The main loop wakes up and stops the vCPUs. */
void machine_end(struct machine *m, enum machine_end why)
{
	int none = END_NONE;

	if (atomic_compare_exchange_strong(&m->end, &none, why))
		loop_stop(&m->loop);
}

void machine_add_device(struct machine *m, struct device *dev, void (*free)(struct device *dev))
{
	dev->free = free;
	dev->next = m->devices;
	m->devices = dev;
}

static void signalled(void *ctx, uint32_t events)
{
	struct machine *m = ctx;
	struct signalfd_siginfo info;

	(void)events;
	if (read(m->signal_fd, &info, sizeof(info)) != sizeof(info))
		return;
	if (info.ssi_signo == SIGWINCH) {
		term_resize();
		return;
	}
	m->signal = info.ssi_signo;
	machine_end(m, END_SIGNAL);
}

static void watch_signals(struct machine *m)
{
	static const int signals[] = { SIGTERM, SIGINT, SIGHUP, SIGQUIT, SIGWINCH };
	sigset_t set;

	sigemptyset(&set);
	for (unsigned int i = 0; i < sizeof(signals) / sizeof(signals[0]); i++)
		sigaddset(&set, signals[i]);
	m->signal_fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	if (m->signal_fd < 0 || loop_add(&m->loop, m->signal_fd, EPOLLIN, signalled, m))
		error_die(EXIT_ERROR, "cannot watch for signals");
}

static void machine_create(struct machine *m, const struct config *config, int sys_fd)
{
	memset(m, 0, sizeof(*m));
	m->config = config;
	pthread_mutex_init(&m->report, NULL);
	loop_init(&m->loop);
	watch_signals(m);
	bus_init(&m->pio);
	bus_init(&m->mmio);
	ram_init(&m->ram, config->memory, config->backend, config->merge);
	vm_create(&m->vm, sys_fd, &m->ram, config->mmu);
	m->vm.has_irqfd &= config->irqfd;
	m->vm.has_ioeventfd &= config->ioeventfd;
	pci_init(m);
	vcpu_create_all(m);
	for (const struct device_type *const *t = __start_device_types;
	     t < __stop_device_types; t++)
		(*t)->create(m);
	boot_load(m);
}

static void machine_destroy(struct machine *m)
{
	while (m->devices) {
		struct device *dev = m->devices;

		m->devices = dev->next;
		dev->free(dev);
	}
	vcpu_destroy_all(m);
	vm_destroy(&m->vm);
	pci_free(m);
	ram_free(&m->ram);
	bus_free(&m->mmio);
	bus_free(&m->pio);
	loop_free(&m->loop);
	close(m->signal_fd);
	pthread_mutex_destroy(&m->report);
}

static int run_once(struct machine *m)
{
	vcpu_start_all(m);
	loop_run(&m->loop);
	vcpu_stop_all(m);
	if (m->end == END_SIGNAL && m->signal == SIGQUIT)
		dump_all(m);
	if (m->config->stats)
		stats_print(m);
	return m->end;
}

static int exit_code(const struct machine *m)
{
	static const int codes[] = {
		[END_POWEROFF] = EXIT_POWEROFF,
		[END_RESET] = EXIT_RESET,
		[END_TRIPLE] = EXIT_TRIPLE,
		[END_HYPERVISOR] = EXIT_HYPERVISOR,
		[END_QUIT] = EXIT_QUIT,
		[END_TAKEN] = EXIT_ERROR,
	};

	return m->end == END_SIGNAL ? EXIT_SIGNAL + m->signal : codes[m->end];
}

/* Run the guest until it ends, over resets. Returns: the process's exit code. */
int machine_run(const struct config *config, int sys_fd)
{
	struct machine m;
	int end;

	do {
		machine_create(&m, config, sys_fd);
		end = run_once(&m);
		machine_destroy(&m);
	} while (end == END_RESET && config->restart);
	return exit_code(&m);
}
