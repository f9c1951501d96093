// SPDX-License-Identifier: Apache-2.0
#include "store/support_files.h"

#include <stdlib.h>

#include "store/support_blob.h"

#define LEN 200000u

/* A content in one store, and another that gets its parts. */
typedef struct pair {
    world_store x; /* the getter */
    store *from;
    uint8_t id[32];
    blob_view view;
} pair;

static void pair_begin(pair *p, uint64_t seed)
{
    world_begin(&p->x, seed);
    p->from = world_open(&p->x.w, "from");
    must(&p->x.w, content_put(p->from, 1, LEN, 4096, p->id, &p->x.w.e));
    must(&p->x.w,
         blob_view_open(store_writer(p->from), p->id, &p->view, &p->x.w.e));
}

static void pair_end(pair *p)
{
    uint64_t findings;

    must(&p->x.w, store_check(p->x.c, NULL, NULL, &findings, &p->x.w.e));
    assert_int_equal(findings, 0);
    blob_view_close(&p->view);
    store_close(p->from);
    world_end(&p->x);
}

static tako_err take(pair *p, uint32_t part, bool *whole)
{
    blob_piece piece = { part, TAKO_SLICE_NONE };
    tako_err err;

    must(&p->x.w, blob_view_part(&p->view, store_writer(p->from), part,
                                 &piece.bytes, &p->x.w.e));
    err = store_begin(p->x.s, &p->x.w.e);
    if (err != TAKO_OK)
        return err;
    err = store_blob_expect(p->x.s, p->id, LEN, &p->x.w.e);
    if (err == TAKO_OK)
        err = store_blob_take(p->x.s, p->id, &piece, 1, whole, &p->x.w.e);
    if (err == TAKO_OK)
        return store_commit(p->x.s, NULL, &p->x.w.e);
    store_rollback(p->x.s);
    return err;
}

/* In any order, twice, over restarts: what is there is known, and at the end
 * it is whole. */
static void test_blob__takes_parts_in_any_order(void **state)
{
    pair p;
    uint32_t parts, got = 0;
    bool whole = false;
    blob_facts f;
    tako_buf bits;

    (void)state;
    pair_begin(&p, 1);
    parts = p.view.facts.form.parts;
    bits = tako_buf_on(&p.x.w.t.env);
    while (!whole) {
        uint32_t part = (uint32_t)test_below(&p.x.w.t, parts);

        must(&p.x.w, take(&p, part, &whole));
        must(&p.x.w, store_blob_find(p.x.c, p.id, &f, &p.x.w.e));
        tako_buf_reset(&bits);
        must(&p.x.w, store_blob_bits(p.x.c, &f, &bits, &p.x.w.e));
        assert_true(blob_bit(bits.ptr, part));
        assert_true(f.have >= got && f.have <= got + 1);
        assert_int_equal(f.whole, whole);
        got = f.have;
        if (test_below(&p.x.w.t, 8) == 0) {
            store_close(p.x.s);
            p.x.s = world_open(&p.x.w, "a");
            p.x.c = store_writer(p.x.s);
        }
    }
    assert_int_equal(got, parts);
    assert_true(content_is(p.x.c, p.id, 1, LEN));
    tako_buf_fini(&bits);
    pair_end(&p);
}

static void test_blob__refuses_what_is_no_part(void **state)
{
    uint8_t bytes[BLOB_PART_BYTES] = { 0 };
    blob_piece none = { 99999, { bytes, 1 } }, longer = { 2, { bytes, 77 } };
    bool whole;
    pair p;

    (void)state;
    pair_begin(&p, 2);
    must(&p.x.w, store_begin(p.x.s, &p.x.w.e));
    assert_int_equal(store_blob_take(p.x.s, p.id, &none, 1, &whole, NULL),
                     TAKO_NOTFOUND);
    must(&p.x.w, store_blob_expect(p.x.s, p.id, LEN, &p.x.w.e));
    assert_int_equal(store_blob_take(p.x.s, p.id, &none, 1, &whole, NULL),
                     TAKO_INVALID);
    assert_int_equal(store_blob_take(p.x.s, p.id, &longer, 1, &whole, NULL),
                     TAKO_INVALID);
    assert_int_equal(
        store_blob_expect(p.x.s, p.id, TAKO_BLOB_BYTES_MAX + 1, NULL),
        TAKO_LIMIT);
    must(&p.x.w, store_commit(p.x.s, NULL, &p.x.w.e));
    pair_end(&p);
}

/* A token with a wrong length must not stand in the way of the right one. */
static void test_blob__a_wrong_length_gives_way(void **state)
{
    bool whole = false;
    pair p;

    (void)state;
    pair_begin(&p, 3);
    must(&p.x.w, store_begin(p.x.s, &p.x.w.e));
    must(&p.x.w, store_blob_expect(p.x.s, p.id, LEN - 1, &p.x.w.e));
    must(&p.x.w, store_commit(p.x.s, NULL, &p.x.w.e));
    for (uint32_t i = 0; i < p.view.facts.form.parts; i++)
        must(&p.x.w, take(&p, i, &whole));
    assert_true(whole);
    assert_true(content_is(p.x.c, p.id, 1, LEN));
    pair_end(&p);
}

/* What the disk gives back wrongly is noticed, by who reads and by check. */
static void test_blob__damage_is_noticed(void **state)
{
    world_store x;
    uint8_t id[32], needle[16];
    uint64_t findings;
    blob_view v;
    tako_slice s;

    (void)state;
    world_begin(&x, 4);
    must(&x.w, content_put(x.s, 3, 100000, 4096, id, &x.w.e));
    store_close(x.s);
    for (size_t i = 0; i < sizeof needle; i++)
        needle[i] = content_byte(3, 50000 + i);
    assert_true(world_flip(&x.w, "a", tako_slice_of(needle, sizeof needle)));
    x.s = world_open(&x.w, "a");
    x.c = store_writer(x.s);
    must(&x.w, blob_view_open(x.c, id, &v, &x.w.e));
    must(&x.w, blob_view_read(&v, x.c, 0, &s, &x.w.e));
    assert_int_equal(blob_view_read(&v, x.c, 50000, &s, &x.w.e), TAKO_CORRUPT);
    must(&x.w, blob_view_read(&v, x.c, 99999, &s, &x.w.e));
    assert_int_equal(s.len, 1);
    must(&x.w, blob_view_read(&v, x.c, 100000, &s, &x.w.e));
    assert_int_equal(s.len, 0);
    blob_view_close(&v);
    must(&x.w, store_check(x.c, NULL, NULL, &findings, &x.w.e));
    assert_int_equal(findings, 1);
    world_end(&x);
}

static void test_blob__taking_survives_every_allocation_failure(void **state)
{
    pair p;
    bool whole;
    tako_slice root;
    tako_err err;
    long nth = 0;

    (void)state;
    pair_begin(&p, 5);
    must(&p.x.w, blob_view_part(&p.view, store_writer(p.from), 0, &root,
                                &p.x.w.e)); /* from now on it is at hand */
    do {
        p.x.w.t.failed_once = false;
        p.x.w.t.fail_after = nth++;
        err = take(&p, 0, &whole);
        p.x.w.t.fail_after = -1;
        assert_int_equal(err, p.x.w.t.failed_once ? TAKO_NOMEM : TAKO_OK);
        assert_true(nth < 200);
    } while (err != TAKO_OK);
    pair_end(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_blob__takes_parts_in_any_order),
        cmocka_unit_test(test_blob__refuses_what_is_no_part),
        cmocka_unit_test(test_blob__a_wrong_length_gives_way),
        cmocka_unit_test(test_blob__damage_is_noticed),
        cmocka_unit_test(test_blob__taking_survives_every_allocation_failure),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
