// SPDX-License-Identifier: Apache-2.0
#include "crdt/support_world.h"

#include <string.h>

#include "crdt/tree.h"

#define FLIGHT 12u

/* A delta under way, with the state that it was made from. */
typedef struct flight {
    tako_slice bytes;
    crdt_doc *from;
} flight;

static tako_slice delta_of(world *w, const crdt_doc *d,
                           const crdt_context *base, const crdt_doc *before)
{
    tako_buf out = tako_buf_on(&w->t.env);
    tako_slice bytes;

    assert_int_equal(crdt_delta_encode(d, base, before, world_key,
                                       &crdt_names_plain_out, &out),
                     TAKO_OK);
    bytes = tako_arena_copy(&w->arena, tako_buf_slice(&out));
    tako_buf_fini(&out);
    return bytes;
}

/* Delivers a delta, perhaps for the second time, perhaps long after it was
 * made: either it does what its whole state would do, or nothing. */
static void deliver(world *w, uint64_t seed, unsigned to, const flight *f,
                    unsigned counts[3])
{
    crdt_doc *before = world_joined(w, w->doc[to], NULL);
    crdt_doc *expected = world_joined(w, before, f->from);
    crdt_delta_result result = world_apply(w->doc[to], f->bytes);

    counts[result]++;
    world_expect_same(w, seed, "a delta", w->doc[to],
                      result == CRDT_DELTA_APPLIED ? expected : before);
    if (result == CRDT_DELTA_STALE)
        world_expect_same(w, seed, "a delta", before, expected);
}

static void add_flight(world *w, flight *flights, unsigned *count,
                       const crdt_doc *from, const crdt_context *base,
                       const crdt_doc *before)
{
    flight *f =
        &flights[*count < FLIGHT ? (*count)++ : test_below(&w->t, FLIGHT)];

    f->from = world_joined(w, from, NULL);
    f->bytes = delta_of(w, from, base, before);
}

static void run_history(world *w, unsigned counts[3])
{
    uint64_t seed = w->t.seed;
    unsigned replicas = 2 + (unsigned)test_below(&w->t, 3);
    crdt_context none = { 0 };
    crdt_doc *olds[WORLD_REPLICAS];
    flight flights[FLIGHT];
    unsigned n = 0;

    world_clear(w);
    for (unsigned i = 0; i < replicas; i++)
        olds[i] = world_joined(w, w->doc[i], NULL);
    for (unsigned i = 0; i < 24; i++) {
        unsigned r = (unsigned)test_below(&w->t, replicas);
        unsigned to = (unsigned)test_below(&w->t, replicas);
        crdt_doc *before = world_joined(w, w->doc[r], NULL);

        switch (test_below(&w->t, 4)) {
        case 0:
        case 1: /* live: what was before is known */
            world_random_write(w, r);
            add_flight(w, flights, &n, w->doc[r], crdt_doc_context(before),
                       test_below(&w->t, 3) == 0 ? NULL : before);
            break;
        case 2: /* an answer to an older context, or to nothing */
            add_flight(w, flights, &n, w->doc[r],
                       test_below(&w->t, 3) == 0 ? &none
                                                 : crdt_doc_context(olds[to]),
                       test_below(&w->t, 2) == 0 ? NULL : olds[to]);
            olds[to] = world_joined(w, w->doc[to], NULL);
            break;
        default:
            if (n > 0)
                deliver(w, seed, to, &flights[test_below(&w->t, n)], counts);
        }
    }
    for (unsigned i = 0; i < 2 * replicas; i++)
        (void)world_delta(w, (i + 1) % replicas, i % replicas);
    for (unsigned i = 1; i < replicas; i++)
        world_expect_same(w, seed, "a delta", w->doc[0], w->doc[i]);
}

/* P5 */
static void test_delta_apply__any_mix_ends_in_equal_bytes(void **state)
{
    unsigned counts[3] = { 0, 0, 0 };
    world w;

    (void)state;
    world_init(&w, test_seed(20265));
    for (unsigned i = 0; i < 20000; i++)
        run_history(&w, counts);
    /* All three happen, or nothing was tried. */
    for (unsigned i = 0; i < 3; i++)
        assert_true(counts[i] > 1000);
    world_fini(&w);
}

/* SYNC.md section 2: B sets a; A takes it, unsets it, and sends against what
 * B had before. The base agrees, and yet a has to go. */
static void test_delta_apply__stale_base_does_not_hide_a_removal(void **state)
{
    world w;

    (void)state;
    for (unsigned i = 0; i < 2; i++) {
        crdt_context none = { 0 };
        crdt_doc *old;

        world_init(&w, 1);
        world_insert(&w, 1, "{'z':0}");
        old = world_joined(&w, w.doc[1], NULL);
        world_set(&w, 1, "a", "1");
        (void)world_merge(&w, 0, 1);
        world_unset(&w, 0, "a");
        assert_int_equal(
            world_apply(w.doc[1],
                        delta_of(&w, w.doc[0],
                                 i == 0 ? &none : crdt_doc_context(old), NULL)),
            CRDT_DELTA_APPLIED);
        world_expect(&w, 1, "{'z':0}");
        assert_true(world_same(&w, w.doc[0], w.doc[1]));
        world_fini(&w);
    }
}

/* A removal that left nothing behind shows in the sum. */
static void test_delta_apply__sum_reveals_a_removal(void **state)
{
    world w;
    crdt_context base = { 0 };
    crdt_doc *before;

    (void)state;
    world_init(&w, 1);
    world_insert(&w, 0, "{'a':1,'b':2}");
    (void)world_merge(&w, 1, 0);
    before = world_joined(&w, w.doc[0], NULL);
    assert_int_equal(
        crdt_context_join(&w.arena, &base, crdt_doc_context(w.doc[0])),
        TAKO_OK);
    world_unset(&w, 0, "a");
    assert_int_equal(world_apply(w.doc[1], delta_of(&w, w.doc[0], &base, NULL)),
                     CRDT_DELTA_NEEDS);
    world_expect(&w, 1, "{'a':1,'b':2}");
    /* Who knows what was before names it. */
    assert_int_equal(
        world_apply(w.doc[1], delta_of(&w, w.doc[0], &base, before)),
        CRDT_DELTA_APPLIED);
    world_expect(&w, 1, "{'b':2}");
    world_fini(&w);
}

static void test_delta_apply__refuses_a_base_it_has_not(void **state)
{
    world w;

    (void)state;
    world_init(&w, 1);
    world_insert(&w, 0, "{'a':1}");
    world_set(&w, 0, "a", "2");
    assert_int_equal(
        world_apply(w.doc[1],
                    delta_of(&w, w.doc[0], crdt_doc_context(w.doc[0]), NULL)),
        CRDT_DELTA_NEEDS);
    world_set(&w, 0, "a", "3");
    world_expect(&w, 1, "deleted");
    world_fini(&w);
}

/* What one byte changes is refused or makes a state that can be stored. */
static void test_delta_apply__survives_damage(void **state)
{
    world w;
    unsigned counts[3] = { 0 };

    (void)state;
    world_init(&w, test_seed(20266));
    for (unsigned i = 0; i < 3000; i++) {
        crdt_context none = { 0 };
        tako_slice bytes;
        tako_reader in;
        crdt_delta_result result;

        world_clear(&w);
        world_insert(&w, 0, "{'a':{'b':1},'cc':4}");
        (void)world_merge(&w, 1, 0);
        for (unsigned k = 0; k < 6; k++)
            world_random_write(&w, k & 1);
        bytes = delta_of(
            &w, w.doc[0],
            test_below(&w.t, 2) ? &none : crdt_doc_context(w.doc[1]), NULL);
        ((uint8_t *)(uintptr_t)bytes.ptr)[test_below(&w.t, bytes.len)] ^=
            (uint8_t)(1u << test_below(&w.t, 8));
        in = tako_reader_of(bytes);
        if (crdt_delta_apply(w.doc[1], &in, world_key, &crdt_names_plain_in,
                             &result, NULL, NULL) == TAKO_OK)
            counts[result]++;
        (void)world_copy(&w, w.doc[1]);
    }
    assert_true(counts[CRDT_DELTA_APPLIED] > 0);
    world_fini(&w);
}

static void test_delta_apply__survives_lack_of_memory(void **state)
{
    world w;
    test_env t;
    tako_slice bytes;
    tako_err err = TAKO_NOMEM;
    tako_buf meta;
    tako_buf body;

    (void)state;
    world_init(&w, 1);
    world_insert(&w, 0, "{'a':{'b':1},'cc':4}");
    (void)world_merge(&w, 1, 0);
    world_set(&w, 0, "a.b", "{'q':1}");
    world_increment(&w, 0, "n", 4);
    bytes = delta_of(&w, w.doc[0], crdt_doc_context(w.doc[1]), NULL);
    meta = tako_buf_on(&w.t.env);
    body = tako_buf_on(&w.t.env);
    assert_int_equal(crdt_doc_encode(w.doc[1], &meta, &body), TAKO_OK);
    for (long n = 0; err == TAKO_NOMEM; n++) {
        tako_arena a;
        tako_reader in = tako_reader_of(bytes);
        crdt_delta_result result;
        crdt_doc *d;

        assert_true(n < 1000);
        test_env_init(&t, 1);
        t.fail_after = n;
        a = tako_arena_on(&t.env);
        err = crdt_doc_decode(&a, tako_buf_slice(&meta), tako_buf_slice(&body),
                              &d, NULL);
        if (err == TAKO_OK)
            err = crdt_delta_apply(d, &in, world_key, &crdt_names_plain_in,
                                   &result, NULL, NULL);
        assert_true(err == TAKO_OK || err == TAKO_NOMEM);
        tako_arena_fini(&a);
        test_env_check_empty(&t);
    }
    tako_buf_fini(&meta);
    tako_buf_fini(&body);
    world_fini(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_delta_apply__stale_base_does_not_hide_a_removal),
        cmocka_unit_test(test_delta_apply__sum_reveals_a_removal),
        cmocka_unit_test(test_delta_apply__refuses_a_base_it_has_not),
        cmocka_unit_test(test_delta_apply__survives_damage),
        cmocka_unit_test(test_delta_apply__survives_lack_of_memory),
        cmocka_unit_test(test_delta_apply__any_mix_ends_in_equal_bytes),
    };

    return cmocka_run_group_tests_name("crdt/delta_apply", tests, NULL, NULL);
}
