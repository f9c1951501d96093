// SPDX-License-Identifier: Apache-2.0
#include "sim/support_plan.h"

static void note_number(sim_world *w, void *ctx, uint64_t number)
{
    uint64_t **at = ctx;

    (void)w;
    *(*at)++ = number;
}

static void
test_world__events_come_by_time_then_by_order_of_asking(void **state)
{
    uint64_t seen[300], *at = seen;
    test_env t;
    sim_world *w;

    (void)state;
    test_env_init(&t, 1);
    w = sim_world_new(&t.env, 1);
    for (uint64_t i = 0; i < 300; i++)
        sim_at(w, 1 + i * 7 % 10, note_number, &at, i);
    sim_run_until(w, 20);
    assert_ptr_equal(at, seen + 300);
    for (size_t i = 1; i < 300; i++) {
        uint64_t x = seen[i - 1] * 7 % 10, y = seen[i] * 7 % 10;

        assert_true(x < y || (x == y && seen[i - 1] < seen[i]));
    }
    assert_int_equal(w->now_us, 20);
    sim_world_free(w);
    test_env_check_empty(&t);
}

static void test_world__clocks_are_each_node_s_own(void **state)
{
    pair p;

    (void)state;
    pair_init(&p, 2, STORE_NORMAL);
    p.a->skew_ms = -86400000;
    pair_run(&p, 5000);
    assert_int_equal(sim_node_wall_ms(p.b) - sim_node_wall_ms(p.a), 86400000);
    p.b->stuck_ms = sim_node_wall_ms(p.b);
    p.b->stuck = true;
    pair_run(&p, 5000);
    assert_int_equal(sim_node_wall_ms(p.b), p.b->stuck_ms);
    assert_int_equal(p.b->env.mono_ms(p.b->env.ctx), 10000);
    pair_fini(&p);
}

/* Wherever memory ends, the node says so or goes on, and gives all back. */
static void test_world__every_allocation_can_fail(void **state)
{
    bool more = true;
    uint64_t nth;

    (void)state;
    for (nth = 1; more; nth += 3) {
        pair p;

        pair_init(&p, 3, STORE_NORMAL);
        pair_run(&p, 1000);
        p.a->oom_at = nth;
        (void)pair_op(&p, p.a, SIM_OP_INSERT, 1);
        (void)pair_op(&p, p.b, SIM_OP_INSERT, 2);
        pair_run(&p, 60000);
        more = p.a->oom_at == 0; /* it was met */
        p.a->oom_at = 0;
        assert_true(pair_op(&p, p.a, SIM_OP_UPDATE, 3));
        pair_run(&p, 60000);
        assert_true(pair_equal(&p));
        sim_node_end(p.a, SIM_DISK_KILL, 0);
        if (p.w->failed)
            fail_msg("%s: %s", p.w->checker, p.w->failure);
        pair_fini(&p);
    }
    assert_in_range(nth, 30, 5000);
}

static void test_world__an_end_and_a_start(void **state)
{
    pair p;

    (void)state;
    pair_init(&p, 4, STORE_NORMAL);
    pair_run(&p, 1000);
    assert_true(pair_op(&p, p.a, SIM_OP_INSERT, 1));
    sim_node_end(p.a, SIM_DISK_KILL, 500);
    assert_false(p.a->up);
    assert_int_equal(p.a->live_blocks, 0);
    assert_false(pair_op(&p, p.a, SIM_OP_INSERT, 2));
    pair_run(&p, 5000);
    assert_true(p.a->up && pair_equal(&p));
    assert_int_equal(sim_model_documents(p.m), 1);
    sim_node_stop(p.b, 100);
    pair_run(&p, 5000);
    assert_true(p.b->up && sim_node_in_sync(p.b));
    assert_false(p.w->failed);
    pair_fini(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(
            test_world__events_come_by_time_then_by_order_of_asking),
        cmocka_unit_test(test_world__clocks_are_each_node_s_own),
        cmocka_unit_test(test_world__every_allocation_can_fail),
        cmocka_unit_test(test_world__an_end_and_a_start),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
