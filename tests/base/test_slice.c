// SPDX-License-Identifier: Apache-2.0
#include "support/test_env.h"

#include "base/buf.h"

static void test_slice__order_is_by_bytes_then_length(void **state)
{
    /* ascending; each row against each other must agree with the indexes */
    static const struct {
        const char *bytes;
        size_t len;
    } rows[] = {
        { "", 0 },         { "\0", 1 },   { "\0\0", 2 }, { "\1", 1 },
        { "a", 1 },        { "a\0", 2 },  { "aa", 2 },   { "ab", 2 },
        { "b", 1 },        { "\x7f", 1 }, { "\x80", 1 }, { "\xff", 1 },
        { "\xff\xff", 2 },
    };
    const size_t n = sizeof rows / sizeof *rows;
    (void)state;

    for (size_t i = 0; i < n; i++)
        for (size_t j = 0; j < n; j++) {
            tako_slice a = tako_slice_of(rows[i].bytes, rows[i].len);
            tako_slice b = tako_slice_of(rows[j].bytes, rows[j].len);
            int c = tako_slice_cmp(a, b);

            assert_int_equal((c > 0) - (c < 0), (i > j) - (i < j));
            assert_int_equal(tako_slice_eq(a, b), i == j);
        }
    assert_true(tako_slice_eq(TAKO_SLICE_NONE, tako_slice_str("")));
    assert_int_equal(tako_slice_cmp(TAKO_SLICE_NONE, tako_slice_str("")), 0);
    assert_true(tako_slice_cmp(TAKO_SLICE_NONE, tako_slice_str("a")) < 0);
}

static void test_slice__reader_gives_what_is_there_then_fails(void **state)
{
    static const uint8_t in[] = { 1, 2, 3, 4, 5, 6, 7, 8, 9, 10 };
    tako_reader r = tako_reader_of(tako_slice_of(in, sizeof in));
    tako_slice s;
    (void)state;

    assert_int_equal(tako_read_u8(&r), 1);
    assert_true(tako_read_u64(&r) == 0x0203040506070809u);
    assert_int_equal(tako_reader_left(&r), 1);
    assert_false(tako_reader_done(&r));
    assert_true(tako_reader_has(&r, 1));
    assert_false(tako_reader_has(&r, 2));
    assert_false(tako_reader_has(&r, SIZE_MAX)); /* pos + n would wrap */
    s = tako_read_bytes(&r, 1);
    assert_true(s.len == 1 && s.ptr == in + 9);
    assert_true(tako_reader_done(&r));
    s = tako_read_bytes(&r, 0);
    assert_true(s.len == 0 && !r.failed);
    assert_int_equal(tako_read_u8(&r), 0);
    assert_true(r.failed);
    assert_false(tako_reader_done(&r));
    assert_int_equal(tako_reader_left(&r), 0);
}

/* Once failed, everything is zero, even where bytes are left. */
static void test_slice__failure_is_sticky(void **state)
{
    tako_reader r = tako_reader_of(tako_slice_str("\1\1\1\1\1\1\1\1\1\1"));
    (void)state;

    assert_int_equal(tako_read_bytes(&r, 11).len, 0);
    assert_true(r.failed);
    assert_int_equal(r.pos, 0);
    assert_false(tako_reader_has(&r, 0));
    assert_int_equal(tako_read_u8(&r), 0);
    assert_true(tako_read_u64(&r) == 0);
    assert_true(tako_read_varint(&r) == 0);
    assert_int_equal(tako_read_bytes(&r, 1).len, 0);
    assert_int_equal(tako_read_bytes(&r, 0).len, 0);
    assert_int_equal(tako_read_block(&r).len, 0);
    assert_int_equal(r.pos, 0);
}

static void test_slice__an_empty_reader_is_done(void **state)
{
    tako_reader r = tako_reader_of(TAKO_SLICE_NONE);
    (void)state;

    assert_true(tako_reader_done(&r));
    assert_int_equal(tako_read_bytes(&r, 0).len, 0); /* no null arithmetic */
    assert_false(r.failed);
    assert_int_equal(tako_read_block(&r).len, 0);
    assert_true(r.failed);
}

static void test_slice__varints_come_back_and_are_shortest(void **state)
{
    test_env t;
    tako_buf b;
    (void)state;

    test_env_init(&t, test_seed(100));
    b = tako_buf_on(&t.env);
    for (unsigned i = 0; i < 200000; i++) {
        uint64_t v = test_random(&t) >> test_below(&t, 64), shifted;
        size_t want = 1;
        tako_reader r;

        if (i < 128)
            v = i < 64 ? (uint64_t)1 << i : ((uint64_t)1 << (i - 64)) - 1;
        if (i == 128)
            v = UINT64_MAX;
        tako_buf_reset(&b);
        tako_put_varint(&b, v);
        for (shifted = v; shifted >= 0x80; shifted >>= 7)
            want++;
        assert_int_equal(b.len, want);
        r = tako_reader_of(tako_buf_slice(&b));
        assert_true(tako_read_varint(&r) == v && tako_reader_done(&r));
        for (size_t n = 0; n < b.len; n++) { /* cut */
            r = tako_reader_of(tako_slice_of(b.ptr, n));
            assert_true(tako_read_varint(&r) == 0 && r.failed);
        }
        b.ptr[b.len - 1] |= 0x80; /* the same with zeros behind it */
        tako_put_u8(&b, 0);
        r = tako_reader_of(tako_buf_slice(&b));
        assert_true(tako_read_varint(&r) == 0 && r.failed);
    }
    tako_buf_fini(&b);
    test_env_check_empty(&t);
}

static void test_slice__varints_beyond_64_bits_fail(void **state)
{
    static const char *rows[] = {
        "\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02",
        "\xff\xff\xff\xff\xff\xff\xff\xff\xff\x7f",
        "\xff\xff\xff\xff\xff\xff\xff\xff\xff\x81\x01",
        "\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x01",
        "\x80\x80\x80\x80\x80\x80\x80\x80\x80\x02",
    };
    (void)state;

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        tako_reader r = tako_reader_of(tako_slice_str(rows[i]));

        assert_true(tako_read_varint(&r) == 0 && r.failed);
    }
}

static void test_slice__blocks_longer_than_the_input_fail(void **state)
{
    test_env t;
    tako_buf b;
    tako_reader r;
    tako_slice s;
    (void)state;

    test_env_init(&t, 0);
    b = tako_buf_on(&t.env);
    tako_put_block(&b, tako_slice_str("abc"));
    tako_put_block(&b, TAKO_SLICE_NONE);
    tako_put_varint(&b, 2);
    tako_put_u8(&b, 'x');
    r = tako_reader_of(tako_buf_slice(&b));
    s = tako_read_block(&r);
    assert_true(tako_slice_eq(s, tako_slice_str("abc")));
    s = tako_read_block(&r);
    assert_true(s.len == 0 && !r.failed);
    s = tako_read_block(&r);
    assert_true(s.len == 0 && r.failed);
    tako_buf_reset(&b);
    tako_put_varint(&b, UINT64_MAX);
    r = tako_reader_of(tako_buf_slice(&b));
    assert_true(tako_read_block(&r).len == 0 && r.failed);
    tako_buf_fini(&b);
    test_env_check_empty(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_slice__order_is_by_bytes_then_length),
        cmocka_unit_test(test_slice__reader_gives_what_is_there_then_fails),
        cmocka_unit_test(test_slice__failure_is_sticky),
        cmocka_unit_test(test_slice__an_empty_reader_is_done),
        cmocka_unit_test(test_slice__varints_come_back_and_are_shortest),
        cmocka_unit_test(test_slice__varints_beyond_64_bits_fail),
        cmocka_unit_test(test_slice__blocks_longer_than_the_input_fail),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
