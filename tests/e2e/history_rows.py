#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The checker of histories can fail: hand-made histories, bad and good.

Each row is a history in short: "who op value", one event after another.
  a1 w 1 x y     a1 begins to write token 1 to x and y
  a1 ok          it is acknowledged (fail: refused; info: nobody knows)
  a1 r           a1 begins to read
  a1 = x:1,2 y:1 and sees this (catching: the node was catching up)
  steady, unsteady
The node is the first letter of the process."""
import sys

from history import History

# why, history, what a plain check finds, what a strict one finds
ROWS = [
    ("nothing is wrong",
     "steady; a1 w 1 x y; a1 ok; c1 r; c1 = x:1 y:1; a1 r; a1 = x:1 y:1", "",
     ""),
    ("a half transaction",
     "steady; a1 w 1 x y; a1 ok; c1 r; c1 = x:1 y:", "atomicity",
     "atomicity"),
    ("half, and then whole",
     "steady; a1 w 1 x y; a1 ok; c1 r; c1 = x:1 y:; c1 r; c1 = x:1 y:1",
     "atomicity", "atomicity"),
    ("half of one whose outcome nobody knows",
     "steady; a1 w 1 x y; a1 info; c1 r; c1 = x:1 y:", "atomicity",
     "atomicity"),
    ("half, after a link came back",
     "steady; unsteady; a1 w 1 x y; a1 ok; c1 r; c1 = x:1 y:", "",
     "atomicity"),
    ("half, while catching up",
     "steady; unsteady; a1 w 1 x y; a1 ok; c1 r; c1 = x:1 y: catching", "",
     ""),
    ("written in one steady stretch, read in the next",
     "steady; a1 w 1 x y; a1 ok; unsteady; steady; c1 r; c1 = x:1 y:", "",
     "atomicity"),
    ("an effect before its cause, of one process",
     "steady; a1 w 1 x; a1 ok; a1 w 2 y; a1 ok; c1 r; c1 = x: y:2",
     "causal_order", "causal_order"),
    ("an effect before its cause, of two",
     "steady; a1 w 1 x; a1 ok; c1 r; c1 = x:1 y:; c1 w 2 y; c1 ok; a2 r; "
     "a2 = x: y:2", "causal_order monotonic_reads",
     "causal_order monotonic_reads"),
    ("... at a third node",
     "steady; a1 w 1 x; a1 ok; c1 r; c1 = x:1 y:; c1 w 2 y; c1 ok; d1 r; "
     "d1 = x: y:2", "causal_order", "causal_order"),
    ("what a transaction read itself is a cause",
     "steady; a1 w 1 x; a1 ok; c1 w 2 y; c1 ok x:1; d1 r; d1 = x: y:2",
     "causal_order", "causal_order"),
    ("concurrent writes may come in any order",
     "steady; a1 w 1 x; a1 ok; c1 w 2 y; c1 ok; d1 r; d1 = x: y:2; d1 r; "
     "d1 = x:1 y:2", "", ""),
    ("an own write is not seen",
     "a1 w 1 x; a1 ok; a1 r; a1 = x:", "read_your_writes monotonic_reads",
     "read_your_writes monotonic_reads"),
    ("an own write is half seen",
     "a1 w 1 x y; a1 ok; a1 r; a1 = x:1 y:",
     "read_your_writes monotonic_reads",
     "read_your_writes monotonic_reads atomicity"),
    ("an own write that nobody knows of need not be seen",
     "a1 w 1 x; a1 info; a1 r; a1 = x:", "", ""),
    ("what was seen is gone",
     "a1 w 1 x; a1 ok; c1 r; c1 = x:1; c1 r; c1 = x:", "monotonic_reads",
     "monotonic_reads"),
    ("... for another process of that node",
     "a1 w 1 x; a1 ok; c1 r; c1 = x:1; c2 r; c2 = x:", "monotonic_reads",
     "monotonic_reads"),
    ("two reads at once may differ",
     "a1 w 1 x; a1 ok; c1 r; c2 r; c1 = x:1; c2 = x:", "", ""),
    ("a document is gone",
     "a1 w 1 x y; a1 ok; c1 r; c1 = x:1 y:1; c1 r; c1 = y:1",
     "monotonic_reads", "monotonic_reads atomicity"),
    ("what was refused is there",
     "a1 w 1 x; a1 fail; c1 r; c1 = x:1", "honesty", "honesty"),
    ("what nobody wrote is there",
     "a1 w 1 x; a1 ok; c1 r; c1 = x:1,7", "honesty", "honesty"),
    ("a token is in another's document",
     "steady; a1 w 1 x; a1 ok; c1 r; c1 = x:1 y:1", "honesty", "honesty"),
]


def seen(words):
    value = {}
    for word in words:
        doc, _, tokens = word.partition(":")
        value[doc] = [int(t) for t in tokens.split(",") if t]
    return value


def events(text):
    doing = {}
    for part in text.split("; "):
        words = part.split()
        if words[0] in ("steady", "unsteady"):
            yield {"process": "nemesis", "type": "info", "op": words[0]}
            continue
        who, what, rest = words[0], words[1], words[2:]
        event = {"process": who, "node": who[0]}
        if what == "w":
            event.update(type="invoke", op="txn", value=[
                ["append", doc, int(rest[0])] for doc in rest[1:]])
            doing[who] = event["value"]
        elif what == "r":
            event.update(type="invoke", op="read", value=None)
        elif what == "=":
            event.update(type="ok", op="read",
                         catching_up="catching" in rest,
                         value=seen(w for w in rest if w != "catching"))
        else:
            event.update(type=what, op="txn", value=doing[who],
                         read=seen(rest))
        yield event


def main():
    bad = 0
    for why, text, plain, strict in ROWS:
        history = History(events(text))
        for name, want, found in [
                ("plain", plain, history.check(False)),
                ("strict", strict, history.check(True))]:
            if sorted(found) != sorted(want.split()):
                print(f"FAILED: {why}: {name} found {sorted(found)}, "
                      f"want {want.split()}: {found}")
                bad += 1
    missed = set(History.CHECKS) - {name for _, _, plain, _ in ROWS
                                    for name in plain.split()}
    if missed:
        print(f"FAILED: no row for {missed}")
        bad += 1
    print(f"{len(ROWS)} histories, {bad} failures")
    sys.exit(1 if bad else 0)


if __name__ == "__main__":
    main()
