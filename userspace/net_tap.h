/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef NET_TAP_H
#define NET_TAP_H

int net_tap_open(const char *ifname);

#endif
