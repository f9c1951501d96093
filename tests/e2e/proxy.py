# SPDX-License-Identifier: Apache-2.0
"""A link that a test can cut: a TCP proxy between two devices."""
import socket
import struct
import threading
import time

RESET = struct.pack("ii", 1, 0)  # SO_LINGER: the end is a reset


class Proxy:
    """Listens at `address` and passes everything on to where it is `to`."""

    def __init__(self):
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.address = "tcp://127.0.0.1:%d" % self.listener.getsockname()[1]
        self.to = None
        self.delay = 0.0
        self.silent = False
        self.refusing = False
        self.lock = threading.Lock()
        self.pairs = []
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                near, _ = self.listener.accept()
            except OSError:
                return
            try:
                if self.refusing or self.to is None:
                    raise OSError
                host, _, port = self.to.rpartition("/")[2].rpartition(":")
                far = socket.create_connection((host, int(port)), timeout=5)
            except OSError:
                self._reset(near)
                continue
            far.settimeout(None)
            with self.lock:
                self.pairs.append((near, far))
            for a, b in ((near, far), (far, near)):
                threading.Thread(target=self._pump, args=(a, b),
                                 daemon=True).start()

    def _pump(self, source, sink):
        try:
            while data := source.recv(65536):
                if self.delay > 0:
                    time.sleep(self.delay)
                while self.silent:
                    time.sleep(0.005)
                sink.sendall(data)
        except OSError:
            pass
        for end in (source, sink):
            try:
                end.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    @staticmethod
    def _reset(end):
        try:
            end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
            end.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        end.close()

    def reset(self):
        """Every connection ends now, with what is in flight."""
        with self.lock:
            pairs, self.pairs = self.pairs, []
        for pair in pairs:
            for end in pair:
                self._reset(end)

    def cut(self):
        """... and there is no new one until mend()."""
        self.refusing = True
        self.reset()

    def hush(self):
        """Nothing comes through until mend(); nobody is told."""
        self.silent = True

    def mend(self):
        self.refusing = self.silent = False
        self.delay = 0.0

    def close(self):
        self.cut()
        self.listener.close()
