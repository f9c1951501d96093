// SPDX-License-Identifier: Apache-2.0
#include "support_query.h"

static void test_fn_compare__values_are_those_of_the_table(void **state)
{
    static const expr_row rows[] = {
        /* comparison: kinds do not mix, null and MISSING with nothing */
        { "i = 5", "true" },
        { "i == 5.0", "true" },
        { "5 = i", "true" },
        { "i != 5", "false" },
        { "i <> 6", "true" },
        { "i < 6", "true" },
        { "6 > i", "true" },
        { "i >= 5", "true" },
        { "i <= 4.5", "false" },
        { "i = '5'", "" },
        { "i < 'a'", "" },
        { "s > 5", "" },
        { "s = 'abc'", "true" },
        { "s < 'abd'", "true" },
        { "s >= 'abc'", "true" },
        { "s < ''", "false" },
        { "yes = true", "true" },
        { "yes = 1", "" },
        { "no < yes", "true" },
        { "no < true", "true" },
        { "yes > false", "true" },
        { "n = null", "" },
        { "n != null", "" },
        { "nothing = nothing", "" },
        { "n = n", "" },
        { "a = [1, 2, 'three', [4], {'k': 6}]", "true" },
        { "o = {'z': 1, 'p': {'q': 7}}", "true" },
        { "o = {'z': 1}", "false" },
        { "o != i", "" },
        { "9007199254740993 = 9007199254740992.0", "false" },
        { "9007199254740993 > 9007199254740992.0", "true" },
        /* null and MISSING */
        { "n IS NULL", "true" },
        { "n IS MISSING", "false" },
        { "nothing IS MISSING", "true" },
        { "nothing IS NULL", "false" },
        { "nothing IS NOT NULL", "true" },
        { "nothing IS NOT MISSING", "false" },
        { "i IS NOT NULL", "true" },
        /* logic */
        { "yes AND i = 5", "true" },
        { "yes AND no", "false" },
        { "no AND nothing", "false" },
        { "yes AND nothing", "" },
        { "yes AND n", "" },
        { "yes OR nothing", "true" },
        { "no OR nothing", "" },
        { "no OR no", "false" },
        { "NOT yes", "false" },
        { "NOT nothing", "" },
        { "NOT n", "" },
        { "NOT i", "" },
        { "i AND yes", "" },
        { "NOT (no OR i = 4)", "true" },
        { "(i = 5) = yes", "true" },
        { "yes AND yes AND yes OR no", "true" },
        /* IN, BETWEEN, LIKE */
        { "i IN [1, 5]", "true" },
        { "i IN (1, 5.0)", "true" },
        { "i NOT IN (1, 5.0)", "false" },
        { "(i - 5) * 1.0 NOT IN (-0.0)", "false" },
        { "(i - 5) NOT IN (-0.0)", "false" },
        { "array_contains([0.0], -0.0)", "true" },
        { "9007199254740993 NOT IN (9007199254740992.0)", "true" },
        { "i IN (1, '5', null)", "false" },
        { "i NOT IN (1, 2)", "true" },
        { "nothing IN (1)", "" },
        { "n IN (null)", "" },
        { "i IN a", "false" },
        { "2 IN a", "true" },
        { "i IN 'x'", "" },
        { "[4] IN a", "true" },
        { "i IN (i, 2)", "true" },
        { "i BETWEEN 1 AND 5", "true" },
        { "i NOT BETWEEN 1 AND 5", "false" },
        { "i BETWEEN 6 AND 'x'", "false" },
        { "i BETWEEN 1 AND 'x'", "" },
        { "s BETWEEN 'a' AND 'b'", "true" },
        { "s LIKE 'a%'", "true" },
        { "s LIKE 'A%'", "false" },
        { "s ILIKE 'A%'", "true" },
        { "s LIKE '_b_'", "true" },
        { "s LIKE 'abc'", "true" },
        { "s LIKE 'ab'", "false" },
        { "s LIKE '%c'", "true" },
        { "s LIKE '%'", "true" },
        { "s LIKE 'a%b%c'", "true" },
        { "s NOT LIKE 'x%'", "true" },
        { "i LIKE '5'", "" },
        { "'50%' LIKE '50\\\\%'", "true" },
        { "'500' LIKE '50\\\\%'", "false" },
        { "'\xC3\xA4' LIKE '_'", "true" },
    };

    expect_exprs(*state, rows, sizeof rows / sizeof rows[0]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_DB(test_fn_compare__values_are_those_of_the_table),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
