// SPDX-License-Identifier: Apache-2.0
/* What of our own is gone. */
#include "store/support_files.h"

#define ENTRY 24u

static tako_err see_gone(void *ctx, const store_held *row)
{
    tako_buf *out = ctx;

    if (row->gone)
        tako_put_bytes(out, row->v);
    return TAKO_OK;
}

/* The hlc of the actor among what is gone; 0: none. */
static uint64_t gone_of(world_store *x, crdt_actor actor)
{
    tako_buf v = tako_buf_on(&x->w.t.env);
    uint64_t hlc = 0;

    must(&x->w,
         store_held_each(x->c, store_coll_name(x->c, x->coll), see_gone, &v));
    assert_int_equal(v.len % ENTRY, 0);
    for (size_t at = 0; at < v.len; at += ENTRY) {
        tako_reader in = tako_reader_of(tako_slice_of(v.ptr + at + 16, 8));

        if (memcmp(v.ptr + at, actor.id, 16) == 0)
            hlc = tako_read_u64(&in);
    }
    tako_buf_fini(&v);
    return hlc;
}

static crdt_dot own_last(world_store *x)
{
    crdt_dot dot;

    must(&x->w, store_own_last(x->c, &dot));
    return dot;
}

static void leave(world_store *x, tako_slice id)
{
    must(&x->w, store_begin(x->s, &x->w.e));
    must(&x->w, store_leave(x->s, x->coll, id, &x->w.e));
    must(&x->w, store_commit(x->s, NULL, &x->w.e));
}

static void evict(world_store *x, tako_slice id)
{
    must(&x->w, store_begin(x->s, &x->w.e));
    must(&x->w, store_evict(x->s, x->coll, id, true, &x->w.e));
    must(&x->w, store_commit(x->s, NULL, &x->w.e));
}

static void test_held__what_went_is_known_up_to_its_last_own_event(void **state)
{
    world_store x;
    crdt_dot first, second, third;

    (void)state;
    world_begin(&x, 1);
    (void)put_commit(&x.w, x.s, x.coll, id_at(&x.w, 1), "{\"a\":1}");
    first = own_last(&x);
    (void)put_commit(&x.w, x.s, x.coll, id_at(&x.w, 2), "{\"a\":1}");
    second = own_last(&x);
    (void)put_commit(&x.w, x.s, x.coll, id_at(&x.w, 3), "{\"a\":1}");
    third = own_last(&x);
    assert_int_equal(gone_of(&x, first.actor), 0);
    leave(&x, id_at(&x.w, 2));
    assert_int_equal(gone_of(&x, first.actor), second.hlc);
    leave(&x, id_at(&x.w, 1)); /* it does not fall */
    assert_int_equal(gone_of(&x, first.actor), second.hlc);
    evict(&x, id_at(&x.w, 3));
    assert_int_equal(gone_of(&x, first.actor), third.hlc);
    world_end(&x);
}

/* Of all that this file wrote, under whichever name. */
static void test_held__former_actors_count(void **state)
{
    world_store x;
    crdt_dot before, after;

    (void)state;
    world_begin(&x, 2);
    (void)put_commit(&x.w, x.s, x.coll, id_at(&x.w, 1), "{\"a\":1}");
    before = own_last(&x);
    store_close(x.s);
    assert_true(world_copy(&x.w, "a", "copy"));
    x.s = world_open(&x.w, "copy");
    x.c = store_writer(x.s);
    (void)put_commit(&x.w, x.s, x.coll, id_at(&x.w, 2), "{\"a\":1}");
    after = own_last(&x);
    assert_memory_not_equal(before.actor.id, after.actor.id, 16);
    leave(&x, id_at(&x.w, 1));
    assert_int_equal(gone_of(&x, before.actor), before.hlc);
    assert_int_equal(gone_of(&x, after.actor), 0);
    world_end(&x);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(
            test_held__what_went_is_known_up_to_its_last_own_event),
        cmocka_unit_test(test_held__former_actors_count),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
