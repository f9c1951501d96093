// SPDX-License-Identifier: Apache-2.0
#include "store/support_files.h"

#include <stdio.h>

static void test_feed__lists_every_commit(void **state)
{
    enum { COMMITS = 60 };
    world_store x;
    test_world *w = &x.w;
    uint32_t other;
    tako_arena a;
    uint64_t lsns[COMMITS], at = 0;
    size_t counts[COMMITS], n;
    store_touch *touched;
    char json[32];

    (void)state;
    world_begin(&x, test_seed(1));
    a = tako_arena_on(&w->t.env);
    other = coll_of(w, x.s, "other");
    for (uint64_t i = 0; i < COMMITS; i++) {
        must(w, store_begin(x.s, &w->e));
        counts[i] = 1 + test_below(&w->t, 5);
        for (uint64_t k = 0; k < counts[i]; k++) {
            (void)snprintf(json, sizeof json, "%u", (unsigned)(i * 10 + k));
            put_one(w, x.s, k % 2 == 0 ? x.coll : other,
                    k % 3 == 0 ? cb(w, json) : id_at(w, i * 10 + k), "{}");
        }
        must(w, store_commit(x.s, &lsns[i], &w->e));
        n = 0;
        {
            const store_change *all = store_changes(x.s, &n);

            assert_int_equal(n, counts[i]);
            must(w, store_feed_next(x.c, lsns[i] - 1, &a, &at, &touched, &n));
            assert_true(at == lsns[i]);
            assert_int_equal(n, counts[i]);
            for (size_t k = 0; k < n; k++) {
                assert_int_equal(touched[k].coll, all[k].coll);
                assert_true(touched[k].row == all[k].row);
            }
        }
        tako_arena_reset(&a);
    }
    at = 0;
    for (size_t i = 0; i < COMMITS; i++) {
        must(w, store_feed_next(x.c, at, &a, &at, &touched, &n));
        assert_true(at == lsns[i] && n == counts[i]);
    }
    assert_int_equal(store_feed_next(x.c, at, &a, &at, &touched, &n),
                     TAKO_NOTFOUND);
    assert_int_equal(store_feed_next(x.c, UINT64_MAX, &a, &at, &touched, &n),
                     TAKO_NOTFOUND);
    tako_arena_fini(&a);
    world_end(&x);
}

static void test_feed__stays_bounded_and_says_so(void **state)
{
    world_store x;
    test_world *w = &x.w;
    sqlite3 *db;
    tako_arena a;
    uint64_t at, last;
    size_t n;
    store_touch *touched;
    uint64_t first;

    (void)state;
    world_begin(&x, 2);
    a = tako_arena_on(&w->t.env);
    db = store_conn_db(x.c);
    first = put_commit(w, x.s, x.coll, id_at(w, 1), "{}");
    /* a long past, written in one go: 64 commits of 100 kB each */
    assert_int_equal(
        sqlite3_exec(
            db,
            "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1"
            " FROM n WHERE i<64) INSERT INTO feed(lsn,own,touched) SELECT"
            " (SELECT max(lsn) FROM feed)+i, 0, zeroblob(100000) FROM n",
            NULL, NULL, NULL),
        SQLITE_OK);
    store_close(x.s);
    x.s = world_open(w, "a");
    x.c = store_writer(x.s);
    last = put_commit(w, x.s, x.coll, id_at(w, 2), "{}");
    assert_true(last > first + 64);
    store_close(x.s); /* prunes */
    x.s = world_open(w, "a");
    x.c = store_writer(x.s);
    assert_true(store_lsn(x.s) == last);
    assert_int_equal(store_feed_next(x.c, first, &a, &at, &touched, &n),
                     TAKO_UNSUPPORTED);
    assert_int_equal(store_feed_next(x.c, 0, &a, &at, &touched, &n),
                     TAKO_UNSUPPORTED);
    assert_int_equal(store_feed_next(x.c, last - 30, &a, &at, &touched, &n),
                     TAKO_CORRUPT); /* zeros are no touched blob */
    must(w, store_feed_next(x.c, last - 1, &a, &at, &touched, &n));
    assert_true(at == last && n == 1);
    tako_arena_fini(&a);
    world_end(&x);
}

static void test_feed__damaged_blobs_are_told(void **state)
{
    static const char *const blobs[] = { "x''",
                                         "x'00'",
                                         "x'01'",
                                         "x'0100'",
                                         "x'010102ff'",
                                         "x'0102'",
                                         "x'01ffffffff0f02'",
                                         "x'010180'",
                                         "x'81000102'",
                                         "x'ff7f0102'" };
    world_store x;
    test_world *w = &x.w;
    tako_arena a;
    uint64_t at;
    size_t n;
    store_touch *touched;
    char sql[128];

    (void)state;
    world_begin(&x, 3);
    a = tako_arena_on(&w->t.env);
    put_commit(w, x.s, x.coll, id_at(w, 1), "{}");
    for (size_t i = 0; i < sizeof blobs / sizeof *blobs; i++) {
        (void)snprintf(sql, sizeof sql, "UPDATE feed SET touched=%s", blobs[i]);
        assert_int_equal(
            sqlite3_exec(store_conn_db(x.c), sql, NULL, NULL, NULL), SQLITE_OK);
        assert_int_equal(store_feed_next(x.c, 0, &a, &at, &touched, &n),
                         TAKO_CORRUPT);
    }
    tako_arena_fini(&a);
    world_end(&x);
}

/* Of each touched document: the commit of its state before, and the greatest
 * hlc of that. */
static void test_feed__knows_what_was_before(void **state)
{
    enum { COMMITS = 200, DOCS = 12 };
    world_store x;
    test_world *w = &x.w;
    tako_arena a;
    uint64_t at, lsn, old = 0;
    size_t n, count;
    store_touch *touched;
    char json[32];

    (void)state;
    world_begin(&x, test_seed(4));
    a = tako_arena_on(&w->t.env);
    for (uint64_t i = 0; i < DOCS; i++)
        put_commit(w, x.s, x.coll, id_at(w, i), "{}");
    for (uint64_t i = 0; i < COMMITS; i++) {
        const store_change *all;

        w->t.wall_ms += test_below(&w->t, 3) * 1000u;
        must(w, store_begin(x.s, &w->e));
        for (uint64_t k = 1 + test_below(&w->t, 5); k > 0; k--) {
            (void)snprintf(json, sizeof json, "%u", (unsigned)(i * 10 + k));
            if (test_below(&w->t, 4) == 0)
                put_one(w, x.s, x.coll, id_at(w, 1000 + i * 10 + k), "{}");
            else
                set_one(w, x.s, x.coll, id_at(w, test_below(&w->t, DOCS)), "f",
                        json);
        }
        must(w, store_commit(x.s, &lsn, &w->e));
        all = store_changes(x.s, &count);
        must(w, store_feed_next(x.c, lsn - 1, &a, &at, &touched, &n));
        assert_int_equal(n, count);
        for (size_t k = 0; k < n; k++) {
            assert_true(touched[k].lsn_before == all[k].lsn_before);
            assert_true(touched[k].top_before ==
                        (all[k].lsn_before == 0
                             ? 0
                             : crdt_meta_top(all[k].meta_before)));
            old += all[k].lsn_before != 0;
        }
        tako_arena_reset(&a);
    }
    assert_in_range(old, 100, COMMITS * 5);
    assert_int_equal(sqlite3_exec(store_conn_db(x.c),
                                  "UPDATE feed SET priors=x'0105'", NULL, NULL,
                                  NULL),
                     SQLITE_OK);
    assert_int_equal(store_feed_next(x.c, lsn - 1, &a, &at, &touched, &n),
                     n == 1 ? TAKO_OK : TAKO_CORRUPT);
    tako_arena_fini(&a);
    world_end(&x);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_feed__lists_every_commit),
        cmocka_unit_test(test_feed__stays_bounded_and_says_so),
        cmocka_unit_test(test_feed__damaged_blobs_are_told),
        cmocka_unit_test(test_feed__knows_what_was_before),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
