// SPDX-License-Identifier: Apache-2.0
/* Strings and numbers of the JSON reader. A string without escapes, nearly
 * every one, is found eight bytes at a time and copied; one with escapes is
 * measured first, so that the output is reserved once. */
#include "codec/json_in.h"

#include "codec/cbor_head.h"
#include "codec/decimal.h"
#include "codec/utf8.h"

/* An exponent or a count of digits beyond this decides the outcome alone. */
#define EXPONENT_MAX 1000000000000

/* --- strings ---------------------------------------------------------- */

/* Four hex digits at p, or -1. */
static int32_t hex4(const uint8_t *p, const uint8_t *end)
{
    int32_t v = 0;

    if (end - p < 4)
        return -1;
    for (int i = 0; i < 4; i++) {
        uint8_t c = p[i];

        v <<= 4;
        if (c >= '0' && c <= '9')
            v |= c - '0';
        else if (c >= 'a' && c <= 'f')
            v |= c - 'a' + 10;
        else if (c >= 'A' && c <= 'F')
            v |= c - 'A' + 10;
        else
            return -1;
    }
    return v;
}

/* \uXXXX whose backslash is at *at, with its second half where it is a
 * surrogate. Writes the character to *out and steps both. */
static tako_err read_unicode(const json_in *in, const uint8_t **at,
                             const uint8_t *end, uint8_t **out)
{
    const uint8_t *p = *at;
    int32_t cp = hex4(p + 2, end), low;

    if (cp < 0)
        return json_fail(in, TAKO_INVALID, p,
                         "expected four hex digits after \\u");
    p += 6;
    if (cp >= 0xd800 && cp <= 0xdfff) {
        low = cp < 0xdc00 && end - p >= 2 && p[0] == '\\' && p[1] == 'u'
                  ? hex4(p + 2, end)
                  : -1;
        if (low < 0xdc00 || low > 0xdfff)
            return json_fail(in, TAKO_INVALID, *at,
                             "half of a surrogate pair, \\u%04x", (unsigned)cp);
        cp = 0x10000 + ((cp - 0xd800) << 10) + (low - 0xdc00);
        p += 6;
    }
    *out += utf8_put((uint32_t)cp, *out);
    *at = p;
    return TAKO_OK;
}

/* Copies s..end to out with the escapes resolved; *n is the length. The text
 * gets no longer: the shortest escape for a character is as long as it. */
static tako_err unescape(const json_in *in, const uint8_t *s,
                         const uint8_t *end, uint8_t *out, size_t *n)
{
    uint8_t *start = out;

    while (s < end) {
        const uint8_t *p = json_scan_plain(s, end, false);
        uint8_t c;

        memcpy(out, s, (size_t)(p - s));
        out += p - s;
        s = p;
        if (s == end)
            break;
        switch (s[1]) { /* a backslash is never the last byte here */
        case '"':
        case '\\':
        case '/':
            c = s[1];
            break;
        case 'b':
            c = '\b';
            break;
        case 'f':
            c = '\f';
            break;
        case 'n':
            c = '\n';
            break;
        case 'r':
            c = '\r';
            break;
        case 't':
            c = '\t';
            break;
        case 'u':
            TAKO_TRY(read_unicode(in, &s, end, &out));
            continue;
        default:
            return json_fail_expected(
                in, s + 1, "one of \" \\ / b f n r t u after a backslash");
        }
        *out++ = c;
        s += 2;
    }
    *n = (size_t)(out - start);
    return TAKO_OK;
}

/* A string with escapes or beyond ASCII; s is behind its opening quote, p
 * where plain text ends. */
static tako_err read_string_slow(json_in *in, const uint8_t *s,
                                 const uint8_t *p)
{
    tako_buf *out = in->out;
    bool escapes = false;
    size_t n, head, ok;

    for (;; p += 2) { /* steps over a backslash and what it escapes */
        p = json_scan_plain(p, in->end, false);
        if (p < in->end && *p == '"')
            break;
        if (p < in->end && *p == '\\' && in->end - p >= 2) {
            escapes = true;
            continue;
        }
        if (p < in->end && *p != '\\')
            return json_fail(in, TAKO_INVALID, p,
                             "control character 0x%02x in a string; escape "
                             "it as \\u%04x",
                             *p, *p);
        return json_fail(in, TAKO_INVALID, s - 1,
                         "this string has no closing quote");
    }
    n = (size_t)(p - s);
    ok = utf8_valid_bytes(tako_slice_of(s, n));
    if (ok < n)
        return json_fail(in, TAKO_INVALID, s + ok, "byte 0x%02x is not UTF-8",
                         s[ok]);
    in->cur = p + 1;
    if (!escapes) {
        cbor_put_text(out, tako_slice_of(s, n));
        return TAKO_OK;
    }
    if (!tako_buf_reserve(out, n + CBOR_HEAD_BYTES_MAX))
        return TAKO_NOMEM;
    TAKO_TRY(unescape(in, s, p, out->ptr + out->len + CBOR_HEAD_BYTES_MAX, &n));
    head = cbor_head_write(out->ptr + out->len, CBOR_MAJOR_TEXT, n);
    memmove(out->ptr + out->len + head,
            out->ptr + out->len + CBOR_HEAD_BYTES_MAX, n);
    out->len += head + n;
    return TAKO_OK;
}

tako_err json_read_string(json_in *in)
{
    const uint8_t *s = in->cur + 1, *p = json_scan_plain(s, in->end, true);
    tako_buf *out = in->out;
    size_t n = (size_t)(p - s);

    if (p == in->end || *p != '"')
        return read_string_slow(in, s, p);
    in->cur = p + 1;
    if (!tako_buf_reserve(out, n + CBOR_HEAD_BYTES_MAX))
        return TAKO_NOMEM;
    out->len += cbor_head_write(out->ptr + out->len, CBOR_MAJOR_TEXT, n);
    memcpy(out->ptr + out->len, s, n);
    out->len += n;
    return TAKO_OK;
}

/* --- numbers ---------------------------------------------------------- */

static bool is_digit(const json_in *in, const uint8_t *p)
{
    return p < in->end && *p >= '0' && *p <= '9';
}

/* The digits at p into d; `place` is what each does to the exponent. */
static const uint8_t *read_digits(const json_in *in, const uint8_t *p,
                                  decimal_text *d, unsigned *count,
                                  bool fraction)
{
    for (; is_digit(in, p); p++) {
        if (*count < DECIMAL_DIGITS_MAX) {
            d->digits = d->digits * 10 + (uint64_t)(*p - '0');
            *count += d->digits != 0; /* leading zeros are free */
            d->exp10 -= fraction;
        } else {
            d->cut = d->cut || *p != '0';
            d->exp10 += !fraction;
        }
    }
    return p;
}

static tako_err read_exponent(json_in *in, const uint8_t **at, decimal_text *d)
{
    const uint8_t *p = *at + 1;
    bool negative = false;
    int64_t v = 0;

    if (p < in->end && (*p == '+' || *p == '-'))
        negative = *p++ == '-';
    if (!is_digit(in, p))
        return json_fail_expected(in, p, "a digit in the exponent");
    for (; is_digit(in, p); p++)
        if (v < EXPONENT_MAX)
            v = v * 10 + (*p - '0');
    d->exponent = negative ? -v : v;
    d->exp10 += d->exponent;
    *at = p;
    return TAKO_OK;
}

/* A number that has no fraction and no exponent, if int64 holds it. */
static bool put_integer(tako_buf *out, const decimal_text *d, bool negative)
{
    if (d->exp10 != 0 || (negative && d->digits == 0))
        return false;
    if (d->digits > (uint64_t)INT64_MAX + negative)
        return false;
    if (!negative)
        cbor_put_int(out, (int64_t)d->digits);
    else
        cbor_put_int(out, -1 - (int64_t)(d->digits - 1));
    return true;
}

tako_err json_read_number(json_in *in)
{
    const uint8_t *p = in->cur;
    decimal_text d = { 0, 0, false, TAKO_SLICE_NONE, 0 };
    unsigned count = 0;
    bool negative = *p == '-', integer = true;
    double v;

    p += negative;
    d.mantissa.ptr = p;
    if (!is_digit(in, p))
        return json_fail_expected(in, p, "a digit after '-'");
    if (*p == '0' && is_digit(in, p + 1))
        return json_fail(in, TAKO_INVALID, p,
                         "a number does not begin with 0 and a digit");
    p = read_digits(in, p, &d, &count, false);
    if (p < in->end && *p == '.') {
        integer = false;
        if (!is_digit(in, p + 1))
            return json_fail_expected(in, p + 1, "a digit after '.'");
        p = read_digits(in, p + 1, &d, &count, true);
    }
    d.mantissa.len = (size_t)(p - d.mantissa.ptr);
    if (p < in->end && (*p == 'e' || *p == 'E')) {
        integer = false;
        TAKO_TRY(read_exponent(in, &p, &d));
    }
    if (integer && put_integer(in->out, &d, negative)) {
        in->cur = p;
        return TAKO_OK;
    }
    if (!decimal_to_double(&d, &v))
        return json_fail(in, TAKO_INVALID, in->cur,
                         "this number is beyond the range of a float64");
    cbor_put_float(in->out, negative ? -v : v);
    in->cur = p;
    return TAKO_OK;
}
