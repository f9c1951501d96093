// SPDX-License-Identifier: Apache-2.0
#include "crdt/support_world.h"

static void encode(const crdt_doc *d, tako_buf *meta, tako_buf *body)
{
    tako_buf_reset(meta);
    tako_buf_reset(body);
    assert_int_equal(crdt_doc_encode(d, meta, body), TAKO_OK);
}

/* A state of some writes and merges. */
static crdt_doc *random_state(world *w)
{
    world_clear(w);
    world_insert(w, 0, "{'a':{'b':1},'b':0}");
    (void)world_merge(w, 1, 0);
    for (unsigned i = (unsigned)test_below(&w->t, 12); i > 0; i--)
        world_random_write(w, (unsigned)test_below(&w->t, 2));
    (void)world_merge(w, 0, 1);
    return w->doc[0];
}

/* One state, one encoding: a changed byte is refused, or makes a state whose
 * encoding is just these bytes. */
static void test_decode__accepts_nothing_but_the_one_form(void **state)
{
    world w;
    tako_buf b[4];
    unsigned accepted = 0;

    (void)state;
    world_init(&w, test_seed(20276));
    for (unsigned i = 0; i < 4; i++)
        b[i] = tako_buf_on(&w.t.env);
    for (unsigned i = 0; i < 20000; i++) {
        tako_buf *hit;
        crdt_doc *d;

        encode(random_state(&w), &b[0], &b[1]);
        hit = &b[b[1].len > 0 && test_below(&w.t, 3) == 0];
        switch (test_below(&w.t, 3)) {
        case 0:
            hit->len -= 1 + test_below(&w.t, hit->len);
            break;
        case 1:
            tako_put_u8(hit, (uint8_t)test_below(&w.t, 256));
            break;
        default:
            hit->ptr[test_below(&w.t, hit->len)] ^=
                (uint8_t)(1u << test_below(&w.t, 8));
        }
        (void)crdt_doc_decode_trusted(&w.arena, tako_buf_slice(&b[0]),
                                      tako_buf_slice(&b[1]), &d, NULL);
        if (crdt_doc_decode(&w.arena, tako_buf_slice(&b[0]),
                            tako_buf_slice(&b[1]), &d, NULL) != TAKO_OK)
            continue;
        accepted++;
        encode(d, &b[2], &b[3]);
        for (unsigned k = 0; k < 2; k++)
            assert_true(tako_slice_eq(tako_buf_slice(&b[k]),
                                      tako_buf_slice(&b[k + 2])));
    }
    assert_true(accepted > 100); /* values of the body may change */
    for (unsigned i = 0; i < 4; i++)
        tako_buf_fini(&b[i]);
    world_fini(&w);
}

/* States that would encode to the same bytes again and yet are none: made by
 * hand, at the end of a meta with no exceptions. */
static void test_decode__refuses_states_that_say_nothing(void **state)
{
    static const struct {
        const char *bytes;
        size_t len;
    } inside[] = {
        { "\x01\x01\x01k\x03", 5 },                 /* a slot of nothing */
        { "\x01\x01\x01k\x43\x01\x00\x00\x00", 9 }, /* counter of nothing */
        { "\x01\x01\x01k\x07\x00", 6 },             /* no values */
        { "\x01\x01\x01k\x0b\x00\x00", 7 },         /* generation 0 */
        { "\x01\x01\x01k\x0b\x01", 6 },             /* generation 1, said */
        { "\x01\x01\x01k\x1b\x02\x00\x01\x00", 9 }, /* marks of a removed */
        { "\x01\x02\x01k\x0b\x02\x00\x01k\x0b\x02\x00", 12 }, /* twice */
        { "\x01\x02\x01l\x0b\x02\x00\x01k\x0b\x02\x00", 12 }, /* order */
        { "\x01\x01\x01\xff\x0b\x02\x00", 7 }, /* key is no text */
        { "\x01\x01\x01k\x0b\x02\x03", 7 },    /* dot of no actor */
    };
    static const char good[] = "\x01\x01\x01k\x0b\x02\x00";
    world w;
    tako_buf meta;
    tako_buf body;
    crdt_doc *d;

    (void)state;
    world_init(&w, 1);
    meta = tako_buf_on(&w.t.env);
    body = tako_buf_on(&w.t.env);
    world_insert(&w, 0, "{}");
    world_unset(&w, 0, "x");
    for (unsigned i = 0; i <= sizeof inside / sizeof inside[0]; i++) {
        bool last = i == sizeof inside / sizeof inside[0];

        encode(w.doc[0], &meta, &body);
        assert_int_equal(meta.ptr[--meta.len], 0);
        tako_put_bytes(&meta,
                       last ? tako_slice_of(good, sizeof good - 1)
                            : tako_slice_of(inside[i].bytes, inside[i].len));
        assert_int_equal(crdt_doc_decode(&w.arena, tako_buf_slice(&meta),
                                         tako_buf_slice(&body), &d, NULL),
                         last ? TAKO_OK : TAKO_CORRUPT);
    }
    tako_buf_fini(&meta);
    tako_buf_fini(&body);
    world_fini(&w);
}

static void test_decode__trusted_reads_the_same(void **state)
{
    world w;
    tako_buf b[4];

    (void)state;
    world_init(&w, test_seed(20277));
    for (unsigned i = 0; i < 4; i++)
        b[i] = tako_buf_on(&w.t.env);
    for (unsigned i = 0; i < 2000; i++) {
        crdt_doc *d;

        encode(random_state(&w), &b[0], &b[1]);
        assert_int_equal(
            crdt_doc_decode_trusted(&w.arena, tako_buf_slice(&b[0]),
                                    tako_buf_slice(&b[1]), &d, NULL),
            TAKO_OK);
        encode(d, &b[2], &b[3]);
        for (unsigned k = 0; k < 2; k++)
            assert_true(tako_slice_eq(tako_buf_slice(&b[k]),
                                      tako_buf_slice(&b[k + 2])));
    }
    for (unsigned i = 0; i < 4; i++)
        tako_buf_fini(&b[i]);
    world_fini(&w);
}

static void test_decode__survives_lack_of_memory(void **state)
{
    world w;
    tako_buf meta;
    tako_buf body;

    (void)state;
    world_init(&w, 3);
    meta = tako_buf_on(&w.t.env);
    body = tako_buf_on(&w.t.env);
    for (unsigned i = 0; i < 20; i++) {
        tako_err err = TAKO_NOMEM;

        encode(random_state(&w), &meta, &body);
        for (long n = 0; err == TAKO_NOMEM; n++) {
            test_env t;
            tako_arena a;
            crdt_doc *d;

            assert_true(n < 1000);
            test_env_init(&t, 1);
            t.fail_after = n;
            a = tako_arena_on(&t.env);
            err = crdt_doc_decode(&a, tako_buf_slice(&meta),
                                  tako_buf_slice(&body), &d, NULL);
            assert_true(err == TAKO_OK || err == TAKO_NOMEM);
            tako_arena_fini(&a);
            test_env_check_empty(&t);
        }
    }
    tako_buf_fini(&meta);
    tako_buf_fini(&body);
    world_fini(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_decode__accepts_nothing_but_the_one_form),
        cmocka_unit_test(test_decode__refuses_states_that_say_nothing),
        cmocka_unit_test(test_decode__trusted_reads_the_same),
        cmocka_unit_test(test_decode__survives_lack_of_memory),
    };

    return cmocka_run_group_tests_name("crdt/decode", tests, NULL, NULL);
}
