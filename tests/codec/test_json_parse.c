// SPDX-License-Identifier: Apache-2.0
#include "support/test_env.h"

#include <stdio.h>

#include "codec/json.h"
#include "json_rows.h"

#define ROWS(table) (sizeof(table) / sizeof(table)[0])

static void test_json_parse__text_rows_are_read_or_refused(void **state)
{
    test_env t;
    tako_buf cbor, text;
    (void)state;

    test_env_init(&t, 0);
    cbor = tako_buf_on(&t.env);
    text = tako_buf_on(&t.env);
    assert_true(ROWS(json_rows) >= 300);
    for (size_t i = 0; i < ROWS(json_rows); i++) {
        const json_row *row = &json_rows[i];
        tako_errbuf e = { "" };
        tako_err err;

        tako_buf_reset(&cbor);
        tako_buf_reset(&text);
        err = json_to_cbor(tako_slice_of(row->text, row->len), 64, &cbor, &e);
        if (row->print == NULL) {
            if (err != TAKO_INVALID || cbor.len != 0 ||
                strncmp(e.text, "line ", 5) != 0)
                fail_msg("row %zu: %s gives %d, %s", i, row->text, err, e.text);
            continue;
        }
        if (err != TAKO_OK)
            fail_msg("row %zu: %s is refused: %s", i, row->text, e.text);
        assert_int_equal(cbor_check(tako_buf_slice(&cbor), 64, &e), TAKO_OK);
        assert_int_equal(json_from_cbor(tako_buf_slice(&cbor), &text), TAKO_OK);
        assert_string_equal(tako_buf_cstr(&text), row->print);
    }
    tako_buf_fini(&cbor);
    tako_buf_fini(&text);
    test_env_check_empty(&t);
}

/* Every proper beginning of a text that ends in a bracket is refused. */
static void test_json_parse__beginnings_are_refused(void **state)
{
    static const char doc[] =
        "{\"a\":[1,2.5,-3e2,true,false,null,\"x\\n\\u00e9\\ud83d\\ude00\"],"
        "\"b\":{\"$bytes\":\"aGk=\"},\"\xc3\xa9\":{\"z\":1,\"y\":{}}}";
    test_env t;
    tako_buf out;
    (void)state;

    test_env_init(&t, 0);
    out = tako_buf_on(&t.env);
    for (size_t n = 0; n < sizeof doc - 1; n++) {
        char *copy = tako_env_alloc(&t.env, n + 1); /* for the sanitizer */

        memcpy(copy, doc, n);
        assert_int_equal(json_to_cbor(tako_slice_of(copy, n), 64, &out, NULL),
                         TAKO_INVALID);
        assert_int_equal(out.len, 0);
        tako_env_free(&t.env, copy, n + 1);
    }
    assert_int_equal(json_to_cbor(tako_slice_str(doc), 64, &out, NULL),
                     TAKO_OK);
    tako_buf_fini(&out);
    test_env_check_empty(&t);
}

static void test_json_parse__messages_name_place_and_reason(void **state)
{
    static const struct {
        const char *text, *message;
    } rows[] = {
        { "", "line 1 column 1: expected a value, found the end" },
        { "[1,]", "line 1 column 4: expected a value, found ']'" },
        { "[1 2]",
          "line 1 column 4: expected ',' or ']' after a value, found '2'" },
        { "{\"a\":1,}",
          "line 1 column 8: expected a key in double quotes, found '}'" },
        { "{a:1}", "line 1 column 2: expected a key in double quotes or '}', "
                   "found 'a'" },
        { "{\"a\" 1}", "line 1 column 6: expected ':' after a key, found '1'" },
        { "{\n  \"a\": tru\n}",
          "line 2 column 11: expected true, found control character 0x0a" },
        { "{\"\xc3\xa9\": \xc3\xa9}",
          "line 1 column 7: expected a value, found '\xc3\xa9'" },
        { "['a']", "line 1 column 2: expected a value, found \"'\"" },
        { "[\xff]", "line 1 column 2: expected a value, found byte 0xff" },
        { "\xef\xbb\xbf{}", "line 1 column 1: a byte order mark is not JSON" },
        { "1 x",
          "line 1 column 3: expected the end after one value, found 'x'" },
        { "\"a\nb\"", "line 1 column 3: control character 0x0a in a string; "
                      "escape it as \\u000a" },
        { "[\"abc", "line 1 column 2: this string has no closing quote" },
        { "\"\\x\"",
          "line 1 column 3: expected one of \" \\ / b f n r t u after "
          "a backslash, found 'x'" },
        { "\"\\u12g4\"",
          "line 1 column 2: expected four hex digits after \\u" },
        { "\"\\udc00\"", "line 1 column 2: half of a surrogate pair, \\udc00" },
        { "\"ab\xff\"", "line 1 column 4: byte 0xff is not UTF-8" },
        { "012",
          "line 1 column 1: a number does not begin with 0 and a digit" },
        { "-x", "line 1 column 2: expected a digit after '-', found 'x'" },
        { "1.x", "line 1 column 3: expected a digit after '.', found 'x'" },
        { "1e", "line 1 column 3: expected a digit in the exponent, found the "
                "end" },
        { "[1e400]", "line 1 column 2: this number is beyond the range of a "
                     "float64" },
        { "{\"b\":\"},\\\",\",\n\"a\":[1,{\"x\":2}],\n  \"b\":3}",
          "line 3 column 3: duplicate key \"b\"" },
        { "{\"a\":1, \"a\":2}", "line 1 column 9: duplicate key \"a\"" },
        { "{\"$bytes\":\"?\"}",
          "line 1 column 1: the text of \"$bytes\" is not "
          "padded base64 (RFC 4648 section 4)" },
        { "[[[[[1]]]]]", "line 1 column 5: nested deeper than 4" },
    };
    test_env t;
    tako_buf out;
    (void)state;

    test_env_init(&t, 0);
    out = tako_buf_on(&t.env);
    for (size_t i = 0; i < ROWS(rows); i++) {
        tako_errbuf e = { "" };

        assert_int_not_equal(
            json_to_cbor(tako_slice_str(rows[i].text), 4, &out, &e), TAKO_OK);
        assert_string_equal(e.text, rows[i].message);
    }
    tako_buf_fini(&out);
}

/* A text of n times `open`. */
static tako_buf repeat(const tako_env *env, const char *open, size_t n)
{
    tako_buf b = tako_buf_on(env);

    while (n-- > 0)
        tako_put_str(&b, open);
    return b;
}

static void
test_json_parse__depth_is_limited_and_bytes_are_no_level(void **state)
{
    static const char *open[] = { "[", "{\"\":", "[{\"\":" };
    test_env t;
    tako_buf out, text;
    (void)state;

    test_env_init(&t, 0);
    out = tako_buf_on(&t.env);
    for (size_t i = 0; i < ROWS(open); i++) {
        text = repeat(&t.env, open[i], 100000);
        assert_int_equal(
            json_to_cbor(tako_buf_slice(&text), UINT32_MAX, &out, NULL),
            TAKO_LIMIT);
        assert_int_equal(out.len, 0);
        tako_buf_fini(&text);
    }
    for (unsigned depth = 0; depth <= TAKO_JSON_DEPTH_MAX + 1; depth++) {
        bool ok = depth <= TAKO_JSON_DEPTH_MAX;

        text = repeat(&t.env, "[", depth);
        tako_put_str(&text, "{\"$bytes\":\"\"}");
        for (unsigned i = 0; i < depth; i++)
            tako_put_u8(&text, ']');
        tako_buf_reset(&out);
        assert_int_equal(json_to_cbor(tako_buf_slice(&text), depth, &out, NULL),
                         ok ? TAKO_OK : TAKO_LIMIT);
        if (ok && depth > 0) {
            assert_int_equal(cbor_check(tako_buf_slice(&out), depth, NULL),
                             TAKO_OK);
            assert_int_equal(
                json_to_cbor(tako_buf_slice(&text), depth - 1, &out, NULL),
                TAKO_LIMIT);
        }
        tako_buf_fini(&text);
    }
    tako_buf_reset(&out);
    assert_int_equal(
        json_to_cbor(tako_slice_str("{\"$bytes\":[]}"), 1, &out, NULL),
        TAKO_LIMIT);
    assert_int_equal(json_to_cbor(tako_slice_str("{\"$bytes\":\"\",\"a\":1}"),
                                  0, &out, NULL),
                     TAKO_LIMIT);
    assert_int_equal(
        json_to_cbor(tako_slice_str("{\"$bytes\":1}"), 0, &out, NULL),
        TAKO_LIMIT);
    tako_buf_fini(&out);
    test_env_check_empty(&t);
}

static void test_json_parse__sequences_yield_one_value_at_a_time(void **state)
{
    tako_slice in = tako_slice_str(" 1 2\n{\"a\":1}[]\"x\"true \n");
    const char *want[] = { "1", "2", "{\"a\":1}", "[]", "\"x\"", "true" };
    test_env t;
    tako_buf out, text;
    size_t used = 99, at = 0;
    (void)state;

    test_env_init(&t, 0);
    out = tako_buf_on(&t.env);
    text = tako_buf_on(&t.env);
    for (size_t i = 0; i < ROWS(want); i++) {
        tako_buf_reset(&out);
        tako_buf_reset(&text);
        assert_int_equal(
            json_next_to_cbor(tako_slice_of(in.ptr + at, in.len - at), 64, &out,
                              &used, NULL),
            TAKO_OK);
        at += used;
        assert_int_equal(json_from_cbor(tako_buf_slice(&out), &text), TAKO_OK);
        assert_string_equal(tako_buf_cstr(&text), want[i]);
    }
    assert_int_equal(at, in.len);
    assert_int_equal(json_next_to_cbor(TAKO_SLICE_NONE, 64, &out, &used, NULL),
                     TAKO_NOTFOUND);
    assert_int_equal(
        json_next_to_cbor(tako_slice_str(" \n\t"), 64, &out, &used, NULL),
        TAKO_NOTFOUND);
    assert_int_equal(used, 3);
    assert_int_equal(
        json_next_to_cbor(tako_slice_str(" ]"), 64, &out, &used, NULL),
        TAKO_INVALID);
    assert_int_equal(used, 0);
    tako_buf_fini(&out);
    tako_buf_fini(&text);
    test_env_check_empty(&t);
}

static void
test_json_parse__output_is_appended_and_kept_on_failure(void **state)
{
    test_env t;
    tako_buf out;
    (void)state;

    test_env_init(&t, 0);
    out = tako_buf_on(&t.env);
    tako_put_str(&out, "before");
    /* unsorted keys and heads that grow, behind other content */
    assert_int_equal(
        json_to_cbor(tako_slice_str("{\"b\":[0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,"
                                    "0,0,0,0,0,0,0,0],\"a\":1}"),
                     64, &out, NULL),
        TAKO_OK);
    assert_memory_equal(out.ptr, "before\xa2\x61\x61\x01\x61\x62\x98\x19", 14);
    assert_int_equal(out.len, 14 + 25);
    assert_int_equal(json_to_cbor(tako_slice_str("[1,2"), 64, &out, NULL),
                     TAKO_INVALID);
    assert_int_equal(out.len, 14 + 25);
    tako_buf_fini(&out);
}

static void test_json_parse__every_allocation_may_fail(void **state)
{
    test_env t;
    tako_buf text, out;
    (void)state;

    test_env_init(&t, 0);
    text = tako_buf_on(&t.env);
    tako_put_str(&text, "{\"z\":\"\\n\"");
    for (int i = 99; i >= 0; i--)
        tako_put_fmt(&text, ",\"key%d\":[%d,{\"b\":1,\"a\":\"text\"}]", i, i);
    tako_put_str(&text, "}");
    for (long n = 0;; n++) {
        tako_err err;

        out = tako_buf_on(&t.env);
        t.fail_after = n;
        t.failed_once = false;
        err = json_to_cbor(tako_buf_slice(&text), 64, &out, NULL);
        t.fail_after = -1;
        assert_int_equal(err, t.failed_once ? TAKO_NOMEM : TAKO_OK);
        assert_true(err == TAKO_OK || out.len == 0);
        tako_buf_fini(&out);
        if (err == TAKO_OK)
            break;
    }
    tako_buf_fini(&text);
    test_env_check_empty(&t);
}

static void test_json_parse__size_is_limited(void **state)
{
    test_env t;
    tako_buf text, out;
    (void)state;

    test_env_init(&t, 0);
    text = tako_buf_on(&t.env);
    out = tako_buf_on(&t.env);
    assert_true(tako_buf_reserve(&text, TAKO_VALUE_BYTES_MAX + 2));
    text.len = TAKO_VALUE_BYTES_MAX + 1;
    memset(text.ptr, ' ', text.len);
    text.ptr[0] = '1';
    assert_int_equal(json_to_cbor(tako_buf_slice(&text), 64, &out, NULL),
                     TAKO_LIMIT);
    text.len--;
    assert_int_equal(json_to_cbor(tako_buf_slice(&text), 64, &out, NULL),
                     TAKO_OK);
    /* short decimals are longer as doubles */
    text.len = 0;
    tako_put_u8(&text, '[');
    while (text.len < TAKO_VALUE_BYTES_MAX / 2)
        tako_put_str(&text, "0.1,");
    tako_put_str(&text, "0]");
    tako_buf_reset(&out);
    assert_int_equal(json_to_cbor(tako_buf_slice(&text), 64, &out, NULL),
                     TAKO_LIMIT);
    assert_int_equal(out.len, 0);
    tako_buf_fini(&text);
    tako_buf_fini(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_json_parse__text_rows_are_read_or_refused),
        cmocka_unit_test(test_json_parse__beginnings_are_refused),
        cmocka_unit_test(test_json_parse__messages_name_place_and_reason),
        cmocka_unit_test(
            test_json_parse__depth_is_limited_and_bytes_are_no_level),
        cmocka_unit_test(test_json_parse__sequences_yield_one_value_at_a_time),
        cmocka_unit_test(
            test_json_parse__output_is_appended_and_kept_on_failure),
        cmocka_unit_test(test_json_parse__every_allocation_may_fail),
        cmocka_unit_test(test_json_parse__size_is_limited),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
