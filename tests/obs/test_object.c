// SPDX-License-Identifier: Apache-2.0
#include "obs/object.h"

#include "support/test_env.h"

static void test_object__writes_members_with_commas_between(void **state)
{
    test_env t;
    tako_buf b;

    (void)state;
    test_env_init(&t, 1);
    b = tako_buf_on(&t.env);
    tako_put_u8(&b, '{');
    obs_put_str(&b, "s", tako_slice_str("a \"b\""));
    obs_put_u64(&b, "n", UINT64_MAX);
    obs_put_bool(&b, "t", true);
    obs_put_hex(&b, "h", tako_slice_of("\x00\xfe", 2));
    obs_put_key(&b, "o");
    tako_put_u8(&b, '{');
    obs_put_bool(&b, "f", false);
    tako_put_str(&b, "}}");
    assert_string_equal(tako_buf_cstr(&b),
                        "{\"s\":\"a \\\"b\\\"\",\"n\":18446744073709551615,"
                        "\"t\":true,\"h\":\"00fe\",\"o\":{\"f\":false}}");
    tako_buf_fini(&b);
    test_env_check_empty(&t);
}

static void test_hex__is_lower_case_and_ends(void **state)
{
    char out[9] = "********";

    (void)state;
    obs_hex(tako_slice_of("\x0a\xbc\xde", 3), out);
    assert_string_equal(out, "0abcde");
    obs_hex(TAKO_SLICE_NONE, out);
    assert_string_equal(out, "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_object__writes_members_with_commas_between),
        cmocka_unit_test(test_hex__is_lower_case_and_ends),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
