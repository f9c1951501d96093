# SPDX-License-Identifier: Apache-2.0
"""The documents of one device, in memory, and what the protocol asks of them.

A name is (collection, id), the collection's name as bytes, the id as CBOR."""
import hashlib
import os
import time

import cbor
import document
import symbols
from wire import block, put_id, siphash

AHEAD_MS_MAX = 5 * 60 * 1000


class Store:
    def __init__(self):
        self.docs = {}  # name -> Document
        self.versions = {}  # name -> (context, version)
        self.actor = os.urandom(16)
        self.incarnation = os.urandom(16)
        self.hlc = 0  # the greatest given out, or seen
        self.own = {0}  # the hlcs of our own events
        self.commit = 0
        self.epochs = {}  # of collections, where something was buried
        self.claims = 0  # events of others that are only claimed, for tests
        self.listeners = []  # called with (names, by) after each commit

    # -- time

    def next_hlc(self):
        self.hlc = max(self.hlc + 1, int(time.time() * 1000) << 16)
        return self.hlc

    def saw(self, context):
        for hlc in context.values():
            if (hlc >> 16) - AHEAD_MS_MAX <= time.time() * 1000:
                self.hlc = max(self.hlc, hlc)

    def known_of(self, actor):
        hlc = max([d.context.get(actor, 0) for d in self.docs.values()],
                  default=0)
        return hlc + (self.claims << 16)

    # -- changes

    def committed(self, names, by):
        self.commit += 1
        for listener in self.listeners:
            listener(names, by)

    def write(self, writes):
        """One transaction: [(collection, _id, function of a Write)]."""
        hlc = self.next_hlc()
        self.own.add(hlc)
        names = []
        for collection, identity, change in writes:
            name = collection.encode(), cbor.encode(identity)
            doc = self.docs.setdefault(name, document.Document())
            change(document.Write(doc, (hlc, self.actor)))
            names.append(name)
        self.committed(names, None)

    def seed(self, collection, identity, number, fields):
        """INSERT ... INITIAL: a merge, not a write."""
        name = collection.encode(), cbor.encode(identity)
        doc = self.docs.setdefault(name, document.Document())
        document.merge(doc, document.initial(name[1], number, fields))
        self.committed([name], None)

    def take(self, changed, by):
        """One transaction of what came: {name: Document}."""
        for doc in changed.values():
            self.saw(doc.context)
        self.docs.update(changed)
        self.committed(list(changed), by)

    def forget(self, names, by):
        """Documents that are dead and buried elsewhere."""
        for name in names:
            self.docs.pop(name, None)
            self.versions.pop(name, None)
        self.committed([], by)

    def renew(self):
        """Another actor, who has made nothing. What the old one wrote after
        the events that it lost would have to be put under this one; the tests
        write nothing in between."""
        self.actor = os.urandom(16)
        self.incarnation = os.urandom(16)
        self.own = {0}

    # -- a backup

    def save(self):
        docs = {name: document.encode(d) for name, d in self.docs.items()}
        return docs, self.hlc, set(self.own), self.commit

    def restore(self, saved):
        docs, self.hlc, self.own, self.commit = saved
        self.docs = {name: document.decode(*state)
                     for name, state in docs.items()}

    # -- what is asked of them

    def names(self, collection):
        return [n for n in self.docs if n[0] == collection]

    def state(self, name):
        return document.encode(self.docs[name])

    def version(self, name):
        """Equal contexts are equal states: so it is worked out once."""
        seen = self.docs[name].context
        known = self.versions.get(name)
        if known is None or known[0] != seen:
            known = dict(seen), document.version(*self.state(name))
            self.versions[name] = known
        return known[1]

    def live(self, collection):
        return [n for n in self.names(collection) if self.docs[n].alive()]

    def fields(self, collection, identity):
        doc = self.docs.get((collection.encode(), cbor.encode(identity)))
        return doc.fields() if doc is not None else None

    def hash(self, collection):
        """As `tako hash` prints it."""
        total = count = 0
        for name in self.live(collection):
            one = block(name[0]) + block(name[1]) + self.version(name)
            total += int.from_bytes(
                hashlib.blake2b(one, digest_size=32).digest(), "big")
            count += 1
        return hashlib.blake2b(
            (total % (1 << 256)).to_bytes(32, "big")
            + count.to_bytes(8, "big"), digest_size=32).hexdigest()

    def item(self, mesh_id, name):
        """(key, item, when) of docs/protocol.md, section 3."""
        key = siphash(mesh_id, name[1])
        context = self.docs[name].context
        return (key, siphash(mesh_id, key.to_bytes(8, "little")
                             + self.version(name)) or 1,
                symbols.when(max(context.values(), default=0)))
