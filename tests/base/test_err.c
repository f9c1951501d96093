// SPDX-License-Identifier: Apache-2.0
#include "support/test_env.h"

#include <string.h>

#include "base/check.h"
#include "base/err.h"

static const tako_err codes[] = {
#define X(name, num, retry, msg) TAKO_##name,
    TAKO_ERR_MAP(X)
#undef X
};

#define CODES (sizeof codes / sizeof *codes)

static void test_err__codes_are_unique_and_described(void **state)
{
    (void)state;

    assert_int_equal(TAKO_OK, 0);
    for (size_t i = 0; i < CODES; i++) {
        assert_int_equal(codes[i], -(int)i); /* numbers are a promise */
        assert_true(strlen(tako_err_message(codes[i])) > 0);
        assert_memory_equal(tako_err_name(codes[i]), "TAKO_", 5);
        for (size_t j = 0; j < i; j++) {
            assert_string_not_equal(tako_err_name(codes[i]),
                                    tako_err_name(codes[j]));
            assert_string_not_equal(tako_err_message(codes[i]),
                                    tako_err_message(codes[j]));
        }
    }
    assert_string_equal(tako_err_name(TAKO_BUSY), "TAKO_BUSY");
    assert_true(tako_err_is_transient(TAKO_BUSY));
    assert_false(tako_err_is_transient(TAKO_OK));
    assert_false(tako_err_is_transient(TAKO_CORRUPT));
}

static void test_err__unknown_codes_have_a_text_too(void **state)
{
    const tako_err unknown = (tako_err)(-(int)CODES);
    (void)state;

    assert_non_null(tako_err_message(unknown));
    assert_string_equal(tako_err_name(unknown), "TAKO_UNKNOWN");
    assert_false(tako_err_is_transient(unknown));
}

static void test_err__fail_formats_cuts_and_returns_the_code(void **state)
{
    tako_errbuf e;
    char longer[2 * sizeof e.text];
    (void)state;

    assert_int_equal(tako_fail(&e, TAKO_LIMIT, "%s %d", "at", 7), TAKO_LIMIT);
    assert_string_equal(e.text, "at 7");
    assert_int_equal(tako_fail(NULL, TAKO_IO, "%s", "nowhere"), TAKO_IO);
    memset(longer, 'x', sizeof longer - 1);
    longer[sizeof longer - 1] = '\0';
    assert_int_equal(tako_fail(&e, TAKO_IO, "%s", longer), TAKO_IO);
    assert_int_equal(strlen(e.text), sizeof e.text - 1);
}

static tako_err tries(tako_err err, int *reached)
{
    TAKO_TRY(err);
    *reached += 1;
    return TAKO_OK;
}

static tako_err takes_an_argument(const void *p)
{
    TAKO_ARG(p != NULL);
    TAKO_ASSERT(p != NULL);
    TAKO_DCHECK(p != NULL);
    return TAKO_OK;
}

static void test_err__macros_return_what_they_say(void **state)
{
    int reached = 0;
    (void)state;

    assert_int_equal(tries(TAKO_OK, &reached), TAKO_OK);
    assert_int_equal(tries(TAKO_DENIED, &reached), TAKO_DENIED);
    assert_int_equal(reached, 1);
    assert_int_equal(takes_an_argument(NULL), TAKO_MISUSE);
    assert_int_equal(takes_an_argument(&reached), TAKO_OK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_err__codes_are_unique_and_described),
        cmocka_unit_test(test_err__unknown_codes_have_a_text_too),
        cmocka_unit_test(test_err__fail_formats_cuts_and_returns_the_code),
        cmocka_unit_test(test_err__macros_return_what_they_say),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
