# SPDX-License-Identifier: Apache-2.0
"""An independent model of tako's documents, written from src/crdt/doc.h.

Nothing is merged here: a replica is a set of events, and its state is worked
out from that set alone. So where the C code, which merges states, agrees, its
merge is the union of events and its state a function of them (P2).

Reads JSON lines from standard input: writes, merges, and dumps to compare
with; prints what differs and exits 1, or prints a count and exits 0.
"""

import json
import struct
import sys


def cbor(value):
    """Deterministic CBOR of the values that the tests use."""
    if value is None:
        return b"\xf6"
    if isinstance(value, float):
        for first, form in ((0xF9, ">e"), (0xFA, ">f"), (0xFB, ">d")):
            try:
                packed = struct.pack(form, value)
            except OverflowError:
                continue
            if struct.unpack(form, packed)[0] == value:
                return bytes([first]) + packed
    if isinstance(value, int):
        return head(0, value) if value >= 0 else head(1, -1 - value)
    if isinstance(value, str):
        return head(3, len(value.encode())) + value.encode()
    if isinstance(value, list):
        return head(4, len(value)) + b"".join(map(cbor, value))
    pairs = sorted((key_order(k), k) for k in value)
    return head(5, len(pairs)) + b"".join(
        cbor(k) + cbor(value[k]) for _, k in pairs)


def head(major, n):
    if n < 24:
        return bytes([major << 5 | n])
    size = 0 if n < 1 << 8 else 1 if n < 1 << 16 else 2 if n < 1 << 32 else 3
    return bytes([major << 5 | 24 + size]) + n.to_bytes(1 << size, "big")


def key_order(key):
    raw = key.encode()
    return len(raw), raw


def compact(value):
    if isinstance(value, dict):
        return "{" + ",".join(json.dumps(k) + ":" + compact(value[k])
                              for k in sorted(value, key=key_order)) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(compact, value)) + "]"
    return json.dumps(value)


class Event:
    """What one transaction did: its dot, and effects that never change.

    A dot is (hlc, actor). A place is where a slot is, with the generation of
    all that is around it: (root generation, (key, generation), ..., key). An
    entry is (kind, place, generation, dot), kind v(alue), k (mark), s(tart);
    the generation is that of the map or counter it is inside, 0 for values.
    """

    def __init__(self, dot):
        self.dot = dot
        self.adds = {}       # entry -> value
        self.removes = set()
        self.generations = {}  # ("m" | "c", place) or "root" -> generation
        self.birth = None
        self.sums = {}       # (place, generation) -> [inc, dec]
        self.baselines = {}  # (place, generation, actor) -> (inc, dec)


class State:
    """The state that a set of events makes."""

    def __init__(self, events):
        self.kids = None
        self.context = {}
        self.births = set()
        self.generations = {}
        self.sums = {}
        self.baselines = {}
        adds, removes = {}, set()
        for e in events:
            hlc, actor = e.dot
            self.context[actor] = max(self.context.get(actor, 0), hlc)
            if e.birth is not None:
                self.births.add((e.birth, e.dot))
            for where, generation in e.generations.items():
                self.raise_to(where, generation, e.dot)
            for (place, generation), moved in e.sums.items():
                key = (place, generation, actor)
                self.sums[key] = max(self.sums.get(key, (0,)), (hlc, *moved))
            for key, (inc, dec) in e.baselines.items():
                old = self.baselines.get(key, (0, 0))
                self.baselines[key] = (max(old[0], inc), max(old[1], dec))
            adds.update(e.adds)
            removes |= e.removes
        self.live = {e: v for e, v in adds.items()
                     if e not in removes and self.is_current(e)}

    def raise_to(self, where, generation, dot):
        old, maker = self.generations.get(where, (0, None))
        if generation > old or (generation == old and dot < maker):
            self.generations[where] = (generation, dot)

    def root(self):
        return self.generations.get("root", (0, None))[0]

    def generation(self, kind, place):
        return self.generations.get((kind, place), (1, None))[0]

    def is_place(self, place):
        """Are all generations around this place the present ones?"""
        if place[0] != self.root():
            return False
        for i in range(1, len(place) - 1):
            key, generation = place[i]
            if self.generation("m", place[:i] + (key,)) != generation:
                return False
        return True

    def is_current(self, entry):
        kind, place, generation, _ = entry
        if not self.is_place(place):
            return False
        return kind == "v" or generation == self.generation(
            "m" if kind == "k" else "c", place)

    def child(self, place, key):
        generation = self.generation("m", place)
        return place[:-1] + ((place[-1], generation), key)

    def at(self, kind, place):
        return {e[3]: v for e, v in self.live.items()
                if e[0] == kind and e[1] == place}

    def inside(self, place):
        """The live entries of the map at place: its marks and all below."""
        n = len(place)
        return [e for e in self.live
                if (e[0] == "k" and e[1] == place) or
                (len(e[1]) > n and e[1][:n - 1] == place[:-1] and
                 e[1][n - 1][0] == place[-1])]

    def counter_sums(self, place):
        generation = self.generation("c", place)
        return {k[2]: v for k, v in self.sums.items()
                if k[0] == place and k[1] == generation}

    def counter_baselines(self, place):
        generation = self.generation("c", place)
        return {k[2]: v for k, v in self.baselines.items()
                if k[0] == place and k[1] == generation}

    def counter_dot(self, place):
        dots = list(self.at("s", place))
        dots += [(s[0], actor) for actor, s in
                 self.counter_sums(place).items()]
        return max(dots)

    def shows(self, place):
        """(kind, greatest dot) of what shows; None when nothing does."""
        found = []
        values = self.at("v", place)
        if values:
            found.append((max(values), "v"))
        inside = self.inside(place)
        if inside:
            dots = [e[3] for e in inside]
            dots += [self.counter_dot(e[1]) for e in inside if e[0] == "s"]
            found.append((max(dots), "m"))
        if self.at("s", place):
            found.append((self.counter_dot(place), "c"))
        return max(found)[1] if found else None

    def count(self, place):
        starts = self.at("s", place)
        moved = sum(s[1] - s[2] for s in self.counter_sums(place).values())
        moved -= sum(b[0] - b[1] for b in
                     self.counter_baselines(place).values())
        return starts[max(starts)] + moved

    def value(self, place):
        kind = self.shows(place)
        if kind == "v":
            values = self.at("v", place)
            return values[max(values)]
        if kind == "c":
            return self.count(place)
        return {key: self.value(p) for key, p in self.children(place)
                if self.shows(p)}

    def places(self):
        """Every present slot that says something."""
        all_places = {e[1] for e in self.live}
        for where, (generation, _) in self.generations.items():
            if where != "root" and generation > 1:
                all_places.add(where[1])
        for place, generation, _ in [*self.sums, *self.baselines]:
            if generation == self.generation("c", place):
                all_places.add(place)
        for place in list(all_places):
            for i in range(1, len(place) - 1):
                all_places.add(place[:i] + (place[i][0],))
        return {p for p in all_places if self.is_place(p)}

    def children(self, place):
        """Child slots of a place, or of the root for None, in key order.

        Worked out once: writes, which change a state, do not ask for it.
        """
        if self.kids is None:
            self.kids = {}
            for p in sorted(self.places(), key=lambda p: key_order(p[-1])):
                parent = p[:-2] + (p[-2][0],) if len(p) > 2 else None
                self.kids.setdefault(parent, []).append((p[-1], p))
        return self.kids.get(place, [])

    # ---- the dump, as tests/crdt/support_world.c writes it ----

    def dump(self):
        out = [f"g{self.root()}"]
        out += [f" x:{a}{h}" for a, h in sorted(self.context.items())]
        out += [f" i{g}:{dot_text(d)}" for g, d in sorted(self.births)]
        out.append(self.dump_children(None))
        out.append(" shows ")
        if self.root() % 2 == 1:
            out.append(compact({k: self.value(p)
                                for k, p in self.children(None)
                                if self.shows(p)}))
        return "".join(out)

    def dump_children(self, place):
        return "{" + "".join(f"{key}({self.dump_slot(p)})"
                             for key, p in self.children(place)) + "}"

    def dump_slot(self, place):
        out = entries_text("v", self.at("v", place))
        sums = self.counter_sums(place)
        baselines = self.counter_baselines(place)
        starts = self.at("s", place)
        if starts or sums or baselines or self.generation("c", place) > 1:
            out += " c" + self.generation_text("c", place)
            out += entries_text("s", starts)
            out += "".join(f" n:{a}{h}+{i}-{d}"
                           for a, (h, i, d) in sorted(sums.items()))
            out += "".join(f" b:{a}0+{i}-{d}"
                           for a, (i, d) in sorted(baselines.items()))
        marks = self.at("k", place)
        if marks or self.generation("m", place) > 1 or self.children(place):
            out += " m" + self.generation_text("m", place)
            out += entries_text("k", {d: None for d in marks}, False)
            out += self.dump_children(place)
        return out

    def generation_text(self, kind, place):
        generation, maker = self.generations.get((kind, place), (1, None))
        return f"{generation}{dot_text(maker) if generation > 1 else ''}"


def dot_text(dot):
    return f"{dot[1]}{dot[0]}"


def entries_text(name, entries, content=True):
    return "".join(
        f" {name}:{dot_text(d)}={cbor(v).hex() if content else ''}"
        for d, v in sorted(entries.items()))


class Write:
    """Carries out one write on a state, noting its effects in an event."""

    def __init__(self, state, dot):
        self.s = state
        self.e = Event(dot)
        state.context[dot[1]] = max(state.context.get(dot[1], 0), dot[0])

    def remove(self, entries):
        for entry in list(entries):
            del self.s.live[entry]
            if self.e.adds.pop(entry, self) is self:
                self.e.removes.add(entry)

    def remove_at(self, kind, place):
        self.remove([e for e in self.s.live if e[0] == kind and e[1] == place])

    def add(self, kind, place, value):
        generation = 0 if kind == "v" else self.s.generation(
            "m" if kind == "k" else "c", place)
        entry = (kind, place, generation, self.e.dot)
        self.s.live[entry] = value
        self.e.adds[entry] = value

    def make(self, where, generation):
        self.s.raise_to(where, generation, self.e.dot)
        self.e.generations[where] = generation

    def end_counter(self, place):
        if self.s.at("s", place):
            self.remove_at("s", place)
            self.make(("c", place), self.s.generation("c", place) + 1)

    def clear_inside(self, place):
        counters = [e[1] for e in self.s.inside(place) if e[0] == "s"]
        for counter in counters:
            self.end_counter(counter)
        self.remove(self.s.inside(place))

    def clear(self, place):
        self.remove_at("v", place)
        self.end_counter(place)
        self.clear_inside(place)

    def become_map(self, place):
        if self.s.shows(place) == "m":
            return
        self.clear(place)
        generation = self.s.generation("m", place)
        if generation % 2 == 0:
            self.make(("m", place), generation + 1)
        self.add("k", place, None)

    def slot(self, path):
        place = (self.s.root(), path[0])
        for key in path[1:]:
            self.become_map(place)
            place = self.s.child(place, key)
        return place

    def found(self, path):
        place = (self.s.root(), path[0])
        for key in path[1:]:
            if self.s.shows(place) != "m":
                return None
            place = self.s.child(place, key)
        return place

    def set_at(self, place, value, merge=True):
        if not (merge and isinstance(value, dict)):
            self.clear(place)
            self.add("v", place, value)
            return
        self.become_map(place)
        self.remove_at("v", place)
        self.end_counter(place)
        for key in sorted(value, key=key_order):
            self.set_at(self.s.child(place, key), value[key])

    def insert(self, _, fields):
        generation = self.s.root() + 1 + self.s.root() % 2
        self.make("root", generation)
        self.e.birth = generation
        for key in sorted(fields, key=key_order):
            self.set_at((generation, key), fields[key])

    def delete(self, _, __):
        self.make("root", self.s.root() + 1)

    def set(self, path, value):
        self.set_at(self.slot(path), value)

    def replace(self, path, value):
        self.set_at(self.slot(path), value, False)

    def refuses(self, op, path):
        place = self.found(path) if path else None
        kind = self.s.shows(place) if place else None
        if op == "replace":
            return kind == "c"
        if op in ("increment", "restart"):
            value = self.s.value(place) if kind == "v" else 0
            return kind == "m" or not isinstance(value, (int, float))
        return False

    def unset(self, path, _):
        place = self.found(path)
        if place is None:
            return
        self.remove_at("v", place)
        self.end_counter(place)
        inside = self.s.inside(place)
        if inside:
            self.remove(inside)
            self.make(("m", place), self.s.generation("m", place) + 1)

    def start(self, place, number):
        if self.s.generation("c", place) % 2 == 0:
            self.make(("c", place), self.s.generation("c", place) + 1)
        generation = self.s.generation("c", place)
        self.remove_at("s", place)
        self.add("s", place, number)
        for actor, (_, inc, dec) in self.s.counter_sums(place).items():
            if inc or dec:
                key = (place, generation, actor)
                old = self.s.baselines.get(key, (0, 0))
                self.e.baselines[key] = (max(old[0], inc), max(old[1], dec))

    def alone(self, place):
        self.remove_at("v", place)
        self.clear_inside(place)

    def increment(self, path, by):
        seen = self.found(path)
        shown = self.s.shows(seen) if seen else None
        number = self.s.value(seen) if shown == "v" else 0
        place = self.slot(path)
        self.alone(place)
        if shown != "c":
            self.start(place, number)
        _, inc, dec = self.s.counter_sums(place).get(
            self.e.dot[1], (0, 0, 0))
        self.e.sums[(place, self.s.generation("c", place))] = [
            inc + max(by, 0), dec + max(-by, 0)]

    def restart(self, path, number):
        place = self.slot(path)
        self.alone(place)
        self.start(place, number)


def step(line, replicas, states):
    r = line["r"]
    if line["do"] == "merge":
        replicas[r] = replicas[r] | replicas[line["from"]]
        states[r] = None
    elif line["do"] == "write":
        w = Write(states[r] or State(replicas[r]), (line["hlc"], "ABCD"[r]))
        states[r] = None
        if w.refuses(line["op"], line["path"]) != line.get("refused", False):
            return "one refuses, the other does not"
        if "refused" not in line:
            getattr(w, line["op"])(line["path"], line.get("value"))
            replicas[r] = replicas[r] | {w.e}
    if states[r] is None:
        states[r] = State(replicas[r])
    ours = states[r].dump()
    return None if ours == line["dump"] else "model: " + ours


def main():
    histories = 0
    trace = []
    for text in sys.stdin:
        line = json.loads(text)
        if line["do"] == "new":
            histories += 1
            replicas = [frozenset()] * 4
            states = [None] * 4
            trace = []
            continue
        trace.append(text)
        wrong = step(line, replicas, states)
        if wrong:
            print("".join(trace), wrong, sep="")
            return 1
    print(f"{histories} histories agree")
    return 0


if __name__ == "__main__":
    sys.exit(main())
