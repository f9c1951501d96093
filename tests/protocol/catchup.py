# SPDX-License-Identifier: Apache-2.0
"""Catching up (docs/protocol.md, section 3). Whole collections only; no
checkpoint is ever named here, and of the feed there is none to send."""
import re

import document
import records
import symbols
from wire import block, check, u64, varint

INTEREST, LISTS, LIST, STATES, CAUGHT_UP, SERVED, RESYNC = (2, 5, 6, 7, 8, 9,
                                                           13)
ASK, FED, SYMBOLS, MORE, SEEN = 20, 21, 22, 23, 24
LANE = {LISTS: 2, LIST: 2, STATES: 2, CAUGHT_UP: 2, ASK: 2, FED: 2,
        SYMBOLS: 2, SEEN: 2}
NAMED, STREAMING, SKETCHED, NOTHING = 1, 2, 4, 8  # flags of a question
PLACED, PUSHED = 1, 2                             # of STATES
JOINED, SKETCH, BURST, MANY = 1, 2, 4, 8          # of SYMBOLS
LAST, REPLY, OFFERED = 1, 2, 4                    # of SEEN
CHUNK_DOCUMENTS = 500
CHUNK_ITEMS = 100
CHUNK_SYMBOLS = 50
SYMBOLS_FIRST = 32


def collection_of(text):
    """The collection of a subscription without a condition, or None."""
    found = re.fullmatch(rb"SELECT \* FROM `((?:[^`]|``)+)`", text)
    return found.group(1).replace(b"``", b"`") if found else None


class Question:
    """What a subscriber has."""

    def __init__(self, flags=0, count=0, total=0, sketch=None):
        self.flags = flags
        self.count = count
        self.check = total
        self.sketch = sketch

    @classmethod
    def read(cls, r):
        q = cls(r.u8(), r.varint(), r.u64())
        check(q.flags <= 15 and q.flags & 3 != STREAMING, "a question's flags")
        if q.flags & NAMED:
            r.take(2)
            r.varint()
        if q.flags & STREAMING:
            r.u64()
        if q.flags & SKETCHED:
            q.sketch = symbols.get_sketch(r)
        return q

    def put(self):
        out = bytes([self.flags]) + varint(self.count) + u64(self.check)
        return out + (symbols.put_sketch(self.sketch)
                      if self.flags & SKETCHED else b"")


class Asked:
    """A subscription of ours: asked, decoding, told (SEEN), closing, in
    sync."""

    def __init__(self, number, text):
        self.number = number
        self.text = text
        self.collection = collection_of(text)
        self.state = "asked"
        self.documents = 0
        self.claimed = False  # the cut that closes it came
        self.decoder = None
        self.offer = None   # of CAUGHT_UP: told, held, declined
        self.early = False  # it was taken

    def is_open(self):
        """Told, and nothing has come that answers it."""
        return self.state in ("asked", "decoding")


class Interest:
    """A subscription of the peer: new, fed, lists, symbols, joined, sent,
    live."""

    def __init__(self, number, text, question):
        self.number = number
        self.text = text
        self.collection = collection_of(text)
        self.question = question
        self.state = "new"
        self.list = {}
        self.seen = []
        self.joined = None  # the number of the question of the other side
        self.symbols = None
        self.next = 0       # the symbol
        self.by_list = False
        self.offered = False  # CAUGHT_UP was


class CatchUp:
    """Handlers of a session; s is the session (session.py)."""
    prefers = "lists"  # of the two ways to answer
    sketched = True    # questions have a sketch

    def __init__(self, s):
        self.s = s
        self.asked = {}
        self.interests = {}
        self.next_number = 0
        self.announced = 0  # of the peer's, in HELLO
        self.came = set()   # of these
        self.owes_cut = False  # after CAUGHT_UP
        self.counts = {"joined": 0, "replies": 0, "deltas": 0, "decoded": 0,
                       "more": 0, "pushed": 0, "offers": 0}
        self.handlers = {
            INTEREST: self.on_interest, LISTS: self.on_lists,
            LIST: self.on_list, STATES: self.on_states,
            CAUGHT_UP: self.on_caught_up, SERVED: self.on_served,
            RESYNC: self.on_resync, ASK: self.on_ask, FED: self.on_fed,
            SYMBOLS: self.on_symbols, MORE: self.on_more, SEEN: self.on_seen}

    def items(self, collection):
        return [self.s.store.item(self.s.mesh_id, n)
                for n in self.s.store.live(collection)]

    def hashed(self, collection):
        return symbols.hashed(self.s.mesh_id, self.items(collection))

    def by_key(self, collection):
        return {self.s.store.item(self.s.mesh_id, n)[0]: n
                for n in self.s.store.names(collection)}

    # -- we ask

    def subscribe(self, text, replaces=None):
        a = Asked(self.next_number, text)
        self.next_number += 1
        self.asked[a.number] = a
        self.s.send(INTEREST, varint(a.number) + varint(
            0 if replaces is None else 1 + replaces) + block(text)
            + self.question(a.collection).put())

    def question(self, collection):
        items = self.hashed(collection)
        if not items:
            return Question(NOTHING)
        q = Question(0, len(items), symbols.xor_of(i[1] for i in items))
        if self.sketched:
            q.flags, q.sketch = SKETCHED, symbols.sketch(items)
        return q

    def on_lists(self, r):
        a = self.asked.get(r.varint())
        r.end()
        if a is None or a.early:
            return
        check(a.is_open(), "LISTS that nobody asked for")
        a.state, a.decoder = "told", None
        self.unjoin(a)
        items = self.items(a.collection)
        for i in range(0, len(items) or 1, CHUNK_ITEMS):
            last = i + CHUNK_ITEMS >= len(items)
            told = b"".join(u64(key) + u64(item)
                            for key, item, _ in items[i:i + CHUNK_ITEMS])
            self.s.send(LIST, varint(a.number) + bytes([last]) + told)

    def on_fed(self, r):
        r.varint()
        check(False, "FED of a question that named nothing")

    def on_symbols(self, r):
        a = self.asked.get(r.varint())
        flags = r.u8()
        check(flags <= 15, "flags of SYMBOLS")
        joined = r.varint() if flags & JOINED else None
        sketch = symbols.get_sketch(r) if flags & SKETCH else None
        many = r.varint() if flags & MANY else 0
        check(many <= symbols.SYMBOLS_MAX, "a burst of too many symbols")
        first = r.varint()
        theirs = [symbols.Symbol.read(r) for _ in iter(r.left, 0)]
        if a is None or a.state == "told" or a.early:
            return  # dropped meanwhile, or it took fewer than came
        check(a.is_open(), "SYMBOLS that nobody asked for")
        if a.decoder is None:
            a.decoder = symbols.Decoder(self.s.mesh_id,
                                        self.hashed(a.collection))
            a.state = "decoding"
        if joined is not None:
            self.join(a, self.interests.get(joined))
        check(first == len(a.decoder.symbols), "SYMBOLS that do not follow")
        done = a.decoder.feed(theirs)
        if done:
            self.counts["decoded"] += 1
            self.tell_seen(a)
        elif flags & BURST or a.decoder.failed:
            self.want_more(a, sketch)

    def want_more(self, a, sketch):
        have = len(a.decoder.symbols)
        more = max(have, SYMBOLS_FIRST)
        if sketch is not None:
            about = symbols.estimate(sketch, symbols.sketch(
                self.hashed(a.collection)))
            more = max(more, about * 9 // 4 - have)
        if a.decoder.failed or have + more > symbols.SERIES:
            more = 0
            a.state, a.decoder = "asked", None
        self.counts["more"] += 1
        self.s.send(MORE, varint(a.number) + varint(more))

    def join(self, a, w):
        """The leader answers our answer to w together with ours."""
        if w is not None and w.state == "new" and w.text == a.text:
            w.state, w.joined = "joined", a.number

    def tell_seen(self, a):
        """An entry for each document that differs; but what the other side
        lacks goes at once, if it asks for it."""
        w = next((w for w in self.interests.values() if w.state == "joined"
                  and w.joined == a.number), None)
        names = self.by_key(a.collection)
        entries, pushed = [], []
        for key, item, _ in a.decoder.found:
            name = names.get(key)
            if name is None:
                entries.append((key, {}))
                continue
            doc = self.s.store.docs[name]
            lacks = self.s.store.item(self.s.mesh_id, name)[1] == item
            if lacks and w is not None and doc.alive():
                pushed.append((name, None))
            else:
                entries.append((key, doc.context))
        a.state, a.decoder = "told", None
        self.counts["pushed"] += len(pushed)
        if w is not None:
            self.send_answers(w, pushed, PUSHED)
        self.send_seen(a.number, 0, entries, w)
        if w is not None:
            w.offered = True
            self.close(w)

    def send_seen(self, number, flags, entries, offered=None):
        flags |= 0 if offered is None else OFFERED
        for i in range(0, len(entries) or 1, CHUNK_ITEMS):
            last = LAST if i + CHUNK_ITEMS >= len(entries) else 0
            out = records.Writer(self.s.tables_out[self.s.CATCHUP])
            for key, context in entries[i:i + CHUNK_ITEMS]:
                out.seen(key, context)
            self.s.send(SEEN, varint(number) + bytes([flags | last]) + (
                b"" if offered is None else varint(offered.number)) + out.out)

    def on_states(self, r):
        a = self.asked.get(r.varint())
        flags = r.u8()
        check(flags <= PUSHED, "flags of STATES")
        if flags & PLACED:  # how far a first download is; we always begin anew
            r.varint()
            r.u64()
        got = records.RecordReader(self.s.tables_in[self.s.CATCHUP], r).all()
        self.counts["deltas"] += sum(x.told is not None for x in got)
        self.s.live.apply_states(got)
        if a is not None:
            a.documents += len(got)

    def on_caught_up(self, r):
        a = self.asked.get(r.varint())
        r.varint()
        # What follows is of a newer minor version.
        if a is None or (a.early and a.state in ("closing", "in sync")):
            return
        check(a.is_open() or a.state == "told",
              "CAUGHT_UP that nobody asked for")
        if a.offer is not None:
            a.offer = "held" if a.offer == "told" else None
            return
        self.caught_up(a)

    def caught_up(self, a):
        a.state = "closing"
        if a.claimed and not self.s.live.held:
            self.closed()
        self.serve_all()

    def claimed(self, claims, close):
        """A cut that closes a catch-up may overtake its CAUGHT_UP."""
        a = self.asked.get(claims.number)
        if a is not None and close:
            a.claimed = True

    def closed(self):
        """A cut with a close is stored."""
        for a in self.asked.values():
            if a.state == "closing":
                a.state = "in sync"
                self.s.send(SERVED, varint(a.number))
                self.s.dead.tell_yard(a.collection)

    def decline(self, w):
        """Nothing comes of what was offered."""
        a = self.asked.get(w.joined)
        if a is not None:
            a.offer = "declined" if a.offer == "told" else None

    def take_offer(self, a):
        self.counts["offers"] += 1
        held, a.offer, a.early, a.state = a.offer == "held", None, True, "told"
        if held:
            self.caught_up(a)

    def unjoin(self, a):
        for w in self.interests.values():
            if w.joined == a.number and (
                    w.state == "joined" or w.state == "sent" and w.offered):
                w.state, w.joined, w.seen = "new", None, []
        self.serve_all()

    def on_resync(self, r):
        a = self.asked.pop(r.varint(), None)
        r.end()
        self.s.live.drop_held()
        if a is not None:
            self.unjoin(a)
            self.subscribe(a.text, a.number)

    # -- we serve

    def on_interest(self, r):
        number, replaces = r.varint(), r.varint()
        text = r.block()
        w = Interest(number, text, Question.read(r))
        # What follows is of a newer minor version.
        check(number not in self.interests, "a number twice")
        self.came.add(number)
        if replaces:
            self.interests.pop(replaces - 1, None)
        if w.collection is None:
            self.s.refuse(number, b"only whole collections here")
            return
        self.interests[number] = w
        self.s.when_cleared(self.serve_all)

    def on_ask(self, r):
        w = self.interests.get(r.varint())
        question = Question.read(r)
        if w is None:
            return
        check(w.state == "fed" and not question.flags & NAMED,
              "ASK out of turn")
        w.question, w.state = question, "new"
        self.serve_all()

    def serve_all(self):
        """Every question that can be answered now."""
        for w in list(self.interests.values()):
            if w.state == "new":
                self.serve(w)

    def own(self, w):
        """Our question of the same text, if it has no answer."""
        return next((a for a in self.asked.values()
                     if a.text == w.text and a.is_open()), None)

    def leads(self):
        return self.s.sum_key < self.s.peer_sum_key

    def serve(self, w):
        q, items = w.question, self.hashed(w.collection)
        total = symbols.xor_of(i[1] for i in items)
        if q.flags & NOTHING:
            self.send_states(w, self.s.store.live(w.collection), True)
            self.close(w)
        elif (len(items), total) == (q.count, q.check) or not (
                self.s.store.names(w.collection)):
            self.close(w)
        elif q.flags & NAMED:
            self.s.send(FED, varint(w.number))
            w.state = "fed"
        elif self.leads() or self.own(w) is None:
            self.compare(w, items)

    def compare(self, w, items):
        sketch = symbols.sketch(items)
        count = SYMBOLS_FIRST
        if w.question.flags & SKETCHED:
            count = 8 + symbols.estimate(sketch, w.question.sketch) * 9 // 4
        busy = any(x.state == "symbols" for x in self.interests.values())
        if self.prefers == "lists" or w.by_list or busy or (
                count > symbols.SERIES):
            self.s.send(LISTS, varint(w.number))
            w.state = "lists"
            return
        w.symbols = symbols.series(items)
        w.state, w.next = "symbols", 0
        own = self.own(w) if self.leads() else None
        w.joined = None if own is None else own.number
        self.send_symbols(w, count, sketch)

    def send_symbols(self, w, count, sketch):
        end = w.next + count
        while w.next < end:
            upto = min(end, w.next + CHUNK_SYMBOLS)
            flags, more = BURST if upto == end else 0, b""
            if w.next == 0 and w.joined is not None:
                flags, more = flags | JOINED, varint(w.joined)
            if w.next == 0 and not w.question.flags & SKETCHED:
                flags, more = flags | SKETCH, more + symbols.put_sketch(sketch)
            self.s.send(SYMBOLS, varint(w.number) + bytes([flags]) + more
                        + varint(w.next) + b"".join(
                            x.put() for x in w.symbols[w.next:upto]))
            w.next = upto

    def on_more(self, r):
        w = self.interests.get(r.varint())
        more = r.varint()
        r.end()
        if w is None:
            return
        check(w.state == "symbols", "MORE out of turn")
        self.counts["more"] += 1
        if 0 < more <= len(w.symbols) - w.next:
            self.send_symbols(w, more, None)
            return
        w.state, w.by_list, w.joined, w.symbols = "new", True, None, None
        self.serve_all()

    def on_list(self, r):
        w = self.interests.get(r.varint())
        last = r.u8()
        check(last <= 1 and r.left() % 16 == 0, "a LIST")
        if w is None:
            return
        check(w.state == "lists", "a LIST that nobody asked for")
        while r.left():
            key = r.u64()
            w.list[key] = r.u64()
        if last:
            self.send_states(w, [n for n in self.s.store.names(w.collection)
                                 if self.is_wanted(w, n)])
            self.close(w)

    def is_wanted(self, w, name):
        key, item, _ = self.s.store.item(self.s.mesh_id, name)
        if key in w.list:
            return w.list[key] != item
        return self.s.store.docs[name].alive()

    def on_seen(self, r):
        w = self.interests.get(r.varint())
        flags = r.u8()
        check(flags <= 7 and flags & 6 != 6, "flags of SEEN")
        offered = self.asked.get(r.varint()) if flags & OFFERED else None
        got = records.RecordReader(self.s.tables_in[self.s.CATCHUP], r).seen()
        taken = w is not None and (
            w.state == "symbols" if not flags & REPLY else
            w.state == "joined" or w.state == "sent" and w.offered)
        if flags & LAST and offered is not None:
            offered.offer = ("told" if taken and w.joined == offered.number
                             else "declined")
        if not taken:
            return  # late: only the names count
        w.seen += got
        if flags & LAST:
            self.answer(w, not flags & REPLY)

    def answer(self, w, may_reply):
        """What each entry asks for; then, of a joined question, what we ask
        for ourselves."""
        names, wanted, reply = self.by_key(w.collection), [], []
        for key, context in w.seen:
            name = names.get(key)
            if name is None:
                reply += [(key, {})] if context else []
                continue
            doc = self.s.store.docs[name]
            if not context:
                wanted += [(name, None)] if doc.alive() else []
            elif doc.context == context:
                wanted.append((name, None))
            elif document.covers_all(doc.context, context):
                wanted.append((name, context))
            elif document.covers_all(context, doc.context):
                reply.append((key, doc.context))
            else:
                wanted.append((name, None))
        self.send_answers(w, wanted)
        own = self.own(w)
        if own is None or own.number != w.joined:
            own = None
        if may_reply and (reply or own is None or own.offer is None):
            self.decline(w)
        elif may_reply:
            self.take_offer(own)
            own = None
        if may_reply and own is not None:
            self.counts["replies"] += 1
            own.state, own.decoder = "told", None
            self.send_seen(w.joined, REPLY, reply)
        elif not may_reply:
            self.counts["joined"] += 1
        w.seen, w.symbols, w.joined = [], None, None
        self.close(w)

    def send_answers(self, w, wanted, flags=0):
        """[(name, the context of the other side, or None for a state)]"""
        for i in range(0, len(wanted), CHUNK_DOCUMENTS):
            out = records.Writer(self.s.tables_out[self.s.CATCHUP])
            for name, base in wanted[i:i + CHUNK_DOCUMENTS]:
                if base is None:
                    out.state(name, *self.s.store.state(name), remember=False)
                else:
                    out.delta(name, self.s.store.docs[name], base, None,
                              self.s.sum_key)
                self.s.live.note_sent(name)
            self.s.send(STATES, varint(w.number) + bytes([flags]) + out.out)

    def send_states(self, w, names, first=False):
        for i in range(0, len(names), CHUNK_DOCUMENTS):
            out = records.Writer(self.s.tables_out[self.s.CATCHUP])
            part = names[i:i + CHUNK_DOCUMENTS]
            for name in part:
                out.state(name, *self.s.store.state(name), remember=False)
                self.s.live.note_sent(name)
            place = b"\1" + varint(self.s.store.commit) + u64(i + len(part))
            self.s.send(STATES, varint(w.number) + (place if first else b"\0")
                        + out.out)

    def close(self, w):
        self.s.send(CAUGHT_UP, varint(w.number)
                    + varint(self.s.store.commit))
        w.state = "sent"
        self.owes_cut = True

    def may_cut(self):
        """Not while a question is being answered, or to come."""
        return self.came.issuperset(range(self.announced)) and all(
            w.state in ("sent", "live") for w in self.interests.values())

    def on_served(self, r):
        w = self.interests.get(r.varint())
        r.end()
        if w is not None:
            check(w.state == "sent" or w.offered, "SERVED out of turn")
            w.state, w.offered = "live", False

    def wanted(self, name):
        return any(w.collection == name[0] for w in self.interests.values())

    def lost_track(self):
        for number in self.interests:
            self.s.send(RESYNC, varint(number))

    def drop(self, number):
        self.came.add(number)
        w = self.interests.pop(number, None)
        if w is not None:
            self.decline(w)
