// SPDX-License-Identifier: Apache-2.0
/* See number.h. */
#include "query/number.h"

#include "codec/decimal.h"

#define EXPONENT_MAX 100000 /* beyond it every number is 0 or too large */

static bool is_digit(uint8_t c)
{
    return c >= '0' && c <= '9';
}

static bool is_at(tako_slice s, size_t i, uint8_t a, uint8_t b)
{
    return i < s.len && (s.ptr[i] == a || s.ptr[i] == b);
}

/* Digits with at most one point; *i is behind them. False: there are none. */
static bool read_mantissa(tako_slice s, size_t *i, decimal_text *d, bool *point)
{
    size_t from = *i, digits = 0;

    *point = false;
    for (; *i < s.len && (is_digit(s.ptr[*i]) || (s.ptr[*i] == '.' && !*point));
         ++*i) {
        uint8_t c = s.ptr[*i];

        if (c == '.') {
            *point = true;
            continue;
        }
        digits++;
        if (d->digits < 1000000000000000000u) {
            d->digits = d->digits * 10 + (uint64_t)(c - '0');
            d->exp10 -= *point;
        } else {
            d->cut = d->cut || c != '0';
            d->exp10 += !*point;
        }
    }
    d->mantissa = tako_slice_of(s.ptr + from, *i - from);
    return digits > 0;
}

static bool read_exponent(tako_slice s, size_t *i, decimal_text *d)
{
    bool minus = is_at(s, ++*i, '-', '-');
    size_t from;

    *i += is_at(s, *i, '+', '-');
    for (from = *i; *i < s.len && is_digit(s.ptr[*i]); ++*i) {
        if (d->exponent < EXPONENT_MAX)
            d->exponent = d->exponent * 10 + (s.ptr[*i] - '0');
    }
    if (minus)
        d->exponent = -d->exponent;
    d->exp10 += d->exponent;
    return *i > from;
}

/* Whether digits without a point are an int64. */
static bool read_integer(tako_slice digits, bool minus, int64_t *out)
{
    int64_t v = 0;

    for (size_t i = 0; i < digits.len; i++) {
        int c = digits.ptr[i] - '0';

        if (__builtin_mul_overflow(v, 10, &v) ||
            __builtin_sub_overflow(v, c, &v))
            return false;
    }
    if (!minus && v == INT64_MIN)
        return false;
    *out = minus ? v : -v;
    return true;
}

bool number_parse(tako_slice text, number_text *out)
{
    decimal_text d = { 0 };
    bool minus = is_at(text, 0, '-', '-'), point, exponent;
    size_t i = is_at(text, 0, '+', '-');

    *out = (number_text){ 0 };
    if (!read_mantissa(text, &i, &d, &point))
        return false;
    exponent = is_at(text, i, 'e', 'E');
    if ((exponent && !read_exponent(text, &i, &d)) || i != text.len ||
        !decimal_to_double(&d, &out->real))
        return false;
    if (minus)
        out->real = -out->real;
    out->whole =
        !point && !exponent && read_integer(d.mantissa, minus, &out->integer);
    return true;
}
