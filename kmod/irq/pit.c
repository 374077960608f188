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
	struct bus_dev dev, speaker;
	spinlock_t lock;		/* channels, flags: vCPU threads and ioctls; not the timer */
	struct kvm_pit_channel_state channels[PIT_NR_CHANNELS];
	u32 flags;			/* KVM_PIT_FLAGS_* */
	bool has_speaker;
	struct hrtimer timer;
	u64 period_ns;			/* 0: one shot */
	struct work_struct tick;
	bool reinject;			/* a tick that was not acked in time comes later */
	atomic_t pending;		/* ticks still owed to the guest */
	atomic_t acked;			/* the guest took the last one */
	struct route_ack ack;
};

static u64 pit_ticks_to_ns(u64 ticks)
{
	return div_u64(ticks * NSEC_PER_SEC, PIT_HZ);
}

/* Counter clocks since the channel was loaded. */
static u64 pit_elapsed(const struct kvm_pit_channel_state *channel)
{
	u64 ns = ktime_get_ns() - channel->count_load_time;

	return mul_u64_u32_div(ns, PIT_HZ, NSEC_PER_SEC);
}

static u16 pit_count(const struct kvm_pit_channel_state *channel)
{
	u64 elapsed = pit_elapsed(channel);
	u32 rest;

	switch (channel->mode) {
	case 0:
	case 1:
	case 4:
	case 5:
		return channel->count - elapsed;
	case 3:		/* counts by two, twice per period */
		div_u64_rem(2 * elapsed, channel->count, &rest);
		return channel->count - rest;
	default:
		div_u64_rem(elapsed, channel->count, &rest);
		return channel->count - rest;
	}
}

static bool pit_out(const struct kvm_pit_channel_state *channel)
{
	u64 elapsed = pit_elapsed(channel);
	u32 rest;

	switch (channel->mode) {
	case 1:
		return elapsed < channel->count;
	case 2:
		div_u64_rem(elapsed, channel->count, &rest);
		return !rest && elapsed;
	case 3:
		div_u64_rem(elapsed, channel->count, &rest);
		return rest < (channel->count + 1) / 2;
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

static void pit_queue_tick(struct pit *pit)
{
	queue_work(system_highpri_wq, &pit->tick);
}

static enum hrtimer_restart pit_expired(struct hrtimer *timer)
{
	struct pit *pit = container_of(timer, struct pit, timer);

	if (READ_ONCE(pit->reinject))
		atomic_inc(&pit->pending);
	pit_queue_tick(pit);
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
		pit_queue_tick(pit);
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
	const struct kvm_pit_channel_state *channel = &pit->channels[0];
	u64 ns = pit_ticks_to_ns(channel->count);
	bool periodic = channel->mode == 2 || channel->mode == 3;

	hrtimer_cancel(&pit->timer);
	if (pit->flags & KVM_PIT_FLAGS_HPET_LEGACY || channel->mode > 4)
		return;
	pit->period_ns = periodic ? max_t(u64, ns, PIT_MIN_PERIOD_NS) : 0;
	pit_reset_reinject(pit);
	hrtimer_start(&pit->timer, ktime_add_ns(channel->count_load_time, ns), HRTIMER_MODE_ABS);
}

/* Registers. pit->lock held. */

static void pit_load(struct pit *pit, unsigned int index, u32 count)
{
	struct kvm_pit_channel_state *channel = &pit->channels[index];

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
			pit_latch_count(&pit->channels[i]);
		if (!(command & 0x10))
			pit_latch_status(&pit->channels[i]);
	}
}

static void pit_control(struct pit *pit, u8 command)
{
	unsigned int index = command >> 6, access = command >> 4 & 3;
	struct kvm_pit_channel_state *channel;

	if (index == PIT_NR_CHANNELS)
		return pit_read_back(pit, command);
	channel = &pit->channels[index];
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
	struct kvm_pit_channel_state *channel = &pit->channels[index];

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

static u8 pit_read_latched(struct kvm_pit_channel_state *channel)
{
	switch (channel->count_latched) {
	case PIT_HIGH:
		channel->count_latched = 0;
		return channel->latched_count >> 8;
	case PIT_LOW_THEN_HIGH:
		channel->count_latched = PIT_HIGH;
		return channel->latched_count;
	default:
		channel->count_latched = 0;
		return channel->latched_count;
	}
}

static u8 pit_read_count(struct kvm_pit_channel_state *channel)
{
	if (channel->status_latched) {
		channel->status_latched = 0;
		return channel->status;
	}
	if (channel->count_latched)
		return pit_read_latched(channel);
	switch (channel->read_state) {
	case PIT_HIGH:
		return pit_count(channel) >> 8;
	case PIT_LOW_THEN_HIGH:
		channel->read_state = PIT_HIGH_NEXT;
		return pit_count(channel);
	case PIT_HIGH_NEXT:
		channel->read_state = PIT_LOW_THEN_HIGH;
		return pit_count(channel) >> 8;
	default:
		return pit_count(channel);
	}
}

static int pit_port_write(struct vcpu *vcpu, struct bus_dev *dev, u64 addr, int len,
			  const void *val)
{
	struct pit *pit = container_of(dev, struct pit, dev);
	unsigned int index = addr - PIT_PORT;
	u8 byte = *(const u8 *)val;

	spin_lock(&pit->lock);
	if (index == PIT_CONTROL)
		pit_control(pit, byte);
	else
		pit_write_count(pit, index, byte);
	spin_unlock(&pit->lock);
	return 0;
}

static int pit_port_read(struct vcpu *vcpu, struct bus_dev *dev, u64 addr, int len, void *val)
{
	struct pit *pit = container_of(dev, struct pit, dev);
	unsigned int index = addr - PIT_PORT;

	memset(val, 0, len);
	if (index == PIT_CONTROL)
		return 0;	/* cannot be read */
	spin_lock(&pit->lock);
	*(u8 *)val = pit_read_count(&pit->channels[index]);
	spin_unlock(&pit->lock);
	return 0;
}

static const struct bus_dev_ops pit_ops = { .read = pit_port_read, .write = pit_port_write };

/*
 * The speaker: gate and output of channel 2, and the refresh clock that old code measures time
 * by.
 */

static int pit_speaker_write(struct vcpu *vcpu, struct bus_dev *dev, u64 addr, int len,
			     const void *val)
{
	struct pit *pit = container_of(dev, struct pit, speaker);
	struct kvm_pit_channel_state *channel = &pit->channels[2];
	u8 byte = *(const u8 *)val;

	spin_lock(&pit->lock);
	pit->flags &= ~KVM_PIT_FLAGS_SPEAKER_DATA_ON;
	if (byte & 2)
		pit->flags |= KVM_PIT_FLAGS_SPEAKER_DATA_ON;
	/* A rising gate starts the count again, but for the modes that the gate only halts. */
	if (byte & 1 && !channel->gate && channel->mode != 0 && channel->mode != 4)
		channel->count_load_time = ktime_get_ns();
	channel->gate = byte & 1;
	spin_unlock(&pit->lock);
	return 0;
}

static int pit_speaker_read(struct vcpu *vcpu, struct bus_dev *dev, u64 addr, int len, void *val)
{
	struct pit *pit = container_of(dev, struct pit, speaker);
	bool refresh = ktime_get_ns() >> 14 & 1;	/* toggles about every 15 us */

	memset(val, 0, len);
	spin_lock(&pit->lock);
	*(u8 *)val = pit->channels[2].gate | !!(pit->flags & KVM_PIT_FLAGS_SPEAKER_DATA_ON) << 1 |
		     refresh << 4 | pit_out(&pit->channels[2]) << 5;
	spin_unlock(&pit->lock);
	return 0;
}

static const struct bus_dev_ops pit_speaker_ops = {
	.read = pit_speaker_read,
	.write = pit_speaker_write,
};

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
	memset(out, 0, sizeof(*out));
	spin_lock(&pit->lock);
	memcpy(out->channels, pit->channels, sizeof(out->channels));
	out->flags = pit->flags;
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
	memcpy(pit->channels, in->channels, sizeof(pit->channels));
	pit->flags = in->flags;
	for (i = 0; i < PIT_NR_CHANNELS; i++)
		pit_load(pit, i, min_t(u32, in->channels[i].count, PIT_MAX_COUNT));
	spin_unlock(&pit->lock);
	return 0;
}

/* Life */

static int pit_register(struct vm *vm, struct pit *pit)
{
	int err;

	mutex_lock(&vm->irq_lock);
	err = bus_attach(vm, BUS_PIO, &pit->dev);
	if (!err && pit->has_speaker) {
		err = bus_attach(vm, BUS_PIO, &pit->speaker);
		if (err)
			bus_detach(vm, BUS_PIO, &pit->dev);
	}
	if (!err)
		pit_set_reinject(pit, true);
	mutex_unlock(&vm->irq_lock);
	return err;
}

static struct pit *pit_alloc(struct vm *vm, u32 flags)
{
	struct pit *pit = kzalloc(sizeof(*pit), GFP_KERNEL_ACCOUNT);
	int i;

	if (!pit)
		return NULL;
	pit->vm = vm;
	pit->dev = (struct bus_dev){ .ops = &pit_ops, .base = PIT_PORT, .len = 4 };
	pit->speaker = (struct bus_dev){ .ops = &pit_speaker_ops, .base = PIT_SPEAKER_PORT, .len = 1 };
	pit->has_speaker = flags & KVM_PIT_SPEAKER_DUMMY;
	pit->ack = (struct route_ack){ .gsi = PIT_GSI, .acked = pit_acked };
	spin_lock_init(&pit->lock);
	INIT_WORK(&pit->tick, pit_tick);
	hrtimer_init(&pit->timer, CLOCK_MONOTONIC, HRTIMER_MODE_ABS);
	pit->timer.function = pit_expired;
	for (i = 0; i < PIT_NR_CHANNELS; i++) {
		pit->channels[i].mode = PIT_MODE_NONE;
		pit->channels[i].gate = i != 2;
		pit_load(pit, i, 0);
	}
	return pit;
}

/* A guest may have armed it as soon as its ports were on the bus. */
static void pit_free(struct pit *pit)
{
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
	pit = pit_alloc(vm, config->flags);
	if (!pit)
		return -ENOMEM;
	err = pit_register(vm, pit);
	if (err)
		pit_free(pit);
	else
		smp_store_release(&vm->irq.pit, pit);
	return err;
}

void pit_destroy(struct vm *vm)
{
	struct pit *pit = vm->irq.pit;

	if (!pit)
		return;
	mutex_lock(&vm->irq_lock);
	bus_detach(vm, BUS_PIO, &pit->dev);
	if (pit->has_speaker)
		bus_detach(vm, BUS_PIO, &pit->speaker);
	if (pit->reinject)
		route_ack_unregister(vm, &pit->ack);
	mutex_unlock(&vm->irq_lock);
	vm->irq.pit = NULL;
	pit_free(pit);
}
