#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Runs the test vectors of docs/protocol.md with this second reader: the files
of tests/golden/protocol, or with "-" those that come on standard input.

Each case is done here anew from its inputs; what comes out must be the bytes
that the case has. Exits 1 at the first that is not."""
import json
import pathlib
import sys

import cover
import delta as deltas
import fields as fields_
import document
import keep
import live
import records
import session
import symbols
import vectors_kinds
import wire
from differs import Differs, raw, same
from wire import Malformed

FOLDER = pathlib.Path(__file__).parent.parent / "golden" / "protocol"


# ---- documents --------------------------------------------------------------


def compact(value):
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)


def dot_text(dot):
    return f"{chr(dot[1][0])}{dot[0]}"


def entries_text(name, entries):
    out = ""
    for dot in sorted(entries):
        value = entries[dot] if isinstance(entries, dict) else None
        if isinstance(value, tuple):
            value = value[1]
        text = "" if value is None else compact(document.cbor.decode(value))
        out += f" {name}:{dot_text(dot)}={text}"
    return out


def counter_text(c):
    out = f" c{c.generation}" + (dot_text(c.maker) if c.generation > 1 else "")
    out += entries_text("s", c.starts)
    out += "".join(f" n:{chr(a[0])}{h}+{i}-{d}"
                   for a, (h, i, d) in sorted(c.sums.items()))
    return out + "".join(f" b:{chr(a[0])}0+{i}-{d}"
                         for a, (i, d) in sorted(c.baselines.items()))


def map_text(m):
    out = "{"
    for key in m.keys():
        s = m.children[key]
        out += key.decode() + "(" + entries_text("v", s.values)
        if s.counter is not None:
            out += counter_text(s.counter)
        if s.map is not None:
            out += f" m{s.map.generation}"
            out += dot_text(s.map.maker) if s.map.generation > 1 else ""
            out += entries_text("k", s.map.marks) + map_text(s.map)
        out += ")"
    return out + "}"


def document_text(d):
    out = f"g{d.root.generation}"
    out += "".join(f" x:{dot_text((h, a))}"
                   for a, h in sorted(d.context.items()))
    out += "".join(f" i{g}:{dot_text(dot)}" for g, dot in sorted(d.births))
    shown = compact(d.fields()) if d.alive() else ""
    return out + map_text(d.root) + " shows " + shown


def write(doc, case):
    if case["op"] == "insert_anew":
        doc.forget()
    w = document.Write(doc, (case["hlc"], raw(case["actor"])))
    path, value = case["path"], case["value"] if "value" in case else None
    kinds = {"replace": document.REGISTER, "unknown": 9,
             "attachment": document.ATTACHMENT}
    op = case["op"]
    if op in ("insert", "insert_anew"):
        w.insert(value)
    elif op == "delete":
        w.delete()
    elif op == "unset":
        w.unset(path)
    elif op in ("increment", "restart"):
        getattr(w, op)(path, value)
    else:
        w.set(path, value, kinds.get(op))


class Histories:
    """Replicas of one document, as the lines of a history tell."""

    def __init__(self):
        self.docs = {}

    def doc(self, r):
        return self.docs.setdefault(r, document.Document())

    def state(self, r, case):
        doc = self.doc(r)
        meta, body = document.encode(doc)
        same(document_text(doc), case["is"], "the state")
        same(meta, raw(case["meta"]), "meta")
        same(body, raw(case["body"]), "body")
        same(document.version(meta, body), raw(case["version"]), "version")
        self.docs[r] = document.decode(meta, body)
        same(document_text(self.docs[r]), case["is"], "the state, read")

    def new(self, _):
        self.docs = {}

    def write(self, case):
        if "refused" not in case:
            write(self.doc(case["r"]), case)
        self.state(case["r"], case)

    def merge(self, case):
        document.merge(self.doc(case["r"]), self.doc(case["from"]))
        self.state(case["r"], case)

    def delta(self, case):
        key, names = raw(case["sum_key"]), deltas.PlainNames()
        bytes_ = raw(case["delta"])
        base = {raw(a): hlc for a, hlc in case["base"].items()}
        same(deltas.write(self.doc(case["from"]), base, key, names,
                          self.doc(case["r"]) if case["exact"] else None),
             bytes_, "the delta")
        r = document.Reader(bytes_)
        told = deltas.parse(r, names)
        r.end()
        result, doc = deltas.take(self.doc(case["r"]), told, key)
        same(result, case["result"], "the result")
        self.docs[case["r"]] = doc
        self.state(case["r"], case)


    def fields(self, case):
        """A question of r, and the answer of from."""
        key, names = raw(case["sum_key"]), deltas.PlainNames()
        seen = {raw(a): hlc for a, hlc in case["seen"].items()}
        asked = fields_.ask(self.doc(case["r"]), seen, key)
        same(asked, raw(case["question"]), "the question")
        if not asked:
            return
        question, of = fields_.Question(asked), self.doc(case["from"])
        same(question.fits(of), case["fits"], "whether it fits")
        if not case["fits"]:
            return
        told = fields_.answer(of, question, key, names)
        same(told, raw(case["delta"]), "the answer")
        result, doc = deltas.take(self.doc(case["r"]), deltas.parse(
            document.Reader(told), names), key)
        same(result, case["result"], "the result")
        self.docs[case["r"]] = doc
        self.state(case["r"], case)

    def read(self, case):
        try:
            document.decode(raw(case["meta"]), raw(case["body"]))
            good = True
        except Malformed:
            good = False
        same(good, case["good"], "whether it is a state")

    def damaged_delta(self, case):
        doc = self.doc(case["r"])
        try:
            told = deltas.parse(document.Reader(raw(case["delta"])),
                                deltas.PlainNames())
            result, got = deltas.take(doc, told, raw(case["sum_key"]))
        except Malformed:
            result = "corrupt"
        same(result, case["result"], "the result")
        if result != "corrupt":
            meta, body = document.encode(got)
            same(meta, raw(case["meta"]), "meta")
            same(body, raw(case["body"]), "body")


# ---- records and messages ---------------------------------------------------


def varint_case(case):
    bytes_ = raw(case["bytes"])
    same(wire.varint(case["number"]), bytes_, "the varint")
    same(wire.Reader(bytes_).varint(), case["number"], "the number")


def id_case(case):
    cbor, bytes_ = raw(case["cbor"]), raw(case["bytes"])
    same(wire.put_id(cbor), bytes_, "the id")
    same(wire.get_id(wire.Reader(bytes_)), cbor, "the id, read")
    mesh_id = raw(case["mesh_id"])
    key = wire.siphash(mesh_id, cbor)
    same(key, case["key"], "the key of the item")
    same(wire.siphash(mesh_id, key.to_bytes(8, "little")
                      + raw(case["version"])), case["item"], "the item")
    same(symbols.when(case["top"]), case["when"], "the time of the item")


def symbols_case(case):
    mesh_id = raw(case["mesh_id"])
    items = []
    for i in range(case["count"]):
        key = wire.siphash(mesh_id, bytes([i]))
        item = wire.siphash(mesh_id, key.to_bytes(8, "little")
                            + bytes([i]) + bytes(15))
        items.append((key, item, symbols.when(i << 40)))
    items = symbols.hashed(mesh_id, items)
    same(b"".join(x.put() for x in symbols.series(items, 12)),
         raw(case["symbols"]), "the symbols")
    same(symbols.put_sketch(symbols.sketch(items)), raw(case["sketch"]),
         "the sketch")


class Lane:
    """Records of one lane, written and read."""

    def __init__(self):
        self.out = records.Tables()
        self.into = records.Tables()

    def record(self, case):
        name = case["collection"].encode(), raw(case["id"])
        key, state = raw(case["sum_key"]), (raw(case["meta"]),
                                            raw(case["body"]))
        doc, before = document.decode(*state), None
        w = records.Writer(self.out)
        if case.get("jump"):
            w.jump()
        if "question" in case:
            before = document.decode(raw(case["meta_before"]),
                                     raw(case["body_before"]))
            w.answer(name, doc, fields_.Question(raw(case["question"])), key)
        elif "meta_before" in case:
            before = document.decode(raw(case["meta_before"]),
                                     raw(case["body_before"]))
            w.delta(name, doc, before.context, before, key)
        else:
            w.state(name, *state, remember=case["remember"])
        same(w.out, raw(case["bytes"]), "the record")
        got, = records.RecordReader(self.into,
                                    wire.Reader(raw(case["bytes"]))).all()
        same((got.name, got.answer), (name, "question" in case), "the name")
        same(got.jump, case.get("jump", False), "the jump")
        if before is None:
            same((got.meta, got.body), state, "the state")
        else:
            result, doc = deltas.take(before, got.told, key)
            same(result, "applied", "the delta")
            same(document.encode(doc), state, "the state after it")


def hello(case, r):
    for field, read in (("major", r.varint), ("minor", r.varint),
                        ("actor", lambda: r.take(16).hex()),
                        ("incarnation", lambda: r.take(16).hex()),
                        ("sum_key", lambda: r.take(16).hex()),
                        ("wall_ms", r.varint), ("features", r.varint),
                        ("interests", r.varint)):
        same(read(), case[field], field)


def cut(case, r):
    name = case["collection"].encode(), raw(case["id"])
    same(r.varint() - 1, case["closes_after"], "the close")
    tables = records.Tables()
    tables.define(records.COLLECTION, 0, name[0])
    tables.define(records.STATE, 0, name)
    tables.define(records.ACTOR, 0, raw(case["actor"]))
    tables.define(records.KEY, 0, case["key"].encode())
    tables.ref = case["ref_before"]
    reader = records.RecordReader(tables, r)
    got, = reader.all(claims=True)
    dot = case["ref"], raw(case["actor"])
    claims, = cover.read_claims(r, reader)
    same((claims.number, claims.kind, claims.has),
         (case["claim_number"], case["claim"], {dot[1]: dot[0]}), "the claim")
    same(got.name, name, "the name")
    same(got.told.told.context, {dot[1]: dot[0]}, "the context")
    value = got.told.told.root.children[case["key"].encode()].values[dot][1]
    same(document.cbor.decode(value), case["value"], "the value")


def needs(case, r):
    same(r.varint(), 1, "how many")
    same((r.block(), wire.get_id(r)), (case["collection"].encode(),
                                       raw(case["id"])), "the document")
    same(r.block(), raw(case["question"]), "the question")


def past(case, r):
    same((r.block(), wire.get_id(r)), (case["collection"].encode(),
                                       raw(case["id"])), "the document")
    same(r.u8(), case["later"], "whether a later state is known")
    same(cover.Cover.vector(r), {raw(case["actor"]): case["hlc"]},
         "the context")


def fields(*kinds):
    """A reader of a message that is a few fields."""
    def read(case, r):
        for field, how in kinds:
            got = r.varint() if how == "varint" else r.block().decode()
            same(got, case[field], field)
    return read


NUMBER, REASON = ("number", "varint"), ("reason", "text")
MESSAGES = {
    session.HELLO: hello, session.DROP: fields(NUMBER),
    session.REFUSED: fields(NUMBER, REASON), session.BYE: fields(REASON),
    session.KNOWN: fields(("hlc", "varint")), live.CUT: cut,
    live.ACK: fields(("more", "varint")), live.NEEDS: needs,
    cover.PAST: past,
    keep.RECEIPTS: lambda case, r: same(keep.receipts(r), case["entries"],
                                        "the entries")}


def message(case):
    r = wire.Reader(raw(case["bytes"]))
    kind = r.u8()
    same(session.LANE_OF.get(kind, 0), case["lane"], "the lane")
    MESSAGES[kind](case, r)
    r.end()


def runners(whole):
    """case -> function. The link's need python3-openssl, the rest nothing."""
    histories = Histories()
    cases = {"new": histories.new, "write": histories.write,
             "merge": histories.merge, "delta": histories.delta,
             "fields": histories.fields,
             "read": histories.read,
             "damaged delta": histories.damaged_delta,
             "varint": varint_case, "id": id_case, "symbols": symbols_case,
             "record": Lane().record,
             "message": message, **vectors_kinds.CASES}
    if whole:
        import vectors_link
        cases.update(vectors_link.CASES)
    return cases


def run(lines, where):
    by_case = runners(where != "-")
    count, trace = 0, []
    for number, text in enumerate(lines, 1):
        case = json.loads(text)
        trace = [text] if case["case"] == "new" else trace + [text]
        try:
            by_case[case["case"]](case)
        except (Differs, Malformed) as e:
            if where == "-":
                print("".join(trace))
            print(f"{where}:{number}: {case['case']}: {e!r}" if isinstance(
                e, Malformed) else f"{where}:{number}: {case['case']}: {e}")
            return None
        count += 1
    return count


def messages():
    """Cases of messages of a session."""
    cases = [json.loads(text) for path in sorted(FOLDER.glob("*.jsonl"))
             for text in path.read_text().splitlines()]
    return [c for c in cases if c["case"] in ("message", "kind", "packed")]


def main():
    if sys.argv[1:] == ["-"]:
        count = run(sys.stdin, "-")
        print(f"{count} cases agree" if count else "cases differ")
        return 0 if count else 1
    total = 0
    for path in sorted(FOLDER.glob("*.jsonl")):
        with open(path) as lines:
            count = run(lines, path.name)
        if not count:
            return 1
        total += count
    try:
        vectors_kinds.every_kind(messages())
    except Differs as e:
        print(e)
        return 1
    print(f"{total} cases agree")
    return 0 if total else 1


if __name__ == "__main__":
    sys.exit(main())
