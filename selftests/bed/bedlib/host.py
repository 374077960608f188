# SPDX-License-Identifier: GPL-2.0-only
"""One run of one emulated host, from its images to its verdict."""

import glob
import hashlib
import os
import re
import subprocess
import sys
import tempfile
import time

from . import bochs, console, image, kernels, klog, qemu
from .paths import TREE, BedError, cache, say

BEDS = {"bochs": bochs, "qemu": qemu}

EXIT_LOG = 70
EXIT_DIED = 71
EXIT_SETUP = 72
EXIT_UNLOAD = 73
EXIT_DISK = 74
EXIT_TIMEOUT = 124

# What Bochs reports of a healthy host and its guests.
NOISE = re.compile(r"MSR: Unknown register|VMEXIT: EPT (?:violation|misconfig)")

# Warnings and worse until the module is loaded, everything from then on.
KERNEL_ARGS = "console=ttyS0,115200 loglevel=5 panic=-1 rdinit=/init random.trust_cpu=on cryptomgr.notests"


def _vermagic(path):
    result = subprocess.run(["modinfo", "-F", "vermagic", path], capture_output=True, text=True,
                            check=False)
    return result.stdout.split(" ", 1)[0]


def find_module(release):
    """The newest corbel.ko in the tree that was built for this very kernel."""
    places = [os.path.join(TREE, "build", release), TREE, os.path.join(TREE, "kmod")]
    found = [path for place in places for path in glob.glob(os.path.join(place, "corbel.ko"))
             if _vermagic(path) == release]
    return max(found, key=os.path.getmtime, default=None)


class Host:
    """What is to be booted, and where this run keeps its files."""

    def __init__(self, options, directory):
        self.options = options
        self.directory = directory
        self.bed = BEDS[options.bed]
        self.cpu = options.cpu or self.bed.DEFAULT_CPU
        self.cpus = options.cpus
        self.memory = options.memory
        self.iommu = options.iommu
        self.report = options.bochs_report
        self.profile = options.bochs_profile and os.path.abspath(options.bochs_profile)
        self.emulator_args = options.emulator_arg
        self.locked_off = options.locked_off
        self.devices = options.device
        self.kernel = kernels.find(options.kernel)
        self.klog = os.path.join(directory, "kernel.log")
        self.output = os.path.join(directory, "output")
        self.status = os.path.join(directory, "status")
        self.emulator_log = os.path.join(directory, "emulator.log")

    def kernel_args(self):
        extra = "" if not self.iommu else " intel_iommu=on"
        return f"{KERNEL_ARGS}{extra} {self.options.append}".rstrip()

    def device(self):
        return "/dev/kvm" if self.options.module == "kvm" else "/dev/corbel"

    def _environment(self):
        values = {"CORBEL_DEV": self.device(), "CORBEL_MODULE": self.options.module,
                  "CORBEL_BED": self.options.bed, "CORBEL_CPU": self.cpu,
                  "BED_INTERACTIVE": "1" if self.options.interactive else ""}
        values.update(self._make_disks())
        for pair in self.options.env:
            key, _, value = pair.partition("=")
            values[key] = value
        return values

    def _make_disks(self):
        """A disk of random bytes for each --device that has one: {DISKn: its hash}."""
        hashes = {}
        for n, name in enumerate(self.devices):
            if "nvme" in name:
                data = os.urandom(self.bed.DISK_SIZE)
                with open(os.path.join(self.directory, f"disk{n}"), "wb") as handle:
                    handle.write(data)
                hashes[f"DISK{n}"] = hashlib.sha256(data).hexdigest()
        return hashes

    def _judge_disks(self):
        """What the command says last that a disk holds is what its file here holds."""
        said = dict(re.findall(r"^bed: disk(\d+) holds ([0-9a-f]{64})$", self._text(self.output), re.M))
        found = {}
        for n in said:
            with open(os.path.join(self.directory, f"disk{n}"), "rb") as handle:
                found[n] = hashlib.sha256(handle.read()).hexdigest()
            print(f"# the file behind disk{n} has hash {found[n]}", flush=True)
        return found == said

    def _kvm_module(self):
        return f"kvm_{self.bed.vendor(self.cpu)}"

    def _stock_modules(self):
        names = [name for name in self.options.modules.split(",") if name]
        if self.options.module == "kvm":
            names.append(self._kvm_module())
        else:
            names.insert(0, "irqbypass")  # corbel.ko needs it, when the command loads that too
        return self.kernel.load_order(names)

    def _carried_modules(self):
        return self.kernel.load_order(n for n in self.options.carry.split(",") if n)

    def _load_lines(self, paths):
        lines = ["/" + image.module_target(path) for path in paths]
        args = self.options.module_args
        if self.options.module == "corbel":
            lines.append(f"/bed/corbel.ko {args}".rstrip())
        elif self.options.module == "kvm" and args:
            lines[-1] += f" {args}"
        return lines

    def _module(self):
        path = self.options.ko or find_module(self.kernel.release)
        if path is None and self.options.module == "corbel":
            raise BedError(f"no corbel.ko built for {self.kernel.release}; run "
                           f"'scripts/build-module {self.kernel.release}'")
        return path if self.options.module != "kvm" else None

    def _second(self):
        """(source, target) of the initramfs for a kernel that the command boots itself."""
        part = image.run_part(os.path.join(self.directory, "second.cpio.zst"), [], [],
                              self._environment(), ["sh", "-c", self.options.second_boot])
        path = image.join(os.path.join(self.directory, "second.cpio"), [image.base(), part])
        return f"{path}:/bed/second.cpio"

    def _files(self):
        extra = [self._second()] if self.options.second_boot else []
        return self.options.file + extra

    def initrd(self):
        """Path of the joined initramfs."""
        load = self._stock_modules()
        carried = [path for path in self._carried_modules() if path not in load]
        parts = [image.base(), image.modules(self.kernel, load + carried)]
        parts.append(image.run_part(os.path.join(self.directory, "run.cpio.zst"),
                                    self._files(), self._load_lines(load),
                                    self._environment(), self.options.command, self._module()))
        return image.join(os.path.join(self.directory, "initrd"), parts)

    def _start(self, command):
        # However the runner ends, its emulator ends too.
        command = ["setpriv", "--pdeathsig", "KILL", "--", *command]
        with open(self.emulator_log + ".out", "wb") as out:
            return subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=out,
                                    stderr=subprocess.STDOUT, cwd=self.directory,
                                    start_new_session=True)

    def boot(self):
        """Boot, run, and return whether the host ended by itself within its time."""
        deadline = time.monotonic() + self.options.timeout
        backend, address = f"file:{self.output}", None
        if self.options.interactive:
            backend, address = self.bed.console_backend(self)
        process = self._start(self.bed.command(self, backend))
        try:
            if address:
                return console.interact(process, address, deadline)
            tails = [console.Tail(self.output, sys.stdout.fileno())]
            if self.options.verbose:
                tails.append(console.Tail(self.klog, sys.stderr.fileno()))
            return console.follow(process, tails, deadline)
        finally:
            process.kill()
            process.wait()

    def _text(self, path):
        if not os.path.exists(path):
            return ""
        with open(path, "rb") as handle:
            return handle.read().decode(errors="replace").replace("\r", "")

    def _explain(self, title, text):
        say(title)
        if text.strip():
            print(text, file=sys.stderr, flush=True)

    def _judge_end(self, in_time, log):
        status = self._text(self.status).strip()
        reported = re.fullmatch(r"(exit|setup|unload) (.*)", status, re.S)
        if not in_time and not reported:
            if not self.options.interactive:
                self._explain(f"no end after {self.options.timeout} s; the log's last lines:",
                              "\n".join(log.splitlines()[-25:]))
            return EXIT_TIMEOUT
        if not reported:
            self._explain("the host ended before the command did; the log's last lines:",
                          "\n".join(log.splitlines()[-25:]) + self._emulator_words())
            return EXIT_DIED
        if reported[1] == "setup":
            self._explain(f"setup failed: {reported[2]}", "\n".join(log.splitlines()[-15:]))
            return EXIT_SETUP
        if reported[1] == "unload":
            self._explain(f"the module does not unload: {reported[2]}", "")
            return EXIT_UNLOAD
        return int(reported[2])

    def _emulator_words(self):
        words = self._text(self.emulator_log + ".out") + self._text(self.emulator_log)
        return "\n" + "\n".join(words.splitlines()[-15:])

    def verdict(self, in_time):
        """Exit status of the run: the command's, unless host or log say otherwise."""
        log = self._text(self.klog)
        if self.options.log:
            with open(self.options.log, "w", encoding="utf-8") as handle:
                handle.write(log)
        status = self._judge_end(in_time, log)
        found = klog.findings(log, self.options.allow_log)
        if found:
            self._explain(f"the kernel log has {len(found)} line(s) that fail the run:",
                          klog.region(log, found))
            return EXIT_LOG
        if status == 0 and not self._judge_disks():
            say("the file behind a disk is not what the command said")
            return EXIT_DISK
        return status

    def show_report(self):
        # A stock kernel probes for registers all the time; failed entries drown in that.
        lines = [line for line in self._text(self.emulator_log).splitlines()
                 if "e[" in line and not NOISE.search(line)]
        self._explain(f"Bochs reported {len(lines)} errors (the last 200):",
                      "\n".join(lines[-200:]))


def run(options):
    """Boot one host as asked; the exit status for the caller."""
    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="run-", dir=cache(),
                                     ignore_cleanup_errors=True) as directory:
        host = Host(options, directory)
        if options.verbose:
            say(f"{options.bed}, {host.cpu}, kernel {host.kernel.release}, "
                f"module {options.module}")
        in_time = host.boot()
        status = host.verdict(in_time)
        if options.bochs_report:
            host.show_report()
        if options.verbose:
            say(f"exit status {status} after {time.monotonic() - started:.1f} s")
        if options.keep:
            directory_kept = cache("kept")
            subprocess.run(["rm", "-rf", directory_kept], check=True)
            subprocess.run(["cp", "-r", directory, directory_kept], check=True)
            say(f"the run's files are in {directory_kept}")
        return status
