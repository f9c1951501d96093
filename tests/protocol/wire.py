# SPDX-License-Identifier: Apache-2.0
"""Numbers, blocks, ids and hashes (docs/protocol.md, section 1)."""

MASK = (1 << 64) - 1


class Malformed(Exception):
    """Bytes that the document does not allow."""


def check(condition, what):
    if not condition:
        raise Malformed(what)


def varint(value):
    check(0 <= value <= MASK, "a number beyond 64 bits")
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7f | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def block(data):
    return varint(len(data)) + data


def u64(value):
    return value.to_bytes(8, "big")


def zigzag(value):
    return 2 * value if value >= 0 else -2 * value - 1


def unzigzag(code):
    return -(code >> 1) - 1 if code & 1 else code >> 1


def utf8(data):
    try:
        return data.decode()
    except UnicodeDecodeError:
        raise Malformed("text that is not UTF-8") from None


class Reader:
    """A cursor over bytes; every read raises Malformed at the end."""

    def __init__(self, data):
        self.data = bytes(data)
        self.pos = 0

    def left(self):
        return len(self.data) - self.pos

    def take(self, n):
        check(n <= self.left(), "cut off")
        self.pos += n
        return self.data[self.pos - n:self.pos]

    def rest(self):
        return self.take(self.left())

    def u8(self):
        return self.take(1)[0]

    def u64(self):
        return int.from_bytes(self.take(8), "big")

    def varint(self):
        value = 0
        for shift in range(0, 64, 7):
            byte = self.u8()
            check(byte or not shift, "a varint that is not the shortest")
            check(shift < 63 or byte <= 1, "a varint beyond 64 bits")
            value |= (byte & 0x7f) << shift
            if byte < 0x80:
                return value
        raise Malformed("a varint without an end")

    def block(self):
        return self.take(self.varint())

    def end(self):
        check(not self.left(), "bytes after the end")


# ---- SipHash-2-4 (Aumasson, Bernstein 2012) ---------------------------------


def _rotate(x, n):
    return (x << n | x >> (64 - n)) & MASK


def _rounds(v, n):
    a, b, c, d = v
    for _ in range(n):
        a = (a + b) & MASK
        b = _rotate(b, 13) ^ a
        a = _rotate(a, 32)
        c = (c + d) & MASK
        d = _rotate(d, 16) ^ c
        a = (a + d) & MASK
        d = _rotate(d, 21) ^ a
        c = (c + b) & MASK
        b = _rotate(b, 17) ^ c
        c = _rotate(c, 32)
    return a, b, c, d


def siphash(key, data):
    k0 = int.from_bytes(key[:8], "little")
    k1 = int.from_bytes(key[8:], "little")
    v = (k0 ^ 0x736f6d6570736575, k1 ^ 0x646f72616e646f6d,
         k0 ^ 0x6c7967656e657261, k1 ^ 0x7465646279746573)
    whole = len(data) // 8 * 8
    words = [data[i:i + 8] for i in range(0, whole, 8)]
    words.append(data[whole:].ljust(7, b"\0") + bytes([len(data) & 0xff]))
    for word in words:
        m = int.from_bytes(word, "little")
        v = v[0], v[1], v[2], v[3] ^ m
        v = _rounds(v, 2)
        v = v[0] ^ m, v[1], v[2], v[3]
    v = _rounds((v[0], v[1], v[2] ^ 0xff, v[3]), 4)
    return v[0] ^ v[1] ^ v[2] ^ v[3]


# ---- ids --------------------------------------------------------------------

LETTERS = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"


def ulid_text(packed):
    value = int.from_bytes(packed, "big")
    return "".join(LETTERS[value >> 5 * i & 31] for i in range(25, -1, -1))


def ulid_bytes(text):
    """The 16 bytes of a canonical ULID text; None for any other text."""
    if len(text) != 26 or text[0] > "7" or any(c not in LETTERS for c in text):
        return None
    value = 0
    for c in text:
        value = value * 32 + LETTERS.index(c)
    return value.to_bytes(16, "big")


def put_id(cbor):
    if len(cbor) == 28 and cbor[:2] == b"\x78\x1a":
        packed = ulid_bytes(cbor[2:].decode("latin-1"))
        if packed is not None:
            return b"\0" + packed
    return block(cbor)


def get_id(r):
    size = r.varint()
    check(size <= 1024, "an _id that is too long")
    if size:
        return r.take(size)
    return b"\x78\x1a" + ulid_text(r.take(16)).encode()
