# SPDX-License-Identifier: GPL-2.0-only
"""Where things are: the source tree, and the cache outside of it."""

import contextlib
import fcntl
import os
import sys

BED = os.path.dirname(os.path.dirname(os.path.realpath(__file__)))
TREE = os.path.dirname(os.path.dirname(BED))


class BedError(Exception):
    """Something the user can act on; the message says what to do."""


def cache(*parts):
    """Path in the cache, whose directory is made if needed."""
    base = os.environ.get("CORBEL_CACHE")
    if not base:
        home = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
        base = os.path.join(home, "corbel")
    os.makedirs(base, exist_ok=True)
    return os.path.join(base, *parts)


@contextlib.contextmanager
def locked(name):
    """Several runs may start at once; only one of them fills a cache entry."""
    with open(cache(name + ".lock"), "w", encoding="ascii") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def say(text):
    print(f"bed: {text}", file=sys.stderr, flush=True)
