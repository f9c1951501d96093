// SPDX-License-Identifier: Apache-2.0
#include "store/support_files.h"

static void test_change__tells_what_was_before(void **state)
{
    world_store x;
    test_world *w = &x.w;
    const store_change *all;
    store_change one;
    size_t n = 0;
    uint64_t lsn;

    (void)state;
    world_begin(&x, 1);
    lsn = put_commit(w, x.s, x.coll, id_at(w, 1), "{\"a\":1}");
    all = store_changes(x.s, &n);
    assert_int_equal(n, 1);
    assert_true(all[0].lsn_before == 0 && !all[0].alive_before && all[0].alive);
    assert_int_equal(all[0].meta_before.len, 0);

    must(w, store_begin(x.s, &w->e));
    put_one(w, x.s, x.coll, cb(w, "\"new\""), "{}");
    set_one(w, x.s, x.coll, id_at(w, 1), "a", "2");
    set_one(w, x.s, x.coll, id_at(w, 1), "a", "3");
    set_one(w, x.s, x.coll, cb(w, "\"new\""), "b", "3");
    must(w, store_commit(x.s, NULL, &w->e));
    all = store_changes(x.s, &n);
    assert_int_equal(n, 2);
    assert_int_equal(store_change_count(x.s), 2);
    assert_true(all[0].row < 0 && all[0].lsn_before == 0);
    assert_true(all[1].lsn_before == lsn && all[1].alive_before);
    assert_true(tako_slice_eq(all[1].body_before, cb(w, "{\"a\":1}")));
    assert_true(all[1].meta_before.len > 0);
    assert_true(tako_slice_eq(all[1].id, id_at(w, 1)));
    assert_int_equal(all[0].id.len, 0);
    store_change_at(x.s, 1, &one);
    assert_memory_equal(one.meta_before.ptr, all[1].meta_before.ptr,
                        one.meta_before.len);

    must(w, store_begin(x.s, &w->e));
    delete_one(w, x.s, x.coll, id_at(w, 1));
    all = store_changes(x.s, &n); /* of the running transaction */
    assert_true(n == 1 && all[0].alive_before && !all[0].alive);
    put_one(w, x.s, x.coll, id_at(w, 1), "{\"c\":1}");
    all = store_changes(x.s, &n);
    assert_true(n == 1 && all[0].alive_before && all[0].alive);
    store_rollback(x.s);
    (void)store_changes(x.s, &n);
    assert_int_equal(n, 0);
    world_end(&x);
}

/* Each document once, however often and in which order it is changed. */
static void test_change__names_each_document_once(void **state)
{
    enum { DOCS = 300 };
    world_store x;
    test_world *w = &x.w;
    bool alive[DOCS] = { false };
    size_t n = 0, seen = 0;

    (void)state;
    world_begin(&x, test_seed(2));
    for (uint64_t i = 0; i < DOCS; i += 2) {
        put_commit(w, x.s, x.coll, id_at(w, i), "{\"a\":0}");
        alive[i] = true;
    }
    must(w, store_begin(x.s, &w->e));
    for (int i = 0; i < 3000; i++) {
        uint64_t k = test_below(&w->t, DOCS);
        bool saved = test_below(&w->t, 20) == 0, was = alive[k];

        if (saved)
            must(w, store_savepoint(x.s, &w->e));
        if (!alive[k])
            put_one(w, x.s, x.coll, id_at(w, k), "{\"a\":1}");
        else
            delete_one(w, x.s, x.coll, id_at(w, k));
        alive[k] = !alive[k];
        if (saved && test_below(&w->t, 2) == 0) {
            store_savepoint_undo(x.s);
            alive[k] = was;
        } else if (saved) {
            store_savepoint_keep(x.s);
        }
    }
    must(w, store_commit(x.s, NULL, &w->e));
    {
        const store_change *all = store_changes(x.s, &n);

        assert_int_equal(n, DOCS);
        for (uint64_t k = 0; k < DOCS; k++) {
            uint8_t rest[9];
            int64_t row = 0;

            assert_true(store_id_row(id_at(w, k), &row, rest));
            for (size_t i = 0; i < n; i++)
                if (all[i].row == row) {
                    seen++;
                    assert_true(all[i].alive == alive[k]);
                    assert_true(all[i].alive_before == (k % 2 == 0));
                }
        }
        assert_int_equal(seen, DOCS);
    }
    world_end(&x);
}

/* What is at hand of a change is what the row says; *kept counts them. */
static void now_agrees(world_store *x, size_t *kept)
{
    for (size_t i = 0; i < store_change_count(x->s); i++) {
        store_change c;
        store_row now, row;

        if (!store_change_now(x->s, i, &now))
            continue;
        ++*kept;
        store_change_at(x->s, i, &c);
        must(&x->w, store_get_row(store_writer(x->s), c.coll, c.row, &row));
        assert_true(now.row == row.row && now.lsn == row.lsn);
        assert_true(tako_slice_eq(now.id, row.id));
        assert_true(tako_slice_eq(now.meta, row.meta));
        assert_true(tako_slice_eq(now.body, row.body));
        assert_memory_equal(now.version, row.version, sizeof row.version);
    }
}

/* Whatever a transaction does to a document, twice or undone. */
static void test_change__keeps_what_documents_are_now(void **state)
{
    enum { DOCS = 12 };
    world_store x;
    test_world *w = &x.w;
    bool alive[DOCS] = { false };
    size_t kept = 0;

    (void)state;
    world_begin(&x, test_seed(4));
    for (int txn = 0; txn < 300; txn++) {
        must(w, store_begin(x.s, &w->e));
        for (uint64_t n = 1 + test_below(&w->t, 4); n > 0; n--) {
            uint64_t k = test_below(&w->t, DOCS);
            bool saved = test_below(&w->t, 4) == 0, was = alive[k];

            if (saved)
                must(w, store_savepoint(x.s, &w->e));
            if (!alive[k]) {
                put_one(w, x.s, x.coll, id_at(w, k), "{\"a\":1}");
                alive[k] = true;
            } else if (test_below(&w->t, 3) == 0) {
                delete_one(w, x.s, x.coll, id_at(w, k));
                alive[k] = false;
            } else {
                set_one(w, x.s, x.coll, id_at(w, k), "a",
                        txn % 2 == 0 ? "2" : "\"other\"");
            }
            now_agrees(&x, &kept);
            if (saved && test_below(&w->t, 2) == 0) {
                store_savepoint_undo(x.s);
                alive[k] = was;
            } else if (saved) {
                store_savepoint_keep(x.s);
            }
            now_agrees(&x, &kept);
        }
        must(w, store_commit(x.s, NULL, &w->e));
        now_agrees(&x, &kept);
    }
    assert_true(kept > 300);
    world_end(&x);
}

/* What a bulk load of fresh documents holds in memory. */
static void test_change__a_fresh_document_costs_little(void **state)
{
    enum { DOCS = 4000 };
    world_store x;
    test_world *w = &x.w;
    tako_slice ids[DOCS], body;
    size_t before;

    (void)state;
    world_begin(&x, 3);
    body = cb(w, "{\"a\":1}");
    for (uint64_t i = 0; i < DOCS; i++)
        ids[i] = id_at(w, i);
    must(w, store_begin(x.s, &w->e));
    must(w, store_insert(x.s, x.coll, id_at(w, DOCS), body, &w->e));
    before = w->t.live_bytes;
    for (uint64_t i = 0; i < DOCS; i++)
        must(w, store_insert(x.s, x.coll, ids[i], body, &w->e));
    assert_true(w->t.live_bytes - before < DOCS * 40);
    must(w, store_commit(x.s, NULL, &w->e));
    world_end(&x);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_change__tells_what_was_before),
        cmocka_unit_test(test_change__names_each_document_once),
        cmocka_unit_test(test_change__keeps_what_documents_are_now),
        cmocka_unit_test(test_change__a_fresh_document_costs_little),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
