// SPDX-License-Identifier: Apache-2.0
#include "store/support_files.h"

#include <stdio.h>

static void test_conn__statements_come_back_reset(void **state)
{
    world_store x;
    sqlite3_stmt *a, *b;

    (void)state;
    world_begin(&x, 1);
    a = store_sql(x.c, "SELECT ?1", NULL);
    assert_non_null(a);
    assert_int_equal(sqlite3_bind_int(a, 1, 5), SQLITE_OK);
    assert_int_equal(sqlite3_step(a), SQLITE_ROW);
    b = store_sql(x.c, "SELECT ?1", NULL); /* while the first is in use */
    assert_ptr_not_equal(a, b);
    assert_int_equal(sqlite3_step(b), SQLITE_ROW);
    assert_int_equal(sqlite3_column_type(b, 0), SQLITE_NULL);
    assert_int_equal(sqlite3_column_int(a, 0), 5);
    store_done(x.c, b);
    store_done(x.c, a);
    b = store_sql(x.c, "SELECT ?1", NULL);
    assert_int_equal(sqlite3_step(b), SQLITE_ROW);
    assert_int_equal(sqlite3_column_type(b, 0), SQLITE_NULL);
    store_done(x.c, b);
    store_done(x.c, NULL);
    world_end(&x);
}

static void test_conn__cache_takes_any_number_of_texts(void **state)
{
    world_store x;
    sqlite3_stmt *held[300];
    char sql[32];

    (void)state;
    world_begin(&x, 2);
    for (int round = 0; round < 3; round++)
        for (int i = 0; i < 300; i++) {
            sqlite3_stmt *stmt;

            (void)snprintf(sql, sizeof sql, "SELECT %d", i);
            stmt = store_sql(x.c, sql, NULL);
            assert_int_equal(sqlite3_step(stmt), SQLITE_ROW);
            assert_int_equal(sqlite3_column_int(stmt, 0), i);
            store_done(x.c, stmt);
        }
    for (int i = 0; i < 300; i++) { /* more than the cache has, all in use */
        (void)snprintf(sql, sizeof sql, "SELECT %d", i);
        held[i] = store_sql(x.c, sql, NULL);
        assert_int_equal(sqlite3_step(held[i]), SQLITE_ROW);
    }
    for (int i = 0; i < 300; i++) {
        assert_int_equal(sqlite3_column_int(held[i], 0), i);
        store_done(x.c, held[i]);
    }
    world_end(&x);
}

static void test_conn__bad_sql_says_why(void **state)
{
    world_store x;

    (void)state;
    world_begin(&x, 3);
    assert_null(store_sql(x.c, "SELECT nonsense FROM nowhere", &x.w.e));
    assert_true(strstr(x.w.e.text, "nowhere") != NULL);
    world_end(&x);
}

static void test_conn__readers_cannot_write(void **state)
{
    world_store x;
    store_conn *r = NULL;

    (void)state;
    world_begin(&x, 4);
    must(&x.w, store_reader_open(x.s, &r, &x.w.e));
    assert_int_not_equal(
        sqlite3_exec(store_conn_db(r), "DELETE FROM feed", NULL, NULL, NULL),
        SQLITE_OK);
    store_reader_close(r);
    store_reader_close(NULL);
    world_end(&x);
}

static tako_err refuse(void *ctx, sqlite3 *db)
{
    assert_non_null(db);
    return ++*(int *)ctx > 1 ? TAKO_INVALID : TAKO_OK;
}

static void test_conn__calls_on_connect_for_each(void **state)
{
    test_world w;
    int calls = 0;
    store *s = NULL;
    store_conn *r = NULL;

    (void)state;
    world_init(&w, 5);
    {
        store_opts o = { .env = &w.t.env,
                         .files = &w.files,
                         .path = world_path(&w, "a"),
                         .create = true,
                         .on_connect = refuse,
                         .on_connect_ctx = &calls };

        must(&w, store_open(&o, &s, &w.e));
    }
    assert_int_equal(store_reader_open(s, &r, &w.e), TAKO_INVALID);
    assert_null(r);
    assert_int_equal(calls, 2);
    store_close(s);
    world_fini(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_conn__statements_come_back_reset),
        cmocka_unit_test(test_conn__cache_takes_any_number_of_texts),
        cmocka_unit_test(test_conn__bad_sql_says_why),
        cmocka_unit_test(test_conn__readers_cannot_write),
        cmocka_unit_test(test_conn__calls_on_connect_for_each),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
