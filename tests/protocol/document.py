# SPDX-License-Identifier: Apache-2.0
"""The state of one document: model, stored form, merge and writes
(docs/protocol_documents.md, sections 1 to 5).

A dot is (hlc, actor), so that dots compare as the document says."""
import hashlib

import cbor
from wire import (Malformed, Reader, block, check, unzigzag, utf8, varint,
                  zigzag)

REGISTER, MAP, COUNTER, ATTACHMENT = 1, 2, 3, 4
NO_DOT = (0, bytes(16))
HAS_VALUES, HAS_GEN, HAS_MARKS, HAS_INSIDE, HAS_COUNTER = 4, 8, 16, 32, 64
VALUE, A_MAP, A_COUNTER, NOTHING = 0, 1, 2, 3
ACTORS_MAX, GENERATION_MAX, DEPTH_MAX = 4096, 1 << 56, 64
ABSENT = object()


class Map:
    def __init__(self, generation=1, maker=NO_DOT):
        self.generation = generation
        self.maker = maker
        self.marks = set()
        self.children = {}  # key, as bytes -> Slot

    def keys(self):
        return sorted(self.children, key=cbor.key_order)

    def slot(self, key):
        return self.children.setdefault(key, Slot())

    def tidy(self):
        for key in [k for k, s in self.children.items() if not s.tidy()]:
            del self.children[key]


class Counter:
    def __init__(self, generation=1, maker=NO_DOT):
        self.generation = generation
        self.maker = maker
        self.starts = {}     # dot -> number, as CBOR
        self.sums = {}       # actor -> (hlc, inc, dec)
        self.baselines = {}  # actor -> (inc, dec)

    def shown(self):
        moved = sum(s[1] - s[2] for s in self.sums.values())
        moved -= sum(b[0] - b[1] for b in self.baselines.values())
        moved = (moved + (1 << 63)) % (1 << 64) - (1 << 63)
        start = cbor.decode(self.starts[max(self.starts)])
        if isinstance(start, float):
            return start + float(moved)
        return (start + moved + (1 << 63)) % (1 << 64) - (1 << 63)


class Slot:
    def __init__(self):
        self.values = {}  # dot -> (type, CBOR)
        self.map = None
        self.counter = None

    def tidy(self):
        """Takes away what says nothing; False when nothing is left."""
        m, c = self.map, self.counter
        if m is not None:
            m.tidy()
            if m.generation == 1 and not m.marks and not m.children:
                self.map = None
        if c is not None and c.generation == 1 and not (
                c.starts or c.sums or c.baselines):
            self.counter = None
        return bool(self.values or self.map or self.counter)


def live_dots(m):
    """The dots of all live entries inside a map, and of its own marks."""
    yield from m.marks
    for s in m.children.values():
        yield from s.values
        if s.counter is not None and s.counter.starts:
            yield from counter_dots(s.counter)
        if s.map is not None:
            yield from live_dots(s.map)


def counter_dots(c):
    yield from c.starts
    yield from ((s[0], actor) for actor, s in c.sums.items())


def is_live(m):
    return bool(m.marks) or any(
        s.values or (s.counter is not None and s.counter.starts)
        or (s.map is not None and is_live(s.map))
        for s in m.children.values())


def shows(s):
    """Which contender shows: the one with the greatest dot."""
    found = []
    if s.values:
        dot = max(s.values)
        known = s.values[dot][0] in (REGISTER, ATTACHMENT)
        found.append((dot, -VALUE, VALUE if known else NOTHING))
    if s.map is not None and is_live(s.map):
        found.append((max(live_dots(s.map)), -A_MAP, A_MAP))
    if s.counter is not None and s.counter.starts:
        found.append((max(counter_dots(s.counter)), -A_COUNTER, A_COUNTER))
    return max(found)[2] if found else NOTHING


class Document:
    def __init__(self):
        self.context = {}  # actor -> hlc
        self.births = set()  # (generation, dot)
        self.first = 0  # of what a delta tells
        self.root = Map(generation=0)

    def alive(self):
        return self.root.generation % 2 == 1

    def forget(self):
        """It is reaped: only the generation is left, in the epoch."""
        generation = self.root.generation
        self.__init__()
        self.root = Map(generation=generation)

    def first_life(self):
        return min(self.births)[0] if self.births else 0

    def has(self, dot):
        return covers(self.context, dot)

    def default_dot(self):
        last = max(self.births)[0]
        return min(dot for g, dot in self.births if g == last)

    def body(self):
        return map_body(self.root) if self.alive() else b""

    def fields(self):
        return cbor.decode(self.body()) if self.alive() else None


def covers(context, dot):
    return context.get(dot[1], 0) >= dot[0]


def covers_all(big, small):
    return all(big.get(a, 0) >= hlc for a, hlc in small.items())


def join_contexts(a, b):
    return {k: max(a.get(k, 0), b.get(k, 0)) for k in {**a, **b}}


def last_life(generation):
    return generation if generation % 2 else generation - 1


def map_body(m):
    shown = [(k, m.children[k], shows(m.children[k])) for k in m.keys()]
    shown = [x for x in shown if x[2] != NOTHING]
    return cbor.head(5, len(shown)) + b"".join(
        cbor.encode(k.decode()) + slot_body(s, how) for k, s, how in shown)


def slot_body(s, how):
    if how == VALUE:
        return s.values[max(s.values)][1]
    return map_body(s.map) if how == A_MAP else cbor.encode(s.counter.shown())


# ---- the stored form: writing -----------------------------------------------


def put_hlc(ref, hlc):
    return varint(zigzag((hlc >> 16) - (ref >> 16))) + varint(hlc & 0xffff)


def get_hlc(r, ref):
    ms = (ref >> 16) + unzigzag(r.varint())
    counter = r.varint()
    check(0 <= ms < 1 << 48 and counter < 1 << 16 and (ms or counter),
          "an hlc out of range")
    return ms << 16 | counter


def put_counter(c, put_dot, actors):
    """A counter, whole, as a state and a delta both have it."""
    out = varint(c.generation)
    if c.generation != 1:
        out += put_dot(c.maker)
    if c.generation % 2 == 0:
        return out
    out += varint(len(c.starts)) + b"".join(
        put_dot(dot) + c.starts[dot] for dot in sorted(c.starts))
    out += varint(len(c.sums)) + b"".join(
        put_dot((hlc, a)) + varint(inc) + varint(dec)
        for a, (hlc, inc, dec) in sorted(c.sums.items()))
    return out + varint(len(c.baselines)) + b"".join(
        varint(actors.index(a)) + varint(inc) + varint(dec)
        for a, (inc, dec) in sorted(c.baselines.items()))


class Encoder:
    def __init__(self, doc):
        self.doc = doc
        self.actors = sorted(doc.context)
        self.origin = doc.default_dot()

    def dot(self, dot):
        if dot == self.origin:
            return varint(0)
        i = self.actors.index(dot[1])
        if self.doc.context[dot[1]] == dot[0]:
            return varint(1 + i)
        return varint(1 + len(self.actors) + i) + put_hlc(self.origin[0],
                                                          dot[0])

    def meta(self):
        d, n = self.doc, len(self.actors)
        out = front = varint(n) + b"".join(self.actors) + varint(
            d.root.generation) + (varint(self.actors.index(self.origin[1]))
                                  if n > 1 else b"") + put_hlc(
                                      0, self.origin[0])
        out += b"".join(put_hlc(self.origin[0], d.context[a])
                        for a in self.actors)
        others = sorted(d.births - {(last_life(d.root.generation),
                                     self.origin)})
        out += varint(len(others)) + b"".join(
            varint(g) + self.dot(dot) for g, dot in others)
        inside = self.inside(d.root, True) if d.alive() else b""
        if (n == 1 and not others and not inside
                and d.context[self.actors[0]] == self.origin[0]):
            return front
        return out + (inside or varint(0) if d.alive() else b"")

    def inside(self, m, shown):
        """What is not by default; empty when everything is."""
        hidden, exceptions, gap = [], [], 0
        for key in m.keys():
            s = m.children[key]
            how = shows(s) if shown else NOTHING
            if how == NOTHING:
                hidden.append(block(key) + self.slot(s, NOTHING))
                continue
            told = self.slot(s, how)
            if told is None:
                gap += 1
            else:
                exceptions.append(varint(gap) + told)
                gap = 0
        if not hidden and not exceptions:
            return b""
        return (varint(2 * len(exceptions) + (1 if hidden else 0))
                + (varint(len(hidden)) if hidden else b"")
                + b"".join(hidden) + b"".join(exceptions))

    def slot(self, s, how):
        """Flags and parts; None when all is by default."""
        flags, out, plain = how, b"", how == A_MAP
        if how == VALUE and len(s.values) == 1 and [
                t for t, _ in s.values.values()] == [REGISTER]:
            dot, (_, value) = next(iter(s.values.items()))
            plain = dot == self.origin and not cbor.is_map(value)
            out += self.dot(dot)
        elif s.values:
            flags |= HAS_VALUES
            plain = False
            out += self.values(s.values, how == VALUE)
        if s.map is not None:
            more, told = self.map(s.map, how == A_MAP)
            flags |= more
            out += told
        if s.counter is not None:
            flags |= HAS_COUNTER
            out += self.counter(s.counter)
        if plain and flags == how:
            return None
        return bytes([flags]) + out

    def values(self, values, last_in_body):
        out = varint(len(values))
        for dot in sorted(values):
            kind, value = values[dot]
            out += self.dot(dot) + varint(kind)
            if not (last_in_body and dot == max(values)):
                out += value
        return out

    def map(self, m, shown):
        flags, out = 0, b""
        if m.generation != 1:
            flags |= HAS_GEN
            out += varint(m.generation) + self.dot(m.maker)
        if m.marks != ({self.origin} if shown else set()):
            flags |= HAS_MARKS
            out += varint(len(m.marks)) + b"".join(
                map(self.dot, sorted(m.marks)))
        inside = self.inside(m, shown)
        return flags | (HAS_INSIDE if inside else 0), out + inside

    def counter(self, c):
        return put_counter(c, self.dot, self.actors)


def encode(doc):
    """(meta, body) of a document, in its one form."""
    if doc.root.generation == 0:
        return b"\0\0", b""
    return Encoder(doc).meta(), doc.body()


def version(meta, body):
    return hashlib.blake2b(len(meta).to_bytes(8, "big") + meta + body,
                           digest_size=16).digest()


# ---- the stored form: reading -----------------------------------------------


class Decoder:
    def __init__(self, meta, body):
        self.r = Reader(meta)
        self.b = Reader(body)
        self.doc = Document()

    def dot(self):
        code, n = self.r.varint(), len(self.actors)
        if code == 0:
            return self.origin
        check(code <= 2 * n, "a dot of no actor")
        actor = self.actors[(code - 1) % n]
        if code <= n:
            return self.doc.context[actor], actor
        dot = get_hlc(self.r, self.origin[0]), actor
        check(self.doc.has(dot), "a dot beyond the context")
        return dot

    def read(self):
        r, d = self.r, self.doc
        n = r.varint()
        check(n <= ACTORS_MAX, "too many actors")
        self.actors = [r.take(16) for _ in range(n)]
        d.root.generation = generation = r.varint()
        check(generation <= GENERATION_MAX, "a generation out of range")
        if n == 0 or generation == 0:
            check(n == generation == 0, "a document of nobody")
        else:
            first = r.varint() if n > 1 else 0
            check(first < n, "a default dot of no actor")
            self.origin = get_hlc(r, 0), self.actors[first]
            self.rest(generation)
        r.end()
        self.b.end()
        return d

    def rest(self, generation):
        r, d = self.r, self.doc
        last = last_life(generation)
        d.births = {(last, self.origin)}
        if len(self.actors) == 1 and not r.left():  # fresh
            d.context = {self.actors[0]: self.origin[0]}
            if generation % 2:
                self.inside(d.root, True, True, 1)
            return
        d.context = {a: get_hlc(r, self.origin[0]) for a in self.actors}
        check(d.has(self.origin), "a dot beyond the context")
        for _ in range(r.varint()):
            birth = r.varint(), self.dot()
            check(birth[0] % 2 and birth[0] <= last, "births out of range")
            d.births.add(birth)
        if generation % 2:
            self.inside(d.root, True, False, 1)

    def inside(self, m, shown, plain, depth):
        head = 0 if plain else self.r.varint()
        check(depth <= DEPTH_MAX, "too deep")
        for _ in range(self.r.varint() if head & 1 else 0):
            key = self.r.block()
            utf8(key)
            check(key not in m.children, "a key twice")
            self.slot(m.slot(key), False, depth)
        if shown:
            self.shown_children(m, head >> 1, depth)
        else:
            check(head < 2, "exceptions of what does not show")

    def shown_children(self, m, exceptions, depth):
        gap = self.r.varint() if exceptions else -1
        for _ in range(cbor.pairs(self.b)):
            key = cbor.read(self.b).encode()
            check(key not in m.children, "a key twice")
            if gap == 0:
                self.slot(m.slot(key), True, depth)
                exceptions -= 1
                gap = self.r.varint() if exceptions else -1
            else:
                self.plain(m.slot(key), depth)
                gap -= 1
        check(exceptions == 0, "more exceptions than children")

    def plain(self, s, depth):
        if self.b.left() and self.b.data[self.b.pos] >> 5 == 5:
            return self.map(s, 0, True, depth)
        s.values = {self.origin: (REGISTER, cbor.read_bytes(self.b))}

    def slot(self, s, in_body, depth):
        flags = self.r.u8()
        how = flags & 3
        check(flags < 128 and in_body == (how != NOTHING), "a malformed slot")
        value = None
        if how in (VALUE, A_COUNTER):
            value = cbor.read_bytes(self.b)
        if flags & HAS_VALUES:
            self.values(s, value if how == VALUE else None, depth)
        elif how == VALUE:
            s.values[self.dot()] = (REGISTER, value)
        if how == A_MAP or flags & (HAS_GEN | HAS_MARKS | HAS_INSIDE):
            self.map(s, flags, how == A_MAP, depth)
        if flags & HAS_COUNTER:
            self.counter(s)
        check(s.tidy(), "a slot of nothing")

    def values(self, s, last, depth):
        count = self.r.varint()
        check(0 < count <= self.r.left(), "a count")
        for i in range(count):
            dot, kind = self.dot(), self.r.varint()
            check(kind not in (0, MAP, COUNTER) and kind < 1 << 31, "a type")
            in_body = last is not None and i == count - 1
            s.values[dot] = (kind, last if in_body
                             else cbor.read_bytes(self.r, DEPTH_MAX - depth))

    def map(self, s, flags, shown, depth):
        check(depth < DEPTH_MAX, "too deep")
        s.map = m = Map()
        if flags & HAS_GEN:
            self.generation(m)
        if flags & HAS_MARKS:
            m.marks = {self.dot() for _ in range(self.r.varint())}
        elif shown:
            m.marks = {self.origin}
        if shown or flags & HAS_INSIDE:
            self.inside(m, shown, not flags & HAS_INSIDE, depth + 1)
        check(m.generation % 2 or not (m.children or m.marks),
              "something in a removed map")

    def generation(self, of):
        of.generation = self.r.varint()
        check(0 < of.generation <= GENERATION_MAX, "a generation out of range")
        if of.generation != 1:
            of.maker = self.dot()

    def counter(self, s):
        r = self.r
        s.counter = c = Counter()
        self.generation(c)
        if c.generation % 2 == 0:
            return
        for _ in range(r.varint()):
            dot = self.dot()
            c.starts[dot] = cbor.number_bytes(r)
        for _ in range(r.varint()):
            hlc, actor = self.dot()
            c.sums[actor] = hlc, r.varint(), r.varint()
        for _ in range(r.varint()):
            i = r.varint()
            check(i < len(self.actors), "a baseline of no actor")
            moved = r.varint(), r.varint()
            check(any(moved), "a baseline of nothing")
            c.baselines[self.actors[i]] = moved


def decode(meta, body):
    """Reads a state; refuses any that would be written otherwise."""
    if body:
        cbor.decode(body)
    doc = Decoder(meta, body).read()
    check(encode(doc) == (bytes(meta), bytes(body)),
          "a state that is not in its one form")
    return doc


# ---- merge ------------------------------------------------------------------


class Merge:
    """Takes a document, or what a delta tells of one, into another.

    base is None for a whole document. `every` says, where something is not
    named by the other side, that it is not there (and not only that nothing
    is told of it)."""

    def __init__(self, into, told, base=None):
        self.ours = dict(into.context)
        self.theirs = told.context
        self.base = base

    def entries(self, ours, theirs, every):
        for dot in list(ours):
            if dot in theirs:
                if isinstance(ours, dict) and theirs[dot] is not None:
                    ours[dot] = max(ours[dot], theirs[dot])
            elif covers(self.theirs, dot) and (
                    every or not covers(self.base, dot)):
                ours.discard(dot) if isinstance(ours, set) else ours.pop(dot)
        for dot in theirs:
            if not covers(self.ours, dot):
                if isinstance(ours, set):
                    ours.add(dot)
                else:
                    ours[dot] = theirs[dot]

    @staticmethod
    def generation(ours, theirs, fresh):
        """The one with the greater generation; of equal ones ours, with the
        lesser maker."""
        if ours.generation < theirs.generation:
            return fresh(theirs.generation, theirs.maker)
        if ours.generation == theirs.generation:
            ours.maker = min(ours.maker, theirs.maker)
        return ours

    def map(self, ours, theirs, listed, every):
        if ours.generation > theirs.generation:
            theirs = Map(theirs.generation)
        ours = self.generation(ours, theirs, Map)
        self.entries(ours.marks, theirs.marks, listed)
        for key in {**ours.children, **theirs.children}:
            self.slot(ours.slot(key), theirs.children.get(key), every)
        ours.tidy()
        return ours

    def slot(self, ours, theirs, every):
        t = theirs or Slot()
        listed = every or getattr(t, "listed", False)
        self.entries(ours.values, t.values, listed)
        if ours.map is not None or t.map is not None:
            ours.map = self.map(ours.map or Map(), t.map or Map(), listed,
                                every or getattr(t, "every", False))
        if t.counter is not None or (ours.counter is not None and every):
            ours.counter = self.counter(ours.counter or Counter(),
                                        t.counter or Counter())
        elif ours.counter is not None:
            self.entries(ours.counter.starts, {}, False)

    def counter(self, ours, theirs):
        if ours.generation > theirs.generation:
            self.entries(ours.starts, {}, True)
            return ours
        ours = self.generation(ours, theirs, Counter)
        self.entries(ours.starts, theirs.starts, True)
        for actor, t in theirs.sums.items():
            o = ours.sums.get(actor, (0, 0, 0))
            if t[0] == o[0]:
                t = t[0], max(t[1], o[1]), max(t[2], o[2])
            ours.sums[actor] = max(t, o)
        for actor, t in theirs.baselines.items():
            o = ours.baselines.get(actor, (0, 0))
            ours.baselines[actor] = max(t[0], o[0]), max(t[1], o[1])
        return ours


def merge(into, told, base=None, every=True):
    """Joins told into `into`. base, every: of a delta."""
    actors = set(into.context) | set(told.context)
    if len(actors) > ACTORS_MAX:
        raise Malformed("too many actors")
    m = Merge(into, told, base)
    first = max(into.first_life(),
                told.first_life() if base is None else told.first)
    into.births = {b for b in into.births | told.births if b[0] >= first}
    into.root = m.map(into.root, told.root, base is None, every)
    into.context = join_contexts(into.context, told.context)


# ---- writes -----------------------------------------------------------------


def next_even(generation):
    return generation + generation % 2


class Write:
    """One transaction's writes to a document, all under one dot."""

    def __init__(self, doc, dot):
        self.doc = doc
        self.dot = dot
        doc.context[dot[1]] = max(doc.context.get(dot[1], 0), dot[0])

    def insert(self, fields):
        d = self.doc
        d.root = Map(d.root.generation + 1 + d.root.generation % 2)
        d.births.add((d.root.generation, self.dot))
        for key, value in fields.items():
            self.set_slot(d.root.slot(key.encode()), value)
        d.root.tidy()

    def delete(self):
        self.doc.root = Map(next_even(self.doc.root.generation))

    def set(self, path, value, kind=None):
        self.set_slot(self.reach(path), value, kind)
        self.doc.root.tidy()

    def unset(self, path):
        s = self.find(path)
        if s is None:
            return
        s.values = {}
        self.end_counter(s)
        if s.map is not None and is_live(s.map):
            s.map = Map(next_even(s.map.generation), self.dot)
        self.doc.root.tidy()

    def increment(self, path, by):
        how, number = self.number_at(path)
        s = self.reach(path)
        self.absorb_for_counter(s)
        if how != A_COUNTER:
            self.start(s, number)
        c = s.counter
        _, inc, dec = c.sums.get(self.dot[1], (0, 0, 0))
        c.sums[self.dot[1]] = (self.dot[0], inc + max(by, 0),
                               dec + max(-by, 0))
        self.doc.root.tidy()

    def restart(self, path, number):
        self.number_at(path)
        s = self.reach(path)
        self.absorb_for_counter(s)
        self.start(s, number)
        self.doc.root.tidy()

    # -- pieces

    def number_at(self, path):
        """What shows at path, and the number that does if it is a value."""
        s = self.find(path)
        how = shows(s) if s is not None else NOTHING
        number = (cbor.decode(s.values[max(s.values)][1]) if how == VALUE
                  else 0)
        check(how != A_MAP and not isinstance(number, bool)
              and isinstance(number, (int, float)), "not a number")
        return how, number

    def find(self, path):
        """The slot at path, if it is reached through maps that show."""
        s, m = None, self.doc.root
        for i, key in enumerate(path):
            if i > 0:
                if shows(s) != A_MAP:
                    return None
                m = s.map
            s = m.children.get(key.encode())
            if s is None:
                return None
        return s

    def reach(self, path):
        m = self.doc.root
        for key in path[:-1]:
            s = m.slot(key.encode())
            self.become_map(s)
            m = s.map
        return m.slot(path[-1].encode())

    def end_counter(self, s):
        if s.counter is not None and s.counter.starts:
            s.counter = Counter(next_even(s.counter.generation), self.dot)

    def clear_inside(self, m):
        m.marks = set()
        for s in m.children.values():
            self.clear(s)

    def clear(self, s):
        s.values = {}
        self.end_counter(s)
        if s.map is not None:
            self.clear_inside(s.map)

    def become_map(self, s):
        if shows(s) == A_MAP:
            return
        self.clear(s)
        s.map = s.map or Map()
        if s.map.generation % 2 == 0:
            s.map.generation += 1
            s.map.maker = self.dot
        s.map.marks.add(self.dot)

    def set_slot(self, s, value, kind=None):
        if isinstance(value, dict) and kind is None:
            self.become_map(s)
            s.values = {}
            self.end_counter(s)
            for key, child in value.items():
                self.set_slot(s.map.slot(key.encode()), child)
            return
        self.clear(s)
        s.values = {self.dot: (kind or REGISTER, cbor.encode(value))}

    def absorb_for_counter(self, s):
        s.values = {}
        if s.map is not None:
            self.clear_inside(s.map)

    def start(self, s, number):
        s.counter = c = s.counter or Counter()
        if c.generation % 2 == 0:
            c.generation += 1
            c.maker = self.dot
        c.starts = {self.dot: cbor.encode(number)}
        for actor, (_, inc, dec) in c.sums.items():
            o = c.baselines.get(actor, (0, 0))
            if inc or dec:
                c.baselines[actor] = max(o[0], inc), max(o[1], dec)


def initial(identity, number, fields):
    """The constant state of INSERT ... INITIAL VERSION number."""
    content = (block(identity) + number.to_bytes(8, "big")
               + cbor.encode(fields))
    actor = hashlib.blake2b(content, digest_size=16).digest()
    doc = Document()
    Write(doc, (1 + number, actor)).insert(fields)
    return doc
