#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# Debian's unmodified libvirt and its QEMU on /dev/kvm; LIBVIRT_TESTS names those to run instead of all.
#
# Catches: a /dev/kvm that libvirt takes for no KVM, processor features that it finds missing in the guest it has
# started, domains that do not stop, go on, or come back from a file as they were.
# bed: --memory 2000 --timeout 5400 --module-args alias_kvm=1 --modules tun,vhost_net --carry button,evdev
# needs: qemu libvirt guest
# shellcheck disable=SC2034,SC2317,SC2154,SC3043

# shellcheck source=selftests/bed/cases/lib.sh
. /root/cases/lib.sh

# MiB that the worker keeps writing: few, so that it counts fast enough for 'stands' on a slow host.
work=1
export LIBVIRT_DEFAULT_URI=qemu:///system

# What Debian's packages and udev do when libvirt is installed: QEMU is not to run as root.
install_libvirt() {
	echo 'libvirt-qemu:x:64055:104:Libvirt Qemu:/var/lib/libvirt:/bin/false' >> /etc/passwd
	printf 'libvirt:x:105:\nlibvirt-qemu:x:64055:libvirt-qemu\n' >> /etc/group
	ln -s /run /var/run
	ln -s /run/lock /var/lock
	mkdir -p /run/lock /var/log/libvirt /var/lib/libvirt /var/cache/libvirt
	chown root:kvm /dev/kvm
	chmod 660 /dev/kvm
}

start_libvirtd() {
	LIBVIRT_LOG_OUTPUTS="3:file:/tmp/libvirtd.said" libvirtd --daemon && virsh -q version > /dev/null
}

# Define domain $1. $machine, $processor, $vcpus, $features and $devices are what is special about it; its
# console goes to guest.NAME too.
define() {
	cat > "/tmp/$1.xml" <<-END
		<domain type='kvm'>
		  <name>$1</name>
		  <memory unit='MiB'>160</memory>
		  ${vcpus:-<vcpu>1</vcpu>}
		  <os>
		    <type arch='x86_64' machine='${machine:-pc}'>hvm</type>
		    <kernel>/root/vmlinuz</kernel>
		    <initrd>/root/initrd</initrd>
		    <cmdline>console=ttyS0 quiet rdinit=/test cryptomgr.notests panic=-1</cmdline>
		  </os>
		  <features><acpi/><apic/>${features:-}</features>
		  <cpu mode='${processor:-host-model}'/>
		  ${clock:-}
		  <devices>
		    <serial type='pty'><log file='/tmp/guest.$1' append='on'/></serial>
		    <memballoon model='virtio'/>
		    ${devices:-}
		  </devices>
		</domain>
	END
	virsh -q define "/tmp/$1.xml" > /dev/null
}

start() { define "$1" && virsh -q start "$1"; }

# Domain $1 is in state $2, $3 seconds from now at the latest.
state() {
	local left="${3:-0}" now

	until now=$(virsh domstate --reason "$1" | head -n 1) && [ "$now" = "$2" ]; do
		[ "$left" -gt 0 ] || { echo "# $1 is $now, not $2"; return 1; }
		sleep 1
		left=$((left - 1))
	done
}

# The guest's counter has never jumped, and its memory never changed by itself.
unbroken() {
	! grep '^broken' "/tmp/guest.$1" &&
		tr -d '\r' < "/tmp/guest.$1" | awk '/^tick / && $2 != ++n { print "# not " n ": " $0; exit 1 }'
}

# The counter of a guest that must not run does not move.
stands() {
	was=$(last_tick "$1")
	sleep 3
	[ "$(last_tick "$1")" = "$was" ] || { echo "# it runs on"; return 1; }
}

t_capabilities() {
	virsh capabilities > /tmp/capabilities.said &&
		grep -q "<domain type='kvm'" /tmp/capabilities.said
}

t_domcapabilities() {
	virsh domcapabilities --virttype kvm > /tmp/domcapabilities.said &&
		grep -q '<domain>kvm</domain>' /tmp/domcapabilities.said &&
		grep -q "<mode name='host-passthrough' supported='yes'" /tmp/domcapabilities.said &&
		grep -q "<mode name='host-model' supported='yes'" /tmp/domcapabilities.said
}

t_host_validate() {
	virt-host-validate qemu > /tmp/validate.said
	grep -q 'for hardware virtualization.*PASS' /tmp/validate.said &&
		grep -q 'if device /dev/kvm exists.*PASS' /tmp/validate.said &&
		grep -q 'if device /dev/kvm is accessible.*PASS' /tmp/validate.said
}

t_define_undefine() {
	define defined && state defined 'shut off (unknown)' && virsh dumpxml defined | grep -q "<domain type='kvm'" &&
		virsh -q undefine defined && ! virsh domstate defined 2> /dev/null
}

# The terminal of 'virsh console': what the guest prints comes out, what is typed goes in.
t_console() {
	cat <<-'END' | initrd
		echo "it runs"
		while read -r line; do
			echo "heard $line"
		done
	END
	start console && says /tmp/guest.console '^it runs' 120 || return 1
	mkfifo /tmp/typed
	TERM=dumb script -q -f -c 'virsh console console --force' /tmp/console.said < /tmp/typed > /dev/null 2>&1 &
	exec 3> /tmp/typed
	says /tmp/console.said 'Escape character' 60 && echo 'a word' >&3 && says /tmp/console.said '^heard a word' 60
}

t_suspend_resume() {
	worker
	start suspended && ticks suspended 5 120 && state suspended 'running (booted)' || return 1
	virsh -q suspend suspended && state suspended 'paused (user)' && stands suspended || return 1
	virsh -q resume suspended && state suspended 'running (unpaused)' && ticks suspended $((was + 10)) 60 &&
		unbroken suspended
}

t_save_restore() {
	worker
	start saved && ticks saved 5 120 && virsh -q save saved /tmp/state || return 1
	state saved 'shut off (saved)' && stands saved || return 1
	virsh -q restore /tmp/state && state saved 'running (restored)' && ticks saved $((was + 20)) 120 && unbroken saved
}

# The daemon keeps the state and starts the domain with it.
t_managed_save() {
	worker
	start managed && ticks managed 5 120 && virsh -q managedsave managed || return 1
	state managed 'shut off (saved)' && stands managed || return 1
	virsh -q start managed && state managed 'running (restored)' && ticks managed $((was + 20)) 120 && unbroken managed
}

t_reset() {
	printf 'echo "a boot"\nsleep 1000\n' | initrd
	start reset && says /tmp/guest.reset '^a boot' 120 || return 1
	pid=$(cat /run/libvirt/qemu/reset.pid)
	virsh -q reset reset || return 1
	left=120
	until [ "$(grep -c '^a boot' /tmp/guest.reset)" = 2 ]; do
		[ "$left" -gt 0 ] || return 1
		sleep 1
		left=$((left - 1))
	done
	[ "$(cat /run/libvirt/qemu/reset.pid)" = "$pid" ] && state reset 'running (booted)'
}

# ACPI's power button, which the guest's driver answers.
t_shutdown() {
	initrd_files='/lib/bed-modules/button.ko /lib/bed-modules/evdev.ko'
	cat <<-'END' | initrd
		insmod /evdev.ko
		insmod /button.ko
		event=$(grep -l 'Power Button' /sys/class/input/event*/device/name | cut -d/ -f5)
		echo "it waits for $event"
		dd if="/dev/input/$event" of=/dev/null bs=24 count=1 2> /dev/null
		echo "the button"
	END
	start stopped && says /tmp/guest.stopped '^it waits' 120 || return 1
	sleep 2
	virsh -q shutdown stopped --mode acpi && state stopped 'shut off (shutdown)' 60 &&
		says /tmp/guest.stopped '^the button' 5
}

# With its QEMU killed a domain is at its end, and starts again.
t_killed() {
	worker
	start killed && ticks killed 3 120 && kill -9 "$(cat /run/libvirt/qemu/killed.pid)" || return 1
	state killed 'shut off (crashed)' 30 && virsh -q start killed && state killed 'running (booted)' &&
		ticks killed $(($(last_tick killed) + 1)) 120
}

t_destroy() {
	worker
	start destroyed && ticks destroyed 3 120 || return 1
	pid=$(cat /run/libvirt/qemu/destroyed.pid)
	[ -d "/proc/$pid" ] && virsh -q destroy destroyed && state destroyed 'shut off (destroyed)' &&
		[ ! -d "/proc/$pid" ]
}

# The daemon finds its domains again.
t_daemon_restart() {
	worker
	start kept && ticks kept 3 120 || return 1
	pid=$(cat /run/libvirtd.pid)
	kill "$pid"
	left=60
	while [ -d "/proc/$pid" ]; do
		[ "$left" -gt 0 ] || { echo "# libvirtd does not end"; return 1; }
		sleep 1
		left=$((left - 1))
	done
	start_libvirtd && state kept 'running (booted)' && virsh -q suspend kept && stands kept && virsh -q resume kept &&
		ticks kept $((was + 5)) 60 && unbroken kept
}

t_disk_hotplug() {
	dd if=/dev/urandom of=/tmp/disk.img bs=1M count=4 2> /dev/null
	cat <<-'END' | initrd
		echo "it runs"
		until [ -b /dev/vda ]; do usleep 100000; done
		sha256sum < /dev/vda
		dd if=/dev/vda of=/dev/vda bs=1M count=2 seek=2 conv=notrunc 2> /dev/null
		sync
		echo "it is written"
		while [ -b /dev/vda ]; do usleep 100000; done
		echo "it is gone"
		sleep 1000
	END
	sum=$(sha256sum < /tmp/disk.img)
	start hot && says /tmp/guest.hot '^it runs' 120 || return 1
	virsh -q attach-disk hot /tmp/disk.img vda --targetbus virtio --subdriver raw --live || return 1
	says /tmp/guest.hot '^it is written' 60 && grep -q "^${sum%% *}" /tmp/guest.hot || return 1
	virsh -q detach-disk hot vda --live && says /tmp/guest.hot '^it is gone' 60 &&
		[ "$(head -c 2097152 /tmp/disk.img | sha256sum)" = "$(tail -c 2097152 /tmp/disk.img | sha256sum)" ]
}

# A second processor comes, goes, and comes again.
t_vcpu_hotplug() {
	vcpus="<vcpu current='1'>2</vcpu>"
	cat <<-'END' | initrd
		n=0
		while :; do
			[ -e /sys/devices/system/cpu/cpu1 ] && echo 1 > /sys/devices/system/cpu/cpu1/online
			[ "$(nproc)" = "$was" ] || { n=$((n + 1)); was=$(nproc); echo "change $n: $was processors"; }
			usleep 100000
		done 2> /dev/null
	END
	start plugged && says /tmp/guest.plugged '^change 1: 1 ' 120 || return 1
	virsh -q setvcpus plugged 2 --live && says /tmp/guest.plugged '^change 2: 2 ' 60 || return 1
	virsh -q setvcpus plugged 1 --live && says /tmp/guest.plugged '^change 3: 1 ' 60 || return 1
	virsh -q setvcpus plugged 2 --live && says /tmp/guest.plugged '^change 4: 2 ' 60
}

# $1 KiB are what the guest has, at last.
has_memory() {
	left=60
	until virsh dommemstat balloon | grep -q "^actual $1\$"; do
		[ "$left" -gt 0 ] || { virsh dommemstat balloon; return 1; }
		sleep 1
		left=$((left - 1))
	done
}

t_balloon() {
	worker
	start balloon && ticks balloon 3 120 || return 1
	virsh -q setmem balloon 131072 --live && has_memory 131072 && virsh -q setmem balloon 163840 --live &&
		has_memory 163840 && ticks balloon $(($(last_tick balloon) + 3)) 60 && unbroken balloon
}

exits() { virsh domstats --vcpu counted | sed -n 's/^ *vcpu\.0\.exits\.sum=//p'; }

# Through KVM_GET_STATS_FD.
t_statistics() {
	worker
	start counted && ticks counted 3 120 || return 1
	was=$(exits)
	ticks counted $(($(last_tick counted) + 3)) 60
	virsh domstats --vcpu counted > /tmp/domstats.said
	[ "$(exits)" -gt "$was" ]
}

# The state goes into the disk's image, and the guest back to it.
t_snapshot() {
	worker
	qemu-img create -q -f qcow2 /tmp/disk.qcow2 64M
	devices="<disk type='file'><driver name='qemu' type='qcow2'/><source file='/tmp/disk.qcow2'/>
		<target dev='vda' bus='virtio'/></disk>"
	start snap && ticks snap 5 120 && virsh -q snapshot-create-as snap one > /dev/null || return 1
	was=$(last_tick snap)
	ticks snap $((was + 10)) 120 && virsh -q snapshot-revert snap one || return 1
	until [ "$(grep -c "^tick $((was + 5))[^0-9]*\$" /tmp/guest.snap)" = 2 ]; do
		[ "$(last_tick snap)" -lt $((was + 100)) ] || return 1
		sleep 1
	done
	! grep '^broken' /tmp/guest.snap && state snap 'running (from snapshot)'
}

# A tap device that libvirt makes, packets through the kernel's own back end.
t_network() {
	devices="<interface type='ethernet'><target dev='tap0'/><model type='virtio'/><driver name='vhost'/>
		<rom enabled='no'/></interface>"
	cat <<-'END' | initrd
		ip addr add 192.0.2.2/24 dev eth0
		ip link set eth0 up
		ping -c 3 -s 1400 192.0.2.1
		echo "it pinged"
		sleep 1000
	END
	start network || return 1
	ip addr add 192.0.2.1/24 dev tap0
	ip link set tap0 up
	says /tmp/guest.network '^it pinged' 120 && grep -q '3 packets received' /tmp/guest.network || return 1
	ping -c 3 -q 192.0.2.2 | grep '3 packets received' || return 1
	grep '^vhost-' /proc/[0-9]*/comm 2> /dev/null || { echo "# no vhost thread"; return 1; }
}

second='qemu+unix:///system?socket=/tmp/second/libvirt-sock'

# Another daemon that takes itself for one on another host: its own name, its own state.
start_second() {
	mkdir /tmp/second
	chmod 1777 /tmp/second
	cat > /tmp/second/libvirtd.conf <<-'END'
		unix_sock_dir = "/tmp/second"
		host_uuid = "b2a4fd1c-91ce-4d3e-8cf5-6d5e2a9c0f11"
	END
	cat > /tmp/second/start <<-'END'
		hostname second
		for directory in /run/libvirt /var/lib/libvirt /etc/libvirt; do
			mount -t tmpfs tmpfs "$directory"
		done
		echo 'cgroup_controllers = [ ]' > /etc/libvirt/qemu.conf
		virtlogd --daemon --pid-file /tmp/second/virtlogd.pid
		LIBVIRT_LOG_OUTPUTS="3:file:/tmp/second.said" libvirtd --daemon --config /tmp/second/libvirtd.conf \
			--pid-file /tmp/second/libvirtd.pid
	END
	mkdir -p /etc/libvirt
	unshare -m -u sh /tmp/second/start && virsh -q -c "$second" version > /dev/null
}

stop_second() {
	for name in $(virsh -c "$second" list --all --name); do
		virsh -q -c "$second" destroy "$name"
	done
	kill "$(cat /tmp/second/libvirtd.pid)" "$(cat /tmp/second/virtlogd.pid)"
	rm -rf /tmp/second
}

t_live_migration() {
	worker
	start_second && start moved && ticks moved 5 120 || return 1
	virsh -q migrate --live moved "$second" --migrateuri unix:///tmp/second/migration || return 1
	was=$(last_tick moved)
	state moved 'shut off (migrated)' && [ "$(virsh -c "$second" list --name | head -n 1)" = moved ] &&
		ticks moved $((was + 10)) 120 && unbroken moved
}

# What a guest of two processors shows of its disk, its random numbers and its clock.
shows_devices() {
	dd if=/dev/urandom of=/tmp/disk.raw bs=1M count=4 2> /dev/null
	sum=$(sha256sum < /tmp/disk.raw)
	qemu-img convert -O qcow2 /tmp/disk.raw /tmp/disk.qcow2
	cat <<-'END' | initrd
		sha256sum < /dev/vda
		echo "random $(dd if=/dev/hwrng bs=16 count=1 2> /dev/null | wc -c)"
		cat /sys/devices/system/clocksource/clocksource0/current_clocksource
		sleep 2
		echo "it runs on $(nproc)"
	END
	start "$1" && says "/tmp/guest.$1" '^it runs on 2' 120 && grep -q "^${sum%% *}" "/tmp/guest.$1" &&
		grep -q '^random 16' "/tmp/guest.$1" && grep -q '^kvm-clock' "/tmp/guest.$1"
}

# A domain as OpenStack's compute service writes it.
t_openstack_domain() {
	vcpus="<vcpu placement='static'>2</vcpu>"
	features="<vmcoreinfo state='on'/>"
	clock="<clock offset='utc'><timer name='pit' tickpolicy='delay'/><timer name='rtc' tickpolicy='catchup'/>
		<timer name='hpet' present='no'/></clock>"
	devices="<disk type='file' device='disk'><driver name='qemu' type='qcow2' cache='writeback' discard='unmap'/>
		<source file='/tmp/disk.qcow2'/><target dev='vda' bus='virtio'/></disk>
		<rng model='virtio'><backend model='random'>/dev/urandom</backend></rng>
		<input type='tablet' bus='usb'/>"
	shows_devices openstack && grep -q 'kvm-pit.lost_tick_policy' /var/log/libvirt/qemu/openstack.log
}

# A domain as KubeVirt writes it.
t_kubevirt_domain() {
	machine=q35
	vcpus="<vcpu placement='static'>2</vcpu><iothreads>1</iothreads>
		<memoryBacking><source type='memfd'/><access mode='shared'/></memoryBacking>"
	devices="<controller type='usb' model='none'/>
		<controller type='scsi' model='virtio-non-transitional'/>
		<controller type='virtio-serial' model='virtio-non-transitional'/>
		<disk type='file' device='disk' model='virtio-non-transitional'>
		<driver name='qemu' type='qcow2' cache='writeback' error_policy='stop' discard='unmap' iothread='1'/>
		<source file='/tmp/disk.qcow2'/><target dev='vda' bus='virtio'/></disk>
		<rng model='virtio-non-transitional'><backend model='random'>/dev/urandom</backend></rng>
		<channel type='unix'><target type='virtio' name='org.qemu.guest_agent.0'/></channel>"
	shows_devices kubevirt
}

after_test() {
	exec 3>&-
	[ ! -d /tmp/second ] || stop_second
	for name in $(virsh list --all --name); do
		virsh -q destroy "$name" 2> /dev/null
		virsh -q undefine "$name" --managed-save --snapshots-metadata > /dev/null
	done
	initrd_files='' machine='' processor='' vcpus='' features='' clock='' devices=''
	truncate -s 0 /tmp/libvirtd.said
	rm -f /tmp/guest.* /tmp/[!l]*.said /tmp/state /tmp/typed /tmp/disk.* /var/log/libvirt/qemu/*
}

shown='/tmp/guest.* /tmp/*.said /var/log/libvirt/qemu/*.log'
install_libvirt
virtlogd --daemon
start_libvirtd || fail "libvirtd did not start: $(cat /tmp/libvirtd.said)"
run_tests libvirt "${LIBVIRT_TESTS:-}"
