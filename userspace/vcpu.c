// SPDX-License-Identifier: GPL-2.0-only
/* vCPU threads and THE run loop: every exit that reaches userspace passes here. */
#define _GNU_SOURCE
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "cpuid.h"
#include "dump.h"
#include "error.h"
#include "machine.h"
#include "sandbox.h"
#include "vcpu.h"

#define VCPU_KICK	SIGUSR1
#define APIC_LVT0	0x350
#define APIC_LVT1	0x360
#define APIC_DM_NMI	0x400
#define APIC_DM_EXTINT	0x700

static _Thread_local struct vcpu *current;

/* Closes the window between looking at m->end and entering the guest. */
static void kicked(int signo)
{
	(void)signo;
	if (current)
		current->run->immediate_exit = 1;
}

static void set_lapic(struct vcpu *v)
{
	struct kvm_lapic_state lapic;
	uint32_t lvt0 = APIC_DM_EXTINT, lvt1 = APIC_DM_NMI;

	if (ioctl(v->fd, KVM_GET_LAPIC, &lapic))
		error_die(EXIT_ERROR, "cannot read vCPU %u's local APIC: %s", v->id,
			  strerror(errno));
	memcpy(lapic.regs + APIC_LVT0, &lvt0, 4);
	memcpy(lapic.regs + APIC_LVT1, &lvt1, 4);
	if (ioctl(v->fd, KVM_SET_LAPIC, &lapic))
		error_die(EXIT_ERROR, "cannot set vCPU %u's local APIC: %s", v->id,
			  strerror(errno));
}

static void vcpu_create(struct machine *m, struct vcpu *v, unsigned int id)
{
	int size = ioctl(m->vm.sys_fd, KVM_GET_VCPU_MMAP_SIZE, 0);

	v->m = m;
	v->id = id;
	v->fd = ioctl(m->vm.fd, KVM_CREATE_VCPU, (unsigned long)id);
	if (v->fd < 0)
		error_die(EXIT_ERROR, "the hypervisor could not create vCPU %u: %s; see dmesg", id,
			  strerror(errno));
	v->run_size = size;
	v->run = size > 0 ? mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, v->fd, 0) :
		 MAP_FAILED;
	if (v->run == MAP_FAILED)
		error_die(EXIT_ERROR, "cannot map vCPU %u: %s", id, strerror(errno));
	cpuid_set(v);
	set_lapic(v);
}

void vcpu_create_all(struct machine *m)
{
	unsigned int n = m->config->cpus;

	if (n > m->vm.max_vcpus)
		error_die(EXIT_ERROR, "--cpus %u is more than this hypervisor's %u", n,
			  m->vm.max_vcpus);
	m->vcpus = calloc(n, sizeof(*m->vcpus));
	if (!m->vcpus)
		error_die(EXIT_ERROR, "out of memory");
	m->nr_vcpus = n;
	for (unsigned int i = 0; i < n; i++)
		vcpu_create(m, &m->vcpus[i], i);
}

void vcpu_destroy_all(struct machine *m)
{
	for (unsigned int i = 0; i < m->nr_vcpus; i++) {
		munmap(m->vcpus[i].run, m->vcpus[i].run_size);
		close(m->vcpus[i].fd);
	}
	free(m->vcpus);
}

static void exit_io(struct vcpu *v)
{
	struct kvm_run *run = v->run;
	uint8_t *data = (uint8_t *)run + run->io.data_offset;

	for (uint32_t i = 0; i < run->io.count; i++, data += run->io.size)
		bus_access(&v->m->pio, run->io.port, data, run->io.size,
			   run->io.direction == KVM_EXIT_IO_OUT);
}

static void exit_system_event(struct vcpu *v)
{
	switch (v->run->system_event.type) {
	case KVM_SYSTEM_EVENT_RESET:
		machine_end(v->m, END_RESET);
		break;
	case KVM_SYSTEM_EVENT_SHUTDOWN:
		machine_end(v->m, END_POWEROFF);
		break;
	default:
		dump_exit(v, "system event");
		machine_end(v->m, END_HYPERVISOR);
	}
}

static void exit_failed(struct vcpu *v, const char *what)
{
	dump_exit(v, what);
	machine_end(v->m, END_HYPERVISOR);
}

static void handle_exit(struct vcpu *v)
{
	struct kvm_run *run = v->run;

	switch (run->exit_reason) {
	case KVM_EXIT_IO:
		exit_io(v);
		break;
	case KVM_EXIT_MMIO:
		bus_access(&v->m->mmio, run->mmio.phys_addr, run->mmio.data, run->mmio.len,
			   run->mmio.is_write);
		break;
	case KVM_EXIT_INTR:
	case KVM_EXIT_IRQ_WINDOW_OPEN:
		break;
	case KVM_EXIT_SHUTDOWN:
		dump_exit(v, "triple fault");
		machine_end(v->m, END_TRIPLE);
		break;
	case KVM_EXIT_SYSTEM_EVENT:
		exit_system_event(v);
		break;
	case KVM_EXIT_FAIL_ENTRY:
		exit_failed(v, "VM entry failed");
		break;
	case KVM_EXIT_INTERNAL_ERROR:
		exit_failed(v, "internal error");
		break;
	default:
		exit_failed(v, "unknown exit");
	}
}

/*
 * A vCPU that has ended stays quiet: the others run on until the main loop stops them. An exit
 * that ends the machine is never completed by another KVM_RUN; the guest does not see beyond it.
 */
static void run_loop(struct vcpu *v)
{
	while (!v->m->end) {
		if (!ioctl(v->fd, KVM_RUN, 0)) {
			handle_exit(v);
		} else if (errno != EINTR && errno != EAGAIN) {
			error_warn("vCPU %u cannot run: %s", v->id, strerror(errno));
			exit_failed(v, "KVM_RUN failed");
		}
	}
}

static void *vcpu_thread(void *arg)
{
	struct vcpu *v = arg;
	char name[16];
	sigset_t kick;

	snprintf(name, sizeof(name), "vcpu%u", v->id);
	pthread_setname_np(pthread_self(), name);
	current = v;
	sigemptyset(&kick);
	sigaddset(&kick, VCPU_KICK);
	pthread_sigmask(SIG_UNBLOCK, &kick, NULL);
	sandbox_enter(SANDBOX_VCPU);
	run_loop(v);
	v->done = true;
	return NULL;
}

void vcpu_start_all(struct machine *m)
{
	struct sigaction sa = { .sa_handler = kicked };

	sigaction(VCPU_KICK, &sa, NULL);
	for (unsigned int i = 0; i < m->nr_vcpus; i++)
		if (pthread_create(&m->vcpus[i].thread, NULL, vcpu_thread, &m->vcpus[i]))
			error_die(EXIT_ERROR, "cannot create a thread for vCPU %u; raise the limit "
				  "of processes", i);
}

/* Without immediate_exit a kick can fall between the check and the entry: repeat it then. */
static void stop(struct vcpu *v)
{
	do {
		pthread_kill(v->thread, VCPU_KICK);
		if (v->m->vm.has_immediate_exit)
			break;
		usleep(1000);
	} while (!v->done);
	pthread_join(v->thread, NULL);
}

void vcpu_stop_all(struct machine *m)
{
	for (unsigned int i = 0; i < m->nr_vcpus; i++)
		stop(&m->vcpus[i]);
}
