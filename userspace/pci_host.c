// SPDX-License-Identifier: GPL-2.0-only
/* The host's PCI functions as sysfs shows them: who drives them, what their IOMMU isolates. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "pci_host.h"

const char *pci_host_sysfs = "/sys";

/* Returns: whether @text is DDDD:BB:DD.F or BB:DD.F; @name is the former in lower case. */
bool pci_host_parse(const char *text, char *name)
{
	unsigned int domain, bus, slot, function;
	char tail;

	if (strspn(text, "0123456789abcdefABCDEF:.") != strlen(text))
		return false;
	if (sscanf(text, "%8x:%2x:%2x.%1x%c", &domain, &bus, &slot, &function, &tail) != 4) {
		domain = 0;
		if (sscanf(text, "%2x:%2x.%1x%c", &bus, &slot, &function, &tail) != 3)
			return false;
	}
	if (slot > 31 || function > 7 || domain > 0xffffff)
		return false;
	snprintf(name, PCI_HOST_NAME, "%04x:%02x:%02x.%x", domain, bus, slot, function);
	return true;
}

static void path_of(char *path, const char *name, const char *attr)
{
	snprintf(path, PATH_MAX, "%s/bus/pci/devices/%s/%s", pci_host_sysfs, name, attr);
}

bool pci_host_exists(const char *name)
{
	char path[PATH_MAX];

	path_of(path, name, "");
	return !access(path, F_OK);
}

/* Returns: whether the link is there; @to is the last part of what it points to. */
bool pci_host_link(const char *name, const char *attr, char *to, size_t size)
{
	char path[PATH_MAX], target[PATH_MAX];
	const char *last;
	ssize_t len;

	path_of(path, name, attr);
	len = readlink(path, target, sizeof(target) - 1);
	if (len < 0)
		return false;
	target[len] = 0;
	last = strrchr(target, '/');
	snprintf(to, size, "%s", last ? last + 1 : target);
	return true;
}

/* Returns: the function's IOMMU group, -1 where no IOMMU isolates it. */
int pci_host_group(const char *name)
{
	char group[32];

	return pci_host_link(name, "iommu_group", group, sizeof(group)) ? atoi(group) : -1;
}

/* Returns: whether a driver holds the function. */
bool pci_host_driver(const char *name, char *driver, size_t size)
{
	driver[0] = 0;
	return pci_host_link(name, "driver", driver, size);
}

/* Returns: whether the file could be read; @value is its first line. */
bool pci_host_line(const char *path, char *value, size_t size)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t len = fd < 0 ? -1 : read(fd, value, size - 1);

	if (fd >= 0)
		close(fd);
	value[len > 0 ? len : 0] = 0;
	value[strcspn(value, "\n")] = 0;
	return len >= 0;
}

bool pci_host_attr(const char *name, const char *attr, char *value, size_t size)
{
	char path[PATH_MAX];

	path_of(path, name, attr);
	return pci_host_line(path, value, size);
}

/* @path is relative to sysfs. Returns: 0 or -errno. */
int pci_host_write(const char *path, const char *value)
{
	char whole[PATH_MAX];
	int fd, ret = 0;

	snprintf(whole, sizeof(whole), "%s/%s", pci_host_sysfs, path);
	fd = open(whole, O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	if (write(fd, value, strlen(value)) < 0)
		ret = -errno;
	close(fd);
	return ret;
}

static int by_name(const void *a, const void *b)
{
	return strcmp(a, b);
}

static void list_folder(const char *path, struct pci_host_list *list)
{
	DIR *dir = opendir(path);
	struct dirent *e;

	list->n = 0;
	while (dir && (e = readdir(dir)) && list->n < PCI_HOST_MAX)
		if (e->d_name[0] != '.' && strlen(e->d_name) < PCI_HOST_NAME)
			strcpy(list->names[list->n++], e->d_name);
	if (dir)
		closedir(dir);
	qsort(list->names, list->n, PCI_HOST_NAME, by_name);
}

void pci_host_functions(struct pci_host_list *list)
{
	char path[PATH_MAX];

	snprintf(path, sizeof(path), "%s/bus/pci/devices", pci_host_sysfs);
	list_folder(path, list);
}

void pci_host_group_functions(int group, struct pci_host_list *list)
{
	char path[PATH_MAX];

	snprintf(path, sizeof(path), "%s/kernel/iommu_groups/%d/devices", pci_host_sysfs, group);
	list_folder(path, list);
}

/*
 * Returns: whether a group stays usable with this member under @driver ("": none), as VFIO sees it:
 * a driver of the host's would let the guest's DMA reach what that driver owns.
 */
bool pci_host_harmless(const char *name, const char *driver)
{
	char class[16];

	if (!*driver || !strcmp(driver, "vfio-pci") || !strcmp(driver, "pci-stub"))
		return true;
	return pci_host_attr(name, "class", class, sizeof(class)) && !strncmp(class, "0x0604", 6) &&
	       !strcmp(driver, "pcieport");
}

/*
 * Linux remaps the interrupts of all devices or of none. Its interrupts' chips say so; there is no
 * other place that all IOMMUs have.
 */
bool pci_host_remapped(void)
{
	char path[PATH_MAX], file[PATH_MAX], chip[64];
	bool found = false;
	struct dirent *e;
	DIR *dir;

	snprintf(path, sizeof(path), "%s/kernel/irq", pci_host_sysfs);
	dir = opendir(path);
	while (dir && !found && (e = readdir(dir))) {
		if (snprintf(file, sizeof(file), "%s/%s/chip_name", path, e->d_name) < PATH_MAX)
			found = pci_host_line(file, chip, sizeof(chip)) && !strncmp(chip, "IR-", 3);
	}
	if (dir)
		closedir(dir);
	return found;
}

bool pci_host_unsafe_allowed(void)
{
	char path[PATH_MAX], value[8];

	snprintf(path, sizeof(path),
		 "%s/module/vfio_iommu_type1/parameters/allow_unsafe_interrupts", pci_host_sysfs);
	return pci_host_line(path, value, sizeof(value)) && (*value == 'Y' || *value == '1');
}
