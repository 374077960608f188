// SPDX-License-Identifier: GPL-2.0-only
/* Power management: ACPI's PM1 registers, the 8042's reset line, the POST code port. */
#include <stdlib.h>
#include <string.h>

#include "error.h"
#include "machine.h"
#include "pm.h"

#define PM1_SCI_EN	(1u << 0)
#define PM1_PWRBTN	(1u << 8)
#define PM1_SLP_TYP(v)	((v) >> 10 & 7)
#define PM1_SLP_EN	(1u << 13)
#define I8042_STATUS	0x64
#define I8042_PULSE	0xfe	/* pulse output line 0: the CPU's reset */
#define POST_PORT	0x80

struct pm {
	struct device device;
	struct machine *m;
	pthread_mutex_t lock;
	uint16_t status, enable, control;
	bool sci;
};

/* A machine has one; the terminal needs to find it. */
static struct pm *instance;

static void update_sci(struct pm *pm)
{
	bool sci = pm->status & pm->enable;

	if (sci != pm->sci)
		vm_irq_line(&pm->m->vm, PM_SCI, sci);
	pm->sci = sci;
}

void pm_power_button(struct machine *m)
{
	(void)m;
	pthread_mutex_lock(&instance->lock);
	instance->status |= PM1_PWRBTN;
	update_sci(instance);
	pthread_mutex_unlock(&instance->lock);
}

static void write_event(struct pm *pm, unsigned int off, uint16_t value)
{
	if (off == 0)
		pm->status &= ~value;	/* write one to clear */
	else
		pm->enable = value;
}

/* Linux accesses status and enable as words, ACPICA sometimes both as one dword. */
static void event_access(void *dev, uint64_t off, void *data, unsigned int len, bool write)
{
	struct pm *pm = dev;
	uint16_t regs[2], value;

	pthread_mutex_lock(&pm->lock);
	regs[0] = pm->status;
	regs[1] = pm->enable;
	if (!write) {
		memcpy(data, (uint8_t *)regs + off, len);
	} else if (!(off & 1) && len >= 2) {
		for (unsigned int i = 0; i + 2 <= len; i += 2) {
			memcpy(&value, (uint8_t *)data + i, 2);
			write_event(pm, off + i, value);
		}
	}
	update_sci(pm);
	pthread_mutex_unlock(&pm->lock);
}

static void control_access(void *dev, uint64_t off, void *data, unsigned int len, bool write)
{
	struct pm *pm = dev;
	uint16_t value = pm->control | PM1_SCI_EN;

	if (!write) {
		memcpy(data, (uint8_t *)&value + off, len);
		return;
	}
	memcpy((uint8_t *)&value + off, data, len);
	pm->control = value & ~PM1_SLP_EN;
	if ((value & PM1_SLP_EN) && PM1_SLP_TYP(value) == PM_SLP_TYP_S5)
		machine_end(pm->m, END_POWEROFF);
}

/* There is no keyboard, but its controller's reset line is where every system tries last. */
static void i8042_access(void *dev, uint64_t off, void *data, unsigned int len, bool write)
{
	struct pm *pm = dev;

	(void)off;
	if (!write)
		memset(data, 0xff, len);
	else if (*(uint8_t *)data == I8042_PULSE)
		machine_end(pm->m, END_RESET);
}

static void post_access(void *dev, uint64_t off, void *data, unsigned int len, bool write)
{
	(void)dev;
	(void)off;
	if (!write)
		memset(data, 0xff, len);
}

static void pm_free(struct device *dev)
{
	struct pm *pm = (struct pm *)dev;

	instance = NULL;
	pthread_mutex_destroy(&pm->lock);
	free(pm);
}

static void pm_create(struct machine *m)
{
	struct pm *pm = calloc(1, sizeof(*pm));

	if (!pm)
		error_die(EXIT_ERROR, "out of memory");
	pm->m = m;
	pthread_mutex_init(&pm->lock, NULL);
	bus_add(&m->pio, PM_EVENT_PORT, 4, event_access, pm);
	bus_add(&m->pio, PM_CONTROL_PORT, 2, control_access, pm);
	bus_add(&m->pio, I8042_STATUS, 1, i8042_access, pm);
	bus_add(&m->pio, POST_PORT, 1, post_access, pm);
	machine_add_device(m, &pm->device, pm_free);
	instance = pm;
}

DEVICE_TYPE(pm);
