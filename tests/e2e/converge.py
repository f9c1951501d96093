#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Two devices, 10,000 orders written on each while apart: when they meet,
both have all of them, and equal hashes."""
import time

from tako_e2e import World, need_equal, order, wait_until

DOCUMENTS = 10000

if __name__ == "__main__":
    with World(seconds=280) as world:
        count = world.options.documents or DOCUMENTS
        devices = [world.device("left"), world.device("right")]
        for device in devices:
            start = time.monotonic()
            device.import_docs("orders", (
                order(f"{device.name}-{i:06d}", world.random)
                for i in range(count)))
            print(f"{device.name}: {count} documents imported in "
                  f"{time.monotonic() - start:.2f} s")
        left, right = devices
        left.start()
        start = time.monotonic()
        right.start(left)
        wait_until(lambda: left.count() == 2 * count
                   and right.count() == 2 * count, 120, "all documents")
        wait_until(lambda: left.hash() == right.hash(), 30, "equal hashes")
        took = time.monotonic() - start
        print(f"converged in {took:.2f} s, {2 * count / took:.0f} "
              "documents/s")

        # And from here on what changes on one side is on the other at once.
        left.query("UPDATE orders SET status = 'ready' WHERE _id = :id",
                   id="right-000000")
        took = wait_until(
            lambda: right.query("SELECT status FROM orders WHERE _id = :id",
                                id="right-000000")[0]["status"] == "ready",
            10, "one change")
        print(f"one change seen after {took * 1000:.0f} ms (by polling)")
        wait_until(lambda: left.hash() == right.hash(), 10, "equal hashes")
        for device in devices:
            device.stop()
            device.check()
            need_equal(device.count(), 2 * count, "documents when closed")
        need_equal(left.hash(), right.hash(), "hashes when closed")
