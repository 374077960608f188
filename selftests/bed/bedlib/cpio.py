# SPDX-License-Identifier: GPL-2.0-only
"""Write cpio archives in the kernel's 'newc' format, device nodes included, without being root."""

import os
import stat
import subprocess


class Archive:
    """An initramfs piece. The kernel accepts several, one after the other, each compressed."""

    def __init__(self):
        self._out = bytearray()
        self._seen = set()
        self._inode = 0

    def _entry(self, name, mode, data=b"", rdev=(0, 0)):
        if name in self._seen:
            return
        self._seen.add(name)
        self._inode += 1
        raw = name.encode() + b"\0"
        fields = (self._inode, mode, 0, 0, 1, 0, len(data), 0, 0, *rdev, len(raw), 0)
        self._out += b"070701" + b"".join(b"%08X" % field for field in fields) + raw
        self._pad()
        self._out += data
        self._pad()

    def _pad(self):
        self._out += b"\0" * (-len(self._out) % 4)

    def _parents(self, name):
        parts = name.split("/")[:-1]
        for depth in range(1, len(parts) + 1):
            self._entry("/".join(parts[:depth]), stat.S_IFDIR | 0o755)

    def directory(self, name, mode=0o755):
        name = name.strip("/")
        self._parents(name)
        self._entry(name, stat.S_IFDIR | mode)

    def data(self, name, data, mode=0o644):
        name = name.strip("/")
        self._parents(name)
        self._entry(name, stat.S_IFREG | mode, data)

    def symlink(self, name, target):
        name = name.strip("/")
        self._parents(name)
        self._entry(name, stat.S_IFLNK | 0o777, target.encode())

    def char_device(self, name, major, minor, mode=0o600):
        name = name.strip("/")
        self._parents(name)
        self._entry(name, stat.S_IFCHR | mode, rdev=(major, minor))

    def file(self, source, name):
        """Copy one file with its permissions; a symbolic link is followed."""
        with open(source, "rb") as handle:
            self.data(name, handle.read(), os.stat(source).st_mode & 0o7777)

    def tree(self, source, name):
        """Copy a directory; symbolic links inside stay links."""
        self.directory(name)
        for top, dirs, files in os.walk(source):
            rel = os.path.relpath(top, source)
            base = name if rel == "." else os.path.join(name, rel)
            for item in sorted(dirs + files):
                path = os.path.join(top, item)
                dest = os.path.join(base, item)
                if os.path.islink(path):
                    self.symlink(dest, os.readlink(path))
                elif os.path.isdir(path):
                    self.directory(dest)
                elif os.path.isfile(path):
                    self.file(path, dest)

    def write(self, path, level=3):
        """Finish the archive and write it, compressed with zstd, in one rename."""
        self._entry("TRAILER!!!", 0)
        temporary = f"{path}.{os.getpid()}"
        subprocess.run(["zstd", "-q", "-f", f"-{level}", "-T0", "-o", temporary],
                       input=bytes(self._out), check=True)
        os.replace(temporary, path)
        return path
