// SPDX-License-Identifier: Apache-2.0
#include "sim/support_plan.h"

/* Milliseconds until both have the same, or UINT64_MAX; looked at every one in
 * the first second, then less often. */
static uint64_t until_equal(pair *p, uint64_t limit_ms)
{
    uint64_t step = 1;

    for (uint64_t ms = 0; ms <= limit_ms; ms += step) {
        if (pair_equal(p))
            return ms;
        step = ms < 1000 ? 1 : 50;
        pair_run(p, step);
    }
    return UINT64_MAX;
}

static void test_net__a_link_takes_its_time(void **state)
{
    pair p;

    (void)state;
    pair_init(&p, 1, STORE_NORMAL);
    p.link->kind.latency_us = 50 * SIM_MS;
    p.link->kind.jitter_us = 0;
    pair_run(&p, 5000);
    assert_true(pair_op(&p, p.a, SIM_OP_INSERT, 1));
    assert_in_range(until_equal(&p, 500), 50, 60);
    assert_int_equal(
        pair_do(p.a, "INSERT INTO orders DOCUMENTS ({'_id': 'x', 'b': "
                     "[1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20]})"),
        TAKO_OK);
    p.link->kind.bytes_per_s = 1000; /* some 150 bytes */
    assert_in_range(until_equal(&p, 2000), 100, 600);
    pair_fini(&p);
}

static void test_net__a_cut_says_nothing_and_heals(void **state)
{
    pair p;

    (void)state;
    for (unsigned direction = 0; direction < 3; direction++) {
        pair_init(&p, 2, STORE_NORMAL);
        pair_run(&p, 5000);
        sim_link_cut(p.link, direction);
        assert_true(pair_op(&p, p.a, SIM_OP_INSERT, 1));
        assert_true(pair_op(&p, p.b, SIM_OP_INSERT, 2));
        assert_int_equal(until_equal(&p, 20000), UINT64_MAX);
        sim_link_mend(p.link, direction);
        assert_in_range(until_equal(&p, 60000), 1, 60000);
        /* Long enough for both to give each other up. */
        sim_link_cut(p.link, direction);
        assert_true(pair_op(&p, p.a, SIM_OP_INSERT, 3));
        assert_true(pair_op(&p, p.b, SIM_OP_INSERT, 4));
        pair_run(&p, 200000);
        assert_false(pair_equal(&p));
        sim_link_mend(p.link, direction);
        assert_in_range(until_equal(&p, 60000), 1, 60000);
        assert_false(p.w->failed);
        pair_fini(&p);
    }
}

static void
test_net__resets_losses_and_flipped_bits_cost_only_time(void **state)
{
    pair p;

    (void)state;
    pair_init(&p, 3, STORE_NORMAL);
    p.link->kind.loss_ppm = 100000;
    p.link->kind.duplicate_ppm = 50000;
    p.link->kind.reorder_ppm = 100000;
    p.link->kind.corrupt_ppm = 20000;
    for (uint32_t i = 0; i < 40; i++) {
        (void)pair_op(&p, i % 2 ? p.a : p.b, SIM_OP_INSERT, i);
        pair_run(&p, 500);
        if (i % 10 == 9)
            sim_link_reset(p.link);
    }
    p.link->kind.loss_ppm = p.link->kind.corrupt_ppm = 0;
    assert_in_range(until_equal(&p, 120000), 0, 120000);
    assert_true(p.link->resent[0] + p.link->resent[1] > 5);
    assert_true(p.link->duplicated[0] + p.link->duplicated[1] > 2);
    assert_true(p.link->dials > 4);
    assert_false(p.w->failed);
    pair_fini(&p);
}

static void test_net__a_dead_peer_is_heard_of_or_not(void **state)
{
    pair p;
    uint64_t dials;

    (void)state;
    pair_init(&p, 4, STORE_NORMAL);
    pair_run(&p, 5000);
    assert_true(sim_node_in_sync(p.a));
    dials = p.link->dials;
    sim_node_end(p.b, SIM_DISK_KILL, 0);
    pair_run(&p, 1000); /* the kernel of a killed process says so */
    assert_true(p.link->dials > dials);
    sim_node_start(p.b);
    pair_run(&p, 60000);
    assert_true(sim_node_in_sync(p.a));
    dials = p.link->dials;
    sim_node_end(p.b, SIM_DISK_POWER, 0);
    pair_run(&p, 20000); /* a machine without power does not */
    assert_int_equal(p.link->dials, dials);
    pair_run(&p, 60000);
    assert_true(p.link->dials > dials);
    pair_fini(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_net__a_link_takes_its_time),
        cmocka_unit_test(test_net__a_cut_says_nothing_and_heals),
        cmocka_unit_test(
            test_net__resets_losses_and_flipped_bits_cost_only_time),
        cmocka_unit_test(test_net__a_dead_peer_is_heard_of_or_not),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
