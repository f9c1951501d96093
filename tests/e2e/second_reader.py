#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""tako and the second reader of its protocol (tests/protocol, in Python, by
docs/protocol.md) in one mesh: both ways, to equal documents."""
import collections
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).parent.parent / "protocol"))
import debian  # noqa: E402,F401
from tako_e2e import World, need, need_equal, order  # noqa: E402

import catchup as catchups  # noqa: E402
from peer import Peer  # noqa: E402
from wire import varint  # noqa: E402

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
    reader.until(lambda: same_hash(shop, reader), 20, "equal: " + what)


def write(reader, identity, change):
    reader.store.write([("orders", identity, change)])


def row(shop, identity):
    rows = shop.query("SELECT * FROM orders WHERE _id = :id", id=identity)
    return fields_of(rows[0]) if rows else None


def first_download(world, shop, reader):
    shop.import_docs("orders", (order(f"shop-{i:03d}", world.random)
                                for i in range(120)))
    for i in range(80):
        write(reader, f"reader-{i:03d}", insert(fields_of(
            order(f"reader-{i:03d}", world.random))))
    shop.start()
    reader.join(shop.address)
    meet(shop, reader, "the first download")
    need_equal(shop.count(), 200, "documents at tako")
    need_equal(len(reader.store.docs), 200, "documents at the reader")
    print("ok first download")


def what_tako_writes(shop, reader):
    """Every kind of write, as deltas."""
    before = reader.session.live.counts["deltas"]
    for statement in (
            "UPDATE orders SET status = 'ready' WHERE _id = 'shop-001'",
            "UPDATE orders SET pay = {'card': 'x', 'tip': 2.5} "
            "WHERE _id = 'shop-001'",
            "UPDATE orders SET pay.tip = 3 WHERE _id = 'shop-001'",
            "UPDATE orders UNSET pay WHERE _id = 'shop-001'",
            "UPDATE orders SET pay.cash = true WHERE _id = 'shop-001'",
            "UPDATE orders APPLY table INCREMENT BY 5 WHERE _id = 'shop-002'",
            "UPDATE orders APPLY table RESTART WITH 7 WHERE _id = 'shop-002'",
            "UPDATE orders SET status = 'paid' WHERE till = 'till1'",
            "DELETE FROM orders WHERE _id = 'shop-003'"):
        shop.query(statement)
        wait_equal(shop, reader, statement)
    need(reader.session.live.counts["deltas"] > before + 6,
         "tako sends changes as deltas")
    need_equal(reader.store.fields("orders", "shop-001")["pay"],
               {"cash": True}, "what was written last")
    need(not reader.store.docs[b"orders", b"\x68shop-003"].alive(),
         "a delete arrives")
    print("ok what tako writes")


def what_the_reader_writes(shop, reader):
    """Likewise; tako takes the deltas as they are."""
    for what, identity, change in (
            ("set", "shop-004", lambda w: w.set(["status"], "ready")),
            ("an object", "shop-004", lambda w: w.set(
                ["pay"], {"card": "x", "tip": 2.5})),
            ("inside it", "shop-004", lambda w: w.set(["pay", "tip"], 3)),
            ("unset", "shop-004", lambda w: w.unset(["pay"])),
            ("again", "shop-004", lambda w: w.set(["pay", "cash"], True)),
            ("count", "shop-005", lambda w: w.increment(["table"], 5)),
            ("restart", "shop-005", lambda w: w.restart(["table"], 7)),
            ("delete", "shop-006", lambda w: w.delete()),
            ("insert", "new", insert({"status": "new", "list": [1, None]})),
            ("of a ULID", "01ARZ3NDEKTSV4RRFFQ69G5FAV", insert({"a": 1}))):
        write(reader, identity, change)
        wait_equal(shop, reader, what)
    need_equal(row(shop, "shop-004")["pay"], {"cash": True}, "at tako")
    need_equal(row(shop, "shop-005")["table"], 7, "a counter at tako")
    need_equal(row(shop, "new"), {"status": "new", "list": [1, None]}, "new")
    need_equal(reader.session.live.counts["needs"], 0, "refused deltas")
    reader.until(lambda: reader.session.live.acked_in
                 == reader.session.live.close_out, 5, "acknowledged")
    print("ok what the reader writes")


def both_at_once(shop, reader):
    """Concurrent changes of one field: both merge, to the same bytes."""
    shop.query("UPDATE orders SET status = 'a', x = 1 WHERE _id = 'shop-007'")
    write(reader, "shop-007", lambda w: w.set(["status"], "b"))
    write(reader, "shop-007", lambda w: w.increment(["n"], 2))
    shop.query("UPDATE orders APPLY n INCREMENT BY 3 WHERE _id = 'shop-007'")
    wait_equal(shop, reader, "both at once")
    need_equal(row(shop, "shop-007")["n"], 5, "counters add up")
    print("ok both at once")


def refused_deltas(shop, reader):
    """Who lacks the base of a delta asks for the whole state."""
    session, name = reader.session, (b"orders", b"\x68shop-010")
    del reader.store.docs[name]
    shop.query("UPDATE orders SET status = 'lost' WHERE _id = 'shop-010'")
    shop.query("UPDATE orders SET status = 'after' WHERE _id = 'shop-011'")
    wait_equal(shop, reader, "NEEDS of the reader")
    need_equal(session.live.counts["held"], 1, "held cuts")

    # And tako asks: this delta claims a base that nobody has.
    write(reader, "shop-012", lambda w: w.set(["a"], 1))
    session.live.dirty.clear()
    session.live.note_sent((b"orders", b"\x68shop-012"))
    write(reader, "shop-012", lambda w: w.set(["b"], 2))
    wait_equal(shop, reader, "NEEDS of tako")
    need_equal(session.live.counts["needs"], 1, "documents tako asked for")
    print("ok refused deltas")


def by_fields(shop, reader):
    """A long document, of which each writes another field: no sum over the
    whole agrees, and both ask for what differs. Nobody asks for all of it; but
    what tako makes of a merge goes back whole, where the reader's answer comes
    before its own has left."""
    live, name = reader.session.live, (b"orders", b"\x64long")
    write(reader, "long", insert({"text": "x" * 9000, "a": 1, "b": 2,
                                  "c": {"d": 3, "e": 4}}))
    wait_equal(shop, reader, "a long document")
    before = dict(live.counts)
    write(reader, "long", lambda w: w.set(["b"], 5))
    write(reader, "long", lambda w: w.unset(["c", "d"]))
    shop.query("UPDATE orders SET a = 6 WHERE _id = 'long'")
    live.has[name] = live.has[name][0], None  # so that it sends a sum
    wait_equal(shop, reader, "asked for by fields")
    need_equal(row(shop, "long"), {"text": "x" * 9000, "a": 6, "b": 5,
                                   "c": {"e": 4}}, "both writes")
    need(live.counts["questions"] > 0, "the reader asks by fields")
    need(live.counts["answers"] > 0, "tako asks by fields")
    need_equal(live.counts["answers"], live.counts["needs"] - before["needs"],
               "tako asks for nothing whole")
    need_equal(live.counts["wholes"], before["wholes"],
               "the reader asks for nothing whole")
    need(live.counts["states"] - before["states"] <= 1,
         "no state came but that of a merge")
    print("ok by fields")


def seeds(shop, reader):
    """The same seed at both is one change; a newer one shows."""
    shop.query("INSERT INTO orders INITIAL DOCUMENTS "
               "({'_id': 'menu', 'name': 'Taco', 'size': {'cm': 12}})")
    reader.store.seed("orders", "menu", 0, {"name": "Taco",
                                            "size": {"cm": 12}})
    wait_equal(shop, reader, "one seed at both")
    actors = reader.store.docs[b"orders", b"\x64menu"].context
    need_equal(len(actors), 1, "one change, and no conflict")
    reader.store.seed("orders", "menu", 2, {"name": "Maki"})
    wait_equal(shop, reader, "a newer seed of the reader")
    need_equal(row(shop, "menu"), {"name": "Maki", "size": {"cm": 12}},
               "the newer one shows")
    print("ok seeds")


def types_to_come(shop, reader):
    """A value of a type that tako does not know is kept, and not shown."""
    name = b"orders", b"\x68shop-050"
    write(reader, "shop-050", lambda w: w.set(["later"], "x", 9))
    wait_equal(shop, reader, "a type to come")
    need("later" not in row(shop, "shop-050"), "it does not show")
    shop.query("UPDATE orders SET status = 'b' WHERE _id = 'shop-050'")
    wait_equal(shop, reader, "a change beside it")
    kept = reader.store.docs[name].root.children[b"later"].values
    need_equal([kind for kind, _ in kept.values()], [9], "it is still there")
    print("ok types to come")


def large_ones(world, shop, reader):
    """Messages of many frames, and cuts of many messages."""
    write(reader, "large", insert({"text": "x" * 100000}))
    shop.query("UPDATE orders SET more = :more WHERE _id = 'shop-013'",
               more="y" * 100000)
    wait_equal(shop, reader, "large documents")
    before = reader.session.kinds_in.count(10)
    shop.query("UPDATE orders SET more = :more WHERE till IS NOT MISSING",
               more="z" * 6000)
    wait_equal(shop, reader, "a transaction of more than 1 MiB")
    need(reader.session.kinds_in.count(10) > before + 1, "a cut in pieces")
    shop.query("UPDATE orders UNSET more")
    wait_equal(shop, reader, "and small again")
    print("ok large ones")


def many_at_random(world, shop, reader):
    """Both write the same few documents, at once, over and over."""
    rng = world.random
    fields = ["a", "b", "o.x", "o.y"]
    for _ in range(6):
        for _ in range(5):
            path = rng.choice(fields)
            statement = rng.choice([
                f"SET {path} = {rng.randrange(9)}", f"UNSET {path}",
                f"APPLY n INCREMENT BY {rng.randrange(9)}",
                "SET o = {'x': 1, 'z': {'w': [2]}}", "UNSET o"])
            shop.query(f"UPDATE orders {statement} "
                       f"WHERE _id = 'shop-03{rng.randrange(3)}'")
            path = rng.choice(fields).split(".")
            change = rng.choice([
                lambda w, p=path: w.set(p, rng.randrange(9)),
                lambda w, p=path: w.unset(p),
                lambda w: w.increment(["n"], -rng.randrange(9)),
                lambda w: w.set(["o"], {"y": 2}), lambda w: w.unset(["o"])])
            write(reader, f"shop-03{rng.randrange(3)}", change)
        wait_equal(shop, reader, "at random")
    print("ok many at random")


def lost_track(shop, reader):
    """RESYNC: tako asks anew, under another number."""
    catchup = reader.session.catchup
    old = set(catchup.interests)
    for number in old:
        reader.session.send(13, varint(number))
    reader.until(lambda: catchup.interests and not old & set(
        catchup.interests), 10, "asked anew")
    write(reader, "after-resync", insert({"a": 1}))
    meet(shop, reader, "asked anew")
    print("ok lost track")


def rolled_back(shop, reader):
    """Who lost events that another one knows takes a new actor."""
    actor = shop.status()["actor"]
    reader.leave()
    reader.store.claims = 1  # of tako: as if it had lost this many
    reader.join(shop.address)
    reader.until(lambda: 16 in reader.session.kinds_in, 10, "RENEWED")
    reader.store.claims = 0
    meet(shop, reader, "tako has a new actor")
    need(shop.status()["actor"] != actor, "a new actor")

    saved, actor = reader.store.save(), reader.store.actor
    write(reader, "reader-001", lambda w: w.set(["lost"], 1))
    wait_equal(shop, reader, "before the loss")
    reader.leave()
    reader.store.restore(saved)
    reader.join(shop.address)
    reader.until(lambda: reader.session.cleared, 10, "KNOWN")
    write(reader, "reader-001", lambda w: w.set(["found"], 2))
    meet(shop, reader, "the reader has a new actor")
    need(reader.store.actor != actor, "a new actor")
    need_equal((row(shop, "reader-001")["lost"],
                row(shop, "reader-001")["found"]), (1, 2), "nothing is lost")
    print("ok rolled back")


def apart(world, shop, reader):
    """Changes on both sides of a broken link, found by lists."""
    reader.leave()
    shop.query("UPDATE orders SET away = 'shop' WHERE till = 'till2'")
    shop.query("DELETE FROM orders WHERE _id = 'shop-020'")
    for i in range(20, 60):
        write(reader, f"reader-{i:03d}",
              lambda w: w.set(["away"], "reader"))
    write(reader, "reader-070", lambda w: w.delete())
    write(reader, "alone", insert({"only": "here"}))
    reader.join(shop.address)
    meet(shop, reader, "after a while apart")
    got = reader.session.kinds_in
    need(5 in got and 6 in got, "catching up was by lists")
    need_equal(row(shop, "reader-070"), None, "deleted at the reader")
    print("ok apart")
    reader.leave()
    reader.join(shop.address)
    meet(shop, reader, "in sync already")
    need(not {5, 6, 7, 20, 22} & set(reader.session.kinds_in),
         "nothing to tell")
    print("ok in sync already")
    reader.leave()


def change_apart(shop, reader, turn):
    """What differs: changes of one side, of both, deletes, new ones."""
    shop.query(f"UPDATE orders SET turn = {turn} "
               "WHERE _id >= 'more-250' AND _id < 'more-262'")
    shop.query(f"DELETE FROM orders WHERE _id = 'more-{turn:03d}'")
    shop.query(f"INSERT INTO orders DOCUMENTS ({{'_id': 'shop-new-{turn}'}})")
    for i in range(10 * turn, 10 * turn + 10):
        write(reader, f"more-{100 + i:03d}", lambda w: w.set(["away"], turn))
    write(reader, f"more-{50 + turn:03d}", lambda w: w.delete())
    write(reader, f"reader-new-{turn}", insert({"only": "here"}))
    write(reader, "more-251", lambda w: w.set(["turn"], "both"))


FIRST, LAST = bytes(16), b"\xff" * 16  # sum keys: who leads


def by_symbols(world, shop, reader):
    """Each may lead, with or without a sketch, and answer in either way."""
    shop.import_docs("orders", (order(f"more-{i:03d}", world.random)
                                for i in range(300)))
    reader.join(shop.address)
    meet(shop, reader, "more documents")
    reader.leave()
    turn, counts = 0, collections.Counter()
    for sum_key in (FIRST, LAST):
        for sketched in (True, False):
            for prefers in ("symbols", "lists"):
                turn += 1
                change_apart(shop, reader, turn)
                reader.sum_key, reader.sketched = sum_key, sketched
                reader.prefers = prefers
                reader.join(shop.address)
                meet(shop, reader, f"turn {turn} of symbols")
                counts += reader.session.catchup.counts
                reader.leave()
    # What only one has is pushed; nothing is left to ask for.
    shop.query("INSERT INTO orders DOCUMENTS ({'_id': 'shop-alone'})")
    write(reader, "reader-alone", insert({"only": "here"}))
    reader.sum_key, reader.sketched, reader.prefers = FIRST, True, "symbols"
    reader.join(shop.address)
    meet(shop, reader, "pushed documents")
    counts += reader.session.catchup.counts
    reader.leave()
    for what in ("decoded", "joined", "replies", "deltas", "more", "pushed",
                 "offers"):
        need(counts[what] > 0, what)
    need(counts["deltas"] < 400, "what both had seen is sent again")
    reader.sketched = True
    print("ok by symbols")


def lists_after_all(shop, reader):
    """Symbols that are no use, by a leader who joined the questions: the list
    follows, and the other question is answered too."""
    change_apart(shop, reader, 9)
    reader.sum_key, reader.prefers = FIRST, "symbols"
    reader.join(shop.address)
    catchup = reader.session.catchup
    honest = catchup.send_symbols

    def useless(w, count, sketch):
        w.question.flags &= ~catchups.SKETCHED  # so ours goes with them
        honest(w, 1, [10000] * 64)

    catchup.send_symbols = useless
    meet(shop, reader, "lists after symbols")
    need({6, 23} <= set(reader.session.kinds_in), "MORE, and then a LIST")
    need_equal(catchup.counts["replies"], 0, "replies")
    reader.leave()
    reader.sum_key, reader.prefers = None, "lists"
    print("ok lists after all")


def dialled_by_tako(world, reader):
    """tako dials, the reader accepts."""
    class Address:
        address = reader.listen()

    till = world.device("till")
    till.query("INSERT INTO orders DOCUMENTS ({'_id': 'till-1', 'n': 1})")
    till.start(Address)
    reader.accept()
    meet(till, reader, "dialled by tako")
    need(till.count() > 190, "documents arrived")
    reader.leave()
    till.stop()
    till.check()
    print("ok dialled by tako")


def passes_on(world, shop, reader):
    """tako, the reader, tako in a line: changes go through, both ways."""
    cart = world.device("cart").start()
    behind = Peer("behind", pathlib.Path(world.secret).read_bytes(),
                  [SUBSCRIPTION])
    behind.store = reader.store
    reader.join(shop.address)
    behind.join(cart.address)

    def all_equal():
        behind.turn()
        return same_hash(shop, reader) and same_hash(cart, reader)

    reader.until(all_equal, 15, "three are equal")
    for device, other in ((shop, cart), (cart, shop)):
        device.query("UPDATE orders SET via = :name, o.x = :name "
                     "WHERE _id = 'shop-040'", name=device.name)
        device.query("UPDATE orders APPLY n INCREMENT BY 1 "
                     "WHERE _id = 'shop-040'")
        reader.until(all_equal, 10, f"passed on from {device.name}")
        need_equal(row(other, "shop-040")["via"], device.name, "at the end")
    need_equal(row(cart, "shop-040")["n"], 2, "counters add up")
    behind.leave()
    reader.leave()
    cart.stop()
    cart.check()
    print("ok passes on")


if __name__ == "__main__":
    with World(seconds=150) as world:
        shop = world.device("shop")
        reader = Peer("reader", pathlib.Path(world.secret).read_bytes(),
                      [SUBSCRIPTION])
        first_download(world, shop, reader)
        what_tako_writes(shop, reader)
        what_the_reader_writes(shop, reader)
        both_at_once(shop, reader)
        refused_deltas(shop, reader)
        by_fields(shop, reader)
        seeds(shop, reader)
        types_to_come(shop, reader)
        large_ones(world, shop, reader)
        many_at_random(world, shop, reader)
        lost_track(shop, reader)
        rolled_back(shop, reader)
        apart(world, shop, reader)
        reader.store.versions.clear()
        need(same_hash(shop, reader), "versions, all worked out again")
        by_symbols(world, shop, reader)
        lists_after_all(shop, reader)
        dialled_by_tako(world, reader)
        passes_on(world, shop, reader)
        shop.stop()
        shop.check()
