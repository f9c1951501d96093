# SPDX-License-Identifier: Apache-2.0
"""Keepers and receipts (docs/protocol.md, section 2). This reader lets nothing
go and says of nothing that it keeps it: it hears what others say, of themselves
and of those behind them, and no answer means no."""
from wire import check, utf8

KEPT, MAY_I, YOU_MAY, RECEIPTS = 38, 39, 40, 41
NUMBERS, TEXTS, HOPS = 256, 4, 8


def receipts(r):
    """The entries of a RECEIPTS message."""
    entries = []
    while r.left():
        head = r.varint()
        kind, number = ("raise", "define", "gone", "ask")[head & 3], head >> 2
        check(number <= HOPS if kind == "ask" else number < NUMBERS,
              "a number too great")
        entry = [kind, number]
        if kind == "raise":
            entry.append(r.varint())
            check(entry[-1] > 0, "a receipt raised by nothing")
        elif kind == "ask":
            entry.append(utf8(r.block()))
        elif kind == "define":
            entry += [r.take(32).hex(), utf8(r.block()), r.u8()]
            count = r.varint()
            check(0 < count <= TEXTS, "too many texts")
            entry += [[utf8(r.block()) for _ in range(count)], r.varint()]
        entries.append(entry)
    return entries


class Keep:
    """Handlers of a session."""

    def __init__(self):
        self.kept = {}  # number of the subscription: the peer keeps up to
        self.told = {}  # number of a receipt: [device, name, texts, commit]
        self.asked = []
        self.handlers = {KEPT: self.on_kept, MAY_I: lambda r: None,
                         YOU_MAY: lambda r: None, RECEIPTS: self.on_receipts}

    def on_kept(self, r):
        number = r.varint()
        self.kept[number] = r.varint()
        r.u8()
        r.end()

    def on_receipts(self, r):
        for kind, number, *rest in receipts(r):
            if kind == "ask":
                self.asked.append((rest[0], number))
            elif kind == "define":
                device, name, _, texts, commit = rest
                self.told[number] = [device, name, texts, commit]
            else:
                check(number in self.told, "a receipt that was not defined")
                if kind == "raise":
                    self.told[number][3] += rest[0]
                else:
                    del self.told[number]
