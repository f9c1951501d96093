// SPDX-License-Identifier: Apache-2.0
#include "support/test_env.h"

#include "codec/cbor.h"
#include "codec/utf8.h"
#include "support_random.h"

/* Decodes by arithmetic and asks whether the form is the one for the number:
 * another way to say what well-formed means. 0 when not. */
static size_t well_formed(const uint8_t *p, size_t left)
{
    static const uint32_t smallest[] = { 0, 0, 0x80, 0x800, 0x10000 };
    size_t n;
    uint32_t cp;

    if (left == 0)
        return 0;
    if (p[0] < 0x80)
        return 1;
    n = p[0] >> 5 == 6 ? 2 : p[0] >> 4 == 14 ? 3 : p[0] >> 3 == 30 ? 4 : 0;
    if (n == 0 || left < n)
        return 0;
    cp = p[0] & (0x7fu >> n);
    for (size_t i = 1; i < n; i++) {
        if (p[i] >> 6 != 2)
            return 0;
        cp = cp << 6 | (p[i] & 63);
    }
    if (cp < smallest[n] || cp > 0x10ffff || (cp >= 0xd800 && cp < 0xe000))
        return 0;
    return n;
}

static void test_utf8__short_sequences_agree_with_the_definition(void **state)
{
    /* the edges of every range of second, third and fourth bytes */
    static const uint8_t tails[] = { 0x00, 0x7f, 0x80, 0x8f, 0x90,
                                     0x9f, 0xa0, 0xbf, 0xc0, 0xff };
    const size_t n = sizeof tails;
    uint8_t s[4];
    (void)state;

    for (unsigned first = 0; first < 256; first++)
        for (size_t i = 0; i < n * n * n; i++)
            for (size_t len = 1; len <= 4; len++) {
                size_t want = 0, step;

                s[0] = (uint8_t)first;
                s[1] = tails[i % n];
                s[2] = tails[i / n % n];
                s[3] = tails[i / n / n];
                while ((step = well_formed(s + want, len - want)) > 0)
                    want += step;
                assert_int_equal(utf8_valid_bytes(tako_slice_of(s, len)), want);
                assert_int_equal(utf8_check(tako_slice_of(s, len)),
                                 want == len);
            }
}

static void test_utf8__every_code_point_is_put_well(void **state)
{
    uint8_t out[4];
    (void)state;

    for (uint32_t cp = 0; cp < 0x110000; cp++) {
        size_t n;

        if (cp >= 0xd800 && cp < 0xe000)
            continue;
        n = utf8_put(cp, out);
        assert_int_equal(well_formed(out, 4), n);
        assert_true(utf8_check(tako_slice_of(out, n)));
    }
}

/* A bad byte is found wherever it stands, also within a stretch of eight. */
static void test_utf8__a_bad_byte_is_found_at_its_place(void **state)
{
    test_env t;
    tako_buf b;
    (void)state;

    test_env_init(&t, test_seed(40));
    b = tako_buf_on(&t.env);
    for (unsigned i = 0; i < 20000; i++) {
        size_t at;

        tako_buf_reset(&b);
        support_random_text(&t, &b, 40);
        assert_true(utf8_check(tako_buf_slice(&b)));
        at = b.len;
        tako_put_u8(&b, 0xff);
        support_random_text(&t, &b, 10);
        assert_int_equal(utf8_valid_bytes(tako_buf_slice(&b)), at);
    }
    assert_true(utf8_check(TAKO_SLICE_NONE));
    tako_buf_fini(&b);
    test_env_check_empty(&t);
}

static void test_utf8__shown_text_is_short_and_printable(void **state)
{
    char out[UTF8_SHOW_BYTES];
    char in[200];
    const char omega[] = "\xce\xa9";
    (void)state;

    assert_string_equal(utf8_show(tako_slice_str("abc"), out), "abc");
    assert_string_equal(utf8_show(TAKO_SLICE_NONE, out), "");
    assert_string_equal(utf8_show(tako_slice_of("a\0\n\"\x7f", 5), out),
                        "a\?\?\?\?");
    for (size_t n = 0; n <= 99; n++) {
        for (size_t shift = 0; shift < 2; shift++) {
            size_t len = shift;

            memset(in, 'x', sizeof in);
            for (size_t i = 0; i < n; i++, len += 2)
                memcpy(in + len, omega, 2);
            (void)utf8_show(tako_slice_of(in, len), out);
            assert_true(strlen(out) < UTF8_SHOW_BYTES);
            assert_true(utf8_check(tako_slice_str(out)));
            assert_int_equal(
                strcmp(out + (strlen(out) < 3 ? 0 : strlen(out) - 3), "...") ==
                    0,
                len > UTF8_SHOW_BYTES - 4);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_utf8__short_sequences_agree_with_the_definition),
        cmocka_unit_test(test_utf8__every_code_point_is_put_well),
        cmocka_unit_test(test_utf8__a_bad_byte_is_found_at_its_place),
        cmocka_unit_test(test_utf8__shown_text_is_short_and_printable),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
