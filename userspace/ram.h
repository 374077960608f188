/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef RAM_H
#define RAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define RAM_HOLE_START	0xc0000000ULL	/* PCI windows, ECAM, IOAPIC, LAPIC live above */
#define RAM_HOLE_END	0x100000000ULL

enum ram_backend { RAM_ANON, RAM_MEMFD, RAM_HUGETLB };

/*
 * Guest memory is one host mapping. Its first @low bytes are at guest-physical 0, the rest is at
 * 4 GiB.
 */
struct ram {
	uint8_t *base;
	uint64_t size;
	uint64_t low;
	enum ram_backend backend;
	int fd;
	bool pinned;	/* devices may access all of it, at the host's addresses of today */
};

void ram_init(struct ram *ram, uint64_t size, enum ram_backend backend, bool merge);
void ram_free(struct ram *ram);
void *ram_ptr(const struct ram *ram, uint64_t gpa, uint64_t len);
uint64_t ram_top(const struct ram *ram);
void ram_discard(const struct ram *ram, uint64_t gpa, uint64_t len);

#endif
