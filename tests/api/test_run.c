// SPDX-License-Identifier: Apache-2.0
#include "support_db.h"

#include <string.h>

static void test_run__changes_and_tells_the_commit(void **state)
{
    tako_db *db = db_open(db_path(*state, "a.tako"));
    uint64_t first = 0, second = 0;

    db_ok(db,
          tako_run(db, "INSERT INTO c DOCUMENTS (:d)",
                   "{\"d\": {\"_id\": 1, \"v\": 2}}", &first),
          "insert");
    db_expect(db, "SELECT * FROM c", NULL, "[{\"v\":2,\"_id\":1}]");
    assert_true(first > 0);
    db_ok(db, tako_run(db, "UPDATE c SET v = 3", NULL, &second), "update");
    assert_true(second > first);
    db_ok(db, tako_run(db, "DELETE FROM c WHERE v = 2", NULL, &second), "none");
    assert_int_equal(second, 0);
    db_ok(db, tako_run(db, "DELETE FROM c", NULL, NULL), "no place");
    db_expect(db, "SELECT * FROM c", NULL, "[]");
    tako_close(db);
}

static void test_run__leaves_the_commit_alone_on_failure(void **state)
{
    static const struct {
        const char *statement, *params, *part;
        tako_err err;
    } rows[] = {
        { "SELECT * FROM c", NULL, "tako_execute", TAKO_MISUSE },
        { "DELETE FROM", NULL, "line 1", TAKO_INVALID },
        { "DELETE FROM c WHERE a = :a", NULL, "a", TAKO_INVALID },
        { "DELETE FROM c", "[]", "object", TAKO_INVALID },
        { "DELETE FROM c", "{", "line 1", TAKO_INVALID },
        { "BEGIN", NULL, "tako_tx_begin", TAKO_INVALID },
        { NULL, NULL, "", TAKO_MISUSE },
    };
    tako_db *db = db_open(db_path(*state, "a.tako"));

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        uint64_t commit = 77;

        assert_int_equal(
            tako_run(db, rows[i].statement, rows[i].params, &commit),
            rows[i].err);
        assert_non_null(strstr(tako_last_error(db), rows[i].part));
        assert_int_equal(commit, 77);
    }
    assert_int_equal(tako_run(NULL, "DELETE FROM c", NULL, NULL), TAKO_MISUSE);
    tako_close(db);
}

#define T(f) cmocka_unit_test_setup_teardown(f, db_dir_setup, db_dir_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(test_run__changes_and_tells_the_commit),
        T(test_run__leaves_the_commit_alone_on_failure),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
