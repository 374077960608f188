// SPDX-License-Identifier: GPL-2.0-only
/* Virtual functions of a function with SR-IOV: made, taken away. */
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "error.h"
#include "pci_host.h"
#include "pci_use.h"
#include "pci_vfs.h"

static unsigned int number(const char *name, const char *attr)
{
	char value[32];

	return pci_host_attr(name, attr, value, sizeof(value)) ? strtoul(value, NULL, 10) : 0;
}

static void write_attr(const char *name, const char *attr, unsigned int value)
{
	char path[PATH_MAX], text[16];
	int ret;

	snprintf(path, sizeof(path), "bus/pci/devices/%s/%s", name, attr);
	snprintf(text, sizeof(text), "%u", value);
	ret = pci_host_write(path, text);
	if (ret)
		error_die(EXIT_ERROR, "cannot set %s of %s to %u: %s; see dmesg", attr, name, value,
			  strerror(-ret));
}

/* The kernel would wait for a guest's end, without a word. */
static void check_unused(const char *pf, unsigned int n)
{
	char attr[32], vf[PCI_HOST_NAME];

	for (unsigned int i = 0; i < n; i++) {
		snprintf(attr, sizeof(attr), "virtfn%u", i);
		if (pci_host_link(pf, attr, vf, sizeof(vf)) && pci_use_by_guest(vf))
			error_die(EXIT_ERROR, "virtual function %s is in use by a guest", vf);
	}
}

static bool is_nvme(const char *name)
{
	char driver[64];

	return pci_host_driver(name, driver, sizeof(driver)) && !strcmp(driver, "nvme");
}

/* The host's drivers do not take the new ones: they are for guests. */
void pci_vfs_set(const char *name, unsigned int n)
{
	unsigned int total = number(name, "sriov_totalvfs"), now = number(name, "sriov_numvfs");

	if (!total)
		error_die(EXIT_ERROR, "%s has no virtual functions (SR-IOV)", name);
	if (n > total)
		error_die(EXIT_ERROR, "%s can have %u virtual functions at most", name, total);
	check_unused(name, now);
	if (now)
		write_attr(name, "sriov_numvfs", 0);
	if (!n)
		return;
	if (is_nvme(name))
		pci_nvme_release(name);
	write_attr(name, "sriov_drivers_autoprobe", 0);
	write_attr(name, "sriov_numvfs", n);
	if (is_nvme(name))
		pci_nvme_online(name, n);
}
