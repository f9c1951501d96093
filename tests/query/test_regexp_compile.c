// SPDX-License-Identifier: Apache-2.0
/* tests/query/test_regexp_compile.c mirrors src/query/regexp_compile.c: what
 * is a pattern and what is not, and how large one may be. */
#include "support/test_env.h"

#include "base/limits.h"
#include "query/regexp.h"

static tako_err compile(const char *pattern, unsigned flags)
{
    test_env t;
    regexp *r;
    tako_err err;

    test_env_init(&t, 1);
    err = regexp_new(&t.env, tako_slice_str(pattern), flags, &r);
    assert_true((err == TAKO_OK) == (r != NULL));
    if (r != NULL)
        assert_true(regexp_size(r) <= TAKO_REGEXP_PROGRAM_MAX);
    regexp_free(r);
    test_env_check_empty(&t);
    return err;
}

static void test_regexp_compile__takes_what_is_well_formed(void **state)
{
    static const char *const rows[] = {
        "",
        "a",
        "a|",
        "|",
        "()",
        "(|a)*",
        "a{2}",
        "a{2,}",
        "a{2,3}?",
        "a{,3}",
        "a{x}",
        "{",
        "a{1",
        "}",
        "]",
        "[]a]",
        "[^]a]",
        "[a-]",
        "[-a]",
        "[\\]]",
        "[\\d-z]",
        "(?:a)",
        "\\.",
        "\\x41",
        "\\x{1F600}",
        "\\u00e4",
        "\\bx\\B",
        "\\Ax\\z",
        "(a*)*",
        "(a*)+",
        "[[:alpha:]_]",
        "a??",
        "\\-",
        "\xC3\xA4+",
        "[\xC3\xA4-\xC3\xBC]",
        "[^\\s\\S]",
        "^*",
        "a{0}",
        "\\_",
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        if (compile(rows[i], 0) != TAKO_OK)
            fail_msg("%s", rows[i]);
    }
}

static void test_regexp_compile__refuses_what_is_not(void **state)
{
    static const char *const rows[] = {
        "(",     ")",          "a)",      "(a",    "[a",          "[",
        "[]",    "[^]",        "*",       "+a",    "?",           "a**",
        "a*+",   "a{2}{3}",    "a{3,2}",  "\\",    "\\1",         "(a)\\1",
        "(?=a)", "(?!a)",      "(?<n>a)", "(?i)a", "[b-a]",       "[a-\\d]",
        "\\xZ",  "\\x4",       "\\u12",   "\\x{}", "\\x{110000}", "\\p{L}",
        "\\q",   "[[:nope:]]", "(|*)",    "[a\\",
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        if (compile(rows[i], 0) != TAKO_INVALID)
            fail_msg("%s", rows[i]);
    }
}

static void test_regexp_compile__similar_has_its_own_syntax(void **state)
{
    static const char *const good[] = {
        "",      "%",     "_%_",    "a|b",  "(a)*",
        "a{2,}", "[a-z]", "\\%\\_", "a.^$", "[[:DIGIT:]]+"
    };
    static const char *const bad[] = { "(", "*", "a*?",   "a**", "{2}",
                                       "}", "]", "(?:a)", "\\",  "[a" };

    (void)state;
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        if (compile(good[i], REGEXP_SIMILAR) != TAKO_OK)
            fail_msg("%s", good[i]);
    }
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        if (compile(bad[i], REGEXP_SIMILAR) != TAKO_INVALID)
            fail_msg("%s", bad[i]);
    }
}

static void test_regexp_compile__size_and_depth_are_bounded(void **state)
{
    static char text[200 * 1000];
    size_t n;

    (void)state;
    assert_int_equal(compile("a{4000}", 0), TAKO_OK);
    assert_int_equal(compile("a{6000}", 0), TAKO_LIMIT);
    assert_int_equal(compile("a{0,99999999999999999999}", 0), TAKO_LIMIT);
    assert_int_equal(compile("((((a{50}){50}){50}){50}){50}", 0), TAKO_LIMIT);
    assert_int_equal(compile("(((((a*)*)*)*)*)*", 0), TAKO_OK);
    for (unsigned depth = TAKO_REGEXP_DEPTH_MAX;
         depth <= TAKO_REGEXP_DEPTH_MAX + 1; depth++) {
        memset(text, '(', depth);
        memset(text + depth, ')', depth);
        text[2 * depth] = '\0';
        assert_int_equal(compile(text, 0),
                         depth == TAKO_REGEXP_DEPTH_MAX ? TAKO_OK : TAKO_LIMIT);
    }
    memset(text, '(', sizeof text - 1);
    assert_int_equal(compile(text, 0), TAKO_LIMIT);
    /* Many alternatives, many ranges, many pieces that are dropped again. */
    for (n = 0; n + 2 < sizeof text; n += 2)
        memcpy(text + n, "a|", 2);
    text[n] = '\0';
    assert_int_equal(compile(text, 0), TAKO_LIMIT);
    memset(text, 'a', sizeof text - 1);
    text[0] = '[';
    text[sizeof text - 2] = ']';
    assert_int_equal(compile(text, 0), TAKO_LIMIT);
    for (n = 0; n + 4 < sizeof text; n += 4)
        memcpy(text + n, "a{0}", 4);
    text[n] = '\0';
    assert_int_equal(compile(text, 0), TAKO_OK);
}

static void test_regexp_compile__a_failed_allocation_is_an_error(void **state)
{
    tako_slice pattern = tako_slice_str("(a|[b-d\\w])+x{2,5}\\b$");
    long n = 0;

    (void)state;
    for (;; n++) {
        test_env t;
        regexp *r;
        tako_err err;

        test_env_init(&t, 1);
        t.fail_after = n;
        err = regexp_new(&t.env, pattern, REGEXP_ANY_CASE, &r);
        if (t.failed_once)
            assert_int_equal(err, TAKO_NOMEM);
        regexp_free(r);
        test_env_check_empty(&t);
        if (!t.failed_once)
            break;
    }
    assert_true(n > 4);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_regexp_compile__takes_what_is_well_formed),
        cmocka_unit_test(test_regexp_compile__refuses_what_is_not),
        cmocka_unit_test(test_regexp_compile__similar_has_its_own_syntax),
        cmocka_unit_test(test_regexp_compile__size_and_depth_are_bounded),
        cmocka_unit_test(test_regexp_compile__a_failed_allocation_is_an_error),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
