# SPDX-License-Identifier: Apache-2.0
"""Live changes (docs/protocol.md, section 4)."""
import cbor
import cover
import delta as deltas
import document
import fields
import records
from wire import block, check, get_id, put_id, varint

CUT, ACK, NEEDS = 10, 11, 12


class Live:
    """Handlers of a session; s is the session (session.py)."""

    def __init__(self, s):
        self.s = s
        self.has = {}    # name -> (context, state or None) that the peer has
        self.dirty = {}  # name -> whether whole; or what was asked
        self.jumped = set()  # those that changed more than once
        self.held = []   # records of cuts that wait
        self.needs = set()
        self.by_fields = set()  # names that were asked for so
        self.closing = False  # what waits ends with a close
        self.close_in = self.acked_out = 0
        self.close_out = self.acked_in = 0
        self.counts = {"states": 0, "deltas": 0, "needs": 0, "held": 0,
                       "questions": 0, "wholes": 0, "answers": 0}
        self.handlers = {CUT: self.on_cut, ACK: self.on_ack,
                         NEEDS: self.on_needs}

    # -- receiving

    def apply(self, got, loose=False):
        """One transaction; name -> context of the deltas that were refused.
        Loose: these hold nothing back."""
        changed, refused, sent = {}, {}, {}
        for x in got:
            check(any(a.collection == x.name[0]
                      for a in self.s.catchup.asked.values()),
                  "a collection that was not asked for")
            doc = changed.get(x.name) or self.s.store.docs.get(
                x.name) or document.Document()
            if x.told is None:
                told = document.decode(x.meta, x.body)
                doc = document.decode(*document.encode(doc))
                document.merge(doc, told)
                sent[x.name] = told.context
                refused.pop(x.name, None)
            else:
                result, doc = deltas.take(doc, x.told, self.s.peer_sum_key)
                if result == deltas.NEEDS:
                    refused.setdefault(x.name, x.told.told.context)
                    continue
                sent[x.name] = x.told.told.context
                refused.pop(x.name, None)
            changed[x.name] = doc
        if refused and not loose:
            return refused
        self.s.store.take(changed, self.s)
        for name, context in sent.items():
            if changed[name].context == context:
                self.note_sent(name)
                continue
            had = self.has.get(name, ({}, None))[0]
            self.has[name] = document.join_contexts(had, context), None
            self.dirty.setdefault(name, False)
        self.by_fields -= set(sent)
        return refused

    def apply_states(self, got):
        """Of a catch-up."""
        self.ask_for(self.apply(got, True))

    def ask_for(self, refused):
        if refused:
            self.s.send(NEEDS, varint(len(refused)) + b"".join(
                block(name[0]) + put_id(name[1])
                + block(self.question(name, seen))
                for name, seen in refused.items()))

    def question(self, name, seen):
        """By fields, once, of a long document; nothing: the whole."""
        store = self.s.store
        if (name not in store.docs or name in self.by_fields
                or sum(map(len, store.state(name))) <= fields.WHOLE_BYTES_MAX):
            self.counts["wholes"] += 1
            return b""
        self.by_fields.add(name)
        self.counts["questions"] += 1
        return fields.ask(store.docs[name], seen, self.s.peer_sum_key)

    def on_cut(self, r):
        close = r.varint()
        reader = records.RecordReader(self.s.tables_in[self.s.LIVE], r)
        got = reader.all(claims=True)
        for claims in cover.read_claims(r, reader):
            self.s.catchup.claimed(claims, close > 0)
        for x in got:
            self.counts["states" if x.told is None else "deltas"] += 1
        if close:
            self.close_in += close - 1
        answered = {x.name for x in got if x.told is None or x.answer}
        self.needs -= answered
        self.held += got
        self.closing = self.closing or close > 0
        if self.needs:
            return
        refused = self.apply(self.held)
        if refused:
            self.counts["held"] += 1
            self.needs = set(refused)
            self.ask_for(refused)
            return
        self.held = []
        self.acknowledge()
        if self.closing:
            self.closing = False
            self.s.catchup.closed()

    def drop_held(self):
        if self.held:
            self.held, self.needs = [], set()
            self.acknowledge()

    def acknowledge(self):
        if self.close_in > self.acked_out:
            self.s.send(ACK, varint(self.close_in - self.acked_out))
            self.acked_out = self.close_in

    # -- sending

    def on_ack(self, r):
        self.acked_in += r.varint()
        r.end()
        check(self.acked_in <= self.close_out, "an ACK of what was not sent")

    def on_needs(self, r):
        gone = False
        for _ in range(r.varint()):
            name, asked = (r.block(), get_id(r)), r.block()
            cbor.decode(name[1])
            self.counts["needs"] += 1
            if name in self.s.store.docs:
                self.dirty[name] = fields.Question(asked) if asked else True
            else:
                gone = True
        r.end()
        if gone:
            self.s.catchup.lost_track()

    def committed(self, names, by):
        if by is not self.s:
            for name in names:
                if name in self.dirty:
                    self.jumped.add(name)
                self.dirty.setdefault(name, False)

    def note_sent(self, name):
        """The peer has, or is about to have, our state of it."""
        context = dict(self.s.store.docs[name].context)
        self.has[name] = context, self.s.store.state(name)

    def send_cut(self):
        """One cut of everything that changed and that the peer wants."""
        if not self.s.cleared or not self.s.catchup.may_cut():
            return
        names = [n for n in self.dirty if self.s.catchup.wanted(n)]
        if names or self.s.catchup.owes_cut:
            self.s.catchup.owes_cut = False
            out = records.Writer(self.s.tables_out[self.s.LIVE])
            for name in names:
                self.put(out, name, self.dirty.pop(name))
            close = self.s.store.commit - self.close_out + 1
            self.close_out = self.s.store.commit
            self.s.send(CUT, varint(close) + out.out)
        self.dirty, self.jumped = {}, set()

    def put(self, out, name, whole):
        base, doc = self.has.get(name), self.s.store.docs[name]
        if whole or name in self.jumped:
            out.jump()
        if isinstance(whole, fields.Question) and whole.fits(doc):
            self.counts["answers"] += 1
            out.answer(name, doc, whole, self.s.sum_key)
        elif base is None or whole:
            out.state(name, *self.s.store.state(name))
        else:
            before = document.decode(*base[1]) if base[1] else None
            out.delta(name, doc, base[0], before, self.s.sum_key)
        self.note_sent(name)
