// SPDX-License-Identifier: Apache-2.0
/* tests/query/test_predicate.c mirrors src/query/predicate.c and
 * emit_cond.c: one meaning, however a condition is evaluated. */
#include "support_query.h"

#include <stdio.h>
#include <stdlib.h>

#include "codec/json.h"

/* ---- one meaning -------------------------------------------------------------- */

static const char *const values[] = {
    "0",
    "1",
    "-1",
    "2.5",
    "1.0",
    "9007199254740993",
    "\"\"",
    "\"a\"",
    "\"ab\"",
    "\"b\"",
    "true",
    "false",
    "null",
    "[]",
    "[1]",
    "[1,2]",
    "{}",
    "{\"k\":1}",
    "{\"k\":null}",
    "\"1\"",
};
#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

static const char *value_at(test_env *t)
{
    return values[test_below(t, COUNT(values))];
}

static void random_operand(test_env *t, char *out, size_t cap)
{
    static const char *const paths[] = { "f", "g", "f.k", "g[0]", "_id" };

    if (test_below(t, 3) == 0)
        (void)snprintf(out, cap, "%s", value_at(t));
    else
        (void)snprintf(out, cap, "%s", paths[test_below(t, COUNT(paths))]);
}

static void random_leaf(test_env *t, char *out, size_t cap)
{
    static const char *const ops[] = { "=", "!=", "<", "<=", ">", ">=" };
    char a[60], b[60], c[60];

    random_operand(t, a, sizeof a);
    random_operand(t, b, sizeof b);
    random_operand(t, c, sizeof c);
    switch (test_below(t, 8)) {
    case 0:
        (void)snprintf(out, cap, "%s IS %s%s", a,
                       test_below(t, 2) ? "NOT " : "",
                       test_below(t, 2) ? "NULL" : "MISSING");
        break;
    case 1:
        (void)snprintf(out, cap, "%s %sIN (%s, %s, %s)", a,
                       test_below(t, 2) ? "NOT " : "", b, c, value_at(t));
        break;
    case 2:
        (void)snprintf(out, cap, "%s %sBETWEEN %s AND %s", a,
                       test_below(t, 2) ? "NOT " : "", b, c);
        break;
    case 3:
        (void)snprintf(out, cap, "%s %sLIKE '%s'", a,
                       test_below(t, 2) ? "NOT " : "",
                       test_below(t, 2) ? "a%" : "_b%");
        break;
    default:
        (void)snprintf(out, cap, "%s %s %s", a, ops[test_below(t, 6)], b);
        break;
    }
}

static void random_condition(test_env *t, unsigned depth, char *out, size_t cap)
{
    char a[700], b[700];

    if (depth == 0 || test_below(t, 3) == 0) {
        random_leaf(t, out, cap);
        return;
    }
    random_condition(t, depth - 1, a, sizeof a);
    random_condition(t, depth - 1, b, sizeof b);
    switch (test_below(t, 4)) {
    case 0:
        (void)snprintf(out, cap, "NOT (%.*s)", 600, a);
        break;
    case 1:
        (void)snprintf(out, cap, "(%.*s) OR (%.*s)", 300, a, 300, b);
        break;
    case 2:
        (void)snprintf(out, cap, "((%.*s) = (%.*s))", 300, a, 300, b);
        break;
    default:
        (void)snprintf(out, cap, "(%.*s) AND (%.*s)", 300, a, 300, b);
        break;
    }
}

static void fill(test_db *db)
{
    (void)must(db, "INSERT INTO c DOCUMENTS ({'_id': 'none'})", NULL);
    for (int i = 0; i < 60; i++) {
        char doc[200];

        (void)snprintf(doc, sizeof doc, "{\"d\":{\"_id\":%s%d%s,\"f\":%s%s%s}}",
                       i % 2 ? "" : "\"", i, i % 2 ? "" : "\"",
                       value_at(&db->t), test_below(&db->t, 3) ? ",\"g\":" : "",
                       "");
        if (strstr(doc, ",\"g\":") != NULL)
            (void)snprintf(doc, sizeof doc,
                           "{\"d\":{\"_id\":%s%d%s,\"f\":%s,\"g\":%s}}",
                           i % 2 ? "" : "\"", i, i % 2 ? "" : "\"",
                           value_at(&db->t), value_at(&db->t));
        (void)must(db, "INSERT INTO c DOCUMENTS (:d)", doc);
    }
}

/* The ids that the predicate accepts, as a SELECT would print them. */
static void by_predicate(test_db *db, const char *text, tako_buf *out)
{
    query_predicate *p;
    store_cursor *k;
    store_row row;
    uint32_t coll;

    if (query_predicate_new(&db->t.env, tako_slice_str(text), TAKO_SLICE_NONE,
                            &p, &db->e) != TAKO_OK)
        fail_msg("%s: %s", text, db->e.text);
    assert_int_equal(store_coll_find(db->conn, tako_slice_str("c"), &coll),
                     TAKO_OK);
    assert_int_equal(store_scan(db->conn, coll, INT64_MIN, &k), TAKO_OK);
    while (store_scan_next(k, &row) == TAKO_OK) {
        if (!query_predicate_match(p, row.id, row.body))
            continue;
        if (out->len > 0)
            tako_put_u8(out, ' ');
        tako_put_str(out, "{\"_id\":");
        (void)json_from_cbor(row.id, out);
        tako_put_u8(out, '}');
    }
    store_scan_close(k);
    query_predicate_free(p);
}

/* NOT IN, comparison of values, ...: as a value it must be what it is as a
 * condition. */
static void check_all_ways(test_db *db, const char *condition, bool indexed)
{
    char text[2000];
    tako_buf first = tako_buf_on(&db->t.env);
    tako_buf other = tako_buf_on(&db->t.env);

    (void)snprintf(text, sizeof text, "SELECT * FROM c WHERE %s", condition);
    by_predicate(db, text, &first);
    (void)snprintf(text, sizeof text, "SELECT _id FROM c WHERE %s", condition);
    if (indexed) /* an index gives another order */
        (void)snprintf(text, sizeof text,
                       "SELECT _id FROM c WHERE %s ORDER BY _id", condition);
    tako_put_str(&other, must(db, text, NULL));
    if (indexed) {
        tako_buf_reset(&first);
        (void)snprintf(text, sizeof text,
                       "SELECT _id FROM c WHERE CASE WHEN (%s) THEN 1 ELSE 0 "
                       "END = 1 ORDER BY _id",
                       condition);
        tako_put_str(&first, must(db, text, NULL));
    }
    if (!tako_slice_eq(tako_buf_slice(&first), tako_buf_slice(&other)))
        fail_msg("%s\n  %s\n  %s", condition, tako_buf_cstr(&first),
                 tako_buf_cstr(&other));
    tako_buf_reset(&first);
    (void)snprintf(text, sizeof text,
                   "SELECT _id FROM c WHERE ((%s) = true) = true%s", condition,
                   indexed ? " ORDER BY _id" : "");
    tako_put_str(&first, must(db, text, NULL));
    if (!tako_slice_eq(tako_buf_slice(&first), tako_buf_slice(&other)))
        fail_msg("as a value: %s\n  %s\n  %s", condition, tako_buf_cstr(&first),
                 tako_buf_cstr(&other));
    tako_buf_fini(&first);
    tako_buf_fini(&other);
}

static void test_predicate__one_meaning_however_evaluated(void **state)
{
    test_db db;
    char condition[1600];

    (void)state;
    test_db_open(&db, test_seed(11));
    fill(&db);
    for (int i = 0; i < 1500; i++) {
        if (i == 700) {
            (void)must(&db, "CREATE INDEX i ON c (f)", NULL);
            (void)must(&db, "CREATE INDEX j ON c (g DESC, f)", NULL);
            (void)must(&db, "CREATE INDEX k ON c (f.k) WHERE f.k IS NULL",
                       NULL);
        }
        random_condition(&db.t, 3, condition, sizeof condition);
        if (strlen(condition) > 900)
            continue;
        check_all_ways(&db, condition, i >= 700);
    }
    test_db_close(&db);
}

static void test_predicate__survives_every_failed_allocation(void **state)
{
    test_db db;

    (void)state;
    test_db_bare(&db, 1);
    for (long nth = 0;; nth++) {
        query_predicate *p;
        tako_err err;

        db.t.failed_once = false;
        db.t.fail_after = nth;
        err = query_predicate_new(
            &db.t.env,
            tako_slice_str("SELECT * FROM c WHERE a IN (1, x) AND b = 'x' OR "
                           "lower(d) LIKE 'q%'"),
            TAKO_SLICE_NONE, &p, &db.e);
        db.t.fail_after = -1;
        query_predicate_free(p);
        if (!db.t.failed_once) {
            assert_int_equal(err, TAKO_OK);
            break;
        }
        assert_int_equal(err, TAKO_NOMEM);
        assert_true(nth < 1000);
    }
    test_db_close(&db);
}

/* ---- covering ------------------------------------------------------------------- */

static bool does_cover(const tako_env *env, const char *big, const char *small)
{
    query_predicate *b = NULL, *s = NULL;
    tako_errbuf e = { "" };
    bool yes;

    if (query_predicate_new(env, tako_slice_str(big), TAKO_SLICE_NONE, &b,
                            &e) != TAKO_OK ||
        query_predicate_new(env, tako_slice_str(small), TAKO_SLICE_NONE, &s,
                            &e) != TAKO_OK)
        fail_msg("%s", e.text);
    yes = query_predicate_covers(b, s);
    query_predicate_free(b);
    query_predicate_free(s);
    return yes;
}

/* The same text, the whole, an operand of OR; nothing cleverer, and nothing
 * that only looks like it. */
static void test_predicate__covers_by_its_text(void **state)
{
#define C "SELECT * FROM c"
    static const struct {
        const char *big, *small;
        bool covers;
    } rows[] = {
        { C, C, true },
        { C, C " WHERE a = 1", true },
        { C " WHERE a = 1", C, false },
        { C " WHERE 1 = a", C " WHERE a = 1", true },
        { C " WHERE a = 1 OR b = 2", C " WHERE b = 2", true },
        { C " WHERE a = 1 OR b = 2 OR c = 3", C " WHERE b = 2", true },
        { C " WHERE a = 1 AND b = 2", C " WHERE a = 1", false },
        { C " WHERE (a = 1 OR b = 2) AND d = 3", C " WHERE a = 1", false },
        { C " WHERE a = 1 OR (b = 2 AND d = 3)", C " WHERE b = 2", false },
        { C " WHERE a = 1 OR (b = 2 AND d = 3)", C " WHERE d = 3 AND b = 2",
          true },
        { C " WHERE a = ') OR (b = 2) OR ('", C " WHERE b = 2", false },
        { C " WHERE a = \"x' OR \" OR b = 'it''s'", C " WHERE b = 'it''s'",
          true },
        { "SELECT * FROM d", C, false },
    };
#undef C
    test_env t;

    (void)state;
    test_env_init(&t, 1);
    for (size_t i = 0; i < COUNT(rows); i++)
        if (does_cover(&t.env, rows[i].big, rows[i].small) != rows[i].covers)
            fail_msg("%s / %s", rows[i].big, rows[i].small);
    test_env_check_empty(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_predicate__one_meaning_however_evaluated),
        cmocka_unit_test(test_predicate__survives_every_failed_allocation),
        cmocka_unit_test(test_predicate__covers_by_its_text),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
