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
	# In a session of its own, so that children go when the program has been stopped.
	# shellcheck disable=SC2086 # arguments are words
	setsid timeout -k 5 "$limit" "./$name" $args > "$out" 2>&1 < /dev/null &
	group=$!
	wait $group
	status=$?
	kill -9 -$group 2> /dev/null
	tail -n 30 "$out" | cut -c 1-300 | sed 's/^/| /'
	# The last line may have no end.
	printf '\n@ end %s %s %s\n' "$name" "$status" $(($(seconds) - started))
done < "$list"
rm -f "$out"
