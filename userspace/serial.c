// SPDX-License-Identifier: GPL-2.0-only
/* A 16550A serial port at COM1. */
#include <linux/serial_reg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "error.h"
#include "machine.h"
#include "term.h"

#define COM1		0x3f8
#define COM1_GSI	4
#define FIFO_SIZE	16
#define OUT_SIZE	512
#define FLUSH_NS	4000000

struct serial {
	struct device device;
	struct machine *m;
	pthread_mutex_t lock;	/* guards all below */
	uint8_t ier, lcr, mcr, scr, dll, dlm, fcr;
	bool thr_empty;		/* a transmitter-empty interrupt that the guest has not seen */
	bool irq;
	bool interactive;
	uint8_t fifo[FIFO_SIZE];
	unsigned int first, count;
	int out_fd, timer_fd;
	bool timer_armed;
	uint8_t out[OUT_SIZE];
	unsigned int out_len;
};

static void flush(struct serial *s)
{
	if (s->out_fd >= 0)
		term_write(s->out_fd, s->out, s->out_len);
	s->out_len = 0;
}

/* Text goes out by lines; the timer brings out a prompt, which has no end of line. */
static void put(struct serial *s, uint8_t c)
{
	static const struct itimerspec soon = { .it_value.tv_nsec = FLUSH_NS };

	s->out[s->out_len++] = c;
	if (c == '\n' || s->out_len == OUT_SIZE) {
		flush(s);
	} else if (!s->timer_armed) {
		timerfd_settime(s->timer_fd, 0, &soon, NULL);
		s->timer_armed = true;
	}
}

static void timer_expired(void *ctx, uint32_t events)
{
	struct serial *s = ctx;

	(void)events;
	if (!loop_kicked(s->timer_fd))
		return;
	pthread_mutex_lock(&s->lock);
	s->timer_armed = false;
	flush(s);
	pthread_mutex_unlock(&s->lock);
}

static uint8_t pending(const struct serial *s)
{
	if (s->count && (s->ier & UART_IER_RDI))
		return UART_IIR_RDI;
	if (s->thr_empty && (s->ier & UART_IER_THRI))
		return UART_IIR_THRI;
	return UART_IIR_NO_INT;
}

/* OUT2 gates the interrupt line on a PC. */
static void update_irq(struct serial *s)
{
	bool irq = pending(s) != UART_IIR_NO_INT && (s->mcr & UART_MCR_OUT2);

	if (irq != s->irq)
		vm_irq_line(&s->m->vm, COM1_GSI, irq);
	s->irq = irq;
}

static void receive(struct serial *s, uint8_t c)
{
	s->fifo[(s->first + s->count++) % FIFO_SIZE] = c;
}

static void transmit(struct serial *s, uint8_t c)
{
	s->thr_empty = true;
	if (!(s->mcr & UART_MCR_LOOP))
		put(s, c);
	else if (s->count < FIFO_SIZE)
		receive(s, c);
}

static uint8_t read_rbr(struct serial *s)
{
	uint8_t c;

	if (!s->count)
		return 0;
	c = s->fifo[s->first];
	s->first = (s->first + 1) % FIFO_SIZE;
	if (!--s->count)
		term_resume();
	return c;
}

static uint8_t read_iir(struct serial *s)
{
	uint8_t iir = pending(s);

	if (iir == UART_IIR_THRI)
		s->thr_empty = false;
	return iir | (s->fcr & UART_FCR_ENABLE_FIFO ? 0xc0 : 0);
}

static uint8_t read_msr(const struct serial *s)
{
	if (!(s->mcr & UART_MCR_LOOP))
		return UART_MSR_DCD | UART_MSR_DSR | UART_MSR_CTS;
	return (s->mcr & UART_MCR_RTS ? UART_MSR_CTS : 0) |
	       (s->mcr & UART_MCR_DTR ? UART_MSR_DSR : 0) |
	       (s->mcr & UART_MCR_OUT1 ? UART_MSR_RI : 0) |
	       (s->mcr & UART_MCR_OUT2 ? UART_MSR_DCD : 0);
}

static uint8_t serial_read(struct serial *s, unsigned int reg)
{
	bool dlab = s->lcr & UART_LCR_DLAB;

	switch (reg) {
	case UART_RX:
		return dlab ? s->dll : read_rbr(s);
	case UART_IER:
		return dlab ? s->dlm : s->ier;
	case UART_IIR:
		return read_iir(s);
	case UART_LCR:
		return s->lcr;
	case UART_MCR:
		return s->mcr;
	case UART_LSR:
		return UART_LSR_TEMT | UART_LSR_THRE | (s->count ? UART_LSR_DR : 0);
	case UART_MSR:
		return read_msr(s);
	default:
		return s->scr;
	}
}

static void write_ier(struct serial *s, uint8_t value)
{
	/* Enabling it while the transmitter is empty raises the interrupt at once. */
	if ((value & UART_IER_THRI) && !(s->ier & UART_IER_THRI))
		s->thr_empty = true;
	s->ier = value & 0x0f;
}

static void write_fcr(struct serial *s, uint8_t value)
{
	s->fcr = value;
	if (value & UART_FCR_CLEAR_RCVR) {
		s->count = 0;
		term_resume();
	}
}

static void serial_write(struct serial *s, unsigned int reg, uint8_t value)
{
	bool dlab = s->lcr & UART_LCR_DLAB;

	switch (reg) {
	case UART_TX:
		if (dlab)
			s->dll = value;
		else
			transmit(s, value);
		break;
	case UART_IER:
		if (dlab)
			s->dlm = value;
		else
			write_ier(s, value);
		break;
	case UART_FCR:
		write_fcr(s, value);
		break;
	case UART_LCR:
		s->lcr = value;
		break;
	case UART_MCR:
		s->mcr = value & 0x1f;
		break;
	case UART_SCR:
		s->scr = value;
		break;
	}
}

/*
 * Piped input waits until the guest's driver listens: opening the port clears the FIFO, and what a
 * script sent before would be lost. While it only probes, Linux sets the enable bit alone.
 */
static bool listening(const struct serial *s)
{
	if (s->mcr & UART_MCR_LOOP)
		return false;
	return s->interactive || ((s->ier & UART_IER_RDI) && (s->mcr & UART_MCR_OUT2));
}

static void serial_access(void *dev, uint64_t off, void *data, unsigned int len, bool write)
{
	struct serial *s = dev;
	uint8_t *p = data;
	bool was_listening;

	pthread_mutex_lock(&s->lock);
	was_listening = listening(s);
	for (unsigned int i = 0; i < len; i++) {
		if (write)
			serial_write(s, off + i, p[i]);
		else
			p[i] = serial_read(s, off + i);
	}
	if (!was_listening && listening(s))
		term_resume();
	update_irq(s);
	pthread_mutex_unlock(&s->lock);
}

static size_t serial_input(void *dev, const uint8_t *data, size_t len)
{
	struct serial *s = dev;
	size_t n = 0;

	pthread_mutex_lock(&s->lock);
	if (listening(s))
		while (n < len && s->count < FIFO_SIZE)
			receive(s, data[n++]);
	update_irq(s);
	pthread_mutex_unlock(&s->lock);
	return n;
}

static void serial_free(struct device *dev)
{
	struct serial *s = (struct serial *)dev;

	flush(s);
	if (s->m->config->console == CONSOLE_SERIAL)
		term_detach();
	close(s->timer_fd);
	pthread_mutex_destroy(&s->lock);
	free(s);
}

/* The port is always there, for the DSDT says so; without a reader its output is dropped. */
static int out_fd(const struct config *c)
{
	switch (c->console) {
	case CONSOLE_SERIAL:
		return STDOUT_FILENO;
	case CONSOLE_FILE:
		return c->console_file.fd;
	default:
		return -1;
	}
}

static void serial_create(struct machine *m)
{
	const struct config *c = m->config;
	struct serial *s = calloc(1, sizeof(*s));

	if (!s)
		error_die(EXIT_ERROR, "out of memory");
	s->m = m;
	s->interactive = term_is_tty();
	s->out_fd = out_fd(c);
	s->timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	pthread_mutex_init(&s->lock, NULL);
	if (s->timer_fd < 0 || loop_add(&m->loop, s->timer_fd, EPOLLIN, timer_expired, s))
		error_die(EXIT_ERROR, "cannot create the serial port's timer");
	bus_add(&m->pio, COM1, 8, serial_access, s);
	machine_add_device(m, &s->device, serial_free);
	if (c->console == CONSOLE_SERIAL)
		term_attach(m, &(struct term_sink){ .input = serial_input, .dev = s });
}

DEVICE_TYPE(serial);
