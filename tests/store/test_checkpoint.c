// SPDX-License-Identifier: Apache-2.0
#include "store/support_files.h"

#include <stdio.h>

static store_checkpoint_at at_of(uint64_t lsn, bool streaming, int64_t row)
{
    store_checkpoint_at at = { { 7, 8 }, lsn, streaming, row };

    return at;
}

static void put(world_store *x, const char *peer, const char *text,
                const char *coll, store_checkpoint_at at)
{
    must(&x->w,
         store_checkpoint_put(x->s, tako_slice_str(peer), tako_slice_str(text),
                              tako_slice_str(coll), &at, &x->w.e));
}

static tako_err get(world_store *x, const char *peer, const char *text,
                    store_checkpoint_at *at)
{
    return store_checkpoint_get(x->c, tako_slice_str(peer),
                                tako_slice_str(text), at);
}

static void test_checkpoint__belongs_to_peer_and_text(void **state)
{
    world_store x;
    store_checkpoint_at at;

    (void)state;
    world_begin(&x, 1);
    assert_int_equal(get(&x, "a", "t", &at), TAKO_NOTFOUND);
    must(&x.w, store_begin(x.s, &x.w.e));
    put(&x, "a", "t", "orders", at_of(5, false, 0));
    put(&x, "b", "t", "orders", at_of(6, true, -3));
    must(&x.w, store_commit(x.s, NULL, &x.w.e));
    must(&x.w, get(&x, "a", "t", &at));
    assert_int_equal(at.lsn, 5);
    assert_false(at.streaming);
    assert_int_equal(at.incarnation[1], 8);
    must(&x.w, get(&x, "b", "t", &at));
    assert_true(at.streaming && at.lsn == 6 && at.row == -3);
    assert_int_equal(get(&x, "a", "u", &at), TAKO_NOTFOUND);
    world_end(&x);
}

/* It moves with the transaction, or not at all. */
static void test_checkpoint__joins_its_transaction(void **state)
{
    world_store x;
    store_checkpoint_at at;

    (void)state;
    world_begin(&x, 2);
    must(&x.w, store_begin(x.s, &x.w.e));
    put(&x, "a", "t", "orders", at_of(5, false, 0));
    must(&x.w, store_commit(x.s, NULL, &x.w.e));
    must(&x.w, store_begin(x.s, &x.w.e));
    put(&x, "a", "t", "orders", at_of(9, false, 0));
    store_rollback(x.s);
    must(&x.w, get(&x, "a", "t", &at));
    assert_int_equal(at.lsn, 5);
    assert_int_equal(
        store_checkpoint_put(x.s, tako_slice_str("a"), tako_slice_str("t"),
                             tako_slice_str("orders"), &at, &x.w.e),
        TAKO_MISUSE);
    world_end(&x);
}

static void test_checkpoint__goes_with_its_collection(void **state)
{
    world_store x;
    store_checkpoint_at at;

    (void)state;
    world_begin(&x, 3);
    must(&x.w, store_begin(x.s, &x.w.e));
    put(&x, "a", "t", "orders", at_of(5, false, 0));
    put(&x, "b", "t?", "orders", at_of(5, false, 0));
    put(&x, "a", "m", "menu", at_of(5, false, 0));
    must(&x.w, store_checkpoint_drop(x.s, tako_slice_str("orders"), &x.w.e));
    must(&x.w, store_commit(x.s, NULL, &x.w.e));
    assert_int_equal(get(&x, "a", "t", &at), TAKO_NOTFOUND);
    assert_int_equal(get(&x, "b", "t?", &at), TAKO_NOTFOUND);
    must(&x.w, get(&x, "a", "m", &at));
    world_end(&x);
}

static void test_checkpoint__the_oldest_go(void **state)
{
    world_store x;
    store_checkpoint_at at;
    char peer[16];

    (void)state;
    world_begin(&x, 4);
    must(&x.w, store_begin(x.s, &x.w.e));
    put(&x, "old", "t", "orders", at_of(1, false, 0));
    for (unsigned i = 0; i < TAKO_CHECKPOINTS_MAX; i++) {
        (void)snprintf(peer, sizeof peer, "p%u", i);
        put(&x, peer, "t", "orders", at_of(2, false, 0));
    }
    must(&x.w, store_commit(x.s, NULL, &x.w.e));
    assert_int_equal(get(&x, "old", "t", &at), TAKO_NOTFOUND);
    must(&x.w, get(&x, "p0", "t", &at));
    world_end(&x);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_checkpoint__belongs_to_peer_and_text),
        cmocka_unit_test(test_checkpoint__joins_its_transaction),
        cmocka_unit_test(test_checkpoint__goes_with_its_collection),
        cmocka_unit_test(test_checkpoint__the_oldest_go),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
