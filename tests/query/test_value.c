// SPDX-License-Identifier: Apache-2.0
#include "support_query.h"

static void test_value__orders_kinds_as_the_language_says(void **state)
{
    test_db *db = *state;

    insert_kinds(db);
    for (int indexed = 0; indexed < 2; indexed++) {
        expect(
            db, "SELECT _id FROM p ORDER BY v", NULL,
            "{\"_id\":\"10\"} {\"_id\":\"4\"} {\"_id\":\"1\"} {\"_id\":\"2\"} "
            "{\"_id\":\"9\"} {\"_id\":\"3\"} {\"_id\":\"7\"} {\"_id\":\"8\"} "
            "{\"_id\":\"5\"} {\"_id\":\"6\"}");
        expect(db, "SELECT _id FROM p ORDER BY v DESC LIMIT 3", NULL,
               "{\"_id\":\"6\"} {\"_id\":\"5\"} {\"_id\":\"8\"}");
        expect(db, "SELECT _id FROM p ORDER BY v LIMIT :n OFFSET 8",
               "{\"n\":1}", "{\"_id\":\"5\"}");
        expect(db, "SELECT _id FROM p ORDER BY k DESC, v OFFSET 9", NULL,
               "{\"_id\":\"5\"}");
        (void)must(db, "CREATE INDEX IF NOT EXISTS byv ON p (v)", NULL);
    }
    assert_non_null(
        strstr(plan_of(db, "SELECT * FROM p ORDER BY v", NULL), "USING INDEX"));
    assert_null(strstr(plan_of(db, "SELECT * FROM p ORDER BY v DESC", NULL),
                       "TEMP B-TREE"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_DB(test_value__orders_kinds_as_the_language_says),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
