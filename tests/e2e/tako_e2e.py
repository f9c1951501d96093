# SPDX-License-Identifier: Apache-2.0
"""What the end-to-end tests share: real processes of the program `tako`.

Every script gets the program with --tako PATH (or TAKO_BIN), works in a
temporary folder, is bounded in time by World(seconds), and leaves no process
behind, whichever way it ends. Ports are always 0: the system picks them.
"""
import argparse
import json
import os
import pathlib
import queue
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time

CALL_SECONDS = 60
READY_SECONDS = 20


class Failed(Exception):
    """A demand of a test was not met."""


def need(condition, what):
    if not condition:
        raise Failed(what)


def need_equal(got, want, what):
    if got != want:
        raise Failed(f"{what}: got {got!r}, want {want!r}")


def wait_until(condition, seconds, what):
    """Polls until condition() is true; returns the seconds it took."""
    start = time.monotonic()
    pause = 0.01
    while not condition():
        if time.monotonic() - start > seconds:
            raise Failed(f"not within {seconds} s: {what}")
        time.sleep(pause)
        pause = min(pause * 1.5, 0.25)
    return time.monotonic() - start


class Device:
    """One database file, and the `tako run` that holds it when started."""

    def __init__(self, world, name, subscribe=("orders",), sync=True):
        self.world = world
        self.name = name
        self.db = str(world.folder / f"{name}.db")
        self.subscribe = subscribe
        self.sync = sync
        self.process = None
        self.listen = "tcp://127.0.0.1:0"
        self.address = None
        self.under = ()  # a program that runs the program, as strace

    def start(self, *peers, extra=()):
        """Starts `tako run`; a later start listens at the same address."""
        args = [*self.under, self.world.tako, "run", self.db, "--name",
                self.name, "--log-level", "warn", *extra]
        if self.sync:
            args += ["--secret-file", self.world.secret,
                     "--listen", self.listen]
            for collection in self.subscribe:
                args += ["--subscribe", f"SELECT * FROM {collection}"]
        for peer in peers:
            args += ["--peer", peer.address]
        log = open(self.world.folder / f"{self.name}.log", "ab")
        self.process = subprocess.Popen(
            args, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=log, text=True, cwd=self.world.folder)
        log.close()
        self.world.processes.append(self.process)
        lines = queue.Queue()
        threading.Thread(target=self._read, args=(self.process, lines),
                         daemon=True).start()
        while True:
            try:
                line = lines.get(timeout=READY_SECONDS)
            except queue.Empty:
                raise Failed(f"{self.name} is not ready") from None
            if line is None:
                raise Failed(f"{self.name} ended while starting: "
                             + self.log_tail())
            if line.startswith("listening "):
                self.address = line.split()[1]
                self.listen = self.address
            if line == "ready":
                return self

    @staticmethod
    def _read(process, lines):
        for line in process.stdout:
            lines.put(line.strip())
        lines.put(None)

    def log_tail(self):
        path = self.world.folder / f"{self.name}.log"
        return path.read_text(errors="replace")[-2000:]

    def stop(self, seconds=10):
        """SIGTERM; the exit status must be 0. Returns the seconds it took."""
        start = time.monotonic()
        self.process.send_signal(signal.SIGTERM)
        try:
            status = self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            raise Failed(f"{self.name} does not stop") from None
        need_equal(status, 0, f"exit status of {self.name}, whose log ends "
                   + self.log_tail())
        self.process = None
        return time.monotonic() - start

    def kill(self):
        self.process.kill()
        self.process.wait()
        self.process = None

    def query(self, statement, **args):
        """The rows of a SELECT, or what a mutation says."""
        out = self.world.call("query", self.db, statement, "--args", "-",
                              stdin=json.dumps(args)).stdout
        rows = [json.loads(line) for line in out.splitlines()]
        if rows and "mutated" in rows[0]:
            return rows[0]
        return rows

    def import_docs(self, collection, docs, *options):
        text = "".join(json.dumps(d) + "\n" for d in docs)
        return self.world.call("import", self.db, collection, *options,
                               stdin=text)

    def hash(self, *collection):
        return self.world.call("hash", self.db, *collection).stdout.strip()

    def count(self, collection="orders"):
        return self.query(f"SELECT count(*) AS n FROM {collection}")[0]["n"]

    def status(self):
        return json.loads(self.world.call("status", self.db, "--json").stdout)

    def check(self):
        self.world.call("check", self.db)


class World:
    """A folder, the program, and every process that was started."""

    def __init__(self, seconds, options=()):
        """options: (flag, keywords for argparse) of this script alone."""
        parser = argparse.ArgumentParser()
        parser.add_argument("--tako", default=os.environ.get("TAKO_BIN"))
        parser.add_argument("--seed", type=int, default=None)
        parser.add_argument("--rounds", type=int, default=None)
        parser.add_argument("--documents", type=int, default=None)
        parser.add_argument("--keep", action="store_true",
                            help="keep the folder")
        for flag, keywords in options:
            parser.add_argument(flag, **keywords)
        self.options = parser.parse_args()
        if not self.options.tako:
            sys.exit("which program? --tako PATH")
        self.tako = str(pathlib.Path(self.options.tako).resolve())
        self.seconds = seconds
        self.processes = []
        self.folder = None
        self.secret = None
        seed = self.options.seed
        self.seed = seed if seed is not None else random.randrange(2 ** 32)
        self.random = random.Random(self.seed)

    def call(self, *args, stdin="", status=0, seconds=CALL_SECONDS,
             binary=False):
        """Runs a sub-command and demands its exit status (None: any)."""
        process = subprocess.run(
            [self.tako, *args], timeout=seconds, cwd=self.folder,
            capture_output=True, text=not binary,
            input=stdin)
        if status is not None and process.returncode != status:
            raise Failed(f"tako {' '.join(args)[:300]}: exit status "
                         f"{process.returncode}, not {status}; standard "
                         f"error: {process.stderr[-2000:]!r}")
        return process

    def device(self, name, **options):
        return Device(self, name, **options)

    def __enter__(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="tako-e2e-"))
        self.secret = str(self.folder / "mesh.secret")
        pathlib.Path(self.secret).write_text("5" * 64 + "\n")
        os.chmod(self.secret, 0o600)
        signal.signal(signal.SIGALRM, self._late)
        signal.signal(signal.SIGTERM, self._late)
        signal.alarm(self.seconds)
        return self

    def _late(self, number, _frame):
        raise Failed(f"not within {self.seconds} s"
                     if number == signal.SIGALRM else "interrupted")

    def __exit__(self, kind, error, trace):
        signal.alarm(0)
        for process in self.processes:
            if process.poll() is None:
                process.kill()
            process.wait()
        if kind is not None:
            for log in sorted(self.folder.glob("*.log")):
                print(f"--- {log.name}\n"
                      + log.read_text(errors="replace")[-1500:])
        if self.options.keep:
            print(f"kept: {self.folder}")
        else:
            shutil.rmtree(self.folder, ignore_errors=True)
        if kind is not None and issubclass(kind, Failed):
            print(f"FAILED: {error}\nseed {self.seed}")
            sys.exit(1)
        return False


def run_cases(module, world):
    """Runs every function case_* of a module, in order of appearance."""
    for name, case in list(vars(module).items()):
        if name.startswith("case_"):
            start = time.monotonic()
            case(world)
            print(f"ok {name[5:]} ({time.monotonic() - start:.1f} s)")


def order(identity, rng):
    """A document of a restaurant's usual size, some 400 bytes."""
    return {
        "_id": identity,
        "till": rng.choice(["till1", "till2", "till3"]),
        "table": rng.randrange(1, 40),
        "guest": rng.choice(["Ana", "Hiro", "Inés", "Óscar", "Sakura"]),
        "items": [{"item": rng.choice(["al-pastor", "mochi", "tako-nigiri"]),
                   "count": rng.randrange(1, 4),
                   "price": rng.randrange(200, 800) / 100,
                   "note": rng.choice(["", "no onion", "extra lime"])}
                  for _ in range(3)],
        "total": rng.randrange(1000, 9000) / 100,
        "placed": 1700000000000 + rng.randrange(10 ** 9),
        "status": "open",
    }
