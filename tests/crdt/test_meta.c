// SPDX-License-Identifier: Apache-2.0
#include "crdt/meta.h"

#include "crdt/support_world.h"

typedef struct stored {
    tako_buf meta;
    tako_buf body;
} stored;

static stored encode(world *w, const crdt_doc *d)
{
    stored s = { tako_buf_on(&w->t.env), tako_buf_on(&w->t.env) };

    assert_int_equal(crdt_doc_encode(d, &s.meta, &s.body), TAKO_OK);
    return s;
}

static void release(stored *s)
{
    tako_buf_fini(&s->meta);
    tako_buf_fini(&s->body);
}

/* P6, and the shortcut of inserts: the same bytes without a tree. */
static void test_meta__fresh_is_what_an_insert_encodes_to(void **state)
{
    static const char *const bodies[] = {
        "{}",
        "{'a':1}",
        "{'a':{'b':{},'c':[1,{'d':2}]},'e':'x','f':-1.5,'g':null}",
    };
    world w;

    (void)state;
    world_init(&w, 1);
    for (unsigned i = 0; i < 3; i++) {
        tako_slice body = world_value(&w, bodies[i]);
        tako_buf meta = tako_buf_on(&w.t.env);
        crdt_dot dot;
        crdt_dot said;
        stored s;

        world_clear(&w);
        body = world_value(&w, bodies[i]);
        dot = world_dot(&w, 0);
        assert_int_equal(crdt_insert(w.doc[0], dot, body), TAKO_OK);
        s = encode(&w, w.doc[0]);
        assert_int_equal(crdt_fresh_meta(dot, body, &meta), TAKO_OK);
        assert_true(
            tako_slice_eq(tako_buf_slice(&meta), tako_buf_slice(&s.meta)));
        assert_true(tako_slice_eq(body, tako_buf_slice(&s.body)));
        assert_true(meta.len <= 27);
        assert_true(crdt_meta_is_fresh(tako_buf_slice(&meta), &said));
        assert_true(crdt_dot_eq(&dot, &said));
        (void)world_copy(&w, w.doc[0]);
        release(&s);
        tako_buf_fini(&meta);
    }
    world_fini(&w);
}

/* The front alone tells what the whole would. */
static void test_meta__front_agrees_with_the_document(void **state)
{
    world w;

    (void)state;
    world_init(&w, test_seed(20274));
    for (unsigned i = 0; i < 3000; i++) {
        unsigned r = (unsigned)test_below(&w.t, 3);
        crdt_context c;
        crdt_dot dot;
        stored s;

        if (i % 20 == 0)
            world_clear(&w);
        world_random_write(&w, r);
        if (test_below(&w.t, 3) == 0)
            (void)world_merge(&w, r, (unsigned)test_below(&w.t, 3));
        s = encode(&w, w.doc[r]);
        assert_int_equal(
            crdt_meta_context(&w.arena, tako_buf_slice(&s.meta), &c), TAKO_OK);
        assert_true(crdt_context_eq(&c, crdt_doc_context(w.doc[r])));
        assert_int_equal(crdt_meta_generation(tako_buf_slice(&s.meta)),
                         crdt_doc_generation(w.doc[r]));
        for (size_t k = 0; k < c.count; k++)
            assert_memory_equal(s.meta.ptr + 1 + 16 * k, &c.dots[k].actor, 16);
        if (crdt_meta_is_fresh(tako_buf_slice(&s.meta), &dot))
            assert_true(c.count == 1 && crdt_dot_eq(&c.dots[0], &dot));
        release(&s);
    }
    world_fini(&w);
}

static void test_meta__malformed_fronts_are_refused(void **state)
{
    static const struct {
        const char *bytes;
        size_t len;
    } cases[] = {
        { "", 0 },
        { "\x00", 1 },
        { "\x00\x01", 2 },
        { "\x00\x00\x00", 3 },
        { "\x01", 1 },
        { "\x81\x00", 2 },
        { "\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", 10 },
    };
    test_env t;
    tako_arena a;
    crdt_context c;
    crdt_dot dot;

    (void)state;
    test_env_init(&t, 1);
    a = tako_arena_on(&t.env);
    for (unsigned i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        tako_slice meta = tako_slice_of(cases[i].bytes, cases[i].len);

        assert_int_equal(crdt_meta_context(&a, meta, &c), TAKO_CORRUPT);
        assert_int_equal(crdt_meta_generation(meta), 0);
        assert_false(crdt_meta_is_fresh(meta, &dot));
    }
    tako_arena_fini(&a);
}

static void test_meta__hlcs_are_read_back(void **state)
{
    test_env t;
    tako_buf b;

    (void)state;
    test_env_init(&t, test_seed(20275));
    b = tako_buf_on(&t.env);
    for (unsigned i = 0; i < 100000; i++) {
        uint64_t hlc[2];
        tako_reader r;

        for (unsigned k = 0; k < 2; k++)
            hlc[k] = test_below(&t, 8) == 0
                         ? UINT64_MAX - test_below(&t, 3)
                         : 1 + (test_random(&t) >> test_below(&t, 63)) / 2;
        tako_buf_reset(&b);
        crdt_hlc_put(&b, hlc[0], hlc[1]);
        r = tako_reader_of(tako_buf_slice(&b));
        assert_int_equal(crdt_hlc_read(&r, hlc[0]), hlc[1]);
        assert_true(tako_reader_done(&r));
    }
    tako_buf_fini(&b);
}

/* No byte can move between meta and body unnoticed. */
static void test_meta__version_covers_both_parts(void **state)
{
    uint8_t v[4][16];

    (void)state;
    crdt_version(tako_slice_str("ab"), tako_slice_str("c"), v[0]);
    crdt_version(tako_slice_str("a"), tako_slice_str("bc"), v[1]);
    crdt_version(tako_slice_str("abc"), TAKO_SLICE_NONE, v[2]);
    crdt_version(tako_slice_str("ab"), tako_slice_str("c"), v[3]);
    assert_memory_not_equal(v[0], v[1], 16);
    assert_memory_not_equal(v[0], v[2], 16);
    assert_memory_equal(v[0], v[3], 16);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_meta__fresh_is_what_an_insert_encodes_to),
        cmocka_unit_test(test_meta__front_agrees_with_the_document),
        cmocka_unit_test(test_meta__malformed_fronts_are_refused),
        cmocka_unit_test(test_meta__hlcs_are_read_back),
        cmocka_unit_test(test_meta__version_covers_both_parts),
    };

    return cmocka_run_group_tests_name("crdt/meta", tests, NULL, NULL);
}
