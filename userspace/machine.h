/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef MACHINE_H
#define MACHINE_H

#include <pthread.h>
#include <stdatomic.h>

#include "bus.h"
#include "config.h"
#include "device.h"
#include "loop.h"
#include "pci.h"
#include "ram.h"
#include "vm.h"

struct vcpu;

/* Why a machine stopped; the first reason wins. */
enum machine_end {
	END_NONE, END_POWEROFF, END_RESET, END_TRIPLE, END_HYPERVISOR, END_QUIT, END_SIGNAL,
	END_TAKEN,	/* the host has taken an assigned device back */
};

/* One guest from power-on to power-off or reset. A reset builds the next one from nothing. */
struct machine {
	const struct config *config;
	struct ram ram;
	struct vm vm;
	struct bus pio, mmio;
	struct pci pci;
	struct loop loop;
	struct vcpu *vcpus;
	unsigned int nr_vcpus;
	struct device *devices;
	atomic_int end;			/* enum machine_end */
	int signal;
	int signal_fd;
	pthread_mutex_t report;		/* one vCPU at a time prints what went wrong */
};

int machine_run(const struct config *config, int sys_fd);
void machine_end(struct machine *m, enum machine_end why);
void machine_add_device(struct machine *m, struct device *dev,
			void (*free)(struct device *dev));

#endif
