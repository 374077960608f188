// SPDX-License-Identifier: GPL-2.0-only
/*
 * Statistics. One table names every counter; debugfs and the binary statistics descriptor are two
 * ways to read it. Counters that KVM has too carry KVM's names, so that its tools find them.
 */
#include <linux/anon_inodes.h>
#include <linux/ctype.h>
#include <linux/debugfs.h>
#include <linux/fs.h>
#include <linux/mutex.h>
#include <linux/seq_file.h>
#include <linux/slab.h>
#include "vm.h"

#define CREATE_TRACE_POINTS
#include "trace.h"

#define STATS_NAME_SIZE	48	/* of names in the binary format; clients are told */

enum stats_scope { STATS_VM, STATS_VCPU };

struct stats_counter {
	const char *name;
	enum stats_scope scope;
	u16 offset;		/* in struct vm_stats or vcpu_stats */
	bool instant;		/* a level, not a sum over time */
};

#define VM_SUM(_name, field)	{ _name, STATS_VM, offsetof(struct vm_stats, field), false }
#define VM_LEVEL(_name, field)	{ _name, STATS_VM, offsetof(struct vm_stats, field), true }
#define VCPU_SUM(_name, field)	{ _name, STATS_VCPU, offsetof(struct vcpu_stats, field), false }

static const struct stats_counter stats_named[] = {
	VM_LEVEL("pages_4k", pages_4k),
	VM_LEVEL("pages_2m", pages_2m),
	VM_LEVEL("pages_1g", pages_1g),
	VM_SUM("mmu_invalidations", mmu_invalidations),
	VM_SUM("remote_tlb_flush", remote_tlb_flushes),
	VM_LEVEL("irqfds_posted", irqfds_posted),
	VM_LEVEL("irqfds_remapped", irqfds_remapped),
	VCPU_SUM("exits", exits),
	VCPU_SUM("fast_exits", fast_exits),
	VCPU_SUM("user_exits", user_exits),
	VCPU_SUM("io_exits", io_exits),
	VCPU_SUM("mmio_exits", mmio_exits),
	VCPU_SUM("signal_exits", signal_exits),
	VCPU_SUM("request_irq_exits", request_exits),
	VCPU_SUM("irq_exits", host_irqs),
	VCPU_SUM("irq_injections", irq_injections),
	VCPU_SUM("nmi_injections", nmi_injections),
	VCPU_SUM("exceptions", exceptions),
	VCPU_SUM("halt_exits", halt_exits),
	VCPU_SUM("halt_wakeup", halt_wakeups),
	VCPU_SUM("halt_successful_poll", halt_poll_success),
	VCPU_SUM("posted_wakeups", posted_wakeups),
	VCPU_SUM("tlb_flush", tlb_flushes),
	VCPU_SUM("pf_fixed", pf_fixed),
	VCPU_SUM("pf_mmio", pf_mmio),
	VCPU_SUM("pf_guest", pf_guest),
	VCPU_SUM("pf_emulated", pf_emulated),
	VCPU_SUM("insn_emulation", insn_emulated),
};

#define STATS_NR_COUNTERS	(ARRAY_SIZE(stats_named) + NR_EXIT_KINDS)

/* The named counters, then one per exit kind; filled in once at load. */
static struct stats_counter stats_counters[STATS_NR_COUNTERS] __ro_after_init;
static char stats_kind_names[NR_EXIT_KINDS][STATS_NAME_SIZE] __ro_after_init;

#define for_each_counter(counter)						\
	for (counter = stats_counters; counter < stats_counters + STATS_NR_COUNTERS; counter++)

static struct dentry *stats_root;
static DEFINE_MUTEX(stats_lock);		/* what follows, and names below the root */
static LIST_HEAD(stats_vms);
static u64 stats_past[STATS_NR_COUNTERS];	/* of VMs that are gone */

DEFINE_PER_CPU(long [NR_LIVE_OBJECTS], stats_live_count);

static const char * const stats_live_names[NR_LIVE_OBJECTS] = {
	[LIVE_VMS] = "live_vms",
	[LIVE_VCPUS] = "live_vcpus",
	[LIVE_PAGES] = "live_pages",
	[LIVE_FILES] = "live_files",
	[LIVE_MMS] = "live_mms",
};

/* Reading */

static u64 stats_get(const void *stats, const struct stats_counter *counter)
{
	return READ_ONCE(*(const u64 *)(stats + counter->offset));
}

static u64 stats_vm_sum(struct vm *vm, const struct stats_counter *counter)
{
	struct vcpu *vcpu;
	u64 sum = 0;
	int i;

	if (counter->scope == STATS_VM)
		return stats_get(&vm->stats, counter);
	vm_for_each_vcpu(i, vcpu, vm)
		sum += stats_get(&vcpu->stats, counter);
	return sum;
}

static u64 stats_total(const struct stats_counter *counter)
{
	struct vm *vm;
	u64 sum;

	mutex_lock(&stats_lock);
	sum = stats_past[counter - stats_counters];
	list_for_each_entry(vm, &stats_vms, stats.link)
		sum += stats_vm_sum(vm, counter);
	mutex_unlock(&stats_lock);
	return sum;
}

static long stats_live_sum(enum live_object object)
{
	long sum = 0;
	int cpu;

	for_each_possible_cpu(cpu)
		sum += per_cpu(stats_live_count[object], cpu);
	return sum;
}

/*
 * debugfs. A file for each total; a VM and its vCPUs have one each, for with many VMs the inodes of
 * a file for each counter would be half of the memory that a small one takes.
 */

static int stats_total_show(struct seq_file *m, void *unused)
{
	seq_printf(m, "%llu\n", stats_total(m->private));
	return 0;
}
DEFINE_SHOW_ATTRIBUTE(stats_total);

static int stats_vm_show(struct seq_file *m, void *unused)
{
	const struct stats_counter *counter;

	for_each_counter(counter)
		seq_printf(m, "%s %llu\n", counter->name, stats_vm_sum(m->private, counter));
	return 0;
}
DEFINE_SHOW_ATTRIBUTE(stats_vm);

static int stats_vcpu_show(struct seq_file *m, void *unused)
{
	const struct stats_counter *counter;
	struct vcpu *vcpu = m->private;

	for_each_counter(counter)
		if (counter->scope == STATS_VCPU)
			seq_printf(m, "%s %llu\n", counter->name, stats_get(&vcpu->stats, counter));
	return 0;
}
DEFINE_SHOW_ATTRIBUTE(stats_vcpu);

static int stats_live_show(struct seq_file *m, void *unused)
{
	seq_printf(m, "%ld\n", stats_live_sum((unsigned long)m->private));
	return 0;
}
DEFINE_SHOW_ATTRIBUTE(stats_live);

/*
 * stats_lock held. A VM whose descriptor was closed but whose vCPUs live on may still own the
 * name: then the new one takes the next that is free.
 */
static struct dentry *stats_create_dir(const char *base)
{
	char name[sizeof_field(struct vm, name) + 12];
	struct dentry *other;
	int i;

	strscpy(name, base, sizeof(name));
	for (i = 2; (other = debugfs_lookup(name, stats_root)); i++) {
		dput(other);
		snprintf(name, sizeof(name), "%.31s-%d", base, i);
	}
	return debugfs_create_dir(name, stats_root);
}

void stats_vm_create(struct vm *vm)
{
	mutex_lock(&stats_lock);
	list_add_tail(&vm->stats.link, &stats_vms);
	vm->debugfs = stats_create_dir(vm->name);
	mutex_unlock(&stats_lock);
	debugfs_create_file("vm", 0444, vm->debugfs, vm, &stats_vm_fops);
}

void stats_vm_destroy(struct vm *vm)
{
	const struct stats_counter *counter;

	if (!vm->stats.link.next)
		return;		/* it never got as far as a descriptor */
	debugfs_remove(vm->debugfs);
	mutex_lock(&stats_lock);
	list_del(&vm->stats.link);
	for_each_counter(counter)
		if (!counter->instant)
			stats_past[counter - stats_counters] += stats_vm_sum(vm, counter);
	mutex_unlock(&stats_lock);
}

void stats_vcpu_create(struct vcpu *vcpu)
{
	char name[16];

	snprintf(name, sizeof(name), "vcpu%u", vcpu->id);
	debugfs_create_file(name, 0444, vcpu->vm->debugfs, vcpu, &stats_vcpu_fops);
}

/* The binary format: header, id, descriptors, values; each read makes it anew. */

struct stats_file {
	struct vm *vm;		/* a reference */
	struct vcpu *vcpu;	/* NULL: of the VM */
};

struct stats_image {
	struct kvm_stats_header header;
	char id[STATS_NAME_SIZE];
};

/* Newer kernels have the name in their structure, older ones behind it. */
#define STATS_DESC_SIZE	(offsetof(struct kvm_stats_desc, name) + STATS_NAME_SIZE)

static enum stats_scope stats_scope(const struct stats_file *stats)
{
	return stats->vcpu ? STATS_VCPU : STATS_VM;
}

static void stats_fill_head(const struct stats_file *stats, struct stats_image *image, int nr)
{
	image->header = (struct kvm_stats_header){
		.name_size = STATS_NAME_SIZE,
		.num_desc = nr,
		.id_offset = offsetof(struct stats_image, id),
		.desc_offset = sizeof(*image),
		.data_offset = sizeof(*image) + nr * STATS_DESC_SIZE,
	};
	if (stats->vcpu)
		snprintf(image->id, sizeof(image->id), "kvm-%d/vcpu-%u",
			 stats->vm->userspace_pid, stats->vcpu->id);
	else
		snprintf(image->id, sizeof(image->id), "kvm-%d", stats->vm->userspace_pid);
}

static void stats_fill_desc(struct kvm_stats_desc *desc, const struct stats_counter *counter, int i)
{
	desc->flags = KVM_STATS_UNIT_NONE | KVM_STATS_BASE_POW10 |
		      (counter->instant ? KVM_STATS_TYPE_INSTANT : KVM_STATS_TYPE_CUMULATIVE);
	desc->size = 1;
	desc->offset = i * sizeof(u64);
	strscpy(desc->name, counter->name, STATS_NAME_SIZE);
}

static void stats_fill(const struct stats_file *stats, struct stats_image *image, int nr)
{
	const void *counters = stats->vcpu ? (void *)&stats->vcpu->stats : &stats->vm->stats;
	u64 *values = (void *)(image + 1) + nr * STATS_DESC_SIZE;	/* x86: need not be aligned */
	const struct stats_counter *counter;
	int i = 0;

	stats_fill_head(stats, image, nr);
	for_each_counter(counter) {
		if (counter->scope != stats_scope(stats))
			continue;
		stats_fill_desc((void *)(image + 1) + i * STATS_DESC_SIZE, counter, i);
		values[i++] = stats_get(counters, counter);
	}
}

static ssize_t stats_read(struct file *file, char __user *buf, size_t size, loff_t *pos)
{
	const struct stats_file *stats = file->private_data;
	const struct stats_counter *counter;
	ssize_t done;
	void *image;
	size_t len;
	int nr = 0;

	for_each_counter(counter)
		nr += counter->scope == stats_scope(stats);
	len = sizeof(struct stats_image) + nr * (STATS_DESC_SIZE + sizeof(u64));
	image = kvzalloc(len, GFP_KERNEL);
	if (!image)
		return -ENOMEM;
	stats_fill(stats, image, nr);
	done = simple_read_from_buffer(buf, size, pos, image, len);
	kvfree(image);
	return done;
}

static int stats_release(struct inode *inode, struct file *file)
{
	struct stats_file *stats = file->private_data;

	vm_put(stats->vm);
	kfree(stats);
	return 0;
}

static const struct file_operations stats_fops = {
	.owner = THIS_MODULE,
	.read = stats_read,
	.llseek = default_llseek,
	.release = stats_release,
};

int stats_fd(struct vm *vm, struct vcpu *vcpu)
{
	struct stats_file *stats = kzalloc(sizeof(*stats), GFP_KERNEL_ACCOUNT);
	struct file *file;
	int fd;

	if (!stats)
		return -ENOMEM;
	fd = get_unused_fd_flags(O_CLOEXEC);
	if (fd < 0)
		goto out_free;
	file = anon_inode_getfile("corbel-stats", &stats_fops, stats, O_RDONLY);
	if (IS_ERR(file)) {
		put_unused_fd(fd);
		fd = PTR_ERR(file);
		goto out_free;
	}
	stats->vm = vm_get(vm);
	stats->vcpu = vcpu;
	file->f_mode |= FMODE_PREAD;
	fd_install(fd, file);
	return fd;

out_free:
	kfree(stats);
	return fd;
}

/* Module */

static void stats_name_kind(enum exit_kind kind)
{
	char *name = stats_kind_names[kind];

	snprintf(name, STATS_NAME_SIZE, "exits_%s", exit_name(kind));
	for (; *name; name++)
		*name = isalnum(*name) ? tolower(*name) : '_';
}

int stats_module_init(void)
{
	int i;

	memcpy(stats_counters, stats_named, sizeof(stats_named));
	for (i = 0; i < NR_EXIT_KINDS; i++) {
		stats_name_kind(i);
		stats_counters[ARRAY_SIZE(stats_named) + i] = (struct stats_counter)
			VCPU_SUM(stats_kind_names[i], exits_by_kind[i]);
	}
	stats_root = debugfs_create_dir("corbel", NULL);
	for (i = 0; i < STATS_NR_COUNTERS; i++)
		debugfs_create_file(stats_counters[i].name, 0444, stats_root, &stats_counters[i],
				    &stats_total_fops);
	for (i = 0; i < NR_LIVE_OBJECTS; i++)
		debugfs_create_file(stats_live_names[i], 0444, stats_root, (void *)(long)i,
				    &stats_live_fops);
	return 0;
}

void stats_assert_idle(void)
{
	int i;

	for (i = 0; i < NR_LIVE_OBJECTS; i++)
		WARN(stats_live_sum(i), "corbel: %s is %ld at unload\n", stats_live_names[i],
		     stats_live_sum(i));
}

void stats_module_exit(void)
{
	debugfs_remove(stats_root);
}
