// SPDX-License-Identifier: GPL-2.0-only
/* corbel pci: which functions a guest could have, and how it gets them. */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "error.h"
#include "pci_cmd.h"
#include "pci_host.h"
#include "pci_use.h"
#include "pci_vfs.h"

static void usage(void)
{
	printf("Usage: corbel pci list                  all functions: IOMMU group, driver, "
	       "interrupts\n"
	       "       corbel pci bind ADDRESS...       take them from the host, for guests\n"
	       "       corbel pci unbind ADDRESS...     give them back to the host's drivers\n"
	       "       corbel pci vfs ADDRESS NUMBER    make virtual functions (SR-IOV); 0: none\n"
	       "\n"
	       "An address is DDDD:BB:DD.F; the domain may be left out. All functions of a group "
	       "that\n"
	       "have a driver are bound together. NVMe controllers share their queues among their "
	       "virtual\n"
	       "functions, which are online afterwards.\n");
}

static void print_row(const char *name, bool remapped)
{
	char driver[64], vendor[16] = "", device[16] = "", class[16] = "", group[16] = "-";
	int n = pci_host_group(name);

	pci_host_attr(name, "vendor", vendor, sizeof(vendor));
	pci_host_attr(name, "device", device, sizeof(device));
	pci_host_attr(name, "class", class, sizeof(class));
	if (!pci_host_driver(name, driver, sizeof(driver)))
		strcpy(driver, "-");
	if (n >= 0)
		snprintf(group, sizeof(group), "%d", n);
	printf("%-13s %5s  %-16s %-12s %s:%s %s\n", name, group, driver,
	       n >= 0 && remapped ? "remapped" : "not remapped", vendor[0] ? vendor + 2 : "?",
	       device[0] ? device + 2 : "?", class[0] ? class + 2 : "?");
}

static int list(int argc, char **argv)
{
	struct pci_host_list all;
	bool remapped = pci_host_remapped();

	(void)argv;
	if (argc != 1)
		error_die(EXIT_USAGE, "usage: corbel pci list");
	pci_host_functions(&all);
	printf("ADDRESS       GROUP  DRIVER           INTERRUPTS   DEVICE    CLASS\n");
	for (unsigned int i = 0; i < all.n; i++)
		print_row(all.names[i], remapped);
	return 0;
}

static void parse_names(struct pci_host_list *list, int argc, char **argv)
{
	list->n = 0;
	for (int i = 1; i < argc && list->n < PCI_HOST_MAX; i++) {
		char *name = list->names[list->n++];

		if (!pci_host_parse(argv[i], name))
			error_die(EXIT_USAGE, "%s is not an address like 0000:01:00.0", argv[i]);
		if (!pci_host_exists(name))
			error_die(EXIT_ERROR,
				  "there is no PCI function %s; corbel pci list shows all", name);
	}
	if (!list->n)
		error_die(EXIT_USAGE, "no address; see corbel pci --help");
}

static bool contains(const struct pci_host_list *list, const char *name)
{
	for (unsigned int i = 0; i < list->n; i++)
		if (!strcmp(list->names[i], name))
			return true;
	return false;
}

/* What shares a group could be reached by the guest's DMA, so it must not be a driver's of the
 * host's. */
static void check_group(const char *name, const struct pci_host_list *wanted)
{
	struct pci_host_list members;
	char driver[64];
	int group = pci_host_group(name);

	if (group < 0)
		error_die(EXIT_ERROR,
			  "no IOMMU isolates %s; turn VT-d or AMD-Vi on in the firmware, and on "
			  "Intel boot with intel_iommu=on",
			  name);
	pci_host_group_functions(group, &members);
	for (unsigned int i = 0; i < members.n; i++) {
		const char *other = members.names[i];

		if (!contains(wanted, other) && pci_host_driver(other, driver, sizeof(driver)) &&
		    !pci_host_harmless(other, driver))
			error_die(EXIT_ERROR,
				  "IOMMU group %d of %s would not be viable: the host's driver "
				  "%s holds %s in it; bind both, or neither",
				  group, name, driver, other);
	}
}

static void check_bindable(const char *name, const struct pci_host_list *wanted)
{
	char by[512], class[16];

	if (pci_host_attr(name, "class", class, sizeof(class)) && !strncmp(class, "0x06", 4))
		error_die(EXIT_ERROR, "%s is a bridge; only devices can be given to a guest", name);
	check_group(name, wanted);
	if (pci_use_by_host(name, by, sizeof(by)))
		error_die(EXIT_ERROR, "%s is in use: %s", name, by);
}

static int write_function(const char *name, const char *attr, const char *value)
{
	char path[PATH_MAX];

	snprintf(path, sizeof(path), "bus/pci/devices/%s/%s", name, attr);
	return pci_host_write(path, value);
}

/* Take it from its driver, and let the one that @override names ("\n": any) have it. */
static int rebind(const char *name, const char *override)
{
	char driver[64];
	int ret = write_function(name, "driver_override", override);

	if (!ret && pci_host_driver(name, driver, sizeof(driver)))
		ret = write_function(name, "driver/unbind", name);
	return ret ? ret : pci_host_write("bus/pci/drivers_probe", name);
}

static void bind_one(const char *name)
{
	char driver[64];
	int ret;

	if (pci_host_driver(name, driver, sizeof(driver)) && !strcmp(driver, "vfio-pci"))
		return;
	ret = rebind(name, "vfio-pci");
	if (pci_host_driver(name, driver, sizeof(driver)) && !strcmp(driver, "vfio-pci"))
		return;
	rebind(name, "\n");
	if (ret == -EACCES || ret == -EPERM)
		error_die(EXIT_ERROR, "no permission to bind %s; run as root", name);
	error_die(EXIT_ERROR, "vfio-pci does not take %s; see dmesg", name);
}

static int bind_names(int argc, char **argv)
{
	struct pci_host_list wanted;
	char path[PATH_MAX];

	parse_names(&wanted, argc, argv);
	for (unsigned int i = 0; i < wanted.n; i++)
		check_bindable(wanted.names[i], &wanted);
	if (!pci_host_remapped() && !pci_host_unsafe_allowed())
		error_die(EXIT_ERROR,
			  "the host does not remap interrupts, so a guest's device could forge "
			  "them: turn interrupt remapping on, or, if you trust the guest, load "
			  "vfio_iommu_type1 with allow_unsafe_interrupts=1");
	snprintf(path, sizeof(path), "%s/bus/pci/drivers/vfio-pci", pci_host_sysfs);
	if (access(path, F_OK))
		error_die(EXIT_ERROR, "vfio-pci is not there; load it: sudo modprobe vfio-pci");
	for (unsigned int i = 0; i < wanted.n; i++)
		bind_one(wanted.names[i]);
	return 0;
}

static void unbind_one(const char *name)
{
	char driver[64];
	int ret;

	if (!pci_host_driver(name, driver, sizeof(driver)) || strcmp(driver, "vfio-pci"))
		error_die(EXIT_ERROR, "%s is not bound to vfio-pci", name);
	if (pci_use_by_guest(name))
		error_die(EXIT_ERROR, "%s is in use by a guest", name);
	ret = rebind(name, "\n");
	if (ret)
		error_die(EXIT_ERROR, "cannot give %s back to the host: %s", name, strerror(-ret));
}

static int unbind_names(int argc, char **argv)
{
	struct pci_host_list wanted;

	parse_names(&wanted, argc, argv);
	for (unsigned int i = 0; i < wanted.n; i++)
		unbind_one(wanted.names[i]);
	return 0;
}

static int vfs(int argc, char **argv)
{
	struct pci_host_list pf;
	unsigned long n;
	char *end;

	if (argc != 3)
		error_die(EXIT_USAGE, "usage: corbel pci vfs ADDRESS NUMBER");
	parse_names(&pf, 2, argv);
	n = strtoul(argv[2], &end, 10);
	if (end == argv[2] || *end || *argv[2] == '-' || n > 65535)
		error_die(EXIT_USAGE, "%s is not a number of virtual functions", argv[2]);
	pci_vfs_set(pf.names[0], n);
	return 0;
}

static int help(int argc, char **argv)
{
	(void)argc;
	(void)argv;
	usage();
	return 0;
}

int pci_cmd_main(int argc, char **argv)
{
	static const struct {
		const char *name;
		int (*main)(int argc, char **argv);
	} commands[] = {
		{ "list", list }, { "bind", bind_names }, { "unbind", unbind_names },
		{ "vfs", vfs },	  { "--help", help },	  { "help", help },
	};

	for (unsigned int i = 0; argc > 1 && i < sizeof(commands) / sizeof(commands[0]); i++)
		if (!strcmp(commands[i].name, argv[1]))
			return commands[i].main(argc - 1, argv + 1);
	error_die(EXIT_USAGE, "%s; see corbel pci --help",
		  argc > 1 ? "there is no such command of corbel pci"
			   : "corbel pci needs a command");
}
