// SPDX-License-Identifier: GPL-2.0-only
/* A write to an address that signals an eventfd instead of going to userspace. */
#include <linux/eventfd.h>
#include <linux/log2.h>
#include <linux/slab.h>
#include "compat.h"
#include "vm.h"

struct ioeventfd {
	struct bus_dev dev;
	struct list_head link;		/* vm->io.ioeventfds, irq_lock */
	struct eventfd_ctx *eventfd;
	enum bus_space space;
	bool wildcard;			/* whatever the value */
	u64 datamatch;
};

#define IOEVENTFD_FLAGS \
	(KVM_IOEVENTFD_FLAG_DATAMATCH | KVM_IOEVENTFD_FLAG_PIO | KVM_IOEVENTFD_FLAG_DEASSIGN)

static int ioeventfd_write(struct vcpu *vcpu, struct bus_dev *dev, u64 addr, int len,
			   const void *val)
{
	struct ioeventfd *item = container_of(dev, struct ioeventfd, dev);
	u64 value = 0;

	if (addr != dev->base || (dev->len && dev->len != len))
		return -EOPNOTSUPP;
	memcpy(&value, val, min_t(int, len, sizeof(value)));
	if (!item->wildcard && value != item->datamatch)
		return -EOPNOTSUPP;
	compat_eventfd_signal(item->eventfd);
	return 0;
}

static void ioeventfd_release(struct bus_dev *dev)
{
	struct ioeventfd *item = container_of(dev, struct ioeventfd, dev);

	list_del(&item->link);
	eventfd_ctx_put(item->eventfd);
	stats_live(LIVE_FILES, -1);
	kfree(item);
}

static const struct bus_dev_ops ioeventfd_ops = {
	.write = ioeventfd_write,
	.release = ioeventfd_release,
};

static struct ioeventfd ioeventfd_from(const struct kvm_ioeventfd *args,
				       struct eventfd_ctx *eventfd)
{
	bool wildcard = !(args->flags & KVM_IOEVENTFD_FLAG_DATAMATCH);

	return (struct ioeventfd){
		.dev = { .ops = &ioeventfd_ops, .base = args->addr, .len = args->len },
		.eventfd = eventfd,
		.space = args->flags & KVM_IOEVENTFD_FLAG_PIO ? BUS_PIO : BUS_MMIO,
		.wildcard = wildcard,
		.datamatch = wildcard ? 0 : args->datamatch,
	};
}

/* Could one write match both? */
static bool ioeventfd_collides(const struct ioeventfd *a, const struct ioeventfd *b)
{
	if (a->space != b->space || a->dev.base != b->dev.base)
		return false;
	if (!a->dev.len || !b->dev.len)
		return true;
	return a->dev.len == b->dev.len &&
	       (a->wildcard || b->wildcard || a->datamatch == b->datamatch);
}

static bool ioeventfd_equal(const struct ioeventfd *a, const struct ioeventfd *b)
{
	return a->eventfd == b->eventfd && a->space == b->space && a->dev.base == b->dev.base &&
	       a->dev.len == b->dev.len && a->wildcard == b->wildcard &&
	       a->datamatch == b->datamatch;
}

/* irq_lock held. */
static int ioeventfd_add(struct vm *vm, const struct ioeventfd *new)
{
	struct ioeventfd *item;
	int err;

	list_for_each_entry(item, &vm->io.ioeventfds, link)
		if (ioeventfd_collides(item, new))
			return -EEXIST;
	item = kzalloc(sizeof(*item), GFP_KERNEL_ACCOUNT);
	if (!item)
		return -ENOMEM;
	*item = *new;
	err = bus_attach(vm, item->space, &item->dev);
	if (err) {
		kfree(item);
		return err;
	}
	list_add_tail(&item->link, &vm->io.ioeventfds);
	stats_live(LIVE_FILES, 1);
	return 0;
}

/* irq_lock held. */
static int ioeventfd_remove(struct vm *vm, const struct ioeventfd *old)
{
	struct ioeventfd *item;

	list_for_each_entry(item, &vm->io.ioeventfds, link)
		if (ioeventfd_equal(item, old)) {
			bus_detach(vm, item->space, &item->dev);
			return 0;
		}
	return -ENOENT;
}

static bool ioeventfd_valid(const struct kvm_ioeventfd *args)
{
	if (args->flags & ~IOEVENTFD_FLAGS)
		return false;
	if (args->len > 8 || (args->len && !is_power_of_2(args->len)))
		return false;
	if (args->addr + args->len < args->addr)
		return false;
	return args->len || !(args->flags & KVM_IOEVENTFD_FLAG_DATAMATCH);
}

int ioeventfd_set(struct vm *vm, const struct kvm_ioeventfd *args)
{
	bool deassign = args->flags & KVM_IOEVENTFD_FLAG_DEASSIGN;
	struct eventfd_ctx *eventfd;
	struct ioeventfd item;
	int err;

	if (!deassign && !ioeventfd_valid(args))
		return -EINVAL;
	eventfd = eventfd_ctx_fdget(args->fd);
	if (IS_ERR(eventfd))
		return PTR_ERR(eventfd);
	item = ioeventfd_from(args, eventfd);
	mutex_lock(&vm->irq_lock);
	err = deassign ? ioeventfd_remove(vm, &item) : ioeventfd_add(vm, &item);
	mutex_unlock(&vm->irq_lock);
	if (deassign || err)		/* else it is the new item's */
		eventfd_ctx_put(eventfd);
	return err;
}
