// SPDX-License-Identifier: Apache-2.0
#include "node/support_world.h"

static void test_predicates__subscriptions_come_and_go(void **state)
{
    world w;
    tako_errbuf e = { "" };

    (void)state;
    world_init(&w, 7, 2);
    world_listen(&w, 0, "tcp://a:1");
    world_dial(&w, 1, "tcp://a:1");
    world_insert(&w, 0, 1, "open");
    world_insert(&w, 0, 2, "done");
    world_run(&w, 100);
    assert_int_equal(world_count(&w, 1), 0);
    assert_int_equal(node_subscribe(w.nodes[1].n, 1, tako_slice_str("rubbish"),
                                    TAKO_SLICE_NONE, &e),
                     TAKO_INVALID);
    world_subscribe(&w, 1, 1, "SELECT * FROM orders WHERE s = 'open'");
    world_run(&w, 100);
    assert_int_equal(world_count(&w, 1), 1);
    (void)world_do(&w, 0, "UPDATE orders SET s = 'open' WHERE _id = 2");
    world_run(&w, 100);
    assert_int_equal(world_count(&w, 1), 2);
    assert_int_equal(node_unsubscribe(w.nodes[1].n, 1), TAKO_OK);
    assert_int_equal(node_unsubscribe(w.nodes[1].n, 1), TAKO_NOTFOUND);
    world_run(&w, 100);
    world_insert(&w, 0, 3, "open");
    world_run(&w, 100);
    assert_int_equal(world_count(&w, 1), 2);
    world_fini(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_predicates__subscriptions_come_and_go),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
