// SPDX-License-Identifier: Apache-2.0
/* What is lost under a former name, and what others have of it. */
#include "node/support_world.h"

#define OPEN "SELECT * FROM orders WHERE s = 'open'"

static tako_err see_why(void *ctx, const store_held *row)
{
    bool *whole = ctx;

    *whole = *whole && row->why == 0;
    return TAKO_OK;
}

/* Does the node say of all it takes that it is complete? */
static bool is_whole(world *w, size_t at)
{
    bool whole = true;

    assert_int_equal(store_held_each(w->nodes[at].reader,
                                     tako_slice_str("orders"), see_why, &whole),
                     TAKO_OK);
    return whole;
}

/* 1 wrote orders 1 and 2, which 2 has; the second it lost, with its power. Then
 * 0 comes, who wants all. */
static void begin(world *w, uint64_t seed)
{
    world_init(w, seed, 3);
    world_listen(w, 1, "tcp://till:1");
    world_listen(w, 2, "tcp://other:1");
    world_subscribe(w, 1, 1, OPEN);
    world_subscribe(w, 2, 1, OPEN);
    world_dial(w, 2, "tcp://till:1");
    world_run(w, 10000);
    world_insert(w, 1, 1, "open");
    world_run(w, 3000);
    world_save(w, 1, "before");
    world_insert(w, 1, 2, "open");
    world_run(w, 3000);
    assert_int_equal(world_count(w, 2), 2);
    world_power_failure(w, 1, "before");
    world_listen(w, 1, "tcp://till:1");
    world_subscribe(w, 1, 1, OPEN);
    world_subscribe(w, 0, 1, WORLD_ALL);
    world_dial(w, 0, "tcp://other:1");
}

/* Whether there was more in the commit that order 2 is of, only 1 could say. */
static void test_former__is_given_up_after_a_minute(void **state)
{
    world w;

    (void)state;
    begin(&w, 91);
    world_dial(&w, 0, "tcp://till:1");
    world_run(&w, 50000);
    assert_int_equal(world_count(&w, 0), 2);
    assert_int_equal(world_count(&w, 1), 2);
    assert_false(is_whole(&w, 0));
    world_run(&w, 50000);
    for (size_t i = 0; i < 3; i++)
        assert_true(is_whole(&w, i));
    world_insert(&w, 1, 3, "open"); /* and so it stays */
    world_run(&w, 3000);
    assert_int_equal(world_count(&w, 0), 3);
    assert_true(is_whole(&w, 0));
    world_fini(&w);
}

/* Not by another, who may hear of more. */
static void test_former__by_nobody_else(void **state)
{
    world w;

    (void)state;
    begin(&w, 92);
    world_stop(&w, 1);
    world_run(&w, 600000);
    assert_int_equal(world_count(&w, 0), 2);
    assert_false(is_whole(&w, 0));
    world_fini(&w);
}

/* Nor while nobody could tell it of more. */
static void test_former__not_while_it_is_alone(void **state)
{
    tako_buf had, has;
    world w;

    (void)state;
    begin(&w, 93);
    had = tako_buf_on(&w.t.env);
    has = tako_buf_on(&w.t.env);
    world_dial(&w, 0, "tcp://till:1");
    world_run(&w, 20000);
    w.unplugged = true;
    world_break(&w, 1);
    assert_int_equal(store_former_last(w.nodes[1].reader, &had), TAKO_OK);
    world_run(&w, 600000);
    assert_int_equal(store_former_last(w.nodes[1].reader, &has), TAKO_OK);
    assert_int_equal(had.len, 24);
    assert_true(tako_slice_eq(tako_buf_slice(&had), tako_buf_slice(&has)));
    w.unplugged = false;
    world_run(&w, 600000);
    assert_true(is_whole(&w, 0));
    tako_buf_fini(&had);
    tako_buf_fini(&has);
    world_fini(&w);
}

/* Nor where somebody has all of it, whom another will meet who lacks it. */
static void test_former__not_where_it_is_had(void **state)
{
    world w;

    (void)state;
    world_init(&w, 95, 4);
    world_listen(&w, 0, "tcp://hub:1");
    world_listen(&w, 1, "tcp://till:1");
    world_subscribe(&w, 0, 1, WORLD_ALL);
    world_subscribe(&w, 1, 1, OPEN);
    world_dial(&w, 1, "tcp://hub:1");
    world_run(&w, 10000);
    world_insert(&w, 1, 1, "open");
    world_run(&w, 3000);
    world_save(&w, 1, "before");
    world_insert(&w, 1, 2, "open");
    world_run(&w, 3000);
    world_power_failure(&w, 1, "before");
    world_listen(&w, 1, "tcp://till:1");
    world_subscribe(&w, 1, 1, OPEN);
    world_dial(&w, 1, "tcp://hub:1");
    world_subscribe(&w, 3, 1, WORLD_ALL);
    world_dial(&w, 3, "tcp://till:1");
    world_run(&w, 600000);
    assert_int_equal(world_count(&w, 3), 2);
    assert_true(is_whole(&w, 0));
    assert_true(is_whole(&w, 1));
    assert_false(is_whole(&w, 3));
    world_dial(&w, 3, "tcp://hub:1");
    world_run(&w, 10000);
    assert_true(is_whole(&w, 3));
    world_fini(&w);
}

/* Written down, and told in later sessions. */
static void test_former__stays_given_up(void **state)
{
    world w;

    (void)state;
    begin(&w, 94);
    world_dial(&w, 0, "tcp://till:1");
    world_run(&w, 200000);
    assert_true(is_whole(&w, 0));
    world_stop(&w, 1);
    world_start(&w, 1);
    world_stop(&w, 0);
    world_start(&w, 0);
    world_listen(&w, 1, "tcp://till:1");
    world_subscribe(&w, 1, 1, OPEN);
    world_subscribe(&w, 0, 1, WORLD_ALL);
    world_dial(&w, 0, "tcp://till:1");
    world_run(&w, 20000);
    assert_true(is_whole(&w, 0));
    assert_true(is_whole(&w, 1));
    world_fini(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_former__is_given_up_after_a_minute),
        cmocka_unit_test(test_former__by_nobody_else),
        cmocka_unit_test(test_former__not_while_it_is_alone),
        cmocka_unit_test(test_former__not_where_it_is_had),
        cmocka_unit_test(test_former__stays_given_up),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
