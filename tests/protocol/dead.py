# SPDX-License-Identifier: Apache-2.0
"""The dead (docs/protocol.md, section 2). This reader keeps no graves: it
has an epoch for each collection, and lets go what it is told is dead."""
import cbor
from wire import block, check, get_id, u64, varint

YARD, BURIED, GRAVES, DEAD = 34, 35, 36, 37
IS_DEAD, DOUBTFUL, ANOTHER_LIFE = 1, 2, 4
BITS_MAX = 12


class Dead:
    """Handlers of a session; s is the session (session.py)."""

    def __init__(self, s):
        self.s = s
        self.handlers = {YARD: self.on_yard, BURIED: self.on_buried,
                         GRAVES: self.on_graves, DEAD: self.on_dead}

    def epoch(self, collection, least=0):
        epochs = self.s.store.epochs
        epochs[collection] = max(epochs.get(collection, 0), least)
        return epochs[collection]

    def tell_yard(self, collection):
        """Nothing but the epoch, and for nothing else is asked."""
        self.s.send(YARD, block(collection) + b"\0"
                    + varint(self.epoch(collection)) + varint(0) + u64(0)
                    + u64(0))

    def on_yard(self, r):
        collection, whole, epoch = r.block(), r.u8(), r.varint()
        r.varint()
        r.u64()
        r.u64()
        r.end()
        check(whole <= 2, "a YARD")
        ours = self.epoch(collection, epoch)
        if ours > epoch:
            self.s.send(BURIED, block(collection) + varint(ours) + b"\0"
                        + u64(0) + varint(0))

    def on_buried(self, r):
        collection, epoch, bits = r.block(), r.varint(), r.u8()
        check(bits <= BITS_MAX, "bits of BURIED")
        for _ in range(1 << bits):
            r.u64()
        for _ in range(r.varint()):
            r.take(16)
            r.varint()
        r.end()
        self.epoch(collection, epoch)

    def on_graves(self, r):
        check(False, "GRAVES where there are none")

    def on_dead(self, r):
        gone, another = [], set()
        while True:
            collection, kind, epoch = r.block(), r.u8(), r.varint()
            name = collection, get_id(r)
            cbor.decode(name[1])
            births = {(actor, hlc) for actor, hlc in (
                (r.take(16), r.varint()) for _ in range(r.varint()))}
            check(kind & 3 in (IS_DEAD, DOUBTFUL) and kind <= 6, "a DEAD")
            if kind & IS_DEAD:
                gone += self.buried(name, births)
                self.epoch(collection, epoch)
                if kind & ANOTHER_LIFE:
                    another.add(name)
            if not r.left():
                break
        if gone:
            self.s.store.forget(gone, self.s)
        self.s.live.ask_for(another)

    def buried(self, name, births):
        """The document, if it is the one that was buried."""
        doc = self.s.store.docs.get(name)
        if doc is None:
            return []
        last = max(doc.births)[0]
        mine = {(dot[1], dot[0]) for g, dot in doc.births if g == last}
        return [name] if mine & births else []
