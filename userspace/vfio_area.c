// SPDX-License-Identifier: GPL-2.0-only
/* Which pages of a BAR a guest may have mapped: all but those that hold the MSI-X table or its PBA.
 */
#include "vfio_area.h"

static unsigned int put(struct vfio_area *areas, unsigned int n, uint64_t start, uint64_t end)
{
	start = (start + VFIO_PAGE - 1) & ~(VFIO_PAGE - 1);
	end &= ~(VFIO_PAGE - 1);
	if (start >= end || n == VFIO_MAX_AREAS)
		return n;
	areas[n] = (struct vfio_area){ start, end - start };
	return n + 1;
}

/**
 * vfio_area_cut - take a range out of areas
 *
 * Where one falls into two and there is no room for the second, that stays trapped: slower, and
 * right. Returns: how many there are then; parts of pages are gone.
 */
unsigned int vfio_area_cut(struct vfio_area *areas, unsigned int n, uint64_t start, uint64_t size)
{
	uint64_t from = start & ~(VFIO_PAGE - 1);
	uint64_t to = (start + size + VFIO_PAGE - 1) & ~(VFIO_PAGE - 1);
	struct vfio_area old[VFIO_MAX_AREAS];
	unsigned int left = 0;

	for (unsigned int i = 0; i < n; i++)
		old[i] = areas[i];
	for (unsigned int i = 0; i < n; i++) {
		uint64_t end = old[i].start + old[i].size;

		if (!size || to <= old[i].start || from >= end) {
			left = put(areas, left, old[i].start, end);
			continue;
		}
		if (from > old[i].start)
			left = put(areas, left, old[i].start, from);
		if (to < end)
			left = put(areas, left, to, end);
	}
	return left;
}
