// SPDX-License-Identifier: Apache-2.0
/* tests/sys/test_env.c mirrors src/sys/env.c. */
#include "support/test_env.h"

#include <string.h>
#include <time.h>

#include "sys/sys.h"

static void test_env__memory_grows_shrinks_and_is_freed(void **state)
{
    tako_env env;
    uint8_t *p;

    (void)state;
    sys_env_init(&env);
    p = env.realloc(env.ctx, NULL, 0, 10);
    assert_non_null(p);
    memset(p, 7, 10);
    p = env.realloc(env.ctx, p, 10, 100000);
    assert_non_null(p);
    assert_int_equal(p[9], 7);
    p = env.realloc(env.ctx, p, 100000, 4);
    assert_int_equal(p[3], 7);
    assert_null(env.realloc(env.ctx, p, 4, 0));
    assert_null(env.realloc(env.ctx, NULL, 0, 0));
}

static void test_env__clocks_tell_milliseconds(void **state)
{
    tako_env env;
    uint64_t wall, before, after;

    (void)state;
    sys_env_init(&env);
    wall = env.wall_ms(env.ctx);
    assert_true(wall / 1000 + 2 >= (uint64_t)time(NULL));
    assert_true(wall / 1000 <= (uint64_t)time(NULL) + 2);
    before = env.mono_ms(env.ctx);
    for (int i = 0; i < 1000; i++) {
        after = env.mono_ms(env.ctx);
        assert_true(after >= before);
        before = after;
    }
}

static void test_env__random_bytes_differ_and_fill_the_buffer(void **state)
{
    tako_env env;
    uint8_t a[5000] = { 0 }, b[5000] = { 0 };
    int zeros = 0;

    (void)state;
    sys_env_init(&env);
    env.random(env.ctx, a, sizeof a);
    env.random(env.ctx, b, sizeof b);
    assert_memory_not_equal(a, b, sizeof a);
    for (size_t i = sizeof a - 100; i < sizeof a; i++)
        zeros += a[i] == 0;
    assert_true(zeros < 20);
}

static void test_env__trimming_leaves_what_is_in_use(void **state)
{
    enum { N = 64, BYTES = 100000 };
    tako_env env;
    uint8_t *p[N];

    (void)state;
    sys_env_init(&env);
    for (size_t i = 0; i < N; i++) {
        p[i] = env.realloc(env.ctx, NULL, 0, BYTES);
        assert_non_null(p[i]);
        memset(p[i], (int)i, BYTES);
    }
    for (size_t i = 0; i < N; i += 2)
        (void)env.realloc(env.ctx, p[i], BYTES, 0);
    sys_memory_trim();
    for (size_t i = 1; i < N; i += 2) {
        assert_true(p[i][0] == i && p[i][BYTES - 1] == i);
        (void)env.realloc(env.ctx, p[i], BYTES, 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_env__memory_grows_shrinks_and_is_freed),
        cmocka_unit_test(test_env__clocks_tell_milliseconds),
        cmocka_unit_test(test_env__random_bytes_differ_and_fill_the_buffer),
        cmocka_unit_test(test_env__trimming_leaves_what_is_in_use),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
