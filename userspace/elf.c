// SPDX-License-Identifier: GPL-2.0-only
/* An ELF kernel with a PVH entry point (Linux's vmlinux, and most teaching kernels). */
#include <elf.h>
#include <stdbool.h>
#include <string.h>

#include "boot.h"

#define XEN_ELFNOTE_PHYS32_ENTRY	18
#define PVH_CMDLINE_MAX			2047

static bool inside(size_t size, uint64_t off, uint64_t len)
{
	return off <= size && len <= size - off;
}

static const char *check_header(const uint8_t *image, size_t size, Elf64_Ehdr *eh)
{
	if (size < sizeof(*eh))
		return "is too short for an ELF file";
	memcpy(eh, image, sizeof(*eh));
	if (eh->e_ident[EI_CLASS] != ELFCLASS64 || eh->e_machine != EM_X86_64 ||
	    eh->e_ident[EI_DATA] != ELFDATA2LSB)
		return "is not an x86-64 ELF file";
	if (eh->e_phentsize != sizeof(Elf64_Phdr) || !eh->e_phnum ||
	    !inside(size, eh->e_phoff, (uint64_t)eh->e_phnum * sizeof(Elf64_Phdr)))
		return "has no usable ELF program headers";
	return NULL;
}

static const char *load_segment(const struct ram *ram, const uint8_t *image, size_t size,
				const Elf64_Phdr *ph, struct boot_image *out)
{
	uint8_t *dst;

	if (!inside(size, ph->p_offset, ph->p_filesz) || ph->p_filesz > ph->p_memsz)
		return "is cut short: an ELF segment lies outside the file";
	if (!ph->p_memsz)
		return NULL;
	if (ph->p_paddr < BOOT_1M)
		return "wants the first MiB of memory, which corbel uses itself";
	dst = ram_ptr(ram, ph->p_paddr, ph->p_memsz);
	if (!dst)
		return "does not fit in the guest's memory; raise --memory";
	/* What the file does not fill is zero already: guest memory is new. */
	memcpy(dst, image + ph->p_offset, ph->p_filesz);
	if (ph->p_paddr + ph->p_memsz > out->end)
		out->end = ph->p_paddr + ph->p_memsz;
	return NULL;
}

/* Look through one note segment; note names and descriptors are padded to 4 bytes. */
static bool find_entry(const uint8_t *p, uint64_t left, uint64_t *entry)
{
	while (left >= sizeof(Elf64_Nhdr)) {
		Elf64_Nhdr nh;
		uint64_t name, desc, total;

		memcpy(&nh, p, sizeof(nh));
		name = ((uint64_t)nh.n_namesz + 3) & ~3ULL;
		desc = ((uint64_t)nh.n_descsz + 3) & ~3ULL;
		total = sizeof(nh) + name + desc;
		if (total > left)
			return false;
		if (nh.n_type == XEN_ELFNOTE_PHYS32_ENTRY && nh.n_namesz == 4 &&
		    !memcmp(p + sizeof(nh), "Xen", 4) && nh.n_descsz >= 4) {
			*entry = 0;
			memcpy(entry, p + sizeof(nh) + name, nh.n_descsz < 8 ? 4 : 8);
			return true;
		}
		p += total;
		left -= total;
	}
	return false;
}

const char *elf_load(const struct ram *ram, const uint8_t *image, size_t size,
		     struct boot_image *out)
{
	Elf64_Ehdr eh;
	const char *err = check_header(image, size, &eh);
	bool found = false;

	out->end = 0;
	for (unsigned int i = 0; !err && i < eh.e_phnum; i++) {
		Elf64_Phdr ph;

		memcpy(&ph, image + eh.e_phoff + i * sizeof(ph), sizeof(ph));
		if (ph.p_type == PT_LOAD)
			err = load_segment(ram, image, size, &ph, out);
		else if (ph.p_type == PT_NOTE && !found && inside(size, ph.p_offset, ph.p_filesz))
			found = find_entry(image + ph.p_offset, ph.p_filesz, &out->entry);
	}
	if (err)
		return err;
	if (!found)
		return "has no PVH entry point (CONFIG_PVH); give the bzImage instead";
	if (out->entry > UINT32_MAX || !ram_ptr(ram, out->entry, 1))
		return "has a PVH entry point outside of memory";
	out->mode = BOOT_PVH;
	out->initrd_max = UINT32_MAX;
	out->cmdline_max = PVH_CMDLINE_MAX;
	return NULL;
}
