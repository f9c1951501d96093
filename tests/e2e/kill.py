#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Two devices write and sync; one of them is killed at a random moment, again
and again. No write that was acknowledged is ever lost, no file is ever
damaged, and in the end both are equal.

A writer per device sends INSERTs and UPDATEs through the control socket, and
notes what was answered. --rounds N kills; the long form has 200."""
import json
import socket
import threading
import time

from tako_e2e import Failed, World, need, need_equal, order, wait_until

ROUNDS = 20


class Writer(threading.Thread):
    """Writes to one device until told to stop; survives its death."""

    def __init__(self, device, rng):
        super().__init__(daemon=True)
        self.device = device
        self.rng = rng
        self.number = 0
        self.acknowledged = {}  # _id -> the last acknowledged "step"
        self.doubtful = {}      # _id -> steps sent and never answered
        self.stopping = threading.Event()
        self.error = None

    def run(self):
        while not self.stopping.is_set():
            try:
                self.talk()
            except (OSError, EOFError):
                time.sleep(0.02)
            except Failed as error:
                self.error = error
                return

    def talk(self):
        with socket.socket(socket.AF_UNIX) as s:
            s.settimeout(30)
            s.connect(self.device.db + ".sock")
            with s.makefile("rb") as answers:
                while not self.stopping.is_set():
                    self.write_one(s, answers)

    def write_one(self, s, answers):
        self.number += 1
        step = self.number
        if self.acknowledged and self.rng.random() < 0.4:
            identity = self.rng.choice(list(self.acknowledged))
            request = {"op": "execute", "params": {"id": identity, "n": step},
                       "statement": "UPDATE orders SET step = :n "
                                    "WHERE _id = :id"}
        else:
            identity = f"{self.device.name}-{step:07d}"
            doc = order(identity, self.rng)
            doc["step"] = step
            request = {"op": "execute", "params": {"d": doc},
                       "statement": "INSERT INTO orders DOCUMENTS (:d)"}
        self.doubtful.setdefault(identity, set()).add(step)
        s.sendall(json.dumps(request).encode() + b"\n")
        line = answers.readline()
        if not line.endswith(b"\n"):
            raise EOFError
        answer = json.loads(line)
        if "done" not in answer:
            if answer["error"]["code"] in ("TAKO_CLOSED", "TAKO_BUSY"):
                raise EOFError
            raise Failed(f"{self.device.name}: {answer}")
        self.acknowledged[identity] = step
        self.doubtful[identity].clear()


def check_writes(device, writers):
    rows = {row["_id"]: row["step"] for row in
            device.query("SELECT _id, step FROM orders")}
    for writer in writers:
        for identity, step in writer.acknowledged.items():
            need(identity in rows, f"{identity} is lost at {device.name}")
            need(rows[identity] == step
                 or rows[identity] in writer.doubtful[identity],
                 f"{identity} at {device.name}: step {rows[identity]}, "
                 f"acknowledged {step}")


def main():
    with World(seconds=1500) as world:
        rounds = world.options.rounds or ROUNDS
        print(f"seed {world.seed}, {rounds} rounds", flush=True)
        left, right = world.device("left"), world.device("right")
        left.start()
        right.start(left)
        writers = [Writer(device, type(world.random)(world.random.random()))
                   for device in (left, right)]
        for writer in writers:
            writer.start()
        for turn in range(rounds):
            time.sleep(world.random.uniform(0.05, 0.6))
            victim = world.random.choice([left, right])
            victim.kill()
            if turn % 5 == 0:
                victim.check()
            time.sleep(world.random.uniform(0, 0.2))
            victim.start(*([left] if victim is right else []))
            for writer in writers:
                if writer.error is not None:
                    raise writer.error
        for writer in writers:
            writer.stopping.set()
        for writer in writers:
            writer.join(40)
            need(not writer.is_alive(), "a writer hangs")
            if writer.error is not None:
                raise writer.error
        took = wait_until(lambda: left.hash() == right.hash(), 60,
                          "equal after the last kill")
        for device in (left, right):
            check_writes(device, writers)
            device.stop()
            device.check()
            check_writes(device, writers)
        need_equal(left.hash(), right.hash(), "closed hashes")
        print(f"{sum(len(w.acknowledged) for w in writers)} documents in "
              f"{sum(w.number for w in writers)} writes, equal after "
              f"{took:.2f} s")


if __name__ == "__main__":
    main()
