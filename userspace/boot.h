/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef BOOT_H
#define BOOT_H

#include <stddef.h>
#include <stdint.h>

#include "ram.h"

struct machine;
struct vcpu;

/* Where things lie in the first MiB. */
#define BOOT_GDT	0x500
#define BOOT_PARAMS	0x7000		/* zero page, or hvm_start_info */
#define BOOT_MODULES	0x7800		/* PVH: module list and memory map */
#define BOOT_PAGE_TABLES 0x9000		/* PML4, PDPT, 4 page directories */
#define BOOT_CMDLINE	0x20000
#define BOOT_EBDA	0x9fc00
#define BOOT_ACPI	0xe0000
#define BOOT_1M		0x100000

enum boot_mode { BOOT_LINUX64, BOOT_LINUX32, BOOT_PVH };

/* What a loaded kernel wants; filled by bzimage_load() or elf_load(). */
struct boot_image {
	enum boot_mode mode;
	uint64_t entry;
	uint64_t end;			/* first address that the kernel does not need */
	uint64_t initrd_max;		/* highest address that the initrd may occupy */
	uint32_t cmdline_max;		/* without the final 0 */
};

/* One piece of guest memory, with its type as in e820. */
struct boot_region {
	uint64_t start, size;
	uint32_t type;
};

#define BOOT_E820_RAM		1
#define BOOT_E820_RESERVED	2
#define BOOT_MAX_REGIONS	6

/*
 * A loader recognizes and places a kernel. @image is the whole file.
 * Returns: NULL, or what is wrong with the file, as the end of "kernel FILE ...".
 */
const char *bzimage_load(const struct ram *ram, const uint8_t *image, size_t size,
			 struct boot_image *out);
const char *elf_load(const struct ram *ram, const uint8_t *image, size_t size,
		     struct boot_image *out);

unsigned int boot_memory_map(const struct ram *ram, struct boot_region *map);
void boot_load(struct machine *m);
void bootregs_set(struct vcpu *v, const struct boot_image *image);

#endif
