// SPDX-License-Identifier: Apache-2.0
#include "crdt/support_world.h"

#include "crdt/delta_form.h"
#include "crdt/tree.h"

/* Names as a session has them: keys and actors one byte, an hlc by its
 * difference to the last. */
typedef struct session {
    uint64_t last;
} session;

static void put_dot(void *ctx, tako_buf *out, crdt_dot dot)
{
    session *s = ctx;

    tako_put_u8(out, dot.actor.id[0]);
    tako_put_varint(out, dot.hlc > s->last ? (dot.hlc - s->last) << 1
                                           : (s->last - dot.hlc) << 1 | 1);
    s->last = dot.hlc;
}

static void put_key(void *ctx, tako_buf *out, tako_slice key)
{
    (void)ctx;
    tako_put_u8(out, key.ptr[0]);
}

static size_t size_of(world *w, const crdt_doc *d, const crdt_doc *before,
                      bool exact)
{
    session s = { w->hlc - CRDT_HLC_OF_MS(5000) };
    crdt_names_out names = { &s, put_dot, put_key };
    tako_buf out = tako_buf_on(&w->t.env);
    size_t n;

    assert_int_equal(crdt_delta_encode(d, crdt_doc_context(before),
                                       exact ? before : NULL, world_key, &names,
                                       &out),
                     TAKO_OK);
    n = out.len;
    tako_buf_fini(&out);
    return n;
}

/* P9 has 40 bytes for all that goes on a link. */
static void test_delta__one_short_field_is_small(void **state)
{
    world w;
    crdt_doc *before;

    (void)state;
    world_init(&w, 1);
    world_insert(&w, 0, "{'status':'open','items':{'a':{'qty':1}},'x':2}");
    before = world_copy(&w, w.doc[0]);
    world_set(&w, 0, "status", "'in progress'");
    assert_true(size_of(&w, w.doc[0], before, true) <= 28);
    assert_true(size_of(&w, w.doc[0], before, false) <= 36);

    (void)world_merge(&w, 1, 0);
    world_set(&w, 1, "status", "'done for me'");
    before = world_copy(&w, w.doc[1]);
    world_set(&w, 1, "status", "'in progress'");
    assert_true(size_of(&w, w.doc[1], before, true) <= 36);

    before = world_copy(&w, w.doc[0]);
    world_set(&w, 0, "items.a.qty", "2");
    assert_true(size_of(&w, w.doc[0], before, true) <= 24);
    world_fini(&w);
}

/* A whole document needs no sum, and says no dot twice. */
static void
test_delta__a_whole_document_is_hardly_more_than_its_body(void **state)
{
    world w;
    tako_buf meta;
    tako_buf body;

    (void)state;
    world_init(&w, 1);
    world_insert(&w, 0, "{'a':1,'b':'two','c':{'d':[1,2,3],'e':{'f':null}}}");
    meta = tako_buf_on(&w.t.env);
    body = tako_buf_on(&w.t.env);
    assert_int_equal(crdt_doc_encode(w.doc[0], &meta, &body), TAKO_OK);
    assert_true(size_of(&w, w.doc[0], w.doc[1], false) <= body.len + 24);
    tako_buf_fini(&meta);
    tako_buf_fini(&body);
    world_fini(&w);
}

static void test_delta__says_nothing_where_nothing_is_new(void **state)
{
    world w;

    (void)state;
    world_init(&w, 1);
    world_insert(&w, 0, "{'a':1,'b':{'c':2}}");
    assert_true(size_of(&w, w.doc[0], w.doc[0], true) <= 16);
    world_fini(&w);
}

/* A base that the document does not cover is taken down to what it does. */
static void test_delta__base_may_know_more(void **state)
{
    world w;
    tako_buf out;
    tako_reader in;
    crdt_delta_result result;

    (void)state;
    world_init(&w, 1);
    world_insert(&w, 0, "{'a':1}");
    (void)world_merge(&w, 1, 0);
    world_set(&w, 1, "b", "2");
    world_set(&w, 0, "c", "3");
    out = tako_buf_on(&w.t.env);
    assert_int_equal(crdt_delta_encode(w.doc[0], crdt_doc_context(w.doc[1]),
                                       NULL, world_key, &crdt_names_plain_out,
                                       &out),
                     TAKO_OK);
    in = tako_reader_of(tako_buf_slice(&out));
    assert_int_equal(crdt_delta_apply(w.doc[1], &in, world_key,
                                      &crdt_names_plain_in, &result, NULL,
                                      NULL),
                     TAKO_OK);
    assert_int_equal(result, CRDT_DELTA_APPLIED);
    world_expect(&w, 1, "{'a':1,'b':2,'c':3}");
    tako_buf_fini(&out);
    world_fini(&w);
}

/* Every byte of the session's key, or a peer could prepare what agrees. */
static void test_delta__sums_depend_on_the_key(void **state)
{
    uint8_t key[16];
    uint64_t sum;
    world w;

    (void)state;
    world_init(&w, 1);
    world_insert(&w, 0, "{'a':1,'b':{'c':2}}");
    sum = crdt_delta_sum(w.doc[0], crdt_doc_context(w.doc[0]), world_key);
    for (size_t i = 0; i < sizeof key; i++) {
        memcpy(key, world_key, sizeof key);
        key[i] ^= 1;
        assert_true(crdt_delta_sum(w.doc[0], crdt_doc_context(w.doc[0]), key) !=
                    sum);
    }
    world_fini(&w);
}

static void test_delta__survives_lack_of_memory(void **state)
{
    tako_err err = TAKO_NOMEM;
    crdt_context none = { 0 };
    world w;

    (void)state;
    world_init(&w, 1);
    world_insert(&w, 0, "{'a':1,'b':{'c':2}}");
    for (unsigned i = 1; i < 4; i++) {
        (void)world_merge(&w, i, i - 1);
        world_set(&w, i, "b.c", "4");
    }
    for (long n = 0; err == TAKO_NOMEM; n++) {
        tako_buf out = tako_buf_on(&w.t.env);

        assert_true(n < 100);
        w.t.fail_after = n;
        err = crdt_delta_encode(w.doc[3], &none, NULL, world_key,
                                &crdt_names_plain_out, &out);
        w.t.fail_after = -1;
        assert_true(err == TAKO_OK || (err == TAKO_NOMEM && out.len == 0));
        tako_buf_fini(&out);
    }
    world_fini(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_delta__one_short_field_is_small),
        cmocka_unit_test(
            test_delta__a_whole_document_is_hardly_more_than_its_body),
        cmocka_unit_test(test_delta__says_nothing_where_nothing_is_new),
        cmocka_unit_test(test_delta__base_may_know_more),
        cmocka_unit_test(test_delta__sums_depend_on_the_key),
        cmocka_unit_test(test_delta__survives_lack_of_memory),
    };

    return cmocka_run_group_tests_name("crdt/delta", tests, NULL, NULL);
}
