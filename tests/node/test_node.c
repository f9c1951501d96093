// SPDX-License-Identifier: Apache-2.0
#include "node/support_world.h"

static void test_node__stops_with_and_without_links(void **state)
{
    world w;
    tako_errbuf e = { "" };

    (void)state;
    world_init(&w, 1, 2);
    world_stop(&w, 0);
    world_start(&w, 0);
    world_listen(&w, 0, "tcp://a:1");
    world_dial(&w, 1, "tcp://a:1");
    assert_int_equal(node_peer_add(w.nodes[1].n, "tcp://a:1", &e), TAKO_EXISTS);
    assert_int_equal(node_peer_add(w.nodes[1].n, "http://a:1", &e),
                     TAKO_INVALID);
    assert_int_equal(node_peer_remove(w.nodes[1].n, "tcp://c:1"),
                     TAKO_NOTFOUND);
    world_subscribe(&w, 0, 1, WORLD_ALL);
    assert_int_equal(node_subscribe(w.nodes[0].n, 1, tako_slice_str(WORLD_ALL),
                                    TAKO_SLICE_NONE, &e),
                     TAKO_EXISTS);
    world_run(&w, 100);
    assert_int_equal(world_links_up(&w, 1), 1);
    assert_int_equal(node_peer_remove(w.nodes[1].n, "tcp://a:1"), TAKO_OK);
    world_run(&w, 100);
    assert_int_equal(world_links_up(&w, 1), 0);
    world_dial(&w, 1, "tcp://a:1");
    world_run(&w, 100);
    world_stop(&w, 1);
    world_stop(&w, 0);
    world_fini(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_node__stops_with_and_without_links),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
