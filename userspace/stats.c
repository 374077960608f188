// SPDX-License-Identifier: GPL-2.0-only
/* The hypervisor's counters of this VM, read through KVM's binary statistics interface. */
#include <errno.h>
#include <linux/kvm.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "machine.h"
#include "stats.h"
#include "vcpu.h"
#include "virtio_balloon.h"

#define MAX_DESCS	4096
#define MAX_NAME	256
#define MAX_VALUES	1024

/* One statistics file: its descriptors, packed with stride @desc_size. */
struct stats_file {
	int fd;
	struct kvm_stats_header h;
	size_t desc_size;
	uint8_t *descs;
};

static bool read_at(int fd, void *buf, size_t len, uint64_t off)
{
	return pread(fd, buf, len, off) == (ssize_t)len;
}

static bool open_stats(struct stats_file *f, int fd)
{
	size_t len;

	f->descs = NULL;
	f->fd = ioctl(fd, KVM_GET_STATS_FD, NULL);
	if (f->fd < 0)
		return false;
	if (!read_at(f->fd, &f->h, sizeof(f->h), 0) || f->h.num_desc > MAX_DESCS ||
	    f->h.name_size > MAX_NAME)
		return false;
	f->desc_size = sizeof(struct kvm_stats_desc) + f->h.name_size;
	len = f->desc_size * f->h.num_desc;
	f->descs = malloc(len);
	return f->descs && read_at(f->fd, f->descs, len, f->h.desc_offset);
}

static void close_stats(struct stats_file *f)
{
	free(f->descs);
	if (f->fd >= 0)
		close(f->fd);
}

static const char *unit(const struct kvm_stats_desc *d)
{
	switch (d->flags & KVM_STATS_UNIT_MASK) {
	case KVM_STATS_UNIT_BYTES:
		return " bytes";
	case KVM_STATS_UNIT_SECONDS:
		return d->exponent == -9 ? " ns" : " s";
	case KVM_STATS_UNIT_CYCLES:
		return " cycles";
	default:
		return "";
	}
}

/* A histogram is told by its total: what it is made of interests whoever reads the file itself. */
static void print_one(const struct stats_file *f, const struct kvm_stats_desc *d)
{
	uint64_t values[MAX_VALUES], sum = 0;

	if (!d->size || d->size > MAX_VALUES ||
	    !read_at(f->fd, values, d->size * sizeof(*values), f->h.data_offset + d->offset))
		return;
	for (unsigned int i = 0; i < d->size; i++)
		sum += values[i];
	if (sum)
		fprintf(stderr, "  %-32.*s %20llu%s\n", (int)f->h.name_size, d->name,
			(unsigned long long)sum, unit(d));
}

static void print_fd(int fd, const char *who)
{
	struct stats_file f;

	if (open_stats(&f, fd)) {
		fprintf(stderr, "%s\n", who);
		for (uint32_t i = 0; i < f.h.num_desc; i++)
			print_one(&f, (void *)(f.descs + i * f.desc_size));
	} else {
		fprintf(stderr, "%s: this hypervisor does not tell its counters\n", who);
	}
	close_stats(&f);
}

/* Print all counters that are not zero. Context: the main loop, or after the vCPUs have ended. */
void stats_print(struct machine *m)
{
	char who[32];

	print_fd(m->vm.fd, "VM");
	for (unsigned int i = 0; i < m->nr_vcpus; i++) {
		snprintf(who, sizeof(who), "vCPU %u", i);
		print_fd(m->vcpus[i].fd, who);
	}
	virtio_balloon_print();
}
