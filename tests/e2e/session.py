# SPDX-License-Identifier: Apache-2.0
"""A caller's session with a running database, through its control socket."""
import json
import socket


class Refused(Exception):
    """The database answered with an error."""

    def __init__(self, code, text):
        super().__init__(f"{code}: {text}")
        self.code = code


class Gone(Exception):
    """The process died, or its socket is not there (yet)."""


class Session:
    """Requests in order, answers in order; a transaction is the session's."""

    def __init__(self, device, seconds=30):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(seconds)
        try:
            self.socket.connect(device.db + ".sock")
        except OSError as error:
            self.socket.close()
            raise Gone(str(error)) from None
        self.file = self.socket.makefile("rb")

    def ask(self, **request):
        """(rows, what was done); Refused, or Gone."""
        rows = []
        try:
            self.socket.sendall(json.dumps(request).encode() + b"\n")
            while True:
                line = self.file.readline()
                if not line.endswith(b"\n"):
                    raise Gone("no answer")
                answer = json.loads(line)
                if "row" in answer:
                    rows.append(answer["row"])
                elif "done" in answer:
                    return rows, answer["done"]
                elif "error" in answer:
                    raise Refused(answer["error"]["code"],
                                  answer["error"]["text"])
        except OSError as error:
            raise Gone(str(error)) from None

    def execute(self, statement, **params):
        return self.ask(op="execute", statement=statement, params=params)

    def rows(self, statement, **params):
        return self.execute(statement, **params)[0]

    def hash(self):
        return self.ask(op="hash")[1]["hash"]

    def close(self):
        self.file.close()
        self.socket.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
