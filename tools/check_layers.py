#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Fail if a file in src/ includes a module that its own module may not use,
or calls what must come through tako_env.

src/LAYERS has one line per module, lowest first: `name: allowed allowed ...`.
A module may always include itself. A module may only name modules listed
above it, so the file itself cannot describe a cycle.
"""
import pathlib
import re
import sys

root = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else "src")
FORBIDDEN = re.compile(
    r"(?<![\w.>])(malloc|calloc|realloc|free|strdup|strndup|time|gettimeofday|"
    r"clock_gettime|rand|srand|random|getrandom|getenv|sleep|usleep|socket|"
    r"fopen|strcpy|strcat|sprintf|atoi|atol)\s*\(")

allowed = {}
for line in (root / "LAYERS").read_text().splitlines():
    line = line.split("#")[0].strip()
    if not line:
        continue
    name, _, uses = line.partition(":")
    for used in uses.split():
        if used not in allowed:
            sys.exit(f"LAYERS: {name} uses {used}, which is not below it")
    allowed[name] = {name, *uses.split()}

beside = sorted((root.parent / "sim").rglob("*.[ch]"))
bad = 0
for path in sorted([*root.rglob("*.[chy]"), *root.rglob("*.re")]) + beside:
    module = "sim" if path in beside else path.relative_to(root).parts[0]
    in_comment = False
    for number, line in enumerate(path.read_text().splitlines(), 1):
        found = re.match(r'\s*#\s*include\s+"([a-z0-9_]+)/', line)
        if found and found[1] != "tako" and found[1] not in allowed.get(module, set()):
            print(f"{path}:{number}: {module} may not include {found[1]}")
            bad += 1
        code = re.sub(r"/\*.*?\*/", "", line)
        if in_comment:
            if "*/" not in code:
                continue
            code = code.split("*/", 1)[1]
            in_comment = False
        if "/*" in code:
            code = code.split("/*", 1)[0]
            in_comment = True
        code = re.sub(r'"(\\.|[^"\\])*"', '""', code.split("//")[0])
        found = FORBIDDEN.search(code)
        if found and module not in ("sys",):
            print(f"{path}:{number}: {found[1]}() must come through tako_env")
            bad += 1
sys.exit(1 if bad else 0)
