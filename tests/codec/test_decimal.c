// SPDX-License-Identifier: Apache-2.0
/* The C library's strtod and printf, both exact in glibc, are the judges. */
#include "support/test_env.h"

#include <locale.h>
#include <stdio.h>
#include <stdlib.h>

#include "codec/decimal.h"
#include "codec/json.h"
#include "support_random.h"

#define ROUND_TRIPS 2500000u

static double parse(tako_buf *cbor, const char *text)
{
    tako_errbuf e = { "" };
    tako_reader r;
    cbor_item item;

    tako_buf_reset(cbor);
    if (json_to_cbor(tako_slice_str(text), 0, cbor, &e) != TAKO_OK)
        fail_msg("%s: %s", text, e.text);
    r = tako_reader_of(tako_buf_slice(cbor));
    assert_true(cbor_read(&r, &item));
    assert_int_equal(item.kind, CBOR_FLOAT);
    return item.real;
}

static bool same(double a, double b)
{
    return memcmp(&a, &b, sizeof a) == 0;
}

static void test_decimal__every_double_comes_back(void **state)
{
    test_env t;
    tako_buf text, cbor;
    (void)state;

    test_env_init(&t, test_seed(1));
    text = tako_buf_on(&t.env);
    cbor = tako_buf_on(&t.env);
    for (unsigned i = 0; i < ROUND_TRIPS; i++) {
        double v;

        if (i % 4 == 0) {
            v = support_random_double(&t);
        } else {
            uint64_t bits = test_random(&t);

            memcpy(&v, &bits, sizeof v);
            if (v - v != 0)
                continue;
        }
        tako_buf_reset(&text);
        json_put_double(&text, v);
        if (!same(parse(&cbor, tako_buf_cstr(&text)), v))
            fail_msg("%.17g prints %s", v, tako_buf_cstr(&text));
        if (i % 8 == 0 && !same(strtod(tako_buf_cstr(&text), NULL), v))
            fail_msg("%.17g prints %s", v, tako_buf_cstr(&text));
    }
    tako_buf_fini(&text);
    tako_buf_fini(&cbor);
}

/* The fewest digits, and among as few the nearest. */
static void check_shortest(double v)
{
    uint64_t digits;
    int exp10, n;
    char mine[40], text[40];

    decimal_shortest(v, &digits, &exp10);
    assert_true(digits % 10 != 0);
    n = snprintf(mine, sizeof mine, "%llu", (unsigned long long)digits);
    for (int p = 1; p <= 17; p++) {
        (void)snprintf(text, sizeof text, "%.*e", p - 1, v);
        if (strtod(text, NULL) == v) {
            /* printf's digits are the nearest of this length; where these
             * read back, ours are the same. Shorter ones may exist that
             * printf does not give, never longer. */
            if (n > p)
                fail_msg("%.17g: %s but %d digits do", v, mine, p);
            if (n == p) {
                char again[48];

                (void)snprintf(again, sizeof again, "%se%d", mine, exp10);
                if (strtod(again, NULL) != v)
                    fail_msg("%.17g: %s is another number", v, again);
                if (memcmp(mine, text, 1) != 0 ||
                    (p > 1 && memcmp(mine + 1, text + 2, (size_t)p - 1) != 0))
                    fail_msg("%.17g: %s is not the nearest, %s", v, again,
                             text);
            }
            return;
        }
    }
    fail_msg("%.17g has no text", v);
}

static void test_decimal__digits_are_fewest_and_nearest(void **state)
{
    test_env t;
    double v;
    (void)state;

    test_env_init(&t, test_seed(2));
    for (unsigned i = 0; i < 200000; i++) {
        uint64_t bits = test_random(&t) & INT64_MAX;

        memcpy(&v, &bits, sizeof v);
        if (i % 2 == 0)
            v = support_random_double(&t);
        v = v < 0 ? -v : v;
        if (v > 0 && v - v == 0)
            check_shortest(v);
    }
    /* every power of two, with its neighbours; the smallest numbers */
    for (uint64_t e = 0; e < 2047; e++)
        for (int64_t d = -2; d <= 2; d++) {
            uint64_t bits = (e << 52) + (uint64_t)d;

            memcpy(&v, &bits, sizeof v);
            if (v > 0 && v - v == 0)
                check_shortest(v);
        }
    for (uint64_t bits = 1; bits < 5000; bits++) {
        memcpy(&v, &bits, sizeof v);
        check_shortest(v);
    }
}

static void check_text(tako_buf *cbor, const char *text)
{
    double want = strtod(text, NULL), got;

    if (want - want != 0) {
        assert_int_equal(json_to_cbor(tako_slice_str(text), 0, cbor, NULL),
                         TAKO_INVALID);
        return;
    }
    got = parse(cbor, text);
    if (!same(want, got))
        fail_msg("%s: %.17g, should be %.17g", text, got, want);
}

static void test_decimal__random_decimals_read_as_strtod(void **state)
{
    test_env t;
    tako_buf text, cbor;
    (void)state;

    test_env_init(&t, test_seed(3));
    text = tako_buf_on(&t.env);
    cbor = tako_buf_on(&t.env);
    for (unsigned i = 0; i < 300000; i++) {
        size_t n = 1 + test_below(&t, i % 16 == 0 ? 60 : 22);

        tako_buf_reset(&text);
        tako_put_u8(&text, (uint8_t)('1' + test_below(&t, 9)));
        tako_put_u8(&text, '.');
        while (n-- > 0)
            tako_put_u8(&text, (uint8_t)('0' + test_below(&t, 10)));
        tako_put_fmt(&text, "e%d", (int)test_below(&t, 660) - 345);
        check_text(&cbor, tako_buf_cstr(&text));
    }
    /* every power of ten there is */
    for (int k = -400; k <= 400; k++) {
        tako_buf_reset(&text);
        tako_put_fmt(&text, "1e%d", k);
        check_text(&cbor, tako_buf_cstr(&text));
        tako_buf_reset(&text);
        tako_put_fmt(&text, "9007199254740993e%d", k);
        check_text(&cbor, tako_buf_cstr(&text));
        tako_buf_reset(&text);
        tako_put_fmt(&text, "18446744073709551615999e%d", k);
        check_text(&cbor, tako_buf_cstr(&text));
    }
    tako_buf_fini(&text);
    tako_buf_fini(&cbor);
}

/* The exact decimal of a midpoint, which goes to the even neighbour, and the
 * same with one digit more or less at its very end. */
static void test_decimal__midpoints_go_to_even(void **state)
{
    test_env t;
    tako_buf cbor;
    char text[1200];
    (void)state;

    test_env_init(&t, test_seed(4));
    cbor = tako_buf_on(&t.env);
    for (unsigned i = 0; i < 20000; i++) {
        uint64_t bits = test_random(&t) & INT64_MAX;
        double v, next;
        long double mid;
        size_t n;

        if (i % 4 == 0)
            bits &= 0x001fffffffffffffu; /* subnormal, or nearly */
        memcpy(&v, &bits, sizeof v);
        bits++;
        memcpy(&next, &bits, sizeof next);
        if (v - v != 0 || next - next != 0)
            continue;
        /* exact: x87 long double has the bits; elsewhere nothing is shown */
        mid = ((long double)v + (long double)next) / 2;
        (void)snprintf(text, sizeof text, "%.800Le", mid);
        check_text(&cbor, text);
        n = (size_t)(strchr(text, 'e') - text);
        text[n - 1] = '1';
        check_text(&cbor, text);
        /* The exact digits end before 800: one less is all nines there. */
        (void)snprintf(text, sizeof text, "%.1000Le", mid);
        n = (size_t)(strchr(text, 'e') - text) - 1;
        while (n > 2 && text[n] == '0')
            text[n--] = '9';
        if (text[n] > '0' && text[n] <= '9')
            text[n]--;
        check_text(&cbor, text);
    }
    tako_buf_fini(&cbor);
}

static void test_decimal__long_numbers_are_exact(void **state)
{
    test_env t;
    tako_buf text, cbor;
    (void)state;

    test_env_init(&t, 0);
    text = tako_buf_on(&t.env);
    cbor = tako_buf_on(&t.env);
    for (unsigned n = 1; n < 3000; n += 37) {
        /* 9007199254740993 is a midpoint; far behind it a digit decides */
        for (int last = 0; last <= 1; last++) {
            tako_buf_reset(&text);
            tako_put_str(&text, "9007199254740993.");
            for (unsigned i = 0; i < n; i++)
                tako_put_u8(&text, '0');
            tako_put_u8(&text, (uint8_t)('0' + last));
            check_text(&cbor, tako_buf_cstr(&text));
        }
        tako_buf_reset(&text);
        tako_put_str(&text, "0.");
        for (unsigned i = 0; i < n; i++)
            tako_put_u8(&text, '0');
        tako_put_fmt(&text, "123456789012345678901e%u", n);
        check_text(&cbor, tako_buf_cstr(&text));
        tako_buf_reset(&text);
        tako_put_str(&text, "123456789012345678901");
        for (unsigned i = 0; i < n; i++)
            tako_put_u8(&text, '0');
        tako_put_fmt(&text, "e-%u", n);
        check_text(&cbor, tako_buf_cstr(&text));
    }
    tako_buf_fini(&text);
    tako_buf_fini(&cbor);
}

static void test_decimal__locale_does_not_matter(void **state)
{
    static const char *names[] = { "de_DE.UTF-8", "fr_FR.UTF-8",
                                   "es_ES.UTF-8" };
    test_env t;
    tako_buf text, cbor;
    (void)state;

    test_env_init(&t, 0);
    text = tako_buf_on(&t.env);
    cbor = tako_buf_on(&t.env);
    for (size_t i = 0; i < 3; i++) /* takes effect where it is installed */
        if (setlocale(LC_ALL, names[i]) != NULL)
            break;
    json_put_double(&text, 1234.5);
    assert_string_equal(tako_buf_cstr(&text), "1234.5");
    assert_true(same(parse(&cbor, "1234.5"), 1234.5));
    assert_true(same(parse(&cbor, "9007199254740993.0"), 9007199254740992.0));
    (void)setlocale(LC_ALL, "C");
    tako_buf_fini(&text);
    tako_buf_fini(&cbor);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_decimal__every_double_comes_back),
        cmocka_unit_test(test_decimal__digits_are_fewest_and_nearest),
        cmocka_unit_test(test_decimal__random_decimals_read_as_strtod),
        cmocka_unit_test(test_decimal__midpoints_go_to_even),
        cmocka_unit_test(test_decimal__long_numbers_are_exact),
        cmocka_unit_test(test_decimal__locale_does_not_matter),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
