#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Three devices in a line, A-B-C: what A writes reaches C through B, also
after B was killed and has come back, and what was written meanwhile too."""
from tako_e2e import World, need_equal, order, wait_until

if __name__ == "__main__":
    with World(seconds=110) as world:
        a, b, c = (world.device(name) for name in "abc")

        def equal():
            return len({device.hash() for device in (a, b, c)}) == 1

        def write(device, label, count):
            device.import_docs("orders", (
                order(f"{device.name}-{label}-{i:04d}", world.random)
                for i in range(count)))

        a.start()
        b.start(a)
        c.start(b)
        write(a, "one", 300)
        write(c, "one", 300)
        took = wait_until(lambda: a.count() == 600 and c.count() == 600
                          and equal(), 30, "A and C through B")
        print(f"A and C through B: {took:.2f} s")

        b.kill()
        write(a, "two", 200)
        write(c, "two", 200)
        a.query("UPDATE orders SET status = 'ready' WHERE table < 10")
        c.query("DELETE FROM orders WHERE table > 35")
        b.start(a)
        took = wait_until(lambda: a.count() == c.count() and equal(), 30,
                          "after B was killed")
        print(f"after B was killed and is back: {took:.2f} s")
        need_equal(a.query("SELECT count(*) AS n FROM orders "
                           "WHERE table > 35 AND _id LIKE '%-one-%'"),
                   [{"n": 0}], "what C deleted is gone at A")

        # The ends speak to one another while the middle is stopped, and the
        # middle catches up.
        b.stop()
        world.call("peer", "add", a.db, c.address)
        write(a, "three", 100)
        wait_until(lambda: a.hash() == c.hash(), 30, "A and C directly")
        b.start(a)
        took = wait_until(equal, 30, "B catches up")
        print(f"B catches up: {took:.2f} s")
        world.call("peer", "remove", a.db, c.address)
        for device in (a, b, c):
            device.stop()
            device.check()
        need_equal(len({d.hash() for d in (a, b, c)}), 1, "closed hashes")
