# SPDX-License-Identifier: GPL-2.0-only
"""A kernel on a disk image that GRUB starts: for a Bochs without the bed's patches, and for guests."""

import os
import shutil
import subprocess
import tempfile

from .paths import BedError

GRUB_CONFIG = """\
set timeout=0
linux /kernel {arguments}
initrd /initrd
boot
"""


def disc(path, kernel, initrd, arguments):
    """Write an image with the kernel and the initramfs to @path, bootable as a disc and as a disk."""
    if not shutil.which("grub-mkrescue"):
        raise BedError("grub-mkrescue is not installed; run 'make deps'")
    with tempfile.TemporaryDirectory(dir=os.path.dirname(path)) as root:
        os.makedirs(os.path.join(root, "boot", "grub"))
        shutil.copy(kernel, os.path.join(root, "kernel"))
        shutil.copy(initrd, os.path.join(root, "initrd"))
        with open(os.path.join(root, "boot", "grub", "grub.cfg"), "w", encoding="ascii") as handle:
            handle.write(GRUB_CONFIG.format(arguments=arguments))
        subprocess.run(["grub-mkrescue", "-o", path, root], check=True,
                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def image(run, arguments):
    """The host's."""
    path = os.path.join(run.directory, "boot.iso")
    disc(path, run.kernel.image, run.initrd(), arguments)
    # Bochs wants whole cylinders.
    cylinder = 16 * 63 * 512
    os.truncate(path, -(-os.path.getsize(path) // cylinder) * cylinder)
    return path
