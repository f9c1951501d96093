// SPDX-License-Identifier: Apache-2.0
/* tests/query/test_emit_list.c mirrors src/query/emit_list.c: ANY, EVERY, and FOR. */
#include "support_query.h"

static const statement_row rows[] = {
#include "emit_list.inc"
};

static void test_emit_list__gives_what_the_text_says(void **state)
{
    test_db *db = *state;

    insert_shop(db);
    assert_int_equal(expect_rows(db, rows, sizeof rows / sizeof rows[0]), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_DB(test_emit_list__gives_what_the_text_says),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
