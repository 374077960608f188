#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# Catches: a vhost-user disk that understands only back-ends of its own kind: QEMU's storage daemon serves
# it here; a guest's reset and a second guest that find the back-end in the state of the first.
# bed: --cpus 2 --timeout 900
# needs: launcher guest storage-daemon
# shellcheck disable=SC2016

# shellcheck source=selftests/bed/cases/lib.sh
. /root/cases/lib.sh

parameters="console=ttyS0 quiet rdinit=/test cryptomgr.notests panic=-1"
socket=/tmp/back-end.sock
dd if=/dev/urandom of=/tmp/disk bs=1M count=24 2> /dev/null
before=$(sha256sum < /tmp/disk)

# The second time that it boots it finds what it has written the first time.
initrd <<-'END'
	disk=/dev/vda
	echo "read: $(sha256sum < $disk)"
	if [ "$(head -c 5 $disk)" != again ]; then
		dd if=/dev/urandom of=/data bs=1M count=16 2> /dev/null
		dd if=/data of=$disk bs=1M seek=4 conv=fsync 2> /dev/null
		echo 3 > /proc/sys/vm/drop_caches
		back=$(dd if=$disk bs=1M skip=4 count=16 2> /dev/null | sha256sum)
		[ "$back" = "$(sha256sum < /data)" ] && echo "written: $back"
		echo again | dd of=$disk bs=512 conv=notrunc,sync,fsync 2> /dev/null
		echo "boots again"
		reboot -f
	fi
	echo "part: $(dd if=$disk bs=1M skip=4 count=16 2> /dev/null | sha256sum)"
	grep virtio /proc/interrupts
	echo "it is done"
END

guest() {
	corbel run --kernel vmlinuz --initrd initrd --memory 128 --disk "vhost-user=$socket" \
		--append "$parameters" > "/tmp/guest.$1" 2> "/tmp/guest.$1.err" < /dev/null
}

qemu-storage-daemon --blockdev driver=file,filename=/tmp/disk,node-name=file \
	--blockdev driver=raw,file=file,node-name=disk --export \
	type=vhost-user-blk,id=disk,node-name=disk,addr.type=unix,addr.path=$socket,writable=on \
	> /tmp/guest.daemon 2>&1 < /dev/null &
daemon=$!
left=20
until [ -S "$socket" ]; do
	[ "$left" -gt 0 ] || fail "no back-end"
	left=$((left - 1))
	sleep 0.5
done
guest one || fail "guest one: exit code $?"
says /tmp/guest.one "^read: $before" 1 || fail "guest one has read something else"
says /tmp/guest.one '^it is done' 1 || fail "no second boot"
written="$(dd if=/tmp/disk bs=1M skip=4 count=16 2> /dev/null | sha256sum)"
says /tmp/guest.one "^written: $written" 1 || fail "the disk has not what guest one wrote"
says /tmp/guest.one "^part: $written" 1 || fail "after its reset guest one has read something else"
grep virtio /tmp/guest.one | tr -d '\r' | sed 's/^/# one: /'
guest two || fail "guest two: exit code $?"
says /tmp/guest.two "^part: $written" 1 || fail "guest two has read something else"
[ ! -s /tmp/guest.two.err ] || fail "guest two's launcher has something to say"
kill "$daemon"
wait "$daemon"
corbel run --kernel vmlinuz --disk "vhost-user=$socket" 2>&1 | grep 'start it first' || fail "no word of what is wrong"
pass
