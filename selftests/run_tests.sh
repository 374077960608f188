#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# Run every test program under DIR (default: where this script lies) in one boot. BusyBox's sh is
# enough.
#
#	run_tests.sh [DIR [NAME...]]		NAME as x86/smoke
#
# Each program's TAP comes out with a "# " in front, then its verdict:
#	ok N x86/foo | ok N x86/foo # SKIP reason | not ok N x86/foo # exit=S|TIMEOUT|unlisted skip
# and at the end "# summary passed=P failed=F skipped=S". The exit status is 1 if anything failed.
#
# A skip, of a program or of a case, fails the run unless skips.txt lists it for this bed. TEST_BED
# names the bed (default: from what selftests/bed/run sets); TEST_STRICT_SKIPS=0 lets every skip
# pass. TEST_TIME_SCALE=N stretches all limits, TEST_COUNT_DIVISOR=N makes what is repeated very
# often rarer, TEST_FAULT_INJECTION=1 fails where the kernel has none.

dir=${1:-$(dirname "$0")}
[ $# -gt 0 ] && shift
cd "$dir" || exit 1

timeout=$(sed -n 's/^timeout=//p' settings 2>/dev/null)
timeout=$((${timeout:-300} * ${TEST_TIME_SCALE:-1}))
bed=${TEST_BED:-${CORBEL_MODULE:-none}-${CORBEL_BED:-none}-${CORBEL_CPU:-none}}
out=${TMPDIR:-/tmp}/run_tests.$$
passed=0 failed=0 skipped=0 n=0

# skip_listed TEST REASON: is there a line "test|bed|reason" with bed and reason as shell patterns?
skip_listed()
{
	[ "${TEST_STRICT_SKIPS:-1}" = 0 ] && return 0
	[ -r skips.txt ] || return 1
	while IFS='|' read -r s_test s_bed s_reason; do
		case $s_test in ''|\#*) continue ;; esac
		case $1 in $s_test) ;; *) continue ;; esac
		case $bed in $s_bed) ;; *) continue ;; esac
		case $2 in $s_reason) return 0 ;; esac
	done < skips.txt
	return 1
}

# Every "ok 3 name # SKIP reason" line of the output must be listed.
skips_check()
{
	unlisted=
	sed -n 's/^ok [0-9]* \([^ ]*\) # SKIP \(.*\)/\1 \2/p' "$out" > "$out.skips"
	while read -r s_case s_why; do
		case $s_why in "not selected") continue ;; esac
		skip_listed "$1:$s_case" "$s_why" || unlisted="$unlisted $s_case"
	done < "$out.skips"
	[ -z "$unlisted" ]
}

verdict_print()
{
	n=$((n + 1))
	echo "$1 $n $2${3:+ # $3}"
}

program_run()
{
	name=$1
	echo "# selftests: corbel: $name"
	# -k kills what ignores the first signal.
	timeout -k 10 "$timeout" "./$name" > "$out" 2>&1 &
	wait $!
	status=$?
	sed 's/^/# /' "$out"
	if [ $status = 0 ] || [ $status = 4 ]; then
		if ! skips_check "$name"; then
			failed=$((failed + 1))
			verdict_print "not ok" "$name" "unlisted skip:$unlisted"
		elif [ $status = 4 ]; then
			skipped=$((skipped + 1))
			why=$(sed -n 's/^.* # SKIP //p' "$out" | head -n 1)
			verdict_print ok "$name" "SKIP $why"
		else
			passed=$((passed + 1))
			verdict_print ok "$name"
		fi
		return
	fi
	failed=$((failed + 1))
	case $status in
	124|137|143) verdict_print "not ok" "$name" "TIMEOUT $timeout seconds" ;;
	*) verdict_print "not ok" "$name" "exit=$status" ;;
	esac
}

[ $# -gt 0 ] || set -- $(ls x86/* | grep -v '\.[a-z]*$')
echo "TAP version 13"
echo "1..$#"
for name; do
	program_run "$name"
done
rm -f "$out" "$out.skips"
echo "# summary passed=$passed failed=$failed skipped=$skipped"
[ $failed = 0 ]
