// SPDX-License-Identifier: Apache-2.0
#include "support_db.h"

#include "api/api.h"

static void test_readers__keep_a_snapshot_until_the_next_commit(void **state)
{
    tako_db *db = db_open(db_path(*state, "a.tako"));
    api_reader *r = NULL, *again = NULL;
    tako_errbuf e = { "" };
    uint64_t lsn;

    assert_int_equal(api_reader_take(db, &r, &e), TAKO_OK);
    assert_int_equal(r->lsn, 0); /* there was no commit yet to know of */
    api_reader_give(db, r);
    db_run(db, "INSERT INTO c DOCUMENTS ({'_id': 1})", NULL);
    assert_int_equal(api_reader_take(db, &r, &e), TAKO_OK);
    lsn = r->lsn;
    assert_int_equal(lsn, store_lsn(db->store));
    assert_true(r->snapshot);
    api_reader_give(db, r);
    assert_true(r->snapshot);
    assert_int_equal(api_reader_take(db, &again, &e), TAKO_OK);
    assert_ptr_equal(r, again);
    assert_int_equal(again->lsn, lsn);
    api_reader_give(db, again);

    db_run(db, "INSERT INTO c DOCUMENTS ({'_id': 2})", NULL);
    assert_false(r->snapshot); /* idle: let go */
    assert_int_equal(api_reader_take(db, &r, &e), TAKO_OK);
    assert_int_equal(r->lsn, lsn + 1);
    db_run(db, "INSERT INTO c DOCUMENTS ({'_id': 3})", NULL);
    assert_true(r->snapshot); /* in use: stays */
    assert_int_equal(r->lsn, lsn + 1);
    api_reader_give(db, r);
    assert_false(r->snapshot); /* came back late */
    tako_close(db);
}

/* While a commit is on its way nobody may keep what it reads. */
static void test_readers__keep_nothing_during_a_commit(void **state)
{
    tako_db *db = db_open(db_path(*state, "a.tako"));
    api_reader *r = NULL;
    tako_errbuf e = { "" };
    uint64_t commit = 0;

    db_run(db, "INSERT INTO c DOCUMENTS ({'_id': 1})", NULL);
    (void)atomic_fetch_add(&db->epoch, 1u);
    assert_int_equal(api_reader_take(db, &r, &e), TAKO_OK);
    assert_int_equal(r->lsn, 0); /* it may show what is on its way */
    assert_int_equal(api_reader_commit(r, &commit, &e), TAKO_OK);
    assert_int_equal(commit, store_lsn(db->store));
    api_reader_give(db, r);
    assert_false(r->snapshot);
    (void)atomic_fetch_add(&db->epoch, 1u);
    tako_close(db);
}

static int commit_once(unsigned kind, void *ctx, void *stmt, void *text)
{
    tako_db **db = ctx, *now = *db;

    (void)kind;
    (void)stmt;
    (void)text;
    *db = NULL;
    if (now != NULL)
        db_run(now, "INSERT INTO c DOCUMENTS ({'_id': 3})", NULL);
    return 0;
}

/* A commit may begin and end while a snapshot is taken: it is in it. */
static void test_readers__know_no_commit_where_one_came_between(void **state)
{
    tako_db *db = db_open(db_path(*state, "a.tako")), *once = db;
    api_reader *r = NULL;
    tako_errbuf e = { "" };
    uint64_t shown, commit = 0;

    db_run(db, "INSERT INTO c DOCUMENTS ({'_id': 1})", NULL);
    assert_int_equal(api_reader_take(db, &r, &e), TAKO_OK);
    assert_int_equal(r->lsn, store_lsn(db->store));
    api_reader_give(db, r);
    db_run(db, "INSERT INTO c DOCUMENTS ({'_id': 2})", NULL);
    /* its BEGIN, after which the first read fixes what is seen */
    assert_int_equal(sqlite3_trace_v2(store_conn_db(r->conn), SQLITE_TRACE_STMT,
                                      commit_once, &once),
                     SQLITE_OK);
    assert_int_equal(api_reader_take(db, &r, &e), TAKO_OK);
    assert_null(once);
    assert_int_equal(r->lsn, 0);
    assert_int_equal(store_snapshot_begin(r->conn, &shown, &e), TAKO_OK);
    store_snapshot_end(r->conn);
    assert_int_equal(shown, store_lsn(db->store));
    assert_int_equal(api_reader_commit(r, &commit, &e), TAKO_OK);
    assert_int_equal(commit, shown);
    (void)sqlite3_trace_v2(store_conn_db(r->conn), 0, NULL, NULL);
    api_reader_give(db, r);
    tako_close(db);
}

static void test_readers__close_what_is_idle_beyond_a_few(void **state)
{
    enum { MANY = 10 };
    tako_db *db = db_open(db_path(*state, "a.tako"));
    api_reader *r[MANY];
    tako_errbuf e = { "" };

    for (size_t i = 0; i < MANY; i++)
        assert_int_equal(api_reader_take(db, &r[i], &e), TAKO_OK);
    assert_int_equal(db->readers.open_count, MANY);
    for (size_t i = 0; i < MANY; i++)
        api_reader_give(db, r[i]);
    assert_int_equal(db->readers.open_count, TAKO_READERS_IDLE_MAX);
    assert_int_equal(db->readers.idle_count, TAKO_READERS_IDLE_MAX);
    tako_close(db);
}

#define T(f) cmocka_unit_test_setup_teardown(f, db_dir_setup, db_dir_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(test_readers__keep_a_snapshot_until_the_next_commit),
        T(test_readers__keep_nothing_during_a_commit),
        T(test_readers__know_no_commit_where_one_came_between),
        T(test_readers__close_what_is_idle_beyond_a_few),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
