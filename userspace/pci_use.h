/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef PCI_USE_H
#define PCI_USE_H

#include <stdbool.h>
#include <stddef.h>

bool pci_use_by_host(const char *name, char *by, size_t size);
bool pci_use_by_guest(const char *name);

#endif
