// SPDX-License-Identifier: Apache-2.0
/* tests/query/test_ast_select.c mirrors src/query/ast_select.c: what SELECTs
 * are made of has limits. What they mean is in test_emit_stmt.c. */
#include "query/ast.h"
#include "support_query.h"

/* prefix, then `unit` n times, then `end` m times */
static tako_err repeated(test_db *db, const char *prefix, const char *unit,
                         size_t n, const char *end, size_t m)
{
    tako_buf b = tako_buf_on(&db->t.env);
    query_kind kind;
    tako_err err;

    tako_put_str(&b, prefix);
    while (n-- > 0)
        tako_put_str(&b, unit);
    while (m-- > 0)
        tako_put_str(&b, end);
    err = query_classify(&db->t.env, tako_buf_slice(&b), &kind, &db->e);
    tako_buf_fini(&b);
    return err;
}

static void test_ast_select__limits_hold(void **state)
{
    test_db db;
    unsigned deep = TAKO_SELECT_DEPTH_MAX;

    (void)state;
    test_db_bare(&db, 1);
    assert_int_equal(repeated(&db, "SELECT 1", " UNION SELECT 1",
                              TAKO_SET_OPERANDS_MAX - 1, "", 0),
                     TAKO_OK);
    assert_int_equal(repeated(&db, "SELECT 1", " UNION SELECT 1",
                              TAKO_SET_OPERANDS_MAX, "", 0),
                     TAKO_LIMIT);
    assert_int_equal(repeated(&db, "SELECT 1 FROM a", ", a",
                              TAKO_JOIN_SOURCES_MAX - 1, "", 0),
                     TAKO_OK);
    assert_int_equal(
        repeated(&db, "SELECT 1 FROM a", ", a", TAKO_JOIN_SOURCES_MAX, "", 0),
        TAKO_LIMIT);
    assert_int_equal(
        repeated(&db, "SELECT 1 ", "FROM (SELECT 1 ", deep - 1, ")", deep - 1),
        TAKO_OK);
    assert_int_equal(
        repeated(&db, "SELECT 1 ", "FROM (SELECT 1 ", deep, ")", deep),
        TAKO_LIMIT);
    assert_int_equal(repeated(&db, "SELECT ", "(SELECT ", deep, "1)", 0),
                     TAKO_INVALID);
    assert_int_equal(repeated(&db, "SELECT 1 WHERE EXISTS (SELECT 1 ",
                              "WHERE EXISTS (SELECT 1 ", deep, ")", deep + 1),
                     TAKO_LIMIT);
    assert_int_equal(repeated(&db, "SELECT 1", " UNION (SELECT 1)", 1, "", 0),
                     TAKO_INVALID);
    assert_int_equal(repeated(&db, "SELECT [0", ", ANY x IN a SATISFIES x END",
                              TAKO_STATEMENT_SOURCES_MAX + 1, "]", 1),
                     TAKO_LIMIT);
    test_db_close(&db);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ast_select__limits_hold),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
