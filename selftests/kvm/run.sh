#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# shellcheck shell=dash
#
# In the host, for 'compare': run the programs that are listed one a line as 'NAME ARGUMENT...', each with
# a limit.
#
#	run.sh DIR LIST LIMIT
#
# Prints '@ begin NAME', the program's output after '| ', and '@ end NAME STATUS SECONDS'.

cd "$1" || exit 1
list=$2 limit=$3
out=/tmp/run.$$

seconds() { cut -d. -f1 /proc/uptime; }

while read -r name args; do
	echo "@ begin $name"
	started=$(seconds)
	# shellcheck disable=SC2086 # arguments are words
	timeout -k 5 "$limit" "./$name" $args > "$out" 2>&1 < /dev/null
	status=$?
	tail -n 30 "$out" | sed 's/^/| /'
	echo "@ end $name $status $(($(seconds) - started))"
done < "$list"
rm -f "$out"
