// SPDX-License-Identifier: Apache-2.0
#include "store/support_files.h"

static void merge_from(test_world *w, store *s, uint32_t coll, uint64_t id,
                       crdt_dot dot)
{
    tako_buf meta = tako_buf_on(&w->t.env);

    must(w, crdt_fresh_meta(dot, cb(w, "{\"a\":1}"), &meta));
    must(w, store_merge(s, coll, id_at(w, id), tako_buf_slice(&meta),
                        cb(w, "{\"a\":1}"), NULL, &w->e));
    tako_buf_fini(&meta);
}

static uint64_t seen(test_world *w, store_conn *c, crdt_actor actor)
{
    uint64_t hlc;

    must(w, store_seen_hlc(c, actor, &hlc));
    return hlc;
}

static crdt_actor actor_at(unsigned i)
{
    crdt_actor a = { { (uint8_t)(i >> 8), (uint8_t)i, 7 } };

    return a;
}

static int64_t rows(store *s)
{
    sqlite3_stmt *stmt;
    int64_t n;

    assert_int_equal(sqlite3_prepare_v2(store_conn_db(store_writer(s)),
                                        "SELECT count(*) FROM seen", -1, &stmt,
                                        NULL),
                     SQLITE_OK);
    assert_int_equal(sqlite3_step(stmt), SQLITE_ROW);
    n = sqlite3_column_int64(stmt, 0);
    (void)sqlite3_finalize(stmt);
    return n;
}

static void test_seen__is_the_greatest_merged(void **state)
{
    world_store x;
    test_world *w = &x.w;
    crdt_actor a = actor_at(1), b = actor_at(2);

    (void)state;
    world_begin(&x, 1);
    assert_true(seen(w, x.c, a) == 0);
    must(w, store_begin(x.s, &w->e));
    merge_from(w, x.s, x.coll, 1, (crdt_dot){ a, 50 });
    merge_from(w, x.s, x.coll, 2, (crdt_dot){ b, 9 });
    merge_from(w, x.s, x.coll, 3, (crdt_dot){ a, 40 });
    assert_true(seen(w, x.c, a) == 0); /* at the commit */
    must(w, store_commit(x.s, NULL, &w->e));
    assert_true(seen(w, x.c, a) == 50 && seen(w, x.c, b) == 9);

    must(w, store_begin(x.s, &w->e)); /* what is rolled back was not seen */
    merge_from(w, x.s, x.coll, 4, (crdt_dot){ a, 60 });
    store_rollback(x.s);
    must(w, store_begin(x.s, &w->e));
    merge_from(w, x.s, x.coll, 4, (crdt_dot){ a, 45 });
    must(w, store_commit(x.s, NULL, &w->e));
    assert_true(seen(w, x.c, a) == 50);
    store_close(x.s);
    x.s = world_open(w, "a");
    x.c = store_writer(x.s);
    assert_true(seen(w, x.c, a) == 50);
    world_end(&x);
}

/* Local commits write nothing here, so that they dirty two pages only; and
 * one commit more of the same actor writes one row. */
static void test_seen__is_not_touched_by_local_commits(void **state)
{
    world_store x;
    test_world *w = &x.w;
    int before;

    (void)state;
    world_begin(&x, 2);
    put_commit(w, x.s, x.coll, id_at(w, 1), "{}");
    assert_int_equal(rows(x.s), 0);
    assert_true(seen(w, x.c, store_actor(x.s)) == store_own_hlc(x.s));
    must(w, store_begin(x.s, &w->e));
    for (uint64_t i = 0; i < 20; i++)
        merge_from(w, x.s, x.coll, 10 + i, (crdt_dot){ actor_at(1), 5 + i });
    before = sqlite3_total_changes(store_conn_db(x.c));
    must(w, store_commit(x.s, NULL, &w->e));
    /* the feed's row and this one */
    assert_int_equal(sqlite3_total_changes(store_conn_db(x.c)) - before, 2);
    assert_int_equal(rows(x.s), 1);
    world_end(&x);
}

static void test_seen__forgets_the_longest_quiet_first(void **state)
{
    world_store x;
    test_world *w = &x.w;
    unsigned all = TAKO_SEEN_ACTORS_MAX + 100;

    (void)state;
    world_begin(&x, 3);
    must(w, store_begin(x.s, &w->e));
    for (unsigned i = 0; i < all; i++)
        merge_from(w, x.s, x.coll, i, (crdt_dot){ actor_at(i), 100000 - i });
    must(w, store_commit(x.s, NULL, &w->e));
    assert_true(rows(x.s) <= TAKO_SEEN_ACTORS_MAX);
    assert_true(seen(w, x.c, actor_at(0)) == 100000);
    assert_true(seen(w, x.c, actor_at(all - 1)) == 0);
    must(w, store_begin(x.s, &w->e)); /* it comes back */
    merge_from(w, x.s, x.coll, all, (crdt_dot){ actor_at(all - 1), 200000 });
    must(w, store_commit(x.s, NULL, &w->e));
    assert_true(seen(w, x.c, actor_at(all - 1)) == 200000);
    world_end(&x);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_seen__is_the_greatest_merged),
        cmocka_unit_test(test_seen__is_not_touched_by_local_commits),
        cmocka_unit_test(test_seen__forgets_the_longest_quiet_first),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
