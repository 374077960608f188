/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef TERM_H
#define TERM_H

#include <stddef.h>
#include <stdint.h>

struct machine;

/*
 * The guest device that the person's keys go to. input() takes what it has room for and returns
 * how much that was; it calls term_resume() when it has room again.
 */
struct term_sink {
	size_t (*input)(void *dev, const uint8_t *data, size_t len);
	void (*resized)(void *dev);
	void *dev;
};

void term_attach(struct machine *m, const struct term_sink *sink);
void term_detach(void);
void term_resume(void);
int term_is_tty(void);
void term_size(uint16_t *cols, uint16_t *rows);
void term_resize(void);
void term_write(int fd, const void *data, size_t len);

#endif
