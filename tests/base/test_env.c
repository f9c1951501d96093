// SPDX-License-Identifier: Apache-2.0
#include "support/test_env.h"

#include <stdio.h>
#include <string.h>

#include "base/slice.h"

static void test_env__memory_is_zeroed_and_counted(void **state)
{
    test_env t;
    uint8_t *p;
    (void)state;

    test_env_init(&t, 0);
    p = tako_env_alloc(&t.env, 1000);
    assert_non_null(p);
    for (size_t i = 0; i < 1000; i++)
        assert_int_equal(p[i], 0);
    assert_int_equal(t.live_bytes, 1000);
    tako_env_free(&t.env, p, 1000);
    tako_env_free(&t.env, NULL, 0);
    t.fail_after = 0;
    assert_null(tako_env_alloc(&t.env, 1));
    test_env_check_empty(&t);
}

/* --- logging ---------------------------------------------------------- */

typedef struct seen {
    unsigned count;
    tako_log_level level;
    char event[64];
    char fields[4096];
} seen;

static void see(void *ctx, tako_log_level level, const char *event,
                const char *fields)
{
    seen *s = ctx;

    s->count++;
    s->level = level;
    (void)snprintf(s->event, sizeof s->event, "%s", event);
    (void)snprintf(s->fields, sizeof s->fields, "%s", fields);
}

static void test_env__events_reach_the_log(void **state)
{
    seen s = { 0 };
    tako_env env = { &s, NULL, NULL, NULL, NULL, see };
    (void)state;

    tako_log(&env, TAKO_LOG_WARN, "link.lost", "\"peer\":\"%s\",\"n\":%d", "a",
             3);
    assert_int_equal(s.count, 1);
    assert_int_equal(s.level, TAKO_LOG_WARN);
    assert_string_equal(s.event, "link.lost");
    assert_string_equal(s.fields, "\"peer\":\"a\",\"n\":3");
    tako_log(&env, TAKO_LOG_INFO, "start", "%s", "");
    assert_string_equal(s.fields, "");
    env.log = NULL;
    tako_log(&env, TAKO_LOG_INFO, "nobody", "%s", "listens");
    assert_int_equal(s.count, 2);
}

/* Fields that are too long must not become half a JSON object. */
static void test_env__fields_that_are_too_long_are_not_cut_open(void **state)
{
    seen s = { 0 };
    tako_env env = { &s, NULL, NULL, NULL, NULL, see };
    char text[3000];
    (void)state;

    for (size_t n = 900; n < 1200; n++) {
        size_t quotes = 0;

        memset(text, 'x', sizeof text);
        text[n] = '\0';
        tako_log(&env, TAKO_LOG_INFO, "long", "\"text\":\"%s\"", text);
        for (const char *p = s.fields; *p != '\0'; p++)
            quotes += *p == '"';
        assert_int_equal(quotes % 2, 0);
        assert_true(strlen(s.fields) > 0);
        tako_log(&env, TAKO_LOG_INFO, "long", "\"a\":[1,2],\"text\":\"%s,%s\"",
                 text, "\\\"");
        if (n > 1010)
            assert_string_equal(s.fields, "\"a\":[1,2],\"cut\":true");
        tako_log(&env, TAKO_LOG_INFO, "long", "\"text\":\"%s,\"", text);
        if (n > 1020)
            assert_string_equal(s.fields, "\"cut\":true");
    }
}

static void test_env__log_strings_are_quoted_and_fit(void **state)
{
    char out[64], guard[8];
    (void)state;

    assert_string_equal(tako_log_str("plain", out, sizeof out), "\"plain\"");
    assert_string_equal(tako_log_str("", out, sizeof out), "\"\"");
    assert_string_equal(tako_log_str("a\"b\\c", out, sizeof out),
                        "\"a\\\"b\\\\c\"");
    assert_string_equal(tako_log_str("\x01\n\x7f\xc3\xa9", out, sizeof out),
                        "\"\?\?\?\?\?\"");
    for (size_t cap = 0; cap <= sizeof guard; cap++) {
        memset(guard, 'g', sizeof guard);
        (void)tako_log_str("\"\"\"\"\"\"\"\"", guard, cap);
        for (size_t i = cap; i < sizeof guard; i++)
            assert_int_equal(guard[i], 'g');
        if (cap > 0)
            assert_true(memchr(guard, '\0', cap) != NULL);
        if (cap >= 3) {
            /* quoted, with whole escapes inside */
            assert_int_equal(guard[0], '"');
            assert_int_equal(guard[strlen(guard) - 1], '"');
            assert_int_equal(strlen(guard) % 2, 0);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_env__memory_is_zeroed_and_counted),
        cmocka_unit_test(test_env__events_reach_the_log),
        cmocka_unit_test(test_env__fields_that_are_too_long_are_not_cut_open),
        cmocka_unit_test(test_env__log_strings_are_quoted_and_fit),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
