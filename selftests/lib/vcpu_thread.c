// SPDX-License-Identifier: GPL-2.0-only
#define _GNU_SOURCE
#include <signal.h>

#include "vcpu.h"

static void kick_handler(int sig)
{
	(void)sig;
}

/* Without SA_RESTART: a blocked KVM_RUN must return. */
void vcpu_kick_setup(void)
{
	struct sigaction action = { .sa_handler = kick_handler };

	SYS(sigaction(SIGUSR1, &action, NULL));
}

static void *thread_body(void *arg)
{
	struct vcpu *vcpu = arg;

	vcpu->body(vcpu);
	return NULL;
}

void vcpu_thread_start(struct vcpu *vcpu, void (*body)(struct vcpu *vcpu))
{
	vcpu_kick_setup();
	vcpu->body = body ? body : vcpu_run_done;
	CHECK_EQ(pthread_create(&vcpu->thread, NULL, thread_body, vcpu), 0);
}

void vcpu_thread_join(struct vcpu *vcpu)
{
	CHECK_EQ(pthread_join(vcpu->thread, NULL), 0);
}

/* immediate_exit closes the window between the signal and the entry. */
void vcpu_thread_kick(struct vcpu *vcpu)
{
	WRITE_ONCE(vcpu->run->immediate_exit, 1);
	pthread_kill(vcpu->thread, SIGUSR1);
}
