/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef SHIM_CPU_H
#define SHIM_CPU_H

#define cpu_mitigations_off()	false

#endif
