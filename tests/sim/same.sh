#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# same.sh TAKO SIM: one seed, one course of events; another seed, another.
set -eu
trace() { "$1" sim "$2/scenarios/faults.sim" --seed "$3" --json | sed 's/.*"trace":"\([0-9a-f]*\)".*/\1/'; }
for seed in 3 4 5; do
    one=$(trace "$1" "$2" $seed)
    two=$(trace "$1" "$2" $seed)
    other=$(trace "$1" "$2" $((seed + 100)))
    echo "seed $seed: $one $two, seed $((seed + 100)): $other"
    [ "$one" = "$two" ] && [ "$one" != "$other" ] && [ -n "$one" ]
done
