// SPDX-License-Identifier: Apache-2.0
/* tests/query/test_resolve.c mirrors src/query/resolve.c: what names and stars
 * mean, in statements on one small database. */
#include "support_query.h"

static const statement_row rows[] = {
#include "resolve.inc"
};

static void test_resolve__names_mean_what_they_should(void **state)
{
    test_db *db = *state;

    insert_shop(db);
    assert_int_equal(expect_rows(db, rows, sizeof rows / sizeof rows[0]), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_DB(test_resolve__names_mean_what_they_should),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
