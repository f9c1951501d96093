// SPDX-License-Identifier: Apache-2.0
#include "support_query.h"

#include <stdio.h>

#include "query/functions.h"

static void test_fn_regexp__values_are_those_of_the_table(void **state)
{
    static const expr_row rows[] = {
        { "regexp_like(s, 'b')", "true" },
        { "regexp_like(s, '^b')", "false" },
        { "regexp_like(s, '^[a-c]{3}$')", "true" },
        { "regexp_like(s, 'ABC')", "false" },
        { "regexp_like(s, 'ABC', 'i')", "true" },
        { "regexp_like(s, 'ABC', 'i', 'c')", "false" },
        { "regexp_like(s, 'A B C', 'ix')", "true" },
        { "regexp_like('a\\nb', '^b$')", "false" },
        { "regexp_like('a\\nb', '^b$', 'm')", "true" },
        { "regexp_like('a\\nb', 'a.b', 's')", "true" },
        { "regexp_like('12.5', '^\\\\d+\\\\.\\\\d$')", "true" },
        { "regexp_like(s, s)", "true" },
        { "regexp_like(s, '')", "true" },
        /* a bad pattern, flag or kind is MISSING */
        { "regexp_like(s, '(')", "" },
        { "regexp_like(s, 'a{9999}')", "" },
        { "regexp_like(s, 'b', 'q')", "" },
        { "regexp_like(s, 'b', 1)", "" },
        { "regexp_like(s, 1)", "" },
        { "regexp_like(i, '5')", "" },
        { "regexp_like(n, 'b')", "" },
        { "regexp_like(nothing, 'b')", "" },
    };

    expect_exprs(*state, rows, sizeof rows / sizeof rows[0]);
}

/* More patterns than are kept, again and again, each with its own flags. */
static void test_fn_regexp__kept_patterns_do_not_mix(void **state)
{
    test_db *db = *state;
    char text[300];

    for (int round = 0; round < 3; round++) {
        for (unsigned i = 0; i < 3 * TAKO_REGEXPS_CACHED_MAX; i++) {
            (void)snprintf(text, sizeof text,
                           "SELECT regexp_like('X%u', '^x%u$', 'i') AS a, "
                           "regexp_like('X%u', '^x%u$') AS b, "
                           "regexp_like('x%u', '^x%u') AS c",
                           i, i, i, i, i == 1 ? 10 : i + 1, i);
            /* x1 begins x10, x11, ... */
            expect(db, text, NULL,
                   i == 1 ? "{\"a\":true,\"b\":false,\"c\":true}"
                          : "{\"a\":true,\"b\":false,\"c\":false}");
        }
    }
    (void)must(db, "INSERT INTO c DOCUMENTS (:d)",
               "{\"d\":[{\"_id\":1,\"p\":\"^a\"},{\"_id\":2,\"p\":\"b$\"},"
               "{\"_id\":3,\"p\":\"(\"},{\"_id\":4,\"p\":\"c\"}]}");
    expect(db, "SELECT _id FROM c WHERE regexp_like('ab', p) ORDER BY _id",
           NULL, "{\"_id\":1} {\"_id\":2}");
}

static void test_fn_regexp__similar_is_ready_for_the_emitter(void **state)
{
    test_db *db = *state;
    sqlite3_stmt *stmt = NULL;

    assert_int_equal(
        sqlite3_prepare_v2(store_conn_db(db->conn),
                           "SELECT hex(tql_similar('abc','a%')),"
                           "hex(tql_similar('abc','b')),"
                           "tql_similar('abc','('),tql_similar(1,'a')",
                           -1, &stmt, NULL),
        SQLITE_OK);
    assert_int_equal(sqlite3_step(stmt), SQLITE_ROW);
    assert_string_equal((const char *)sqlite3_column_text(stmt, 0), "F5");
    assert_string_equal((const char *)sqlite3_column_text(stmt, 1), "F4");
    assert_int_equal(sqlite3_column_type(stmt, 2), SQLITE_NULL);
    assert_int_equal(sqlite3_column_type(stmt, 3), SQLITE_NULL);
    (void)sqlite3_finalize(stmt);
    assert_null(fn_find(tako_slice_str("similar")));
}

static void test_fn_regexp__out_of_memory_is_an_error(void **state)
{
    test_db *db = *state;
    char text[80];
    unsigned failures = 0;

    for (long n = 0; n < 60; n++) {
        const char *got;

        db->t.failed_once = false;
        db->t.fail_after = n;
        got = run(db, "SELECT regexp_like('ab', '(a|b)+') AS v", NULL);
        db->t.fail_after = -1;
        if (db->t.failed_once)
            failures++;
        else
            assert_string_equal(got, "{\"v\":true}");
        expect(db, "SELECT regexp_like('ab', '(a|b)+') AS v", NULL,
               "{\"v\":true}");
        /* Others push it out, so that it is compiled anew. */
        for (unsigned i = 0; i < TAKO_REGEXPS_CACHED_MAX; i++) {
            (void)snprintf(text, sizeof text, "SELECT regexp_like('a', '%u')",
                           i);
            (void)must(db, text, NULL);
        }
    }
    assert_true(failures > 5);
}

static void test_fn_regexp__a_predicate_may_use_it(void **state)
{
    test_db *db = *state;
    query_predicate *p;
    tako_slice body = cbor_of(db, "{\"name\":\"tako\"}");
    tako_slice id = cbor_of(db, "1");

    assert_int_equal(
        query_predicate_new(
            &db->t.env,
            tako_slice_str("SELECT * FROM c WHERE regexp_like(name, '^t')"),
            TAKO_SLICE_NONE, &p, &db->e),
        TAKO_OK);
    for (int i = 0; i < 3; i++)
        assert_true(query_predicate_match(p, id, body));
    assert_false(query_predicate_match(p, id, cbor_of(db, "{\"name\":\"o\"}")));
    query_predicate_free(p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_DB(test_fn_regexp__values_are_those_of_the_table),
        IN_DB(test_fn_regexp__kept_patterns_do_not_mix),
        IN_DB(test_fn_regexp__similar_is_ready_for_the_emitter),
        IN_DB(test_fn_regexp__out_of_memory_is_an_error),
        IN_DB(test_fn_regexp__a_predicate_may_use_it),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
