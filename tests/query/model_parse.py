# SPDX-License-Identifier: Apache-2.0
"""The grammar of TQL for the model: text to a tree of tuples.

    statement ::= select | insert | update | delete
    select    ::= [WITH n AS ( select ),...] core {(UNION [ALL] | INTERSECT
                  | EXCEPT) core} [ORDER BY ...] [LIMIT n] [OFFSET n]
    core      ::= SELECT [DISTINCT] outs [FROM sources] [WHERE e]
                  [GROUP BY e,...] [HAVING e]

Expressions are tuples that begin with their kind: see Parser.unit.
"""
import re


class Missing:
    """The one MISSING; a copy of it is itself."""

    def __repr__(self):
        return "MISSING"

    def __copy__(self):
        return self

    def __deepcopy__(self, _):
        return self


MISSING = Missing()


TOKEN = re.compile(r"""
    (?P<space>   [ \t\r\n\f]+ | --[^\n]* | /\*.*?\*/ )
  | (?P<string>  '(?:[^'\\]|\\.|'')*' | "(?:[^"\\]|\\.|"")*" )
  | (?P<quoted>  `(?:[^`]|``)+` )
  | (?P<hex>     0[xX][0-9a-fA-F]+ )
  | (?P<number>  (?:[0-9]+(?:\.[0-9]+)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)? )
  | (?P<param>   :[A-Za-z_\x80-\U0010ffff][A-Za-z0-9_\x80-\U0010ffff]* )
  | (?P<word>    [A-Za-z_\x80-\U0010ffff][A-Za-z0-9_\x80-\U0010ffff]* )
  | (?P<sign>    == | != | <> | <= | >= | \|\| | [-=<>+*/%()\[\]{},.:;] )
""", re.X | re.S)

# Words that end an expression or begin something else, so are no names here.
RESERVED = set("""
    SELECT DISTINCT FROM WHERE GROUP HAVING ORDER LIMIT OFFSET AND OR NOT IN IS
    LIKE ILIKE SIMILAR BETWEEN CASE WHEN THEN ELSE END NULL MISSING TRUE FALSE
    AS USE ON SET UNSET JOIN INNER LEFT RIGHT CROSS OUTER UNNEST UNION INTERSECT
    EXCEPT EXISTS ANY EVERY SATISFIES WITHIN FOR BY ASC DESC INTO DOCUMENTS
""".split())

COMPARE = {"=": "=", "==": "=", "!=": "!=", "<>": "!=",
           "<": "<", "<=": "<=", ">": ">", ">=": ">="}
ESCAPES = {"n": "\n", "t": "\t", "r": "\r", "b": "\b", "f": "\f",
           "\\": "\\", "/": "/", "'": "'", '"': '"'}


class Refused(Exception):
    """The statement is not TQL, or not what the model knows."""


def tokens_of(text):
    """(kind, value, start, end); a parameter only where no value is before
    it, since {'k':v} and a[1:n] have a colon too."""
    at, result = 0, []
    while at < len(text):
        found = TOKEN.match(text, at)
        if not found:
            raise Refused(f"character {at}: {text[at]!r}")
        kind, body, end = found.lastgroup, found.group(), found.end()
        if kind == "param" and result and (
                result[-1][0] in ("string", "quoted", "number", "hex")
                or result[-1][0] == "word"
                and result[-1][1].upper() not in RESERVED):
            kind, body, end = "sign", ":", at + 1
        if kind != "space":
            result.append((kind, body, at, end))
        at = end
    return result + [("end", "", len(text), len(text))]


def unquoted(body):
    quote, inside = body[0], body[1:-1].replace(body[0] * 2, body[0])
    if quote == "`":
        return inside
    inside = re.sub(r"(?:\\u[0-9a-fA-F]{4})+", lambda m: bytes.fromhex(
        m.group().replace("\\u", "")).decode("utf-16-be"),
        inside) if "\\u" in inside and "\\\\u" not in inside else inside
    return re.sub(r"\\(.)", lambda m: ESCAPES[m.group(1)], inside)


class Select:
    """One SELECT, or several joined by set operators (parts)."""

    def __init__(self):
        self.ctes = []       # (name, Select)
        self.parts = []      # (operator, Select), after the first
        self.distinct = False
        # ("star", alias), ("without", name), ("out", name, e, named)
        self.outs = []
        self.sources = []    # Source
        self.where = self.having = None
        self.group = None
        self.order = []      # (e, descending)
        self.limit = self.offset = None


class Source:
    """kind: table, select or unnest; how: first, cross, inner, left, right."""

    def __init__(self, kind, how, what, alias, on=None, at=None, ids=None):
        self.kind, self.how, self.what, self.alias = kind, how, what, alias
        self.on, self.at, self.ids = on, at, ids


class Parser:
    def __init__(self, text):
        self.text = text
        self.tokens = tokens_of(text)
        self.at = 0

    # ---- tokens -------------------------------------------------------------

    def now(self):
        return self.tokens[self.at]

    def is_word(self, *words, ahead=0):
        kind, body, *_ = self.tokens[min(self.at + ahead,
                                         len(self.tokens) - 1)]
        return kind == "word" and body.upper() in words

    def is_sign(self, *signs, ahead=0):
        kind, body, *_ = self.tokens[min(self.at + ahead,
                                         len(self.tokens) - 1)]
        return kind == "sign" and body in signs

    def take(self, *words):
        """Takes all these words or signs if they are next."""
        for ahead, word in enumerate(words):
            if not (self.is_word(word, ahead=ahead)
                    or self.is_sign(word, ahead=ahead)):
                return False
        self.at += len(words)
        return True

    def need(self, *words):
        if not self.take(*words):
            raise Refused(f"expected {' '.join(words)} at {self.now()}")

    def name(self, any_word=False):
        kind, body, *_ = self.now()
        if kind == "quoted" or (kind == "word" and (
                any_word or body.upper() not in RESERVED)):
            self.at += 1
            return unquoted(body) if kind == "quoted" else body
        raise Refused(f"expected a name at {self.now()}")

    def is_name(self):
        kind, body, *_ = self.now()
        return kind == "quoted" or (kind == "word"
                                    and body.upper() not in RESERVED)

    def listed(self, one):
        found = [one()]
        while self.take(","):
            found.append(one())
        return found

    # ---- statements ---------------------------------------------------------

    def statement(self):
        if self.is_word("INSERT"):
            result = self.insert()
        elif self.is_word("UPDATE"):
            result = self.update()
        elif self.is_word("DELETE"):
            result = self.delete()
        else:
            result = ("select", self.select())
        while self.take(";"):
            pass
        if self.now()[0] != "end":
            raise Refused(f"expected the end at {self.now()}")
        return result

    def insert(self):
        self.need("INSERT", "INTO")
        self.take("COLLECTION")
        name = self.name()
        self.need("DOCUMENTS")

        def document():
            self.need("(")
            value = self.expr()
            self.need(")")
            return value
        return "insert", name, self.listed(document)

    def update(self):
        self.need("UPDATE")
        self.take("COLLECTION")
        name, sets, unsets = self.name(), [], []
        if self.take("SET"):
            def one():
                path = self.path()
                self.need("=")
                return path, self.expr()
            sets = self.listed(one)
        if self.take("UNSET"):
            unsets = self.listed(self.path)
        where = self.expr() if self.take("WHERE") else None
        return "update", name, sets, unsets, where

    def delete(self):
        self.need("DELETE", "FROM")
        name = self.name()
        return "delete", name, self.expr() if self.take("WHERE") else None

    def path(self):
        keys = [self.name()]
        while True:
            if self.take("."):
                keys.append(self.name(True))
            elif self.is_sign("["):
                self.need("[")
                keys.append(unquoted(self.now()[1]))
                self.at += 1
                self.need("]")
            else:
                return keys

    # ---- SELECT -------------------------------------------------------------

    def select(self):
        ctes = []
        if self.take("WITH"):
            def cte():
                name = self.name()
                self.need("AS", "(")
                inner = self.select()
                self.need(")")
                return name, inner
            ctes = self.listed(cte)
        s = self.core()
        while self.is_word("UNION", "INTERSECT", "EXCEPT"):
            op = self.now()[1].upper()
            self.at += 1
            if op == "UNION" and self.take("ALL"):
                op = "UNION ALL"
            s.parts.append((op, self.core()))
        s.ctes = ctes
        if self.take("ORDER", "BY"):
            s.order = self.listed(self.order_key)
        if self.take("LIMIT"):
            s.limit = self.expr()
        if self.take("OFFSET"):
            s.offset = self.expr()
        return s

    def order_key(self):
        e = self.expr()
        if self.take("DESC"):
            return e, True
        self.take("ASC")
        return e, False

    def core(self):
        s = Select()
        self.need("SELECT")
        s.distinct = self.take("DISTINCT")
        s.outs = self.listed(self.out)
        if self.take("FROM"):
            self.sources(s)
        if self.take("WHERE"):
            s.where = self.expr()
        if self.take("GROUP", "BY"):
            s.group = self.listed(self.expr)
        if self.take("HAVING"):
            s.having = self.expr()
        return s

    def out(self):
        if self.take("*"):
            return "star", None
        if self.is_name() and self.is_sign(".", ahead=1) and self.is_sign(
                "*", ahead=2):
            name = self.name()
            self.at += 2
            return "star", name
        start = self.now()[2]
        e = self.expr()
        text = self.text[start:self.tokens[self.at - 1][3]]
        named = self.take("AS")
        if named and self.now()[0] == "string":
            name = unquoted(self.now()[1])
            self.at += 1
        elif named or self.is_name():
            named, name = True, self.name()
            if e == ("const", MISSING):
                return "without", name
        elif e[0] == "name":
            name = e[1]
        elif e[0] == "field":
            name = e[2]
        else:
            name = text
        return "out", name, e, named

    def sources(self, s):
        s.sources.append(self.source("first"))
        while True:
            if self.take(","):
                how = "cross"
            elif self.take("CROSS", "JOIN"):
                how = "cross"
            elif self.take("INNER", "JOIN") or self.take("JOIN"):
                how = "inner"
            elif self.take("LEFT", "OUTER", "JOIN") or self.take(
                    "LEFT", "JOIN"):
                how = "left"
            elif self.take("RIGHT", "OUTER", "JOIN") or self.take(
                    "RIGHT", "JOIN"):
                how = "right"
            elif self.take("LEFT", "OUTER", "UNNEST") or self.take(
                    "LEFT", "UNNEST"):
                s.sources.append(self.unnest("left"))
                continue
            elif self.take("UNNEST"):
                s.sources.append(self.unnest("inner"))
                continue
            else:
                return
            source = self.source(how)
            if how in ("inner", "left", "right"):
                self.need("ON")
                source.on = self.expr()
            s.sources.append(source)

    def source(self, how):
        if self.take("UNNEST"):
            return self.unnest(how)
        if self.take("("):
            kind, what = "select", self.select()
            self.need(")")
            alias = None
        else:
            self.take("COLLECTION")
            kind, what = "table", self.name()
            alias = what
        if self.take("AS") or self.is_name():
            alias = self.name()
        source = Source(kind, how, what, alias)
        if self.take("USE", "IDS"):
            source.ids = self.listed(self.expr)
        if self.take("USE", "INDEX"):
            self.at += 1
        return source

    def unnest(self, how):
        what, alias, at = self.expr(), None, None
        if self.take("AS") or self.is_name():
            alias = self.name()
        if self.take("AT"):
            at = self.name()
        return Source("unnest", how, what, alias, at=at)

    # ---- expressions --------------------------------------------------------

    def expr(self):
        e = self.conjunction()
        while self.take("OR"):
            e = ("or", e, self.conjunction())
        return e

    def conjunction(self):
        e = self.negation()
        while self.take("AND"):
            e = ("and", e, self.negation())
        return e

    def negation(self):
        if self.take("NOT"):
            return "not", self.negation()
        return self.equality()

    def equality(self):
        e = self.comparison()
        while True:
            kind, body, *_ = self.now()
            if kind == "sign" and body in ("=", "==", "!=", "<>"):
                self.at += 1
                e = ("compare", COMPARE[body], e, self.comparison())
                continue
            if self.take("IS"):
                negated = self.take("NOT")
                what = self.now()[1].upper()
                self.at += 1
                e = ("is", what, e)
                e = ("not", e) if negated else e
                continue
            negated = self.is_word("NOT") and self.is_word(
                "IN", "LIKE", "ILIKE", "BETWEEN", "SIMILAR", ahead=1)
            self.at += negated
            found = self.tested(e)
            if found is None:
                self.at -= negated
                return e
            e = ("not", found) if negated else found

    def tested(self, e):
        if self.take("IN"):
            return "in", e, self.in_side()
        if self.take("BETWEEN"):
            low = self.comparison()
            self.need("AND")
            return "between", e, low, self.comparison()
        if self.take("LIKE"):
            return "like", "LIKE", e, self.comparison()
        if self.take("ILIKE"):
            return "like", "ILIKE", e, self.comparison()
        if self.take("SIMILAR", "TO"):
            return "like", "SIMILAR", e, self.comparison()
        return None

    def in_side(self):
        if not self.is_sign("("):
            return self.postfix()
        if self.is_word("SELECT", "WITH", ahead=1):
            self.need("(")
            inner = self.select()
            self.need(")")
            return "rows", inner
        self.need("(")
        items = self.listed(self.expr)
        self.need(")")
        return ("array", *items)

    def chain(self, below, kind, signs):
        e = below()
        while self.is_sign(*signs):
            op = self.now()[1]
            self.at += 1
            e = (kind, COMPARE.get(op, op), e, below())
        return e

    def comparison(self):
        return self.chain(self.addition, "compare", ("<", "<=", ">", ">="))

    def addition(self):
        return self.chain(self.product, "arith", ("+", "-"))

    def product(self):
        return self.chain(self.joined, "arith", ("*", "/", "%"))

    def joined(self):
        return self.chain(self.signed, "arith", ("||",))

    def signed(self):
        if self.take("-"):
            if self.now()[0] == "number":
                # so that -9223372036854775808 is an integer
                body = "-" + self.now()[1]
                if re.fullmatch("-[0-9]+", body) and int(body) == -2 ** 63:
                    self.at += 1
                    return self.steps(("const", -2 ** 63))
            return "neg", self.signed()
        if self.take("+"):
            return self.signed()
        return self.postfix()

    def postfix(self):
        return self.steps(self.unit())

    def steps(self, e):
        while True:
            if self.take("."):
                e = ("field", e, self.name(True))
            elif self.take("["):
                first = self.expr()
                if self.take(":"):
                    last = None if self.is_sign("]") else self.expr()
                    e = ("slice", e, first, last)
                else:
                    e = ("index", e, first)
                self.need("]")
            else:
                return e

    def unit(self):
        kind, body, *_ = self.now()
        if kind == "word" and body.upper() in UNIT_WORDS:
            self.at += 1
            return getattr(self, "unit_" + body.lower())()
        if kind == "word" and body.upper() in ("ARRAY", "OBJECT") and (
                self.is_for()):
            self.at += 1
            return getattr(self, "unit_" + body.lower())()
        if kind in ("word", "quoted"):
            name = self.name()
            return self.call(name) if self.is_sign("(") else ("name", name)
        self.at += 1
        if kind == "string":
            return "const", unquoted(body)
        if kind == "hex":
            return "const", number(int(body, 16))
        if kind == "number":
            return "const", (number(int(body)) if body.isdigit()
                             else float(body))
        if kind == "param":
            return "param", body[1:]
        if body == "(":
            return self.parenthesised()
        if body == "[":
            items = [] if self.is_sign("]") else self.listed(self.expr)
            self.need("]")
            return ("array", *items)
        if body == "{":
            return self.object()
        raise Refused(f"expected an expression at {(kind, body)}")

    def parenthesised(self):
        if self.is_word("SELECT", "WITH"):
            e = ("scalar", self.select())
        else:
            e = self.expr()
        self.need(")")
        return e

    def object(self):
        def pair():
            kind, body, *_ = self.now()
            self.at += 1
            self.need(":")
            return (unquoted(body) if kind in ("string", "quoted") else body,
                    self.expr())
        pairs = [] if self.is_sign("}") else self.listed(pair)
        self.need("}")
        return ("object", *pairs)

    def call(self, name):
        self.need("(")
        distinct, args = False, []
        if self.take("*"):
            args = None
        elif not self.is_sign(")"):
            distinct = self.take("DISTINCT")
            args = self.listed(self.expr)
        self.need(")")
        return "call", name.lower(), args, distinct

    def unit_null(self):
        return "const", None

    def unit_missing(self):
        return "const", MISSING

    def unit_true(self):
        return "const", True

    def unit_false(self):
        return "const", False

    def unit_exists(self):
        self.need("(")
        inner = self.select()
        self.need(")")
        return "exists", inner

    def unit_case(self):
        subject = None if self.is_word("WHEN") else self.expr()
        whens, last = [], None
        while self.take("WHEN"):
            when = self.expr()
            self.need("THEN")
            whens.append((when, self.expr()))
        if self.take("ELSE"):
            last = self.expr()
        self.need("END")
        return "case", subject, whens, last

    def ranged(self):
        """x IN e, x WITHIN e"""
        var = self.name()
        within = self.take("WITHIN")
        if not within:
            self.need("IN")
        return var, within, self.expr()

    def unit_any(self):
        kind = "any and every" if self.take("AND", "EVERY") else "any"
        return self.quantified(kind)

    def unit_every(self):
        return self.quantified("every")

    def quantified(self, kind):
        var, within, source = self.ranged()
        self.need("SATISFIES")
        condition = self.expr()
        self.need("END")
        return "quantified", kind, var, within, source, condition

    def is_for(self):
        """Whether the word here begins ARRAY ... FOR ... END."""
        nxt = self.tokens[self.at + 1]
        return not (nxt[0] == "sign" and nxt[1] in ".,)=[]}:") and (
            nxt[0] != "end")

    def unit_array(self):
        e = self.expr()
        self.need("FOR")
        return ("array for", e, *self.ranged(), self.when())

    def unit_object(self):
        key = self.expr()
        self.need(":")
        value = self.expr()
        self.need("FOR")
        return ("object for", key, value, *self.ranged(), self.when())

    def when(self):
        condition = self.expr() if self.take("WHEN") else None
        self.need("END")
        return condition


UNIT_WORDS = {n[5:].upper() for n in vars(Parser) if n.startswith("unit_")} - {
    "ARRAY", "OBJECT"}


def number(value):
    return value if -2 ** 63 <= value < 2 ** 63 else float(value)


def parse(text):
    return Parser(text).statement()
