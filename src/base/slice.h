// SPDX-License-Identifier: Apache-2.0
/* SLICE -- borrowed bytes, and a reader over them that fails sticky.
 *
 * A slice never owns: it is valid only as long as what it points into. It is
 * passed by value. A reader yields zeros once it has failed, so a decoder may
 * do all its reads and look at `failed` once. */
#ifndef TAKO_BASE_SLICE_H
#define TAKO_BASE_SLICE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

typedef struct tako_slice {
    const uint8_t *ptr;
    size_t len;
} tako_slice;

#define TAKO_SLICE_NONE ((tako_slice){ NULL, 0 })

static inline tako_slice tako_slice_of(const void *ptr, size_t len)
{
    return (tako_slice){ (const uint8_t *)ptr, len };
}

static inline tako_slice tako_slice_str(const char *text)
{
    return (tako_slice){ (const uint8_t *)text, strlen(text) };
}

static inline bool tako_slice_eq(tako_slice a, tako_slice b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.ptr, b.ptr, a.len) == 0);
}

/* Order by bytes, the shorter first where one begins the other. */
static inline int tako_slice_cmp(tako_slice a, tako_slice b)
{
    size_t n = a.len < b.len ? a.len : b.len;
    int c = n == 0 ? 0 : memcmp(a.ptr, b.ptr, n);

    if (c != 0)
        return c;
    return a.len < b.len ? -1 : a.len > b.len;
}

typedef struct tako_reader {
    tako_slice in;
    size_t pos;
    bool failed;
} tako_reader;

static inline tako_reader tako_reader_of(tako_slice in)
{
    return (tako_reader){ in, 0, false };
}

static inline bool tako_reader_has(const tako_reader *r, size_t n)
{
    /* Subtract, do not add: pos + n could wrap for a hostile n. */
    return !r->failed && n <= r->in.len - r->pos;
}

static inline size_t tako_reader_left(const tako_reader *r)
{
    return r->failed ? 0 : r->in.len - r->pos;
}

static inline bool tako_reader_done(const tako_reader *r)
{
    return !r->failed && r->pos == r->in.len;
}

static inline uint8_t tako_read_u8(tako_reader *r)
{
    if (!tako_reader_has(r, 1)) {
        r->failed = true;
        return 0;
    }
    return r->in.ptr[r->pos++];
}

/* n bytes, borrowed from the input; empty and failed when there are fewer. */
static inline tako_slice tako_read_bytes(tako_reader *r, size_t n)
{
    tako_slice s;

    if (!tako_reader_has(r, n)) {
        r->failed = true;
        return TAKO_SLICE_NONE;
    }
    if (r->in.ptr == NULL) /* an empty input: not even NULL + 0 is defined */
        return TAKO_SLICE_NONE;
    s = tako_slice_of(r->in.ptr + r->pos, n);
    r->pos += n;
    return s;
}

/* Fixed 8 bytes, big-endian. */
uint64_t tako_read_u64(tako_reader *r);

/* LEB128, at most 10 bytes; a non-minimal or overlong one fails. */
uint64_t tako_read_varint(tako_reader *r);

/* A varint length, then so many bytes. */
tako_slice tako_read_block(tako_reader *r);

#endif /* TAKO_BASE_SLICE_H */
