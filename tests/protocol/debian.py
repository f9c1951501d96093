# SPDX-License-Identifier: Apache-2.0
"""Python's own ssl has no TLS exporter; Debian's python3-openssl has, and is
installed for the system's Python. Under another one, starts that instead."""
import os
import sys

SYSTEM = "/usr/bin/python3"

try:
    import OpenSSL  # noqa: F401
except ImportError:
    if sys.executable == SYSTEM:
        raise
    os.execv(SYSTEM, [SYSTEM, "-B", *sys.argv])
