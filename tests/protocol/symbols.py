# SPDX-License-Identifier: Apache-2.0
"""Sets compared by sketches and symbols (docs/protocol.md, 3.1 and 3.5). An
item here is (key, item, when, hash of the key)."""
import math

from wire import MASK, check, siphash, u64, unzigzag, varint, zigzag

SYMBOLS_MAX = 131072
SERIES = 4096  # that we make
SKETCH = 64
STEP = 0x9e3779b97f4a7c15
FACTOR = 0xd6e8feb86659fd93


def little(value):
    return value.to_bytes(8, "little")


def when(top):
    """Of the greatest hlc of a context."""
    return top >> 16 & (1 << 40) - 1


def hash_of(mesh_id, key):
    return siphash(mesh_id, little(key))


def hashed(mesh_id, items):
    return [(key, item, at, hash_of(mesh_id, key)) for key, item, at in items]


def times(a, b):
    """In the field of 2^64 elements, of x^64 + x^4 + x^3 + x + 1."""
    product = 0
    while b:
        if b & 1:
            product ^= a
        a = a << 1 ^ (0x1b if a >> 63 else 0)
        a &= MASK
        b >>= 1
    return product


def inverse(a):
    result = 1
    for _ in range(63):  # to the power of 2^64 - 2
        a = times(a, a)
        result = times(result, a)
    return result


def xor_of(numbers):
    total = 0
    for number in numbers:
        total ^= number
    return total


def mix(x):
    z = x + STEP & MASK
    for _ in range(2):
        z = (z ^ z >> 32) * FACTOR & MASK
    return z ^ z >> 32


def sketch(items):
    sums = [0] * SKETCH
    for _, item, _, one in items:
        bits = mix(one ^ MASK)
        for i in range(SKETCH):
            if item >> i & 1:
                sums[i] += 1 if bits >> i & 1 else -1
    return sums


def estimate(a, b):
    return round(2 * sum((x - y) ** 2 for x, y in zip(a, b)) / SKETCH)


def put_sketch(sums):
    return b"".join(varint(zigzag(s)) for s in sums)


def get_sketch(r):
    return [unzigzag(r.varint()) for _ in range(SKETCH)]


def places(one, upto):
    """Of the item whose key has this hash, those below upto."""
    at, state = 0, one
    while at < upto:
        yield at
        z = mix(state)
        state = state + STEP & MASK
        r = ((z >> 11) + 1) / 2.0 ** 53
        exact = (at + 1.5) * (1.0 / math.sqrt(r) - 1.0)
        if exact >= 2 ** 32 - 1 - at:
            return
        at += max(1, math.ceil(exact))


class Symbol:
    def __init__(self, item=0, product=0, at=0, low=0):
        self.item = item
        self.product = product
        self.when = at
        self.check = low

    @classmethod
    def of(cls, item):
        key, item, at, one = item
        return cls(item, times(key, item), at, times(one, item) & 0xffffffff)

    @classmethod
    def read(cls, r):
        return cls(r.u64(), r.u64(), int.from_bytes(r.take(5), "big"),
                   int.from_bytes(r.take(4), "big"))

    def put(self):
        return (u64(self.item) + u64(self.product)
                + self.when.to_bytes(5, "big") + self.check.to_bytes(4, "big"))

    def add(self, other):
        self.item ^= other.item
        self.product ^= other.product
        self.when ^= other.when
        self.check ^= other.check

    def is_empty(self):
        return not (self.item or self.product or self.check)


def series(items, count=SERIES):
    """The symbols of a set."""
    out = [Symbol() for _ in range(count)]
    for item in items:
        one = Symbol.of(item)
        for at in places(item[3], count):
            out[at].add(one)
    return out


class Decoder:
    """Peels the documents that differ: found are (key, the item of the one
    side or the xor of both, and the same of the time)."""

    def __init__(self, mesh_id, items):
        self.mesh_id = mesh_id
        self.items = items
        self.ours = series(items)
        self.symbols = []
        self.found = []
        self.failed = False

    def feed(self, theirs):
        """Whether all differences are known."""
        first = len(self.symbols)
        count = first + len(theirs)
        check(count <= SYMBOLS_MAX, "too many symbols")
        if count > len(self.ours):
            self.ours = series(self.items, max(count, 2 * len(self.ours)))
        for told in theirs:
            told.add(self.ours[len(self.symbols)])
            self.symbols.append(told)
        for item in self.found:
            self.take_away(item, first)
        self.peel(range(first, count))
        return not self.failed and bool(self.symbols) and (
            self.symbols[0].is_empty())

    def take_away(self, item, first):
        one = hash_of(self.mesh_id, item[0])
        symbol, touched = Symbol.of((*item, one)), []
        for at in places(one, len(self.symbols)):
            if at >= first:
                self.symbols[at].add(symbol)
                touched.append(at)
        return touched

    def peel(self, indexes):
        todo = list(indexes)
        while todo and not self.failed:
            s = self.symbols[todo.pop()]
            if not s.item:
                continue
            key = times(s.product, inverse(s.item))
            if times(hash_of(self.mesh_id, key), s.item) & 0xffffffff != (
                    s.check):
                continue
            found = key, s.item, s.when
            self.found.append(found)
            # Symbols of no set could go on for ever.
            self.failed = len(self.found) > len(self.symbols)
            todo += self.take_away(found, 0)
