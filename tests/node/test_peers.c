// SPDX-License-Identifier: Apache-2.0
#include "node/support_world.h"

static void test_peers__redials_with_back_off(void **state)
{
    world w;
    uint32_t dials;

    (void)state;
    world_init(&w, 2, 2);
    world_dial(&w, 1, "tcp://a:1");
    world_run(&w, 120000);
    dials = w.nodes[1].dials;
    assert_in_range(dials, 5, 60); /* a cap of 30 s, jitter down to 0 */
    world_listen(&w, 0, "tcp://a:1");
    world_run(&w, 40000);
    assert_int_equal(world_links_up(&w, 1), 1);
    world_break(&w, 1);
    world_run(&w, 20);
    world_run(&w, 60000);
    assert_int_equal(world_links_up(&w, 1), 1);
    world_fini(&w);
}

static void test_peers__refuses_itself(void **state)
{
    world w;
    tako_buf out;

    (void)state;
    world_init(&w, 3, 1);
    out = tako_buf_on(&w.t.env);
    world_listen(&w, 0, "tcp://a:1");
    world_dial(&w, 0, "tcp://a:1");
    world_run(&w, 50);
    assert_int_equal(world_links_up(&w, 0), 0);
    assert_non_null(strstr(world_status(&w, 0, &out), "itself"));
    tako_buf_fini(&out);
    world_fini(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_peers__redials_with_back_off),
        cmocka_unit_test(test_peers__refuses_itself),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
