// SPDX-License-Identifier: Apache-2.0
#include "crdt/support_world.h"

#include "crdt/tree.h"

enum { A, B, C };

/* A's document was deleted and reaped at A, and inserted again; B has a copy
 * of the first life. */
static void start(world *w)
{
    world_init(w, 1);
    world_insert(w, A, "{'a':1}");
    (void)world_merge(w, B, A);
    world_delete(w, A);
    world_forget(w, A);
    world_insert(w, A, "{'a':2}");
    (void)world_merge(w, C, A);
}

static void expect_alike(world *w, unsigned r)
{
    assert_true(world_same(w, w->doc[A], w->doc[r]));
    assert_int_equal(crdt_doc_births(w->doc[r], NULL, 0), 1);
    assert_int_equal(crdt_doc_first(w->doc[r]), 3);
    world_expect(w, r, "{'a':2}");
}

static void
test_births__forgotten_ones_do_not_come_back_by_a_merge(void **state)
{
    crdt_merge_info info;
    crdt_dot old;
    world w;

    (void)state;
    start(&w);
    assert_int_equal(crdt_doc_births(w.doc[B], &old, 1), 1);
    info = world_merge(&w, C, B);
    expect_alike(&w, C);
    assert_false(info.changed);
    assert_int_equal(info.left_count, 1);
    assert_memory_equal(info.left, &old, sizeof old);
    info = world_merge(&w, B, A);
    expect_alike(&w, B);
    assert_true(info.changed);
    assert_int_equal(info.left_count, 1);
    assert_memory_equal(info.left, &old, sizeof old);
    world_fini(&w);
}

/* The delta has no birth to drop, and must say what its sender forgot. */
static void test_births__a_delta_says_what_is_forgotten(void **state)
{
    crdt_merge_info info;
    world w;

    (void)state;
    start(&w);
    info = world_delta(&w, B, A);
    expect_alike(&w, B);
    assert_int_equal(info.left_count, 1);
    world_fini(&w);
}

static void
test_births__of_a_life_that_followed_a_tombstone_are_kept(void **state)
{
    world w;

    (void)state;
    world_init(&w, 1);
    world_insert(&w, A, "{'a':1}");
    (void)world_merge(&w, B, A);
    (void)world_merge(&w, C, A);
    world_delete(&w, A);
    world_insert(&w, A, "{'a':2}");
    assert_int_equal(world_delta(&w, B, A).left_count, 0);
    assert_int_equal(world_merge(&w, C, A).left_count, 0);
    assert_true(world_same(&w, w.doc[A], w.doc[B]));
    assert_true(world_same(&w, w.doc[A], w.doc[C]));
    assert_int_equal(crdt_doc_births(w.doc[B], NULL, 0), 2);
    assert_int_equal(crdt_doc_first(w.doc[B]), 1);
    world_fini(&w);
}

/* Three who forgot differently, in each order. */
static void test_births__the_greatest_first_wins_in_any_order(void **state)
{
    static const unsigned orders[6][3] = { { A, B, C }, { A, C, B },
                                           { B, A, C }, { B, C, A },
                                           { C, A, B }, { C, B, A } };
    crdt_doc *first = NULL;
    world w;

    (void)state;
    start(&w);           /* A: first 3, generation 3 */
    world_delete(&w, B); /* B: all of it, generation 5 */
    world_insert(&w, B, "{'b':1}");
    world_delete(&w, B);
    world_insert(&w, B, "{'b':2}");
    world_set(&w, C, "c", "1"); /* C: as A, and a field */
    for (unsigned i = 0; i < 6; i++) {
        crdt_doc *d;

        assert_int_equal(crdt_doc_new(&w.arena, &d), TAKO_OK);
        for (unsigned j = 0; j < 3; j++)
            assert_int_equal(crdt_merge(d, w.doc[orders[i][j]], NULL), TAKO_OK);
        first = first != NULL ? first : d;
        assert_true(world_same(&w, first, d));
    }
    assert_int_equal(crdt_doc_first(first), 3);
    assert_int_equal(crdt_doc_births(first, NULL, 0), 3);
    world_fini(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(
            test_births__forgotten_ones_do_not_come_back_by_a_merge),
        cmocka_unit_test(test_births__a_delta_says_what_is_forgotten),
        cmocka_unit_test(
            test_births__of_a_life_that_followed_a_tombstone_are_kept),
        cmocka_unit_test(test_births__the_greatest_first_wins_in_any_order),
    };

    return cmocka_run_group_tests_name("crdt/births", tests, NULL, NULL);
}
