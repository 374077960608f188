# SPDX-License-Identifier: GPL-2.0-only
"""Lay a kernel out in memory for the 64-bit boot protocol, and make the ROM that starts it.

The kernel's code is Debian's, byte for byte: only the unpacking is done here instead of by the
boot loader and the kernel's own stub. The 64-bit entry is where every x86-64 kernel starts, and it
sets up what instrumented code needs before it runs any: a PVH entry calls such code before KASAN's
shadow exists.
"""

import collections
import os
import struct
import subprocess
import tempfile

from .paths import BED, BedError, cache, locked

Images = collections.namedtuple("Images", "rom ram")

ROM_SIZE = 512

# What lies where: boot parameters (Documentation/x86/zero-page.rst), command line, MSRs that the
# firmware sets, page tables. The ROM has these addresses too, but the command line's.
PARAMS = 0x20000
COMMAND_LINE = 0x1000
COMMAND_LINE_MAX = 2048
FIRMWARE_MSRS = 0x1e00
KERNEL_ENTRY = 0x1ff8
PAGE_TABLES = 0x2000
PARAMS_SIZE = 0x5000

# Fields of the boot parameters.
BOOT_FLAG = 0x1fe
HEADER = 0x202
TYPE_OF_LOADER = 0x210
RAMDISK_IMAGE = 0x218
CMD_LINE_PTR = 0x228
PROTOCOL = 0x20c
UNDEFINED_LOADER = 0xff

PRESENT_WRITABLE = 3
LARGE_PAGE = 1 << 7
PT_LOAD = 1
PAGE = 4096
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
    """(file offset, physical address, size in the file, size in memory) of what is loaded."""
    offset, = struct.unpack_from("<Q", elf, 0x20)
    size, count = struct.unpack_from("<HH", elf, 0x36)
    for index in range(count):
        kind, _, start, _, address, in_file, in_memory = struct.unpack_from(
            "<IIQQQQQ", elf, offset + index * size)
        if kind == PT_LOAD:
            yield start, address, in_file, in_memory


def flat(elf):
    """The loaded image as one piece, the physical address it starts at, and where its bss ends."""
    loads = list(_segments(elf))
    first = min(address for _, address, _, _ in loads)
    last = max(address + size for _, address, size, _ in loads)
    memory = bytearray(last - first)
    for offset, address, size, _ in loads:
        memory[address - first:address - first + size] = elf[offset:offset + size]
    return memory, first, max(address + size for _, address, _, size in loads)


def _kernel(kernel):
    """Cached flat image, its address, its end in memory and its 64-bit entry."""
    stamp = int(os.stat(kernel.image).st_mtime)
    base = cache("images", f"kernel64-{kernel.release}-{stamp}")
    os.makedirs(os.path.dirname(base), exist_ok=True)
    with locked("direct"):
        if not os.path.exists(base + ".where"):
            elf = unpack_bzimage(kernel.image)
            memory, address, end = flat(elf)
            entry, = struct.unpack_from("<Q", elf, 0x18)
            with open(base + ".flat", "wb") as handle:
                handle.write(memory)
            with open(base + ".where.new", "w", encoding="ascii") as handle:
                handle.write(f"{address} {end} {entry}")
            os.replace(base + ".where.new", base + ".where")
    with open(base + ".where", encoding="ascii") as handle:
        return base + ".flat", *map(int, handle.read().split())


def _identity_tables():
    """Three pages of page tables that map the first gigabyte to itself."""
    tables = bytearray(3 * PAGE)
    for page in range(2):
        struct.pack_into("<Q", tables, page * PAGE,
                         PARAMS + PAGE_TABLES + (page + 1) * PAGE + PRESENT_WRITABLE)
    struct.pack_into("<512Q", tables, 2 * PAGE, *(
        2 * MEGABYTE * n + LARGE_PAGE + PRESENT_WRITABLE for n in range(512)))
    return tables


def _parameters(path, entry, initrd, size, arguments, msrs):
    line = arguments.encode() + b"\0"
    if len(line) > COMMAND_LINE_MAX:
        raise BedError("the kernel's command line is too long")
    area = bytearray(PARAMS_SIZE)
    struct.pack_into("<H", area, BOOT_FLAG, 0xaa55)
    struct.pack_into("<4sH", area, HEADER, b"HdrS", PROTOCOL)
    area[TYPE_OF_LOADER] = UNDEFINED_LOADER
    struct.pack_into("<II", area, RAMDISK_IMAGE, initrd, size)
    struct.pack_into("<I", area, CMD_LINE_PTR, PARAMS + COMMAND_LINE)
    struct.pack_into("<Q", area, KERNEL_ENTRY, entry)
    area[COMMAND_LINE:COMMAND_LINE + len(line)] = line
    for number, (index, value) in enumerate(msrs):
        struct.pack_into("<IQ", area, FIRMWARE_MSRS + 12 * number, index, value)
    area[PAGE_TABLES:] = _identity_tables()
    with open(path, "wb") as handle:
        handle.write(area)


def build_rom(path):
    """Assemble the option ROM; the sum of its bytes must be zero."""
    with tempfile.TemporaryDirectory() as work:
        obj, elf = os.path.join(work, "rom.o"), os.path.join(work, "rom.elf")
        subprocess.run(["gcc", "-m64", "-c", "-o", obj, os.path.join(BED, "bochs-rom.S")],
                       check=True)
        subprocess.run(["ld", "-m", "elf_x86_64", "-Ttext=0", "-o", elf, obj], check=True)
        subprocess.run(["objcopy", "-O", "binary", "-j", ".text", elf, path], check=True)
    with open(path, "rb") as handle:
        rom = bytearray(handle.read())
    rom += bytes(ROM_SIZE - len(rom))
    rom[-1] = -sum(rom) & 0xff
    with open(path, "wb") as handle:
        handle.write(rom)


def images(run, arguments, msrs):
    """What Bochs has to load: the ROM, which sets @msrs, and (file, address) for memory."""
    rom, parameters = (os.path.join(run.directory, name) for name in ("rom", "parameters"))
    build_rom(rom)
    kernel, address, end, entry = _kernel(run.kernel)
    initrd = run.initrd()
    # Behind the kernel and its bss, on a multiple of 16 MB.
    where = -(-end // (16 * MEGABYTE)) * 16 * MEGABYTE
    size = os.path.getsize(initrd)
    if where + size + 64 * MEGABYTE > min(run.memory, 1024) * MEGABYTE:
        raise BedError(f"the initramfs ({size >> 20} MB) does not fit; try --memory")
    _parameters(parameters, entry, where, size, arguments, msrs)
    return Images(rom, [(kernel, address), (initrd, where), (parameters, PARAMS)])
