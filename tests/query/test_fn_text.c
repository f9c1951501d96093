// SPDX-License-Identifier: Apache-2.0
#include "support_query.h"

static void test_fn_text__values_are_those_of_the_table(void **state)
{
    static const expr_row rows[] = {
        /* operators */
        { "s || 'd'", "\"abcd\"" },
        { "s || 1", "" },
        { "'a' || 'b' = 'ab'", "true" },
        /* functions */
        { "concat(s, 'd', 'e')", "\"abcde\"" },
        { "concat(s, 1)", "" },
        { "starts_with(s, 'ab')", "true" },
        { "ends_with(s, 'ab')", "false" },
        { "contains(s, 'b')", "true" },
        { "char_length('\xC3\xA4z')", "2" },
        { "character_length('')", "0" },
        { "byte_length('\xC3\xA4z')", "3" },
        { "lower('ABC')", "\"abc\"" },
        { "upper(s)", "\"ABC\"" },
        { "substr(s, 1)", "\"bc\"" },
        { "substr(s, -2, 1)", "\"b\"" },
        { "substr(s, 9)", "" },
        { "pos(s, 'c')", "2" },
        { "position(s, 'x')", "-1" },
        { "split('a,b,,c', ',')", "[\"a\",\"b\",\"\",\"c\"]" },
        { "split('  a b ')", "[\"a\",\"b\"]" },
        { "joinstr(['a', 'b'], '-')", "\"a-b\"" },
        { "joinstr(['a', 1], '-')", "" },
        { "trim('  x ')", "\"x\"" },
        { "ltrim('xxy', 'x')", "\"y\"" },
        { "rtrim('yxx', 'x')", "\"y\"" },
        { "lpad('7', 3, '0')", "\"007\"" },
        { "rpad('ab', 5, 'xy')", "\"abxyx\"" },
        { "lpad('abc', 2)", "\"ab\"" },
        { "repeat('ab', 3)", "\"ababab\"" },
        { "repeat('ab', -1)", "" },
    };

    expect_exprs(*state, rows, sizeof rows / sizeof rows[0]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_DB(test_fn_text__values_are_those_of_the_table),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
