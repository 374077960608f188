/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef SHIM_SMP_H
#define SHIM_SMP_H

#define smp_processor_id()	0
#define raw_smp_processor_id()	0

#endif
