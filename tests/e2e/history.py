#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Is a recorded history what the database promises? An independent checker.

A history is JSON lines, in the order in which things happened:

  {"process": "a1", "node": "a", "type": "invoke", "op": "txn",
   "value": [["append", "k3", 17], ["append", "k5", 17]], "time": 12345}
  {... "type": "ok" | "fail" | "info" ...}    info: nobody knows whether
  {... "op": "read", "type": "ok", "value": {"k3": [1, 17], "k5": [17]},
   "catching_up": false}
  {"process": "nemesis", "op": "unsteady" | "steady", ...}

A transaction appends its own token to each document that it touches, and
tokens are never taken away: so what a read shows tells which transactions it
saw. A transaction may read before it writes ("read" in its ok or invoke).

  atomicity         who sees a transaction in one document sees it in all
  causal order      who sees a transaction sees all that its process had seen
                    or written before it
  read your writes  a process sees what it was told is written
  monotonic reads   what was seen once at a node is seen there ever after
  honesty           nothing is seen that nobody wrote, or that was refused

Of the first two, a transaction and a read count when both fall into one steady
stretch: between a "steady" (the nodes were equal) and the next "unsteady" (a
link or a node came or went). strict: always, but for reads of a node that said
it was catching up.

By hand: history.py [--strict] FILE"""
import collections
import json
import sys

REPORTED_MAX = 5  # of each kind


class Txn:
    def __init__(self, token, event, epoch, known):
        self.token = token
        self.process = event["process"]
        self.docs = [doc for _, doc, _ in event["value"]]
        self.epoch = epoch   # of the steady stretch; None: none
        self.before = known  # what its process had seen: a set as bits
        self.failed = False


class Read:
    def __init__(self, event, epoch, must_process, must_node):
        self.process = event["process"]
        self.node = event["node"]
        self.epoch = epoch
        self.must_process = must_process  # own acknowledged writes, as bits
        self.must_node = must_node        # doc -> bits seen here before
        self.seen = {}                    # doc -> bits
        self.any = 0
        self.catching_up = False


def bits(tokens):
    mask = 0
    for token in tokens:
        mask |= 1 << token
    return mask


def tokens_of(mask):
    found = []
    while mask:
        low = mask & -mask
        found.append(low.bit_length() - 1)
        mask ^= low
    return found


class History:
    """Transactions and reads, each with what must be true of it."""

    def __init__(self, events):
        self.txns = {}   # token -> Txn
        self.reads = []
        self.epoch = None
        self.epochs = 0
        self.open = {}   # process -> what it does
        self.known = collections.defaultdict(int)    # process -> bits
        self.written = collections.defaultdict(int)  # process -> bits
        self.node_seen = collections.defaultdict(
            lambda: collections.defaultdict(int))    # node -> doc -> bits
        for event in events:
            self.take(event)
        self.writers = collections.defaultdict(int)  # doc -> bits
        self.refused = 0
        for token, txn in self.txns.items():
            self.refused |= txn.failed << token
            for doc in txn.docs:
                self.writers[doc] |= 1 << token

    def take(self, event):
        op, kind = event["op"], event["type"]
        if op == "steady":
            self.epochs += 1
            self.epoch = self.epochs
        elif op == "unsteady":
            self.epoch = None
        elif op == "txn" and kind == "invoke":
            self.txn_begins(event)
        elif op == "txn":
            self.txn_ends(event)
        elif op == "read" and kind == "invoke":
            process, node = event["process"], event["node"]
            self.open[process] = Read(event, self.epoch,
                                      self.written[process],
                                      dict(self.node_seen[node]))
        elif op == "read" and kind == "ok":
            self.read_ends(event)

    def txn_begins(self, event):
        process = event["process"]
        token = event["value"][0][2]
        txn = Txn(token, event, self.epoch, self.known[process])
        self.txns[token] = txn
        self.open[process] = txn

    def txn_ends(self, event):
        process = event["process"]
        txn = self.open[process]
        if event["type"] == "fail":
            txn.failed = True
            return
        if self.epoch is None or self.epoch != txn.epoch:
            txn.epoch = None
        for tokens in event.get("read", {}).values():
            txn.before |= bits(tokens)
        txn.before &= ~(1 << txn.token)
        if event["type"] == "ok":
            self.known[process] |= txn.before | 1 << txn.token
            self.written[process] |= 1 << txn.token
            for doc in txn.docs:
                self.node_seen[event["node"]][doc] |= 1 << txn.token

    def read_ends(self, event):
        read = self.open[event["process"]]
        read.catching_up = event.get("catching_up", False)
        if self.epoch is None or self.epoch != read.epoch:
            read.epoch = None
        for doc, tokens in event["value"].items():
            read.seen[doc] = bits(tokens)
            read.any |= read.seen[doc]
            self.node_seen[read.node][doc] |= read.seen[doc]
        self.known[read.process] |= read.any
        self.reads.append(read)

    # -- what must hold; each gives the violations as text

    def counting(self, strict):
        """(read, the transactions it shows that count, as bits)."""
        by_epoch = collections.defaultdict(int)
        for token, txn in self.txns.items():
            by_epoch[txn.epoch] |= 1 << token
        every = bits(self.txns)
        for read in self.reads:
            if strict and not read.catching_up:
                yield read, read.any & every
            elif not strict and read.epoch is not None:
                yield read, read.any & by_epoch[read.epoch]

    def atomicity(self, strict=False):
        for read, counted in self.counting(strict):
            for doc, those in self.writers.items():
                missing = counted & those & ~read.seen.get(doc, 0)
                for token in tokens_of(missing):
                    yield (f"{read.process} saw transaction {token} of "
                           f"{self.txns[token].process}, but not in {doc}")

    def causal_order(self, strict=False):
        # What the transactions looked at so far had seen, all together.
        done = collections.defaultdict(lambda: [0, 0])
        for read, counted in self.counting(strict):
            looked = done[read.node, None if strict else read.epoch]
            for token in tokens_of(counted & ~looked[0]):
                looked[1] |= self.txns[token].before
            looked[0] |= counted
            if not looked[1] & ~read.any:
                continue
            for token in tokens_of(counted):
                missing = self.txns[token].before & ~read.any
                if missing:
                    yield (f"{read.process} saw transaction {token} of "
                           f"{self.txns[token].process}, but not "
                           f"{tokens_of(missing)}, which that had seen")

    def read_your_writes(self, _strict=False):
        for read in self.reads:
            for doc, those in self.writers.items():
                missing = (read.must_process & those
                           & ~read.seen.get(doc, 0))
                for token in tokens_of(missing):
                    yield (f"{read.process} wrote {token} and does not see "
                           f"it in {doc}")

    def monotonic_reads(self, _strict=False):
        for read in self.reads:
            for doc, must in read.must_node.items():
                missing = must & ~read.seen.get(doc, 0)
                if missing:
                    yield (f"{read.process} does not see "
                           f"{tokens_of(missing)} in {doc}, which were seen "
                           f"or acknowledged at {read.node} before")

    def honesty(self, _strict=False):
        for read in self.reads:
            for doc, seen in read.seen.items():
                for token in tokens_of(seen & ~self.writers[doc]):
                    yield (f"{read.process} sees {token} in {doc}, where "
                           "nobody wrote it")
                for token in tokens_of(seen & self.refused):
                    yield (f"{read.process} sees {token} in {doc}, which "
                           "was refused")

    CHECKS = ("atomicity", "causal_order", "read_your_writes",
              "monotonic_reads", "honesty")

    def check(self, strict=False):
        """name -> violations, of those that have any."""
        found = {}
        for name in self.CHECKS:
            violations = list(getattr(self, name)(strict))
            if violations:
                found[name] = violations
        return found

    def pairs(self, strict=False):
        """How many (transaction, read that shows it) counted."""
        return sum(bin(counted).count("1")
                   for _, counted in self.counting(strict))


def report(found):
    for name, violations in found.items():
        print(f"{name}: {len(violations)} violations")
        for violation in violations[:REPORTED_MAX]:
            print(f"  {violation}")


def main():
    args = sys.argv[1:]
    strict = "--strict" in args
    files = [arg for arg in args if arg != "--strict"]
    if len(files) != 1:
        sys.exit("usage: history.py [--strict] FILE")
    with open(files[0], encoding="utf-8") as lines:
        history = History(json.loads(line) for line in lines)
    found = history.check(strict)
    report(found)
    print(f"{len(history.txns)} transactions, {len(history.reads)} reads, "
          f"{history.pairs(strict)} pairs looked at")
    sys.exit(1 if found else 0)


if __name__ == "__main__":
    main()
