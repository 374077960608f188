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

static u64 ioeventfd_value(const void *val, int len)
{
	u64 value = 0;

	memcpy(&value, val, min_t(int, len, sizeof(value)));
	return value;
}

static int ioeventfd_write(struct vcpu *vcpu, struct bus_dev *dev, u64 addr, int len,
			   const void *val)
{
	struct ioeventfd *item = container_of(dev, struct ioeventfd, dev);

	if (addr != dev->base)
		return -EOPNOTSUPP;
	if (dev->len && dev->len != len)
		return -EOPNOTSUPP;
	if (!item->wildcard && ioeventfd_value(val, len) != item->datamatch)
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

static enum bus_space ioeventfd_space(const struct kvm_ioeventfd *args)
{
	return args->flags & KVM_IOEVENTFD_FLAG_PIO ? BUS_PIO : BUS_MMIO;
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

static int ioeventfd_add(struct vm *vm, struct ioeventfd *item)
{
	struct ioeventfd *other;
	int err;

	lockdep_assert_held(&vm->irq_lock);
	list_for_each_entry(other, &vm->io.ioeventfds, link) {
		if (ioeventfd_collides(item, other))
			return -EEXIST;
	}
	err = bus_attach(vm, item->space, &item->dev);
	if (!err)
		list_add_tail(&item->link, &vm->io.ioeventfds);
	return err;
}

static struct ioeventfd *ioeventfd_alloc(const struct kvm_ioeventfd *args,
					 struct eventfd_ctx *eventfd)
{
	struct ioeventfd *item = kzalloc(sizeof(*item), GFP_KERNEL_ACCOUNT);

	if (!item)
		return NULL;
	item->dev = (struct bus_dev){ .ops = &ioeventfd_ops, .base = args->addr, .len = args->len };
	item->eventfd = eventfd;
	item->space = ioeventfd_space(args);
	item->wildcard = !(args->flags & KVM_IOEVENTFD_FLAG_DATAMATCH);
	item->datamatch = item->wildcard ? 0 : args->datamatch;
	return item;
}

static int ioeventfd_assign(struct vm *vm, const struct kvm_ioeventfd *args)
{
	struct eventfd_ctx *eventfd = eventfd_ctx_fdget(args->fd);
	struct ioeventfd *item;
	int err = -ENOMEM;

	if (IS_ERR(eventfd))
		return PTR_ERR(eventfd);
	item = ioeventfd_alloc(args, eventfd);
	if (item) {
		mutex_lock(&vm->irq_lock);
		err = ioeventfd_add(vm, item);
		mutex_unlock(&vm->irq_lock);
	}
	if (err) {
		eventfd_ctx_put(eventfd);
		kfree(item);
		return err;
	}
	stats_live(LIVE_FILES, 1);
	return 0;
}

static bool ioeventfd_is(const struct ioeventfd *item, const struct kvm_ioeventfd *args,
			 const struct eventfd_ctx *eventfd)
{
	bool wildcard = !(args->flags & KVM_IOEVENTFD_FLAG_DATAMATCH);

	return item->eventfd == eventfd && item->space == ioeventfd_space(args) &&
	       item->dev.base == args->addr && item->dev.len == args->len &&
	       item->wildcard == wildcard && (wildcard || item->datamatch == args->datamatch);
}

static int ioeventfd_deassign(struct vm *vm, const struct kvm_ioeventfd *args)
{
	struct eventfd_ctx *eventfd = eventfd_ctx_fdget(args->fd);
	struct ioeventfd *item;
	int err = -ENOENT;

	if (IS_ERR(eventfd))
		return PTR_ERR(eventfd);
	mutex_lock(&vm->irq_lock);
	list_for_each_entry(item, &vm->io.ioeventfds, link) {
		if (!ioeventfd_is(item, args, eventfd))
			continue;
		bus_detach(vm, item->space, &item->dev);
		err = 0;
		break;
	}
	mutex_unlock(&vm->irq_lock);
	eventfd_ctx_put(eventfd);
	return err;
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
	if (args->flags & KVM_IOEVENTFD_FLAG_DEASSIGN)
		return ioeventfd_deassign(vm, args);
	if (!ioeventfd_valid(args))
		return -EINVAL;
	return ioeventfd_assign(vm, args);
}
