// SPDX-License-Identifier: Apache-2.0
/* WORD -- looking at eight bytes of text at a time; inside codec only. */
#ifndef TAKO_CODEC_WORD_H
#define TAKO_CODEC_WORD_H

#include "base/slice.h"

#define WORD_EACH(x) (0x0101010101010101u * (uint64_t)(x))

static inline uint64_t word_load(const uint8_t *p)
{
    uint64_t w;

    memcpy(&w, p, sizeof w);
    return w;
}

/* The n < 8 bytes at p in one word, without reading beyond them, the rest of
 * it filled up with 'a'. In memory order on little-endian machines. */
static inline uint64_t word_load_tail(const uint8_t *p, size_t n)
{
    uint64_t w = WORD_EACH('a');
    unsigned bits = 8 * (unsigned)n;
    uint32_t four;
    uint16_t two;

    w = n == 0 ? w : w << bits;
    if ((n & 1) != 0) {
        bits -= 8;
        w |= (uint64_t)p[n - 1] << bits;
    }
    if ((n & 2) != 0) {
        memcpy(&two, p + (n & 4), sizeof two);
        bits -= 16;
        w |= (uint64_t)two << bits;
    }
    if ((n & 4) != 0) {
        memcpy(&four, p, sizeof four);
        w |= four;
    }
    return w;
}

#endif /* TAKO_CODEC_WORD_H */
