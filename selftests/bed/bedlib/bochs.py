# SPDX-License-Identifier: GPL-2.0-only
"""The Bochs bed: Intel VMX (and AMD SVM with the ryzen model), instruction by instruction.

Bochs boots disks only, and reading one through its BIOS and unpacking a compressed kernel costs
more than the rest of the boot. So the kernel is laid out in the emulated memory beforehand, and a
small option ROM starts it at its 64-bit entry when the BIOS asks for something to boot.
"""

import os
import re
import shutil
import socket
import subprocess

from . import direct, iso
from .paths import BED, BedError, say

NAME = "bochs"
DEFAULT_CPU = "corei7_skylake_x"
# Debian's 2.7 gets the XSAVE area of the default model wrong, and the kernel warns.
FALLBACK_CPU = "corei7_haswell_4770"
IPS = 300_000_000
ROM_ADDRESS = 0xD0000
# One emulated second is then IPS instructions, and about one second on the wall.
KERNEL_ARGS = f"nokaslr tsc=reliable tsc_early_khz={IPS // 1000} lpj={IPS // 250}"
BIOS = "/usr/share/bochs/BIOS-bochs-latest"
VGABIOS = "/usr/share/bochs/VGABIOS-lgpl-latest"
# Where the BIOS locks VT-x on, once for the boot processor and once for the others: MOV ECX,
# IA32_FEATURE_CONTROL; RDMSR; OR EAX, lock and enable; WRMSR.
VMX_ON = re.compile(rb"(\xb9\x3a\0\0\0\x0f\x32\x66?\x83\xc8)\x05(\x0f\x30)")
# VM_CR with LOCK and SVMDIS: this BIOS knows nothing of SVM.
SVM_OFF = (0xc0010114, 0x18)


def vendor(cpu):
    """Which of KVM's modules fits the bed's processor."""
    return "amd" if cpu == "ryzen" else "intel"


def program(profile=False):
    """(path, whether it has the bed's patches): Bochs 3.0 of build-bochs, else Debian's own."""
    if profile or not os.environ.get("BED_DEBIAN_BOCHS"):
        build = [os.path.join(BED, "build-bochs")] + (["--profile"] if profile else [])
        result = subprocess.run(build, stdout=subprocess.PIPE, text=True, check=False)
        if result.returncode == 0:
            return result.stdout.strip(), True
        if profile:
            raise BedError("a Bochs that profiles could not be built")
    debian = shutil.which("bochs")
    if not debian:
        raise BedError("Bochs 3.0 could not be built and Debian's bochs is not installed; "
                       "run 'make deps'")
    say("Bochs 3.0 could not be built: falling back to Debian's Bochs, five times slower and "
        "without posted interrupts. What needs those, and all figures, do not count.")
    return debian, False


def _free_port():
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return sock.getsockname()[1]


def console_backend(_run):
    """Two-way console on a local port; Bochs waits for the connection."""
    port = _free_port()
    return f"mode=socket-server, dev=localhost:{port}", ("127.0.0.1", port)


def _bios(run):
    """The BIOS's path, or that of a copy which locks VT-x off."""
    if not run.locked_off or vendor(run.cpu) != "intel":
        return BIOS
    with open(BIOS, "rb") as handle:
        image, places = VMX_ON.subn(lambda found: found[1] + b"\x01" + found[2], handle.read())
    if places != 2:
        raise BedError(f"{BIOS} locks VT-x in {places} places instead of 2")
    path = os.path.join(run.directory, "bios")
    with open(path, "wb") as handle:
        handle.write(image)
    return path


def _boot_from_memory(run, arguments):
    off = run.locked_off and vendor(run.cpu) == "amd"
    images = direct.images(run, arguments, [SVM_OFF] if off else [])
    return ["display_library: nogui", "ata0: enabled=0",
            f"optromimage1: file={images.rom}, address={ROM_ADDRESS:#x}"] + [
        f"optramimage{number}: file={path}, address={address:#x}"
        for number, (path, address) in enumerate(images.ram, 1)]


def _boot_from_disk(run, arguments):
    path = iso.image(run, arguments)
    return ['display_library: rfb, options="timeout=0"', "sound: waveoutdrv=dummy",
            "speaker: enabled=0",
            f"ata0-master: type=disk, mode=flat, path={path}", "boot: disk"]


def _config(run, console, boot):
    report = "report" if run.report else "ignore"
    lines = [
        f"cpu: model={run.cpu}, count={run.cpus}, ips={IPS}, reset_on_triple_fault=0, "
        "ignore_bad_msrs=1",
        f"memory: guest={run.memory}, host={run.memory}",
        f"romimage: file={_bios(run)}",
        f"vgaromimage: file={VGABIOS}",
        f"com1: enabled=1, mode=file, dev={run.klog}",
        f"com2: enabled=1, {console}",
        f"com3: enabled=1, mode=file, dev={run.status}",
        f"log: {run.emulator_log}",
        "panic: action=fatal",
        f"error: action={report}",
        "info: action=ignore",
        "debug: action=ignore",
        "clock: sync=none",
    ]
    return "".join(line + "\n" for line in lines + boot + run.emulator_args)


def command(run, console):
    """The emulator's command line; its configuration lives in the run's own directory."""
    for rom in (BIOS, VGABIOS):
        if not os.path.exists(rom):
            raise BedError(f"{rom} is missing; run 'make deps'")
    path, patched = program(bool(run.profile))
    if not patched and run.cpu == DEFAULT_CPU:
        run.cpu = FALLBACK_CPU
    if run.locked_off and not patched:
        raise BedError("--locked-off needs the bed's own Bochs")
    boot = (_boot_from_memory if patched else _boot_from_disk)(
        run, f"{run.kernel_args()} {KERNEL_ARGS}")
    rcfile = os.path.join(run.directory, "bochsrc")
    if console.startswith("file:"):
        console = f"mode=file, dev={console[len('file:'):]}"
    with open(rcfile, "w", encoding="ascii") as handle:
        handle.write(_config(run, console, boot))
    if run.profile:
        return ["env", f"BOCHS_PROFILE={run.profile}", path, "-q", "-f", rcfile]
    if patched:
        return [path, "-q", "-f", rcfile]
    # Debian's has the debugger in, which has to be told to go.
    script = os.path.join(run.directory, "debugger")
    with open(script, "w", encoding="ascii") as handle:
        handle.write("continue\n")
    return [path, "-q", "-f", rcfile, "-rc", script]
