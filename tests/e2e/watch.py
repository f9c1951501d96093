#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""`tako watch`: live queries of a running database, from other processes."""
import json
import queue
import subprocess
import sys
import threading

import tako_e2e
from tako_e2e import Failed, World, need, need_equal, wait_until


class Watch:
    """A `tako watch` and the lines that it prints."""

    def __init__(self, world, *args):
        self.process = subprocess.Popen(
            [world.tako, "watch", *args], stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        world.processes.append(self.process)
        self.lines = queue.Queue()
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self):
        for line in self.process.stdout:
            self.lines.put(json.loads(line))

    def next(self):
        try:
            return self.lines.get(timeout=20)
        except queue.Empty:
            raise Failed("nothing was told") from None

    def end(self, status):
        need_equal(self.process.wait(20), status, "exit status")
        return self.process.stderr.read()


def apply(rows, diff):
    """As tako.h says: rows of a set by _id, those of a list by place."""
    if diff["reset"]:
        rows = []
    if isinstance(rows, list) and all("at" in item
                                      for item in diff["inserted"] +
                                      diff["updated"] + diff["removed"]):
        out = {item["at"] for item in diff["removed"]}
        out |= {item["from"] for item in diff["moved"]}
        put = [(item["at"], item["row"]) for item in diff["inserted"]]
        put += [(item["to"], rows[item["from"]]) for item in diff["moved"]]
        rows = [row for i, row in enumerate(rows) if i not in out]
        for at, row in sorted(put, key=lambda pair: pair[0]):
            rows.insert(at, row)
        for item in diff["updated"]:
            need_equal(rows[item["at"]], item["old"], "the old row")
            rows[item["at"]] = item["new"]
        return rows
    for item in diff["removed"]:
        rows.remove(item["row"])
    for item in diff["updated"]:
        rows[rows.index(item["old"])] = item["new"]
    return rows + [item["row"] for item in diff["inserted"]]


def follow(watch, rows, done, what):
    """Applies deliveries until the rows are what is wanted."""
    while not done(rows):
        rows = apply(rows, watch.next())
    need(watch.lines.empty(), f"{what}: told more than there was")
    return rows


def case_whole(world):
    device = world.device("whole", sync=False).start()
    watch = Watch(world, device.db, "SELECT count(*) AS n FROM orders",
                  "--count", "2")
    need_equal(watch.next(), [{"n": 0}], "at once")
    device.query("INSERT INTO other DOCUMENTS ({'_id':1})")
    device.query("INSERT INTO orders DOCUMENTS ({'_id':1})")
    need_equal(watch.next(), [{"n": 1}], "after a commit")
    watch.end(0)
    device.stop()


def case_diff(world):
    """A set and a list, followed through many commits."""
    device = world.device("diff", sync=False).start()
    device.import_docs("orders", [{"_id": i, "table": i % 5, "v": i}
                                  for i in range(50)])
    of_set = Watch(world, device.db,
                   "SELECT _id, v FROM orders WHERE table = :t", "--diff",
                   "--arg", "t=3")
    of_list = Watch(world, device.db,
                    "SELECT _id, v FROM orders ORDER BY v DESC LIMIT 10",
                    "--diff")
    rows, top = apply([], of_set.next()), apply([], of_list.next())
    need_equal(len(rows), 10, "of table 3")
    need_equal([row["v"] for row in top], list(range(49, 39, -1)), "the top")
    for i in range(30):
        device.query("UPDATE orders SET v = v + 60 WHERE _id = :i", i=i)
    device.query("DELETE FROM orders WHERE _id = 3")
    device.query("UPDATE orders SET table = 3 WHERE _id = 49")
    want = device.query("SELECT _id, v FROM orders WHERE table = 3")
    rows = follow(of_set, rows, lambda r: sorted(r, key=str) ==
                  sorted(want, key=str), "the set")
    want = device.query("SELECT _id, v FROM orders ORDER BY v DESC LIMIT 10")
    top = follow(of_list, top, lambda r: r == want, "the list")
    device.stop()
    need("went away" in of_set.end(1), "why the watch ended")
    of_list.end(1)


def case_merged(world):
    """What another device wrote is told as what this one did."""
    till = world.device("till").start()
    kitchen = world.device("kitchen").start(till)
    watch = Watch(world, kitchen.db,
                  "SELECT * FROM orders WHERE status = 'open'", "--diff")
    need_equal(watch.next()["inserted"], [], "at first")
    till.query("INSERT INTO orders DOCUMENTS ({'_id':1,'status':'open'})")
    need_equal([item["row"]["_id"] for item in watch.next()["inserted"]], [1],
               "a new order")
    till.query("UPDATE orders SET status = 'done' WHERE _id = 1")
    need_equal(len(watch.next()["removed"]), 1, "one that is done")
    kitchen.stop()
    till.stop()
    watch.end(1)


def case_watchers_that_leave(world):
    """Their places are free again, though nothing is ever told to them."""
    device = world.device("leave", sync=False).start()
    for _ in range(3):
        watches = [Watch(world, device.db, "SELECT * FROM orders", "--diff")
                   for _ in range(30)]
        for watch in watches:
            watch.next()
        for watch in watches:
            watch.process.kill()
            watch.process.wait()
    wait_until(lambda: device.count() == 0, 20, "a place for one more")
    device.stop()


def case_alone_and_wrong(world):
    """Without a running process: the first line; and what is refused."""
    device = world.device("alone", sync=False)
    device.query("INSERT INTO orders DOCUMENTS ({'_id':1})")
    got = world.call("watch", device.db, "SELECT * FROM orders", "--diff",
                     "--count", "1").stdout
    need_equal(json.loads(got)["inserted"], [{"row": {"_id": 1}}], "the row")
    for start in (False, True):
        if start:
            device.start()
        got = world.call("watch", device.db, "SELECT * FRM x", status=1)
        need("^" in got.stderr, got.stderr)
        got = world.call("watch", device.db, "DELETE FROM orders", status=1)
        need("SELECT" in got.stderr, got.stderr)
        world.call("watch", device.db, "SELECT 1 AS x", "--count", "x",
                   status=2)
    device.stop()


if __name__ == "__main__":
    with World(seconds=110) as the_world:
        tako_e2e.run_cases(sys.modules[__name__], the_world)
