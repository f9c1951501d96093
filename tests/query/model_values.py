# SPDX-License-Identifier: Apache-2.0
"""The values of TQL for the model: kinds, order, equality, arithmetic.

null is None, MISSING its own object; booleans, int, float, bytes, str, list
and dict are Python's. Inside arrays and objects values are equal when their
CBOR is, and compare by it.
"""
import base64
import math
import struct

from model_parse import MISSING

FALSE, TRUE, NUMBER, BYTES, TEXT, ARRAY, OBJECT, NULL, GONE = range(9)
NAMES = ["boolean", "boolean", "number", "binary", "string", "array", "object",
         "null", "missing"]


def from_json(value):
    if isinstance(value, dict):
        if list(value) == ["$bytes"] and isinstance(value["$bytes"], str):
            return base64.b64decode(value["$bytes"])
        return {k: from_json(v) for k, v in value.items()}
    if isinstance(value, list):
        return [from_json(v) for v in value]
    return value


def to_json(value):
    if isinstance(value, bytes):
        return {"$bytes": base64.b64encode(value).decode()}
    if isinstance(value, dict):
        return {k: to_json(v) for k, v in value.items()}
    if isinstance(value, list):
        return [to_json(v) for v in value]
    return value


def rank(v):
    if v is MISSING:
        return GONE
    if v is None:
        return NULL
    if isinstance(v, bool):
        return TRUE if v else FALSE
    return {int: NUMBER, float: NUMBER, bytes: BYTES, str: TEXT, list: ARRAY,
            dict: OBJECT}[type(v)]


def kind(v):
    return NAMES[rank(v)]


def known(v):
    return v is not None and v is not MISSING


def is_number(v):
    return rank(v) == NUMBER


def is_int(v):
    return is_number(v) and isinstance(v, int)


# ---- encoding --------------------------------------------------------------

def head(major, n):
    if n < 24:
        return bytes([major << 5 | n])
    for code, size in ((24, 1), (25, 2), (26, 4), (27, 8)):
        if n < 1 << (8 * size):
            return bytes([major << 5 | code]) + n.to_bytes(size, "big")
    raise OverflowError(n)


def encode_float(v):
    """The shortest of the three forms that keeps the value."""
    for code, form in ((0xF9, ">e"), (0xFA, ">f"), (0xFB, ">d")):
        try:
            packed = struct.pack(form, v)
        except OverflowError:
            continue
        if struct.unpack(form, packed)[0] == v:
            return bytes([code]) + packed
    raise ValueError(v)


def encode(v):
    """Deterministic CBOR."""
    if v is None:
        return b"\xf6"
    if isinstance(v, bool):
        return b"\xf5" if v else b"\xf4"
    if isinstance(v, int):
        return head(0, v) if v >= 0 else head(1, -1 - v)
    if isinstance(v, float):
        return encode_float(v)
    if isinstance(v, bytes):
        return head(2, len(v)) + v
    if isinstance(v, str):
        return head(3, len(v.encode())) + v.encode()
    if isinstance(v, list):
        return head(4, len(v)) + b"".join(encode(x) for x in v)
    pairs = sorted((encode(k), encode(x)) for k, x in v.items())
    return head(5, len(pairs)) + b"".join(k + x for k, x in pairs)


# ---- order and equality -----------------------------------------------------

def inner(v):
    """What orders values of one rank."""
    r = rank(v)
    if r == NUMBER:
        return v       # Python compares int and float exactly
    if r == TEXT:
        return v.encode()
    if r in (BYTES, ARRAY, OBJECT):
        return encode(v)
    return 0


def order_key(v):
    return rank(v), inner(v)


def group_key(v):
    """Values are one group, or one DISTINCT row, when this is equal."""
    return order_key(v)


def same_kind(a, b):
    return kind(a) == kind(b)


def compare(op, a, b):
    """=, != and the rest: MISSING for unknown values and other kinds."""
    if not known(a) or not known(b) or not same_kind(a, b):
        return MISSING
    x, y = order_key(a), order_key(b)
    return {"=": x == y, "!=": x != y, "<": x < y, "<=": x <= y, ">": x > y,
            ">=": x >= y}[op]


def is_in(x, array):
    if not known(x) or not isinstance(array, list):
        return MISSING
    return any(compare("=", x, item) is True for item in array)


# ---- logic --------------------------------------------------------------

def both(a, b):
    if a is False or b is False:
        return False
    return True if a is True and b is True else MISSING


def either(a, b):
    if a is True or b is True:
        return True
    return False if a is False and b is False else MISSING


def opposite(a):
    return not a if isinstance(a, bool) else MISSING


# ---- arithmetic -------------------------------------------------------------

def finite(v):
    return v if math.isfinite(v) else MISSING


def exact(op, a, b):
    """On two integers, as long as it takes."""
    if op == "+":
        return a + b
    if op == "-":
        return a - b
    if op == "*":
        return a * b
    whole = abs(a) // abs(b)
    whole = whole if (a < 0) == (b < 0) else -whole
    return whole if op == "/" else a - b * whole


def arithmetic(op, a, b):
    if op == "||":
        return a + b if isinstance(a, str) and isinstance(b, str) else MISSING
    if not is_number(a) or not is_number(b):
        return MISSING
    if op in "/%" and b == 0:
        return MISSING
    if is_int(a) and is_int(b):
        result = exact(op, a, b)
        if -2 ** 63 <= result < 2 ** 63:
            return result
    a, b = float(a), float(b)
    if op == "%":
        return math.fmod(a, b)
    try:
        return finite({"+": lambda: a + b, "-": lambda: a - b,
                       "*": lambda: a * b, "/": lambda: a / b}[op]())
    except OverflowError:
        return MISSING


def negative(v):
    if not is_number(v):
        return MISSING
    return -float(v) if is_int(v) and v == -2 ** 63 else -v
