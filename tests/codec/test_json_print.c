// SPDX-License-Identifier: Apache-2.0
#include "support/test_env.h"

#include <stdio.h>
#include <stdlib.h>

#include "codec/json.h"
#include "support_random.h"

/* The law of the module: every value comes back through JSON as the same
 * bytes, whether compact or indented, and the text is UTF-8. */
static void test_json_print__every_value_comes_back(void **state)
{
    test_env t;
    tako_buf value, text, back;
    (void)state;

    test_env_init(&t, test_seed(70));
    value = tako_buf_on(&t.env);
    text = tako_buf_on(&t.env);
    back = tako_buf_on(&t.env);
    for (unsigned i = 0; i < 60000; i++) {
        tako_errbuf e = { "" };
        tako_err err;

        tako_buf_reset(&value);
        tako_buf_reset(&text);
        tako_buf_reset(&back);
        support_random_value(&t, &value, i % 5);
        err = i % 2 == 0 ? json_from_cbor(tako_buf_slice(&value), &text)
                         : json_pretty_from_cbor(tako_buf_slice(&value), &text);
        assert_int_equal(err, TAKO_OK);
        assert_true(utf8_check(tako_buf_slice(&text)));
        err = json_to_cbor(tako_buf_slice(&text), i % 5, &back, &e);
        if (err != TAKO_OK)
            fail_msg("%s: %s", tako_buf_cstr(&text), e.text);
        if (!tako_slice_eq(tako_buf_slice(&value), tako_buf_slice(&back)))
            fail_msg("%s comes back as another value", tako_buf_cstr(&text));
    }
    tako_buf_fini(&value);
    tako_buf_fini(&text);
    tako_buf_fini(&back);
    test_env_check_empty(&t);
}

static void test_json_print__indented_text_looks_like_this(void **state)
{
    static const char in[] =
        "{\"a\":[],\"b\":{},\"c\":[1,[2.5,null]],\"d\":{\"$bytes\":\"aGk=\"},"
        "\"e\":{\"x\":true}}";
    static const char want[] = "{\n"
                               "  \"a\": [],\n"
                               "  \"b\": {},\n"
                               "  \"c\": [\n"
                               "    1,\n"
                               "    [\n"
                               "      2.5,\n"
                               "      null\n"
                               "    ]\n"
                               "  ],\n"
                               "  \"d\": {\"$bytes\": \"aGk=\"},\n"
                               "  \"e\": {\n"
                               "    \"x\": true\n"
                               "  }\n"
                               "}";
    test_env t;
    tako_buf value, text;
    (void)state;

    test_env_init(&t, 0);
    value = tako_buf_on(&t.env);
    text = tako_buf_on(&t.env);
    assert_int_equal(json_to_cbor(tako_slice_str(in), 64, &value, NULL),
                     TAKO_OK);
    assert_int_equal(json_pretty_from_cbor(tako_buf_slice(&value), &text),
                     TAKO_OK);
    assert_string_equal(tako_buf_cstr(&text), want);
    tako_buf_reset(&text);
    assert_int_equal(json_from_cbor(tako_buf_slice(&value), &text), TAKO_OK);
    assert_string_equal(tako_buf_cstr(&text), in);
    tako_buf_fini(&value);
    tako_buf_fini(&text);
    test_env_check_empty(&t);
}

static void test_json_print__doubles_look_like_this(void **state)
{
    static const struct {
        double v;
        const char *text;
    } rows[] = {
        { 0.0, "0.0" },
        { -0.0, "-0.0" },
        { 1.0, "1.0" },
        { -1.0, "-1.0" },
        { 10.0, "10.0" },
        { 100000.0, "100000.0" },
        { 1e15, "1000000000000000.0" },
        { 1e16, "1e16" },
        { 1.5e16, "1.5e16" },
        { 123456789012345678.0, "1.2345678901234568e17" },
        { 0.1, "0.1" },
        { 0.001, "0.001" },
        { 0.0001, "0.0001" },
        { 0.00012345, "0.00012345" },
        { 0.00001, "1e-5" },
        { 1.25e-7, "1.25e-7" },
        { 155.5, "155.5" },
        { 28.99, "28.99" },
        { 1.0 / 3, "0.3333333333333333" },
        { 2.0 / 3, "0.6666666666666666" },
        { 9007199254740991.0, "9007199254740991.0" },
        { 9007199254740992.0, "9007199254740992.0" },
        { 5e-324, "5e-324" },
        { 1e23, "1e23" },
        { 9.5e-323, "9.4e-323" },
        { 2.2250738585072014e-308, "2.2250738585072014e-308" },
        { 1.7976931348623157e308, "1.7976931348623157e308" },
    };
    test_env t;
    tako_buf text;
    (void)state;

    test_env_init(&t, 0);
    text = tako_buf_on(&t.env);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        tako_buf_reset(&text);
        json_put_double(&text, rows[i].v);
        assert_string_equal(tako_buf_cstr(&text), rows[i].text);
    }
    tako_buf_fini(&text);
}

static void test_json_print__strings_escape_what_they_must(void **state)
{
    test_env t;
    tako_buf text;
    (void)state;

    test_env_init(&t, 0);
    text = tako_buf_on(&t.env);
    json_put_string(&text, TAKO_SLICE_NONE);
    json_put_string(&text,
                    tako_slice_of("\0\x1f\"\\/\b\f\n\r\t\x7f\xc3\xa9", 13));
    assert_string_equal(tako_buf_cstr(&text),
                        "\"\"\"\\u0000\\u001f\\\"\\\\/\\b\\f\\n\\r\\t\x7f"
                        "\xc3\xa9\"");
    tako_buf_fini(&text);
    test_env_check_empty(&t);
}

static void test_json_print__unchecked_bytes_are_refused(void **state)
{
    static const char *rows[] = { "\xc0",          "\xf9\x7e", "\xf9\x7e\x00",
                                  "\xf9\x7c\x00",  "\x81",     "\xa1\x01\x01",
                                  "\xa1\x66$bytes" };
    static const size_t lens[] = { 1, 2, 3, 3, 1, 3, 8 };
    test_env t;
    tako_buf text;
    uint8_t deep[TAKO_JSON_DEPTH_MAX + 8];
    (void)state;

    test_env_init(&t, 0);
    text = tako_buf_on(&t.env);
    tako_put_str(&text, "x");
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        assert_int_equal(json_from_cbor(tako_slice_of(rows[i], lens[i]), &text),
                         TAKO_CORRUPT);
    assert_int_equal(json_from_cbor(TAKO_SLICE_NONE, &text), TAKO_CORRUPT);
    memset(deep, 0x81, sizeof deep);
    assert_int_equal(json_from_cbor(tako_slice_of(deep, sizeof deep), &text),
                     TAKO_CORRUPT);
    assert_int_equal(text.len, 1);
    tako_buf_fini(&text);
    test_env_check_empty(&t);
}

static void test_json_print__every_allocation_may_fail(void **state)
{
    test_env t;
    tako_buf value;
    (void)state;

    test_env_init(&t, 0);
    value = tako_buf_on(&t.env);
    cbor_put_array(&value, 400);
    for (int i = 0; i < 200; i++) {
        cbor_put_text(&value, tako_slice_str("with \n escapes"));
        cbor_put_bytes(&value, tako_slice_str("bytes"));
    }
    for (long n = 0;; n++) {
        tako_buf text = tako_buf_on(&t.env);
        tako_err err;

        t.fail_after = n;
        t.failed_once = false;
        err = n % 2 == 0 ? json_from_cbor(tako_buf_slice(&value), &text)
                         : json_pretty_from_cbor(tako_buf_slice(&value), &text);
        t.fail_after = -1;
        assert_int_equal(err, t.failed_once ? TAKO_NOMEM : TAKO_OK);
        assert_int_equal(text.failed, t.failed_once);
        tako_buf_fini(&text);
        if (err == TAKO_OK)
            break;
    }
    tako_buf_fini(&value);
    test_env_check_empty(&t);
}

/* tests/golden/json/NAME.json and .hex: what was written once must read the
 * same for ever, because the bytes are in databases. */
static void test_json_print__golden_files_stay_as_they_are(void **state)
{
    static const char *names[] = { "order", "numbers", "text", "bytes" };
    static char json[65536], hex[65536];
    test_env t;
    tako_buf value, text;
    (void)state;

    test_env_init(&t, 0);
    value = tako_buf_on(&t.env);
    text = tako_buf_on(&t.env);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        char path[512];
        FILE *f;
        size_t json_len, hex_len;

        (void)snprintf(path, sizeof path, "%s/tests/golden/json/%s.json",
                       TAKO_SOURCE_DIR, names[i]);
        f = fopen(path, "rb");
        assert_non_null(f);
        json_len = fread(json, 1, sizeof json, f);
        (void)fclose(f);
        (void)snprintf(path, sizeof path, "%s/tests/golden/json/%s.hex",
                       TAKO_SOURCE_DIR, names[i]);
        f = fopen(path, "rb");
        assert_non_null(f);
        hex_len = fread(hex, 1, sizeof hex, f);
        (void)fclose(f);
        tako_buf_reset(&value);
        tako_buf_reset(&text);
        assert_int_equal(
            json_to_cbor(tako_slice_of(json, json_len), 64, &value, NULL),
            TAKO_OK);
        for (size_t j = 0; j < value.len; j++)
            tako_put_fmt(&text, "%02x%s", value.ptr[j],
                         j % 32 == 31 || j + 1 == value.len ? "\n" : "");
        assert_true(
            tako_slice_eq(tako_buf_slice(&text), tako_slice_of(hex, hex_len)));
        tako_buf_reset(&text);
        assert_int_equal(json_pretty_from_cbor(tako_buf_slice(&value), &text),
                         TAKO_OK);
        tako_put_u8(&text, '\n');
        assert_true(tako_slice_eq(tako_buf_slice(&text),
                                  tako_slice_of(json, json_len)));
    }
    tako_buf_fini(&value);
    tako_buf_fini(&text);
    test_env_check_empty(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_json_print__every_value_comes_back),
        cmocka_unit_test(test_json_print__indented_text_looks_like_this),
        cmocka_unit_test(test_json_print__doubles_look_like_this),
        cmocka_unit_test(test_json_print__strings_escape_what_they_must),
        cmocka_unit_test(test_json_print__unchecked_bytes_are_refused),
        cmocka_unit_test(test_json_print__every_allocation_may_fail),
        cmocka_unit_test(test_json_print__golden_files_stay_as_they_are),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
