// SPDX-License-Identifier: Apache-2.0
#include "crdt/tree.h"

#include <stdio.h>

#include "support/test_env.h"

/* Children stay sorted, whatever the order they come in. */
static void test_tree__children_are_found_and_ascend(void **state)
{
    test_env t;
    tako_arena a;
    crdt_map m = { .generation = 1 };
    char names[300][8];

    (void)state;
    test_env_init(&t, test_seed(20272));
    a = tako_arena_on(&t.env);
    for (unsigned i = 0; i < 300; i++) {
        crdt_slot *s;
        size_t at;
        tako_slice key;

        (void)snprintf(names[i], sizeof names[i], "%u",
                       (unsigned)test_below(&t, 1000));
        key = tako_slice_str(names[i]);
        if (crdt_map_find(&m, key, &at) != NULL)
            continue;
        assert_int_equal(crdt_map_add(&a, &m, at, key, &s), TAKO_OK);
        assert_ptr_equal(crdt_map_find(&m, key, &at), s);
    }
    for (uint32_t i = 1; i < m.count; i++)
        assert_true(cbor_key_cmp(m.children[i - 1].key, m.children[i].key) < 0);
    tako_arena_fini(&a);
    test_env_check_empty(&t);
}

static void test_tree__entries_and_births_are_sets(void **state)
{
    test_env t;
    tako_arena a;
    crdt_entries l = { NULL, 0, 0 };
    crdt_births b = { NULL, 0, 0 };

    (void)state;
    test_env_init(&t, test_seed(20273));
    a = tako_arena_on(&t.env);
    for (unsigned i = 0; i < 500; i++) {
        crdt_dot dot = { .hlc = 1 + test_below(&t, 40) };

        dot.actor.id[0] = (uint8_t)test_below(&t, 3);
        assert_int_equal(crdt_entries_put(&a, &l, (crdt_entry){ .dot = dot }),
                         TAKO_OK);
        assert_int_equal(
            crdt_births_put(&a, &b, (crdt_birth){ 1 + 2 * (i % 3), dot }),
            TAKO_OK);
    }
    assert_true(l.count <= 120 && b.count <= 360);
    for (uint32_t i = 1; i < l.count; i++)
        assert_true(crdt_dot_cmp(l.at[i - 1].dot, l.at[i].dot) < 0);
    for (uint32_t i = 1; i < b.count; i++)
        assert_true(b.at[i - 1].generation < b.at[i].generation ||
                    crdt_dot_cmp(b.at[i - 1].dot, b.at[i].dot) < 0);
    for (uint32_t i = 0; i < b.count; i++)
        assert_true(b.at[i].generation < 5 ||
                    crdt_dot_cmp(crdt_default_dot(&b), b.at[i].dot) <= 0);
    tako_arena_fini(&a);
    test_env_check_empty(&t);
}

static void test_tree__generations_alternate(void **state)
{
    (void)state;
    for (uint64_t g = 0; g < 100; g++) {
        assert_true(crdt_next_odd(g) > g && (crdt_next_odd(g) & 1) == 1);
        assert_true(crdt_next_odd(g) - g <= 2);
        assert_true(crdt_next_even(g) >= g && (crdt_next_even(g) & 1) == 0);
    }
}

/* What says nothing is taken away, what does is not. */
static void test_tree__a_slot_that_says_nothing_goes(void **state)
{
    crdt_map map = { .generation = 1 };
    crdt_counter counter = { .generation = 1 };
    crdt_slot s = { .map = &map, .counter = &counter };

    (void)state;
    assert_int_equal(crdt_slot_shows(&s), CRDT_SHOW_NOTHING);
    assert_false(crdt_slot_trim(&s));
    assert_null(s.map);
    assert_null(s.counter);
    map.generation = 2;
    s.map = &map;
    assert_true(crdt_slot_trim(&s));
    map.generation = 1;
    counter.generation = 3;
    s.counter = &counter;
    assert_true(crdt_slot_trim(&s));
    assert_null(s.map);
    assert_int_equal(crdt_slot_shows(&s), CRDT_SHOW_NOTHING);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_tree__children_are_found_and_ascend),
        cmocka_unit_test(test_tree__entries_and_births_are_sets),
        cmocka_unit_test(test_tree__generations_alternate),
        cmocka_unit_test(test_tree__a_slot_that_says_nothing_goes),
    };

    return cmocka_run_group_tests_name("crdt/tree", tests, NULL, NULL);
}
