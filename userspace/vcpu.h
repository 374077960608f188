/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef VCPU_H
#define VCPU_H

#include <linux/kvm.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>

struct machine;

struct vcpu {
	struct machine *m;
	unsigned int id;		/* also its APIC id */
	int fd;
	struct kvm_run *run;
	size_t run_size;
	pthread_t thread;
	atomic_bool done;
};

void vcpu_create_all(struct machine *m);
void vcpu_destroy_all(struct machine *m);
void vcpu_start_all(struct machine *m);
void vcpu_stop_all(struct machine *m);

#endif
