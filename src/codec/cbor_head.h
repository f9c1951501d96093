// SPDX-License-Identifier: Apache-2.0
/* CBOR_HEAD -- the head of one item (RFC 8949 section 3), inside codec only:
 * inline, because every walk over a document is made of it. */
#ifndef TAKO_CODEC_CBOR_HEAD_H
#define TAKO_CODEC_CBOR_HEAD_H

#include "base/slice.h"

#define CBOR_HEAD_BYTES_MAX 9u

/* Major types. */
#define CBOR_MAJOR_UINT  0u
#define CBOR_MAJOR_NINT  1u
#define CBOR_MAJOR_BYTES 2u
#define CBOR_MAJOR_TEXT  3u
#define CBOR_MAJOR_ARRAY 4u
#define CBOR_MAJOR_MAP   5u
#define CBOR_MAJOR_TAG   6u
#define CBOR_MAJOR_OTHER 7u

/* First bytes of major type 7. */
#define CBOR_FALSE_BYTE  0xf4u
#define CBOR_TRUE_BYTE   0xf5u
#define CBOR_NULL_BYTE   0xf6u
#define CBOR_HALF_BYTE   0xf9u
#define CBOR_SINGLE_BYTE 0xfau
#define CBOR_DOUBLE_BYTE 0xfbu

/* Where an argument follows the first byte. */
#define CBOR_INFO_8  24u
#define CBOR_INFO_64 27u

typedef struct cbor_head {
    uint8_t major;
    uint8_t info;
    uint64_t arg; /* of a float: its bits */
} cbor_head;

/* Reads a head; returns its length, 0 when cut off or of no known form. */
static inline size_t cbor_head_read(const uint8_t *p, size_t left, cbor_head *h)
{
    size_t n;

    if (left == 0)
        return 0;
    h->major = p[0] >> 5;
    h->info = p[0] & 31;
    h->arg = h->info;
    if (h->info < CBOR_INFO_8)
        return 1;
    if (h->info > CBOR_INFO_64)
        return 0;
    n = (size_t)1 << (h->info - CBOR_INFO_8);
    if (left - 1 < n)
        return 0;
    h->arg = 0;
    for (size_t i = 1; i <= n; i++)
        h->arg = h->arg << 8 | p[i];
    return 1 + n;
}

/* Writes the shortest head to p, which has room for 9 bytes. */
static inline size_t cbor_head_write(uint8_t *p, unsigned major, uint64_t arg)
{
    unsigned info = CBOR_INFO_8;
    size_t n;

    if (arg < CBOR_INFO_8) {
        p[0] = (uint8_t)(major << 5 | (unsigned)arg);
        return 1;
    }
    if (arg > 0xff)
        info += arg <= 0xffff ? 1 : arg <= 0xffffffffu ? 2 : 3;
    n = (size_t)1 << (info - CBOR_INFO_8);
    p[0] = (uint8_t)(major << 5 | info);
    for (size_t i = 0; i < n; i++)
        p[1 + i] = (uint8_t)(arg >> (8 * (n - 1 - i)));
    return 1 + n;
}

/* The content of the text or bytes item at p; empty when it is cut off. */
static inline tako_slice cbor_head_string(const uint8_t *p, size_t left)
{
    cbor_head h;
    size_t n = cbor_head_read(p, left, &h);

    if (n == 0 || h.arg > left - n)
        return TAKO_SLICE_NONE;
    return tako_slice_of(p + n, (size_t)h.arg);
}

#endif /* TAKO_CODEC_CBOR_HEAD_H */
