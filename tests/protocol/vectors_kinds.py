# SPDX-License-Identifier: Apache-2.0
"""Test vectors of the kinds of messages that are answers (docs/protocol.md,
section 2): `kind` has what is in one, `packed` what is in a frame of zstd."""
import pathlib
import re

import catchup
import cover
import dead
import denied
import keep
import live
import session
import symbols
import wire
from differs import Differs, raw, same

PACKED, PACKED_CUT = 25, 26
BLOB_LANE = {kind: 3 for kind in range(48, 54)}
LANE = {**session.LANE_OF, **BLOB_LANE, PACKED: 2, PACKED_CUT: 1}


def id_bytes(r):
    start = r.pos
    wire.get_id(r)
    return r.data[start:r.pos].hex()


def to_end(r, read):
    out = []
    while r.left():
        out.append(read())
    return out


def dots(r, hlc):
    return [[r.take(16).hex(), hlc()] for _ in range(r.varint())]



def question(r):
    start = r.pos
    q = catchup.Question.read(r)
    end, r.pos = r.pos, start
    out = [r.u8(), r.varint(), r.u64()]
    if q.flags & catchup.NAMED:
        out += [r.take(2).hex(), r.varint()]
    if q.flags & catchup.STREAMING:
        out.append(r.u64())
    if q.flags & catchup.SKETCHED:
        out.append([wire.zigzag(v) for v in q.sketch])
        r.pos = end
    same(r.pos, end, "the end of the question")
    return out


def states(r):
    flags = r.u8()
    place = [r.varint(), r.u64()] if flags & catchup.PLACED else []
    return [flags, *place, r.rest().hex()]


def seen(r):
    flags = r.u8()
    return [flags, *([r.varint()] if flags & catchup.OFFERED else []),
            r.rest().hex()]


def symbol(r):
    s = symbols.Symbol.read(r)
    put = s.put()
    return [s.item, s.product, put[16:21].hex(), put[21:].hex()]


def burst(r):
    flags = r.u8()
    out = [flags]
    if flags & catchup.JOINED:
        out.append(r.varint())
    if flags & catchup.SKETCH:
        out.append([wire.zigzag(v) for v in symbols.get_sketch(r)])
    if flags & catchup.MANY:
        out.append(r.varint())
    return out + [r.varint()] + to_end(r, lambda: symbol(r))


def buried(r):
    bits = r.u8()
    return [bits, *[r.u64() for _ in range(1 << bits)], dots(r, r.varint)]


def graves(r):
    form = r.u8()
    out = [form, r.block().decode()]
    if form == 0:
        return out + [r.u8(), r.rest().hex()]
    ms = 0
    while r.left():
        head = r.varint()
        ms = head >> 1 if head & 1 else ms + (head >> 1)
        actor = [r.take(16).hex()] if head & 1 else []
        out.append([*actor, ms << 16 | r.varint(), r.u64()])
    return out


def dead_one(r):
    return [r.block().decode(), r.u8(), r.varint(), id_bytes(r),
            dots(r, r.varint)]


def denied_one(r):
    return [r.block().decode(), id_bytes(r), [r.take(16).hex(), r.varint()]]


def asked(r):
    return [r.varint(), r.block().decode(), id_bytes(r), dots(r, r.u64)]


def ranges(r):
    out, at = [], 0
    for _ in range(r.varint()):
        first = at + r.varint()
        at = first + r.varint() + 1
        out.append([first, at - 1])
    return out


def vector(r):
    return to_end(r, lambda: [r.take(16).hex(), r.varint()])


def number(r):
    return r.varint()


def hexadecimal(size):
    return lambda r: r.take(size).hex()


def whole(read):
    return lambda r: to_end(r, lambda: read(r))


def text(r):
    return r.block().decode()


def u8(r):
    return r.u8()


def u64(r):
    return r.u64()


N = ("number", number)
KINDS = {
    catchup.INTEREST: (N, ("replaces", number), ("text", text),
                       ("question", question)),
    catchup.LISTS: (N,),
    catchup.LIST: (N, ("last", u8), ("items", whole(
        lambda r: [r.u64(), r.u64()]))),
    catchup.STATES: (N, ("states", states)),
    catchup.CAUGHT_UP: (N, ("commit", number)),
    catchup.SERVED: (N,), catchup.RESYNC: (N,), catchup.FED: (N,),
    session.RENEWED: (("actor", hexadecimal(16)),
                      ("incarnation", hexadecimal(16))),
    session.CLOCK: (("wall_ms", number),),
    catchup.ASK: (N, ("question", question)),
    catchup.SYMBOLS: (N, ("symbols", burst)),
    catchup.MORE: (N, ("more", number)),
    catchup.SEEN: (N, ("seen", seen)),
    cover.MODE: (N, ("mode", u8)),
    cover.TARGET: (N, ("vector", vector)),
    cover.SUMMARY: (N, ("whole", u8), ("vector", vector)),
    cover.FORMER: (("vector", vector),),
    cover.AGREEMENT: (N, ("events", u64), ("check", u64), ("commit", number)),
    denied.DENIED: (("denied", whole(denied_one)),),
    denied.NAMES: (("actors", whole(hexadecimal(16))),),
    dead.YARD: (("collection", text), ("takes", u8), ("epoch", number),
                ("graves", number), ("sum", u64), ("floors", u64)),
    dead.BURIED: (("collection", text), ("epoch", number),
                  ("buried", buried)),
    dead.GRAVES: (("graves", graves),),
    dead.DEAD: (("dead", whole(dead_one)),),
    keep.KEPT: (N, ("commit", number), ("flags", u8)),
    keep.MAY_I: (("asker", hexadecimal(32)), ("serial", u64),
                 ("hops", number), ("documents", whole(asked))),
    keep.YOU_MAY: (("asker", hexadecimal(32)), ("serial", u64),
                   ("who", hexadecimal(32)), ("numbers", whole(number))),
    48: (N, ("id", hexadecimal(32)), ("length", number),
         ("search", hexadecimal(8)), ("hops", u8)),
    49: (N, ("flags", u8), ("ranges", ranges)),
    50: (N, ("ranges", ranges)),
    51: (N, ("part", number), ("data", lambda r: r.rest().hex())),
    52: (N, ("ranges", ranges)),
    53: (N,),
}


def kind_case(case):
    r = wire.Reader(raw(case["bytes"]))
    kind = r.u8()
    same(LANE.get(kind, 0), case["lane"], "the lane")
    for field, read in KINDS[kind]:
        same(read(r), case[field], field)
    r.end()


def packed_case(case):
    """Only frames of one block as it is can be read without a library."""
    r = wire.Reader(raw(case["bytes"]))
    kind = r.u8()
    same(LANE[kind], case["lane"], "the lane")
    size = r.varint()
    same(r.take(4), b"\x28\xb5\x2f\xfd", "the magic number of zstd")
    same((r.u8(), r.u8()), (0x20, size), "a frame that says its length")
    same(int.from_bytes(r.take(3), "little"), size << 3 | 1, "a raw block")
    content = r.take(size)
    r.end()
    same(content, raw(case["content"]), "the content")
    same(content[0], catchup.STATES if kind == PACKED else live.CUT,
         "the kind of message in it")


# ---- every kind -------------------------------------------------------------

ROOT = pathlib.Path(__file__).parent.parent.parent


def kinds_of_wire():
    """Numbers of the messages that src/sync/wire.h has."""
    text = (ROOT / "src/sync/wire.h").read_text()
    body = re.search(r"typedef enum sync_msg \{(.*?)\} sync_msg;", text, re.S)
    last, out = -1, {}
    for name, value in re.findall(r"SYNC_MSG_(\w+)(?: = (\d+))?,",
                                  re.sub(r"/\*.*?\*/", "", body[1])):
        last = int(value) if value else last + 1
        out[last] = name
    return out


def kinds_of_document():
    """Numbers in the tables of docs/protocol.md, with their names."""
    text = (ROOT / "docs/protocol.md").read_text()
    tables = re.findall(r"^\| kind \| name \| body \|\n((?:\|.*\n)+)", text,
                        re.M)
    rows = re.findall(r"^\| (\d+) \| ([A-Z_]+) \|", "".join(tables), re.M)
    return {int(number): name for number, name in rows}


def every_kind(cases):
    """Each kind of message is in the document, and has a vector."""
    wire_kinds, document = kinds_of_wire(), kinds_of_document()
    same(document, {n: name.removeprefix("BLOB_")
                    for n, name in wire_kinds.items()},
         "the kinds of messages in docs/protocol.md")
    lacking = sorted(set(wire_kinds) - {raw(c["bytes"])[0] for c in cases})
    if lacking:
        raise Differs("no vector of " + " ".join(
            wire_kinds[n] for n in lacking))


CASES = {"kind": kind_case, "packed": packed_case}
