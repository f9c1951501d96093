// SPDX-License-Identifier: Apache-2.0
#include "support_query.h"

static void test_row__projects_whole_documents(void **state)
{
    test_db *db = *state;

    (void)must(db, "INSERT INTO c DOCUMENTS ({'_id': 7, 'b': 1, 'name': 'x'})",
               NULL);
    expect(db, "SELECT * FROM c", NULL, "{\"b\":1,\"_id\":7,\"name\":\"x\"}");
    expect(db, "SELECT c.* FROM c", NULL, "{\"b\":1,\"_id\":7,\"name\":\"x\"}");
    expect(db, "SELECT d.*, d.b + 1 AS b2 FROM c AS d", NULL,
           "{\"b\":1,\"b2\":2,\"_id\":7,\"name\":\"x\"}");
    expect(db, "SELECT *, MISSING name, 2 AS b FROM c", NULL,
           "{\"b\":2,\"_id\":7}");
    expect(db, "SELECT *, MISSING _id FROM c", NULL,
           "{\"b\":1,\"name\":\"x\"}");
    expect(db, "SELECT c FROM c", NULL,
           "{\"c\":{\"b\":1,\"_id\":7,\"name\":\"x\"}}");
    expect(db, "SELECT *, zz AS b FROM c", NULL, "{\"_id\":7,\"name\":\"x\"}");
    expect(db, "SELECT * FROM nowhere", NULL, "");
}

static void test_row__out_of_memory_leaves_no_name_out(void **state)
{
    test_db *db = *state;
    unsigned failures = 0;

    for (long n = 0; n < 60; n++) {
        const char *got;

        db->t.failed_once = false;
        db->t.fail_after = n;
        got = run(db, "SELECT 1 AS one, 2 AS two", NULL);
        db->t.fail_after = -1;
        failures += db->t.failed_once;
        if (!db->t.failed_once)
            assert_string_equal(got, "{\"one\":1,\"two\":2}");
    }
    assert_true(failures > 5);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_DB(test_row__projects_whole_documents),
        IN_DB(test_row__out_of_memory_leaves_no_name_out),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
