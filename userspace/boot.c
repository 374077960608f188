// SPDX-License-Identifier: GPL-2.0-only
/* What firmware would have done: the kernel, its initrd, command line, memory map and registers. */
#include <asm/bootparam.h>
#include <elf.h>
#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "acpi.h"
#include "boot.h"
#include "error.h"
#include "machine.h"
#include "vcpu.h"

#define HVM_START_MAGIC	0x336ec578
#define PAGE		4096ULL

/* The PVH boot protocol's structures, version 1. */
struct hvm_start_info {
	uint32_t magic, version, flags, nr_modules;
	uint64_t modlist, cmdline, rsdp, memmap;
	uint32_t memmap_entries, reserved;
};

struct hvm_modlist_entry {
	uint64_t paddr, size, cmdline, reserved;
};

struct hvm_memmap_entry {
	uint64_t addr, size;
	uint32_t type, reserved;
};

unsigned int boot_memory_map(const struct ram *ram, struct boot_region *map)
{
	struct boot_region *r = map;

	*r++ = (struct boot_region){ 0, BOOT_EBDA, BOOT_E820_RAM };
	*r++ = (struct boot_region){ BOOT_EBDA, BOOT_1M - BOOT_EBDA, BOOT_E820_RESERVED };
	*r++ = (struct boot_region){ BOOT_1M, ram->low - BOOT_1M, BOOT_E820_RAM };
	*r++ = (struct boot_region){ PCI_ECAM_BASE, PCI_ECAM_SIZE, BOOT_E820_RESERVED };
	if (ram->size > ram->low)
		*r++ = (struct boot_region){ RAM_HOLE_END, ram->size - ram->low, BOOT_E820_RAM };
	return r - map;
}

static void load_kernel(struct machine *m, struct boot_image *image)
{
	const struct config_file *f = &m->config->kernel;
	uint8_t *map = mmap(NULL, f->size, PROT_READ, MAP_PRIVATE, f->fd, 0);
	const char *err;

	if (map == MAP_FAILED)
		error_die(EXIT_ERROR, "cannot map kernel %s: %s", f->path, strerror(errno));
	if (f->size >= SELFMAG && !memcmp(map, ELFMAG, SELFMAG))
		err = elf_load(&m->ram, map, f->size, image);
	else
		err = bzimage_load(&m->ram, map, f->size, image);
	if (err)
		error_die(EXIT_ERROR, "kernel %s %s", f->path, err);
	munmap(map, f->size);
}

/* As high as it may go: the kernel needs the memory right above itself. */
static uint64_t load_initrd(struct machine *m, const struct boot_image *image)
{
	const struct config_file *f = &m->config->initrd;
	uint64_t top = m->ram.low;
	uint64_t at, done = 0;
	uint8_t *dst;

	if (!f->path)
		return 0;
	if (image->initrd_max < top)
		top = image->initrd_max + 1;
	at = f->size < top ? (top - f->size) & ~(PAGE - 1) : 0;
	if (at < image->end)
		error_die(EXIT_ERROR, "initrd %s (%llu MiB) does not fit beside the kernel; raise "
			  "--memory", f->path, (unsigned long long)f->size >> 20);
	dst = ram_ptr(&m->ram, at, f->size);
	while (done < f->size) {
		ssize_t n = pread(f->fd, dst + done, f->size - done, done);

		if (n <= 0)
			error_die(EXIT_ERROR, "cannot read initrd %s: %s", f->path,
				  n ? strerror(errno) : "it has become shorter");
		done += n;
	}
	return at;
}

static void load_cmdline(struct machine *m, const struct boot_image *image)
{
	size_t len = strlen(m->config->append);

	if (len > image->cmdline_max || len > 0xfff)
		error_die(EXIT_ERROR, "--append has %zu characters, this kernel takes %u", len,
			  image->cmdline_max < 0xfff ? image->cmdline_max : 0xfff);
	memcpy(ram_ptr(&m->ram, BOOT_CMDLINE, len + 1), m->config->append, len + 1);
}

static void finish_linux(struct machine *m, uint64_t initrd)
{
	struct boot_params *bp = ram_ptr(&m->ram, BOOT_PARAMS, sizeof(*bp));
	struct boot_region map[BOOT_MAX_REGIONS];
	unsigned int n = boot_memory_map(&m->ram, map);

	bp->hdr.cmd_line_ptr = BOOT_CMDLINE;
	bp->hdr.ramdisk_image = initrd;
	bp->hdr.ramdisk_size = initrd ? m->config->initrd.size : 0;
	bp->acpi_rsdp_addr = BOOT_ACPI;
	bp->e820_entries = n;
	for (unsigned int i = 0; i < n; i++)
		bp->e820_table[i] = (struct boot_e820_entry){ map[i].start, map[i].size,
							      map[i].type };
}

static void finish_pvh(struct machine *m, uint64_t initrd)
{
	struct hvm_start_info *info = ram_ptr(&m->ram, BOOT_PARAMS, sizeof(*info));
	struct hvm_modlist_entry *mod = ram_ptr(&m->ram, BOOT_MODULES, sizeof(*mod));
	struct hvm_memmap_entry *mem = ram_ptr(&m->ram, BOOT_MODULES + sizeof(*mod),
					       BOOT_MAX_REGIONS * sizeof(*mem));
	struct boot_region map[BOOT_MAX_REGIONS];
	unsigned int n = boot_memory_map(&m->ram, map);

	*info = (struct hvm_start_info){
		.magic = HVM_START_MAGIC, .version = 1, .nr_modules = !!initrd,
		.modlist = BOOT_MODULES, .cmdline = BOOT_CMDLINE, .rsdp = BOOT_ACPI,
		.memmap = BOOT_MODULES + sizeof(*mod), .memmap_entries = n,
	};
	*mod = (struct hvm_modlist_entry){ .paddr = initrd, .size = m->config->initrd.size };
	for (unsigned int i = 0; i < n; i++)
		mem[i] = (struct hvm_memmap_entry){ map[i].start, map[i].size, map[i].type, 0 };
}

void boot_load(struct machine *m)
{
	struct boot_image image = { 0 };
	uint64_t initrd;

	load_kernel(m, &image);
	initrd = load_initrd(m, &image);
	load_cmdline(m, &image);
	acpi_write(m);
	if (image.mode == BOOT_PVH)
		finish_pvh(m, initrd);
	else
		finish_linux(m, initrd);
	bootregs_set(&m->vcpus[0], &image);
}
