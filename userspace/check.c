// SPDX-License-Identifier: GPL-2.0-only
/* corbel check: can this host run guests, and if not, what to do about it. */
#include <errno.h>
#include <linux/kvm.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "check.h"
#include "error.h"
#include "vm.h"

/* Returns: whether the file's first line could be read. */
static int first_line(const char *path, char *line, size_t size)
{
	FILE *f = fopen(path, "re");
	int ok = f && fgets(line, size, f);

	if (f)
		fclose(f);
	if (ok)
		line[strcspn(line, "\n")] = 0;
	return ok;
}

static void print_module(const char *name)
{
	char path[64], line[64];

	snprintf(path, sizeof(path), "/sys/module/%s", name);
	if (access(path, F_OK))
		return;
	snprintf(path, sizeof(path), "/sys/module/%s/version", name);
	if (first_line(path, line, sizeof(line)))
		printf("module %s, version %s\n", name, line);
	else
		printf("module %s\n", name);
}

/* What the CPU has, told before the module is asked: it explains most refusals. */
static void print_cpu(void)
{
	FILE *f = fopen("/proc/cpuinfo", "re");
	char line[8192];

	while (f && fgets(line, sizeof(line), f)) {
		if (strncmp(line, "flags", 5))
			continue;
		if (strstr(line, " vmx"))
			printf("CPU: Intel VT-x\n");
		else if (strstr(line, " svm"))
			printf("CPU: AMD-V\n");
		else
			printf("CPU: no VT-x or AMD-V seen; in a virtual machine, enable nested "
			       "virtualization outside\n");
		break;
	}
	if (f)
		fclose(f);
}

static void print_caps(int fd)
{
	static const struct { int cap; const char *name; } caps[] = {
		{ KVM_CAP_NR_VCPUS, "vCPUs recommended" },
		{ KVM_CAP_MAX_VCPUS, "vCPUs at most" },
		{ KVM_CAP_NR_MEMSLOTS, "memory slots" },
		{ KVM_CAP_IRQCHIP, "in-kernel interrupt controllers" },
		{ KVM_CAP_IRQFD, "irqfd" },
		{ KVM_CAP_IOEVENTFD, "ioeventfd" },
		{ KVM_CAP_TSC_DEADLINE_TIMER, "TSC-deadline timer" },
		{ KVM_CAP_BINARY_STATS_FD, "counters" },
	};

	for (unsigned int i = 0; i < sizeof(caps) / sizeof(caps[0]); i++)
		printf("  %-34s %d\n", caps[i].name, vm_cap(fd, caps[i].cap));
}

/* Opening tells little: only a VM shows that the CPU's virtualization can be turned on. */
static void try_vm(int fd, const char *path)
{
	int vm = ioctl(fd, KVM_CREATE_VM, 0);

	if (vm < 0)
		error_die(EXIT_ERROR, "%s cannot create a VM: %s; see dmesg", path,
			  strerror(errno));
	close(vm);
}

int check_main(int argc, char **argv)
{
	const char *device = NULL, *path;
	int fd;

	if (argc == 3 && !strcmp(argv[1], "--device"))
		device = argv[2];
	else if (argc != 1)
		error_die(EXIT_USAGE, "usage: corbel check [--device PATH]");
	print_cpu();
	print_module("corbel");
	print_module("kvm_intel");
	print_module("kvm_amd");
	fflush(stdout);
	fd = vm_open(device, &path);
	try_vm(fd, path);
	printf("%s: KVM API version %d\n", path, KVM_API_VERSION);
	print_caps(fd);
	close(fd);
	printf("ready\n");
	return 0;
}
