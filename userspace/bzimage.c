// SPDX-License-Identifier: GPL-2.0-only
/* Linux's bzImage: the x86 boot protocol, 2.06 and up, entered past the real-mode code. */
#include <asm/bootparam.h>
#include <string.h>

#include "boot.h"

#define HDR_OFFSET	0x1f1
#define HDR_MAGIC	0x53726448	/* "HdrS" */
#define MIN_VERSION	0x0206		/* cmdline_size */
#define KERNEL_DEFAULT	BOOT_1M

static const char *check_header(const uint8_t *image, size_t size, struct setup_header *hdr)
{
	if (size < HDR_OFFSET + sizeof(*hdr))
		return "is too short for a bzImage";
	memcpy(hdr, image + HDR_OFFSET, sizeof(*hdr));
	if (hdr->boot_flag != 0xaa55 || hdr->header != HDR_MAGIC)
		return "is neither a bzImage nor an ELF file";
	if (hdr->version < MIN_VERSION)
		return "is too old: its boot protocol is below 2.06";
	if (!(hdr->loadflags & LOADED_HIGH))
		return "is a zImage, which loads low; a bzImage is needed";
	return NULL;
}

/* The address at which the kernel need not move itself before it unpacks. */
static uint64_t load_address(const struct setup_header *hdr)
{
	if (hdr->version >= 0x020a && hdr->relocatable_kernel && hdr->pref_address >= BOOT_1M)
		return hdr->pref_address;
	return KERNEL_DEFAULT;
}

static void fill_params(struct boot_params *bp, const uint8_t *image,
			const struct setup_header *hdr, uint64_t load)
{
	/* The header may be longer than this build's struct: its length is the jump's target. */
	size_t end = 0x202 + image[0x201];
	size_t max = offsetof(struct boot_params, edd_mbr_sig_buffer);

	memset(bp, 0, sizeof(*bp));
	if (end > max)
		end = max;
	memcpy((uint8_t *)bp + HDR_OFFSET, image + HDR_OFFSET, end - HDR_OFFSET);
	bp->hdr.type_of_loader = 0xff;
	bp->hdr.loadflags = hdr->loadflags & ~CAN_USE_HEAP;
	bp->hdr.code32_start = load;
}

const char *bzimage_load(const struct ram *ram, const uint8_t *image, size_t size,
			 struct boot_image *out)
{
	struct setup_header hdr;
	const char *err = check_header(image, size, &hdr);
	uint64_t load, setup, body, room;
	void *dst;

	if (err)
		return err;
	setup = ((hdr.setup_sects ? hdr.setup_sects : 4) + 1) * 512ULL;
	if (setup >= size)
		return "is cut short: its protected-mode part is missing";
	body = size - setup;
	if (hdr.syssize && hdr.syssize * 16ULL > body + 15)
		return "is cut short: its header promises more than the file holds";
	load = load_address(&hdr);
	room = hdr.version >= 0x020a && hdr.init_size > body ? hdr.init_size : body;
	dst = ram_ptr(ram, load, room);
	if (!dst)
		return "does not fit in the guest's memory; raise --memory";
	memcpy(dst, image + setup, body);
	fill_params(ram_ptr(ram, BOOT_PARAMS, sizeof(struct boot_params)), image, &hdr, load);
	out->mode = hdr.version >= 0x020c && (hdr.xloadflags & XLF_KERNEL_64) ?
		    BOOT_LINUX64 : BOOT_LINUX32;
	out->entry = out->mode == BOOT_LINUX64 ? load + 0x200 : load;
	out->end = load + room;
	out->initrd_max = hdr.initrd_addr_max ? hdr.initrd_addr_max : 0x37ffffff;
	out->cmdline_max = hdr.cmdline_size ? hdr.cmdline_size : 255;
	return NULL;
}
