#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The same statements on a database without indexes and on one with: an index
may change how long a SELECT takes, and nothing else. The conditions are those
that indexes serve, and near misses of them, over values of every kind and
over documents that are written while the indexes are there. What both give is
compared with the model too."""
import differ
from diff_model import Test as ModelTest
from diff_model_gen import E, EQUAL, LESS, FIELDS, Generator

KEYS = {"n": "number", "t": "number", "s": "text", "x": "any", "y": "any",
        "b": "bool", "a": "array", "o": "object", "a[0]": "any",
        "o.n": "number", "o.s": "text", "_id": "number", "o['s']": "text",
        "lower(s)": "text", "t + 1": "number", "char_length(s)": "number",
        "coalesce(x, y)": "any", "type(x)": "text", "s || u": "text",
        "-n": "number", "n > 1": "bool", "x.n": "any", "a[-1]": "any",
        "[t, b]": "array", "CASE WHEN b THEN n ELSE s END": "any"}
PREFIXES = ["a%", "", "%", "ab%", "é%", "a\\\\_%", "A%", "_a%", "a%b", "a",
            "b\U0001F600%", "\uffff%", "\\\\%"]


class Test(ModelTest):
    programs = 2
    features = []

    def make(self, rng, on, number):
        return IndexGenerator(rng, on, number).case()

    def check(self, case, answers):
        plain, indexed = answers
        found = []
        for number, (how, a, b) in enumerate(zip(case.more, plain, indexed)):
            if "error" in a or "error" in b:
                if a != b:
                    found.append((number, f"  without indexes {a}\n"
                                          f"  with indexes    {b}"))
            elif "items" in a:
                what = differ.difference(b["items"], a["items"],
                                         "ordered" in how, "loose" in how)
                if what is not None:
                    found.append((number, "  got: with indexes; want: without"
                                          "\n" + what))
        return found + super().check(case, [plain])


class IndexGenerator(Generator):
    def __init__(self, rng, on, number):
        super().__init__(rng, on, number)
        self.name = self.tables[0]
        self.next_id = 0
        self.indexed = []     # (text, kind) of leading and other keys
        self.partial = []     # conditions of partial indexes
        self.index_names = []
        self.pool = [self.value(kind, 1) for kind in
                     ("number", "number", "text", "text", "text", "bool",
                      "array", "object", "any", "any")]

    def case(self):
        docs = {self.name: [self.new_document() for _ in range(
            self.rng.choice([0, 2, 12, 30]))]}
        prepare = [self.index(n) for n in range(self.rng.randrange(1, 5))]
        steps, how = [], []
        while len(steps) < 40:
            self.args = {}
            for text, way in self.step():
                steps.append((text, dict(self.args)))
                how.append(way)
        return differ.Case(docs, steps, prepare, how)

    def new_document(self):
        """Fields often share values, so that = finds some."""
        doc = self.document(self.next_id)
        self.next_id += 1
        for name in ("n", "s", "x", "y", "b"):
            if self.rng.random() < 0.5:
                kind = FIELDS[name]
                fit = [v for v in self.pool
                       if kind == "any" or kind_of(v) == kind]
                if fit:
                    doc[name] = self.rng.choice(fit)
        return doc

    # ---- indexes ------------------------------------------------------------

    def index(self, number):
        keys = self.rng.sample(list(KEYS.items()),
                               self.rng.choice([1, 1, 2, 3]))
        self.indexed += keys
        text = ", ".join(k + self.rng.choice(["", " ASC", " DESC"])
                         for k, _ in keys)
        name = f"i{number}"
        self.index_names.append(name)
        where = ""
        if self.rng.random() < 0.3:
            where = self.condition(0).text
            if ":" in where.replace("': ", "") and self.args:
                where = "b = true"
            self.partial.append(where)
            where = f" WHERE {where}"
        return f"CREATE INDEX {name} ON {self.name} ({text}){where}"

    # ---- conditions ---------------------------------------------------------

    def constant(self, kind):
        if self.rng.random() < 0.5:
            fit = [v for v in self.pool
                   if kind == "any" or kind_of(v) == kind]
            if fit:
                value = self.rng.choice(fit)
                if "$bytes" not in str(value) and self.rng.random() < 0.7:
                    return self.written(value)
                self.args[name := f"p{len(self.args)}"] = value
                return E(f":{name}")
        if self.rng.random() < 0.1:
            kind = "any"
        return self.literal(kind)

    def key(self):
        if self.rng.random() < 0.8 and self.indexed:
            text, kind = self.rng.choice(self.indexed)
        else:
            text, kind = self.rng.choice(list(KEYS.items()))
        simple = text.replace("_", "").isalnum() and text.islower()
        if simple and self.rng.random() < 0.1:
            text = f"{self.name}.{text}"
        return E(text if text[0] == "C" or simple else f"({text})"), kind

    def condition(self, depth):
        roll = self.rng.random()
        if depth > 0 and roll < 0.35:
            op, binds = self.rng.choice([("AND", 2), ("OR", 1), ("OR", 1)])
            return self.operator(op, binds, self.condition(depth - 1),
                                 self.condition(depth - 1))
        if depth > 0 and roll < 0.42:
            return E(f"NOT {self.condition(depth - 1).within(3)}", 3)
        if depth > 0 and roll < 0.5 and self.partial:
            return E(self.rng.choice(self.partial), 1)
        if depth > 0 and roll < 0.55:
            return self.expr("bool", 2, self.scope(self.name))
        return self.test(*self.key())

    def test(self, key, kind):
        roll = self.rng.randrange(12)
        if roll < 5:
            op = self.rng.choice(["=", "=", "=", "!=", "<", "<=", ">", ">="])
            binds = EQUAL if op in ("=", "!=") else LESS
            a, b = key, self.constant(kind)
            if self.rng.random() < 0.2:
                a, b = b, a
            return self.operator(op, binds, a, b)
        if roll == 5:
            a, b = (self.constant(kind).within(LESS) for _ in range(2))
            return E(f"{key.text} {self.maybe_not()}BETWEEN {a} AND {b}", EQUAL)
        if roll == 6:
            text = self.quoted(self.rng.choice(PREFIXES).replace("\\\\", "\\"))
            word = self.rng.choice(["LIKE", "LIKE", "ILIKE"])
            return E(f"{key.text} {self.maybe_not()}{word} {text}", EQUAL)
        if roll == 7:
            return E(f"{key.text} IS {self.maybe_not()}"
                     + self.rng.choice(["NULL", "MISSING"]), EQUAL)
        if roll in (8, 9):
            return self.in_test(key, kind)
        lower = self.constant(kind).within(LESS)
        upper = self.constant(kind).within(LESS)
        return E(f"{key.text} >{self.rng.choice(['', '='])} {lower} AND "
                 f"{key.text} <{self.rng.choice(['', '='])} {upper}", 2)

    def in_test(self, key, kind):
        word = self.maybe_not() + "IN"
        if self.rng.random() < 0.4:
            name = f"p{len(self.args)}"
            self.args[name] = [self.rng.choice(self.pool)
                               for _ in range(self.rng.randrange(4))]
            return E(f"{key.text} {word} :{name}", EQUAL)
        items = ", ".join(self.constant(kind).text
                          for _ in range(self.rng.randrange(1, 4)))
        return E(f"{key.text} {word} ({items})", EQUAL)

    # ---- statements ---------------------------------------------------------

    def hint(self):
        if self.rng.random() < 0.8:
            return ""
        return f" USE INDEX {self.rng.choice(self.index_names)}"

    def step(self):
        roll = self.rng.random()
        if roll < 0.04:
            return self.write()
        source = f"FROM {self.name}{self.hint()}"
        where = ""
        if self.rng.random() < 0.85:
            where = f" WHERE {self.condition(2).text}"
        if roll < 0.35:
            return [(f"SELECT _id {source}{where}", "")]
        if roll < 0.5:
            return [(f"SELECT count(*) AS c {source}{where}", "")]
        if roll < 0.6:
            return self.aggregates(source, where)
        if roll < 0.7:
            key = self.key()[0].text
            return [(f"SELECT DISTINCT {key} AS k {source}{where}", "loose")]
        keys = [self.key()[0].text + self.rng.choice(["", "", " DESC"])
                for _ in range(self.rng.randrange(1, 4))]
        keys.append(self.rng.choice(["_id", "_id DESC"]))
        outs = self.rng.choice(["_id", "_id, x AS x", "*",
                                f"{keys[0].removesuffix(' DESC')} AS k"])
        return [(f"SELECT {outs} {source}{where} ORDER BY {', '.join(keys)}"
                 f"{self.limit()}", "ordered")]

    def aggregates(self, source, where):
        key = self.key()[0].text
        name = self.rng.choice(["min", "max", "count"])
        if self.rng.random() < 0.5:
            return [(f"SELECT {name}({key}) AS v {source}{where}", "loose")]
        other = self.key()[0].text
        return [(f"SELECT {key} AS k, {name}({other}) AS v, count(*) AS c "
                 f"{source}{where} GROUP BY {key}", "loose")]

    def write(self):
        roll = self.rng.random()
        state = (f"SELECT * FROM {self.name}", "")
        if roll < 0.5:
            self.args["new"] = [self.new_document() for _ in range(3)]
            return [(f"INSERT INTO {self.name} DOCUMENTS (:new)", "")]
        if roll < 0.7:
            return [(f"DELETE FROM {self.name} WHERE "
                     f"{self.condition(1).within(3)} AND _id % 3 = 0", ""),
                    state]
        name = self.rng.choice(["n", "s", "x", "y", "b"])
        value = self.constant(FIELDS[name]).text
        return [(f"UPDATE {self.name} SET {name} = {value} WHERE "
                 f"{self.condition(1).text}", ""), state]


def kind_of(value):
    if isinstance(value, bool):
        return "bool"
    return {int: "number", float: "number", str: "text", list: "array",
            dict: "object"}.get(type(value))


if __name__ == "__main__":
    differ.main(Test())
