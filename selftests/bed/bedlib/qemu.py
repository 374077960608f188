# SPDX-License-Identifier: GPL-2.0-only
"""The QEMU bed: AMD SVM by emulation, or the real processor where KVM can nest."""

import glob
import os
import shutil

from .paths import BedError, say

NAME = "qemu"
DEFAULT_CPU = "EPYC"
PROGRAM = "qemu-system-x86_64"
# QEMU raises the other CPUs slowly without it, and its TSC is not calibrated in a hurry.
KERNEL_ARGS = "tsc=reliable"
# With remapping, the kernel panics where it sees no timer interrupt within a tenth of a second.
IOMMU_ARGS = KERNEL_ARGS + " no_timer_check"

# What --device puts into the host. Disks are files "disk0" and up in the run's directory; a device that is
# to have an IOMMU group for itself needs a port for itself.
PORT = "pcie-root-port,id=port{n},chassis={n}"
DISK = "file=disk{n},format=raw,if=none,id=drive{n}"
SRIOV = ("nvme,serial=bed{n},bus=port{n},subsys=subsys{n},msix_qsize=9,max_ioqpairs=8,sriov_max_vfs=2,"
         "sriov_vq_flexible=4,sriov_vi_flexible=2")
DEVICES = {
    "edu": ["-device", "edu,dma_mask=0xffffffffffffffff"],
    "nvme": ["-device", PORT, "-drive", DISK,
             "-device", "nvme,serial=bed{n},drive=drive{n},bus=port{n},msix-exclusive-bar=on"],
    "nvme-bar0": ["-device", PORT, "-drive", DISK,
                  "-device", "nvme,serial=bed{n},drive=drive{n},bus=port{n}"],
    "nvme-sriov": ["-device", PORT, "-drive", DISK, "-device", "nvme-subsys,id=subsys{n}",
                   "-device", SRIOV, "-device", "nvme-ns,drive=drive{n},nsid=1"],
}
DISK_SIZE = 96 << 20


def can_nest():
    """True if KVM here hands its guests VMX or SVM; a /dev/kvm alone does not say so."""
    if not os.access("/dev/kvm", os.R_OK | os.W_OK):
        return False
    for path in glob.glob("/sys/module/kvm_*/parameters/nested"):
        with open(path, encoding="ascii") as handle:
            if handle.read().strip() in ("1", "Y"):
                return True
    return False


def vendor(cpu):
    """Which of KVM's modules fits the bed's processor."""
    if can_nest() and cpu == DEFAULT_CPU:
        with open("/proc/cpuinfo", encoding="ascii") as handle:
            return "intel" if "GenuineIntel" in handle.read() else "amd"
    return "amd"


def _processor(cpu):
    if cpu != DEFAULT_CPU:
        return ["-accel", "tcg,thread=multi", "-cpu", cpu]
    if can_nest():
        say("KVM on this machine can nest: using the real processor")
        return ["-accel", "kvm", "-cpu", "host"]
    return ["-accel", "tcg,thread=multi", "-cpu", "EPYC,+svm,+npt"]


def _devices(run):
    args = []
    for n, name in enumerate(run.devices):
        if name not in DEVICES:
            raise BedError(f"no device {name}; there are {', '.join(DEVICES)}")
        args += [arg.format(n=n) for arg in DEVICES[name]]
    return args


def command(run, console):
    """The emulator's command line. @console is the backend of the command's serial port."""
    if not shutil.which(PROGRAM):
        raise BedError(f"{PROGRAM} is not installed; run 'make deps'")
    machine = "q35,kernel-irqchip=split" if run.iommu else "q35"
    args = [PROGRAM, "-M", machine, *_processor(run.cpu), "-m", str(run.memory),
            "-smp", str(run.cpus), "-nodefaults", "-no-user-config", "-display", "none",
            "-no-reboot", "-kernel", run.kernel.image, "-initrd", run.initrd(),
            "-append", f"{run.kernel_args()} {IOMMU_ARGS if run.iommu else KERNEL_ARGS}"]
    if run.iommu:
        args += ["-device", "intel-iommu,intremap=on"]
    args += _devices(run)
    for backend in (f"file:{run.klog}", console, f"file:{run.status}"):
        args += ["-serial", backend]
    return args + run.emulator_args


def console_backend(run):
    """Two-way console on a socket in the run's own directory."""
    path = os.path.join(run.directory, "console")
    return f"unix:{path},server=on,wait=on", path
