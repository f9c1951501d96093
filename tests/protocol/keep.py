# SPDX-License-Identifier: Apache-2.0
"""Keepers (docs/protocol.md, section 2). This reader lets nothing go and says
of nothing that it keeps it: it hears what others say, and no answer means no."""
KEPT, MAY_I, YOU_MAY, RECEIPTS = 38, 39, 40, 41


class Keep:
    """Handlers of a session."""

    def __init__(self):
        self.kept = {}  # number of the subscription: the peer keeps up to
        self.handlers = {KEPT: self.on_kept, MAY_I: lambda r: None,
                         YOU_MAY: lambda r: None, RECEIPTS: lambda r: None}

    def on_kept(self, r):
        number = r.varint()
        self.kept[number] = r.varint()
        r.u8()
        r.end()
