# SPDX-License-Identifier: Apache-2.0
"""What the differential tests of TQL share: cases that can be told again from
a seed and a number, the program as a child that answers many statements at
once, and reports of what differs with as few documents as still show it.

A test module gives one object with

    programs        how many databases each case needs (1 or 2)
    features        [(name, set-up statements, statement that needs it,
                    what it gives, where an answer alone is not enough)]
    make(rng, on, number)   a Case; `on`: the features that work. Cases share
                    databases, so collections have the number in their names
    check(case, answers)    [(number of the step, what differs)]

Run by hand: diff_model.py --tako PATH [--cases N] [--seed S] [--only CASE].
`--tako model` puts the interpreter of model.py in the program's place: so
diff_sqlite.py tests the model.
"""
import argparse
import json
import os
import pathlib
import random
import subprocess
import sys
import threading
import time

from model import Model, Refused

CHUNK = 25          # cases for one child
SHOWN = 3           # differences that are told in full
DIFFERENCES_MAX = 40
MODEL = "model"     # in place of the program
CHUNK_SECONDS = 120  # a child that takes longer is ended


class Case:
    """Documents by collection, statements before the steps, and the steps:
    (statement, arguments). Whatever else the test needs is in `more`."""

    def __init__(self, docs, steps, prepare=(), more=None):
        self.docs = docs
        self.steps = steps
        self.prepare = list(prepare)   # run by the last program only
        self.more = more

    def lines(self, prepared):
        for name, docs in self.docs.items():
            if docs:
                yield f"INSERT INTO {name} DOCUMENTS (:docs)", {"docs": docs}
        if prepared:
            for statement in self.prepare:
                yield statement, {}
        yield from self.steps

    def before(self, prepared):
        return (sum(1 for docs in self.docs.values() if docs)
                + (len(self.prepare) if prepared else 0))


class Died(Exception):
    """The program ended, or hung, in the middle of its input."""


def ask(tako, lines):
    """The answers of one new, empty database to many statements."""
    if tako == MODEL:
        return model_answers(lines)
    child = subprocess.Popen([tako, "probe", "query"], stdin=subprocess.PIPE,
                             stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    text = "".join(json.dumps({"statement": s, "args": a}) + "\n"
                   for s, a in lines).encode()
    late = threading.Timer(CHUNK_SECONDS, child.kill)
    late.start()
    try:
        out, err = child.communicate(text)
    finally:
        late.cancel()
    answers = [answer_of(line) for line in out.splitlines()]
    if child.returncode != 0 or len(answers) != len(lines):
        at = lines[min(len(answers), len(lines) - 1)]
        raise Died(f"exit status {child.returncode} at {at}: "
                   f"{err.decode(errors='replace')[-2000:]}")
    return answers


def model_answers(lines):
    model, answers = Model(), []
    for statement, args in lines:
        try:
            rows = model.run(statement, args)
            answers.append({"mutated": []} if rows is None
                           else {"items": rows})
        except Refused as reason:
            answers.append({"error": str(reason), "code": "TAKO_INVALID"})
    return answers


def answer_of(line):
    try:
        return json.loads(line.decode())
    except ValueError as error:
        return {"error": f"{error}: {line}", "code": "no JSON"}


def answers_of(tako, test, cases):
    """For each case the list of its answers, by program."""
    result = [[] for _ in cases]
    for number in range(test.programs):
        prepared = number == test.programs - 1
        spread, lines = [], []
        for case in cases:
            own = list(case.lines(prepared))
            spread.append((len(lines), len(lines) + len(own)))
            lines += own
        got = ask(tako, lines)
        for (start, end), case, all_answers in zip(spread, cases, result):
            refuse_errors(lines[start:end], got[start:end],
                          case.before(prepared))
            all_answers.append(got[start + case.before(prepared):end])
    return result


def refuse_errors(lines, answers, count):
    for line, answer in zip(lines[:count], answers[:count]):
        if "error" in answer:
            raise Died(f"{line[0]}: {answer['error']}")


# ---- comparing --------------------------------------------------------------

def canonical(value, loose):
    """A value as a text that equal values share. loose: 1 and 1.0 are one,
    for rows that stand for a group of equal ones."""
    if isinstance(value, dict):
        return "{" + ",".join(f"{json.dumps(k)}:{canonical(value[k], loose)}"
                              for k in sorted(value)) + "}"
    if isinstance(value, list):
        return "[" + ",".join(canonical(v, loose) for v in value) + "]"
    if isinstance(value, float):
        if loose and value == int(value):
            return str(int(value))
        return repr(value)
    return json.dumps(value)


def difference(got, want, ordered, loose=False):
    """None, or a text that tells how two lists of rows differ."""
    a = [canonical(row, loose) for row in got]
    b = [canonical(row, loose) for row in want]
    if not ordered:
        a.sort()
        b.sort()
    if a == b:
        return None
    return f"  got  {' '.join(a)[:3000]}\n  want {' '.join(b)[:3000]}"


# ---- running --------------------------------------------------------------

def options():
    parser = argparse.ArgumentParser()
    parser.add_argument("--tako", default=os.environ.get("TAKO_BIN"))
    parser.add_argument("--cases", type=int,
                        default=int(os.environ.get("TAKO_TEST_CASES", "100")),
                        help="data sets; each has many statements")
    parser.add_argument("--seed", type=int, default=None)
    parser.add_argument("--only", type=int, default=None,
                        help="this case alone, and print it")
    parser.add_argument("--require-all", action="store_true",
                        help="fail when a feature is not there")
    found = parser.parse_args()
    if not found.tako:
        sys.exit("which program? --tako PATH")
    if found.tako != MODEL:
        found.tako = str(pathlib.Path(found.tako).resolve())
    if found.seed is None:
        found.seed = int(os.environ.get("TAKO_TEST_SEED",
                                        random.randrange(2 ** 32)))
    return found


def probe_features(tako, test, required):
    """The features whose statement works; prints the others."""
    on = set()
    for name, before, statement, *gives in test.features:
        answer = ask(tako, [(s, {}) for s in before] + [(statement, {})])[-1]
        if "error" not in answer and gives in ([], [answer["items"]]):
            on.add(name)
        elif "error" not in answer:
            print(f"skipped: {name} ({answer})")
        elif answer["code"] in ("TAKO_UNSUPPORTED", "TAKO_INVALID"):
            print(f"skipped: {name} ({answer['error']})")
        else:
            sys.exit(f"{statement}: {answer}")
    if required and len(on) < len(test.features):
        sys.exit("FAILED: features are not there")
    return on


def shrunk(tako, test, case, step):
    """The case with fewer documents that still differs at the step. Steps
    before it stay: they may have changed the data."""
    def differs(docs):
        less = Case(docs, case.steps, case.prepare, case.more)
        try:
            answers = answers_of(tako, test, [less])[0]
        except Died:
            return False
        return any(at == step for at, _ in test.check(less, answers))

    docs = case.docs
    for name in list(docs):
        for doc in list(docs[name]):
            less = dict(docs)
            less[name] = [d for d in docs[name] if d is not doc]
            if differs(less):
                docs = less
    return Case(docs, case.steps, case.prepare, case.more)


def tell(tako, test, seed, number, case, step):
    case = shrunk(tako, test, case, step)
    answers = answers_of(tako, test, [case])[0]
    print(f"\nDIFFERS: --seed {seed} --only {number}, step {step}")
    for name, docs in case.docs.items():
        for doc in docs:
            print(f"  {name}: {json.dumps(doc, ensure_ascii=False)}")
    for statement in case.prepare:
        print(f"  {statement}")
    for at, what in test.check(case, answers):
        if at == step:
            print(f"  {case.steps[at][0]}")
            if case.steps[at][1]:
                print(f"  args {json.dumps(case.steps[at][1])}")
            print(what)


def run_chunk(tako, test, seed, numbers, on):
    """What differs in some cases: [(number, case, step)], and the steps."""
    cases = [test.make(random.Random(f"{seed}/{n}"), on, n) for n in numbers]
    found = []
    try:
        answers = answers_of(tako, test, cases)
    except Died as died:
        if len(numbers) == 1:
            print(f"\nDIED: --seed {seed} --only {numbers[0]}: {died}")
            return [(numbers[0], None, 0)], 0
        half = len(numbers) // 2
        parts = [run_chunk(tako, test, seed, part, on)
                 for part in (numbers[:half], numbers[half:])]
        return parts[0][0] + parts[1][0], parts[0][1] + parts[1][1]
    for number, case, answer in zip(numbers, cases, answers):
        for step, _ in test.check(case, answer):
            found.append((number, case, step))
    return found, sum(len(case.steps) for case in cases)


def main(test):
    """Runs a test and ends the process: 1 when something differs."""
    opt = options()
    on = probe_features(opt.tako, test, opt.require_all)
    numbers = range(opt.cases) if opt.only is None else [opt.only]
    found, steps, start = [], 0, time.monotonic()
    print(f"seed {opt.seed}, {len(numbers)} cases", flush=True)
    if opt.only is not None:
        case = test.make(random.Random(f"{opt.seed}/{opt.only}"), on,
                         opt.only)
        for line in case.lines(True):
            print(f"  {json.dumps(line, ensure_ascii=False)}")
    for at in range(0, len(numbers), CHUNK):
        more, count = run_chunk(opt.tako, test, opt.seed,
                                list(numbers[at:at + CHUNK]), on)
        found += more
        steps += count
        if len(found) >= DIFFERENCES_MAX:
            break
    known = [f for f in found if f[1] is not None]
    known.sort(key=lambda f: len(f[1].steps[f[2]][0]))
    for number, case, step in known[:SHOWN]:
        tell(opt.tako, test, opt.seed, number, case, step)
    print(f"{steps} statements in {time.monotonic() - start:.1f} s, "
          f"{len(found)} differ; seed {opt.seed}{test.summary()}")
    sys.exit(1 if found or steps == 0 else 0)
