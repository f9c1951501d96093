#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A device dies in the middle of a system call, at a thousand different ones.

The victim runs under strace, which kills it at the n-th pwrite64, fsync,
rename, sendto ... of a thread. It starts, syncs with a second device that is
never killed, and carries out a script: transactions of one and of several
statements, inserts and deletes, an index made and dropped, backup, compact,
and the orderly end. The second device writes meanwhile. After each death a
plain start must show

  - every acknowledged transaction, whole; of the one that was in flight all
    or nothing;
  - a sound database (`check`), and both devices equal a moment later.

So each death is also a death during the recovery from the one before. --points
N of them; the long form has 1000. Then the same with system calls that fail:
EIO and ENOSPC, once and for good: each statement is refused or holds, and no
commit is acknowledged while a sync fails."""
import collections
import os
import shutil
import signal
import subprocess
import threading
import time

from session import Gone, Refused, Session
from tako_e2e import Failed, World, need, need_equal, wait_until

POINTS = 60
STEPS = 22          # of the victim's script
PAIRS = 12          # documents that are written together
RING = 25           # documents that come and go
END_SECONDS = 120
FULL = ("--durability", "full")

# What changes files, what opens and maps them, and what talks.
FILE_CALLS = ("pwrite64", "write", "fsync", "fdatasync", "rename", "unlink",
              "ftruncate", "openat", "mmap", "pread64", "fcntl", "flock",
              "close", "newfstatat", "fallocate", "fchown", "fchmod")
NET_CALLS = ("sendto", "writev", "sendmsg", "recvfrom", "read", "recvmsg",
             "connect", "accept4", "socket", "bind", "listen", "epoll_ctl",
             "epoll_wait", "epoll_pwait", "futex", "clone3", "getrandom")
CALLS = FILE_CALLS + NET_CALLS


def strace(*expressions, output="/dev/null"):
    args = ["strace", "-D", "-f", "-qq", "-o", output]
    for expression in expressions:
        args += ["-e", expression]
    return args


MAY_COME_BACK = ("TAKO_IO", "TAKO_FULL")


class Writer:
    """One caller, one transaction at a time, and what must be true of them.

    Documents are this writer's alone: `acked` is what is there for sure,
    `pending` the changes of the transaction whose outcome nobody heard;
    `may_come_back` those since of which a sync failed: refused, and not there,
    but in the log until something is written over them, so the next start may
    find one of them, whole (include/tako/tako.h)."""

    def __init__(self, device, prefix, rng):
        self.device = device
        self.prefix = prefix
        self.rng = rng
        self.number = 0
        self.acked = {}
        self.pending = {}
        self.may_come_back = []
        self.transactions = 0
        self.refused = collections.Counter()

    def pair(self, i):
        return [f"{self.prefix}-{i}-a", f"{self.prefix}-{i}-b"]

    def prepare(self):
        with Session(self.device) as session:
            docs = [{"_id": identity, "step": 0, "pad": "x" * 300}
                    for i in range(PAIRS) for identity in self.pair(i)]
            session.execute("INSERT INTO orders DOCUMENTS (:d)", d=docs)
        self.acked = {doc["_id"]: 0 for doc in docs}

    # -- transactions: each a list of statements, and what they change

    def one_statement(self):
        a, b = self.pair(self.rng.randrange(PAIRS))
        return [f"UPDATE orders SET step = {self.number} "
                f"WHERE _id IN ('{a}', '{b}')"], {
                    a: self.number, b: self.number}

    def several_statements(self):
        changes = {}
        statements = ["BEGIN"]
        for i in self.rng.sample(range(PAIRS), 2):
            for identity in self.pair(i):
                statements.append(f"UPDATE orders SET step = {self.number} "
                                  f"WHERE _id = '{identity}'")
                changes[identity] = self.number
        return statements + ["COMMIT"], changes

    def come_and_go(self):
        new, old = (f"{self.prefix}-r{n:07d}"
                    for n in (self.number, self.number - RING))
        changes = {new: self.number}
        statements = ["BEGIN",
                      f"INSERT INTO orders DOCUMENTS ({{'_id': '{new}', "
                      f"'step': {self.number}, 'pad': '{'y' * 3000}'}})"]
        oldest = [i for i in self.acked if "-r" in i and i <= old]
        for identity in oldest:
            statements.append(f"DELETE FROM orders WHERE _id = '{identity}'")
            changes[identity] = None
        return statements + ["COMMIT"], changes

    def transact(self, session):
        """Raises Gone when nobody answers any more; `pending` then tells
        what may have been done."""
        self.number += 1
        statements, changes = self.rng.choice(
            [self.one_statement, self.several_statements,
             self.come_and_go])()
        try:
            for statement in statements:
                if statement in (statements[-1], "COMMIT"):
                    self.pending = changes
                session.execute(statement)
        except Refused as refusal:
            self.refused[refusal.code] += 1
            if self.pending and refusal.code in MAY_COME_BACK:
                self.may_come_back.append(self.pending)
            self.pending = {}
            if len(statements) > 1:
                try:
                    session.execute("ROLLBACK")
                except Refused:
                    pass
            return False
        self.settle()
        self.transactions += 1
        return True

    def after(self, changes):
        """What is acknowledged, and these."""
        state = dict(self.acked)
        for identity, step in changes.items():
            if step is None:
                state.pop(identity, None)
            else:
                state[identity] = step
        return state

    def settle(self):
        self.acked = self.after(self.pending)
        self.pending = {}
        self.may_come_back = []

    def check(self, rows, after_death=False):
        """rows: _id -> step, at the writer's own device."""
        have = {i: s for i, s in rows.items()
                if i.startswith(self.prefix + "-")}
        states = [self.acked, self.after(self.pending)]
        if after_death:
            states += [self.after(c) for c in self.may_come_back]
            self.may_come_back = []
        self.pending = {}
        if have in states:
            self.acked = have
            return
        differing = {i: (have.get(i), self.acked.get(i))
                     for i in have.keys() | self.acked.keys()
                     if have.get(i) != self.acked.get(i)}
        raise Failed(f"{self.device.name}: documents (there, acknowledged): "
                     f"{differing}")


def care(writer, session, step):
    """What is no transaction: every now and then, and never in the way."""
    device = writer.device
    try:
        if step == 6:
            session.execute("CREATE INDEX IF NOT EXISTS by_step "
                            "ON orders (step)")
        elif step == 10:
            copy = f"{device.db}.copy"
            if os.path.exists(copy):
                os.unlink(copy)
            session.ask(op="backup", to=copy)
        elif step == 14:
            session.ask(op="compact")
        elif step == 18:
            session.execute("DROP INDEX IF EXISTS by_step ON orders")
    except Refused as refusal:
        writer.refused[refusal.code] += 1


def script(writer, steps):
    """Until it is done, or the device is gone; waits for it to come up."""
    end = time.monotonic() + END_SECONDS
    while writer.device.process.poll() is None and time.monotonic() < end:
        try:
            with Session(writer.device) as session:
                for step in range(steps):
                    care(writer, session, step)
                    writer.transact(session)
            return
        except Gone:
            if writer.pending:
                return
            time.sleep(0.01)


def steps_of(session):
    return {row["_id"]: row["step"] for row in
            session.rows("SELECT _id, step FROM orders")}


class Points:
    def __init__(self, world):
        self.world = world
        self.victim = world.device("victim")
        self.peer = world.device("peer")
        rng = type(world.random)
        self.writer = Writer(self.victim, "v", rng(world.random.random()))
        self.other = Writer(self.peer, "p", rng(world.random.random()))
        self.slowest = 0.0

    def prepare(self):
        self.peer.start(extra=FULL)
        self.other.prepare()
        self.victim.start(self.peer, extra=FULL)
        self.writer.prepare()
        self.victim.stop()

    # -- one run under strace

    def run(self, *expressions, output="/dev/null"):
        """The script with both writers; the victim's exit status."""
        self.victim.under = strace(*expressions, output=output)
        stop = threading.Event()

        def other():
            with Session(self.peer) as session:
                while not stop.is_set():
                    self.other.transact(session)
                    time.sleep(0.02)

        thread = threading.Thread(target=other, daemon=True)
        thread.start()
        try:
            try:
                self.victim.start(self.peer, extra=FULL)
            except Failed:
                if self.victim.process.wait(END_SECONDS) >= 0:
                    return self.victim.process.returncode
            script(self.writer, STEPS)
            process = self.victim.process
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
            try:
                return process.wait(END_SECONDS)
            except subprocess.TimeoutExpired:
                raise Failed("the victim hangs") from None
        finally:
            self.victim.under = ()
            stop.set()
            thread.join(END_SECONDS)
            need(not thread.is_alive(), "the second device hangs")

    def recover(self):
        """A plain start, all that must hold, and an orderly end."""
        start = time.monotonic()
        self.victim.start(self.peer, extra=FULL)
        self.slowest = max(self.slowest, time.monotonic() - start)
        with Session(self.victim) as mine, Session(self.peer) as theirs:
            self.writer.check(steps_of(mine), after_death=True)
            self.other.check(steps_of(theirs))
            mine.ask(op="check")
            wait_until(lambda: mine.hash() == theirs.hash(), 30,
                       "equal after a death")
            need_equal(steps_of(mine), steps_of(theirs), "documents")
        self.victim.stop()

    # -- which calls

    def count(self):
        """How often each call is made by the thread that makes it most."""
        log = self.world.folder / "calls"
        need_equal(self.run("trace=" + ",".join(CALLS), output=str(log)), 0,
                   "the run that counts")
        calls = collections.Counter()
        for line in log.read_text(errors="replace").splitlines():
            thread, _, rest = line.partition(" ")
            name = rest.strip().partition("(")[0]
            if name in CALLS:
                calls[name, thread] += 1
        most = {}
        for (name, _), n in calls.items():
            most[name] = max(most.get(name, 0), n)
        return most

    def points(self, number):
        """(call, n), every one before any again; those of files first, as
        there are most promises about them."""
        most = self.count()
        self.recover()
        print("calls: " + ", ".join(f"{n} {name}" for name, n in
                                    sorted(most.items())), flush=True)
        every = [(name, n) for name in CALLS
                 for n in range(1, most.get(name, 0) + 1)]
        chosen = []
        while len(chosen) < number:
            self.world.random.shuffle(every)
            chosen += every[:number - len(chosen)]
        return chosen

    def kill(self, call, n):
        status = self.run(f"trace={call}",
                          f"inject={call}:signal=KILL:when={n}")
        need(status in (0, -signal.SIGKILL),
             f"{call} {n}: the victim ended with {status}, whose log ends "
             + self.victim.log_tail())
        try:
            self.recover()
        except Failed as failure:
            raise Failed(f"killed at {call} {n}: {failure}") from None
        return status != 0

    # -- calls that fail

    def fail(self, calls, error, when):
        """The calls fail: nothing but refusals; then SIGKILL, and all that
        was acknowledged is there."""
        what = f"{error} of {calls}, {when}"
        status = self.run(f"trace={calls}",
                          f"inject={calls}:error={error}:when={when}")
        # 127: the dynamic linker found no library.
        need(status in (0, 1, 127), f"{what}: the victim ended with {status}, "
             "whose log ends " + self.victim.log_tail())
        try:
            self.recover()
        except Failed as failure:
            raise Failed(f"{what}: {failure}") from None

    def fail_while_running(self, calls, error, code):
        """From a moment on every such call fails: no writing statement is
        acknowledged, reads are answered; when it is over all goes on."""
        what = f"{error} of every {calls}"
        self.victim.start(self.peer, extra=FULL)
        with Session(self.victim) as session:
            self.writer.transact(session)
            tracer = subprocess.Popen(
                ["strace", "-f", "-qq", "-o", "/dev/null", "-p",
                 str(self.victim.process.pid), "-e", f"trace={calls}", "-e",
                 f"inject={calls}:error={error}"], stderr=subprocess.DEVNULL)
            self.world.processes.append(tracer)
            wait_until(lambda: not self.writer.transact(session), 10,
                       f"{what}: a statement is refused")
            for _ in range(10):
                need(not self.writer.transact(session),
                     f"{what}: acknowledged a transaction")
                self.writer.check(steps_of(session))
            need(code in self.writer.refused,
                 f"{what}: refused with {self.writer.refused}")
            tracer.terminate()
            tracer.wait(END_SECONDS)
            need(self.victim.process.poll() is None, f"{what}: it ended")
            wait_until(lambda: self.writer.transact(session), 10,
                       f"{what}: statements hold again")
        self.victim.kill()
        try:
            self.recover()
        except Failed as failure:
            raise Failed(f"{what}: {failure}") from None


def kills(points, number):
    died = 0
    start = time.monotonic()
    for i, (call, n) in enumerate(points.points(number)):
        died += points.kill(call, n)
        if (i + 1) % 50 == 0:
            print(f"{i + 1} points, {died} deaths, "
                  f"{time.monotonic() - start:.0f} s", flush=True)
    print(f"{number} points, {died} deaths; "
          f"{points.writer.transactions} + {points.other.transactions} "
          f"transactions acknowledged; the slowest start "
          f"{points.slowest:.2f} s")
    need(died * 2 > number, "too few points were reached")


def failures(points, number):
    for calls, error, code in [("fsync,fdatasync", "EIO", "TAKO_IO"),
                               ("pwrite64", "ENOSPC", "TAKO_FULL"),
                               ("pwrite64", "EIO", "TAKO_IO")]:
        points.fail_while_running(calls, error, code)
    many = [(calls, error, f"{n}{more}")
            for calls in ("fdatasync", "fsync", "pwrite64", "rename",
                          "unlink", "ftruncate", "openat")
            for error in ("EIO", "ENOSPC")
            for n in (1, 2, 3, 5, 8, 13, 21, 34) for more in ("", "+")]
    points.world.random.shuffle(many)
    for calls, error, when in many[:number]:
        points.fail(calls, error, when)
    print(f"{min(number, len(many)) + 3} failing calls; refused: "
          f"{dict(points.writer.refused)}")


def main():
    if shutil.which("strace") is None:
        print("skipped: there is no strace")
        return
    option = ("--points", {"type": int, "default": POINTS})
    with World(seconds=7200, options=[option]) as world:
        number = world.options.points
        print(f"seed {world.seed}, {number} points", flush=True)
        points = Points(world)
        points.prepare()
        kills(points, number)
        failures(points, max(4, number // 6))
        points.peer.stop()
        points.peer.check()


if __name__ == "__main__":
    main()
