// SPDX-License-Identifier: Apache-2.0
#include "support_query.h"

static void test_fn_cond__values_are_those_of_the_table(void **state)
{
    static const expr_row rows[] = {
        { "coalesce(nothing, n, 3)", "3" },
        { "coalesce(nothing, n)", "null" },
        { "coalesce(nothing)", "" },
        { "nvl(n, 'x')", "\"x\"" },
        { "ifmissing(nothing, n, 1)", "null" },
        { "ifnull(n, 4)", "4" },
        { "ifmissingornull(n, nothing, 4)", "4" },
        { "ismissing(nothing)", "true" },
        { "isnull(nothing)", "false" },
        { "isnull(n)", "true" },
        { "ismissingornull(n)", "true" },
        { "nullif(i, 5)", "null" },
        { "nullif(i, 6)", "5" },
        { "missingif(i, 5)", "" },
        { "decode(i, 4, 'a', 5, 'b', 'c')", "\"b\"" },
        { "decode(s, 4, 'a', 'c')", "\"c\"" },
        { "decode(n, null, 'nul')", "\"nul\"" },
        { "type(i)", "\"number\"" },
        { "type(nothing)", "\"missing\"" },
        { "type(n)", "\"null\"" },
        { "type(yes)", "\"boolean\"" },
        { "json_type(f)", "\"real\"" },
        { "json_type(no)", "\"false\"" },
        { "json_type(nothing)", "" },
        { "is_number(f)", "true" },
        { "is_string(f)", "false" },
        { "is_boolean(no)", "true" },
        { "cast('12', 'integer')", "12" },
        { "cast('1.5', 'number')", "1.5" },
        { "cast('9223372036854775807', 'number')", "9223372036854775807" },
        { "cast('-9223372036854775808', 'integer')", "-9223372036854775808" },
        { "cast('9223372036854775808', 'integer')", "" },
        { "cast('-9223372036854775809', 'number')", "-9.223372036854776e18" },
        { "cast(2.9, 'integer')", "2" },
        { "cast(3, 'float')", "3.0" },
        { "cast(f, 'string')", "\"2.5\"" },
        { "cast('x', 'number')", "" },
        { "cast('TRUE', 'boolean')", "true" },
        { "cast(yes, 'boolean')", "true" },
        { "cast(no, 'boolean') = false", "true" },
        { "cast(n, 'boolean')", "" },
        { "cast(a, 'boolean')", "" },
    };

    expect_exprs(*state, rows, sizeof rows / sizeof rows[0]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_DB(test_fn_cond__values_are_those_of_the_table),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
