/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef ACPI_H
#define ACPI_H

struct machine;

void acpi_write(struct machine *m);

#endif
