#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# Catches: what x86/posting does, with the software posting agent there; an agent or a module that does
# not go away afterwards. In the environment: TRIGGERS=N, how many interrupts in each of its cases;
# POSTING='CASE CASE', which of them.
# bed: --bed bochs --cpus 2 --timeout 3600
# needs: selftests posting

# shellcheck source=selftests/bed/cases/lib.sh
. /root/cases/lib.sh

insmod /root/posting_agent.ko || fail "posting_agent.ko does not load"
# shellcheck disable=SC2086
/root/selftests/x86/posting ${TRIGGERS:+"--triggers=$TRIGGERS"} ${POSTING-}
case $? in
0|4) ;;
*) fail "x86/posting" ;;
esac
unload "$(backend_module)"
unload posting_agent
pass
