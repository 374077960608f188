/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef VFIO_AREA_H
#define VFIO_AREA_H

#include <stdint.h>

#define VFIO_MAX_AREAS	8
#define VFIO_PAGE	4096ULL

/* Whole pages of a BAR. */
struct vfio_area {
	uint64_t start, size;
};

unsigned int vfio_area_cut(struct vfio_area *areas, unsigned int n, uint64_t start, uint64_t size);

#endif
