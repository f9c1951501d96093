# SPDX-License-Identifier: Apache-2.0
"""Catching up (docs/protocol.md, section 3). Whole collections only."""
import re

import records
from wire import MASK, Reader, block, check, u64, varint

INTEREST, BUCKETS, LIST, STATES, CAUGHT_UP, SERVED, RESYNC = (2, 5, 6, 7, 8, 9,
                                                             13)
BITS_MAX = 12
CHUNK_DOCUMENTS = 500


def collection_of(text):
    """The collection of a subscription without a condition, or None."""
    found = re.fullmatch(rb"SELECT \* FROM `((?:[^`]|``)+)`", text)
    return found.group(1).replace(b"``", b"`") if found else None


class Asked:
    """A subscription of ours."""

    def __init__(self, number, text):
        self.number = number
        self.text = text
        self.collection = collection_of(text)
        self.state = "asked"
        self.documents = 0


class Interest:
    """A subscription of the peer."""

    def __init__(self, number, text, count, total):
        self.number = number
        self.text = text
        self.collection = collection_of(text)
        self.count = count
        self.sum = total
        self.state = "new"
        self.list = {}
        self.differs = None


class CatchUp:
    """Handlers of a session; s is the session (session.py)."""

    def __init__(self, s):
        self.s = s
        self.asked = {}
        self.interests = {}
        self.next_number = 0
        self.said = []  # kinds, for tests
        self.handlers = {
            INTEREST: self.on_interest, BUCKETS: self.on_buckets,
            LIST: self.on_list, STATES: self.on_states,
            CAUGHT_UP: self.on_caught_up, SERVED: self.on_served,
            RESYNC: self.on_resync}

    def digest(self, collection):
        items = [self.s.store.item(self.s.mesh_id, n)
                 for n in self.s.store.live(collection)]
        return len(items), sum(i for _, i in items) & MASK

    # -- we ask

    def subscribe(self, text, replaces=None):
        a = Asked(self.next_number, text)
        self.next_number += 1
        self.asked[a.number] = a
        count, total = self.digest(a.collection)
        self.s.send(INTEREST, varint(a.number) + varint(
            0 if replaces is None else 1 + replaces) + block(text)
            + varint(count) + u64(total))

    def on_buckets(self, r):
        a = self.asked.get(r.varint())
        bits = r.u8()
        check(bits <= BITS_MAX, "too many buckets")
        theirs = [r.u64() for _ in range(1 << bits)]
        r.end()
        if a is None:
            return
        items = [self.s.store.item(self.s.mesh_id, n)
                 for n in self.s.store.live(a.collection)]
        ours = self.buckets(items, bits)
        differs = [ours[i] != theirs[i] for i in range(1 << bits)]
        bitmap = bytearray((len(differs) + 7) // 8)
        for i, one in enumerate(differs):
            bitmap[i // 8] |= one << i % 8
        told = b"".join(u64(key) + u64(item) for key, item in items
                        if differs[self.bucket(key, bits)])
        self.s.send(LIST, varint(a.number) + b"\3" + bytes(bitmap) + told)

    @staticmethod
    def bucket(key, bits):
        return key >> 64 - bits

    def buckets(self, items, bits):
        sums = [0] * (1 << bits)
        for key, item in items:
            i = self.bucket(key, bits)
            sums[i] = sums[i] + item & MASK
        return sums

    def on_states(self, r):
        a = self.asked.get(r.varint())
        got = records.RecordReader(self.s.tables_in[self.s.CATCHUP], r).all()
        check(all(x.told is None for x in got), "a delta among states")
        self.s.live.apply(got)
        if a is not None:
            a.documents += len(got)

    def on_caught_up(self, r):
        a = self.asked.get(r.varint())
        r.varint()
        r.end()
        if a is not None:
            a.state = "in sync"
            self.s.send(SERVED, varint(a.number))

    def on_resync(self, r):
        a = self.asked.pop(r.varint(), None)
        r.end()
        self.s.live.drop_held()
        if a is not None:
            self.subscribe(a.text, a.number)

    # -- we serve

    def on_interest(self, r):
        number, replaces = r.varint(), r.varint()
        text = r.block()
        w = Interest(number, text, r.varint(), r.u64())
        r.end()
        check(number not in self.interests, "a number twice")
        if replaces:
            self.interests.pop(replaces - 1, None)
        if w.collection is None:
            self.s.refuse(number, b"only whole collections here")
            return
        self.interests[number] = w
        self.s.when_cleared(lambda: self.serve(w))

    def serve(self, w):
        count, total = self.digest(w.collection)
        if (count, total) == (w.count, w.sum) or not self.s.store.names(
                w.collection):
            self.close(w)
        elif w.count == 0:
            self.send_states(w, self.s.store.live(w.collection))
            self.close(w)
        else:
            w.bits = 0
            while w.bits < BITS_MAX and max(count, w.count) >> w.bits > 4:
                w.bits += 1
            items = [self.s.store.item(self.s.mesh_id, n)
                     for n in self.s.store.live(w.collection)]
            self.s.send(BUCKETS, varint(w.number) + bytes([w.bits])
                        + b"".join(map(u64, self.buckets(items, w.bits))))
            w.state = "lists"

    def on_list(self, r):
        w = self.interests.get(r.varint())
        flags = r.u8()
        check(flags <= 3, "flags of a LIST")
        if w is None:
            return
        check(w.state == "lists", "a LIST that nobody asked for")
        if flags & 1:
            w.differs = r.take(((1 << w.bits) + 7) // 8)
        while r.left():
            key = r.u64()
            w.list[key] = r.u64()
        if flags & 2:
            self.send_states(w, [n for n in self.s.store.names(w.collection)
                                 if self.is_wanted(w, n)])
            self.close(w)

    def is_wanted(self, w, name):
        key, item = self.s.store.item(self.s.mesh_id, name)
        i = self.bucket(key, w.bits)
        if not w.differs[i // 8] >> i % 8 & 1:
            return False
        if key in w.list:
            return w.list[key] != item
        return self.s.store.docs[name].alive()

    def send_states(self, w, names):
        for i in range(0, len(names), CHUNK_DOCUMENTS):
            out = records.Writer(self.s.tables_out[self.s.CATCHUP])
            for name in names[i:i + CHUNK_DOCUMENTS]:
                out.state(name, *self.s.store.state(name), remember=False)
                self.s.live.note_sent(name)
            self.s.send(STATES, varint(w.number) + out.out)

    def close(self, w):
        self.s.send(CAUGHT_UP, varint(w.number)
                    + varint(self.s.store.commit))
        w.state = "sent"

    def on_served(self, r):
        w = self.interests.get(r.varint())
        r.end()
        if w is not None:
            check(w.state == "sent", "SERVED out of turn")
            w.state = "live"

    def wanted(self, name):
        return any(w.collection == name[0] for w in self.interests.values())

    def drop(self, number):
        self.interests.pop(number, None)
