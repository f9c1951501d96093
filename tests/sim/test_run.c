// SPDX-License-Identifier: Apache-2.0
#include "sim/support_plan.h"

#include <stdio.h>
#include <string.h>

static const char rough[] = "time 20s\n"
                            "nodes 4 n\n"
                            "node hub durability full\n"
                            "subscribe * \"SELECT * FROM orders\"\n"
                            "topology random * loss 2%\n"
                            "work * operations 80 keys 12\n"
                            "fault partition * every 4s for 2s\n"
                            "fault power-mid * within 30 every 5s for 1s\n"
                            "fault no-memory-at * within 500 every 5s\n"
                            "fault disk-error * 1% every 6s for 1s\n";

static void test_run__one_seed_one_course(void **state)
{
    test_env t;
    uint64_t trace, bytes;

    (void)state;
    test_env_init(&t, 1);
    for (uint64_t seed = 1; seed < 4; seed++) {
        const sim_result *r = run_text(&t, rough, seed);

        if (r->failed)
            fail_msg("seed %d: %s: %s", (int)seed, r->checker, r->failure);
        trace = r->trace;
        bytes = r->bytes;
        assert_true(r->acked > 30 && r->ends > 0 && r->checked_states > 100);
        r = run_text(&t, rough, seed);
        assert_int_equal(r->trace, trace);
        assert_int_equal(r->bytes, bytes);
        assert_int_not_equal(run_text(&t, rough, seed + 10)->trace, trace);
    }
    test_env_check_empty(&t);
}

static void test_run__what_cannot_converge_is_a_failure(void **state)
{
    test_env t;
    const sim_result *r;

    (void)state;
    test_env_init(&t, 1);
    r = run_text(&t,
                 "time 2s\nsettle 5s\nnodes 2 n\n"
                 "subscribe * \"SELECT * FROM orders\"\n"
                 "do n1 at 1s insert 1\n",
                 1);
    assert_true(r->failed);
    assert_string_equal(r->checker, "equal interests, equal documents");
    test_env_check_empty(&t);
}

/* A setting is there after each start; a wrong one, or a write, is told. */
static void test_run__a_setup_is_run_at_each_start(void **state)
{
    static const struct {
        const char *setup, *failure;
    } rows[] = {
        { "ALTER COLLECTION orders SET evict = {'documents': 1}", "" },
        { "ALTER COLLECTION orders SET evict = {'documents': 0}", "from 1" },
        { "INSERT INTO orders DOCUMENTS ({'v': 1})", "writes no document" },
    };
    test_env t;

    (void)state;
    test_env_init(&t, 1);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char all[400];
        const sim_result *r;

        (void)snprintf(all, sizeof all,
                       "time 9s\nnode a archive\nnode b\n"
                       "subscribe * \"SELECT * FROM orders\"\nlink a b\n"
                       "setup b \"%s\"\ndo b at 1s insert 1\n"
                       "do b at 2s insert 2\nfault kill b at 3s for 1s\n",
                       rows[i].setup);
        r = run_text(&t, all, 1);
        if (r->failed != (i > 0) || strstr(r->failure, rows[i].failure) == NULL)
            fail_msg("%s: %s", rows[i].setup, r->failure);
    }
    test_env_check_empty(&t);
}

static void test_run__what_is_expected_is_checked(void **state)
{
    static const char text[] = "time 2s\nnode a\nsubscribe a \"SELECT * FROM "
                               "orders\"\ndo a at 1s insert 1\n";
    static const struct {
        const char *line;
        bool holds;
    } rows[] = {
        { "expect documents = 1", true },   { "expect documents >= 2", false },
        { "expect documents <= 0", false }, { "expect commits = 1", true },
        { "expect memory <= 1kb", false },  { "expect converge <= 5s", true },
    };
    test_env t;

    (void)state;
    test_env_init(&t, 1);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char all[300];
        const sim_result *r;

        (void)snprintf(all, sizeof all, "%s%s\n", text, rows[i].line);
        r = run_text(&t, all, 1);
        if (r->failed == rows[i].holds)
            fail_msg("%s: %s", rows[i].line, r->failure);
    }
    test_env_check_empty(&t);
}

typedef struct lines {
    size_t invoked, ended;
} lines;

static void on_history(void *ctx, const char *json)
{
    lines *l = ctx;

    assert_int_equal(json[strlen(json) - 1], '}');
    l->invoked += strstr(json, "\"type\":\"invoke\"") != NULL;
    l->ended += strstr(json, "\"type\":\"invoke\"") == NULL;
}

static void test_run__a_history_has_each_operation_twice(void **state)
{
    static sim_result result;
    test_env t;
    lines l = { 0, 0 };
    sim_plan *p;

    (void)state;
    test_env_init(&t, 1);
    p = plan_of(&t, rough, 2);
    sim_run(&(sim_run_opts){ .env = &t.env,
                             .seed = 2,
                             .plan = p,
                             .history = on_history,
                             .ctx = &l },
            &result);
    sim_plan_free(p);
    assert_true(l.invoked > 40);
    assert_int_equal(l.invoked, l.ended);
    test_env_check_empty(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_run__one_seed_one_course),
        cmocka_unit_test(test_run__what_cannot_converge_is_a_failure),
        cmocka_unit_test(test_run__a_setup_is_run_at_each_start),
        cmocka_unit_test(test_run__what_is_expected_is_checked),
        cmocka_unit_test(test_run__a_history_has_each_operation_twice),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
