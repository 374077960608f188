/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef SHIM_BITMAP_H
#define SHIM_BITMAP_H

#include <linux/bits.h>

#define BITMAP_LAST_WORD_MASK(n)	(~0ul >> (-(n) & 63))

static inline void bitmap_set(unsigned long *map, unsigned int start, unsigned int n)
{
	while (n--)
		set_bit(start++, map);
}

static inline void bitmap_zero(unsigned long *map, unsigned int n)
{
	memset(map, 0, BITS_TO_LONGS(n) * 8);
}

static inline unsigned long find_next_bit(const unsigned long *map, unsigned long size,
					  unsigned long from)
{
	while (from < size) {
		unsigned long word = map[from / 64] >> (from % 64);

		if (word) {
			from += (unsigned long)__builtin_ctzl(word);
			return from < size ? from : size;
		}
		from = (from | 63) + 1;
	}
	return size;
}

static inline bool bitmap_empty(const unsigned long *map, unsigned long size)
{
	return find_next_bit(map, size, 0) == size;
}

#define find_first_bit(map, size)	find_next_bit(map, size, 0)
#define for_each_set_bit(bit, map, size)					\
	for ((bit) = find_first_bit(map, size); (bit) < (size);			\
	     (bit) = find_next_bit(map, size, (bit) + 1))

#endif
