// SPDX-License-Identifier: Apache-2.0
/* tests/query/test_exec.c mirrors src/query/exec.c: what writes do, report
 * and undo. */
#include "support_query.h"

#include <stdio.h>

static void test_exec__update_sets_unsets_and_counts(void **state)
{
    test_db *db = *state;

    (void)must(db,
               "INSERT INTO c DOCUMENTS ({'_id': 'a', 'x': 1, 'y': 2}), "
               "({'_id': 'b', 'x': 5})",
               NULL);
    /* Expressions see the document as it was. */
    expect(db, "UPDATE c SET x = y, y = x WHERE _id = 'a'", NULL, "1 \"a\"");
    expect(db, "SELECT x, y FROM c USE IDS 'a'", NULL, "{\"x\":2,\"y\":1}");
    expect(db, "UPDATE c SET d.e.f = x + 1 USE", NULL,
           "ERROR TAKO_INVALID: line 1 column 28: expected an operator, ',', "
           "RETURNING, WHERE, UNSET or the end of the statement, found 'USE'");
    expect(db, "UPDATE c USE IDS 'a', 'zz' SET c.d.e.f = x + 1", NULL,
           "1 \"a\"");
    expect(db, "SELECT d FROM c WHERE d IS NOT MISSING", NULL,
           "{\"d\":{\"e\":{\"f\":3}}}");
    /* MISSING leaves a field, and alone writes nothing. */
    expect(db, "UPDATE c SET x = nothing", NULL, "0");
    expect(db, "UPDATE c UNSET y, zz WHERE x > 0", NULL, "1 \"a\"");
    expect(db, "UPDATE c SET d = {'g': 1} WHERE _id = 'a'", NULL, "1 \"a\"");
    expect(db, "SELECT d FROM c USE IDS 'a'", NULL,
           "{\"d\":{\"e\":{\"f\":3},\"g\":1}}");
    expect(db, "UPDATE c SET d = REPLACE({'h': 1}) WHERE _id = 'a'", NULL,
           "1 \"a\"");
    expect(db, "SELECT d FROM c USE IDS 'a'", NULL, "{\"d\":{\"h\":1}}");
    expect(db, "UPDATE c (d REGISTER) SET d = {'i': 1} WHERE _id = 'a'", NULL,
           "1 \"a\"");
    expect(db, "SELECT d FROM c USE IDS 'a'", NULL, "{\"d\":{\"i\":1}}");
    expect(db, "UPDATE nowhere SET x = 1", NULL, "0");
}

static void test_exec__counters_are_applied(void **state)
{
    test_db *db = *state;

    (void)must(db, "INSERT INTO c (n COUNTER) DOCUMENTS ({'_id': 1, 'n': 3})",
               NULL);
    expect(db, "UPDATE c APPLY n INCREMENT BY 4 WHERE _id = 1", NULL, "1 1");
    expect(db, "UPDATE c APPLY n PN_INCREMENT BY :by, m INCREMENT BY 1",
           "{\"by\":-2}", "1 1");
    expect(db, "SELECT n, m FROM c", NULL, "{\"m\":1,\"n\":5}");
    expect(db, "UPDATE c APPLY n RESTART, m RESTART WITH 9", NULL, "1 1");
    expect(db, "SELECT n, m FROM c", NULL, "{\"m\":9,\"n\":0}");
    expect(db, "UPDATE c (n COUNTER) SET n = 3", NULL,
           "ERROR TAKO_INVALID: a counter changes by INCREMENT and RESTART, "
           "not SET");
    expect(db, "UPDATE c APPLY n INCREMENT BY :x", "{\"x\":\"a\"}",
           "ERROR TAKO_INVALID: a counter moves by whole numbers");
}

static void test_exec__delete_takes_what_matches(void **state)
{
    test_db *db = *state;

    (void)must(
        db, "INSERT INTO c DOCUMENTS (:d)",
        "{\"d\":[{\"_id\":\"1\",\"x\":1},{\"_id\":\"2\",\"x\":2},{\"_id\":"
        "\"3\",\"x\":3},{\"_id\":\"4\",\"x\":3}]}");
    expect(db, "DELETE FROM c WHERE x = 2", NULL, "1 \"2\"");
    expect(db, "SELECT count(*) AS n FROM c", NULL, "{\"n\":3}");
    expect(db, "DELETE FROM c USE IDS '1', '2'", NULL, "1 \"1\"");
    (void)must(db, "DELETE FROM c WHERE x = 3 LIMIT 1", NULL);
    expect(db, "SELECT count(*) AS n FROM c", NULL, "{\"n\":1}");
    /* A deleted document can come back. */
    expect(db, "INSERT INTO c DOCUMENTS ({'_id': '1', 'y': 1})", NULL,
           "1 \"1\"");
    expect(db, "SELECT * FROM c WHERE _id = '1'", NULL,
           "{\"y\":1,\"_id\":\"1\"}");
}

static void test_exec__a_failed_statement_leaves_nothing(void **state)
{
    test_db *db = *state;
    uint64_t lsn;

    assert_int_equal(store_begin(db->s, &db->e), TAKO_OK);
    (void)must(db, "INSERT INTO c DOCUMENTS ({'_id': 1, 'x': 1})", NULL);
    (void)run(db, "INSERT INTO c DOCUMENTS ({'_id': 2}), ({'_id': 1})", NULL);
    (void)must(db, "UPDATE c SET x = 2", NULL);
    assert_int_equal(store_commit(db->s, &lsn, &db->e), TAKO_OK);
    expect(db, "SELECT * FROM c", NULL, "{\"x\":2,\"_id\":1}");
    assert_int_equal(store_begin(db->s, &db->e), TAKO_OK);
    (void)must(db, "UPDATE c SET x = 3 WHERE _id = 1", NULL);
    expect(db, "UPDATE c APPLY x INCREMENT BY :n WHERE _id = 1",
           "{\"n\":\"one\"}",
           "ERROR TAKO_INVALID: a counter moves by whole numbers");
    (void)run(db, "INSERT INTO c DOCUMENTS ({'_id': 1})", NULL);
    assert_int_equal(store_commit(db->s, &lsn, &db->e), TAKO_OK);
    expect(db, "SELECT * FROM c", NULL, "{\"x\":3,\"_id\":1}");
    (void)run(db, "INSERT INTO fresh DOCUMENTS ({'_id': 1}), (5)", NULL);
    expect(db, "SELECT * FROM fresh", NULL, "");
}

/* Changes of one document by its _id take another way than others: the same
 * statement with a condition more must do the same, whatever the _id is. */
static void test_exec__changes_by_id_are_like_any_other(void **state)
{
    static const char *const params[] = {
        "{\"i\":\"a\",\"v\":[1]}",
        "{\"i\":\"01JD0000000000000000000000\",\"v\":2}",
        "{\"i\":\"01JD0000000000000000000001\",\"v\":2}", /* the same row */
        "{\"i\":\"01JD0000000000000000000002\",\"v\":2}", /* not there */
        "{\"i\":7,\"v\":null}",
        "{\"i\":7.0,\"v\":3}",
        "{\"i\":[1,2],\"v\":{}}",
        "{\"i\":{\"k\":1},\"v\":0}",
        "{\"i\":null,\"v\":0}",
        "{\"i\":true,\"v\":0}",
        "{\"i\":\"\",\"v\":0}",
    };
    static const char *const texts[][2] = {
        { "UPDATE c SET x = :v WHERE _id = :i",
          "UPDATE c SET x = :v WHERE _id = :i AND true" },
        { "UPDATE c SET x = 1, y.z = :v WHERE :i = _id",
          "UPDATE c SET x = 1, y.z = :v WHERE true AND :i = _id" },
        { "UPDATE c SET x = MISSING, y = :v WHERE c._id = :i",
          "UPDATE c SET x = MISSING, y = :v WHERE c._id = :i AND true" },
        { "DELETE FROM c WHERE _id = :i", "DELETE FROM c WHERE true AND _id = "
                                          ":i" },
    };
    test_db *db = *state;
    char want[2][512];

    for (size_t t = 0; t < sizeof texts / sizeof texts[0]; t++) {
        for (size_t p = 0; p < sizeof params / sizeof params[0]; p++) {
            for (size_t way = 0; way < 2; way++) {
                assert_int_equal(store_begin(db->s, &db->e), TAKO_OK);
                (void)must(
                    db, "INSERT INTO c DOCUMENTS (:d)",
                    "{\"d\":[{\"_id\":\"a\"},{\"_id\":7},{\"_id\":[1,2]},"
                    "{\"_id\":\"01JD0000000000000000000000\"},"
                    "{\"_id\":\"01JD0000000000000000000001\"},"
                    "{\"_id\":\"\"},{\"_id\":true}]}");
                (void)snprintf(want[way], 200, "%s",
                               run(db, texts[t][way], params[p]));
                (void)snprintf(want[way] + strlen(want[way]), 300, " %s",
                               must(db, "SELECT * FROM c ORDER BY _id", NULL));
                store_rollback(db->s);
            }
            assert_string_equal(want[0], want[1]);
        }
    }
}

static void test_exec__indexes_come_and_go(void **state)
{
    test_db *db = *state;

    (void)must(db, "INSERT INTO c DOCUMENTS ({'_id': 1, 'x': 1, 's': 'ab'})",
               NULL);
    expect(db, "CREATE INDEX i ON c (x, lower(s) DESC) WHERE x > 0", NULL, "0");
    assert_int_equal(strncmp(run(db, "CREATE INDEX i ON c (x)", NULL),
                             "ERROR TAKO_EXISTS", 17),
                     0);
    expect(db, "CREATE INDEX IF NOT EXISTS i ON c (x)", NULL, "0");
    assert_non_null(
        strstr(plan_of(db, "SELECT * FROM c WHERE x > 0 AND x = 1", NULL),
               "USING INDEX"));
    expect(db, "DROP INDEX i ON c", NULL, "0");
    expect(db, "DROP INDEX IF EXISTS i ON c", NULL, "0");
    expect(db, "DROP INDEX i ON c", NULL,
           "ERROR TAKO_NOTFOUND: there is no index i on c");
    assert_non_null(strstr(run(db, "CREATE UNIQUE INDEX i ON c (x)", NULL),
                           "cannot be UNIQUE"));
}

static void test_exec__prepared_queries_know_when_they_are_stale(void **state)
{
    test_db *db = *state;
    query *q;
    tako_buf row = tako_buf_on(&db->t.env);

    assert_int_equal(query_prepare(&db->t.env, db->conn,
                                   tako_slice_str("SELECT * FROM c"), &q,
                                   &db->e),
                     TAKO_OK);
    assert_false(query_is_stale(q));
    assert_int_equal(query_step(q, &row, &db->e), TAKO_NOTFOUND);
    (void)must(db, "INSERT INTO c DOCUMENTS ({'_id': 1})", NULL);
    assert_true(query_is_stale(q));
    query_free(q);
    assert_int_equal(query_prepare(&db->t.env, db->conn,
                                   tako_slice_str("SELECT * FROM c"), &q,
                                   &db->e),
                     TAKO_OK);
    assert_int_equal(query_step(q, &row, &db->e), TAKO_OK);
    query_reset(q);
    assert_false(query_is_stale(q));
    query_free(q);
    tako_buf_fini(&row);
}

/* Every allocation of a write and of a read fails once: each failure is
 * clean, and afterwards the statement runs. */
static void fail_each(test_db *db, const char *text, const char *params)
{
    for (long nth = 0;; nth++) {
        tako_slice bound =
            params == NULL ? TAKO_SLICE_NONE : cbor_of(db, params);
        tako_buf out = tako_buf_on(&db->t.env);
        query *q = NULL;
        uint64_t n;
        tako_err err;

        assert_int_equal(store_begin(db->s, &db->e), TAKO_OK);
        db->t.failed_once = false;
        db->t.fail_after = nth;
        err = query_prepare(&db->t.env, db->conn, tako_slice_str(text), &q,
                            &db->e);
        if (err == TAKO_OK)
            err = query_bind(q, bound, &db->e);
        if (err == TAKO_OK && query_kind_of(q) == QUERY_SELECT) {
            while ((err = query_step(q, &out, &db->e)) == TAKO_OK)
                continue;
            err = err == TAKO_NOTFOUND ? TAKO_OK : err;
        } else if (err == TAKO_OK) {
            err = query_run(q, db->s, &out, &n, &db->e);
        }
        db->t.fail_after = -1;
        query_free(q);
        tako_buf_fini(&out);
        store_rollback(db->s);
        if (!db->t.failed_once) {
            if (err != TAKO_OK)
                fail_msg("%s: %s", text, db->e.text);
            break;
        }
        assert_true(nth < 3000);
        assert_true(err != TAKO_CORRUPT && err != TAKO_INVALID);
    }
}

static void test_exec__survives_every_failed_allocation(void **state)
{
    test_db *db = *state;

    (void)must(db, "INSERT INTO c DOCUMENTS ({'_id': 'a', 'x': 1, 'o': {}})",
               NULL);
    fail_each(db,
              "SELECT *, upper('x') AS u FROM c WHERE x IN (1, 2) ORDER BY "
              "x || 'a'",
              NULL);
    fail_each(db, "UPDATE c SET o.p = :v, y = {'a': x} UNSET x WHERE x = 1",
              "{\"v\":[1,2]}");
    fail_each(db, "DELETE FROM c", NULL);
    fail_each(db, "UPDATE c SET x = :v WHERE _id = 'a'", "{\"v\":[1,2]}");
    fail_each(db, "DELETE FROM c WHERE _id = 'a'", NULL);
    fail_each(db, "INSERT INTO c DOCUMENTS (:d)", "{\"d\":{\"x\":1}}");
    fail_each(db,
              "INSERT INTO c DOCUMENTS ({'_id': 'b', 'x': lower('A')}), (:d)",
              "{\"d\":{\"x\":1}}");
    fail_each(db, "CREATE INDEX i ON c (x)", NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_DB(test_exec__update_sets_unsets_and_counts),
        IN_DB(test_exec__counters_are_applied),
        IN_DB(test_exec__delete_takes_what_matches),
        IN_DB(test_exec__a_failed_statement_leaves_nothing),
        IN_DB(test_exec__changes_by_id_are_like_any_other),
        IN_DB(test_exec__indexes_come_and_go),
        IN_DB(test_exec__prepared_queries_know_when_they_are_stale),
        IN_DB(test_exec__survives_every_failed_allocation),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
