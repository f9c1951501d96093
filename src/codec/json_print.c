// SPDX-License-Identifier: Apache-2.0
/* CBOR to JSON text, without recursion: `stack` has the open containers with
 * the number of members still to print. */
#include "codec/json.h"

#include "base/check.h"
#include "codec/base64.h"
#include "codec/cbor_head.h"
#include "codec/decimal.h"
#include "codec/json_in.h"

#define INDENT             2u
#define INT_TEXT_MAX       20u  /* "-9223372036854775808" */
#define EXPONENT_PLAIN_MIN (-4) /* smaller and larger ones print as 1e-5 */
#define EXPONENT_PLAIN_MAX 15

typedef struct print_frame {
    uint64_t left;
    bool map;
    bool first;
} print_frame;

typedef struct printer {
    tako_reader in;
    tako_buf *out;
    bool pretty;
    unsigned depth;
    print_frame stack[TAKO_JSON_DEPTH_MAX];
} printer;

/* --- strings ---------------------------------------------------------- */

static void put_escape(tako_buf *out, uint8_t c)
{
    static const char hex[] = "0123456789abcdef";
    uint8_t text[6] = { '\\', 0, '0', '0', 0, 0 };
    size_t n = 2;

    switch (c) {
    case '"':
    case '\\':
        text[1] = c;
        break;
    case '\b':
        text[1] = 'b';
        break;
    case '\f':
        text[1] = 'f';
        break;
    case '\n':
        text[1] = 'n';
        break;
    case '\r':
        text[1] = 'r';
        break;
    case '\t':
        text[1] = 't';
        break;
    default:
        text[1] = 'u';
        text[4] = (uint8_t)hex[c >> 4];
        text[5] = (uint8_t)hex[c & 15];
        n = sizeof text;
        break;
    }
    tako_put_bytes(out, tako_slice_of(text, n));
}

/* The rest of a string, from p on, where q is the first that needs escaping. */
static void put_string_slow(tako_buf *out, const uint8_t *p, const uint8_t *q,
                            const uint8_t *end)
{
    for (;;) {
        tako_put_bytes(out, tako_slice_of(p, (size_t)(q - p)));
        if (q == end)
            break;
        put_escape(out, *q);
        p = q + 1;
        q = json_scan_plain(p, end, false);
    }
    tako_put_u8(out, '"');
}

void json_put_string(tako_buf *out, tako_slice text)
{
    const uint8_t *end = text.len > 0 ? text.ptr + text.len : text.ptr;
    const uint8_t *q = json_scan_plain(text.ptr, end, false);
    uint8_t *to;

    /* Enough unless there are escapes, for which each put looks again. */
    if (text.len > SIZE_MAX - 2 || !tako_buf_reserve(out, text.len + 2)) {
        out->failed = true;
        return;
    }
    to = out->ptr + out->len;
    *to++ = '"';
    if (q < end) {
        out->len++;
        put_string_slow(out, text.ptr, q, end);
        return;
    }
    if (text.len > 0)
        memcpy(to, text.ptr, text.len);
    to[text.len] = '"';
    out->len += text.len + 2;
}

/* --- numbers ---------------------------------------------------------- */

/* The digits of v, ending at `end`; returns where they begin. */
static char *format_digits(uint64_t v, char *end)
{
    static const char pairs[] = "00010203040506070809"
                                "10111213141516171819"
                                "20212223242526272829"
                                "30313233343536373839"
                                "40414243444546474849"
                                "50515253545556575859"
                                "60616263646566676869"
                                "70717273747576777879"
                                "80818283848586878889"
                                "90919293949596979899";

    while (v >= 100) {
        end -= 2;
        memcpy(end, pairs + v % 100 * 2, 2);
        v /= 100;
    }
    if (v >= 10) {
        end -= 2;
        memcpy(end, pairs + v * 2, 2);
    } else {
        *--end = (char)('0' + v);
    }
    return end;
}

static void put_int(tako_buf *out, int64_t v)
{
    char text[INT_TEXT_MAX], *end = text + sizeof text;
    char *p = format_digits(v < 0 ? 0 - (uint64_t)v : (uint64_t)v, end);

    if (v < 0)
        *--p = '-';
    tako_put_bytes(out, tako_slice_of(p, (size_t)(end - p)));
}

static void put_zeros(tako_buf *out, int n)
{
    while (n-- > 0)
        tako_put_u8(out, '0');
}

void json_put_double(tako_buf *out, double v)
{
    char text[INT_TEXT_MAX], *end = text + sizeof text, *p;
    uint64_t bits, digits;
    int exp10, n, point;

    memcpy(&bits, &v, sizeof bits);
    TAKO_ASSERT((bits >> 52 & 0x7ff) != 0x7ff);
    if (bits >> 63 != 0) {
        tako_put_u8(out, '-');
        v = -v;
    }
    if (bits << 1 == 0) {
        tako_put_str(out, "0.0");
        return;
    }
    decimal_shortest(v, &digits, &exp10);
    p = format_digits(digits, end);
    n = (int)(end - p);
    point = n + exp10; /* digits before the point */
    if (point - 1 < EXPONENT_PLAIN_MIN || point - 1 > EXPONENT_PLAIN_MAX) {
        tako_put_u8(out, (uint8_t)*p++);
        if (p < end) {
            tako_put_u8(out, '.');
            tako_put_bytes(out, tako_slice_of(p, (size_t)(end - p)));
        }
        tako_put_u8(out, 'e');
        put_int(out, point - 1);
    } else if (point <= 0) {
        tako_put_str(out, "0.");
        put_zeros(out, -point);
        tako_put_bytes(out, tako_slice_of(p, (size_t)n));
    } else if (point >= n) {
        tako_put_bytes(out, tako_slice_of(p, (size_t)n));
        put_zeros(out, point - n);
        tako_put_str(out, ".0");
    } else {
        tako_put_bytes(out, tako_slice_of(p, (size_t)point));
        tako_put_u8(out, '.');
        tako_put_bytes(out, tako_slice_of(p + point, (size_t)(n - point)));
    }
}

/* --- values ----------------------------------------------------------- */

static void put_line(const printer *pr)
{
    size_t n = (size_t)pr->depth * INDENT;

    tako_put_u8(pr->out, '\n');
    if (tako_buf_reserve(pr->out, n)) {
        memset(pr->out->ptr + pr->out->len, ' ', n);
        pr->out->len += n;
    }
}

static bool print_open(printer *pr, const cbor_item *item)
{
    bool map = item->kind == CBOR_MAP;

    if (item->count == 0) {
        tako_put_str(pr->out, map ? "{}" : "[]");
        return true;
    }
    if (pr->depth == TAKO_JSON_DEPTH_MAX)
        return false;
    pr->stack[pr->depth++] = (print_frame){ item->count, map, true };
    tako_put_u8(pr->out, map ? '{' : '[');
    return true;
}

/* Text of less than 24 bytes, which most is; else false and nothing read. */
static inline bool read_short_text(tako_reader *r, tako_slice *out)
{
    size_t n;

    if (tako_reader_left(r) == 0)
        return false;
    n = r->in.ptr[r->pos] - (size_t)(CBOR_MAJOR_TEXT << 5);
    if (n >= CBOR_INFO_8 || n > r->in.len - r->pos - 1)
        return false;
    *out = tako_slice_of(r->in.ptr + r->pos + 1, n);
    r->pos += 1 + n;
    return true;
}

/* A key; with `only` the one key of its map, which may need one '$' more. */
static bool print_key(printer *pr, bool only)
{
    cbor_item key;

    if (!read_short_text(&pr->in, &key.str) &&
        (!cbor_read(&pr->in, &key) || key.kind != CBOR_TEXT))
        return false;
    if (only && json_bytes_key(key.str) > 0 && tako_reader_left(&pr->in) > 0 &&
        pr->in.in.ptr[pr->in.pos] >> 5 == CBOR_MAJOR_TEXT) {
        tako_put_str(pr->out, "\"$");
        tako_put_bytes(pr->out, key.str);
        tako_put_u8(pr->out, '"');
    } else {
        json_put_string(pr->out, key.str);
    }
    tako_put_u8(pr->out, ':');
    if (pr->pretty)
        tako_put_u8(pr->out, ' ');
    return true;
}

static bool print_value(printer *pr)
{
    cbor_item item;

    if (read_short_text(&pr->in, &item.str)) {
        json_put_string(pr->out, item.str);
        return true;
    }
    if (!cbor_read(&pr->in, &item))
        return false;
    switch (item.kind) {
    case CBOR_NULL:
        tako_put_str(pr->out, "null");
        break;
    case CBOR_BOOL:
        if (item.boolean)
            tako_put_str(pr->out, "true");
        else
            tako_put_str(pr->out, "false");
        break;
    case CBOR_INT:
        put_int(pr->out, item.integer);
        break;
    case CBOR_FLOAT:
        if (item.real - item.real != 0.0)
            return false; /* infinity or NaN: was never checked */
        json_put_double(pr->out, item.real);
        break;
    case CBOR_BYTES:
        tako_put_str(pr->out,
                     pr->pretty ? "{\"$bytes\": \"" : "{\"$bytes\":\"");
        base64_put(pr->out, item.str);
        tako_put_str(pr->out, "\"}");
        break;
    case CBOR_TEXT:
        json_put_string(pr->out, item.str);
        break;
    case CBOR_ARRAY:
    case CBOR_MAP:
        return print_open(pr, &item);
    }
    return true;
}

static bool print_all(printer *pr)
{
    if (!print_value(pr))
        return false;
    while (pr->depth > 0 && !pr->out->failed) {
        print_frame *f = &pr->stack[pr->depth - 1];

        if (f->left == 0) {
            pr->depth--;
            if (pr->pretty)
                put_line(pr);
            tako_put_u8(pr->out, f->map ? '}' : ']');
            continue;
        }
        if (!f->first)
            tako_put_u8(pr->out, ',');
        if (pr->pretty)
            put_line(pr);
        if (f->map && !print_key(pr, f->first && f->left == 1))
            return false;
        f->first = false;
        f->left--;
        if (!print_value(pr))
            return false;
    }
    return true;
}

static tako_err print(tako_slice value, tako_buf *out, bool pretty)
{
    printer pr;
    size_t base = out->len;
    bool ok;

    pr.in = tako_reader_of(value);
    pr.out = out;
    pr.pretty = pretty;
    pr.depth = 0;
    ok = print_all(&pr);
    if (!ok || out->failed)
        out->len = base;
    if (out->failed)
        return TAKO_NOMEM;
    return ok ? TAKO_OK : TAKO_CORRUPT;
}

tako_err json_from_cbor(tako_slice value, tako_buf *out)
{
    return print(value, out, false);
}

tako_err json_pretty_from_cbor(tako_slice value, tako_buf *out)
{
    return print(value, out, true);
}
