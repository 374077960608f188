// SPDX-License-Identifier: GPL-2.0-only
/*
 * The 8254. Counters are never stepped: each channel remembers when it was loaded, and what a
 * reader sees follows from the time that has passed. Only channel 0 interrupts and has a timer.
 */
#include <linux/hrtimer.h>
#include <linux/math64.h>
#include <linux/slab.h>
#include <linux/spinlock.h>
#include <linux/workqueue.h>
#include "vm.h"
#include "pit.h"
#include "route.h"

#define PIT_HZ			1193182
#define PIT_PORT		0x40
#define PIT_SPEAKER_PORT	0x61
#define PIT_NR_CHANNELS		3
#define PIT_CONTROL		3		/* the fourth port */
#define PIT_GSI			0
#define PIT_MAX_COUNT		0x10000
#define PIT_MODE_NONE		0xff		/* before the first control word */
#define PIT_MIN_PERIOD_NS	(200 * NSEC_PER_USEC)	/* a guest must not flood the host */

/* What a control word's access field asks for, and where a two-byte access stands. */
enum pit_access { PIT_LATCH, PIT_LOW, PIT_HIGH, PIT_LOW_THEN_HIGH, PIT_HIGH_NEXT };

struct pit {
	struct vm *vm;
	struct bus_dev dev[2];		/* the 8254, the speaker */
	spinlock_t lock;		/* state: vCPU threads and ioctls; not the timer */
	struct kvm_pit_state2 state;
	struct hrtimer timer;
	u64 period_ns;			/* 0: one shot */
	struct work_struct tick;
	bool reinject;			/* a tick that was not acked in time comes later */
	atomic_t pending;		/* ticks still owed to the guest */
	atomic_t acked;			/* the guest took the last one */
	struct route_ack ack;
};

/* Counter clocks since the channel was loaded. */
static u64 pit_elapsed(const struct kvm_pit_channel_state *channel)
{
	u64 ns = ktime_get_ns() - channel->count_load_time;

	return mul_u64_u32_div(ns, PIT_HZ, NSEC_PER_SEC);
}

static u32 pit_rest(u64 elapsed, u32 period)
{
	u32 rest;

	div_u64_rem(elapsed, period, &rest);
	return rest;
}

static u16 pit_count(const struct kvm_pit_channel_state *channel)
{
	u64 elapsed = pit_elapsed(channel);

	switch (channel->mode) {
	case 0:
	case 1:
	case 4:
	case 5:
		return channel->count - elapsed;
	case 3:		/* counts by two, twice per period */
		return channel->count - pit_rest(2 * elapsed, channel->count);
	default:
		return channel->count - pit_rest(elapsed, channel->count);
	}
}

static bool pit_out(const struct kvm_pit_channel_state *channel)
{
	u64 elapsed = pit_elapsed(channel);

	switch (channel->mode) {
	case 1:
		return elapsed < channel->count;
	case 2:
		return elapsed && !pit_rest(elapsed, channel->count);
	case 3:
		return pit_rest(elapsed, channel->count) < (channel->count + 1) / 2;
	case 4:
	case 5:
		return elapsed == channel->count;
	default:
		return elapsed >= channel->count;
	}
}

/*
 * Interrupts: the timer counts ticks, a work drives the line, the acknowledgement asks for the
 * next.
 */

static enum hrtimer_restart pit_expired(struct hrtimer *timer)
{
	struct pit *pit = container_of(timer, struct pit, timer);

	if (READ_ONCE(pit->reinject))
		atomic_inc(&pit->pending);
	queue_work(system_highpri_wq, &pit->tick);
	if (!pit->period_ns)
		return HRTIMER_NORESTART;
	hrtimer_add_expires_ns(timer, pit->period_ns);
	return HRTIMER_RESTART;
}

static void pit_tick(struct work_struct *work)
{
	struct pit *pit = container_of(work, struct pit, tick);

	if (READ_ONCE(pit->reinject) && !atomic_xchg(&pit->acked, 0))
		return;
	irq_set_gsi(pit->vm, IRQ_SOURCE_PIT, PIT_GSI, 1);
	irq_set_gsi(pit->vm, IRQ_SOURCE_PIT, PIT_GSI, 0);
}

static void pit_acked(struct route_ack *ack)
{
	struct pit *pit = container_of(ack, struct pit, ack);

	atomic_set(&pit->acked, 1);
	if (atomic_dec_if_positive(&pit->pending) > 0)
		queue_work(system_highpri_wq, &pit->tick);
}

static void pit_reset_reinject(struct pit *pit)
{
	atomic_set(&pit->pending, 0);
	atomic_set(&pit->acked, 1);
}

void pit_unmasked(struct vm *vm)
{
	struct pit *pit = smp_load_acquire(&vm->irq.pit);

	if (pit)
		pit_reset_reinject(pit);
}

/* Channel 0 was loaded, or its mode or who owns it changed. pit->lock held. */
static void pit_arm(struct pit *pit)
{
	const struct kvm_pit_channel_state *channel = &pit->state.channels[0];
	u64 ns = div_u64((u64)channel->count * NSEC_PER_SEC, PIT_HZ);
	bool periodic = channel->mode == 2 || channel->mode == 3;

	hrtimer_cancel(&pit->timer);
	if (pit->state.flags & KVM_PIT_FLAGS_HPET_LEGACY || channel->mode > 4)
		return;
	pit->period_ns = periodic ? max_t(u64, ns, PIT_MIN_PERIOD_NS) : 0;
	pit_reset_reinject(pit);
	hrtimer_start(&pit->timer, ktime_add_ns(channel->count_load_time, ns), HRTIMER_MODE_ABS);
}

/* Registers. pit->lock held. */

static void pit_load(struct pit *pit, unsigned int index, u32 count)
{
	struct kvm_pit_channel_state *channel = &pit->state.channels[index];

	channel->count = count ?: PIT_MAX_COUNT;
	channel->count_load_time = ktime_get_ns();
	if (index == 0)
		pit_arm(pit);
}

static void pit_latch_count(struct kvm_pit_channel_state *channel)
{
	if (channel->count_latched)
		return;
	channel->latched_count = pit_count(channel);
	channel->count_latched = channel->rw_mode;
}

static void pit_latch_status(struct kvm_pit_channel_state *channel)
{
	if (channel->status_latched)
		return;
	channel->status = pit_out(channel) << 7 | channel->rw_mode << 4 | channel->mode << 1 |
			  channel->bcd;
	channel->status_latched = 1;
}

static void pit_read_back(struct pit *pit, u8 command)
{
	int i;

	for (i = 0; i < PIT_NR_CHANNELS; i++) {
		if (!(command & 2 << i))
			continue;
		if (!(command & 0x20))
			pit_latch_count(&pit->state.channels[i]);
		if (!(command & 0x10))
			pit_latch_status(&pit->state.channels[i]);
	}
}

static void pit_control(struct pit *pit, u8 command)
{
	unsigned int index = command >> 6, access = command >> 4 & 3;
	struct kvm_pit_channel_state *channel;

	if (index == PIT_NR_CHANNELS)
		return pit_read_back(pit, command);
	channel = &pit->state.channels[index];
	if (access == PIT_LATCH)
		return pit_latch_count(channel);
	channel->rw_mode = access;
	channel->read_state = access;
	channel->write_state = access;
	channel->mode = command >> 1 & 7;
	if (channel->mode > 5)
		channel->mode &= 3;	/* bit 2 is ignored in modes 2 and 3 */
	channel->bcd = command & 1;
}

static void pit_write_count(struct pit *pit, unsigned int index, u8 val)
{
	struct kvm_pit_channel_state *channel = &pit->state.channels[index];

	switch (channel->write_state) {
	case PIT_HIGH:
		return pit_load(pit, index, val << 8);
	case PIT_LOW_THEN_HIGH:
		channel->write_latch = val;
		channel->write_state = PIT_HIGH_NEXT;
		return;
	case PIT_HIGH_NEXT:
		channel->write_state = PIT_LOW_THEN_HIGH;
		return pit_load(pit, index, channel->write_latch | val << 8);
	default:
		return pit_load(pit, index, val);
	}
}

static u8 pit_read_count(struct kvm_pit_channel_state *channel)
{
	u8 access = channel->count_latched ?: channel->read_state;
	u16 count;

	if (channel->status_latched) {
		channel->status_latched = 0;
		return channel->status;
	}
	if (channel->count_latched) {
		count = channel->latched_count;
		channel->count_latched = access == PIT_LOW_THEN_HIGH ? PIT_HIGH : 0;
	} else {
		count = pit_count(channel);
		if (access == PIT_LOW_THEN_HIGH)
			channel->read_state = PIT_HIGH_NEXT;
		else if (access == PIT_HIGH_NEXT)
			channel->read_state = PIT_LOW_THEN_HIGH;
	}
	return access == PIT_HIGH || access == PIT_HIGH_NEXT ? count >> 8 : count;
}

/*
 * The speaker: gate and output of channel 2, and the refresh clock that old code measures time
 * by.
 */

static void speaker_write(struct pit *pit, u8 val)
{
	struct kvm_pit_channel_state *channel = &pit->state.channels[2];

	pit->state.flags &= ~KVM_PIT_FLAGS_SPEAKER_DATA_ON;
	if (val & 2)
		pit->state.flags |= KVM_PIT_FLAGS_SPEAKER_DATA_ON;
	/* A rising gate starts the count again, but for the modes that the gate only halts. */
	if (val & 1 && !channel->gate && channel->mode != 0 && channel->mode != 4)
		channel->count_load_time = ktime_get_ns();
	channel->gate = val & 1;
}

static u8 speaker_read(const struct pit *pit)
{
	const struct kvm_pit_channel_state *channel = &pit->state.channels[2];
	bool refresh = ktime_get_ns() >> 14 & 1;	/* toggles about every 15 us */

	return channel->gate | !!(pit->state.flags & KVM_PIT_FLAGS_SPEAKER_DATA_ON) << 1 |
	       refresh << 4 | pit_out(channel) << 5;
}

/* Ports */

static struct pit *pit_of(struct bus_dev *dev)
{
	return container_of(dev - (dev->base == PIT_SPEAKER_PORT), struct pit, dev[0]);
}

static int pit_write(struct vcpu *vcpu, struct bus_dev *dev, u64 addr, int len, const void *val)
{
	struct pit *pit = pit_of(dev);
	u8 byte = *(const u8 *)val;

	spin_lock(&pit->lock);
	if (addr == PIT_SPEAKER_PORT)
		speaker_write(pit, byte);
	else if (addr == PIT_PORT + PIT_CONTROL)
		pit_control(pit, byte);
	else
		pit_write_count(pit, addr - PIT_PORT, byte);
	spin_unlock(&pit->lock);
	return 0;
}

static int pit_read(struct vcpu *vcpu, struct bus_dev *dev, u64 addr, int len, void *val)
{
	struct pit *pit = pit_of(dev);
	u8 byte = 0;

	spin_lock(&pit->lock);
	if (addr == PIT_SPEAKER_PORT)
		byte = speaker_read(pit);
	else if (addr != PIT_PORT + PIT_CONTROL)	/* which cannot be read */
		byte = pit_read_count(&pit->state.channels[addr - PIT_PORT]);
	spin_unlock(&pit->lock);
	memset(val, 0, len);
	*(u8 *)val = byte;
	return 0;
}

static const struct bus_dev_ops pit_ops = { .read = pit_read, .write = pit_write };

/* Userspace */

/*
 * irq_lock held. The notifier costs an exit per tick, so it is there only while ticks are
 * reinjected.
 */
static void pit_set_reinject(struct pit *pit, bool on)
{
	if (pit->reinject == on)
		return;
	if (on) {
		pit_reset_reinject(pit);
		route_ack_register(pit->vm, &pit->ack);
		WRITE_ONCE(pit->reinject, true);
	} else {
		WRITE_ONCE(pit->reinject, false);
		route_ack_unregister(pit->vm, &pit->ack);
	}
	irq_apicv_inhibit(pit->vm, APICV_PIT_REINJECT, on);
}

int pit_reinject(struct vm *vm, const struct kvm_reinject_control *control)
{
	struct pit *pit = smp_load_acquire(&vm->irq.pit);

	if (!pit)
		return -ENXIO;
	mutex_lock(&vm->irq_lock);
	pit_set_reinject(pit, control->pit_reinject);
	mutex_unlock(&vm->irq_lock);
	return 0;
}

int pit_to_user(struct vm *vm, struct kvm_pit_state2 *out)
{
	struct pit *pit = smp_load_acquire(&vm->irq.pit);

	if (!pit)
		return -ENXIO;
	spin_lock(&pit->lock);
	*out = pit->state;
	spin_unlock(&pit->lock);
	return 0;
}

int pit_from_user(struct vm *vm, const struct kvm_pit_state2 *in)
{
	struct pit *pit = smp_load_acquire(&vm->irq.pit);
	int i;

	if (!pit)
		return -ENXIO;
	if (in->flags & ~(KVM_PIT_FLAGS_HPET_LEGACY | KVM_PIT_FLAGS_SPEAKER_DATA_ON))
		return -EINVAL;
	spin_lock(&pit->lock);
	memcpy(pit->state.channels, in->channels, sizeof(pit->state.channels));
	pit->state.flags = in->flags;
	for (i = 0; i < PIT_NR_CHANNELS; i++)
		pit_load(pit, i, min_t(u32, in->channels[i].count, PIT_MAX_COUNT));
	spin_unlock(&pit->lock);
	return 0;
}

/* Life */

static struct pit *pit_alloc(struct vm *vm)
{
	struct pit *pit = kzalloc(sizeof(*pit), GFP_KERNEL_ACCOUNT);
	int i;

	if (!pit)
		return NULL;
	pit->vm = vm;
	pit->dev[0] = (struct bus_dev){ .ops = &pit_ops, .base = PIT_PORT, .len = 4 };
	pit->dev[1] = (struct bus_dev){ .ops = &pit_ops, .base = PIT_SPEAKER_PORT, .len = 1 };
	pit->ack = (struct route_ack){ .gsi = PIT_GSI, .acked = pit_acked };
	spin_lock_init(&pit->lock);
	INIT_WORK(&pit->tick, pit_tick);
	hrtimer_init(&pit->timer, CLOCK_MONOTONIC, HRTIMER_MODE_ABS);
	pit->timer.function = pit_expired;
	for (i = 0; i < PIT_NR_CHANNELS; i++) {
		pit->state.channels[i].mode = PIT_MODE_NONE;
		pit->state.channels[i].gate = i != 2;
		pit_load(pit, i, 0);
	}
	return pit;
}

/* Also one that is only partly attached. */
static void pit_free(struct pit *pit)
{
	mutex_lock(&pit->vm->irq_lock);
	bus_detach(pit->vm, BUS_PIO, &pit->dev[0]);
	bus_detach(pit->vm, BUS_PIO, &pit->dev[1]);
	if (pit->reinject)
		route_ack_unregister(pit->vm, &pit->ack);
	mutex_unlock(&pit->vm->irq_lock);
	hrtimer_cancel(&pit->timer);
	cancel_work_sync(&pit->tick);
	kfree(pit);
}

int pit_create(struct vm *vm, const struct kvm_pit_config *config)
{
	struct pit *pit;
	int err;

	lockdep_assert_held(&vm->lock);
	if (config->flags & ~KVM_PIT_SPEAKER_DUMMY)
		return -EINVAL;
	if (vm->irq.pit)
		return -EEXIST;
	if (!vm->irq.pic)
		return -ENOENT;
	pit = pit_alloc(vm);
	if (!pit)
		return -ENOMEM;
	mutex_lock(&vm->irq_lock);
	err = bus_attach(vm, BUS_PIO, &pit->dev[0]);
	if (!err && config->flags & KVM_PIT_SPEAKER_DUMMY)
		err = bus_attach(vm, BUS_PIO, &pit->dev[1]);
	if (!err)
		pit_set_reinject(pit, true);
	mutex_unlock(&vm->irq_lock);
	if (err)
		pit_free(pit);
	else
		smp_store_release(&vm->irq.pit, pit);
	return err;
}

void pit_destroy(struct vm *vm)
{
	if (vm->irq.pit)
		pit_free(vm->irq.pit);
	vm->irq.pit = NULL;
}
