#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Write docs/errors.md from the list in include/tako/tako_err.h; with --check
only say whether it is up to date."""
import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
text = (ROOT / "include/tako/tako_err.h").read_text()
rows = re.findall(r'X\((\w+), (-?\d+), ([01]),\s*"([^"]*)"\)', text.replace("\\\n", " "))
lines = ["# Error codes", "",
         "Made by `tools/make_errors_doc.py` from `include/tako/tako_err.h`. \"Retry\": the same call may succeed later without",
         "any change. The detail (what, where) comes from `tako_last_error()`.", "",
         "| code | number | retry | meaning |", "|---|---|---|---|"]
lines += [f"| `TAKO_{name}` | {num} | {'yes' if retry == '1' else 'no'} | {msg} |" for name, num, retry, msg in rows]
doc = "\n".join(lines) + "\n"
path = ROOT / "docs/errors.md"
if "--check" in sys.argv:
    sys.exit(0 if path.exists() and path.read_text() == doc else "docs/errors.md is not up to date")
path.write_text(doc)
