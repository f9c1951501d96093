#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Attachments with real processes: three devices in a line, A-B-C. What is put
in at A is got at C through B, which does not want it; C is killed in the
middle and goes on; equal contents are kept once; what nobody refers to goes.
Also an order's change while a large content is fetched over the same links."""
import json
import time

from tako_e2e import World, need, need_equal, wait_until

BYTES = 20_000_000
PART = 15360


def make(path, size, rng):
    path.write_bytes(rng.randbytes(size))
    return path


def same(left, right):
    return left.read_bytes() == right.read_bytes()


def seen(device):
    return device.status()["attachments"]


def stored(device, state=None):
    rows = device.query("SELECT * FROM system:blobs")
    return [r for r in rows if state is None or r["state"] == state]


def got(world, device, key, out, timeout=60, status=0):
    return world.call("attach", "get", device.db, "menu", key, "photo", "-o",
                      str(out), "--timeout", str(timeout), "--json",
                      status=status, seconds=110)


if __name__ == "__main__":
    with World(seconds=230) as world:
        a, b, c = (world.device(name, subscribe=("menu",)) for name in "abc")
        b.subscribe = ()
        folder = world.folder
        content = make(folder / "photo one+two é.bin", BYTES, world.random)

        a.start()
        b.start(a)
        c.start(a)  # the documents: A-C; the contents go through B alone
        a.query("INSERT INTO menu DOCUMENTS ({'_id': 'taco'}), "
                "({'_id': 'nigiri'}), ({'_id': 'gone'})")
        start = time.monotonic()
        said = json.loads(world.call(
            "attach", "put", a.db, "menu", "taco", "photo", str(content),
            "--type", "image/jpeg", "--json").stdout)
        took = time.monotonic() - start
        print(f"put {BYTES} bytes: {took:.2f} s, {BYTES / took / 1e6:.0f} MB/s")
        need_equal(said["token"]["name"], content.name, "the name stays")
        wait_until(lambda: c.query("SELECT photo.len AS n FROM menu WHERE _id "
                                   "= 'taco'") == [{"n": BYTES}], 20,
                   "the token is at C")
        need_equal(stored(c), [], "no content before it is asked for")
        c.stop()
        c.start(b)  # from now on only B is next to C
        wait_until(lambda: any(x["state"] == "up"
                               for x in c.status()["links"]), 20, "B-C")

        # Killed in the middle, as often as it can be met there.
        out = folder / "out.bin"
        received = 0
        kills = 0
        for share in (0.05, 0.3, 0.6):
            got(world, c, "taco", out, timeout=0, status=1)
            wait_until(lambda: stored(c) and stored(c)[0]["parts_here"] >
                       share * BYTES / PART, 60, "some of it is at C")
            if stored(c, "whole"):
                break
            received += seen(c)["parts_in"]
            c.kill()
            kills += 1
            c.start(b)
            wait_until(lambda: any(x["state"] == "up"
                                   for x in c.status()["links"]), 20, "B-C")
        need(kills > 0, "it was never killed in the middle")
        start = time.monotonic()
        got(world, c, "taco", out)
        took = time.monotonic() - start
        need(same(out, content), "the content is equal")
        parts = stored(c)[0]["parts"]
        received += seen(c)["parts_in"]
        print(f"the rest through B after {kills} kills: {took:.2f} s; parts "
              f"{parts}, seen to arrive {received}")
        need_equal(seen(c)["parts_again"], 0, "no part came twice")
        need_equal(stored(b), [], "B keeps nothing of it")
        need(seen(b)["parts_passed"] >= parts / 2, "it went through B")

        # Equal contents, under another document and another name: once.
        before = a.status()["attachment_bytes"]
        world.call("attach", "put", a.db, "menu", "nigiri", "photo",
                   str(content), "--name", "other")
        need_equal(len(stored(a)), 1, "kept once")
        need_equal(stored(a)[0]["documents"], 2, "two documents")
        need(a.status()["attachment_bytes"] <= 2 * before, "bounded")

        # Nobody has it: it is said, and what was asked for stays asked.
        lost = make(folder / "lost.bin", 1000, world.random)
        d = world.device("d", sync=False).start()
        d.query("INSERT INTO menu DOCUMENTS ({'_id': 'x'})")
        token = json.loads(world.call(
            "attach", "put", d.db, "menu", "x", "photo", str(lost),
            "--json").stdout)["token"]
        d.stop()
        a.query("UPDATE menu SET photo = :t WHERE _id = 'gone'", t=token)
        failure = got(world, a, "gone", folder / "none", timeout=3, status=1)
        need("nobody linked has the attachment" in failure.stderr,
             f"unavailable is said: {failure.stderr}")
        need("0 of 1000 bytes" in failure.stderr, "and how much is here")

        # What is urgent does not wait for what is large.
        big = make(folder / "big.bin", 60_000_000, world.random)
        world.call("attach", "put", a.db, "menu", "taco", "photo", str(big))
        wait_until(lambda: seen(b)["passing"] == 0, 90, "B is idle")
        a.query("ALTER SYSTEM SET attachment_grace_s = 60")
        b.query("INSERT INTO menu DOCUMENTS ({'_id': 'here', 'n': 0})")
        b.stop()
        b.subscribe = ("menu",)
        b.start(a)
        wait_until(lambda: c.query("SELECT photo.len AS n FROM menu WHERE _id "
                                   "= 'taco'") == [{"n": len(big.read_bytes())}],
                   60, "the new token is at C")
        got(world, c, "taco", out, timeout=0, status=1)
        worst = 0.0
        for i in range(20):
            start = time.monotonic()
            a.query("UPDATE menu SET n = :i WHERE _id = 'nigiri'", i=i)
            wait_until(lambda: c.query(
                "SELECT n FROM menu WHERE _id = 'nigiri'") == [{"n": i}], 10,
                "a change arrives while a content is fetched")
            worst = max(worst, time.monotonic() - start)
            if any(r["bytes"] == 60_000_000 for r in stored(c, "whole")):
                break
        need(i > 0, "the content came too fast to measure beside it")
        print(f"{i + 1} changes over two hops beside it, the slowest (with "
              f"three processes started each) {worst * 1000:.0f} ms")
        start = time.monotonic()
        got(world, c, "taco", out, timeout=90)
        need(same(out, big), "the large content is equal")
        for device in (a, b, c):
            device.stop()
            device.check()
