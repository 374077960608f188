// SPDX-License-Identifier: GPL-2.0-only
/*
 * Virtual functions of an NVMe controller are offline until its owner gives them queues and
 * interrupts: NVMe's Virtualization Management. The flexible ones are the primary controller's at
 * first, and its again after each of its resets.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/nvme_ioctl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "error.h"
#include "pci_host.h"
#include "pci_vfs.h"

#define OP_IDENTIFY	0x06
#define OP_VIRT_MGMT	0x1c
#define CNS_PRIMARY	0x14
#define CNS_SECONDARY	0x15
#define PAGE		4096

enum action { PRIMARY_ALLOC = 1, OFFLINE = 7, ASSIGN = 8, ONLINE = 9 };
enum resource { QUEUES, INTERRUPTS };	/* also their number in the command */

/* Identify, Primary Controller Capabilities: the part of one kind of resource. */
struct flexible {
	uint32_t total, assigned;
	uint16_t primary_flexible, primary_private, secondary_max, granularity;
	uint8_t reserved[16];
};

struct primary {
	uint16_t id, port;
	uint8_t types, reserved[27];
	struct flexible resources[2];
};

struct secondary {
	uint16_t id, primary;
	uint8_t state, reserved[3];
	uint16_t vf, queues, interrupts;
	uint8_t reserved2[18];
};

struct secondary_list {
	uint8_t n, reserved[31];
	struct secondary entries[127];
};

_Static_assert(sizeof(struct flexible) == 32, "one kind of resource");
_Static_assert(sizeof(struct primary) == 96, "Primary Controller Capabilities");
_Static_assert(sizeof(struct secondary) == 32, "Secondary Controller Entry");
_Static_assert(sizeof(struct secondary_list) == PAGE, "Secondary Controller List");

static int open_controller(const char *pf)
{
	char path[PATH_MAX];
	struct dirent *e = NULL;
	int fd = -1;
	DIR *dir;

	snprintf(path, sizeof(path), "%s/bus/pci/devices/%s/nvme", pci_host_sysfs, pf);
	dir = opendir(path);
	while (dir && (e = readdir(dir)) && strncmp(e->d_name, "nvme", 4))
		;
	if (e && snprintf(path, sizeof(path), "/dev/%s", e->d_name) < PATH_MAX)
		fd = open(path, O_RDWR | O_CLOEXEC);
	if (dir)
		closedir(dir);
	if (fd < 0)
		error_die(EXIT_ERROR, "cannot open the NVMe controller of %s: %s", pf,
			  strerror(errno));
	return fd;
}

/* Returns: 0, a positive NVMe status, or -errno. */
static int identify(int fd, uint8_t cns, void *page)
{
	struct nvme_admin_cmd cmd = {
		.opcode = OP_IDENTIFY, .addr = (uintptr_t)page, .data_len = PAGE, .cdw10 = cns
	};
	int ret = ioctl(fd, NVME_IOCTL_ADMIN_CMD, &cmd);

	return ret < 0 ? -errno : ret;
}

static int manage(int fd, enum action action, uint16_t id, enum resource kind, uint16_t n)
{
	struct nvme_admin_cmd cmd = { .opcode = OP_VIRT_MGMT,
				      .cdw10 = (uint32_t)id << 16 | kind << 8 | action,
				      .cdw11 = n };
	int ret = ioctl(fd, NVME_IOCTL_ADMIN_CMD, &cmd);

	return ret < 0 ? -errno : ret;
}

static void check(const char *pf, const char *what, int ret)
{
	if (ret > 0)
		error_die(EXIT_ERROR, "the NVMe controller %s refused to %s: status %#x", pf, what,
			  ret);
	if (ret)
		error_die(EXIT_ERROR, "the NVMe controller %s could not %s: %s", pf, what,
			  strerror(-ret));
}

static void read_primary(int fd, const char *pf, struct primary *p)
{
	uint8_t page[PAGE] __attribute__((aligned(PAGE))) = { 0 };

	check(pf, "name its resources", identify(fd, CNS_PRIMARY, page));
	memcpy(p, page, sizeof(*p));
}

/* The controller has to be reset before what it had is free. Its namespaces stay where they are. */
void pci_nvme_release(const char *pf)
{
	int fd = open_controller(pf);
	struct primary p;

	read_primary(fd, pf, &p);
	if (p.resources[QUEUES].primary_flexible || p.resources[INTERRUPTS].primary_flexible) {
		check(pf, "give queues away", manage(fd, PRIMARY_ALLOC, p.id, QUEUES, 0));
		check(pf, "give interrupts away", manage(fd, PRIMARY_ALLOC, p.id, INTERRUPTS, 0));
		check(pf, "be reset", ioctl(fd, NVME_IOCTL_RESET) ? -errno : 0);
	}
	close(fd);
}

/* Returns: what each of @n controllers can have. */
static uint16_t share(const struct flexible *f, unsigned int n)
{
	uint32_t each = f->total / n;

	if (each > f->secondary_max)
		each = f->secondary_max;
	return f->granularity > 1 ? each - each % f->granularity : each;
}

static const struct secondary *find(const struct secondary_list *list, unsigned int vf)
{
	for (unsigned int i = 0; i < list->n && i < 127; i++)
		if (list->entries[i].vf == vf)
			return &list->entries[i];
	return NULL;
}

/* A controller takes new resources only while it is offline, and shows them after a reset. */
static void bring_up(int fd, const char *pf, const struct secondary *s, uint16_t queues,
		     uint16_t interrupts)
{
	char attr[32], vf[PCI_HOST_NAME] = "?", path[PATH_MAX];

	check(pf, "take a controller offline", manage(fd, OFFLINE, s->id, 0, 0));
	check(pf, "assign queues", manage(fd, ASSIGN, s->id, QUEUES, queues));
	check(pf, "assign interrupts", manage(fd, ASSIGN, s->id, INTERRUPTS, interrupts));
	snprintf(attr, sizeof(attr), "virtfn%u", s->vf - 1);
	if (pci_host_link(pf, attr, vf, sizeof(vf))) {
		snprintf(path, sizeof(path), "bus/pci/devices/%s/reset", vf);
		check(vf, "be reset", pci_host_write(path, "1"));
	}
	check(pf, "bring a controller online", manage(fd, ONLINE, s->id, 0, 0));
	printf("%s: NVMe controller %u online, %u queues, %u interrupts\n", vf, s->id, queues,
	       interrupts);
}

void pci_nvme_online(const char *pf, unsigned int n)
{
	static struct secondary_list list __attribute__((aligned(PAGE)));
	int fd = open_controller(pf);
	uint16_t queues, interrupts;
	struct primary p;

	read_primary(fd, pf, &p);
	check(pf, "list its secondary controllers", identify(fd, CNS_SECONDARY, &list));
	queues = share(&p.resources[QUEUES], n);
	interrupts = share(&p.resources[INTERRUPTS], n);
	if (queues < 2 || interrupts < 1)	/* one for commands, one for data */
		error_die(EXIT_ERROR,
			  "%s has not enough queues or interrupts for %u virtual functions", pf, n);
	for (unsigned int vf = 1; vf <= n; vf++) {
		const struct secondary *s = find(&list, vf);

		if (!s)
			error_die(EXIT_ERROR, "%s names no controller for its virtual function %u",
				  pf, vf);
		bring_up(fd, pf, s, queues, interrupts);
	}
	close(fd);
}
