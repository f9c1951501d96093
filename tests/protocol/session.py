# SPDX-License-Identifier: Apache-2.0
"""A session over a link (docs/protocol.md, sections 1 and 2): greeting, and
who handles what. catchup.py and live.py have the rest."""
import os
import time

import catchup
import cover
import dead
import denied
import keep
import live
import records
from wire import Malformed, Reader, block, check, varint

HELLO, DROP, REFUSED, BYE, KNOWN, RENEWED, CLOCK = 1, 3, 4, 14, 15, 16, 17
MAJOR, MINOR = 1, 0
OPTIONAL = 0x80
LANE_OF = {live.CUT: 1, **catchup.LANE, **cover.LANE}


class Session:
    CONTROL, LIVE, CATCHUP = range(3)

    def __init__(self, store, mesh_id, transmit, subscriptions=(),
                 sum_key=None):
        """transmit(lane, message)"""
        self.store = store
        self.mesh_id = mesh_id
        self.transmit = transmit
        self.subscriptions = list(subscriptions)
        self.sum_key = sum_key or os.urandom(16)
        self.peer_sum_key = None
        self.peer_actor = None
        self.peer_wall_ms = None
        self.cleared = False  # KNOWN came
        self.waiting = []
        self.kinds_in = []
        self.tables_in = [records.Tables() for _ in range(3)]
        self.tables_out = [records.Tables() for _ in range(3)]
        self.live = live.Live(self)
        self.catchup = catchup.CatchUp(self)
        self.dead = dead.Dead(self)
        self.denied = denied.Denied()
        self.cover = cover.Cover(self)
        self.keep = keep.Keep()
        self.handlers = {HELLO: self.on_hello, DROP: self.on_drop,
                         REFUSED: self.on_refused, BYE: self.on_bye,
                         KNOWN: self.on_known, RENEWED: self.on_renewed,
                         CLOCK: self.on_clock,
                         **self.live.handlers, **self.catchup.handlers,
                         **self.dead.handlers, **self.cover.handlers,
                         **self.denied.handlers, **self.keep.handlers}
        store.listeners.append(self.live.committed)

    def send(self, kind, body):
        self.transmit(LANE_OF.get(kind, 0), bytes([kind]) + body)

    def hello(self, major=MAJOR, minor=MINOR, features=0, more=b""):
        return (varint(major) + varint(minor) + self.store.actor
                + self.store.incarnation + self.sum_key
                + varint(int(time.time() * 1000)) + varint(features)
                + varint(len(self.subscriptions)) + more)

    def start(self):
        self.send(HELLO, self.hello())
        for text in self.subscriptions:
            self.catchup.subscribe(text)

    def take(self, lane, message):
        r = Reader(message)
        kind = r.u8()
        self.kinds_in.append(kind)
        if kind >= OPTIONAL and kind not in self.handlers:
            return
        check(kind in self.handlers, f"a message of the unknown kind {kind}")
        check(LANE_OF.get(kind, 0) == lane, "a message on the wrong lane")
        check(self.peer_sum_key or kind in (HELLO, BYE), "no HELLO before")
        check(self.cleared or kind not in (catchup.STATES, live.CUT),
              "documents before KNOWN")
        self.handlers[kind](r)

    def when_cleared(self, action):
        if self.cleared:
            action()
        else:
            self.waiting.append(action)

    def end(self):
        self.store.listeners.remove(self.live.committed)

    # -- handlers

    def on_hello(self, r):
        check(self.peer_sum_key is None, "a second HELLO")
        check(r.varint() == MAJOR, "another major version")
        r.varint()
        self.peer_actor = r.take(16)
        r.take(16)
        self.peer_sum_key = r.take(16)
        self.peer_wall_ms = r.varint()
        self.features = r.varint()
        self.catchup.announced = r.varint()
        # What follows is of a newer minor version.
        self.send(KNOWN, varint(self.store.known_of(self.peer_actor)))

    def on_known(self, r):
        hlc = r.varint()
        r.end()
        check(not self.cleared, "KNOWN again")
        if hlc not in self.store.own:  # we were rolled back
            self.store.renew()
            self.send(RENEWED, self.store.actor + self.store.incarnation)
        self.cleared = True
        for action in self.waiting:
            action()

    def on_renewed(self, r):
        self.peer_actor = r.take(16)
        r.take(16)
        r.end()

    def on_clock(self, r):
        self.peer_wall_ms = r.varint()
        r.end()

    def on_drop(self, r):
        self.catchup.drop(r.varint())
        r.end()

    def refuse(self, number, reason):
        self.send(REFUSED, varint(number) + block(reason))

    def on_refused(self, r):
        number, reason = r.varint(), r.block()
        r.end()
        self.catchup.asked[number].state = "refused: " + reason.decode()

    def on_bye(self, r):
        raise Malformed("the peer goes: " + r.block().decode())
