// SPDX-License-Identifier: Apache-2.0
#include "support_query.h"

#include <stdio.h>

static void
test_exec_returning__each_statement_gives_its_documents(void **state)
{
    test_db *db = *state;

    expect(db,
           "INSERT INTO c DOCUMENTS ({'_id': 'a', 'x': 1}), ({'_id': 7, 'x': "
           "2}) RETURNING *, x + 1 AS next",
           NULL,
           "2 \"a\" 7 {\"x\":1,\"_id\":\"a\",\"next\":2} "
           "{\"x\":2,\"_id\":7,\"next\":3}");
    expect(db, "UPDATE c SET x = x * 10 WHERE x > :min RETURNING _id, x",
           "{\"min\":1}", "1 7 {\"x\":20,\"_id\":7}");
    expect(db, "UPDATE c SET y = nothing RETURNING *", NULL, "0");
    expect(db, "UPDATE c APPLY n INCREMENT BY 2 WHERE _id = 'a' RETURNING c.n",
           NULL, "1 \"a\" {\"n\":2}");
    expect(db, "DELETE FROM c WHERE x = 20 RETURNING _id, x", NULL,
           "1 7 {\"x\":20,\"_id\":7}");
    expect(db, "DELETE FROM c WHERE _id = 'a' RETURNING *", NULL,
           "1 \"a\" {\"n\":2,\"x\":1,\"_id\":\"a\"}");
    expect(db, "DELETE FROM c WHERE _id = 'a' RETURNING *", NULL, "0");
    expect(db, "DELETE FROM nowhere RETURNING *", NULL, "0");
}

static void test_exec_returning__conflicts_give_what_was_written(void **state)
{
    test_db *db = *state;

    (void)must(db, "INSERT INTO c DOCUMENTS ({'_id': 'a', 'x': 1})", NULL);
    expect(db,
           "INSERT INTO c DOCUMENTS ({'_id': 'a', 'y': 1}), ({'_id': 'b'}) ON "
           "ID CONFLICT DO NOTHING RETURNING _id",
           NULL, "1 \"b\" {\"_id\":\"b\"}");
    expect(db,
           "INSERT INTO c DOCUMENTS ({'_id': 'a', 'y': 1}) ON ID CONFLICT DO "
           "UPDATE RETURNING *",
           NULL, "1 \"a\" {\"x\":1,\"y\":1,\"_id\":\"a\"}");
    expect(db,
           "INSERT INTO c (n COUNTER) DOCUMENTS ({'_id': 'n', 'n': 4}) "
           "RETURNING n",
           NULL, "1 \"n\" {\"n\":4}");
}

/* The whole statement is done before the first row is made. */
static void test_exec_returning__rows_see_all_of_the_statement(void **state)
{
    test_db *db = *state;

    expect(db,
           "INSERT INTO c DOCUMENTS ({'_id': 'a', 'x': 1}), ({'_id': 'b', 'x': "
           "2}) RETURNING (SELECT sum(o.x) FROM c o) AS s",
           NULL, "2 \"a\" \"b\" {\"s\":3} {\"s\":3}");
    expect(db,
           "UPDATE c SET x = 5 RETURNING _id, (SELECT sum(o.x) FROM c o) AS s",
           NULL,
           "2 \"b\" \"a\" {\"s\":10,\"_id\":\"b\"} {\"s\":10,\"_id\":\"a\"}");
    expect(db, "DELETE FROM c RETURNING (SELECT count(*) FROM c o) AS n", NULL,
           "2 \"b\" \"a\" {\"n\":2} {\"n\":2}");
}

/* A query that made its collection and was undone runs again. */
static void test_exec_returning__the_collection_may_be_made_again(void **state)
{
    static const char text[] =
        "INSERT INTO c DOCUMENTS ({'_id': 'a'}) RETURNING _id";
    test_db *db = *state;
    tako_buf row = tako_buf_on(&db->t.env), ids = tako_buf_on(&db->t.env);
    uint64_t count;
    query *q = NULL;

    assert_int_equal(
        query_prepare(&db->t.env, db->conn, tako_slice_str(text), &q, &db->e),
        TAKO_OK);
    assert_true(query_has_rows(q));
    for (int i = 0; i < 3; i++) {
        assert_int_equal(store_begin(db->s, &db->e), TAKO_OK);
        if (query_run(q, db->s, &ids, &count, &db->e) != TAKO_OK)
            fail_msg("%s", db->e.text);
        store_rollback(db->s);
        assert_int_equal(query_step(q, &row, &db->e), TAKO_OK);
        assert_int_equal(query_step(q, &row, &db->e), TAKO_NOTFOUND);
        (void)must(db, "INSERT INTO other DOCUMENTS ({'x': 1})", NULL);
    }
    query_reset(q);
    assert_int_equal(query_step(q, &row, &db->e), TAKO_NOTFOUND);
    query_free(q);
    tako_buf_fini(&row);
    tako_buf_fini(&ids);
}

static void test_exec_returning__clock_is_that_of_the_run(void **state)
{
    test_db *db = *state;

    expect(db,
           "INSERT INTO c DOCUMENTS ({'_id': 'a', 'at': clock()}) RETURNING "
           "at = clock() AS same",
           NULL, "1 \"a\" {\"same\":true}");
    expect(db, "DELETE FROM c RETURNING clock() >= at AS after", NULL,
           "1 \"a\" {\"after\":true}");
}

/* What is returned is bounded; too much undoes the statement. */
static void test_exec_returning__too_many_rows_undo_the_statement(void **state)
{
    test_db *db = *state;
    const char *got;

    (void)must(db,
               "INSERT INTO c SELECT i, repeat('x', 100000) AS s FROM "
               "UNNEST [1,2,3,4,5,6,7,8,9,10] AS i",
               NULL);
    got = run(db,
              "UPDATE c SET y = 1 RETURNING (SELECT array_agg(o.s) FROM c o, "
              "c p) AS v",
              NULL);
    if (strncmp(got, "ERROR TAKO_LIMIT", 16) != 0)
        fail_msg("%.200s", got);
    expect(db, "SELECT count(*) AS n FROM c WHERE y = 1", NULL, "{\"n\":0}");
}

static void test_exec_returning__aggregates_are_refused(void **state)
{
    test_db *db = *state;

    expect(db, "DELETE FROM c RETURNING count(*)", NULL,
           "ERROR TAKO_INVALID: line 1 column 25: RETURNING gives a row for "
           "each document: no aggregates");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_DB(test_exec_returning__each_statement_gives_its_documents),
        IN_DB(test_exec_returning__conflicts_give_what_was_written),
        IN_DB(test_exec_returning__rows_see_all_of_the_statement),
        IN_DB(test_exec_returning__the_collection_may_be_made_again),
        IN_DB(test_exec_returning__clock_is_that_of_the_run),
        IN_DB(test_exec_returning__too_many_rows_undo_the_statement),
        IN_DB(test_exec_returning__aggregates_are_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
