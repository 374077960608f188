// SPDX-License-Identifier: GPL-2.0-only
/* Whether somebody would miss a PCI function: mounted disks, interfaces that are up, running
 * guests. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "pci_host.h"
#include "pci_use.h"

/*
 * Returns: whether the block device is mounted, a member of a volume, or swapped to. To open it for
 * itself fails then.
 */
static bool block_busy(const char *dev)
{
	char path[PATH_MAX];
	unsigned int subsystem, controller, namespace;
	int fd;

	/* A path of a multipath disk is hidden; the disk is what has users. */
	if (sscanf(dev, "nvme%uc%un%u", &subsystem, &controller, &namespace) == 3)
		snprintf(path, sizeof(path), "/dev/nvme%un%u", subsystem, namespace);
	else
		snprintf(path, sizeof(path), "/dev/%s", dev);
	for (char *p = path + 5; *p; p++)
		if (*p == '!')
			*p = '/';
	fd = open(path, O_RDONLY | O_EXCL | O_NONBLOCK | O_CLOEXEC);
	if (fd >= 0)
		close(fd);
	return fd < 0 && errno == EBUSY;
}

static bool net_up(const char *dev)
{
	char path[PATH_MAX], flags[32];

	snprintf(path, sizeof(path), "%s/class/net/%s/flags", pci_host_sysfs, dev);
	return pci_host_line(path, flags, sizeof(flags)) && strtoul(flags, NULL, 0) & IFF_UP;
}

/* Returns: whether a device of @class that the function has is @busy; @dev is its name. */
static bool any(const char *name, const char *class, bool (*busy)(const char *dev), char *dev,
		size_t size)
{
	char path[PATH_MAX], real[PATH_MAX], part[PCI_HOST_NAME + 2];
	bool found = false;
	struct dirent *e;
	DIR *dir;

	snprintf(part, sizeof(part), "/%s/", name);
	snprintf(path, sizeof(path), "%s/class/%s", pci_host_sysfs, class);
	dir = opendir(path);
	while (dir && !found && (e = readdir(dir))) {
		if (e->d_name[0] == '.' || snprintf(path, sizeof(path), "%s/class/%s/%s",
						    pci_host_sysfs, class, e->d_name) >= PATH_MAX)
			continue;
		found = realpath(path, real) && strstr(real, part) && busy(e->d_name);
		if (found)
			snprintf(dev, size, "%s", e->d_name);
	}
	if (dir)
		closedir(dir);
	return found;
}

/* Returns: whether the host uses it; @by says for what. */
bool pci_use_by_host(const char *name, char *by, size_t size)
{
	char dev[NAME_MAX + 1];

	if (any(name, "block", block_busy, dev, sizeof(dev))) {
		snprintf(by, size, "block device %s is mounted or otherwise in use", dev);
		return true;
	}
	if (any(name, "net", net_up, dev, sizeof(dev))) {
		snprintf(by, size, "network interface %s is up", dev);
		return true;
	}
	return false;
}

/* A group can be opened once only. */
bool pci_use_by_guest(const char *name)
{
	int group = pci_host_group(name), fd;
	char path[32];

	if (group < 0)
		return false;
	snprintf(path, sizeof(path), "/dev/vfio/%d", group);
	fd = open(path, O_RDWR | O_CLOEXEC);
	if (fd >= 0)
		close(fd);
	return fd < 0 && errno == EBUSY;
}
