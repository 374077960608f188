#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# Catches: virtual functions that nobody brings online; guests that reach each other's function or the
# host's; an MSI-X table in BAR 0, as these have it, that keeps a guest from the registers before it.
# bed: --bed qemu --iommu --cpus 2 --memory 1200 --timeout 600
# bed: --modules vfio-pci,vfio_iommu_type1 --device nvme-sriov
# needs: launcher guest
# shellcheck disable=SC2016

# shellcheck source=selftests/bed/cases/lib.sh
. /root/cases/lib.sh

parameters="console=ttyS0 quiet rdinit=/test cryptomgr.notests panic=-1"
pf=$(pci_find 1b36:0010) || fail "no NVMe controller"
disk=$(cd "/sys/bus/pci/devices/$pf" && echo nvme/nvme*/nvme*n1)
disk=/dev/nvme$(echo "${disk##*/nvme}" | sed 's/c[0-9]*//')
[ -b "$disk" ] || fail "no disk $disk"

corbel pci vfs "$pf" 3 2>&1 | grep 'can have 2 virtual functions at most' || fail "three functions"
corbel pci vfs "$pf" 2 || fail "corbel pci vfs"
corbel pci list
one=$(readlink "/sys/bus/pci/devices/$pf/virtfn0")
two=$(readlink "/sys/bus/pci/devices/$pf/virtfn1")
one=${one##*/}
two=${two##*/}
corbel pci bind "$one" "$two" || fail "corbel pci bind"

# Each guest writes its own 8 MiB of the shared namespace, after having read what was there, and goes on
# until both were seen to run.
initrd <<-'END'
	at=$(sed -n 's/.*test.at=\([0-9]*\).*/\1/p' /proc/cmdline)
	disk=/dev/nvme0n1
	echo "read: $(dd if=$disk bs=1M skip=$at count=8 2> /dev/null | sha256sum)"
	dd if=/dev/urandom of=/data bs=1M count=8 2> /dev/null
	n=0
	while [ $n -lt 20 ]; do
		n=$((n + 1))
		dd if=/data of=$disk bs=1M seek=$at conv=fsync 2> /dev/null
		echo 3 > /proc/sys/vm/drop_caches
		[ "$(dd if=$disk bs=1M skip=$at count=8 2> /dev/null | sha256sum)" = "$(sha256sum < /data)" ] ||
			echo "broken $n"
		echo "tick $n"
	done
	echo "written: $(sha256sum < /data)"
	grep nvme /proc/interrupts
END

part() { dd "if=$disk" bs=1M "skip=$1" count=8 2> /dev/null | sha256sum; }

start() {
	corbel run --kernel vmlinuz --initrd initrd --memory 160 --name "$1" --pci "$2" \
		--append "$parameters test.at=$3" > "/tmp/guest.$1" 2> "/tmp/guest.$1.err" < /dev/null &
}

before_one=$(part 16)
before_two=$(part 48)
untouched=$(part 0)
start one "$one" 16
start two "$two" 48
for guest in one two; do
	says "/tmp/guest.$guest" '^tick 1[^0-9]' 120 || fail "guest $guest does not run"
done
# Both at once, and the host on the physical function.
[ "$(part 0)" = "$untouched" ] || fail "the host reads something else"
grep vfio-msix /proc/interrupts | tee /tmp/host.interrupts | sed 's/^/# host: /'
! grep -q '^written' /tmp/guest.one || fail "guest one was over before guest two began"
corbel pci vfs "$pf" 0 2>&1 | grep 'is in use by a guest' || fail "functions of running guests taken away"
for guest in one two; do
	says "/tmp/guest.$guest" '^written' 200 || fail "guest $guest does not come to its end"
	! grep '^broken' "/tmp/guest.$guest" || fail "guest $guest reads what it has not written"
done
wait
for function in "$one" "$two"; do
	[ "$(grep "IR-PCI-MSI.*$function" /tmp/host.interrupts | awk '{ n += $2 + $3 } END { print n + 0 }')" \
		-gt 10 ] || fail "no remapped interrupts of $function"
done
echo 3 > /proc/sys/vm/drop_caches
says /tmp/guest.one "^read: $before_one" 1 || fail "guest one has read something else"
says /tmp/guest.two "^read: $before_two" 1 || fail "guest two has read something else"
says /tmp/guest.one "^written: $(part 16)" 1 || fail "the disk has not what guest one wrote"
says /tmp/guest.two "^written: $(part 48)" 1 || fail "the disk has not what guest two wrote"
grep nvme /tmp/guest.one /tmp/guest.two | tr -d '\r' | sed 's|^/tmp/|# |'
echo "bed: disk0 holds $(sha256sum < "$disk" | cut -d' ' -f1)"
corbel pci unbind "$one" "$two" || fail "corbel pci unbind"
corbel pci vfs "$pf" 0 || fail "corbel pci vfs 0"
[ ! -e "/sys/bus/pci/devices/$one" ] || fail "$one is still there"
pass
