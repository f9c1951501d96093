// SPDX-License-Identifier: Apache-2.0
/* Rules of collections, carried out; and markers that are forgotten. */
#include "node/support_world.h"

#include <stdio.h>

#define DAY UINT64_C(86400000)

static uint64_t markers(world *w, size_t at)
{
    store_facts facts;
    tako_errbuf e;

    assert_int_equal(store_facts_read(w->nodes[at].reader, &facts, &e),
                     TAKO_OK);
    return facts.evicted;
}

/* Node 1 has orders 1 to n of node 0, one a second. */
static void shop(world *w, uint64_t seed, unsigned n)
{
    world_init(w, seed, 2);
    world_listen(w, 0, "tcp://hub:1");
    world_dial(w, 1, "tcp://hub:1");
    world_subscribe(w, 0, 1, WORLD_ALL);
    world_subscribe(w, 1, 1, WORLD_ALL);
    for (unsigned i = 1; i <= n; i++) {
        world_insert(w, 0, i, i % 2 == 0 ? "open" : "done");
        world_run(w, 1000);
    }
    assert_int_equal(world_count(w, 1), n);
}

static void test_retention__by_predicate_and_age(void **state)
{
    world w;

    (void)state;
    shop(&w, 1, 10);
    (void)world_do(&w, 1,
                   "ALTER COLLECTION orders SET evict = {'where': "
                   "\"s = 'done'\", 'after': '1h'}");
    world_run(&w, 30 * 60000);
    assert_int_equal(world_count(&w, 1), 10);
    world_run(&w, 40 * 60000);
    assert_int_equal(world_count(&w, 1), 5);
    assert_int_equal(world_count(&w, 0), 10); /* here alone */
    world_break(&w, 1);
    world_run(&w, 60000); /* and no sync brings it back */
    assert_int_equal(world_count(&w, 1), 5);
    (void)world_do(&w, 1, "ALTER COLLECTION orders RESET evict");
    (void)world_do(&w, 0, "UPDATE orders SET s = 'done'");
    world_run(&w, 3 * 60 * 60000);
    assert_int_equal(world_count(&w, 1), 10); /* newer, and wanted */
    world_fini(&w);
}

static void test_retention__the_oldest_beyond_a_number(void **state)
{
    world w;

    (void)state;
    shop(&w, 2, 12);
    (void)world_do(&w, 1,
                   "ALTER COLLECTION orders SET evict = {'documents': 5}");
    world_run(&w, 3 * 60000);
    assert_int_equal(world_count(&w, 1), 5);
    for (unsigned i = 13; i < 20; i++)
        world_insert(&w, 0, i, "open");
    world_run(&w, 3 * 60000);
    assert_int_equal(world_count(&w, 1), 5);
    assert_int_equal(world_count(&w, 0), 19);
    (void)world_do(&w, 1, "ALTER COLLECTION orders SET evict = {'bytes': 20}");
    world_run(&w, 3 * 60000);
    assert_in_range(world_count(&w, 1), 1, 3);
    world_fini(&w);
}

/* What only this device has stays, whatever the rule says. */
static void test_retention__never_what_nobody_else_keeps(void **state)
{
    world w;

    (void)state;
    world_init(&w, 3, 2);
    world_subscribe(&w, 1, 1, WORLD_ALL);
    world_insert(&w, 1, 1, "done");
    assert_int_equal(store_renew_actor(w.nodes[1].st, NULL), TAKO_OK);
    world_insert(&w, 1, 2, "done"); /* under another name */
    (void)world_do(&w, 1,
                   "ALTER COLLECTION orders SET evict = {'where': \"true\"}");
    world_run(&w, 10 * 60000);
    assert_int_equal(world_count(&w, 1), 2);
    world_listen(&w, 0, "tcp://hub:1");
    world_dial(&w, 1, "tcp://hub:1");
    world_subscribe(&w, 0, 1, WORLD_ALL);
    world_run(&w, 10 * 60000);
    assert_int_equal(world_count(&w, 1), 0);
    assert_int_equal(world_count(&w, 0), 2);
    world_fini(&w);
}

/* It holds up nothing else. */
static void test_retention__what_is_kept_goes_beside_it(void **state)
{
    world w;

    (void)state;
    shop(&w, 5, 3);
    world_stop(&w, 0);
    world_insert(&w, 1, 4, "done"); /* nobody else has it */
    (void)world_do(&w, 1,
                   "ALTER COLLECTION orders SET evict = {'where': \"true\"}");
    world_run(&w, 2 * 60000);
    assert_int_equal(world_count(&w, 1), 1);
    world_fini(&w);
}

static void test_retention__markers_of_what_left_go(void **state)
{
    world w;

    (void)state;
    world_init(&w, 4, 2);
    world_listen(&w, 0, "tcp://hub:1");
    world_dial(&w, 1, "tcp://hub:1");
    world_subscribe(&w, 0, 1, WORLD_ALL);
    world_subscribe(&w, 1, 1, "SELECT * FROM orders WHERE s = 'open'");
    for (unsigned i = 1; i <= 100; i++)
        world_insert(&w, 0, i, "open");
    world_run(&w, 10000);
    (void)world_do(&w, 1, "EVICT FROM orders WHERE _id = 7");
    (void)world_do(&w, 0, "UPDATE orders SET s = 'done' WHERE _id <> 7");
    world_run(&w, 60000);
    assert_int_equal(world_count(&w, 1), 0);
    assert_int_equal(markers(&w, 1), 100);
    world_stop(&w, 0);
    w.t.wall_ms += 400 * DAY; /* a clock that leaps is one day */
    world_run(&w, 27 * DAY);
    assert_int_equal(markers(&w, 1), 100);
    world_run(&w, 6 * DAY);
    assert_int_equal(markers(&w, 1), 1); /* the statement's stays */
    world_fini(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_retention__by_predicate_and_age),
        cmocka_unit_test(test_retention__the_oldest_beyond_a_number),
        cmocka_unit_test(test_retention__never_what_nobody_else_keeps),
        cmocka_unit_test(test_retention__what_is_kept_goes_beside_it),
        cmocka_unit_test(test_retention__markers_of_what_left_go),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
