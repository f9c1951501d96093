// SPDX-License-Identifier: Apache-2.0
/* tests/query/test_emit_from.c mirrors src/query/emit_from.c: joins, UNNEST, SELECTs in FROM, WITH. */
#include "support_query.h"

static const statement_row rows[] = {
#include "emit_from.inc"
};

static void test_emit_from__gives_what_the_text_says(void **state)
{
    test_db *db = *state;

    insert_shop(db);
    assert_int_equal(expect_rows(db, rows, sizeof rows / sizeof rows[0]), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_DB(test_emit_from__gives_what_the_text_says),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
