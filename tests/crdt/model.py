# SPDX-License-Identifier: Apache-2.0
"""An independent model of tako's documents, written from src/crdt/doc.h.

Nothing is merged here: a replica is a set of events, and its state is worked
out from that set alone. So where the C code, which merges states, agrees, its
merge is the union of events and its state a function of them (P2).

Reads JSON lines from standard input: writes, merges, and dumps to compare
with; prints what differs and exits 1, or prints a count and exits 0.
"""

import json
import sys

MARK = object()

def key_order(key):
    return len(key.encode()), key.encode()


def compact(value):
    return json.dumps(value, separators=(",", ":"))


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
        self.anew = False    # that birth remembers none before it
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
        adds, removes, first = {}, set(), 0
        for e in events:
            hlc, actor = e.dot
            self.context[actor] = max(self.context.get(actor, 0), hlc)
            if e.birth is not None:
                self.births.add((e.birth, e.dot))
                first = max(first, e.birth if e.anew else 0)
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
        self.births = {b for b in self.births if b[0] >= first}
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
        return place[0] == self.root() and all(
            self.generation("m", place[:i] + (place[i][0],)) == place[i][1]
            for i in range(1, len(place) - 1))

    def is_current(self, entry):
        kind, place, generation, _ = entry
        return self.is_place(place) and (
            kind == "v" or generation == self.generation(
                "m" if kind == "k" else "c", place))

    def child(self, place, key):
        return place[:-1] + ((place[-1], self.generation("m", place)), key)

    def at(self, kind, place):
        return {e[3]: v for e, v in self.live.items()
                if e[0] == kind and e[1] == place}

    def inside(self, place):
        """The live entries of the map at place: its marks and all below."""
        n = len(place)
        return [e for e in self.live
                if e[0] == "k" and e[1] == place or len(e[1]) > n and
                e[1][:n - 1] == place[:-1] and e[1][n - 1][0] == place[-1]]

    def of_counter(self, store, place):
        """{actor: numbers} out of self.sums or self.baselines."""
        generation = self.generation("c", place)
        return {k[2]: v for k, v in store.items() if k[:2] == (place,
                                                               generation)}

    def counter_dot(self, place):
        sums = self.of_counter(self.sums, place)
        return max([*self.at("s", place), *((s[0], a) for a, s in sums.items())])

    def shows(self, place):
        """The kind of what shows; None when nothing does."""
        inside = self.inside(place)
        found = [(dot, "v") for dot in self.at("v", place)]
        found += [(e[3], "m") for e in inside]
        found += [(self.counter_dot(e[1]), "m") for e in inside if e[0] == "s"]
        if self.at("s", place):
            found.append((self.counter_dot(place), "c"))
        return max(found)[1] if found else None

    def count(self, place):
        starts = self.at("s", place)
        sums = self.of_counter(self.sums, place).values()
        seen = self.of_counter(self.baselines, place).values()
        return (starts[max(starts)] + sum(s[1] - s[2] for s in sums) -
                sum(b[0] - b[1] for b in seen))

    def value(self, place):
        kind = self.shows(place)
        if kind == "c":
            return self.count(place)
        if kind == "v":
            return max(self.at("v", place).items(), key=lambda dv: dv[0])[1]
        return {key: self.value(p) for key, p in self.children(place)
                if self.shows(p)}

    def places(self):
        """Every present slot that says something."""
        all_places = {e[1] for e in self.live}
        all_places |= {w[1] for w in self.generations if w != "root"}
        all_places |= {place for place, generation, _ in
                       [*self.sums, *self.baselines]
                       if generation == self.generation("c", place)}
        for place in list(all_places):
            for i in range(1, len(place) - 1):
                all_places.add(place[:i] + (place[i][0],))
        return {p for p in all_places if self.is_place(p)}

    def children(self, place):
        """Child slots of a place, or of the root for None, in key order."""
        if self.kids is None:
            self.kids = {}
            for p in sorted(self.places(), key=lambda p: key_order(p[-1])):
                parent = p[:-2] + (p[-2][0],) if len(p) > 2 else None
                self.kids.setdefault(parent, []).append((p[-1], p))
        return self.kids.get(place, [])

    def dump(self):  # as tests/crdt/support_world.c writes it
        out = [f"g{self.root()}"]
        out += [f" x:{a}{h}" for a, h in sorted(self.context.items())]
        out += [f" i{g}:{dot_text(d)}" for g, d in sorted(self.births)]
        out.append(self.dump_children(None))
        out.append(" shows ")
        if self.root() % 2 == 1:
            body = {k: self.value(p) for k, p in self.children(None)
                    if self.shows(p)}
            out.append(compact(body))
        return "".join(out)

    def dump_children(self, place):
        slots = (f"{k}({self.dump_slot(p)})" for k, p in self.children(place))
        return "{" + "".join(slots) + "}"

    def dump_slot(self, place):
        out = entries_text("v", self.at("v", place))
        sums = self.of_counter(self.sums, place)
        baselines = self.of_counter(self.baselines, place)
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
            out += entries_text("k", marks)
            out += self.dump_children(place)
        return out

    def generation_text(self, kind, place):
        generation, maker = self.generations.get((kind, place), (1, None))
        return f"{generation}{dot_text(maker) if maker else ''}"


def dot_text(dot):
    return f"{dot[1]}{dot[0]}"


def entries_text(name, entries):
    return "".join(f" {name}:{dot_text(d)}={'' if v is MARK else compact(v)}"
                   for d, v in sorted(entries.items()))


class Write:
    """Carries out one write on a state, noting its effects in an event."""

    def __init__(self, state, dot):
        self.s = state
        self.e = Event(dot)
        state.context[dot[1]] = max(state.context.get(dot[1], 0), dot[0])

    def remove(self, entries):
        for entry in entries:
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

    def make_odd(self, kind, place):
        generation = self.s.generation(kind, place)
        if generation % 2 == 0:
            self.make((kind, place), generation + 1)

    def end_counter(self, place):
        if self.s.at("s", place):
            self.remove_at("s", place)
            self.make(("c", place), self.s.generation("c", place) + 1)

    def clear_inside(self, place):
        for entry in self.s.inside(place):
            if entry[0] == "s":
                self.end_counter(entry[1])
        self.remove(self.s.inside(place))

    def clear(self, place):
        self.absorb(place)
        self.clear_inside(place)

    def absorb(self, place):
        self.remove_at("v", place)
        self.end_counter(place)

    def become_map(self, place):
        if self.s.shows(place) == "m":
            return
        self.clear(place)
        self.make_odd("m", place)
        self.add("k", place, MARK)

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
            return self.add("v", place, value)
        self.become_map(place)
        self.absorb(place)
        for key in value:
            self.set_at(self.s.child(place, key), value[key])

    def insert(self, _, fields):
        generation = self.e.birth = self.s.root() + 1 + self.s.root() % 2
        self.make("root", generation)
        for key in fields:
            self.set_at((generation, key), fields[key])

    def insert_anew(self, _, fields):
        self.e.anew = True
        self.insert(_, fields)

    def delete(self, _, __):
        self.make("root", self.s.root() + 1)

    def set(self, path, value):
        self.set_at(self.slot(path), value)

    def replace(self, path, value):
        self.set_at(self.slot(path), value, False)

    def refuses(self, op, path):
        place = self.found(path) if path else None
        kind = self.s.shows(place) if place else None
        if op in ("increment", "restart"):
            value = self.s.value(place) if kind == "v" else 0
            return kind == "m" or not isinstance(value, (int, float))
        return op == "replace" and kind == "c"

    def unset(self, path, _):
        place = self.found(path)
        if place is not None:
            self.absorb(place)
        if place is not None and self.s.inside(place):
            self.remove(self.s.inside(place))
            self.make(("m", place), self.s.generation("m", place) + 1)

    def start(self, place, number):
        self.make_odd("c", place)
        generation = self.s.generation("c", place)
        self.remove_at("s", place)
        self.add("s", place, number)
        for actor, (_, inc, dec) in self.s.of_counter(
                self.s.sums, place).items():
            if inc or dec:
                key = (place, generation, actor)
                old = self.s.baselines.get(key, (0, 0))
                self.e.baselines[key] = (max(old[0], inc), max(old[1], dec))

    def slot_for_counter(self, path):
        place = self.slot(path)
        self.remove_at("v", place)
        self.clear_inside(place)
        return place

    def increment(self, path, by):
        seen = self.found(path)
        shown = self.s.shows(seen) if seen else None
        number = self.s.value(seen) if shown == "v" else 0
        place = self.slot_for_counter(path)
        if shown != "c":
            self.start(place, number)
        _, inc, dec = self.s.of_counter(self.s.sums, place).get(
            self.e.dot[1], (0, 0, 0))
        self.e.sums[(place, self.s.generation("c", place))] = [
            inc + max(by, 0), dec + max(-by, 0)]

    def restart(self, path, number):
        self.start(self.slot_for_counter(path), number)


def step(line, replicas, states):
    r = line["r"]
    if line["do"] == "merge":
        replicas[r] = replicas[r] | replicas[line["from"]]
    else:
        w = Write(states[r] or State(replicas[r]), (line["hlc"], "ABCD"[r]))
        if w.refuses(line["op"], line["path"]) != line.get("refused", False):
            return "one refuses, the other does not"
        if "refused" not in line:
            getattr(w, line["op"])(line["path"], line.get("value"))
            if w.e.anew:
                replicas[r] = frozenset()
            replicas[r] = replicas[r] | {w.e}
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
            replicas, states, trace = [frozenset()] * 4, [None] * 4, []
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
