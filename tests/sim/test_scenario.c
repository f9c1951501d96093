// SPDX-License-Identifier: Apache-2.0
#include "sim/support_plan.h"

static const char example[] = "scenario \"a test\"\n"
                              "time 20s  # a comment\n"
                              "nodes 2..5 n durability full memory 4mb\n"
                              "grace 90s\n"
                              "node hub clock -1d slow 3 fetches reads-only\n"
                              "subscribe * \"SELECT * FROM orders\"\n"
                              "setup n* \"ALTER COLLECTION orders SET evict "
                              "= {'after': '20s'}\"\n"
                              "topology random * latency 2ms loss 0.5%\n"
                              "work n* operations 50 keys 9 read 0 attach 9 "
                              "get 9 bytes 1kb to 1mb contents 5\n"
                              "do hub at 3s insert 4 , increment 5 by - 2\n"
                              "do hub at 4s attach 4 by 70000\n"
                              "do hub at 5s get 4\n"
                              "fault partition * every 3s for 1s\n"
                              "fault power-mid hub within 20 at 4s for 2s\n"
                              "fault clock n* within 1h every 5s for 2s\n"
                              "expect documents <= 9\n"
                              "expect delay <= 20s\n";

static void test_scenario__a_seed_decides_what_is_left_open(void **state)
{
    test_env t;
    bool differ = false;

    (void)state;
    test_env_init(&t, 1);
    for (uint64_t seed = 1; seed < 10; seed++) {
        sim_plan *p = plan_of(&t, example, seed);
        sim_plan *q = plan_of(&t, example, seed);

        assert_in_range(p->node_count, 3, 6);
        assert_int_equal(p->node_count, q->node_count);
        assert_int_equal(p->action_count, q->action_count);
        assert_memory_equal(p->actions, q->actions,
                            p->action_count * sizeof *p->actions);
        for (size_t i = 1; i < p->action_count; i++)
            assert_true(p->actions[i - 1].at_us <= p->actions[i].at_us);
        differ = differ || p->node_count != 3;
        sim_plan_free(p);
        sim_plan_free(q);
    }
    assert_true(differ);
    test_env_check_empty(&t);
}

/* What is printed says all: read again, under any seed, it is the same. */
static void test_scenario__a_plan_is_a_scenario(void **state)
{
    test_env t;
    tako_buf one, two;

    (void)state;
    test_env_init(&t, 1);
    one = tako_buf_on(&t.env);
    two = tako_buf_on(&t.env);
    for (uint64_t seed = 1; seed < 20; seed++) {
        sim_plan *p = plan_of(&t, example, seed), *q;

        tako_buf_reset(&one);
        tako_buf_reset(&two);
        sim_plan_print(p, &one);
        q = plan_of(&t, tako_buf_cstr(&one), seed + 77);
        sim_plan_print(q, &two);
        assert_true(tako_slice_eq(tako_buf_slice(&one), tako_buf_slice(&two)));
        assert_int_equal(p->link_count, q->link_count);
        assert_true(q->nodes[q->node_count - 1].reads_only);
        assert_string_equal(q->nodes[0].setup, p->nodes[0].setup);
        assert_int_equal(strncmp(q->nodes[0].setup, "ALTER ", 6), 0);
        assert_string_equal(q->nodes[q->node_count - 1].setup, "");
        sim_plan_free(p);
        sim_plan_free(q);
    }
    tako_buf_fini(&one);
    tako_buf_fini(&two);
    test_env_check_empty(&t);
}

static void test_scenario__who_moves_is_linked_elsewhere(void **state)
{
    test_env t;
    sim_plan *p;
    size_t up = 0, down = 0;

    (void)state;
    test_env_init(&t, 1);
    p = plan_of(&t,
                "nodes 3 a\nnode b\nplace in a*\nplace out b\n"
                "move a1 to out at 5s\n",
                1);
    assert_int_equal(p->link_count, 4); /* a triangle, and a1-b, down */
    assert_true(p->links[3].down && !p->links[0].down);
    for (size_t i = 0; i < p->action_count; i++) {
        up += p->actions[i].kind == SIM_UP;
        down += p->actions[i].kind == SIM_DOWN;
    }
    assert_int_equal(up, 1);
    assert_int_equal(down, 2);
    sim_plan_free(p);
    test_env_check_empty(&t);
}

#define X64        "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"
#define LONG_SETUP "node a\nsetup a \"" X64 X64 X64 X64 "\""

static void test_scenario__a_mistake_has_a_place(void **state)
{
    static const struct {
        const char *text;
        unsigned line, column;
        const char *word;
    } rows[] = {
        { "", 1, 1, "needs nodes" },
        { "node a\nfrobnicate", 2, 1, "not a statement" },
        { "node a\nnode a", 2, 6, "already" },
        { "node a b", 1, 8, "expected" },
        { "nodes x n", 1, 7, "a number" },
        { "nodes 5..2 n", 1, 7, "A..B" },
        { "node a\nsubscribe b \"x\"", 2, 11, "no node" },
        { "node a\nsubscribe a \"x", 2, 13, "quote" },
        { "node a\nsetup b \"x\"", 2, 7, "no node" },
        { "node a\nsetup a", 2, 8, "statement" },
        { LONG_SETUP, 2, 9, "more than 255 bytes" },
        { "node a\nnode b\nlink a a", 3, 8, "different" },
        { "node a\nnode b\nlink a b latency 5", 3, 18, "time" },
        { "node a\nnode b\nlink a b loss 120%", 3, 15, "chance" },
        { "time 5x", 1, 6, "time" },
        { "node a\nfault explode a at 1s", 2, 7, "fault" },
        { "node a\nfault kill a", 2, 13, "at or every" },
        { "node a\nfault disk-error a 3 at 1s", 2, 20, "chance" },
        { "node a\nfault partition a at 1s", 2, 24, "no such link" },
        { "node a\nwork a 5", 2, 8, "operations" },
        { "node a\nwork a operations 5 update x", 2, 28, "number" },
        { "node a\nmove a to nowhere at 1s", 2, 11, "no place" },
        { "node a\ndo a at 1s explode 5", 2, 12, "expected" },
        { "node a\nexpect happiness >= 3", 2, 8, "expected" },
        { "node a\ntopology cube a", 2, 10, "ring" },
    };
    test_env t;

    (void)state;
    test_env_init(&t, 1);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        sim_scenario_error e;
        sim_plan *p = NULL;

        assert_int_equal(
            sim_plan_new(&t.env, tako_slice_str(rows[i].text), 1, &p, &e),
            TAKO_INVALID);
        if (e.line != rows[i].line || e.column != rows[i].column ||
            strstr(e.text, rows[i].word) == NULL)
            fail_msg("%s: %u:%u: %s", rows[i].text, e.line, e.column, e.text);
    }
    test_env_check_empty(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_scenario__a_seed_decides_what_is_left_open),
        cmocka_unit_test(test_scenario__a_plan_is_a_scenario),
        cmocka_unit_test(test_scenario__who_moves_is_linked_elsewhere),
        cmocka_unit_test(test_scenario__a_mistake_has_a_place),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
