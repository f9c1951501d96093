// SPDX-License-Identifier: Apache-2.0
#include "node/support_world.h"

static void test_links__keeps_one_link_per_pair(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 8; seed++) {
        world w;

        world_init(&w, seed, 2);
        world_listen(&w, 0, "tcp://a:1");
        world_listen(&w, 1, "tcp://b:1");
        world_listen(&w, 1, "tcp://b:2");
        world_dial(&w, 0, "tcp://b:1");
        world_dial(&w, 1, "tcp://a:1");
        if (seed > 4)
            world_dial(&w, 0, "tcp://b:2");
        world_run(&w, 100000);
        assert_int_equal(world_links_up(&w, 0), 1);
        assert_int_equal(world_links_up(&w, 1), 1);
        assert_in_range(w.nodes[0].dials + w.nodes[1].dials, 2, 8);
        world_break(&w, 0);
        world_run(&w, 100000);
        assert_int_equal(world_links_up(&w, 0), 1);
        world_fini(&w);
    }
}

static void test_links__survives_a_restart_of_the_peer(void **state)
{
    world w;

    (void)state;
    world_init(&w, 4, 2);
    world_subscribe(&w, 0, 1, WORLD_ALL);
    world_subscribe(&w, 1, 1, WORLD_ALL);
    world_listen(&w, 0, "tcp://a:1");
    world_dial(&w, 1, "tcp://a:1");
    world_run(&w, 100);
    world_insert(&w, 0, 1, "open");
    world_run(&w, 100);
    world_stop(&w, 0);
    world_insert(&w, 1, 2, "open");
    world_insert(&w, 0, 3, "open"); /* while the node is down */
    world_run(&w, 1000);
    world_start(&w, 0);
    world_subscribe(&w, 0, 1, WORLD_ALL);
    world_listen(&w, 0, "tcp://a:1");
    world_run(&w, 60000);
    assert_int_equal(world_links_up(&w, 1), 1);
    assert_int_equal(world_count(&w, 0), 3);
    assert_true(world_equal(&w));
    world_fini(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_links__keeps_one_link_per_pair),
        cmocka_unit_test(test_links__survives_a_restart_of_the_peer),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
