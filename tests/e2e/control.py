#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A running database and its callers: many at once, bad ones, long ones."""
import json
import signal
import socket
import subprocess
import sys
import threading
import time

import tako_e2e
from tako_e2e import World, need, need_equal


class Caller:
    """The control socket, by hand."""

    def __init__(self, device):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(40)
        self.socket.connect(device.db + ".sock")
        self.file = self.socket.makefile("rb")

    def ask(self, **request):
        self.socket.sendall(json.dumps(request).encode() + b"\n")
        answers = []
        while True:
            line = self.file.readline()
            if not line:
                return answers
            answers.append(json.loads(line))
            if "done" in answers[-1] or "error" in answers[-1]:
                return answers

    def execute(self, statement):
        return self.ask(op="execute", statement=statement)

    def close(self):
        self.file.close()
        self.socket.close()


def case_the_same_as_without(world):
    """Each sub-command, on a running database, as on a closed one."""
    device = world.device("same", sync=False).start()
    device.import_docs("orders", [{"_id": i, "n": i} for i in range(3000)])
    open_hash = device.hash()
    need_equal(device.count(), 3000, "documents")
    rows = world.call("export", device.db, "orders").stdout.splitlines()
    need_equal(len(rows), 3000, "exported")
    need("yes" in world.call("status", device.db).stdout, "status")
    need_equal(world.call("check", device.db).stdout, "ok\n", "check")
    world.call("backup", device.db, "same.backup")
    world.call("compact", device.db)
    got = world.call("query", device.db, "SELECT * FRM x", status=1)
    need("^" in got.stderr, got.stderr)
    closed = got.stderr
    got = world.call("import", device.db, "orders", status=1,
                     stdin='{"_id":-1}\n{"_id":1}\n')
    need("line 2" in got.stderr, got.stderr)
    world.call("shell", device.db,
               stdin="BEGIN; DELETE FROM orders; ROLLBACK;")
    need_equal(device.count(), 3000, "after a rollback")
    device.stop()
    need_equal(device.hash(), open_hash, "hash when closed")
    got = world.call("query", device.db, "SELECT * FRM x", status=1)
    need_equal(got.stderr, closed, "the same message")
    world.call("restore", "same.backup", "same2.db")
    need_equal(world.call("hash", "same2.db").stdout.strip(), open_hash,
               "hash of the backup")


def case_wait(world):
    """`tako wait`: for a peer by name, for any, in vain, and without sync."""
    till = world.device("wtill").start()
    kitchen = world.device("wkitchen").start(till)
    commit = till.query("INSERT INTO orders DOCUMENTS ({'_id':1})")["commit"]
    world.call("wait", till.db, "--commit", str(commit), "--peer", "wkitchen",
               "--timeout", "20")
    need_equal(kitchen.count(), 1, "documents at the one that was waited for")
    world.call("wait", till.db, "--commit", str(commit), "--timeout", "0")
    start = time.monotonic()
    got = world.call("wait", till.db, "--commit", str(commit), "--peer",
                     "nobody", "--timeout", "1", status=1)
    need(1 <= time.monotonic() - start < 4, "waits as long as it was told")
    need("nobody" in got.stderr and str(commit) in got.stderr, got.stderr)
    world.call("wait", till.db, "--commit", str(commit + 1), "--timeout", "0",
               status=1)
    kitchen.stop()
    till.stop()
    got = world.call("wait", till.db, "--commit", "1", status=1)
    need("no `tako run`" in got.stderr, got.stderr)
    till.sync = False
    till.start()
    got = world.call("wait", till.db, "--commit", "1", status=1)
    need("not running" in got.stderr, got.stderr)
    till.stop()


def case_many_callers(world):
    """100 processes at once, writing and reading: each is answered."""
    device = world.device("many", sync=False).start()
    processes = []
    for i in range(100):
        statement = ("SELECT count(*) AS n FROM orders" if i % 4 == 0 else
                     f"INSERT INTO orders DOCUMENTS ({{'_id':{i}}})")
        processes.append(subprocess.Popen(
            [world.tako, "query", device.db, statement],
            stdout=subprocess.DEVNULL, stderr=subprocess.PIPE))
    for process in processes:
        _, err = process.communicate(timeout=60)
        need_equal(process.returncode, 0, str(err))
    need_equal(device.count(), 75, "documents")
    device.stop()


def case_more_connections_than_places(world):
    """Those beyond the limit wait; when one leaves, the next is served."""
    device = world.device("full", sync=False).start()
    callers = [Caller(device) for _ in range(80)]
    need("done" in callers[0].ask(op="status")[-1], "the first")
    for caller in callers[:30]:
        caller.close()
    need("done" in callers[79].ask(op="status")[-1], "the last")
    for caller in callers[30:]:
        caller.close()
    need_equal(device.count(), 0, "after all have left")
    device.stop()


def case_bad_requests(world):
    device = world.device("bad", sync=False).start()
    caller = Caller(device)
    for request in (b"\n", b"{}\n", b"[]\n", b"7\n", b"nonsense\n",
                    b'{"op":"fly"}\n', b'{"op":"execute"}\n',
                    b'{"op":"execute","statement":""}\n',
                    b'{"op":"execute","statement":"a\\u0000b"}\n',
                    b'{"op":"execute","statement":7}\n',
                    b'{"op":"import","collection":"c"}\n',
                    b'{"op":"import","docs":[{}]}\n',
                    b'{"op":"backup"}\n', b'{"op":"peer_add"}\n',
                    b'{"op":"peer_add","address":"carrier pigeon"}\n',
                    b'{"a":' * 2000 + b"\n", b"\xff\xfe\n"):
        caller.socket.sendall(request)
        line = caller.file.readline()
        need(line.startswith(b'{"error":'), f"{request[:60]!r}: {line!r}")
    need("done" in caller.ask(op="status")[-1], "still there")
    caller.close()
    device.stop()


def case_a_caller_that_leaves(world):
    """Half a request, half a result, half a transaction: nothing stays."""
    device = world.device("leave", sync=False).start()
    device.import_docs("orders", [{"_id": i, "t": "x" * 500}
                                  for i in range(20000)])
    caller = Caller(device)
    caller.socket.sendall(b'{"op":"exec')
    caller.close()
    for _ in range(5):
        caller = Caller(device)
        caller.socket.sendall(
            b'{"op":"execute","statement":"SELECT * FROM orders"}\n')
        caller.file.readline()
        caller.close()
    caller = Caller(device)
    caller.execute("BEGIN")
    caller.execute("DELETE FROM orders")
    caller.close()
    device.query("INSERT INTO orders DOCUMENTS ({'_id':'after'})")
    need_equal(device.count(), 20001, "a transaction without commit")
    took = device.stop()
    need(took < 3, f"{took:.1f} s to stop")


def case_transactions_are_apart(world):
    device = world.device("tx", sync=False).start()
    one, two = Caller(device), Caller(device)
    one.execute("BEGIN")
    one.execute("INSERT INTO orders DOCUMENTS ({'_id':1})")
    count = "SELECT count(*) AS n FROM orders"
    need_equal(two.execute(count)[0], {"row": {"n": 0}}, "not yet seen")
    need_equal(one.execute(count)[0], {"row": {"n": 1}}, "seen inside")
    need("error" in one.execute("BEGIN")[-1], "one at a time")
    one.execute("COMMIT")
    need_equal(two.execute(count)[0], {"row": {"n": 1}}, "committed")
    need("error" in two.execute("COMMIT")[-1], "nothing to commit")
    one.close()
    two.close()
    device.stop()


def case_stopping_with_callers(world):
    """SIGTERM with idle callers, an open transaction, a waiting one."""
    device = world.device("stop").start()
    callers = [Caller(device) for _ in range(10)]
    callers[0].execute("BEGIN")
    callers[0].execute("INSERT INTO orders DOCUMENTS ({'_id':1})")
    waiting = threading.Thread(
        target=lambda: callers[1].ask(op="wait", commit=10 ** 9,
                                      timeout_ms=30000))
    waiting.start()
    time.sleep(0.3)
    took = device.stop()
    need(took < 3, f"{took:.1f} s to stop")
    waiting.join(10)
    need(not waiting.is_alive(), "the waiting caller was told")
    for caller in callers:
        caller.close()
    need_equal(device.count(), 0, "the open transaction is gone")
    device.check()


ENDLESS = ("SELECT count(*) AS n FROM c a JOIN c b JOIN c d JOIN c e "
           "WHERE a.n + b.n + d.n + e.n = -1")


class Endless:
    """A `tako query` that would take hours."""

    def __init__(self, world, db):
        self.process = subprocess.Popen(
            [world.tako, "query", db, ENDLESS], stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            cwd=world.folder)
        world.processes.append(self.process)

    def ended(self, text, seconds=10):
        out, err = self.process.communicate(timeout=seconds)
        need_equal(self.process.returncode, 1, "exit status, " + err)
        need_equal(out, "", "no rows")
        need(text in err, err)


def running(device):
    """The number of the statement that runs, other than this look itself."""
    found = []

    def look():
        found[:] = device.query(
            "SELECT _id FROM system:requests WHERE state = 'running' AND "
            "statement LIKE '%JOIN%' AND statement NOT LIKE '%system%'")
        return found
    tako_e2e.wait_until(look, 10, "a running statement")
    return found[0]["_id"]


def case_cancel(world):
    """By number, by ctrl-C in its own process, and at the end of all."""
    device = world.device("cancel", sync=False).start()
    device.import_docs("c", [{"_id": i, "n": i} for i in range(500)])
    one = Endless(world, device.db)
    number = running(device)
    world.call("cancel", device.db, str(number))
    one.ended("canceled")
    got = world.call("cancel", device.db, str(number), status=1)
    need("no request" in got.stderr, got.stderr)
    world.call("cancel", device.db, "x", status=2)
    rows = device.query("SELECT state, error FROM system:requests WHERE _id = "
                        ":id", id=number)
    need_equal(rows, [{"state": "failed", "error": "TAKO_CANCELED"}], "after")

    two = Endless(world, device.db)
    running(device)
    two.process.send_signal(signal.SIGINT)
    two.ended("canceled")
    need_equal(device.count("c"), 500, "the process goes on")

    three = Endless(world, device.db)
    running(device)
    took = device.stop()
    need(took < 5, f"{took:.1f} s to stop")
    three.ended("")

    alone = Endless(world, device.db)
    time.sleep(0.5)
    alone.process.send_signal(signal.SIGINT)
    alone.ended("canceled")
    got = world.call("cancel", device.db, "1", status=1)
    need("no `tako run`" in got.stderr, got.stderr)


def case_time_limit(world):
    """Set on one connection, it holds for all, and after a restart."""
    device = world.device("limit", sync=False).start()
    device.import_docs("c", [{"_id": i, "n": i} for i in range(500)])
    caller = Caller(device)
    caller.execute("BEGIN")
    caller.execute("UPDATE c SET x = 1 WHERE _id = 1")
    caller.execute("COMMIT")
    device.query("ALTER SYSTEM SET statement_timeout_ms = 200")
    answer = caller.execute(ENDLESS)[-1]
    need_equal(answer["error"]["code"], "TAKO_TIMEOUT", "of an open caller")
    Endless(world, device.db).ended("statement_timeout_ms, 200 ms")
    caller.execute("BEGIN")
    caller.execute("UPDATE c SET x = 2 WHERE _id = 1")
    answer = caller.execute(f"UPDATE c SET x = ({ENDLESS})")[-1]
    need_equal(answer["error"]["code"], "TAKO_TIMEOUT", "in a transaction")
    need("done" in caller.execute("COMMIT")[-1], "which goes on")
    need_equal(device.query("SELECT _id, x FROM c WHERE x IS NOT MISSING"),
               [{"_id": 1, "x": 2}], "all that was written")
    caller.close()
    device.stop()
    Endless(world, device.db).ended("statement_timeout_ms, 200 ms")
    device.query("RESET ALL")
    need_equal(device.query("SHOW statement_timeout_ms")[0]["value"], 0,
               "after a reset")


if __name__ == "__main__":
    with World(seconds=170) as the_world:
        tako_e2e.run_cases(sys.modules[__name__], the_world)
