// SPDX-License-Identifier: GPL-2.0-only
/*
 * Senders and a vCPU on one descriptor, all at once on the CPUs of this machine, whose memory
 * ordering is the real one: the senders by the specification's rules, the vCPU as ir.c and the
 * processor do it. Catches: an interrupt that nobody carries, because sender and vCPU both rely
 * on the other.
 */
#include <linux/kernel.h>
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>
#include "../../modules/posting_agent/pid.h"
#include "iommu/desc.h"
#include "ktap.h"

#define NR_SENDERS	2
#define ACTIVE		0xf2
#define WAKE_UP		0xf1
#define SECONDS		10	/* one that is not seen by then is lost */

static struct posted_desc desc;
static int active, awake;	/* notifications by vector that have not been taken yet */
static u64 sent[NR_SENDERS], seen[NR_SENDERS], taken[NR_SENDERS];
static int senders_left, lost;
static u64 per_sender = 200000;

static void notify(u64 control)
{
	int *what = pid_nv(control) == WAKE_UP ? &awake : &active;

	__atomic_store_n(what, 1, __ATOMIC_SEQ_CST);
}

static void *sender(void *arg)
{
	long me = (long)arg;
	struct timespec start, now;
	u64 i, control;

	for (i = 1; i <= per_sender && !__atomic_load_n(&lost, __ATOMIC_RELAXED); i++) {
		__atomic_store_n(&sent[me], i, __ATOMIC_RELAXED);
		if (pid_post((void *)&desc, 64 * me + 0x31, false, &control) == PID_NOTIFY)
			notify(control);
		clock_gettime(CLOCK_MONOTONIC, &start);
		while (__atomic_load_n(&seen[me], __ATOMIC_RELAXED) != i) {
			clock_gettime(CLOCK_MONOTONIC, &now);
			if (now.tv_sec > start.tv_sec + SECONDS)
				__atomic_store_n(&lost, 1, __ATOMIC_RELAXED);
			if (__atomic_load_n(&lost, __ATOMIC_RELAXED))
				break;
			sched_yield();
		}
	}
	__atomic_fetch_sub(&senders_left, 1, __ATOMIC_SEQ_CST);
	return NULL;
}

/* As posted-interrupt processing, and as vmx_posted_sync(). */
static void collect(void)
{
	int i;

	clear_bit(POSTED_ON, &desc.control);
	smp_mb__after_atomic();
	for (i = 0; i < NR_SENDERS; i++)
		if (READ_ONCE(desc.pir[i]) && test_and_clear_bit(0x31, &desc.pir[i])) {
			taken[i]++;
			__atomic_store_n(&seen[i], __atomic_load_n(&sent[i], __ATOMIC_RELAXED),
					 __ATOMIC_RELAXED);
		}
}

static bool over(void)
{
	return !__atomic_load_n(&senders_left, __ATOMIC_SEQ_CST) ||
	       __atomic_load_n(&lost, __ATOMIC_RELAXED);
}

/* In the guest only notifications count. */
static void run_guest(int spins)
{
	if (desc_on(&desc))
		collect();
	while (spins-- && !over())
		if (__atomic_exchange_n(&active, 0, __ATOMIC_SEQ_CST))
			collect();
}

static void sleep_until_woken(void)
{
	if (desc_point(&desc, desc_control(0, WAKE_UP)) & BIT_ULL(POSTED_ON))
		__atomic_store_n(&awake, 1, __ATOMIC_SEQ_CST);	/* the interrupt to itself */
	while (!__atomic_exchange_n(&awake, 0, __ATOMIC_SEQ_CST) && !over())
		sched_yield();
}

/* Preempted: not a look at anything. */
static void be_away(int spins)
{
	set_bit(POSTED_SN, &desc.control);
	sched_yield();
	while (spins--)
		barrier();
}

static void vcpu(void)
{
	unsigned int random = 1;

	while (!over()) {
		desc_point_here(&desc, desc_control(0, ACTIVE));
		/* Notifications that the host took are gone; the entry looks at ON. */
		__atomic_store_n(&active, 0, __ATOMIC_SEQ_CST);
		random = random * 1664525 + 1013904223;
		run_guest(random >> 24);
		if (random & 0x800)
			sleep_until_woken();
		else
			be_away(random >> 16 & 0xff);
	}
}

static void none_lost(void)
{
	pthread_t threads[NR_SENDERS];
	long i;

	if (getenv("STEPS"))
		per_sender = strtoull(getenv("STEPS"), NULL, 0);
	senders_left = NR_SENDERS;
	for (i = 0; i < NR_SENDERS; i++)
		pthread_create(&threads[i], NULL, sender, (void *)i);
	vcpu();
	for (i = 0; i < NR_SENDERS; i++)
		pthread_join(threads[i], NULL);
	EXPECT(!lost);
	for (i = 0; i < NR_SENDERS; i++) {
		EXPECT_EQ(seen[i], per_sender);
		EXPECT_EQ(taken[i], per_sender);
	}
}

static const struct ktap_case cases[] = {
	{ "none_lost", none_lost },
};

int main(void)
{
	return ktap_run(cases, ARRAY_SIZE(cases));
}
