// SPDX-License-Identifier: Apache-2.0
#include "codec/base64.h"

static const char base64_letters[] =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

#define NOT_BASE64 64u

static unsigned base64_value(uint8_t c)
{
    if (c >= 'A' && c <= 'Z')
        return c - (unsigned)'A';
    if (c >= 'a' && c <= 'z')
        return c - (unsigned)'a' + 26;
    if (c >= '0' && c <= '9')
        return c - (unsigned)'0' + 52;
    if (c == '+')
        return 62;
    return c == '/' ? 63 : NOT_BASE64;
}

void base64_put(tako_buf *b, tako_slice bytes)
{
    const uint8_t *p = bytes.ptr;
    size_t left = bytes.len;
    uint8_t *out;

    if (left > SIZE_MAX / 4 || !tako_buf_reserve(b, (left + 2) / 3 * 4)) {
        b->failed = true;
        return;
    }
    if (left == 0)
        return;
    out = b->ptr + b->len;
    b->len += (left + 2) / 3 * 4;
    for (; left > 0; out += 4) {
        uint32_t v = (uint32_t)p[0] << 16;

        if (left > 1)
            v |= (uint32_t)p[1] << 8;
        if (left > 2)
            v |= p[2];
        out[0] = (uint8_t)base64_letters[v >> 18];
        out[1] = (uint8_t)base64_letters[v >> 12 & 63];
        out[2] = left > 1 ? (uint8_t)base64_letters[v >> 6 & 63] : '=';
        out[3] = left > 2 ? (uint8_t)base64_letters[v & 63] : '=';
        p += left > 2 ? 3 : left;
        left -= left > 2 ? 3 : left;
    }
}

bool base64_check(tako_slice text, size_t *len)
{
    size_t n = text.len, pad = 0;
    unsigned last;

    *len = 0;
    if (n % 4 != 0)
        return false;
    if (n == 0)
        return true;
    while (pad < 2 && text.ptr[n - 1] == '=') {
        n--;
        pad++;
    }
    for (size_t i = 0; i < n; i++)
        if (base64_value(text.ptr[i]) == NOT_BASE64)
            return false;
    /* The bits of the last letter that no byte uses. */
    last = base64_value(text.ptr[n - 1]);
    if ((pad == 1 && (last & 3) != 0) || (pad == 2 && (last & 15) != 0))
        return false;
    *len = text.len / 4 * 3 - pad;
    return true;
}

void base64_decode(tako_slice text, uint8_t *out)
{
    for (size_t i = 0; i < text.len; i += 4) {
        const uint8_t *p = text.ptr + i;
        unsigned c = base64_value(p[2]), d = base64_value(p[3]);
        uint32_t v = (uint32_t)base64_value(p[0]) << 18 |
                     (uint32_t)base64_value(p[1]) << 12;

        if (c != NOT_BASE64)
            v |= (uint32_t)c << 6;
        if (d != NOT_BASE64)
            v |= d;
        *out++ = (uint8_t)(v >> 16);
        if (c != NOT_BASE64)
            *out++ = (uint8_t)(v >> 8);
        if (d != NOT_BASE64)
            *out++ = (uint8_t)v;
    }
}
