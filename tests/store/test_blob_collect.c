// SPDX-License-Identifier: Apache-2.0
#include "store/support_files.h"

#include "store/support_blob.h"

#define GRACE 60000u

static blob_collected collect(world_store *x, uint32_t parts)
{
    blob_collected c;

    must(&x->w, store_begin(x->s, &x->w.e));
    must(&x->w,
         store_blob_collect(x->s, x->w.t.wall_ms, GRACE, parts, &c, &x->w.e));
    must(&x->w, store_commit(x->s, NULL, &x->w.e));
    return c;
}

static bool due(world_store *x)
{
    return store_blob_due(x->s, x->w.t.wall_ms, GRACE);
}

static bool here(world_store *x, const uint8_t id[32])
{
    blob_facts f;

    return store_blob_find(x->c, id, &f, &x->w.e) == TAKO_OK;
}

static void attach(world_store *x, tako_slice doc, const uint8_t id[32],
                   uint64_t len)
{
    tako_buf b = tako_buf_on(&x->w.t.env);
    tako_slice key = tako_slice_str("photo");
    blob_token t = { .len = len };
    crdt_doc *d = NULL;
    crdt_dot dot;

    memcpy(t.id, id, sizeof t.id);
    must(&x->w, blob_token_put(&t, &b, &x->w.e));
    must(&x->w, store_begin(x->s, &x->w.e));
    must(&x->w, store_edit(x->s, x->coll, doc, &d, &x->w.e));
    must(&x->w, store_dot(x->s, &dot, &x->w.e));
    if (!crdt_doc_alive(d))
        must(&x->w, crdt_insert(d, dot, cb(&x->w, "{}")));
    must(&x->w, crdt_set(d, dot, (crdt_path){ &key, 1 }, CRDT_ATTACHMENT,
                         tako_buf_slice(&b), &x->w.e));
    must(&x->w, store_edit_save(x->s, &x->w.e));
    must(&x->w, store_commit(x->s, NULL, &x->w.e));
    tako_buf_fini(&b);
}

static void test_blob_collect__keeps_what_is_referred_to(void **state)
{
    uint8_t kept[32], loose[32];
    world_store x;
    uint64_t findings;

    (void)state;
    world_begin(&x, 1);
    must(&x.w, content_put(x.s, 1, 100000, 4096, kept, &x.w.e));
    must(&x.w, content_put(x.s, 2, 100000, 4096, loose, &x.w.e));
    attach(&x, id_at(&x.w, 1), kept, 100000);
    attach(&x, id_at(&x.w, 2), kept, 100000);
    (void)collect(&x, 1000);
    assert_true(here(&x, loose)); /* it may still be written into a document */
    assert_false(due(&x));
    x.w.t.wall_ms += GRACE;
    assert_true(due(&x));
    assert_int_equal(collect(&x, 1000).blobs, 1);
    assert_false(here(&x, loose));
    assert_true(content_is(x.c, kept, 1, 100000));

    /* One of two goes, then the other; then its time of grace begins. */
    must(&x.w, store_begin(x.s, &x.w.e));
    delete_one(&x.w, x.s, x.coll, id_at(&x.w, 1));
    must(&x.w, store_commit(x.s, NULL, &x.w.e));
    x.w.t.wall_ms += 10 * GRACE;
    (void)collect(&x, 1000);
    assert_true(here(&x, kept));
    must(&x.w, store_begin(x.s, &x.w.e));
    must(&x.w, store_evict(x.s, x.coll, id_at(&x.w, 2), true, &x.w.e));
    must(&x.w, store_commit(x.s, NULL, &x.w.e));
    (void)collect(&x, 1000);
    assert_true(here(&x, kept));
    x.w.t.wall_ms += GRACE;
    assert_int_equal(collect(&x, 1000).blobs, 1);
    assert_false(here(&x, kept));
    must(&x.w, store_check(x.c, NULL, NULL, &findings, &x.w.e));
    assert_int_equal(findings, 0);
    world_end(&x);
}

/* A little at a time, and a crash in between loses nothing of the task. */
static void test_blob_collect__has_a_budget(void **state)
{
    uint8_t id[32];
    world_store x;
    store_facts f;
    unsigned turns = 0;
    blob_collected c;

    (void)state;
    world_begin(&x, 2);
    must(&x.w, content_put(x.s, 1, 1000000, 4096, id, &x.w.e));
    x.w.t.wall_ms += GRACE;
    do {
        c = collect(&x, 10);
        assert_false(here(&x, id));
        store_close(x.s);
        x.s = world_open(&x.w, "a");
        x.c = store_writer(x.s);
        assert_int_equal(due(&x), c.blobs == 0); /* what is begun */
        turns++;
    } while (c.blobs == 0);
    assert_in_range(turns, 7, 8); /* 68 parts */
    assert_false(collect(&x, 10).more);
    assert_false(due(&x));
    must(&x.w, store_facts_read(x.c, &f, &x.w.e));
    assert_int_equal(f.blobs + f.blob_bytes, 0);
    world_end(&x);
}

/* The same content comes back while its old rows are going. */
static void test_blob_collect__what_comes_back_is_new(void **state)
{
    uint8_t id[32];
    world_store x;

    (void)state;
    world_begin(&x, 3);
    must(&x.w, content_put(x.s, 1, 500000, 4096, id, &x.w.e));
    x.w.t.wall_ms += GRACE;
    (void)collect(&x, 5);
    must(&x.w, content_put(x.s, 1, 500000, 4096, id, &x.w.e));
    attach(&x, id_at(&x.w, 1), id, 500000);
    while (collect(&x, 5).more)
        assert_true(content_is(x.c, id, 1, 500000));
    assert_true(content_is(x.c, id, 1, 500000));
    world_end(&x);
}

/* A clock that stood a year ahead does not keep what is free for a year. */
static void test_blob_collect__a_wrong_clock_costs_one_grace(void **state)
{
    uint8_t id[32];
    world_store x;

    (void)state;
    world_begin(&x, 4);
    x.w.t.wall_ms += UINT64_C(365) * 86400000;
    must(&x.w, content_put(x.s, 1, 1000, 4096, id, &x.w.e));
    x.w.t.wall_ms -= UINT64_C(365) * 86400000;
    assert_true(due(&x));
    (void)collect(&x, 100);
    assert_true(here(&x, id));
    x.w.t.wall_ms += GRACE;
    (void)collect(&x, 100);
    assert_false(here(&x, id));
    world_end(&x);
}

static void test_blob_collect__survives_every_allocation_failure(void **state)
{
    uint8_t id[32];
    world_store x;
    blob_collected c;
    tako_err err;
    long nth = 0;

    (void)state;
    world_begin(&x, 5);
    must(&x.w, content_put(x.s, 1, 100000, 4096, id, &x.w.e));
    x.w.t.wall_ms += GRACE;
    do {
        x.w.t.failed_once = false;
        x.w.t.fail_after = nth++;
        err = store_begin(x.s, &x.w.e);
        if (err == TAKO_OK)
            err =
                store_blob_collect(x.s, x.w.t.wall_ms, GRACE, 1000, &c, &x.w.e);
        if (err == TAKO_OK)
            err = store_commit(x.s, NULL, &x.w.e);
        else
            store_rollback(x.s);
        x.w.t.fail_after = -1;
        assert_int_equal(err, x.w.t.failed_once ? TAKO_NOMEM : TAKO_OK);
        if (err != TAKO_OK)
            assert_true(content_is(x.c, id, 1, 100000));
        assert_true(nth < 200);
    } while (err != TAKO_OK);
    assert_false(here(&x, id));
    world_end(&x);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_blob_collect__keeps_what_is_referred_to),
        cmocka_unit_test(test_blob_collect__has_a_budget),
        cmocka_unit_test(test_blob_collect__what_comes_back_is_new),
        cmocka_unit_test(test_blob_collect__a_wrong_clock_costs_one_grace),
        cmocka_unit_test(test_blob_collect__survives_every_allocation_failure),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
