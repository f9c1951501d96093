// SPDX-License-Identifier: Apache-2.0
#include "support/test_env.h"

#include "codec/cbor.h"
#include "support_random.h"

typedef struct check_row {
    const char *bytes;
    size_t len;
    const char *message; /* NULL: accepted */
} check_row;

#define YES(bytes)                                                             \
    {                                                                          \
        bytes, sizeof(bytes) - 1, NULL                                         \
    }
#define NO(bytes, at)                                                          \
    {                                                                          \
        bytes, sizeof(bytes) - 1, at                                           \
    }

static const check_row rows[] = {
    YES("\x00"),
    YES("\x17"),
    YES("\x18\x18"),
    YES("\x1b\x7f\xff\xff\xff\xff\xff\xff\xff"),
    YES("\x3b\x7f\xff\xff\xff\xff\xff\xff\xff"),
    YES("\xf4"),
    YES("\xf5"),
    YES("\xf6"),
    YES("\xf9\x00\x00"),
    YES("\xf9\x80\x00"),
    YES("\xf9\x3c\x00"),
    YES("\xf9\x00\x01"),
    YES("\xf9\x7b\xff"),
    YES("\xfa\x47\xc3\x50\x00"),
    YES("\xfa\x00\x00\x00\x01"),
    YES("\xfa\x7f\x7f\xff\xff"),
    YES("\xfb\x3f\xb9\x99\x99\x99\x99\x99\x9a"),
    YES("\xfb\x00\x00\x00\x00\x00\x00\x00\x01"),
    YES("\xfb\x7f\xef\xff\xff\xff\xff\xff\xff"),
    YES("\x40"),
    YES("\x43\xff\x00\xfe"),
    YES("\x60"),
    YES("\x64\xf0\x9f\x98\x80"),
    YES("\x61\x00"),
    YES("\x80"),
    YES("\x82\x01\x80"),
    YES("\xa0"),
    YES("\xa1\x60\xf6"),
    YES("\xa2\x61\x61\x01\x61\x62\x02"),
    YES("\xa2\x61z\x01\x62\x61\x61\x02"),

    NO("", "byte 0: the value is cut off"),
    NO("\x18", "byte 0: the head of an item is cut off"),
    NO("\x81", "byte 0: more items than the input can hold"),
    NO("\x82\x81\x00", "byte 3: the value is cut off"),
    NO("\x82\x00\x19\x01", "byte 2: the head of an item is cut off"),
    NO("\xa1\x62\x61", "byte 1: text longer than the input"),
    NO("\xa1\x61\x61", "byte 3: the value is cut off"),
    NO("\x62\x61", "byte 0: text longer than the input"),
    NO("\x42\x61", "byte 0: bytes longer than the input"),
    NO("\x7b\xff\xff\xff\xff\xff\xff\xff\xff",
       "byte 0: text longer than the input"),
    NO("\x9b\xff\xff\xff\xff\xff\xff\xff\xff\x00",
       "byte 0: more items than the input can hold"),
    NO("\xbb\x80\x00\x00\x00\x00\x00\x00\x00\x00",
       "byte 0: more items than the input can hold"),
    NO("\xa1\x60", "byte 0: more items than the input can hold"),
    NO("\x00\x00", "byte 1: bytes after the value"),
    NO("\x80\x80", "byte 1: bytes after the value"),
    /* not the shortest head */
    NO("\x18\x17", "byte 0: a head that is not the shortest form"),
    NO("\x19\x00\xff", "byte 0: a head that is not the shortest form"),
    NO("\x1a\x00\x00\xff\xff", "byte 0: a head that is not the shortest form"),
    NO("\x1b\x00\x00\x00\x00\xff\xff\xff\xff",
       "byte 0: a head that is not the shortest form"),
    NO("\x38\x17", "byte 0: a head that is not the shortest form"),
    NO("\x58\x01\x61", "byte 0: a head that is not the shortest form"),
    NO("\x78\x01\x61", "byte 0: a head that is not the shortest form"),
    NO("\x98\x00", "byte 0: a head that is not the shortest form"),
    NO("\xb8\x00", "byte 0: a head that is not the shortest form"),
    NO("\xa1\x78\x01\x61\x00",
       "byte 1: a length that is not the shortest form"),
    /* beyond the model */
    NO("\x1b\x80\x00\x00\x00\x00\x00\x00\x00",
       "byte 0: an integer beyond 64 bits with sign"),
    NO("\x3b\xff\xff\xff\xff\xff\xff\xff\xff",
       "byte 0: an integer beyond 64 bits with sign"),
    NO("\xc0\x60", "byte 0: a tag"),
    NO("\xd8\x2a\x00", "byte 0: a tag"),
    NO("\xf7", "byte 0: undefined"),
    NO("\xe0", "byte 0: a simple value"),
    NO("\xf3", "byte 0: a simple value"),
    NO("\xf8\x20", "byte 0: a simple value"),
    NO("\xf8\x14", "byte 0: a simple value"),
    NO("\x1c", "byte 0: a reserved length form"),
    NO("\xfc", "byte 0: a reserved length form"),
    NO("\x3d", "byte 0: a reserved length form"),
    NO("\x81\x5e", "byte 1: a reserved length form"),
    NO("\x5f\x40\xff", "byte 0: an indefinite length"),
    NO("\x7f\x60\xff", "byte 0: an indefinite length"),
    NO("\x9f\xff", "byte 0: an indefinite length"),
    NO("\xbf\xff", "byte 0: an indefinite length"),
    NO("\x81\xff", "byte 1: a break without a beginning"),
    /* floats */
    NO("\xf9\x7e\x00", "byte 0: NaN"),
    NO("\xf9\x7c\x00", "byte 0: an infinity"),
    NO("\xf9\xfc\x00", "byte 0: an infinity"),
    NO("\xfa\x7f\xc0\x00\x00", "byte 0: NaN"),
    NO("\xfa\x7f\x80\x00\x00", "byte 0: an infinity"),
    NO("\xfb\x7f\xf8\x00\x00\x00\x00\x00\x00", "byte 0: NaN"),
    NO("\xfb\xff\xf0\x00\x00\x00\x00\x00\x00", "byte 0: an infinity"),
    NO("\xfb\x7f\xf0\x00\x00\x00\x00\x00\x01", "byte 0: NaN"),
    NO("\xfa\x3f\x80\x00\x00", "byte 0: a float that a half holds"),
    NO("\xfb\x3f\xf0\x00\x00\x00\x00\x00\x00",
       "byte 0: a float that a half holds"),
    NO("\xfb\x40\xf8\x6a\x00\x00\x00\x00\x00",
       "byte 0: a double that a single holds"),
    NO("\xfa\x33\x80\x00\x00", "byte 0: a float that a half holds"),
    /* text */
    NO("\x61\xff", "byte 1: text that is not UTF-8"),
    NO("\x62\x61\xc3", "byte 2: text that is not UTF-8"),
    NO("\x63\xed\xa0\x80", "byte 1: text that is not UTF-8"),
    NO("\x62\xc0\x80", "byte 1: text that is not UTF-8"),
    NO("\xa1\x61\xff\x00", "byte 2: text that is not UTF-8"),
    /* keys */
    NO("\xa1\x01\x02", "byte 1: a map key that is not text"),
    NO("\xa1\x41\x61\x02", "byte 1: a map key that is not text"),
    NO("\xa1\xa0\x02", "byte 1: a map key that is not text"),
    NO("\xa2\x61\x61\x01\x61\x61\x02", "byte 4: duplicate key \"a\""),
    NO("\xa2\x60\x01\x60\x02", "byte 3: duplicate key \"\""),
    NO("\xa2\x61\x62\x01\x61\x61\x02", "byte 4: out of order: key \"a\""),
    NO("\xa2\x62\x61\x61\x01\x61\x7a\x02", "byte 5: out of order: key \"z\""),
    NO("\xa1\x61x\xa2\x62\x0a\"\x01\x62\x0a\"\x02",
       "byte 8: duplicate key \"\?\?\""),
};

static void test_cbor_check__rows_are_accepted_or_refused(void **state)
{
    (void)state;

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        tako_errbuf e = { "" };
        tako_err err =
            cbor_check(tako_slice_of(rows[i].bytes, rows[i].len), 64, &e);

        if (err != (rows[i].message == NULL ? TAKO_OK : TAKO_INVALID))
            fail_msg("row %zu gives %d, %s", i, err, e.text);
        assert_string_equal(e.text,
                            rows[i].message == NULL ? "" : rows[i].message);
    }
}

static void test_cbor_check__depth_is_what_the_caller_says(void **state)
{
    uint8_t in[TAKO_JSON_DEPTH_MAX + 2];
    tako_errbuf e;
    (void)state;

    memset(in, 0x81, sizeof in);
    for (unsigned depth = 0; depth <= TAKO_JSON_DEPTH_MAX + 1; depth++) {
        tako_slice s = tako_slice_of(in + sizeof in - 1 - depth, depth + 1);

        in[sizeof in - 1] = 0x00;
        if (depth <= TAKO_JSON_DEPTH_MAX)
            assert_int_equal(cbor_check(s, depth, &e), TAKO_OK);
        else
            assert_int_equal(cbor_check(s, UINT32_MAX, &e), TAKO_LIMIT);
        if (depth > 0)
            assert_int_equal(cbor_check(s, depth - 1, &e), TAKO_LIMIT);
    }
    assert_int_equal(cbor_check(tako_slice_of("\x80", 1), 0, &e), TAKO_LIMIT);
    assert_string_equal(e.text, "byte 0: nested deeper than 0");
}

/* Any value cut anywhere is refused; so is any value with more behind it. */
static void test_cbor_check__cut_and_longer_values_are_refused(void **state)
{
    test_env t;
    tako_buf b;
    (void)state;

    test_env_init(&t, test_seed(20));
    b = tako_buf_on(&t.env);
    for (unsigned i = 0; i < 3000; i++) {
        size_t n;
        uint8_t *copy;

        tako_buf_reset(&b);
        support_random_value(&t, &b, 4);
        n = test_below(&t, b.len);
        copy = tako_env_alloc(&t.env, n + 1);
        memcpy(copy, b.ptr, n);
        assert_int_equal(cbor_check(tako_slice_of(copy, n), 64, NULL),
                         TAKO_INVALID);
        tako_env_free(&t.env, copy, n + 1);
        tako_put_u8(&b, (uint8_t)test_random(&t));
        assert_int_equal(cbor_check(tako_buf_slice(&b), 64, NULL),
                         TAKO_INVALID);
    }
    tako_buf_fini(&b);
    test_env_check_empty(&t);
}

/* What is accepted after a change of a byte is another deterministic value:
 * there is no second encoding of the same one. */
static void
test_cbor_check__changed_bytes_never_make_a_second_form(void **state)
{
    test_env t;
    tako_buf b, again;
    unsigned accepted = 0;
    (void)state;

    test_env_init(&t, test_seed(21));
    b = tako_buf_on(&t.env);
    again = tako_buf_on(&t.env);
    for (unsigned i = 0; i < 100000; i++) {
        tako_reader r;
        cbor_item item;

        tako_buf_reset(&b);
        tako_buf_reset(&again);
        support_random_value(&t, &b, 3);
        b.ptr[test_below(&t, b.len)] = (uint8_t)test_random(&t);
        if (cbor_check(tako_buf_slice(&b), 64, NULL) != TAKO_OK)
            continue;
        accepted++;
        for (r = tako_reader_of(tako_buf_slice(&b)); !tako_reader_done(&r);) {
            assert_true(cbor_read(&r, &item));
            if (item.kind == CBOR_INT)
                cbor_put_int(&again, item.integer);
            else if (item.kind == CBOR_FLOAT)
                cbor_put_float(&again, item.real);
            else if (item.kind == CBOR_TEXT)
                cbor_put_text(&again, item.str);
            else if (item.kind == CBOR_BYTES)
                cbor_put_bytes(&again, item.str);
            else if (item.kind == CBOR_ARRAY)
                cbor_put_array(&again, item.count);
            else if (item.kind == CBOR_MAP)
                cbor_put_map(&again, item.count);
            else if (item.kind == CBOR_BOOL)
                cbor_put_bool(&again, item.boolean);
            else
                cbor_put_null(&again);
        }
        assert_true(tako_slice_eq(tako_buf_slice(&b), tako_buf_slice(&again)));
    }
    assert_true(accepted > 1000);
    tako_buf_fini(&b);
    tako_buf_fini(&again);
    test_env_check_empty(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cbor_check__rows_are_accepted_or_refused),
        cmocka_unit_test(test_cbor_check__depth_is_what_the_caller_says),
        cmocka_unit_test(test_cbor_check__cut_and_longer_values_are_refused),
        cmocka_unit_test(
            test_cbor_check__changed_bytes_never_make_a_second_form),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
