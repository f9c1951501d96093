#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Fail if libtako.so exports anything but the functions of include/tako/, or
is larger than it may be. Usage: check_symbols.py LIBTAKO_SO"""
import pathlib
import re
import subprocess
import sys
import tempfile

BYTES_MAX = 1 << 20  # stripped

headers = "".join(p.read_text() for p in pathlib.Path("include/tako").glob("*.h"))
headers = re.sub(r"/\*.*?\*/", "", headers, flags=re.S)
promised = set(re.findall(r"TAKO_API[^;(]*?\b(tako_\w+)\s*\(", headers))
listing = subprocess.run(["nm", "-D", "--defined-only", sys.argv[1]],
                         capture_output=True, text=True, check=True).stdout
exported = {line.split()[-1].split("@")[0] for line in listing.splitlines()}
exported = {name for name in exported if not name.startswith("_")}
bad = 0
for name in sorted(exported - promised):
    print(f"exported but not in the public headers: {name}")
    bad = 1
for name in sorted(promised - exported):
    print(f"in the public headers but not exported: {name}")
    bad = 1
with tempfile.NamedTemporaryFile() as out:
    subprocess.run(["strip", "-o", out.name, sys.argv[1]], check=True)
    size = pathlib.Path(out.name).stat().st_size
print(f"libtako.so stripped: {size} bytes, {len(exported)} functions")
if size > BYTES_MAX:
    print(f"larger than {BYTES_MAX} bytes")
    bad = 1
sys.exit(bad)
