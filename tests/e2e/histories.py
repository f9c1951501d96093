#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Recorded histories of real processes: three devices in a line, A-B-C.

Callers at both ends run transactions over several documents and read all of
them, again and again, while links are cut, hushed, slowed down and reset, and
devices are killed. Everything is written down as JSON lines and judged by
history.py, which knows nothing of the program: atomicity, causal order, read
your writes, monotonic reads. In the end the three are equal and have every
transaction that was acknowledged.

By default atomicity and causal order are asked of what is written and read
while the line is whole and the devices were equal before; --strict asks it
also while links come and go, but for reads of a device that says it is
catching up. --transactions N, --history FILE (keeps it)."""
import collections
import json
import random
import threading
import time
import types

import history
from proxy import Proxy
from session import Gone, Refused, Session
from tako_e2e import Failed, World, need, need_equal, wait_until

TRANSACTIONS = 1000
DOCS = [f"k{i}" for i in range(16)]
READ = "SELECT _id, w FROM h"
SETTLE_SECONDS = 40
PAUSE_SECONDS = 0.05  # of a caller between two operations


class Recorder:
    """The history, in the order in which things happened."""

    def __init__(self):
        self.lock = threading.Lock()
        self.events = []
        self.tokens = 0
        self.counts = collections.Counter()

    def add(self, process, node, kind, op, **more):
        with self.lock:
            self.events.append({"process": process, "node": node,
                                "type": kind, "op": op,
                                "time": time.monotonic_ns(), **more})
            self.counts[op, kind] += 1

    def token(self):
        with self.lock:
            self.tokens += 1
            return self.tokens

    def acknowledged(self):
        return self.counts["txn", "ok"]


def tokens_of(rows):
    return {row["_id"]: sorted(int(name[1:]) for name in row["w"])
            for row in rows}


def catching_up(session):
    """Does the device say that it is not whole yet?"""
    status = session.ask(op="status")[1]
    for sub in status["subscriptions"]:
        if any(not peer["in_sync"] for peer in sub.get("peers", [])):
            return True
    text = json.dumps(status)
    return "catching up" in text or '"loose"' in text


class Caller(threading.Thread):
    """One process of the history: a session at a device of its own."""

    def __init__(self, name, device, recorder, gate, rng, writes):
        super().__init__(daemon=True)
        self.process = name
        self.device = device
        self.recorder = recorder
        self.gate = gate
        self.rng = rng
        self.writes = writes  # the share of its operations
        self.error = None

    def run(self):
        while not self.gate.stopping:
            try:
                with Session(self.device) as session:
                    while self.gate.enter():
                        try:
                            self.one(session)
                        finally:
                            self.gate.leave()
                        time.sleep(self.rng.uniform(0, PAUSE_SECONDS))
            except Gone:
                time.sleep(0.02)
            except Exception as error:  # told by whoever joins
                self.error = error
                return

    def add(self, kind, op, **more):
        self.recorder.add(self.process, self.device.name, kind, op, **more)

    def one(self, session):
        if self.rng.random() < self.writes:
            self.transact(session)
        else:
            self.read(session)

    def read(self, session):
        self.add("invoke", "read", value=None)
        try:
            late = catching_up(session)
            rows = session.rows(READ)
            late = catching_up(session) or late
        except (Gone, Refused) as error:
            self.add("fail", "read", value=None, error=str(error))
            if isinstance(error, Gone):
                raise
            return
        self.add("ok", "read", value=tokens_of(rows), catching_up=late)

    def transact(self, session):
        token = self.recorder.token()
        docs = self.rng.sample(DOCS, self.rng.choice([1, 2, 2, 3]))
        several = self.rng.random() < 0.5
        value = [["append", doc, token] for doc in docs]
        self.add("invoke", "txn", value=value)
        try:
            read = (self.several if several else self.single)(
                session, token, docs)
        except Gone:
            self.add("info", "txn", value=value)
            raise
        except Refused as refusal:
            # COMMIT that fails may have written; nothing else can have.
            self.add("info" if several else "fail", "txn", value=value,
                     error=str(refusal))
            if several:
                try:
                    session.execute("ROLLBACK")
                except Refused:
                    pass
            return
        self.add("ok", "txn", value=value, read=read)

    @staticmethod
    def single(session, token, docs):
        names = ", ".join(f"'{doc}'" for doc in docs)
        _, done = session.execute(
            f"UPDATE h SET w.t{token} = {token} WHERE _id IN ({names})")
        need_equal(len(done["mutated"]), len(docs), "documents written")
        return {}

    @staticmethod
    def several(session, token, docs):
        """What it reads first is part of what it has seen."""
        session.execute("BEGIN")
        seen = tokens_of(session.rows(READ))
        for doc in docs:
            session.execute(f"UPDATE h SET w.t{token} = {token} "
                            f"WHERE _id = '{doc}'")
        session.execute("COMMIT")
        return seen


class Gate:
    """Lets callers work, or holds all of them back."""

    def __init__(self):
        self.changed = threading.Condition()
        self.is_open = True
        self.stopping = False
        self.inside = 0

    def enter(self):
        with self.changed:
            while not self.is_open and not self.stopping:
                self.changed.wait()
            if self.stopping:
                return False
            self.inside += 1
            return True

    def leave(self):
        with self.changed:
            self.inside -= 1
            self.changed.notify_all()

    def close(self):
        with self.changed:
            self.is_open = False
            if not self.changed.wait_for(lambda: self.inside == 0, 30):
                raise Failed("a caller hangs")

    def open(self):
        with self.changed:
            self.is_open = True
            self.changed.notify_all()

    def stop(self):
        with self.changed:
            self.stopping = True
            self.changed.notify_all()


class Line:
    """A-B-C: B dials A, and C dials B, each through a proxy."""

    def __init__(self, world, recorder):
        self.world = world
        self.recorder = recorder
        self.rng = random.Random(world.random.random())
        self.a, self.b, self.c = self.devices = [
            world.device(name, subscribe=("h",)) for name in "abc"]
        self.links = [Proxy(), Proxy()]

    def dials(self, device):
        link = {self.b: self.links[0], self.c: self.links[1]}.get(device)
        return [types.SimpleNamespace(address=link.address)] if link else []

    def start(self):
        for device in self.devices:
            device.start(*self.dials(device))
        self.links[0].to = self.a.address
        self.links[1].to = self.b.address
        self.a.query("INSERT INTO h DOCUMENTS (:d)",
                     d=[{"_id": doc, "w": {}} for doc in DOCS])

    def note(self, op, **more):
        self.recorder.add("nemesis", "", "info", op, **more)

    def settle(self):
        """All links whole, all devices up; they become equal."""
        for link in self.links:
            link.mend()
        for device in (self.b, self.c):
            self.dial_now(device)
        wait_until(lambda: len({d.hash() for d in self.devices}) == 1,
                   SETTLE_SECONDS, "equal")
        wait_until(lambda: not any(self.late(d) for d in self.devices),
                   SETTLE_SECONDS, "in sync")
        self.note("steady")

    @staticmethod
    def dial_now(device):
        """Not after the back-off, which has grown with so much trouble."""
        with Session(device) as session:
            for peer in session.ask(op="status")[1]["peers"]:
                if not peer["linked"]:
                    session.ask(op="peer_remove", address=peer["address"])
                    session.ask(op="peer_add", address=peer["address"])

    @staticmethod
    def late(device):
        with Session(device) as session:
            return catching_up(session)

    # -- what goes wrong; `gate` is open meanwhile

    def trouble(self):
        self.note("unsteady")
        kind = self.rng.choice(["cut", "cut", "both", "hush", "slow", "reset",
                                "flap", "kill middle", "kill end"])
        self.note("trouble", value=kind)
        links = self.links if kind == "both" else [self.rng.choice(self.links)]
        seconds = self.rng.uniform(0.2, 1.2)
        if kind in ("cut", "both"):
            self.each(links, Proxy.cut, seconds)
        elif kind == "hush":
            self.each(links, Proxy.hush, seconds)
        elif kind == "slow":
            links[0].delay = 0.05
            time.sleep(seconds)
        elif kind in ("reset", "flap"):
            for _ in range(5 if kind == "flap" else 1):
                links[0].reset()
                time.sleep(self.rng.uniform(0, 0.3))
        else:
            self.kill(self.b if kind == "kill middle"
                      else self.rng.choice([self.a, self.c]))
        self.note("mended")
        for link in self.links:
            link.mend()
        time.sleep(self.rng.uniform(0.1, 0.6))  # while all catch up

    @staticmethod
    def each(links, what, seconds):
        for link in links:
            what(link)
        time.sleep(seconds)

    def kill(self, device):
        device.kill()
        time.sleep(self.rng.uniform(0, 0.5))
        device.start(*self.dials(device))

    def close(self):
        for link in self.links:
            link.close()


def run(line, recorder, gate, callers, wanted):
    """Calm and trouble in turn, until there were enough transactions."""
    while recorder.acknowledged() < wanted:
        gate.close()
        line.settle()
        gate.open()
        time.sleep(line.rng.uniform(0.6, 1.2))
        line.trouble()
        for caller in callers:
            if caller.error is not None:
                raise caller.error
    gate.close()
    gate.stop()
    line.settle()


def nothing_is_missing(line, recorder):
    """At each of the three: every acknowledged transaction, whole."""
    acked = {}
    for event in recorder.events:
        if event["op"] == "txn" and event["type"] == "ok":
            acked[event["value"][0][2]] = [doc for _, doc, _
                                           in event["value"]]
    for device in line.devices:
        have = tokens_of(device.query(READ))
        lost = [(token, doc) for token, docs in acked.items()
                for doc in docs if token not in have[doc]]
        need(not lost, f"{device.name} lacks {lost[:10]}")


def judge(recorder, strict):
    told = history.History(recorder.events)
    found = told.check(strict)
    history.report(found)
    steady, all_pairs = told.pairs(False), told.pairs(True)
    print(f"{len(told.txns)} transactions, {recorder.acknowledged()} "
          f"acknowledged, {len(told.reads)} reads, "
          f"{sum(read.catching_up for read in told.reads)} while catching up; "
          f"pairs looked at: {all_pairs if strict else steady} "
          f"({steady} steady, {all_pairs} in all)")
    need(steady > len(told.txns), "too little happened in calm")
    if not strict:
        outside = {name: len(v) for name, v in told.check(True).items()}
        print(f"outside of calm, where it is not promised yet: {outside}")
    need(not found, f"the history is not as promised: {sorted(found)}")


def main():
    options = [("--transactions", {"type": int, "default": TRANSACTIONS}),
               ("--strict", {"action": "store_true"}),
               ("--history", {"default": None})]
    with World(seconds=3600, options=options) as world:
        wanted = world.options.transactions
        print(f"seed {world.seed}, {wanted} transactions", flush=True)
        recorder, gate = Recorder(), Gate()
        line = Line(world, recorder)
        line.start()
        callers = [Caller(f"{device.name}{i}", device, recorder, gate,
                          random.Random(world.random.random()), writes)
                   for device in (line.a, line.c)
                   for i, writes in enumerate([0.8, 0.6, 0.0])]
        start = time.monotonic()
        gate.close()
        for caller in callers:
            caller.start()
        run(line, recorder, gate, callers, wanted)
        for caller in callers:
            caller.join(30)
            need(not caller.is_alive(), "a caller hangs")
            if caller.error is not None:
                raise caller.error
        if world.options.history:
            with open(world.options.history, "w", encoding="utf-8") as out:
                for event in recorder.events:
                    out.write(json.dumps(event) + "\n")
        nothing_is_missing(line, recorder)
        troubles = collections.Counter(
            event["value"] for event in recorder.events
            if event["op"] == "trouble")
        print(f"{time.monotonic() - start:.1f} s; {dict(troubles)}")
        judge(recorder, world.options.strict)
        line.close()
        for device in line.devices:
            device.stop()
            device.check()


if __name__ == "__main__":
    main()
