// SPDX-License-Identifier: Apache-2.0
#include "support/test_env.h"

#include <stdio.h>

#include "codec/cbor.h"
#include "support_random.h"

#define ROWS(table) (sizeof(table) / sizeof(table)[0])

static void assert_bytes(const tako_buf *b, const char *want, size_t len)
{
    assert_int_equal(b->len, len);
    assert_memory_equal(b->ptr, want, len);
}

#define ASSERT_BYTES(b, want) assert_bytes(b, want, sizeof(want) - 1)

/* RFC 8949 appendix A, as far as it is in tako's model. */
static void test_cbor__integers_have_the_shortest_head(void **state)
{
    static const struct {
        int64_t v;
        const char *bytes;
        size_t len;
    } rows[] = {
        { 0, "\x00", 1 },
        { 1, "\x01", 1 },
        { 10, "\x0a", 1 },
        { 23, "\x17", 1 },
        { 24, "\x18\x18", 2 },
        { 100, "\x18\x64", 2 },
        { 255, "\x18\xff", 2 },
        { 256, "\x19\x01\x00", 3 },
        { 1000, "\x19\x03\xe8", 3 },
        { 65535, "\x19\xff\xff", 3 },
        { 65536, "\x1a\x00\x01\x00\x00", 5 },
        { 1000000, "\x1a\x00\x0f\x42\x40", 5 },
        { 4294967295, "\x1a\xff\xff\xff\xff", 5 },
        { 4294967296, "\x1b\x00\x00\x00\x01\x00\x00\x00\x00", 9 },
        { 1000000000000, "\x1b\x00\x00\x00\xe8\xd4\xa5\x10\x00", 9 },
        { INT64_MAX, "\x1b\x7f\xff\xff\xff\xff\xff\xff\xff", 9 },
        { -1, "\x20", 1 },
        { -10, "\x29", 1 },
        { -24, "\x37", 1 },
        { -25, "\x38\x18", 2 },
        { -100, "\x38\x63", 2 },
        { -256, "\x38\xff", 2 },
        { -257, "\x39\x01\x00", 3 },
        { -1000, "\x39\x03\xe7", 3 },
        { INT64_MIN, "\x3b\x7f\xff\xff\xff\xff\xff\xff\xff", 9 },
    };
    test_env t;
    tako_buf b;
    (void)state;

    test_env_init(&t, 0);
    b = tako_buf_on(&t.env);
    for (size_t i = 0; i < ROWS(rows); i++) {
        tako_reader r;
        cbor_item item;

        tako_buf_reset(&b);
        cbor_put_int(&b, rows[i].v);
        assert_bytes(&b, rows[i].bytes, rows[i].len);
        r = tako_reader_of(tako_buf_slice(&b));
        assert_true(cbor_read(&r, &item) && tako_reader_done(&r));
        assert_int_equal(item.kind, CBOR_INT);
        assert_true(item.integer == rows[i].v);
    }
    tako_buf_fini(&b);
    test_env_check_empty(&t);
}

static void test_cbor__other_scalars_are_as_in_the_rfc(void **state)
{
    test_env t;
    tako_buf b;
    (void)state;

    test_env_init(&t, 0);
    b = tako_buf_on(&t.env);
    cbor_put_null(&b);
    cbor_put_bool(&b, false);
    cbor_put_bool(&b, true);
    cbor_put_float(&b, 0.0);
    cbor_put_float(&b, -0.0);
    cbor_put_float(&b, 1.5);
    cbor_put_float(&b, 100000.0);
    cbor_put_float(&b, 1.1);
    cbor_put_bytes(&b, tako_slice_str("\x01\x02"));
    cbor_put_text(&b, tako_slice_str("IETF"));
    cbor_put_text(&b, TAKO_SLICE_NONE);
    cbor_put_array(&b, 0);
    cbor_put_array(&b, 25);
    cbor_put_map(&b, 2);
    ASSERT_BYTES(&b, "\xf6\xf4\xf5\xf9\x00\x00\xf9\x80\x00\xf9\x3e\x00"
                     "\xfa\x47\xc3\x50\x00\xfb\x3f\xf1\x99\x99\x99\x99\x99\x9a"
                     "\x42\x01\x02\x64IETF\x60\x80\x98\x19\xa2");
    tako_buf_fini(&b);
    test_env_check_empty(&t);
}

/* Reads one value item by item and writes it again. */
static void rewrite(tako_reader *r, tako_buf *out)
{
    cbor_item item;

    assert_true(cbor_read(r, &item));
    switch (item.kind) {
    case CBOR_NULL:
        cbor_put_null(out);
        break;
    case CBOR_BOOL:
        cbor_put_bool(out, item.boolean);
        break;
    case CBOR_INT:
        cbor_put_int(out, item.integer);
        break;
    case CBOR_FLOAT:
        cbor_put_float(out, item.real);
        break;
    case CBOR_BYTES:
        cbor_put_bytes(out, item.str);
        break;
    case CBOR_TEXT:
        cbor_put_text(out, item.str);
        break;
    case CBOR_ARRAY:
        cbor_put_array(out, item.count);
        break;
    case CBOR_MAP:
        cbor_put_map(out, item.count);
        break;
    }
}

static void test_cbor__random_values_read_and_write_as_themselves(void **state)
{
    test_env t;
    tako_buf a, b;
    (void)state;

    test_env_init(&t, test_seed(10));
    a = tako_buf_on(&t.env);
    b = tako_buf_on(&t.env);
    for (unsigned i = 0; i < 50000; i++) {
        tako_reader r, whole;
        tako_errbuf e = { "" };
        cbor_item item;

        tako_buf_reset(&a);
        tako_buf_reset(&b);
        support_random_value(&t, &a, 6);
        if (cbor_check(tako_buf_slice(&a), 64, &e) != TAKO_OK)
            fail_msg("value %u: %s", i, e.text);
        r = whole = tako_reader_of(tako_buf_slice(&a));
        assert_true(tako_slice_eq(cbor_read_value(&whole), tako_buf_slice(&a)));
        assert_true(tako_reader_done(&whole));
        (void)cbor_read(&whole, &item);
        assert_true(whole.failed);
        while (!tako_reader_done(&r))
            rewrite(&r, &b);
        assert_true(tako_slice_eq(tako_buf_slice(&a), tako_buf_slice(&b)));
        r = tako_reader_of(tako_buf_slice(&a));
        assert_true(cbor_read(&r, &item));
        assert_int_equal(item.kind, cbor_kind_of(tako_buf_slice(&a)));
    }
    tako_buf_fini(&a);
    tako_buf_fini(&b);
    test_env_check_empty(&t);
}

static void test_cbor__reading_cut_values_fails_sticky(void **state)
{
    test_env t;
    tako_buf a;
    (void)state;

    test_env_init(&t, test_seed(11));
    a = tako_buf_on(&t.env);
    for (unsigned i = 0; i < 2000; i++) {
        tako_reader r;
        size_t n;
        uint8_t *copy;

        tako_buf_reset(&a);
        support_random_value(&t, &a, 4);
        n = test_below(&t, a.len);
        copy = tako_env_alloc(&t.env, n + 1);
        memcpy(copy, a.ptr, n);
        r = tako_reader_of(tako_slice_of(copy, n));
        assert_int_equal(cbor_read_value(&r).len, 0);
        assert_true(r.failed);
        assert_int_equal(cbor_read_value(&r).len, 0);
        tako_env_free(&t.env, copy, n + 1);
    }
    tako_buf_fini(&a);
    test_env_check_empty(&t);
}

static void test_cbor__hostile_heads_fail(void **state)
{
    static const struct {
        const char *bytes;
        size_t len;
    } rows[] = {
        { "", 0 },
        { "\x1b\x80\x00\x00\x00\x00\x00\x00\x00", 9 }, /* above int64 */
        { "\x3b\x80\x00\x00\x00\x00\x00\x00\x00", 9 },
        { "\x5b\xff\xff\xff\xff\xff\xff\xff\xff", 9 },
        { "\x7b\xff\xff\xff\xff\xff\xff\xff\xff", 9 },
        { "\x78", 1 },
        { "\x62\x61", 2 },
        { "\xc0\x01", 2 },
        { "\xf7", 1 },
        { "\xf8\xff", 2 },
        { "\x1c", 1 },
        { "\x5f", 1 },
        { "\xff", 1 },
    };
    (void)state;

    for (size_t i = 0; i < ROWS(rows); i++) {
        tako_reader r =
            tako_reader_of(tako_slice_of(rows[i].bytes, rows[i].len));
        cbor_item item;

        assert_false(cbor_read(&r, &item));
        assert_true(r.failed);
    }
    {
        /* counts that would overflow a sum of what is to come */
        static const char many[] = "\xbb\xff\xff\xff\xff\xff\xff\xff\xff\x00";
        tako_reader r = tako_reader_of(tako_slice_of(many, sizeof many - 1));

        assert_int_equal(cbor_read_value(&r).len, 0);
        assert_true(r.failed);
    }
}

static void test_cbor__map_get_finds_each_key(void **state)
{
    test_env t;
    tako_buf b;
    char key[24];
    tako_slice v;
    (void)state;

    test_env_init(&t, 0);
    b = tako_buf_on(&t.env);
    cbor_put_map(&b, 1000);
    for (int i = 0; i < 1000; i++) {
        (void)snprintf(key, sizeof key, "%03d%.*s", i, i / 500 * 4, "long");
        cbor_put_text(&b, tako_slice_str(key));
        cbor_put_array(&b, 1);
        cbor_put_int(&b, i);
    }
    for (int i = 0; i < 1000; i++) {
        tako_reader r;
        cbor_item item;

        (void)snprintf(key, sizeof key, "%03d%.*s", i, i / 500 * 4, "long");
        v = cbor_map_get(tako_buf_slice(&b), tako_slice_str(key));
        r = tako_reader_of(v);
        assert_true(cbor_read(&r, &item) && item.kind == CBOR_ARRAY);
        assert_true(cbor_read(&r, &item) && item.integer == i);
        assert_true(tako_reader_done(&r));
        key[0] = 'x';
        v = cbor_map_get(tako_buf_slice(&b), tako_slice_str(key));
        assert_int_equal(v.len, 0);
    }
    assert_int_equal(cbor_map_get(tako_slice_str("\xa0"), v).len, 0);
    assert_int_equal(
        cbor_map_get(tako_slice_str("\x81\x61\x61"), tako_slice_str("a")).len,
        0);
    assert_int_equal(cbor_map_get(TAKO_SLICE_NONE, v).len, 0);
    v = tako_slice_of("\xa2\x61\x61\x61\x78\x61\x62\x07", 8);
    assert_true(tako_slice_eq(cbor_map_text(v, "a"), tako_slice_str("x")));
    assert_int_equal(cbor_map_text(v, "b").len, 0);
    assert_int_equal(cbor_map_text(v, "c").len, 0);
    v = cbor_map_get(tako_slice_of("\xa1\x60\x07", 3), TAKO_SLICE_NONE);
    assert_int_equal(v.len, 1);
    tako_buf_fini(&b);
    test_env_check_empty(&t);
}

static void test_cbor__every_allocation_may_fail(void **state)
{
    test_env t;
    (void)state;

    test_env_init(&t, 12);
    for (long n = 0; n < 12; n++) {
        tako_buf b = tako_buf_on(&t.env);

        t.fail_after = n;
        t.failed_once = false;
        for (int i = 0; i < 300; i++) {
            cbor_put_map(&b, 1);
            cbor_put_text(&b, tako_slice_str("key"));
            cbor_put_float(&b, 0.1);
        }
        assert_int_equal(b.failed, t.failed_once);
        tako_buf_fini(&b);
    }
    t.fail_after = -1;
    test_env_check_empty(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cbor__integers_have_the_shortest_head),
        cmocka_unit_test(test_cbor__other_scalars_are_as_in_the_rfc),
        cmocka_unit_test(test_cbor__random_values_read_and_write_as_themselves),
        cmocka_unit_test(test_cbor__reading_cut_values_fails_sticky),
        cmocka_unit_test(test_cbor__hostile_heads_fail),
        cmocka_unit_test(test_cbor__map_get_finds_each_key),
        cmocka_unit_test(test_cbor__every_allocation_may_fail),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
