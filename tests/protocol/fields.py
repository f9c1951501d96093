# SPDX-License-Identifier: Apache-2.0
"""A refused delta that is asked for by fields (docs/protocol_documents.md,
section 7)."""
import cbor
from delta import ALL, GEN, HAS_COUNTER, INSIDE, MARK, NONE, ROOT
from delta import ALL_INSIDE, Writer, root_path, slot_sum
from document import ACTORS_MAX, Counter, Map, Slot, covers_all
from wire import Reader, block, check, u64, utf8, varint

FIELDS_MAX = 256
WHOLE_BYTES_MAX = 4096


def sums(doc, context, sum_key):
    """key -> sum of each field that has one."""
    path = root_path(sum_key)
    all_ = {key: slot_sum(path, key, s, context, sum_key)
            for key, s in doc.root.children.items()}
    return {key: value for key, value in all_.items() if value}


def ask(doc, seen, sum_key):
    """The question about doc to who had seen so much; empty: ask for the
    whole document."""
    context = {a: min(hlc, doc.context[a]) for a, hlc in seen.items()
               if a in doc.context}
    if not doc.alive() or not context:
        return b""
    fields = sums(doc, context, sum_key)
    if len(fields) > FIELDS_MAX:
        return b""
    out = varint(doc.root.generation) + varint(len(context))
    out += b"".join(a + varint(context[a]) for a in sorted(context))
    return out + varint(len(fields)) + b"".join(
        block(key) + u64(fields[key])
        for key in sorted(fields, key=cbor.key_order))


class Question:
    def __init__(self, bytes_):
        r = Reader(bytes_)
        self.generation, self.context, self.fields = r.varint(), {}, {}
        count, last = r.varint(), b""
        check(0 < count <= ACTORS_MAX, "a context")
        for _ in range(count):
            actor, hlc = r.take(16), r.varint()
            check(actor > last and hlc, "a context out of order")
            self.context[actor] = hlc
            last = actor
        count, last = r.varint(), None
        check(count <= FIELDS_MAX, "too many fields")
        for _ in range(count):
            key = r.block()
            utf8(key)
            order = cbor.key_order(key)
            check(last is None or last < order, "keys out of order")
            self.fields[key], last = r.u64(), order
            check(self.fields[key], "a sum of nothing")
        r.end()

    def fits(self, doc):
        return (doc.alive() and doc.root.generation == self.generation
                and covers_all(doc.context, self.context))


class Answer(Writer):
    """A delta without a sum, which tells the fields that differ in full."""

    def __init__(self, doc, question, sum_key, names):
        super().__init__(doc, question.context, sum_key, names)
        ours = sums(doc, question.context, sum_key)
        self.told = {key for key in {*ours, *question.fields}
                     if ours.get(key) != question.fields.get(key)}

    def write(self):
        every = not self.has_old(self.doc.root)
        form, actors = self.put_actors()
        root = self.put_root()
        return bytes([(ROOT if root else 0) | (ALL if every else 0)
                      | form << 4]) + actors + root + self.fields()

    def fields(self):
        children = self.doc.root.children
        keys = {key for key, s in children.items() if self.says(s, None)}
        out = varint(len(keys | self.told))
        for key in sorted(keys | self.told, key=cbor.key_order):
            out += self.names.put_key(key)
            if key in self.told:
                out += self.full_slot(children.get(key) or Slot(), True)
            else:
                out += self.slot(children[key], None)
        return out

    def full_slot(self, s, top):
        """All that is in it, new or not."""
        m, kind = s.map or Map(), self.listing(s)
        counter = s.counter or (Counter() if top else None)
        flags = kind | ALL_INSIDE
        flags |= MARK if kind == NONE and m.marks else 0
        flags |= GEN if m.generation != 1 else 0
        flags |= INSIDE if m.children else 0
        flags |= HAS_COUNTER if counter else 0
        out = bytes([flags]) + self.put_listing(s, kind)
        if flags & GEN:
            out += varint(m.generation) + self.dot(m.maker)
        if m.children:
            out += varint(len(m.children))
        for key in sorted(m.children, key=cbor.key_order):
            out += self.names.put_key(key)
            out += self.full_slot(m.children[key], False)
        return out + (self.counter(counter) if counter else b"")


def answer(doc, question, sum_key, names):
    return Answer(doc, question, sum_key, names).write()
