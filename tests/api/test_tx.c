// SPDX-License-Identifier: Apache-2.0
#include "support_db.h"

#include <stdlib.h>
#include <string.h>

#include "api/api.h"

static tako_db *open_impatient(void **state)
{
    tako_open_opts o = TAKO_OPEN_OPTS_INIT;
    tako_db *db = NULL;

    o.path = db_path(*state, "a.tako");
    o.busy_wait_ms = 20;
    assert_int_equal(tako_open(&o, &db, NULL, 0), TAKO_OK);
    return db;
}

static void tx_run(tako_db *db, tako_tx *tx, const char *text)
{
    db_ok(db, tako_tx_execute(tx, text, NULL, NULL), text);
}

static void tx_expect(tako_db *db, tako_tx *tx, const char *text,
                      const char *json)
{
    tako_result *r = NULL;
    char *rows;

    db_ok(db, tako_tx_execute(tx, text, NULL, &r), text);
    rows = db_result_rows(db, r);
    assert_string_equal(rows, json);
    free(rows);
}

static void test_tx__shows_its_writes_to_itself_alone(void **state)
{
    tako_db *db = open_impatient(state);
    tako_tx *tx = NULL;
    uint64_t commit = 0;

    db_ok(db, tako_tx_begin(db, 0, &tx), "begin");
    tx_run(db, tx, "INSERT INTO c DOCUMENTS ({'_id': 1})");
    tx_expect(db, tx, "SELECT * FROM c", "[{\"_id\":1}]");
    db_expect(db, "SELECT * FROM c", NULL, "[]");
    db_ok(db, tako_tx_commit(tx, &commit), "commit");
    assert_true(commit > 0);
    db_expect(db, "SELECT * FROM c", NULL, "[{\"_id\":1}]");
    tako_close(db);
}

static void test_tx__rolls_back(void **state)
{
    tako_db *db = open_impatient(state);
    tako_tx *tx = NULL;

    db_run(db, "INSERT INTO c DOCUMENTS ({'_id': 1})", NULL);
    db_ok(db, tako_tx_begin(db, 0, &tx), "begin");
    tx_run(db, tx, "DELETE FROM c");
    tx_run(db, tx, "INSERT INTO other DOCUMENTS ({'_id': 2})");
    tako_tx_rollback(tx);
    db_expect(db, "SELECT * FROM c", NULL, "[{\"_id\":1}]");
    db_expect(db, "SELECT * FROM other", NULL, "[]");
    db_run(db, "INSERT INTO other DOCUMENTS ({'_id': 3})", NULL);
    db_expect(db, "SELECT * FROM other", NULL, "[{\"_id\":3}]");
    tako_close(db);
}

static void test_tx__outlives_a_failed_statement(void **state)
{
    tako_db *db = open_impatient(state);
    tako_tx *tx = NULL;

    db_run(db, "INSERT INTO c DOCUMENTS ({'_id': 1})", NULL);
    db_ok(db, tako_tx_begin(db, 0, &tx), "begin");
    tx_run(db, tx, "INSERT INTO c DOCUMENTS ({'_id': 2})");
    /* the first of the two documents must not stay */
    assert_int_equal(tako_tx_execute(tx,
                                     "INSERT INTO c DOCUMENTS ({'_id': 3}), "
                                     "({'_id': 1})",
                                     NULL, NULL),
                     TAKO_EXISTS);
    assert_int_equal(tako_tx_execute(tx, "DELETE c", NULL, NULL), TAKO_INVALID);
    assert_non_null(strstr(tako_last_error(db), "line 1"));
    tx_run(db, tx, "INSERT INTO c DOCUMENTS ({'_id': 4})");
    db_ok(db, tako_tx_commit(tx, NULL), "commit");
    db_expect(db, "SELECT _id FROM c ORDER BY _id", NULL,
              "[{\"_id\":1},{\"_id\":2},{\"_id\":4}]");
    tako_close(db);
}

static void test_tx__makes_other_writers_wait_and_no_reader(void **state)
{
    tako_db *db = open_impatient(state);
    tako_tx *tx = NULL, *second = NULL;

    db_ok(db, tako_tx_begin(db, 0, &tx), "begin");
    assert_int_equal(tako_tx_begin(db, 0, &second), TAKO_BUSY);
    assert_null(second);
    assert_int_equal(
        tako_execute(db, "INSERT INTO c DOCUMENTS ({'_id': 1})", NULL, NULL),
        TAKO_BUSY);
    assert_int_equal(tako_compact(db), TAKO_BUSY);
    db_expect(db, "SELECT * FROM c", NULL, "[]");
    db_ok(db, tako_tx_begin(db, TAKO_TX_READ_ONLY, &second), "begin");
    db_ok(db, tako_tx_commit(second, NULL), "commit");
    db_ok(db, tako_tx_commit(tx, NULL), "commit");
    db_run(db, "INSERT INTO c DOCUMENTS ({'_id': 1})", NULL);
    tako_close(db);
}

static void test_tx__reads_one_snapshot(void **state)
{
    tako_db *db = open_impatient(state);
    tako_tx *tx = NULL;
    tako_result *open[2] = { NULL, NULL };
    uint64_t commit = 99;

    db_fill(db, "c", 4000);
    db_ok(db, tako_tx_begin(db, TAKO_TX_READ_ONLY, &tx), "begin");
    db_run(db, "DELETE FROM c", NULL);
    db_run(db, "INSERT INTO c DOCUMENTS ({'_id': 'new'})", NULL);
    tx_expect(db, tx, "SELECT n FROM c WHERE n = 7", "[{\"n\":7}]");
    tx_expect(db, tx, "SELECT * FROM c WHERE _id = 'new'", "[]");
    /* the same text twice, both unfinished */
    for (size_t i = 0; i < 2; i++) {
        db_ok(db, tako_tx_execute(tx, "SELECT * FROM c", NULL, &open[i]),
              "select");
        assert_int_equal(tako_result_next(open[i]), TAKO_OK);
    }
    assert_int_equal(
        tako_tx_execute(tx, "INSERT INTO c DOCUMENTS ({'_id': 1})", NULL, NULL),
        TAKO_INVALID);
    assert_non_null(strstr(tako_last_error(db), "read-only"));
    db_ok(db, tako_tx_commit(tx, &commit), "commit");
    assert_int_equal(commit, 0);
    for (size_t i = 0; i < 2; i++) { /* results outlive the transaction */
        unsigned rows = 1;

        while (tako_result_next(open[i]) == TAKO_OK)
            rows++;
        assert_int_equal(rows, 4000);
        tako_result_free(open[i]);
    }
    assert_int_equal(db->readers.open_count, db->readers.idle_count);
    db_expect(db, "SELECT * FROM c", NULL, "[{\"_id\":\"new\"}]");
    tako_close(db);
}

/* A result of a writing transaction does not see what comes after it. */
static void test_tx__results_stand_while_it_goes_on_writing(void **state)
{
    tako_db *db = open_impatient(state);
    tako_tx *tx = NULL;
    tako_result *r = NULL;
    unsigned rows = 0;

    db_fill(db, "c", 4000);
    db_ok(db, tako_tx_begin(db, 0, &tx), "begin");
    db_ok(db, tako_tx_execute(tx, "SELECT * FROM c", NULL, &r), "select");
    tx_run(db, tx, "DELETE FROM c");
    db_ok(db, tako_tx_commit(tx, NULL), "commit");
    while (tako_result_next(r) == TAKO_OK)
        rows++;
    assert_int_equal(rows, 4000);
    tako_result_free(r);
    tako_close(db);
}

static void test_tx__says_misuse(void **state)
{
    tako_db *db = open_impatient(state);
    tako_tx *tx = NULL;

    assert_int_equal(tako_tx_begin(NULL, 0, &tx), TAKO_MISUSE);
    assert_int_equal(tako_tx_begin(db, 0, NULL), TAKO_MISUSE);
    assert_int_equal(tako_tx_begin(db, 64, &tx), TAKO_MISUSE);
    assert_int_equal(tako_tx_execute(NULL, "x", NULL, NULL), TAKO_MISUSE);
    assert_int_equal(tako_tx_commit(NULL, NULL), TAKO_MISUSE);
    db_ok(db, tako_tx_begin(db, 0, &tx), "begin");
    assert_int_equal(tako_tx_execute(tx, NULL, NULL, NULL), TAKO_MISUSE);
    assert_int_equal(tako_tx_execute(tx, "SELECT * FROM c", NULL, NULL),
                     TAKO_MISUSE);
    assert_int_equal(tako_tx_execute(tx, "BEGIN", NULL, NULL), TAKO_INVALID);
    assert_int_equal(tako_tx_execute(tx, "COMMIT", NULL, NULL), TAKO_INVALID);
    tako_tx_rollback(tx);
    tako_close(db);
}

#define T(f) cmocka_unit_test_setup_teardown(f, db_dir_setup, db_dir_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(test_tx__shows_its_writes_to_itself_alone),
        T(test_tx__rolls_back),
        T(test_tx__outlives_a_failed_statement),
        T(test_tx__makes_other_writers_wait_and_no_reader),
        T(test_tx__reads_one_snapshot),
        T(test_tx__results_stand_while_it_goes_on_writing),
        T(test_tx__says_misuse),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
