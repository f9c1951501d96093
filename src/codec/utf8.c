// SPDX-License-Identifier: Apache-2.0
/* Well-formed means table 3-7 of the Unicode standard: the first byte gives
 * the length and the range of the second byte, which excludes overlong forms,
 * surrogates and code points above U+10FFFF; the rest are 80..BF. */
#include "codec/utf8.h"

#include "codec/cbor.h"
#include "codec/word.h"

/* The length of the character at p, which is not ASCII; 0 when malformed. */
static size_t utf8_char(const uint8_t *p, size_t left)
{
    uint8_t c = p[0], low = 0x80, high = 0xbf;
    unsigned n;

    if (c >= 0xc2 && c <= 0xdf) {
        n = 2;
    } else if (c >= 0xe0 && c <= 0xef) {
        n = 3;
        low = c == 0xe0 ? 0xa0 : 0x80;
        high = c == 0xed ? 0x9f : 0xbf;
    } else if (c >= 0xf0 && c <= 0xf4) {
        n = 4;
        low = c == 0xf0 ? 0x90 : 0x80;
        high = c == 0xf4 ? 0x8f : 0xbf;
    } else {
        return 0;
    }
    if (left < n || p[1] < low || p[1] > high)
        return 0;
    if (n > 2 && (p[2] & 0xc0) != 0x80)
        return 0;
    if (n > 3 && (p[3] & 0xc0) != 0x80)
        return 0;
    return n;
}

size_t utf8_valid_bytes(tako_slice text)
{
    size_t i = 0;

    while (i < text.len) {
        size_t left = text.len - i, n;
        uint64_t w = left >= 8 ? word_load(text.ptr + i)
                               : word_load_tail(text.ptr + i, left);

        if ((w & WORD_EACH(0x80)) == 0) {
            i += left >= 8 ? 8 : left;
            continue;
        }
        if (text.ptr[i] < 0x80) {
            i++;
            continue;
        }
        n = utf8_char(text.ptr + i, text.len - i);
        if (n == 0)
            break;
        i += n;
    }
    return i;
}

bool utf8_check(tako_slice text)
{
    return utf8_valid_bytes(text) == text.len;
}

const char *utf8_show(tako_slice text, char out[UTF8_SHOW_BYTES])
{
    size_t n = text.len, cap = UTF8_SHOW_BYTES - sizeof "...";

    if (n > cap)
        for (n = cap; n > 0 && (text.ptr[n] & 0xc0) == 0x80; n--)
            ;
    for (size_t i = 0; i < n; i++) {
        uint8_t c = text.ptr[i];

        out[i] = c < 0x20 || c == 0x7f || c == '"' ? '?' : (char)c;
    }
    memcpy(out + n, n < text.len ? "..." : "", n < text.len ? 4 : 1);
    return out;
}

size_t utf8_put(uint32_t cp, uint8_t out[4])
{
    if (cp < 0x80) {
        out[0] = (uint8_t)cp;
        return 1;
    }
    if (cp < 0x800) {
        out[0] = (uint8_t)(0xc0 | cp >> 6);
        out[1] = (uint8_t)(0x80 | (cp & 0x3f));
        return 2;
    }
    if (cp < 0x10000) {
        out[0] = (uint8_t)(0xe0 | cp >> 12);
        out[1] = (uint8_t)(0x80 | (cp >> 6 & 0x3f));
        out[2] = (uint8_t)(0x80 | (cp & 0x3f));
        return 3;
    }
    out[0] = (uint8_t)(0xf0 | cp >> 18);
    out[1] = (uint8_t)(0x80 | (cp >> 12 & 0x3f));
    out[2] = (uint8_t)(0x80 | (cp >> 6 & 0x3f));
    out[3] = (uint8_t)(0x80 | (cp & 0x3f));
    return 4;
}
