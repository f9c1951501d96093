# SPDX-License-Identifier: Apache-2.0
"""Statements of diff_sqlite.py, each written in TQL and in SQL at once."""
import json

import differ

# Precedences, weakest first; both languages have the same.
OR, AND, NOT, EQUAL, LESS, PLUS, TIMES, CONCAT, NEGATE, ATOM = range(1, 11)

TYPES = ("int", "real", "text", "bool")
FIELDS = {"_id": "int", "i1": "int", "i2": "int", "o.i3": "int",
          "l[0]": "int", "r1": "real", "r2": "real", "s1": "text",
          "s2": "text", "o.s3": "text", "b1": "bool", "b2": "bool"}
WORDS = ["", "a", "A", "b", "ab", "aB", "abc", "é", "éa", " a ", "a%", "a_",
         "\\", "b\U0001F600", "'", '"', "Z", "zz"]
PATTERNS = ["%", "a%", "%b", "_", "a_", "%a%", "", "A%", "_b%", "\\\\%",
            "a\\%", "%\\_%", "%é", "__"]

ROWS = ["INSERT INTO p DOCUMENTS ({'_id': 1, 'i': 1})",
        "INSERT INTO q DOCUMENTS ({'_id': 1, 'i': 1})"]
FEATURES = [
    ("joins", ROWS, "SELECT a.i AS x FROM p AS a JOIN q AS b ON a.i = b.i"),
    ("subqueries", ROWS, "SELECT i AS x FROM p AS a WHERE EXISTS "
     "(SELECT b.i AS y FROM q AS b WHERE b.i = a.i) AND i IN "
     "(SELECT b.i AS y FROM q AS b) AND i = "
     "(SELECT max(b.i) AS y FROM q AS b)"),
    ("from-subqueries", ROWS,
     "SELECT a.x AS x FROM (SELECT i AS x FROM p) AS a"),
    ("set operators", ROWS, "SELECT i AS x FROM p UNION ALL "
     "SELECT i AS x FROM q EXCEPT SELECT 2 AS x ORDER BY x"),
    ("with", ROWS, "WITH w AS (SELECT i AS x FROM p) SELECT w.x AS x FROM w"),
]


class E:
    """An expression in both languages, with how tightly it binds."""

    def __init__(self, tql, sql, binds=ATOM):
        self.tql = tql
        self.sql = sql
        self.binds = binds

    def within(self, binds):
        """In parentheses where what is around binds tighter."""
        if self.binds >= binds:
            return self
        return E(f"({self.tql})", f"({self.sql})")


def same(text, binds=ATOM):
    return E(text, text, binds)


def call(tql, sql, *args):
    return E(f"{tql}({', '.join(a.tql for a in args)})",
             f"{sql}({', '.join(a.sql for a in args)})")


def filled(tql, sql, *args):
    """Texts with {0}, {1}: arguments, each in parentheses."""
    return E(tql.format(*(f"({a.tql})" for a in args)),
             sql.format(*(f"({a.sql})" for a in args)))


def as_keys(keys):
    """For ORDER BY and GROUP BY: a bare number would mean a column, and
    SQLite makes one of `x AND false`."""
    return [E(k.tql, f"coalesce({k.sql}, NULL)")
            for k in keys if '"' in k.sql]


class Step:
    """types: of the columns c0, c1...; None: nothing to compare."""

    def __init__(self, tql, sql, types, ordered=False):
        self.tql, self.sql = tql, sql
        self.types, self.ordered = types, ordered


class Source:
    """What FROM names: an alias and its fields."""

    def __init__(self, alias, fields, table=True):
        self.alias, self.fields, self.table = alias, fields, table


class Scope:
    """Sources of one SELECT, and those around it."""

    def __init__(self, sources, outer=None):
        self.sources, self.outer = sources, outer

    def level(self):
        return 1 + (self.outer.level() if self.outer else 0)


class Generator:
    def __init__(self, rng, on, number):
        self.rng = rng
        self.on = on
        self.tables = (f"t{number}", f"u{number}")
        self.missing_only = rng.random() < 0.5
        self.aliases = 0
        self.prefix = "c"    # of the names of results, being made now
        self.subqueries = True

    # ---- data ---------------------------------------------------------------

    def case(self):
        docs = {name: self.documents() for name in self.tables}
        steps = []
        for _ in range(30):
            if self.rng.random() < 0.08:
                steps += self.mutation()
            else:
                steps.append(self.query())
        return differ.Case(docs, [(s.tql, {}) for s in steps],
                           more={"steps": steps, "columns": list(FIELDS)})

    def documents(self):
        holes = self.rng.choice([0, 0.1, 0.3])
        docs = []
        for number in range(self.rng.choice([0, 1, 5, 9, 14])):
            doc = {"_id": number}
            for name, kind in FIELDS.items():
                if name == "_id" or self.rng.random() < holes:
                    continue
                if not self.missing_only and self.rng.random() < holes:
                    value = None
                else:
                    value = self.value(kind)
                if name == "l[0]":
                    doc["l"] = [value]
                elif "." in name:
                    doc.setdefault("o", {})[name[2:]] = value
                else:
                    doc[name] = value
            docs.append(doc)
        return docs

    def value(self, kind):
        rng = self.rng
        if kind == "int":
            return rng.choice([rng.randrange(-4, 6), rng.randrange(-50, 50),
                               rng.choice([0, 1, 100, 1000003])])
        if kind == "real":
            return rng.randrange(-40, 60) / rng.choice([1, 2, 8])
        if kind == "bool":
            return rng.random() < 0.5
        return rng.choice(WORDS)

    # ---- expressions --------------------------------------------------------

    def literal(self, kind):
        value = self.value(kind)
        if kind == "bool":
            return E(json.dumps(value), str(int(value)))
        if kind == "text":
            return self.quoted(value)
        text = repr(value)
        return same(text, NEGATE if text.startswith("-") else ATOM)

    def quoted(self, text):
        sql = "'" + text.replace("'", "''") + "'"
        tql = "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"
        if self.rng.random() < 0.3:
            tql = json.dumps(text, ensure_ascii=self.rng.random() < 0.5)
        return E(tql, sql)

    def field(self, kind, scope):
        choices = []
        at = scope
        while at is not None:
            for source in at.sources:
                choices += [(at, source, name)
                            for name, of in source.fields.items()
                            if of == kind]
            at = at.outer
        if not choices:
            return self.literal(kind)
        at, source, name = self.rng.choice(choices)
        if at is scope and len(at.sources) == 1 and self.rng.random() < 0.6:
            return E(name, f'"{name}"')
        return E(f"{source.alias}.{name}", f'{source.alias}."{name}"')

    def expr(self, kind, depth, scope):
        if depth <= 0 or self.rng.random() < 0.15:
            if self.rng.random() < 0.75:
                return self.field(kind, scope)
            return self.literal(kind)
        if self.rng.random() < 0.12:
            return self.any_kind(kind, depth - 1, scope)
        return getattr(self, "expr_" + kind)(depth - 1, scope)

    def any_kind(self, kind, depth, scope):
        """What gives any kind: CASE, coalesce, nullif, a scalar subquery."""
        choice = self.rng.randrange(5)
        a, b = (self.expr(kind, depth, scope) for _ in range(2))
        if choice == 0:
            return call("coalesce", "coalesce", a, b)
        if choice == 1:
            name = "missingif" if self.missing_only else "nullif"
            return call(name, "nullif", a, b)
        if choice == 2 and self.may_subquery(scope):
            return self.scalar_subquery(kind, scope)
        return self.case_expr(kind, depth, scope, a, b)

    def case_expr(self, kind, depth, scope, a, b):
        tql = sql = "CASE"
        if self.rng.random() < 0.4:
            of = self.rng.choice(TYPES)
            subject = self.expr(of, depth, scope)
            tql += f" {subject.tql}"
            sql += f" {subject.sql}"
        else:
            of = "bool"
        for value in (a, b)[:self.rng.randrange(1, 3)]:
            when = self.expr(of, depth, scope)
            tql += f" WHEN {when.tql} THEN {value.tql}"
            sql += f" WHEN {when.sql} THEN {value.sql}"
        if self.rng.random() < 0.6:
            last = self.expr(kind, depth, scope)
            tql += f" ELSE {last.tql}"
            sql += f" ELSE {last.sql}"
        return E(tql + " END", sql + " END")

    def operator(self, op, binds, a, b):
        a, b = a.within(binds), b.within(binds + 1)
        return E(f"{a.tql} {op} {b.tql}", f"{a.sql} {op} {b.sql}", binds)

    def negated(self, a):
        a = a.within(ATOM)
        return E(f"-{a.tql}", f"-{a.sql}", NEGATE)

    def expr_int(self, depth, scope):
        choice = self.rng.randrange(9)
        a = self.expr("int", depth, scope)
        if choice == 0:
            return self.negated(a)
        if choice == 1:
            return call("abs", "abs", a)
        if choice == 2:
            name = self.rng.choice(["char_length", "character_length"])
            return call(name, "length", self.expr("text", depth, scope))
        if choice == 3:
            s, part = (self.expr("text", depth, scope) for _ in range(2))
            return filled("pos({0}, {1})", "(instr({0}, {1}) - 1)", s, part)
        op = self.rng.choice("+-*/%+-")
        return self.operator(op, PLUS if op in "+-" else TIMES, a,
                             self.expr("int", depth, scope))

    def expr_real(self, depth, scope):
        choice = self.rng.randrange(8)
        a = self.expr("real", depth, scope)
        if choice == 0:
            return self.negated(a)
        if choice == 1:
            return call("abs", "abs", a)
        if choice == 2:
            return call("round", "round", a)
        if choice == 3:
            return self.operator("/", TIMES, a, same(
                self.rng.choice(["2.0", "0.5", "4.0", "0.0", "8"])))
        other = self.expr(self.rng.choice(["int", "real"]), depth, scope)
        op = self.rng.choice("+-*")
        if self.rng.random() < 0.5:
            a, other = other, a
        return self.operator(op, TIMES if op == "*" else PLUS, a, other)

    def expr_text(self, depth, scope):
        choice = self.rng.randrange(6)
        a = self.expr("text", depth, scope)
        if choice == 0:
            return call(*[self.rng.choice(["lower", "upper"])] * 2, a)
        if choice == 1:
            name = self.rng.choice(["trim", "ltrim", "rtrim"])
            args = [a]
            if self.rng.random() < 0.5:
                args.append(self.quoted(self.rng.choice(["a", "ab", "é b"])))
            return call(name, name, *args)
        if choice == 2:
            return self.substr(a)
        b = self.expr("text", depth, scope)
        if choice == 3:
            return filled("concat({0}, {1})", "({0} || {1})", a, b)
        return self.operator("||", CONCAT, a, b)

    def substr(self, a):
        start = self.rng.randrange(-1, 4)
        count = self.rng.choice(["", f", {self.rng.randrange(4)}"])
        if start < 0:
            return filled(f"substr({{0}}, -1{count})",
                          f"CASE WHEN {{0}} = '' THEN '' "
                          f"ELSE substr({{0}}, -1{count}) END", a)
        return filled(f"substr({{0}}, {start}{count})",
                      f"CASE WHEN length({{0}}) < {start} THEN NULL "
                      f"ELSE substr({{0}}, {start + 1}{count}) END", a)

    def expr_bool(self, depth, scope):
        choice = self.rng.randrange(16)
        if choice < 4:
            a, b = (self.expr("bool", depth, scope) for _ in range(2))
            op, binds = self.rng.choice([("AND", AND), ("OR", OR)])
            return self.operator(op, binds, a, b)
        if choice == 4:
            a = self.expr("bool", depth, scope).within(NOT)
            return E(f"NOT {a.tql}", f"NOT {a.sql}", NOT)
        if choice == 5:
            return self.between(depth, scope)
        if choice == 6:
            return self.like(depth, scope)
        if choice == 7:
            return self.unknown(depth, scope)
        if choice == 8:
            return self.in_list(depth, scope)
        if choice == 9 and self.may_subquery(scope):
            return self.in_subquery(depth, scope)
        if choice == 10 and self.may_subquery(scope):
            return self.exists(scope)
        if choice == 11:
            return self.text_test(depth, scope)
        return self.compared(depth, scope)

    def compared(self, depth, scope):
        kind, other = self.pair_of_kinds()
        op = self.rng.choice(["=", "==", "!=", "<>", "<", "<=", ">", ">="])
        binds = EQUAL if op[0] in "=!" or op == "<>" else LESS
        return self.operator(op, binds, self.expr(kind, depth, scope),
                             self.expr(other, depth, scope))

    def pair_of_kinds(self):
        kind = self.rng.choice(TYPES)
        if kind in ("int", "real"):
            return kind, self.rng.choice(["int", "real"])
        return kind, kind

    def between(self, depth, scope):
        kind, other = self.pair_of_kinds()
        a, b, c = (self.expr(k, depth, scope).within(LESS)
                   for k in (kind, other, kind))
        word = self.rng.choice(["BETWEEN", "NOT BETWEEN"])
        return E(f"{a.tql} {word} {b.tql} AND {c.tql}",
                 f"{a.sql} {word} {b.sql} AND {c.sql}", EQUAL)

    def like(self, depth, scope):
        a = self.expr("text", depth, scope).within(LESS)
        if self.rng.random() < 0.8:
            b = self.quoted(self.rng.choice(PATTERNS))
        else:
            # A lone \\ at the end matches itself in TQL, nothing in SQLite.
            b = call("rtrim", "rtrim", self.expr("text", 0, scope),
                     E("'\\\\'", "'\\'"))
        word = self.rng.choice(["LIKE", "NOT LIKE"])
        if self.rng.random() < 0.3:
            return E(f"{a.tql} {word.replace('LIKE', 'ILIKE')} {b.tql}",
                     f"lower({a.sql}) {word} lower({b.sql}) ESCAPE '\\'",
                     EQUAL)
        return E(f"{a.tql} {word} {b.tql}",
                 f"{a.sql} {word} {b.sql} ESCAPE '\\'", EQUAL)

    def unknown(self, depth, scope):
        a = self.expr(self.rng.choice(TYPES), depth, scope)
        word = self.rng.choice(["IS", "IS NOT"])
        sql = f"{{0}} {word} NULL"
        if self.missing_only:
            return filled(f"({{0}} {word} MISSING)", f"({sql})", a)
        if word == "IS":
            return filled("({0} IS NULL OR {0} IS MISSING)", f"({sql})", a)
        return filled("(NOT ismissingornull({0}))", f"({sql})", a)

    def in_list(self, depth, scope):
        kind, other = self.pair_of_kinds()
        a = self.expr(kind, depth, scope)
        items = [self.expr(other, self.rng.choice([0, 0, depth]), scope)
                 for _ in range(self.rng.randrange(1, 5))]
        if self.rng.random() < 0.5:
            items = [self.literal(other) for _ in items]
        tql = ", ".join(i.tql for i in items)
        tql = self.rng.choice([f"({tql})", f"[{tql}]"])
        return self.as_in(a, tql, ", ".join(i.sql for i in items))

    def as_in(self, a, tql, sql):
        word, value = self.rng.choice([("IN", ""), ("NOT IN", "NOT ")])
        return E(f"{a.within(LESS).tql} {word} {tql}",
                 f"(CASE WHEN {a.within(LESS).sql} IS NULL THEN NULL ELSE "
                 f"{value}coalesce({a.within(LESS).sql} IN ({sql}), 0) END)",
                 EQUAL)

    def text_test(self, depth, scope):
        a, b = (self.expr("text", depth, scope) for _ in range(2))
        return self.rng.choice([
            filled("contains({0}, {1})", "(instr({0}, {1}) > 0)", a, b),
            filled("starts_with({0}, {1})",
                   "(substr({0}, 1, length({1})) = {1})", a, b),
        ])

    # ---- subqueries ---------------------------------------------------------

    def may_subquery(self, scope):
        return ("subqueries" in self.on and self.subqueries
                and scope.level() < 3)

    def alias(self):
        self.aliases += 1
        return f"k{self.aliases}"

    def inner(self, scope):
        """FROM and WHERE of a subquery, and its scope."""
        alias = self.alias()
        table = self.rng.choice(self.tables)
        inner = Scope([Source(alias, FIELDS)], scope)
        where = self.expr("bool", 2, inner)
        return inner, E(f"FROM {table} AS {alias} WHERE {where.tql}",
                        f"FROM {table} AS {alias} WHERE {where.sql}")

    def in_subquery(self, depth, scope):
        kind, other = self.pair_of_kinds()
        a = self.expr(kind, depth, scope)
        inner, rest = self.inner(scope)
        out = self.expr(other, 1, inner)
        return self.as_in(a, f"(SELECT {out.tql} AS c0 {rest.tql})",
                          f"SELECT {out.sql} AS c0 {rest.sql}")

    def exists(self, scope):
        inner, rest = self.inner(scope)
        out = self.expr("int", 0, inner)
        return E(f"EXISTS (SELECT {out.tql} AS c0 {rest.tql})",
                 f"EXISTS (SELECT {out.sql} AS c0 {rest.sql})")

    def scalar_subquery(self, kind, scope):
        inner, rest = self.inner(scope)
        if self.rng.random() < 0.5 and kind != "bool":
            # SQL gives an aggregate of outer fields to the outer SELECT.
            name = self.rng.choice(["min", "max"])
            out = call(name, name, self.field(kind, Scope(inner.sources)))
            order = ""
        else:
            out = self.expr(kind, 1, inner)
            order = f" ORDER BY {inner.sources[0].alias}._id LIMIT 1"
        return E(f"(SELECT {out.tql} AS c0 {rest.tql}{order})",
                 f"(SELECT {out.sql} AS c0 {rest.sql}{order})")

    # ---- SELECT -------------------------------------------------------------

    def known(self, a):
        """Unknown as null, where rows are compared as wholes."""
        if self.missing_only:
            return a
        return E(f"CASE WHEN ismissingornull({a.tql}) THEN null "
                 f"ELSE {a.tql} END", a.sql)

    def query(self):
        roll = self.rng.random()
        if roll < 0.12 and "set operators" in self.on:
            return self.set_operator()
        if roll < 0.18 and "with" in self.on:
            return self.with_query()
        return self.select(None)

    def sources(self, outer):
        """FROM in both languages, and the scope that it makes."""
        if self.rng.random() < 0.12 and "from-subqueries" in self.on:
            return self.from_subquery(outer)
        first = self.alias()
        table = self.rng.choice(self.tables)
        text = f"FROM {table} AS {first}"
        scope = Scope([Source(first, FIELDS)], outer)
        if "joins" not in self.on or self.rng.random() < 0.6:
            return scope, same(text)
        tql = sql = text
        for _ in range(self.rng.choice([1, 1, 2])):
            alias = self.alias()
            table = self.rng.choice(self.tables)
            scope.sources.append(Source(alias, FIELDS))
            kind = self.rng.choice(["JOIN", "INNER JOIN", "LEFT JOIN",
                                    "LEFT OUTER JOIN", "RIGHT JOIN", "CROSS"])
            if kind == "CROSS":
                text = self.rng.choice([f" CROSS JOIN {table} AS {alias}",
                                        f", {table} {alias}"])
                if "RIGHT" in sql:  # a comma after an outer join
                    text = f" CROSS JOIN {table} AS {alias}"
                tql, sql = tql + text, sql + text
                continue
            if "," in tql or "CROSS" in tql:
                kind = "JOIN"
            # SQLite 3.40 loses rows of a RIGHT JOIN after a JOIN whose ON is
            # constant and false; diff_model.py has all of them.
            if kind == "RIGHT JOIN" and " JOIN" in tql:
                kind = "LEFT JOIN"
            on = self.join_condition(scope)
            tql += f" {kind} {table} AS {alias} ON {on.tql}"
            sql += f" {kind} {table} AS {alias} ON {on.sql}"
        return scope, E(tql, sql)

    def join_condition(self, scope):
        self.subqueries = False
        if self.rng.random() < 0.7:
            kind = self.rng.choice(TYPES)
            one, other = scope.sources[-1], self.rng.choice(scope.sources[:-1])
            names = [n for n, of in FIELDS.items() if of == kind]
            a, b = (self.rng.choice(names) for _ in range(2))
            on = E(f"{one.alias}.{a} = {other.alias}.{b}",
                   f'{one.alias}."{a}" = {other.alias}."{b}"', EQUAL)
            if self.rng.random() < 0.3:
                on = self.operator("AND", AND, on, self.expr("bool", 1, scope))
        else:
            on = self.expr("bool", 2, scope)
        self.subqueries = True
        return on

    def from_subquery(self, outer):
        alias = self.alias()
        query, source = self.derived(alias)
        word = self.rng.choice(["AS ", ""])
        return (Scope([source], outer),
                E(f"FROM ({query.tql}) {word}{alias}",
                  f"FROM ({query.sql}) {word}{alias}"))

    def derived(self, alias):
        """A SELECT to read from, with names of its own: those of a result win
        over fields in ORDER BY."""
        before, self.prefix = self.prefix, alias + "_"
        query = self.select(None)
        fields = {f"{self.prefix}{n}": of for n, of in enumerate(query.types)}
        self.prefix = before
        return query, Source(alias, fields, table=False)

    def select(self, types, limits=True):
        """types: of the columns, or None for any. LIMIT stands only where the
        order leaves nothing open."""
        scope, source = self.sources(None)
        tql, sql = source.tql, source.sql
        if self.rng.random() < 0.75:
            where = self.expr("bool", 3, scope)
            tql += f" WHERE {where.tql}"
            sql += f" WHERE {where.sql}"
        grouped = self.rng.random() < 0.3
        shape = self.grouped if grouped else self.plain
        return shape(scope, E(tql, sql), types, limits)

    def plain(self, scope, rest, types, limits):
        types = types or [self.rng.choice(TYPES)
                          for _ in range(self.rng.randrange(1, 4))]
        distinct = self.rng.random() < 0.25
        outs = [self.expr(kind, 2, scope) for kind in types]
        if distinct or not limits:
            outs = [self.known(out) for out in outs]
        order, total = self.order(scope, outs, types, distinct)
        return self.finish(outs, types, rest, order, total, distinct, limits)

    def order(self, scope, outs, types, distinct):
        """Keys of ORDER BY, and whether they leave nothing open."""
        by_name = self.missing_only or distinct
        names = [f"{self.prefix}{n}" for n in range(len(outs))]
        keys = [E(name, f'"{name}"') if by_name else self.known(out)
                for name, out in zip(names, outs)]
        self.rng.shuffle(keys)
        keys = as_keys(keys)
        if self.rng.random() < 0.4:
            return [], False
        if distinct:
            return keys, True
        keys = keys[:self.rng.randrange(len(keys) + 1)]
        if self.rng.random() < 0.3:
            kind = self.rng.choice(TYPES)
            self.subqueries = False
            keys = as_keys([self.known(self.expr(kind, 2, scope))]) + keys
            self.subqueries = True
        if not all(source.table for source in scope.sources):
            return keys, False
        return keys + [E(f"{s.alias}._id", f"{s.alias}._id")
                       for s in scope.sources], True

    def grouped(self, scope, rest, types, limits):
        self.subqueries = False
        of = [self.rng.choice(TYPES) for _ in range(self.rng.randrange(3))]
        keys = [self.known(self.expr(kind, self.rng.choice([0, 0, 2]), scope))
                for kind in of]
        kinds = types or [self.rng.choice(["int", "real", "text"])
                          for _ in range(self.rng.randrange(1, 4))]
        outs = [self.aggregate(kind, scope) for kind in kinds]
        if types is None:
            outs, kinds = outs + keys, kinds + of
        keys = as_keys(keys)
        if not limits:
            outs = [self.known(out) for out in outs]
        tql, sql = rest.tql, rest.sql
        if keys:
            tql += f" GROUP BY {', '.join(k.tql for k in keys)}"
            sql += f" GROUP BY {', '.join(k.sql for k in keys)}"
            if self.rng.random() < 0.3:
                having = self.having(scope)
                tql += f" HAVING {having.tql}"
                sql += f" HAVING {having.sql}"
        self.subqueries = True
        return self.finish(outs, kinds, E(tql, sql), [], False, False, limits)

    def aggregate(self, kind, scope):
        distinct = self.rng.choice(["", "", "DISTINCT "])
        choice = self.rng.randrange(4)
        if kind == "int" and choice == 0:
            return same("count(*)")
        if kind == "int" and choice == 1:
            a = self.known(self.expr(self.rng.choice(TYPES), 2, scope))
            return E(f"count({distinct}{a.tql})", f"count({distinct}{a.sql})")
        name = self.rng.choice(["min", "max"])
        if kind == "bool":
            a = self.expr(kind, 1, scope)
            return call(name, name, a)
        if kind != "text" and choice == 2:
            name = "sum"
        a = self.expr(kind, 1, scope)
        if kind == "real" and choice == 3:
            name = "avg"
            a = self.field("real", scope)
        return E(f"{name}({distinct}{a.tql})", f"{name}({distinct}{a.sql})")

    def having(self, scope):
        kind = self.rng.choice(["int", "real", "text"])
        op = self.rng.choice(["=", "!=", "<", ">="])
        return self.operator(op, EQUAL if op[0] in "=!" else LESS,
                             self.aggregate(kind, scope), self.literal(kind))

    def finish(self, outs, types, rest, order, total, distinct, limits):
        word = "SELECT DISTINCT" if distinct else "SELECT"
        names = [f"{self.prefix}{n}" for n in range(len(outs))]
        tql = ", ".join(f"{o.tql} AS {n}" for n, o in zip(names, outs))
        sql = ", ".join(f"{o.sql} AS {n}" for n, o in zip(names, outs))
        tql, sql = f"{word} {tql} {rest.tql}", f"{word} {sql} {rest.sql}"
        if limits and order:
            tail = self.order_by(order)
            tql, sql = tql + tail.tql, sql + tail.sql
        if limits and total:
            tail = self.limit()
            tql, sql = tql + tail.tql, sql + tail.sql
        return Step(tql, sql, types, total and limits)

    def order_by(self, keys):
        ways = [self.rng.choice([("", " NULLS LAST"), (" ASC", " NULLS LAST"),
                                 (" DESC", " DESC NULLS FIRST")])
                for _ in keys]
        return E(" ORDER BY " + ", ".join(k.tql + w[0]
                                          for k, w in zip(keys, ways)),
                 " ORDER BY " + ", ".join(k.sql + w[1]
                                          for k, w in zip(keys, ways)))

    def limit(self):
        roll = self.rng.random()
        n, skip = self.rng.randrange(6), self.rng.randrange(4)
        if roll < 0.4:
            return same("")
        if roll < 0.7:
            return same(f" LIMIT {n}")
        if roll < 0.9:
            return same(f" LIMIT {n} OFFSET {skip}")
        return E(f" OFFSET {skip}", f" LIMIT -1 OFFSET {skip}")

    def set_operator(self):
        types = [self.rng.choice(TYPES)
                 for _ in range(self.rng.randrange(1, 3))]
        first = self.select(types, limits=False)
        tql, sql = first.tql, first.sql
        for _ in range(self.rng.choice([1, 1, 2])):
            word = self.rng.choice(["UNION", "UNION ALL", "INTERSECT",
                                    "EXCEPT"])
            other = self.select(types, limits=False)
            tql += f" {word} {other.tql}"
            sql += f" {word} {other.sql}"
        if self.rng.random() < 0.5:
            return Step(tql, sql, types)
        names = [same(f"c{n}") for n in range(len(types))]
        self.rng.shuffle(names)
        order, limit = self.order_by(names), self.limit()
        return Step(tql + order.tql + limit.tql, sql + order.sql + limit.sql,
                    types, True)

    def with_query(self):
        name = self.alias()
        inner, source = self.derived(name)
        step = self.plain(Scope([source]), same(f"FROM {name}"), None, True)
        return Step(f"WITH {name} AS ({inner.tql}) {step.tql}",
                    f"WITH {name} AS ({inner.sql}) {step.sql}",
                    step.types, step.ordered)

    # ---- writes -------------------------------------------------------------

    def mutation(self):
        """A write, and a SELECT of all that it may have changed."""
        table = self.rng.choice(self.tables)
        scope = Scope([Source(table, FIELDS)])
        self.subqueries = False
        where = self.expr("bool", 2, scope)
        if self.rng.random() < 0.25:
            write = E(f"DELETE FROM {table} WHERE {where.tql}",
                      f"DELETE FROM {table} WHERE {where.sql}")
        else:
            write = self.update(table, scope, where)
        self.subqueries = True
        outs = [E(name, f'"{name}"') for name in FIELDS]
        state = self.finish(outs, list(FIELDS.values()),
                            same(f"FROM {table}"),
                            [same("_id")], False, False, True)
        return [Step(write.tql, write.sql, None), state]

    def update(self, table, scope, where):
        names = [n for n in FIELDS if n not in ("_id", "l[0]")]
        names = self.rng.sample(names, self.rng.randrange(1, 4))
        sets = []
        for name in names:
            value = self.expr(FIELDS[name], 2, scope)
            if self.missing_only:
                sets.append(E(f"{name} = {value.tql}",
                              f'"{name}" = coalesce({value.sql}, "{name}")'))
            else:
                sets.append(E(f"{name} = {self.known(value).tql}",
                              f'"{name}" = {value.sql}'))
        tql = f"UPDATE {table} SET " + ", ".join(s.tql for s in sets)
        sql = f"UPDATE {table} SET " + ", ".join(s.sql for s in sets)
        return E(f"{tql} WHERE {where.tql}", f"{sql} WHERE {where.sql}")
