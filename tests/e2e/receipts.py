#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Four devices in a line, A-B-C-D. A waits until D keeps what A wrote; not
while D is away; and again when the devices between were killed. Then the line
becomes a ring, in which nobody counts twice."""
from tako_e2e import World, need, need_equal, wait_until

if __name__ == "__main__":
    with World(seconds=110) as world:
        devices = a, b, c, d = [world.device(name) for name in "abcd"]
        numbers = iter(range(1000))

        def write():
            return a.query("INSERT INTO orders DOCUMENTS (:doc)",
                           doc={"_id": next(numbers)})["commit"]

        def waits(commit, *options, seconds=30, status=0):
            world.call("wait", a.db, "--commit", str(commit), "--timeout",
                       str(seconds), *options, status=status)

        def shown(commit):
            return {one["commit"]: one for one in a.status()["commits"]}[commit]

        a.start()
        for device, before in ((b, a), (c, b), (d, c)):
            device.start(before)
        commit = write()
        waits(commit, "--keepers", "3")
        waits(commit, "--keepers", "4", seconds=0, status=1)
        waits(commit, "--keepers", "1", "--peer", "d")
        waits(commit, "--peer", "d")
        waits(commit, "--peer", "nobody", seconds=1, status=1)
        one = shown(commit)
        need_equal((one["kept"], sorted(one["keepers"]), one["have"]),
                   (3, ["b", "c", "d"], 3), "the status of the commit")
        need_equal(a.query("SELECT _id, kept, have FROM system:commits"),
                   [{"_id": commit, "kept": 3, "have": 3}], "system:commits")

        d.kill()
        commit = write()
        waits(commit, "--keepers", "2")
        waits(commit, "--keepers", "3", seconds=3, status=1)
        waits(commit, "--peer", "d", seconds=0, status=1)
        need_equal(sorted(shown(commit)["keepers"]), ["b", "c"], "without D")
        b.kill()
        d.start(c)
        b.start(a)
        took = wait_until(lambda: shown(commit)["kept"] == 3, 60,
                          "D keeps it, and A knows")
        print(f"known {took:.2f} s after B and D were killed and came back")
        waits(commit, "--peer", "d")

        world.call("peer", "add", d.db, a.address)
        commit = write()
        waits(commit, "--keepers", "3")
        waits(commit, "--keepers", "4", seconds=3, status=1)
        need(shown(commit)["kept"] == 3, "a ring counts each device once")
        for device in devices:
            device.stop()
            device.check()
