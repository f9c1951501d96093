// SPDX-License-Identifier: Apache-2.0
/* tests/crdt/test_loss.c mirrors src/crdt/loss.c: what a merge says it lost.
 * Written as "kind path value by actor", several separated by "; ". */
#include "crdt/support_world.h"

#include <stdio.h>

#include "codec/json.h"

enum { A, B, C };

static void put_value(tako_buf *b, tako_slice value)
{
    size_t from = b->len;

    assert_int_equal(json_from_cbor(value, b), TAKO_OK);
    for (size_t i = from; i < b->len; i++)
        if (b->ptr[i] == '"')
            b->ptr[i] = '\'';
}

static const char *losses_of(world *w, const crdt_merge_info *info)
{
    static const char *const kinds[] = { "", "update", "increment", "insert",
                                         "forged" };

    tako_buf_reset(&w->text);
    for (const crdt_loss *l = info->losses; l != NULL; l = l->next) {
        tako_put_fmt(&w->text, "%s%s ", l == info->losses ? "" : "; ",
                     kinds[l->kind]);
        for (size_t i = 0; i < l->path.count; i++)
            tako_put_fmt(&w->text, "%s%.*s", i > 0 ? "." : "",
                         (int)l->path.keys[i].len,
                         (const char *)l->path.keys[i].ptr);
        tako_put_u8(&w->text, ' ');
        put_value(&w->text, l->value);
        if (l->kind == CRDT_LOST_FORGED) {
            tako_put_str(&w->text, " for ");
            put_value(&w->text, l->kept);
        }
        tako_put_fmt(&w->text, " by %c", l->dot.actor.id[0]);
    }
    return tako_buf_cstr(&w->text);
}

/* Both sides tell the same when they meet; who hears of it later, nothing. */
static void expect(world *w, const char *losses)
{
    crdt_doc *a = world_copy(w, w->doc[A]);
    crdt_doc *b = world_copy(w, w->doc[B]);
    crdt_merge_info info = world_merge(w, A, B);

    assert_int_equal(info.lost, losses[0] != '\0');
    assert_string_equal(losses_of(w, &info), losses);
    info = world_merge(w, B, A);
    assert_string_equal(losses_of(w, &info), "");
    w->doc[A] = a;
    w->doc[B] = world_copy(w, b);
    info = world_merge(w, B, A);
    assert_string_equal(losses_of(w, &info), losses);
    w->doc[B] = b;
    info = world_delta(w, A, B);
    assert_string_equal(losses_of(w, &info), losses);
}

static void start(world *w, const char *json)
{
    world_init(w, 1);
    world_insert(w, A, json);
    (void)world_merge(w, B, A);
    (void)world_merge(w, C, A);
}

static void test_loss__of_an_update_to_a_delete(void **state)
{
    world w;

    (void)state;
    start(&w, "{'a':1,'o':{'p':1}}");
    world_delete(&w, A);
    world_set(&w, B, "a", "5");
    world_set(&w, B, "o.q", "'x'");
    world_set(&w, B, "e", "{}");
    expect(&w, "update a 5 by B; update e {} by B; update o.q 'x' by B");
    world_fini(&w);
}

static void test_loss__of_what_is_inside_to_an_unset(void **state)
{
    world w;

    (void)state;
    start(&w, "{'o':{'k':{'p':1}},'z':0}");
    world_unset(&w, A, "o.k");
    world_set(&w, B, "o.k.q", "{'r':7}");
    world_set(&w, B, "z", "1"); /* not inside: not lost */
    expect(&w, "update o.k.q.r 7 by B");
    world_fini(&w);
}

static void test_loss__of_increments(void **state)
{
    world w;

    (void)state;
    start(&w, "{'n':3}");
    world_increment(&w, B, "c", 1);
    (void)world_merge(&w, A, B);
    world_set(&w, A, "c", "1");
    world_increment(&w, B, "c", -5);
    expect(&w, "increment c -4 by B"); /* a sum is one number */
    world_fini(&w);
}

static void test_loss__of_an_insert_whole(void **state)
{
    world w;

    (void)state;
    world_init(&w, 1);
    world_insert(&w, A, "{'a':1}");
    world_delete(&w, A);
    world_insert(&w, A, "{'a':2}"); /* a later life than B's */
    world_insert(&w, B, "{'b':{'c':3}}");
    expect(&w, "insert  {'b':{'c':3}} by B");
    world_fini(&w);
}

static void test_loss__of_an_insert_to_a_delete(void **state)
{
    world w;

    (void)state;
    world_init(&w, 1);
    world_insert(&w, A, "{'a':1}");
    world_delete(&w, A);
    world_insert(&w, B, "{'b':3}");
    expect(&w, "insert  {'b':3} by B");
    world_fini(&w);
}

static void test_loss__is_nothing_where_all_was_seen(void **state)
{
    world w;
    crdt_merge_info info;

    (void)state;
    start(&w, "{'a':1,'c':0}");
    world_set(&w, B, "a", "5");
    world_increment(&w, B, "c", 2);
    (void)world_merge(&w, A, B);
    world_delete(&w, A);
    expect(&w, "");
    info = world_merge(&w, C, A); /* C has not seen it, and has lost nothing */
    assert_false(info.lost);
    assert_null(info.losses);
    world_fini(&w);
}

/* INSERT ... INITIAL is nobody's work. */
static void test_loss__is_nothing_of_a_seed(void **state)
{
    world w;
    crdt_doc *seed;
    crdt_merge_info info;

    (void)state;
    start(&w, "{'a':1}");
    world_delete(&w, A);
    assert_int_equal(crdt_initial(&w.arena, world_value(&w, "1"), 7,
                                  world_value(&w, "{'s':1}"), &seed),
                     TAKO_OK);
    assert_int_equal(crdt_merge(w.doc[A], seed, &info), TAKO_OK);
    assert_true(info.changed && !info.lost);
    assert_null(info.losses);
    world_expect(&w, A, "deleted");
    world_fini(&w);
}

/* The same dot for two values: both are told, wherever it is met. */
static void test_loss__of_one_of_two_contents(void **state)
{
    world w;
    crdt_merge_info info;
    crdt_dot dot;

    (void)state;
    start(&w, "{'o':{}}");
    dot = world_dot(&w, C);
    for (unsigned r = A; r <= B; r++)
        assert_int_equal(crdt_set(w.doc[r], dot, world_path(&w, "o.f"),
                                  CRDT_AUTO,
                                  world_value(&w, r == A ? "1" : "2"), NULL),
                         TAKO_OK);
    w.doc[C] = world_copy(&w, w.doc[B]);
    info = world_merge(&w, B, A); /* ours is the greater */
    assert_true(info.forged && !info.lost && !info.changed);
    assert_string_equal(losses_of(&w, &info), "forged o.f 1 for 2 by C");
    info = world_merge(&w, A, C); /* theirs is */
    assert_true(info.forged && info.changed);
    assert_string_equal(losses_of(&w, &info), "forged o.f 1 for 2 by C");
    world_fini(&w);
}

static void test_loss__of_one_of_two_sums(void **state)
{
    world w;
    crdt_merge_info info;
    crdt_dot dot;

    (void)state;
    start(&w, "{'c':0}");
    dot = world_dot(&w, C);
    for (unsigned r = A; r <= B; r++)
        assert_int_equal(crdt_increment(w.doc[r], dot, world_path(&w, "c"),
                                        r == A ? 5 : -2, NULL),
                         TAKO_OK);
    info = world_merge(&w, A, B);
    assert_string_equal(losses_of(&w, &info),
                        "forged c {'dec':2,'inc':0} for {'dec':0,'inc':5} by "
                        "C");
    world_fini(&w);
}

/* Beyond the limit only `lost` tells. */
static void test_loss__is_bounded(void **state)
{
    world w;
    crdt_merge_info info;
    unsigned count = 0;

    (void)state;
    start(&w, "{}");
    for (unsigned i = 0; i < TAKO_LOST_OF_MERGE_MAX + 9; i++) {
        char path[16];

        (void)snprintf(path, sizeof path, "f%u", i);
        world_set(&w, B, path, "1");
    }
    world_delete(&w, A);
    info = world_merge(&w, A, B);
    assert_true(info.lost);
    for (const crdt_loss *l = info.losses; l != NULL; l = l->next)
        count++;
    assert_int_equal(count, TAKO_LOST_OF_MERGE_MAX);
    world_fini(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_loss__of_an_update_to_a_delete),
        cmocka_unit_test(test_loss__of_what_is_inside_to_an_unset),
        cmocka_unit_test(test_loss__of_increments),
        cmocka_unit_test(test_loss__of_an_insert_whole),
        cmocka_unit_test(test_loss__of_an_insert_to_a_delete),
        cmocka_unit_test(test_loss__is_nothing_where_all_was_seen),
        cmocka_unit_test(test_loss__is_nothing_of_a_seed),
        cmocka_unit_test(test_loss__of_one_of_two_contents),
        cmocka_unit_test(test_loss__of_one_of_two_sums),
        cmocka_unit_test(test_loss__is_bounded),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
