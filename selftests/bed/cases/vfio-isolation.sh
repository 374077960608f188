#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# Catches: a guest's device that writes memory of the host's or of another guest's, or interrupts where
# nobody has allowed it to.
# The device is QEMU's edu: a DMA engine that goes wherever it is told. The host has set aside a piece of
# its memory, so that it can look there by itself; it reaches it with the same device before the guest
# has it, for its own address space is the identity (iommu=pt): the device does what it is told.
# bed: --bed qemu --iommu --cpus 2 --memory 1200 --timeout 600 '--append=iommu=pt memmap=1M$0x20000000'
# bed: --modules vfio-pci,vfio_iommu_type1 --device edu
# needs: launcher guest
# shellcheck disable=SC2016

# shellcheck source=selftests/bed/cases/lib.sh
. /root/cases/lib.sh

parameters="console=ttyS0 quiet rdinit=/test cryptomgr.notests panic=-1 iomem=relaxed"
edu=$(pci_find 1234:11e8) || fail "no edu device"

# To be used on both sides. The device's memory is 4 KiB at 0x40000 of its own addresses.
cat > dma.sh <<'END'
# Let function $1 decode memory and master the bus: bits 1 and 2 of its command register.
start() {
	printf '\006' | dd of="/sys/bus/pci/devices/$1/config" bs=1 seek=4 conv=notrunc 2> /dev/null
	bar=$(head -n 1 "/sys/bus/pci/devices/$1/resource" | cut -d' ' -f1)
}

# $1 to $2, $3 bytes; $4: 1 from memory, 3 to memory. Bit 0 of the command says that it is not done yet.
transfer() {
	devmem $((bar + 0x80)) 64 "$1"
	devmem $((bar + 0x88)) 64 "$2"
	devmem $((bar + 0x90)) 64 "$3"
	devmem $((bar + 0x98)) 64 "$4"
	while [ $(($(devmem $((bar + 0x98)) 64) & 1)) = 1 ]; do
		usleep 20000
	done
}
to_memory() { transfer 0x40000 "$1" "${2:-8}" 3; }
from_memory() { transfer "$1" 0x40000 "${2:-8}" 1; }
END
. ./dma.sh

mine=0x20000000		# the host's own, set aside
devmem $mine 64 0x1122334455667788
devmem 0x20001000 64 0
start "$edu"
from_memory $mine
to_memory 0x20001000
[ "$(devmem 0x20001000 64)" = 0x1122334455667788 ] || fail "the device does not do what it is told"
devmem 0x20001000 64 0

guest_start other 1
guest_wait other 3 120
corbel pci bind "$edu" || fail "corbel pci bind"

# The guest has 128 MiB, of which its kernel leaves the last 32 alone.
cp dma.sh guest-dma.sh
initrd_files=guest-dma.sh initrd <<-'END'
	. /guest-dma.sh
	device=$(grep -l 0x11e8 /sys/bus/pci/devices/*/device)
	device=${device%/device}
	start "${device##*/}"
	devmem 0x6000000 64 0xfeedfacecafebeef
	from_memory 0x6000000
	to_memory 0x6001000
	echo "inside: $(devmem 0x6001000 64)"
	# The host's memory by its own addresses, what is right behind the guest's, what is beyond all.
	# Not faster than the host's log takes faults: three in five seconds.
	for target in 0x20000000 0x20001000 0x8000000 0x100000000; do
		to_memory $target
		echo "wrote to $target"
		sleep 3
	done
	from_memory 0x20000000
	to_memory 0x6002000
	echo "got: $(devmem 0x6002000 64)"
	# A remappable message with handle 0x7fff, of which there is no entry.
	to_memory 0xfeefff14 4
	echo "sent"
	from_memory 0x6000000
	to_memory 0x6003000
	echo "still: $(devmem 0x6003000 64)"
END
corbel run --kernel vmlinuz --initrd initrd --memory 128 --pci "$edu" --append "$parameters mem=96M" \
	> /tmp/guest.wild 2> /tmp/guest.wild.err < /dev/null || fail "exit code $?"
sed 's/^/# guest: /' /tmp/guest.wild | tr -d '\r'
says /tmp/guest.wild '^inside: 0xFEEDFACECAFEBEEF' 1 || fail "the guest's own DMA does not work"
says /tmp/guest.wild '^still: 0xFEEDFACECAFEBEEF' 1 ||
	fail "the guest did not come to its end"
! grep '^got: 0x1122334455667788' /tmp/guest.wild || fail "the guest has read the host's memory"
[ "$(devmem $mine 64)" = 0x1122334455667788 ] || fail "the host's memory was overwritten"
[ "$(devmem 0x20001000 64)" = 0x0000000000000000 ] || fail "the host's memory was overwritten"
dmesg | grep 'DMAR:.*fault' | tee /tmp/faults | sed 's/^/# host: /'
for address in 0x20000000 0x20001000 0x8000000 0x100000000; do
	grep -q "DMA Write.*fault addr $address" /tmp/faults || fail "no fault of a write to $address in the log"
done
grep -q 'DMA Read.*fault addr 0x20000000' /tmp/faults || fail "no fault of the read in the log"
guest_alive other
! dmesg | grep 'No irq handler' || fail "an interrupt that nobody has asked for"
kill "$guest_pid"
wait "$guest_pid"
# The host has the device back, as it was.
corbel pci unbind "$edu" || fail "corbel pci unbind"
start "$edu"
from_memory $mine
to_memory 0x20001000
[ "$(devmem 0x20001000 64)" = 0x1122334455667788 ] || fail "the device is not what it was"
pass
