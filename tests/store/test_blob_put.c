// SPDX-License-Identifier: Apache-2.0
#include "store/support_files.h"

#include <stdio.h>

#include "store/support_blob.h"

static void test_blob_put__any_length_comes_back(void **state)
{
    static const uint64_t lens[] = {
        0, 1, 15359, 15360, 15361, 40000, 480 * 15360, 480 * 15360 + 5,
    };
    world_store x;

    (void)state;
    world_begin(&x, 1);
    for (size_t i = 0; i < sizeof lens / sizeof lens[0]; i++) {
        uint8_t one[32], two[32];
        blob_facts f;

        /* However it comes in pieces, it is one content. */
        must(&x.w, content_put(x.s, i, lens[i], 4096, one, &x.w.e));
        must(&x.w, content_put(x.s, i, lens[i], 1000, two, &x.w.e));
        assert_memory_equal(one, two, 32);
        assert_true(content_is(x.c, one, i, lens[i]));
        must(&x.w, store_blob_find(x.c, one, &f, &x.w.e));
        assert_true(f.whole && f.free_ms != 0);
        assert_int_equal(f.have, f.form.parts);
    }
    world_end(&x);
}

/* Published fault (CouchDB 5422): a target that grows by the attachment at
 * each revision. Equal contents are kept once, and what the second one took is
 * given back. */
static void test_blob_put__equal_contents_are_kept_once(void **state)
{
    world_store x;
    uint8_t id[32];
    blob_collected c;
    store_facts one, ten;

    (void)state;
    world_begin(&x, 2);
    must(&x.w, content_put(x.s, 1, 300000, 4096, id, &x.w.e));
    must(&x.w, store_facts_read(x.c, &one, &x.w.e));
    for (int i = 0; i < 10; i++) {
        must(&x.w, content_put(x.s, 1, 300000, 4096, id, &x.w.e));
        must(&x.w, store_begin(x.s, &x.w.e));
        must(&x.w,
             store_blob_collect(x.s, x.w.t.wall_ms, 60000, 1000, &c, &x.w.e));
        must(&x.w, store_commit(x.s, NULL, &x.w.e));
        assert_int_equal(c.blobs, 1); /* the double alone */
    }
    must(&x.w, store_facts_read(x.c, &ten, &x.w.e));
    assert_int_equal(ten.blobs, 1);
    assert_int_equal(ten.blob_bytes, one.blob_bytes);
    assert_true(ten.file_bytes < 3 * one.file_bytes);
    assert_true(content_is(x.c, id, 1, 300000));
    world_end(&x);
}

/* A put that is left behind, by a crash or a rollback, is nobody's. */
static void test_blob_put__half_of_it_is_collected(void **state)
{
    world_store x;
    blob_put *p;
    blob_collected c;
    uint8_t bytes[40000] = { 1 };
    uint64_t len;
    uint8_t id[32];
    store_facts f;

    (void)state;
    world_begin(&x, 3);
    must(&x.w, store_begin(x.s, &x.w.e));
    must(&x.w, store_blob_put_begin(x.s, &p, &x.w.e));
    must(&x.w,
         store_blob_put_data(p, tako_slice_of(bytes, sizeof bytes), &x.w.e));
    must(&x.w, store_commit(x.s, NULL, &x.w.e));
    must(&x.w, store_facts_read(x.c, &f, &x.w.e));
    assert_int_equal(f.blobs, 0);
    assert_true(f.blob_bytes > 0);
    x.w.t.wall_ms += 60000;
    must(&x.w, store_begin(x.s, &x.w.e));
    /* While it goes on it is not forgotten. */
    must(&x.w, store_blob_put_data(p, tako_slice_of(bytes, 10), &x.w.e));
    must(&x.w, store_blob_collect(x.s, x.w.t.wall_ms, 60000, 100, &c, &x.w.e));
    assert_int_equal(c.blobs, 0);
    must(&x.w, store_commit(x.s, NULL, &x.w.e));
    x.w.t.wall_ms += 60000;
    must(&x.w, store_begin(x.s, &x.w.e));
    must(&x.w, store_blob_collect(x.s, x.w.t.wall_ms, 60000, 100, &c, &x.w.e));
    assert_int_equal(c.blobs, 1);
    must(&x.w, store_commit(x.s, NULL, &x.w.e));
    must(&x.w, store_begin(x.s, &x.w.e));
    assert_int_equal(store_blob_put_end(p, id, &len, &x.w.e), TAKO_NOTFOUND);
    store_rollback(x.s);
    store_blob_put_free(p);
    must(&x.w, store_facts_read(x.c, &f, &x.w.e));
    assert_int_equal(f.blob_bytes, 0);
    world_end(&x);
}

static void test_blob_put__survives_every_allocation_failure(void **state)
{
    world_store x;
    uint8_t id[32];
    tako_err err;
    long nth = 0;

    (void)state;
    world_begin(&x, 4);
    do {
        size_t blocks = x.w.t.live_blocks;

        x.w.t.failed_once = false;
        x.w.t.fail_after = nth++;
        err = content_put(x.s, 5, 50000, 4096, id, &x.w.e);
        x.w.t.fail_after = -1;
        assert_int_equal(err, x.w.t.failed_once ? TAKO_NOMEM : TAKO_OK);
        assert_true(x.w.t.live_blocks <= blocks + 4); /* kept buffers */
        assert_true(nth < 500);
    } while (err != TAKO_OK);
    assert_true(content_is(x.c, id, 5, 50000));
    world_end(&x);
}

/* The disk is full at every page in turn: nothing of it stays, all that was
 * there does, and what is asked for is told. */
static void test_blob_put__survives_a_disk_that_is_full_anywhere(void **state)
{
    world_store x;
    uint8_t id[32], old[32];
    uint64_t findings;
    tako_err err;

    (void)state;
    world_begin(&x, 5);
    must(&x.w, content_put(x.s, 4, 50000, 4096, old, &x.w.e));
    for (unsigned room = 0;; room++) {
        char sql[64];
        blob_facts f;

        (void)snprintf(sql, sizeof sql, "PRAGMA max_page_count=%u", room + 40);
        (void)sqlite3_exec(store_conn_db(x.c), sql, NULL, NULL, NULL);
        err = content_put(x.s, 5, 200000, 4096, id, &x.w.e);
        if (err == TAKO_OK)
            break;
        assert_int_equal(err, TAKO_FULL);
        assert_true(room < 200);
        assert_int_equal(store_blob_find(x.c, id, &f, NULL), TAKO_NOTFOUND);
    }
    assert_true(content_is(x.c, id, 5, 200000));
    assert_true(content_is(x.c, old, 4, 50000));
    must(&x.w, store_check(x.c, NULL, NULL, &findings, &x.w.e));
    assert_int_equal(findings, 0);
    world_end(&x);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_blob_put__any_length_comes_back),
        cmocka_unit_test(test_blob_put__equal_contents_are_kept_once),
        cmocka_unit_test(test_blob_put__half_of_it_is_collected),
        cmocka_unit_test(test_blob_put__survives_every_allocation_failure),
        cmocka_unit_test(test_blob_put__survives_a_disk_that_is_full_anywhere),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
