// SPDX-License-Identifier: GPL-2.0-only
/*
 * A software posting agent, for tests only: interrupt-remapping hardware, devices behind it, and
 * the driver that hands their interrupts to an eventfd, where there is no such hardware. The
 * remapping table has the layout of the VT-d specification. A device's interrupt goes by its
 * entry: posted into the descriptor that irq_set_vcpu_affinity() has named, by the
 * specification's rules; or sent to a CPU of the host, whose vector leads to the driver's handler
 * as any interrupt's does.
 */
#include <linux/eventfd.h>
#include <linux/fs.h>
#include <linux/interrupt.h>
#include <linux/irq.h>
#include <linux/irqbypass.h>
#include <linux/irqdomain.h>
#include <linux/miscdevice.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/slab.h>
#include <linux/uaccess.h>
#include <linux/version.h>
#include <asm/apic.h>
#include <asm/hw_irq.h>
#include <asm/irq_remapping.h>
#include <asm/irqdomain.h>
#include "pid.h"
#include "posting_agent.h"

#define NR_DEVICES	16
#define REQUESTER	0xff00	/* id of the first device: bus 255, where there is nothing */

struct device_function {
	struct mutex lock;		/* eventfd, producer and the handler's registration */
	unsigned int index;		/* of its entry; requester id */
	int irq;
	struct eventfd_ctx *eventfd;
	struct irq_bypass_producer producer;
	u32 flags;
	struct posting_agent_state state;	/* table_lock; handled: the handler's only */
};

static DEFINE_RAW_SPINLOCK(table_lock);	/* held while an interrupt is delivered */
static struct irte table[NR_DEVICES];
static unsigned long used[BITS_TO_LONGS(NR_DEVICES)];	/* bitmap of indices */
static struct irq_domain *domain;
static struct fwnode_handle *fwnode;

/* The hardware */

static void send(u32 dest, u8 vector)
{
	int cpu;

	for_each_online_cpu(cpu) {
		u32 id = cpu_physical_id(cpu);

		if (dest != (x2apic_mode ? id : id << 8))
			continue;
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 12, 0)
		__apic_send_IPI_mask(cpumask_of(cpu), vector);
#else
		apic->send_IPI_mask(cpumask_of(cpu), vector);
#endif
		return;
	}
}

static void post(struct posting_agent_state *state, struct irte irte)
{
	struct descriptor *pid = phys_to_virt(irte_pid(irte));
	u64 control;

	switch (pid_post(pid, irte_vector(irte), irte_is_urgent(irte), &control)) {
	case PID_NOTIFY:
		state->notified++;
		send(pid_ndst(control), pid_nv(control));
		break;
	case PID_OUTSTANDING:
		state->outstanding++;
		break;
	case PID_SUPPRESSED:
		state->suppressed++;
		break;
	case PID_FAULT:
		state->faults++;
		return;
	}
	state->posted++;
}

static void interrupt(struct device_function *dev, u16 requester)
{
	struct irte irte;
	unsigned long flags;

	raw_spin_lock_irqsave(&table_lock, flags);
	irte = table[dev->index];
	if (irte_check(irte, requester) != IRTE_GOOD) {
		dev->state.faults++;
	} else if (irte_is_posted(irte)) {
		post(&dev->state, irte);
	} else {
		dev->state.remapped++;
		send(irte_dest(irte), irte_vector(irte));
	}
	raw_spin_unlock_irqrestore(&table_lock, flags);
}

/* The chip: who programs the table */

static void set_entry(struct device_function *dev, struct irte irte)
{
	unsigned long flags;

	raw_spin_lock_irqsave(&table_lock, flags);
	table[dev->index] = irte;
	raw_spin_unlock_irqrestore(&table_lock, flags);
}

static void set_remapped(struct device_function *dev, struct irq_data *data)
{
	u32 id = cpu_physical_id(cpumask_first(irq_data_get_effective_affinity_mask(data)));

	set_entry(dev, irte_remapped(REQUESTER + dev->index, x2apic_mode ? id : id << 8,
				     irqd_cfg(data)->vector));
}

static int chip_set_affinity(struct irq_data *data, const struct cpumask *mask, bool force)
{
	struct device_function *dev = irq_data_get_irq_chip_data(data);
	int ret = irq_chip_set_affinity_parent(data, mask, force);

	if (ret >= 0 && !irte_is_posted(table[dev->index]))
		set_remapped(dev, data);
	return ret;
}

static int chip_set_vcpu_affinity(struct irq_data *data, void *info)
{
	struct device_function *dev = irq_data_get_irq_chip_data(data);
	const struct vcpu_data *to = info;
	u32 flags = READ_ONCE(dev->flags);

	if (to && (flags & POSTING_AGENT_NO_POSTING))
		return -EOPNOTSUPP;
	dev->state.orders++;
	if (to)
		set_entry(dev, irte_posted(REQUESTER + dev->index, to->pi_desc_addr, to->vector,
					   flags & POSTING_AGENT_URGENT));
	else
		set_remapped(dev, data);
	return 0;
}

static struct irq_chip chip = {
	.name = "POSTING-AGENT",
	.irq_ack = irq_chip_ack_parent,
	.irq_set_affinity = chip_set_affinity,
	.irq_set_vcpu_affinity = chip_set_vcpu_affinity,
	.irq_retrigger = irq_chip_retrigger_hierarchy,
};

static int domain_alloc(struct irq_domain *d, unsigned int irq, unsigned int nr, void *dev)
{
	struct irq_alloc_info info = {};
	int ret = irq_domain_alloc_irqs_parent(d, irq, nr, &info);

	if (ret)
		return ret;
	irq_domain_set_info(d, irq, ((struct device_function *)dev)->index, &chip, dev,
			    handle_edge_irq, NULL, "edge");
	irq_set_status_flags(irq, IRQ_MOVE_PCNTXT);
	return 0;
}

static int domain_activate(struct irq_domain *d, struct irq_data *data, bool reserve)
{
	set_remapped(irq_data_get_irq_chip_data(data), data);
	return 0;
}

static void domain_deactivate(struct irq_domain *d, struct irq_data *data)
{
	set_entry(irq_data_get_irq_chip_data(data), (struct irte){});
}

static const struct irq_domain_ops domain_ops = {
	.alloc = domain_alloc,
	.free = irq_domain_free_irqs_common,
	.activate = domain_activate,
	.deactivate = domain_deactivate,
};

/* The driver */

static irqreturn_t handler(int irq, void *arg)
{
	struct device_function *dev = arg;

	dev->state.handled++;
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 12, 0)
	eventfd_signal(dev->eventfd);
#else
	eventfd_signal(dev->eventfd, 1);
#endif
	return IRQ_HANDLED;
}

static void eventfd_drop(struct device_function *dev)
{
	if (!dev->eventfd)
		return;
	irq_bypass_unregister_producer(&dev->producer);
	free_irq(dev->irq, dev);
	eventfd_ctx_put(dev->eventfd);
	dev->eventfd = NULL;
}

static int eventfd_take(struct device_function *dev, struct eventfd_ctx *eventfd)
{
	int ret;

	dev->eventfd = eventfd;
	ret = request_irq(dev->irq, handler, 0, "posting_agent", dev);
	if (ret) {
		dev->eventfd = NULL;
		eventfd_ctx_put(eventfd);
		return ret;
	}
	dev->producer = (struct irq_bypass_producer){ .token = eventfd, .irq = dev->irq };
	/* Without a match, or if there is another: then the eventfd carries it. */
	irq_bypass_register_producer(&dev->producer);
	return 0;
}

static long set_eventfd(struct device_function *dev, s32 fd)
{
	struct eventfd_ctx *eventfd = NULL;

	if (fd >= 0) {
		eventfd = eventfd_ctx_fdget(fd);
		if (IS_ERR(eventfd))
			return PTR_ERR(eventfd);
	}
	eventfd_drop(dev);
	return eventfd ? eventfd_take(dev, eventfd) : 0;
}

static long get_state(struct device_function *dev, struct posting_agent_state __user *to)
{
	struct posting_agent_state state;
	unsigned long flags;

	raw_spin_lock_irqsave(&table_lock, flags);
	state = dev->state;
	state.irte[0] = table[dev->index].low;
	state.irte[1] = table[dev->index].high;
	raw_spin_unlock_irqrestore(&table_lock, flags);
	return copy_to_user(to, &state, sizeof(state)) ? -EFAULT : 0;
}

static long agent_ioctl(struct file *file, unsigned int cmd, unsigned long arg)
{
	struct device_function *dev = file->private_data;
	s32 fd;
	long ret;

	switch (cmd) {
	case POSTING_AGENT_SET_FLAGS:
		return get_user(dev->flags, (u32 __user *)arg);
	case POSTING_AGENT_SET_EVENTFD:
		if (get_user(fd, (s32 __user *)arg))
			return -EFAULT;
		mutex_lock(&dev->lock);
		ret = set_eventfd(dev, fd);
		mutex_unlock(&dev->lock);
		return ret;
	case POSTING_AGENT_TRIGGER:
		interrupt(dev, REQUESTER + dev->index);
		return 0;
	case POSTING_AGENT_FORGE:
		interrupt(dev, REQUESTER + NR_DEVICES);
		return 0;
	case POSTING_AGENT_GET_STATE:
		return get_state(dev, (void __user *)arg);
	}
	return -ENOTTY;
}

static int index_take(void)
{
	int i;

	for (i = 0; i < NR_DEVICES; i++)
		if (!test_and_set_bit(i, used))
			return i;
	return -EBUSY;
}

static int agent_open(struct inode *inode, struct file *file)
{
	struct device_function *dev = kzalloc(sizeof(*dev), GFP_KERNEL);
	int index;

	if (!dev)
		return -ENOMEM;
	index = index_take();
	if (index < 0) {
		kfree(dev);
		return index;
	}
	mutex_init(&dev->lock);
	dev->index = index;
	dev->irq = irq_domain_alloc_irqs(domain, 1, NUMA_NO_NODE, dev);
	if (dev->irq < 0) {
		int ret = dev->irq;

		clear_bit(index, used);
		kfree(dev);
		return ret;
	}
	file->private_data = dev;
	return 0;
}

static int agent_release(struct inode *inode, struct file *file)
{
	struct device_function *dev = file->private_data;

	eventfd_drop(dev);
	irq_dispose_mapping(dev->irq);
	clear_bit(dev->index, used);
	kfree(dev);
	return 0;
}

static const struct file_operations agent_fops = {
	.owner = THIS_MODULE,
	.open = agent_open,
	.release = agent_release,
	.unlocked_ioctl = agent_ioctl,
	.llseek = noop_llseek,
};

static struct miscdevice agent = {
	.minor = MISC_DYNAMIC_MINOR,
	.name = "posting_agent",
	.fops = &agent_fops,
	.mode = 0600,
};

static int __init agent_init(void)
{
	int ret = -ENOMEM;

	fwnode = irq_domain_alloc_named_fwnode("posting-agent");
	if (!fwnode)
		return ret;
	domain = irq_domain_create_hierarchy(x86_vector_domain, 0, NR_DEVICES, fwnode, &domain_ops,
					     NULL);
	if (!domain)
		goto free_fwnode;
	ret = misc_register(&agent);
	if (!ret)
		return 0;
	irq_domain_remove(domain);
free_fwnode:
	irq_domain_free_fwnode(fwnode);
	return ret;
}

static void __exit agent_exit(void)
{
	misc_deregister(&agent);
	irq_domain_remove(domain);
	irq_domain_free_fwnode(fwnode);
}

module_init(agent_init);
module_exit(agent_exit);
MODULE_DESCRIPTION("A software posting agent, for Corbel's tests");
MODULE_AUTHOR("The Corbel authors");
MODULE_LICENSE("GPL v2");
