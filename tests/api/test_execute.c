// SPDX-License-Identifier: Apache-2.0
#include "support_db.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/api.h"

static void test_execute__inserts_selects_updates_deletes(void **state)
{
    tako_db *db = db_open(db_path(*state, "a.tako"));

    assert_int_equal(
        db_run(db, "INSERT INTO c DOCUMENTS (:a), (:b)",
               "{\"a\": {\"_id\": 1, \"v\": 10}, \"b\": {\"_id\": 2, \"v\": "
               "20}}"),
        2);
    db_expect(db, "SELECT * FROM c WHERE v > :min", "{\"min\": 15}",
              "[{\"v\":20,\"_id\":2}]");
    assert_int_equal(db_run(db, "UPDATE c SET v = 11 WHERE _id = 1", NULL), 1);
    db_expect(db, "SELECT v FROM c WHERE _id = 1", NULL, "[{\"v\":11}]");
    assert_int_equal(db_run(db, "DELETE FROM c WHERE v = 11", NULL), 1);
    db_expect(db, "SELECT _id FROM c", NULL, "[{\"_id\":2}]");
    tako_close(db);
}

static void test_execute__tells_what_a_mutation_did(void **state)
{
    tako_db *db = db_open(db_path(*state, "a.tako"));
    tako_result *r = NULL;
    uint64_t first;

    db_ok(db,
          tako_execute(db,
                       "INSERT INTO c DOCUMENTS ({'_id': 'x'}), ({'_id': "
                       "[1, 2]})",
                       NULL, &r),
          "insert");
    assert_int_equal(tako_result_mutated(r), 2);
    assert_string_equal(tako_result_ids_json(r), "[\"x\",[1,2]]");
    assert_string_equal(tako_result_ids_json(r), "[\"x\",[1,2]]");
    first = tako_result_commit(r);
    assert_true(first > 0);
    assert_false(tako_result_has_rows(r));
    assert_int_equal(tako_result_next(r), TAKO_NOTFOUND);
    tako_result_free(r);

    db_ok(db, tako_execute(db, "DELETE FROM c WHERE _id = 'none'", NULL, &r),
          "delete");
    assert_int_equal(tako_result_mutated(r), 0);
    assert_string_equal(tako_result_ids_json(r), "[]");
    assert_int_equal(tako_result_commit(r), 0);
    tako_result_free(r);

    db_ok(db, tako_execute(db, "DELETE FROM c", NULL, &r), "delete");
    assert_true(tako_result_commit(r) > first);
    tako_result_free(r);
    tako_close(db);
}

static void test_execute__a_mutation_may_give_rows(void **state)
{
    tako_db *db = db_open(db_path(*state, "a.tako"));
    tako_result *r = NULL;
    tako_tx *tx = NULL;
    const char *json;

    db_ok(db,
          tako_execute(db,
                       "INSERT INTO c DOCUMENTS ({'_id': 1, 'v': 1}), ({'_id': "
                       "2, 'v': 2}) RETURNING _id, v + 1 AS w",
                       NULL, &r),
          "insert");
    assert_true(tako_result_has_rows(r));
    assert_int_equal(tako_result_mutated(r), 2);
    assert_string_equal(tako_result_ids_json(r), "[1,2]");
    assert_true(tako_result_commit(r) > 0);
    assert_int_equal(tako_result_next(r), TAKO_OK);
    db_ok(db, tako_result_json(r, &json, NULL), "row");
    assert_string_equal(json, "{\"w\":2,\"_id\":1}");
    assert_int_equal(tako_result_next(r), TAKO_OK);
    assert_int_equal(tako_result_next(r), TAKO_NOTFOUND);
    tako_result_free(r);

    db_ok(db, tako_tx_begin(db, 0, &tx), "begin");
    db_ok(db,
          tako_tx_execute(tx, "DELETE FROM c WHERE _id = 1 RETURNING *", NULL,
                          &r),
          "delete");
    assert_int_equal(tako_result_commit(r), 0);
    db_ok(db, tako_tx_execute(tx, "DELETE FROM c RETURNING *", NULL, NULL),
          "rows that nobody wants");
    tako_tx_rollback(tx);
    assert_int_equal(tako_result_next(r), TAKO_OK); /* it has them still */
    db_ok(db, tako_result_json(r, &json, NULL), "row");
    assert_string_equal(json, "{\"v\":1,\"_id\":1}");
    tako_result_free(r);

    db_ok(db,
          tako_execute(db, "UPDATE c SET v = 0 WHERE v > 9 RETURNING *", NULL,
                       &r),
          "update");
    assert_true(tako_result_has_rows(r));
    assert_int_equal(tako_result_mutated(r), 0);
    assert_int_equal(tako_result_next(r), TAKO_NOTFOUND);
    tako_result_free(r);
    tako_close(db);
}

static void test_execute__takes_parameters_as_cbor(void **state)
{
    static const uint8_t map[] = { 0xa1, 0x61, 'd', 0xa1, 0x63,
                                   '_',  'i',  'd', 0x07 };
    static const uint8_t array[] = { 0x81, 0x01 };
    static const uint8_t loose[] = { 0xa1, 0x61, 'd', 0x18, 0x01 };
    tako_db *db = db_open(db_path(*state, "a.tako"));
    tako_params p = { NULL, map, sizeof map };

    db_ok(db, tako_execute(db, "INSERT INTO c DOCUMENTS (:d)", &p, NULL),
          "cbor");
    db_expect(db, "SELECT * FROM c", NULL, "[{\"_id\":7}]");
    p.json = "{}";
    assert_int_equal(tako_execute(db, "DELETE FROM c", &p, NULL), TAKO_MISUSE);
    p = (tako_params){ NULL, array, sizeof array };
    assert_int_equal(tako_execute(db, "DELETE FROM c", &p, NULL), TAKO_INVALID);
    p = (tako_params){ NULL, loose, sizeof loose };
    assert_int_equal(tako_execute(db, "DELETE FROM c", &p, NULL), TAKO_INVALID);
    db_expect(db, "SELECT * FROM c", NULL, "[{\"_id\":7}]");
    tako_close(db);
}

static void test_execute__says_what_is_wrong_and_where(void **state)
{
    tako_db *db = db_open(db_path(*state, "a.tako"));

    db_run(db, "INSERT INTO c DOCUMENTS ({'_id': 1})", NULL);
    db_refused(db, "", NULL, TAKO_INVALID, NULL);
    db_refused(db, "SELECT * FROM", NULL, TAKO_INVALID, "line 1");
    db_refused(db, "SELECT *\n  FROM c\n WHERE v = = 1", NULL, TAKO_INVALID,
               "line 3");
    db_refused(db, "SELECT * FROM c WHERE v = :absent", "{}", TAKO_INVALID,
               "absent");
    db_refused(db, "SELECT * FROM c", "[1]", TAKO_INVALID, "object");
    db_refused(db, "SELECT * FROM c", "{\"a\": }", TAKO_INVALID, "line 1");
    db_refused(db, "INSERT INTO c DOCUMENTS ({'_id': 1})", NULL, TAKO_EXISTS,
               NULL);
    db_refused(db, "BEGIN TRANSACTION", NULL, TAKO_INVALID, "tako_tx_begin");
    db_refused(db, "COMMIT", NULL, TAKO_INVALID, "tako_tx_begin");
    db_expect(db, "SELECT * FROM c", NULL, "[{\"_id\":1}]");
    tako_close(db);
}

static void test_execute__says_misuse(void **state)
{
    tako_db *db = db_open(db_path(*state, "a.tako"));
    tako_result *r = NULL;

    assert_int_equal(tako_execute(NULL, "DELETE FROM c", NULL, NULL),
                     TAKO_MISUSE);
    assert_int_equal(tako_execute(db, NULL, NULL, &r), TAKO_MISUSE);
    assert_int_equal(tako_execute(db, "SELECT * FROM c", NULL, NULL),
                     TAKO_MISUSE);
    assert_null(r);
    tako_close(db);
}

static void test_execute__refuses_a_statement_over_the_limit(void **state)
{
    tako_db *db = db_open(db_path(*state, "a.tako"));
    size_t n = TAKO_STATEMENT_BYTES_MAX + 1;
    char *text = malloc(n + 1);

    assert_non_null(text);
    memset(text, ' ', n);
    memcpy(text, "SELECT", 6);
    text[n] = '\0';
    db_refused(db, text, NULL, TAKO_LIMIT, NULL);
    free(text);
    tako_close(db);
}

static void test_kind__is_the_first_words(void **state)
{
    static const struct {
        const char *text;
        query_kind kind;
    } rows[] = {
        { "SELECT * FROM c", QUERY_SELECT },
        { "  \n\tselect * FROM c", QUERY_SELECT },
        { "-- why\nSELECT * FROM c", QUERY_SELECT },
        { "/* a */ delete FROM c", QUERY_DELETE },
        { "InSeRt INTO c DOCUMENTS ({})", QUERY_INSERT },
        { "UPDATE c SET a = 1", QUERY_UPDATE },
        { "CREATE INDEX i ON c (a)", QUERY_CREATE_INDEX },
        { "DROP INDEX i ON c", QUERY_DROP_INDEX },
        { "ROLLBACK", QUERY_ROLLBACK },
    };
    test_env t;
    tako_errbuf e = { "" };
    query_kind kind;

    (void)state;
    test_env_init(&t, 1);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        tako_err err =
            api_kind_of(&t.env, tako_slice_str(rows[i].text), &kind, &e);

        if (err != TAKO_OK || kind != rows[i].kind)
            fail_msg("%s: %d, %s", rows[i].text, (int)kind, e.text);
    }
    assert_int_equal(api_kind_of(&t.env, tako_slice_str("SELECTED"), &kind, &e),
                     TAKO_INVALID);
    test_env_check_empty(&t);
}

/* Each connection prepares a text once; an index or a new collection makes it
 * prepare again. */
static void test_execute__goes_on_after_the_schema_changed(void **state)
{
    tako_db *db = db_open(db_path(*state, "a.tako"));

    for (int i = 0; i < 3; i++)
        db_expect(db, "SELECT * FROM c WHERE v = 1", NULL, "[]");
    db_run(db, "INSERT INTO c DOCUMENTS ({'_id': 1, 'v': 1})", NULL);
    db_expect(db, "SELECT * FROM c WHERE v = 1", NULL, "[{\"v\":1,\"_id\":1}]");
    db_run(db, "CREATE INDEX i ON c (v)", NULL);
    db_expect(db, "SELECT * FROM c WHERE v = 1", NULL, "[{\"v\":1,\"_id\":1}]");
    db_run(db, "DROP INDEX i ON c", NULL);
    db_expect(db, "SELECT * FROM c WHERE v = 1", NULL, "[{\"v\":1,\"_id\":1}]");
    tako_close(db);
}

/* More different texts than a connection keeps. */
static void test_execute__makes_room_for_new_statements(void **state)
{
    tako_db *db = db_open(db_path(*state, "a.tako"));
    char text[64], want[32];

    db_fill(db, "c", 3 * TAKO_QUERIES_CACHED_MAX);
    for (unsigned round = 0; round < 2; round++) {
        for (unsigned i = 0; i < 3 * TAKO_QUERIES_CACHED_MAX; i++) {
            (void)snprintf(text, sizeof text, "SELECT n FROM c WHERE n = %u",
                           i);
            (void)snprintf(want, sizeof want, "[{\"n\":%u}]", i);
            db_expect(db, text, NULL, want);
        }
    }
    tako_close(db);
}

#define T(f) cmocka_unit_test_setup_teardown(f, db_dir_setup, db_dir_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(test_execute__inserts_selects_updates_deletes),
        T(test_execute__tells_what_a_mutation_did),
        T(test_execute__a_mutation_may_give_rows),
        T(test_execute__takes_parameters_as_cbor),
        T(test_execute__says_what_is_wrong_and_where),
        T(test_execute__says_misuse),
        T(test_execute__refuses_a_statement_over_the_limit),
        T(test_kind__is_the_first_words),
        T(test_execute__goes_on_after_the_schema_changed),
        T(test_execute__makes_room_for_new_statements),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
