# SPDX-License-Identifier: Apache-2.0
"""Sets compared by sketches and symbols (docs/protocol.md, 3.1 and 3.5). An
item here is (key, item, check)."""
import math

from wire import MASK, check, siphash, u64, unzigzag, varint, zigzag

SYMBOLS_MAX = 4096
SKETCH = 32
STEP = 0x9e3779b97f4a7c15
FACTOR = 0xd6e8feb86659fd93


def little(value):
    return value.to_bytes(8, "little")


def check_of(mesh_id, key, item):
    return siphash(mesh_id, little(key) + little(item))


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
    for _, _, one in items:
        bits = mix(one ^ MASK)
        for i in range(SKETCH):
            sums[i] += 1 if bits >> i & 1 else -1
    return sums


def estimate(a, b):
    return round(sum((x - y) ** 2 for x, y in zip(a, b)) / SKETCH)


def put_sketch(sums):
    return b"".join(varint(zigzag(s)) for s in sums)


def get_sketch(r):
    return [unzigzag(r.varint()) for _ in range(SKETCH)]


def places(one, upto=SYMBOLS_MAX):
    """Of the item with this check, those below upto."""
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
    def __init__(self, key=0, item=0, one=0, count=0):
        self.key = key
        self.item = item
        self.check = one
        self.count = count

    @classmethod
    def read(cls, r):
        return cls(r.u64(), r.u64(), r.u64(), unzigzag(r.varint()))

    def put(self):
        return (u64(self.key) + u64(self.item) + u64(self.check)
                + varint(zigzag(self.count)))

    def add(self, key, item, one, sign):
        self.key ^= key
        self.item ^= item
        self.check ^= one
        self.count += sign

    def is_empty(self):
        return not (self.key or self.item or self.check or self.count)


def series(items):
    """The symbols of a set."""
    out = [Symbol() for _ in range(SYMBOLS_MAX)]
    for item in items:
        for at in places(item[2]):
            out[at].add(*item, 1)
    return out


class Decoder:
    """Peels what the other side has and we have not, and the reverse."""

    def __init__(self, mesh_id, items):
        self.mesh_id = mesh_id
        self.ours = series(items)
        self.symbols = []
        self.found = []  # (key, item, 1: theirs or -1: ours)
        self.failed = False

    def feed(self, theirs):
        """Whether all differences are known."""
        first = len(self.symbols)
        check(first + len(theirs) <= SYMBOLS_MAX, "too many symbols")
        for told in theirs:
            mine = self.ours[len(self.symbols)]
            told.add(mine.key, mine.item, mine.check, -mine.count)
            self.symbols.append(told)
        for key, item, sign in self.found:
            one = check_of(self.mesh_id, key, item)
            for at in places(one, len(self.symbols)):
                if at >= first:
                    self.symbols[at].add(key, item, one, -sign)
        self.peel(range(first, len(self.symbols)))
        return not self.failed and bool(self.symbols) and (
            self.symbols[0].is_empty())

    def peel(self, indexes):
        todo = list(indexes)
        while todo and not self.failed:
            s = self.symbols[todo.pop()]
            if abs(s.count) != 1 or (
                    check_of(self.mesh_id, s.key, s.item) != s.check):
                continue
            key, item, one, sign = s.key, s.item, s.check, s.count
            self.found.append((key, item, sign))
            # Symbols of no set could go on for ever.
            self.failed = len(self.found) > len(self.symbols)
            for at in places(one, len(self.symbols)):
                self.symbols[at].add(key, item, one, -sign)
                todo.append(at)
