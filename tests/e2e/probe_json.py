#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""tako probe: which JSON texts and CBOR bytes are accepted, and as what."""
import sys
import time

import tako_e2e
from tako_e2e import World, need, need_equal

# text, canonical text (None: the same)
ACCEPT = [
    ('null', None), ('true', None), ('false', None), ('0', None),
    ('-1', None), ('9223372036854775807', None),
    ('-9223372036854775808', None), ('1.0', None), ('-0', '-0.0'),
    ('-0.0', None), ('1e2', '100.0'), ('1E+2', '100.0'), ('0.1', None),
    ('1e308', None), ('5e-324', None), ('1.5', None),
    ('""', None), ('"a"', None), ('"\\u0041"', '"A"'),
    ('"\\ud83d\\ude00"', '"\U0001F600"'), ('"\\/"', '"/"'),
    ('"\\"\\\\\\b\\f\\n\\r\\t"', None), ('"\\u0000"', None),
    ('"é"', None), ('"\U0001F419"', None), ('"\u2028"', None),
    ('[]', None), ('[ ]', '[]'), ('{}', None), ('{ }', '{}'),
    ('[1,2,3]', None), (' [ 1 , 2 ] ', '[1,2]'), ('\t\r\n[1]\n', '[1]'),
    ('{"a":1}', None), ('{"b":1,"a":2}', '{"a":2,"b":1}'),
    ('{"aa":1,"b":2}', '{"b":2,"aa":1}'), ('{"":1}', None),
    ('[[[[[]]]]]', None), ('[' * 512 + ']' * 512, None),
    ('{"a":{"b":[null,true,{"c":"d"}]}}', None),
    ('{"$bytes":"AAEC"}', None), ('{"$bytes":""}', None),
    ('{"$bytes":"AAEC","x":1}', '{"x":1,"$bytes":"AAEC"}'),
]

REFUSE = [
    '', ' ', '\n', 'nul', 'nulll', 'True', 'NaN', 'Infinity', '-Infinity',
    '01', '-01', '+1', '1.', '.5', '1e', '1e+', '-', '--1', '0x10', '1_000',
    '1e309', '-1e400', '"', '"a', "'a'", '"\\x"', '"\\u12"', '"\\u123g"',
    '"\\ud800"', '"\\udc00"', '"\\ud800\\u0041"', '"\t"', '"\n"', '"\x01"',
    '[', ']', '[1', '[1,', '[1,]', '[,1]', '[1 2]', '[1,,2]', '[}', '{]',
    '{', '}', '{"a"', '{"a":', '{"a":1', '{"a":1,', '{"a":1,}', '{,}',
    '{"a" 1}', '{a:1}', "{'a':1}", '{1:1}', '{"a":1 "b":2}', '{"a"::1}',
    '{"a":1,"a":2}', '{"a":1,"\\u0061":2}', '[] []', '{} 1', '1 2',
    '// c\n1', '/* c */ 1', '1 // c', '\ufeff1', '[1]x', '\x00', '1\x00',
    '[' * 513 + ']' * 513, '[' * 100000, '{"a":' * 100000,
    '[' * 100000 + ']' * 100000, '[[],' * 50000,
    '{"$bytes":"A"}', '{"$bytes":"AA=A"}', '{"$bytes":"!!!!"}',
    '"' + '\\' * 9999,
]

REFUSE_BYTES = [
    b'"\xff"', b'"\xc0\x80"', b'"\xed\xa0\x80"', b'"\xf4\x90\x80\x80"',
    b'"\xe2\x82"', b'\xff\xfe1\x00', b'{"\xff":1}',
]

# CBOR in hex, JSON
CBOR = [
    ("f6", "null"), ("f5", "true"), ("00", "0"), ("17", "23"),
    ("1818", "24"), ("20", "-1"), ("1b7fffffffffffffff",
                                   "9223372036854775807"),
    ("f93c00", "1.0"), ("f98000", "-0.0"), ("fb3ff199999999999a", "1.1"),
    ("60", '""'), ("6161", '"a"'), ("43000102", '{"$bytes":"AAEC"}'),
    ("80", "[]"), ("820102", "[1,2]"), ("a0", "{}"), ("a16161f4",
                                                      '{"a":false}'),
    ("81" * 512 + "00", "[" * 512 + "0" + "]" * 512),
]

CBOR_REFUSE = [
    "", "18", "1800", "1817", "190001", "1b8000000000000000",
    "3b8000000000000000", "f7", "f97e00", "f97c00", "fa3f800000",
    "fb3ff0000000000000", "ff", "9fff", "bfff", "5f4100ff", "c000", "61ff",
    "9affffffff", "bb" + "ff" * 8, "5b" + "ff" * 8, "a10000", "a2616101616102",
    "a2616201616102", "0000", "8100" * 2, "81" * 513 + "00", "81" * 100000,
    "e0", "f0", "f820", "1c",
]


def case_json_accepted(world):
    for text, canonical in ACCEPT:
        out = world.call("probe", "json", stdin=text).stdout
        need_equal(out, (text if canonical is None else canonical) + "\n",
                   f"probe json of {text[:60]!r}")


def case_json_refused(world):
    for text in REFUSE:
        start = time.monotonic()
        got = world.call("probe", "json", stdin=text, status=1)
        took = time.monotonic() - start
        need(got.stdout == "", f"output for refused {text[:60]!r}")
        need(got.stderr.startswith("tako: refused: "),
             f"no reason for {text[:60]!r}: {got.stderr!r}")
        need(took < 2, f"{took:.1f} s for {text[:60]!r}")


def case_json_bytes_refused(world):
    for data in REFUSE_BYTES:
        got = world.call("probe", "json", stdin=data, status=1, binary=True)
        need(got.stdout == b"", f"output for refused {data!r}")


def case_json_there_and_back(world):
    for text, _ in ACCEPT:
        cbor = world.call("probe", "json", "--to", "cbor",
                          stdin=text.encode(), binary=True).stdout
        back = world.call("probe", "cbor", stdin=cbor, binary=True).stdout
        same = world.call("probe", "cbor", "--to", "cbor", stdin=cbor,
                          binary=True).stdout
        need_equal(same, cbor, f"CBOR of {text[:60]!r}")
        again = world.call("probe", "json", "--to", "cbor", stdin=back,
                           binary=True).stdout
        need_equal(again, cbor, f"JSON of CBOR of {text[:60]!r}")


def case_cbor(world):
    for hexa, text in CBOR:
        out = world.call("probe", "cbor", stdin=bytes.fromhex(hexa),
                         binary=True).stdout
        need_equal(out.decode(), text + "\n", f"probe cbor of {hexa[:60]}")
    for hexa in CBOR_REFUSE:
        start = time.monotonic()
        world.call("probe", "cbor", stdin=bytes.fromhex(hexa), status=1,
                   binary=True)
        need(time.monotonic() - start < 2, f"slow: {hexa[:60]}")


def case_input_is_bounded(world):
    for what in ("json", "cbor", "hash"):
        got = world.call("probe", what, stdin=b" " * ((64 << 20) + 1),
                         status=1, binary=True)
        need(b"more than 67108864 bytes" in got.stderr, str(got.stderr))


def case_hash(world):
    out = world.call("probe", "hash",
                     stdin='{"a":1,"b":2}\n{"b":2,"a":1}\n{"a":1.0}\n').stdout
    lines = out.split()
    need_equal(len(lines), 3, "hashes")
    need(all(len(line) == 64 for line in lines), "64 digits")
    need(lines[0] == lines[1], "the order of keys does not matter")
    need(lines[0] != lines[2], "1 and 1.0 differ")
    need_equal(world.call("probe", "hash", stdin="").stdout, "", "no input")
    world.call("probe", "hash", stdin="{} x", status=1)


if __name__ == "__main__":
    with World(seconds=110) as the_world:
        tako_e2e.run_cases(sys.modules[__name__], the_world)
