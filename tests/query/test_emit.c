// SPDX-License-Identifier: Apache-2.0
#include "support_query.h"

static void test_emit__values_are_those_of_the_table(void **state)
{
    static const expr_row rows[] = {
        /* literals */
        { "1", "1" },
        { "0xFF", "255" },
        { "-9223372036854775808", "-9223372036854775808" },
        { "9223372036854775807", "9223372036854775807" },
        { "1.5e3", "1500.0" },
        { "1.0", "1.0" },
        { "'it''s'", "\"it's\"" },
        { "\"a\\u00e9\\n\"", "\"a\xC3\xA9\\n\"" },
        { "'\\ud83d\\ude00'", "\"\xF0\x9F\x98\x80\"" },
        { "true", "true" },
        { "FALSE", "false" },
        { "null", "null" },
        { "[1, 'x', [true], {}]", "[1,\"x\",[true],{}]" },
        { "{'b': 1, 'a': i, 'c': nothing}", "{\"a\":5,\"b\":1}" },
        { "[i, nothing, n]", "[5,null,null]" },
        /* paths */
        { "i", "5" },
        { "t.i", "5" },
        { "t.o.p.q", "7" },
        { "o.p.q", "7" },
        { "o.p.nothing.q", "" },
        { "nothing", "" },
        { "n", "null" },
        { "`i`", "5" },
        { "_id", "\"x\"" },
        { "t._id", "\"x\"" },
        { "a[0]", "1" },
        { "a[-1].k", "6" },
        { "a[i - 3]", "\"three\"" },
        { "a[99]", "" },
        { "o['z']", "1" },
        { "a[1:3]", "[2,\"three\"]" },
        { "a[3:]", "[[4],{\"k\":6}]" },
        { "a['x']", "" },
        /* CASE */
        { "CASE WHEN i = 4 THEN 'four' WHEN i = 5 THEN 'five' END",
          "\"five\"" },
        { "CASE WHEN nothing THEN 1 ELSE 2 END", "2" },
        { "CASE i WHEN 5.0 THEN 'y' ELSE 'n' END", "\"y\"" },
        { "CASE n WHEN null THEN 1 ELSE 2 END", "2" },
        { "CASE i WHEN 4 THEN 1 END", "" },
    };

    expect_exprs(*state, rows, sizeof rows / sizeof rows[0]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_DB(test_emit__values_are_those_of_the_table),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
