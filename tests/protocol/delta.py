# SPDX-License-Identifier: Apache-2.0
"""Deltas: reading, applying and writing (docs/protocol_documents.md,
section 6)."""
import cbor
from document import (ACTORS_MAX, COUNTER, DEPTH_MAX, GENERATION_MAX, MAP,
                      REGISTER, Counter, Document, Map, Slot, covers,
                      covers_all, decode, encode, get_hlc, last_life, merge,
                      put_counter, put_hlc)
from wire import MASK, block, check, siphash, u64, utf8, varint

ROOT, SUM, ALL = 1, 2, 4
ONE_CHANGED, CHANGED_AND_EQUAL, ONE_NEW, COUNTS = 0, 1, 2, 3
UNLISTED, ONE, LIST, NONE = 0, 1, 2, 3
MARK, GEN, INSIDE, ALL_INSIDE, HAS_COUNTER = 4, 8, 16, 32, 64
APPLIED, STALE, NEEDS = "applied", "stale", "needs"


class PlainNames:
    """Names as the test vectors of deltas alone have them."""

    def put_dot(self, dot):
        return dot[1] + varint(dot[0])

    def put_key(self, key):
        return block(key)

    def get_dot(self, r):
        actor = r.take(16)
        return r.varint(), actor

    def get_key(self, r):
        return r.block()


# ---- the sum ----------------------------------------------------------------


def _under(around, sum_key, data):
    return siphash(u64(around) + sum_key[8:], data)


def root_path(sum_key):
    return int.from_bytes(sum_key[:8], "big")


def live_sum(doc, base, sum_key):
    """The keyed sum over (path, dot) of the live entries that base has."""
    return sum(slot_sum(root_path(sum_key), key, s, base, sum_key)
               for key, s in doc.root.children.items()) & MASK


def slot_sum(around, key, slot, base, sum_key):
    """The same of one child of the map at the path `around`."""
    total = 0

    def add(path, kind, dots):
        nonlocal total
        for dot in dots:
            if covers(base, dot):
                total += _under(path, sum_key, kind + dot[1] + u64(dot[0]))

    def walk(around, key, s):
        at = _under(around, sum_key, key)
        add(at, b"v", s.values)
        if s.counter is not None:
            add(at, b"s", s.counter.starts)
        if s.map is not None:
            add(at, b"m", s.map.marks)
            for inner, child in s.map.children.items():
                walk(at, inner, child)

    walk(around, key, slot)
    return total & MASK


# ---- reading ----------------------------------------------------------------


class Parser:
    """A delta as bytes to what it tells: a part of a document, where each slot
    has `listed` and `every`."""

    def __init__(self, r, names):
        self.r = r
        self.names = names
        self.told = Document()
        self.base = {}
        self.dots = []

    def read(self):
        flags = self.r.u8()
        check(not flags & ~0x37, "unknown flags of a delta")
        self.flags = flags
        self.actors(flags >> 4)
        self.told.root.generation = 1
        if flags & ROOT:
            self.births()
        if self.told.alive():
            self.inside(self.told.root, 1)
        self.sum = self.r.u64() if flags & SUM else None
        return self

    def actors(self, form):
        counts = {ONE_CHANGED: (1, 0, 0), CHANGED_AND_EQUAL: (1, 0, 1),
                  ONE_NEW: (0, 1, 0)}.get(form)
        if form == COUNTS:
            counts = self.r.varint(), self.r.varint(), self.r.varint()
        check(sum(counts) <= ACTORS_MAX, "too many actors")
        for kind, count in enumerate(counts):
            for _ in range(count):
                hlc, actor = dot = self.names.get_dot(self.r)
                check(hlc and actor not in self.told.context, "an actor twice")
                self.told.context[actor] = hlc
                self.dots.append(dot)
                if kind == 0:
                    old = get_hlc(self.r, hlc)
                    check(old < hlc, "a base beyond the context")
                    self.base[actor] = old
                elif kind == 2:
                    self.base[actor] = hlc

    def dot(self):
        code = self.r.varint()
        check(code >> 1 < len(self.dots), "a dot of no actor")
        hlc, actor = self.dots[code >> 1]
        if code & 1:
            old = get_hlc(self.r, hlc)
            check(old < hlc, "a dot beyond the context")
            hlc = old
        return hlc, actor

    def count(self):
        n = self.r.varint()
        check(n <= self.r.left(), "a count beyond the end")
        return n

    def births(self):
        generation = self.r.varint()
        check(generation <= GENERATION_MAX and (generation or not self.dots),
              "a generation out of range")
        self.told.root.generation = generation
        last = last_life(generation) if generation else 0
        back = self.r.varint()
        check(back <= last // 2, "a first life out of range")
        self.told.first = last - 2 * back
        for _ in range(self.count()):
            back, dot = self.r.varint(), self.dot()
            check(last and back <= last // 2, "a birth out of range")
            self.told.births.add((last - 2 * back, dot))

    def inside(self, m, depth):
        check(depth <= DEPTH_MAX, "too deep")
        before = None
        for _ in range(self.count()):
            key = self.names.get_key(self.r)
            utf8(key)
            order = cbor.key_order(key)
            check(before is None or before < order, "keys out of order")
            before = order
            self.slot(m.slot(key), depth)

    def slot(self, s, depth):
        flags = self.r.u8()
        check(flags < 128, "unknown flags of a slot")
        s.listed = flags & 3 != UNLISTED
        s.every = bool(flags & ALL_INSIDE)
        self.listing(s, flags, depth)
        if flags & (GEN | INSIDE):
            s.map = s.map or Map()
            if flags & GEN:
                self.generation(s.map)
            if flags & INSIDE:
                self.inside(s.map, depth + 1)
        m = s.map
        check(m is None or depth < DEPTH_MAX and (
            m.generation % 2 or not (m.children or m.marks)),
            "something in a removed map")
        if flags & HAS_COUNTER:
            self.counter(s)

    def generation(self, of):
        of.generation = self.r.varint()
        check(0 < of.generation <= GENERATION_MAX, "a generation out of range")
        if of.generation != 1:
            of.maker = self.dot()

    def listing(self, s, flags, depth):
        kind = flags & 3
        check(self.dots and (not flags & MARK or kind == NONE), "a listing")
        first = self.dots[0]
        if kind == ONE:
            check(not covers(self.base, first), "an old value")
            s.values[first] = REGISTER, cbor.read_bytes(self.r,
                                                        DEPTH_MAX - depth)
        elif kind == LIST:
            for _ in range(self.count()):
                self.value(s, depth)
            for _ in range(self.count()):
                s.map = s.map or Map()
                dot = self.dot()
                check(not s.map.marks or max(s.map.marks) < dot,
                      "marks out of order")
                s.map.marks.add(dot)
        elif flags & MARK:
            s.map = Map()
            s.map.marks.add(first)

    def value(self, s, depth):
        dot = self.dot()
        check(not s.values or max(s.values) < dot, "values out of order")
        s.values[dot] = None  # the receiver has it
        if not covers(self.base, dot):
            kind = self.r.varint()
            check(kind not in (0, MAP, COUNTER) and kind < 1 << 31, "a type")
            s.values[dot] = kind, cbor.read_bytes(self.r, DEPTH_MAX - depth)

    def counter(self, s):
        s.counter = c = Counter()
        self.generation(c)
        if c.generation % 2 == 0:
            return
        for _ in range(self.count()):
            dot = self.dot()
            check(not c.starts or max(c.starts) < dot, "starts out of order")
            c.starts[dot] = cbor.number_bytes(self.r)
        for _ in range(self.count()):
            hlc, actor = self.dot()
            c.sums[actor] = hlc, self.r.varint(), self.r.varint()
        for _ in range(self.count()):
            i = self.r.varint()
            check(i < len(self.dots), "a baseline of no actor")
            moved = self.r.varint(), self.r.varint()
            check(any(moved), "a baseline of nothing")
            c.baselines[self.dots[i][1]] = moved


def births_fit(doc, told):
    """A life that is new here must come with its birth."""
    if told.root.generation <= doc.root.generation:
        return True
    last = last_life(told.root.generation)
    return any(g == last for g, _ in told.births | doc.births)


def parse(r, names):
    """Reads one delta; says nothing yet of any document."""
    return Parser(r, names).read()


def take(doc, d, sum_key):
    """Applies a parsed delta: (result, document)."""
    if covers_all(doc.context, d.told.context):
        return STALE, doc
    if not covers_all(doc.context, d.base):
        return NEEDS, doc
    check(births_fit(doc, d.told), "a life without a birth")
    tried = decode(*encode(doc))
    merge(tried, d.told, d.base, bool(d.flags & ALL))
    if d.sum is not None and live_sum(tried, d.base, sum_key) != d.sum:
        return NEEDS, doc
    return APPLIED, tried


# ---- writing ----------------------------------------------------------------


class Writer:
    """Writes delta(doc, base); `before`, where it is known, is the state at
    base: then what is gone is named, where else a sum reveals it."""

    def __init__(self, doc, base, sum_key, names, before=None):
        self.doc = doc
        self.full = doc.context
        self.base = {a: min(hlc, self.full[a]) for a, hlc in base.items()
                     if a in self.full}
        self.before = before
        if before is not None and before.context != self.base:
            self.before = None
        self.sum_key = sum_key
        self.names = names

    def new(self, dot):
        return not covers(self.base, dot)

    def write(self):
        d, b = self.doc, self.before
        every = not d.alive() or not self.has_old(d.root)
        summed = not every and b is None
        form, actors = self.put_actors()
        root = self.put_root()
        out = bytes([(ROOT if root else 0) | (SUM if summed else 0)
                     | (ALL if every else 0) | form << 4]) + actors + root
        if d.alive():
            out += self.inside(d.root, None if every or b is None
                               else self.same_life(d.root, b.root))
        if summed:
            out += u64(live_sum(d, self.base, self.sum_key))
        return out

    def put_root(self):
        """After the actors, which it numbers; nothing where it says nothing."""
        d = self.doc
        births = sorted(x for x in d.births if self.new(x[1]))
        if d.root.generation == 1 and not births:
            return b""
        last = last_life(d.root.generation)
        out = varint(d.root.generation)
        out += varint((last - d.first_life()) // 2 if d.births else 0)
        return out + varint(len(births)) + b"".join(
            varint((last - g) // 2) + self.dot(dot) for g, dot in births)

    def put_actors(self):
        changed, new, equal = [], [], []
        for a in sorted(self.full):
            old = self.base.get(a, 0)
            (equal if old == self.full[a] else changed if old else new
             ).append(a)
        self.actors = changed + new + equal
        counts = len(changed), len(new), len(equal)
        form = {(1, 0, 0): ONE_CHANGED, (1, 0, 1): CHANGED_AND_EQUAL,
                (0, 1, 0): ONE_NEW}.get(counts, COUNTS)
        out = b"".join(map(varint, counts)) if form == COUNTS else b""
        for a in self.actors:
            out += self.names.put_dot((self.full[a], a))
            if a in changed:
                out += put_hlc(self.full[a], self.base[a])
        return form, out

    def dot(self, dot):
        i = self.actors.index(dot[1])
        if self.full[dot[1]] == dot[0]:
            return varint(2 * i)
        return varint(2 * i + 1) + put_hlc(self.full[dot[1]], dot[0])

    # -- what has something to say. b: the slot or map before, or None

    @staticmethod
    def same_life(m, b):
        return b if b is not None and b.generation == m.generation else None

    def pairs(self, m, b):
        """(key, slot, slot before) of all that is or was there."""
        old = b.children if b is not None else {}
        for key in sorted({*m.children, *old}, key=cbor.key_order):
            yield key, m.children.get(key) or Slot(), old.get(key)

    def counter_says(self, c, b):
        return c is not None and (
            (c.generation != 1 and self.new(c.maker))
            or any(map(self.new, c.starts))
            or any(self.new((s[0], a)) for a, s in c.sums.items())
            or (b is not None and b.generation == c.generation
                and bool(set(b.starts) - set(c.starts))))

    def lists(self, s, b):
        m = s.map or Map()
        if any(map(self.new, [*s.values, *m.marks])):
            return True
        if b is None:
            return False
        old = self.same_life(m, b.map)
        return bool(set(b.values) - set(s.values)) or (
            old is not None and bool(old.marks - m.marks))

    def says(self, s, b):
        m = s.map or Map()
        return (self.lists(s, b)
                or self.counter_says(s.counter, b and b.counter)
                or (m.generation != 1 and self.new(m.maker))
                or self.map_says(m, self.same_life(m, b and b.map)))

    def map_says(self, m, b):
        return any(self.says(s, old) for _, s, old in self.pairs(m, b))

    def has_old(self, m):
        return m is not None and any(
            any(not self.new(dot) for dot in [
                *s.values, *(s.counter.starts if s.counter else ()),
                *(s.map.marks if s.map else ())]) or self.has_old(s.map)
            for s in m.children.values())

    # -- bytes

    def inside(self, m, b):
        told = [x for x in self.pairs(m, b) if self.says(x[1], x[2])]
        out = varint(len(told))
        for key, s, old in told:
            out += self.names.put_key(key)
            out += self.slot(s, old)
        return out

    def listing(self, s):
        marks = s.map.marks if s.map is not None else set()
        first = self.full[self.actors[0]], self.actors[0]
        if not s.values and (not marks or (marks == {first}
                                           and self.new(first))):
            return NONE
        if (not marks and set(s.values) == {first} and self.new(first)
                and s.values[first][0] == REGISTER):
            return ONE
        return LIST

    def slot(self, s, b):
        m = s.map or Map()
        every = not self.has_old(s.map)
        old = None if every else self.same_life(m, b and b.map)
        kind = self.listing(s) if self.lists(s, b) else UNLISTED
        counts = self.counter_says(s.counter, b and b.counter)
        flags = kind
        flags |= MARK if kind == NONE and m.marks else 0
        flags |= GEN if m.generation != 1 else 0
        flags |= INSIDE if self.map_says(m, old) else 0
        flags |= ALL_INSIDE if every else 0
        flags |= HAS_COUNTER if counts else 0
        out = bytes([flags]) + self.put_listing(s, kind)
        if flags & GEN:
            out += varint(m.generation) + self.dot(m.maker)
        if flags & INSIDE:
            out += self.inside(m, old)
        if counts:
            out += self.counter(s.counter)
        return out

    def put_listing(self, s, kind):
        if kind == ONE:
            return next(iter(s.values.values()))[1]
        if kind != LIST:
            return b""
        marks = s.map.marks if s.map is not None else set()
        return self.values(s.values) + varint(len(marks)) + b"".join(
            map(self.dot, sorted(marks)))

    def values(self, values):
        out = varint(len(values))
        for dot in sorted(values):
            out += self.dot(dot)
            if self.new(dot):
                out += varint(values[dot][0]) + values[dot][1]
        return out

    def counter(self, c):
        return put_counter(c, self.dot, self.actors)


def write(doc, base, sum_key, names, before=None):
    return Writer(doc, base, sum_key, names, before).write()
