// SPDX-License-Identifier: Apache-2.0
/* tests/query/test_parse.c mirrors src/query/parse.y, lex.re, ast.c and
 * check.c: what is refused, where, and with which words. */
#include "support_query.h"

#include <stdio.h>

static const char *refusal(test_db *db, const char *text)
{
    query_kind kind;
    tako_err err;

    db->e.text[0] = '\0';
    err = query_classify(&db->t.env, tako_slice_str(text), &kind, &db->e);
    return err == TAKO_OK ? "" : db->e.text;
}

static void test_parse__tells_what_was_expected_and_where(void **state)
{
    static const struct {
        const char *text, *want;
    } rows[] = {
#include "errors.inc"
    };
    test_db db;
    int bad = 0;

    (void)state;
    test_db_bare(&db, 1);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        const char *got = refusal(&db, rows[i].text);

        if (strcmp(got, rows[i].want) != 0) {
            print_message("%s\n  want %s\n  got  %s\n", rows[i].text,
                          rows[i].want, got);
            bad++;
        }
    }
    assert_int_equal(bad, 0);
    test_db_close(&db);
}

static void test_parse__classifies(void **state)
{
    static const struct {
        const char *text;
        query_kind want;
    } rows[] = {
        { "select * from c", QUERY_SELECT },
        { "SELECT 1;", QUERY_SELECT },
        { "-- one\nINSERT INTO c DOCUMENTS (:d) /* two */", QUERY_INSERT },
        { "UPDATE c SET x = 1", QUERY_UPDATE },
        { "DELETE FROM c", QUERY_DELETE },
        { "CREATE INDEX i ON c (x)", QUERY_CREATE_INDEX },
        { "DROP INDEX IF EXISTS i ON c", QUERY_DROP_INDEX },
        { "BEGIN", QUERY_BEGIN },
        { "begin transaction", QUERY_BEGIN },
        { "BEGIN READ ONLY", QUERY_BEGIN_READ_ONLY },
        { "COMMIT;", QUERY_COMMIT },
        { "ROLLBACK TRANSACTION;;", QUERY_ROLLBACK },
        /* words that are names where nothing else is meant */
        { "SELECT id, ids, list, map, read FROM `index` WHERE version = 1 AND "
          "c.order = 2 AND initial.`a``b` = 3",
          QUERY_SELECT },
        { "SELECT {a:b, 'c':d, 'e':{}} AS x, a[b:c] FROM t", QUERY_SELECT },
    };
    test_db db;

    (void)state;
    test_db_bare(&db, 1);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        query_kind kind;

        if (query_classify(&db.t.env, tako_slice_str(rows[i].text), &kind,
                           &db.e) != TAKO_OK)
            fail_msg("%s: %s", rows[i].text, db.e.text);
        assert_int_equal(kind, rows[i].want);
    }
    test_db_close(&db);
}

/* prefix, then `unit` n times, then the end */
static tako_err with_repeats(test_db *db, const char *prefix, const char *unit,
                             size_t n, const char *end)
{
    tako_buf b = tako_buf_on(&db->t.env);
    query_kind kind;
    tako_err err;

    tako_put_str(&b, prefix);
    while (n-- > 0)
        tako_put_str(&b, unit);
    tako_put_str(&b, end);
    err = query_classify(&db->t.env, tako_buf_slice(&b), &kind, &db->e);
    tako_buf_fini(&b);
    return err;
}

static void test_parse__limits_hold(void **state)
{
    test_db db;

    (void)state;
    test_db_bare(&db, 1);
    assert_int_equal(with_repeats(&db, "SELECT ", "-(", 100, "1"),
                     TAKO_INVALID);
    assert_int_equal(with_repeats(&db, "SELECT ", "(", 100000, "1"),
                     TAKO_LIMIT);
    assert_int_equal(with_repeats(&db, "SELECT ", "[", 100000, "1"),
                     TAKO_LIMIT);
    assert_int_equal(with_repeats(&db, "SELECT ", "NOT ", 500, "a"),
                     TAKO_LIMIT);
    assert_int_equal(with_repeats(&db, "SELECT a", ".a", 500, ""), TAKO_LIMIT);
    assert_int_equal(with_repeats(&db, "SELECT a", "+a", 500, ""), TAKO_LIMIT);
    assert_int_equal(with_repeats(&db, "SELECT ", "CASE WHEN ", 5000, "a"),
                     TAKO_LIMIT);
    assert_int_equal(with_repeats(&db, "SELECT a", " AND a", 20000, ""),
                     TAKO_OK);
    assert_int_equal(with_repeats(&db, "SELECT a IN (1", ",1", 90000, ")"),
                     TAKO_OK);
    assert_int_equal(with_repeats(&db, "SELECT a IN (1", ",1", 110000, ")"),
                     TAKO_LIMIT);
    assert_int_equal(
        with_repeats(&db, "SELECT '", "a", TAKO_STATEMENT_BYTES_MAX, "'"),
        TAKO_LIMIT);
    {
        tako_buf b = tako_buf_on(&db.t.env);
        query_kind kind;

        tako_put_str(&b, "SELECT :a");
        for (unsigned i = 0; i < TAKO_STATEMENT_PARAMS_MAX; i++)
            tako_put_fmt(&b, " + (:p%u)", i);
        assert_int_equal(
            query_classify(&db.t.env, tako_buf_slice(&b), &kind, &db.e),
            TAKO_LIMIT);
        tako_buf_fini(&b);
    }
    test_db_close(&db);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_parse__tells_what_was_expected_and_where),
        cmocka_unit_test(test_parse__classifies),
        cmocka_unit_test(test_parse__limits_hold),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
