#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Fail if tests/SCHEDULES.md names a test or a planted bug that is not there,
if a row has no test or no bug, or if a planted bug whose rule names the design
of sync ("SYNC.md 4", "P8") is in no row."""
import pathlib
import re
import sys

table = pathlib.Path("tests/SCHEDULES.md").read_text()
tests = set()
for path in pathlib.Path("tests").rglob("test_*.c"):
    tests.update(re.findall(r"^static void\s+(test_\w+)\(", path.read_text(), re.M))
planted = {int(p.name.split("-")[0]): p
           for p in pathlib.Path("tests/planted").glob("*.patch")}
named, bad = set(), []
for row in re.findall(r"^\|(.*)\|$", table, re.M):
    what, *cells = [c.strip() for c in row.split("|")]
    if len(cells) != 2 or cells[0] in ("test", "---") or set(what) == {"-"}:
        continue
    numbers = [int(n) for n in re.findall(r"\d+", cells[1])]
    named.update(numbers)
    names = re.findall(r"`(test_\w+)`", cells[0])
    if not names and cells[0].startswith("section"):
        continue
    if not names or not numbers:
        bad.append(f"{what}: no {'bug' if names else 'test'}")
    bad += [f"{what}: there is no {n}" for n in names if n not in tests]
    bad += [f"{what}: there is no planted bug {n}" for n in numbers
            if n not in planted]
for number, path in sorted(planted.items()):
    rule = re.search(r"^rule: (.*)", path.read_text(), re.M)[1]
    if number not in named and re.search(r"SYNC\.md|DESIGN|\bP\d", rule):
        bad.append(f"{path.name} is in no row: {rule}")
print("\n".join(bad))
sys.exit(1 if bad else 0)
