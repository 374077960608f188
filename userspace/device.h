/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef DEVICE_H
#define DEVICE_H

struct machine;

/* A device of one machine, and how to take it away again. */
struct device {
	struct device *next;
	void (*free)(struct device *dev);
};

/*
 * A kind of device. create() adds as many as the configuration asks for. To add a device: write
 * one file that ends with DEVICE_TYPE(), and name it in the Makefile.
 */
struct device_type {
	const char *name;
	void (*create)(struct machine *m);
};

#define DEVICE_TYPE(stem)							\
	static const struct device_type stem##_type = { #stem, stem##_create };	\
	static const struct device_type *const stem##_entry			\
	__attribute__((used, section("device_types"))) = &stem##_type

#endif
