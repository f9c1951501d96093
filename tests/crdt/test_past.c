// SPDX-License-Identifier: Apache-2.0
#include "crdt/support_world.h"

#define STEPS 12u

/* A history in which each write has seen all before; what its state was after
 * each. */
static size_t history(world *w, crdt_doc *was[STEPS])
{
    size_t n = 0;

    world_clear(w);
    world_insert(w, 0, "{'a':1,'m':{'b':2},'s':'x'}");
    was[n++] = world_copy(w, w->doc[0]);
    for (unsigned r = 0; n < STEPS; n++) {
        unsigned next = (unsigned)test_below(&w->t, 3);

        if (next != r)
            (void)world_merge(w, next, r);
        r = next;
        world_random_write(w, r);
        w->doc[0] = world_copy(w, w->doc[r]);
        was[n] = world_copy(w, w->doc[r]);
    }
    return n;
}

/* A life that begins after a reaping has seen nothing of what was before. */
static bool has_seen_all(crdt_doc *const was[STEPS], size_t n)
{
    for (size_t i = 1; i < n; i++)
        if (!crdt_context_covers(crdt_doc_context(was[i]),
                                 crdt_doc_context(was[i - 1])))
            return false;
    return true;
}

/* A delta against what d shows of its past, applied to its past. */
static crdt_delta_result apply(world *w, const crdt_doc *d, crdt_doc *past,
                               const crdt_context *base)
{
    tako_buf out = tako_buf_on(&w->t.env);
    crdt_delta_result result;
    tako_reader in;
    tako_errbuf e = { "" };

    assert_int_equal(crdt_delta_encode(d, base, NULL, world_key,
                                       &crdt_names_plain_out, &out),
                     TAKO_OK);
    in = tako_reader_of(tako_buf_slice(&out));
    assert_int_equal(crdt_delta_apply(past, &in, world_key,
                                      &crdt_names_plain_in, &result, NULL, &e),
                     TAKO_OK);
    tako_buf_fini(&out);
    return result;
}

static void test_past__is_covered_by_what_was_and_does_as_a_base(void **state)
{
    size_t applied = 0, exact = 0, asked = 0;
    world w;

    (void)state;
    world_init(&w, test_seed(5));
    w.keeps = true; /* a life after a reaping has not seen what was before */
    for (unsigned round = 0; round < 2000; round++) {
        crdt_doc *was[STEPS];
        size_t n = history(&w, was);
        size_t at = (size_t)test_below(&w.t, n);
        const crdt_context *then = crdt_doc_context(was[at]);
        crdt_context past;
        uint64_t upto = 0;

        if (!has_seen_all(was, n))
            continue;
        for (uint32_t i = 0; i < then->count; i++)
            upto = then->dots[i].hlc > upto ? then->dots[i].hlc : upto;
        assert_int_equal(crdt_past(&w.arena, w.doc[0], upto, &past), TAKO_OK);
        assert_true(crdt_context_covers(then, &past));
        exact += crdt_context_eq(then, &past);
        switch (apply(&w, w.doc[0], was[at], &past)) {
        case CRDT_DELTA_APPLIED:
            applied++;
            assert_true(world_same(&w, was[at], w.doc[0]));
            break;
        case CRDT_DELTA_STALE:
            assert_true(at == n - 1 || world_same(&w, was[at], w.doc[0]));
            break;
        case CRDT_DELTA_NEEDS: /* the sum: something left no trace */
            asked++;
            break;
        }
    }
    print_message("applied %zu, exact %zu, asked %zu\n", applied, exact, asked);
    assert_true(applied > 500 && exact > 200);
    world_fini(&w);
}

static void test_past__of_nothing_is_nothing(void **state)
{
    world w;
    crdt_context past;

    (void)state;
    world_init(&w, 1);
    world_clear(&w);
    assert_int_equal(crdt_past(&w.arena, w.doc[0], UINT64_MAX, &past), TAKO_OK);
    assert_int_equal(past.count, 0);
    world_insert(&w, 0, "{'a':1}");
    assert_int_equal(crdt_past(&w.arena, w.doc[0], 1, &past), TAKO_OK);
    assert_int_equal(past.count, 0);
    assert_int_equal(crdt_past(&w.arena, w.doc[0], w.hlc, &past), TAKO_OK);
    assert_true(crdt_context_eq(&past, crdt_doc_context(w.doc[0])));
    world_fini(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_past__is_covered_by_what_was_and_does_as_a_base),
        cmocka_unit_test(test_past__of_nothing_is_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
