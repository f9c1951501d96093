// SPDX-License-Identifier: Apache-2.0
/* CBOR -- tako's values as deterministic CBOR (RFC 8949 section 4.2.1).
 *
 * A value is a slice of CBOR; equal values are equal bytes. The model: null,
 * false, true, int64, float64 (finite, shortest of half/single/double that
 * keeps it; -0 and 1.0 stay floats), bytes, text (UTF-8), array, map with
 * text keys in bytewise order of their encodings, no duplicates. Tags,
 * undefined, simple values, indefinite lengths, NaN and infinities are
 * refused, and so is any encoding that is not the shortest.
 *
 * Outside bytes go through cbor_check() once; after that the cursor below
 * reads them without checks beyond the slice's end. */
#ifndef TAKO_CODEC_CBOR_H
#define TAKO_CODEC_CBOR_H

#include "base/buf.h"
#include "base/err.h"
#include "base/limits.h"

typedef enum cbor_kind {
    CBOR_NULL,
    CBOR_BOOL,
    CBOR_INT,
    CBOR_FLOAT,
    CBOR_BYTES,
    CBOR_TEXT,
    CBOR_ARRAY,
    CBOR_MAP,
} cbor_kind;

/* One item's head. For arrays `count` elements follow, for maps `count`
 * pairs; for text and bytes `str` is the content. */
typedef struct cbor_item {
    cbor_kind kind;
    bool boolean;
    int64_t integer;
    double real;
    uint64_t count;
    tako_slice str;
} cbor_item;

/* Checks that `in` is exactly one value, deterministic, at most depth_max
 * deep (a scalar has depth 0, [] depth 1). Iterative; allocates nothing.
 *
 * TAKO_INVALID  malformed, not deterministic, duplicate key (e names it and
 *               the byte offset), trailing bytes
 * TAKO_LIMIT    deeper than depth_max (at most TAKO_JSON_DEPTH_MAX) */
tako_err cbor_check(tako_slice in, unsigned depth_max, tako_errbuf *e);

/* Reads one head (and the content of a string). Fails sticky on bytes that
 * are not checked CBOR. Returns !r->failed. */
bool cbor_read(tako_reader *r, cbor_item *out);

/* Skips one whole value and returns its bytes; empty and failed at the end. */
tako_slice cbor_read_value(tako_reader *r);

/* The kind of a checked, non-empty value, from its first byte. */
cbor_kind cbor_kind_of(tako_slice value);

/* The value under `key` in a checked map; an empty slice (len 0) when there
 * is none or `map` is not a map. */
tako_slice cbor_map_get(tako_slice map, tako_slice key);
/* The content of the text under `key`; empty when there is no text. */
tako_slice cbor_map_text(tako_slice map, const char *key);

/* Writing. Maps: cbor_put_map(n), then n times key, value, keys ascending in
 * cbor_key_cmp order; the writer does not sort. */
void cbor_put_null(tako_buf *b);
void cbor_put_bool(tako_buf *b, bool v);
void cbor_put_int(tako_buf *b, int64_t v);
void cbor_put_float(tako_buf *b, double v); /* finite */
void cbor_put_bytes(tako_buf *b, tako_slice v);
void cbor_put_text(tako_buf *b, tako_slice v);
void cbor_put_array(tako_buf *b, uint64_t count);
void cbor_put_map(tako_buf *b, uint64_t count);

/* Deterministic order of map keys: the shorter first, then by bytes. */
static inline int cbor_key_cmp(tako_slice a, tako_slice b)
{
    if (a.len != b.len)
        return a.len < b.len ? -1 : 1;
    return a.len == 0 ? 0 : memcmp(a.ptr, b.ptr, a.len);
}

/* True when the bytes are well-formed UTF-8 (no surrogates, no overlongs). */
bool utf8_check(tako_slice text);

#endif /* TAKO_CODEC_CBOR_H */
