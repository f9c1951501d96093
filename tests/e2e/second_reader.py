#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""tako and the second reader of its protocol (tests/protocol, Python, written
from docs/protocol.md) in one mesh: both ways, to equal documents."""
import os
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).parent.parent / "protocol"))
try:
    import OpenSSL  # noqa: F401
except ImportError:  # Debian's python3-openssl is the system Python's
    if sys.executable == "/usr/bin/python3":
        raise
    os.execv("/usr/bin/python3", ["/usr/bin/python3", "-B", *sys.argv])

from tako_e2e import World, need, need_equal, order, wait_until  # noqa: E402

from peer import Peer  # noqa: E402

SUBSCRIPTION = "SELECT * FROM `orders`"


def insert(fields):
    return lambda w: w.insert(fields)


def fields_of(doc):
    return {k: v for k, v in doc.items() if k != "_id"}


def same_hash(shop, reader):
    return shop.hash("orders").split()[0] == reader.store.hash(b"orders")


def meet(shop, reader, what):
    reader.until(lambda: all(
        a.state == "in sync" for a in reader.session.catchup.asked.values())
        and all(w.state == "live"
                for w in reader.session.catchup.interests.values()),
        15, "caught up: " + what)
    wait_equal(shop, reader, what)


def wait_equal(shop, reader, what):
    reader.until(lambda: same_hash(shop, reader), 10, "equal: " + what)


def write(reader, identity, change):
    reader.store.write([("orders", identity, change)])


if __name__ == "__main__":
    with World(seconds=60) as world:
        shop = world.device("shop")
        secret = pathlib.Path(world.secret).read_bytes()
        shop.import_docs("orders", (order(f"shop-{i:03d}", world.random)
                                    for i in range(120)))
        shop.start()
        reader = Peer("reader", secret, [SUBSCRIPTION])
        for i in range(80):
            write(reader, f"reader-{i:03d}", insert(fields_of(
                order(f"reader-{i:03d}", world.random))))

        # The first download, both ways.
        reader.join(shop.address)
        meet(shop, reader, "the first download")
        need_equal(shop.count(), 200, "documents at tako")
        need_equal(len(reader.store.docs), 200, "documents at the reader")
        print("ok first download")
        reader.leave()
        shop.stop()
