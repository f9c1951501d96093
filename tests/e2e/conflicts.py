#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""`tako conflicts`: what merging could not keep, seen, watched, settled."""
import json
import subprocess
import sys

import tako_e2e
from tako_e2e import World, need, need_equal, wait_until


def write_apart(world, name):
    """Documents 1 and 2 on two devices, which then write without each other;
    `there` wants nothing any more, so that all is noted `here`."""
    here = world.device(name + "-here")
    there = world.device(name + "-there")
    here.import_docs("orders", [{"_id": 1, "v": 0}, {"_id": 2, "v": 0}])
    here.start()
    there.start(here)
    wait_until(lambda: there.count() == 2, 20, "both have the documents")
    here.stop()
    there.stop()
    here.query("UPDATE orders SET v = 1 WHERE _id = 1")
    here.query("DELETE FROM orders WHERE _id = 2")
    there.query("UPDATE orders SET v = 2 WHERE _id = 1")
    there.query("UPDATE orders SET v = 5 WHERE _id = 2")
    there.subscribe = ()
    return here, there


def case_conflicts_are_watched_and_settled(world):
    here, there = write_apart(world, "watched")
    here.start()
    watch = subprocess.Popen(
        [world.tako, "conflicts", here.db, "--watch"],
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)
    world.processes.append(watch)
    need(json.loads(watch.stdout.readline())["reset"], "first all there is")
    there.start(here)
    shown = {}
    while len(shown) < 2:
        for item in json.loads(watch.stdout.readline())["inserted"]:
            shown[item["row"]["kind"]] = item["row"]
    need_equal((shown["sibling"]["shown"],
                shown["sibling"]["losers"][0]["value"]), (2, 1), "siblings")
    need_equal((shown["update"]["id"], shown["update"]["path"],
                shown["update"]["losers"][0]["value"]), (2, ["v"], 5),
               "the update that a removal took")

    lines = world.call("conflicts", here.db, "--json").stdout.splitlines()
    need_equal(sorted(json.loads(x)["kind"] for x in lines),
               ["sibling", "update"], "as JSON")
    text = world.call("conflicts", here.db).stdout
    need("sibling" in text and "lost/1" in text and "[5]" in text, text)

    here.query("UPDATE orders SET v = 3 WHERE _id = 1")
    need_equal([item["row"]["kind"] for item in
                json.loads(watch.stdout.readline())["removed"]], ["sibling"],
               "settled by writing")
    got = world.call("conflicts", here.db, "--dismiss", "lost/1").stdout
    need_equal(json.loads(got)["mutated"], ["lost/1"], "dismissed")
    need_equal([item["row"]["_id"] for item in
                json.loads(watch.stdout.readline())["removed"]], ["lost/1"],
               "told")
    need_equal(world.call("conflicts", here.db).stdout, "no conflicts\n",
               "none is left")
    watch.kill()
    here.stop()
    there.stop()


def case_conflicts_of_a_database_at_rest(world):
    here, there = write_apart(world, "rest")
    here.start()
    there.start(here)
    wait_until(lambda: len(world.call("conflicts", here.db, "--json")
                           .stdout.splitlines()) == 2, 20, "merged")
    here.stop()
    there.stop()
    need_equal(len(world.call("conflicts", here.db, "--json").stdout
                   .splitlines()), 2, "kept")
    world.call("conflicts", here.db, "--dismiss", "all")
    got = world.call("conflicts", here.db, "--json").stdout.splitlines()
    need_equal([json.loads(x)["kind"] for x in got], ["sibling"],
               "what stands in documents stays")
    got = world.call("conflicts", here.db, "--dismiss",
                     json.loads(got[0])["_id"], status=1)
    need("when the field is written" in got.stderr, got.stderr)
    world.call("conflicts", "nothing.db", status=1)


def case_who_may_not_write_is_refused(world):
    till, screen = world.device("denied-till"), world.device("denied-screen")
    till.import_docs("orders", [{"_id": 1, "v": 0}, {"_id": 2, "v": 0}])
    till.start()
    screen.start(till, extra=("--read-only",))
    wait_until(lambda: screen.count() == 2, 20, "the screen reads")
    screen.query("UPDATE orders SET v = 7 WHERE _id = 1")
    screen.query("DELETE FROM orders WHERE _id = 2")
    screen.query("INSERT INTO orders DOCUMENTS ({'_id': 3, 'v': 3})")
    wait_until(lambda: screen.status()["quarantine"] == 3, 20, "refused")
    wait_until(lambda: screen.hash() == till.hash(), 20, "as the till has it")
    need_equal(till.query("SELECT _id, v FROM orders ORDER BY _id"),
               [{"_id": 1, "v": 0}, {"_id": 2, "v": 0}], "nothing was taken")
    need_equal(till.status()["quarantine"], 0, "at the till nothing is")
    got = screen.query("SELECT id, content.v AS v, why FROM system:quarantine "
                       "ORDER BY id")
    need_equal([(x["id"], x.get("v")) for x in got], [(1, 7), (2, None),
                                                      (3, 3)], "kept aside")
    need(all(x["why"].startswith("denied") for x in got), got)

    # when it may write, the app does it again
    screen.stop()
    screen.start(till)
    screen.query("INSERT INTO orders SELECT doc.* FROM system:quarantine AS q "
                 "UNNEST [q.content] AS doc WHERE q.collection = 'orders' "
                 "AND q.content IS NOT MISSING ON ID CONFLICT DO UPDATE")
    wait_until(lambda: till.count() == 3, 20, "written again")
    wait_until(lambda: screen.hash() == till.hash(), 20, "the same")
    need_equal(till.query("SELECT v FROM orders WHERE _id = 1"), [{"v": 7}],
               "the change")
    screen.stop()
    till.stop()
    screen.check()
    till.check()


if __name__ == "__main__":
    with World(seconds=110) as the_world:
        tako_e2e.run_cases(sys.modules[__name__], the_world)
