# SPDX-License-Identifier: GPL-2.0-only
"""Carry the host's console to the caller: a growing file to stdout, or a socket to a terminal."""

import contextlib
import os
import select
import socket
import sys
import termios
import time
import tty

ESCAPE = b"\x1d"  # Ctrl-]


class Tail:
    """Copy what is appended to a file to a descriptor."""

    def __init__(self, path, descriptor):
        self._path = path
        self._descriptor = descriptor
        self._handle = None

    def pump(self):
        if self._handle is None:
            if not os.path.exists(self._path):
                return
            # Closed by the end of the process: the runner makes one of these per run.
            self._handle = open(self._path, "rb")  # pylint: disable=consider-using-with
        while chunk := self._handle.read(65536):
            while chunk:
                chunk = chunk[os.write(self._descriptor, chunk):]


def follow(process, tails, deadline):
    """Pump until the emulator ends. False: the time was up."""
    while process.poll() is None:
        for tail in tails:
            tail.pump()
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    for tail in tails:
        tail.pump()
    return True


@contextlib.contextmanager
def _raw_terminal(descriptor):
    if not os.isatty(descriptor):
        yield
        return
    saved = termios.tcgetattr(descriptor)
    tty.setraw(descriptor)
    try:
        yield
    finally:
        termios.tcsetattr(descriptor, termios.TCSADRAIN, saved)


def connect(process, address, deadline):
    """Reach the emulator's console socket, which appears when it has started."""
    family = socket.AF_INET if isinstance(address, tuple) else socket.AF_UNIX
    while process.poll() is None and time.monotonic() < deadline:
        sock = socket.socket(family, socket.SOCK_STREAM)
        try:
            sock.connect(address)
            return sock
        except OSError:
            sock.close()
            time.sleep(0.05)
    return None


def _forward_input(sock, source):
    """False when the user asked to leave."""
    data = os.read(source, 4096)
    if ESCAPE in data and os.isatty(source):
        return False
    if data:
        sock.sendall(data)
    return bool(data)


def interact(process, address, deadline):
    """Connect stdin and stdout to the host's console. False: time was up, or the user left."""
    sock = connect(process, address, deadline)
    if sock is None:
        return process.poll() is not None
    source = sys.stdin.fileno()
    watched = [sock, source]
    with sock, _raw_terminal(source):
        while time.monotonic() < deadline:
            ready, _, _ = select.select(watched, [], [], 0.2)
            if sock in ready:
                data = sock.recv(65536)
                if not data:
                    process.wait(timeout=10)
                    return True
                os.write(sys.stdout.fileno(), data)
            if source in ready and not _forward_input(sock, source):
                if os.isatty(source):
                    return False
                watched.remove(source)
            if process.poll() is not None and not ready:
                return True
    return False
