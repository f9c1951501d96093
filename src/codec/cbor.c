// SPDX-License-Identifier: Apache-2.0
#include "codec/cbor.h"

#include "base/check.h"
#include "codec/cbor_float.h"
#include "codec/cbor_head.h"

/* --- reading ---------------------------------------------------------- */

static bool read_fail(tako_reader *r)
{
    r->failed = true;
    return false;
}

static bool read_other(tako_reader *r, uint8_t first, uint64_t arg,
                       cbor_item *out)
{
    uint64_t bits = arg;

    switch (first) {
    case CBOR_FALSE_BYTE:
    case CBOR_TRUE_BYTE:
        out->kind = CBOR_BOOL;
        out->boolean = first == CBOR_TRUE_BYTE;
        return true;
    case CBOR_NULL_BYTE:
        out->kind = CBOR_NULL;
        return true;
    case CBOR_HALF_BYTE:
        out->real = cbor_float_of_half((uint16_t)bits);
        break;
    case CBOR_SINGLE_BYTE:
        out->real = cbor_float_of_single((uint32_t)bits);
        break;
    case CBOR_DOUBLE_BYTE:
        memcpy(&out->real, &bits, sizeof out->real);
        break;
    default:
        return read_fail(r);
    }
    out->kind = CBOR_FLOAT;
    return true;
}

bool cbor_read(tako_reader *r, cbor_item *out)
{
    cbor_head h;
    size_t n;
    uint8_t first;

    if (r->failed)
        return false;
    if (r->pos >= r->in.len)
        return read_fail(r);
    first = r->in.ptr[r->pos];
    n = cbor_head_read(r->in.ptr + r->pos, r->in.len - r->pos, &h);
    if (n == 0)
        return read_fail(r);
    r->pos += n;
    switch (h.major) {
    case CBOR_MAJOR_UINT:
    case CBOR_MAJOR_NINT:
        if (h.arg > INT64_MAX)
            return read_fail(r);
        out->kind = CBOR_INT;
        out->integer = (int64_t)h.arg;
        if (h.major == CBOR_MAJOR_NINT)
            out->integer = -1 - out->integer;
        return true;
    case CBOR_MAJOR_BYTES:
    case CBOR_MAJOR_TEXT:
        if (h.arg > r->in.len - r->pos)
            return read_fail(r);
        out->kind = h.major == CBOR_MAJOR_TEXT ? CBOR_TEXT : CBOR_BYTES;
        out->str = tako_slice_of(r->in.ptr + r->pos, (size_t)h.arg);
        r->pos += (size_t)h.arg;
        return true;
    case CBOR_MAJOR_ARRAY:
    case CBOR_MAJOR_MAP:
        out->kind = h.major == CBOR_MAJOR_MAP ? CBOR_MAP : CBOR_ARRAY;
        out->count = h.arg;
        return true;
    case CBOR_MAJOR_OTHER:
        return read_other(r, first, h.arg, out);
    default:
        return read_fail(r);
    }
}

tako_slice cbor_read_value(tako_reader *r)
{
    size_t from = r->pos, at = from, len = r->in.len, n;
    uint64_t open = 1; /* items still to come */

    if (r->failed)
        return TAKO_SLICE_NONE;
    while (open > 0) {
        cbor_head h;

        n = at < len ? cbor_head_read(r->in.ptr + at, len - at, &h) : 0;
        if (n == 0)
            goto bad;
        at += n;
        open--;
        switch (h.major) {
        case CBOR_MAJOR_BYTES:
        case CBOR_MAJOR_TEXT:
            if (h.arg > len - at)
                goto bad;
            at += (size_t)h.arg;
            break;
        case CBOR_MAJOR_MAP:
        case CBOR_MAJOR_ARRAY:
            /* An item is a byte at least; this also keeps `open` small. */
            if (h.arg > len - at)
                goto bad;
            open += h.major == CBOR_MAJOR_MAP ? 2 * h.arg : h.arg;
            break;
        default:
            break;
        }
    }
    r->pos = at;
    return tako_slice_of(r->in.ptr + from, at - from);
bad:
    r->failed = true;
    return TAKO_SLICE_NONE;
}

cbor_kind cbor_kind_of(tako_slice value)
{
    uint8_t first;

    TAKO_ASSERT(value.len > 0);
    first = value.ptr[0];
    switch (first >> 5) {
    case CBOR_MAJOR_UINT:
    case CBOR_MAJOR_NINT:
        return CBOR_INT;
    case CBOR_MAJOR_BYTES:
        return CBOR_BYTES;
    case CBOR_MAJOR_TEXT:
        return CBOR_TEXT;
    case CBOR_MAJOR_ARRAY:
        return CBOR_ARRAY;
    case CBOR_MAJOR_MAP:
        return CBOR_MAP;
    default:
        if (first >= CBOR_HALF_BYTE)
            return CBOR_FLOAT;
        return first == CBOR_NULL_BYTE ? CBOR_NULL : CBOR_BOOL;
    }
}

tako_slice cbor_map_get(tako_slice map, tako_slice key)
{
    tako_reader r = tako_reader_of(map);
    cbor_item item;
    uint64_t n;

    if (map.len == 0 || map.ptr[0] >> 5 != CBOR_MAJOR_MAP ||
        !cbor_read(&r, &item))
        return TAKO_SLICE_NONE;
    for (n = item.count; n > 0; n--) {
        int c;

        if (!cbor_read(&r, &item) || item.kind != CBOR_TEXT)
            break;
        c = cbor_key_cmp(item.str, key);
        if (c == 0)
            return cbor_read_value(&r);
        if (c > 0)
            break; /* keys ascend: it does not come any more */
        (void)cbor_read_value(&r);
    }
    return TAKO_SLICE_NONE;
}

tako_slice cbor_map_text(tako_slice map, const char *key)
{
    tako_slice v = cbor_map_get(map, tako_slice_str(key));
    tako_reader r = tako_reader_of(v);
    cbor_item item;

    if (v.len == 0 || cbor_kind_of(v) != CBOR_TEXT || !cbor_read(&r, &item))
        return TAKO_SLICE_NONE;
    return item.str;
}

/* --- writing ---------------------------------------------------------- */

static void put_head(tako_buf *b, unsigned major, uint64_t arg)
{
    if (tako_buf_reserve(b, CBOR_HEAD_BYTES_MAX))
        b->len += cbor_head_write(b->ptr + b->len, major, arg);
}

static void put_string(tako_buf *b, unsigned major, tako_slice v)
{
    /* One reservation, so that a string is there whole or not at all. */
    if (v.len > SIZE_MAX - CBOR_HEAD_BYTES_MAX ||
        !tako_buf_reserve(b, v.len + CBOR_HEAD_BYTES_MAX)) {
        b->failed = true;
        return;
    }
    b->len += cbor_head_write(b->ptr + b->len, major, v.len);
    if (v.len > 0)
        memcpy(b->ptr + b->len, v.ptr, v.len);
    b->len += v.len;
}

/* A float: its first byte, then the low `n` bytes of bits, big-endian. */
static void put_float_bits(tako_buf *b, uint8_t first, uint64_t bits, int n)
{
    if (!tako_buf_reserve(b, CBOR_HEAD_BYTES_MAX))
        return;
    b->ptr[b->len++] = first;
    while (n-- > 0)
        b->ptr[b->len++] = (uint8_t)(bits >> (8 * n));
}

void cbor_put_null(tako_buf *b)
{
    tako_put_u8(b, CBOR_NULL_BYTE);
}

void cbor_put_bool(tako_buf *b, bool v)
{
    tako_put_u8(b, v ? CBOR_TRUE_BYTE : CBOR_FALSE_BYTE);
}

void cbor_put_int(tako_buf *b, int64_t v)
{
    if (v >= 0)
        put_head(b, CBOR_MAJOR_UINT, (uint64_t)v);
    else
        put_head(b, CBOR_MAJOR_NINT, (uint64_t)(-1 - v));
}

void cbor_put_float(tako_buf *b, double v)
{
    uint64_t bits;
    uint32_t single;
    uint16_t half;

    memcpy(&bits, &v, sizeof bits);
    TAKO_ASSERT((bits >> 52 & 0x7ff) != 0x7ff);
    if (cbor_float_to_half(v, &half))
        put_float_bits(b, CBOR_HALF_BYTE, half, 2);
    else if (cbor_float_to_single(v, &single))
        put_float_bits(b, CBOR_SINGLE_BYTE, single, 4);
    else
        put_float_bits(b, CBOR_DOUBLE_BYTE, bits, 8);
}

void cbor_put_bytes(tako_buf *b, tako_slice v)
{
    put_string(b, CBOR_MAJOR_BYTES, v);
}

void cbor_put_text(tako_buf *b, tako_slice v)
{
    put_string(b, CBOR_MAJOR_TEXT, v);
}

void cbor_put_array(tako_buf *b, uint64_t count)
{
    put_head(b, CBOR_MAJOR_ARRAY, count);
}

void cbor_put_map(tako_buf *b, uint64_t count)
{
    put_head(b, CBOR_MAJOR_MAP, count);
}
