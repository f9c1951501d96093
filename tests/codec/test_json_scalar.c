// SPDX-License-Identifier: Apache-2.0
/* Strings and numbers on their own; the texts of json_rows.h have the edges
 * of the grammar, test_decimal.c the arithmetic. */
#include "support/test_env.h"

#include <stdio.h>

#include "codec/json.h"
#include "codec/utf8.h"
#include "support_random.h"

/* A special byte is seen at every place of a stretch of eight, whatever
 * stands around it. */
static void test_json_scalar__strings_of_every_length(void **state)
{
    static const char *specials[] = { "\\n",  "\xc3\xa9", "\\u00e9",
                                      "\x7f", "\\\"",     "\\\\" };
    static const char *plain[] = { "\n",   "\xc3\xa9", "\xc3\xa9",
                                   "\x7f", "\"",       "\\" };
    test_env t;
    tako_buf text, want, got;
    (void)state;

    test_env_init(&t, 0);
    text = tako_buf_on(&t.env);
    want = tako_buf_on(&t.env);
    got = tako_buf_on(&t.env);
    for (size_t len = 0; len < 300; len++)
        for (size_t k = 0; k < 6; k++) {
            size_t at = len * 7 % (len + 1);

            tako_buf_reset(&text);
            tako_buf_reset(&want);
            tako_buf_reset(&got);
            tako_put_u8(&text, '"');
            for (size_t i = 0; i <= len; i++) {
                if (i == at) {
                    tako_put_str(&text, specials[k]);
                    tako_put_str(&want, plain[k]);
                }
                if (i < len) {
                    tako_put_u8(&text, (uint8_t)('a' + i % 26));
                    tako_put_u8(&want, (uint8_t)('a' + i % 26));
                }
            }
            tako_put_u8(&text, '"');
            assert_int_equal(json_to_cbor(tako_buf_slice(&text), 0, &got, NULL),
                             TAKO_OK);
            tako_buf_reset(&text);
            cbor_put_text(&text, tako_buf_slice(&want));
            assert_true(
                tako_slice_eq(tako_buf_slice(&text), tako_buf_slice(&got)));
        }
    tako_buf_fini(&text);
    tako_buf_fini(&want);
    tako_buf_fini(&got);
    test_env_check_empty(&t);
}

/* Random text, each character raw where JSON lets it be, or as \u in either
 * case of digits. */
static void put_json_char(test_env *t, tako_buf *b, uint32_t cp)
{
    uint8_t raw[4];
    bool must = cp < 0x20 || cp == '"' || cp == '\\';
    bool upper = test_below(t, 2) == 0;

    if (!must && test_below(t, 3) > 0) {
        tako_put_bytes(b, tako_slice_of(raw, utf8_put(cp, raw)));
    } else if (cp < 0x10000) {
        tako_put_fmt(b, upper ? "\\u%04X" : "\\u%04x", cp);
    } else {
        uint32_t high = 0xd800 + ((cp - 0x10000) >> 10);
        uint32_t low = 0xdc00 + ((cp - 0x10000) & 0x3ff);

        tako_put_fmt(b, upper ? "\\u%04X\\u%04X" : "\\u%04x\\u%04x", high, low);
    }
}

static void test_json_scalar__escaped_and_raw_text_are_one(void **state)
{
    test_env t;
    tako_buf text, want, got;
    (void)state;

    test_env_init(&t, test_seed(80));
    text = tako_buf_on(&t.env);
    want = tako_buf_on(&t.env);
    got = tako_buf_on(&t.env);
    for (unsigned i = 0; i < 20000; i++) {
        size_t n = test_below(&t, 30);

        tako_buf_reset(&text);
        tako_buf_reset(&want);
        tako_buf_reset(&got);
        tako_put_u8(&text, '"');
        while (n-- > 0) {
            uint32_t cp = (uint32_t)test_below(
                &t, (uint64_t[]){ 0x80, 0x800, 0xd800, 0x110000 }[n % 4]);
            uint8_t raw[4];

            if (cp >= 0xd800 && cp < 0xe000)
                continue;
            put_json_char(&t, &text, cp);
            tako_put_bytes(&want, tako_slice_of(raw, utf8_put(cp, raw)));
        }
        tako_put_u8(&text, '"');
        assert_int_equal(json_to_cbor(tako_buf_slice(&text), 0, &got, NULL),
                         TAKO_OK);
        tako_buf_reset(&text);
        cbor_put_text(&text, tako_buf_slice(&want));
        assert_true(tako_slice_eq(tako_buf_slice(&text), tako_buf_slice(&got)));
    }
    tako_buf_fini(&text);
    tako_buf_fini(&want);
    tako_buf_fini(&got);
    test_env_check_empty(&t);
}

static void test_json_scalar__integers_of_int64_stay_integers(void **state)
{
    test_env t;
    tako_buf text, want, got;
    (void)state;

    test_env_init(&t, test_seed(81));
    text = tako_buf_on(&t.env);
    want = tako_buf_on(&t.env);
    got = tako_buf_on(&t.env);
    for (unsigned i = 0; i < 200000; i++) {
        int64_t v = (int64_t)test_random(&t) >> test_below(&t, 64);

        if (i < 64)
            v = (int64_t)((uint64_t)INT64_MIN >> i);
        if (i >= 64 && i < 200)
            v = INT64_MAX - (i - 64);
        if (i >= 200 && i < 300)
            v = INT64_MIN + (i - 200);
        tako_buf_reset(&text);
        tako_buf_reset(&want);
        tako_buf_reset(&got);
        tako_put_fmt(&text, "%lld", (long long)v);
        cbor_put_int(&want, v);
        assert_int_equal(json_to_cbor(tako_buf_slice(&text), 0, &got, NULL),
                         TAKO_OK);
        assert_true(tako_slice_eq(tako_buf_slice(&want), tako_buf_slice(&got)));
        tako_buf_reset(&want);
        assert_int_equal(json_from_cbor(tako_buf_slice(&got), &want), TAKO_OK);
        assert_true(
            tako_slice_eq(tako_buf_slice(&text), tako_buf_slice(&want)));
    }
    tako_buf_fini(&text);
    tako_buf_fini(&want);
    tako_buf_fini(&got);
    test_env_check_empty(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_json_scalar__strings_of_every_length),
        cmocka_unit_test(test_json_scalar__escaped_and_raw_text_are_one),
        cmocka_unit_test(test_json_scalar__integers_of_int64_stay_integers),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
