#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# regressions.sh TAKO SIM: the seeds of sim/regressions.txt. Those marked
# `open` are known to fail still: they must, or the mark goes.
set -eu
bad=0
while read -r state scenario seed why; do
    case "$state" in '' | '#'*) continue ;; esac
    status=0
    "$1" sim "$2/$scenario" --seed "$seed" >/dev/null 2>&1 || status=$?
    expected=0
    [ "$state" = open ] && expected=1
    if [ "$status" != "$expected" ]; then
        echo "$scenario --seed $seed: status $status, not $expected: $why"
        bad=1
    fi
done <"$2/regressions.txt"
exit $bad
