#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""TQL against the interpreter in model.py: values of every kind, expressions
over all of them, and statements of every shape. An expression is asked for as
a value, as a condition and as the condition's contrary, so that the three
cannot disagree."""
import copy

import differ
from diff_model_gen import FEATURES, Generator
from model import Model, Refused
from model_values import from_json


class Test:
    programs = 1
    features = FEATURES

    def __init__(self):
        self.full = self.empty = self.refused = 0

    def make(self, rng, on, number):
        return Generator(rng, on, number).case()

    def check(self, case, answers):
        model = Model()
        for name, docs in case.docs.items():
            model.tables[name] = [from_json(d) for d in copy.deepcopy(docs)]
        found = []
        for number, ((statement, args), how, answer) in enumerate(
                zip(case.steps, case.more, answers[0])):
            what = self.check_step(model, statement, args, how, answer)
            if what is not None:
                found.append((number, what))
        return found

    def check_step(self, model, statement, args, how, answer):
        try:
            want = model.run(statement, args)
        except Refused as reason:
            self.refused += 1
            if "error" in answer:
                return None
            return f"  got  {answer}\n  want an error, {reason}"
        except Exception as error:
            raise RuntimeError(f"{statement} {args}") from error
        if "error" in answer:
            return f"  got  {answer['error']}\n  want {want}"
        if want is None:
            return None
        self.full += bool(want)
        self.empty += not want
        return differ.difference(answer["items"], want, "ordered" in how,
                                 "loose" in how)

    def summary(self):
        return (f"; {self.full} with rows, {self.empty} without, "
                f"{self.refused} refused by both")


if __name__ == "__main__":
    differ.main(Test())
