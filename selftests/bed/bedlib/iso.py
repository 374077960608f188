# SPDX-License-Identifier: GPL-2.0-only
"""Start the kernel from a disk image with GRUB: for a Bochs without the bed's patches."""

import os
import shutil
import subprocess

from .paths import BedError

GRUB_CONFIG = """\
set timeout=0
linux /kernel {arguments}
initrd /initrd
boot
"""


def image(run, arguments):
    """An image with the kernel and the initramfs, bootable as a disk."""
    if not shutil.which("grub-mkrescue"):
        raise BedError("grub-mkrescue is not installed; run 'make deps'")
    root = os.path.join(run.directory, "iso")
    os.makedirs(os.path.join(root, "boot", "grub"))
    shutil.copy(run.kernel.image, os.path.join(root, "kernel"))
    shutil.move(run.initrd(), os.path.join(root, "initrd"))
    with open(os.path.join(root, "boot", "grub", "grub.cfg"), "w", encoding="ascii") as handle:
        handle.write(GRUB_CONFIG.format(arguments=arguments))
    path = os.path.join(run.directory, "boot.iso")
    subprocess.run(["grub-mkrescue", "-o", path, root], check=True,
                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    # Bochs wants whole cylinders.
    cylinder = 16 * 63 * 512
    os.truncate(path, -(-os.path.getsize(path) // cylinder) * cylinder)
    return path
