// SPDX-License-Identifier: GPL-2.0-only
#include <fcntl.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <unistd.h>
#include "stats.h"

void stats_open(struct stats *stats, int fd)
{
	struct kvm_stats_header *head = &stats->head;
	char id[256] = "";
	size_t size;

	stats->fd = SYS(ioctl(fd, KVM_GET_STATS_FD, NULL));
	CHECK(fcntl(stats->fd, F_GETFD) & FD_CLOEXEC);
	CHECK_EQ(SYS(read(stats->fd, head, sizeof(*head))), sizeof(*head));
	CHECK(head->name_size && head->name_size <= sizeof(id));
	CHECK(head->num_desc && head->num_desc < 1000);
	CHECK_GE(head->id_offset, sizeof(*head));
	CHECK_GE(head->desc_offset, head->id_offset + head->name_size);
	stats->desc_size = sizeof(struct kvm_stats_desc) + head->name_size;
	size = head->num_desc * stats->desc_size;
	CHECK_GE(head->data_offset, head->desc_offset + size);
	CHECK_EQ(SYS(pread(stats->fd, id, head->name_size, head->id_offset)), head->name_size);
	CHECK(!strncmp(id, "kvm", 3) && memchr(id, 0, head->name_size));
	stats->descs = malloc(size);
	CHECK_EQ(SYS(pread(stats->fd, stats->descs, size, head->desc_offset)), size);
}

u64 stats_value(struct stats *stats, const char *name)
{
	u64 value;
	u32 i;

	for (i = 0; i < stats->head.num_desc; i++) {
		struct kvm_stats_desc *desc = stats_desc(stats, i);

		if (strcmp((char *)(desc + 1), name))
			continue;
		CHECK_EQ(pread(stats->fd, &value, 8, stats->head.data_offset + desc->offset), 8);
		return value;
	}
	FAIL("no statistic called %s", name);
}
