// SPDX-License-Identifier: Apache-2.0
#include "support/test_env.h"

#include "codec/ulid.h"

static void test_ulid__edges_are_as_in_the_specification(void **state)
{
    uint8_t bytes[16], back[16];
    char text[ULID_TEXT_BYTES];
    (void)state;

    memset(bytes, 0, sizeof bytes);
    ulid_to_text(bytes, text);
    assert_memory_equal(text, "00000000000000000000000000", ULID_TEXT_BYTES);
    memset(bytes, 0xff, sizeof bytes);
    ulid_to_text(bytes, text);
    assert_memory_equal(text, "7ZZZZZZZZZZZZZZZZZZZZZZZZZ", ULID_TEXT_BYTES);
    assert_true(ulid_from_text(tako_slice_of(text, sizeof text), back));
    assert_memory_equal(back, bytes, sizeof bytes);
    /* 1469922850259 ms is the first 10 characters 01ARZ3NDEK */
    ulid_make(1469922850259u, bytes, back);
    ulid_to_text(back, text);
    assert_memory_equal(text, "01ARZ3NDEKZZZZZZZZZZZZZZZZ", ULID_TEXT_BYTES);
}

static void test_ulid__bytes_and_text_are_one_to_one(void **state)
{
    test_env t;
    (void)state;

    test_env_init(&t, test_seed(60));
    for (unsigned i = 0; i < 100000; i++) {
        uint8_t bytes[16], back[16], other[16];
        char text[ULID_TEXT_BYTES], text2[ULID_TEXT_BYTES];
        int order;

        t.env.random(t.env.ctx, bytes, sizeof bytes);
        ulid_to_text(bytes, text);
        assert_true(ulid_from_text(tako_slice_of(text, sizeof text), back));
        assert_memory_equal(back, bytes, sizeof bytes);
        /* the order of the texts is the order of the bytes */
        t.env.random(t.env.ctx, other, sizeof other);
        ulid_to_text(other, text2);
        order = memcmp(bytes, other, sizeof bytes);
        assert_int_equal(memcmp(text, text2, sizeof text) < 0, order < 0);
    }
}

static void test_ulid__only_canonical_text_is_accepted(void **state)
{
    static const char letters[] = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";
    char text[ULID_TEXT_BYTES + 1];
    uint8_t out[16];
    (void)state;

    for (unsigned c = 0; c < 256; c++)
        for (size_t at = 0; at < ULID_TEXT_BYTES; at++) {
            bool want = c != 0 && strchr(letters, (int)c) != NULL &&
                        (at > 0 || c <= '7');

            memset(text, '0', sizeof text);
            memset(out, 0xee, sizeof out);
            text[at] = (char)c;
            assert_int_equal(
                ulid_from_text(tako_slice_of(text, ULID_TEXT_BYTES), out),
                want);
            if (!want)
                assert_int_equal(out[0], 0xee); /* left alone */
        }
    memset(text, '0', sizeof text);
    assert_false(ulid_from_text(tako_slice_of(text, 25), out));
    assert_false(ulid_from_text(tako_slice_of(text, 27), out));
    assert_false(ulid_from_text(TAKO_SLICE_NONE, out));
}

static void test_ulid__time_comes_first(void **state)
{
    const uint8_t high[10] = {
        255, 255, 255, 255, 255, 255, 255, 255, 255, 255
    };
    const uint8_t low[10] = { 0 };
    uint8_t a[16], b[16];
    (void)state;

    for (unsigned bit = 0; bit < 48; bit++) {
        uint64_t ms = (uint64_t)1 << bit;

        ulid_make(ms - 1, high, a);
        ulid_make(ms, low, b);
        assert_true(memcmp(a, b, sizeof a) < 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ulid__edges_are_as_in_the_specification),
        cmocka_unit_test(test_ulid__bytes_and_text_are_one_to_one),
        cmocka_unit_test(test_ulid__only_canonical_text_is_accepted),
        cmocka_unit_test(test_ulid__time_comes_first),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
