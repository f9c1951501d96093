# SPDX-License-Identifier: Apache-2.0
"""The functions of TQL for the model. f_<name>(arguments...) is a function,
a_<name>(values) an aggregate over the values that are known. A decorator says
which kinds a function is for; anything else gives MISSING."""
import json
import math
import re
from fractions import Fraction

from model_parse import MISSING, number
from model_values import (compare, encode, is_in, is_int, is_number, kind,
                          known, negative, order_key, rank)

WHITE = " \t\r\n\f\v"
ROW_BYTES_MAX = 64 << 20

# t(ext), i(nteger), n(umber), a(rray), o(bject), any(*); | begins the optional
KINDS = {"t": lambda v: isinstance(v, str), "i": is_int, "n": is_number,
         "a": lambda v: isinstance(v, list),
         "o": lambda v: isinstance(v, dict), "*": lambda v: True}


def takes(pattern):
    kinds = pattern.replace("|", "")

    def wrap(f):
        def checked(*args):
            for k, arg in zip(kinds, args):
                if not KINDS[k](arg):
                    return MISSING
            return f(*args)
        return checked
    return wrap


# ---- conditional ------------------------------------------------------------

def f_coalesce(*args):
    for arg in args:
        if known(arg):
            return arg
    return None if None in args else MISSING


f_ifmissingornull = f_nvl = f_coalesce


def f_ifmissing(*args):
    return next((a for a in args if a is not MISSING), MISSING)


def f_ifnull(*args):
    return next((a for a in args if a is not None), None)


def f_ismissing(x):
    return x is MISSING


def f_isnull(x):
    return x is None


def f_ismissingornull(x):
    return not known(x)


def f_nullif(a, b):
    return None if compare("=", a, b) is True else a


def f_missingif(a, b):
    return MISSING if compare("=", a, b) is True else a


def f_decode(x, *args):
    while len(args) > 1:
        if order_key(x) == order_key(args[0]):
            return args[1]
        args = args[2:]
    return args[0] if args else MISSING


# ---- types --------------------------------------------------------------

def f_type(x):
    return kind(x)


def f_json_type(x):
    if is_int(x):
        return "integer"
    return ["false", "true", "real", "bytes", "text", "array", "object",
            "null", MISSING][rank(x)]


def f_is_number(x):
    return is_number(x)


def f_is_string(x):
    return isinstance(x, str)


def f_is_boolean(x):
    return isinstance(x, bool)


def text_number(s):
    """The number that a text is, or None."""
    if re.fullmatch(r"[+-]?[0-9]+", s) and -2 ** 63 <= int(s) < 2 ** 63:
        return int(s)
    if re.fullmatch(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?", s):
        return float(s) if math.isfinite(float(s)) else None
    return None


def cast_number(x, to):
    if isinstance(x, bool):
        x = int(x)
    elif isinstance(x, str):
        text, x = x, text_number(x)
        if x is not None and to == "float":
            return float(text)      # '-0' too
    elif not is_number(x):
        return MISSING
    if x is None:
        return MISSING
    if to == "float":
        return float(x)
    if to == "integer" and not is_int(x):
        return int(x) if -2.0 ** 63 <= x < 2.0 ** 63 else MISSING
    return x


def f_cast(x, to):
    to = to.lower() if isinstance(to, str) else to
    if to in ("number", "integer", "float"):
        return cast_number(x, to)
    if to == "boolean":
        if is_number(x):
            return x != 0
        if isinstance(x, str) and x.lower() in ("true", "false"):
            return x.lower() == "true"
        return x if isinstance(x, bool) else MISSING
    if to == "string":
        if isinstance(x, bool):
            return "true" if x else "false"
        if is_number(x):
            return repr(x)
        return x if isinstance(x, str) else MISSING
    return MISSING


# ---- texts --------------------------------------------------------------

@takes("t" * 20)
def f_concat(*args):
    return "".join(args)


@takes("tt")
def f_starts_with(s, part):
    return s.startswith(part)


@takes("tt")
def f_ends_with(s, part):
    return s.endswith(part)


@takes("tt")
def f_contains(s, part):
    return part in s


@takes("t")
def f_char_length(s):
    return len(s)


f_character_length = f_char_length


def f_byte_length(x):
    if isinstance(x, str):
        return len(x.encode())
    return len(x) if isinstance(x, bytes) else MISSING


def ascii_lower(s):
    return "".join(c.lower() if c < "\x80" else c for c in s)


@takes("t")
def f_lower(s):
    return ascii_lower(s)


@takes("t")
def f_upper(s):
    return "".join(c.upper() if c < "\x80" else c for c in s)


@takes("tii")
def f_substr(s, start, count=2 ** 63 - 1):
    if start < 0:
        start = max(0, len(s) + start)
    if start > len(s) or count < 0:
        return MISSING
    return s[start:start + count]


@takes("tt")
def f_pos(s, part):
    return s.find(part)


f_position = f_pos


@takes("tt")
def f_split(s, by=None):
    if by is None:
        for c in map(chr, range(33)):
            s = s.replace(c, " ")
        return [part for part in s.split(" ") if part]
    return s.split(by) if by else MISSING


@takes("at")
def f_joinstr(array, by):
    if not all(isinstance(x, str) for x in array):
        return MISSING
    return by.join(array)


@takes("tt")
def f_trim(s, characters=WHITE):
    return s.strip(characters) if characters else s


@takes("tt")
def f_ltrim(s, characters=WHITE):
    return s.lstrip(characters) if characters else s


@takes("tt")
def f_rtrim(s, characters=WHITE):
    return s.rstrip(characters) if characters else s


def padding(s, width, fill):
    missing = max(0, width - len(s))
    return (fill * (missing // len(fill) + 1))[:missing]


@takes("tit")
def f_lpad(s, width, fill=" "):
    if width < 0 or not fill or width > ROW_BYTES_MAX:
        return MISSING
    return padding(s, width, fill) + s[:width]


@takes("tit")
def f_rpad(s, width, fill=" "):
    if width < 0 or not fill or width > ROW_BYTES_MAX:
        return MISSING
    return s[:width] + padding(s, width, fill)


@takes("ti")
def f_repeat(s, n):
    return s * n if n >= 0 else MISSING


# ---- objects and arrays -----------------------------------------------------

def sorted_keys(o):
    return sorted(o, key=encode)


@takes("o")
def f_object_keys(o):
    return sorted_keys(o)


@takes("o")
def f_object_values(o):
    return [o[k] for k in sorted_keys(o)]


@takes("o")
def f_object_length(o):
    return len(o)


@takes("o")
def f_object_size(o):
    return len(encode(o))


@takes("ot*")
def f_object_set(o, key, value):
    return o if value is MISSING else {**o, key: value}


@takes("ot")
def f_object_unset(o, key):
    return {k: v for k, v in o.items() if k != key}


@takes("ott")
def f_object_rename(o, old, new):
    if old not in o:
        return o
    return {**f_object_unset(o, old), new: o[old]}


@takes("o" * 20)
def f_object_concat(*objects):
    return {k: v for o in objects for k, v in o.items()}


@takes("a")
def f_array_length(a):
    return len(a)


@takes("a*")
def f_array_contains(a, v):
    return is_in(v, a)


@takes("a")
def f_array_contains_null(a):
    return None in a


def number_of(digits):
    """-0 is a float, and so is what 64 bits do not hold."""
    value = number(int(digits))
    return -0.0 if value == 0 and digits[0] == "-" else value


@takes("t")
def f_deserialize_json(s):
    def pairs(found):
        if len(dict(found)) < len(found):
            raise ValueError("a key twice")
        return dict(found)

    def refuse(_):
        raise ValueError("no number")
    try:
        return json.loads(s, object_pairs_hook=pairs, parse_constant=refuse,
                          parse_int=number_of)
    except ValueError:
        return MISSING


# ---- numbers --------------------------------------------------------------

@takes("n")
def f_abs(x):
    return negative(x) if x < 0 else x


@takes("n")
def f_ceil(x):
    return x if is_int(x) else math.copysign(float(math.ceil(x)), x)


@takes("n")
def f_floor(x):
    return x if is_int(x) else math.copysign(float(math.floor(x)), x)


def nearest(x):
    """To a whole number; halves away from zero."""
    away = math.floor(abs(x) + Fraction(1, 2))
    return -away if x < 0 else away


@takes("ni")
def f_round(x, digits=0):
    if abs(digits) > 300:
        return MISSING
    if is_int(x) and digits >= 0:
        return x
    if digits == 0:
        return math.copysign(float(nearest(Fraction(x))), x)
    if is_int(x):
        result = nearest(Fraction(x, 10 ** -digits)) * 10 ** -digits
        return result if abs(result) < 2 ** 63 else float(result)
    scaled = x * 10.0 ** digits if digits > 0 else x / 10.0 ** -digits
    if digits > 0 and (abs(x) >= 2 ** 53 or not math.isfinite(scaled)):
        return x
    whole = math.copysign(float(nearest(Fraction(scaled))), x)
    return whole / 10.0 ** digits if digits > 0 else whole * 10.0 ** -digits


# ---- aggregates -------------------------------------------------------------

def total(values):
    """The exact sum, and whether it stays an integer."""
    numbers = [v for v in values if is_number(v)]
    if not numbers:
        return None, False, 0
    return (sum(map(Fraction, numbers)), all(map(is_int, numbers)),
            len(numbers))


def a_count(values):
    return len(values)


def a_sum(values):
    result, whole, count = total(values)
    if count == 0:
        return MISSING
    if whole and -2 ** 63 <= result < 2 ** 63:
        return int(result)
    return as_float(result)


def a_avg(values):
    result, _, count = total(values)
    return MISSING if count == 0 else as_float(result) / count


def as_float(fraction):
    try:
        return float(fraction)
    except OverflowError:
        return MISSING


def a_min(values):
    return min(values, key=order_key, default=MISSING)


def a_max(values):
    return max(values, key=order_key, default=MISSING)


def a_median(values):
    numbers = sorted(v for v in values if is_number(v))
    if not numbers:
        return MISSING
    half = len(numbers) // 2
    if len(numbers) % 2:
        return numbers[half]
    return (float(numbers[half - 1]) + float(numbers[half])) / 2


FUNCTIONS = {name[2:]: f for name, f in list(globals().items())
             if name.startswith("f_")}
AGGREGATES = {name[2:]: f for name, f in list(globals().items())
              if name.startswith("a_")}
