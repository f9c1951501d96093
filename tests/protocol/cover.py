# SPDX-License-Identifier: Apache-2.0
"""What is complete (docs/protocol.md, section 4: claims, TARGET, MODE,
SUMMARY, AGREEMENT, PAST). This reader makes no claims and keeps sending all at
once; of what it is told it uses which cut closes a catch-up. Subscribed to whole
collections only it has nothing that it could be past of."""
import cbor
from wire import check, get_id

MODE, TARGET, SUMMARY, AGREEMENT, PAST = 28, 29, 30, 31, 32
FORMER = 43
LANE = {TARGET: 2}
CLAIM_BITS, KIND, PART = 4, 7, 3
ACTORS_MAX = 4096


class Claims:
    """What a group says: of a number, by whom up to when."""

    def __init__(self, head, has, lacks):
        self.number = head >> CLAIM_BITS
        self.kind = head & KIND
        self.has = has
        self.lacks = lacks


def read_claims(r, records):
    """The groups behind the records of a CUT."""
    out = []
    while r.left():
        head = r.varint()
        has = read_group(r, records, 1)
        lacks = read_group(r, records, 0) if head & KIND == PART else {}
        out.append(Claims(head, has, lacks))
    return out


def read_group(r, records, least):
    count, out = r.varint(), {}
    check(count <= ACTORS_MAX, "too many actors")
    for _ in range(count):
        actor, hlc = records.claim(r)
        check(hlc >= least, "a claim of nothing")
        out[actor] = hlc
    return out


class Cover:
    """Handlers of a session; s is the session (session.py)."""

    def __init__(self, s):
        self.s = s
        self.modes = {}  # of the peer's subscriptions
        self.bounds = {}  # what our own may bring
        self.handlers = {MODE: self.on_mode, TARGET: self.on_target,
                         SUMMARY: self.on_summary,
                         AGREEMENT: self.on_agreement, PAST: self.on_past,
                         FORMER: self.vector}

    @staticmethod
    def vector(r):
        out = {}
        while r.left():
            actor = r.take(16)
            out[actor] = max(out.get(actor, 0), r.varint())
        return out

    def on_mode(self, r):
        number, mode = r.varint(), r.u8()
        r.end()
        check(mode <= 2, "an unknown mode")
        self.modes[number] = mode

    def on_target(self, r):
        self.bounds.setdefault(r.varint(), {}).update(self.vector(r))

    def on_summary(self, r):
        r.varint()
        check(r.u8() <= 1, "a SUMMARY")
        self.vector(r)

    def on_agreement(self, r):
        r.varint(), r.u64(), r.u64(), r.varint()
        r.end()

    def on_past(self, r):
        r.block()
        cbor.decode(get_id(r))
        check(r.u8() <= 1, "a PAST")
        check(all(self.vector(r).values()), "an event at no time")
