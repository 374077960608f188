// SPDX-License-Identifier: GPL-2.0-only
/* Catches: kernel images that lie about their sizes, offsets and addresses. */
#include <asm/bootparam.h>
#include <elf.h>
#include <stdlib.h>
#include <string.h>

#include "boot.h"
#include "check.h"
#include "world.h"

#define SETUP_SECTS	4
#define BODY		(64 << 10)
#define BZIMAGE_SIZE	((SETUP_SECTS + 1) * 512 + BODY)
#define ELF_SIZE	0x3000

static struct world w;
static struct boot_image image;

static void make_bzimage(uint8_t *file)
{
	struct setup_header *h = (struct setup_header *)(file + 0x1f1);

	if (!w.m.ram.base)
		world_init(&w);
	memset(file, 0x11, BZIMAGE_SIZE);
	memset(h, 0, sizeof(*h));
	h->setup_sects = SETUP_SECTS;
	h->boot_flag = 0xaa55;
	h->header = 0x53726448;
	h->version = 0x020f;
	h->loadflags = LOADED_HIGH;
	h->jump = 0x66eb;
	h->syssize = BODY / 16;
	h->xloadflags = XLF_KERNEL_64;
	h->relocatable_kernel = 1;
	h->pref_address = 0x200000;
	h->init_size = 2 * BODY;
	h->cmdline_size = 2047;
	h->initrd_addr_max = 0x7fffffff;
}

/* The exact size matters: ASan sees one byte too far. */
static const char *load(const char *(*loader)(const struct ram *, const uint8_t *, size_t,
					      struct boot_image *),
			const uint8_t *file, size_t size)
{
	uint8_t *exact = malloc(size ? size : 1);
	const char *err;

	memcpy(exact, file, size);
	memset(&image, 0, sizeof(image));
	err = loader(&w.m.ram, exact, size, &image);
	free(exact);
	return err;
}

static uint8_t file[BZIMAGE_SIZE];
static struct setup_header *const hdr = (struct setup_header *)(file + 0x1f1);

static void bzimage_good(void)
{
	make_bzimage(file);
	CHECK(!load(bzimage_load, file, sizeof(file)));
	CHECK_EQ(image.mode, BOOT_LINUX64);
	CHECK_EQ(image.entry, 0x200200);
	CHECK_EQ(image.end, 0x200000 + 2 * BODY);
	CHECK_EQ(image.cmdline_max, 2047);
	CHECK_EQ(w.m.ram.base[0x200000 + BODY - 1], 0x11);
	hdr->xloadflags = 0;
	CHECK(!load(bzimage_load, file, sizeof(file)));
	CHECK_EQ(image.mode, BOOT_LINUX32);
	CHECK_EQ(image.entry, 0x200000);
}

static void bzimage_truncated(void)
{
	make_bzimage(file);
	for (size_t size = 0; size < sizeof(file); size += size < 0x400 ? 1 : 509)
		CHECK(load(bzimage_load, file, size));
	CHECK(load(bzimage_load, file, sizeof(file) - 32));
}

static void bzimage_bad_header(void)
{
	make_bzimage(file);
	hdr->boot_flag = 0;
	CHECK(load(bzimage_load, file, sizeof(file)));
	make_bzimage(file);
	hdr->header = 0;
	CHECK(load(bzimage_load, file, sizeof(file)));
	make_bzimage(file);
	hdr->version = 0x0205;
	CHECK(load(bzimage_load, file, sizeof(file)));
	make_bzimage(file);
	hdr->loadflags = 0;
	CHECK(load(bzimage_load, file, sizeof(file)));
	make_bzimage(file);
	hdr->setup_sects = 255;
	CHECK(load(bzimage_load, file, sizeof(file)));
}

static void bzimage_outside(void)
{
	static const uint64_t addresses[] = { WORLD_LOW - BODY, WORLD_LOW, 0xffffffff00000000ULL,
					      ~0ULL, RAM_HOLE_END - 1 };

	for (unsigned int i = 0; i < sizeof(addresses) / sizeof(addresses[0]); i++) {
		make_bzimage(file);
		hdr->pref_address = addresses[i];
		CHECK(load(bzimage_load, file, sizeof(file)));
	}
	make_bzimage(file);
	hdr->init_size = ~0u;
	CHECK(load(bzimage_load, file, sizeof(file)));
	make_bzimage(file);
	hdr->pref_address = 0;	/* would overwrite what corbel puts into the first MiB */
	CHECK(!load(bzimage_load, file, sizeof(file)));
	CHECK_EQ(image.entry, 0x100200);
}

static uint8_t elf[ELF_SIZE];
static Elf64_Ehdr *const eh = (Elf64_Ehdr *)elf;
static Elf64_Phdr *const ph = (Elf64_Phdr *)(elf + sizeof(Elf64_Ehdr));
static struct { Elf64_Nhdr nh; char name[4]; uint64_t entry; } *const note = (void *)(elf + 0x800);

static void make_elf(void)
{
	if (!w.m.ram.base)
		world_init(&w);
	memset(elf, 0, sizeof(elf));
	memcpy(eh->e_ident, ELFMAG, SELFMAG);
	eh->e_ident[EI_CLASS] = ELFCLASS64;
	eh->e_ident[EI_DATA] = ELFDATA2LSB;
	eh->e_machine = EM_X86_64;
	eh->e_phoff = sizeof(*eh);
	eh->e_phentsize = sizeof(*ph);
	eh->e_phnum = 2;
	ph[0] = (Elf64_Phdr){ .p_type = PT_LOAD, .p_offset = 0x1000, .p_paddr = 0x100000,
			      .p_filesz = 0x2000, .p_memsz = 0x5000 };
	ph[1] = (Elf64_Phdr){ .p_type = PT_NOTE, .p_offset = 0x800, .p_filesz = sizeof(*note) };
	note->nh = (Elf64_Nhdr){ .n_namesz = 4, .n_descsz = 8, .n_type = 18 };
	memcpy(note->name, "Xen", 4);
	note->entry = 0x100040;
	memset(elf + 0x1000, 0x22, 0x2000);
}

static void elf_good(void)
{
	make_elf();
	CHECK(!load(elf_load, elf, sizeof(elf)));
	CHECK_EQ(image.mode, BOOT_PVH);
	CHECK_EQ(image.entry, 0x100040);
	CHECK_EQ(image.end, 0x105000);
	CHECK_EQ(w.m.ram.base[0x101fff], 0x22);
	note->nh.n_descsz = 4;
	CHECK(!load(elf_load, elf, sizeof(elf)));
	CHECK_EQ(image.entry, 0x100040);
}

static void elf_truncated(void)
{
	make_elf();
	for (size_t size = 0; size < sizeof(elf); size += 7)
		CHECK(load(elf_load, elf, size));
}

static void elf_bad_segments(void)
{
	static const Elf64_Phdr bad[] = {
		{ .p_offset = ~0ULL, .p_filesz = 2, .p_memsz = 2, .p_paddr = 0x100000 },
		{ .p_offset = 0x1000, .p_filesz = ~0ULL, .p_memsz = ~0ULL, .p_paddr = 0x100000 },
		{ .p_offset = 0x1000, .p_filesz = 0x2001, .p_memsz = 0x3000, .p_paddr = 0x100000 },
		{ .p_offset = 0x1000, .p_filesz = 0x200, .p_memsz = 0x100, .p_paddr = 0x100000 },
		{ .p_offset = 0x1000, .p_filesz = 0x200, .p_memsz = ~0ULL, .p_paddr = 0x100000 },
		{ .p_offset = 0x1000, .p_filesz = 0x200, .p_memsz = 0x200, .p_paddr = 0xff000 },
		{ .p_offset = 0x1000, .p_filesz = 9, .p_memsz = 9, .p_paddr = WORLD_LOW - 1 },
		{ .p_offset = 0x1000, .p_filesz = 0x200, .p_memsz = 0x200, .p_paddr = ~0ULL - 8 },
	};

	for (unsigned int i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		make_elf();
		ph[0] = bad[i];
		ph[0].p_type = PT_LOAD;
		CHECK(load(elf_load, elf, sizeof(elf)));
	}
}

static void elf_bad_headers(void)
{
	make_elf();
	eh->e_phoff = ~0ULL - 8;
	CHECK(load(elf_load, elf, sizeof(elf)));
	make_elf();
	eh->e_phnum = 0xffff;
	CHECK(load(elf_load, elf, sizeof(elf)));
	make_elf();
	eh->e_phentsize = 8;
	CHECK(load(elf_load, elf, sizeof(elf)));
	make_elf();
	eh->e_ident[EI_CLASS] = ELFCLASS32;
	CHECK(load(elf_load, elf, sizeof(elf)));
	make_elf();
	eh->e_machine = EM_AARCH64;
	CHECK(load(elf_load, elf, sizeof(elf)));
}

static void elf_bad_notes(void)
{
	make_elf();
	note->nh.n_namesz = ~0u;
	CHECK(load(elf_load, elf, sizeof(elf)));
	make_elf();
	note->nh.n_descsz = ~0u - 2;
	CHECK(load(elf_load, elf, sizeof(elf)));
	make_elf();
	note->nh.n_descsz = 2;
	CHECK(load(elf_load, elf, sizeof(elf)));
	make_elf();
	ph[1].p_offset = ~0ULL;
	CHECK(load(elf_load, elf, sizeof(elf)));
	make_elf();
	note->entry = 0x100000000ULL;
	CHECK(load(elf_load, elf, sizeof(elf)));
	make_elf();
	note->entry = WORLD_LOW;
	CHECK(load(elf_load, elf, sizeof(elf)));
}

/* Flip bytes of good files: the loaders may take or refuse them, but not fall over. */
static void mutations(void)
{
	unsigned long rounds = world_env("ROUNDS", 40000) / 8;

	for (unsigned long i = 0; i < rounds; i++) {
		make_elf();
		for (unsigned int n = 1 + world_random() % 8; n; n--)
			elf[world_random() % 0x100] = world_random();
		if (world_random() & 1)
			elf[0x800 + world_random() % 32] = world_random();
		load(elf_load, elf, sizeof(elf));
		make_bzimage(file);
		for (unsigned int n = 1 + world_random() % 8; n; n--)
			file[0x1f1 + world_random() % 0x80] = world_random();
		load(bzimage_load, file, sizeof(file));
	}
	CHECK(rounds);
}

static const struct check_case cases[] = {
	{ "a good bzImage", bzimage_good },
	{ "truncated bzImages", bzimage_truncated },
	{ "bzImages with bad headers", bzimage_bad_header },
	{ "bzImages that want to be elsewhere", bzimage_outside },
	{ "a good ELF kernel", elf_good },
	{ "truncated ELF kernels", elf_truncated },
	{ "ELF kernels with bad segments", elf_bad_segments },
	{ "ELF kernels with bad headers", elf_bad_headers },
	{ "ELF kernels with bad notes", elf_bad_notes },
	{ "mutations of both", mutations },
};

CHECK_MAIN(cases)
