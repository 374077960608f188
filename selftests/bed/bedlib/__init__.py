# SPDX-License-Identifier: GPL-2.0-only
"""Emulated hosts for Corbel: image builder, emulators, console, kernel-log check."""
