// SPDX-License-Identifier: Apache-2.0
#include "crdt/support_world.h"

static void sizes(world *w, unsigned r, size_t *meta_len, size_t *body_len)
{
    tako_buf meta = tako_buf_on(&w->t.env);
    tako_buf body = tako_buf_on(&w->t.env);

    assert_int_equal(crdt_doc_encode(w->doc[r], &meta, &body), TAKO_OK);
    *meta_len = meta.len;
    *body_len = body.len;
    tako_buf_fini(&meta);
    tako_buf_fini(&body);
}

#define ORDER                                                                  \
    "{'table':12,'status':'open','kitchen':'hot','items':{'i1':{'name':'taco'" \
    ",'qty':2},'i2':{'name':'roll','qty':1}},'total':3450,"                    \
    "'createdAt':'2026-11-23T10:00:00.000Z','waiter':'Tony','note':"           \
    "'no onions on the second one, and the bill together, please'}"

/* What each step may cost, so that the form does not get worse unnoticed. */
static void test_encode__meta_stays_small(void **state)
{
    world w;
    size_t meta;
    size_t body;

    (void)state;
    world_init(&w, 1);
    world_insert(&w, 0, ORDER);
    sizes(&w, 0, &meta, &body);
    assert_int_equal(meta, 25);
    assert_true(4 * meta <= body); /* P6 */
    world_set(&w, 0, "status", "'in progress'");
    sizes(&w, 0, &meta, &body);
    assert_true(meta <= 35);
    (void)world_merge(&w, 1, 0);
    world_set(&w, 1, "items.i1.qty", "3");
    sizes(&w, 1, &meta, &body);
    assert_true(meta <= 65);
    world_delete(&w, 1);
    sizes(&w, 1, &meta, &body);
    assert_true(meta <= 55);
    assert_int_equal(body, 0);
    world_fini(&w);
}

static void test_encode__never_inserted_is_two_bytes(void **state)
{
    world w;
    size_t meta;
    size_t body;

    (void)state;
    world_init(&w, 1);
    sizes(&w, 0, &meta, &body);
    assert_int_equal(meta, 2);
    assert_int_equal(body, 0);
    (void)world_copy(&w, w.doc[0]);
    world_fini(&w);
}

/* A map assigned as one value is told from a map. */
static void test_encode__registers_that_hold_maps_stay_registers(void **state)
{
    world w;

    (void)state;
    world_init(&w, 1);
    world_insert(&w, 0, "{'o':{'a':1}}");
    world_replace(&w, 0, "o", "{'b':2}");
    w.doc[1] = world_copy(&w, w.doc[0]);
    world_set(&w, 1, "o", "{'c':3}"); /* not merged into the old value */
    world_expect(&w, 1, "{'o':{'c':3}}");
    world_fini(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_encode__meta_stays_small),
        cmocka_unit_test(test_encode__never_inserted_is_two_bytes),
        cmocka_unit_test(test_encode__registers_that_hold_maps_stay_registers),
    };

    return cmocka_run_group_tests_name("crdt/encode", tests, NULL, NULL);
}
