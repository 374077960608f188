/* SPDX-License-Identifier: GPL-2.0-only */
/* Binary statistics: everything is read again, at its offset, as tools do. */
#ifndef SELFTESTS_STATS_H
#define SELFTESTS_STATS_H

#include <linux/kvm.h>
#include "test.h"

struct stats {
	int fd;
	struct kvm_stats_header head;
	char *descs;
	size_t desc_size;
};

static inline struct kvm_stats_desc *stats_desc(struct stats *stats, u32 i)
{
	return (void *)(stats->descs + i * stats->desc_size);
}

/* @fd: of the VM or the vCPU */
void stats_open(struct stats *stats, int fd);
u64 stats_value(struct stats *stats, const char *name);

#endif
