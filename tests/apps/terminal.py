#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The shell on a terminal: prompts, tables, several lines, history, ^D."""
import os
import pathlib
import pty
import select
import sys
import termios
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "e2e"))

import tako_e2e  # noqa: E402
from tako_e2e import Failed, World, need, need_equal  # noqa: E402


class Terminal:
    """A program on a pseudo terminal."""

    def __init__(self, world, *args):
        self.seen = ""
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            os.chdir(world.folder)
            os.environ.update(HOME=str(world.folder), TERM="vt100",
                              LC_ALL="C.UTF-8")
            os.execv(world.tako, [world.tako, *args])

    def type(self, text, seconds=10):
        """Types keys once the line editor reads them.

        It has the terminal in its plain mode between two lines, also for a
        moment after it has printed its prompt; a ^D typed then would be eaten
        by the terminal."""
        end = time.monotonic() + seconds
        while termios.tcgetattr(self.fd)[3] & termios.ICANON:
            if time.monotonic() > end:
                self.kill()
                raise Failed(f"the shell does not read: {self.seen!r}")
            time.sleep(0.002)
        os.write(self.fd, text.encode())

    def expect(self, text, seconds=10):
        """Waits for text beyond what was met so far."""
        end = time.monotonic() + seconds
        while text not in self.seen:
            ready, _, _ = select.select([self.fd], [], [], 0.1)
            if ready:
                try:
                    self.seen += os.read(self.fd, 65536).decode(
                        errors="replace")
                except OSError:
                    break
            if time.monotonic() > end:
                break
        if text not in self.seen:
            self.kill()
            raise Failed(f"{text!r} is not in {self.seen!r}")
        self.seen = self.seen[self.seen.index(text) + len(text):]

    def end(self, last, seconds=10):
        """Types the last words and returns the exit status. The output is read
        to its end, because a program may wait for that."""
        end = time.monotonic() + seconds
        self.type(last)
        try:
            while time.monotonic() < end:
                if (select.select([self.fd], [], [], 0.1)[0]
                        and not os.read(self.fd, 65536)):
                    break
        except OSError:
            pass  # the other side is closed
        pid, status = 0, 0
        while pid == 0 and time.monotonic() < end:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            time.sleep(0.01)
        if pid == 0:
            self.kill()
            raise Failed("the shell does not end")
        os.close(self.fd)
        return os.waitstatus_to_exitcode(status)

    def kill(self):
        os.kill(self.pid, 9)
        os.waitpid(self.pid, 0)
        os.close(self.fd)


def case_a_session(world):
    shell = Terminal(world, "shell", "t.db")
    shell.expect("tako> ")
    shell.type("INSERT INTO c DOCUMENTS\n")
    shell.expect("...> ")
    shell.type("({'_id':1,'name':'Inés'});\n")
    shell.expect('"mutated":[1]')
    shell.expect("tako> ")
    shell.type("SELECT * FROM c;\n")
    shell.expect("_id  name")
    shell.expect("1    Inés")
    shell.expect('{"rows":1}')
    shell.type(".mode json\nSELECT * FROM c;\n")
    shell.expect('{"_id":1,"name":"Inés"}')
    shell.type("SELEKT;\n")
    shell.expect("line 1 column 1")
    shell.expect("^")
    shell.expect("tako> ")
    shell.type("BEGIN;\n")
    shell.expect("tako*> ")
    shell.type("DELETE FROM c;\n")
    shell.expect('"mutated":[1]')
    shell.type("ROLLBACK;\n")
    shell.expect("tako> ")
    need_equal(shell.end("\x04"), 0, "exit status after ^D")
    need_equal(world.call("query", "t.db", "SELECT count(*) AS n FROM c")
               .stdout, '{"n":1}\n', "after the rollback")


def case_history(world):
    history = world.folder / ".tako_history"
    need("SELECT" in history.read_text(), "the history was kept")
    shell = Terminal(world, "shell", "t.db")
    shell.expect("tako> ")
    shell.type("\x10\x10\x10\x10\x10\x10\n")  # ^P: back to .mode json
    shell.expect("tako> ")
    need_equal(shell.end(".quit\n"), 0, "exit status after .quit")


def case_an_interrupted_statement(world):
    """^C stops the statement; the shell goes on."""
    device = world.device("interrupted", sync=False)
    device.import_docs("c", [{"_id": i, "n": i} for i in range(500)])
    terminal = Terminal(world, "shell", device.db)
    terminal.expect("tako> ")
    for _ in range(2):
        terminal.type("SELECT count(*) AS n FROM c a JOIN c b JOIN c d JOIN c "
                      "e WHERE a.n + b.n + d.n + e.n = -1;\n")
        time.sleep(0.7)
        os.write(terminal.fd, b"\x03")
        terminal.expect("was canceled")
        terminal.expect("tako> ")
    terminal.type("EXPLAIN SELECT * FROM c;\n")
    terminal.expect("\u2514\u2500 Scan c")
    terminal.expect("tako> ")
    need_equal(terminal.end("\x04"), 0, "exit status after ^D")


if __name__ == "__main__":
    with World(seconds=60) as the_world:
        tako_e2e.run_cases(sys.modules[__name__], the_world)
