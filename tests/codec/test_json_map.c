// SPDX-License-Identifier: Apache-2.0
#include "support/test_env.h"

#include <stdio.h>

#include "codec/json.h"
#include "codec/json_in.h"
#include "support_random.h"

/* An object of n keys, "k<i * step % n>" with i as the value; step and n
 * without a common factor, so that the keys are all different. */
static void put_object(tako_buf *text, unsigned n, unsigned step)
{
    tako_put_u8(text, '{');
    for (unsigned i = 0; i < n; i++)
        tako_put_fmt(text, "%s\"k%u\":%u", i > 0 ? "," : "",
                     (unsigned)((uint64_t)i * step % n), i);
    tako_put_u8(text, '}');
}

static void test_json_map__any_order_gives_the_same_bytes(void **state)
{
    static const unsigned sizes[] = { 2,   3,   11,  23,  24,   25,    26,
                                      255, 256, 511, 512, 1025, 65537, 100003 };
    test_env t;
    tako_buf text, got;
    (void)state;

    test_env_init(&t, 0);
    text = tako_buf_on(&t.env);
    got = tako_buf_on(&t.env);
    for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++) {
        unsigned n = sizes[s], step;

        for (step = 1; step < n && step < 100; step++) {
            unsigned a = n, b = step;

            while (b != 0) {
                unsigned r = a % b;

                a = b;
                b = r;
            }
            if (a != 1 || (n > 2000 && step % 33 != 1))
                continue;
            tako_buf_reset(&text);
            tako_buf_reset(&got);
            put_object(&text, n, step);
            assert_int_equal(json_to_cbor(tako_buf_slice(&text), 1, &got, NULL),
                             TAKO_OK);
            assert_int_equal(cbor_check(tako_buf_slice(&got), 1, NULL),
                             TAKO_OK);
            for (unsigned i = 0; i < n; i += 1 + n / 50) {
                char key[16];
                tako_reader r;
                cbor_item item;

                (void)snprintf(key, sizeof key, "k%u",
                               (unsigned)((uint64_t)i * step % n));
                r = tako_reader_of(
                    cbor_map_get(tako_buf_slice(&got), tako_slice_str(key)));
                assert_true(cbor_read(&r, &item));
                assert_true(item.kind == CBOR_INT && item.integer == i);
            }
        }
    }
    tako_buf_fini(&text);
    tako_buf_fini(&got);
    test_env_check_empty(&t);
}

/* Keys that share their first bytes are compared to their ends. */
static void test_json_map__long_common_beginnings(void **state)
{
    static const char in[] =
        "{\"the same beginning b\":1,\"the same beginning a\":2,"
        "\"the same beginning\":3,\"the same beginning c and more of it\":4,"
        "\"the same beginning b and more of it\":{\"y\":1,\"x\":2}}";
    static const char want[] =
        "{\"the same beginning\":3,\"the same beginning a\":2,"
        "\"the same beginning b\":1,"
        "\"the same beginning b and more of it\":{\"x\":2,\"y\":1},"
        "\"the same beginning c and more of it\":4}";
    test_env t;
    tako_buf got, text;
    (void)state;

    test_env_init(&t, 0);
    got = tako_buf_on(&t.env);
    text = tako_buf_on(&t.env);
    assert_int_equal(json_to_cbor(tako_slice_str(in), 2, &got, NULL), TAKO_OK);
    assert_int_equal(json_from_cbor(tako_buf_slice(&got), &text), TAKO_OK);
    assert_string_equal(tako_buf_cstr(&text), want);
    tako_buf_fini(&got);
    tako_buf_fini(&text);
    test_env_check_empty(&t);
}

/* Wherever the second key stands, it is found and its place named. */
static void test_json_map__duplicates_are_found_at_their_place(void **state)
{
    static const unsigned sizes[] = { 2, 5, 24, 25, 40, 300, 700 };
    test_env t;
    tako_buf text, out;
    (void)state;

    test_env_init(&t, test_seed(90));
    text = tako_buf_on(&t.env);
    out = tako_buf_on(&t.env);
    for (unsigned i = 0; i < 2000; i++) {
        unsigned n = sizes[i % 7];
        unsigned a = (unsigned)test_below(&t, n - 1);
        unsigned b = a + 1 + (unsigned)test_below(&t, n - 1 - a);
        size_t column = 0;
        char want[80];
        tako_errbuf e = { "" };

        tako_buf_reset(&text);
        tako_put_str(&text, "{");
        for (unsigned j = 0; j < n; j++) {
            if (j > 0)
                tako_put_str(&text, ",");
            if (j == b)
                column = text.len + 1;
            /* values of every length, among them brackets and commas */
            tako_put_fmt(&text, "\"k%u\":%s", (j == b ? a : j) * 7919 % 10007,
                         j % 3 == 0   ? "1"
                         : j % 3 == 1 ? "[1,{\"a\":\"],\\\"\"}]"
                                      : "\"\\\\\"");
        }
        tako_put_str(&text, "}");
        (void)snprintf(want, sizeof want,
                       "line 1 column %zu: duplicate key \"k%u\"", column,
                       a * 7919 % 10007);
        assert_int_equal(json_to_cbor(tako_buf_slice(&text), 8, &out, &e),
                         TAKO_INVALID);
        assert_string_equal(e.text, want);
        assert_int_equal(out.len, 0);
    }
    tako_buf_fini(&text);
    tako_buf_fini(&out);
    test_env_check_empty(&t);
}

/* Objects in objects use the shared index of keys up, and give it back. */
static void test_json_map__nested_objects_share_the_index(void **state)
{
    test_env t;
    tako_buf text, got;
    (void)state;

    test_env_init(&t, 0);
    text = tako_buf_on(&t.env);
    got = tako_buf_on(&t.env);
    for (unsigned width = 1; width < 60; width += 3) {
        tako_buf_reset(&text);
        tako_buf_reset(&got);
        for (unsigned depth = 0; depth < 40; depth++) {
            tako_put_str(&text, "{");
            for (unsigned i = width; i > 0; i--)
                tako_put_fmt(&text, "\"k%u\":{\"b\":1,\"a\":2},", i);
            tako_put_str(&text, "\"k0\":");
        }
        tako_put_str(&text, "0");
        for (unsigned depth = 0; depth < 40; depth++)
            tako_put_str(&text, ",\"a\":1}");
        assert_int_equal(json_to_cbor(tako_buf_slice(&text), 64, &got, NULL),
                         TAKO_OK);
        assert_int_equal(cbor_check(tako_buf_slice(&got), 64, NULL), TAKO_OK);
    }
    tako_buf_fini(&text);
    tako_buf_fini(&got);
    test_env_check_empty(&t);
}

static void test_json_map__bytes_keys(void **state)
{
    (void)state;

    assert_int_equal(json_bytes_key(tako_slice_str("$bytes")), 1);
    assert_int_equal(json_bytes_key(tako_slice_str("$$bytes")), 2);
    assert_int_equal(json_bytes_key(tako_slice_str("bytes")), 0);
    assert_int_equal(json_bytes_key(tako_slice_str("$")), 0);
    assert_int_equal(json_bytes_key(tako_slice_str("$bytes$")), 0);
    assert_int_equal(json_bytes_key(tako_slice_str("$ bytes")), 0);
    assert_int_equal(json_bytes_key(TAKO_SLICE_NONE), 0);
}

/* A key of '$' and "bytes" around each length where the head grows. */
static void test_json_map__marked_keys_of_every_length_come_back(void **state)
{
    test_env t;
    tako_buf value, text, back, key;
    (void)state;

    test_env_init(&t, 0);
    value = tako_buf_on(&t.env);
    text = tako_buf_on(&t.env);
    back = tako_buf_on(&t.env);
    key = tako_buf_on(&t.env);
    for (unsigned n = 1; n < 300; n++) {
        tako_buf_reset(&value);
        tako_buf_reset(&text);
        tako_buf_reset(&back);
        tako_buf_reset(&key);
        for (unsigned i = 0; i < n; i++)
            tako_put_u8(&key, '$');
        tako_put_str(&key, "bytes");
        cbor_put_map(&value, 1);
        cbor_put_text(&value, tako_buf_slice(&key));
        cbor_put_text(&value, tako_slice_str("aGk="));
        assert_int_equal(json_from_cbor(tako_buf_slice(&value), &text),
                         TAKO_OK);
        assert_int_equal(json_to_cbor(tako_buf_slice(&text), 1, &back, NULL),
                         TAKO_OK);
        assert_true(
            tako_slice_eq(tako_buf_slice(&value), tako_buf_slice(&back)));
    }
    tako_buf_fini(&value);
    tako_buf_fini(&text);
    tako_buf_fini(&back);
    tako_buf_fini(&key);
    test_env_check_empty(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_json_map__any_order_gives_the_same_bytes),
        cmocka_unit_test(test_json_map__long_common_beginnings),
        cmocka_unit_test(test_json_map__duplicates_are_found_at_their_place),
        cmocka_unit_test(test_json_map__nested_objects_share_the_index),
        cmocka_unit_test(test_json_map__bytes_keys),
        cmocka_unit_test(test_json_map__marked_keys_of_every_length_come_back),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
