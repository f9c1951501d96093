// SPDX-License-Identifier: Apache-2.0
#include "store/support_files.h"

#include <stdio.h>
#include <sqlite3.h>

static void raw(test_world *w, const char *name, const char *sql)
{
    sqlite3 *db = NULL;

    assert_int_equal(sqlite3_open(world_path(w, name), &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_close(db), SQLITE_OK);
}

static void fill(test_world *w, const char *name, const char *text, size_t n)
{
    FILE *f = fopen(world_path(w, name), "wb");

    assert_non_null(f);
    while (n-- > 0)
        (void)fputs(text, f);
    (void)fclose(f);
}

static void test_schema__refuses_a_newer_format(void **state)
{
    test_world w;
    store *s = NULL;

    (void)state;
    world_init(&w, 1);
    store_close(world_open(&w, "a"));
    raw(&w, "a", "PRAGMA user_version=2");
    assert_int_equal(world_try_open(&w, "a", true, &s), TAKO_UNSUPPORTED);
    assert_true(strstr(w.e.text, "format 2") != NULL);
    raw(&w, "a", "PRAGMA user_version=1");
    must(&w, world_try_open(&w, "a", false, &s));
    store_close(s);
    world_fini(&w);
}

static void test_schema__refuses_what_is_not_ours_untouched(void **state)
{
    test_world w;
    store *s = NULL;
    tako_buf before, after;

    (void)state;
    world_init(&w, 2);
    before = tako_buf_on(&w.t.env);
    after = tako_buf_on(&w.t.env);
    raw(&w, "other", "CREATE TABLE x(y); INSERT INTO x VALUES(1)");
    fill(&w, "text", "this is no database at all. ", 400);
    fill(&w, "short", "x", 10);
    must(&w, w.files.read(&w, world_path(&w, "other"), &before));
    for (int create = 0; create < 2; create++) {
        assert_int_equal(world_try_open(&w, "other", create != 0, &s),
                         TAKO_CORRUPT);
        assert_int_equal(world_try_open(&w, "text", create != 0, &s),
                         TAKO_CORRUPT);
        assert_true(strstr(w.e.text, "text") != NULL);
    }
    assert_int_equal(world_try_open(&w, "short", false, &s), TAKO_CORRUPT);
    must(&w, w.files.read(&w, world_path(&w, "other"), &after));
    assert_true(tako_slice_eq(tako_buf_slice(&before), tako_buf_slice(&after)));
    tako_buf_fini(&before);
    tako_buf_fini(&after);
    world_fini(&w);
}

static void test_schema__an_empty_file_is_made_only_when_asked(void **state)
{
    test_world w;
    store *s = NULL;

    (void)state;
    world_init(&w, 3);
    fill(&w, "empty", "", 1); /* a creation that was cut short */
    assert_int_equal(world_try_open(&w, "empty", false, &s), TAKO_NOTFOUND);
    must(&w, world_try_open(&w, "empty", true, &s));
    store_close(s);
    world_fini(&w);
}

static void test_schema__damaged_state_is_told(void **state)
{
    test_world w;
    store *s = NULL;

    (void)state;
    world_init(&w, 4);
    store_close(world_open(&w, "a"));
    raw(&w, "a", "UPDATE state SET actor=x'00'");
    assert_int_equal(world_try_open(&w, "a", false, &s), TAKO_CORRUPT);
    raw(&w, "a", "DELETE FROM state");
    assert_int_equal(world_try_open(&w, "a", false, &s), TAKO_CORRUPT);
    world_fini(&w);
}

static void test_schema__is_what_the_documentation_says(void **state)
{
    world_store x;
    sqlite3 *db;
    static const char *const sql[] = {
        "SELECT actor,incarnation,seal,hlc,lsn,since,taken,dirty,floor"
        " FROM state",
        "SELECT key,value FROM kv",
        "SELECT number,name FROM coll",
        "SELECT lsn,own,touched,priors FROM feed",
        "SELECT actor,hlc FROM seen",
        "SELECT coll,name,text FROM idx",
        "SELECT row,id,version,lsn,body,meta FROM c1",
    };

    (void)state;
    world_begin(&x, 5);
    db = store_conn_db(x.c);
    for (size_t i = 0; i < sizeof sql / sizeof *sql; i++)
        assert_int_equal(sqlite3_exec(db, sql[i], NULL, NULL, NULL), SQLITE_OK);
    world_end(&x);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_schema__refuses_a_newer_format),
        cmocka_unit_test(test_schema__refuses_what_is_not_ours_untouched),
        cmocka_unit_test(test_schema__an_empty_file_is_made_only_when_asked),
        cmocka_unit_test(test_schema__damaged_state_is_told),
        cmocka_unit_test(test_schema__is_what_the_documentation_says),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
