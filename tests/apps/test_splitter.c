// SPDX-License-Identifier: Apache-2.0
#include "splitter.h"

#include "base/limits.h"
#include "support/test_env.h"

#include <stdlib.h>
#include <string.h>

/* Reads a text to its end; returns the last error and what was met as
 * "line:value" joined by '|'. */
static tako_err split(test_env *t, const void *text, size_t len, char *out,
                      size_t cap, tako_errbuf *e)
{
    FILE *f = len > 0 ? fmemopen((void *)(uintptr_t)text, len, "rb")
                      : fopen("/dev/null", "rb");
    splitter s;
    tako_slice value;
    uint64_t line;
    tako_err err;

    assert_non_null(f);
    out[0] = '\0';
    splitter_init(&s, &t->env, f);
    while ((err = splitter_next(&s, &value, &line, e)) == TAKO_OK) {
        size_t at = strlen(out);

        (void)snprintf(out + at, cap - at, "%s%llu:%.*s", at > 0 ? "|" : "",
                       (unsigned long long)line, (int)value.len,
                       (const char *)value.ptr);
    }
    if (err != TAKO_NOTFOUND && e->text[0] != '\0')
        (void)snprintf(e->text + strlen(e->text),
                       sizeof e->text - strlen(e->text), " in line %llu",
                       (unsigned long long)s.line);
    splitter_fini(&s);
    fclose(f);
    return err;
}

static void test_splitter__cuts_lines_and_elements(void **state)
{
    static const struct {
        const char *text, *values;
        tako_err end;
        const char *why;
    } rows[] = {
        { "", "", TAKO_NOTFOUND, NULL },
        { " \n\t\r\n", "", TAKO_NOTFOUND, NULL },
        { "{\"a\":1}", "1:{\"a\":1}", TAKO_NOTFOUND, NULL },
        { "\n\n1\n\n 2\r\n3", "3:1|5:2\r|6:3", TAKO_NOTFOUND, NULL },
        { "{\"a\":[\n", "1:{\"a\":[", TAKO_NOTFOUND, NULL },
        { "[]", "", TAKO_NOTFOUND, NULL },
        { " [ ] \n", "", TAKO_NOTFOUND, NULL },
        { "[1,2]", "1:1|1:2", TAKO_NOTFOUND, NULL },
        { "[\n1\n,\n{\"a\":\n[2,3]}]\n", "2:1\n|4:{\"a\":\n[2,3]}",
          TAKO_NOTFOUND, NULL },
        { "[\"]\",\"\\\"],\",\"\\\\\"]", "1:\"]\"|1:\"\\\"],\"|1:\"\\\\\"",
          TAKO_NOTFOUND, NULL },
        /* holes are handed out: the reader of the value refuses them */
        { "[1,]", "1:1|1:", TAKO_NOTFOUND, NULL },
        { "[,1]", "1:|1:1", TAKO_NOTFOUND, NULL },
        { "[", "", TAKO_INVALID, "no end in line 1" },
        { "[1", "", TAKO_INVALID, "no end in line 1" },
        { "[1,\n\n", "1:1", TAKO_INVALID, "no end in line 3" },
        { "[\"a\n]", "", TAKO_INVALID, "no end in line 2" },
        { "[1]\nx", "1:1", TAKO_INVALID, "follows the array in line 2" },
        { "[] []", "", TAKO_INVALID, "follows the array" },
    };
    test_env t;
    char out[1024];

    (void)state;
    test_env_init(&t, 1);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        tako_errbuf e = { "" };
        tako_err err =
            split(&t, rows[i].text, strlen(rows[i].text), out, sizeof out, &e);

        if (err != rows[i].end || strcmp(out, rows[i].values) != 0)
            fail_msg("%s: %s, %s", rows[i].text, tako_err_name(err), out);
        if (rows[i].why != NULL && strstr(e.text, rows[i].why) == NULL)
            fail_msg("%s: %s", rows[i].text, e.text);
    }
    test_env_check_empty(&t);
}

static void put_value(tako_buf *b, size_t i, size_t pad)
{
    tako_put_fmt(b, "{\"i\":%zu,\"t\":\"", i);
    for (size_t n = 0; n < pad; n++)
        tako_put_u8(b, (uint8_t)(n % 7 == 0 ? ',' : 'x'));
    tako_put_str(b, "\"}");
}

/* Values of all sizes across the reader's chunks come out whole. */
static void test_splitter__is_the_same_at_every_place(void **state)
{
    static const size_t pads[] = { 0, 10, 1000, 65500, 65536, 200000 };
    test_env t;

    (void)state;
    test_env_init(&t, 1);
    for (int array = 0; array < 2; array++) {
        tako_buf text = tako_buf_on(&t.env), want = tako_buf_on(&t.env);
        FILE *f;
        splitter s;
        tako_slice value = TAKO_SLICE_NONE;
        uint64_t line = 0;

        tako_put_str(&text, array ? "[" : "");
        for (size_t i = 0; i < 60; i++) {
            if (i > 0)
                tako_put_str(&text, array ? ",\n" : "\n");
            put_value(&text, i, pads[i % 6]);
        }
        tako_put_str(&text, array ? "]" : "");
        f = fmemopen(text.ptr, text.len, "rb");
        assert_non_null(f);
        splitter_init(&s, &t.env, f);
        for (size_t i = 0; i < 60; i++) {
            tako_buf_reset(&want);
            put_value(&want, i, pads[i % 6]);
            assert_int_equal(splitter_next(&s, &value, &line, NULL), TAKO_OK);
            assert_true(tako_slice_eq(value, tako_buf_slice(&want)));
            assert_int_equal(line, i + 1);
        }
        assert_int_equal(splitter_next(&s, &value, &line, NULL), TAKO_NOTFOUND);
        /* what was handed out is let go: not the whole text is held */
        assert_true(s.in.cap < text.len / 2);
        splitter_fini(&s);
        fclose(f);
        tako_buf_fini(&text);
        tako_buf_fini(&want);
    }
    test_env_check_empty(&t);
}

static void test_splitter__a_value_has_a_limit(void **state)
{
    size_t len = (size_t)TAKO_VALUE_BYTES_MAX + 100000;
    char *text = malloc(len);
    char out[64];
    tako_errbuf e = { "" };
    test_env t;

    (void)state;
    assert_non_null(text);
    memset(text, 'x', len);
    test_env_init(&t, 1);
    assert_int_equal(split(&t, text, len, out, sizeof out, &e), TAKO_LIMIT);
    text[0] = '[';
    assert_int_equal(split(&t, text, len, out, sizeof out, &e), TAKO_LIMIT);
    assert_string_equal(out, "");
    test_env_check_empty(&t);
    free(text);
}

static void test_splitter__survives_failing_allocations(void **state)
{
    static const char text[] = "[1,[2,3],{\"a\":4}]";
    test_env t;
    char out[64];

    (void)state;
    for (long n = 0;; n++) {
        tako_errbuf e = { "" };
        tako_err err;

        test_env_init(&t, 1);
        t.fail_after = n;
        err = split(&t, text, strlen(text), out, sizeof out, &e);
        test_env_check_empty(&t);
        if (!t.failed_once)
            break;
        assert_int_equal(err, TAKO_NOMEM);
    }
    assert_string_equal(out, "1:1|1:[2,3]|1:{\"a\":4}");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_splitter__cuts_lines_and_elements),
        cmocka_unit_test(test_splitter__is_the_same_at_every_place),
        cmocka_unit_test(test_splitter__a_value_has_a_limit),
        cmocka_unit_test(test_splitter__survives_failing_allocations),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
