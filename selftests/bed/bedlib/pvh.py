# SPDX-License-Identifier: GPL-2.0-only
"""Lay a kernel out in memory for the PVH boot protocol, and make the ROM that starts it.

The kernel's code is Debian's, byte for byte: only the unpacking is done here instead of by the
boot loader and the kernel's own stub.
"""

import collections
import os
import struct
import subprocess
import tempfile

from .paths import BED, BedError, cache, locked

Images = collections.namedtuple("Images", "rom ram")

ROM_SIZE = 512
PARAMS = 0x20000
MODULE_LIST = 0x100
KERNEL_ENTRY = 0x180
MEMMAP = 0x200
COMMAND_LINE = 0x800
COMMAND_LINE_MAX = 2048
PVH_MAGIC = 0x336ec578
PT_LOAD = 1
PT_NOTE = 4
NOTE_PHYS32_ENTRY = 18
MEGABYTE = 1 << 20

UNPACKERS = {
    b"\x1f\x8b": ["gzip", "-dcq"],
    b"\xfd7zXZ\0": ["xz", "-dcq"],
    b"\x28\xb5\x2f\xfd": ["zstd", "-dcq"],
    b"\x02\x21\x4c\x18": ["lz4", "-dcq"],
}


def unpack_bzimage(path):
    """The vmlinux inside a bzImage."""
    with open(path, "rb") as handle:
        image = handle.read()
    if image[:4] == b"\x7fELF":
        return image
    setup = (image[0x1f1] or 4) + 1
    offset, length = struct.unpack_from("<II", image, 0x248)
    start = setup * 512 + offset
    payload = image[start:start + length]
    for magic, command in UNPACKERS.items():
        if payload.startswith(magic):
            # The last four bytes are the unpacked size, for the kernel's own stub; gzip's are its own.
            packed = payload if command[0] == "gzip" else payload[:-4]
            result = subprocess.run(command, input=packed, capture_output=True, check=False)
            if result.stdout.startswith(b"\x7fELF"):
                return result.stdout
            raise BedError(f"{command[0]} could not unpack {path}: {result.stderr.decode()}")
    raise BedError(f"{path}: its compression is not known here")


def _segments(elf):
    """(type, file offset, physical address, size in the file) of each program header."""
    offset, = struct.unpack_from("<Q", elf, 0x20)
    size, count = struct.unpack_from("<HH", elf, 0x36)
    for index in range(count):
        fields = struct.unpack_from("<IIQQQQ", elf, offset + index * size)
        yield fields[0], fields[2], fields[4], fields[5]


def pvh_entry(elf):
    """Physical address of the 32-bit entry, from the ELF note that Xen defined."""
    for kind, offset, _, size in _segments(elf):
        end = offset + size
        while kind == PT_NOTE and offset < end:
            name_size, data_size, note = struct.unpack_from("<III", elf, offset)
            name = elf[offset + 12:offset + 12 + name_size]
            offset += 12 + (name_size + 3 & ~3)
            if name == b"Xen\0" and note == NOTE_PHYS32_ENTRY:
                return struct.unpack_from("<I", elf, offset)[0]
            offset += data_size + 3 & ~3
    raise BedError("this kernel has no PVH entry (CONFIG_PVH)")


def flat(elf):
    """The loaded image as one piece, and the physical address it starts at."""
    loads = [segment[1:] for segment in _segments(elf) if segment[0] == PT_LOAD]
    first = min(address for _, address, _ in loads)
    last = max(address + size for _, address, size in loads)
    memory = bytearray(last - first)
    for offset, address, size in loads:
        memory[address - first:address - first + size] = elf[offset:offset + size]
    return memory, first


def _kernel(kernel):
    """Cached flat image, its address and its entry."""
    stamp = int(os.stat(kernel.image).st_mtime)
    base = cache("images", f"kernel-{kernel.release}-{stamp}")
    os.makedirs(os.path.dirname(base), exist_ok=True)
    with locked("pvh"):
        if not os.path.exists(base + ".where"):
            elf = unpack_bzimage(kernel.image)
            memory, address = flat(elf)
            with open(base + ".flat", "wb") as handle:
                handle.write(memory)
            with open(base + ".where.new", "w", encoding="ascii") as handle:
                handle.write(f"{address} {pvh_entry(elf)}")
            os.replace(base + ".where.new", base + ".where")
    with open(base + ".where", encoding="ascii") as handle:
        address, entry = map(int, handle.read().split())
    return base + ".flat", address, entry


def _parameters(path, entry, initrd, size, arguments):
    line = arguments.encode() + b"\0"
    if len(line) > COMMAND_LINE_MAX:
        raise BedError("the kernel's command line is too long")
    page = bytearray(COMMAND_LINE + len(line))
    struct.pack_into("<IIIIQQQQII", page, 0, PVH_MAGIC, 1, 0, 1, PARAMS + MODULE_LIST,
                     PARAMS + COMMAND_LINE, 0, PARAMS + MEMMAP, 0, 0)
    struct.pack_into("<QQQQ", page, MODULE_LIST, initrd, size, 0, 0)
    struct.pack_into("<I", page, KERNEL_ENTRY, entry)
    page[COMMAND_LINE:] = line
    with open(path, "wb") as handle:
        handle.write(page)


def build_rom(path):
    """Assemble the option ROM; the sum of its bytes must be zero."""
    with tempfile.TemporaryDirectory() as work:
        obj, elf = os.path.join(work, "rom.o"), os.path.join(work, "rom.elf")
        subprocess.run(["gcc", "-m32", "-c", "-o", obj, os.path.join(BED, "bochs-rom.S")],
                       check=True)
        subprocess.run(["ld", "-m", "elf_i386", "-Ttext=0", "-o", elf, obj], check=True)
        subprocess.run(["objcopy", "-O", "binary", "-j", ".text", elf, path], check=True)
    with open(path, "rb") as handle:
        rom = bytearray(handle.read())
    rom += bytes(ROM_SIZE - len(rom))
    rom[-1] = -sum(rom) & 0xff
    with open(path, "wb") as handle:
        handle.write(rom)


def images(run, arguments):
    """What Bochs has to load for @run: the ROM, and (file, address) for memory."""
    rom, parameters = (os.path.join(run.directory, name) for name in ("rom", "parameters"))
    build_rom(rom)
    kernel, address, entry = _kernel(run.kernel)
    initrd = run.initrd()
    # Behind the kernel and its bss, at the first multiple of 16 MB that leaves it 32 MB.
    where = (address + os.path.getsize(kernel) + 48 * MEGABYTE) & ~(16 * MEGABYTE - 1)
    size = os.path.getsize(initrd)
    if where + size + 64 * MEGABYTE > min(run.memory, 1024) * MEGABYTE:
        raise BedError(f"the initramfs ({size >> 20} MB) does not fit; try --memory")
    _parameters(parameters, entry, where, size, arguments)
    return Images(rom, [(kernel, address), (initrd, where), (parameters, PARAMS)])
