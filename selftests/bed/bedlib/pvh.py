# SPDX-License-Identifier: GPL-2.0-only
"""stub"""
def images(run, args): raise NotImplementedError
