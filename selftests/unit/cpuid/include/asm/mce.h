/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef SHIM_MCE_H
#define SHIM_MCE_H

#include <linux/bits.h>

#define MCG_BANKCNT_MASK	0xff
#define MCG_CTL_P		BIT_ULL(8)
#define MCG_CMCI_P		BIT_ULL(10)
#define MCG_EXT_CNT_MASK	0xff0000
#define MCG_SER_P		BIT_ULL(24)
#define MCG_STATUS_MCIP		BIT_ULL(2)
#define MCI_STATUS_VAL		BIT_ULL(63)
#define MCI_STATUS_OVER		BIT_ULL(62)
#define MCI_STATUS_UC		BIT_ULL(61)
#define MCI_STATUS_PCC		BIT_ULL(57)
#define MCI_STATUS_S		BIT_ULL(56)
#define MCI_STATUS_AR		BIT_ULL(55)
#define MCI_CTL2_CMCI_EN	BIT_ULL(30)
#define MCI_CTL2_CMCI_THRESHOLD_MASK	0x7fffULL

#endif
