# SPDX-License-Identifier: GPL-2.0-only
"""Debian's stock cloud kernels, unpacked into the cache and never installed."""

import glob
import lzma
import os
import re
import shutil
import subprocess
import tempfile

from .paths import BedError, cache, locked, say

SERIES = ("6.1", "6.12")


def version_key(release):
    return [int(part) for part in re.findall(r"\d+", release)]


def _matches(release, series):
    return release.startswith(series + ".") and release.endswith("cloud-amd64")


def installed_headers(series):
    """Releases of one series whose headers are installed, newest last."""
    found = [path.split("/")[3] for path in glob.glob("/lib/modules/*/build/Makefile")]
    return sorted((r for r in found if _matches(r, series)), key=version_key)


def archive_releases(series):
    """Releases of one series that apt offers, newest last."""
    names = subprocess.run(["apt-cache", "pkgnames", f"linux-image-{series}."],
                           capture_output=True, text=True, check=False).stdout.split()
    found = {name[len("linux-image-"):].removesuffix("-unsigned") for name in names}
    return sorted((r for r in found if _matches(r, series)), key=version_key)


def newest_release(series):
    """The module has to be built for the very release that boots, so headers decide."""
    found = installed_headers(series) or archive_releases(series)
    if not found:
        raise BedError(f"no Debian cloud kernel {series} known here; run 'make deps'")
    return found[-1]


def _download(release, directory):
    for suffix in ("", "-unsigned"):
        package = f"linux-image-{release}{suffix}"
        say(f"fetching {package}")
        result = subprocess.run(["apt-get", "-q", "-o", "APT::Sandbox::User=root", "download",
                                 package], cwd=directory, capture_output=True, text=True,
                                check=False)
        packages = glob.glob(os.path.join(directory, "*.deb"))
        if result.returncode == 0 and packages:
            return packages[0]
    raise BedError(f"cannot download linux-image-{release}: {result.stderr.strip()}\n"
                   "run 'make deps', which updates the package lists and the headers")


def _unpack(release, destination):
    with tempfile.TemporaryDirectory(dir=cache()) as work:
        root = os.path.join(work, "root")
        subprocess.run(["dpkg", "-x", _download(release, work), root], check=True)
        subprocess.run(["depmod", "-b", root, release], check=True)
        os.makedirs(os.path.dirname(destination), exist_ok=True)
        shutil.move(root, destination)


class Kernel:
    """One kernel to boot: its image and its modules."""

    def __init__(self, root, release):
        self.root = root
        self.release = release
        self.image = os.path.join(root, "boot", f"vmlinuz-{release}")
        self.modules = os.path.join(root, "lib", "modules", release)
        self._dependencies = None

    def _read_dependencies(self):
        table = {}
        with open(os.path.join(self.modules, "modules.dep"), encoding="ascii") as handle:
            for line in handle:
                path, needs = line.strip().split(":", 1)
                table[self.module_name(path)] = (path, needs.split())
        return table

    @staticmethod
    def module_name(path):
        return re.sub(r"\.ko(\.xz|\.zst)?$", "", os.path.basename(path)).replace("-", "_")

    def is_builtin(self, name):
        with open(os.path.join(self.modules, "modules.builtin"), encoding="ascii") as handle:
            return any(self.module_name(line.strip()) == name for line in handle)

    def load_order(self, names):
        """Paths of the named modules and all they need, each after what it needs."""
        if self._dependencies is None:
            self._dependencies = self._read_dependencies()
        order = []
        for name in (name.replace("-", "_") for name in names):
            if name not in self._dependencies:
                if self.is_builtin(name):
                    continue
                raise BedError(f"kernel {self.release} has no module '{name}'")
            path, needs = self._dependencies[name]
            order += [p for p in [*reversed(needs), path] if p not in order]
        return order

    def module_data(self, path):
        with open(os.path.join(self.modules, path), "rb") as handle:
            data = handle.read()
        return lzma.decompress(data) if path.endswith(".xz") else data


def find(spec):
    """A kernel by series ('6.1', '6.12'), by release, or by the directory it is unpacked in."""
    if os.path.isdir(spec):
        images = glob.glob(os.path.join(spec, "boot", "vmlinuz-*"))
        if len(images) != 1:
            raise BedError(f"{spec}: no single boot/vmlinuz-* there")
        return Kernel(spec, os.path.basename(images[0])[len("vmlinuz-"):])
    release = newest_release(spec) if spec in SERIES else spec
    root = cache("kernels", release)
    if not os.path.isdir(root):
        with locked("kernels"):
            if not os.path.isdir(root):
                _unpack(release, root)
    return Kernel(root, release)
