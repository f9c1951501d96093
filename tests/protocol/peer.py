# SPDX-License-Identifier: Apache-2.0
"""A device of this second reader: a store, a key, and links to tako."""
import os
import socket
import time

import link
from session import Session
from store import Store


class Peer:
    def __init__(self, name, secret, subscriptions):
        self.name = name
        self.mesh = link.Mesh(secret)
        self.key = link.Key(os.urandom(32))
        self.store = Store()
        self.subscriptions = [s.encode() for s in subscriptions]
        self.link = self.session = self.listener = None
        self.sum_key = None  # one of its own for each session
        self.prefers, self.sketched = "lists", True

    # -- links

    def connect(self, address):
        """tcp://HOST:PORT; the stream alone."""
        host, port = address.removeprefix("tcp://").rsplit(":", 1)
        sock = socket.create_connection((host, int(port)), 10)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return sock

    def new_link(self, sock, side, **options):
        return link.Link(sock, side, self.key, self.mesh, self.name, **options)

    def join(self, address):
        self.begin(self.new_link(self.connect(address), link.DIALLER).open())

    def listen(self):
        """The address to dial."""
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.listener.settimeout(15)
        return "tcp://127.0.0.1:%d" % self.listener.getsockname()[1]

    def accept(self):
        sock, _ = self.listener.accept()
        self.begin(self.new_link(sock, link.ACCEPTER).open())

    def begin(self, opened):
        self.link = opened
        self.session = Session(self.store, self.mesh.id, opened.send,
                               self.subscriptions, self.sum_key)
        self.session.catchup.prefers = self.prefers
        self.session.catchup.sketched = self.sketched
        self.session.start()

    def leave(self):
        self.session.end()
        self.link.close(0, "done")

    # -- turns

    def turn(self, seconds=0.05):
        """Sends what changed, takes what came within so many seconds."""
        self.session.live.send_cut()
        got = self.link.receive(seconds)
        while got is not None:
            self.session.take(*got)
            got = self.link.receive(0)
        self.session.live.send_cut()

    def until(self, condition, seconds, what):
        end = time.monotonic() + seconds
        while not condition():
            if time.monotonic() > end:
                raise AssertionError(f"not within {seconds} s: {what}")
            self.turn()
