# SPDX-License-Identifier: Apache-2.0
"""Documents and statements of diff_model.py."""
import json

import differ

OR, AND, NOT, EQUAL, LESS, PLUS, TIMES, CONCAT, NEGATE, ATOM = range(1, 11)

KINDS = ["number", "text", "bool", "array", "object", "any"]
FIELDS = {"_id": "number", "n": "number", "t": "number", "s": "text",
          "u": "text", "b": "bool", "a": "array", "o": "object", "x": "any",
          "y": "any", "o.n": "number", "o.s": "text", "o.o.n": "any",
          "a[0]": "any", "a[-1]": "any", "o['s']": "text", "no": "any",
          "a[1].n": "number", "x.n": "any", "x[0]": "any"}
NUMBERS = [0, 1, -1, 2, 3, 7, -8, 10, 255, 2 ** 31, 2 ** 53 - 1, 2 ** 53,
           2 ** 53 + 1, -2 ** 53 - 1, 2 ** 63 - 1, -2 ** 63, 2 ** 62, 0.0,
           -0.0, 1.0, -1.0, 0.5, -1.5, 2.5, 3.25, 1e15, 1e16, 1e300, -1e300,
           2.0 ** 53, 2.0 ** 53 + 2, 2.0 ** 63, -2.0 ** 63, 5e-324, 0.1, 0.3]
# What one data set is likely to have: neighbours that a double cannot tell.
POOLS = [NUMBERS, NUMBERS, [0, 1, 1.0, 2, 2.5, -1], [0.0, -0.0, 0, 0.5, 5e-324],
         [2 ** 53, 2 ** 53 + 1, 2.0 ** 53, 2.0 ** 53 + 2, 2 ** 53 - 1],
         [2 ** 63 - 1, -2 ** 63, 2 ** 62, -2 ** 62, 2 ** 62 - 1, 2.0 ** 63,
          -2.0 ** 63, 2 ** 31, 3, -1], [1.5, 0.1, 1e300, 65504.0, 1e5, -1.5, 1]]
TEXTS = ["", "a", "A", "b", "ab", "aB", "abc", "é", "éa", "  a\t", "a%", "a_",
         "\\", "b\U0001F600", "'", '"', "zz", "\u2028", "1", "-2.5", "true",
         "n", "s", "a,b", "Ω", "\u0000x", "ß", "[1]", "\uffff", "\U00010000",
         "-0",
         "9223372036854775807", "-9223372036854775809", "1e3", "+5.", "False"]
TEXTS += ["É", "ÉA", "\u212a", "k", "K"]
PATTERNS = ["É", "é%", "É_", "k", "K%",
            "%", "a%", "%b", "_", "a_", "%a%", "", "A%", "_b%", "\\%", "a\\%",
            "%\\_%", "%é", "__", "\\\\", "%%", "_%_", "\\", "ab\\"]
SIMILAR = ["a|b", "(a|b)%", "a+", "[ab]*", "_{2}", "%b?", "a%", "[^a]_", "a*b"]

ROWS = ["INSERT INTO p DOCUMENTS ({'_id': 1, 'i': 1, 'l': [1, 2]})",
        "INSERT INTO q DOCUMENTS ({'_id': 1, 'i': 1})"]
FEATURES = [
    ("quantifiers", [], "SELECT ANY x IN [1] SATISFIES x = 1 END AS a, ANY AND "
     "EVERY x WITHIN [1] SATISFIES x = 1 END AS b"),
    ("comprehensions", [], "SELECT ARRAY x FOR x IN [1] WHEN x > 0 END AS a, "
     "OBJECT x:1 FOR x IN ['a'] END AS b"),
    ("similar to", [], "SELECT 'a' SIMILAR TO 'a|b' AS a"),
    ("distinct *", ["INSERT INTO p DOCUMENTS ({'_id': 1}), ({'_id': 2})"],
     "SELECT DISTINCT *, MISSING _id FROM p", [{}]),
    ("median", [], "SELECT median(1) AS a"),
    ("joins", ROWS, "SELECT * FROM p AS a LEFT JOIN q AS b ON a.i = b.i, p AS c"
     " WHERE a.i = 1"),
    ("unnest", ROWS, "SELECT a.i AS i, x AS x, n AS n FROM p AS a "
     "UNNEST a.l AS x AT n"),
    ("subqueries", ROWS, "SELECT i AS x FROM p AS a WHERE EXISTS "
     "(SELECT b.i AS y FROM q AS b WHERE b.i = a.i) AND i IN "
     "(SELECT b.i AS y FROM q AS b) AND i = "
     "(SELECT max(b.i) AS y FROM q AS b)"),
    ("from-subqueries", ROWS,
     "SELECT a.x AS x FROM (SELECT i AS x FROM p) AS a"),
    ("set operators", ROWS, "SELECT i AS x FROM p UNION ALL "
     "SELECT i AS y FROM q EXCEPT SELECT 2 AS x ORDER BY x"),
    ("with", ROWS, "WITH w AS (SELECT i AS x FROM p) SELECT w.x AS x FROM w"),
]

CALLS = {
    "number": ["abs n", "ceil n", "floor n", "round n", "char_length t",
               "byte_length t", "pos tt", "array_length a", "object_length o",
               "object_size o", "coalesce nn", "ifmissing nn", "ifnull nn",
               "nullif nn", "missingif nn", "round nd", "ifmissingornull nn"],
    "text": ["lower t", "upper t", "trim t", "ltrim tt", "rtrim tt", "trim tt",
             "concat tt", "concat ttt", "substr td", "substr tdd", "lpad tDt",
             "rpad tD", "repeat tD", "type *", "json_type *", "joinstr at",
             "coalesce tt", "nvl t*", "nullif tt", "rpad tDt"],
    "bool": ["starts_with tt", "ends_with tt", "contains tt", "ismissing *",
             "isnull *", "ismissingornull *", "is_number *", "is_string *",
             "is_boolean *", "array_contains a*", "array_contains_null a",
             "coalesce bb"],
    "array": ["object_keys o", "object_values o", "split tt", "split t",
              "coalesce aa"],
    "object": ["object_set ot*", "object_unset ot", "object_concat oo",
               "object_rename ott", "object_concat ooo"],
    "any": ["decode ****", "decode *****", "coalesce ***", "missingif **",
            "nvl **", "deserialize_json t", "ifnull **", "nullif **"],
}
LETTERS = {"n": "number", "t": "text", "a": "array", "o": "object",
           "b": "bool", "*": "any"}


class E:
    def __init__(self, text, binds=ATOM):
        self.text = text
        self.binds = binds

    def within(self, binds):
        return self.text if self.binds >= binds else f"({self.text})"


class Scope:
    """Names that mean something: [(text, kind)]."""

    def __init__(self, names, depth=0):
        self.names = names
        self.depth = depth

    def plus(self, *names):
        return Scope(self.names + list(names) * 4, self.depth + 1)


class Generator:
    def __init__(self, rng, on, number):
        self.rng = rng
        self.on = on
        self.tables = (f"t{number}", f"u{number}")
        self.args = {}
        self.numbers = rng.choice(POOLS)
        self.alias_count = 0
        self.noise = 0.08   # how often an expression has the wrong kind
        self.subqueries = True

    def case(self):
        docs = {name: [self.document(number) for number in range(
            self.rng.choice([0, 1, 4, 7]))] for name in self.tables}
        steps, how = [], []
        while len(steps) < 30:
            for text, args, way in self.statements():
                steps.append((text, args))
                how.append(way)
        return differ.Case(docs, steps, more=how)

    # ---- values -------------------------------------------------------------

    def document(self, number):
        doc = {"_id": number}
        for name in ("n", "t", "s", "u", "b", "a", "o", "x", "y"):
            if self.rng.random() < 0.8:
                doc[name] = (self.tame() if name == "t"
                             else self.value(FIELDS[name], 2))
        return doc

    def tame(self):
        return self.rng.choice([self.rng.randrange(-9, 10),
                                self.rng.randrange(-40, 40) / 8])

    def value(self, kind, depth):
        rng = self.rng
        if rng.random() < 0.08:
            return None
        if kind == "any":
            kind = rng.choice(["number", "text", "bool", "array", "object",
                               "bytes", "null"])
        if kind == "null":
            return None
        if kind == "number":
            return rng.choice([rng.choice(self.numbers), self.tame()])
        if kind == "text":
            return rng.choice(TEXTS)
        if kind == "bool":
            return rng.random() < 0.5
        if kind == "bytes":
            return {"$bytes": rng.choice(["", "AA==", "AAE=", "/w=="])}
        if depth <= 0:
            return rng.choice([[], {}, 1, "a"])
        if kind == "array" and rng.random() < 0.3:
            return [rng.choice(self.numbers) for _ in range(rng.randrange(3))]
        if kind == "array":
            return [self.value("any", depth - 1)
                    for _ in range(rng.randrange(4))]
        return {k: self.value(rng.choice([FIELDS.get(k, "any"), "any"]),
                              depth - 1)
                for k in rng.sample(["n", "s", "o", "x", "zz", "é", ""],
                                    rng.randrange(4))}

    def literal(self, kind):
        value = self.value(kind, 1)
        if kind == "any" and self.rng.random() < 0.1:
            return E("missing")
        if has_bytes(value) or self.rng.random() < 0.1:
            name = f"p{len(self.args)}"
            self.args[name] = value
            return E(f":{name}")
        return self.written(value)

    def written(self, value):
        if isinstance(value, str):
            return E(self.quoted(value))
        if isinstance(value, list):
            return E(f"[{', '.join(self.written(v).text for v in value)}]")
        if isinstance(value, dict):
            return E("{" + ", ".join(
                f"{self.quoted(k)}: {self.written(v).text}"
                for k, v in value.items()) + "}")
        text = json.dumps(value)
        return E(text, NEGATE if text.startswith("-") else ATOM)

    def quoted(self, text):
        if self.rng.random() < 0.3 or "\u0000" in text:
            return json.dumps(text)
        return "'" + text.replace("\\", "\\\\").replace(
            "'", self.rng.choice(["''", "\\'"])) + "'"

    # ---- expressions --------------------------------------------------------

    def expr(self, kind, depth, scope):
        if self.rng.random() < self.noise:
            kind = self.rng.choice(KINDS)
        if depth <= 0 or self.rng.random() < 0.12:
            return self.leaf(kind, scope)
        depth -= 1
        roll = self.rng.random()
        if roll < 0.25:
            return self.call(kind, depth, scope)
        if roll < 0.35:
            return self.case_expr(kind, depth, scope)
        if roll < 0.42:
            return self.element(depth, scope)
        if roll < 0.5 and self.may_subquery(scope):
            return self.scalar(kind, scope)
        return getattr(self, "expr_" + kind)(depth, scope)

    def leaf(self, kind, scope):
        names = [n for n in scope.names if kind in (n[1], "any")]
        if names and self.rng.random() < 0.75:
            return E(self.rng.choice(names)[0])
        return self.literal(kind)

    def small(self):
        return E(str(self.rng.randrange(-3, 6)), NEGATE)

    def call(self, kind, depth, scope):
        if self.rng.random() < 0.07:
            return self.cast(depth, scope)
        name, kinds = self.rng.choice(CALLS[kind]).split()
        args = [self.small() if k == "D" or k == "d" and (
                    self.rng.random() < 0.9)
                else self.expr(LETTERS.get(k, "number"), depth, scope)
                for k in kinds]
        if self.rng.random() < 0.1:
            name = name.upper()
        return E(f"{name}({', '.join(a.text for a in args)})")

    def cast(self, depth, scope):
        to = self.rng.choice(["string", "number", "integer", "float",
                              "boolean", "Integer"])
        kind = self.rng.choice(["text", "bool", "any"])
        if to == "string":   # how a float is written is JSON's matter
            kind = self.rng.choice(["text", "bool"])
            e = f"coalesce({self.expr(kind, depth, scope).text}, true)"
            e = f"CASE WHEN is_number({e}) THEN 5 ELSE {e} END"
        else:
            e = self.expr(kind, depth, scope).text
        return E(f"cast({e}, '{to}')")

    def case_expr(self, kind, depth, scope):
        text, of = "CASE", "bool"
        if self.rng.random() < 0.4:
            of = self.rng.choice(KINDS)
            text += " " + self.expr(of, depth, scope).text
        for _ in range(self.rng.randrange(1, 3)):
            text += (f" WHEN {self.expr(of, depth, scope).text}"
                     f" THEN {self.expr(kind, depth, scope).text}")
        if self.rng.random() < 0.6:
            text += f" ELSE {self.expr(kind, depth, scope).text}"
        return E(text + " END")

    def element(self, depth, scope):
        of = self.expr(self.rng.choice(["array", "object"]), depth, scope)
        key = self.rng.choice(["0", "-1", "1", "'n'", "5", ".n", ".s", ""])
        if key.startswith("."):
            if of.binds < ATOM or of.text.startswith("(") or (
                    of.text[0] in ":-") or of.text[-1] in "0123456789":
                key = "'n'"
            else:
                return E(of.text + key)
        if key == "":
            key = self.expr(self.rng.choice(["number", "text"]), 1, scope).text
        # a unit, so what binds less is put into an array first
        if of.binds < ATOM or of.text.startswith(("(", "-")):
            return E(f"[{of.text}][0][{key}]")
        return E(f"{of.text}[{key}]")

    def operator(self, op, binds, a, b):
        return E(f"{a.within(binds)} {op} {b.within(binds + 1)}", binds)

    def expr_number(self, depth, scope):
        a = self.expr("number", depth, scope)
        if self.rng.random() < 0.15:
            return E(f"-{a.within(ATOM)}", NEGATE)
        op = self.rng.choice("+-*/%")
        return self.operator(op, PLUS if op in "+-" else TIMES, a,
                             self.expr("number", depth, scope))

    def expr_text(self, depth, scope):
        a, b = (self.expr("text", depth, scope) for _ in range(2))
        return self.operator("||", CONCAT, a, b)

    def expr_any(self, depth, scope):
        return self.expr(self.rng.choice(KINDS[:-1]), depth, scope)

    def expr_array(self, depth, scope):
        roll = self.rng.random()
        if roll < 0.3 and "comprehensions" in self.on:
            var, inner, source = self.range(depth, scope)
            value = self.first(self.expr("any", depth, inner))
            return E(f"ARRAY {value} FOR {var} {source}{self.when(inner)} END")
        if roll < 0.6:
            items = [self.expr("any", depth, scope).text
                     for _ in range(self.rng.randrange(4))]
            return E(f"[{', '.join(items)}]")
        of = self.expr("array", depth, scope)
        start, end = self.small().text, self.rng.choice(
            ["", self.small().text])
        if of.binds < ATOM or of.text.startswith(("(", "-")):
            return E(f"[{of.text}][0][{start}:{end}]")
        return E(f"{of.text}[{start}:{end}]")

    def expr_object(self, depth, scope):
        if self.rng.random() < 0.3 and "comprehensions" in self.on:
            var, inner, source = self.range(depth, scope)
            key = self.first(self.expr("text", 1, inner))
            return E(f"OBJECT {key}: {self.expr('any', depth, inner).text} "
                     f"FOR {var} {source}{self.when(inner)} END")
        keys = self.rng.sample(["n", "s", "x", "é"], self.rng.randrange(4))
        return E("{" + ", ".join(
            f"{self.quoted(k)}: {self.expr('any', depth, scope).text}"
            for k in keys) + "}")

    @staticmethod
    def first(e):
        """After ARRAY or OBJECT: ARRAY [ would be an element of a field."""
        return f"ifmissing({e.text})" if e.text[0] in "[(-:" else e.text

    def range(self, depth, scope):
        var = self.rng.choice(["v", "w", f"v{scope.depth}"])
        word = self.rng.choice(["IN", "IN", "WITHIN"])
        of = self.expr("array", depth, scope)
        return (var, scope.plus((var, "any"), (f"{var}.n", "number")),
                f"{word} {of.within(ATOM)}")

    def when(self, inner):
        if self.rng.random() < 0.5:
            return ""
        return f" WHEN {self.expr('bool', 1, inner).text}"

    def expr_bool(self, depth, scope):
        roll = self.rng.randrange(14)
        if roll < 3:
            op, binds = self.rng.choice([("AND", AND), ("OR", OR)])
            return self.operator(op, binds, self.expr("bool", depth, scope),
                                 self.expr("bool", depth, scope))
        if roll == 3:
            return E(f"NOT {self.expr('bool', depth, scope).within(NOT)}", NOT)
        if roll == 4:
            kind = self.rng.choice(KINDS)
            a, b, c = (self.expr(kind, depth, scope).within(LESS)
                       for _ in range(3))
            return E(f"{a} {self.maybe_not()}BETWEEN {b} AND {c}", EQUAL)
        if roll == 5:
            return self.like(depth, scope)
        if roll == 6:
            what = self.rng.choice(["NULL", "MISSING"])
            a = self.expr("any", depth, scope).within(LESS)
            return E(f"{a} IS {self.maybe_not()}{what}", EQUAL)
        if roll == 7:
            return self.in_expr(depth, scope)
        if roll == 8 and "quantifiers" in self.on:
            kind = self.rng.choice(["ANY", "EVERY", "ANY AND EVERY"])
            var, inner, source = self.range(depth, scope)
            return E(f"{kind} {var} {source} SATISFIES "
                     f"{self.expr('bool', depth, inner).text} END")
        if roll == 9 and self.may_subquery(scope):
            return E(f"EXISTS ({self.subquery('any', scope)})")
        kind = self.rng.choice(KINDS)
        op = self.rng.choice(["=", "==", "!=", "<>", "<", "<=", ">", ">="])
        return self.operator(op, EQUAL if op[0] in "=!" or op == "<>"
                             else LESS, self.expr(kind, depth, scope),
                             self.expr(kind, depth, scope))

    def maybe_not(self):
        return self.rng.choice(["", "", "NOT "])

    def like(self, depth, scope):
        a = self.expr("text", depth, scope).within(LESS)
        if "similar to" in self.on and self.rng.random() < 0.25:
            return E(f"{a} {self.maybe_not()}SIMILAR TO "
                     f"{self.quoted(self.rng.choice(SIMILAR))}", EQUAL)
        b = (self.quoted(self.rng.choice(PATTERNS))
             if self.rng.random() < 0.8
             else self.expr("text", depth, scope).within(LESS))
        word = self.rng.choice(["LIKE", "ILIKE"])
        return E(f"{a} {self.maybe_not()}{word} {b}", EQUAL)

    def in_expr(self, depth, scope):
        kind = self.rng.choice(KINDS)
        a = self.expr(kind, depth, scope).within(LESS)
        word = self.maybe_not() + "IN"
        roll = self.rng.random()
        if roll < 0.25:
            array = self.expr("array", depth, scope).within(ATOM)
            if not array.startswith("("):
                return E(f"{a} {word} {array}", EQUAL)
        if roll < 0.45 and self.may_subquery(scope):
            return E(f"{a} {word} ({self.subquery(kind, scope)})", EQUAL)
        items = [self.expr(kind, depth if self.rng.random() < 0.3 else 0,
                           scope).text
                 for _ in range(self.rng.randrange(1, 4))]
        opening, closing = self.rng.choice(["()", "[]"])
        return E(f"{a} {word} {opening}{', '.join(items)}{closing}", EQUAL)

    # ---- subqueries ---------------------------------------------------------

    def may_subquery(self, scope):
        return ("subqueries" in self.on and self.subqueries
                and scope.depth < 3)

    def alias(self):
        self.alias_count += 1
        return f"k{self.alias_count}"

    def fields_of(self, alias, bare):
        names = [(f"{alias}.{name}", kind) for name, kind in FIELDS.items()]
        if bare:
            names += list(FIELDS.items())
        return names + [(alias, "object")]

    def subquery(self, kind, scope, out=None):
        alias = self.alias()
        inner = Scope(self.fields_of(alias, True)
                      + [n for n in scope.names if n[0].startswith("k")],
                      scope.depth + 1)
        out = out or self.expr(kind, 1, inner).text
        return (f"SELECT {out} AS e FROM {self.rng.choice(self.tables)} AS "
                f"{alias} WHERE {self.expr('bool', 2, inner).text}")

    def scalar(self, kind, scope):
        if self.rng.random() < 0.3:
            name = self.rng.choice(["count", "max", "min"])
            out = self.expr(kind, 1, scope).text
            return E("(" + self.subquery(kind, scope, self.rng.choice(
                ["count(*)", f"{name}(x)", f"{name}({out})"])) + ")")
        text = self.subquery(kind, scope)
        return E(f"({text} ORDER BY k{self.last_alias(text)}._id LIMIT 1)")

    @staticmethod
    def last_alias(text):
        """The alias of the outermost FROM: the first after SELECT e AS e."""
        depth, words = 0, text.split(" ")
        for at, word in enumerate(words):
            if depth == 0 and word == "FROM":
                return words[at + 3][1:]
            depth += word.count("(") - word.count(")")
        raise AssertionError(text)

    # ---- statements ---------------------------------------------------------

    def statements(self):
        """[(text, arguments, how to compare)]"""
        self.args = {}
        makers = [(self.values, 4), (self.simple_values, 5),
                  (self.conditions, 4), (self.ordered, 3),
                  (self.grouped, 2), (self.distinct, 1), (self.starred, 1),
                  (self.by_ids, 0.5), (self.updated, 1.2),
                  (self.deleted, 0.2)]
        for name, maker in (("joins", self.joined), ("unnest", self.unnested),
                            ("set operators", self.set_operators),
                            ("with", self.with_query),
                            ("from-subqueries", self.from_subquery)):
            if name in self.on:
                makers.append((maker, 2))
        maker = self.rng.choices([m for m, _ in makers],
                                 [w for _, w in makers])[0]
        return [(text, dict(self.args), how) for text, how in maker()]

    def table(self):
        table = self.rng.choice(self.tables)
        if self.rng.random() < 0.5:
            alias = self.alias()
            return f"FROM {table} AS {alias}", alias
        return f"FROM {table}", table

    def scope(self, alias):
        return Scope(self.fields_of(alias, True))

    def values(self):
        source, alias = self.table()
        scope = self.scope(alias)
        outs = [f"{self.expr(self.rng.choice(KINDS), 3, scope).text} AS e{n}"
                for n in range(self.rng.randrange(1, 4))]
        return [(f"SELECT {', '.join(outs)} {source}", "")]

    def simple_values(self):
        """Many short expressions of the right kinds: longer ones are MISSING
        too often to show a slip."""
        source, alias = self.table()
        scope = Scope(list(FIELDS.items())[:9])
        self.noise, self.subqueries = 0, False
        outs = [f"{self.simple_value(scope).text} AS e{n}" for n in range(10)]
        self.noise, self.subqueries = 0.08, True
        return [(f"SELECT {', '.join(outs)} {source}", "")]

    def simple_value(self, scope):
        kind = self.rng.choice(["number", "bool", "bool", "text", "array"])
        if self.rng.random() < 0.3:
            return self.call(kind, 0, scope)
        return getattr(self, "expr_" + kind)(0, scope)

    def conditions(self):
        source, alias = self.table()
        kind = "bool" if self.rng.random() < 0.9 else "any"
        e = self.expr(kind, 4, self.scope(alias)).text
        return [(f"SELECT _id, {e} AS v {source}", ""),
                (f"SELECT _id {source} WHERE {e}", ""),
                (f"SELECT _id {source} WHERE NOT ({e})", ""),
                (f"SELECT count(*) AS n {source} WHERE ({e}) IS MISSING", "")]

    def keys(self, scope):
        self.subqueries = False
        keys = []
        for _ in range(self.rng.randrange(1, 3)):
            e = self.expr(self.rng.choice(KINDS), self.rng.choice([0, 2]),
                          scope)
            if any(c.isalpha() for c in e.text):
                keys.append(e.text + self.rng.choice(["", " ASC", " DESC"]))
        self.subqueries = True
        return keys

    def limit(self):
        text = self.rng.choice(["", "", f" LIMIT {self.rng.randrange(5)}"])
        return text + self.rng.choice(["", f" OFFSET {self.rng.randrange(4)}"])

    def ordered(self):
        source, alias = self.table()
        scope = self.scope(alias)
        where = ""
        if self.rng.random() < 0.5:
            where = f" WHERE {self.expr('bool', 2, scope).text}"
        keys = self.keys(scope) + ["_id" + self.rng.choice(["", " DESC"])]
        return [(f"SELECT _id, x AS z {source}{where} ORDER BY "
                 f"{', '.join(keys)}{self.limit()}", "ordered")]

    def grouped(self):
        source, alias = self.table()
        scope = self.scope(alias)
        self.subqueries = False
        keys = [self.expr(self.rng.choice(KINDS), self.rng.choice([0, 1]),
                          scope).text for _ in range(self.rng.randrange(3))]
        keys = [k for k in keys if any(c.isalpha() for c in k)]
        outs = keys + [self.aggregate(scope)
                       for _ in range(self.rng.randrange(1, 4))]
        text = "SELECT " + ", ".join(f"{e} AS e{n}"
                                     for n, e in enumerate(outs))
        text += f" {source}"
        if self.rng.random() < 0.3:
            text += f" WHERE {self.expr('bool', 1, scope).text}"
        if keys:
            text += f" GROUP BY {', '.join(keys)}"
        if keys and self.rng.random() < 0.3:
            op = self.rng.choice(["=", "<", ">"])
            text += (f" HAVING {self.aggregate(scope)} {op} "
                     f"{self.literal('number').within(LESS)}")
        self.subqueries = True
        return [(text, "loose")]

    def aggregate(self, scope):
        name = self.rng.choice(["count", "sum", "avg", "min", "max"]
                               + ["median"] * ("median" in self.on))
        if name == "count" and self.rng.random() < 0.4:
            return "count(*)"
        if name in ("sum", "avg", "median"):
            e = self.rng.choice([n for n in ("t", "a[0]", "x", "1")])
            if e in ("a[0]", "x"):
                e = f"CASE WHEN {e} BETWEEN -1000 AND 1000 THEN {e} END"
        else:
            e = self.expr(self.rng.choice(KINDS), 1, scope).text
        return f"{name}({self.rng.choice(['', '', 'DISTINCT '])}{e})"

    def distinct(self):
        source, alias = self.table()
        scope = self.scope(alias)
        outs = [f"{self.expr(self.rng.choice(KINDS), 1, scope).text} AS e{n}"
                for n in range(self.rng.randrange(1, 3))]
        return [(f"SELECT DISTINCT {', '.join(outs)} {source}", "loose")]

    def starred(self):
        source, alias = self.table()
        scope = self.scope(alias)
        outs = [self.rng.choice(["*", f"{alias}.*"])]
        for name in self.rng.sample(["n", "x", "o", "zz"],
                                    self.rng.randrange(3)):
            if self.rng.random() < 0.5:
                outs.append(f"MISSING {name}")
            else:
                e = self.expr("any", 1, scope).text
                outs.append(f"{e} AS {name}")
        if "distinct *" in self.on and self.rng.random() < 0.3:
            outs = [outs[0], "MISSING _id"] + [f"MISSING {name}" for name in
                                               FIELDS if name in "nstuaoxy"]
            return [(f"SELECT DISTINCT {', '.join(outs)} {source}", "")]
        word = self.rng.choice(["", "", "DISTINCT "])
        return [(f"SELECT {word}{', '.join(outs)} {source} ORDER BY "
                 f"{alias}._id{self.limit()}", "ordered")]

    def by_ids(self):
        table = self.rng.choice(self.tables)
        ids = ", ".join(str(self.rng.randrange(9)) for _ in range(2))
        scope = self.scope(table)
        return [(f"SELECT _id FROM {table} USE IDS {ids} WHERE "
                 f"{self.expr('bool', 2, scope).text}", "")]

    # ---- several sources

    def joined(self):
        text, aliases = "", []
        for number in range(self.rng.choice([2, 2, 3])):
            alias = self.alias()
            aliases.append(alias)
            table = self.rng.choice(self.tables)
            if number == 0:
                text = f"FROM {table} AS {alias}"
                continue
            scope = Scope([n for a in aliases for n in
                           self.fields_of(a, False)])
            kind = self.rng.choice(["JOIN", "INNER JOIN", "LEFT JOIN",
                                    "LEFT OUTER JOIN", "CROSS JOIN"]
                                   + ["RIGHT JOIN"] * (number == 1))
            text += f" {kind} {table} AS {alias}"
            if kind != "CROSS JOIN":
                text += f" ON {self.on_condition(scope, aliases)}"
        scope = Scope([n for a in aliases for n in self.fields_of(a, False)])
        outs = ", ".join(
            f"{self.expr(self.rng.choice(KINDS), 1, scope).text} AS e{n}"
            for n in range(self.rng.randrange(1, 3)))
        if self.rng.random() < 0.3:
            outs = "*"
        if self.rng.random() < 0.6:
            text += f" WHERE {self.expr('bool', 2, scope).text}"
        if self.rng.random() < 0.5:
            return [(f"SELECT {outs} {text}", "")]
        keys = ", ".join(f"{a}._id" for a in aliases)
        return [(f"SELECT {outs} {text} ORDER BY {keys}{self.limit()}",
                 "ordered")]

    def on_condition(self, scope, aliases):
        if self.rng.random() < 0.6:
            one = self.rng.choice(aliases[:-1])
            f, g = (self.rng.choice(["_id", "t", "s", "b", "x", "y"])
                    for _ in range(2))
            return f"{one}.{f} = {aliases[-1]}.{g}"
        self.subqueries = False
        e = self.expr("bool", 2, scope).text
        self.subqueries = True
        return e

    def unnested(self):
        alias = self.alias()
        scope = Scope(self.fields_of(alias, False))
        var, at = self.rng.choice(["v", "w"]), self.rng.choice(["", "i"])
        of = self.rng.choice([f"{alias}.a", f"{alias}.o", f"{alias}.x",
                              self.expr("array", 1, scope).within(ATOM)])
        word = self.rng.choice(["UNNEST", "UNNEST", "LEFT UNNEST"])
        text = (f"FROM {self.rng.choice(self.tables)} AS {alias} {word} {of} "
                f"AS {var}" + f" AT {at}" * bool(at))
        inner = scope.plus((var, "any"), (f"{var}.n", "number"),
                           *([(at, "any")] if at else []))
        outs = [f"{alias}._id AS d", f"{var} AS e"] + [f"{at} AS f"] * bool(at)
        outs.append(f"{self.expr('any', 1, inner).text} AS g")
        if self.rng.random() < 0.5:
            text += f" WHERE {self.expr('bool', 2, inner).text}"
        return [(f"SELECT {', '.join(outs)} {text}", "")]

    def simple(self, names):
        source, alias = self.table()
        scope = self.scope(alias)
        outs = ", ".join(
            f"{self.expr(self.rng.choice(KINDS), 1, scope).text} AS {n}"
            for n in names)
        return (f"SELECT {outs} {source} WHERE "
                f"{self.expr('bool', 2, scope).text}")

    def set_operators(self):
        names = self.rng.choice([["e"], ["e", "f"]])
        text = self.simple(names)
        for _ in range(self.rng.choice([1, 1, 2])):
            op = self.rng.choice(["UNION", "UNION ALL", "INTERSECT", "EXCEPT"])
            other = names if self.rng.random() < 0.8 else ["f"]
            text += f" {op} {self.simple(other)}"
        return [(text, "loose")]

    def with_query(self):
        name = self.alias()
        scope = Scope([(f"{name}.e", "any"), ("e", "any"),
                       (f"{name}.f", "any")])
        return [(f"WITH {name} AS ({self.simple(['e', 'f'])}) SELECT "
                 f"{self.expr('any', 2, scope).text} AS g FROM {name} WHERE "
                 f"{self.expr('bool', 2, scope).text}", "")]

    def from_subquery(self):
        name = self.alias()
        scope = Scope([(f"{name}.e", "any"), ("e", "any"),
                       (f"{name}.f", "any")])
        outs = self.rng.choice(
            ["*", f"{self.expr('any', 2, scope).text} AS g"])
        return [(f"SELECT {outs} FROM ({self.simple(['e', 'f'])}) AS {name} "
                 f"WHERE {self.expr('bool', 2, scope).text}", "")]

    # ---- writes

    def updated(self):
        table = self.rng.choice(self.tables)
        scope = self.scope(table)
        self.subqueries = False
        names = self.rng.sample(["n", "s", "x", "y", "o.n", "o.q", "b", "o"],
                                self.rng.randrange(1, 4))
        names = [n for n in names if n == "o" or "o" not in names
                 or not n.startswith("o.")]
        unset = names.pop() if len(names) > 1 and self.rng.random() < 0.4 \
            else None
        sets = ", ".join(
            n + " = " + ("null" if self.rng.random() < 0.1 else
                         self.expr(FIELDS.get(n, "any"), 2, scope).text)
            for n in names)
        text = f"UPDATE {table} SET {sets}"
        if unset:
            text += f" UNSET {unset}"
        text += f" WHERE {self.expr('bool', 2, scope).text}"
        self.subqueries = True
        return [(text, ""), (f"SELECT * FROM {table}", "")]

    def deleted(self):
        table = self.rng.choice(self.tables)
        scope = self.scope(table)
        return [(f"DELETE FROM {table} WHERE _id > 1 AND "
                 f"{self.expr('bool', 2, scope).within(NOT)}", ""),
                (f"SELECT * FROM {table}", "")]


def has_bytes(value):
    if isinstance(value, dict):
        return "$bytes" in value or any(map(has_bytes, value.values()))
    return isinstance(value, list) and any(map(has_bytes, value))
