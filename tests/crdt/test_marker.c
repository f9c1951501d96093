// SPDX-License-Identifier: Apache-2.0
#include "crdt/support_world.h"

static tako_buf marker_of(world *w, const crdt_doc *d)
{
    tako_buf meta = tako_buf_on(&w->t.env);

    assert_int_equal(crdt_marker_put(d, &meta), TAKO_OK);
    assert_true(crdt_meta_is_marker(tako_buf_slice(&meta)));
    return meta;
}

static crdt_doc *read_marker(world *w, const tako_buf *meta)
{
    tako_errbuf e = { "" };
    crdt_doc *d = NULL;

    if (crdt_marker_read(&w->arena, tako_buf_slice(meta), &d, &e) != TAKO_OK)
        fail_msg("%s", e.text);
    return d;
}

/* Random documents: the marker knows what the document knew, and is no state. */
static void test_marker__tells_generation_births_and_context(void **state)
{
    world w;

    (void)state;
    world_init(&w, test_seed(5));
    for (int round = 0; round < 500; round++) {
        crdt_context read = { NULL, 0, 0 };
        crdt_dot births[8], again[8];
        crdt_doc *d, *no;
        tako_buf meta;
        size_t count;

        world_clear(&w);
        world_insert(&w, 0, "{'a':1,'o':{'p':2}}");
        for (int i = 0; i < 12; i++)
            world_random_write(&w, (unsigned)i % 2);
        if (!crdt_doc_alive(w.doc[0]))
            continue;
        (void)world_merge(&w, 0, 1);
        if (!crdt_doc_alive(w.doc[0]))
            continue;
        meta = marker_of(&w, w.doc[0]);
        d = read_marker(&w, &meta);
        assert_int_equal(crdt_doc_generation(d), crdt_doc_generation(w.doc[0]));
        assert_true(
            crdt_context_eq(crdt_doc_context(d), crdt_doc_context(w.doc[0])));
        assert_int_equal(
            crdt_meta_context(&w.arena, tako_buf_slice(&meta), &read), TAKO_OK);
        assert_true(crdt_context_eq(&read, crdt_doc_context(d)));
        count = crdt_doc_births(w.doc[0], births, 8);
        assert_int_equal(crdt_doc_births(d, again, 8), count);
        assert_memory_equal(births, again,
                            (count < 8 ? count : 8) * sizeof births[0]);
        assert_int_equal(crdt_doc_decode(&w.arena, tako_buf_slice(&meta),
                                         TAKO_SLICE_NONE, &no, NULL),
                         TAKO_CORRUPT);
        assert_int_equal(crdt_meta_generation(tako_buf_slice(&meta)),
                         crdt_doc_generation(w.doc[0]));
        tako_buf_fini(&meta);
    }
    world_fini(&w);
}

static void test_marker__is_small(void **state)
{
    world w;
    tako_buf meta;

    (void)state;
    world_init(&w, 1);
    world_insert(&w, 0, "{'a':1,'b':{'c':[1,2,3]},'d':'a long text here'}");
    meta = marker_of(&w, w.doc[0]);
    assert_in_range(meta.len, 20, 30);
    tako_buf_fini(&meta);
    world_fini(&w);
}

/* A delta that brings nothing is stale, any other needs the whole document. */
static void test_marker__takes_no_delta(void **state)
{
    static const crdt_context none = { NULL, 0, 0 };
    world w;
    tako_buf meta, delta;
    crdt_context base;
    crdt_doc *d;

    (void)state;
    world_init(&w, 2);
    delta = tako_buf_on(&w.t.env);
    world_insert(&w, 0, "{'a':1}");
    meta = marker_of(&w, w.doc[0]);
    base = *crdt_doc_context(w.doc[0]);
    w.doc[1] = world_copy(&w, w.doc[0]);
    world_set(&w, 1, "a", "2");
    for (int i = 0; i < 3; i++) {
        tako_reader in;
        crdt_delta_result result;

        d = read_marker(&w, &meta);
        tako_buf_reset(&delta);
        assert_int_equal(crdt_delta_encode(w.doc[i > 0], i == 2 ? &base : &none,
                                           NULL, world_key,
                                           &crdt_names_plain_out, &delta),
                         TAKO_OK);
        in = tako_reader_of(tako_buf_slice(&delta));
        assert_int_equal(crdt_delta_apply(d, &in, world_key,
                                          &crdt_names_plain_in, &result, NULL,
                                          NULL),
                         TAKO_OK);
        assert_true(tako_reader_done(&in));
        assert_int_equal(result, i == 0 ? CRDT_DELTA_STALE : CRDT_DELTA_NEEDS);
    }
    tako_buf_fini(&delta);
    tako_buf_fini(&meta);
    world_fini(&w);
}

/* A new INSERT is concurrent to the old one: both merge. */
static void test_marker__an_insert_goes_on_in_the_same_generation(void **state)
{
    world w;
    tako_buf meta;
    crdt_doc *d = NULL;
    crdt_dot dot;

    (void)state;
    world_init(&w, 3);
    world_insert(&w, 0, "{'a':1}");
    world_delete(&w, 0);
    world_insert(&w, 0, "{'a':2,'b':3}");
    meta = marker_of(&w, w.doc[0]);
    assert_int_equal(
        crdt_marker_follow(read_marker(&w, &meta), world_actor(1), &d),
        TAKO_OK);
    assert_false(crdt_doc_alive(d));
    dot = world_dot(&w, 1);
    assert_int_equal(crdt_insert(d, dot, world_value(&w, "{'a':4,'c':5}")),
                     TAKO_OK);
    assert_int_equal(crdt_doc_generation(d), 3);
    assert_int_equal(crdt_doc_context(d)->count, 1);
    w.doc[1] = world_copy(&w, d);
    (void)world_merge(&w, 1, 0);
    (void)world_merge(&w, 0, 1);
    world_expect(&w, 1, "{'a':4,'b':3,'c':5}");
    assert_true(world_same(&w, w.doc[0], w.doc[1]));
    tako_buf_fini(&meta);
    world_fini(&w);
}

/* Its own earlier events a writer cannot but claim to have seen. */
static void test_marker__an_insert_over_own_events_is_a_new_life(void **state)
{
    world w;
    tako_buf meta;
    crdt_doc *d = NULL;

    (void)state;
    world_init(&w, 3);
    world_insert(&w, 0, "{'n':1,'o':{'p':1}}");
    world_increment(&w, 0, "n", 5);
    world_unset(&w, 0, "o");
    (void)world_merge(&w, 1, 0);
    meta = marker_of(&w, w.doc[0]);
    world_set(&w, 1, "c", "5");
    assert_int_equal(
        crdt_marker_follow(read_marker(&w, &meta), world_actor(0), &d),
        TAKO_OK);
    assert_false(crdt_doc_alive(d));
    assert_int_equal(
        crdt_insert(d, world_dot(&w, 0), world_value(&w, "{'a':4}")), TAKO_OK);
    w.doc[0] = world_copy(&w, d);
    (void)world_merge(&w, 1, 0);
    (void)world_merge(&w, 0, 1);
    world_expect(&w, 1, "{'a':4}");
    assert_true(world_same(&w, w.doc[0], w.doc[1]));
    tako_buf_fini(&meta);
    world_fini(&w);
}

static void test_marker__damaged_ones_are_refused(void **state)
{
    world w;
    tako_buf meta, flipped;

    (void)state;
    world_init(&w, 4);
    world_insert(&w, 0, "{'a':1}");
    meta = marker_of(&w, w.doc[0]);
    flipped = tako_buf_on(&w.t.env);
    for (size_t len = 0; len < meta.len; len++) {
        crdt_doc *d;

        assert_int_equal(
            crdt_marker_read(&w.arena, tako_slice_of(meta.ptr, len), &d, NULL),
            TAKO_CORRUPT);
        tako_buf_reset(&flipped);
        tako_put_bytes(&flipped, tako_buf_slice(&meta));
        flipped.ptr[len] ^= 0xff; /* at worst another marker */
        (void)crdt_marker_read(&w.arena, tako_buf_slice(&flipped), &d, NULL);
    }
    tako_buf_fini(&flipped);
    tako_buf_fini(&meta);
    world_fini(&w);
}

static void test_marker__says_that_a_document_left(void **state)
{
    uint64_t day = 0;
    tako_buf evicted, left;
    crdt_doc *d = NULL;
    crdt_doc *was;
    world w;

    (void)state;
    world_init(&w, 5);
    world_insert(&w, 0, "{'a':1}");
    was = w.doc[0];
    evicted = marker_of(&w, was);
    left = tako_buf_on(evicted.env);
    assert_int_equal(crdt_marker_put_left(was, 20000, &left), TAKO_OK);
    assert_true(crdt_meta_is_marker(tako_buf_slice(&left)));
    assert_true(crdt_meta_is_left(tako_buf_slice(&left), &day));
    assert_int_equal(day, 20000);
    assert_false(crdt_meta_is_left(tako_buf_slice(&evicted), &day));
    assert_int_equal(
        crdt_marker_read(&w.arena, tako_buf_slice(&left), &d, NULL), TAKO_OK);
    assert_true(crdt_context_eq(crdt_doc_context(d), crdt_doc_context(was)));
    for (size_t len = 0; len < left.len; len++)
        assert_int_equal(
            crdt_marker_read(&w.arena, tako_slice_of(left.ptr, len), &d, NULL),
            TAKO_CORRUPT);
    tako_buf_fini(&left);
    tako_buf_fini(&evicted);
    world_fini(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_marker__says_that_a_document_left),
        cmocka_unit_test(test_marker__tells_generation_births_and_context),
        cmocka_unit_test(test_marker__is_small),
        cmocka_unit_test(test_marker__takes_no_delta),
        cmocka_unit_test(test_marker__an_insert_goes_on_in_the_same_generation),
        cmocka_unit_test(test_marker__an_insert_over_own_events_is_a_new_life),
        cmocka_unit_test(test_marker__damaged_ones_are_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
