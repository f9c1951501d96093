// SPDX-License-Identifier: Apache-2.0
#include "support_query.h"

static void test_fn_number__values_are_those_of_the_table(void **state)
{
    static const expr_row rows[] = {
        /* operators */
        { "i + 1", "6" },
        { "i - 7", "-2" },
        { "i * f", "12.5" },
        { "i / 2", "2" },
        { "i / 2.0", "2.5" },
        { "i % 3", "2" },
        { "-i", "-5" },
        { "i / 0", "" },
        { "i % 0", "" },
        { "i + s", "" },
        { "i + n", "" },
        { "9223372036854775807 + 1", "9.223372036854776e18" },
        { "1e308 * 10", "" },
        { "2 + 3 * 4", "14" },
        /* functions */
        { "abs(-3)", "3" },
        { "abs(-2.5)", "2.5" },
        { "ceil(1.2)", "2.0" },
        { "floor(-1.2)", "-2.0" },
        { "floor(7)", "7" },
        { "round(4611686018427387904, -2)", "4611686018427387900" },
        { "round(-9223372036854775807, -1)", "-9.223372036854776e18" },
        { "round(9223372036854775800, -2)", "9223372036854775800" },
        { "round(9223372036854775807, -18)", "9000000000000000000" },
        { "round(-9223372036854775807, -19)", "-1e19" },
        { "round(4999999999999999999, -19)", "0" },
        { "round(9223372036854775807, -20)", "0" },
        { "round(-15, -1)", "-20" },
        { "round(2.5)", "3.0" },
        { "round(2.345, 2)", "2.35" },
        { "round(1234, -2)", "1200" },
        { "round(s)", "" },
    };

    expect_exprs(*state, rows, sizeof rows / sizeof rows[0]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_DB(test_fn_number__values_are_those_of_the_table),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
