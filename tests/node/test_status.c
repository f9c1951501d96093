// SPDX-License-Identifier: Apache-2.0
#include "node/support_world.h"

static void test_status__two_nodes_share_what_they_subscribe_to(void **state)
{
    world w;
    tako_buf out;
    uint64_t lsn;

    (void)state;
    world_init(&w, 1, 2);
    out = tako_buf_on(&w.t.env);
    world_insert(&w, 0, 1, "open");
    world_subscribe(&w, 0, 1, WORLD_ALL);
    world_subscribe(&w, 1, 7, WORLD_ALL);
    world_listen(&w, 0, "tcp://a:1");
    world_dial(&w, 1, "tcp://a:1");
    world_run(&w, 100);
    assert_int_equal(world_links_up(&w, 0), 1);
    assert_int_equal(world_count(&w, 1), 1);
    world_insert(&w, 1, 2, "open");
    lsn = world_do(&w, 1, "UPDATE orders SET s = 'done' WHERE _id = 1");
    assert_false(node_acknowledged(w.nodes[1].n, "node0", lsn));
    world_run(&w, 100);
    assert_true(world_equal(&w));
    assert_true(node_acknowledged(w.nodes[1].n, "node0", lsn));
    assert_true(node_acknowledged(w.nodes[1].n, NULL, lsn));
    assert_false(node_acknowledged(w.nodes[1].n, "nobody", lsn));
    assert_non_null(strstr(world_status(&w, 1, &out), "\"in_sync\":true"));
    tako_buf_fini(&out);
    world_fini(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_status__two_nodes_share_what_they_subscribe_to),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
