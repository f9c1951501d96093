# SPDX-License-Identifier: Apache-2.0
"""Records and the tables of names (docs/protocol.md, section 5)."""
import cbor
import delta as deltas
import fields
from wire import (Reader, block, check, get_id, put_id, u64, unzigzag,
                  varint, zigzag)

STATE, DELTA, ACTOR, KEY, COLLECTION, SEEN, CLAIMS, ANSWER = range(8)
JUMP = 1 << 3 | CLAIMS
ACTORS_MAX = 4096
NAME_BYTES_MAX = 128
SIZES = {ACTOR: 8192, KEY: 4096, COLLECTION: 1024, STATE: 16384}
LITERAL, DEFINE, SLOTS = 0, 1, 2


class Tables:
    """The names of one lane in one direction, by slot."""

    def __init__(self):
        self.by_slot = {tag: [] for tag in SIZES}
        self.slots = {tag: {} for tag in SIZES}
        self.ref = 0

    def define(self, tag, slot, name):
        """A definition that came."""
        names = self.by_slot[tag]
        check(slot <= len(names) and slot < SIZES[tag], "a slot out of range")
        check(tag == STATE or 1 <= len(name) <= NAME_BYTES_MAX, "a name")
        check(slot == len(names) or tag != COLLECTION, "a collection again")
        names[slot:slot + 1] = [name]

    def at(self, tag, slot):
        check(slot < len(self.by_slot[tag]), "an unknown slot")
        return self.by_slot[tag][slot]

    def give(self, tag, name):
        """(slot, whether it is new) of a name to be sent; no slot: None."""
        slot = self.slots[tag].get(name)
        if slot is not None:
            return slot, False
        slot = len(self.slots[tag])
        if slot == SIZES[tag] or (
                tag != STATE and len(name) > NAME_BYTES_MAX):
            return None, False
        self.slots[tag][name] = slot
        return slot, True


def put_ref(last, ref):
    counter = ref & 0xffff
    ms = zigzag((ref >> 16) - (last >> 16))
    return varint(2 * ms + bool(counter)) + (varint(counter) if counter
                                             else b"")


def get_counter(r, code):
    counter = r.varint() if code & 1 else 0
    check(counter < 1 << 16, "a counter beyond 16 bits")
    return counter


def get_ref(r, last):
    code = r.varint()
    counter = get_counter(r, code)
    ms = (last >> 16) + unzigzag(code >> 1)
    check(0 <= ms < 1 << 48, "a reference out of range")
    return ms << 16 | counter


def put_near(ref, hlc):
    if hlc == ref:
        return varint(0)
    counter = hlc & 0xffff
    code = 2 * ((ref >> 16) - (hlc >> 16)) + bool(counter)
    return varint(1 + code) + (varint(counter) if counter else b"")


def get_near(r, ref):
    code = r.varint()
    if code == 0:
        return ref
    ms = (ref >> 16) - (code - 1 >> 1)
    check(ms >= 0, "an hlc below 0")
    return ms << 16 | get_counter(r, code - 1)


# ---- writing ----------------------------------------------------------------


class Writer:
    """Appends records; what a record needs is defined in front of it."""

    def __init__(self, tables):
        self.tables = tables
        self.out = b""
        self.ref = 0

    def slot(self, tag, name):
        slot, new = self.tables.give(tag, name)
        if new:
            self.out += varint(slot << 3 | tag)
            self.out += name if tag == ACTOR else block(name)
        return slot

    def actor(self, actor):
        slot = self.slot(ACTOR, actor)
        return varint(0) + actor if slot is None else varint(slot + 1)

    def head(self, tag, name, remember):
        slot, new = None, False
        if remember and len(name[1]) <= NAME_BYTES_MAX:
            slot, new = self.tables.give(STATE, name)
        if slot is not None and not new:
            return varint((slot + SLOTS) << 3 | tag)
        collection = self.slot(COLLECTION, name[0])
        check(collection is not None, "too many collections")
        told = varint(collection) + put_id(name[1])
        if slot is None:
            return varint(LITERAL << 3 | tag) + told
        return varint(DEFINE << 3 | tag) + varint(slot) + told

    def jump(self):
        """The next record is of more than one write."""
        self.out += varint(JUMP)

    def state(self, name, meta, body, remember=True):
        """name: (collection, id as CBOR)."""
        r = Reader(meta)
        actors = [r.take(16) for _ in range(r.varint())]
        record = self.head(STATE, name, remember) + varint(len(actors))
        record += b"".join(map(self.actor, actors))
        self.out += record + block(r.rest()) + block(body)

    def delta(self, name, doc, base, before, sum_key):
        self.told(DELTA, name, doc, lambda: deltas.write(
            doc, base, sum_key, self, before))

    def answer(self, name, doc, question, sum_key):
        self.told(ANSWER, name, doc, lambda: fields.answer(
            doc, question, sum_key, self))

    def told(self, tag, name, doc, write):
        self.ref = max(doc.context.values())
        record = self.head(tag, name, True)
        record += put_ref(self.tables.ref, self.ref)
        told = write()  # may put definitions in front
        self.out += record + block(told)
        self.tables.ref = self.ref

    def seen(self, key, context):
        """What was seen of the document with this key; a message of its own
        kind: ref is the hlc before."""
        record = varint(len(context) << 3 | SEEN) + u64(key)
        for actor in sorted(context):
            record += self.actor(actor) + put_ref(self.ref, context[actor])
            self.ref = context[actor]
        self.out += record

    # -- the names of deltas

    def put_dot(self, dot):
        return self.actor(dot[1]) + put_near(self.ref, dot[0])

    def put_key(self, key):
        slot = self.slot(KEY, key)
        return varint(0) + block(key) if slot is None else varint(slot + 1)


# ---- reading ----------------------------------------------------------------


class Record:
    """name: (collection, id); of a state meta and body, else told; whether
    that answers a question by fields; whether it is of more than one write."""

    jump = False

    def __init__(self, name, meta=None, body=None, told=None, answer=False):
        self.name = name
        self.meta = meta
        self.body = body
        self.told = told
        self.answer = answer


class RecordReader:
    def __init__(self, tables, r):
        self.tables = tables
        self.r = r

    def all(self, claims=False):
        """Up to the end; in a CUT, to its claims."""
        out, jump = [], False
        while self.r.left():
            head = self.r.varint()
            tag, number = head & 7, head >> 3
            if claims and head == CLAIMS:
                break
            if head == JUMP:
                jump = True
                continue
            check(tag <= COLLECTION or tag == ANSWER, "an unknown tag")
            if tag in (STATE, DELTA, ANSWER):
                name = self.document(number)
                out.append(self.state(name) if tag == STATE
                           else self.delta(name, tag == ANSWER))
                out[-1].jump, jump = jump, False
            else:
                name = self.r.take(16) if tag == ACTOR else self.r.block()
                self.tables.define(tag, number, name)
        check(not jump, "a jump of nothing")
        return out

    def seen(self):
        """[(key, context)] of a SEEN."""
        out, hlc = [], 0
        while self.r.left():
            head = self.r.varint()
            tag, number = head & 7, head >> 3
            check(tag in (ACTOR, SEEN), "an unknown tag")
            if tag == ACTOR:
                self.tables.define(tag, number, self.r.take(16))
                continue
            check(number <= ACTORS_MAX, "too many actors")
            key, context, last = self.r.u64(), {}, b""
            for _ in range(number):
                actor = self.actor(self.r)
                hlc = get_ref(self.r, hlc)
                check(actor > last and hlc, "a context out of order")
                context[actor] = hlc
                last = actor
            out.append((key, context))
        return out

    def document(self, number):
        if number >= SLOTS:
            return self.tables.at(STATE, number - SLOTS)
        slot = self.r.varint() if number == DEFINE else None
        collection = self.tables.at(COLLECTION, self.r.varint())
        name = collection, get_id(self.r)
        cbor.decode(name[1])
        if slot is not None:
            check(len(name[1]) <= NAME_BYTES_MAX, "a name")
            self.tables.define(STATE, slot, name)
        return name

    def actor(self, r):
        code = r.varint()
        return r.take(16) if code == 0 else self.tables.at(ACTOR, code - 1)

    def state(self, name):
        count = self.r.varint()
        check(count <= ACTORS_MAX, "too many actors")
        actors = [self.actor(self.r) for _ in range(count)]
        meta = varint(count) + b"".join(actors) + self.r.block()
        return Record(name, meta=meta, body=self.r.block())

    def delta(self, name, answer):
        self.ref = self.tables.ref = get_ref(self.r, self.tables.ref)
        r = Reader(self.r.block())
        told = deltas.parse(r, self)
        r.end()
        return Record(name, told=told, answer=answer)

    def claim(self, r):
        """(actor, hlc)"""
        actor, far = self.actor(r), r.u8()
        check(far <= 1, "a claim")
        return actor, get_ref(r, self.tables.ref) if far else self.tables.ref

    # -- the names of deltas

    def get_dot(self, r):
        actor = self.actor(r)
        return get_near(r, self.ref), actor

    def get_key(self, r):
        code = r.varint()
        return r.block() if code == 0 else self.tables.at(KEY, code - 1)
