# SPDX-License-Identifier: GPL-2.0-only
"""Assemble the host's initramfs from a cached base, cached modules and a small part of this run.

The kernel unpacks several archives one after the other, so only the last is built for each run.
"""

import hashlib
import os
import re
import shlex
import shutil
import subprocess

from .cpio import Archive
from .paths import BED, BedError, cache, locked

BUSYBOX = "/bin/busybox"
DIRECTORIES = ("proc", "sys", "dev", "tmp", "root", "run", "etc", "var/tmp", "mnt", "lib",
               "usr/bin", "usr/sbin", "sbin")


def _file_id(*parts):
    digest = hashlib.sha256()
    for part in parts:
        digest.update(part if isinstance(part, bytes) else part.encode())
        digest.update(b"\0")
    return digest.hexdigest()[:12]


def _cached(name, fill):
    path = cache("images", name)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    if not os.path.exists(path):
        with locked("images"):
            if not os.path.exists(path):
                archive = Archive()
                fill(archive)
                archive.write(path, level=10)
    return path


def _read(path):
    with open(path, "rb") as handle:
        return handle.read()


def base():
    """BusyBox, its links, and the first process."""
    if not os.path.exists(BUSYBOX):
        raise BedError("busybox-static is not installed; run 'make deps'")
    init, leaks = (_read(os.path.join(BED, name)) for name in ("init", "leaks.awk"))

    def fill(archive):
        for name in DIRECTORIES:
            archive.directory(name)
        archive.char_device("dev/console", 5, 1)
        archive.char_device("dev/null", 1, 3, 0o666)
        archive.file(BUSYBOX, "bin/busybox")
        applets = subprocess.run([BUSYBOX, "--list"], capture_output=True, text=True,
                                 check=True).stdout.split()
        for applet in applets:
            if applet != "busybox":
                archive.symlink(f"bin/{applet}", "busybox")
        archive.symlink("sbin/modprobe", "../bin/busybox")
        archive.data("etc/passwd", b"root:x:0:0:root:/root:/bin/sh\n")
        archive.data("etc/group", b"root:x:0:\nkvm:x:104:\n")
        archive.data("etc/hosts", b"127.0.0.1 localhost bed\n")
        archive.data("init", init, 0o755)
        archive.data("leaks.awk", leaks)

    return _cached(f"base-{_file_id(_read(BUSYBOX), init, leaks)}.cpio.zst", fill)


def modules(kernel, paths):
    """The kernel's own modules named by @paths, uncompressed."""
    def fill(archive):
        for path in paths:
            archive.data(module_target(path), kernel.module_data(path))

    return _cached(f"modules-{_file_id(kernel.root, kernel.release, *paths)}.cpio.zst", fill)


def module_target(path):
    return "lib/bed-modules/" + re.sub(r"\.ko(\.xz|\.zst)?$", ".ko", os.path.basename(path))


def _libraries(path):
    """The shared libraries that ldd lists, the dynamic linker among them."""
    result = subprocess.run(["ldd", path], capture_output=True, text=True, check=False)
    missing = re.findall(r"(\S+) => not found", result.stdout)
    if missing:
        raise BedError(f"{path} needs {', '.join(missing)}, not on this machine")
    return re.findall(r"(/\S+) \(0x", result.stdout) if result.returncode == 0 else []


def _is_elf(path):
    with open(path, "rb") as handle:
        return handle.read(4) == b"\x7fELF"


def _add_libraries(archive, path):
    if os.access(path, os.X_OK) and _is_elf(path):
        for library in _libraries(path):
            archive.file(library, library)


def add_file(archive, spec):
    """SRC[:DEST]: a file, or a directory with all below it; libraries come along."""
    source, _, dest = spec.partition(":")
    if not os.path.exists(source):
        raise BedError(f"--file {source}: no such file")
    if not dest or dest.endswith("/"):
        dest = (dest or "/root/") + os.path.basename(source.rstrip("/"))
    if os.path.isdir(source):
        archive.tree(source, dest)
        for top, _, files in os.walk(source):
            for item in files:
                _add_libraries(archive, os.path.join(top, item))
    else:
        archive.file(source, dest)
        _add_libraries(archive, source)


def run_part(path, files, load_lines, environment, command, module=None):
    """The archive of this run: the caller's files, the module under test and the command."""
    archive = Archive()
    for spec in files:
        add_file(archive, spec)
    if module:
        archive.file(module, "bed/corbel.ko")
    archive.data("bed/modules", "".join(line + "\n" for line in load_lines).encode())
    exports = "".join(f"export {key}={shlex.quote(value)}\n"
                      for key, value in environment.items())
    archive.data("bed/environment", exports.encode())
    script = f"#!/bin/sh\nexec {shlex.join(command)}\n"
    archive.data("bed/command", script.encode(), 0o755)
    return archive.write(path)


def join(path, parts):
    """One initrd file out of several archives; each starts at a multiple of four."""
    with open(path, "wb") as out:
        for part in parts:
            with open(part, "rb") as handle:
                shutil.copyfileobj(handle, out)
            out.write(b"\0" * (-out.tell() % 4))
    return path
