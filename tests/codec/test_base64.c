// SPDX-License-Identifier: Apache-2.0
#include "support/test_env.h"

#include "codec/base64.h"

static void test_base64__rfc_4648_section_10(void **state)
{
    static const char *rows[][2] = {
        { "", "" },
        { "f", "Zg==" },
        { "fo", "Zm8=" },
        { "foo", "Zm9v" },
        { "foob", "Zm9vYg==" },
        { "fooba", "Zm9vYmE=" },
        { "foobar", "Zm9vYmFy" },
    };
    test_env t;
    tako_buf b;
    (void)state;

    test_env_init(&t, 0);
    b = tako_buf_on(&t.env);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        uint8_t out[8];
        size_t n;

        tako_buf_reset(&b);
        base64_put(&b, tako_slice_str(rows[i][0]));
        assert_string_equal(tako_buf_cstr(&b), rows[i][1]);
        assert_true(base64_check(tako_slice_str(rows[i][1]), &n));
        assert_int_equal(n, strlen(rows[i][0]));
        base64_decode(tako_slice_str(rows[i][1]), out);
        assert_memory_equal(out, rows[i][0], n);
    }
    tako_buf_fini(&b);
    test_env_check_empty(&t);
}

static void test_base64__random_bytes_come_back_in_place(void **state)
{
    test_env t;
    tako_buf b;
    uint8_t in[200];
    (void)state;

    test_env_init(&t, test_seed(50));
    b = tako_buf_on(&t.env);
    for (unsigned i = 0; i < 20000; i++) {
        size_t len = test_below(&t, sizeof in), n;

        for (size_t j = 0; j < len; j++)
            in[j] = (uint8_t)test_random(&t);
        tako_buf_reset(&b);
        base64_put(&b, tako_slice_of(in, len));
        assert_true(base64_check(tako_buf_slice(&b), &n));
        assert_int_equal(n, len);
        base64_decode(tako_buf_slice(&b), b.ptr);
        if (len > 0)
            assert_memory_equal(b.ptr, in, len);
    }
    tako_buf_fini(&b);
    test_env_check_empty(&t);
}

/* One text for each bytes: all texts of four characters, of which exactly
 * 256 + 256^2 + 256^3 stand for something; here those that end in '='. */
static void test_base64__only_canonical_text_is_accepted(void **state)
{
    unsigned two = 0, one = 0;
    uint8_t s[4];
    size_t n;
    (void)state;

    s[2] = s[3] = '=';
    for (unsigned i = 0; i < 0x10000; i++) {
        s[0] = (uint8_t)(i >> 8);
        s[1] = (uint8_t)i;
        one += base64_check(tako_slice_of(s, 4), &n);
    }
    for (unsigned i = 0; i < 0x1000000; i++) {
        s[0] = (uint8_t)(i >> 16);
        s[1] = (uint8_t)(i >> 8);
        s[2] = (uint8_t)i;
        if (s[2] != '=')
            two += base64_check(tako_slice_of(s, 4), &n);
    }
    assert_int_equal(one, 256);
    assert_int_equal(two, 65536);
    for (size_t len = 1; len < 9; len++)
        assert_int_equal(base64_check(tako_slice_of("AAAAAAAA", len), &n),
                         len % 4 == 0);
    assert_false(base64_check(tako_slice_str("===="), &n));
    assert_false(base64_check(tako_slice_str("A==="), &n));
    assert_false(base64_check(tako_slice_str("AA==AAAA"), &n));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_base64__rfc_4648_section_10),
        cmocka_unit_test(test_base64__random_bytes_come_back_in_place),
        cmocka_unit_test(test_base64__only_canonical_text_is_accepted),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
