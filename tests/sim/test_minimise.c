// SPDX-License-Identifier: Apache-2.0
#include "sim/support_plan.h"

/* "At most two commits" fails with three: of sixty operations at four nodes
 * three are left, and the nodes they are made at. */
static void test_minimise__leaves_what_it_takes(void **state)
{
    static sim_result result;
    test_env t;
    sim_plan *p, *less;
    sim_run_opts o;

    (void)state;
    test_env_init(&t, 1);
    p = plan_of(&t,
                "time 5s\nnodes 4 n\nsubscribe * \"SELECT * FROM orders\"\n"
                "topology full *\nwork * operations 60 keys 20 read 0\n"
                "fault partition * every 1s for 500ms\n"
                "expect commits <= 2\n",
                5);
    o = (sim_run_opts){ .env = &t.env, .seed = 5, .plan = p };
    sim_run(&o, &result);
    assert_true(result.failed);
    assert_string_equal(result.checker, "what the scenario expects");
    less = sim_minimise(&o, &result, 300, NULL, NULL);
    assert_int_equal(less->action_count, 3);
    for (size_t i = 0; i < 3; i++)
        assert_int_equal(less->actions[i].kind, SIM_DO);
    assert_in_range(less->node_count, 1, 3);
    o.plan = less;
    sim_run(&o, &result);
    assert_true(result.failed);
    sim_plan_free(less);
    sim_plan_free(p);
    test_env_check_empty(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_minimise__leaves_what_it_takes),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
