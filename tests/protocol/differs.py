# SPDX-License-Identifier: Apache-2.0
"""What the runners of test vectors share."""


class Differs(Exception):
    pass


def same(got, want, what):
    if got != want:
        if isinstance(got, bytes):
            got, want = got.hex(), want.hex()
        raise Differs(f"{what}:\n  here {got}\n  want {want}")


def raw(text):
    return bytes.fromhex(text)
