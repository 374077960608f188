#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# The launcher with real guests; LAUNCHER_TESTS names those to run instead of all.
#
# Catches: guests that do not boot or end as documented; disks, networks and consoles that lose or
# invent bytes; memory that does not come back.
# bed: --memory 1500 --modules tun --timeout 900
# needs: launcher guest pvh
# shellcheck disable=SC2317,SC2016,SC2154

# shellcheck source=selftests/bed/cases/lib.sh
. /root/cases/lib.sh

parameters="quiet rdinit=/test cryptomgr.notests panic=-1"

# Makes ./initrd, whose first process runs the script on standard input, then powers off.
initrd() {
	rm -rf over
	mkdir over
	{
		cat <<-'END'
			#!/bin/sh
			export PATH=/usr/sbin:/usr/bin:/sbin:/bin
			mount -t proc proc /proc; mount -t sysfs sysfs /sys
			mount -t devtmpfs devtmpfs /dev 2> /dev/null
			while read -r module; do
				insmod "/lib/modules/$module"
			done < /lib/modules/order
		END
		cat
		echo 'poweroff -f'
	} > over/test
	chmod 755 over/test
	(cd over && echo test | cpio -o -H newc 2> /dev/null) > over.cpio
	cat over.cpio guest.cpio > initrd
}

# The guest's output goes to ./out, the launcher's own to ./err, its exit code to $code.
guest() {
	corbel run --kernel vmlinuz --initrd initrd --memory 128 \
		--append "console=${console:-ttyS0} $parameters ${append:-}" "$@" > out 2> err
	code=$?
}

expect() {
	[ "$code" = "$1" ] || { echo "# exit code $code, not $1"; return 1; }
}

says() {
	grep -q -- "$1" out || { echo "# the guest does not say: $1"; return 1; }
}

tells() {
	grep -q -- "$1" err || { echo "# the launcher does not say: $1"; return 1; }
}

hash_of() { sha256sum "$1" | cut -d' ' -f1; }

new_disk() { dd if=/dev/urandom of=disk.img bs=1M count=4 2> /dev/null; }

# --- the cases ---

t_power_off() {
	initrd <<-'END'
		echo "cpus: $(nproc)"
		echo ids: $(grep apicid /proc/cpuinfo | tr -dc '0-9\n' | sort -u)
		echo "cores: $(grep -m1 'cpu cores' /proc/cpuinfo)"
	END
	guest --cpus 2 --stats
	expect 0 && says 'cpus: 2' && says 'ids: 0 1' && says 'cores.*: 2' && tells '^vCPU 1' &&
		tells '^  exits'
}

t_reset_exit() {
	echo 'reboot -f' | initrd
	guest --on-reboot exit
	expect 3
}

# The guest counts its boots on the disk: 1, 2, then off.
t_reset_restart() {
	truncate -s 1M disk.img
	initrd <<-'END'
		n=$(head -c 1 /dev/vda | tr -dc 0-9)
		n=$((${n:-0} + 1))
		echo "boot $n"
		echo "$n" | dd of=/dev/vda conv=notrunc 2> /dev/null
		sync
		[ "$n" = 3 ] || reboot -f
	END
	guest --disk disk.img --net user --rng
	expect 0 && says 'boot 1' && says 'boot 2' && says 'boot 3'
}

t_triple_fault() {
	echo 'reboot -f' | initrd
	append=reboot=t guest --on-reboot restart
	expect 4 && tells 'triple fault' && tells 'rip ' && tells 'cr3 '
}

# Ends by a signal while it runs.
ends_by() {
	echo 'echo up; sleep 1000' | initrd
	: > out
	corbel run --kernel vmlinuz --initrd initrd --memory 128 \
		--append "console=ttyS0 $parameters" > out 2> err &
	pid=$!
	for _ in $(seq 120); do
		grep -q up out && break
		sleep 1
	done
	kill -"$1" "$pid"
	wait "$pid"
	code=$?
}

t_sigterm() {
	ends_by TERM
	expect 143 && says up
}

t_sigquit() {
	ends_by QUIT
	expect 131 && tells '^vCPU 0' && tells 'rip '
}

t_serial_input() {
	echo 'read -r a; read -r b; echo "got $((a * b))"' | initrd
	printf '6\n7\n' > in
	guest < in
	expect 0 && says 'got 42'
}

t_virtio_console() {
	initrd <<-'END'
		exec < /dev/hvc0 > /dev/hvc0
		read -r a; read -r b; echo "got $((a * b))"; seq 2000
	END
	printf '6\n7\n' > in
	console=hvc0 guest --console virtio < in
	expect 0 && says 'got 42' && says '^2000'
}

t_console_file() {
	echo 'echo into the file; seq 1000' | initrd
	guest --console file:log
	expect 0 && grep -q 'into the file' log && grep -q '^1000' log && [ ! -s out ]
}

t_disk() {
	new_disk
	before=$(hash_of disk.img)
	initrd <<-'END'
		echo id: $(cat /sys/block/vda/serial) ro: $(cat /sys/block/vd[ab]/ro)
		echo "read: $(sha256sum < /dev/vda)"
		dd if=/dev/zero of=/dev/vdb count=1 2> /dev/null && echo "wrote to a read-only disk"
		dd if=/dev/urandom of=/dev/vda bs=64k 2> /dev/null
		sync
		echo "written: $(sha256sum < /dev/vda)"
	END
	cp disk.img other.img
	guest --disk disk.img --disk other.img,ro
	expect 0 && says "read: $before" && says "written: $(hash_of disk.img)" &&
		says 'id: corbel-disk0 ro: 0 1' &&
		! grep -q 'wrote to' out && [ "$(hash_of other.img)" = "$before" ]
}

t_discard() {
	new_disk
	echo 'blkdiscard /dev/vda && echo discarded; sha256sum < /dev/vda' | initrd
	guest --disk disk.img
	expect 0 && says discarded && says "$(head -c 4194304 /dev/zero | sha256sum)" &&
		[ "$(du -k disk.img | cut -f1)" -lt 64 ]
}

serve() {
	mkdir -p www
	dd if=/dev/urandom of=www/data bs=1M count=3 2> /dev/null
	pidof httpd > /dev/null || httpd -p 8000 -h /root/www
}

fetch='wget -q -O - http://$host:8000/data | sha256sum'

t_net_user() {
	serve
	initrd <<-END
		host=10.0.2.2
		ifconfig eth0 10.0.2.15 up
		echo "got: \$($fetch)"
		echo "hello from inside" | nc -l -p 99
	END
	(
		for _ in $(seq 120); do
			nc -w 3 127.0.0.1 9999 2> /dev/null < /dev/null | grep inside > forwarded &&
				break
			sleep 1
		done
	) &
	guest --net user --hostfwd tcp:127.0.0.1:9999-:99
	wait
	expect 0 && says "got: $(hash_of www/data)" && grep -q inside forwarded
}

t_net_restrict() {
	serve
	initrd <<-END
		host=10.0.2.2
		ifconfig eth0 10.0.2.15 up
		wget -q -T 3 -O - http://\$host:8000/data > data || echo "kept in"
	END
	guest --net user,restrict
	expect 0 && says 'kept in'
}

t_net_tap() {
	serve
	ip tuntap add tap9 mode tap 2> /dev/null || tunctl -t tap9 > /dev/null
	ifconfig tap9 192.168.99.1 up
	initrd <<-END
		host=192.168.99.1
		ifconfig eth0 192.168.99.2 up
		echo "mac: \$(cat /sys/class/net/eth0/address)"
		echo "got: \$($fetch)"
	END
	guest --net tap=tap9,mac=52:54:00:ab:cd:ef --cpus 2
	expect 0 && says "got: $(hash_of www/data)" && says 'mac: 52:54:00:ab:cd:ef'
}

# Without eventfds every notification and interrupt takes the long way.
t_no_eventfds() {
	serve
	new_disk
	initrd <<-END
		host=10.0.2.2
		ifconfig eth0 10.0.2.15 up
		echo "got: \$($fetch)"
		echo "read: \$(sha256sum < /dev/vda)"
	END
	guest --net user --disk disk.img --irqfd off --ioeventfd off --sandbox off
	expect 0 && says "got: $(hash_of www/data)" && says "read: $(hash_of disk.img)"
}

t_line_interrupts() {
	new_disk
	echo 'echo "read: $(sha256sum < /dev/vda)"; grep virtio /proc/interrupts' | initrd
	append=pci=nomsi guest --disk disk.img --disk vmlinuz,ro --rng
	expect 0 && says "read: $(hash_of disk.img)" && says 'IO-APIC.*virtio'
}

t_rng() {
	initrd <<-'END'
		echo "bytes: $(head -c 64 /dev/hwrng | wc -c)"
		cat /sys/class/misc/hw_random/rng_current
	END
	guest --rng
	expect 0 && says 'bytes: 64' && says virtio_rng
}

t_balloon() {
	initrd <<-'END'
		for _ in $(seq 30); do
			sleep 1
			[ "$(sed -n 's/MemFree: *\([0-9]*\) kB/\1/p' /proc/meminfo)" -gt 50000 ] || break
		done
		grep MemFree /proc/meminfo
	END
	guest --balloon 48M --stats
	expect 0 && tells 'pages inflated *12288' && tells 'total-memory'
}

# Linux reports from zones only that have more than 64 MiB free.
t_free_pages_reported() {
	echo 'dd if=/dev/zero of=/f bs=1M count=40 2> /dev/null; rm /f; sleep 6' | initrd
	guest --balloon 0 --stats --memory 256
	expect 0 && [ "$(sed -n 's/.*reported free *\([0-9]*\) bytes/\1/p' err)" -gt 20000000 ]
}

t_memory_memfd() {
	echo 'sleep 5; echo well' | initrd
	guest --memory-backend memfd --balloon 32M --stats
	expect 0 && says well && tells 'pages inflated *8192'
}

t_memory_hugetlb() {
	echo 72 > /proc/sys/vm/nr_hugepages
	echo 'echo well' | initrd
	guest --memory-backend hugetlb
	echo 0 > /proc/sys/vm/nr_hugepages
	expect 0 && says well || return 1
	guest --memory-backend hugetlb
	expect 1 && tells 'not enough free huge pages'
}

# Two guests with the same random data: KSM finds it; a write in one does not show in the other.
t_merge() {
	[ -d /sys/kernel/mm/ksm ] || return 1
	dd if=/dev/urandom of=same.img bs=1M count=8 2> /dev/null
	echo 1 > /sys/kernel/mm/ksm/run
	echo 10000 > /sys/kernel/mm/ksm/pages_to_scan
	initrd <<-'END'
		mount -t tmpfs t /tmp; cat /dev/vda > /tmp/f
		echo ready; read -r word; echo "$word" | dd of=/tmp/f conv=notrunc 2> /dev/null
		echo "now: $(sha256sum < /tmp/f)"
	END
	rm -f go1 go2
	mkfifo go1 go2
	for i in 1 2; do
		corbel run --kernel vmlinuz --initrd initrd --memory 128 --merge \
			--disk same.img,ro --append "console=ttyS0 $parameters" \
			< "go$i" > "out$i" 2> "err$i" &
	done
	exec 8> go1 9> go2
	for _ in $(seq 120); do
		[ "$(cat /sys/kernel/mm/ksm/pages_sharing)" -gt 2048 ] && break
		sleep 1
	done
	sharing=$(cat /sys/kernel/mm/ksm/pages_sharing)
	echo one >&8
	echo two >&9
	exec 8>&- 9>&-
	wait
	echo 2 > /sys/kernel/mm/ksm/run
	echo "# pages sharing: $sharing"
	for i in 1 2; do
		{ [ "$i" = 1 ] && echo one || echo two; } | dd of=same.img conv=notrunc 2> /dev/null
		grep -q "now: $(hash_of same.img)" "out$i" && continue
		echo "# guest $i sees something else"
		return 1
	done
	[ "$sharing" -gt 2048 ]
}

t_sandbox() {
	echo 'echo up; sleep 1000' | initrd
	: > out
	corbel run --kernel vmlinuz --initrd initrd --memory 128 --net user --disk vmlinuz,ro \
		--append "console=ttyS0 $parameters" > out 2> err &
	pid=$!
	for _ in $(seq 120); do
		grep -q up out && break
		sleep 1
	done
	modes=$(cat /proc/"$pid"/task/*/status | grep '^Seccomp:' | sort -u | tr -d '\t ')
	kill "$pid"
	wait "$pid"
	echo "# $modes"
	[ "$modes" = "Seccomp:2" ]
}

t_pvh() {
	printf junk > module
	corbel run --kernel pvh.elf --initrd module --append "hello" > out 2> err
	code=$?
	expect 0 && says 'PVH is well'
}

t_bad_kernels() {
	head -c 100000 vmlinuz > short
	corbel run --kernel short > out 2> err
	code=$?
	expect 1 && tells 'is cut short' || return 1
	corbel run --kernel guest.cpio > out 2> err
	code=$?
	expect 1 && tells 'neither a bzImage nor an ELF file' || return 1
	corbel run --kernel vmlinuz --memory 16 > out 2> err
	code=$?
	expect 1 && tells 'raise --memory' || return 1
	corbel run --kernel vmlinuz --memory 900G > out 2> err
	code=$?
	expect 1 && tells 'lower --memory'
}

tests=${LAUNCHER_TESTS:-$(sed -n 's/^t_\([a-z_]*\)() {$/\1/p' "$0")}
number=0
failed=
for name in $tests; do
	number=$((number + 1))
	if "t_$name" < /dev/null; then
		echo "ok $number launcher/$name"
	else
		failed="$failed $name"
		tail -n 12 out err 2> /dev/null | sed 's/^/# /'
		echo "not ok $number launcher/$name"
	fi
done
[ -z "$failed" ] || fail "failed:$failed"
pass
