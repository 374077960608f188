/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef PM_H
#define PM_H

struct machine;

#define PM_SCI		9
#define PM_EVENT_PORT	0x600	/* PM1 status, enable */
#define PM_CONTROL_PORT	0x604	/* PM1 control */
#define PM_RESET_PORT	0xcf9
#define PM_RESET_VALUE	0x06
#define PM_SLP_TYP_S5	5	/* \_S5 in dsdt.asl says the same */

void pm_power_button(struct machine *m);

#endif
