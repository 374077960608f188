#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# Catches: wrong command lines and unusable files that are accepted, crash, or end without one clear
# sentence and the documented exit code. There is no hypervisor here: what passes all checks ends
# with "no hypervisor".

corbel=$1
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
number=0
failed=0
unset CORBEL_DEV
export ASAN_OPTIONS=detect_leaks=0

# Options, wanted exit code, wanted words in the one line of standard error.
t() {
	name=$1 want=$2 words=$3
	shift 3
	"$corbel" "$@" > "$work/out" 2> "$work/err" < /dev/null
	code=$?
	number=$((number + 1))
	if [ "$code" = "$want" ] && [ "$(wc -l < "$work/err")" -le 1 ] &&
		{ [ -z "$words" ] || grep -qF -e "$words" "$work/err"; }
	then
		echo "ok $number $name"
	else
		echo "# exit code $code, not $want, or not '$words':"
		sed 's/^/# /' "$work/err"
		echo "not ok $number $name"
		failed=1
	fi
}

r() {
	name=$1 want=$2 words=$3
	shift 3
	t "$name" "$want" "$words" run --kernel "$work/kernel" --device "$work/none" "$@"
}

echo junk > "$work/kernel"
truncate -s 1M "$work/disk"
truncate -s 100 "$work/tiny"
: > "$work/empty"
ln -s "$work/loop" "$work/loop"

echo "KTAP version 1"
echo "1..84"
t "no command" 2 ""
t "help" 0 "" help
t "help run" 0 "" help run
t "run --help" 0 "" run --help
t "version" 0 "" --version
t "unknown command" 2 "unknown command start" start
t "check: extra argument" 2 "usage:" check now
t "check: no such device" 1 "is not there" check --device "$work/none"
t "run without kernel" 2 "--kernel is missing" run
t "kernel absent" 1 "cannot open kernel" run --kernel "$work/absent"
t "kernel empty" 1 "it is empty" run --kernel "$work/empty"
t "kernel is a folder" 1 "not a regular file" run --kernel "$work"
t "kernel is a link to itself" 1 "cannot open kernel" run --kernel "$work/loop"
r "all well but the device" 1 "is not there; load its module"
r "option without value" 2 "needs a value" --memory
r "unknown option" 2 "unknown option --memry" --memry 1
r "abbreviated option" 2 "unknown option --mem" --mem 256
r "value for a flag" 2 "takes no value" --merge=yes
r "stray word" 2 "unexpected argument disk.img" disk.img
r "short option" 2 "unexpected argument -m" -m
r "two dashes only" 2 "unexpected argument --" --
r "memory: word" 2 "must be a size" --memory much
r "memory: negative" 2 "must be a size" --memory=-5
r "memory: trailing junk" 2 "must be a size" --memory 256MB
r "memory: overflow" 2 "must be a size" --memory 99999999999T
r "memory: overflow of the number" 2 "must be a size" --memory 99999999999999999999999
r "memory: too little" 2 "must be 16 MiB or more" --memory 15
r "memory: zero" 2 "must be 16 MiB or more" --memory 0
r "memory: not in pages" 2 "whole pages" --memory 32769K
r "memory: suffix" 1 "is not there" --memory 16384k
r "backend: unknown" 2 "must be anon, memfd or hugetlb" --memory-backend disk
r "cpus: zero" 2 "must be a number" --cpus 0
r "cpus: word" 2 "must be a number" --cpus two
r "cpus: too many" 2 "must be a number" --cpus 256
r "cpus: trailing junk" 2 "must be a number" --cpus 2x
r "initrd absent" 1 "cannot open initrd" --initrd "$work/absent"
r "initrd empty" 1 "it is empty" --initrd "$work/empty"
r "disk absent" 1 "cannot open disk" --disk "$work/absent"
r "disk without name" 2 "must be FILE" --disk ,ro
r "disk too small" 1 "smaller than one sector" --disk "$work/tiny"
r "disk is a folder" 1 "cannot open disk" --disk "$work"
r "disk is a terminal-like device" 1 "neither a file nor a block device" --disk /dev/null
r "disk twice, written" 1 "another program uses it" --disk "$work/disk" --disk "$work/disk"
r "disk twice, read" 1 "is not there" --disk "$work/disk,ro" --disk "$work/disk,ro"
r "disk: socket without name" 2 "must be FILE" --disk vhost-user=
r "disk: socket that is read only" 2 "must be FILE" --disk "vhost-user=$work/socket,ro"
r "disk: nobody listens" 1 "start it first" --disk "vhost-user=$work/socket"
r "disk: path of a socket too long" 1 "too long" --disk "vhost-user=/$(printf '%0110d' 0)"
r "disk: back-end and KSM" 2 "merges nothing with --disk" --merge --disk "vhost-user=$work/socket"
r "serve: file" 2 "must be vhost-user=SOCKET" --serve "$work/socket"
r "serve: without name" 2 "must be vhost-user=SOCKET" --serve vhost-user=
r "serve: a folder that is not there" 1 "cannot listen" --serve "vhost-user=$work/none/socket"
r "serve: all well but the device" 1 "is not there; load" --serve "vhost-user=$work/socket"
# shellcheck disable=SC2046 # many words
r "17 disks" 2 "too many disks" $(seq -f "--disk=x%g" 17)
r "net: unknown" 2 "must be user" --net bridge
r "net: tap without name" 2 "must be user" --net tap=
r "net: bad address" 2 "must be user" --net user,mac=00:11:22
r "net: multicast address" 2 "must be user" --net user,mac=01:00:00:00:00:01
r "net: tap name too long" 2 "too long" --net tap=nosuchtap0123456789
r "hostfwd: malformed" 2 "must be tcp|udp" --net user --hostfwd 8080:80
r "hostfwd: bad port" 2 "must be tcp|udp" --net user --hostfwd tcp::99999-:80
r "hostfwd: bad address" 2 "must be tcp|udp" --net user --hostfwd tcp:1.2.3:80-:80
r "hostfwd: no user network" 2 "needs --net user" --hostfwd tcp::8080-:80
r "console: unknown" 2 "must be serial" --console vga
r "console: file that cannot be made" 1 "cannot open console file" --console "file:$work/no/out"
r "name: blank" 2 "must be printable" --name "a b"
r "merge of what KSM does not see" 2 "needs --memory-backend anon" --merge --memory-backend memfd
r "balloon larger than memory" 2 "must be smaller" --memory 64 --balloon 64
r "on-reboot: unknown" 2 "must be restart or exit" --on-reboot halt
r "sandbox: unknown" 2 "must be on or off" --sandbox yes
r "pci: word" 2 "must be an address" --pci nvme
r "pci: twice" 2 "is there twice" --pci 01:00.0 --pci 0000:01:00.0
# shellcheck disable=SC2046 # many words
r "17 pci functions" 2 "too many PCI functions" $(seq -f "--pci=%02g:00.0" 17)
r "pci: no such function" 1 "there is no PCI function 0000:fe:1f.7" --pci fe:1f.7
r "pci with a balloon" 2 "gives nothing back with --pci" --pci fe:1f.7 --balloon 0
r "pci with KSM" 2 "merges nothing with --pci" --pci fe:1f.7 --merge
t "pci without command" 2 "needs a command" pci
t "pci: unknown command" 2 "no such command" pci steal
t "pci --help" 0 "" pci --help
t "pci list" 0 "" pci list
t "pci bind: no address" 2 "no address" pci bind
t "pci bind: no such function" 1 "there is no PCI function" pci bind fe:1f.7
t "pci vfs: not a number" 2 "usage:" pci vfs fe:1f.7
CORBEL_DEV=$work/kernel
export CORBEL_DEV
t "CORBEL_DEV names something else" 1 "does not speak" run --kernel "$work/kernel"
exit $failed
