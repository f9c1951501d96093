// SPDX-License-Identifier: Apache-2.0
#include "store/internal.h"
#include "store/support_files.h"

#include <stdio.h>

static void fill(world_store *x, uint64_t from, uint64_t n)
{
    must(&x->w, store_begin(x->s, &x->w.e));
    for (uint64_t i = from; i < from + n; i++) {
        char json[128];

        (void)snprintf(json, sizeof json,
                       "{\"few\":%u,\"many\":%u,\"text\":\"%060u\"}",
                       (unsigned)i % 2, (unsigned)i, (unsigned)i);
        put_one(&x->w, x->s, x->coll, id_at(&x->w, i), json);
    }
    must(&x->w, store_commit(x->s, NULL, &x->w.e));
}

/* The body begins with the field that has few values and ends with the text
 * that is another one in each. */
static void index_on(world_store *x, const char *name, const char *expr)
{
    tako_buf b = tako_buf_on(&x->w.t.env);

    tako_put_str(&b, "CREATE INDEX ");
    store_index_sql_name(x->coll, tako_slice_str(name), &b);
    tako_put_fmt(&b, " ON c%u(%s) WHERE body IS NOT NULL", x->coll, expr);
    must(&x->w,
         store_index_create(x->s, x->coll, tako_slice_str(name),
                            tako_slice_str("-"), tako_buf_cstr(&b), &x->w.e));
    tako_buf_fini(&b);
}

/* The documents that statistics of the collection speak of; 0: none. */
static int64_t known(store_conn *c)
{
    int64_t n = 0;

    if (conn_int(c, "SELECT 1 FROM sqlite_schema WHERE name='sqlite_stat1'", &n,
                 NULL) == TAKO_OK &&
        n == 1)
        (void)conn_int(c, "SELECT max(CAST(stat AS INT)) FROM sqlite_stat1", &n,
                       NULL);
    return n;
}

static void plan(store_conn *c, const char *sql, char *out, size_t cap)
{
    sqlite3_stmt *s = NULL;

    assert_int_equal(sqlite3_prepare_v2(c->db, sql, -1, &s, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_step(s), SQLITE_ROW);
    (void)snprintf(out, cap, "%s", (const char *)sqlite3_column_text(s, 3));
    (void)sqlite3_finalize(s);
}

static void test_stats__choose_the_better_index(void **state)
{
    world_store x;
    store_conn *r = NULL;
    char sql[200], got[200];

    (void)state;
    world_begin(&x, 1);
    fill(&x, 0, STORE_STATS_ROWS_MIN);
    must(&x.w, store_reader_open(x.s, &r, &x.w.e));
    index_on(&x, "good", "substr(body,-30)");
    index_on(&x, "bad", "substr(body,1,6)");
    assert_int_equal(known(x.c), STORE_STATS_ROWS_MIN);
    (void)snprintf(sql, sizeof sql,
                   "EXPLAIN QUERY PLAN SELECT meta FROM c%u WHERE body IS NOT "
                   "NULL AND substr(body,-30)=?1 AND substr(body,1,6)=?2",
                   x.coll);
    /* a reader that was open before sees them when it runs something */
    assert_int_equal(known(r), STORE_STATS_ROWS_MIN);
    plan(r, sql, got, sizeof got);
    assert_non_null(strstr(got, "_676f6f64"));
    (void)snprintf(sql, sizeof sql,
                   "EXPLAIN QUERY PLAN SELECT meta FROM c%u WHERE body IS NOT "
                   "NULL",
                   x.coll);
    plan(r, sql, got, sizeof got);
    assert_null(strstr(got, "INDEX"));
    store_reader_close(r);
    world_end(&x);
}

static void test_stats__none_of_few_documents(void **state)
{
    world_store x;

    (void)state;
    world_begin(&x, 2);
    fill(&x, 0, STORE_STATS_ROWS_MIN - 1);
    index_on(&x, "a", "substr(body,1,6)");
    assert_int_equal(known(x.c), 0);
    world_end(&x);
}

static void test_stats__are_renewed_as_the_file_grows(void **state)
{
    world_store x;
    store_conn *r = NULL;
    int64_t before, now;

    (void)state;
    world_begin(&x, 3);
    index_on(&x, "a", "substr(body,1,6)"); /* there from the beginning */
    fill(&x, 0, 6000);
    must(&x.w, store_reader_open(x.s, &r, &x.w.e));
    must(&x.w, store_checkpoint(x.s, STORE_FOLD_ALL, &x.w.e));
    before = known(r);
    assert_int_equal(before, 6000);
    fill(&x, 6000, 1000);
    must(&x.w, store_checkpoint(x.s, STORE_FOLD_ALL, &x.w.e));
    assert_int_equal(known(r), before); /* not grown enough */
    fill(&x, 7000, 30000);
    must(&x.w, store_checkpoint(x.s, STORE_FOLD_ALL, &x.w.e));
    now = known(r);
    assert_int_equal(now, 37000);
    /* and once is enough */
    before = sqlite3_total_changes(x.c->db);
    must(&x.w, store_checkpoint(x.s, STORE_FOLD_ALL, &x.w.e));
    assert_int_equal(sqlite3_total_changes(x.c->db), before);
    store_reader_close(r);
    world_end(&x);
}

static void test_stats__a_broken_transaction_takes_none(void **state)
{
    world_store x;

    (void)state;
    world_begin(&x, 4);
    fill(&x, 0, 2 * STORE_STATS_ROWS_MIN);
    must(&x.w, store_begin(x.s, &x.w.e));
    index_on(&x, "a", "substr(body,1,6)");
    assert_int_equal(known(x.c), 2 * STORE_STATS_ROWS_MIN);
    store_rollback(x.s);
    assert_int_equal(known(x.c), 0);
    index_on(&x, "a", "substr(body,1,6)");
    assert_int_equal(known(x.c), 2 * STORE_STATS_ROWS_MIN);
    world_end(&x);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_stats__choose_the_better_index),
        cmocka_unit_test(test_stats__none_of_few_documents),
        cmocka_unit_test(test_stats__are_renewed_as_the_file_grows),
        cmocka_unit_test(test_stats__a_broken_transaction_takes_none),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
