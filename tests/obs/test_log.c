// SPDX-License-Identifier: Apache-2.0
#include "obs/log.h"

#include <stdio.h>
#include <string.h>

#include "support/test_env.h"

typedef struct heard {
    unsigned count;
    tako_level level;
    char event[64];
    char fields[1200];
} heard;

static void on_log(void *ctx, tako_level level, const char *event,
                   const char *fields)
{
    heard *h = ctx;

    h->count++;
    h->level = level;
    (void)snprintf(h->event, sizeof h->event, "%s", event);
    (void)snprintf(h->fields, sizeof h->fields, "%s", fields);
}

static void test_log__hands_events_on_as_objects(void **state)
{
    static const tako_log_level in[] = { TAKO_LOG_ERROR, TAKO_LOG_WARN,
                                         TAKO_LOG_INFO, TAKO_LOG_DEBUG };
    static const tako_level out[] = { TAKO_LEVEL_ERROR, TAKO_LEVEL_WARN,
                                      TAKO_LEVEL_INFO, TAKO_LEVEL_DEBUG };
    test_env t;
    obs_log log;
    tako_env env;
    heard h = { 0 };

    (void)state;
    test_env_init(&t, 1);
    obs_log_env(&log, &t.env, on_log, &h, &env);
    for (size_t i = 0; i < 4; i++) {
        tako_log(&env, in[i], "happened", "\"n\":%zu", i);
        assert_int_equal(h.level, out[i]);
        assert_string_equal(h.event, "happened");
        assert_int_equal(h.fields[5], '0' + (int)i);
    }
    tako_log(&env, TAKO_LOG_INFO, "bare", "%s", "");
    assert_string_equal(h.fields, "{}");
    assert_int_equal(h.count, 5);
}

/* tako_log cuts what is too long; what reaches the program still parses. */
static void test_log__never_hands_on_half_an_object(void **state)
{
    test_env t;
    obs_log log;
    tako_env env;
    heard h = { 0 };
    char text[3000];

    (void)state;
    memset(text, 'x', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    test_env_init(&t, 1);
    obs_log_env(&log, &t.env, on_log, &h, &env);
    tako_log(&env, TAKO_LOG_INFO, "long", "\"s\":\"%s\"", text);
    assert_int_equal(h.fields[0], '{');
    assert_int_equal(h.fields[strlen(h.fields) - 1], '}');
    assert_true(strstr(h.fields, "xx") == NULL ||
                h.fields[strlen(h.fields) - 2] == '"');
}

static void test_log__keeps_the_rest_of_the_environment(void **state)
{
    test_env t;
    obs_log log;
    tako_env env;
    uint8_t a[8], b[8];
    void *p;

    (void)state;
    test_env_init(&t, 7);
    obs_log_env(&log, &t.env, NULL, NULL, &env);
    assert_null(env.log);
    tako_log(&env, TAKO_LOG_INFO, "silence", "%s", "");
    assert_int_equal(env.wall_ms(env.ctx), t.wall_ms);
    assert_int_equal(env.mono_ms(env.ctx), t.mono_ms);
    env.random(env.ctx, a, sizeof a);
    env.random(env.ctx, b, sizeof b);
    assert_memory_not_equal(a, b, sizeof a);
    p = tako_env_alloc(&env, 100);
    assert_non_null(p);
    assert_int_equal(t.live_bytes, 100);
    tako_env_free(&env, p, 100);
    t.fail_after = 0;
    assert_null(tako_env_alloc(&env, 1));
    test_env_check_empty(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_log__hands_events_on_as_objects),
        cmocka_unit_test(test_log__never_hands_on_half_an_object),
        cmocka_unit_test(test_log__keeps_the_rest_of_the_environment),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
