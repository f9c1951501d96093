#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""TQL against SQLite, over what the two languages share.

A generator writes every statement twice, in TQL and in SQL. Expressions are
typed (int, real, text, bool), since SQL converts between kinds where TQL
says MISSING; where the languages spell or count otherwise, the SQL side is
translated here:

- NULL and MISSING are both NULL to SQL. A data set has either only missing
  fields or both; in the second, what is grouped, ordered or joined by equality
  of rows is first made null by `known`.
- unknown sorts last, so SQL gets NULLS LAST (FIRST when DESC);
- IN over a list with unknown elements is false, not NULL, when none is equal;
- LIKE heeds case (a pragma) and has the escape \\; ILIKE is LIKE of lower();
- substr counts from 0; a start beyond the end is unknown;
- UPDATE leaves a field whose new value is MISSING.

Reals are multiples of 1/8, so that their sums do not depend on the order;
0.0 and -0.0 count as one.
"""
import sqlite3

import differ
from diff_sqlite_gen import FEATURES, Generator

# What a statement becomes nests a little deeper than the one that was drawn
# for SQLite, and its parser has a limit: an error of ours, and no other rows.
TOO_DEEP = "parser stack overflow"


class Test:
    programs = 1
    features = FEATURES

    def __init__(self):
        self.empty = self.full = self.refused = self.too_deep = 0

    def make(self, rng, on, number):
        return Generator(rng, on, number).case()

    def check(self, case, answers):
        db = self.load(case)
        found = []
        for number, (step, answer) in enumerate(zip(case.more["steps"],
                                                    answers[0])):
            what = self.check_step(db, step, answer)
            if what is not None:
                found.append((number, what))
        db.close()
        return found

    @staticmethod
    def load(case):
        db = sqlite3.connect(":memory:", isolation_level=None)
        db.execute("PRAGMA case_sensitive_like = ON")
        columns = case.more["columns"]
        names = ",".join(f'"{name}"' for name in columns)
        for table, docs in case.docs.items():
            db.execute(f"CREATE TABLE {table} ({names})")
            for doc in docs:
                row = [sql_value(field_of(doc, name)) for name in columns]
                db.execute(f"INSERT INTO {table} VALUES "
                           f"({','.join('?' * len(row))})", row)
        return db

    def check_step(self, db, step, answer):
        try:
            rows = db.execute(step.sql).fetchall()
        except sqlite3.OperationalError as error:
            if str(error) != "integer overflow":
                raise RuntimeError(f"{step.sql}\n{step.tql}") from error
            self.refused += 1
            return None
        if TOO_DEEP in answer.get("error", ""):
            self.too_deep += 1
            return None
        if "error" in answer:
            return f"  got  {answer['error']}\n  sql  {step.sql}"
        if step.types is None:
            return None
        want = [row_of(step, row) for row in rows]
        got = [{k: plus_zero(v) for k, v in row.items() if v is not None}
               for row in answer["items"]]
        self.empty += not want
        self.full += bool(want)
        what = differ.difference(got, want, step.ordered)
        return what and f"{what}\n  sql  {step.sql}"

    def summary(self):
        return (f"; {self.full} with rows, {self.empty} without, "
                f"{self.refused} refused by SQLite, {self.too_deep} too deep")


def field_of(doc, name):
    """name: a, o.a or l[0]"""
    if "." in name:
        first, _, last = name.partition(".")
        return doc.get(first, {}).get(last)
    if name.endswith("[0]"):
        return (doc.get(name[:-3]) or [None])[0]
    return doc.get(name)


def sql_value(value):
    return int(value) if isinstance(value, bool) else value


def plus_zero(value):
    return 0.0 if isinstance(value, float) and value == 0 else value


def row_of(step, row):
    """A row of SQL as TQL would give it: unknown fields are left out."""
    result = {}
    for number, (kind, value) in enumerate(zip(step.types, row)):
        if value is not None:
            result[f"c{number}"] = (bool(value) if kind == "bool"
                                    else plus_zero(value))
    return result


if __name__ == "__main__":
    differ.main(Test())
