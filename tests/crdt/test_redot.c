// SPDX-License-Identifier: Apache-2.0
#include "crdt/support_world.h"

#define FROM 0u
#define TO   2u

/* A history of actors 0 and 1; w->doc[0] has seen all, w->doc[1] some. */
static void common_past(world *w)
{
    world_clear(w);
    if (test_below(&w->t, 4) == 0)
        return; /* a document that the renamed events make */
    world_insert(w, test_below(&w->t, 2) == 0 ? 0 : 1, "{'a':1,'m':{'b':2}}");
    (void)world_merge(w, 0, 1);
    (void)world_merge(w, 1, 0);
    for (uint64_t n = test_below(&w->t, 12); n > 0; n--) {
        world_random_write(w, (unsigned)test_below(&w->t, 2));
        if (test_below(&w->t, 3) == 0)
            (void)world_merge(w, 0, 1);
        if (test_below(&w->t, 3) == 0)
            (void)world_merge(w, 1, 0);
    }
}

/* Writes by r, and what it hears of actor 1 meanwhile. */
static void branch(world *w, unsigned r)
{
    if (test_below(&w->t, 2) == 0 && !crdt_doc_alive(w->doc[r]))
        world_insert(w, r, "{'n':1}");
    for (uint64_t n = 1 + test_below(&w->t, 8); n > 0; n--) {
        world_random_write(w, r);
        if (test_below(&w->t, 5) == 0)
            (void)world_merge(w, r, 1);
    }
}

/* Redotting is as if the other actor had written from the start. */
static void test_redot__is_as_if_the_other_had_written(void **state)
{
    uint32_t done_count = 0, refused = 0;
    world w;

    (void)state;
    world_init(&w, test_seed(77));
    w.keeps = true; /* what is renamed is younger than any grave */
    for (unsigned round = 0; round < 6000; round++) {
        crdt_redot r = { world_actor(FROM), 0, 0, world_actor(TO) };
        uint64_t seed, hlc;
        bool done;

        common_past(&w);
        w.doc[TO] = world_copy(&w, w.doc[FROM]);
        seed = w.t.seed;
        hlc = w.hlc;
        r.above = hlc;
        r.seen = crdt_context_get(crdt_doc_context(w.doc[FROM]), r.from);
        branch(&w, FROM);
        w.t.seed = seed;
        w.hlc = hlc;
        branch(&w, TO);
        assert_int_equal(crdt_doc_redot(w.doc[FROM], &r, &done), TAKO_OK);
        if (!done) {
            refused++;
            continue;
        }
        done_count++;
        /* through the stored form: what decodes is well-formed */
        w.doc[FROM] = world_copy(&w, w.doc[FROM]);
        if (!world_same(&w, w.doc[FROM], w.doc[TO])) {
            tako_buf x = tako_buf_on(&w.t.env), y = tako_buf_on(&w.t.env);

            world_dump(w.doc[FROM], &x);
            world_dump(w.doc[TO], &y);
            fail_msg("seed %llu\n%s\n%s", (unsigned long long)seed,
                     tako_buf_cstr(&x), tako_buf_cstr(&y));
        }
    }
    print_message("%u renamed, %u refused\n", done_count, refused);
    assert_true(done_count > 2000 && refused < 4000);
    world_fini(&w);
}

static void test_redot__leaves_alone_what_it_cannot_split(void **state)
{
    crdt_redot r = { world_actor(0), 0, 0, world_actor(2) };
    bool done = true;
    crdt_doc *before;
    world w;

    (void)state;
    world_init(&w, 1);
    world_insert(&w, 0, "{'a':1}");
    r.above = r.seen = w.hlc;
    assert_int_equal(crdt_doc_redot(w.doc[0], &r, &done), TAKO_OK);
    assert_false(done); /* nothing above */
    world_increment(&w, 0, "c", 5);
    before = world_copy(&w, w.doc[0]);
    assert_int_equal(crdt_doc_redot(w.doc[0], &r, &done), TAKO_OK);
    assert_false(done); /* a sum */
    assert_true(world_same(&w, before, w.doc[0]));

    world_clear(&w);
    world_insert(&w, 0, "{'a':1}");
    world_set(&w, 0, "a", "2");
    r.above = w.hlc;
    r.seen = w.hlc - 1; /* an event that `seen` does not know of */
    world_set(&w, 0, "b", "2");
    assert_int_equal(crdt_doc_redot(w.doc[0], &r, &done), TAKO_OK);
    assert_false(done);
    r.seen = r.above;
    assert_int_equal(crdt_doc_redot(w.doc[0], &r, &done), TAKO_OK);
    assert_true(done);
    world_fini(&w);
}

/* What it is for: the lost branch and ours are concurrent, and both stay. */
static void test_redot__both_branches_survive_a_merge(void **state)
{
    crdt_redot r = { world_actor(0), 0, 0, world_actor(2) };
    world w;
    bool done;

    (void)state;
    world_init(&w, 2);
    world_insert(&w, 0, "{'a':1}");
    r.seen = w.hlc;
    w.doc[3] = world_copy(&w, w.doc[0]); /* what the file goes back to */
    world_set(&w, 0, "f", "'lost'");
    r.above = w.hlc;
    (void)world_merge(&w, 1, 0);
    w.doc[0] = w.doc[3];
    world_set(&w, 0, "g", "'new'");
    assert_int_equal(crdt_doc_redot(w.doc[0], &r, &done), TAKO_OK);
    assert_true(done);
    (void)world_merge(&w, 1, 0);
    (void)world_merge(&w, 0, 1);
    world_expect(&w, 0, "{'a':1,'f':'lost','g':'new'}");
    world_expect(&w, 1, "{'a':1,'f':'lost','g':'new'}");
    world_fini(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_redot__is_as_if_the_other_had_written),
        cmocka_unit_test(test_redot__leaves_alone_what_it_cannot_split),
        cmocka_unit_test(test_redot__both_branches_survive_a_merge),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
