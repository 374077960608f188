/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef PCI_VFS_H
#define PCI_VFS_H

void pci_vfs_set(const char *name, unsigned int n);
void pci_nvme_release(const char *pf);
void pci_nvme_online(const char *pf, unsigned int n);

#endif
