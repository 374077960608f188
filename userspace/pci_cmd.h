/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef PCI_CMD_H
#define PCI_CMD_H

int pci_cmd_main(int argc, char **argv);

#endif
