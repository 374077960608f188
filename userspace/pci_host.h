/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef PCI_HOST_H
#define PCI_HOST_H

#include <stdbool.h>
#include <stddef.h>

#define PCI_HOST_NAME	16	/* "0000:01:00.0" and more digits of a domain */
#define PCI_HOST_MAX	256	/* names in one list */

struct pci_host_list {
	unsigned int n;
	char names[PCI_HOST_MAX][PCI_HOST_NAME];
};

extern const char *pci_host_sysfs;	/* "/sys"; tests have another one */

bool pci_host_parse(const char *text, char *name);
bool pci_host_exists(const char *name);
bool pci_host_link(const char *name, const char *attr, char *to, size_t size);
int pci_host_group(const char *name);
bool pci_host_driver(const char *name, char *driver, size_t size);
bool pci_host_line(const char *path, char *value, size_t size);
bool pci_host_attr(const char *name, const char *attr, char *value, size_t size);
int pci_host_write(const char *path, const char *value);
void pci_host_functions(struct pci_host_list *list);
void pci_host_group_functions(int group, struct pci_host_list *list);
bool pci_host_harmless(const char *name, const char *driver);
bool pci_host_remapped(void);
bool pci_host_unsafe_allowed(void);

#endif
