// SPDX-License-Identifier: Apache-2.0
#include "store/support_files.h"

static void test_txn__commits_whole_and_rolls_back_whole(void **state)
{
    world_store x;
    test_world *w = &x.w;
    uint64_t lsn = 0;

    (void)state;
    world_begin(&x, 1);
    must(w, store_begin(x.s, &w->e));
    put_one(w, x.s, x.coll, id_at(w, 1), "{\"a\":1}");
    put_one(w, x.s, x.coll, cb(w, "\"two\""), "{\"a\":2}");
    must(w, store_commit(x.s, &lsn, &w->e));
    assert_true(lsn > 0 && lsn == store_lsn(x.s));

    must(w, store_begin(x.s, &w->e));
    assert_true(store_in_transaction(x.s));
    put_one(w, x.s, x.coll, id_at(w, 3), "{\"a\":3}");
    set_one(w, x.s, x.coll, id_at(w, 1), "a", "9");
    assert_string_equal(show(w, x.c, x.coll, id_at(w, 1)), "{\"a\":9}");
    store_rollback(x.s);
    assert_false(store_in_transaction(x.s));
    assert_string_equal(show(w, x.c, x.coll, id_at(w, 1)), "{\"a\":1}");
    assert_string_equal(show(w, x.c, x.coll, cb(w, "\"two\"")), "{\"a\":2}");
    assert_string_equal(show(w, x.c, x.coll, id_at(w, 3)), "");
    assert_true(lsn == store_lsn(x.s));
    world_end(&x);
}

static void test_txn__an_empty_commit_has_no_lsn(void **state)
{
    world_store x;
    uint64_t lsn = 1, before;

    (void)state;
    world_begin(&x, 2);
    before = store_lsn(x.s);
    must(&x.w, store_begin(x.s, &x.w.e));
    must(&x.w, store_commit(x.s, &lsn, &x.w.e));
    assert_true(lsn == 0 && store_lsn(x.s) == before);
    world_end(&x);
}

static void test_txn__misuse_is_told(void **state)
{
    world_store x;
    test_world *w = &x.w;
    crdt_doc *doc;
    crdt_dot dot;

    (void)state;
    world_begin(&x, 3);
    assert_int_equal(store_commit(x.s, NULL, NULL), TAKO_MISUSE);
    assert_int_equal(store_insert(x.s, x.coll, id_at(w, 1), cb(w, "{}"), NULL),
                     TAKO_MISUSE);
    assert_int_equal(store_edit(x.s, x.coll, id_at(w, 1), &doc, NULL),
                     TAKO_MISUSE);
    assert_int_equal(store_dot(x.s, &dot, NULL), TAKO_MISUSE);
    must(w, store_begin(x.s, &w->e));
    assert_int_equal(store_begin(x.s, NULL), TAKO_MISUSE);
    assert_int_equal(store_edit_save(x.s, NULL), TAKO_MISUSE);
    assert_int_equal(store_mark_dirty(x.s), TAKO_MISUSE);
    assert_int_equal(store_sync(x.s), TAKO_MISUSE);
    assert_int_equal(store_checkpoint(x.s, STORE_FOLD_ALL, NULL), TAKO_MISUSE);
    assert_int_equal(store_compact(x.s, NULL), TAKO_MISUSE);
    store_rollback(x.s);
    store_rollback(x.s); /* harmless */
    world_end(&x);
}

static void test_txn__one_dot_for_all_it_writes(void **state)
{
    world_store x;
    test_world *w = &x.w;
    crdt_dot a, b, c;

    (void)state;
    world_begin(&x, 4);
    must(w, store_begin(x.s, &w->e));
    must(w, store_dot(x.s, &a, &w->e));
    w->t.wall_ms += 50;
    put_one(w, x.s, x.coll, id_at(w, 1), "{}");
    must(w, store_dot(x.s, &b, &w->e));
    must(w, store_commit(x.s, NULL, &w->e));
    must(w, store_begin(x.s, &w->e));
    must(w, store_dot(x.s, &c, &w->e));
    store_rollback(x.s);
    assert_true(a.hlc == b.hlc);
    assert_true(c.hlc > b.hlc);
    assert_true(store_own_hlc(x.s) == c.hlc);
    world_end(&x);
}

static void test_txn__savepoints_undo_to_their_beginning(void **state)
{
    world_store x;
    test_world *w = &x.w;
    tako_slice one, two, three;
    size_t n;

    (void)state;
    world_begin(&x, 5);
    one = id_at(w, 1);
    two = cb(w, "\"two\"");
    three = cb(w, "[3]");
    must(w, store_begin(x.s, &w->e));
    put_one(w, x.s, x.coll, one, "{\"a\":1}");
    must(w, store_savepoint(x.s, &w->e));
    put_one(w, x.s, x.coll, two, "{\"a\":2}");
    must(w, store_savepoint(x.s, &w->e));
    delete_one(w, x.s, x.coll, one);
    put_one(w, x.s, x.coll, three, "{\"a\":3}");
    assert_false(store_changes(x.s, &n)[0].alive);
    assert_int_equal(n, 3);
    store_savepoint_undo(x.s);
    assert_true(store_changes(x.s, &n)[0].alive);
    assert_int_equal(n, 2);
    store_savepoint_keep(x.s);
    put_one(w, x.s, x.coll, three, "{\"a\":4}"); /* its row number is free */
    must(w, store_commit(x.s, NULL, &w->e));
    assert_string_equal(show(w, x.c, x.coll, one), "{\"a\":1}");
    assert_string_equal(show(w, x.c, x.coll, two), "{\"a\":2}");
    assert_string_equal(show(w, x.c, x.coll, three), "{\"a\":4}");
    world_end(&x);
}

static void test_txn__savepoints_have_a_limit(void **state)
{
    world_store x;
    int n = 0;

    (void)state;
    world_begin(&x, 6);
    must(&x.w, store_begin(x.s, &x.w.e));
    while (store_savepoint(x.s, NULL) == TAKO_OK)
        assert_true(++n < 1000);
    assert_true(n >= 8);
    while (n-- > 0)
        store_savepoint_undo(x.s);
    must(&x.w, store_commit(x.s, NULL, &x.w.e));
    world_end(&x);
}

static void test_txn__readers_see_one_commit_beside_the_writer(void **state)
{
    world_store x;
    test_world *w = &x.w;
    store_conn *r = NULL;
    uint64_t first, second, seen = 0;

    (void)state;
    world_begin(&x, 7);
    first = put_commit(w, x.s, x.coll, id_at(w, 1), "{\"a\":1}");
    must(w, store_reader_open(x.s, &r, &w->e));
    must(w, store_snapshot_begin(r, &seen, &w->e));
    assert_true(seen == first);
    must(w, store_begin(x.s, &w->e));
    set_one(w, x.s, x.coll, id_at(w, 1), "a", "2");
    put_one(w, x.s, x.coll, id_at(w, 2), "{}");
    assert_string_equal(show(w, r, x.coll, id_at(w, 1)), "{\"a\":1}");
    must(w, store_commit(x.s, &second, &w->e));
    assert_string_equal(show(w, r, x.coll, id_at(w, 1)), "{\"a\":1}");
    assert_string_equal(show(w, r, x.coll, id_at(w, 2)), "");
    must(w, store_snapshot_begin(r, &seen, &w->e)); /* nested: the same */
    assert_true(seen == first);
    store_snapshot_end(r);
    assert_string_equal(show(w, r, x.coll, id_at(w, 2)), "");
    store_snapshot_end(r);
    assert_string_equal(show(w, r, x.coll, id_at(w, 1)), "{\"a\":2}");
    must(w, store_snapshot_begin(r, &seen, &w->e));
    assert_true(seen == second);
    store_snapshot_end(r);
    store_reader_close(r);
    world_end(&x);
}

static void test_txn__a_full_disk_rolls_back_and_stays_usable(void **state)
{
    world_store x;
    test_world *w = &x.w;
    char big[3000] = "{\"a\":\"";
    tako_err err = TAKO_OK;
    size_t n;

    (void)state;
    world_begin(&x, 8);
    put_commit(w, x.s, x.coll, id_at(w, 0), "{\"a\":0}");
    memset(big + 6, 'x', 2900);
    memcpy(big + 2906, "\"}", 3);
    assert_int_equal(sqlite3_exec(store_conn_db(x.c),
                                  "PRAGMA max_page_count=40", NULL, NULL, NULL),
                     SQLITE_OK);
    must(w, store_begin(x.s, &w->e));
    for (uint64_t i = 1; err == TAKO_OK && i < 1000; i++)
        err = store_insert(x.s, x.coll, id_at(w, i), cb(w, big), &w->e);
    assert_int_equal(err, TAKO_FULL);
    assert_true(strstr(w->e.text, "full") != NULL);
    /* what follows in this transaction says why, and changes nothing */
    assert_int_equal(
        store_insert(x.s, x.coll, id_at(w, 5000), cb(w, "{}"), &w->e),
        TAKO_FULL);
    (void)store_changes(x.s, &n);
    assert_int_equal(n, 0);
    assert_int_equal(store_commit(x.s, NULL, &w->e), TAKO_FULL);
    assert_false(store_in_transaction(x.s));
    assert_string_equal(show(w, x.c, x.coll, id_at(w, 1)), "");
    assert_string_equal(show(w, x.c, x.coll, id_at(w, 0)), "{\"a\":0}");
    put_commit(w, x.s, x.coll, id_at(w, 1), "{\"a\":1}");
    assert_string_equal(show(w, x.c, x.coll, id_at(w, 1)), "{\"a\":1}");
    world_end(&x);
}

static void test_txn__survives_every_failed_allocation(void **state)
{
    world_store x;
    test_world *w = &x.w;
    bool done = false;

    (void)state;
    world_begin(&x, 9);
    put_commit(w, x.s, x.coll, id_at(w, 0), "{\"a\":0}");
    for (long n = 0; !done && n < 2000; n++) {
        tako_slice id = id_at(w, (uint64_t)n + 1), body = cb(w, "{\"a\":1}");
        tako_slice key = tako_slice_str("a"), five = cb(w, "5");
        tako_slice odd = cb(w, "[\"odd\"]"), zero = id_at(w, 0);
        crdt_path path = { &key, 1 };
        store_conn *r = NULL;
        crdt_doc *doc = NULL;
        crdt_dot dot;
        tako_err err;
        uint32_t other;

        w->t.failed_once = false;
        w->t.fail_after = n;
        err = store_begin(x.s, NULL);
        if (err == TAKO_OK)
            err = store_coll_create(x.s, tako_slice_str("other"), &other, NULL);
        if (err == TAKO_OK)
            err = store_insert(x.s, x.coll, id, body, NULL);
        if (err == TAKO_OK)
            err = store_insert(x.s, x.coll, odd, body, NULL);
        if (err == TAKO_OK)
            err = store_edit(x.s, x.coll, zero, &doc, NULL);
        if (err == TAKO_OK)
            err = store_dot(x.s, &dot, NULL);
        if (err == TAKO_OK)
            err = crdt_set(doc, dot, path, CRDT_AUTO, five, NULL);
        if (err == TAKO_OK)
            err = store_edit_save(x.s, NULL);
        if (err == TAKO_OK)
            err = store_reader_open(x.s, &r, NULL);
        store_reader_close(r);
        if (err == TAKO_OK)
            err = store_commit(x.s, NULL, NULL);
        else
            store_rollback(x.s);
        w->t.fail_after = -1;
        done = !w->t.failed_once;
        assert_int_equal(err, done ? TAKO_OK : TAKO_NOMEM);
        if (!done) {
            assert_string_equal(show(w, x.c, x.coll, id), "");
            assert_string_equal(show(w, x.c, x.coll, id_at(w, 0)), "{\"a\":0}");
        }
    }
    assert_true(done);
    assert_string_equal(show(w, x.c, x.coll, id_at(w, 0)), "{\"a\":5}");
    world_end(&x);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_txn__commits_whole_and_rolls_back_whole),
        cmocka_unit_test(test_txn__an_empty_commit_has_no_lsn),
        cmocka_unit_test(test_txn__misuse_is_told),
        cmocka_unit_test(test_txn__one_dot_for_all_it_writes),
        cmocka_unit_test(test_txn__savepoints_undo_to_their_beginning),
        cmocka_unit_test(test_txn__savepoints_have_a_limit),
        cmocka_unit_test(test_txn__readers_see_one_commit_beside_the_writer),
        cmocka_unit_test(test_txn__a_full_disk_rolls_back_and_stays_usable),
        cmocka_unit_test(test_txn__survives_every_failed_allocation),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
