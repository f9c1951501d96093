# SPDX-License-Identifier: Apache-2.0
"""Deterministic CBOR (docs/protocol.md, section 1)."""
import struct

from wire import Malformed, Reader, check, utf8


def head(major, n):
    if n < 24:
        return bytes([major << 5 | n])
    for info, size in ((24, 1), (25, 2), (26, 4), (27, 8)):
        if n < 1 << 8 * size:
            return bytes([major << 5 | info]) + n.to_bytes(size, "big")
    raise Malformed("a number beyond 64 bits")


def put_float(value):
    for byte, form in ((0xf9, ">e"), (0xfa, ">f")):
        try:
            packed = struct.pack(form, value)
        except OverflowError:
            continue
        if struct.unpack(form, packed)[0] == value:
            return bytes([byte]) + packed
    return b"\xfb" + struct.pack(">d", value)


def key_order(key):
    return len(key), key


def encode(value):
    """Python to CBOR: None, bool, int, float, bytes, str, list, dict."""
    if value is None:
        return b"\xf6"
    if value is False or value is True:
        return b"\xf5" if value else b"\xf4"
    if isinstance(value, int):
        return head(0, value) if value >= 0 else head(1, -1 - value)
    if isinstance(value, float):
        return put_float(value)
    if isinstance(value, bytes):
        return head(2, len(value)) + value
    if isinstance(value, str):
        return head(3, len(value.encode())) + value.encode()
    if isinstance(value, list):
        return head(4, len(value)) + b"".join(map(encode, value))
    keys = sorted((k.encode() for k in value), key=key_order)
    return head(5, len(keys)) + b"".join(
        encode(k.decode()) + encode(value[k.decode()]) for k in keys)


def read_head(r):
    """(major type, argument) of the item at the cursor."""
    byte = r.u8()
    info = byte & 31
    check(info < 28, "an indefinite or reserved length")
    n = info
    if info >= 24:
        n = int.from_bytes(r.take(1 << info - 24), "big")
        check(byte >> 5 == 7 or head(byte >> 5, n)[0] == byte,
              "a length that is not the shortest")
    return byte >> 5, n


def _read_other(r, start):
    byte = r.data[start]
    if byte in (0xf4, 0xf5):
        return byte == 0xf5
    if byte == 0xf6:
        return None
    check(byte in (0xf9, 0xfa, 0xfb), "undefined, or a simple value")
    form = {0xf9: ">e", 0xfa: ">f", 0xfb: ">d"}[byte]
    value = struct.unpack(form, r.data[start + 1:r.pos])[0]
    check(value == value and abs(value) != float("inf"), "not finite")
    check(put_float(value) == r.data[start:r.pos], "not the shortest float")
    return value


def _read_map(r, count, depth):
    out = {}
    before = None
    for _ in range(count):
        check(r.left() and r.data[r.pos] >> 5 == 3, "a key that is not text")
        key = read(r, depth)
        order = key_order(key.encode())
        check(before is None or before < order, "keys out of order")
        before = order
        out[key] = read(r, depth)
    return out


def read(r, depth=64):
    """One value at the cursor of r."""
    start = r.pos
    major, n = read_head(r)
    if major == 7:
        return _read_other(r, start)
    if major < 2:
        check(n < 1 << 63, "an integer beyond 64 bits with sign")
        return -1 - n if major else n
    if major == 2:
        return r.take(n)
    if major == 3:
        return utf8(r.take(n))
    check(major < 6, "a tag")
    check(depth > 0, "too deep")
    if major == 4:
        return [read(r, depth - 1) for _ in range(min(n, r.left() + 1))]
    return _read_map(r, min(n, r.left() + 1), depth - 1)


def read_bytes(r, depth=64):
    """The bytes of one value at the cursor, checked."""
    start = r.pos
    read(r, depth)
    return r.data[start:r.pos]


def decode(data, depth=64):
    r = Reader(data)
    value = read(r, depth)
    r.end()
    return value


def number_bytes(r):
    """The bytes of one number at the cursor, checked."""
    start = r.pos
    value = read(r, 0)
    check(isinstance(value, (int, float)) and not isinstance(value, bool),
          "not a number")
    return r.data[start:r.pos]


def is_map(data):
    return data[0] >> 5 == 5


def pairs(r):
    """Reads the head of a map, and returns how many pairs follow."""
    major, n = read_head(r)
    check(major == 5, "not a map")
    return n
