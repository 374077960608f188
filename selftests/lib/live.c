// SPDX-License-Identifier: GPL-2.0-only
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "live.h"

#define LIVE_TRIES	200

static const char *const live_names[LIVE_COUNTS] = {
	"live_vms", "live_vcpus", "live_pages", "live_files", "live_mms",
};

static s64 live_read(const char *name)
{
	char path[80], text[32] = "";
	int fd;

	snprintf(path, sizeof(path), "/sys/kernel/debug/corbel/%s", name);
	fd = open(path, O_RDONLY);
	if (fd < 0)
		return -1;
	if (read(fd, text, sizeof(text) - 1) <= 0)
		text[0] = 0;
	close(fd);
	return strtoll(text, NULL, 0);
}

struct live live_now(void)
{
	struct live live = { { 0 } };
	size_t i;

	for (i = 0; test_is_corbel() && i < LIVE_COUNTS; i++)
		live.count[i] = live_read(live_names[i]);
	return live;
}

void live_check_same(const struct live *before, const char *what)
{
	struct live now = live_now();
	int i, tries;

	for (tries = 0; memcmp(&now, before, sizeof(now)) && tries < LIVE_TRIES; tries++) {
		usleep(10000);
		now = live_now();
	}
	for (i = 0; i < LIVE_COUNTS; i++) {
		if (now.count[i] != before->count[i])
			FAIL("%s: %s is %lld, not %lld", what, live_names[i],
			     (long long)now.count[i], (long long)before->count[i]);
	}
}

void live_check(void)
{
	static const struct live none;

	live_check_same(&none, "no VM is left");
}
