// SPDX-License-Identifier: Apache-2.0
/* What is past for others, and all that is known where everything is kept. */
#include "node/support_world.h"

#define OPEN "SELECT * FROM orders WHERE s = 'open'"

/* Of order 1: is it here, and open? */
static bool shows(world *w, size_t at)
{
    static const uint8_t id[1] = { 1 };
    uint32_t coll;
    store_row row;
    tako_slice s;

    if (store_coll_find(w->nodes[at].reader, tako_slice_str("orders"), &coll) !=
            TAKO_OK ||
        store_get(w->nodes[at].reader, coll, tako_slice_of(id, 1), &row) !=
            TAKO_OK)
        return false;
    s = cbor_map_get(row.body, tako_slice_str("s"));
    return s.len == 5 && memcmp(s.ptr + 1, "open", 4) == 0;
}

static void start_archive(world *w)
{
    w->nodes[0].archive = true;
    world_start(w, 0);
    world_listen(w, 0, "tcp://hub:1");
    world_subscribe(w, 0, 1, WORLD_ALL);
}

static void start_till(world *w)
{
    world_start(w, 1);
    world_listen(w, 1, "tcp://till:1");
    world_subscribe(w, 1, 1, OPEN);
    world_dial(w, 1, "tcp://hub:1");
}

/* The archive is away when order 1, which it has, is finished at 1. */
static void begin(world *w, uint64_t seed)
{
    world_init(w, seed, 3);
    world_stop(w, 0);
    world_stop(w, 1);
    start_archive(w);
    start_till(w);
    world_run(w, 10000);
    world_insert(w, 1, 1, "open");
    world_run(w, 3000);
    assert_true(shows(w, 0));
    world_stop(w, 0);
}

/* 2 never had it, and has heard of all that 1 knows: it is past there. Should 1
 * stay away, it is what there is. */
static void test_present__what_all_come_to_is_shown(void **state)
{
    world w;

    (void)state;
    begin(&w, 71);
    (void)world_do(&w, 1, "UPDATE orders SET s = 'done'");
    world_insert(&w, 1, 2, "open");
    world_subscribe(&w, 2, 1, OPEN);
    world_dial(&w, 2, "tcp://till:1");
    world_dial(&w, 2, "tcp://hub:1");
    world_run(&w, 10000);
    assert_false(shows(&w, 2));
    world_stop(&w, 1);
    start_archive(&w);
    world_run(&w, 50000);
    assert_true(shows(&w, 0));
    assert_false(shows(&w, 2));
    world_run(&w, 60000);
    assert_true(shows(&w, 2));
    start_till(&w); /* it knows better */
    world_run(&w, 60000);
    for (size_t i = 0; i < 3; i++)
        assert_false(shows(&w, i));
    assert_int_equal(world_count(&w, 0), 2);
    world_fini(&w);
}

/* But 2 had it, and let it go in a later state: so there is one. */
static void test_present__what_left_later_is_past(void **state)
{
    size_t keeper, other;
    world w;

    (void)state;
    begin(&w, 72);
    world_subscribe(&w, 2, 1, OPEN);
    world_dial(&w, 2, "tcp://till:1");
    world_dial(&w, 2, "tcp://hub:1");
    world_run(&w, 10000);
    assert_true(shows(&w, 2));
    (void)world_do(&w, 1, "UPDATE orders SET s = 'done'");
    world_run(&w, 600000);
    keeper = world_count(&w, 1) > 0 ? 1 : 2;
    other = 3 - keeper;
    assert_int_equal(world_count(&w, other), 0);
    world_stop(&w, keeper);
    start_archive(&w);
    world_run(&w, 600000);
    assert_true(shows(&w, 0));
    assert_false(shows(&w, other));
    world_fini(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_present__what_all_come_to_is_shown),
        cmocka_unit_test(test_present__what_left_later_is_past),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
