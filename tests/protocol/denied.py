# SPDX-License-Identifier: Apache-2.0
"""Refused writes (docs/protocol.md, section 2: DENIED, NAMES). This reader has
all rights, and judges nobody: it reads what is said and lets nothing go."""
import cbor
from wire import check, get_id

DENIED, NAMES = 33, 42


class Denied:
    """Handlers of a session."""

    def __init__(self):
        self.names = set()
        self.handlers = {DENIED: self.on_denied, NAMES: self.on_names}

    @staticmethod
    def on_denied(r):
        while True:
            r.block()
            cbor.decode(get_id(r))
            r.take(16)
            r.varint()
            if not r.left():
                break

    def on_names(self, r):
        check(r.left() % 16 == 0, "names")
        while r.left():
            self.names.add(r.take(16))
