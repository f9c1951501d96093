# SPDX-License-Identifier: Apache-2.0
"""An interpreter of TQL of its own, written from docs/query.md for clarity.

Nothing is planned or compiled: sources are nested loops, a group is a list of
the environments of its rows, and an expression is evaluated by walking it. So
where the C code, which makes SQL of a statement, agrees, its SQL means what
the document says.

An environment (Env) is what names mean: the variables of one SELECT, whether
bare names are fields of its one source, and the environment around it.
"""
import copy
import re

from model_functions import AGGREGATES, FUNCTIONS, ascii_lower
from model_parse import MISSING, Refused, parse
from model_values import (arithmetic, both, compare, either, from_json,
                          group_key, is_in, is_int, known, negative,
                          opposite, order_key, to_json)


class Env:
    """single: the one source whose fields bare names are, () for none, None
    when there are several. group: environments of the rows of a group."""

    def __init__(self, around=None, variables=None, single=(), group=None):
        self.around = around
        self.variables = variables or {}
        self.single = single
        self.group = group

    def lookup(self, name):
        env = self
        while env is not None:
            if name in env.variables:
                return env.variables[name]
            env = env.around
        env = self
        while env is not None and env.single == ():
            env = env.around
        if env is None or env.single is None:
            raise Refused(f"what is {name}?")
        return field(env.variables.get(env.single, MISSING), name)

    def with_variable(self, name, value):
        return Env(self, {name: value}, (), self.group)


def field(value, key):
    return value.get(key, MISSING) if isinstance(value, dict) else MISSING


def at(value, index):
    if isinstance(value, list) and is_int(index):
        if -len(value) <= index < len(value):
            return value[index]
        return MISSING
    return field(value, index) if isinstance(index, str) else MISSING


def cut(value, start, end):
    if not isinstance(value, list) or not is_int(start) or not is_int(end):
        return MISSING
    return value[start:end]


def parts(value):
    """The elements of an array; the values of an object, shorter keys first."""
    if isinstance(value, dict):
        keys = sorted((k.encode(), k) for k in value)
        return [value[k] for _, k in sorted(keys, key=lambda k: len(k[0]))]
    return value if isinstance(value, list) else []


def inside(value):
    """WITHIN: all that is in an array or object, however deep."""
    for part in parts(value):
        yield part
        yield from inside(part)


# ---- patterns --------------------------------------------------------------

def like_pattern(pattern):
    result, i = "", 0
    while i < len(pattern):
        c = pattern[i]
        if c == "\\" and i + 1 < len(pattern):
            i += 1
            result += re.escape(pattern[i])
        else:
            result += {"%": ".*", "_": "."}.get(c, re.escape(c))
        i += 1
    return result


def similar_pattern(pattern):
    """SIMILAR TO: % and _ as in LIKE; | * + ? {m,n} ( ) [ ] as in regular
    expressions; everything else stands for itself."""
    result, i = "", 0
    while i < len(pattern):
        c = pattern[i]
        if c == "\\" and i + 1 < len(pattern):
            i += 1
            result += re.escape(pattern[i])
        elif c == "[":
            end = pattern.index("]", i + 2)
            result += pattern[i:end + 1]
            i = end
        elif c in "|*+?(){}":
            result += c
        else:
            result += {"%": ".*", "_": "."}.get(c, re.escape(c))
        i += 1
    return result


def like(op, text, pattern):
    if not isinstance(text, str) or not isinstance(pattern, str):
        return MISSING
    if op == "ILIKE":
        text, pattern = ascii_lower(text), ascii_lower(pattern)
    make = similar_pattern if op == "SIMILAR" else like_pattern
    return re.fullmatch(make(pattern), text, re.S) is not None


# ---- expressions ------------------------------------------------------------

class Model:
    """A database: collections of documents by their name."""

    def __init__(self):
        self.tables = {}
        self.args = {}

    def evaluate(self, e, env):
        return getattr(self, "e_" + e[0].replace(" ", "_"))(env, *e[1:])

    def true(self, e, env):
        return e is None or self.evaluate(e, env) is True

    def e_const(self, env, value):
        return value

    def e_param(self, env, name):
        return self.args.get(name, MISSING)

    def e_name(self, env, name):
        return env.lookup(name)

    def e_field(self, env, of, key):
        return field(self.evaluate(of, env), key)

    def e_index(self, env, of, index):
        return at(self.evaluate(of, env), self.evaluate(index, env))

    def e_slice(self, env, of, start, end):
        return cut(self.evaluate(of, env), self.evaluate(start, env),
                   2 ** 63 - 1 if end is None else self.evaluate(end, env))

    def e_array(self, env, *items):
        values = [self.evaluate(item, env) for item in items]
        return [None if v is MISSING else v for v in values]

    def e_object(self, env, *pairs):
        values = {k: self.evaluate(e, env) for k, e in pairs}
        return {k: v for k, v in values.items() if v is not MISSING}

    def e_not(self, env, a):
        return opposite(self.evaluate(a, env))

    def e_neg(self, env, a):
        return negative(self.evaluate(a, env))

    def e_and(self, env, a, b):
        return both(self.evaluate(a, env), self.evaluate(b, env))

    def e_or(self, env, a, b):
        return either(self.evaluate(a, env), self.evaluate(b, env))

    def e_compare(self, env, op, a, b):
        return compare(op, self.evaluate(a, env), self.evaluate(b, env))

    def e_arith(self, env, op, a, b):
        return arithmetic(op, self.evaluate(a, env), self.evaluate(b, env))

    def e_is(self, env, what, a):
        value = self.evaluate(a, env)
        return value is (None if what == "NULL" else MISSING)

    def e_in(self, env, a, array):
        return is_in(self.evaluate(a, env), self.evaluate(array, env))

    def e_between(self, env, a, low, high):
        x = self.evaluate(a, env)
        return both(compare(">=", x, self.evaluate(low, env)),
                    compare("<=", x, self.evaluate(high, env)))

    def e_like(self, env, op, a, pattern):
        return like(op, self.evaluate(a, env), self.evaluate(pattern, env))

    def e_case(self, env, subject, whens, last):
        x = None if subject is None else self.evaluate(subject, env)
        for when, then in whens:
            test = self.evaluate(when, env)
            if subject is not None:
                test = compare("=", x, test)
            if test is True:
                return self.evaluate(then, env)
        return MISSING if last is None else self.evaluate(last, env)

    def e_call(self, env, name, args, distinct):
        if name in AGGREGATES:
            return self.aggregate(env, name, args, distinct)
        return FUNCTIONS[name](*(self.evaluate(a, env) for a in args))

    def aggregate(self, env, name, args, distinct):
        if env.group is None:
            raise Refused(f"{name} has no group here")
        if not args:
            return len(env.group)
        values = [self.evaluate(args[0], row) for row in env.group]
        values = [v for v in values if known(v)]
        if distinct:
            values = list({group_key(v): v for v in values}.values())
        return AGGREGATES[name](values)

    # ---- over arrays

    def elements(self, env, within, source):
        value = self.evaluate(source, env)
        if not isinstance(value, (list, dict)):
            return None
        return list(inside(value)) if within else parts(value)

    def e_quantified(self, env, kind, var, within, source, condition):
        found = self.elements(env, within, source)
        if found is None:
            return MISSING
        tests = [self.true(condition, env.with_variable(var, x))
                 for x in found]
        if kind == "any":
            return any(tests)
        return all(tests) and (kind == "every" or bool(tests))

    def e_array_for(self, env, e, var, within, source, when):
        found = self.elements(env, within, source)
        if found is None:
            return MISSING
        rows = [env.with_variable(var, x) for x in found]
        return self.e_array_values(
            [self.evaluate(e, row) for row in rows if self.true(when, row)])

    @staticmethod
    def e_array_values(values):
        return [None if v is MISSING else v for v in values]

    def e_object_for(self, env, key, value, var, within, source, when):
        found = self.elements(env, within, source)
        if found is None:
            return MISSING
        result = {}
        for x in found:
            row = env.with_variable(var, x)
            if not self.true(when, row):
                continue
            k, v = self.evaluate(key, row), self.evaluate(value, row)
            if isinstance(k, str) and v is not MISSING:
                result[k] = v
        return result

    # ---- subqueries

    def e_scalar(self, env, select):
        rows = self.values(select, env)
        return rows[0] if rows else MISSING

    def e_rows(self, env, select):
        return [None if v is MISSING else v for v in self.values(select, env)]

    def e_exists(self, env, select):
        return bool(self.rows(select, env))

    def values(self, select, env):
        """The rows of a subquery, each its one value."""
        out = select.outs[0]
        rows = self.rows(select, env)
        return rows if out[0] == "star" else [field(r, out[1]) for r in rows]

    # ---- SELECT -------------------------------------------------------------

    def rows(self, select, around):
        if select.ctes:
            kept = self.tables
            self.tables = dict(self.tables)
            for name, inner in select.ctes:
                self.tables[name] = self.rows(inner, around)
            rows = self.ordered(select, around)
            self.tables = kept
            return rows
        return self.ordered(select, around)

    def ordered(self, select, around):
        """(row, environment) pairs in order, cut, without the environment."""
        pairs = self.core(select, around)
        for op, part in select.parts:
            pairs = set_operator(op, pairs, self.core(part, around))
        if select.parts:
            pairs = [(row, Env(around, dict(row))) for row, _ in pairs]
        for e, descending in reversed(select.order):
            e = e if select.parts else by_name(select, e)
            pairs.sort(key=lambda pair: order_key(
                MISSING if select.parts and e[0] == "name"
                and e[1] not in pair[0] else self.evaluate(e, pair[1])),
                reverse=descending)
        start = 0 if select.offset is None else self.evaluate(
            select.offset, Env())
        end = len(pairs) if select.limit is None else start + self.evaluate(
            select.limit, Env())
        return [row for row, _ in pairs[start:end]]

    def core(self, select, around):
        envs = [env for env in self.sources(select, around)
                if self.true(select.where, env)]
        if is_grouped(select):
            envs = self.groups(select, envs, around)
        pairs = [(self.row(select, env), env) for env in envs]
        return distinct_rows(pairs) if select.distinct else pairs

    def groups(self, select, envs, around):
        keys = [by_name(select, g) for g in select.group or []]
        groups = {}
        for env in envs:
            key = tuple(group_key(self.evaluate(k, env)) for k in keys)
            groups.setdefault(key, []).append(env)
        if not groups and not keys:
            groups = {(): []}
        result = []
        for rows in groups.values():
            first = rows[0] if rows else Env(around, {}, ())
            env = Env(first.around, first.variables, first.single, rows)
            having = select.having and by_name(select, select.having)
            if self.true(having, env):
                result.append(env)
        return result

    def row(self, select, env):
        row, left_out = {}, set()
        for out in select.outs:
            if out[0] == "star":
                row.update(self.star(select, env))
            elif out[0] == "without":
                left_out.add(out[1])
        row = {k: v for k, v in row.items() if k not in left_out}
        for out in select.outs:
            if out[0] == "out":
                row.pop(out[1], None)
                value = self.evaluate(out[2], env)
                if value is not MISSING:
                    row[out[1]] = value
        return row

    @staticmethod
    def star(select, env):
        if len(select.sources) == 1:
            return env.variables[select.sources[0].alias]
        return {s.alias: env.variables[s.alias] for s in select.sources
                if env.variables.get(s.alias, MISSING) is not MISSING}

    # ---- FROM

    def sources(self, select, around):
        if not select.sources:
            return [Env(around)]
        names = [s.alias for s in select.sources]
        single = names[0] if len(names) == 1 else None
        found = [{}]
        for source in select.sources:
            found = self.joined(found, source, around, select.sources)
        return [Env(around, variables, single) for variables in found]

    def joined(self, found, source, around, sources):
        """found: variables of the sources before this one, row by row."""
        result, matched = [], set()
        single = source.alias if len(sources) == 1 else None
        for variables in found:
            some = False
            env = Env(around, variables, single if variables else ())
            for number, more in enumerate(self.items(source, env)):
                both_sides = {**variables, **more}
                if self.true(source.on, Env(around, both_sides, single)):
                    some = True
                    matched.add(number)
                    result.append(both_sides)
            if not some and source.how == "left":
                result.append({**variables, source.alias: MISSING,
                               **({source.at: MISSING} if source.at else {})})
        if source.how == "right":
            before = sources[:sources.index(source)]
            nothing = {name: MISSING for s in before
                       for name in (s.alias, s.at) if name}
            for number, more in enumerate(self.items(source, Env(around))):
                if number not in matched:
                    result.append({**nothing, **more})
        return result

    def items(self, source, env):
        """What a source adds to the variables, row by row."""
        if source.kind == "table":
            docs = self.tables.get(source.what, [])
            if source.ids is not None:
                ids = [self.evaluate(e, env) for e in source.ids]
                docs = [d for d in docs if is_in(d["_id"], ids) is True]
            return [{source.alias: doc} for doc in docs]
        if source.kind == "select":
            return [{source.alias: row}
                    for row in self.rows(source.what, env.around)]
        value = self.evaluate(source.what, env)
        if isinstance(value, list):
            pairs = enumerate(value)
        elif isinstance(value, dict):
            pairs = value.items()
        else:
            pairs = []
        return [{source.alias: v, **({source.at: k} if source.at else {})}
                for k, v in pairs]

    # ---- statements ---------------------------------------------------------

    def run(self, text, args=None):
        """The rows of a SELECT, or None."""
        self.args = {k: from_json(v) for k, v in (args or {}).items()}
        statement = parse(text)
        return getattr(self, "run_" + statement[0])(*statement[1:])

    def run_select(self, select):
        return [to_json(row) for row in self.rows(select, None)]

    def run_insert(self, table, documents):
        for e in documents:
            value = self.evaluate(e, Env())
            self.tables.setdefault(table, []).extend(
                value if isinstance(value, list) else [value])

    def chosen(self, table, where):
        for doc in self.tables.get(table, []):
            env = Env(None, {table: doc}, table)
            if self.true(where, env):
                yield doc, env

    def run_delete(self, table, where):
        gone = [id(doc) for doc, _ in self.chosen(table, where)]
        self.tables[table] = [d for d in self.tables.get(table, [])
                              if id(d) not in gone]

    def run_update(self, table, sets, unsets, where):
        for doc, env in list(self.chosen(table, where)):
            values = [(path, copy.deepcopy(self.evaluate(e, env)))
                      for path, e in sets]
            for path, value in values:
                if value is not MISSING:
                    assign(doc, path, value)
            for path in unsets:
                remove(doc, path)


def assign(doc, path, value):
    """Sets a field; parents are made, an object merges into an object."""
    for key in path[:-1]:
        if not isinstance(doc.get(key), dict):
            doc[key] = {}
        doc = doc[key]
    put(doc, path[-1], value)


def put(doc, key, value):
    if not isinstance(value, dict):
        doc[key] = value
        return
    if not isinstance(doc.get(key), dict):
        doc[key] = {}
    for k, v in value.items():
        put(doc[key], k, v)


def remove(doc, path):
    for key in path[:-1]:
        doc = doc.get(key)
        if not isinstance(doc, dict):
            return
    doc.pop(path[-1], None)


# ---- rows --------------------------------------------------------------

def distinct_rows(pairs):
    found = {}
    for row, env in pairs:
        found.setdefault(row_key(row), (row, env))
    return list(found.values())


def row_key(row):
    """Equal rows have equal fields: numbers as numbers, the rest deeply."""
    return tuple((k, group_key(row[k])) for k in sorted(row))


def set_operator(op, left, right):
    if op == "UNION ALL":
        return left + right
    if op == "UNION":
        return distinct_rows(left + right)
    keys = {row_key(row) for row, _ in right}
    return [pair for pair in distinct_rows(left)
            if (row_key(pair[0]) in keys) == (op == "INTERSECT")]


def by_name(select, e):
    """Names that AS gave, and numbers of result fields, stand for their
    expressions in ORDER BY, GROUP BY and HAVING."""
    if e[0] == "const" and is_int(e[1]):
        return select.outs[e[1] - 1][2]
    return substituted(select, e)


def substituted(select, e):
    if isinstance(e, tuple) and e[:1] == ("name",):
        if e[1] not in [s.alias for s in select.sources]:
            for out in select.outs:
                if out[0] == "out" and out[3] and out[1] == e[1]:
                    return out[2]
        return e
    if isinstance(e, (tuple, list)):
        return type(e)(substituted(select, part) for part in e)
    return e


def is_grouped(select):
    return (select.group is not None or select.having is not None
            or has_aggregate([out[2] for out in select.outs
                              if out[0] == "out"]))


def has_aggregate(e):
    if isinstance(e, tuple) and e[:1] == ("call",) and e[1] in AGGREGATES:
        return True
    return isinstance(e, (tuple, list)) and any(map(has_aggregate, e))
