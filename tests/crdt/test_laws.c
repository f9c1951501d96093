// SPDX-License-Identifier: Apache-2.0
/* The laws of a join, over states of random histories. TAKO_TEST_TRIPLES sets
 * how many triples. */
#include "crdt/support_world.h"

#include <stdlib.h>

#define SNAPSHOTS           48
#define TRIPLES_PER_HISTORY 64

typedef struct states {
    crdt_doc *doc[SNAPSHOTS];
    size_t count;
} states;

/* Two to four replicas write and merge now and then; each state is kept. */
static void make_history(world *w, states *s)
{
    unsigned replicas = 2 + (unsigned)test_below(&w->t, 3);

    world_clear(w);
    s->count = 0;
    world_insert(w, 0, test_below(&w->t, 2) ? "{}" : "{'a':{'b':1},'b':0}");
    if (test_below(&w->t, 4) != 0) {
        for (unsigned i = 1; i < replicas; i++)
            (void)world_merge(w, i, 0);
    }
    while (s->count < SNAPSHOTS) {
        unsigned r = (unsigned)test_below(&w->t, replicas);
        unsigned from = (unsigned)test_below(&w->t, replicas);

        if (test_below(&w->t, 4) == 0 && from != r)
            (void)world_merge(w, r, from);
        else
            world_random_write(w, r);
        s->doc[s->count++] = world_joined(w, w->doc[r], NULL);
    }
}

static void check_triple(world *w, uint64_t seed, const crdt_doc *a,
                         const crdt_doc *b, const crdt_doc *c)
{
    crdt_doc *ab = world_joined(w, a, b);
    crdt_doc *ba = world_joined(w, b, a);
    crdt_doc *bc = world_joined(w, b, c);

    world_expect_same(w, seed, "commutative", ab, ba);
    world_expect_same(w, seed, "associative", world_joined(w, ab, c),
                      world_joined(w, a, bc));
    world_expect_same(w, seed, "idempotent", world_joined(w, ab, b), ab);
    if (crdt_context_eq(crdt_doc_context(a), crdt_doc_context(b)))
        world_expect_same(w, seed, "P2", a, b);
}

static void test_laws__hold_for_random_triples(void **state)
{
    const char *text = getenv("TAKO_TEST_TRIPLES");
    unsigned long triples = text != NULL ? strtoul(text, NULL, 10) : 1000000;
    uint64_t seed = test_seed(20261);
    world w;
    states s;

    (void)state;
    world_init(&w, seed);
    for (unsigned long done = 0; done < triples;) {
        uint64_t here = w.t.seed;

        make_history(&w, &s);
        for (unsigned i = 0; i < TRIPLES_PER_HISTORY; i++, done++)
            check_triple(&w, here, s.doc[test_below(&w.t, SNAPSHOTS)],
                         s.doc[test_below(&w.t, SNAPSHOTS)],
                         s.doc[test_below(&w.t, SNAPSHOTS)]);
    }
    world_fini(&w);
}

/* Every state of every history is stored and read back as it was. */
static void test_laws__states_have_one_form(void **state)
{
    world w;
    states s;

    (void)state;
    world_init(&w, test_seed(20262));
    for (unsigned i = 0; i < 1000; i++) {
        make_history(&w, &s);
        for (unsigned k = 0; k < SNAPSHOTS; k++) {
            crdt_doc *copy = world_copy(&w, s.doc[k]);

            world_expect_same(&w, i, "stored", world_joined(&w, copy, s.doc[k]),
                              copy);
        }
    }
    world_fini(&w);
}

/* delta(d, base) does what d does. */
static void test_laws__a_delta_is_the_state(void **state)
{
    world w;
    states s;

    (void)state;
    world_init(&w, test_seed(20263));
    for (unsigned i = 0; i < 1000; i++) {
        make_history(&w, &s);
        for (unsigned k = 0; k < SNAPSHOTS; k++) {
            const crdt_doc *x = s.doc[test_below(&w.t, SNAPSHOTS)];

            w.doc[0] = world_joined(&w, s.doc[k], NULL);
            w.doc[1] = world_joined(&w, x, NULL);
            (void)world_delta(&w, 0, 1);
            world_expect_same(&w, i, "delta", w.doc[0],
                              world_joined(&w, s.doc[k], x));
        }
    }
    world_fini(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_laws__states_have_one_form),
        cmocka_unit_test(test_laws__a_delta_is_the_state),
        cmocka_unit_test(test_laws__hold_for_random_triples),
    };

    return cmocka_run_group_tests_name("crdt/laws", tests, NULL, NULL);
}
