// SPDX-License-Identifier: Apache-2.0
#include "crdt/support_world.h"

#include <string.h>

#include "codec/json.h"

typedef struct listed {
    world *w;
    tako_buf text;
} listed;

static void list(void *ctx, crdt_path path, crdt_dot shown_dot,
                 tako_slice shown, crdt_dot loser_dot, tako_slice loser)
{
    listed *l = ctx;

    assert_true(crdt_dot_cmp(loser_dot, shown_dot) < 0);
    for (size_t i = 0; i < path.count; i++)
        tako_put_fmt(&l->text, "%s%.*s", i > 0 ? "." : "",
                     (int)path.keys[i].len, (const char *)path.keys[i].ptr);
    tako_put_str(&l->text, " ");
    assert_int_equal(json_from_cbor(shown, &l->text), TAKO_OK);
    tako_put_fmt(&l->text, " over %c ", loser_dot.actor.id[0]);
    assert_int_equal(json_from_cbor(loser, &l->text), TAKO_OK);
    tako_put_str(&l->text, "; ");
}

static void expect_conflicts(world *w, unsigned r, const char *text)
{
    listed l = { w, tako_buf_on(&w->t.env) };

    assert_int_equal(crdt_conflicts(w->doc[r], list, &l), TAKO_OK);
    assert_string_equal(tako_buf_cstr(&l.text), text);
    tako_buf_fini(&l.text);
}

static void test_doc__conflicts_name_all_losers(void **state)
{
    world w;

    (void)state;
    world_init(&w, 1);
    world_insert(&w, 0, "{'o':{},'f':0}");
    (void)world_merge(&w, 1, 0);
    (void)world_merge(&w, 2, 0);
    expect_conflicts(&w, 0, "");
    world_set(&w, 0, "o.x", "1");
    world_set(&w, 1, "o.x", "{'y':2}");
    world_increment(&w, 2, "o.x", 3);
    world_set(&w, 0, "f", "'same'");
    world_set(&w, 1, "f", "'same'");
    (void)world_merge(&w, 0, 1);
    (void)world_merge(&w, 0, 2);
    expect_conflicts(&w, 0, "o.x 3 over A 1; o.x 3 over B {\"y\":2}; ");
    world_increment(&w, 0, "o.x", 1);
    expect_conflicts(&w, 0, "");
    world_fini(&w);
}

static void test_doc__concurrent_restarts_are_a_conflict(void **state)
{
    world w;

    (void)state;
    world_init(&w, 1);
    world_insert(&w, 0, "{'n':1}");
    (void)world_merge(&w, 1, 0);
    world_restart(&w, 0, "n", 5);
    world_restart(&w, 1, "n", 9);
    (void)world_merge(&w, 0, 1);
    expect_conflicts(&w, 0, "n 9 over A 5; ");
    world_fini(&w);
}

static void test_doc__assigning_an_object_absorbs_what_is_hidden(void **state)
{
    world w;

    (void)state;
    world_init(&w, 1);
    world_insert(&w, 0, "{}");
    (void)world_merge(&w, 1, 0);
    world_set(&w, 0, "o", "1");
    world_set(&w, 1, "o", "{'a':2}");
    (void)world_merge(&w, 0, 1);
    expect_conflicts(&w, 0, "o {\"a\":2} over A 1; ");
    world_set(&w, 0, "o", "{'b':3}");
    expect_conflicts(&w, 0, "");
    world_expect(&w, 0, "{'o':{'a':2,'b':3}}");
    world_fini(&w);
}

/* A hidden counter ends: what it counted does not come back. */
static void test_doc__assigning_an_object_ends_a_hidden_counter(void **state)
{
    world w;

    (void)state;
    world_init(&w, 1);
    world_insert(&w, 0, "{}");
    (void)world_merge(&w, 1, 0);
    world_increment(&w, 0, "o", 5);
    world_set(&w, 1, "o", "{'a':2}");
    (void)world_merge(&w, 0, 1);
    world_expect(&w, 0, "{'o':{'a':2}}");
    world_set(&w, 0, "o", "{'b':3}");
    expect_conflicts(&w, 0, "");
    world_unset(&w, 0, "o.a");
    world_unset(&w, 0, "o.b");
    world_expect(&w, 0, "{'o':{}}");
    world_fini(&w);
}

/* The seed is a function of what is in it. */
static void test_doc__initial_is_constant(void **state)
{
    static const struct {
        const char *id;
        uint64_t version;
        const char *fields;
    } cases[] = {
        { "'a'", 1, "{'x':1}" },
        { "'b'", 1, "{'x':1}" },
        { "'a'", 2, "{'x':1}" },
        { "'a'", 1, "{'x':2}" },
    };
    crdt_doc *d[4][2];
    world w;

    (void)state;
    world_init(&w, 1);
    for (unsigned i = 0; i < 4; i++)
        for (unsigned k = 0; k < 2; k++)
            assert_int_equal(
                crdt_initial(&w.arena, world_value(&w, cases[i].id),
                             cases[i].version, world_value(&w, cases[i].fields),
                             &d[i][k]),
                TAKO_OK);
    for (unsigned i = 0; i < 4; i++)
        for (unsigned k = 0; k < 4; k++)
            assert_int_equal(world_same(&w, d[i][0], d[k][1]), i == k);
    (void)world_copy(&w, d[0][0]);
    assert_int_equal(crdt_initial(&w.arena, world_value(&w, "1"),
                                  UINT64_C(1) << 40, world_value(&w, "{}"),
                                  &d[0][0]),
                     TAKO_MISUSE);
    world_fini(&w);
}

/* All births are told, also those of lives that have ended. */
static void test_doc__births_of_all_lives_are_kept(void **state)
{
    world w;
    crdt_dot dots[8];

    (void)state;
    world_init(&w, 1);
    for (unsigned i = 0; i < 3; i++) {
        world_insert(&w, 0, "{'a':1}");
        world_delete(&w, 0);
    }
    world_insert(&w, 1, "{}");
    (void)world_merge(&w, 1, 0);
    assert_int_equal(crdt_doc_births(w.doc[1], dots, 8), 4);
    assert_int_equal(crdt_doc_births(world_copy(&w, w.doc[1]), dots, 2), 4);
    assert_false(crdt_doc_alive(w.doc[1]));
    world_fini(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_doc__conflicts_name_all_losers),
        cmocka_unit_test(test_doc__concurrent_restarts_are_a_conflict),
        cmocka_unit_test(test_doc__assigning_an_object_absorbs_what_is_hidden),
        cmocka_unit_test(test_doc__assigning_an_object_ends_a_hidden_counter),
        cmocka_unit_test(test_doc__initial_is_constant),
        cmocka_unit_test(test_doc__births_of_all_lives_are_kept),
    };

    return cmocka_run_group_tests_name("crdt/doc", tests, NULL, NULL);
}
