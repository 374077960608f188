// SPDX-License-Identifier: GPL-2.0-only
/* The person's terminal: raw mode, the escape key, and standard input on its way to the guest. */
#include <errno.h>
#include <poll.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

#include "machine.h"
#include "pm.h"
#include "stats.h"
#include "term.h"

#define ESCAPE	1	/* Ctrl-A */

/* There is one terminal per process; all but @waiting is used by the main loop only. */
static struct {
	struct machine *m;
	struct term_sink sink;
	int resume_fd;
	bool raw, escaped, eof, polled;
	atomic_bool waiting;		/* the guest has no room for what is in @buf */
	struct termios saved;
	uint8_t buf[256];
	size_t len;
} term = { .resume_fd = -1 };

static const char help[] =
	"\r\nCtrl-A x  quit\r\n"
	"Ctrl-A p  press the power button\r\n"
	"Ctrl-A i  print counters\r\n"
	"Ctrl-A a  send Ctrl-A to the guest\r\n"
	"Ctrl-A ?  this list\r\n";

int term_is_tty(void)
{
	return isatty(STDIN_FILENO);
}

static void restore(void)
{
	if (term.raw)
		tcsetattr(STDIN_FILENO, TCSANOW, &term.saved);
	term.raw = false;
}

/* Output processing stays on: the host's own messages end in a bare line feed. */
static void make_raw(void)
{
	static bool registered;
	struct termios t;

	if (tcgetattr(STDIN_FILENO, &term.saved))
		return;
	t = term.saved;
	t.c_iflag &= ~(IGNBRK | BRKINT | PARMRK | ISTRIP | INLCR | IGNCR | ICRNL | IXON);
	t.c_lflag &= ~(ECHO | ECHONL | ICANON | ISIG | IEXTEN);
	t.c_cflag = (t.c_cflag & ~(CSIZE | PARENB)) | CS8;
	if (!registered)
		atexit(restore);
	registered = true;
	term.raw = !tcsetattr(STDIN_FILENO, TCSANOW, &t);
}

static void escape_command(uint8_t key)
{
	switch (key) {
	case 'x':
		machine_end(term.m, END_QUIT);
		break;
	case 'p':
		pm_power_button(term.m);
		break;
	case 'i':
		stats_print(term.m);
		break;
	default:
		term_write(STDERR_FILENO, help, sizeof(help) - 1);
	}
}

/* Take the escape sequences out of what was typed. Returns: how much is left. */
static size_t filter(uint8_t *p, size_t len)
{
	size_t kept = 0;

	for (size_t i = 0; i < len; i++) {
		if (!term.escaped && p[i] == ESCAPE) {
			term.escaped = true;
		} else if (!term.escaped || p[i] == 'a' || p[i] == ESCAPE) {
			p[kept++] = term.escaped ? ESCAPE : p[i];
			term.escaped = false;
		} else {
			term.escaped = false;
			escape_command(p[i]);
		}
	}
	return kept;
}

static void set_polling(bool on)
{
	if (term.polled)
		loop_set(&term.m->loop, STDIN_FILENO, on ? EPOLLIN : 0);
}

/* Hand over as much of @buf as the guest takes. Returns: whether it took all. */
static bool push(void)
{
	size_t n;

	if (!term.len)
		return true;
	term.waiting = true;
	n = term.sink.input(term.sink.dev, term.buf, term.len);
	term.len -= n;
	memmove(term.buf, term.buf + n, term.len);
	if (term.len)
		return false;
	term.waiting = false;
	return true;
}

/* Returns: false when there is nothing now. */
static bool pull(void)
{
	ssize_t n = read(STDIN_FILENO, term.buf, sizeof(term.buf));

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return false;
	if (n <= 0)
		term.eof = true;
	else
		term.len = term.raw ? filter(term.buf, n) : (size_t)n;
	return true;
}

/*
 * While the guest takes nothing, standard input is not watched: it fills up instead. After its end
 * it is not watched either: a closed pipe would report itself for ever. A read that could block is
 * made only where epoll has reported data.
 */
static void move(bool readable)
{
	bool more = readable || !term.polled;

	while (push() && !term.eof && more)
		more = pull() && !term.polled;
	set_polling(!term.len && !term.eof);
}

static void readable(void *ctx, uint32_t events)
{
	(void)ctx;
	(void)events;
	move(true);
}

static void resumed(void *ctx, uint32_t events)
{
	uint64_t n;

	(void)ctx;
	(void)events;
	if (read(term.resume_fd, &n, sizeof(n)) > 0)
		move(false);
}

/* Context: any thread. */
void term_resume(void)
{
	if (term.waiting)
		loop_kick(term.resume_fd);
}

void term_attach(struct machine *m, const struct term_sink *sink)
{
	int ret;

	term.m = m;
	term.sink = *sink;
	if (term.resume_fd < 0)
		term.resume_fd = loop_eventfd();
	loop_add(&m->loop, term.resume_fd, EPOLLIN, resumed, NULL);
	if (term_is_tty() && !term.raw)
		make_raw();
	ret = loop_add(&m->loop, STDIN_FILENO, EPOLLIN, readable, NULL);
	term.polled = !ret;
	/* A regular file cannot be watched and is always ready: start by hand. */
	if (ret == -EPERM) {
		term.waiting = true;
		term_resume();
	}
}

/* What was typed for the old guest and not yet taken goes to the next one. */
void term_detach(void)
{
	restore();
	term.waiting = false;
	term.m = NULL;
}

void term_size(uint16_t *cols, uint16_t *rows)
{
	struct winsize ws;

	*cols = *rows = 0;
	if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &ws))
		return;
	*cols = ws.ws_col;
	*rows = ws.ws_row;
}

void term_resize(void)
{
	if (term.m && term.sink.resized)
		term.sink.resized(term.sink.dev);
}

/* All of it, even where the descriptor is non-blocking; a reader that went away is no error. */
void term_write(int fd, const void *data, size_t len)
{
	const uint8_t *p = data;

	while (len) {
		ssize_t n = write(fd, p, len);

		if (n < 0 && errno == EAGAIN) {
			struct pollfd pfd = { .fd = fd, .events = POLLOUT };

			poll(&pfd, 1, -1);
		} else if (n < 0 && errno != EINTR) {
			return;
		} else if (n > 0) {
			p += n;
			len -= n;
		}
	}
}
