#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Fail if src/<module>/<file>.c has no tests/<module>/test_<file>.c; for sim/
likewise.

tests/MIRROR lists the exceptions, one a line: `path: reason`. An exception
that is no longer needed fails too.
"""
import pathlib
import sys

excused = {}
for line in pathlib.Path("tests/MIRROR").read_text().splitlines():
    line = line.strip()
    if line and not line.startswith("#"):
        path, _, reason = line.partition(":")
        if not reason.strip():
            sys.exit(f"tests/MIRROR: {path} has no reason")
        excused[path.strip()] = reason

bad = 0
sources = [*pathlib.Path("src").rglob("*.c"), *pathlib.Path("sim").rglob("*.c")]
for path in sorted(sources):
    below = path.relative_to("src") if path.parts[0] == "src" else path
    test = pathlib.Path("tests") / below.parent / f"test_{path.stem}.c"
    name = str(path)
    if test.exists() == (name in excused):
        print(f"{name}: {'is excused but has ' if test.exists() else 'has no '}{test}")
        bad += 1
    excused.pop(name, None)
for name in excused:
    print(f"tests/MIRROR: {name} does not exist")
    bad += 1
sys.exit(1 if bad else 0)
