// SPDX-License-Identifier: Apache-2.0
/* The merge table of docs/merge.md, row by row, each in both merge orders and
 * by deltas; and the published faults that concern merging. */
#include "crdt/support_world.h"

#include <stdio.h>
#include <string.h>

#include "crdt/tree.h"

enum { A, B, C };

typedef struct conflicts {
    unsigned count;
    char text[256];
} conflicts;

static void note(void *ctx, crdt_path path, crdt_dot shown_dot,
                 tako_slice shown, crdt_dot loser_dot, tako_slice loser)
{
    conflicts *c = ctx;

    (void)path;
    (void)shown;
    assert_true(crdt_dot_cmp(loser_dot, shown_dot) < 0);
    c->count++;
    for (size_t i = 0; i < loser.len; i++)
        (void)snprintf(c->text + strlen(c->text), 8, "%02x", loser.ptr[i]);
}

static conflicts conflicts_of(world *w, unsigned r)
{
    conflicts c = { 0, "" };

    assert_int_equal(crdt_conflicts(w->doc[r], note, &c), TAKO_OK);
    return c;
}

/* A and B, both with `common`, ready to write concurrently. */
static void start(world *w, const char *common)
{
    world_init(w, 1);
    world_insert(w, A, common);
    (void)world_merge(w, B, A);
}

/* Merges both ways, whole and by deltas: all must be the same bytes and show
 * `json`. Leaves the outcome in A and B. Returns what A was told. */
static crdt_merge_info meet(world *w, const char *json)
{
    crdt_doc *a = w->doc[A];
    crdt_doc *b = w->doc[B];
    crdt_doc *was = world_copy(w, a);
    crdt_merge_info info;

    w->doc[A] = world_copy(w, a);
    w->doc[B] = world_copy(w, b);
    (void)world_delta(w, A, B);
    (void)world_delta(w, B, A);
    world_expect(w, A, json);
    assert_true(world_same(w, w->doc[A], w->doc[B]));
    w->doc[C] = w->doc[A];
    w->doc[A] = a;
    w->doc[B] = world_copy(w, b);
    info = world_merge(w, A, B);
    (void)world_merge(w, B, A);
    assert_true(world_same(w, w->doc[A], w->doc[B]));
    assert_true(world_same(w, w->doc[A], w->doc[C]));
    world_expect(w, B, json);
    w->doc[C] = world_copy(w, b); /* into B, as both were */
    assert_int_equal(crdt_merge(w->doc[C], was, NULL), TAKO_OK);
    assert_true(world_same(w, w->doc[A], w->doc[C]));
    (void)world_copy(w, w->doc[A]);
    return info;
}

static void test_merge__set_and_set(void **state)
{
    world w;

    (void)state;
    start(&w, "{}");
    world_set(&w, A, "f", "1");
    world_set(&w, B, "f", "2");
    assert_false(meet(&w, "{'f':2}").lost);
    assert_string_equal(conflicts_of(&w, A).text, "01");
    world_set(&w, A, "f", "3");
    assert_int_equal(conflicts_of(&w, A).count, 0);
    world_fini(&w);
}

static void test_merge__equal_hlc_is_decided_by_actor(void **state)
{
    world w;
    uint64_t hlc;

    (void)state;
    start(&w, "{}");
    hlc = w.hlc + 100;
    assert_int_equal(crdt_set(w.doc[A], world_dot_at(A, hlc),
                              world_path(&w, "f"), CRDT_AUTO,
                              world_value(&w, "9"), NULL),
                     TAKO_OK);
    assert_int_equal(crdt_set(w.doc[B], world_dot_at(B, hlc),
                              world_path(&w, "f"), CRDT_AUTO,
                              world_value(&w, "1"), NULL),
                     TAKO_OK);
    (void)meet(&w, "{'f':1}");
    world_fini(&w);
}

static void test_merge__set_of_two_fields(void **state)
{
    world w;

    (void)state;
    start(&w, "{'o':{}}");
    world_set(&w, A, "o.a", "1");
    world_set(&w, B, "o.b", "2");
    (void)meet(&w, "{'o':{'a':1,'b':2}}");
    world_fini(&w);
}

static void test_merge__insert_and_insert(void **state)
{
    world w;

    (void)state;
    world_init(&w, 1);
    world_insert(&w, A, "{'x':1,'m':{'p':1}}");
    world_insert(&w, B, "{'y':2,'m':{'q':2}}");
    (void)meet(&w, "{'m':{'p':1,'q':2},'x':1,'y':2}");
    assert_int_equal(crdt_doc_births(w.doc[A], NULL, 0), 2);
    world_fini(&w);
}

static void test_merge__delete_and_update(void **state)
{
    world w;

    (void)state;
    start(&w, "{'a':1,'b':2}");
    world_delete(&w, A);
    world_set(&w, B, "a", "5");
    assert_true(meet(&w, "deleted").lost);
    world_fini(&w);
}

static void test_merge__new_life_and_update_of_the_old(void **state)
{
    world w;

    (void)state;
    start(&w, "{'a':1,'b':2}");
    world_delete(&w, A);
    world_insert(&w, A, "{'c':3}");
    world_set(&w, B, "a", "5");
    assert_true(meet(&w, "{'c':3}").lost);
    assert_int_equal(crdt_doc_generation(w.doc[A]), 3);
    world_fini(&w);
}

static void test_merge__unset_of_a_map_and_set_inside(void **state)
{
    world w;

    (void)state;
    start(&w, "{'o':{'k':{'p':1}}}");
    world_unset(&w, A, "o.k");
    world_set(&w, B, "o.k.q", "5");
    assert_true(meet(&w, "{'o':{}}").lost);
    world_set(&w, B, "o.k.r", "6");
    world_expect(&w, B, "{'o':{'k':{'r':6}}}");
    world_fini(&w);
}

/* Whichever was later: the removal had not seen the value. */
static void test_merge__unset_of_a_leaf_and_set(void **state)
{
    (void)state;
    for (int later = 0; later < 2; later++) {
        world w;

        start(&w, "{'f':1}");
        if (later == 0)
            world_unset(&w, A, "f");
        world_set(&w, B, "f", "5");
        if (later != 0)
            world_unset(&w, A, "f");
        assert_false(meet(&w, "{'f':5}").lost);
        world_fini(&w);
    }
}

static void test_merge__map_and_map(void **state)
{
    world w;

    (void)state;
    start(&w, "{'o':{}}");
    world_set(&w, A, "o.k", "{'a':1,'x':{'y':1}}");
    world_set(&w, B, "o.k", "{'b':2,'x':{'z':2}}");
    (void)meet(&w, "{'o':{'k':{'a':1,'b':2,'x':{'y':1,'z':2}}}}");
    assert_int_equal(conflicts_of(&w, A).count, 0);
    world_fini(&w);
}

static void test_merge__leaf_and_field_below(void **state)
{
    world w;

    (void)state;
    start(&w, "{'f':0}");
    world_set(&w, A, "f", "5");
    world_set(&w, B, "f.x", "1");
    (void)meet(&w, "{'f':{'x':1}}");
    assert_string_equal(conflicts_of(&w, A).text, "05");
    world_fini(&w);

    start(&w, "{'f':{'y':2}}");
    world_set(&w, B, "f.x", "1");
    world_set(&w, A, "f", "5");
    (void)meet(&w, "{'f':5}");
    assert_string_equal(conflicts_of(&w, A).text, "a1617801");
    world_fini(&w);
}

static void test_merge__increment_and_increment(void **state)
{
    world w;

    (void)state;
    start(&w, "{}");
    world_increment(&w, A, "c", 5);
    world_increment(&w, B, "c", 7);
    (void)meet(&w, "{'c':12}");
    world_increment(&w, A, "c", -20);
    world_increment(&w, B, "c", 1);
    (void)meet(&w, "{'c':-7}");
    world_fini(&w);

    start(&w, "{'c':10}"); /* from a number that was set */
    world_increment(&w, A, "c", 5);
    world_increment(&w, B, "c", 7);
    (void)meet(&w, "{'c':22}");
    world_fini(&w);

    start(&w, "{'c':1.5}");
    world_increment(&w, A, "c", 5);
    world_increment(&w, B, "c", 7);
    (void)meet(&w, "{'c':13.5}");
    world_fini(&w);
}

static void test_merge__restart_and_increment(void **state)
{
    world w;

    (void)state;
    start(&w, "{}");
    world_increment(&w, A, "c", 10);
    (void)world_merge(&w, B, A);
    world_restart(&w, A, "c", 0);
    world_increment(&w, B, "c", 5);
    (void)meet(&w, "{'c':5}");
    world_fini(&w);
}

static void test_merge__restart_and_restart(void **state)
{
    world w;

    (void)state;
    start(&w, "{}");
    world_increment(&w, A, "c", 10);
    (void)world_merge(&w, B, A);
    world_restart(&w, A, "c", 0);
    world_restart(&w, B, "c", 0);
    (void)meet(&w, "{'c':0}");
    assert_int_equal(conflicts_of(&w, A).count, 0);
    world_fini(&w);
}

static void test_merge__set_ends_a_counter(void **state)
{
    world w;

    (void)state;
    for (unsigned i = 0; i < 4; i++) {
        start(&w, "{'o':{}}");
        world_increment(&w, A, "o.c", 10);
        (void)world_merge(&w, B, A);
        if (i == 0)
            world_set(&w, A, "o.c", "1");
        else if (i == 1)
            world_unset(&w, A, "o.c");
        else if (i == 2)
            world_set(&w, A, "o", "4");
        else
            world_set(&w, A, "o.c", "{'x':1}");
        world_increment(&w, B, "o.c", 5);
        assert_true(meet(&w, i == 0   ? "{'o':{'c':1}}"
                             : i == 1 ? "{'o':{}}"
                             : i == 2 ? "{'o':4}"
                                      : "{'o':{'c':{'x':1}}}")
                        .lost);
        /* What it counted does not come back. */
        world_unset(&w, A, "o");
        world_increment(&w, A, "o.c", 1);
        world_expect(&w, A, "{'o':{'c':1}}");
        world_fini(&w);
    }
}

static void test_merge__array_and_array(void **state)
{
    world w;

    (void)state;
    start(&w, "{'l':[1]}");
    world_set(&w, A, "l", "[1,2]");
    world_set(&w, B, "l", "[1,3]");
    (void)meet(&w, "{'l':[1,3]}");
    assert_string_equal(conflicts_of(&w, A).text, "820102");
    world_fini(&w);
}

/* P4: a clock a year ahead wins against what is concurrent, and no more. */
static void test_merge__fast_clock_loses_at_the_next_write(void **state)
{
    world w;
    uint64_t year = CRDT_HLC_OF_MS(365ull * 86400000u);

    (void)state;
    start(&w, "{'f':0}");
    assert_int_equal(crdt_set(w.doc[A], world_dot_at(A, w.hlc + year),
                              world_path(&w, "f"), CRDT_AUTO,
                              world_value(&w, "1"), NULL),
                     TAKO_OK);
    world_set(&w, B, "f", "2");
    (void)meet(&w, "{'f':1}");
    assert_int_equal(crdt_set(w.doc[B], world_dot_at(B, w.hlc + 1),
                              world_path(&w, "f"), CRDT_AUTO,
                              world_value(&w, "3"), NULL),
                     TAKO_OK);
    (void)meet(&w, "{'f':3}");
    assert_int_equal(conflicts_of(&w, A).count, 0);
    world_fini(&w);
}

/* ---- INSERT ... INITIAL -------------------------------------------------- */

static void seed(world *w, unsigned r, uint64_t version, const char *json)
{
    crdt_doc *d;

    assert_int_equal(crdt_initial(&w->arena, world_value(w, "'id'"), version,
                                  world_value(w, json), &d),
                     TAKO_OK);
    assert_int_equal(crdt_merge(w->doc[r], d, NULL), TAKO_OK);
}

static void test_merge__seeds_are_one_event(void **state)
{
    world w;

    (void)state;
    world_init(&w, 1);
    seed(&w, A, 1, "{'a':1}");
    seed(&w, B, 1, "{'a':1}");
    assert_true(world_same(&w, w.doc[A], w.doc[B]));
    seed(&w, B, 2, "{'a':2,'b':2}");
    (void)meet(&w, "{'a':2,'b':2}");
    world_set(&w, A, "a", "9");
    seed(&w, B, 3, "{'a':3}");
    (void)meet(&w, "{'a':9,'b':2}");
    world_delete(&w, A);
    seed(&w, A, 4, "{'a':4}");
    seed(&w, B, 5, "{'a':5}");
    (void)meet(&w, "deleted");
    world_fini(&w);
}

/* Whatever their hashes are: the greater VERSION; of one VERSION either, but
 * everywhere the same. */
static void test_merge__the_greater_version_of_a_seed_shows(void **state)
{
    static const char *const contents[] = { "{'a':1}", "{'a':2}", "{'a':3}",
                                            "{'a':4}" };

    (void)state;
    for (unsigned i = 0; i < 16; i++) {
        world w;

        world_init(&w, 1);
        seed(&w, A, 1 + i % 2, contents[i / 4]);
        seed(&w, B, 2 - i % 2, contents[i % 4]);
        if (i / 4 != i % 4)
            (void)meet(&w, contents[i % 2 == 1 ? i / 4 : i % 4]);
        world_fini(&w);
    }
}

/* ---- forgery ----------------------------------------------------------- */

static void test_merge__one_dot_with_two_contents(void **state)
{
    world w;
    crdt_dot dot;
    crdt_merge_info info;

    (void)state;
    start(&w, "{}");
    dot = world_dot(&w, A);
    for (unsigned r = A; r <= B; r++)
        assert_int_equal(crdt_set(w.doc[r], dot, world_path(&w, "f"), CRDT_AUTO,
                                  world_value(&w, r == A ? "7" : "3"), NULL),
                         TAKO_OK);
    w.doc[C] = world_copy(&w, w.doc[B]);
    info = world_merge(&w, A, B);
    assert_true(info.forged && crdt_dot_eq(&info.forged_dot, &dot));
    info = world_merge(&w, C, A);
    assert_true(info.forged && info.changed);
    assert_true(world_same(&w, w.doc[A], w.doc[C]));
    world_expect(&w, C, "{'f':7}");
    world_fini(&w);
}

static void test_merge__one_dot_with_two_sums(void **state)
{
    world w;
    crdt_dot dot;

    (void)state;
    start(&w, "{}");
    dot = world_dot(&w, A);
    for (unsigned r = A; r <= B; r++)
        for (int i = 0; i < 2; i++)
            assert_int_equal(crdt_increment(w.doc[r], dot, world_path(&w, "c"),
                                            (i == 0) == (r == A) ? 5 : -3,
                                            NULL),
                             TAKO_OK);
    assert_int_equal(
        crdt_increment(w.doc[B], dot, world_path(&w, "c"), 4, NULL), TAKO_OK);
    w.doc[C] = world_copy(&w, w.doc[A]);
    assert_true(world_merge(&w, A, B).forged);
    assert_true(world_merge(&w, B, C).forged);
    assert_true(world_same(&w, w.doc[A], w.doc[B]));
    world_expect(&w, A, "{'c':6}");
    world_fini(&w);
}

/* ---- entries of a type we do not know ---------------------------------- */

static void put_unknown(world *w, unsigned r, const char *key)
{
    crdt_path path = world_path(w, key);
    crdt_dot dot = world_dot(w, r);
    crdt_slot *s;
    size_t at;

    assert_int_equal(crdt_set(w->doc[r], dot, path, CRDT_AUTO,
                              world_value(w, "'new'"), NULL),
                     TAKO_OK);
    s = crdt_map_find(&w->doc[r]->root, path.keys[0], &at);
    s->values.at[0].type = 77;
}

static void test_merge__unknown_types_are_kept(void **state)
{
    world w;

    (void)state;
    start(&w, "{'f':1,'g':2}");
    put_unknown(&w, A, "f");
    world_set(&w, B, "g", "3");
    (void)meet(&w, "{'g':3}");
    (void)world_copy(&w, w.doc[A]);
    assert_int_equal(crdt_increment(w.doc[A], world_dot(&w, A),
                                    world_path(&w, "f"), 1, NULL),
                     TAKO_INVALID);
    world_set(&w, A, "f", "4");
    world_expect(&w, A, "{'f':4,'g':3}");
    world_fini(&w);
}

/* ---- published faults (RELIABILITY.md) --------------------------------- */

/* 1: what is merged after a delete and a new insert depends on no order. */
static void test_merge__fault_1_reinsert_commutes(void **state)
{
    world w;
    crdt_doc *third;

    (void)state;
    start(&w, "{'a':1,'b':1}");
    world_delete(&w, A);
    world_insert(&w, A, "{'a':2}");
    world_set(&w, B, "b", "3");
    (void)world_merge(&w, C, B);
    world_delete(&w, B);
    world_insert(&w, B, "{'b':4}");
    third = world_copy(&w, w.doc[C]);
    (void)world_merge(&w, C, A);
    (void)world_merge(&w, C, B);
    assert_int_equal(crdt_merge(third, w.doc[B], NULL), TAKO_OK);
    assert_int_equal(crdt_merge(third, w.doc[A], NULL), TAKO_OK);
    assert_true(world_same(&w, third, w.doc[C]));
    world_expect(&w, C, "{'a':2,'b':4}");
    world_fini(&w);
}

/* 2: over three replicas, a delete is passed on as what it is. */
static void test_merge__fault_2_delete_travels_through_a_third(void **state)
{
    world w;

    (void)state;
    start(&w, "{'a':1}");
    (void)world_delta(&w, C, A);
    world_set(&w, B, "a", "2");
    world_delete(&w, A);
    (void)world_delta(&w, C, B);
    (void)world_delta(&w, C, A);
    (void)world_delta(&w, B, C);
    (void)world_delta(&w, A, C);
    world_expect(&w, B, "deleted");
    assert_true(world_same(&w, w.doc[A], w.doc[B]));
    assert_true(world_same(&w, w.doc[C], w.doc[B]));
    world_fini(&w);
}

/* 3: two delete the same; a third hears of both, in either order. */
static void test_merge__fault_3_two_deletes(void **state)
{
    world w;

    (void)state;
    for (unsigned i = 0; i < 2; i++) {
        start(&w, "{'a':1}");
        (void)world_merge(&w, C, A);
        world_delete(&w, A);
        world_delete(&w, B);
        (void)world_delta(&w, C, i == 0 ? A : B);
        (void)world_delta(&w, C, i == 0 ? B : A);
        world_expect(&w, C, "deleted");
        (void)meet(&w, "deleted");
        world_fini(&w);
    }
}

/* 4, equal clocks with different content: test_merge__one_dot_with_two_*.
 * 5: the greatest hlc there is does not stop who comes later. */
static void test_merge__fault_5_huge_hlc(void **state)
{
    world w;

    (void)state;
    start(&w, "{'f':0}");
    assert_int_equal(crdt_set(w.doc[A], world_dot_at(A, UINT64_MAX - 1),
                              world_path(&w, "f"), CRDT_AUTO,
                              world_value(&w, "1"), NULL),
                     TAKO_OK);
    (void)meet(&w, "{'f':1}");
    assert_int_equal(crdt_set(w.doc[B], world_dot_at(B, w.hlc + 1),
                              world_path(&w, "f"), CRDT_AUTO,
                              world_value(&w, "2"), NULL),
                     TAKO_OK);
    (void)meet(&w, "{'f':2}");
    world_fini(&w);
}

/* 6: what a counter shows and what it is are one, also after a rewrite. */
static void test_merge__fault_6_counter_after_rewrite(void **state)
{
    world w;

    (void)state;
    start(&w, "{'c':10}");
    world_increment(&w, A, "c", 10);
    w.doc[A] = world_copy(&w, w.doc[A]);
    (void)meet(&w, "{'c':20}");
    world_set(&w, B, "c", "20");
    world_increment(&w, B, "c", 1);
    w.doc[B] = world_copy(&w, w.doc[B]);
    (void)meet(&w, "{'c':21}");
    world_fini(&w);
}

/* 7: an insert inside what is removed at the same time goes with it, and
 * nothing of it stays behind to disturb a later one. */
static void test_merge__fault_7_insert_inside_a_removal(void **state)
{
    world w;

    (void)state;
    start(&w, "{'o':{'k':{'p':{'q':1}}}}");
    world_unset(&w, A, "o.k");
    world_set(&w, B, "o.k.p.r", "{'s':2}");
    world_unset(&w, B, "o.k.p.q");
    (void)meet(&w, "{'o':{}}");
    world_set(&w, A, "o.k.p.q", "3");
    world_set(&w, B, "o.k.p.t", "4");
    (void)meet(&w, "{'o':{'k':{'p':{'q':3,'t':4}}}}");
    world_fini(&w);
}

static void test_merge__refuses_too_many_actors(void **state)
{
    world w;
    crdt_doc *before;

    (void)state;
    start(&w, "{}");
    for (unsigned r = A; r <= B; r++)
        for (unsigned i = 0; i < TAKO_CONTEXT_ACTORS_MAX / 2 + 8; i++) {
            crdt_dot dot = { .hlc = w.hlc + 1 };

            dot.actor.id[0] = (uint8_t)r;
            dot.actor.id[1] = (uint8_t)(i >> 8);
            dot.actor.id[2] = (uint8_t)i;
            assert_int_equal(crdt_set(w.doc[r], dot, world_path(&w, "f"),
                                      CRDT_AUTO, world_value(&w, "1"), NULL),
                             TAKO_OK);
        }
    before = world_copy(&w, w.doc[A]);
    assert_int_equal(crdt_merge(w.doc[A], w.doc[B], NULL), TAKO_LIMIT);
    assert_true(world_same(&w, before, w.doc[A]));
    world_fini(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_merge__set_and_set),
        cmocka_unit_test(test_merge__equal_hlc_is_decided_by_actor),
        cmocka_unit_test(test_merge__set_of_two_fields),
        cmocka_unit_test(test_merge__insert_and_insert),
        cmocka_unit_test(test_merge__delete_and_update),
        cmocka_unit_test(test_merge__new_life_and_update_of_the_old),
        cmocka_unit_test(test_merge__unset_of_a_map_and_set_inside),
        cmocka_unit_test(test_merge__unset_of_a_leaf_and_set),
        cmocka_unit_test(test_merge__map_and_map),
        cmocka_unit_test(test_merge__leaf_and_field_below),
        cmocka_unit_test(test_merge__increment_and_increment),
        cmocka_unit_test(test_merge__restart_and_increment),
        cmocka_unit_test(test_merge__restart_and_restart),
        cmocka_unit_test(test_merge__set_ends_a_counter),
        cmocka_unit_test(test_merge__array_and_array),
        cmocka_unit_test(test_merge__fast_clock_loses_at_the_next_write),
        cmocka_unit_test(test_merge__seeds_are_one_event),
        cmocka_unit_test(test_merge__the_greater_version_of_a_seed_shows),
        cmocka_unit_test(test_merge__one_dot_with_two_contents),
        cmocka_unit_test(test_merge__one_dot_with_two_sums),
        cmocka_unit_test(test_merge__unknown_types_are_kept),
        cmocka_unit_test(test_merge__fault_1_reinsert_commutes),
        cmocka_unit_test(test_merge__fault_2_delete_travels_through_a_third),
        cmocka_unit_test(test_merge__fault_3_two_deletes),
        cmocka_unit_test(test_merge__fault_5_huge_hlc),
        cmocka_unit_test(test_merge__fault_6_counter_after_rewrite),
        cmocka_unit_test(test_merge__fault_7_insert_inside_a_removal),
        cmocka_unit_test(test_merge__refuses_too_many_actors),
    };

    return cmocka_run_group_tests_name("crdt/merge", tests, NULL, NULL);
}
